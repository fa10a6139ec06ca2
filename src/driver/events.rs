//! Task events: what happens to a task, in the order in which it happened, for whoever asked to be told.
//!
//! Emitting never waits. A subscriber that is slow loses its own events only, and is told how many.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use serde::{Deserialize, Serialize};

use super::task::{TaskConfig, TaskId};

/// How many events a subscriber may be behind before it loses some.
const CAPACITY: usize = 256;

/// Something that happened to a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskEvent {
    /// The task's id; empty where the event is about the driver or the subscription itself.
    pub task_id: TaskId,
    /// The task's name.
    pub task_name: String,
    /// The allocation's id.
    pub alloc_id: String,
    /// When it happened.
    pub timestamp: SystemTime,
    /// What happened, for people.
    pub message: String,
    /// What happened, for programs.
    pub annotations: BTreeMap<String, String>,
}

/// Who is told of events. Clones of a driver share one.
#[derive(Debug)]
pub(super) struct Events {
    /// `None`: there are no more events.
    subscribers: Mutex<Option<Vec<Subscriber>>>,
}

impl Default for Events {
    fn default() -> Self {
        Self { subscribers: Mutex::new(Some(Vec::new())) }
    }
}

#[derive(Debug)]
struct Subscriber {
    channel: Sender<TaskEvent>,
    lost: u64,
}

impl Events {
    pub(super) fn subscribe(&self) -> Receiver<TaskEvent> {
        let (channel, receiver) = bounded(CAPACITY);
        if let Some(subscribers) = &mut *self.lock() {
            subscribers.push(Subscriber { channel, lost: 0 });
        }
        receiver
    }

    /// Tells every subscriber of one task's event.
    pub(super) fn emit(&self, task: &TaskConfig, message: impl Into<String>, annotations: &[(&str, &str)]) {
        self.send(TaskEvent {
            task_id: task.id.clone(),
            task_name: task.name.clone(),
            alloc_id: task.alloc_id.clone(),
            timestamp: SystemTime::now(),
            message: message.into(),
            annotations: annotations.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
        });
    }

    /// No more events: every subscriber's channel ends once it is read, and a later one's at once.
    pub(super) fn close(&self) {
        *self.lock() = None;
    }

    fn send(&self, event: TaskEvent) {
        if let Some(subscribers) = &mut *self.lock() {
            subscribers.retain_mut(|subscriber| subscriber.offer(&event));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Vec<Subscriber>>> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber {
    /// Hands the event over, after the notice of what was lost before it. False: the receiver has gone.
    fn offer(&mut self, event: &TaskEvent) -> bool {
        if self.lost > 0 {
            match self.channel.try_send(lost_notice(self.lost)) {
                Ok(()) => self.lost = 0,
                Err(TrySendError::Full(_)) => {
                    self.lost += 1;
                    return true;
                }
                Err(TrySendError::Disconnected(_)) => return false,
            }
        }
        match self.channel.try_send(event.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.lost += 1;
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        }
    }
}

fn lost_notice(lost: u64) -> TaskEvent {
    TaskEvent {
        task_id: TaskId::default(),
        task_name: String::new(),
        alloc_id: String::new(),
        timestamp: SystemTime::now(),
        message: format!("{lost} events were lost here: this subscriber was too slow"),
        annotations: BTreeMap::from([("lost".into(), lost.to_string())]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> TaskConfig {
        TaskConfig { id: "a/t/1".into(), name: "t".into(), ..TaskConfig::default() }
    }

    #[test]
    fn a_slow_subscriber_loses_its_own_events_and_is_told() {
        let events = Events::default();
        let (slow, quick) = (events.subscribe(), events.subscribe());
        let mut seen = 0;
        for i in 0..CAPACITY + 10 {
            events.emit(&task(), i.to_string(), &[]);
            seen += quick.try_iter().count();
        }
        assert_eq!(seen, CAPACITY + 10);
        assert_eq!(slow.try_iter().count(), CAPACITY);
        events.emit(&task(), "after", &[]);
        let rest: Vec<_> = slow.try_iter().collect();
        assert_eq!(rest[0].annotations["lost"], "10");
        assert_eq!(rest[1].message, "after");
    }

    #[test]
    fn a_receiver_that_left_is_forgotten_and_close_ends_the_others() {
        let events = Events::default();
        drop(events.subscribe());
        let stays = events.subscribe();
        events.emit(&task(), "one", &[]);
        assert_eq!(events.lock().as_ref().map(Vec::len), Some(1));
        events.close();
        assert_eq!(stays.iter().count(), 1);
        assert_eq!(events.subscribe().iter().count(), 0, "nor does one wait that comes too late");
    }
}

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

/// What kind of thing happened to a task: the annotation `kind` of a [`TaskEvent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// The Engine does not answer, or says a state that nobody knows; the task is taken to run on.
    EngineLost,
    /// The Engine answers again, and the task runs.
    EngineBack,
    /// The kernel killed a process of the task for want of memory.
    Oom,
    /// The task was recovered while the Engine did not answer.
    RecoveredUnseen,
    /// Something about the task's output, such as lines that may be missing.
    LogsNotice,
    /// The task's output can no longer be written where it should go.
    SinkFailed,
    /// A thread of the driver panicked.
    Panic,
    /// An image is being pulled for the task.
    ImagePull,
    /// How far a slow pull is.
    ImagePullProgress,
}

impl EventKind {
    const ALL: [Self; 9] = [
        Self::EngineLost,
        Self::EngineBack,
        Self::Oom,
        Self::RecoveredUnseen,
        Self::LogsNotice,
        Self::SinkFailed,
        Self::Panic,
        Self::ImagePull,
        Self::ImagePullProgress,
    ];

    /// The kind in annotations and JSON: `engine_lost`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EngineLost => "engine_lost",
            Self::EngineBack => "engine_back",
            Self::Oom => "oom",
            Self::RecoveredUnseen => "recovered_unseen",
            Self::LogsNotice => "logs_notice",
            Self::SinkFailed => "sink_failed",
            Self::Panic => "panic",
            Self::ImagePull => "image_pull",
            Self::ImagePullProgress => "image_pull_progress",
        }
    }
}

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

impl TaskEvent {
    /// The kind of the event. `None`: an event about the subscription itself, such as events that it lost.
    pub fn kind(&self) -> Option<EventKind> {
        let kind = self.annotations.get("kind")?;
        EventKind::ALL.into_iter().find(|known| known.as_str() == kind)
    }
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
    pub(super) fn emit(&self, task: &TaskConfig, kind: EventKind, message: impl Into<String>) {
        self.annotated(task, message, &[("kind", kind.as_str())]);
    }

    /// The same, of an image's pull.
    pub(super) fn emit_pull(&self, task: &TaskConfig, kind: EventKind, image: &str, message: impl Into<String>) {
        self.annotated(task, message, &[("kind", kind.as_str()), ("image", image)]);
    }

    fn annotated(&self, task: &TaskConfig, message: impl Into<String>, annotations: &[(&str, &str)]) {
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

    /// The page that tells users of kinds has them all, and no others.
    #[test]
    fn kinds_are_told_apart_and_documented() {
        let page = include_str!("../../docs/reliability.md");
        let (_, table) = page.split_once("| kind | when |").unwrap();
        let documented: Vec<&str> =
            table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        assert_eq!(documented, EventKind::ALL.map(EventKind::as_str));
        let events = Events::default();
        let told = events.subscribe();
        for kind in EventKind::ALL {
            events.emit(&task(), kind, "");
            assert_eq!(told.recv().unwrap().kind(), Some(kind));
        }
        assert_eq!(lost_notice(1).kind(), None);
    }

    #[test]
    fn a_slow_subscriber_loses_its_own_events_and_is_told() {
        let events = Events::default();
        let (slow, quick) = (events.subscribe(), events.subscribe());
        let mut seen = 0;
        for i in 0..CAPACITY + 10 {
            events.emit(&task(), EventKind::LogsNotice, i.to_string());
            seen += quick.try_iter().count();
        }
        assert_eq!(seen, CAPACITY + 10);
        assert_eq!(slow.try_iter().count(), CAPACITY);
        events.emit(&task(), EventKind::EngineBack, "after");
        let rest: Vec<_> = slow.try_iter().collect();
        assert_eq!(rest[0].annotations["lost"], "10");
        assert_eq!(rest[1].message, "after");
    }

    #[test]
    fn a_receiver_that_left_is_forgotten_and_close_ends_the_others() {
        let events = Events::default();
        drop(events.subscribe());
        let stays = events.subscribe();
        events.emit(&task(), EventKind::Oom, "one");
        assert_eq!(events.lock().as_ref().map(Vec::len), Some(1));
        events.close();
        assert_eq!(stays.iter().count(), 1);
        assert_eq!(events.subscribe().iter().count(), 0, "nor does one wait that comes too late");
    }
}

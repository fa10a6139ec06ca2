//! What is known of a task that was started: as data to keep ([`TaskHandle`]), and as the thing in memory that its threads share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};
use serde::{Deserialize, Serialize};

use super::task::{DriverNetwork, ExitResult, TaskConfig};
use crate::logs::Collector;
use crate::threads::{Hangup, Worker};

/// The version of [`TaskHandle`] that is written here.
pub(super) const HANDLE_VERSION: u32 = 1;

/// What is needed to find a started task again. Serialisable.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskHandle {
    /// The version of this data, 1.
    pub version: u32,
    /// The task, as it was started.
    pub config: TaskConfig,
    /// Its container's id.
    pub container_id: String,
    /// Its container's name.
    pub container_name: String,
    /// The id of its container's image.
    pub image_id: String,
    /// The network that its container is in.
    pub network: Option<DriverNetwork>,
}

impl TaskHandle {
    /// Whether it is of a version that is known here, and names a container by what can be an id: an Engine takes other texts
    /// for another path, or for a name.
    pub(super) fn is_usable(&self) -> bool {
        let id = &self.container_id;
        self.version <= HANDLE_VERSION && !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
    }
}

/// A started task in memory.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) handle: TaskHandle,
    /// Ends everything that this task's threads do.
    pub(super) hangup: Hangup,
    pub(super) exit: Exit,
    /// Whether it is only looked at: nothing waits for its end, and nothing collects its output.
    pub(super) attached: bool,
    /// Whether we have asked for its end by SIGKILL.
    killed: AtomicBool,
    /// Set when some of its output cannot be passed on any more; for who looks at it after the task is forgotten, too.
    pub(super) output_lost: Arc<AtomicBool>,
    /// The present wait alone: closing it makes the wait loop inspect.
    wait: Mutex<Hangup>,
    workers: Mutex<Workers>,
}

/// A task's threads.
#[derive(Debug, Default)]
pub(super) struct Workers {
    pub(super) wait: Option<Worker>,
    pub(super) logs: Option<Collector>,
    /// Those that sample for subscribers.
    stats: Vec<Worker>,
}

impl Task {
    pub(super) fn new(handle: TaskHandle, hangup: Hangup) -> Self {
        let wait = Mutex::new(hangup.child());
        let killed = AtomicBool::new(false);
        let output_lost = Arc::default();
        Self {
            handle,
            hangup,
            exit: Exit::default(),
            attached: false,
            killed,
            output_lost,
            wait,
            workers: Mutex::default(),
        }
    }

    /// A task that is only looked at. Whoever waits for its end is told at once that nobody here knows.
    pub(super) fn attached(handle: TaskHandle, hangup: Hangup) -> Self {
        let task = Self { attached: true, ..Self::new(handle, hangup) };
        task.exit.close();
        task
    }

    /// We are about to ask for its end by SIGKILL.
    pub(super) fn is_to_be_killed(&self) {
        self.killed.store(true, Ordering::Relaxed);
    }

    /// Whether we have asked for its end by SIGKILL: an end by that is then nobody else's.
    pub(super) fn was_killed(&self) -> bool {
        self.killed.load(Ordering::Relaxed)
    }

    /// The latch of the next wait.
    pub(super) fn next_wait(&self) -> Hangup {
        let wait = self.hangup.child();
        *self.wait.lock().unwrap_or_else(PoisonError::into_inner) = wait.clone();
        wait
    }

    /// Makes the wait loop look again whether the container runs.
    pub(super) fn interrupt_wait(&self) {
        self.wait.lock().unwrap_or_else(PoisonError::into_inner).hang_up();
    }

    pub(super) fn workers(&self) -> MutexGuard<'_, Workers> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Owns a thread that samples for a subscriber; those that have ended are let go.
    pub(super) fn watched_by(&self, worker: Worker) {
        let stats = &mut self.workers().stats;
        stats.retain(|worker| !worker.has_ended());
        stats.push(worker);
    }

    /// Ends the task's threads and joins them. The container is not touched.
    pub(super) fn end_threads(&self) {
        self.hangup.hang_up();
        let Workers { wait, logs, stats } = std::mem::take(&mut *self.workers());
        drop(stats);
        if let Some(mut wait) = wait {
            wait.stop();
        }
        if let Some(mut logs) = logs {
            logs.stop();
        }
        self.exit.close();
    }
}

/// How a task ended, once it has, and who waits to hear it.
#[derive(Debug, Default)]
pub(super) struct Exit {
    state: Mutex<ExitState>,
}

#[derive(Debug, Default)]
struct ExitState {
    result: Option<ExitResult>,
    closed: bool,
    waiters: Vec<Sender<ExitResult>>,
}

impl Exit {
    /// Delivers the result once, as soon as there is one. Disconnects without it where the driver lets go of the task before.
    pub(super) fn subscribe(&self) -> Receiver<ExitResult> {
        let (sender, receiver) = bounded(1);
        let mut state = self.lock();
        match &state.result {
            // A channel of one takes one; nobody else sends.
            Some(result) => drop(sender.send(result.clone())),
            None if state.closed => {}
            None => state.waiters.push(sender),
        }
        receiver
    }

    /// The result, if there is one.
    pub(super) fn result(&self) -> Option<ExitResult> {
        self.lock().result.clone()
    }

    /// Whether there is one.
    pub(super) fn has_result(&self) -> bool {
        self.lock().result.is_some()
    }

    /// Tells everybody. The first result stays.
    pub(super) fn publish(&self, result: ExitResult) {
        let mut state = self.lock();
        if state.result.is_some() {
            return;
        }
        for waiter in state.waiters.drain(..) {
            // A waiter that has left disturbs nobody.
            let _ = waiter.try_send(result.clone());
        }
        state.result = Some(result);
    }

    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.waiters.clear();
    }

    fn lock(&self) -> MutexGuard<'_, ExitState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_waiter_gets_the_result_before_and_after() {
        let exit = Exit::default();
        let (early, left) = (exit.subscribe(), exit.subscribe());
        drop(left);
        exit.publish(ExitResult { exit_code: 3, ..ExitResult::default() });
        exit.publish(ExitResult { exit_code: 4, ..ExitResult::default() });
        let late = exit.subscribe();
        for waiter in [early, late] {
            assert_eq!(waiter.iter().map(|r| r.exit_code).collect::<Vec<_>>(), [3], "once, and the first");
        }
    }

    #[test]
    fn letting_go_ends_the_waiting() {
        let exit = Exit::default();
        let early = exit.subscribe();
        exit.close();
        assert!(early.recv().is_err() && exit.subscribe().recv().is_err());
    }
}

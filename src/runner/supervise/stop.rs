//! How a run is ended from outside: asked to stop, then told to, then left where the Engine cannot be told. Each level is a
//! latch that threads wait on beside what else they wait for; it closes once and stays closed. Beside them stands which
//! containers there are, or may be: what a program that ends at once must name.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};

use crate::threads::Hangup;

/// Requests to end a run. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    graceful: Arc<Latch>,
    kill: Arc<Latch>,
    /// When the tasks were to be killed.
    killed_at: Arc<OnceLock<Instant>>,
    /// Gives up every start that is under way; closes with the first level.
    starts: Hangup,
    /// Gives up every call: what runs is left.
    leave: Hangup,
    containers: Arc<Mutex<BTreeSet<String>>>,
}

/// Open until it is closed. Whoever waits has a receiver on which nothing is ever sent; it disconnects when the latch closes.
#[derive(Debug)]
struct Latch {
    holds: Mutex<Option<Sender<Infallible>>>,
    waits: Receiver<Infallible>,
}

impl Stop {
    /// Nothing is asked for yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks every task to stop: its kill signal, then its grace. Harmless when that has been asked for.
    pub fn ask(&self) {
        self.graceful.close();
        self.starts.hang_up();
    }

    /// Kills every task at once.
    pub fn kill(&self) {
        self.ask();
        self.killed_at.get_or_init(Instant::now);
        self.kill.close();
    }

    /// The latch that closes when somebody asks for the end: for calls to an Engine that need not be finished then.
    pub fn starts(&self) -> &Hangup {
        &self.starts
    }

    /// The names of the containers that there are at present, or may be.
    pub fn containers(&self) -> Vec<String> {
        self.names().iter().cloned().collect()
    }

    /// Whether somebody asked.
    pub fn is_asked(&self) -> bool {
        self.graceful.is_closed()
    }

    /// Whether the tasks are being killed.
    pub fn is_kill(&self) -> bool {
        self.kill.is_closed()
    }

    /// How long ago the tasks were to be killed. `None`: they were not.
    pub(in crate::runner) fn killed_for(&self) -> Option<Duration> {
        self.killed_at.get().map(Instant::elapsed)
    }

    /// The latch that gives up every call.
    pub(in crate::runner) fn leave(&self) -> &Hangup {
        &self.leave
    }

    /// A container of this name may exist from now on.
    pub(in crate::runner) fn may_exist(&self, container: &str) {
        if !container.is_empty() {
            self.names().insert(container.to_owned());
        }
    }

    /// It does not, or is to stay.
    pub(in crate::runner) fn is_done_with(&self, container: &str) {
        self.names().remove(container);
    }

    fn names(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Never gets anything; disconnects when somebody asks.
    pub(in crate::runner) fn asked(&self) -> &Receiver<Infallible> {
        &self.graceful.waits
    }

    /// Never gets anything; disconnects when the tasks are to be killed.
    pub(in crate::runner) fn killed(&self) -> &Receiver<Infallible> {
        &self.kill.waits
    }
}

impl Latch {
    fn close(&self) {
        drop(self.holds.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn is_closed(&self) -> bool {
        matches!(self.waits.try_recv(), Err(TryRecvError::Disconnected))
    }
}

impl Default for Latch {
    fn default() -> Self {
        let (holds, waits) = bounded(0);
        Self { holds: Mutex::new(Some(holds)), waits }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels() {
        let stop = Stop::new();
        assert!(!stop.is_asked() && !stop.is_kill());
        let waiter = {
            let stop = stop.clone();
            std::thread::spawn(move || stop.asked().recv().is_err())
        };
        stop.ask();
        stop.ask();
        assert!(waiter.join().unwrap(), "who waits is told");
        assert!(stop.is_asked() && !stop.is_kill() && stop.starts().is_hung_up());
        stop.kill();
        assert!(stop.is_kill() && stop.killed_for().is_some() && !stop.leave().is_hung_up());
        let at_once = Stop::new();
        at_once.kill();
        assert!(at_once.is_asked(), "a kill is a stop too");
    }
}

//! How a run is ended from outside: asked to stop, then told to. Each level is a latch that threads wait on beside what
//! else they wait for; it closes once and stays closed.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};

/// Requests to end a run. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    graceful: Arc<Latch>,
    kill: Arc<Latch>,
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
    }

    /// Kills every task at once.
    pub fn kill(&self) {
        self.graceful.close();
        self.kill.close();
    }

    /// Whether somebody asked.
    pub fn is_asked(&self) -> bool {
        self.graceful.is_closed()
    }

    /// Whether the tasks are being killed.
    pub fn is_kill(&self) -> bool {
        self.kill.is_closed()
    }

    /// Never gets anything; disconnects when somebody asks.
    pub(super) fn asked(&self) -> &Receiver<Infallible> {
        &self.graceful.waits
    }

    /// Never gets anything; disconnects when the tasks are to be killed.
    pub(super) fn killed(&self) -> &Receiver<Infallible> {
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
        assert!(stop.is_asked() && !stop.is_kill());
        stop.kill();
        assert!(stop.is_kill());
        let at_once = Stop::new();
        at_once.kill();
        assert!(at_once.is_asked(), "a kill is a stop too");
    }
}

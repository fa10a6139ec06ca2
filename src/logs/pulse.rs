//! What others see of a collector while its thread is blocked: whether a sink keeps it, and what its stalled lanes wait for. One thread of
//! the driver looks at all of them, and hangs up the connection of a collector that should look itself: so an Engine is
//! never kept waiting by a sink, and no task needs a thread for that.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::outlet::Gate;
use crate::threads::{Hangup, Worker};

/// How often all collectors are looked at. A sink that blocks for two of these keeps no connection any more.
const TICK: Duration = Duration::from_millis(500);

/// A collector's signs of life.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// Pieces of output that came.
    pub(super) pieces: AtomicU64,
    /// How often sinks were called, and came back: odd while one is at it.
    calls: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Ends the present request, or the pause.
    connection: Option<Hangup>,
    /// What the stalled lanes wait for.
    gates: Vec<Gate>,
    /// What they have not taken.
    behind: Vec<String>,
    /// Whether no other lane is there.
    all: bool,
    /// How many calls there were when this was last looked at.
    seen: u64,
}

impl Pulse {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sink is called, or has come back.
    pub(super) fn call(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn in_sink(&self) -> bool {
        self.calls.load(Ordering::Relaxed) % 2 == 1
    }

    /// What ends what the collector does now.
    pub(super) fn connected(&self, latch: &Hangup) {
        self.lock().connection = Some(latch.clone());
    }

    /// What the stalled lanes wait for, what they have not taken, and whether these are all.
    pub(super) fn stalled(&self, gates: Vec<Gate>, behind: Vec<String>, all: bool) {
        let mut inner = self.lock();
        (inner.gates, inner.behind, inner.all) = (gates, behind, all);
    }

    /// What was not taken by whom, in words.
    pub(super) fn behind(&self) -> Vec<String> {
        self.lock().behind.clone()
    }

    /// Whether nothing more will be taken soon: nobody is there for those that are stalled, and they are all, or have what there is.
    pub(super) fn is_left_alone(&self, complete: bool) -> bool {
        let inner = self.lock();
        (complete || inner.all) && !inner.gates.is_empty() && !inner.gates.iter().any(Gate::has_somebody)
    }

    /// Hangs up, where the collector should look.
    fn look(&self) {
        let mut inner = self.lock();
        let calls = self.calls.load(Ordering::Relaxed);
        let blocked = calls % 2 == 1 && calls == inner.seen;
        inner.seen = calls;
        if (blocked || inner.gates.iter().any(Gate::is_open))
            && let Some(connection) = inner.connection.take()
        {
            connection.hang_up();
        }
    }
}

/// Looks at all collectors of a driver.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    watched: Arc<Mutex<Vec<Weak<Pulse>>>>,
    hangup: Hangup,
    worker: Mutex<Option<Worker>>,
}

impl Watch {
    /// Looks at one more, until it is gone. The thread begins with the first.
    pub(super) fn add(&self, pulse: &Arc<Pulse>) -> io::Result<()> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(pulse));
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        if worker.is_none() {
            let (latch, watched) = (self.hangup.clone(), self.watched.clone());
            let body = move || {
                while latch.sleep(TICK) {
                    let mut watched = watched.lock().unwrap_or_else(PoisonError::into_inner);
                    watched.retain(|pulse| pulse.upgrade().inspect(|pulse| pulse.look()).is_some());
                }
            };
            *worker = Some(Worker::spawn("output watch", self.hangup.clone(), body, |_| {})?);
        }
        Ok(())
    }

    /// Ends its thread, for good.
    pub(crate) fn stop(&self) {
        self.hangup.hang_up();
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(worker);
    }
}

//! The state of a collector that others see while its thread is blocked: whether a sink blocks it, and what its blocked
//! subscriptions wait for.
//!
//! One watchdog thread looks after all collectors of a driver. It hangs up the connection of a collector whose sink takes
//! nothing, or is ready again: no Engine is kept waiting by a sink, and no task needs a thread for it.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::logs::delivery::clock::Clock;
use crate::logs::sink::backend::Gate;
use crate::threads::{Hangup, Worker};

/// How often all collectors are looked at. A sink that blocks for two of these keeps no connection any more.
const TICK: Duration = Duration::from_millis(500);
/// After so long without a word a follow is given up for a read: Engines were seen to fall silent in one, for good, when their
/// log file was rotated or truncated.
const SILENCE: Duration = Duration::from_secs(600);
/// So long a follow may say nothing once the container has ended.
const GRACE: Duration = Duration::from_secs(1);

/// A collector's signs of life.
#[derive(Debug, Default)]
pub(in crate::logs) struct Watchdog {
    /// Pieces of output that came.
    pieces: AtomicU64,
    /// How often sinks were called, and came back: odd while one is at it.
    calls: AtomicU64,
    /// Whether a sink that blocks keeps its connection.
    is_patient: bool,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Ends the present request, or the pause.
    connection: Option<Hangup>,
    /// How many pieces there were, and when the last of them came, or the request began. `None`: no follow.
    heard: Option<(u64, Instant)>,
    /// For how long a follow may say nothing.
    patience: Duration,
    /// What the stalled subscriptions wait for.
    gates: Vec<Gate>,
    /// What they have not taken.
    behind: Vec<String>,
    /// Whether no other subscription is there.
    all: bool,
    /// How many calls there were when this was last looked at.
    seen: u64,
}

impl Watchdog {
    /// Of who looks with a pager, say: the Engine is not to begin anew for each page.
    #[cfg(feature = "cli")]
    pub(in crate::logs) fn patient() -> Self {
        Self { is_patient: true, ..Self::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sink is called, or has come back.
    pub(in crate::logs) fn call(&self) {
        count(&self.calls);
    }

    /// A piece of output has come.
    pub(in crate::logs) fn piece(&self) {
        count(&self.pieces);
    }

    /// How many have.
    pub(in crate::logs) fn pieces(&self) -> u64 {
        self.pieces.load(Ordering::Relaxed)
    }

    pub(in crate::logs) fn in_sink(&self) -> bool {
        self.calls.load(Ordering::Relaxed) % 2 == 1
    }

    /// What ends what the collector does now, and whether that is to follow.
    pub(in crate::logs) fn connected(&self, latch: &Hangup, follow: bool) {
        let mut inner = self.lock();
        inner.connection = Some(latch.clone());
        inner.heard = follow.then(|| (self.pieces.load(Ordering::Relaxed), Instant::now()));
        inner.patience = SILENCE;
    }

    /// A follow is likely to say something soon, and to have missed a rotation if it does not. `None`: it is not any more.
    pub(in crate::logs) fn expect_within(&self, patience: Option<Duration>) {
        self.lock().patience = patience.map_or(SILENCE, |patience| patience.min(SILENCE));
    }

    /// Ends a follow, for a read to come in its place.
    fn end_follow(&self) {
        let mut inner = self.lock();
        if inner.heard.is_some() {
            inner.hang_up();
        }
    }

    /// Ends a follow that says nothing: the container has ended, and the follow should have, too.
    pub(in crate::logs) fn end_mute_follow(&self) {
        let mut inner = self.lock();
        if inner.is_mute(self.pieces.load(Ordering::Relaxed), GRACE) {
            inner.hang_up();
        }
    }

    /// What the stalled subscriptions wait for, what they have not taken, and whether these are all.
    pub(in crate::logs) fn stalled(&self, gates: Vec<Gate>, behind: Vec<String>, all: bool) {
        let mut inner = self.lock();
        (inner.gates, inner.behind, inner.all) = (gates, behind, all);
    }

    /// What was not taken by whom, in words.
    pub(in crate::logs) fn behind(&self) -> Vec<String> {
        self.lock().behind.clone()
    }

    /// Whether nothing more will be taken soon: nobody is there for those that are stalled, and they are all, or have what there is.
    pub(in crate::logs) fn is_left_alone(&self, complete: bool) -> bool {
        let inner = self.lock();
        (complete || inner.all) && !inner.gates.is_empty() && !inner.gates.iter().any(Gate::has_somebody)
    }

    /// Hangs up, where the collector should look.
    fn look(&self) {
        let mut inner = self.lock();
        let calls = self.calls.load(Ordering::Relaxed);
        let blocked = calls % 2 == 1 && calls == inner.seen && !self.is_patient;
        inner.seen = calls;
        let patience = inner.patience;
        let mute = inner.is_mute(self.pieces.load(Ordering::Relaxed), patience);
        if blocked || mute || inner.gates.iter().any(Gate::is_open) {
            inner.hang_up();
        }
    }
}

impl Inner {
    /// Whether a follow goes on that has brought nothing for so long.
    fn is_mute(&mut self, pieces: u64, silence: Duration) -> bool {
        let Some((heard, since)) = &mut self.heard else { return false };
        if *heard != pieces {
            (*heard, *since) = (pieces, Instant::now());
        }
        since.elapsed() >= silence
    }

    fn hang_up(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.hang_up();
        }
    }
}

/// One more. Only the collector counts, several times a record: a plain store costs next to nothing, a locked addition does.
fn count(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// Looks at all collectors of an owner: a driver, or who only looks.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    watched: Arc<Mutex<Vec<Weak<Watchdog>>>>,
    hangup: Hangup,
    worker: Mutex<Option<Worker>>,
}

impl Watch {
    /// Looks at one more, until it is gone. The thread begins with the first.
    pub(in crate::logs) fn add(&self, watchdog: &Arc<Watchdog>) -> io::Result<()> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(watchdog));
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        if worker.is_none() {
            let (latch, watched) = (self.hangup.clone(), self.watched.clone());
            let body = move || {
                let mut clock = Clock::new();
                while latch.sleep(TICK) {
                    let was_set_back = clock.was_set_back();
                    let look = |watchdog: &Arc<Watchdog>| {
                        watchdog.look();
                        if was_set_back {
                            watchdog.end_follow();
                        }
                    };
                    let mut watched = watched.lock().unwrap_or_else(PoisonError::into_inner);
                    watched.retain(|watchdog| watchdog.upgrade().inspect(look).is_some());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_follow_is_ended_for_the_clock() {
        for follow in [false, true] {
            let (watchdog, latch) = (Watchdog::default(), Hangup::new());
            watchdog.connected(&latch, follow);
            watchdog.end_follow();
            assert_eq!(latch.is_hung_up(), follow);
        }
    }

    #[test]
    fn a_follow_that_says_nothing_is_given_up() {
        let ago = |silence| Instant::now().checked_sub(silence).unwrap();
        for (row, follow, silence, came, want) in [
            ("a read", false, SILENCE, false, false),
            ("a follow", true, SILENCE, false, true),
            ("not for long", true, SILENCE / 2, false, false),
            ("it has just said something", true, SILENCE, true, false),
        ] {
            let (watchdog, latch) = (Watchdog::default(), Hangup::new());
            watchdog.connected(&latch, follow);
            if let Some(heard) = &mut watchdog.lock().heard {
                heard.1 = ago(silence);
            }
            if came {
                watchdog.pieces.fetch_add(1, Ordering::Relaxed);
            }
            watchdog.look();
            assert_eq!(latch.is_hung_up(), want, "{row}");
        }
    }
}

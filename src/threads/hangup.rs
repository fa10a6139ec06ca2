//! The hang-up latch: how a thread that is blocked, in a read, in a pause or before its next call, is ended from outside.
//!
//! It closes once and stays closed. What may block registers itself first; [`Hangup::hang_up`] then cuts it, and
//! whatever comes later is refused. So there is no moment in which a call slips through.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

/// A latch that ends blocked calls from another thread. Clones are the same latch.
///
/// ```
/// use std::time::Duration;
/// let hangup = longshore::Hangup::new();
/// let sleeper = { let hangup = hangup.clone(); std::thread::spawn(move || hangup.sleep(Duration::from_secs(3600))) };
/// hangup.hang_up();
/// assert!(!sleeper.join().unwrap(), "the pause was cut short");
/// ```
#[derive(Clone)]
pub struct Hangup {
    latch: Arc<Latch>,
}

/// Something blocked that a hang-up can end.
pub(crate) trait Cut: Send + Sync {
    /// Ends what is blocked on it, now and from now on.
    fn cut(&self);
}

/// The latch was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HungUp;

struct Latch {
    state: Mutex<State>,
    changed: Condvar,
    /// Whom to leave when the last clone goes, so that a long-lived parent does not collect dead children.
    parents: Mutex<Vec<(Weak<Latch>, u64)>>,
}

#[derive(Default)]
struct State {
    closed: bool,
    next: u64,
    blocked: HashMap<u64, Blocked>,
}

enum Blocked {
    Call(Weak<dyn Cut>),
    Child(Weak<Latch>),
}

impl Hangup {
    /// An open latch.
    pub fn new() -> Self {
        Self { latch: Arc::new(Latch::new()) }
    }

    /// A latch that closes with this one, or alone.
    pub fn child(&self) -> Self {
        let child = Self::new();
        self.latch.adopt(&child.latch);
        child
    }

    /// A latch that closes with this one, with the other, or alone.
    pub(crate) fn joined(&self, other: &Self) -> Self {
        let child = self.child();
        other.latch.adopt(&child.latch);
        child
    }

    /// The latch as a channel: nothing is ever sent, and it disconnects when the latch closes.
    pub(crate) fn bell(&self) -> Bell {
        let (holds, rung) = bounded(0);
        let ring = Arc::new(Ring(Mutex::new(Some(holds))));
        let cut = Arc::downgrade(&ring) as Weak<dyn Cut>;
        let registration = self.register(cut).inspect_err(|HungUp| ring.cut()).ok();
        Bell { rung, _ring: ring, _registration: registration }
    }

    /// Closes the latch: ends every call and pause under it, refuses new ones. Harmless when it is closed already.
    pub fn hang_up(&self) {
        self.latch.close();
    }

    /// Whether the latch is closed.
    pub fn is_hung_up(&self) -> bool {
        self.latch.lock().closed
    }

    /// Waits for `duration`, or until the latch closes. Says whether the whole time has passed.
    pub fn sleep(&self, duration: Duration) -> bool {
        let deadline = Instant::now().checked_add(duration);
        let mut state = self.latch.lock();
        loop {
            if state.closed {
                return false;
            }
            // A time beyond the clock's range is for ever.
            let left = deadline.map_or(Duration::from_secs(3600), |d| d.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return true;
            }
            state = self.latch.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Puts a call under the latch until the registration is dropped.
    pub(crate) fn register(&self, call: Weak<dyn Cut>) -> Result<Registration, HungUp> {
        let mut state = self.latch.lock();
        if state.closed {
            return Err(HungUp);
        }
        let id = state.next;
        state.next += 1;
        state.blocked.insert(id, Blocked::Call(call));
        Ok(Registration { latch: Arc::downgrade(&self.latch), id })
    }
}

impl Default for Hangup {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Hangup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hangup").field("hung_up", &self.is_hung_up()).finish()
    }
}

/// A latch as a channel, for as long as it is kept.
pub(crate) struct Bell {
    pub(crate) rung: Receiver<Infallible>,
    _ring: Arc<Ring>,
    _registration: Option<Registration>,
}

/// The other end of a [`Bell`]'s channel.
struct Ring(Mutex<Option<Sender<Infallible>>>);

impl Cut for Ring {
    fn cut(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Latch {
    fn new() -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), parents: Mutex::default() }
    }

    /// Closes `child` with this one; at once, where this one is closed.
    fn adopt(self: &Arc<Self>, child: &Arc<Self>) {
        let mut state = self.lock();
        if state.closed {
            drop(state);
            return child.close();
        }
        let id = state.next;
        state.next += 1;
        state.blocked.insert(id, Blocked::Child(Arc::downgrade(child)));
        drop(state);
        child.parents.lock().unwrap_or_else(PoisonError::into_inner).push((Arc::downgrade(self), id));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can panic; were it so, the latch must work all the same.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        let blocked = {
            let mut state = self.lock();
            state.closed = true;
            self.changed.notify_all();
            std::mem::take(&mut state.blocked)
        };
        // Outside the lock: a child locks itself, and what is cut may deregister at once.
        for entry in blocked.into_values() {
            match entry {
                Blocked::Call(call) => {
                    if let Some(call) = call.upgrade() {
                        call.cut();
                    }
                }
                Blocked::Child(child) => {
                    if let Some(child) = child.upgrade() {
                        child.close();
                    }
                }
            }
        }
    }
}

impl Drop for Latch {
    fn drop(&mut self) {
        let parents = self.parents.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (parent, id) in parents.drain(..) {
            if let Some(parent) = parent.upgrade() {
                parent.lock().blocked.remove(&id);
            }
        }
    }
}

/// Keeps a call under its latch; leaves when dropped.
pub(crate) struct Registration {
    latch: Weak<Latch>,
    id: u64,
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").finish_non_exhaustive()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(latch) = self.latch.upgrade() {
            latch.lock().blocked.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Cut for Count {
        fn cut(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn weak(count: &Arc<Count>) -> Weak<dyn Cut> {
        Arc::downgrade(count) as Weak<dyn Cut>
    }

    #[test]
    fn cuts_what_registered_and_refuses_what_comes_later() {
        let (hangup, call) = (Hangup::new(), Arc::new(Count::default()));
        let _registered = hangup.register(weak(&call)).unwrap();
        hangup.hang_up();
        hangup.hang_up();
        assert_eq!(call.0.load(Ordering::SeqCst), 1);
        assert!(hangup.register(weak(&call)).is_err());
        assert!(hangup.is_hung_up());
    }

    #[test]
    fn a_dropped_registration_is_not_cut() {
        let (hangup, call) = (Hangup::new(), Arc::new(Count::default()));
        drop(hangup.register(weak(&call)).unwrap());
        hangup.hang_up();
        assert_eq!(call.0.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_child_closes_with_its_parent_or_alone() {
        let parent = Hangup::new();
        let (a, b) = (parent.child(), parent.child());
        let call = Arc::new(Count::default());
        let _under_b = b.child().register(weak(&call)); // the grandchild is gone, and with it the registration
        let grandchild = b.child();
        let _registered = grandchild.register(weak(&call)).unwrap();
        a.hang_up();
        assert!(a.is_hung_up() && !parent.is_hung_up() && !b.is_hung_up());
        parent.hang_up();
        assert!(b.is_hung_up() && grandchild.is_hung_up() && parent.child().is_hung_up());
        assert_eq!(call.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn dead_children_leave_their_parent() {
        let parent = Hangup::new();
        for _ in 0..100 {
            drop(parent.child());
            drop(parent.joined(&Hangup::new()));
            drop(parent.bell());
        }
        assert_eq!(parent.latch.lock().blocked.len(), 0);
    }

    #[test]
    fn one_of_two_parents_is_enough() {
        for second in [false, true] {
            let parents = [Hangup::new(), Hangup::new()];
            let child = parents[0].joined(&parents[1]);
            assert!(!child.is_hung_up());
            parents[usize::from(second)].hang_up();
            assert!(child.is_hung_up() && !parents[usize::from(!second)].is_hung_up());
            assert!(parents[0].joined(&parents[1]).is_hung_up(), "and before");
        }
    }

    #[test]
    fn a_bell_rings_when_its_latch_closes() {
        let hangup = Hangup::new();
        let bell = hangup.bell();
        assert!(bell.rung.recv_timeout(Duration::from_millis(1)).is_err_and(|e| e.is_timeout()));
        let waits = {
            let rung = bell.rung.clone();
            thread::spawn(move || rung.recv().is_err())
        };
        hangup.hang_up();
        assert!(waits.join().unwrap());
        assert!(hangup.bell().rung.try_recv().is_err_and(|e| e.is_disconnected()), "it is closed already");
    }

    #[test]
    fn a_pause_ends_at_once() {
        let hangup = Hangup::new();
        assert!(hangup.sleep(Duration::from_millis(1)), "a whole pause");
        let (started, other) = (Instant::now(), hangup.clone());
        let sleeper = thread::spawn(move || other.sleep(Duration::MAX));
        hangup.hang_up();
        assert!(!sleeper.join().unwrap());
        assert!(started.elapsed() < Duration::from_secs(5));
        assert!(!hangup.sleep(Duration::ZERO), "no pause under a closed latch");
    }
}

//! What the connections of a scripted Engine share: its rules, what has happened, and the waits for more to happen.
//!
//! No rule and no condition of a user's is called under a lock of ours, except a rule's own: it is asked by one request
//! at a time.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::request::Pattern;
use super::{Answer, Request};
use crate::replay::http::server::lock;
use crate::threads::{Cut, Hangup};

/// What a rule does with a request; `None`: it leaves it to an older rule.
type Handler = Box<dyn FnMut(&Request) -> Option<Answer> + Send>;

struct Rule {
    pattern: Pattern,
    handler: Mutex<Handler>,
}

/// What has happened at a scripted Engine, at one moment.
#[derive(Debug, Clone, Default)]
pub struct State {
    requests: Vec<Arc<Request>>,
    connections: usize,
    open: usize,
    answered: usize,
    unwanted: Vec<String>,
    panics: Vec<String>,
}

impl State {
    /// The requests so far, in the order in which they were whole.
    pub fn requests(&self) -> impl Iterator<Item = &Request> {
        self.requests.iter().map(Arc::as_ref)
    }

    /// How often a thing was asked.
    ///
    /// # Panics
    /// Where the pattern is malformed: see [`Scripted::on`](super::Scripted::on).
    #[track_caller]
    pub fn count(&self, pattern: &str) -> usize {
        let pattern = Pattern::new(pattern);
        self.requests().filter(|request| pattern.means(request)).count()
    }

    /// The last request, if what is answered to it, and to all before it, is known.
    pub fn last_answered(&self) -> Option<&Request> {
        self.requests().last().filter(|_| self.answered == self.requests.len())
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.connections
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.open
    }

    pub(super) fn unwanted(&self) -> &[String] {
        &self.unwanted
    }

    /// What the user's own functions said when they panicked.
    pub(super) fn panics(&self) -> &[String] {
        &self.panics
    }
}

/// What gives a scripted Engine's waits cause to look at their conditions again: something has changed that the Engine
/// cannot see. Clones poke the same Engine; one that is gone does not mind.
#[derive(Debug, Clone)]
pub struct Poker(Weak<Shared>);

impl Poker {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self(Arc::downgrade(shared))
    }

    /// Lets every condition be asked again.
    pub fn poke(&self) {
        if let Some(shared) = self.0.upgrade() {
            shared.change(|_| {});
        }
    }
}

#[derive(Default)]
pub(super) struct Shared {
    rules: Mutex<Vec<Arc<Rule>>>,
    /// With the number of changes so far.
    state: Mutex<(u64, State)>,
    changed: Condvar,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("state", &self.state()).finish_non_exhaustive()
    }
}

impl Shared {
    /// Lays a rule over those there are.
    pub(super) fn on(&self, pattern: Pattern, handler: Handler) {
        lock(&self.rules).push(Arc::new(Rule { pattern, handler: Mutex::new(handler) }));
    }

    /// Forgets the rules, and all that they hold.
    pub(super) fn forget(&self) {
        let rules = std::mem::take(&mut *lock(&self.rules));
        drop(rules);
    }

    pub(super) fn state(&self) -> State {
        lock(&self.state).1.clone()
    }

    /// A connection is there. Its number.
    pub(super) fn opened(&self) -> usize {
        self.change(|state| {
            state.open += 1;
            state.connections += 1;
            state.connections - 1
        })
    }

    /// A connection is closed.
    pub(super) fn closed(&self) {
        self.change(|state| state.open -= 1);
    }

    /// Somebody asked what nobody answers.
    pub(super) fn unwanted(&self, what: String) {
        self.change(|state| state.unwanted.push(what));
    }

    /// A function of the user's panicked.
    pub(super) fn panicked(&self, panic: &(dyn Any + Send)) -> Answer {
        let words = panic.downcast_ref::<&'static str>().copied();
        let words = words.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no words");
        self.change(|state| state.panics.push(words.to_owned()));
        Answer::error(500, &format!("a rule panicked: {words}"))
    }

    /// Remembers a request, and asks the rules, the newest first.
    pub(super) fn answer(&self, request: Request) -> Answer {
        let request = Arc::new(request);
        self.change(|state| state.requests.push(request.clone()));
        let rules: Vec<_> = lock(&self.rules).clone();
        let wanted = rules.iter().rev().filter(|rule| rule.pattern.means(&request));
        let asked = catch_unwind(AssertUnwindSafe(|| {
            wanted.map(|rule| &rule.handler).find_map(|handler| lock(handler)(&request))
        }));
        let answer = match asked {
            Ok(Some(answer)) => answer,
            Ok(None) => {
                self.unwanted(request.to_string());
                Answer::error(501, &format!("no rule for {request}"))
            }
            Err(panic) => self.panicked(panic.as_ref()),
        };
        self.change(|state| state.answered += 1);
        answer
    }

    /// Blocks until the condition holds; false: the deadline came, or the latch closed, before.
    pub(super) fn wait(
        self: &Arc<Self>,
        latch: Option<&Hangup>,
        deadline: Option<Instant>,
        mut condition: impl FnMut() -> bool,
    ) -> bool {
        // A hang-up is a change too.
        let weak: Weak<Self> = Arc::downgrade(self);
        let Ok(_registration) = latch.map(|latch| latch.register(weak as Weak<dyn Cut>)).transpose() else {
            return false;
        };
        loop {
            // Before the latch and the condition are looked at: what changes meanwhile is not missed.
            let seen = lock(&self.state).0;
            if latch.is_some_and(Hangup::is_hung_up) {
                return false;
            }
            if condition() {
                return true;
            }
            let mut state = lock(&self.state);
            while state.0 == seen {
                let left = deadline.map_or(Duration::MAX, |d| d.saturating_duration_since(Instant::now()));
                if left.is_zero() {
                    return false;
                }
                // Beyond the clock's range is for ever; an hour is as good.
                let left = left.min(Duration::from_secs(3600));
                state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = lock(&self.state);
        state.0 += 1;
        let result = change(&mut state.1);
        self.changed.notify_all();
        result
    }
}

impl Cut for Shared {
    fn cut(&self) {
        self.change(|_| {});
    }
}

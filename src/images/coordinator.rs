//! The image coordinator: one pull per reference however many tasks wait for it, who uses which image, and the removal of
//! images that nobody uses, some time later (driver-spec 5.1 to 5.5).
//!
//! One lock guards all of it, and one condition says that something changed: a pull ended, a removal ended, an image became
//! due, a caller was hung up. It is never held over a call to the Engine, only over a change of the ledger, which may be a
//! file. A thread per pull, and one for all removals.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::books::Books;
use super::ledger::{BeingRemoved, Ledger, Removes};
use super::progress::PullProgress;
use super::pull::{Job, Outcome, Report};
use super::removal::{self, Removal};
use super::{ImageRecord, LedgerFile, Origin, PullError, Reference};
use crate::engine::types::AuthConfig;
use crate::engine::{self, Engine};
use crate::threads::{Backoff, Cut, Hangup, HungUp, Worker};

/// How many reports of pulls a subscriber may be behind before it loses some.
const REPORTS: usize = 256;
/// The longest pause before a removal that failed is tried again.
const RETRY_LIMIT: Duration = Duration::from_secs(300);

/// How images are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CoordinatorConfig {
    /// Whether images that nobody uses are removed. Without it nothing is counted.
    pub(crate) remove: bool,
    /// How long after its last use an image is removed.
    pub(crate) delay: Duration,
    /// How long nothing may come of a pull.
    pub(crate) activity_timeout: Duration,
    /// The first pause before a removal that failed is tried again.
    pub(crate) retry: Duration,
    /// Where the account of images is kept. With it only images are removed that came here for a task.
    pub(crate) ledger: Option<LedgerFile>,
}

/// What somebody wants pulled.
pub(crate) struct PullRequest {
    pub(crate) image: Reference,
    /// Of several who want the same image at once, the first one's are used.
    pub(crate) auth: Option<AuthConfig>,
    /// How long the pull may take; the first one's too.
    pub(crate) timeout: Duration,
    /// Told how far the pull is, every two minutes.
    pub(crate) slow: Slow,
}

/// Who is told of a slow pull.
pub(crate) type Slow = Box<dyn Fn(&PullProgress) + Send + Sync>;

/// What became of an image that nobody uses.
#[derive(Debug)]
pub enum ImageRemoval {
    /// It is gone.
    Removed,
    /// A container uses it: it stays.
    InUse,
    /// The Engine could not remove it.
    Failed(engine::Error),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Coordinator {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Engine,
    config: CoordinatorConfig,
    /// Ends every pull and every removal.
    hangup: Hangup,
    clock: Clock,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    books: Books,
    pulls: HashMap<String, Arc<Pull>>,
    pullers: Vec<Worker>,
    remover: Option<Worker>,
    /// Pauses of removals that failed.
    retries: HashMap<String, Backoff>,
    subscribers: Vec<Sender<PullProgress>>,
    closed: bool,
}

/// A pull, shared by those who wait for it. What changes is guarded by the coordinator's lock.
struct Pull {
    hangup: Hangup,
    shared: Mutex<PullState>,
}

#[derive(Default)]
struct PullState {
    outcome: Option<Outcome>,
    waiters: usize,
    slow: Vec<Slow>,
}

/// Times that other processes understand, and that no setting of the clock moves while this one lives.
#[derive(Debug)]
struct Clock {
    begun: (Instant, SystemTime),
}

impl Clock {
    fn now(&self) -> SystemTime {
        self.begun.1 + self.begun.0.elapsed()
    }
}

impl Coordinator {
    /// Starts no thread yet, and asks nothing.
    pub(crate) fn new(engine: Engine, config: CoordinatorConfig, hangup: Hangup) -> Self {
        let state = State { books: Books::new(config.ledger.clone()), ..State::default() };
        let clock = Clock { begun: (Instant::now(), SystemTime::now()) };
        let shared = Shared { engine, config, hangup, clock, state: Mutex::new(state), changed: Condvar::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Pulls an image, or waits for the pull of it that goes on; `hangup` ends the waiting, and with the last one who waits
    /// ends the pull. Nothing is kept of the result: the next call pulls anew.
    pub(crate) fn pull(&self, request: PullRequest, hangup: &Hangup) -> Outcome {
        let aborted = |_: HungUp| Arc::new(PullError::ShutDown);
        let _registered = hangup.register(self.weak()).map_err(aborted)?;
        let key = request.image.to_string();
        let mut state = self.shared.lock();
        let pull = match state.pulls.get(&key) {
            Some(pull) => pull.clone(),
            None => self.shared.begin_pull(&mut state, &key, &request)?,
        };
        {
            let mut pull = pull.lock();
            pull.waiters += 1;
            pull.slow.push(request.slow);
        }
        loop {
            if let Some(outcome) = &pull.lock().outcome {
                return outcome.clone();
            }
            if hangup.is_hung_up() {
                let mut waiting = pull.lock();
                waiting.waiters -= 1;
                if waiting.waiters == 0 {
                    // Whoever comes from now on begins anew.
                    state.pulls.remove(&key);
                    pull.hangup.hang_up();
                }
                return Err(Arc::new(PullError::ShutDown));
            }
            state = self.shared.wait(state, None);
        }
    }

    /// Adds a user of an image. False: the image is being removed, which was waited for, and nobody was added.
    pub(crate) fn add(
        &self,
        id: &str,
        name: &str,
        owner: &str,
        origin: Origin,
        hangup: &Hangup,
    ) -> Result<bool, HungUp> {
        let now = self.shared.clock.now();
        self.unless_removed(id, hangup, |ledger| ledger.add(id, name, owner, origin, now))
    }

    /// Notes an image that was pulled because somebody asked for it by name. False: as of [`Coordinator::add`].
    pub(crate) fn request(&self, id: &str, name: &str, origin: Origin, hangup: &Hangup) -> Result<bool, HungUp> {
        self.unless_removed(id, hangup, |ledger| ledger.request(id, name, origin))
    }

    /// Whether an image came to the Engine through longshore.
    pub(crate) fn is_ours(&self, id: &str) -> bool {
        self.shared.lock().books.read().is_ours(id)
    }

    /// Does `change` to the ledger, or waits for the end of the removal that forbids it.
    fn unless_removed(
        &self,
        id: &str,
        hangup: &Hangup,
        change: impl Fn(&mut Ledger) -> Result<(), BeingRemoved>,
    ) -> Result<bool, HungUp> {
        if !self.shared.config.remove {
            return Ok(true);
        }
        let _registered = hangup.register(self.weak())?;
        let mut state = self.shared.lock();
        if state.books.update(&change).is_ok() {
            state.retries.remove(id);
            return Ok(true);
        }
        while state.books.read().is_being_removed(id) {
            if hangup.is_hung_up() {
                return Err(HungUp);
            }
            state = self.shared.wait(state, None);
        }
        Ok(false)
    }

    /// Takes a user away. The image that nobody uses any more goes after the delay.
    pub(crate) fn release(&self, owner: &str) {
        self.settle(|ledger, due, removes| ledger.release(owner, due, removes));
    }

    /// Takes the users away that `keep` does not know.
    pub(crate) fn retain_owners(&self, keep: impl Fn(&str) -> bool) {
        self.settle(|ledger, due, removes| ledger.retain_owners(&keep, due, removes));
    }

    fn settle(&self, change: impl Fn(&mut Ledger, SystemTime, Removes)) {
        let shared = &self.shared;
        if !shared.config.remove {
            return;
        }
        let due = shared.clock.now() + shared.config.delay;
        let mut state = shared.lock();
        state.books.update(|ledger| change(ledger, due, shared.removes()));
        self.watch(&mut state);
    }

    /// Looks after images that are due, also those that an earlier process left.
    pub(crate) fn remove_when_due(&self) {
        let shared = &self.shared;
        if shared.config.remove {
            let mut state = shared.lock();
            // A clock that was set back must not put a removal off for years.
            let latest = shared.clock.now() + shared.config.delay.max(RETRY_LIMIT);
            state.books.update(|ledger| ledger.cap_due(latest));
            self.watch(&mut state);
        }
    }

    /// Makes sure that somebody waits for the next image that is due.
    fn watch(&self, state: &mut State) {
        let shared = &self.shared;
        if state.closed || state.books.read().next_due().is_none() {
            return;
        }
        shared.changed.notify_all();
        if state.remover.as_ref().is_some_and(|remover| !remover.has_ended()) {
            return;
        }
        let body = {
            let shared = shared.clone();
            move || shared.remove_forever()
        };
        match Worker::spawn("image removal", shared.hangup.child(), body, |_| {}) {
            Ok(worker) => state.remover = Some(worker),
            Err(error) => log::error!("cannot start a thread: unused images stay: {error}"),
        }
    }

    /// Removes images that are due, or all unused ones that longshore brought, and says what became of each.
    pub(crate) fn remove_now(&self, only_due: bool) -> Vec<(String, ImageRecord, ImageRemoval)> {
        let now = self.shared.clock.now();
        let ids = {
            let mut state = self.shared.lock();
            let ledger = state.books.read();
            if only_due { ledger.due(now) } else { ledger.unused() }
        };
        let remove = |id: &String| self.shared.remove(id).map(|(record, removal)| (id.clone(), record, removal));
        let removed = ids.iter().filter_map(remove).collect();
        // Those that the thread has begun: whoever shuts down next would cut them off.
        if let Ok(_registered) = self.shared.hangup.register(self.weak()) {
            let mut state = self.shared.lock();
            while state.books.read().is_removing() && !self.shared.hangup.is_hung_up() {
                state = self.shared.wait(state, None);
            }
        }
        removed
    }

    /// What is known of images, by id.
    pub(crate) fn images(&self) -> BTreeMap<String, ImageRecord> {
        self.shared.lock().books.read().images().clone()
    }

    /// How far all pulls are, from now on: a channel that holds 256 reports; while its receiver is slow new ones are dropped.
    /// It disconnects at the shutdown.
    pub(crate) fn progress(&self) -> Receiver<PullProgress> {
        let (sender, receiver) = bounded(REPORTS);
        let mut state = self.shared.lock();
        if !state.closed {
            state.subscribers.push(sender);
        }
        receiver
    }

    /// Ends every pull and removal and joins their threads. What is due stays in the file, if there is one.
    pub(crate) fn shutdown(&self) {
        let (pullers, remover) = {
            let mut state = self.shared.lock();
            state.closed = true;
            state.subscribers.clear();
            (std::mem::take(&mut state.pullers), state.remover.take())
        };
        self.shared.hangup.hang_up();
        self.shared.cut();
        drop(pullers);
        drop(remover);
    }

    fn weak(&self) -> Weak<dyn Cut> {
        let weak: Weak<Shared> = Arc::downgrade(&self.shared);
        weak
    }
}

impl Pull {
    fn lock(&self) -> MutexGuard<'_, PullState> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the lock away until something changed, at most until `until`.
    fn wait<'a>(&self, state: MutexGuard<'a, State>, until: Option<Duration>) -> MutexGuard<'a, State> {
        match until {
            None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(time) => self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0,
        }
    }

    fn removes(&self) -> Removes {
        if self.config.ledger.is_some() { Removes::Brought } else { Removes::Used }
    }

    fn begin_pull(
        self: &Arc<Self>,
        state: &mut State,
        key: &str,
        request: &PullRequest,
    ) -> Result<Arc<Pull>, Arc<PullError>> {
        if state.closed {
            return Err(Arc::new(PullError::ShutDown));
        }
        let pull = Arc::new(Pull { hangup: self.hangup.child(), shared: Mutex::default() });
        let job = Job {
            engine: self.engine.clone(),
            image: request.image.clone(),
            auth: request.auth.clone(),
            timeout: request.timeout,
            activity_timeout: self.config.activity_timeout,
            hangup: pull.hangup.clone(),
        };
        let body = {
            let (shared, pull, key) = (self.clone(), pull.clone(), key.to_owned());
            move || {
                // Also where it panics: nobody may wait for ever.
                let mut ended =
                    Ended { shared: &shared, pull: &pull, key: &key, outcome: Err(Arc::new(PullError::ShutDown)) };
                ended.outcome = job.run(|report| shared.report(&pull, &report)).map_err(Arc::new);
            }
        };
        let worker = Worker::spawn(format!("pull {key}"), pull.hangup.clone(), body, |_| {});
        let worker = worker.map_err(|error| Arc::new(PullError::Thread(error)))?;
        state.pullers.retain(|worker| !worker.has_ended());
        state.pullers.push(worker);
        state.pulls.insert(key.to_owned(), pull.clone());
        Ok(pull)
    }

    fn report(&self, pull: &Pull, report: &Report<'_>) {
        match report {
            Report::Now(progress) => {
                let offer = |subscriber: &mut Sender<PullProgress>| {
                    !matches!(
                        subscriber.try_send((*progress).clone()),
                        Err(crossbeam_channel::TrySendError::Disconnected(_))
                    )
                };
                self.lock().subscribers.retain_mut(offer);
            }
            Report::Slow(progress) => pull.lock().slow.iter().for_each(|slow| slow(progress)),
        }
    }

    /// Waits for images to become due, and removes them, until the latch closes.
    fn remove_forever(self: Arc<Self>) {
        let weak: Weak<Self> = Arc::downgrade(&self);
        let weak: Weak<dyn Cut> = weak;
        let Ok(_registered) = self.hangup.register(weak) else { return };
        let mut state = self.lock();
        while !self.hangup.is_hung_up() {
            let now = self.clock.now();
            let ledger = state.books.read();
            let (due, next) = (ledger.due(now), ledger.next_due());
            if due.is_empty() {
                let until = next.map(|next| next.duration_since(now).unwrap_or_default());
                state = self.wait(state, until);
                continue;
            }
            drop(state);
            for id in due {
                if let Some((_, ImageRemoval::Failed(error))) = self.remove(&id) {
                    log::warn!("cannot remove the image {id}, which nobody uses; it is tried again: {error}");
                }
            }
            state = self.lock();
        }
    }

    /// Removes an image, unless somebody uses it by now. `None`: it was left as it is.
    fn remove(&self, id: &str) -> Option<(ImageRecord, ImageRemoval)> {
        if self.hangup.is_hung_up() {
            return None;
        }
        let record = self.lock().books.update(|ledger| ledger.begin_removal(id))?;
        let ours = (self.removes() == Removes::Brought).then_some(&record.names);
        let removal = removal::remove(&self.engine.with(&self.hangup), id, ours);
        let mut state = self.lock();
        let removal = match removal {
            Ok(Removal::Gone) => {
                log::info!("the image {id} is removed: nobody uses it");
                state.books.update(|ledger| ledger.removed(id, &record));
                ImageRemoval::Removed
            }
            Ok(Removal::InUse) => {
                log::debug!("the image {id} stays: a container uses it");
                state.books.update(|ledger| ledger.in_use(id, &record));
                ImageRemoval::InUse
            }
            Err(error) => {
                let backoff =
                    state.retries.entry(id.to_owned()).or_insert_with(|| Backoff::new(self.config.retry, RETRY_LIMIT));
                let due = self.clock.now() + backoff.next();
                state.books.update(|ledger| ledger.removal_failed(id, due));
                ImageRemoval::Failed(error)
            }
        };
        if !matches!(removal, ImageRemoval::Failed(_)) {
            state.retries.remove(id);
        }
        drop(state);
        self.changed.notify_all();
        Some((record, removal))
    }
}

/// Wakes everybody: whoever was hung up finds that out.
impl Cut for Shared {
    fn cut(&self) {
        // Under the lock, or one that is about to wait would miss it.
        let _state = self.lock();
        self.changed.notify_all();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Hands a pull's outcome to those who wait for it, when it is dropped.
struct Ended<'a> {
    shared: &'a Shared,
    pull: &'a Arc<Pull>,
    key: &'a str,
    outcome: Outcome,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        // Not a newer pull of the same image.
        if state.pulls.get(self.key).is_some_and(|pull| Arc::ptr_eq(pull, self.pull)) {
            state.pulls.remove(self.key);
        }
        self.pull.lock().outcome = Some(self.outcome.clone());
        drop(state);
        self.shared.changed.notify_all();
    }
}

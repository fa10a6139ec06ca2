//! What is owed, for the Engine could not be asked: the removal of containers that failed starts may have left, and the end of
//! commands that are out of time. One thread of the driver, which runs while there is any of it, asks until the Engine has
//! said that it is done; a shutdown ends it. Whoever starts the same task again takes its debts over, and settles them first.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Inner;
use super::end_exec::{self, Target};
use super::holder::{Holder, holder};
use super::inspect::has_run;
use super::task::TaskId;
use crate::engine::{self, Engine, RemoveQuery};
use crate::threads::{Backoff, Hangup, Worker};

/// Pauses between tries, from the first to the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// The same for whoever waits for it.
const SHORT_PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(200));

/// A container that may exist, and must not.
#[derive(Debug, Clone)]
pub(super) struct Debt {
    pub(super) task: TaskId,
    pub(super) name: String,
    /// Its id. Without one it is known by its name and our labels, and was never started.
    pub(super) id: Option<String>,
    /// Until when a create without an answer may still make it.
    pub(super) late: Option<Instant>,
    /// How many such creates there were: with more than one, the removal of one container says nothing of the others.
    pub(super) unanswered: u32,
}

impl Debt {
    /// Until when a create may still make it, if that is still to come.
    pub(super) fn may_come(&self) -> Option<Instant> {
        self.late.filter(|late| self.id.is_none() && Instant::now() < *late)
    }
}

/// Why debts are not settled.
#[derive(Debug)]
pub(super) enum Unsettled {
    /// The Engine could not be asked, or refused.
    Engine(engine::Error),
    /// It is about it.
    Removing,
    /// There is nothing to remove yet: a create may still make it.
    MayCome,
}

/// What became of a debt.
enum Settled {
    Gone,
    /// The Engine is about it.
    NotYet,
    /// There is nothing now, and there may be later.
    MayCome,
}

/// A driver's debts.
#[derive(Default)]
pub(super) struct Owed {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    debts: Vec<(u64, Debt)>,
    next: u64,
    /// Commands that are to end.
    execs: Vec<Arc<Target>>,
    /// Whether the thread looks at the list again before it ends.
    runs: bool,
    worker: Option<Worker>,
    /// Whether a shutdown has said what may be left.
    told: bool,
    /// The present pause: closing it ends it.
    pause: Option<Hangup>,
}

impl Owed {
    /// Notes debts, and starts the thread where it does not run. Without a thread the list is all that is kept: the next
    /// start of the task, or the next debt, tries again.
    pub(super) fn add(inner: &Arc<Inner>, debts: Vec<Debt>) {
        let mut state = inner.owed.lock();
        for debt in debts {
            let number = state.next;
            state.next += 1;
            state.debts.push((number, debt));
        }
        Self::work(inner, state);
    }

    /// Notes a command that is to end.
    pub(super) fn add_exec(inner: &Arc<Inner>, target: Arc<Target>) {
        let mut state = inner.owed.lock();
        state.execs.push(target);
        Self::work(inner, state);
    }

    fn work(inner: &Arc<Inner>, mut state: MutexGuard<'_, State>) {
        if let Some(pause) = &state.pause {
            pause.hang_up();
        }
        if state.runs || state.is_empty() || inner.hangup.is_hung_up() {
            return;
        }
        // One that has ended: it takes the lock no more. Its latch closes with it, and must not be the driver's.
        drop(state.worker.take());
        let body = {
            let inner = inner.clone();
            move || run(&inner)
        };
        let on_panic = {
            let inner = inner.clone();
            move |_: &str| inner.owed.lock().runs = false
        };
        match Worker::spawn("owed removals", inner.hangup.child(), body, on_panic) {
            Ok(worker) => (state.runs, state.worker) = (true, Some(worker)),
            Err(e) => log::error!("no thread to remove what failed starts have left: {e}"),
        }
    }

    /// Takes a task's debts over.
    pub(super) fn take(&self, task: &TaskId) -> Vec<Debt> {
        let mut state = self.lock();
        let (taken, kept) = std::mem::take(&mut state.debts).into_iter().partition(|(_, debt)| debt.task == *task);
        state.debts = kept;
        let taken: Vec<(u64, Debt)> = taken;
        taken.into_iter().map(|(_, debt)| debt).collect()
    }

    /// The names of all containers that may be left.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.lock().debts.iter().map(|(_, debt)| debt.name.clone()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Joins the thread, whose latch is closed.
    pub(super) fn stop(&self) {
        let worker = self.lock().worker.take();
        drop(worker);
        if std::mem::replace(&mut self.lock().told, true) {
            return;
        }
        // The error of each start has named its container already.
        for name in self.names() {
            log::info!("the container {name} of a failed start may be left");
        }
    }

    /// Until when an unanswered create of a task may still make a container.
    pub(super) fn may_come(&self, task: &TaskId) -> Option<Instant> {
        let state = self.lock();
        let debts = state.debts.iter().filter(|(_, debt)| debt.task == *task);
        debts.filter_map(|(_, debt)| debt.may_come()).max()
    }

    fn is_owed(&self, number: u64) -> bool {
        self.lock().debts.iter().any(|(other, _)| *other == number)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.debts.is_empty() && self.execs.is_empty()
    }
}

impl fmt::Debug for Owed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owed").field("containers", &self.names()).finish_non_exhaustive()
    }
}

/// Tries again and again until nothing is owed.
fn run(inner: &Inner) {
    let engine = inner.engine.with(&inner.hangup).within(inner.config.inspect_timeout);
    let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
    loop {
        let pause = inner.hangup.child();
        let (numbers, execs): (Vec<u64>, _) = {
            let mut state = inner.owed.lock();
            if state.is_empty() || inner.hangup.is_hung_up() {
                (state.runs, state.pause) = (false, None);
                return;
            }
            state.pause = Some(pause.clone());
            (state.debts.iter().map(|(number, _)| *number).collect(), state.execs.clone())
        };
        pause.sleep(backoff.next());
        for number in numbers {
            let Some(debt) = copy(inner, number) else { continue };
            match settle(&engine, &inner.config.instance, &debt, || inner.owed.is_owed(number)) {
                Ok(Settled::Gone) => {
                    log::info!("the container {} of a failed start is gone", debt.name);
                    inner.owed.lock().debts.retain(|(other, _)| *other != number);
                }
                Ok(Settled::NotYet | Settled::MayCome) => {}
                Err(e) => log::debug!("the container {} of a failed start: {e}", debt.name),
            }
        }
        for target in execs {
            match end_exec::try_to_end(inner, &target) {
                Ok(fate) => {
                    log::info!("a command in {} that was out of time: {fate}", target.container);
                    inner.owed.lock().execs.retain(|other| !Arc::ptr_eq(other, &target));
                }
                Err(e) => log::debug!("a command in {} that is out of time: {e}", target.container),
            }
        }
    }
}

fn copy(inner: &Inner, number: u64) -> Option<Debt> {
    let state = inner.owed.lock();
    let (_, debt) = state.debts.iter().find(|(other, _)| *other == number)?;
    Some(debt.clone())
}

/// Removes containers, and waits until they are gone, at most until `deadline`, or until `latch` closes. Those that are not
/// gone stay in `debts`; where these are all yet to come, if they do, it is waited for them until `late` only.
pub(super) fn settle_all(
    inner: &Inner,
    debts: &mut Vec<Debt>,
    latch: &Hangup,
    deadline: Instant,
    late: Instant,
) -> Result<(), Unsettled> {
    let mut backoff = Backoff::new(SHORT_PAUSES.0, SHORT_PAUSES.1);
    while !debts.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        let engine = inner.engine.with(latch).within(left.max(Duration::from_millis(1)));
        let (mut error, mut removing) = (None, false);
        debts.retain(|debt| match settle(&engine, &inner.config.instance, debt, || true) {
            Ok(Settled::Gone) => false,
            Ok(Settled::NotYet) => {
                removing = true;
                true
            }
            Ok(Settled::MayCome) => true,
            Err(e) => {
                error = Some(e);
                true
            }
        });
        if debts.is_empty() {
            break;
        }
        let until = if error.is_none() && !removing { late.min(deadline) } else { deadline };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || !latch.sleep(backoff.next().min(left)) {
            return Err(match error {
                Some(e) => Unsettled::Engine(e),
                None if removing => Unsettled::Removing,
                None => Unsettled::MayCome,
            });
        }
    }
    Ok(())
}

/// Removes a container, if it is there. `is_owed` is asked once more before that: whoever took the debt over may have
/// made another container of that name meanwhile.
fn settle(engine: &Engine, instance: &str, debt: &Debt, is_owed: impl Fn() -> bool) -> Result<Settled, engine::Error> {
    let id = match &debt.id {
        Some(id) => id.clone(),
        None => match holder(engine, instance, &debt.task, &debt.name)? {
            Holder::Ours(inspect) if !has_run(&inspect.state) && !inspect.state.is_running() => inspect.id,
            // One that has run was started by somebody, who looks after it. Its name keeps the late one away while it is there.
            Holder::Nobody | Holder::Ours(_) if debt.may_come().is_some() => return Ok(Settled::MayCome),
            Holder::Nobody | Holder::Ours(_) | Holder::Stranger(_) => return Ok(Settled::Gone),
        },
    };
    if !is_owed() {
        return Ok(Settled::Gone);
    }
    let query = RemoveQuery { force: true, volumes: true, link: false };
    match engine.container_remove(&id, &query) {
        Ok(()) if debt.unanswered > 1 && debt.may_come().is_some() => Ok(Settled::MayCome),
        Ok(()) => Ok(Settled::Gone),
        Err(e) if e.is_not_found() => Ok(Settled::Gone),
        // It is being removed.
        Err(e) if e.is_conflict() => Ok(Settled::NotYet),
        Err(e) => Err(e),
    }
}

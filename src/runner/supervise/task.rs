//! One task from its start to its end: start, wait, restart by policy. Where it begins that was left by an earlier owner is
//! told in `recover`, what is done at its end in `clear`.
//!
//! An order is given until it is carried out: a stop and a removal that the Engine did not take are tried again, for as long
//! as the run lives. Only the order to kill has an end: where the Engine cannot be told, what runs is left, and named.
//!
//! What is to happen is written down before it happens; a thread that finds its state unwritable before a start does not
//! start, and one that finds it so later says so and goes on, for the container is there. While a stop waits for a task's
//! grace, the thread still listens for its end and for the order to kill: the stop has a thread of its own. What others desire
//! (`state::desired`) is looked up before a start, after it, before the restart policy and now and then during a pause.

use std::convert::Infallible;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, never, select};

use crate::driver::{self, ExitResult, TaskHandle};
use crate::threads::{Backoff, Hangup};
use crate::values::Signal;

use crate::runner::error::chain;
use crate::runner::journal::event::{Event, Happened};
use crate::runner::place::restart::{self, Decision, Ending, Policy, StopReason};
use crate::runner::state::desired::Desired;
use crate::runner::state::lock::Owned;
use crate::runner::state::store::TaskRecord;
use crate::runner::supervise::outcome::End;
use crate::runner::supervise::run::Runner;
use crate::runner::{Error, PlacedTask};

/// How often a pause before a restart is interrupted to look at the desired state.
const LOOK: Duration = Duration::from_secs(1);
/// Pauses before an order is given again, from the first to the longest.
pub(in crate::runner) const ORDER_PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// How long an order to kill is given before what it is for is left.
pub(in crate::runner) const KILL_PATIENCE: Duration = Duration::from_secs(2);
/// How long the answer to a stop is waited for once the task has ended.
const LAST_ANSWER: Duration = Duration::from_secs(1);

/// One task of an allocation, in its thread.
pub(in crate::runner) struct TaskThread<'a> {
    pub(in crate::runner) runner: Runner<'a>,
    pub(in crate::runner) owned: &'a Owned,
    /// Which of the allocation's tasks it is.
    pub(in crate::runner) number: usize,
    pub(in crate::runner) task: PlacedTask,
}

/// Why a task is not started again, beside its policy.
pub(in crate::runner) enum Last {
    Policy(StopReason),
    Stopped,
    AsDesired(Desired),
    /// It had ended before its allocation was taken up.
    Before,
    /// It cannot be taken up. What of it runs is left alone.
    Unreachable,
}

/// What is to be done next with a task.
pub(in crate::runner) enum Next {
    Start,
    /// It runs; here its end will be told.
    Wait(Receiver<ExitResult>),
    /// Its try is over.
    Ended(Ending),
    /// A restart is due after this time.
    Pause(Duration),
}

/// What is known of a task's present try.
pub(in crate::runner) struct Life {
    pub(in crate::runner) end: End,
    /// Whether there is a container that somebody must clear away.
    pub(in crate::runner) has_container: bool,
    /// Whether a failed start may have left one.
    pub(in crate::runner) may_exist: bool,
    /// Whether the task runs, as far as anybody knows, and is left so.
    pub(in crate::runner) left: bool,
}

impl Life {
    /// Of a task that has not been started.
    pub(in crate::runner) fn new() -> Self {
        Self { end: End::NeverStarted, has_container: false, may_exist: false, left: false }
    }
}

impl TaskThread<'_> {
    /// Runs the task to its end for good: how it ended, and whether a container is left that should not be.
    pub(in crate::runner) fn run(&self) -> (End, bool) {
        let mut life = Life::new();
        let last = self.live(&mut life);
        self.rest(life, &last)
    }

    /// Clears the task away that is not started any more, and tells that it has ended.
    pub(in crate::runner) fn rest(&self, life: Life, last: &Last) -> (End, bool) {
        if matches!(last, Last::Unreachable) {
            return (End::Failed, true);
        }
        if life.left {
            // As a crash would leave it: whoever takes it up finds a task that runs.
            self.say_left();
            return (End::Failed, true);
        }
        let keep = self.owned.state().keep && !matches!(last, Last::AsDesired(Desired::Destroyed));
        // Before its container goes: whoever takes the allocation up after a crash must not start it again.
        self.save(|task| {
            task.ended = true;
            task.restart_at = None;
        });
        let mut left_behind = match (life.has_container, keep) {
            (false, _) => false,
            (true, false) => !self.destroy(),
            (true, true) => {
                self.release();
                false
            }
        };
        // One that is kept has the name: no other can come.
        let may_come = self.owned.task(self.number).container_may_come_until.is_some() && !(life.has_container && keep);
        if !left_behind && (life.may_exist || may_come) {
            left_behind = !self.remove_leftover();
        }
        if left_behind {
            self.say_left();
        }
        if !matches!(last, Last::Before) {
            self.finished(last, &life.end);
        }
        (life.end, left_behind)
    }

    /// Starts the task, waits for its end, and does so again, until it is not to be started any more.
    fn live(&self, life: &mut Life) -> Last {
        let mut next = match self.first(life) {
            Ok(next) => next,
            Err(last) => return last,
        };
        loop {
            next = match self.until_it_runs(next, life) {
                Ok(exits) => self.until_it_ends(&exits, life),
                Err(last) => return last,
            };
        }
    }

    /// What comes first: a start, or what its last owner had not done yet.
    pub(in crate::runner) fn first(&self, life: &mut Life) -> Result<Next, Last> {
        if self.owned.is_taken_up() { self.take_up(life) } else { Ok(Next::Start) }
    }

    /// Starts the task, again and again where that fails and its policy says so, and says where its end will be told.
    pub(in crate::runner) fn until_it_runs(
        &self,
        mut next: Next,
        life: &mut Life,
    ) -> Result<Receiver<ExitResult>, Last> {
        loop {
            next = match next {
                Next::Wait(exits) => return Ok(exits),
                Next::Start => {
                    if self.runner.stop.is_asked() {
                        return Err(Last::Stopped);
                    }
                    if let Some(wanted) = self.desired() {
                        return Err(Last::AsDesired(wanted));
                    }
                    match self.start(life) {
                        Ok(exits) => Next::Wait(exits),
                        Err(_) if self.runner.stop.is_asked() => return Err(Last::Stopped),
                        Err(recoverable) => {
                            life.end = End::Failed;
                            Next::Ended(Ending::StartFailed { recoverable })
                        }
                    }
                }
                Next::Ended(ending) => Next::Pause(self.after(ending)?),
                Next::Pause(pause) => {
                    if life.has_container {
                        life.has_container = !self.destroy();
                    }
                    self.pause(pause)?;
                    Next::Start
                }
            };
        }
    }

    pub(in crate::runner) fn until_it_ends(&self, exits: &Receiver<ExitResult>, life: &mut Life) -> Next {
        Next::Ended(self.wait(exits, life))
    }

    /// Starts the task, and says where its end will be told. Err: it did not start, which has been told; whether a later
    /// start may work.
    fn start(&self, life: &mut Life) -> Result<Receiver<ExitResult>, bool> {
        let config = &self.task.config;
        // Left by an earlier try. Its name is needed.
        if life.has_container {
            life.has_container = !self.destroy();
            if life.has_container {
                return Err(true);
            }
        }
        let now = SystemTime::now();
        let noted = self.owned.update(|state| {
            let task = &mut state.tasks[self.number];
            task.history.record(now, &task.restart);
            task.restart_at = None;
            task.handle = None;
            task.container_may_exist = true;
        });
        if let Err(error) = noted {
            return Err(self.start_failed(&error));
        }
        let Runner { driver, stop, watcher } = self.runner;
        let name = self.owned.task(self.number).container_name;
        stop.may_exist(&name);
        let started = driver.start_task_under(config.clone(), watcher.sinks(config), stop.starts());
        if let Some(until) = driver.leftover_may_come_until(&config.id) {
            self.save(|task| task.container_may_come_until = task.container_may_come_until.max(Some(until)));
        }
        let (handle, _network) = started.map_err(|source| {
            life.may_exist = source.left_behind().is_some();
            if !life.may_exist {
                stop.is_done_with(&name);
                self.save(|task| task.container_may_exist = task.container_may_come_until.is_some());
            }
            // Nobody need be told that what they gave up has failed. What it left is told once, at the end.
            let given_up = match &source {
                driver::Error::LeftBehind { source, .. } => matches!(**source, driver::Error::GivenUp),
                source => matches!(source, driver::Error::GivenUp),
            };
            !given_up && self.start_failed(&self.failed("start", source))
        })?;
        (life.has_container, life.may_exist) = (true, false);
        self.started(handle);
        driver.wait_task(&config.id).map_err(|source| self.start_failed(&self.failed("wait for", source)))
    }

    fn started(&self, handle: TaskHandle) {
        self.tell(Happened::Started {
            container_id: handle.container_id.clone(),
            container_name: handle.container_name.clone(),
            image_id: handle.image_id.clone(),
        });
        self.save(|task| {
            task.container_name.clone_from(&handle.container_name);
            task.handle = Some(handle);
            task.container_may_exist = task.container_may_come_until.is_some();
        });
    }

    fn start_failed(&self, error: &Error) -> bool {
        let (message, kind, recoverable) = (chain(error), error.kind().to_owned(), error.is_recoverable());
        self.tell(Happened::StartFailed { message, kind, recoverable });
        recoverable
    }

    /// Waits for the task's end; stops it when that is asked for.
    fn wait(&self, exits: &Receiver<ExitResult>, life: &mut Life) -> Ending {
        // Whoever wants it stopped writes that down and then looks for its container, and may have looked before there was one.
        let ended = match self.desired() {
            Some(_) => exits.try_recv().ok().map(Ok),
            None => select! {
                recv(exits) -> exit => Some(exit),
                recv(self.runner.stop.asked()) -> _ => None,
            },
        };
        let ended = match ended {
            Some(ended) => ended.ok(),
            None => self.stop(exits),
        };
        let Some(result) = ended else {
            // It is left, or the driver shuts down; nothing can be started then.
            (life.end, life.left) = (End::Failed, true);
            return Ending::StartFailed { recoverable: false };
        };
        self.exited(result, life)
    }

    /// Writes down and tells how the task ended.
    pub(in crate::runner) fn exited(&self, result: ExitResult, life: &mut Life) -> Ending {
        self.save(|task| task.last_exit = Some(result.clone()));
        self.tell(Happened::Exited { result: result.clone() });
        let successful = result.is_successful() && !result.oom_killed;
        life.end = End::Exited(result);
        Ending::Exited { successful }
    }

    /// Stops the task with its signal and its grace; kills it when that is ordered meanwhile. Waits for its end. `None`: it
    /// could not be killed, and is left.
    fn stop(&self, exits: &Receiver<ExitResult>) -> Option<ExitResult> {
        let PlacedTask { kill_signal, kill_timeout, .. } = self.task;
        self.tell(Happened::Stopping { signal: kill_signal.map(|signal| signal.to_string()), timeout: kill_timeout });
        let latch = self.runner.stop.leave().child();
        // Disconnects when no more orders are given.
        let (wanted, over) = bounded::<Infallible>(0);
        // Disconnects when every order is carried out, or given up.
        let (working, done) = bounded::<Infallible>(0);
        let (fail, failed) = bounded::<()>(1);
        let order = Order { task: self, latch: &latch, over: &over, signal: kill_signal };
        thread::scope(|scope| {
            let stop = |timeout, working: Sender<Infallible>, fail: Option<Sender<()>>| {
                let name = format!("stop {}", self.task.config.name);
                let order = &order;
                let spawned = thread::Builder::new().name(name).spawn_scoped(scope, move || {
                    if !order.give(timeout)
                        && let Some(fail) = fail
                    {
                        let _ = fail.try_send(());
                    }
                    drop(working);
                });
                if let Err(error) = spawned {
                    log::error!("no thread to stop task `{}`: {error}; it is killed", self.task.config.name);
                    order.give(Duration::ZERO);
                }
            };
            stop(kill_timeout, working.clone(), None);
            let (mut killed, left) = (self.runner.stop.killed().clone(), latch.bell());
            let ended = loop {
                select! {
                    recv(exits) -> exit => break exit.ok(),
                    recv(killed) -> _ => {
                        stop(Duration::ZERO, working.clone(), Some(fail.clone()));
                        killed = never();
                    }
                    recv(failed) -> _ => break None,
                    recv(left.rung) -> _ => break None,
                }
            };
            drop((wanted, working));
            // Some Engines kill when a stop's connection closes: it has ended, and that is no harm.
            let _ = ended.is_some().then(|| done.recv_timeout(LAST_ANSWER));
            latch.hang_up();
            ended
        })
    }

    /// What comes after the end of a try: a pause before the next, or the reason why there is none.
    fn after(&self, ending: Ending) -> Result<Duration, Last> {
        if self.runner.stop.is_asked() {
            return Err(Last::Stopped);
        }
        if let Some(wanted) = self.desired() {
            return Err(Last::AsDesired(wanted));
        }
        let TaskRecord { history, restart: policy, .. } = self.owned.task(self.number);
        let now = SystemTime::now();
        match restart::decide(&policy, &history, now, ending) {
            Decision::Stop { reason } => Err(Last::Policy(reason)),
            Decision::Restart { after } => {
                self.save(|task| (task.restart_at, task.restart_after) = (now.checked_add(after), Some(after)));
                let Policy { attempts, .. } = policy;
                self.tell(Happened::Restarting { after, restarts: history.restarts(), attempts });
                Ok(after)
            }
        }
    }

    /// What somebody else wants of the task.
    pub(in crate::runner) fn desired(&self) -> Option<Desired> {
        match self.owned.desired() {
            Ok(states) => states.of(&self.task.config.name),
            Err(error) => {
                self.error(&error);
                None
            }
        }
    }

    /// Waits before a restart. Err: somebody asked for the end meanwhile.
    fn pause(&self, pause: Duration) -> Result<(), Last> {
        let until = Instant::now().checked_add(pause);
        loop {
            // A time beyond the clock's range is for ever.
            let left = until.map_or(LOOK, |until| until.saturating_duration_since(Instant::now()));
            // Nothing is ever sent: a value cannot come, and a time-out is the pause's end.
            if !self.runner.stop.asked().recv_timeout(left.min(LOOK)).is_err_and(|error| error.is_timeout()) {
                return Err(Last::Stopped);
            }
            // One that cannot be read is told before the start.
            if let Some(wanted) = self.owned.desired().ok().and_then(|states| states.of(&self.task.config.name)) {
                return Err(Last::AsDesired(wanted));
            }
            if left <= LOOK && until.is_some() {
                return Ok(());
            }
        }
    }

    fn finished(&self, last: &Last, end: &End) {
        let (reason, message) = match last {
            Last::Policy(reason) => (reason.code(), reason.to_string()),
            Last::Stopped => ("stopped", "it was stopped".to_owned()),
            // Nothing of these is told.
            Last::Before | Last::Unreachable => ("before", "it had ended before".to_owned()),
            Last::AsDesired(_) => ("wished", "it was stopped from outside".to_owned()),
        };
        self.tell(Happened::Finished { reason, message, exit_code: end.exit_code() });
    }

    pub(in crate::runner) fn failed(&self, verb: &str, source: driver::Error) -> Error {
        Error::Driver { what: format!("cannot {verb} task `{}`", self.task.config.name), source: Box::new(source) }
    }

    /// Changes what is known of the task. Where it cannot be written that is told, and the task goes on.
    pub(in crate::runner) fn save(&self, change: impl FnOnce(&mut TaskRecord)) {
        if let Err(error) = self.owned.update(|state| change(&mut state.tasks[self.number])) {
            self.error(&error);
        }
    }

    pub(in crate::runner) fn error(&self, error: &Error) {
        let (message, kind, recoverable) = (chain(error), error.kind().to_owned(), error.is_recoverable());
        self.tell(Happened::Error { message, kind, recoverable });
    }

    pub(in crate::runner) fn tell(&self, happened: Happened) {
        let config = &self.task.config;
        let event = Event {
            time: SystemTime::now(),
            alloc_id: config.alloc_id.clone(),
            task_name: config.name.clone(),
            task_id: config.id.clone(),
            happened,
        };
        if let Err(error) = self.owned.journal.append(&event) {
            log::warn!("{}", chain(&error));
        }
        self.runner.watcher.event(&event);
    }
}

/// An order to stop a task.
struct Order<'a> {
    task: &'a TaskThread<'a>,
    /// Gives it up.
    latch: &'a Hangup,
    /// Disconnects when it is no longer wanted.
    over: &'a Receiver<Infallible>,
    signal: Option<Signal>,
}

impl Order<'_> {
    /// Gives the order until the Engine has carried it out, or has nothing to carry it out on. False: it was to kill, and
    /// that failed for so long that the task is left.
    fn give(&self, timeout: Duration) -> bool {
        let TaskThread { runner, task, .. } = self.task;
        let mut backoff = Backoff::new(ORDER_PAUSES.0, ORDER_PAUSES.1);
        let mut told = String::new();
        loop {
            match runner.driver.stop_task_under(&task.config.id, timeout, self.signal, self.latch) {
                Ok(()) | Err(driver::Error::GivenUp | driver::Error::ShutDown | driver::Error::TaskNotFound { .. }) => {
                    return true;
                }
                Err(source) => self.task.tell_once(&self.task.failed("stop", source), &mut told),
            }
            if timeout.is_zero() && runner.stop.killed_for().is_some_and(|since| since >= KILL_PATIENCE) {
                return false;
            }
            if self.over.recv_timeout(backoff.next()) != Err(RecvTimeoutError::Timeout) {
                return true;
            }
        }
    }
}

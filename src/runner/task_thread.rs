//! One task from its start to its end: start, wait, restart by policy, clear away. Where it begins that was left by an earlier
//! owner is told in `take_up.rs`.
//!
//! What is to happen is written down before it happens; a thread that finds its state unwritable before a start does not
//! start, and one that finds it so later says so and goes on, for the container is there. While a stop waits for a task's
//! grace, the thread still listens for its end and for the order to kill: the stop has a thread of its own. What others wish
//! (`wish.rs`) is looked up before a start, after it, before the restart policy and now and then during a pause.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, never, select};

use crate::driver::{self, ExitResult, TaskHandle};
use crate::values::Signal;

use super::error::chain;
use super::events::{Event, Happened};
use super::lifecycle::Runner;
use super::outcome::End;
use super::owner::Owned;
use super::restart::{self, Decision, Ending, Policy, StopReason};
use super::state::TaskRecord;
use super::wish::Wanted;
use super::{Error, PlacedTask};

/// How often a pause before a restart is interrupted to look what others wish.
const LOOK: Duration = Duration::from_secs(1);

/// One task of an allocation, in its thread.
pub(super) struct TaskThread<'a> {
    pub(super) runner: Runner<'a>,
    pub(super) owned: &'a Owned,
    /// Which of the allocation's tasks it is.
    pub(super) number: usize,
    pub(super) task: PlacedTask,
}

/// Why a task is not started again, beside its policy.
pub(super) enum Last {
    Policy(StopReason),
    Stopped,
    Wished(Wanted),
    /// It had ended before its allocation was taken up.
    Before,
    /// It cannot be taken up. What of it runs is left alone.
    Unreachable,
}

/// What is to be done next with a task.
pub(super) enum Next {
    Start,
    /// It runs; here its end will be told.
    Wait(Receiver<ExitResult>),
    /// Its try is over.
    Ended(Ending),
    /// A restart is due after this time.
    Pause(Duration),
}

/// What is known of a task's present try.
pub(super) struct Life {
    pub(super) end: End,
    /// Whether there is a container that somebody must clear away.
    pub(super) has_container: bool,
}

impl TaskThread<'_> {
    /// Runs the task to its end for good: how it ended, and whether a container is left that should not be.
    pub(super) fn run(&self) -> (End, bool) {
        let mut life = Life { end: End::NeverStarted, has_container: false };
        let last = self.live(&mut life);
        self.rest(life, &last)
    }

    /// Clears the task away that is not started any more, and tells that it has ended.
    pub(super) fn rest(&self, life: Life, last: &Last) -> (End, bool) {
        if matches!(last, Last::Unreachable) {
            return (End::Failed, true);
        }
        let keep = self.owned.state().keep && !matches!(last, Last::Wished(Wanted::Destroyed));
        // Before its container goes: whoever takes the allocation up after a crash must not start it again.
        self.save(|task| {
            task.ended = true;
            task.restart_at = None;
        });
        let left_behind = match (life.has_container, keep) {
            (false, _) => false,
            (true, false) => !self.destroy(),
            (true, true) => {
                self.release();
                false
            }
        };
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
    pub(super) fn first(&self, life: &mut Life) -> Result<Next, Last> {
        if self.owned.is_taken_up() { self.take_up(life) } else { Ok(Next::Start) }
    }

    /// Starts the task, again and again where that fails and its policy says so, and says where its end will be told.
    pub(super) fn until_it_runs(&self, mut next: Next, life: &mut Life) -> Result<Receiver<ExitResult>, Last> {
        loop {
            next = match next {
                Next::Wait(exits) => return Ok(exits),
                Next::Start => {
                    if self.runner.stop.is_asked() {
                        return Err(Last::Stopped);
                    }
                    if let Some(wanted) = self.wish() {
                        return Err(Last::Wished(wanted));
                    }
                    match self.start(&mut life.has_container) {
                        Ok(exits) => Next::Wait(exits),
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

    pub(super) fn until_it_ends(&self, exits: &Receiver<ExitResult>, life: &mut Life) -> Next {
        let ending;
        (life.end, ending) = self.wait(exits);
        Next::Ended(ending)
    }

    /// Starts the task, and says where its end will be told. Err: it did not start, which has been told; whether a later
    /// start may work.
    fn start(&self, has_container: &mut bool) -> Result<Receiver<ExitResult>, bool> {
        let config = &self.task.config;
        // Left by an earlier try, when the Engine did not answer. Its name is needed.
        if *has_container {
            *has_container = !self.destroy();
            if *has_container {
                return Err(true);
            }
        }
        let now = SystemTime::now();
        let noted = self.owned.update(|state| {
            let task = &mut state.tasks[self.number];
            task.history.record(now, &task.restart);
            task.restart_at = None;
            task.handle = None;
        });
        if let Err(error) = noted {
            return Err(self.start_failed(&error));
        }
        let driver = self.runner.driver;
        let started = driver.start_task_with(config.clone(), self.runner.watcher.sinks(config));
        let (handle, _network) = started.map_err(|source| self.start_failed(&self.failed("start", source)))?;
        *has_container = true;
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
        });
    }

    fn start_failed(&self, error: &Error) -> bool {
        let (message, kind, recoverable) = (chain(error), error.kind().to_owned(), error.is_recoverable());
        self.tell(Happened::StartFailed { message, kind, recoverable });
        recoverable
    }

    /// Waits for the task's end; stops it when that is asked for.
    fn wait(&self, exits: &Receiver<ExitResult>) -> (End, Ending) {
        // Whoever wants it stopped writes that down and then looks for its container, and may have looked before there was one.
        let ended = match self.wish() {
            Some(_) => exits.try_recv().ok().map(Ok),
            None => select! {
                recv(exits) -> exit => Some(exit),
                recv(self.runner.stop.asked()) -> _ => None,
            },
        };
        let ended = ended.unwrap_or_else(|| self.stop(exits));
        let Ok(result) = ended else {
            // Only a driver that shuts down ends a wait without a result; nothing can be started then.
            return (End::Failed, Ending::StartFailed { recoverable: false });
        };
        let mut life = Life { end: End::Failed, has_container: true };
        let ending = self.exited(result, &mut life);
        (life.end, ending)
    }

    /// Writes down and tells how the task ended.
    pub(super) fn exited(&self, result: ExitResult, life: &mut Life) -> Ending {
        self.save(|task| task.last_exit = Some(result.clone()));
        self.tell(Happened::Exited { result: result.clone() });
        let successful = result.is_successful() && !result.oom_killed;
        life.end = End::Exited(result);
        Ending::Exited { successful }
    }

    /// Stops the task with its signal and its grace; kills it when that is ordered meanwhile. Waits for its end.
    fn stop(&self, exits: &Receiver<ExitResult>) -> Result<ExitResult, crossbeam_channel::RecvError> {
        let PlacedTask { kill_signal, kill_timeout, .. } = self.task;
        self.tell(Happened::Stopping { signal: kill_signal.map(|signal| signal.to_string()), timeout: kill_timeout });
        thread::scope(|scope| {
            let spawned = thread::Builder::new()
                .name(format!("stop {}", self.task.config.name))
                .spawn_scoped(scope, || self.ask_to_stop(kill_timeout, kill_signal));
            if let Err(error) = spawned {
                log::error!("no thread to stop task `{}`: {error}; it is killed", self.task.config.name);
                self.ask_to_stop(Duration::ZERO, kill_signal);
            }
            let killed = self.runner.stop.killed();
            let mut order = killed.clone();
            loop {
                select! {
                    recv(exits) -> exit => return exit,
                    recv(order) -> _ => {
                        self.ask_to_stop(Duration::ZERO, kill_signal);
                        order = never();
                    }
                }
            }
        })
    }

    fn ask_to_stop(&self, timeout: Duration, signal: Option<Signal>) {
        if let Err(source) = self.runner.driver.stop_task(&self.task.config.id, timeout, signal) {
            self.error(&self.failed("stop", source));
        }
    }

    /// What comes after the end of a try: a pause before the next, or the reason why there is none.
    fn after(&self, ending: Ending) -> Result<Duration, Last> {
        if self.runner.stop.is_asked() {
            return Err(Last::Stopped);
        }
        if let Some(wanted) = self.wish() {
            return Err(Last::Wished(wanted));
        }
        let TaskRecord { history, restart: policy, .. } = self.owned.task(self.number);
        let now = SystemTime::now();
        match restart::decide(&policy, &history, now, ending) {
            Decision::Stop { reason } => Err(Last::Policy(reason)),
            Decision::Restart { after } => {
                self.save(|task| task.restart_at = now.checked_add(after));
                let Policy { attempts, .. } = policy;
                self.tell(Happened::Restarting { after, restarts: history.restarts(), attempts });
                Ok(after)
            }
        }
    }

    /// What somebody else wants of the task.
    pub(super) fn wish(&self) -> Option<Wanted> {
        match self.owned.wish() {
            Ok(wish) => wish.of(&self.task.config.name),
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
            if let Some(wanted) = self.owned.wish().ok().and_then(|wish| wish.of(&self.task.config.name)) {
                return Err(Last::Wished(wanted));
            }
            if left <= LOOK && until.is_some() {
                return Ok(());
            }
        }
    }

    /// Waits for the rest of the task's output, for a reader may be slow; once we are asked to stop, not for long.
    fn drain(&self) {
        let id = &self.task.config.id;
        if let Err(source) = self.runner.driver.drain_task(id, self.runner.stop.asked()) {
            self.error(&self.failed("collect the rest of the output of", source));
        }
    }

    /// Waits for the rest of the task's output and removes its container. False: that failed, which has been told.
    fn destroy(&self) -> bool {
        self.drain();
        let lost = self.runner.driver.output_lost(&self.task.config.id);
        if let Err(source) = self.runner.driver.destroy_task(&self.task.config.id, false) {
            self.error(&self.failed("remove the container of", source));
            return false;
        }
        // With its container went what the Engine still had of it.
        if lost.is_ok_and(|lost| lost.load(Ordering::Relaxed)) {
            self.owned.note_lost_output(self.number);
        }
        self.save(|task| task.handle = None);
        true
    }

    /// Waits for the rest of the task's output and leaves its container.
    fn release(&self) {
        self.drain();
        if let Err(source) = self.runner.driver.release_task(&self.task.config.id) {
            self.error(&self.failed("collect the rest of the output of", source));
        }
    }

    fn finished(&self, last: &Last, end: &End) {
        let (reason, message) = match last {
            Last::Policy(reason) => (reason.code(), reason.to_string()),
            Last::Stopped => ("stopped", "it was stopped".to_owned()),
            // Nothing of these is told.
            Last::Before | Last::Unreachable => ("before", "it had ended before".to_owned()),
            Last::Wished(_) => ("wished", "it was stopped from outside".to_owned()),
        };
        self.tell(Happened::Finished { reason, message, exit_code: end.exit_code() });
    }

    pub(super) fn failed(&self, verb: &str, source: driver::Error) -> Error {
        Error::Driver { what: format!("cannot {verb} task `{}`", self.task.config.name), source: Box::new(source) }
    }

    /// Changes what is known of the task. Where it cannot be written that is told, and the task goes on.
    pub(super) fn save(&self, change: impl FnOnce(&mut TaskRecord)) {
        if let Err(error) = self.owned.update(|state| change(&mut state.tasks[self.number])) {
            self.error(&error);
        }
    }

    pub(super) fn error(&self, error: &Error) {
        let (message, kind, recoverable) = (chain(error), error.kind().to_owned(), error.is_recoverable());
        self.tell(Happened::Error { message, kind, recoverable });
    }

    pub(super) fn tell(&self, happened: Happened) {
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

//! A task from its start to its end: start, wait, restart by policy, clear away. A thread per task, joined before the run
//! ends; they share nothing but their allocation's state.
//!
//! What is to happen is written down before it happens; a task thread that finds its state unwritable before a start does
//! not start, and one that finds it so later says so and goes on, for the container is there. While a stop waits for a
//! task's grace, the thread still listens for its end and for the order to kill: the stop has a thread of its own.

use std::convert::Infallible;
use std::thread;
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Receiver, bounded, never, select};

use crate::driver::{self, Driver, ExitResult, TaskConfig, TaskEvent, TaskHandle};
use crate::logs::Sink;
use crate::values::Signal;

use super::error::chain;
use super::events::{Event, Happened};
use super::outcome::{End, TaskOutcome};
use super::owner::Owned;
use super::restart::{self, Decision, Ending, Policy, StopReason};
use super::state::TaskRecord;
use super::{Allocation, Error, PlacedTask, Stop};

/// Who is told of everything: the program, or a test.
pub trait Watcher: Sync {
    /// Where the output of this task goes, made anew for each start.
    fn sinks(&self, task: &TaskConfig) -> Vec<Box<dyn Sink>>;

    /// Something happened to a task. Called from the tasks' threads; must not wait for long.
    fn event(&self, event: &Event);
}

/// What runs allocations.
#[derive(Clone, Copy)]
pub struct Runner<'a> {
    /// The driver that runs the tasks.
    pub driver: &'a Driver,
    /// Who is told.
    pub watcher: &'a dyn Watcher,
    /// How it is ended from outside.
    pub stop: &'a Stop,
    /// Whether containers stay when their tasks have ended.
    pub keep: bool,
}

impl Runner<'_> {
    /// Runs allocations until each of their tasks has ended for good. `allocs` and `owned` are the same ones in the same order.
    /// Every thread has ended, and every container that was not to be kept is gone or reported, when this returns.
    pub fn run(&self, allocs: &[Allocation], owned: Vec<Owned>) -> Vec<TaskOutcome> {
        let mut outcomes = Vec::new();
        let (ended, end) = bounded::<Infallible>(0);
        thread::scope(|scope| {
            let news = self.driver.task_events();
            let owned = &owned;
            let told = thread::Builder::new()
                .name("task events".into())
                .spawn_scoped(scope, move || self.pass_on(&news, &end, allocs, owned));
            if let Err(error) = told {
                log::error!("no thread for the driver's events: {error}");
            }
            let mut threads = Vec::new();
            for (alloc, owned) in allocs.iter().zip(owned) {
                for (number, task) in alloc.tasks.iter().enumerate() {
                    let thread = TaskThread { runner: *self, owned, number, task };
                    let name = format!("task {}", task.config.name);
                    let spawned = thread::Builder::new().name(name).spawn_scoped(scope, move || thread.run());
                    threads.push((alloc.index, task.order, spawned));
                }
            }
            for (index, order, spawned) in threads {
                let ended = match spawned.map(thread::ScopedJoinHandle::join) {
                    Ok(Ok(ended)) => ended,
                    Ok(Err(_)) => {
                        log::error!("the thread of a task panicked; its container may be left");
                        (End::Failed, true)
                    }
                    Err(error) => {
                        log::error!("no thread for a task: {error}");
                        (End::Failed, false)
                    }
                };
                let (end, left_behind) = ended;
                outcomes.push(TaskOutcome { order, index, end, left_behind });
            }
            drop(ended);
        });
        let mut rest = outcomes.as_slice();
        for (alloc, owned) in allocs.iter().zip(owned) {
            let (own, others) = rest.split_at(alloc.tasks.len());
            rest = others;
            // One of which something is left is looked at again by the next run of its job.
            if own.iter().all(|task| !task.left_behind)
                && let Err(error) = owned.update(|state| state.ended = true)
            {
                log::error!("{}", chain(&error));
            }
        }
        outcomes
    }

    /// Tells what the driver says of tasks, until the run is over.
    fn pass_on(&self, news: &Receiver<TaskEvent>, end: &Receiver<Infallible>, allocs: &[Allocation], owned: &[Owned]) {
        let tell = |news: TaskEvent| {
            let event = Event {
                time: news.timestamp,
                alloc_id: news.alloc_id,
                task_name: news.task_name,
                task_id: news.task_id,
                happened: Happened::Notice { message: news.message },
            };
            let journal = allocs.iter().zip(owned).find(|(alloc, _)| alloc.id == event.alloc_id);
            if let Some((_, owned)) = journal
                && let Err(error) = owned.journal.append(&event)
            {
                log::warn!("{}", chain(&error));
            }
            self.watcher.event(&event);
        };
        loop {
            select! {
                recv(news) -> event => match event {
                    Ok(event) => tell(event),
                    Err(_) => return,
                },
                recv(end) -> _ => break,
            }
        }
        news.try_iter().for_each(tell);
    }
}

/// One task of an allocation, in its thread.
struct TaskThread<'a> {
    runner: Runner<'a>,
    owned: &'a Owned,
    number: usize,
    task: &'a PlacedTask,
}

/// Why a task is not started again, beside its policy.
enum Last {
    Policy(StopReason),
    Stopped,
    Wished,
}

impl TaskThread<'_> {
    /// Runs the task to its end for good: how it ended, and whether a container is left that should not be.
    fn run(&self) -> (End, bool) {
        let mut end = End::NeverStarted;
        let mut has_container = false;
        let last = loop {
            if self.runner.stop.is_asked() {
                break Last::Stopped;
            }
            let ending;
            (end, ending) = match self.start(&mut has_container) {
                Ok(exits) => self.wait(&exits),
                Err(recoverable) => (End::Failed, Ending::StartFailed { recoverable }),
            };
            match self.after(ending) {
                Ok(pause) => {
                    if has_container {
                        has_container = !self.destroy();
                    }
                    if !self.pause(pause) {
                        break Last::Stopped;
                    }
                }
                Err(last) => break last,
            }
        };
        let left_behind = match (has_container, self.runner.keep) {
            (false, _) => false,
            (true, false) => !self.destroy(),
            (true, true) => {
                self.release();
                false
            }
        };
        self.save(|task| {
            task.ended = true;
            task.restart_at = None;
        });
        self.finished(&last, &end);
        (end, left_behind)
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
        let ended = select! {
            recv(exits) -> exit => Some(exit),
            recv(self.runner.stop.asked()) -> _ => None,
        };
        let ended = ended.unwrap_or_else(|| self.stop(exits));
        let Ok(result) = ended else {
            // Only a driver that shuts down ends a wait without a result; nothing can be started then.
            return (End::Failed, Ending::StartFailed { recoverable: false });
        };
        self.save(|task| task.last_exit = Some(result.clone()));
        self.tell(Happened::Exited { result: result.clone() });
        let successful = result.is_successful() && !result.oom_killed;
        (End::Exited(result), Ending::Exited { successful })
    }

    /// Stops the task with its signal and its grace; kills it when that is ordered meanwhile. Waits for its end.
    fn stop(&self, exits: &Receiver<ExitResult>) -> Result<ExitResult, crossbeam_channel::RecvError> {
        let PlacedTask { kill_signal, kill_timeout, .. } = *self.task;
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
        match self.owned.wish() {
            Ok(wish) if wish.stops(&self.task.config.name) => return Err(Last::Wished),
            Ok(_) => {}
            Err(error) => self.error(&error),
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

    /// Waits before a restart. False: somebody asked for the end meanwhile.
    fn pause(&self, pause: Duration) -> bool {
        // Nothing is ever sent: a value cannot come, and a time-out is the pause's end.
        self.runner.stop.asked().recv_timeout(pause).is_err_and(|error| error.is_timeout())
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
        if let Err(source) = self.runner.driver.destroy_task(&self.task.config.id, false) {
            self.error(&self.failed("remove the container of", source));
            return false;
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
            Last::Wished => ("wished", "it was stopped from outside".to_owned()),
        };
        self.tell(Happened::Finished { reason, message, exit_code: end.exit_code() });
    }

    fn failed(&self, verb: &str, source: driver::Error) -> Error {
        Error::Driver { what: format!("cannot {verb} task `{}`", self.task.config.name), source: Box::new(source) }
    }

    /// Changes what is known of the task. Where it cannot be written that is told, and the task goes on.
    fn save(&self, change: impl FnOnce(&mut TaskRecord)) {
        if let Err(error) = self.owned.update(|state| change(&mut state.tasks[self.number])) {
            self.error(&error);
        }
    }

    fn error(&self, error: &Error) {
        let (message, kind, recoverable) = (chain(error), error.kind().to_owned(), error.is_recoverable());
        self.tell(Happened::Error { message, kind, recoverable });
    }

    fn tell(&self, happened: Happened) {
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

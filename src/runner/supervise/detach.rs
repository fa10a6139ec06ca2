//! Starting tasks and leaving them to themselves: their handles are saved, nobody waits for them, no policy is applied, and
//! their output waits in the Engine until somebody takes their allocation up.
//!
//! All are left, or none: where one does not start, or somebody asks for the end meanwhile, those that were started are
//! stopped and cleared away, as by a run that is stopped; those that ran before and were taken up are left in any case. Each task's thread tells when its task is up, and then waits for the verdict.

use std::convert::Infallible;
use std::sync::OnceLock;
use std::thread;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded, select, unbounded};

use crate::driver::ExitResult;
use crate::engine::{Engine, InspectQuery};
use crate::threads::POLL_INTERVAL;

use crate::runner::journal::event::Happened;
use crate::runner::state::lock::Owned;
use crate::runner::supervise::outcome::{End, TaskOutcome};
use crate::runner::supervise::run::{Runner, outcomes};
use crate::runner::supervise::task::{Last, Life, TaskThread};
use crate::runner::{Allocation, error::chain};

/// What is waited for before tasks are left.
#[derive(Debug, Clone, Copy)]
pub struct Healthy<'a> {
    /// The Engine that is asked.
    pub engine: &'a Engine,
    /// Until when. `None`: as long as it takes.
    pub until: Option<Instant>,
}

/// What came of leaving tasks to themselves.
#[derive(Debug)]
pub enum Detached {
    /// They run, or have run.
    Left {
        /// Of each that has a container: the task, as `ALLOC/TASK`, and its container's id.
        tasks: Vec<(String, String)>,
        /// Whether one of them is not healthy, which was told.
        unhealthy: bool,
        /// Whether the time was up before all were healthy.
        late: bool,
    },
    /// They were stopped and cleared away.
    Undone {
        /// How they ended.
        outcomes: Vec<TaskOutcome>,
        /// Whether one of them did not start.
        failed: bool,
    },
}

/// How a task is once it was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Up {
    /// As it should.
    Well,
    /// It runs, and its health check says no; or it ended meanwhile, and not well.
    Unhealthy,
    /// The time was up.
    Late,
    /// It does not run, and never will.
    Failed,
}

/// What a task's thread gives at its end.
enum Left {
    /// Its task is left, with this container.
    Alone(Option<String>),
    /// Its task was cleared away.
    Cleared(End, bool),
}

/// What the threads of the tasks tell, and are told.
struct Talk<'a> {
    reports: Sender<Up>,
    /// Disconnects when there is a verdict.
    decided: Receiver<Infallible>,
    /// Whether the tasks are left. Without one they are not.
    leave: &'a OnceLock<bool>,
    healthy: Option<Healthy<'a>>,
}

impl Runner<'_> {
    /// Starts the tasks of allocations, or takes them up, waits until they run, and are healthy if that is wanted, and leaves
    /// them. `allocs` and `owned` are the same ones in the same order; they have no owner when this returns.
    pub fn detach(&self, allocs: &[Allocation], owned: Vec<Owned>, healthy: Option<Healthy<'_>>) -> Detached {
        let tasks = allocs.iter().map(|alloc| alloc.tasks.len()).sum();
        let (reports, reported) = unbounded();
        let (decide, decided) = bounded::<Infallible>(0);
        let leave = OnceLock::new();
        let mut found = Vec::new();
        let ends = thread::scope(|scope| {
            let talk = Talk { reports, decided, leave: &leave, healthy };
            let judge = thread::Builder::new().name("detach".into()).spawn_scoped(scope, || {
                let found = self.judge(&reported, tasks);
                let all_up = found.len() == tasks && !found.contains(&Up::Failed);
                if !all_up {
                    self.stop.ask();
                }
                let _ = leave.set(all_up && !self.stop.is_asked());
                drop(decide);
                found
            });
            let ends = self.in_threads(
                allocs,
                &owned,
                |thread| thread.detach(&talk),
                |started| Left::Cleared(End::Failed, started),
            );
            match judge.map(thread::ScopedJoinHandle::join) {
                Ok(Ok(ups)) => found = ups,
                _ => log::error!("the thread that leaves tasks to themselves is lost; they were stopped"),
            }
            ends
        });
        if leave.get() == Some(&true) {
            let name = |alloc: &Allocation, task: &str| format!("{}/{task}", alloc.id);
            let mut tasks = Vec::new();
            for (alloc, ends) in allocs.iter().zip(&ends) {
                for (task, left) in alloc.tasks.iter().zip(ends) {
                    if let Left::Alone(Some(container)) = left {
                        tasks.push((name(alloc, &task.config.name), container.clone()));
                    }
                }
            }
            return Detached::Left {
                tasks,
                unhealthy: found.contains(&Up::Unhealthy),
                late: found.contains(&Up::Late),
            };
        }
        let cleared = |left| match left {
            Left::Cleared(end, left_behind) => (end, left_behind),
            Left::Alone(_) => (End::Failed, true),
        };
        let ends = ends.into_iter().map(|ends| ends.into_iter().map(cleared).collect()).collect();
        Detached::Undone { outcomes: outcomes(allocs, &owned, ends), failed: found.contains(&Up::Failed) }
    }

    /// Gathers how the tasks are, until that is known of all, one has failed, or the end is asked for.
    fn judge(&self, reported: &Receiver<Up>, tasks: usize) -> Vec<Up> {
        let mut found = Vec::new();
        while found.len() < tasks {
            select! {
                recv(reported) -> up => match up {
                    Ok(up) => found.push(up),
                    Err(_) => break,
                },
                recv(self.stop.asked()) -> _ => break,
            }
            if found.contains(&Up::Failed) {
                break;
            }
        }
        found
    }
}

impl TaskThread<'_> {
    /// Starts the task, and leaves it or clears it away.
    fn detach(&self, talk: &Talk<'_>) -> Left {
        let mut life = Life::new();
        let mut started = self.first(&mut life).and_then(|next| self.until_it_runs(next, &mut life));
        // Who wanted it stopped while it was being started found no container: nobody but this thread stops it.
        if let Ok(exits) = &started
            && self.desired().is_some()
        {
            let next = self.until_it_ends(exits, &mut life);
            started = self.until_it_runs(next, &mut life);
        }
        let up = match &started {
            Ok(_) => self.up(talk.healthy),
            Err(Last::Policy(_) | Last::Stopped | Last::Unreachable) => Up::Failed,
            // It is not to run, by what others want or as it ended before.
            Err(_) => Up::Well,
        };
        // Nobody listens any more where the verdict is there.
        let _ = talk.reports.send(up);
        // Nothing is ever sent.
        let _ = talk.decided.recv();
        let leave = talk.leave.get() == Some(&true);
        match started {
            // What ran before is not ours to stop.
            Ok(_) if leave || self.owned.is_taken_up() => {
                self.tell(Happened::Detached);
                let container = self.owned.task(self.number).handle.map(|handle| handle.container_id);
                Left::Alone(container)
            }
            Ok(exits) => {
                let next = self.until_it_ends(&exits, &mut life);
                let last = self.until_it_runs(next, &mut life).err().unwrap_or(Last::Stopped);
                self.cleared(life, &last)
            }
            Err(last) => match self.cleared(life, &last) {
                Left::Cleared(..) if leave => Left::Alone(None),
                left => left,
            },
        }
    }

    fn cleared(&self, life: Life, last: &Last) -> Left {
        let (end, left_behind) = self.rest(life, last);
        Left::Cleared(end, left_behind)
    }

    /// Waits until a started task is healthy, where that is wanted and it has a health check.
    fn up(&self, healthy: Option<Healthy<'_>>) -> Up {
        let (Some(Healthy { engine, until }), Some(handle)) = (healthy, self.owned.task(self.number).handle) else {
            return Up::Well;
        };
        let engine = engine.with(self.runner.stop.starts());
        loop {
            match engine.container_inspect(&handle.container_id, &InspectQuery::default()) {
                Ok(inspect) => match ExitResult::of(&inspect.state) {
                    Some(result) if result.is_successful() => return Up::Well,
                    Some(result) => {
                        let message = format!("it ended with code {} before it was healthy", result.exit_code);
                        return self.not_well(message);
                    }
                    None => match inspect.state.health.as_ref().map(|health| health.status.as_str()) {
                        Some("starting") => {}
                        Some("unhealthy") => return self.not_well("it is unhealthy, and runs on".into()),
                        _ => return Up::Well,
                    },
                },
                // It runs as far as anybody knows; the next question may be answered.
                Err(error) => log::debug!("{}", chain(&error)),
            }
            let left = until.map_or(POLL_INTERVAL, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Up::Late;
            }
            select! {
                recv(self.runner.stop.asked()) -> _ => return Up::Late,
                default(left.min(POLL_INTERVAL)) => {}
            }
        }
    }

    fn not_well(&self, message: String) -> Up {
        self.tell(Happened::Error { message, kind: "unhealthy".into(), recoverable: true });
        Up::Unhealthy
    }
}

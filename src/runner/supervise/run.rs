//! Allocations from their start to their end: a thread per task, joined before the run ends; they share nothing but their
//! allocation's state. What such a thread does is told in `task`.

use std::convert::Infallible;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded, select};

use crate::driver::{Driver, TaskConfig, TaskEvent};
use crate::logs::Sink;

use crate::runner::error::chain;
use crate::runner::journal::event::{Event, Happened};
use crate::runner::state::lock::Owned;
use crate::runner::supervise::outcome::{End, TaskOutcome};
use crate::runner::supervise::task::TaskThread;
use crate::runner::{Allocation, PlacedTask, Stop};

/// When the Engine is asked for the first time, after an order to kill, whether it is there at all; then, how often.
const PROBES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(2));
/// How long it may take to answer that.
const PROBE_TIME: Duration = Duration::from_secs(1);

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
}

impl Runner<'_> {
    /// Runs allocations until each of their tasks has ended for good. `allocs` and `owned` are the same ones in the same order.
    /// Every thread has ended, and every container that was not to be kept is gone or reported, when this returns.
    pub fn run(&self, allocs: &[Allocation], owned: Vec<Owned>) -> Vec<TaskOutcome> {
        let lost = |started: bool| (End::Failed, started);
        let mut ends = self.in_threads(allocs, &owned, |thread| thread.run(), lost);
        for ((alloc, owned), ends) in allocs.iter().zip(&owned).zip(&mut ends) {
            for ((number, task), (_, left_behind)) in alloc.tasks.iter().enumerate().zip(ends) {
                if *left_behind {
                    let thread = TaskThread { runner: *self, owned, number, task: task.clone() };
                    *left_behind = !thread.look_again();
                }
            }
        }
        outcomes(allocs, &owned, ends)
    }

    /// Does something with each task, in a thread of its own, and tells the driver's news meanwhile. Gives the results by
    /// allocation and task; `lost` makes one for a thread that panicked (true), or could not be started (false).
    pub(in crate::runner) fn in_threads<T: Send>(
        &self,
        allocs: &[Allocation],
        owned: &[Owned],
        work: impl Fn(&TaskThread<'_>) -> T + Copy + Send,
        lost: impl Fn(bool) -> T,
    ) -> Vec<Vec<T>> {
        let (ended, end) = bounded::<Infallible>(0);
        thread::scope(|scope| {
            let news = self.driver.task_events();
            let over = end.clone();
            let leaves = thread::Builder::new().name("leave".into()).spawn_scoped(scope, move || self.leave(&over));
            if let Err(error) = leaves {
                log::error!("no thread that gives up what an Engine that is away cannot be told: {error}");
            }
            let told = thread::Builder::new()
                .name("task events".into())
                .spawn_scoped(scope, move || self.pass_on(&news, &end, allocs, owned));
            if let Err(error) = told {
                log::error!("no thread for the driver's events: {error}");
            }
            let mut threads = Vec::new();
            for (alloc, owned) in allocs.iter().zip(owned) {
                let spawn = |(number, task): (usize, &PlacedTask)| {
                    let name = format!("task {}", task.config.name);
                    let thread = TaskThread { runner: *self, owned, number, task: task.clone() };
                    thread::Builder::new().name(name).spawn_scoped(scope, move || work(&thread))
                };
                threads.push(alloc.tasks.iter().enumerate().map(spawn).collect::<Vec<_>>());
            }
            let join = |spawned: std::io::Result<thread::ScopedJoinHandle<'_, T>>| match spawned.map(|t| t.join()) {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => {
                    log::error!("the thread of a task panicked; its container may be left");
                    lost(true)
                }
                Err(error) => {
                    log::error!("no thread for a task: {error}");
                    lost(false)
                }
            };
            let results = threads.into_iter().map(|spawned| spawned.into_iter().map(join).collect()).collect();
            drop(ended);
            results
        })
    }

    /// Waits for an order to kill, and gives up what the Engine cannot be told, for it does not even answer a ping.
    fn leave(&self, end: &Receiver<Infallible>) {
        select! {
            recv(self.stop.killed()) -> _ => {}
            recv(end) -> _ => return,
        }
        let mut pause = PROBES.0;
        while end.recv_timeout(pause).is_err_and(|error| error.is_timeout()) {
            if !self.driver.engine_answers(PROBE_TIME) {
                return self.stop.leave().hang_up();
            }
            pause = PROBES.1;
        }
    }

    /// Tells what the driver says of tasks, until the run is over.
    fn pass_on(&self, news: &Receiver<TaskEvent>, end: &Receiver<Infallible>, allocs: &[Allocation], owned: &[Owned]) {
        let tell = |news: TaskEvent| {
            let event = Event {
                time: news.timestamp,
                alloc_id: news.alloc_id,
                task_name: news.task_name,
                task_id: news.task_id,
                happened: match news.annotations.get("image") {
                    Some(image) => Happened::ImagePull { image: image.clone(), message: news.message },
                    None => Happened::Notice { message: news.message },
                },
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

/// How each task ended, and whether something of it is left; an allocation of which nothing is left has ended.
pub(in crate::runner) fn outcomes(
    allocs: &[Allocation],
    owned: &[Owned],
    ends: Vec<Vec<(End, bool)>>,
) -> Vec<TaskOutcome> {
    let mut outcomes = Vec::new();
    for ((alloc, owned), ends) in allocs.iter().zip(owned).zip(ends) {
        // One of which something is left is looked at again by the next run of its job.
        if ends.iter().all(|(_, left_behind)| !left_behind)
            && let Err(error) = owned.update(|state| state.ended = true)
        {
            log::error!("{}", chain(&error));
        }
        let outcome = |(number, (task, (end, left_behind))): (usize, (&PlacedTask, (End, bool)))| TaskOutcome {
            order: task.order,
            index: alloc.index,
            // A task that has run has not failed for a container that may yet be made, and will not be started.
            left_behind: left_behind && !(matches!(end, End::Exited(_)) && owned.task(number).only_may_come()),
            end,
            output_lost: owned.has_lost_output(number),
        };
        outcomes.extend(alloc.tasks.iter().zip(ends).enumerate().map(outcome));
    }
    outcomes
}

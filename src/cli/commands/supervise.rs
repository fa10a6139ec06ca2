//! What `run` and `recover` have in common once allocations are theirs: showing what happens, and the exit code.

use std::time::Instant;

use crate::driver::{Driver, DriverConfig, TaskConfig};
use crate::engine::Engine;
use crate::logs::Sink;
use crate::runner::{Allocation, Detached, Event, FAILED, Healthy, Owned, Runner, Stop, Watcher, exit_code};
use crate::values::printable;

use crate::cli::args::Color;
use crate::cli::commands::faults::Faults;
use crate::cli::failure::Failure;
use crate::cli::output::json::Json;
use crate::cli::output::label::Look;
use crate::cli::output::pulls::{Mode, Pulls};
use crate::cli::output::terminal::Terminal;
use crate::cli::signals::{FORCED, Listener};
use crate::cli::{TIMED_OUT, eprint, print};

/// What the tasks of allocations are run with.
pub(in crate::cli) struct Supervisor<'a> {
    pub(in crate::cli) engine: Engine,
    pub(in crate::cli) config: DriverConfig,
    pub(in crate::cli) stop: Stop,
    pub(in crate::cli) signals: &'a Listener,
    pub(in crate::cli) color: Color,
    pub(in crate::cli) timestamps: bool,
    pub(in crate::cli) json: bool,
}

impl Supervisor<'_> {
    /// Runs allocations to their end.
    pub(in crate::cli) fn run(&self, allocs: &[Allocation], owned: Vec<Owned>) -> u8 {
        let faults = Faults::new(self.stop.clone());
        let watcher = self.watcher(allocs, &faults);
        let driver = self.driver();
        let pulls = self.pulls(&driver, &faults);
        let runner = Runner { driver: &driver, watcher: watcher.as_ref(), stop: &self.stop };
        let outcomes = runner.run(allocs, owned);
        driver.shutdown();
        drop(pulls);
        match exit_code(&outcomes) {
            _ if self.signals.forced() => FORCED,
            0 if faults.lost() => FAILED,
            code => code,
        }
    }

    /// Starts the tasks of allocations, and leaves them to themselves; once they are healthy, if `wait` says so.
    pub(in crate::cli) fn detach(
        &self,
        allocs: &[Allocation],
        owned: Vec<Owned>,
        wait: Option<Option<Instant>>,
    ) -> Result<u8, Failure> {
        let faults = Faults::new(self.stop.clone());
        let watcher = Quiet(self.watcher(allocs, &faults));
        let driver = self.driver();
        let pulls = self.pulls(&driver, &faults);
        let runner = Runner { driver: &driver, watcher: &watcher, stop: &self.stop };
        let healthy = wait.map(|until| Healthy { engine: &self.engine, until });
        let detached = runner.detach(allocs, owned, healthy);
        driver.shutdown();
        drop(pulls);
        match detached {
            Detached::Left { tasks, unhealthy, late } => {
                if !self.json {
                    let line = |(task, container): &(String, String)| {
                        format!("{} {}\n", printable(task), printable(container))
                    };
                    print(&tasks.iter().map(line).collect::<String>())?;
                }
                if late {
                    eprint(
                        "longshore: not all tasks were healthy in time; they run on, and `longshore recover` takes them up",
                    );
                }
                Ok(match (unhealthy, late) {
                    (true, _) => FAILED,
                    (false, true) => TIMED_OUT,
                    (false, false) => 0,
                })
            }
            Detached::Undone { .. } if self.signals.forced() => Ok(FORCED),
            Detached::Undone { failed: true, .. } => Ok(FAILED),
            Detached::Undone { outcomes, .. } => Ok(exit_code(&outcomes)),
        }
    }

    fn watcher(&self, allocs: &[Allocation], faults: &Faults) -> Box<dyn Watcher> {
        match self.json {
            true => Box::new(Json::new(faults.clone())),
            false => Box::new(Terminal::new(Look::new(self.color, self.timestamps, allocs), faults.clone())),
        }
    }

    /// Shows how far pulls are. Without a thread for that they are made all the same.
    fn pulls(&self, driver: &Driver, faults: &Faults) -> Option<Pulls> {
        let mode = if self.json { Mode::Json(faults.clone()) } else { Mode::of_standard_error() };
        Pulls::start(driver.pull_progress(), mode)
            .inspect_err(|error| log::warn!("no thread shows pulls: {error}"))
            .ok()
    }

    fn driver(&self) -> Driver {
        Driver::new(self.engine.clone(), self.config.clone())
    }
}

/// Shows what happens, and collects no output: that waits in the Engine for who takes the tasks up.
struct Quiet(Box<dyn Watcher>);

impl Watcher for Quiet {
    fn sinks(&self, _: &TaskConfig) -> Vec<Box<dyn Sink>> {
        Vec::new()
    }

    fn event(&self, event: &Event) {
        self.0.event(event);
    }
}

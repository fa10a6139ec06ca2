//! What is done once a task has ended, or was never started: the rest of its output is waited for, and what there may be of its
//! container is removed, as often as that must be tried.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use crate::driver::{self, Leftover};
use crate::threads::Backoff;

use crate::runner::Error;
use crate::runner::error::chain;
use crate::runner::journal::event::Happened;
use crate::runner::state::store::TaskRecord;
use crate::runner::supervise::run::Runner;
use crate::runner::supervise::task::{KILL_PATIENCE, ORDER_PAUSES, TaskThread};

/// How long a container that an unanswered create may still make is waited for before it is left on the books.
const LATE_PATIENCE: Duration = Duration::from_secs(3);

impl TaskThread<'_> {
    /// Waits for the rest of the task's output, for a reader may be slow; once we are asked to stop, not for long.
    pub(in crate::runner) fn drain(&self) {
        let id = &self.task.config.id;
        if let Err(source) = self.runner.driver.drain_task(id, self.runner.stop.asked()) {
            self.error(&self.failed("collect the rest of the output of", source));
        }
    }

    /// Waits for the rest of the task's output and removes its container, however often that must be tried. False: it is
    /// left, which has been told.
    pub(in crate::runner) fn destroy(&self) -> bool {
        self.drain();
        let Runner { driver, stop, .. } = self.runner;
        let id = &self.task.config.id;
        let lost = driver.output_lost(id);
        let done = self.until_done("remove the container of", || driver.destroy_task_under(id, false, stop.leave()));
        if done {
            // With its container went what the Engine still had of it.
            if lost.is_ok_and(|lost| lost.load(Ordering::Relaxed)) {
                self.owned.note_lost_output(self.number);
            }
            let TaskRecord { container_name, .. } = self.owned.task(self.number);
            stop.is_done_with(&container_name);
            self.save(|task| task.handle = None);
        }
        done
    }

    /// Removes what a failed start may have left. False: it may still be there, or yet come: it stays on the books.
    pub(in crate::runner) fn remove_leftover(&self) -> bool {
        let Runner { driver, stop, .. } = self.runner;
        let config = &self.task.config;
        let begun = Instant::now();
        let mut backoff = Backoff::new(ORDER_PAUSES.0, ORDER_PAUSES.1);
        let mut found = Leftover::Nothing;
        loop {
            let look = || {
                found = driver.remove_leftover(config, stop.leave())?;
                Ok(())
            };
            if !self.until_done("remove the container of", look) {
                return false;
            }
            if let Leftover::MayCome { until } = found {
                self.save(|task| task.container_may_come_until = task.container_may_come_until.max(Some(until)));
            }
            let record = self.owned.task(self.number);
            // The create may have been another process's, of which the driver knows nothing.
            if found == Leftover::Removed || !record.may_come(SystemTime::now()) {
                stop.is_done_with(&record.container_name);
                self.save(TaskRecord::is_clear);
                return true;
            }
            // Who asks for the end does not want to wait, nor does a run whose other tasks have ended.
            if begun.elapsed() >= LATE_PATIENCE || !stop.starts().sleep(backoff.next()) {
                self.save(|task| task.container_may_exist = true);
                return false;
            }
        }
    }

    /// Looks once more, at the end of a run, for what was left on the books: the driver may have removed it meanwhile. Says
    /// whether nothing is left.
    pub(in crate::runner) fn look_again(&self) -> bool {
        let Runner { driver, stop, .. } = self.runner;
        let record = self.owned.task(self.number);
        if !record.may_be_left() || record.container_may_come_until.is_none() || stop.is_asked() {
            return false;
        }
        let gone = match driver.remove_leftover(&self.task.config, stop.starts()) {
            Ok(Leftover::Removed) => true,
            Ok(Leftover::Nothing) => !record.may_come(SystemTime::now()),
            Ok(_) | Err(_) => false,
        };
        if gone {
            stop.is_done_with(&record.container_name);
            self.save(TaskRecord::is_clear);
        }
        gone
    }

    /// Does a thing again and again until it is done. False: the Engine refuses it for good, or we are to end at once.
    pub(in crate::runner) fn until_done(&self, verb: &str, mut act: impl FnMut() -> Result<(), driver::Error>) -> bool {
        let stop = self.runner.stop;
        let mut backoff = Backoff::new(ORDER_PAUSES.0, ORDER_PAUSES.1);
        let mut told = String::new();
        loop {
            let source = match act() {
                Ok(()) => return true,
                Err(driver::Error::GivenUp) => return false,
                Err(source) => source,
            };
            let is_final = is_refusal(&source);
            self.tell_once(&self.failed(verb, source), &mut told);
            let impatient = stop.killed_for().is_some_and(|since| since >= KILL_PATIENCE);
            if is_final || impatient || !stop.leave().sleep(backoff.next()) {
                return false;
            }
        }
    }

    /// Tells an error, but for one that was told last.
    pub(in crate::runner) fn tell_once(&self, error: &Error, told: &mut String) {
        let message = chain(error);
        if *told != message {
            self.error(error);
            *told = message;
        }
    }

    /// Tells what is left of the task.
    pub(in crate::runner) fn say_left(&self) {
        let record = self.owned.task(self.number);
        let name = &record.container_name;
        let message = match record.handle.is_none() && record.may_come(SystemTime::now()) {
            true => {
                format!(
                    "its container {name} may still be made: `longshore recover` or `longshore destroy` looks again"
                )
            }
            false => format!("its container {name} is left, or may be: `longshore ps` shows it"),
        };
        self.tell(Happened::Error { message, kind: "left_behind".into(), recoverable: true });
    }

    /// Waits for the rest of the task's output and leaves its container.
    pub(in crate::runner) fn release(&self) {
        self.drain();
        if let Err(source) = self.runner.driver.release_task(&self.task.config.id) {
            self.error(&self.failed("collect the rest of the output of", source));
        }
        self.runner.stop.is_done_with(&self.owned.task(self.number).container_name);
    }
}

/// Whether a removal is refused for good: by the Engine's own no, or because there is nothing of ours to remove.
fn is_refusal(error: &driver::Error) -> bool {
    match error {
        driver::Error::Remove { source, .. } | driver::Error::Inspect { source, .. } => {
            source.status().is_some_and(|status| (400..500).contains(&status))
                && !source.is_transient()
                && !source.is_conflict()
        }
        driver::Error::RemovalStuck { .. } => false,
        _ => true,
    }
}

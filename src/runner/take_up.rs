//! What is first to be done with a task that an earlier owner left: it runs on, or it has ended, was removed, waits for its
//! next start, or never began. Nobody knows where that owner stopped: each of its steps left a word in the state before it.

use std::time::{Duration, SystemTime};

use crate::driver::{self, ExitResult};

use super::events::Happened;
use super::outcome::End;
use super::restart::Policy;
use super::task_thread::{Last, Life, Next, TaskThread};

impl TaskThread<'_> {
    /// Takes the task up as its last owner left it. Err: nothing is to be done, or nothing can.
    pub(super) fn take_up(&self, life: &mut Life) -> Result<Next, Last> {
        let record = self.owned.task(self.number);
        match &record.last_exit {
            Some(result) => life.end = End::Exited(result.clone()),
            // It was tried, and never ran.
            None if record.ended && record.history.has_begun() => life.end = End::Failed,
            None => {}
        }
        let driver = self.runner.driver;
        let lost = |source| {
            self.error(&self.failed("take up", source));
            Last::Unreachable
        };
        let handle = match record.handle {
            Some(handle) => Some(handle),
            None if record.ended => return Err(Last::Before),
            // Its owner ended between a create and the next word in the state.
            None => driver.find_task(&self.task.config).map_err(lost)?,
        };
        let Some(handle) = handle else {
            // Created, and not started: a task that is not to be started again would leave it.
            driver.remove_unstarted(&self.task.config).map_err(lost)?;
            return Ok(record
                .restart_at
                .map_or(Next::Start, |at| Next::Pause(until(at, SystemTime::now(), &record.restart))));
        };
        // One whose end was judged already is only cleared away; its output has been shown.
        let sinks = if record.ended || record.restart_at.is_some() {
            Vec::new()
        } else {
            self.runner.watcher.sinks(&self.task.config)
        };
        match driver.recover_task_with(&handle, sinks) {
            Ok(()) => life.has_container = true,
            Err(driver::Error::Gone { .. }) if record.ended => {}
            Err(driver::Error::Gone { .. }) => {
                self.save(|task| task.handle = None);
                if let Some(at) = record.restart_at {
                    return Ok(Next::Pause(until(at, SystemTime::now(), &record.restart)));
                }
                let err = "its container was removed while nobody looked after it: its exit code is not known";
                let result = ExitResult { exit_code: -1, err: Some(err.to_owned()), ..ExitResult::default() };
                return Ok(Next::Ended(self.exited(result, life)));
            }
            Err(source) => return Err(lost(source)),
        }
        if record.ended {
            return Err(Last::Before);
        }
        let (container_id, container_name) = (handle.container_id.clone(), handle.container_name.clone());
        self.tell(Happened::Recovered { container_id, container_name });
        self.save(|task| task.handle = Some(handle));
        let exits = driver.wait_task(&self.task.config.id).map_err(lost)?;
        match record.restart_at {
            // Its end was judged already.
            Some(at) if life.end != End::NeverStarted => Ok(Next::Pause(until(at, SystemTime::now(), &record.restart))),
            _ => Ok(Next::Wait(exits)),
        }
    }
}

/// The time until a restart is due. Where the clock was set back since it was decided, no longer than the policy ever waits.
fn until(at: SystemTime, now: SystemTime, policy: &Policy) -> Duration {
    at.duration_since(now).unwrap_or_default().min(policy.delay.max(policy.interval))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_delays_no_restart() {
        let (delay, interval) = (Duration::from_secs(15), Duration::from_secs(60));
        let policy = Policy { attempts: 2, interval, delay, waits: true, on_success: true };
        let hour = Duration::from_secs(3600);
        let now = SystemTime::UNIX_EPOCH + 10 * hour;
        for (row, at, want) in [
            ("due", now, Duration::ZERO),
            ("overdue", now - hour, Duration::ZERO),
            ("soon", now + delay, delay),
            ("an hour later, by a clock that was set back", now + hour + delay, interval),
        ] {
            assert_eq!(until(at, now, &policy), want, "{row}");
        }
    }
}

//! What is first to be done with a task that an earlier owner left: it runs on, or it has ended, was removed, waits for its
//! next start, or never began. Nobody knows where that owner stopped: each of its steps left a word in the state before it.

use std::time::{Duration, SystemTime};

use crate::driver::{self, ExitResult};

use crate::runner::journal::event::Happened;
use crate::runner::place::restart::Policy;
use crate::runner::state::store::TaskRecord;
use crate::runner::supervise::outcome::End;
use crate::runner::supervise::task::{Last, Life, Next, TaskThread};

impl TaskThread<'_> {
    /// Takes the task up as its last owner left it. Err: nothing is to be done, or nothing can.
    pub(in crate::runner) fn take_up(&self, life: &mut Life) -> Result<Next, Last> {
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
        let handle = match record.handle.clone() {
            Some(handle) => Some(handle),
            None if record.ended => {
                life.may_exist = record.container_may_exist;
                return Err(Last::Before);
            }
            // Its owner ended between a create and the next word in the state.
            None => driver.find_task(&self.task.config).map_err(lost)?,
        };
        let Some(handle) = handle else {
            // Created, and not started: a task that is not to be started again would leave it.
            driver.remove_unstarted(&self.task.config).map_err(lost)?;
            return Ok(left_of_pause(&record).map_or(Next::Start, Next::Pause));
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
                if let Some(left) = left_of_pause(&record) {
                    return Ok(Next::Pause(left));
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
        self.runner.stop.may_exist(&container_name);
        self.tell(Happened::Recovered { container_id, container_name });
        self.save(|task| task.handle = Some(handle));
        let exits = driver.wait_task(&self.task.config.id).map_err(lost)?;
        match left_of_pause(&record) {
            // Its end was judged already.
            Some(left) if life.end != End::NeverStarted => Ok(Next::Pause(left)),
            _ => Ok(Next::Wait(exits)),
        }
    }
}

/// What is left of a pause before a restart. `None`: none was decided.
fn left_of_pause(record: &TaskRecord) -> Option<Duration> {
    let TaskRecord { restart_at, restart_after, restart, .. } = record;
    restart_at.map(|at| until(at, SystemTime::now(), *restart_after, restart))
}

/// The time until a restart is due. Where the clock was set back since it was decided, no longer than was decided: `after`,
/// and where that was not written down, what the policy waits at most.
fn until(at: SystemTime, now: SystemTime, after: Option<Duration>, policy: &Policy) -> Duration {
    let longest = if policy.waits { policy.delay.max(policy.interval) } else { policy.delay };
    at.duration_since(now).unwrap_or_default().min(after.unwrap_or(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_delays_no_restart() {
        let (delay, interval) = (Duration::from_secs(15), Duration::from_secs(60));
        let policy = |waits| Policy { attempts: 2, interval, delay, waits, on_success: true };
        let hour = Duration::from_secs(3600);
        let now = SystemTime::UNIX_EPOCH + 10 * hour;
        let set_back = now + hour + delay;
        for (row, at, after, waits, want) in [
            ("due", now, Some(delay), true, Duration::ZERO),
            ("overdue", now - hour, Some(delay), true, Duration::ZERO),
            ("soon", now + delay / 2, Some(delay), false, delay / 2),
            ("a clock that was set back an hour", set_back, Some(delay), false, delay),
            ("the same, and attempts that are used up mean a pause", set_back, Some(delay), true, delay),
            ("a pause to the end of the window", set_back, Some(interval - delay), true, interval - delay),
            ("by an earlier version", set_back, None, false, delay),
            ("by an earlier version, until the end of the window", set_back, None, true, interval),
        ] {
            let policy = policy(waits);
            assert_eq!(until(at, now, after, &policy), want, "{row}");
        }
    }
}

//! Whether a task that ended is started again, and when: Nomad's restart policy as a function of the history.
//! No clock, no sleep, no I/O. A window of `interval` begins with the first start, and again with the first start after
//! the window is over; `attempts` restarts fit in each. The restart that begins a window is not one of its attempts, as
//! in Nomad. Nomad adds up to a quarter to `delay` so that a cluster's tasks do not start together; one machine needs
//! none of that, and a pause that is the same each time can be tested.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::job::{JobType, RestartMode, RestartPolicy};

/// What a task's job says of restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Restarts within one interval.
    pub attempts: u32,
    /// How long a window is.
    pub interval: Duration,
    /// The pause before each restart.
    pub delay: Duration,
    /// Whether used-up attempts mean a pause until the window is over (`true`) or the end (`false`).
    pub waits: bool,
    /// Whether a successful end is restarted too: so for a service, not for a batch job.
    pub on_success: bool,
}

impl Policy {
    /// The policy of a task in a job of this type.
    pub fn new(policy: &RestartPolicy, kind: JobType) -> Self {
        Self {
            attempts: policy.attempts,
            interval: policy.interval,
            delay: policy.delay,
            waits: policy.mode == RestartMode::Delay,
            on_success: matches!(kind, JobType::Service | JobType::System),
        }
    }
}

/// When a task was started: the first start of the present window and every one since. Oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct History {
    starts: Vec<SystemTime>,
}

impl History {
    /// Notes a start at `now`. One that comes after the window's end begins a new window, and the old one is forgotten:
    /// the history never holds more than one window.
    pub fn record(&mut self, now: SystemTime, policy: &Policy) {
        if self.left(now, policy).is_none() {
            self.starts.clear();
        }
        self.starts.push(now);
    }

    /// Whether there was a start at all.
    pub fn has_begun(&self) -> bool {
        !self.starts.is_empty()
    }

    /// Restarts within the present window.
    pub fn restarts(&self) -> u32 {
        u32::try_from(self.starts.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// What is left of the window at `now`; `None`: it is over, or none has begun. A clock that was set back makes a
    /// window no longer than it ever was.
    fn left(&self, now: SystemTime, policy: &Policy) -> Option<Duration> {
        let begun = self.starts.first()?;
        let age = now.duration_since(*begun).unwrap_or(Duration::ZERO);
        policy.interval.checked_sub(age).filter(|left| !left.is_zero())
    }
}

/// How a try of a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It ran and ended.
    Exited {
        /// With code 0, and nothing went wrong beside it.
        successful: bool,
    },
    /// It did not start.
    StartFailed {
        /// Whether the same start may succeed later.
        recoverable: bool,
    },
}

/// What to do with a task that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Start it again after a pause.
    Restart {
        /// The pause.
        after: Duration,
    },
    /// It stays as it is.
    Stop {
        /// Why.
        reason: StopReason,
    },
}

/// Why a task is not started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// It did what it should, and its job is of a type that ends.
    Complete,
    /// The start would fail again.
    NotRecoverable,
    /// Its policy has no restarts.
    NoAttempts,
    /// Its restarts within the interval are used up.
    Exhausted {
        /// How many it had.
        attempts: u32,
        /// Within which time.
        interval: Duration,
    },
}

impl StopReason {
    /// The reason as one word, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::NotRecoverable => "not_recoverable",
            Self::NoAttempts => "no_attempts",
            Self::Exhausted { .. } => "exhausted",
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => f.write_str("its work is done"),
            Self::NotRecoverable => f.write_str("the start would fail again"),
            Self::NoAttempts => f.write_str("its restart policy has no attempts"),
            Self::Exhausted { attempts, interval } => {
                write!(f, "its {attempts} restarts in {} s are used up", interval.as_secs_f64())
            }
        }
    }
}

/// What becomes of a task that ended at `now` after the starts of `history` (the one that just ended included).
pub fn decide(policy: &Policy, history: &History, now: SystemTime, ending: Ending) -> Decision {
    match ending {
        Ending::StartFailed { recoverable: false } => return stop(StopReason::NotRecoverable),
        Ending::Exited { successful: true } if !policy.on_success => return stop(StopReason::Complete),
        _ => {}
    }
    if policy.attempts == 0 {
        return stop(StopReason::NoAttempts);
    }
    match history.left(now, policy) {
        Some(left) if history.restarts() >= policy.attempts => {
            if policy.waits {
                return Decision::Restart { after: left.max(policy.delay) };
            }
            stop(StopReason::Exhausted { attempts: policy.attempts, interval: policy.interval })
        }
        _ => Decision::Restart { after: policy.delay },
    }
}

fn stop(reason: StopReason) -> Decision {
    Decision::Stop { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: Ending = Ending::Exited { successful: true };
    const FAILED: Ending = Ending::Exited { successful: false };
    const LATER: Ending = Ending::StartFailed { recoverable: true };
    const NEVER: Ending = Ending::StartFailed { recoverable: false };

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + seconds(1_000_000 + second)
    }

    fn policy(attempts: u32, waits: bool, on_success: bool) -> Policy {
        Policy { attempts, interval: seconds(100), delay: seconds(15), waits, on_success }
    }

    fn again(after: u64) -> Decision {
        Decision::Restart { after: seconds(after) }
    }

    #[test]
    fn decisions() {
        let (service, batch) = (policy(2, false, true), policy(2, false, false));
        let (waiting, none) = (policy(2, true, true), policy(0, false, true));
        let used_up = stop(StopReason::Exhausted { attempts: 2, interval: seconds(100) });
        // row, policy, starts (s), now (s), ending, decision
        type Row<'a> = (&'a str, Policy, &'a [u64], u64, Ending, Decision);
        let rows: &[Row<'_>] = &[
            ("a service restarts after code 0", service, &[0], 1, OK, again(15)),
            ("a service restarts after a failure", service, &[0], 1, FAILED, again(15)),
            ("a batch job ends with code 0", batch, &[0], 1, OK, stop(StopReason::Complete)),
            ("a batch job restarts after a failure", batch, &[0], 1, FAILED, again(15)),
            ("the second attempt", service, &[0, 16], 20, FAILED, again(15)),
            ("no third within the interval", service, &[0, 16, 35], 40, FAILED, used_up),
            ("nor after code 0", service, &[0, 16, 35], 40, OK, used_up),
            ("used up to the last second", service, &[0, 16, 35], 99, FAILED, used_up),
            ("the interval is over", service, &[0, 16, 35], 100, FAILED, again(15)),
            ("a long life is a new interval", service, &[0, 16, 35], 5000, FAILED, again(15)),
            ("delay: until the interval is over", waiting, &[0, 16, 35], 40, FAILED, again(60)),
            ("delay: never sooner than the delay", waiting, &[0, 16, 35], 95, FAILED, again(15)),
            ("delay: attempts left", waiting, &[0], 40, FAILED, again(15)),
            ("a start that may work later is an attempt", service, &[0], 0, LATER, again(15)),
            ("and uses them up", service, &[0, 16, 35], 35, LATER, used_up),
            ("for a batch job too", batch, &[0], 0, LATER, again(15)),
            ("a start that cannot work ends it", service, &[0], 0, NEVER, stop(StopReason::NotRecoverable)),
            ("even with delay", waiting, &[0], 0, NEVER, stop(StopReason::NotRecoverable)),
            ("no attempts at all", none, &[0], 1, FAILED, stop(StopReason::NoAttempts)),
            ("none after an interval either", none, &[0], 500, OK, stop(StopReason::NoAttempts)),
            ("the clock was set back", waiting, &[50, 66, 85], 0, FAILED, again(100)),
            ("no history is a new window", service, &[], 0, FAILED, again(15)),
        ];
        for (row, policy, starts, now, ending, want) in rows {
            let history = History { starts: starts.iter().map(|s| at(*s)).collect() };
            assert_eq!(decide(policy, &history, at(*now), *ending), *want, "{row}");
        }
    }

    #[test]
    fn a_failing_task_gets_its_attempts_per_window() {
        // Each try lasts 1 s. Window one: starts at 0, 16, 32; the third end uses the attempts up.
        let run = |policy: Policy| {
            let (mut history, mut now, mut starts) = (History::default(), 0, Vec::new());
            while starts.len() < 7 {
                history.record(at(now), &policy);
                starts.push(now);
                now += 1;
                match decide(&policy, &history, at(now), FAILED) {
                    Decision::Restart { after } => now += after.as_secs(),
                    Decision::Stop { .. } => break,
                }
            }
            starts
        };
        assert_eq!(run(policy(2, false, true)), [0, 16, 32]);
        assert_eq!(run(policy(2, true, true)), [0, 16, 32, 100, 116, 132, 200]);
    }

    #[test]
    fn the_history_holds_one_window() {
        let mut history = History::default();
        for second in 0..1000 {
            history.record(at(second), &policy(2, true, true));
        }
        assert_eq!(history.starts.len(), 100);
    }

    #[test]
    fn types_of_job() {
        let given = RestartPolicy { attempts: 1, interval: seconds(2), delay: seconds(3), mode: RestartMode::Delay };
        for (kind, on_success) in
            [(JobType::Service, true), (JobType::System, true), (JobType::Batch, false), (JobType::SysBatch, false)]
        {
            let want = Policy { attempts: 1, interval: seconds(2), delay: seconds(3), waits: true, on_success };
            assert_eq!(Policy::new(&given, kind), want, "{kind:?}");
        }
    }
}

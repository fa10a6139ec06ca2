//! A restart policy: what it says goes over what it would be without it, field by field. The whole must be one that Nomad's
//! server takes: one whose window is over before its attempts are used up would never run out.

use std::time::Duration;

use super::super::model::{RestartMode, RestartPolicy};
use super::super::names::RESTART;
use super::super::problem::shown;
use super::super::tree::{Body, Value};
use super::Reading;
use crate::values::duration;

/// Nomad's least interval.
const LEAST_INTERVAL: Duration = Duration::from_secs(5);

/// Where a block says what it says.
#[derive(Default)]
struct Places {
    attempts: Option<usize>,
    interval: Option<usize>,
    delay: Option<usize>,
    mode: Option<usize>,
}

impl Reading {
    pub(super) fn restart(&mut self, body: &Body, under: RestartPolicy) -> RestartPolicy {
        let before = self.faults.len();
        let mut policy = under;
        let mut places = Places::default();
        for part in self.walk(&RESTART, body) {
            let Some(value) = part.attribute() else { continue };
            match part.name {
                "attempts" => {
                    places.attempts = Some(value.at);
                    policy.attempts = self.natural(part.name, value).unwrap_or(policy.attempts);
                }
                "interval" => {
                    places.interval = Some(value.at);
                    policy.interval = self.duration(part.name, value).unwrap_or(policy.interval);
                }
                "delay" => {
                    places.delay = Some(value.at);
                    policy.delay = self.duration(part.name, value).unwrap_or(policy.delay);
                }
                "mode" => {
                    places.mode = Some(value.at);
                    policy.mode = self.mode(value).unwrap_or(policy.mode);
                }
                _ => {}
            }
        }
        // What could not be read would be judged by what it is not.
        if self.faults.len() == before {
            self.policy(&policy, &places);
        }
        policy
    }

    /// Nomad's checks of the whole. What a block has from its group alone is told there.
    fn policy(&mut self, policy: &RestartPolicy, places: &Places) {
        let RestartPolicy { attempts, interval, delay, mode } = *policy;
        if let (RestartMode::Delay, 0, Some(at)) = (mode, attempts, places.mode.or(places.attempts)) {
            self.fault(at, "`mode = \"delay\"` with no `attempts` says nothing: no restart is ever due");
        }
        if interval < LEAST_INTERVAL {
            if let Some(at) = places.interval {
                let [interval, least] = [interval, LEAST_INTERVAL].map(duration::format);
                self.fault(at, format!("`interval` must be at least {least}, not {interval}"));
            }
        } else if delay.checked_mul(attempts).is_none_or(|all| all > interval)
            && let Some(at) = places.attempts.or(places.delay).or(places.interval)
        {
            let [interval, delay] = [interval, delay].map(duration::format);
            self.fault(
                at,
                format!("{attempts} restarts with a `delay` of {delay} before each do not fit in an `interval` of {interval}"),
            );
        }
    }

    fn mode(&mut self, value: &Value) -> Option<RestartMode> {
        match self.text("mode", value)?.as_str() {
            "fail" => Some(RestartMode::Fail),
            "delay" => Some(RestartMode::Delay),
            other => {
                self.fault(value.at, format!("no restart mode is called {}: fail or delay", shown(other)));
                None
            }
        }
    }
}

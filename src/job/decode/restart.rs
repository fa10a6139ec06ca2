//! A restart policy: what it says goes over what it would be without it, field by field.

use super::super::model::{RestartMode, RestartPolicy};
use super::super::names::RESTART;
use super::super::problem::shown;
use super::super::tree::{Body, Value};
use super::Reading;

impl Reading {
    pub(super) fn restart(&mut self, body: &Body, under: RestartPolicy) -> RestartPolicy {
        let mut policy = under;
        let mut mode_at = None;
        for part in self.walk(&RESTART, body) {
            let Some(value) = part.attribute() else { continue };
            match part.name {
                "attempts" => policy.attempts = self.natural(part.name, value).unwrap_or(policy.attempts),
                "interval" => policy.interval = self.duration(part.name, value).unwrap_or(policy.interval),
                "delay" => policy.delay = self.duration(part.name, value).unwrap_or(policy.delay),
                "mode" => {
                    mode_at = Some(value.at);
                    policy.mode = self.mode(value).unwrap_or(policy.mode);
                }
                _ => {}
            }
        }
        if let (RestartMode::Delay, 0, Some(at)) = (policy.mode, policy.attempts, mode_at) {
            self.fault(at, "`mode = \"delay\"` with no `attempts` says nothing: no restart is ever due");
        }
        policy
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

//! How much of a task's output is kept. What is disabled is checked all the same, as in Nomad.

use super::super::model::TaskLogs;
use super::super::names::LOGS;
use super::super::tree::{Body, Value};
use super::Reading;

impl Reading {
    pub(super) fn logs(&mut self, body: &Body) -> TaskLogs {
        let mut logs = TaskLogs::default();
        for part in self.walk(&LOGS, body) {
            let Some(value) = part.attribute() else { continue };
            match part.name {
                "max_files" => logs.max_files = self.at_least_one(part.name, "", value).unwrap_or(logs.max_files),
                "max_file_size" => {
                    logs.max_file_size = self.at_least_one(part.name, " (MB)", value).unwrap_or(logs.max_file_size);
                }
                // Nomad 1.5.0 to 1.5.3 knew `enabled` alone. Where both stand, the one that switches off counts.
                "disabled" => logs.disabled |= self.take(part.name, value.boolean()).unwrap_or_default(),
                "enabled" => logs.disabled |= !self.take(part.name, value.boolean()).unwrap_or(true),
                _ => {}
            }
        }
        logs
    }

    fn at_least_one(&mut self, name: &str, unit: &str, value: &Value) -> Option<u32> {
        let number = self.take(name, value.integer())?;
        if number < 1 {
            self.fault(value.at, format!("`{name}` must be at least 1{unit}"));
            return None;
        }
        self.natural(name, value)
    }
}

//! A task, and its resources. Of a task of another driver only what is wrong in itself is reported: it is not run here.

use std::time::Duration;

use super::super::model::{RestartPolicy, Task, TaskLogs, TaskResources};
use super::super::names::{RESOURCES, TASK};
use super::super::position::{Place, Positions};
use super::super::problem::shown;
use super::super::tree::{Body, Key, Value};
use super::Reading;
use crate::values::Signal;

/// Nomad's least memory of a task, in MB.
const LEAST_MEMORY: i64 = 10;

/// Whose the name of a task's directory would be, where it is taken: beside the tasks' directories lie the shared one and the
/// allocation's events, with those before them.
pub(crate) fn reserved(name: &str) -> Option<&'static str> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match name.strip_prefix("events.jsonl") {
        Some(rest) if rest.is_empty() || rest.strip_prefix('.').is_some_and(is_number) => {
            Some("the file of the allocation's events")
        }
        _ if name == "alloc" => Some("the directory that the tasks of a group share"),
        _ => None,
    }
}

impl Reading {
    /// The task; and where it is said to be its group's leader.
    pub(super) fn task(
        &mut self,
        label: &Key,
        body: &Body,
        at: usize,
        restart: RestartPolicy,
    ) -> (Task, Option<usize>) {
        let before = self.faults.len();
        self.directory_name(label);
        let mut task = Task {
            name: label.text.clone(),
            driver: String::new(),
            user: String::new(),
            config: serde_json::Value::Object(Default::default()),
            positions: Positions::default(),
            env: Default::default(),
            meta: Default::default(),
            resources: TaskResources::default(),
            kill_signal: None,
            kill_timeout: Duration::from_secs(5),
            restart,
            logs: TaskLogs::default(),
        };
        let mut place = Place { at, ..Place::default() };
        let mut leader = None;
        let mut driver_failed = false;
        let found = self.walk(&TASK, body);
        for part in &found {
            match (part.name, part.attribute(), part.block()) {
                ("driver", Some(value), _) => {
                    let said = self.text(part.name, value);
                    driver_failed = said.is_none();
                    task.driver = said.unwrap_or_default();
                }
                ("user", Some(value), _) => task.user = self.text(part.name, value).unwrap_or_default(),
                ("kill_signal", Some(value), _) => task.kill_signal = self.kill_signal(value),
                ("kill_timeout", Some(value), _) => {
                    task.kill_timeout = self.duration(part.name, value).unwrap_or(task.kill_timeout);
                }
                ("leader", Some(value), _) => {
                    leader = self.take(part.name, value.boolean()).and_then(|leads| leads.then_some(part.at));
                }
                ("shutdown_delay", Some(value), _) => self.shutdown_delay(value),
                ("resources", _, Some(body)) => task.resources = self.resources(body),
                ("restart", _, Some(body)) => task.restart = self.restart(body, restart),
                ("logs", _, Some(body)) => task.logs = self.logs(body),
                ("env", ..) => self.text_map(part, &mut task.env),
                ("meta", ..) => self.text_map(part, &mut task.meta),
                _ => {}
            }
        }
        let mut configs = found.iter().filter(|part| part.name == "config");
        if let Some(part) = configs.next() {
            (task.config, place) = self.config(part);
        }
        if let Some(second) = configs.next() {
            self.fault(second.at, "a second `config` in `task`: one is enough");
        }
        if task.driver.is_empty() && !driver_failed {
            self.fault(at, "the task names no driver: write `driver = \"docker\"`");
        }
        if !task.driver.is_empty() && task.driver != "docker" {
            self.forgive(before);
        }
        task.positions = Positions::new(self.source.clone(), place);
        (task, leader)
    }

    /// A task's name is the name of its directory too.
    fn directory_name(&mut self, label: &Key) {
        let name = &label.text;
        let wrong = if name.contains(['/', '\\']) {
            "has a slash in it, and it is the name of the task's directory too"
        } else if name == "." || name == ".." {
            "cannot be the name of the task's directory"
        } else if let Some(what) = reserved(name) {
            &format!("is the name of {what}: call the task otherwise")
        } else if name.len() > 128 {
            "is longer than 128 bytes"
        } else {
            return;
        };
        self.fault(label.at, format!("the task's name {} {wrong}", shown(name)));
    }

    fn kill_signal(&mut self, value: &Value) -> Option<String> {
        let text = self.text("kill_signal", value).filter(|text| !text.is_empty())?;
        // What is not known before the task is placed cannot be checked here.
        if !text.contains("${")
            && let Err(e) = text.parse::<Signal>()
        {
            self.fault(value.at, format!("`kill_signal`: {e}"));
        }
        Some(text)
    }

    fn resources(&mut self, body: &Body) -> TaskResources {
        let mut resources = TaskResources::default();
        let mut most_at = None;
        for part in self.walk(&RESOURCES, body) {
            let Some(value) = part.attribute() else { continue };
            let Some(number) = self.take(part.name, value.integer()) else { continue };
            match part.name {
                "cpu" if number < 1 => self.fault(value.at, "`cpu` must be at least 1 (MHz)"),
                "cpu" => resources.cpu = number,
                "memory" if number < LEAST_MEMORY => {
                    self.fault(value.at, format!("`memory` must be at least {LEAST_MEMORY} (MB)"));
                }
                "memory" => resources.memory = number,
                "memory_max" if number < -1 => {
                    self.fault(value.at, "`memory_max` must not be below zero; -1 is no limit");
                }
                "memory_max" => {
                    resources.memory_max = number;
                    most_at = Some(value.at);
                }
                "cores" if number < 0 => self.fault(value.at, "`cores` must not be below zero"),
                "cores" if number > 0 => self.not_yet(part.at, "`cores` is"),
                _ => {}
            }
        }
        match most_at {
            Some(at) if resources.memory_max > 0 && resources.memory_max < resources.memory => {
                let TaskResources { memory, memory_max, .. } = resources;
                self.fault(at, format!("`memory_max` ({memory_max}) is less than `memory` ({memory})"));
            }
            _ => {}
        }
        resources
    }
}

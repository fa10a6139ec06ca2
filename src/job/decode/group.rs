//! A group, and a task that is a group of its own.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::model::{Group, JobType, RestartPolicy};
use super::super::names::GROUP;
use super::super::tree::{Body, Key, Value};
use super::Reading;

/// More allocations of a group than an Engine can hold: a bridge ends at about as many containers.
const MOST_ALLOCATIONS: u32 = 1000;

impl Reading {
    pub(super) fn group(&mut self, label: &Key, body: &Body, at: usize, kind: JobType) -> Group {
        let before = self.faults.len();
        let found = self.walk(&GROUP, body);
        let mut group = Group { name: label.text.clone(), count: 1, meta: Default::default(), tasks: vec![] };
        let mut restart = RestartPolicy::of(kind);
        // The restart policy first, wherever it stands: the tasks' own go over it.
        for part in &found {
            match (part.name, part.attribute(), part.block()) {
                ("count", Some(value), _) => group.count = self.count(value, kind).unwrap_or(1),
                ("shutdown_delay", Some(value), _) => self.shutdown_delay(value),
                ("restart", _, Some(body)) => restart = self.restart(body, restart),
                ("meta", ..) => self.text_map(part, &mut group.meta),
                _ => {}
            }
        }
        let mut names = BTreeSet::new();
        let mut leader = None;
        for part in found.iter().filter(|part| part.name == "task") {
            let Some((label, body)) = part.labelled() else { continue };
            self.unique("task", label, &mut names);
            let (task, leads) = self.task(label, body, part.at, restart);
            leader = leader.or(leads);
            group.tasks.push(task);
        }
        let run_here = group.tasks.iter().filter(|task| task.driver == "docker" || task.driver.is_empty()).count();
        match leader {
            Some(at) if run_here > 1 => self.not_yet(at, "`leader` in a group of several tasks is"),
            _ => {}
        }
        if !body.entries.iter().any(|entry| entry.key == "task") {
            self.fault(at, "the group has no `task`, so there is nothing to run");
        } else if run_here == 0 {
            self.forgive(before);
        }
        group
    }

    /// A task directly in the job.
    pub(super) fn lone_task(&mut self, label: &Key, body: &Body, at: usize, kind: JobType) -> Group {
        let (task, _) = self.task(label, body, at, RestartPolicy::of(kind));
        Group { name: label.text.clone(), count: 1, meta: Default::default(), tasks: vec![task] }
    }

    fn count(&mut self, value: &Value, kind: JobType) -> Option<u32> {
        let count = self.natural("count", value)?;
        if count > MOST_ALLOCATIONS {
            self.fault(value.at, format!("`count` is at most {MOST_ALLOCATIONS} here: one machine runs them all"));
        }
        if count > 1 && kind == JobType::System {
            self.fault(value.at, "`count` is at most 1 in a system job: it has one allocation on every machine");
        }
        Some(count)
    }

    pub(super) fn shutdown_delay(&mut self, value: &Value) {
        if self.duration("shutdown_delay", value).is_some_and(|delay| delay > Duration::ZERO) {
            self.not_yet(value.at, "`shutdown_delay` is");
        }
    }
}

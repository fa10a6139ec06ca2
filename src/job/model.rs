//! A job as it is to be run: Nomad's words, its defaults filled in, its durations and numbers in their types.
//! `${…}` of the runtime pass still stand in it ([`super::interpolate`]); tasks of other drivers are in it too, for the caller to name and skip.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::position::Positions;
use super::problem::Problem;

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its id: the block's label, unless the job says another.
    pub id: String,
    /// Its name: the id, unless the job says another.
    pub name: String,
    /// What sort of job it is.
    pub kind: JobType,
    /// Its namespace; `default` where the job names none.
    pub namespace: String,
    /// Its region; `global` where the job names none.
    pub region: String,
    /// Its datacenters as written; `*` where the job names none.
    pub datacenters: Vec<String>,
    /// The job's own metadata.
    pub meta: BTreeMap<String, String>,
    /// Its groups, at least one, in the order of the file. A task directly in the job is a group of its own, of the task's name.
    pub groups: Vec<Group>,
    /// What the file says that has no effect here, and where; in the order of the file.
    pub notices: Vec<Problem>,
}

/// What sort of job it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobType {
    /// Runs until it is stopped.
    #[default]
    Service,
    /// Runs until it is done.
    Batch,
    /// One on every machine: here one.
    System,
    /// A batch on every machine: here one.
    SysBatch,
}

impl JobType {
    /// The names a job file has for them, with what they mean.
    pub const NAMES: [(&'static str, JobType); 4] =
        [("service", Self::Service), ("batch", Self::Batch), ("system", Self::System), ("sysbatch", Self::SysBatch)];
}

impl fmt::Display for JobType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(Self::NAMES.iter().find(|(_, kind)| kind == self).map_or("", |(name, _)| name))
    }
}

/// A group: tasks that are placed together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Its name, unique within the job.
    pub name: String,
    /// How many allocations of it; 0: none.
    pub count: u32,
    /// The group's own metadata.
    pub meta: BTreeMap<String, String>,
    /// Its tasks, at least one, in the order of the file.
    pub tasks: Vec<Task>,
}

/// A task. `Debug` shows the names of its variables and options, not their values, for those may be secrets.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its name, unique within the group and fit for a directory's.
    pub name: String,
    /// The driver that runs it. Only `docker` runs here.
    pub driver: String,
    /// The user within the container; empty: the image's.
    pub user: String,
    /// The driver's options as JSON: always an object. A block that stands there once is an object, one that is repeated an array of objects.
    pub config: serde_json::Value,
    /// Where those options stand in the file.
    #[serde(skip)]
    pub positions: Positions,
    /// The task's environment.
    pub env: BTreeMap<String, String>,
    /// The task's own metadata.
    pub meta: BTreeMap<String, String>,
    /// What it may use of the machine.
    pub resources: TaskResources,
    /// The signal that asks it to stop: one that [`crate::values::Signal`] reads, or a text with `${…}` in it. `None`: SIGTERM.
    pub kill_signal: Option<String>,
    /// How long it may take to stop before it is killed.
    pub kill_timeout: Duration,
    /// When it is started again.
    pub restart: RestartPolicy,
    /// How much of its output is kept.
    pub logs: TaskLogs,
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options: Vec<&String> = self.config.as_object().into_iter().flat_map(|options| options.keys()).collect();
        f.debug_struct("Task")
            .field("name", &self.name)
            .field("driver", &self.driver)
            .field("user", &self.user)
            .field("config", &options)
            .field("env", &self.env.keys())
            .field("meta", &self.meta)
            .field("resources", &self.resources)
            .field("kill_signal", &self.kill_signal)
            .field("kill_timeout", &self.kill_timeout)
            .field("restart", &self.restart)
            .field("logs", &self.logs)
            .finish_non_exhaustive()
    }
}

/// What a task may use of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskResources {
    /// CPU, in MHz.
    pub cpu: i64,
    /// Memory, in MB (2^20 bytes).
    pub memory: i64,
    /// The most memory, in MB; 0: `memory`; -1: no limit.
    pub memory_max: i64,
}

impl Default for TaskResources {
    /// Nomad's: 100 MHz, 300 MB.
    fn default() -> Self {
        Self { cpu: 100, memory: 300, memory_max: 0 }
    }
}

/// How much of a task's output is kept: files that are begun anew when they are full, for each stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskLogs {
    /// How many files, at least one.
    pub max_files: u32,
    /// How large each may become, in MB (2^20 bytes), at least one.
    pub max_file_size: u32,
    /// Whether no output is kept at all.
    pub disabled: bool,
}

impl Default for TaskLogs {
    /// Nomad's: 10 files of 10 MB.
    fn default() -> Self {
        Self { max_files: 10, max_file_size: 10, disabled: false }
    }
}

/// When a task is started again. In a job file, `interval` is at least 5 s and has room for `attempts` delays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartPolicy {
    /// How many restarts within `interval`.
    pub attempts: u32,
    /// The time within which restarts are counted.
    pub interval: Duration,
    /// How long before a restart.
    pub delay: Duration,
    /// What happens when the attempts are used up.
    pub mode: RestartMode,
}

impl RestartPolicy {
    /// Nomad's default for a sort of job: service and system 2 in 30 minutes, batch and sysbatch 3 in 24 hours; 15 s apart, then fail.
    pub fn of(kind: JobType) -> Self {
        let (attempts, minutes) = match kind {
            JobType::Service | JobType::System => (2, 30),
            JobType::Batch | JobType::SysBatch => (3, 24 * 60),
        };
        Self {
            attempts,
            interval: Duration::from_secs(minutes * 60),
            delay: Duration::from_secs(15),
            mode: RestartMode::Fail,
        }
    }
}

/// What happens when the attempts of a restart policy are used up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RestartMode {
    /// The task has failed.
    #[default]
    Fail,
    /// The task waits for the rest of the interval and is started again.
    Delay,
}

#[cfg(test)]
mod tests {
    #[test]
    fn debug_shows_no_value_that_may_be_a_secret() {
        let text = "job \"j\" {\n group \"g\" {\n task \"t\" {\n driver = \"docker\"\n config {\n image = \"a:1\"\n args = [\"hunter2\"]\n }\n \
                    env {\n DB_PASSWORD = \"hunter2\"\n }\n }\n }\n}\n";
        let shown = format!("{:?}", super::super::parse("f", text).expect("a job"));
        assert!(shown.contains("DB_PASSWORD") && shown.contains("args") && !shown.contains("hunter2"), "{shown}");
    }
}

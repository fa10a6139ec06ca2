//! From a job to what runs here: one allocation per group and count, and in each the tasks as the driver takes them.
//! Pure but for the ids, which the caller gives. Directories and the Engine come later.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::driver::{LinuxResources, NomadResources, Resources, TaskConfig};
use crate::job::{Group, Job, JobType, Task, TaskResources};
use crate::values::Signal;

use super::dirs::check_task_name;
use super::env::{self, Place, Values};
use super::machine::Machine;
use super::restart::Policy;
use super::{DataDir, Error, ids};

/// The only driver whose tasks run here.
const DRIVER: &str = "docker";
/// Bytes of Nomad's MB.
const MB: i64 = 1 << 20;

/// Which part of a job is meant, and under which id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only these groups; empty: all.
    pub groups: Vec<String>,
    /// Only these tasks; empty: all.
    pub tasks: Vec<String>,
    /// The id of the one allocation.
    pub alloc_id: Option<String>,
}

/// A job placed on this machine.
#[derive(Debug, Clone, Default)]
pub struct Placement {
    /// What is to run: by the order of groups in the file, then by index.
    pub allocs: Vec<Allocation>,
    /// What the person should know, a line each.
    pub notices: Vec<String>,
}

/// A group of tasks that run together.
#[derive(Debug, Clone)]
pub struct Allocation {
    /// Its id.
    pub id: String,
    /// The job's id.
    pub job_id: String,
    /// The group's name.
    pub group: String,
    /// Its number within the group, from 0.
    pub index: u32,
    /// Its tasks, in the order of the file.
    pub tasks: Vec<PlacedTask>,
}

/// A task ready for the driver, with what else its job says of it.
#[derive(Debug, Clone)]
pub struct PlacedTask {
    /// The task, with every name replaced.
    pub config: TaskConfig,
    /// Where it stands in the file: the number of its group, and its own within the group.
    pub order: (usize, usize),
    /// What it is sent when it is to stop; `None`: the image's own signal.
    pub kill_signal: Option<Signal>,
    /// How long it then has.
    pub kill_timeout: Duration,
    /// When it is started again.
    pub restart: Policy,
}

/// Places a job. `new_id` makes an allocation's id from its group's name and its index; it is not asked where the selection names one.
///
/// # Errors
/// The selection names what the job has not, or gives one id for several allocations; a task that cannot be placed.
pub fn place(
    job: &Job,
    selection: &Selection,
    machine: &Machine,
    data: &DataDir,
    new_id: &mut dyn FnMut(&str, u32) -> io::Result<String>,
) -> Result<Placement, Error> {
    check_selection(job, selection)?;
    let mut notices = Vec::new();
    let mut chosen = Vec::new();
    for (number, group) in job.groups.iter().enumerate() {
        if !selection.groups.is_empty() && !selection.groups.contains(&group.name) {
            continue;
        }
        let tasks = docker_tasks(group, selection, &mut notices);
        if !tasks.is_empty() {
            chosen.extend((0..count(job, group)).map(|index| (number, group, index, tasks.clone())));
        }
    }
    if selection.alloc_id.is_some() && chosen.len() > 1 {
        let why = format!("--alloc-id names one allocation, and the job has {}; choose one with --group", chosen.len());
        return Err(Error::Choice { why });
    }
    let mut allocs = Vec::new();
    for (number, group, index, tasks) in chosen {
        let id = match &selection.alloc_id {
            Some(id) => id.clone(),
            None => new_id(&group.name, index).map_err(Error::io("read", "/dev/urandom"))?,
        };
        let mut placed = Vec::new();
        for (position, task) in tasks {
            let place = Place { job, group, task, alloc_id: &id, index };
            placed.push(place_task(&place, (number, position), machine, data, &mut notices)?);
        }
        allocs.push(Allocation { id, job_id: job.id.clone(), group: group.name.clone(), index, tasks: placed });
    }
    Ok(Placement { allocs, notices })
}

impl Allocation {
    /// Where an image's archive (`load`) is not in the task's local directory, it is looked for beside the job file:
    /// the local directory of a new allocation is empty. Call it when the directories are there.
    pub fn find_archives(&mut self, job_folder: &Path) {
        for task in &mut self.tasks {
            let Some(Value::String(load)) = task.config.options.get("load") else { continue };
            let local = task.config.alloc_dir.as_ref().map(|dir| dir.join(&task.config.name).join("local").join(load));
            let beside = job_folder.join(load);
            if !load.is_empty() && !local.is_some_and(|path| path.exists()) && beside.exists() {
                task.config.options["load"] = Value::String(beside.to_string_lossy().into_owned());
            }
        }
    }
}

fn place_task(
    place: &Place<'_>,
    order: (usize, usize),
    machine: &Machine,
    data: &DataDir,
    notices: &mut Vec<String>,
) -> Result<PlacedTask, Error> {
    let Place { job, group, task, alloc_id, .. } = *place;
    check_task_name(&task.name)?;
    let (values, mut unknown) = env::values(place, machine);
    let options = resolve_all(&task.config, &values, &mut unknown);
    let user = env::resolve(&task.user, &|name| values.lookup(name), &mut unknown);
    for name in unknown {
        let notice = format!("task `{}`: `${{{name}}}` has no value here and stays as it is written", task.name);
        // Each allocation of a group would say the same.
        if !notices.contains(&notice) {
            notices.push(notice);
        }
    }
    let kill_signal = task.kill_signal.as_deref().map(|name| signal(task, name)).transpose()?;
    let config = TaskConfig {
        id: ids::task_id(alloc_id, &task.name).into(),
        name: task.name.clone(),
        job_id: job.id.clone(),
        job_name: job.name.clone(),
        task_group_name: group.name.clone(),
        namespace: env::namespace(job),
        node_name: machine.hostname.clone(),
        node_id: machine.id.clone(),
        alloc_id: alloc_id.to_owned(),
        alloc_dir: Some(data.alloc(alloc_id)),
        env: values.env,
        resources: Some(resources(&task.resources, machine.total_compute_mhz)),
        user,
        options,
        kill_timeout: Some(task.kill_timeout),
        ..TaskConfig::default()
    };
    let restart = Policy::new(&task.restart, job.kind);
    Ok(PlacedTask { config, order, kill_signal, kill_timeout: task.kill_timeout, restart })
}

/// What Nomad's client makes of a job's resources (driver-spec 1.0). A speed of 0 MHz is not known.
fn resources(asked: &TaskResources, total_compute_mhz: u64) -> Resources {
    let most = asked.memory.max(asked.memory_max);
    let percent_ticks = if total_compute_mhz == 0 { 0.0 } else { asked.cpu as f64 / total_compute_mhz as f64 };
    Resources {
        nomad: NomadResources {
            cpu_shares: asked.cpu,
            memory_mb: asked.memory,
            memory_max_mb: asked.memory_max,
            ..NomadResources::default()
        },
        linux: LinuxResources {
            cpu_shares: asked.cpu,
            memory_limit_bytes: most.saturating_mul(MB),
            percent_ticks,
            ..LinuxResources::default()
        },
        ..Resources::default()
    }
}

/// Replaces the names in every text of a task's options, those of keys included.
fn resolve_all(value: &Value, values: &Values, unknown: &mut Vec<String>) -> Value {
    let lookup = |name: &str| values.lookup(name);
    match value {
        Value::String(text) => Value::String(env::resolve(text, &lookup, unknown)),
        Value::Array(items) => items.iter().map(|item| resolve_all(item, values, unknown)).collect(),
        Value::Object(fields) => {
            let resolved = fields.iter().map(|(key, value)| {
                let key = env::resolve(key, &lookup, unknown);
                (key, resolve_all(value, values, unknown))
            });
            Value::Object(resolved.collect())
        }
        other => other.clone(),
    }
}

fn signal(task: &Task, name: &str) -> Result<Signal, Error> {
    let object = || format!("task `{}`", task.name);
    name.parse()
        .map_err(|_| Error::Place { object: object(), why: format!("kill_signal: no signal is called `{name}`") })
}

/// How many allocations of a group there are: one machine has one of a system job.
fn count(job: &Job, group: &Group) -> u32 {
    match job.kind {
        JobType::System | JobType::SysBatch => group.count.min(1),
        JobType::Service | JobType::Batch => group.count,
    }
}

/// The group's tasks that are chosen and can run here, each with its number within the group; the others in a notice.
fn docker_tasks<'a>(group: &'a Group, selection: &Selection, notices: &mut Vec<String>) -> Vec<(usize, &'a Task)> {
    let chosen = |task: &Task| selection.tasks.is_empty() || selection.tasks.contains(&task.name);
    let mut tasks = Vec::new();
    for (position, task) in group.tasks.iter().enumerate().filter(|(_, task)| chosen(task)) {
        if task.driver == DRIVER {
            tasks.push((position, task));
        } else {
            notices.push(format!(
                "task `{}` is skipped: its driver is `{}`, and only `docker` runs here",
                task.name, task.driver
            ));
        }
    }
    tasks
}

fn check_selection(job: &Job, selection: &Selection) -> Result<(), Error> {
    let groups: BTreeSet<&str> = job.groups.iter().map(|group| group.name.as_str()).collect();
    let tasks: BTreeSet<&str> =
        job.groups.iter().flat_map(|group| &group.tasks).map(|task| task.name.as_str()).collect();
    for (option, kind, asked, known) in
        [("--group", "group", &selection.groups, groups), ("--task", "task", &selection.tasks, tasks)]
    {
        if let Some(name) = asked.iter().find(|name| !known.contains(name.as_str())) {
            let known: Vec<&str> = known.into_iter().collect();
            let why = format!("{option} {name}: the job has no such {kind}; it has {}", known.join(", "));
            return Err(Error::Choice { why });
        }
    }
    if let Some(id) = &selection.alloc_id
        && !ids::is_alloc_id(id)
    {
        let why = format!("--alloc-id {id:?}: an id is a UUID, or up to 64 letters, digits, `-` and `_`");
        return Err(Error::Choice { why });
    }
    Ok(())
}

//! From a job to what runs here: one allocation per group and count, and in each the tasks as the driver takes them.
//! Pure but for the ids, which the caller gives. Directories and the Engine come later.

use std::collections::BTreeSet;
use std::io;
use std::path::{Component, Path};
use std::time::Duration;

use serde_json::Value;

use crate::driver::{LinuxResources, LogTarget, LogTargets, NomadResources, Resources, TaskConfig};
use crate::job::interpolate::interpolate_json;
use crate::job::{Group, Job, JobType, Task, TaskLogs, TaskResources};
use crate::values::Signal;

use crate::runner::place::env::{self, Place};
use crate::runner::place::ids;
use crate::runner::place::machine::Machine;
use crate::runner::place::restart::Policy;
use crate::runner::state::dirs::check_task_name;
use crate::runner::{DataDir, Error};

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
    /// the local directory of a new allocation is empty. What is found is the person's own, links included, and stays what
    /// the task loads, whatever it may lay into its local directory later. A path that leads out of both is found nowhere.
    pub fn find_archives(&mut self, job_folder: &Path) {
        for task in &mut self.tasks {
            let Some(Value::String(load)) = task.config.options.get("load") else { continue };
            let is_within = |part| matches!(part, Component::Normal(_) | Component::CurDir);
            if load.is_empty() || !Path::new(load).components().all(is_within) {
                continue;
            }
            let local = task.config.alloc_dir.as_ref().map(|dir| dir.join(&task.config.name).join("local").join(load));
            // Who takes it up may be elsewhere.
            let beside = job_folder.join(load);
            let beside = std::path::absolute(&beside).unwrap_or(beside);
            // A link in its local directory is the task's, and refused when it is loaded.
            if local.is_none_or(|path| path.symlink_metadata().is_err()) && beside.exists() {
                task.config.image_archive = Some(beside);
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
    let (options, names) = interpolate_json(&task.config, &|name| values.lookup(name));
    for name in names {
        env::note(&mut unknown, name);
    }
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
        logs: log_targets(&task.logs, &data.logs(alloc_id), &task.name),
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

/// Nomad's files: `<task>.stdout.0`, `<task>.stderr.0` and on, in the allocation's directory for logs.
fn log_targets(kept: &TaskLogs, directory: &Path, task: &str) -> LogTargets {
    let files = |stream: &str| match kept.disabled {
        true => LogTarget::Null,
        false => LogTarget::Rotating {
            path: directory.join(format!("{task}.{stream}")),
            max_files: kept.max_files,
            max_file_size: u64::from(kept.max_file_size) << 20,
        },
    };
    LogTargets { stdout: files("stdout"), stderr: files("stderr") }
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
    let has_both = |group: &Group| {
        selection.groups.contains(&group.name) && group.tasks.iter().any(|task| selection.tasks.contains(&task.name))
    };
    if !selection.groups.is_empty() && !selection.tasks.is_empty() && !job.groups.iter().any(has_both) {
        let (groups, tasks) = (selection.groups.join(" --group "), selection.tasks.join(" --task "));
        let why = format!("--group {groups} and --task {tasks} choose nothing: no such task is in such a group");
        return Err(Error::Choice { why });
    }
    if let Some(id) = &selection.alloc_id
        && !ids::is_alloc_id(id)
    {
        let why = format!("--alloc-id {id:?}: an id is a UUID, or up to 64 letters, digits, `-` and `_`");
        return Err(Error::Choice { why });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job;

    const JOB: &str = r#"
job "shop" {
  type = "batch"
  group "web" {
    count = 2
    task "nginx" {
      driver = "docker"
      user = "${NOMAD_META_user}"
      kill_signal = "SIGINT"
      kill_timeout = "7s"
      meta { user = "www" }
      config {
        image = "x:${NOMAD_ALLOC_INDEX}"
        args = ["${NOMAD_TASK_NAME}", "${attr.none}"]
        labels = { "${NOMAD_JOB_ID}" = "yes" }
      }
      resources {
        cpu = 250
        memory = 64
        memory_max = 128
      }
    }
    task "shell" {
      driver = "raw_exec"
      config { command = "x" }
    }
  }
  group "db" {
    task "pg" {
      driver = "docker"
      config { image = "y" }
    }
  }
}"#;

    fn placed(text: &str, selection: &Selection) -> Result<Placement, Error> {
        let job = job::parse("t.hcl", text).unwrap();
        let machine = Machine { hostname: "box".into(), total_compute_mhz: 1000, ..Machine::default() };
        let data = DataDir::new("/data").unwrap();
        place(&job, selection, &machine, &data, &mut |group, index| Ok(format!("{group}-{index}")))
    }

    fn ids(placement: &Placement) -> Vec<&str> {
        placement.allocs.iter().map(|alloc| alloc.id.as_str()).collect()
    }

    #[test]
    fn an_allocation_per_group_and_count() {
        let placement = placed(JOB, &Selection::default()).unwrap();
        assert_eq!(ids(&placement), ["web-0", "web-1", "db-0"]);
        assert_eq!(placement.allocs[2].tasks[0].order, (1, 0));
        assert_eq!(placement.notices.len(), 2, "{:?}", placement.notices);
        assert!(placement.notices[0].contains("shell") && placement.notices[0].contains("raw_exec"));
        assert!(placement.notices[1].contains("attr.none"), "once, though there are two allocations");
        let once = placed(&JOB.replace("\"batch\"", "\"system\"").replace("count = 2", ""), &Selection::default());
        assert_eq!(ids(&once.unwrap()), ["web-0", "db-0"]);
        let none = placed(&JOB.replace("count = 2", "count = 0"), &Selection::default());
        assert_eq!(ids(&none.unwrap()), ["db-0"]);
    }

    #[test]
    fn a_task_as_the_driver_gets_it() {
        let placement = placed(JOB, &Selection::default()).unwrap();
        let task = &placement.allocs[1].tasks[0];
        let config = &task.config;
        assert!(config.id.as_str().starts_with("web-1/nginx/"), "{}", config.id);
        assert_eq!((config.job_id.as_str(), config.task_group_name.as_str()), ("shop", "web"));
        assert_eq!(config.user, "www");
        assert_eq!(config.alloc_dir.as_deref(), Some(Path::new("/data/alloc/web-1")));
        let options =
            serde_json::json!({"image": "x:1", "args": ["nginx", "${attr.none}"], "labels": config.options["labels"]});
        assert_eq!(config.options, options);
        assert!(config.options["labels"].to_string().contains("\"shop\":\"yes\""), "{}", config.options["labels"]);
        assert_eq!(config.env["NOMAD_ALLOC_INDEX"], "1");
        assert_eq!((task.kill_timeout, config.kill_timeout), (Duration::from_secs(7), Some(Duration::from_secs(7))));
        assert_eq!(task.kill_signal.map(|signal| signal.to_string()).as_deref(), Some("SIGINT"));
        assert!(!task.restart.on_success, "a batch job ends");
    }

    #[test]
    fn resources_in_the_kernels_terms() {
        for (row, memory, memory_max, total, bytes, ticks) in [
            ("plain", 64, 0, 1000, 64 * MB, 0.25),
            ("a higher limit", 64, 128, 1000, 128 * MB, 0.25),
            ("no limit", 64, -1, 1000, 64 * MB, 0.25),
            ("a machine of unknown speed", 64, 0, 0, 64 * MB, 0.0),
        ] {
            let got = resources(&TaskResources { cpu: 250, memory, memory_max }, total);
            assert_eq!((got.linux.memory_limit_bytes, got.linux.percent_ticks), (bytes, ticks), "{row}");
            assert_eq!((got.nomad.memory_mb, got.nomad.memory_max_mb, got.linux.cpu_shares), (memory, memory_max, 250));
        }
    }

    #[test]
    fn where_output_is_kept() {
        let files =
            |path: &str, max_files, max_file_size| LogTarget::Rotating { path: path.into(), max_files, max_file_size };
        for (row, logs, want) in [
            ("nothing is said", "", Some((10, 10 * 1_048_576))),
            ("less", "logs {\n max_files = 2\n max_file_size = 1\n}", Some((2, 1_048_576))),
            ("the most", "logs {\n max_file_size = 4294967295\n}", Some((10, 4_503_599_626_321_920))),
            ("none", "logs {\n disabled = true\n}", None),
        ] {
            let text = JOB.replace("kill_timeout = \"7s\"", logs);
            let placement = placed(&text, &Selection::default()).unwrap();
            let got = placement.allocs[..2].iter().map(|alloc| alloc.tasks[0].config.logs.clone());
            let want = ["web-0", "web-1"].map(|alloc| match want {
                None => LogTargets::default(),
                Some((count, size)) => LogTargets {
                    stdout: files(&format!("/data/alloc/{alloc}/alloc/logs/nginx.stdout"), count, size),
                    stderr: files(&format!("/data/alloc/{alloc}/alloc/logs/nginx.stderr"), count, size),
                },
            });
            assert_eq!(got.collect::<Vec<_>>(), want, "{row}");
        }
    }

    #[test]
    fn choices() {
        let only = |groups: &[&str], tasks: &[&str], alloc_id: Option<&str>| {
            let own = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
            Selection { groups: own(groups), tasks: own(tasks), alloc_id: alloc_id.map(str::to_owned) }
        };
        for (row, selection, want) in [
            ("a group", only(&["db"], &[], None), Ok(&["db-0"][..])),
            ("a task", only(&[], &["nginx"], None), Ok(&["web-0", "web-1"])),
            ("an id", only(&["db"], &[], Some("abc")), Ok(&["abc"])),
            ("a task that another group has", only(&["db"], &["nginx"], None), Err("choose nothing")),
            ("one id for two", only(&["web"], &[], Some("abc")), Err("--alloc-id")),
            ("no such group", only(&["wbe"], &[], None), Err("db, web")),
            ("no such task", only(&[], &["x"], None), Err("nginx, pg, shell")),
            ("no id", only(&["db"], &[], Some("../x")), Err("--alloc-id")),
        ] {
            match (placed(JOB, &selection), want) {
                (Ok(placement), Ok(want)) => assert_eq!(ids(&placement), want, "{row}"),
                (Err(error @ Error::Choice { .. }), Err(word)) => {
                    assert!(error.to_string().contains(word), "{row}: {error}");
                }
                (got, _) => panic!("{row}: {got:?}"),
            }
        }
    }
}

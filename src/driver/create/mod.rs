//! The create request of a task (driver-spec section 4): from a task, its options, the driver's configuration and facts of the
//! machine to a name and a body. Pure: facts are gathered before, files are written after.
//!
//! This file is the list, in the order of driver-spec 4.1, which decides which error wins. Each concern has a file of its own,
//! which owns its Engine fields alone.

mod binds;
mod command;
mod cpu;
mod error;
mod facts;
mod labels;
pub(super) mod log_config;
mod memory;
mod name_env;
mod namespaces;
mod pids;
mod plain;
mod unbuilt;

use std::path::PathBuf;

use super::{DriverConfig, TaskConfig, TaskOptions};
use crate::engine::types::ContainerCreate;

pub use error::CreateError;
pub use facts::Facts;
pub use labels::{INSTANCE_LABEL, TASK_ID_LABEL};
pub use name_env::container_name;

/// What to ask of the Engine so that a task's container comes into being.
#[derive(Debug, Clone, PartialEq)]
pub struct CreatePlan {
    /// The container's name: the same each time for a task of an allocation.
    pub name: String,
    /// The body of `POST /containers/create`.
    pub body: ContainerCreate,
    /// Files of this machine that the body's mounts name, to be written before the create.
    pub files: Vec<PlannedFile>,
}

/// A file to write before a container is created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedFile {
    /// Where, absolute.
    pub path: PathBuf,
    /// What it holds.
    pub content: Vec<u8>,
    /// Its permissions.
    pub mode: u32,
}

/// Plans a task's container. Nothing that a task asks for is left out silently.
///
/// # Errors
/// The first thing, in the order of driver-spec 4.1, that cannot be had; see [`CreateError`].
pub fn build(
    task: &TaskConfig,
    options: &TaskOptions,
    config: &DriverConfig,
    facts: &Facts,
) -> Result<CreatePlan, CreateError> {
    let resources = task.resources.as_ref().ok_or(CreateError::NoResources)?;
    unbuilt::refuse(task, resources)?;

    let mut body = ContainerCreate::default();
    let name = name_env::container_name(task)?;
    body.config.env = name_env::env(task)?;
    memory::apply(&mut body.host_config, options, resources, facts)?;
    body.host_config.binds = binds::built_in(task, &config.volumes.selinuxlabel)?;
    body.host_config.pids_limit = Some(pids::limit(options.pids_limit, config.pids_limit)?);
    cpu::apply(&mut body.host_config, options, resources, facts)?;
    namespaces::apply(&mut body.host_config, options);
    body.host_config.log_config = log_config::chosen(options, config);
    plain::apply(&mut body, task, options);
    body.config.cmd = command::cmd(options)?;
    body.config.entrypoint = command::entrypoint(options);
    body.config.labels = labels::labels(task, options, config);
    Ok(CreatePlan { name, body, files: Vec::new() })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::super::{LinuxResources, NomadResources, Resources, options};
    use super::*;
    use crate::host::{CgroupVersion, Host};

    fn task() -> TaskConfig {
        TaskConfig {
            id: "3f1c/web/0a1b2c3d".into(),
            name: "web".into(),
            alloc_id: "3f1c".into(),
            alloc_dir: Some("/data/alloc/3f1c".into()),
            env: [("B".to_string(), "2".to_string()), ("A".to_string(), "1".to_string())].into(),
            user: "nobody".into(),
            kill_timeout: Some(Duration::from_millis(5001)),
            resources: Some(Resources {
                nomad: NomadResources { memory_mb: 300, memory_max_mb: 400, ..NomadResources::default() },
                linux: LinuxResources { cpu_shares: 100, percent_ticks: 0.01, ..LinuxResources::default() },
                ports: Vec::new(),
            }),
            ..TaskConfig::default()
        }
    }

    fn facts() -> Facts {
        Facts::new(Host {
            cores: Some(4),
            total_compute_mhz: Some(10_000),
            cgroup_version: Some(CgroupVersion::V1),
            swappiness_writable: true,
            ..Host::default()
        })
    }

    fn plan(task: &TaskConfig, options: &serde_json::Value) -> Result<CreatePlan, CreateError> {
        let options = options::decode(options).expect("options");
        build(task, &options, &DriverConfig::default(), &facts())
    }

    #[test]
    fn a_whole_body() {
        let options = json!({
            "image": "longshore/busybox:test", "command": "sh", "args": ["-c", "exit 7"], "entrypoint": ["/e"],
            "labels": {"team": "a"}, "work_dir": "/w", "hostname": "h", "tty": true, "interactive": true, "init": true,
            "network_mode": "none", "cpu_hard_limit": true, "memory_hard_limit": 512, "pids_limit": 50, "shm_size": 4096,
            "readonly_rootfs": true, "oom_score_adj": 5, "group_add": ["audio"], "load": "busybox.tar",
            "logging": {"type": "local", "config": {"max-size": "1m"}},
        });
        let plan = plan(&task(), &options).expect("a plan");
        assert_eq!(plan.name, "web-3f1c");
        assert!(plan.files.is_empty());
        let want = json!({
            "Hostname": "h", "User": "nobody", "Tty": true, "OpenStdin": true, "Env": ["A=1", "B=2"],
            "Cmd": ["sh", "-c", "exit 7"], "Entrypoint": ["/e"], "Image": "longshore/busybox:test", "WorkingDir": "/w",
            "Labels": {"team": "a", "longshore.instance": "default", "longshore.task_id": "3f1c/web/0a1b2c3d"},
            "StopTimeout": 6,
            "HostConfig": {
                "Binds": [
                    "/data/alloc/3f1c/alloc:/alloc",
                    "/data/alloc/3f1c/web/local:/local",
                    "/data/alloc/3f1c/web/secrets:/secrets",
                    "/data/alloc/3f1c/alloc/logs:/alloc/logs:ro",
                ],
                "LogConfig": {"Type": "local", "Config": {"max-size": "1m"}},
                "NetworkMode": "none", "GroupAdd": ["audio"], "OomScoreAdj": 5, "ReadonlyRootfs": true, "ShmSize": 4096,
                "CpuShares": 100, "CpuPeriod": 100_000, "CpuQuota": 4000, "Init": true, "PidsLimit": 50,
                "Memory": 512 << 20, "MemoryReservation": 300 << 20, "MemorySwap": 512 << 20, "MemorySwappiness": 0,
            },
        });
        assert_eq!(serde_json::to_value(&plan.body).expect("JSON"), want);
    }

    #[test]
    fn the_least_body() {
        let task = TaskConfig {
            id: "t".into(),
            name: "t".into(),
            resources: Some(Resources::default()),
            ..TaskConfig::default()
        };
        let options = TaskOptions { image: "a".into(), ..TaskOptions::default() };
        let plan = build(&task, &options, &DriverConfig::default(), &Facts::default());
        // A name of one letter is none to Docker.
        assert_eq!(plan, Err(CreateError::Name { name: "t".into(), character: None }));
        let task = TaskConfig { id: "a/t".into(), ..task };
        let plan = build(&task, &options, &DriverConfig::default(), &Facts::default()).expect("a plan");
        assert_eq!(plan.name, "a_t");
        let want = json!({
            "Image": "a", "Labels": {"longshore.instance": "default", "longshore.task_id": "a/t"},
            "HostConfig": {
                "LogConfig": {"Type": "json-file", "Config": {"max-file": "5", "max-size": "20m"}},
                "NetworkMode": "default", "CpuShares": 2, "PidsLimit": -1,
            },
        });
        assert_eq!(serde_json::to_value(&plan.body).expect("JSON"), want);
    }

    #[test]
    fn the_first_error_wins() {
        // Each row breaks one more thing, which comes before those of the rows above it.
        let mut task = task();
        let mut options = TaskOptions { image: "a".into(), command: " ".into(), ..TaskOptions::default() };
        let mut build = |change: fn(&mut TaskConfig, &mut TaskOptions)| {
            change(&mut task, &mut options);
            build(&task, &options, &DriverConfig { pids_limit: 5, ..DriverConfig::default() }, &facts())
        };
        assert!(matches!(build(|_, _| ()), Err(CreateError::CommandBlank)));
        let cpu = build(|_, options| (options.cpu_hard_limit, options.cpu_cfs_period) = (true, -1));
        assert!(matches!(cpu, Err(CreateError::CpuPeriod { value: -1 })), "{cpu:?}");
        assert!(matches!(build(|_, options| options.pids_limit = 6), Err(CreateError::PidsLimit { .. })));
        assert!(matches!(build(|task, _| task.alloc_dir = Some("x".into())), Err(CreateError::BindPath { .. })));
        assert!(matches!(
            build(|_, options| options.memory_hard_limit = i64::MAX),
            Err(CreateError::MemoryRange { .. })
        ));
        let dns = build(|task, _| task.dns = Some(Default::default()));
        assert!(matches!(dns, Err(CreateError::NotSupported { .. })), "{dns:?}");
        assert!(matches!(build(|task, _| task.resources = None), Err(CreateError::NoResources)));
    }
}

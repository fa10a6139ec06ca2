//! What holds for every task of a driver (driver-spec 2.1). Data only, with defaults that work.
//! Differences from Nomad's own defaults are said at the field.

use std::time::Duration;

use crate::engine::types::LogConfig;

/// What holds for every task of a driver. More fields come with more of the driver: write
/// `DriverConfig { instance: "x".into(), ..DriverConfig::default() }`.
#[derive(Debug, Clone, PartialEq)]
pub struct DriverConfig {
    /// Whose containers these are: the value of the label `longshore.instance`, by which a driver knows its own
    /// among all containers of an Engine. Defaults to `default`.
    pub instance: String,
    /// Where a container's output goes, unless its task says a log driver or options of one. Defaults to `json-file` with
    /// 5 files of 20 MB, where Nomad has 2 of 2 MB: the Engine drops the oldest file of a burst before anybody could read it.
    pub logging: LogConfig,
    /// Whether no task's output is collected, whatever its [`logs`](super::LogTargets) say; live sinks get it all the same.
    /// Defaults to false (driver-spec 10.2).
    pub disable_log_collection: bool,
    /// Whether containers carry `com.hashicorp.nomad.alloc_id` too. Defaults to false: a Nomad client on the same
    /// Engine removes containers that carry it and that it does not know.
    pub nomad_labels: bool,
    /// Binds and volumes.
    pub volumes: VolumesConfig,
    /// How many processes a task may have, unless it asks for fewer; it cannot ask for more.
    /// Defaults to 0: no limit.
    pub pids_limit: i64,
    /// How often a create is tried again while its name is taken by a dead container of the same task.
    /// Defaults to 5.
    pub container_exists_attempts: u32,
    /// How long an inspect or a list of the wait loop, the collector and the sweep may take before the Engine counts as
    /// not answering. Defaults to 10 s.
    pub inspect_timeout: Duration,
    /// How long the end of a task's logs is waited for once its container has ended; by a drain, how long nothing may come
    /// of them, where time that a sink takes does not count. Defaults to 10 s.
    pub log_drain: Duration,
    /// How much longer than the task's grace a stop may take before it counts as failed. Defaults to 5 min.
    pub stop_extra: Duration,
    /// The first pause before a broken wait is tried again; each further one is twice as long. Defaults to 100 ms.
    pub wait_backoff: Duration,
    /// The longest of these pauses. Defaults to 5 s.
    pub wait_backoff_limit: Duration,
    /// How often all containers are listed, to find ends that no wait reported. Defaults to 60 s.
    pub sweep_period: Duration,
}

/// Binds and volumes of a driver's tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VolumesConfig {
    /// SELinux label that is put on every bind: `z` (shared) or `Z` (private). Defaults to none.
    pub selinuxlabel: String,
}

impl Default for DriverConfig {
    fn default() -> Self {
        Self {
            instance: "default".into(),
            logging: default_logging(),
            disable_log_collection: false,
            nomad_labels: false,
            volumes: VolumesConfig::default(),
            pids_limit: 0,
            container_exists_attempts: 5,
            inspect_timeout: Duration::from_secs(10),
            log_drain: Duration::from_secs(10),
            stop_extra: Duration::from_secs(5 * 60),
            wait_backoff: Duration::from_millis(100),
            wait_backoff_limit: Duration::from_secs(5),
            sweep_period: Duration::from_secs(60),
        }
    }
}

fn default_logging() -> LogConfig {
    let options = [("max-file", "5"), ("max-size", "20m")];
    LogConfig {
        kind: "json-file".into(),
        config: options.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
    }
}

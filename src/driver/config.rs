//! What holds for every task of a driver (driver-spec 2.1). Data only, with defaults that work.
//! Differences from Nomad's own defaults are said at the field.

use std::time::Duration;

use crate::engine::types::LogConfig;
use crate::images::{CredentialSources, LedgerFile};

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
    /// Where credentials for registries are looked for, after those of a task itself. Defaults to nowhere
    /// (driver-spec 6.1).
    pub auth: CredentialSources,
    /// What is removed once it is used no more.
    pub gc: GcConfig,
    /// How long a pull may take, unless its task says otherwise. Defaults to 5 minutes.
    pub image_pull_timeout: Duration,
    /// How long nothing may come of a pull. Defaults to 2 minutes.
    pub pull_activity_timeout: Duration,
    /// The first pause before the removal of an image that failed is tried again; each further one is twice as long, up to
    /// 5 minutes. Defaults to 3 s.
    pub image_removal_retry: Duration,
    /// A file that keeps account of images, shared with other processes and later ones. With it only those images are
    /// removed that were pulled or loaded for a task. Defaults to none: what this driver's tasks used is known to this
    /// driver alone, and removed wherever it came from, as by Nomad's driver.
    pub image_ledger: Option<LedgerFile>,
    /// How many processes a task may have, unless it asks for fewer; it cannot ask for more.
    /// Defaults to 0: no limit.
    pub pids_limit: i64,
    /// How often a create is tried again while its name is taken by a dead container of the same task.
    /// Defaults to 5.
    pub container_exists_attempts: u32,
    /// How long after its request a create that got no answer may still make its container: an Engine under load, or a proxy
    /// before it, takes its time. Until then "no such container" does not mean that there will be none. Defaults to 1 min.
    pub create_grace: Duration,
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

/// What a driver removes that is used no more (driver-spec 2.1, `gc`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GcConfig {
    /// Whether images are removed that no task uses any more. Defaults to true.
    pub image: bool,
    /// How long after its last use an image is removed. Defaults to 3 minutes.
    pub image_delay: Duration,
}

impl Default for GcConfig {
    fn default() -> Self {
        Self { image: true, image_delay: Duration::from_secs(3 * 60) }
    }
}

impl Default for DriverConfig {
    fn default() -> Self {
        Self {
            instance: "default".into(),
            logging: default_logging(),
            disable_log_collection: false,
            nomad_labels: false,
            volumes: VolumesConfig::default(),
            auth: CredentialSources::default(),
            gc: GcConfig::default(),
            image_pull_timeout: Duration::from_secs(5 * 60),
            pull_activity_timeout: Duration::from_secs(2 * 60),
            image_removal_retry: Duration::from_secs(3),
            image_ledger: None,
            pids_limit: 0,
            container_exists_attempts: 5,
            create_grace: Duration::from_secs(60),
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

//! What a task is, and what is known of it: the types that cross the driver's interface (driver-spec 1.0).
//! Data only. They are serialisable, for a handle and a saved state hold them.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a task is called: unique within a driver, `<allocation>/<task>/<8 hex>` where longshore makes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskId(String);

impl TaskId {
    /// A task id of the given text.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for TaskId {
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

impl From<String> for TaskId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

impl Borrow<str> for TaskId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A task to run. Everything but `id`, `name` and `options` has a default that means "none".
/// `Debug` shows the names of variables and options only, for values may be secrets.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskConfig {
    /// What the task is called, unique within a driver.
    pub id: TaskId,
    /// The task's name within its group.
    pub name: String,
    /// The job's id.
    pub job_id: String,
    /// The job's name.
    pub job_name: String,
    /// The id of the job that this one was dispatched from.
    pub parent_job_id: String,
    /// The group's name.
    pub task_group_name: String,
    /// Nomad's namespace.
    pub namespace: String,
    /// The machine's name.
    pub node_name: String,
    /// The machine's id.
    pub node_id: String,
    /// The allocation's id.
    pub alloc_id: String,
    /// The allocation's directory on this machine; the task's own is `<alloc_dir>/<name>`.
    /// `None`: the task gets no directories, and none of the built-in binds.
    pub alloc_dir: Option<PathBuf>,
    /// The archive that the option `load` means, where whoever runs the task has found it elsewhere than in the task's
    /// `local`: beside the job file, for instance. The driver itself reads no other archive of a task with an `alloc_dir`
    /// than one within `local`.
    pub image_archive: Option<PathBuf>,
    /// The container's environment.
    pub env: BTreeMap<String, String>,
    /// Environment that device plugins add; it is not given to the container by itself.
    pub device_env: BTreeMap<String, String>,
    /// What the task may use of the machine. Required to start one (driver-spec 4.1).
    pub resources: Option<Resources>,
    /// Devices that device plugins add.
    pub devices: Vec<DeviceConfig>,
    /// Mounts beside those of the task's options.
    pub mounts: Vec<MountConfig>,
    /// The user within the container; empty: the image's.
    pub user: String,
    /// The task's options (driver-spec section 3) as JSON, decoded by the driver when it starts the task.
    pub options: serde_json::Value,
    /// How long a stop that names no timeout waits between the signal and the kill. The Engine gets it too
    /// (`StopTimeout`), for its own shutdown. `None`: the Engine's default.
    pub kill_timeout: Option<Duration>,
    /// Where the task's output goes beside live sinks.
    pub logs: LogTargets,
    /// The network namespace that the task joins, where its allocation has one.
    pub network_isolation: Option<NetworkIsolationSpec>,
    /// The name servers of the task's network.
    pub dns: Option<DnsConfig>,
}

impl TaskConfig {
    /// The environment as `KEY=VALUE`, sorted.
    pub fn env_list(&self) -> Vec<String> {
        // By the whole text, not by key: `A.B=` sorts before `A=`.
        let mut list: Vec<String> = self.env.iter().map(|(k, v)| format!("{k}={v}")).collect();
        list.sort();
        list
    }
}

impl fmt::Debug for TaskConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whole, so that a new field cannot be forgotten.
        let Self {
            id,
            name,
            job_id,
            job_name,
            parent_job_id,
            task_group_name,
            namespace,
            node_name,
            node_id,
            alloc_id,
            alloc_dir,
            image_archive,
            env,
            device_env,
            resources,
            devices,
            mounts,
            user,
            options,
            kill_timeout,
            logs,
            network_isolation,
            dns,
        } = self;
        let options: Vec<&String> = options.as_object().into_iter().flat_map(|options| options.keys()).collect();
        f.debug_struct("TaskConfig")
            .field("id", id)
            .field("name", name)
            .field("job_id", job_id)
            .field("job_name", job_name)
            .field("parent_job_id", parent_job_id)
            .field("task_group_name", task_group_name)
            .field("namespace", namespace)
            .field("node_name", node_name)
            .field("node_id", node_id)
            .field("alloc_id", alloc_id)
            .field("alloc_dir", alloc_dir)
            .field("image_archive", image_archive)
            .field("env", &env.keys())
            .field("device_env", &device_env.keys())
            .field("resources", resources)
            .field("devices", devices)
            .field("mounts", mounts)
            .field("user", user)
            .field("options", &options)
            .field("kill_timeout", kill_timeout)
            .field("logs", logs)
            .field("network_isolation", network_isolation)
            .field("dns", dns)
            .finish()
    }
}

/// What a task may use of the machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// What the job asked for.
    pub nomad: NomadResources,
    /// The same in the kernel's terms.
    pub linux: LinuxResources,
    /// Ports given to the allocation.
    pub ports: Vec<PortMapping>,
}

/// What a job asks for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NomadResources {
    /// CPU, in MHz.
    pub cpu_shares: i64,
    /// Memory, in MB (2^20 bytes).
    pub memory_mb: i64,
    /// The most memory, in MB; 0: `memory_mb`; -1: no limit.
    pub memory_max_mb: i64,
    /// Networks of the job's resources.
    pub networks: Vec<NetworkResource>,
}

/// A network of a job's resources.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkResource {
    /// The machine's network device.
    pub device: String,
    /// The machine's address on it.
    pub ip: String,
    /// The network's range.
    pub cidr: String,
    /// Bandwidth, in Mbit/s.
    pub mbits: i64,
    /// Ports that the job names by number.
    pub reserved_ports: Vec<Port>,
    /// Ports that were chosen.
    pub dynamic_ports: Vec<Port>,
}

/// A port of the machine, with its label.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Port {
    /// What the job calls it.
    pub label: String,
    /// Its number on the machine.
    pub value: u16,
}

/// A port given to an allocation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortMapping {
    /// What the job calls it.
    pub label: String,
    /// Its number on the machine.
    pub value: u16,
    /// Its number in the container; 0: the same.
    pub to: u16,
    /// The machine's address it is bound to.
    pub host_ip: String,
}

/// Resources in the kernel's terms.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LinuxResources {
    /// CFS period, in µs.
    pub cpu_period: i64,
    /// CFS quota, in µs.
    pub cpu_quota: i64,
    /// CPU shares.
    pub cpu_shares: i64,
    /// Memory limit, in bytes.
    pub memory_limit_bytes: i64,
    /// OOM score adjustment.
    pub oom_score_adj: i64,
    /// Cores, as a list such as `0-2,7`.
    pub cpuset_cpus: String,
    /// The control group that says which cores may be used.
    pub cpuset_cgroup_path: String,
    /// The share of the machine's CPU, 0 to 1.
    pub percent_ticks: f64,
}

/// A device that a device plugin adds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceConfig {
    /// Its path in the container.
    pub task_path: String,
    /// Its path on the machine.
    pub host_path: String,
    /// Some of `r`, `w`, `m`.
    pub permissions: String,
}

/// A mount beside those of the task's options.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MountConfig {
    /// Its path in the container.
    pub task_path: String,
    /// Its path on the machine.
    pub host_path: String,
    /// Whether the container may only read it.
    pub readonly: bool,
    /// `private`, `host-to-task`, `bidirectional`, or empty.
    pub propagation_mode: String,
    /// SELinux label.
    pub selinux_label: String,
}

/// The network namespace that a task joins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkIsolationSpec {
    /// `host`, `group`, `task` or `none`.
    pub mode: String,
    /// The namespace's path.
    pub path: String,
    /// Who holds it.
    pub labels: BTreeMap<String, String>,
    /// Its name and address, for a hosts file.
    pub hosts_config: Option<HostsConfig>,
}

/// A name and an address for a hosts file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostsConfig {
    /// The name.
    pub hostname: String,
    /// The address.
    pub address: String,
}

/// Name servers of a task's network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DnsConfig {
    /// Name servers' addresses.
    pub servers: Vec<String>,
    /// Search domains.
    pub searches: Vec<String>,
    /// Resolver options.
    pub options: Vec<String>,
}

/// Where a task's output goes, per stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogTargets {
    /// For standard output (with `tty`, for all of it).
    pub stdout: LogTarget,
    /// For standard error.
    pub stderr: LogTarget,
}

/// Where one stream of a task's output goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LogTarget {
    /// Nowhere; live sinks still get it.
    #[default]
    Null,
    /// Appended to a file, which is made where it is missing.
    File(PathBuf),
    /// To `<path>.0`, `<path>.1`, …: a new one begins with the line that would not fit, and the oldest goes when there are
    /// more than `max_files`. Nomad's `path` is `<task>.stdout` or `<task>.stderr`. Beside them lie hidden files with each
    /// line's time.
    Rotating {
        /// The files' common path, without the number.
        path: PathBuf,
        /// How many files stay; 0 counts as 1.
        max_files: u32,
        /// How large a file may become, in bytes. A line is not torn between two files unless it is longer than that.
        max_file_size: u64,
    },
    /// To a FIFO, which is made where it is missing. It is never waited for: what its reader does not take stays with the
    /// Engine.
    Fifo(PathBuf),
}

/// How a task ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExitResult {
    /// The exit code. A process that a signal ended has 128 plus its number, for so the Engine says it.
    pub exit_code: i64,
    /// Always 0: the Engine does not say which signal ended a container.
    pub signal: i32,
    /// Whether the kernel killed a process of the container for want of memory, by the Engine's word.
    pub oom_killed: bool,
    /// What went wrong beside the code, in words; also where the code itself is not known.
    pub err: Option<String>,
}

impl ExitResult {
    /// Whether the task did what it should: code 0, no signal, no error. (An OOM kill is an error.)
    pub fn is_successful(&self) -> bool {
        self.exit_code == 0 && self.signal == 0 && self.err.is_none()
    }
}

/// What a task does at present.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TaskState {
    /// The Engine has a container that never started, or says something else.
    #[default]
    Unknown,
    /// The container runs (or is paused).
    Running,
    /// The container has ended.
    Exited,
}

/// What is known of a task, by the Engine's word at this moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskStatus {
    /// The task's id.
    pub id: TaskId,
    /// The task's name.
    pub name: String,
    /// What it does.
    pub state: TaskState,
    /// When the container started, RFC 3339; empty: never.
    pub started_at: String,
    /// When it ended, RFC 3339; empty: not yet.
    pub completed_at: String,
    /// How it ended; `None`: not yet.
    pub exit_result: Option<ExitResult>,
    /// `container_id`.
    pub driver_attributes: BTreeMap<String, String>,
    /// The network that the container is in.
    pub network_override: Option<DriverNetwork>,
}

/// The network that a container is in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DriverNetwork {
    /// Port label to port in the container.
    pub port_map: BTreeMap<String, u16>,
    /// The container's address.
    pub ip: String,
    /// Whether services should be announced at that address.
    pub auto_advertise: bool,
}

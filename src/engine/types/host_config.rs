//! What the host does for a container: limits, mounts, ports, namespaces, logging. Request and inspect answer alike.
//! An Engine that gets no value chooses one, so an answer holds more than was asked for.

use std::collections::BTreeMap;

use super::SecretMap;
use super::wire::wire;

wire! {
    /// What the host does for a container: Docker's `HostConfig`. 0, empty and false mean "not limited" or "the daemon's default".
    pub struct HostConfig {
        /// Binds: `<host path or volume>:<container path>[:<options>]`.
        binds: Vec<String>,
        /// The file that the container's id was written to.
        #[serde(rename = "ContainerIDFile")]
        container_id_file: String,
        /// Where the output goes.
        log_config: LogConfig,
        /// `bridge`, `host`, `none`, `container:<id>`, or a network's name. Empty: `default`.
        network_mode: String,
        /// Published ports: `<port>/<protocol>` → addresses of the host. An empty list: not published.
        port_bindings: BTreeMap<String, Vec<PortBinding>>,
        /// What the Engine does when the container exits.
        restart_policy: RestartPolicy,
        /// Whether the Engine removes the container when it exits.
        auto_remove: bool,
        /// The driver of the volumes in `binds`.
        volume_driver: String,
        /// Containers whose volumes are mounted too: `<id>[:<ro|rw>]`.
        volumes_from: Vec<String>,
        /// Mounts, typed.
        mounts: Vec<Mount>,
        /// The first size of the terminal: rows, columns.
        console_size: Option<[u32; 2]>,
        /// Annotations for the OCI runtime (API 1.43).
        annotations: BTreeMap<String, String>,

        /// Capabilities added.
        cap_add: Vec<String>,
        /// Capabilities taken away.
        cap_drop: Vec<String>,
        /// The cgroup namespace: `private` or `host`.
        cgroupns_mode: String,
        /// Name servers.
        dns: Vec<String>,
        /// Options of the resolver.
        dns_options: Vec<String>,
        /// Search domains.
        dns_search: Vec<String>,
        /// Lines of `/etc/hosts`: `<name>:<address>`.
        extra_hosts: Vec<String>,
        /// More groups of the process.
        group_add: Vec<String>,
        /// The IPC namespace: `none`, `private`, `shareable`, `container:<id>` or `host`.
        ipc_mode: String,
        /// A cgroup of another container, of the old kind.
        cgroup: String,
        /// Links of the old kind: `container:alias`.
        links: Vec<String>,
        /// How readily the kernel kills it when memory runs out: -1000 to 1000.
        oom_score_adj: i64,
        /// The PID namespace: `container:<id>` or `host`. Empty: its own.
        pid_mode: String,
        /// Whether it has all of the host's rights and devices.
        privileged: bool,
        /// Whether every exposed port gets a port of the host.
        publish_all_ports: bool,
        /// Whether its root file system is read-only.
        readonly_rootfs: bool,
        /// Options of SELinux, AppArmor, seccomp, `no-new-privileges`.
        security_opt: Vec<String>,
        /// Options of the storage driver.
        storage_opt: BTreeMap<String, String>,
        /// Memory file systems: path in the container → mount options.
        tmpfs: BTreeMap<String, String>,
        /// The UTS namespace: `host`. Empty: its own.
        #[serde(rename = "UTSMode")]
        uts_mode: String,
        /// The user namespace: `host`. Empty: the daemon's.
        userns_mode: String,
        /// Bytes of `/dev/shm`. 0: the daemon's, mostly 64 MiB.
        shm_size: i64,
        /// Kernel parameters within its namespaces.
        sysctls: BTreeMap<String, String>,
        /// The OCI runtime.
        runtime: String,
        /// How it is isolated (Windows).
        isolation: String,
        /// Paths that are hidden. `None`: the Engine's list; an empty list hides nothing.
        masked_paths: Option<Vec<String>>,
        /// Paths that are read-only. `None`: the Engine's list; an empty list protects nothing.
        readonly_paths: Option<Vec<String>>,

        /// Share of the CPU, relative to others: 1024 is the usual one.
        cpu_shares: i64,
        /// Bytes of memory at most.
        memory: i64,
        /// CPU time at most, in billionths of a CPU.
        nano_cpus: i64,
        /// The cgroup that its own is made in.
        cgroup_parent: String,
        /// Share of the disks' time, 10 to 1000.
        blkio_weight: u16,
        /// Share of single disks' time.
        blkio_weight_device: Vec<WeightDevice>,
        /// Bytes a second that may be read.
        blkio_device_read_bps: Vec<ThrottleDevice>,
        /// Bytes a second that may be written.
        blkio_device_write_bps: Vec<ThrottleDevice>,
        /// Reads a second.
        #[serde(rename = "BlkioDeviceReadIOps")]
        blkio_device_read_iops: Vec<ThrottleDevice>,
        /// Writes a second.
        #[serde(rename = "BlkioDeviceWriteIOps")]
        blkio_device_write_iops: Vec<ThrottleDevice>,
        /// The length of a period of the CPU scheduler, in microseconds.
        cpu_period: i64,
        /// CPU time in each period, in microseconds; -1: no limit.
        cpu_quota: i64,
        /// The length of a period of the realtime scheduler, in microseconds.
        cpu_realtime_period: i64,
        /// Realtime CPU time in each period, in microseconds.
        cpu_realtime_runtime: i64,
        /// CPUs that it may run on: `0-2,4`.
        cpuset_cpus: String,
        /// Memory nodes that it may use: `0-2,4`.
        cpuset_mems: String,
        /// Devices of the host.
        devices: Vec<DeviceMapping>,
        /// Rules of the device cgroup: `c 13:* rwm`.
        device_cgroup_rules: Vec<String>,
        /// Devices asked of drivers (GPUs).
        device_requests: Vec<DeviceRequest>,
        /// Bytes of kernel memory at most; gone from API 1.42 on.
        kernel_memory: i64,
        /// Bytes of TCP buffers at most; ignored by newer Engines.
        #[serde(rename = "KernelMemoryTCP")]
        kernel_memory_tcp: i64,
        /// Bytes of memory that it is pushed back to when the host runs short.
        memory_reservation: i64,
        /// Bytes of memory and swap together at most; -1: no limit on swap. 0: twice `memory`.
        memory_swap: i64,
        /// How readily its memory is swapped out: 0 to 100. `None`: as the host; some answers say -1 for that.
        memory_swappiness: Option<i64>,
        /// Whether the kernel must not kill it when memory runs out.
        oom_kill_disable: Option<bool>,
        /// Processes at most; 0 and -1: no limit.
        pids_limit: Option<i64>,
        /// Limits of the process.
        ulimits: Vec<Ulimit>,
        /// Whether an init reaps its zombies. `None`: the daemon's default.
        init: Option<bool>,

        /// CPUs (Windows).
        cpu_count: i64,
        /// CPU share in percent (Windows).
        cpu_percent: i64,
        /// Operations a second on the system drive (Windows).
        #[serde(rename = "IOMaximumIOps")]
        io_maximum_iops: u64,
        /// Bytes a second on the system drive (Windows).
        #[serde(rename = "IOMaximumBandwidth")]
        io_maximum_bandwidth: u64,
    }

    /// Where a container's output goes.
    pub struct LogConfig {
        /// The log driver: `json-file`, `local`, `none`, … Empty: the daemon's default.
        #[serde(rename = "Type")]
        kind: String,
        /// Its options.
        config: SecretMap,
    }

    /// What an Engine does when a container exits.
    pub struct RestartPolicy {
        /// `no`, `always`, `unless-stopped` or `on-failure`. Empty: `no`.
        name: String,
        /// How often `on-failure` tries; 0: for ever.
        maximum_retry_count: i64,
    }

    /// An address of the host that a port is published on.
    pub struct PortBinding {
        /// The address. Empty: all of the host's.
        host_ip: String,
        /// The port, or a range. Empty: one that the Engine chooses.
        host_port: String,
    }

    /// A limit of the process, as `setrlimit` takes it; -1: no limit.
    pub struct Ulimit {
        /// Which: `nofile`, `core`, `memlock`, …
        name: String,
        /// The soft limit.
        soft: i64,
        /// The hard limit.
        hard: i64,
    }

    /// A device of the host in a container.
    pub struct DeviceMapping {
        /// Its path on the host.
        path_on_host: String,
        /// Its path in the container.
        path_in_container: String,
        /// What may be done with it: some of `r`, `w`, `m`.
        cgroup_permissions: String,
    }

    /// Devices asked of a driver.
    pub struct DeviceRequest {
        /// The driver. Empty: whichever has the capabilities.
        driver: String,
        /// How many; -1: all.
        count: i64,
        /// Which, by their ids: instead of `count`.
        #[serde(rename = "DeviceIDs")]
        device_ids: Vec<String>,
        /// What they must be able to do: all names of one of the lists.
        capabilities: Vec<Vec<String>>,
        /// Options of the driver.
        options: BTreeMap<String, String>,
    }

    /// A disk's share of time.
    pub struct WeightDevice {
        /// The device's path on the host.
        path: String,
        /// Its share, 10 to 1000.
        weight: u16,
    }

    /// A disk's limit.
    pub struct ThrottleDevice {
        /// The device's path on the host.
        path: String,
        /// Bytes or operations a second.
        rate: u64,
    }

    /// A mount, typed.
    pub struct Mount {
        /// Its path in the container.
        target: String,
        /// A path of the host, a volume's name, an image. Empty: a new volume, or a memory file system.
        source: String,
        /// `bind`, `volume`, `image` (API 1.48), `tmpfs`, `npipe` or `cluster`.
        #[serde(rename = "Type")]
        kind: String,
        /// Whether it is read-only.
        read_only: bool,
        /// How far it may lag behind its source (Docker Desktop): `default`, `consistent`, `cached`, `delegated`.
        consistency: String,
        /// Options of a bind.
        bind_options: Option<BindOptions>,
        /// Options of a volume.
        volume_options: Option<VolumeOptions>,
        /// Options of an image (API 1.48).
        image_options: Option<ImageOptions>,
        /// Options of a memory file system.
        tmpfs_options: Option<TmpfsOptions>,
    }

    /// Options of a bind.
    pub struct BindOptions {
        /// `private`, `rprivate`, `shared`, `rshared`, `slave` or `rslave`. Empty: `rprivate`.
        propagation: String,
        /// Whether mounts below the source stay out.
        non_recursive: bool,
        /// Whether a source that is not there is made, as a directory (API 1.42).
        create_mountpoint: bool,
        /// Whether mounts below stay writable in a read-only bind (API 1.44).
        read_only_non_recursive: bool,
        /// Whether it is an error that mounts below cannot be made read-only (API 1.44).
        read_only_force_recursive: bool,
    }

    /// Options of a volume.
    pub struct VolumeOptions {
        /// Whether a new volume stays empty where the image has files.
        no_copy: bool,
        /// Labels of a new volume.
        labels: BTreeMap<String, String>,
        /// The driver of a new volume.
        driver_config: Option<VolumeDriverConfig>,
        /// A path within the volume (API 1.45).
        subpath: String,
    }

    /// The driver of a new volume.
    pub struct VolumeDriverConfig {
        /// The driver. Empty: `local`.
        name: String,
        /// Its options.
        options: SecretMap,
    }

    /// Options of an image that is mounted.
    pub struct ImageOptions {
        /// A path within the image.
        subpath: String,
    }

    /// Options of a memory file system.
    pub struct TmpfsOptions {
        /// Bytes at most. 0: half of the machine's memory.
        size_bytes: i64,
        /// Its permissions. 0: `0o1777`.
        mode: u32,
        /// More mount options: `["noexec"]` or `["uid", "1000"]` each (API 1.46).
        options: Vec<Vec<String>>,
    }
}

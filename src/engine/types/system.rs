//! What an Engine says of itself: ping, version, info.

use std::collections::BTreeMap;

use super::wire::wire;

/// What the head of `GET /_ping`'s answer says; its body is `OK`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ping {
    /// `Api-Version`: the highest API that the Engine speaks. Empty: not said.
    pub api_version: String,
    /// `OSType`: `linux` or `windows`.
    pub os_type: String,
    /// `Builder-Version`: `1`, or `2` for BuildKit.
    pub builder_version: String,
    /// `Docker-Experimental`.
    pub docker_experimental: bool,
    /// `Swarm`: `inactive`, `active/manager`, …
    pub swarm: String,
    /// `Server`: `Docker/28.5.2 (linux)`, `Libpod/5.8.6 (linux)`.
    pub server: String,
    /// `Libpod-Api-Version`: podman's version. Empty: it is no podman.
    pub libpod_api_version: String,
}

wire! {
    /// The answer of `GET /version`.
    pub struct Version {
        /// The product that the Engine is a part of.
        platform: Platform,
        /// The programs that it consists of.
        components: Vec<Component>,
        /// The Engine's version: `28.5.2`, `5.8.6`.
        version: String,
        /// The highest API that it speaks.
        api_version: String,
        /// The lowest API that it speaks.
        #[serde(rename = "MinAPIVersion")]
        min_api_version: String,
        /// Its source.
        git_commit: String,
        /// The Go that built it.
        go_version: String,
        /// The operating system.
        os: String,
        /// The architecture, in Go's word.
        arch: String,
        /// The kernel's version.
        kernel_version: String,
        /// Whether its experiments are on.
        experimental: bool,
        /// When it was built.
        build_time: String,
    }

    /// The product that an Engine is a part of.
    pub struct Platform {
        /// Its name.
        name: String,
    }

    /// A program of an Engine.
    pub struct Component {
        /// Its name: `Engine`, `Podman Engine`, `containerd`, `runc`, …
        name: String,
        /// Its version.
        version: String,
        /// More of it.
        details: BTreeMap<String, String>,
    }

    /// The answer of `GET /info`. Proxies are left out: they may hold passwords.
    pub struct SystemInfo {
        /// The Engine's id.
        #[serde(rename = "ID")]
        id: String,
        /// The host's name.
        name: String,
        /// How many containers there are.
        containers: i64,
        /// How many run.
        containers_running: i64,
        /// How many are paused.
        containers_paused: i64,
        /// How many are stopped.
        containers_stopped: i64,
        /// How many images there are.
        images: i64,
        /// The storage driver.
        driver: String,
        /// What it says of itself: name and value each.
        driver_status: Vec<Vec<String>>,
        /// Where the Engine keeps its data.
        docker_root_dir: String,
        /// Plugins by kind.
        plugins: Plugins,
        /// Whether memory can be limited.
        memory_limit: bool,
        /// Whether swap can be limited.
        swap_limit: bool,
        /// Whether kernel memory can be limited; gone from API 1.42 on.
        kernel_memory: bool,
        /// Whether TCP buffers can be limited.
        #[serde(rename = "KernelMemoryTCP")]
        kernel_memory_tcp: bool,
        /// Whether the CPU scheduler's period can be set.
        cpu_cfs_period: bool,
        /// Whether the CPU scheduler's quota can be set.
        cpu_cfs_quota: bool,
        /// Whether CPU shares can be set.
        #[serde(rename = "CPUShares")]
        cpu_shares: bool,
        /// Whether CPUs can be chosen.
        #[serde(rename = "CPUSet")]
        cpu_set: bool,
        /// Whether processes can be limited.
        pids_limit: bool,
        /// Whether the kernel can be kept from killing.
        oom_kill_disable: bool,
        /// Whether the host forwards IPv4.
        #[serde(rename = "IPv4Forwarding")]
        ipv4_forwarding: bool,
        /// Whether iptables sees bridged IPv4; gone from API 1.50 on.
        bridge_nf_iptables: bool,
        /// Whether iptables sees bridged IPv6; gone from API 1.50 on.
        bridge_nf_ip6tables: bool,
        /// Whether the Engine runs in debug mode.
        debug: bool,
        /// Its time, RFC 3339.
        system_time: String,
        /// The default log driver.
        logging_driver: String,
        /// `cgroupfs`, `systemd` or `none`.
        cgroup_driver: String,
        /// `1` or `2`; API 1.41.
        cgroup_version: String,
        /// The kernel's version.
        kernel_version: String,
        /// The operating system, for people.
        operating_system: String,
        /// The operating system's version.
        #[serde(rename = "OSVersion")]
        os_version: String,
        /// `linux` or `windows`.
        #[serde(rename = "OSType")]
        os_type: String,
        /// The machine, in the kernel's word: `x86_64`.
        architecture: String,
        /// How many CPUs there are.
        #[serde(rename = "NCPU")]
        ncpu: i64,
        /// Bytes of memory.
        mem_total: i64,
        /// The registry that names without one mean.
        index_server_address: String,
        /// What it knows of registries.
        registry_config: RegistryConfig,
        /// The Engine's own labels.
        labels: Vec<String>,
        /// Whether its experiments are on.
        experimental_build: bool,
        /// Its version.
        server_version: String,
        /// OCI runtimes: name → where.
        runtimes: BTreeMap<String, Runtime>,
        /// The runtime of who asks for none.
        default_runtime: String,
        /// Its place in a swarm.
        swarm: SwarmInfo,
        /// Whether containers outlive a restart of the Engine.
        live_restore_enabled: bool,
        /// How containers are isolated by default (Windows).
        isolation: String,
        /// The init that `init` puts in.
        init_binary: String,
        /// What it does for safety: `name=seccomp,profile=builtin`, `name=rootless`, …
        security_options: Vec<String>,
        /// Whether it is rootless; podman only, Docker says so in `security_options`.
        rootless: bool,
        /// Where new networks' addresses come from; empty: Docker's own pools.
        default_address_pools: Vec<AddressPool>,
        /// Directories of CDI devices.
        #[serde(rename = "CDISpecDirs")]
        cdi_spec_dirs: Vec<String>,
        /// What the Engine warns of.
        warnings: Vec<String>,
    }

    /// Plugins by kind.
    pub struct Plugins {
        /// Volume drivers.
        volume: Vec<String>,
        /// Network drivers.
        network: Vec<String>,
        /// Authorisation plugins.
        authorization: Vec<String>,
        /// Log drivers.
        log: Vec<String>,
    }

    /// What an Engine knows of registries.
    pub struct RegistryConfig {
        /// Networks whose registries may be without TLS.
        #[serde(rename = "InsecureRegistryCIDRs")]
        insecure_registry_cidrs: Vec<String>,
        /// Registries: host → what is known.
        index_configs: BTreeMap<String, IndexConfig>,
        /// Mirrors of Docker Hub.
        mirrors: Vec<String>,
    }

    /// What an Engine knows of a registry.
    pub struct IndexConfig {
        /// Its host.
        name: String,
        /// Its mirrors.
        mirrors: Vec<String>,
        /// Whether it must have TLS with a certificate that holds.
        secure: bool,
        /// Whether it is Docker Hub.
        official: bool,
    }

    /// An Engine's place in a swarm.
    pub struct SwarmInfo {
        /// The node's id.
        #[serde(rename = "NodeID")]
        node_id: String,
        /// The node's address.
        node_addr: String,
        /// `inactive`, `pending`, `active`, `error` or `locked`.
        local_node_state: String,
        /// Whether it is a manager.
        control_available: bool,
        /// What is wrong.
        error: String,
    }

    /// A pool of addresses.
    pub struct AddressPool {
        /// The pool: `172.17.0.0/12`.
        base: String,
        /// Bits of the mask of each network in it.
        size: i64,
    }
}

wire! {
    case "camelCase";

    /// An OCI runtime.
    pub struct Runtime {
        /// The program.
        path: String,
        /// Its arguments.
        runtime_args: Vec<String>,
        /// What it says of itself.
        status: BTreeMap<String, String>,
    }
}

//! What is known of this machine, for names in a job: `${node.unique.name}`, `${attr.os.name}`.
//! What cannot be found out stays empty or 0; nothing here fails. How facts are found out is the concern of `host`.

use crate::driver::Host;

/// Facts of a machine. An empty text or 0: not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    /// Its id: the data directory's.
    pub id: String,
    /// What it calls itself.
    pub hostname: String,
    /// The kernel's name, as `linux`.
    pub kernel_name: String,
    /// The kernel's release, as `6.1.0-18-amd64`.
    pub kernel_version: String,
    /// The distribution, as `debian`.
    pub os_name: String,
    /// The distribution's version, as `12`.
    pub os_version: String,
    /// The architecture by Docker's and Nomad's name, as `amd64`.
    pub arch: String,
    /// Cores.
    pub cores: u64,
    /// The speed of all cores together, in MHz.
    pub total_compute_mhz: u64,
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// The address by which it reaches others.
    pub address: String,
}

impl Machine {
    /// The facts of `host`; `id` is what it is to be called by.
    pub fn of(host: Host, id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            hostname: host.hostname.unwrap_or_default(),
            kernel_name: std::env::consts::OS.to_owned(),
            kernel_version: host.kernel_release.unwrap_or_default(),
            os_name: host.os_name.unwrap_or_default(),
            os_version: host.os_version.unwrap_or_default(),
            arch: host.arch,
            cores: host.cores.map_or(0, u64::from),
            total_compute_mhz: host.total_compute_mhz.unwrap_or(0),
            memory_bytes: host.memory_bytes.unwrap_or(0),
            address: host.address.map(|address| address.to_string()).unwrap_or_default(),
        }
    }
}

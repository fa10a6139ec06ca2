//! A sample of `GET /containers/{id}/stats`, of cgroup v1 and v2. What follows from two samples is computed elsewhere.
//! Counters are unsigned and may hold 2^64-1 ("no limit"), or a small negative number that wrapped (podman's `usage_in_usermode`).

use std::collections::BTreeMap;

use super::wire::wire;

wire! {
    case "snake_case";

    /// A sample of a container's resources.
    pub struct Stats {
        /// When it was taken, RFC 3339.
        read: String,
        /// When the one before was taken; the year 1: there was none.
        preread: String,
        /// The container's name: after a `/` on Docker, without on podman; empty in one-shot answers from Docker 26 on.
        name: String,
        /// The container's id, by Docker's name for it; empty as the name. See [`Stats::container_id`].
        id: String,
        /// The container's id, by podman's name for it.
        #[serde(rename = "Id")]
        podman_id: String,
        /// Processes.
        pids_stats: PidsStats,
        /// Disks.
        blkio_stats: BlkioStats,
        /// CPU time.
        cpu_stats: CpuStats,
        /// CPU time of the sample before.
        precpu_stats: CpuStats,
        /// Memory.
        memory_stats: MemoryStats,
        /// Networks: interface → counters. Empty where the container is in the host's network.
        networks: BTreeMap<String, NetworkStats>,
        /// How many processes there are (Windows).
        num_procs: u64,
    }

    /// Processes.
    pub struct PidsStats {
        /// How many there are.
        current: u64,
        /// How many there may be; 0 and 2^64-1: no limit.
        limit: u64,
    }

    /// Disks. cgroup v2 fills `io_service_bytes_recursive` alone.
    pub struct BlkioStats {
        /// Bytes.
        io_service_bytes_recursive: Vec<BlkioEntry>,
        /// Operations.
        io_serviced_recursive: Vec<BlkioEntry>,
        /// Operations that wait.
        io_queue_recursive: Vec<BlkioEntry>,
        /// Nanoseconds of work.
        io_service_time_recursive: Vec<BlkioEntry>,
        /// Nanoseconds in queues.
        io_wait_time_recursive: Vec<BlkioEntry>,
        /// Operations that were merged into others.
        io_merged_recursive: Vec<BlkioEntry>,
        /// Milliseconds of the disk's time.
        io_time_recursive: Vec<BlkioEntry>,
        /// Sectors.
        sectors_recursive: Vec<BlkioEntry>,
    }

    /// A counter of a disk.
    pub struct BlkioEntry {
        /// The device's major number.
        major: u64,
        /// The device's minor number.
        minor: u64,
        /// `Read`, `Write`, `Sync`, `Async`, `Discard`, `Total`; lower case on cgroup v2.
        op: String,
        /// The counter.
        value: u64,
    }

    /// CPU time.
    pub struct CpuStats {
        /// The container's.
        cpu_usage: CpuUsage,
        /// Nanoseconds that all CPUs of the host have worked or idled; 0: there was no sample.
        system_cpu_usage: u64,
        /// How many CPUs the host has; 0: not said.
        online_cpus: u64,
        /// How it was held back.
        throttling_data: ThrottlingData,
    }

    /// A container's CPU time, in nanoseconds (Windows: 100 ns).
    pub struct CpuUsage {
        /// In all.
        total_usage: u64,
        /// On each CPU; empty on cgroup v2.
        percpu_usage: Vec<u64>,
        /// In the kernel.
        usage_in_kernelmode: u64,
        /// In programs.
        usage_in_usermode: u64,
    }

    /// How a container was held back from the CPU.
    pub struct ThrottlingData {
        /// Periods of the scheduler.
        periods: u64,
        /// Periods in which it was held back.
        throttled_periods: u64,
        /// Nanoseconds for which it was held back.
        throttled_time: u64,
    }

    /// Memory, in bytes.
    pub struct MemoryStats {
        /// In use, with the page cache.
        usage: u64,
        /// The most that was ever in use; 0: not said (cgroup v2, podman).
        max_usage: u64,
        /// What the kernel counts: `rss`, `cache`, … (cgroup v1), `anon`, `file`, `inactive_file`, … (v2). podman says nothing.
        stats: BTreeMap<String, u64>,
        /// How often the limit was hit (cgroup v1).
        failcnt: u64,
        /// The limit; without one the host's memory.
        limit: u64,
        /// Committed (Windows).
        #[serde(rename = "commitbytes")]
        commit_bytes: u64,
        /// The most that was ever committed (Windows).
        #[serde(rename = "commitpeakbytes")]
        commit_peak_bytes: u64,
        /// The private working set (Windows).
        #[serde(rename = "privateworkingset")]
        private_working_set: u64,
    }

    /// Counters of a network interface.
    pub struct NetworkStats {
        /// Bytes received.
        rx_bytes: u64,
        /// Packets received.
        rx_packets: u64,
        /// Packets received broken.
        rx_errors: u64,
        /// Packets received and dropped.
        rx_dropped: u64,
        /// Bytes sent.
        tx_bytes: u64,
        /// Packets sent.
        tx_packets: u64,
        /// Packets not sent for an error.
        tx_errors: u64,
        /// Packets dropped instead of sent.
        tx_dropped: u64,
    }
}

impl Stats {
    /// The container's id; empty as the name.
    pub fn container_id(&self) -> &str {
        if self.id.is_empty() { &self.podman_id } else { &self.id }
    }

    /// Whether this is a sample at all. Of a container that does not run Docker sends zeros, podman 5 an error, both with status 200.
    pub fn is_sample(&self) -> bool {
        !self.read.is_empty() && !self.read.starts_with("0001-")
    }

    /// Whether it holds the sample before it, too.
    pub fn has_before(&self) -> bool {
        !self.preread.is_empty() && !self.preread.starts_with("0001-")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_unsigned_and_absent_lists_empty() {
        let sample: Stats = serde_json::from_str(
            r#"{"read":"2026-11-25T03:39:01Z","pids_stats":{"current":2,"limit":18446744073709551615},
                "cpu_stats":{"cpu_usage":{"percpu_usage":null,"usage_in_usermode":18446744073708168583}},
                "memory_stats":{"stats":{"anon":4096,"hierarchical_memory_limit":18446744073709551615}},
                "blkio_stats":{"io_service_bytes_recursive":[{"major":8,"minor":0,"op":"read","value":7}],"io_serviced_recursive":null},
                "networks":null}"#,
        )
        .unwrap();
        assert_eq!(sample.pids_stats.limit, u64::MAX);
        assert_eq!(sample.cpu_stats.cpu_usage.usage_in_usermode, 18446744073708168583);
        assert!(sample.cpu_stats.cpu_usage.percpu_usage.is_empty());
        assert_eq!(sample.memory_stats.stats["hierarchical_memory_limit"], u64::MAX);
        assert_eq!(sample.blkio_stats.io_service_bytes_recursive[0].value, 7);
        assert!(sample.blkio_stats.io_serviced_recursive.is_empty() && sample.networks.is_empty());
        assert!(sample.is_sample());
    }

    #[test]
    fn an_id_by_either_name() {
        for (body, want) in [
            (r#"{"id":"a"}"#, "a"),
            (r#"{"Id":"b"}"#, "b"),
            (r#"{"id":"a","Id":"b"}"#, "a"),
            (r#"{"Id":"b","id":""}"#, "b"),
            (r#"{"id":null,"Id":null}"#, ""),
        ] {
            assert_eq!(serde_json::from_str::<Stats>(body).unwrap().container_id(), want, "{body}");
        }
    }

    #[test]
    fn what_is_no_sample() {
        for body in ["{}", r#"{"read":"0001-01-01T00:00:00Z"}"#, r#"{"cause":"c","message":"m","response":409}"#] {
            assert!(!serde_json::from_str::<Stats>(body).unwrap().is_sample(), "{body}");
        }
    }
}

//! The arithmetic of samples: what a container used, from what the Engine counts (driver-spec 9). Pure.
//!
//! Counters are unsigned and may be nonsense (podman's wrapped ones); a difference never underflows, and what is no
//! difference is 0.

use serde::{Deserialize, Serialize};

use crate::engine::types::{BlkioEntry, Stats};
use crate::values::rfc3339;

/// What a task uses.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourceUsage {
    /// When it was measured, in nanoseconds since 1970, by the Engine's clock.
    pub timestamp: i64,
    /// Memory.
    pub memory_stats: MemoryUsage,
    /// CPU.
    pub cpu_stats: CpuUsage,
    /// All networks together.
    pub network_stats: NetworkUsage,
    /// All disks together.
    pub blkio_stats: BlkioUsage,
    /// How many processes and threads there are.
    pub pids: u64,
}

/// Memory, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryUsage {
    /// Of programs themselves.
    pub rss: u64,
    /// Of the page cache.
    pub cache: u64,
    /// Of files that are mapped.
    pub mapped_file: u64,
    /// In swap.
    pub swap: u64,
    /// In all, the page cache counted.
    pub usage: u64,
    /// The most that was ever in use; 0 where the kernel does not count it (cgroup v2).
    pub max_usage: u64,
    /// How much there may be; without a limit the host's memory.
    pub limit: u64,
    /// Which of these were measured, by Nomad's names: `RSS`, `Cache`, `Swap`, `Usage`, `Max Usage`.
    pub measured: Vec<String>,
}

/// CPU.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CpuUsage {
    /// Percent of one core, over the time between two samples: 200 is two cores.
    pub percent: f64,
    /// Of what the container used, percent in the kernel.
    pub system_mode: f64,
    /// Of what the container used, percent in programs.
    pub user_mode: f64,
    /// MHz.
    pub total_ticks: f64,
    /// Periods of the scheduler in which it was held back.
    pub throttled_periods: u64,
    /// Nanoseconds for which it was held back.
    pub throttled_time: u64,
    /// Nanoseconds of CPU time since its start.
    pub total_usage: u64,
    /// Which of these were measured, by Nomad's names: `Throttled Periods`, `Throttled Time`, `Percent`.
    pub measured: Vec<String>,
}

/// Counters of networks, since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkUsage {
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
}

/// Counters of disks, since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlkioUsage {
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub write_bytes: u64,
}

/// The most CPUs that Linux takes (`CONFIG_NR_CPUS`, x86).
const MOST_CPUS: u64 = 8192;

/// The CPUs of an Engine's machine, as far as they are known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Machine {
    /// The speed of one core, in MHz; 0: not known.
    pub(crate) core_mhz: f64,
    /// How many cores there are. `None`: not known.
    pub(crate) cores: Option<u32>,
}

/// What a container used. `None`: this is no sample, as of a container that does not run.
pub(crate) fn usage(sample: &Stats, machine: Machine) -> Option<ResourceUsage> {
    if !sample.is_sample() {
        return None;
    }
    Some(ResourceUsage {
        timestamp: rfc3339::parse(&sample.read)?,
        memory_stats: memory(sample),
        cpu_stats: cpu(sample, machine),
        network_stats: sample.networks.values().fold(NetworkUsage::default(), |sum, network| NetworkUsage {
            rx_bytes: sum.rx_bytes.saturating_add(network.rx_bytes),
            tx_bytes: sum.tx_bytes.saturating_add(network.tx_bytes),
            rx_packets: sum.rx_packets.saturating_add(network.rx_packets),
            tx_packets: sum.tx_packets.saturating_add(network.tx_packets),
        }),
        blkio_stats: BlkioUsage {
            read_bytes: bytes_of(&sample.blkio_stats.io_service_bytes_recursive, "read"),
            write_bytes: bytes_of(&sample.blkio_stats.io_service_bytes_recursive, "write"),
        },
        pids: sample.pids_stats.current,
    })
}

fn memory(sample: &Stats) -> MemoryUsage {
    let memory = &sample.memory_stats;
    let counter = |names: &[&str]| {
        let counters = names.iter().filter_map(|name| memory.stats.get(*name).copied());
        counters.into_iter().find(|value| *value > 0).unwrap_or(0)
    };
    // podman counts nothing but the whole.
    let mut measured = if memory.stats.is_empty() { vec!["Usage"] } else { vec!["RSS", "Cache", "Swap", "Usage"] };
    // cgroup v2 has no such counter, and says 0.
    if memory.max_usage > 0 || memory.usage == 0 {
        measured.push("Max Usage");
    }
    MemoryUsage {
        rss: counter(&["rss", "anon"]),
        cache: counter(&["cache", "file"]),
        mapped_file: counter(&["mapped_file", "file_mapped"]),
        swap: counter(&["swap"]),
        usage: memory.usage,
        max_usage: memory.max_usage,
        limit: memory.limit,
        measured: measured.into_iter().map(str::to_owned).collect(),
    }
}

fn cpu(sample: &Stats, machine: Machine) -> CpuUsage {
    let (now, before) = (&sample.cpu_stats, &sample.precpu_stats);
    let (used, used_before) = (&now.cpu_usage, &before.cpu_usage);
    let total = grown(used.total_usage, used_before.total_usage);
    // By the clock: the time of all CPUs, which Docker counts too, stands still where the host sleeps, and podman says 0.
    let elapsed = match (rfc3339::parse(&sample.read), rfc3339::parse(&sample.preread)) {
        (Some(read), Some(preread)) if preread > 0 && read > preread => {
            grown(read.unsigned_abs(), preread.unsigned_abs())
        }
        _ => 0.0,
    };
    let share = |part: f64, of: f64| if part > 0.0 && of > 0.0 { part / of * 100.0 } else { 0.0 };
    let percent = match cpus(sample, machine) {
        None => share(total, elapsed),
        // No container uses more than there is: a sample that says so was taken late.
        Some(cpus) => share(total, elapsed).min(f64::from(cpus) * 100.0),
    };
    CpuUsage {
        percent,
        system_mode: share(grown(used.usage_in_kernelmode, used_before.usage_in_kernelmode), total).min(100.0),
        user_mode: share(grown(used.usage_in_usermode, used_before.usage_in_usermode), total).min(100.0),
        total_ticks: percent / 100.0 * machine.core_mhz,
        throttled_periods: now.throttling_data.throttled_periods,
        throttled_time: now.throttling_data.throttled_time,
        total_usage: used.total_usage,
        measured: ["Throttled Periods", "Throttled Time", "Percent"].map(str::to_owned).into(),
    }
}

/// How many CPUs the machine has: as the sample says, else by its list of them, else what is known here. More than Linux
/// takes, or than the list has (it may have some that are off), is no number of CPUs.
fn cpus(sample: &Stats, machine: Machine) -> Option<u32> {
    let listed = sample.cpu_stats.cpu_usage.percpu_usage.len() as u64;
    let listed = Some(listed).filter(|listed| (1..=MOST_CPUS).contains(listed));
    let online = Some(sample.cpu_stats.online_cpus).filter(|online| (1..=listed.unwrap_or(MOST_CPUS)).contains(online));
    online.or(listed).and_then(|cpus| u32::try_from(cpus).ok()).or(machine.cores)
}

/// By how much a counter has grown. One that was set back, or wrapped below zero, has not.
#[expect(clippy::cast_precision_loss, reason = "a share of nanoseconds")]
fn grown(now: u64, before: u64) -> f64 {
    now.checked_sub(before).filter(|grown| *grown < 1 << 62).map_or(0.0, |grown| grown as f64)
}

fn bytes_of(entries: &[BlkioEntry], op: &str) -> u64 {
    let of = entries.iter().filter(|entry| entry.op.eq_ignore_ascii_case(op));
    of.fold(0, |sum: u64, entry| sum.saturating_add(entry.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(text: &str) -> Stats {
        serde_json::from_str(text).expect(text)
    }

    #[test]
    fn cpu_by_the_clock() {
        let times = r#""read":"2026-11-25T03:39:01.5Z","preread":"2026-11-25T03:39:00.5Z""#;
        for (row, now, before, online, want) in [
            ("half a core", 1_500_000_000u64, 1_000_000_000u64, 4, (50.0, 1000.0)),
            ("two cores", 3_000_000_000, 1_000_000_000, 4, (200.0, 4000.0)),
            ("no more than there is", 9_000_000_000, 1_000_000_000, 4, (400.0, 8000.0)),
            ("not said how many", 2_000_000_000, 1_000_000_000, 0, (100.0, 2000.0)),
            ("idle", 1_000_000_000, 1_000_000_000, 4, (0.0, 0.0)),
            ("set back", 5, 1_000_000_000, 4, (0.0, 0.0)),
            ("wrapped below zero", 18_446_744_073_708_168_583, 5, 4, (0.0, 0.0)),
        ] {
            let text = format!(
                r#"{{{times},"cpu_stats":{{"online_cpus":{online},"cpu_usage":{{"total_usage":{now},"percpu_usage":null}}}},
                "precpu_stats":{{"cpu_usage":{{"total_usage":{before}}}}}}}"#
            );
            let usage = usage(&sample(&text), Machine { core_mhz: 2000.0, cores: None }).expect(row);
            assert_eq!((usage.cpu_stats.percent, usage.cpu_stats.total_ticks), want, "{row}");
        }
        // A first sample has nothing before it.
        let first = r#"{"read":"2026-11-25T03:39:01Z","preread":"0001-01-01T00:00:00Z","cpu_stats":{"cpu_usage":{"total_usage":7}}}"#;
        assert_eq!(usage(&sample(first), Machine::default()).expect("a sample").cpu_stats.percent, 0.0);
    }

    #[test]
    fn no_more_cpus_than_there_are() {
        for (row, online, listed, cores, want) in [
            ("said", "4", "null", Some(2), Some(4)),
            ("said, with a list of all that could be", "2", "[1,1,0,0]", Some(8), Some(2)),
            ("absent", "null", "[1,1,1]", Some(8), Some(3)),
            ("0", "0", "[1,1,1]", None, Some(3)),
            ("0, without a list", "0", "[]", Some(8), Some(8)),
            ("more than are listed", "64", "[1,1]", Some(8), Some(2)),
            ("absurd", "18446744073709551615", "null", Some(8), Some(8)),
            ("absurd, with a list", "8193", "[1,1]", Some(8), Some(2)),
            ("just not absurd", "8192", "null", Some(8), Some(8192)),
            ("nobody knows", "0", "null", None, None),
        ] {
            let text = format!(r#"{{"cpu_stats":{{"online_cpus":{online},"cpu_usage":{{"percpu_usage":{listed}}}}}}}"#);
            assert_eq!(cpus(&sample(&text), Machine { core_mhz: 1.0, cores }), want, "{row}");
        }
        let mut long = sample("{}");
        long.cpu_stats.cpu_usage.percpu_usage = vec![1; 10_000];
        assert_eq!(cpus(&long, Machine { core_mhz: 1.0, cores: Some(8) }), Some(8), "an absurd list");
    }

    #[test]
    fn memory_of_both_kinds() {
        // driver-spec 9.2: version 1's counters, then version 2's.
        let with = |memory: &str| {
            let text = format!(r#"{{"read":"2026-11-25T03:39:01Z","memory_stats":{memory}}}"#);
            usage(&sample(&text), Machine::default()).expect("a sample").memory_stats
        };
        let first = with(
            r#"{"usage":5651904,"max_usage":6651904,"limit":10000000,"stats":{"rss":6537216,"cache":1234,"swap":0,"file_mapped":1024}}"#,
        );
        assert_eq!((first.rss, first.cache, first.swap, first.mapped_file), (6_537_216, 1234, 0, 1024));
        assert_eq!((first.usage, first.max_usage), (5_651_904, 6_651_904));
        assert_eq!(first.measured, ["RSS", "Cache", "Swap", "Usage", "Max Usage"]);
        let second = with(r#"{"usage":4096,"stats":{"anon":2048,"file":1024,"file_mapped":512,"rss":0,"cache":0}}"#);
        assert_eq!((second.rss, second.cache, second.mapped_file), (2048, 1024, 512));
        assert_eq!(second.measured, ["RSS", "Cache", "Swap", "Usage"]);
        assert_eq!(with(r#"{"usage":4096,"limit":8192}"#).measured, ["Usage"], "what podman says");
    }

    #[test]
    fn what_is_no_sample() {
        for text in ["{}", r#"{"read":"0001-01-01T00:00:00Z"}"#, r#"{"cause":"c","message":"m"}"#, r#"{"read":"soon"}"#]
        {
            assert_eq!(usage(&sample(text), Machine::default()), None, "{text}");
        }
    }

    #[test]
    fn networks_and_disks_are_summed() {
        let usage = usage(
            &sample(
                r#"{"read":"2026-11-25T03:39:01Z","pids_stats":{"current":3,"limit":18446744073709551615},
                "networks":{"eth0":{"rx_bytes":1,"tx_bytes":10},"eth1":{"rx_bytes":18446744073709551615,"tx_bytes":20}},
                "blkio_stats":{"io_service_bytes_recursive":[{"op":"Read","value":5},{"op":"read","value":6},{"op":"Write","value":7},{"op":"Total","value":99}]}}"#,
            ),
            Machine::default(),
        )
        .expect("a sample");
        assert_eq!((usage.network_stats.rx_bytes, usage.network_stats.tx_bytes), (u64::MAX, 30));
        assert_eq!((usage.blkio_stats.read_bytes, usage.blkio_stats.write_bytes, usage.pids), (11, 7, 3));
    }
}

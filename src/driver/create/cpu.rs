//! CPU: shares, a hard limit, cores (driver-spec 4.4).

use super::{CreateError, Facts};
use crate::driver::{LinuxResources, Resources, TaskOptions};
use crate::engine::types::HostConfig;

/// The kernel's bounds of shares.
const SHARES: std::ops::RangeInclusive<i64> = 2..=262_144;
/// The kernel's own period, in µs.
const PERIOD: i64 = 100_000;
/// The kernel's least period and quota, in µs.
const LEAST: i64 = 1000;

pub(super) fn apply(
    host_config: &mut HostConfig,
    options: &TaskOptions,
    resources: &Resources,
    facts: &Facts,
) -> Result<(), CreateError> {
    let requested = requested(resources);
    let total = facts.host.total_compute_mhz;
    host_config.cpu_shares = shares(requested, total);
    host_config.cpuset_cpus = resources.linux.cpuset_cpus.clone();
    if options.cpu_hard_limit {
        let period = period(options.cpu_cfs_period, &resources.linux)?;
        let part = part_of_machine(&resources.linux, requested, total)?;
        let cores = facts.host.cores.ok_or(CreateError::CpuUnknown { fact: "the number of this machine's cores" })?;
        host_config.cpu_period = period;
        host_config.cpu_quota = quota(part, period, cores)?;
    }
    Ok(())
}

/// The task's MHz. A caller that fills only what the job asked for is understood too.
fn requested(resources: &Resources) -> i64 {
    match resources.linux.cpu_shares {
        0 => resources.nomad.cpu_shares,
        shares => shares,
    }
}

/// A share per MHz, scaled down on a machine that has more MHz than the kernel has shares. A task that asks for more than all of
/// it gets the kernel's most.
fn shares(requested: i64, total: Option<u64>) -> i64 {
    let (least, most) = (*SHARES.start(), *SHARES.end());
    let scaled = match total {
        Some(total) if total >= most as u64 => (requested as f64 / total as f64 * most as f64) as i64,
        _ => requested,
    };
    scaled.clamp(least, most)
}

fn period(option: i64, linux: &LinuxResources) -> Result<i64, CreateError> {
    if option != 0 && !(LEAST..=1_000_000).contains(&option) {
        return Err(CreateError::CpuPeriod { value: option });
    }
    // Without any period the limit would silently be none.
    Ok([option, linux.cpu_period].into_iter().find(|period| *period > 0).unwrap_or(PERIOD))
}

/// The task's part of the machine's CPU, 0 to 1.
fn part_of_machine(linux: &LinuxResources, requested: i64, total: Option<u64>) -> Result<f64, CreateError> {
    if linux.percent_ticks > 0.0 {
        return Ok(linux.percent_ticks);
    }
    let total = total.filter(|total| *total > 0);
    let total = total.ok_or(CreateError::CpuUnknown { fact: "this machine's CPU in MHz" })?;
    Ok(requested as f64 / total as f64)
}

/// Cut to whole µs before it is multiplied by the cores. A quota of 0 would be no limit at all, and the kernel takes none below 1000.
fn quota(part: f64, period: i64, cores: u32) -> Result<i64, CreateError> {
    let quota = ((part * period as f64) as i64).saturating_mul(i64::from(cores));
    if quota < LEAST { Err(CreateError::CpuQuota { quota, period }) } else { Ok(quota) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::NomadResources;
    use crate::host::Host;

    #[test]
    fn shares_are_scaled_on_large_machines() {
        // driver-spec 4.4: (machine, task) in MHz -> shares.
        for (total, requested, want) in [
            (Some(12_000), 262_144, 262_144),
            (Some(12_000), 1000, 1000),
            (Some(262_144), 262_144, 262_144),
            (Some(262_145), 2, 2),
            (Some(262_145), 1, 2),
            (Some(524_288), 1001, 500),
            (Some(12_000), 0, 2),
            (Some(12_000), -5, 2),
            (Some(12_000), 300_000, 262_144),
            (Some(300_000), 400_000, 262_144),
            (None, 500, 500),
        ] {
            assert_eq!(shares(requested, total), want, "{requested} MHz of {total:?}");
        }
    }

    #[test]
    fn periods_and_quotas() {
        let linux = |cpu_period| LinuxResources { cpu_period, ..LinuxResources::default() };
        for (option, resources, want) in [
            (0, 0, Ok(100_000)),
            (0, 50_000, Ok(50_000)),
            (1000, 50_000, Ok(1000)),
            (1_000_000, 0, Ok(1_000_000)),
            (1_000_001, 0, Err(1_000_001)),
            (999, 0, Err(999)),
            (-1, 0, Err(-1)),
        ] {
            let want = want.map_err(|value| CreateError::CpuPeriod { value });
            assert_eq!(period(option, &linux(resources)), want, "option {option}, resources {resources}");
        }
        for (part, period, cores, want) in [
            (0.5, 100_000, 4, Ok(200_000)),
            (0.123_456_7, 100_000, 8, Ok(98_760)),
            (0.0025, 100_000, 4, Ok(1000)),
            (0.002, 100_000, 4, Err(800)),
            (0.0, 100_000, 4, Err(0)),
            (2.0, 100_000, 1, Ok(200_000)),
        ] {
            let want = want.map_err(|quota| CreateError::CpuQuota { quota, period });
            assert_eq!(quota(part, period, cores), want, "{part} of {period} on {cores} cores");
        }
    }

    #[test]
    fn a_hard_limit_is_counted_or_refused() {
        let options = |cpu_hard_limit| TaskOptions { cpu_hard_limit, ..TaskOptions::default() };
        let asks = |mhz, percent_ticks| Resources {
            nomad: NomadResources { cpu_shares: mhz, ..NomadResources::default() },
            linux: LinuxResources { percent_ticks, cpuset_cpus: "0-1".into(), ..LinuxResources::default() },
            ports: Vec::new(),
        };
        let facts = |total_compute_mhz, cores| Facts::new(Host { total_compute_mhz, cores, ..Host::default() });
        let unknown = |fact| Err(CreateError::CpuUnknown { fact });
        for (name, hard, resources, facts, want) in [
            ("no limit", false, asks(500, 0.1), facts(None, None), Ok((500, 0, 0))),
            ("given part", true, asks(500, 0.1), facts(None, Some(2)), Ok((500, 100_000, 20_000))),
            ("counted part", true, asks(500, 0.0), facts(Some(2000), Some(2)), Ok((500, 100_000, 50_000))),
            ("no MHz", true, asks(500, 0.0), facts(None, Some(2)), unknown("this machine's CPU in MHz")),
            ("zero MHz", true, asks(500, 0.0), facts(Some(0), Some(2)), unknown("this machine's CPU in MHz")),
            ("no cores", true, asks(500, 0.1), facts(None, None), unknown("the number of this machine's cores")),
        ] {
            let mut host = HostConfig::default();
            let got = apply(&mut host, &options(hard), &resources, &facts);
            assert_eq!(got.map(|()| (host.cpu_shares, host.cpu_period, host.cpu_quota)), want, "{name}");
            assert_eq!(host.cpuset_cpus, "0-1", "{name}");
        }
    }
}

//! Memory limits (driver-spec 4.3). No swap: memory and swap together are limited to the memory.

use super::{CreateError, Facts};
use crate::driver::{NomadResources, Resources, TaskOptions};
use crate::engine::types::HostConfig;
use crate::host::CgroupVersion;

pub(super) fn apply(
    host_config: &mut HostConfig,
    options: &TaskOptions,
    resources: &Resources,
    facts: &Facts,
) -> Result<(), CreateError> {
    let (limit, reservation) = limits(options.memory_hard_limit, &resources.nomad)?;
    host_config.memory = limit;
    host_config.memory_reservation = reservation;
    host_config.memory_swap = limit;
    // Cgroup version 2 has no such thing, and crun refuses a container that asks for it.
    let settable = facts.host.cgroup_version == Some(CgroupVersion::V1) && facts.host.swappiness_writable;
    host_config.memory_swappiness = settable.then_some(0);
    Ok(())
}

/// Limit and reservation, in bytes; 0: none.
fn limits(hard_limit: i64, resources: &NomadResources) -> Result<(i64, i64), CreateError> {
    let (memory, max) = (resources.memory_mb, resources.memory_max_mb);
    let reserve = bytes("memory", memory)?;
    if max == -1 {
        return Ok((0, reserve));
    }
    let limit = bytes("memory_hard_limit", hard_limit)?.max(bytes("memory_max", max)?);
    match limit {
        0 => Ok((reserve, 0)),
        _ if reserve > limit => Err(CreateError::MemoryLimit { limit: hard_limit.max(max), memory }),
        _ => Ok((limit, reserve)),
    }
}

fn bytes(option: &'static str, mb: i64) -> Result<i64, CreateError> {
    let bytes = mb.checked_mul(1 << 20).filter(|bytes| *bytes >= 0);
    bytes.ok_or(CreateError::MemoryRange { option, value: mb })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Host;

    #[test]
    fn limits_and_reservations() {
        let range = |option, value| Err(CreateError::MemoryRange { option, value });
        let too_low = |limit, memory| Err(CreateError::MemoryLimit { limit, memory });
        // driver-spec 4.3, in MB: (memory_hard_limit, memory, memory_max) -> (limit, reservation).
        for ((hard, memory, max), want) in [
            ((0, 10, 0), Ok((10, 0))),
            ((20, 10, 0), Ok((20, 10))),
            ((20, 10, 20), Ok((20, 10))),
            ((30, 10, 20), Ok((30, 10))),
            ((20, 10, 30), Ok((30, 10))),
            ((20, 10, -1), Ok((0, 10))),
            ((0, 0, 0), Ok((0, 0))),
            ((10, 10, 0), Ok((10, 10))),
            ((10, 20, 0), too_low(10, 20)),
            ((10, 20, 15), too_low(15, 20)),
            ((0, -1, 0), range("memory", -1)),
            ((0, 10, -2), range("memory_max", -2)),
            ((-1, 10, 0), range("memory_hard_limit", -1)),
            ((0, i64::MAX, -1), range("memory", i64::MAX)),
        ] {
            let resources = NomadResources { memory_mb: memory, memory_max_mb: max, ..NomadResources::default() };
            let want = want.map(|(limit, reservation)| (limit << 20, reservation << 20));
            assert_eq!(limits(hard, &resources), want, "hard {hard}, memory {memory}, max {max}");
        }
    }

    #[test]
    fn swappiness_is_set_only_where_it_exists() {
        for (cgroup_version, swappiness_writable, want) in [
            (Some(CgroupVersion::V1), true, Some(0)),
            (Some(CgroupVersion::V1), false, None),
            (Some(CgroupVersion::V2), true, None),
            (None, true, None),
        ] {
            let mut host_config = HostConfig::default();
            let facts = Facts::new(Host { cgroup_version, swappiness_writable, ..Host::default() });
            apply(&mut host_config, &TaskOptions::default(), &Resources::default(), &facts).expect("limits");
            assert_eq!(host_config.memory_swappiness, want, "{cgroup_version:?}, writable {swappiness_writable}");
        }
    }
}

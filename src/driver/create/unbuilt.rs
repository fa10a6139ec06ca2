//! What a task can ask for that is not built yet: refused by name, so that nothing is ignored. A concern that gets built takes
//! its line away from here.

use super::CreateError;
use crate::driver::{Resources, TaskConfig};

pub(super) fn refuse(task: &TaskConfig, resources: &Resources) -> Result<(), CreateError> {
    let asked = [
        (!resources.nomad.networks.is_empty(), "a network among the task's resources"),
        (!resources.ports.is_empty(), "a port among the task's resources"),
        (!task.devices.is_empty(), "a device of a device plugin"),
        (!task.mounts.is_empty(), "a mount beside those of the options"),
        (task.dns.is_some(), "name servers of the task's network"),
        (task.network_isolation.is_some(), "a network namespace of the allocation"),
        (task.device_env.contains_key("NVIDIA_VISIBLE_DEVICES"), "a GPU (`NVIDIA_VISIBLE_DEVICES`)"),
        (
            resources.linux.cpuset_cpus.is_empty() && !resources.linux.cpuset_cgroup_path.is_empty(),
            "a control group that says which cores may be used",
        ),
    ];
    match asked.into_iter().find(|(asked, _)| *asked) {
        Some((_, what)) => Err(CreateError::NotSupported { what }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_ignored() {
        type Change = fn(&mut TaskConfig, &mut Resources);
        let rows: [(Change, Option<&str>); 10] = [
            (|_, _| (), None),
            (|task, _| drop(task.device_env.insert("OTHER".into(), "1".into())), None),
            (|_, resources| resources.nomad.networks.push(Default::default()), Some("a network among")),
            (|_, resources| resources.ports.push(Default::default()), Some("a port among")),
            (|task, _| task.devices.push(Default::default()), Some("a device of")),
            (|task, _| task.mounts.push(Default::default()), Some("a mount beside")),
            (|task, _| task.dns = Some(Default::default()), Some("name servers")),
            (|task, _| task.network_isolation = Some(Default::default()), Some("a network namespace")),
            (|task, _| drop(task.device_env.insert("NVIDIA_VISIBLE_DEVICES".into(), "all".into())), Some("a GPU")),
            (|_, resources| resources.linux.cpuset_cgroup_path = "/sys/fs/cgroup/x".into(), Some("a control group")),
        ];
        for (index, (change, want)) in rows.into_iter().enumerate() {
            let (mut task, mut resources) = (TaskConfig::default(), Resources::default());
            change(&mut task, &mut resources);
            match (refuse(&task, &resources), want) {
                (Ok(()), None) => {}
                (Err(error), Some(want)) if error.to_string().starts_with(want) => {}
                (got, want) => panic!("row {index}: {got:?}, not {want:?}"),
            }
        }
    }
}

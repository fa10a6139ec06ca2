//! How a task is, by the Engine's word (driver-spec 1.9, 14.1).

use std::collections::BTreeMap;

use super::task::{DriverNetwork, ExitResult, TaskId, TaskState, TaskStatus};
use super::wait::result;
use super::{Error, Inner};
use crate::engine::InspectQuery;
use crate::engine::types::{ContainerInspect, ContainerState};

/// What Engines write where there is no time.
const NEVER: &str = "0001-01-01T00:00:00Z";

pub(super) fn inspect(inner: &Inner, id: &TaskId) -> Result<TaskStatus, Error> {
    let task = inner.tasks.find(id)?;
    let container = &task.handle.container_id;
    let inspect = inner
        .engine
        .within(inner.config.inspect_timeout)
        .container_inspect(container, &InspectQuery::default())
        .map_err(|source| Error::Inspect { container: container.clone(), source })?;
    Ok(TaskStatus {
        id: id.clone(),
        name: task.handle.config.name.clone(),
        state: state_of(&inspect.state),
        started_at: time(&inspect.state.started_at),
        completed_at: time(&inspect.state.finished_at),
        exit_result: match task.attached {
            true => ExitResult::of(&inspect.state),
            false => task.exit.result(),
        },
        driver_attributes: BTreeMap::from([("container_id".into(), container.clone())]),
        network_override: task.handle.network.clone(),
    })
}

fn state_of(state: &ContainerState) -> TaskState {
    if state.is_running() {
        TaskState::Running
    } else if state.dead || state.has_ended() && has_run(state) {
        TaskState::Exited
    } else {
        TaskState::Unknown
    }
}

impl ExitResult {
    /// How a task ended, by the Engine's word for its container alone. `None`: it has not ended, or never ran.
    pub fn of(state: &ContainerState) -> Option<Self> {
        (state_of(state) == TaskState::Exited).then(|| result(None, state))
    }
}

/// Whether a container has ever been started.
pub(super) fn has_run(state: &ContainerState) -> bool {
    !time(&state.started_at).is_empty()
}

fn time(text: &str) -> String {
    if text == NEVER { String::new() } else { text.into() }
}

/// The network that a container is in: the first with an IPv4 address, by name.
pub(super) fn network_of(inspect: &ContainerInspect) -> Option<DriverNetwork> {
    let networks = &inspect.network_settings.networks;
    let with_address = || networks.iter().filter(|(_, settings)| !settings.ip_address.is_empty());
    if with_address().count() > 1 {
        log::warn!("container {} is in several networks: the first by name counts", inspect.name);
    }
    let (name, settings) = with_address().next()?;
    Some(DriverNetwork {
        port_map: BTreeMap::new(),
        ip: settings.ip_address.clone(),
        auto_advertise: !matches!(name.as_str(), "bridge" | "nat" | "podman"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states() {
        let state = |status: &str, dead, started: &str| ContainerState {
            status: status.into(),
            running: status == "running",
            dead,
            started_at: started.into(),
            ..ContainerState::default()
        };
        for (name, state, want) in [
            ("created", state("created", false, NEVER), TaskState::Unknown),
            ("runs", state("running", false, "2026-11-25T03:36:04Z"), TaskState::Running),
            ("has ended", state("exited", false, "2026-11-25T03:36:04Z"), TaskState::Exited),
            ("is dead", state("dead", true, NEVER), TaskState::Exited),
            ("is what nobody knows", state("hibernating", false, "2026-11-25T03:36:04Z"), TaskState::Unknown),
            ("says nothing", state("", false, "2026-11-25T03:36:04Z"), TaskState::Unknown),
        ] {
            assert_eq!(state_of(&state), want, "{name}");
        }
        assert_eq!(time(NEVER), "");
    }
}

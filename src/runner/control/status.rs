//! A task as `ps` and `status` show it: what is saved of it, and what its Engine says of its container. The part that asks
//! is thin; what is made of the answer is pure.

use serde::Serialize;

use std::time::SystemTime;

use crate::driver::{DriverNetwork, ExitResult};
use crate::engine::types::ContainerInspect;
use crate::runner::control::acquire::{Site, is_here, look};
use crate::runner::journal::event::rfc3339;
use crate::runner::state::lock::Ownership;
use crate::runner::state::store::{AllocState, TaskRecord};
use crate::runner::{Error, Found};

/// What could be found out about a task's container.
#[derive(Debug)]
pub enum Seen {
    /// The Engine's word for it.
    Container(Box<ContainerInspect>),
    /// There is none.
    Nothing,
    /// The Engine does not answer.
    Unknown,
    /// The task runs on another Engine than the one that answers.
    Elsewhere,
}

/// How a task is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum View {
    /// It is to be started.
    Pending,
    /// Its container runs.
    Running,
    /// Its container is paused.
    Paused,
    /// It waits to be started again.
    Restarting,
    /// Its container has ended, and is there.
    Exited,
    /// It has ended for good.
    Ended,
    /// It has ended for good, and its failed start has left a container.
    Left,
    /// It has ended for good; its container is not there, and a create that got no answer may still make it.
    MayCome,
    /// Its container is not there any more, and nobody here removed it.
    Gone,
    /// The Engine does not answer, or says what is not known here.
    Unknown,
    /// It runs on another Engine than the one that answers.
    Elsewhere,
}

/// A task as it is shown. Keys are those of driver-spec 1.0 in snake case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskView {
    /// The allocation's id.
    pub alloc_id: String,
    /// The job's id.
    pub job_id: String,
    /// The group's name.
    pub task_group_name: String,
    /// The allocation's number within its group.
    pub alloc_index: u32,
    /// The task's name.
    pub task_name: String,
    /// The task's id.
    pub task_id: String,
    /// The image, as the job names it.
    pub image: String,
    /// The id of the image that the container runs.
    pub image_id: Option<String>,
    /// The container's id.
    pub container_id: Option<String>,
    /// The container's name.
    pub container_name: String,
    /// How it is.
    pub state: View,
    /// How its health check sees it. `None`: it has none.
    pub health: Option<String>,
    /// When its container was started, RFC 3339.
    pub started_at: Option<String>,
    /// When its container ended, RFC 3339.
    pub completed_at: Option<String>,
    /// How it ended; while it waits to be started again, how its last try did.
    pub exit_result: Option<ExitResult>,
    /// How often it was started again within its policy's interval.
    pub restarts: u32,
    /// When it is started again, RFC 3339.
    pub restart_at: Option<String>,
    /// Ports that are published, as Docker writes them.
    pub ports: Vec<String>,
    /// The network that it is in.
    pub network_override: Option<DriverNetwork>,
    /// Whether a process runs its allocation.
    pub owned: bool,
    /// That process's id, if it is known.
    pub owner_pid: Option<u32>,
    /// Where its Engine is.
    pub endpoint: String,
}

/// Asks the Engine for a task's container.
///
/// # Errors
/// The Engine does not say.
pub fn look_at(site: &Site<'_>, found: &Found<'_>) -> Result<Seen, Error> {
    if found.task.is_cleared_away() {
        return Ok(Seen::Nothing);
    }
    if !is_here(site, found.alloc) {
        return Ok(Seen::Elsewhere);
    }
    Ok(look(site.engine, found.task)?.map_or(Seen::Nothing, |inspect| Seen::Container(Box::new(inspect))))
}

impl TaskView {
    /// A task as it is to be shown.
    pub fn new(found: &Found<'_>, seen: &Seen, owner: Ownership) -> Self {
        let Found { alloc, task } = *found;
        let config = &task.config;
        let inspect = match seen {
            Seen::Container(inspect) => Some(inspect.as_ref()),
            _ => None,
        };
        let time = |text: &str| (!text.is_empty() && !text.starts_with("0001-")).then(|| text.to_owned());
        let started_at = inspect.and_then(|inspect| time(&inspect.state.started_at));
        let state = state(alloc, task, seen, SystemTime::now());
        let ran = started_at.is_some();
        let exit_result = match inspect {
            Some(inspect) if ran => ExitResult::of(&inspect.state),
            _ => task.last_exit.clone(),
        };
        let (owned, owner_pid) = match owner {
            Ownership::Nobody => (false, None),
            Ownership::Process { pid } => (true, pid),
        };
        Self {
            alloc_id: alloc.alloc_id.clone(),
            job_id: alloc.job_id.clone(),
            task_group_name: alloc.group.clone(),
            alloc_index: alloc.index,
            task_name: config.name.clone(),
            task_id: config.id.to_string(),
            image: config.options.get("image").and_then(|image| image.as_str()).unwrap_or_default().to_owned(),
            image_id: inspect.map(|inspect| inspect.image.clone()).filter(|id| !id.is_empty()),
            container_id: inspect.map(|inspect| inspect.id.clone()),
            container_name: task.container_name.clone(),
            state,
            health: inspect.and_then(|inspect| inspect.state.health.as_ref()).map(|health| health.status.clone()),
            completed_at: inspect.filter(|_| state == View::Exited).and_then(|i| time(&i.state.finished_at)),
            started_at,
            exit_result,
            restarts: task.history.restarts(),
            restart_at: task.restart_at.map(rfc3339),
            ports: inspect.map(ports).unwrap_or_default(),
            network_override: task.handle.as_ref().and_then(|handle| handle.network.clone()),
            owned,
            owner_pid,
            endpoint: alloc.endpoint.clone(),
        }
    }
}

fn state(alloc: &AllocState, task: &TaskRecord, seen: &Seen, now: SystemTime) -> View {
    match seen {
        Seen::Unknown => View::Unknown,
        Seen::Elsewhere => View::Elsewhere,
        Seen::Container(inspect) if inspect.state.paused => View::Paused,
        Seen::Container(inspect) if inspect.state.is_running() => View::Running,
        Seen::Container(inspect) if !inspect.state.is_idle() => View::Unknown,
        Seen::Container(_) if task.may_be_left() => View::Left,
        Seen::Nothing if task.may_be_left() && task.may_come(now) => View::MayCome,
        _ if task.ended || alloc.ended => View::Ended,
        _ if task.restart_at.is_some() => View::Restarting,
        Seen::Container(inspect) if ExitResult::of(&inspect.state).is_some() => View::Exited,
        Seen::Container(_) => View::Pending,
        Seen::Nothing if task.handle.is_some() => View::Gone,
        Seen::Nothing => View::Pending,
    }
}

/// As `docker ps` writes them: `0.0.0.0:8080->80/tcp`.
fn ports(inspect: &ContainerInspect) -> Vec<String> {
    let mut ports = Vec::new();
    for (exposed, bindings) in &inspect.network_settings.ports {
        for binding in bindings {
            let ip = match binding.host_ip.as_str() {
                ip if ip.contains(':') => format!("[{ip}]"),
                ip => ip.to_owned(),
            };
            ports.push(format!("{ip}:{}->{exposed}", binding.host_port));
        }
    }
    ports
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::TaskHandle;
    use crate::runner::testing;
    use std::time::Duration;

    fn container(json: &str) -> Seen {
        Seen::Container(Box::new(serde_json::from_str(json).unwrap()))
    }

    #[test]
    fn states() {
        let runs = r#"{"Id":"c","State":{"Running":true,"StartedAt":"2026-11-25T03:36:04Z"}}"#;
        let ended = r#"{"Id":"c","State":{"Status":"exited","ExitCode":3,"StartedAt":"2026-11-25T03:36:04Z","FinishedAt":"2026-11-25T03:37:04Z"}}"#;
        let created = r#"{"Id":"c","State":{"Status":"created","StartedAt":"0001-01-01T00:00:00Z"}}"#;
        let odd = r#"{"Id":"c","State":{"Status":"hibernating","StartedAt":"2026-11-25T03:36:04Z"}}"#;
        let paused = r#"{"Id":"c","State":{"Running":true,"Paused":true,"StartedAt":"2026-11-25T03:36:04Z"}}"#;
        // row, what the Engine says, has a handle, waits for a restart, has ended, state, exit code
        for (row, seen, handle, waits, has_ended, want, code) in [
            ("never started", Seen::Nothing, false, false, false, View::Pending, Some(9)),
            ("runs", container(runs), true, false, false, View::Running, None),
            ("runs, though it was said to have ended", container(runs), true, false, true, View::Running, None),
            ("is paused", container(paused), true, false, false, View::Paused, None),
            ("has ended", container(ended), true, false, false, View::Exited, Some(3)),
            ("is what nobody knows", container(odd), true, false, false, View::Unknown, None),
            ("was only created", container(created), false, false, false, View::Pending, Some(9)),
            ("waits for its next try", container(ended), true, true, false, View::Restarting, Some(3)),
            ("the same without its container", Seen::Nothing, false, true, false, View::Restarting, Some(9)),
            ("ended for good", Seen::Nothing, false, false, true, View::Ended, Some(9)),
            ("ended for good, container kept", container(ended), true, false, true, View::Ended, Some(3)),
            ("removed behind our back", Seen::Nothing, true, false, false, View::Gone, Some(9)),
            ("no answer", Seen::Unknown, true, false, false, View::Unknown, Some(9)),
            ("another Engine's", Seen::Elsewhere, true, false, false, View::Elsewhere, Some(9)),
        ] {
            let mut alloc = testing::state("a1", &["t"]);
            let task = &mut alloc.tasks[0];
            task.handle = handle.then(|| TaskHandle { container_id: "c".into(), ..TaskHandle::default() });
            task.restart_at = waits.then(SystemTime::now);
            task.ended = has_ended;
            task.last_exit = Some(ExitResult { exit_code: 9, ..ExitResult::default() });
            let found = Found { alloc: &alloc, task: &alloc.tasks[0] };
            let view = TaskView::new(&found, &seen, Ownership::Process { pid: Some(7) });
            assert_eq!((view.state, view.exit_result.map(|exit| exit.exit_code)), (want, code), "{row}");
            assert_eq!((view.owned, view.owner_pid), (true, Some(7)), "{row}");
        }
    }

    #[test]
    fn what_a_failed_start_has_left() {
        let created = r#"{"Id":"c","State":{"Status":"created","StartedAt":"0001-01-01T00:00:00Z"}}"#;
        let runs = r#"{"Id":"c","State":{"Status":"running","Running":true,"StartedAt":"2026-11-25T03:36:04Z"}}"#;
        for (row, seen, want) in [
            ("a container that was not started", container(created), View::Left),
            ("one that runs", container(runs), View::Running),
            ("none after all", Seen::Nothing, View::Ended),
            ("nobody knows", Seen::Unknown, View::Unknown),
        ] {
            let mut alloc = testing::state("a1", &["t"]);
            (alloc.tasks[0].ended, alloc.tasks[0].container_may_exist) = (true, true);
            let found = Found { alloc: &alloc, task: &alloc.tasks[0] };
            assert!(!found.task.is_cleared_away(), "{row}");
            assert_eq!(TaskView::new(&found, &seen, Ownership::Nobody).state, want, "{row}");
            // The same, where a create may still make it.
            alloc.tasks[0].container_may_come_until = Some(SystemTime::now() + Duration::from_secs(60));
            let found = Found { alloc: &alloc, task: &alloc.tasks[0] };
            let want = if row == "none after all" { View::MayCome } else { want };
            assert_eq!(TaskView::new(&found, &seen, Ownership::Nobody).state, want, "{row}, or may come");
        }
    }

    #[test]
    fn published_ports() {
        let json = r#"{"NetworkSettings":{"Ports":{"53/udp":null,"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"},{"HostIp":"::","HostPort":"8080"}]}}}"#;
        let inspect: ContainerInspect = serde_json::from_str(json).unwrap();
        assert_eq!(ports(&inspect), ["0.0.0.0:8080->80/tcp", "[::]:8080->80/tcp"]);
    }
}

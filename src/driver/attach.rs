//! Looking at a task that somebody else runs, and finding one whose handle was lost. No threads: an attached task is its
//! handle, and a latch for what is asked of it.

use std::sync::Arc;

use super::create::{self, INSTANCE_LABEL, TASK_ID_LABEL};
use super::destroy::remove;
use super::handle::{HANDLE_VERSION, Task, TaskHandle};
use super::inspect::{has_run, network_of};
use super::task::TaskConfig;
use super::{Error, Inner};
use crate::engine::InspectQuery;
use crate::engine::types::ContainerInspect;

pub(super) fn attach(inner: &Arc<Inner>, handle: &TaskHandle) -> Result<(), Error> {
    if !handle.is_usable() {
        return Err(Error::Handle { task: handle.config.id.clone(), version: handle.version });
    }
    inner.tasks.let_go(&handle.config.id);
    let reservation = inner.tasks.reserve(&handle.config.id)?;
    let hangup = inner.hangup.child();
    let mut handle = handle.clone();
    let engine = inner.engine.with(&hangup).within(inner.config.inspect_timeout);
    match engine.container_inspect(&handle.container_id, &InspectQuery::default()) {
        Ok(inspect) => handle.network = network_of(&inspect).or(handle.network),
        Err(e) if e.is_not_found() => {
            return Err(Error::Gone { task: handle.config.id, container: handle.container_id });
        }
        Err(_) if inner.hangup.is_hung_up() => return Err(Error::ShutDown),
        Err(source) => return Err(Error::Inspect { container: handle.container_id, source }),
    }
    reservation.fill(Arc::new(Task::attached(handle, hangup)))
}

pub(super) fn find(inner: &Inner, task: &TaskConfig) -> Result<Option<TaskHandle>, Error> {
    let found = by_name(inner, task)?.filter(|inspect| has_run(&inspect.state));
    Ok(found.map(|inspect| TaskHandle {
        version: HANDLE_VERSION,
        config: task.clone(),
        network: network_of(&inspect),
        container_name: inspect.name.trim_start_matches('/').to_owned(),
        container_id: inspect.id,
        image_id: inspect.image,
    }))
}

pub(super) fn remove_unstarted(inner: &Inner, task: &TaskConfig) -> Result<(), Error> {
    match by_name(inner, task)?.filter(|inspect| !has_run(&inspect.state)) {
        Some(inspect) => remove(inner, &inspect.id),
        None => Ok(()),
    }
}

/// The container that has the name of a task's, if it is ours.
fn by_name(inner: &Inner, task: &TaskConfig) -> Result<Option<ContainerInspect>, Error> {
    let name = create::container_name(task)?;
    let engine = inner.engine.with(&inner.hangup).within(inner.config.inspect_timeout);
    let inspect = match engine.container_inspect(&name, &InspectQuery::default()) {
        Ok(inspect) => inspect,
        Err(e) if e.is_not_found() => return Ok(None),
        Err(_) if inner.hangup.is_hung_up() => return Err(Error::ShutDown),
        Err(source) => return Err(Error::Inspect { container: name, source }),
    };
    let label = |name: &str| inspect.config.labels.get(name).map(String::as_str);
    let ours = inspect.name.trim_start_matches('/') == name // A name may also be the beginning of another container's id.
        && label(INSTANCE_LABEL) == Some(&inner.config.instance)
        && label(TASK_ID_LABEL) == Some(task.id.as_str());
    Ok(ours.then_some(inspect))
}

//! Whose container it is that has the name or the id of a task's: this task's, a stranger's, or nobody's.

use super::create::{INSTANCE_LABEL, TASK_ID_LABEL};
use super::handle::TaskHandle;
use super::task::TaskId;
use super::{Error, Inner};
use crate::engine::types::ContainerInspect;
use crate::engine::{self, Engine, InspectQuery};

/// What has the name.
pub(super) enum Holder {
    Nobody,
    Ours(Box<ContainerInspect>),
    /// Another's container, by its id.
    Stranger(String),
}

/// Asks the Engine. An error: it could not be asked, and nobody knows.
pub(super) fn holder(engine: &Engine, instance: &str, task: &TaskId, name: &str) -> Result<Holder, engine::Error> {
    let inspect = match engine.container_inspect(name, &InspectQuery::default()) {
        Ok(inspect) => inspect,
        Err(e) if e.is_not_found() => return Ok(Holder::Nobody),
        Err(e) => return Err(e),
    };
    // A name may also be the beginning of another container's id.
    if inspect.name.trim_start_matches('/') != name {
        return Ok(Holder::Nobody);
    }
    Ok(match is_ours(&inspect, instance, task) {
        true => Holder::Ours(Box::new(inspect)),
        false => Holder::Stranger(inspect.id),
    })
}

/// Inspects the container of a handle. [`Error::Inspect`]: the Engine could not be asked, and nobody knows.
pub(super) fn container_of(inner: &Inner, engine: &Engine, handle: &TaskHandle) -> Result<ContainerInspect, Error> {
    let (task, container) = (&handle.config.id, &handle.container_id);
    match engine.container_inspect(container, &InspectQuery::default()) {
        Ok(inspect) if is_ours(&inspect, &inner.config.instance, task) => Ok(inspect),
        Ok(_) => Err(Error::NotOurs { task: task.clone(), container: container.clone() }),
        Err(e) if e.is_not_found() => Err(Error::Gone { task: task.clone(), container: container.clone() }),
        Err(_) if inner.hangup.is_hung_up() => Err(Error::ShutDown),
        Err(source) => Err(Error::Inspect { container: container.clone(), source }),
    }
}

/// Whether a container is this task's, made by a driver of this name. By that alone it is told: an id that was saved may be
/// anything, and a name anybody's.
pub(crate) fn is_ours(inspect: &ContainerInspect, instance: &str, task: &TaskId) -> bool {
    let label = |name: &str| inspect.config.labels.get(name).map(String::as_str);
    label(INSTANCE_LABEL) == Some(instance) && label(TASK_ID_LABEL) == Some(task.as_str())
}

//! Who has the name of a task's container: nobody, a container of this task's, or a stranger's.

use super::create::{INSTANCE_LABEL, TASK_ID_LABEL};
use super::task::TaskId;
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

/// Whether a container is this task's, made by a driver of this name. By that alone it is told: an id that was saved may be
/// anything, and a name anybody's.
pub(crate) fn is_ours(inspect: &ContainerInspect, instance: &str, task: &TaskId) -> bool {
    let label = |name: &str| inspect.config.labels.get(name).map(String::as_str);
    label(INSTANCE_LABEL) == Some(instance) && label(TASK_ID_LABEL) == Some(task.as_str())
}

//! Sending a task a signal (driver-spec 1.12).

use super::task::TaskId;
use super::{Error, Inner, Signal};
use crate::engine::KillQuery;

pub(super) fn signal(inner: &Inner, id: &TaskId, signal: Signal) -> Result<(), Error> {
    let task = inner.tasks.find(id)?;
    if signal == Signal::Kill {
        task.is_to_be_killed();
    }
    let (container, signal) = (&task.handle.container_id, signal.to_string());
    inner.engine.container_kill(container, &KillQuery { signal: signal.clone() }).map_err(|source| Error::Signal {
        container: container.clone(),
        signal,
        source,
    })
}

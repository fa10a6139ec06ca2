//! The sweep: one list of all containers a minute finds the ends that no wait reported, for Engines can miss an exit.
//! It decides nothing: it makes the wait loop of such a task look for itself.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use super::create::INSTANCE_LABEL;
use super::{Error, Inner};
use crate::engine::{Engine, ListQuery};
use crate::threads::Worker;

/// Starts the driver's sweep, where it does not run yet.
pub(super) fn ensure(inner: &Arc<Inner>) -> Result<(), Error> {
    let mut sweep = inner.sweep.lock().unwrap_or_else(PoisonError::into_inner);
    if sweep.is_some() || inner.hangup.is_hung_up() {
        return Ok(());
    }
    let body = {
        let inner = inner.clone();
        move || {
            let engine = inner.engine.with(&inner.hangup).within(inner.config.inspect_timeout);
            while inner.hangup.sleep(inner.config.sweep_period) {
                pass(&inner, &engine);
            }
        }
    };
    *sweep = Some(Worker::spawn("sweep", inner.hangup.clone(), body, |_| {}).map_err(Error::Thread)?);
    Ok(())
}

fn pass(inner: &Inner, engine: &Engine) {
    let waiting: Vec<_> = inner.tasks.started().into_iter().filter(|task| task.exit.result().is_none()).collect();
    if waiting.is_empty() {
        return;
    }
    let query = ListQuery::new().all().filter("label", format!("{INSTANCE_LABEL}={}", inner.config.instance));
    let states: HashMap<String, String> = match engine.container_list(&query) {
        Ok(list) => list.into_iter().map(|container| (container.id, container.state)).collect(),
        // The wait loops see for themselves that the Engine is away.
        Err(e) => return log::debug!("sweep: {e}"),
    };
    for task in waiting {
        if states.get(&task.handle.container_id).is_none_or(|state| has_ended(state)) {
            task.interrupt_wait();
        }
    }
}

/// Whether a list's word for a state means that the container has ended (podman's `stopped` too).
fn has_ended(state: &str) -> bool {
    matches!(state, "exited" | "dead" | "removing" | "stopped")
}

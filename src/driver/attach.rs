//! Looking at a task that somebody else runs, and finding one whose handle was lost. No threads: an attached task is its
//! handle, and a latch for what is asked of it.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::create;
use super::destroy::remove;
use super::handle::{HANDLE_VERSION, Task, TaskHandle};
use super::holder::{Holder, container_of, holder};
use super::inspect::{has_run, network_of};
use super::owed::{Owed, Unsettled, settle_all};
use super::task::{TaskConfig, TaskId};
use super::{Error, Inner};
use crate::engine::types::ContainerInspect;
use crate::threads::Hangup;

pub(super) fn attach(inner: &Arc<Inner>, handle: &TaskHandle) -> Result<(), Error> {
    if !handle.is_usable() {
        return Err(Error::Handle { task: handle.config.id.clone(), version: handle.version });
    }
    inner.tasks.let_go(&handle.config.id);
    let reservation = inner.tasks.reserve(&handle.config.id)?;
    let hangup = inner.hangup.child();
    let mut handle = handle.clone();
    let engine = inner.engine.with(&hangup).within(inner.config.inspect_timeout);
    // Whoever is attached may stop, remove and enter it.
    let inspect = container_of(inner, &engine, &handle)?;
    handle.network = network_of(&inspect).or(handle.network);
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

pub(super) fn remove_unstarted(inner: &Inner, task: &TaskConfig) -> Result<bool, Error> {
    match by_name(inner, task)?.filter(|inspect| !has_run(&inspect.state)) {
        Some(inspect) => remove(inner, &inspect.id, &Hangup::new()).map(|()| true),
        None => Ok(false),
    }
}

/// What came of the search for a container that a failed start may have left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Leftover {
    /// There is none. A create of another process that got no answer may still make it.
    Nothing,
    /// It is gone, and no other comes.
    Removed,
    /// There is none, and a create that got no answer may make it until then. The driver looks again.
    MayCome {
        /// Until when.
        until: SystemTime,
    },
}

/// Until when an unanswered create of a task may still make a container.
pub(super) fn may_come(inner: &Inner, task: &TaskId) -> Option<SystemTime> {
    let until = inner.owed.may_come(task)?;
    SystemTime::now().checked_add(until.saturating_duration_since(Instant::now()))
}

/// Removes whatever container a task has that this driver does not run, and what it owes of it.
pub(super) fn remove_leftover(inner: &Arc<Inner>, task: &TaskConfig, hangup: &Hangup) -> Result<Leftover, Error> {
    // Nobody starts it meanwhile.
    let _reservation = inner.tasks.reserve(&task.id)?;
    let latch = inner.hangup.joined(hangup);
    let mut debts = inner.owed.take(&task.id);
    let (owed, now) = (!debts.is_empty(), Instant::now());
    let settled = settle_all(inner, &mut debts, &latch, now + inner.config.inspect_timeout, now);
    Owed::add(inner, debts);
    let ended = |error| match (inner.hangup.is_hung_up(), hangup.is_hung_up()) {
        (true, _) => Error::ShutDown,
        (_, true) => Error::GivenUp,
        _ => error,
    };
    let name = create::container_name(task)?;
    match settled {
        Ok(()) => {}
        Err(Unsettled::MayCome) => {
            if let Some(until) = may_come(inner, &task.id) {
                return Ok(Leftover::MayCome { until });
            }
        }
        Err(Unsettled::Engine(source)) => return Err(ended(Error::Remove { container: name, source })),
        Err(Unsettled::Removing) => {
            return Err(ended(Error::RemovalStuck { container: name, after: inner.config.inspect_timeout }));
        }
    }
    match by_name(inner, task).map_err(ended)? {
        Some(inspect) => remove(inner, &inspect.id, hangup).map(|()| Leftover::Removed),
        None if owed => Ok(Leftover::Removed),
        None => Ok(Leftover::Nothing),
    }
}

/// The container that has the name of a task's, if it is ours.
fn by_name(inner: &Inner, task: &TaskConfig) -> Result<Option<ContainerInspect>, Error> {
    let name = create::container_name(task)?;
    let engine = inner.engine.with(&inner.hangup).within(inner.config.inspect_timeout);
    match holder(&engine, &inner.config.instance, &task.id, &name) {
        Ok(Holder::Ours(inspect)) => Ok(Some(*inspect)),
        Ok(Holder::Nobody | Holder::Stranger(_)) => Ok(None),
        Err(_) if inner.hangup.is_hung_up() => Err(Error::ShutDown),
        Err(source) => Err(Error::Inspect { container: name, source }),
    }
}

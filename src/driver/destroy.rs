//! Destroying a task (driver-spec 1.8): its output read to the end, its container removed, its threads joined, its id free.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::Receiver;

use super::events::EventKind;
use super::handle::Task;
use super::stop::engine_stop;
use super::task::TaskId;
use super::{Error, Inner};
use crate::engine::RemoveQuery;
use crate::logs::Collector;
use crate::threads::{Backoff, Hangup};

/// How long a removal that the Engine says is going on is waited for.
const REMOVAL: Duration = Duration::from_secs(60);

pub(super) fn destroy(inner: &Inner, id: &TaskId, force: bool, hangup: &Hangup) -> Result<(), Error> {
    let destroyed = steps(inner, id, force, hangup);
    destroyed.map_err(|e| if hangup.is_hung_up() && !inner.hangup.is_hung_up() { Error::GivenUp } else { e })
}

fn steps(inner: &Inner, id: &TaskId, force: bool, hangup: &Hangup) -> Result<(), Error> {
    let task = inner.tasks.find(id)?;
    let container = &task.handle.container_id;
    match inner.engine.with(hangup).container_state(container) {
        // A task that has ended, and whose container runs, was started again by somebody else: it is no longer the task's.
        // What is not known may run.
        Ok(state) if !state.is_idle() && !force && task.exit.result().is_none() => {
            return Err(Error::StillRunning { task: id.clone() });
        }
        Ok(state) => {
            if state.is_running()
                && let Err(e) = engine_stop(inner, &task, Duration::ZERO, hangup)
            {
                // The removal below is forced.
                log::warn!("{e}");
            }
            settle(inner, &task);
            remove(inner, container, hangup)?;
        }
        Err(e) if e.is_not_found() => {}
        Err(source) => return Err(Error::Inspect { container: container.clone(), source }),
    }
    task.end_threads();
    inner.images.release(id.as_str());
    inner.tasks.forget(&task);
    Ok(())
}

/// Waits for the end of an ended task's output.
pub(super) fn drain(inner: &Inner, id: &TaskId, give_up: &Receiver<Infallible>) -> Result<bool, Error> {
    let task = inner.tasks.find(id)?;
    // Not under the lock: it may take as long as a reader likes, and the task must be able to end meanwhile.
    let progress = task.workers().logs.as_ref().map(Collector::progress);
    Ok(progress.is_none_or(|progress| progress.wait(inner.config.log_drain, give_up)))
}

/// As [`destroy`], but the container stays.
pub(super) fn release(inner: &Inner, id: &TaskId) -> Result<(), Error> {
    let task = inner.tasks.find(id)?;
    if task.exit.result().is_none() {
        return Err(Error::StillRunning { task: id.clone() });
    }
    settle(inner, &task);
    task.end_threads();
    inner.tasks.forget(&task);
    Ok(())
}

/// Gives the wait and the collector time to come to their end: what they have not got by now, nobody gets any more.
fn settle(inner: &Inner, task: &Task) {
    if task.exit.result().is_none() && !task.attached {
        let _ = task.exit.subscribe().recv_timeout(inner.config.inspect_timeout);
    }
    // Not under the lock: a shutdown must not wait for a reader.
    let progress = task.workers().logs.as_ref().map(Collector::progress);
    let Some(progress) = progress.filter(|progress| !progress.settle(inner.config.log_drain)) else { return };
    log::warn!("task {}: its output was not read, or not taken, to the end in time", task.handle.config.id);
    for behind in progress.behind() {
        task.output_lost.store(true, Ordering::Relaxed);
        let message = format!("Output is lost unless its container is kept: {behind}");
        inner.events.emit(&task.handle.config, EventKind::LogsNotice, message);
    }
}

/// Removes the container and its anonymous volumes. One that the Engine is removing already is waited for.
pub(super) fn remove(inner: &Inner, container: &str, hangup: &Hangup) -> Result<(), Error> {
    let engine = inner.engine.with(hangup);
    let latch = inner.hangup.joined(hangup);
    let query = RemoveQuery { force: true, volumes: true, link: false };
    let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
    let mut waited = Duration::ZERO;
    loop {
        match engine.container_remove(container, &query) {
            Ok(()) => return Ok(()),
            Err(e) if e.is_not_found() => return Ok(()),
            Err(e) if e.is_conflict() && waited < REMOVAL => {
                let pause = backoff.next();
                waited += pause;
                if !latch.sleep(pause) {
                    return Err(Error::ShutDown);
                }
            }
            Err(e) if e.is_conflict() => {
                return Err(Error::RemovalStuck { container: container.into(), after: waited });
            }
            Err(source) => return Err(Error::Remove { container: container.into(), source }),
        }
    }
}

//! Stopping a task (driver-spec 8.4). A `/stop` is its caller's: no hang-up ends it, for some Engines kill when it closes.

use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;

use super::handle::Task;
use super::task::TaskId;
use super::{Error, Inner, Signal};
use crate::engine::{self, KillQuery, StopQuery, WaitCondition};
use crate::threads::{Backoff, Worker};

pub(super) fn stop(inner: &Inner, id: &TaskId, timeout: Duration, signal: Option<Signal>) -> Result<(), Error> {
    let task = inner.tasks.find(id)?;
    match signal {
        None => engine_stop(inner, &task, timeout),
        // No time between the signal and the kill: the kill alone.
        Some(_) if timeout.is_zero() => engine_stop(inner, &task, Duration::ZERO),
        Some(signal) => {
            if has_ended_by(inner, &task, signal, timeout)? {
                return Ok(());
            }
            engine_stop(inner, &task, Duration::ZERO)
        }
    }
}

/// Sends the signal and waits for the end. False: it ignores the signal.
fn has_ended_by(inner: &Inner, task: &Task, signal: Signal, timeout: Duration) -> Result<bool, Error> {
    let container = &task.handle.container_id;
    let exit = task.exit.subscribe();
    if signal == Signal::Kill {
        task.is_to_be_killed();
    }
    match inner.engine.container_kill(container, &KillQuery { signal: signal.to_string() }) {
        Ok(()) => {}
        Err(e) if e.is_not_found() => return Ok(true),
        Err(source) => {
            // Whether 409 or (podman 4.3) 500: what does not run needs no signal.
            if !runs(inner, container) {
                return Ok(true);
            }
            let signal = signal.to_string();
            return Err(Error::Signal { container: container.clone(), signal, source });
        }
    }
    if task.attached {
        return ends_within(inner, task, timeout);
    }
    match exit.recv_timeout(timeout) {
        Ok(_) => Ok(true),
        Err(RecvTimeoutError::Timeout) => Ok(false),
        Err(RecvTimeoutError::Disconnected) => Err(Error::ShutDown),
    }
}

/// Waits for the end of a task that nobody waits for here. A wait that breaks is tried again: it is no end.
fn ends_within(inner: &Inner, task: &Task, timeout: Duration) -> Result<bool, Error> {
    let deadline = Instant::now().checked_add(timeout);
    let container = &task.handle.container_id;
    let mut backoff = Backoff::new(inner.config.wait_backoff, inner.config.wait_backoff_limit);
    loop {
        let latch = task.hangup.child();
        let left = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
        let _timer = Worker::timer("stop time", &latch, left).map_err(Error::Thread)?;
        let waited = inner.engine.container_wait(container, WaitCondition::NotRunning, &latch);
        match waited {
            Ok(_) if !runs(inner, container) => return Ok(true),
            Err(e) if e.is_not_found() => return Ok(true),
            _ => {}
        }
        let over = deadline.is_some_and(|deadline| deadline <= Instant::now());
        // A shutdown is not the end of its grace: what is not waited for is not killed.
        if task.hangup.is_hung_up() || !over && !task.hangup.sleep(backoff.next()) {
            return Err(Error::ShutDown);
        }
        if over {
            return Ok(false);
        }
    }
}

/// The Engine's own stop: the container's signal, its grace, SIGKILL.
pub(super) fn engine_stop(inner: &Inner, task: &Task, grace: Duration) -> Result<(), Error> {
    let container = &task.handle.container_id;
    let deadline = grace.saturating_add(inner.config.stop_extra);
    task.is_to_be_killed();
    let query = StopQuery { timeout: Some(grace), signal: String::new(), deadline: Some(deadline) };
    match inner.engine.container_stop(container, &query) {
        Ok(_) => Ok(()),
        Err(e) if e.is_not_found() => Ok(()),
        Err(source) if source.status().is_some() && !runs(inner, container) => {
            log::debug!("{source}; it does not run");
            Ok(())
        }
        Err(source) => Err(Error::Stop { container: container.clone(), source }),
    }
}

/// Whether the container runs, as far as the Engine can be asked.
fn runs(inner: &Inner, container: &str) -> bool {
    match inner.engine.container_state(container) {
        Ok(state) => state.is_running(),
        Err(e) => !engine::Error::is_not_found(&e),
    }
}

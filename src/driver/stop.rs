//! Stopping a task (driver-spec 8.4). A `/stop` is its caller's: no shutdown ends it, for some Engines kill when it closes;
//! the caller's own latch does.

use std::time::{Duration, Instant};

use crossbeam_channel::{after, never, select};

use super::handle::Task;
use super::task::TaskId;
use super::{Error, Inner, Signal};
use crate::engine::{self, Engine, KillQuery, StopQuery, WaitCondition};
use crate::threads::{Backoff, Hangup, Worker};

/// How often a stop is asked for that the Engine says it has done, while the container runs.
const STOPS: u32 = 2;
/// How often it is looked at after each.
const STOP_LOOKS: u32 = 4;

pub(super) fn stop(
    inner: &Inner,
    id: &TaskId,
    timeout: Duration,
    signal: Option<Signal>,
    hangup: &Hangup,
) -> Result<(), Error> {
    let task = inner.tasks.find(id)?;
    let stopped = match signal {
        None => engine_stop(inner, &task, timeout, hangup),
        // No time between the signal and the kill: the kill alone.
        Some(_) if timeout.is_zero() => engine_stop(inner, &task, Duration::ZERO, hangup),
        Some(signal) => match has_ended_by(inner, &task, signal, timeout, hangup) {
            Ok(false) => engine_stop(inner, &task, Duration::ZERO, hangup),
            ended => ended.map(drop),
        },
    };
    stopped.map_err(|e| if hangup.is_hung_up() { Error::GivenUp } else { e })
}

/// Sends the signal and waits for the end. False: it ignores the signal.
fn has_ended_by(inner: &Inner, task: &Task, signal: Signal, timeout: Duration, hangup: &Hangup) -> Result<bool, Error> {
    let engine = inner.engine.with(hangup);
    let container = &task.handle.container_id;
    let exit = task.exit.subscribe();
    if signal == Signal::Kill {
        task.is_to_be_killed();
    }
    match engine.container_kill(container, &KillQuery { signal: signal.to_string() }) {
        Ok(()) => {}
        Err(e) if e.is_not_found() => return Ok(true),
        Err(source) => {
            // Whether 409 or (podman 4.3) 500: what does not run needs no signal.
            if !runs(&engine, container) {
                return Ok(true);
            }
            let signal = signal.to_string();
            return Err(Error::Signal { container: container.clone(), signal, source });
        }
    }
    if task.attached {
        return ends_within(inner, task, timeout, hangup);
    }
    let bell = hangup.bell();
    // A time beyond the clock's range is for ever.
    let over = Instant::now().checked_add(timeout).map_or_else(never, |_| after(timeout));
    select! {
        recv(exit) -> exit => exit.map(|_| true).map_err(|_| Error::ShutDown),
        recv(over) -> _ => Ok(false),
        recv(bell.rung) -> _ => Err(Error::GivenUp),
    }
}

/// Waits for the end of a task that nobody waits for here. A wait that breaks is tried again: it is no end.
fn ends_within(inner: &Inner, task: &Task, timeout: Duration, hangup: &Hangup) -> Result<bool, Error> {
    let (engine, given_up) = (inner.engine.with(hangup), task.hangup.joined(hangup));
    let deadline = Instant::now().checked_add(timeout);
    let container = &task.handle.container_id;
    let mut backoff = Backoff::new(inner.config.wait_backoff, inner.config.wait_backoff_limit);
    loop {
        let latch = given_up.child();
        let left = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
        let _timer = Worker::timer("stop time", &latch, left).map_err(Error::Thread)?;
        let waited = inner.engine.container_wait(container, WaitCondition::NotRunning, &latch);
        match waited {
            Ok(_) if !runs(&engine, container) => return Ok(true),
            Err(e) if e.is_not_found() => return Ok(true),
            _ => {}
        }
        let over = deadline.is_some_and(|deadline| deadline <= Instant::now());
        // A shutdown is not the end of its grace: what is not waited for is not killed.
        if given_up.is_hung_up() || !over && !given_up.sleep(backoff.next()) {
            return Err(Error::ShutDown);
        }
        if over {
            return Ok(false);
        }
    }
}

/// The Engine's own stop: the container's signal, its grace, SIGKILL.
pub(super) fn engine_stop(inner: &Inner, task: &Task, grace: Duration, hangup: &Hangup) -> Result<(), Error> {
    let container = &task.handle.container_id;
    let deadline = grace.saturating_add(inner.config.stop_extra);
    task.is_to_be_killed();
    let query = StopQuery { timeout: Some(grace), signal: String::new(), deadline: Some(deadline) };
    for _ in 0..STOPS {
        match inner.engine.container_stop_under(container, &query, hangup) {
            // Whoever waits for its end sees whether it comes.
            Ok(_) if !task.attached => return Ok(()),
            Ok(_) if has_stopped(inner, container, hangup)? => return Ok(()),
            Ok(_) => log::debug!("the container {container:.12} is stopped, by the Engine's word, and it runs"),
            Err(e) if e.is_not_found() => return Ok(()),
            Err(source) if source.status().is_some() && !runs(&inner.engine.with(hangup), container) => {
                log::debug!("{source}; it does not run");
                return Ok(());
            }
            Err(source) => return Err(Error::Stop { container: container.clone(), source }),
        }
    }
    Err(Error::NotStopped { container: container.clone() })
}

/// Whether a container that was stopped, by the Engine's word, does not run. Its state may be a moment behind.
fn has_stopped(inner: &Inner, container: &str, hangup: &Hangup) -> Result<bool, Error> {
    let engine = inner.engine.with(hangup).within(inner.config.inspect_timeout);
    let mut backoff = Backoff::new(inner.config.wait_backoff, inner.config.wait_backoff_limit);
    for look in 0..STOP_LOOKS {
        if look > 0 && !hangup.sleep(backoff.next()) {
            return Err(Error::GivenUp);
        }
        match engine.container_state(container) {
            Ok(state) if state.is_idle() => return Ok(true),
            Ok(_) => {}
            Err(e) if e.is_not_found() => return Ok(true),
            Err(source) => return Err(Error::Inspect { container: container.into(), source }),
        }
    }
    Ok(false)
}

/// Whether the container runs, as far as the Engine can be asked.
fn runs(engine: &Engine, container: &str) -> bool {
    match engine.container_state(container) {
        // What is not known may run.
        Ok(state) => !state.is_idle(),
        Err(e) => !engine::Error::is_not_found(&e),
    }
}

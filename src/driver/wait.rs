//! The wait loop, which must never lie: a broken wait is not an exit. Only a container that does not run, or is gone, ends
//! the task; while the Engine is away the task runs on, and an event says why nobody knows better.

use std::sync::Arc;
use std::time::Duration;

use super::events::EventKind;
use super::handle::Task;
use super::inspect::has_run;
use super::task::ExitResult;
use super::{Error, Inner};
use crate::engine::types::{ContainerState, WaitResult};
use crate::engine::{self, Engine, WaitCondition};
use crate::threads::{Backoff, Worker};

/// The exit code of a task whose own nobody knows.
const UNKNOWN: i64 = -1;
/// How often OOM flag and error text are asked for, of an Engine that has delivered an exit code and then does not answer.
const LAST_INSPECTS: u32 = 5;
/// The exit code of what SIGKILL ended.
const KILLED: i64 = 137;
/// When an end by SIGKILL is looked at again: Docker 20.10 may say only after the exit that it was for want of memory.
const OOM_LOOKS: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(250)];

/// Starts the thread that waits for a task's end.
pub(super) fn spawn(inner: &Arc<Inner>, task: &Arc<Task>) -> Result<Worker, Error> {
    let name = format!("wait {:.8}", task.handle.container_id);
    let body = {
        let (inner, task) = (inner.clone(), task.clone());
        move || {
            let mut wait = Wait {
                engine: inner.engine.with(&task.hangup).within(inner.config.inspect_timeout),
                backoff: Backoff::new(inner.config.wait_backoff, inner.config.wait_backoff_limit),
                lost: false,
                exhausted: false,
                inner: &inner,
                task: &task,
            };
            if let Some(result) = wait.run() {
                if result.oom_killed {
                    let message = "The kernel killed a process for want of memory";
                    inner.events.emit(&task.handle.config, EventKind::Oom, message);
                }
                task.exit.publish(result);
            }
        }
    };
    let on_panic = {
        let (inner, task) = (inner.clone(), task.clone());
        move |words: &str| {
            let message = format!("The thread that waits for the task panicked: {words}");
            inner.events.emit(&task.handle.config, EventKind::Panic, message);
        }
    };
    Worker::spawn(name, task.hangup.clone(), body, on_panic).map_err(Error::Thread)
}

struct Wait<'a> {
    engine: Engine,
    backoff: Backoff,
    /// Whether it was told that the Engine is away.
    lost: bool,
    /// Whether it is this process that could not ask it.
    exhausted: bool,
    inner: &'a Inner,
    task: &'a Task,
}

/// What an inspect says of the task.
enum Seen {
    Running,
    Ended(ContainerState),
    /// It was created, and nobody has started it.
    NeverRan,
    Gone,
    /// The Engine says something that is neither an end nor known to be none.
    Odd,
    /// Why nobody knows.
    Unknown(String),
}

impl Wait<'_> {
    /// Waits until the task has ended. `None`: the driver lets go of it.
    fn run(&mut self) -> Option<ExitResult> {
        loop {
            let waited = self.engine.container_wait(
                &self.task.handle.container_id,
                WaitCondition::NotRunning,
                &self.task.next_wait(),
            );
            if self.task.hangup.is_hung_up() {
                return None;
            }
            let code = match waited {
                Ok(WaitResult { status_code, error: None }) => Some(status_code),
                Ok(WaitResult { error: Some(error), .. }) => {
                    log::debug!("wait for {}: {}", self.task.handle.container_id, error.message);
                    None
                }
                Err(e) => {
                    log::debug!("{e}");
                    None
                }
            };
            match self.look(code.is_some())? {
                Seen::Running => self.back(),
                // No end, whatever the wait has said.
                Seen::Odd => {}
                Seen::Ended(state) => return Some(result(code, &self.look_for_oom(code, state))),
                Seen::NeverRan => return Some(never_ran()),
                Seen::Gone => return Some(gone(code)),
                // The code was delivered, and the Engine went away: what it could add is lost.
                Seen::Unknown(_) => return Some(result(code, &ContainerState::default())),
            }
            // Somebody may have stopped and started it: then it runs. A wait that breaks again and again must not spin.
            if !self.task.hangup.sleep(self.backoff.next()) {
                return None;
            }
        }
    }

    /// Asks how the container is until the Engine says it. `Unknown` only where a code is known already, after a few tries.
    fn look(&mut self, code_known: bool) -> Option<Seen> {
        let mut backoff = self.backoff.clone();
        backoff.reset();
        let mut tries = 0;
        loop {
            let seen = match self.engine.container_state(&self.task.handle.container_id) {
                Ok(state) if state.is_running() => Seen::Running,
                // A state that says nothing is not an end.
                Ok(state) if state.status.is_empty() => Seen::Unknown("it tells no state".into()),
                Ok(state) if matches!(state.status.as_str(), "created" | "dead" | "removing") && !has_run(&state) => {
                    Seen::NeverRan
                }
                Ok(state) if state.has_ended() => Seen::Ended(state),
                // A word of a later Engine, or of one that is about something (podman's `initialized`): it is asked again.
                Ok(state) => {
                    self.odd(&state.status);
                    Seen::Odd
                }
                Err(e) if e.is_not_found() => Seen::Gone,
                Err(e) => {
                    self.exhausted = e.is_exhausted();
                    Seen::Unknown(with_cause(&e))
                }
            };
            if self.task.hangup.is_hung_up() {
                return None;
            }
            let Seen::Unknown(why) = seen else { return Some(seen) };
            tries += 1;
            if code_known && tries == LAST_INSPECTS {
                return Some(Seen::Unknown(why));
            }
            self.away(&why);
            if !self.task.hangup.sleep(backoff.next()) {
                return None;
            }
        }
    }

    /// Its state once more, where it may yet be told that memory had run out: not where SIGKILL was ours.
    fn look_for_oom(&self, code: Option<i64>, mut state: ContainerState) -> ContainerState {
        for pause in OOM_LOOKS {
            let is_killed = code.or(state.exit_code) == Some(KILLED) && !self.task.was_killed();
            if !is_killed || state.oom_killed || !self.task.hangup.sleep(pause) {
                break;
            }
            match self.engine.container_state(&self.task.handle.container_id) {
                Ok(later) if later.oom_killed && !later.is_running() => state = later,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        state
    }

    fn away(&mut self, why: &str) {
        let what = if self.exhausted { "The Engine cannot be asked" } else { "The Engine does not answer" };
        self.lose(format!("{what}; the task is taken to run on: {why}"));
    }

    fn odd(&mut self, status: &str) {
        self.lose(format!("The Engine says `{status}` of the container, which is no end; the task is taken to run on"));
    }

    fn lose(&mut self, message: String) {
        if !self.lost {
            self.lost = true;
            self.inner.events.emit(&self.task.handle.config, EventKind::EngineLost, message);
        }
    }

    fn back(&mut self) {
        if self.lost {
            self.lost = false;
            self.backoff.reset();
            let message = "The Engine answers again; the task runs";
            self.inner.events.emit(&self.task.handle.config, EventKind::EngineBack, message);
        }
    }
}

fn with_cause(error: &engine::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// The result of a task that has ended. What wait delivered is the exit code, even where inspect says another. Where neither
/// says one it is not known, and no success.
pub(super) fn result(code: Option<i64>, state: &ContainerState) -> ExitResult {
    let Some(exit_code) = code.or(state.exit_code) else {
        let why = if state.error.is_empty() { "" } else { ": " };
        let err = format!("the Engine tells no exit code{why}{}", state.error);
        return ExitResult { exit_code: UNKNOWN, signal: 0, oom_killed: state.oom_killed, err: Some(err) };
    };
    let err = if state.oom_killed {
        Some("OOM killed".to_owned())
    } else if exit_code != 0 && !state.error.is_empty() {
        Some(state.error.clone())
    } else {
        None
    };
    ExitResult { exit_code, signal: 0, oom_killed: state.oom_killed, err }
}

/// The result of a task whose container somebody has removed.
fn gone(code: Option<i64>) -> ExitResult {
    let err =
        code.is_none().then(|| "the container was removed by somebody else: its exit code is not known".to_owned());
    ExitResult { exit_code: code.unwrap_or(UNKNOWN), err, ..ExitResult::default() }
}

/// The result of a task whose container waits to be started: its code is 0, and means nothing.
fn never_ran() -> ExitResult {
    ExitResult { exit_code: UNKNOWN, err: Some("the container was never started".to_owned()), ..ExitResult::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results() {
        let state = |exit_code, oom_killed, error: &str| ContainerState {
            exit_code: Some(exit_code),
            oom_killed,
            error: error.into(),
            ..ContainerState::default()
        };
        for (name, code, state, want) in [
            ("wait's code wins", Some(137), state(0, false, ""), (137, false, None)),
            ("without it inspect's", None, state(7, false, ""), (7, false, None)),
            ("OOM by the Engine's word", Some(137), state(137, true, ""), (137, true, Some("OOM killed"))),
            ("no OOM for a mere 137", Some(137), state(137, false, ""), (137, false, None)),
            ("an OOM with code 0", Some(0), state(0, true, ""), (0, true, Some("OOM killed"))),
            ("a text beside a code", Some(127), state(127, false, "no such file"), (127, false, Some("no such file"))),
            ("a text without one", Some(0), state(0, false, "what podman writes"), (0, false, None)),
        ] {
            let got = result(code, &state);
            assert_eq!((got.exit_code, got.oom_killed, got.err.as_deref()), want, "{name}");
        }
        let unknown = result(None, &ContainerState { exit_code: None, ..state(0, false, "") });
        assert!(unknown.exit_code == UNKNOWN && unknown.err.is_some() && !unknown.is_successful(), "{unknown:?}");
        let oom = result(None, &ContainerState { exit_code: None, ..state(0, true, "no luck") });
        assert!(oom.oom_killed && oom.err.is_some_and(|err| err.contains("no luck")));
        assert_eq!(result(Some(3), &ContainerState::default()).exit_code, 3, "wait's alone");
        assert_eq!(gone(None).exit_code, UNKNOWN);
        assert!(!gone(None).is_successful() && gone(Some(0)).is_successful());
    }
}

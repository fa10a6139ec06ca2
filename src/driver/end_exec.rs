//! Ending a command that the Engine has no call to end.

use std::fs;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::Inner;
use super::exec::{ExecFate, MARK};
use super::owed::Owed;
use crate::engine;
use crate::engine::types::{Env, ExecCreate, ExecStart};
use crate::http::Endpoint;
use crate::threads::Worker;

/// How long the Engine may take to say how a command is, and, in all, until it is killed from within: whoever has set it
/// a time is waiting for the answer.
const LOOK: Duration = Duration::from_millis(800);
const KILL: Duration = Duration::from_millis(2000);

/// A command, by all that it can be found by.
#[derive(Debug)]
pub(super) struct Target {
    /// The id of its container.
    pub(super) container: String,
    /// The Engine's id of it, once it has one: it is started then.
    pub(super) exec: OnceLock<String>,
    /// Set once the Engine has answered the start.
    pub(super) started: OnceLock<()>,
    /// What is in its environment.
    pub(super) mark: String,
}

/// Ends a command, if it runs. Where the Engine cannot be asked that is owed.
pub(super) fn end(inner: &Arc<Inner>, target: &Arc<Target>) -> ExecFate {
    try_to_end(inner, target).unwrap_or_else(|e| {
        log::debug!("{e}");
        Owed::add_exec(inner, target.clone());
        ExecFate::Unknown
    })
}

/// Ends a command, if it runs. Err: the Engine could not be asked.
pub(super) fn try_to_end(inner: &Inner, target: &Target) -> Result<ExecFate, engine::Error> {
    let Target { container, exec, started, mark } = target;
    let Some(exec) = exec.get() else { return Ok(ExecFate::NotBegun) };
    let begun = Instant::now();
    let engine = |time: Duration| inner.engine.with(&inner.hangup).within(time.min(inner.config.inspect_timeout));
    let ended = || engine(LOOK).exec_inspect(exec).is_ok_and(|inspect| inspect.ended().is_some());
    let (pid, runs) = match engine(LOOK).exec_inspect(exec) {
        Ok(inspect) if inspect.ended().is_some() => return Ok(ExecFate::Ended),
        Ok(inspect) => (inspect.pid, inspect.running == Some(true)),
        Err(e) if e.is_transient() => return Err(e),
        Err(e) => {
            log::debug!("{e}");
            (0, false)
        }
    };
    let here = matches!(inner.engine.endpoint(), Endpoint::Unix(_));
    if here && kill_process(pid, container) {
        return Ok(ExecFate::Killed);
    }
    match kill_inside(inner, container, mark, KILL.saturating_sub(begun.elapsed())) {
        Ok(true) => Ok(ExecFate::Killed),
        _ if ended() => Ok(ExecFate::Ended),
        Err(e) if e.is_transient() => Err(e),
        killed => {
            log::debug!("{killed:?}");
            // A start that the Engine has not answered may still be on its way.
            Ok(if runs || started.get().is_some() { ExecFate::GoesOn } else { ExecFate::MayGoOn })
        }
    }
}

/// Kills a process of this machine that is surely the container's. An Engine in another pid namespace counts otherwise
/// than we do: its number may be somebody else's process here.
fn kill_process(pid: i64, container: &str) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    let is_the_containers = || {
        let cgroup = fs::read_to_string(format!("/proc/{}/cgroup", pid.as_raw_nonzero()));
        cgroup.is_ok_and(|cgroup| names(&cgroup, container))
    };
    // The descriptor stands for one process for good; what the number stands for is asked after it was opened.
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    is_the_containers() && pidfd_send_signal(&process, Signal::KILL).is_ok()
}

/// Whether a process's `/proc/<pid>/cgroup` names a container: by a whole part of a path, and by an id as Engines make them. An
/// Engine that calls a container as a slice of this machine's own does not get its processes killed.
fn names(cgroup: &str, container: &str) -> bool {
    let is_made_by_an_engine = container.len() == 64 && container.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_its_own = |part: &str| {
        let part = part.strip_suffix(".scope").unwrap_or(part);
        // `docker-<id>.scope`, `libpod-<id>.scope`: as systemd calls it.
        part.rsplit('-').next() == Some(container)
    };
    is_made_by_an_engine && cgroup.lines().any(|line| line.split('/').any(is_its_own))
}

/// Kills the command from within its container, by a shell that looks for its mark.
fn kill_inside(inner: &Inner, container: &str, mark: &str, time: Duration) -> Result<bool, engine::Error> {
    // Not itself: the mark reaches it as a word, and not by the environment.
    let script = format!(
        "for e in /proc/[0-9]*/environ; do if tr '\\0' '\\n' <$e 2>/dev/null | grep -qx '{MARK}={mark}'; then p=${{e#/proc/}}; \
         kill -9 ${{p%/environ}} && k=1; fi; done; [ \"$k\" = 1 ]"
    );
    let body = ExecCreate {
        attach_stdout: true,
        attach_stderr: true,
        env: Env::default(),
        cmd: vec!["sh".into(), "-c".into(), script],
        user: "0".into(),
        ..ExecCreate::default()
    };
    let hangup = inner.hangup.child();
    // An Engine that says nothing to this either must not be waited for.
    let Ok(_timer) = Worker::timer("exec kill time", &hangup, time.min(inner.config.inspect_timeout)) else {
        return Ok(false);
    };
    let engine = inner.engine.with(&hangup);
    let exec = engine.exec_create(container, &body)?.id;
    let mut attached = engine.exec_start(&exec, &ExecStart::default(), &hangup)?;
    while attached.next_piece()?.is_some() {}
    let inspect = engine.exec_inspect(&exec)?;
    Ok(inspect.ended() == Some(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_process() {
        let id = "0123456789abcdef".repeat(4);
        for (cgroup, want) in [
            (format!("12:pids:/docker/{id}\n0::/docker/{id}\n"), true),
            (format!("0::/system.slice/docker-{id}.scope\n"), true),
            (format!("0::/machine.slice/libpod-{id}.scope/container\n"), true),
            (format!("0::/docker-{id}/user.slice-x\n"), true),
            (format!("0::/x{id}\n"), false),
            (format!("0::/{id}x\n"), false),
            ("0::/user.slice\n".into(), false),
            (String::new(), false),
        ] {
            assert_eq!(names(&cgroup, &id), want, "{cgroup}");
        }
        // What is no id could be anything.
        for name in ["abc", "user.slice", "user.slice/user-1000.slice/user@1000.service"] {
            assert!(!names(&format!("0::/{name}/x"), name), "{name}");
        }
    }
}

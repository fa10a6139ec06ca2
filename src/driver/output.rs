//! Where a task's output goes (driver-spec section 10): from what the task and its caller name to the lanes of its collector.

use std::io;
use std::sync::Arc;

use super::handle::Task;
use super::task::{LogTarget, LogTargets};
use super::{Error, Inner, Sink};
use crate::engine::types::{ContainerInspect, LogConfig};
use crate::http::Endpoint;
use crate::logs::{Collected, Collector, Lane, Rotation, Settings, Target};
use crate::values::size;

/// When Docker's driver `local` rotates where nothing is said, in bytes.
const LOCAL_SIZE: u64 = 20 * 1024 * 1024;

/// An Engine's log file that a burst of a task fills within milliseconds, in bytes. To read so little is quick.
const SMALL_FILE: u64 = 256 * 1024;

/// What the Engine keeps of a container's output.
#[derive(Debug)]
pub(super) struct Source {
    /// Whether it has a terminal.
    pub(super) tty: bool,
    /// Its log driver.
    pub(super) log_config: LogConfig,
    /// Whether it is known to run.
    pub(super) runs: bool,
}

impl Source {
    /// By the Engine's word; podman shows no log options, so what we `asked` for must do there.
    pub(super) fn of(inspect: &ContainerInspect, asked: impl FnOnce() -> LogConfig) -> Self {
        let told = &inspect.host_config.log_config;
        let log_config = if told.config.0.is_empty() && told.kind != "local" { asked() } else { told.clone() };
        Self { tty: inspect.config.tty, log_config, runs: inspect.state.is_running() }
    }

    /// How much one follow may carry before a read has to check it: half of what the Engine puts in one file, nothing of small
    /// ones. `None`: it does not rotate.
    fn follow_bytes(&self) -> Option<u64> {
        let said = self.log_config.config.0.get("max-size").and_then(|size| size::parse_decimal(size).ok());
        said.or((self.log_config.kind == "local").then_some(LOCAL_SIZE))
            .map(|size| if size < SMALL_FILE { 0 } else { size / 2 })
    }

    /// Whether the Engine may leave rotated files out of an answer since a time: Docker 20.10 does, where it compresses them.
    fn leaves_out(&self) -> bool {
        match self.log_config.config.0.get("compress") {
            Some(said) => said != "false",
            None => self.log_config.kind == "local",
        }
    }
}

/// Starts what collects a task's output; `None`: there is nowhere for it to go.
pub(super) fn collect(
    inner: &Arc<Inner>,
    task: &Arc<Task>,
    source: Source,
    sinks: Vec<Box<dyn Sink>>,
) -> Result<Option<Collector>, Error> {
    let lanes = lanes(inner, task, sinks)?;
    if lanes.is_empty() {
        return Ok(None);
    }
    let settings = Settings {
        id: task.handle.container_id.clone(),
        terminal: source.tty.then(|| inner.cuts()),
        follow_bytes: source.follow_bytes(),
        leaves_out: source.leaves_out(),
        runs: source.runs,
        same_clock: matches!(inner.engine.endpoint(), Endpoint::Unix(_)),
        backoff: (inner.config.wait_backoff, inner.config.wait_backoff_limit),
    };
    let report = {
        let (inner, task) = (inner.clone(), task.clone());
        move |said| {
            let (message, kind) = match said {
                Collected::Notice(text) => (format!("Output: {text}"), "logs_notice"),
                Collected::SinkFailed(why) => (format!("Output can no longer be written: {why}"), "sink_failed"),
                Collected::Panicked(words) => (format!("The thread that collects output panicked: {words}"), "panic"),
            };
            inner.events.emit(&task.handle.config, message, &[("kind", kind)]);
        }
    };
    let engine = inner.engine.within(inner.config.inspect_timeout);
    Collector::spawn(&engine, settings, lanes, &inner.watch, task.hangup.clone(), report)
        .map(Some)
        .map_err(|source| Error::Logs { what: "its thread".into(), source })
}

/// Where the output of a task's container goes: the live sinks, and the targets that the task names.
fn lanes(inner: &Inner, task: &Task, sinks: Vec<Box<dyn Sink>>) -> Result<Vec<Lane>, Error> {
    let failed = |what: String| move |source| Error::Logs { what, source };
    let container = &task.handle.container_id;
    let mut lanes = Vec::new();
    let targets = targets(inner, &task.handle.config.logs);
    if let [out, err] = &*targets
        && out.path() == err.path()
    {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "it is named for both streams, in different ways");
        return Err(failed(out.path().display().to_string())(source));
    }
    for target in targets {
        lanes.extend(Lane::open(&target, container).map_err(failed(target.path().display().to_string()))?);
    }
    for sink in sinks {
        let what = sink.cursor().map_or_else(String::new, |path| path.display().to_string());
        lanes.push(Lane::live(sink, container).map_err(failed(what))?);
    }
    Ok(lanes)
}

/// What a task names, both streams of one place as one: two who write there would cut each other's lines, and go on from
/// each other's cursor.
fn targets<'a>(inner: &Inner, logs: &'a LogTargets) -> Vec<Target<'a>> {
    let LogTargets { stdout, stderr } = logs;
    if inner.config.disable_log_collection {
        return Vec::new();
    }
    let target = |target: &'a LogTarget, streams| match target {
        LogTarget::Null => None,
        LogTarget::File(path) => Some(Target::File { path, streams }),
        LogTarget::Rotating { path, max_files, max_file_size } => {
            let rotation = Rotation { max_files: *max_files, max_file_size: *max_file_size };
            Some(Target::Rotating { path, streams, rotation })
        }
        LogTarget::Fifo(path) => Some(Target::Fifo { path, streams }),
    };
    if stdout == stderr {
        return target(stdout, [true; 2]).into_iter().collect();
    }
    target(stdout, [true, false]).into_iter().chain(target(stderr, [false, true])).collect()
}

//! Where a task's output goes (driver-spec section 10): from what the task and its caller name to the subscriptions of its collector.

use std::io;
use std::sync::Arc;
#[cfg(feature = "cli")]
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use super::events::EventKind;
use super::handle::Task;
use super::task::{LogTarget, LogTargets};
use super::{Error, Inner, Sink};
use crate::logs::{Collected, Collector, Rotation, Source, Subscription, Target};

#[cfg(feature = "cli")]
impl super::Driver {
    /// Whether some of a task's output could not be passed on; it tells when the task is destroyed, and from then on.
    pub(crate) fn output_lost(&self, id: &super::TaskId) -> Result<Arc<AtomicBool>, Error> {
        Ok(self.owner.inner.tasks.find(id)?.output_lost.clone())
    }

    /// What the Engine keeps of the output of a task's container.
    pub(crate) fn source_of(
        &self,
        inspect: &crate::engine::types::ContainerInspect,
        task: &super::TaskConfig,
    ) -> Source {
        // Decided when the container was made; the options that made it are at hand.
        let options = || super::options::decode(&task.options).unwrap_or_default();
        Source::of(inspect, || super::create::log_config::chosen(&options(), &self.owner.inner.config))
    }
}

/// Starts what collects a task's output; `None`: there is nowhere for it to go.
pub(super) fn collect(
    inner: &Arc<Inner>,
    task: &Arc<Task>,
    source: &Source,
    sinks: Vec<Box<dyn Sink>>,
) -> Result<Option<Collector>, Error> {
    let subscriptions = subscriptions(inner, task, sinks)?;
    if subscriptions.is_empty() {
        return Ok(None);
    }
    let report = {
        let (inner, task) = (inner.clone(), task.clone());
        move |said| {
            if matches!(said, Collected::SinkFailed(_) | Collected::Panicked(_)) {
                task.output_lost.store(true, Ordering::Relaxed);
            }
            let (message, kind) = match said {
                Collected::Notice(text) => (format!("Output: {text}"), EventKind::LogsNotice),
                Collected::SinkFailed(why) => {
                    (format!("Output can no longer be written: {why}"), EventKind::SinkFailed)
                }
                Collected::Panicked(words) => {
                    (format!("The thread that collects output panicked: {words}"), EventKind::Panic)
                }
            };
            inner.events.emit(&task.handle.config, kind, message);
        }
    };
    let engine = inner.engine.within(inner.config.inspect_timeout);
    let backoff = (inner.config.wait_backoff, inner.config.wait_backoff_limit);
    let settings = source.settings(&engine, &task.handle.container_id, backoff);
    Collector::spawn(&engine, settings, subscriptions, &inner.watch, task.hangup.clone(), report)
        .map(Some)
        .map_err(|source| Error::Logs { what: "its thread".into(), source })
}

/// Where the output of a task's container goes: the live sinks, and the targets that the task names.
fn subscriptions(inner: &Inner, task: &Task, sinks: Vec<Box<dyn Sink>>) -> Result<Vec<Subscription<'static>>, Error> {
    let failed = |what: String| move |source| Error::Logs { what, source };
    let container = &task.handle.container_id;
    let anchor = task.handle.config.alloc_dir.as_deref();
    let mut subscriptions = Vec::new();
    let targets = targets(inner, &task.handle.config.logs);
    if let [out, err] = &*targets
        && out.path() == err.path()
    {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "it is named for both streams, in different ways");
        return Err(failed(out.path().display().to_string())(source));
    }
    for target in targets {
        subscriptions.extend(
            Subscription::open(&target, container, anchor).map_err(failed(target.path().display().to_string()))?,
        );
    }
    for sink in sinks {
        let what = sink.cursor().map_or_else(String::new, |path| path.display().to_string());
        subscriptions.push(Subscription::live(sink, container, anchor).map_err(failed(what))?);
    }
    Ok(subscriptions)
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

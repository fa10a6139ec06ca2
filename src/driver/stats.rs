//! A task's resource use, while somebody wants to know (driver-spec 1.10, 9.2): a thread per subscription.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::handle::Task;
use super::task::TaskId;
use super::{Error, Inner};
use crate::engine::{Engine, StatsQuery};
use crate::stats::{ResourceUsage, usage};
use crate::threads::{Backoff, Hangup, Worker};

/// Pauses after a sample that could not be had: 5 s, 10 s … 2 min.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(120));
/// A sample takes the Engine about a second, and longer where it is busy.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn subscribe(inner: &Arc<Inner>, id: &TaskId, interval: Duration) -> Result<Receiver<ResourceUsage>, Error> {
    let task = inner.tasks.find(id)?;
    let (to, receiver) = bounded(1);
    let hangup = task.hangup.child();
    let body = {
        let (inner, task, hangup) = (inner.clone(), task.clone(), hangup.clone());
        move || sample(&inner, &task, interval, &hangup, &to)
    };
    let name = format!("stats {:.8}", task.handle.container_id);
    let worker = Worker::spawn(name, hangup, body, |_| {}).map_err(Error::Thread)?;
    task.watched_by(worker);
    Ok(receiver)
}

/// Samples until the task has ended, its driver lets go of it, or nobody listens.
fn sample(inner: &Inner, task: &Task, interval: Duration, hangup: &Hangup, to: &Sender<ResourceUsage>) {
    let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
    let core_mhz = core_mhz(inner);
    let engine = inner.engine.with(hangup);
    let mut pause = interval;
    // The end of the task closes no latch of its own, for others go on reading its output: it is looked at each time.
    while hangup.sleep(pause) && task.exit.result().is_none() {
        match one(&engine, task, hangup) {
            Ok(Some(sample)) => {
                backoff.reset();
                pause = interval;
                let Some(usage) = usage(&sample, core_mhz) else {
                    if has_ended(&engine, task) {
                        return;
                    }
                    continue;
                };
                match to.try_send(usage) {
                    // A slow receiver misses this one.
                    Ok(()) | Err(TrySendError::Full(_)) => {}
                    Err(TrySendError::Disconnected(_)) => return,
                }
            }
            Ok(None) => pause = backoff.next(),
            Err(e) if e.is_hung_up() || task.attached && e.is_not_found() => return,
            Err(e) => {
                log::debug!("{e}");
                pause = backoff.next();
            }
        }
    }
}

/// Whether a task has ended that nobody waits for here: then its end is told by the Engine alone.
fn has_ended(engine: &Engine, task: &Task) -> bool {
    let state = engine.container_state(&task.handle.container_id);
    task.attached && state.is_ok_and(|state| !state.running && !state.restarting)
}

fn one(
    engine: &Engine,
    task: &Task,
    hangup: &Hangup,
) -> Result<Option<crate::engine::types::Stats>, crate::engine::Error> {
    // One that never comes must not be waited for: its latch is closed after a while.
    let latch = hangup.child();
    let timer = latch.child();
    let (sleeper, ends) = (timer.clone(), latch.clone());
    let _timer = Worker::spawn(
        "stats time",
        timer,
        move || {
            if sleeper.sleep(PATIENCE) {
                ends.hang_up()
            }
        },
        |_| {},
    );
    engine.container_stats(&task.handle.container_id, &StatsQuery::once(), &latch)?.next_line()
}

/// The speed of one core of the Engine's machine, in MHz; 0: not known.
fn core_mhz(inner: &Inner) -> f64 {
    let host = &inner.facts().host;
    match (host.total_compute_mhz, host.cores) {
        #[expect(clippy::cast_precision_loss, reason = "a few thousand MHz")]
        (Some(total), Some(cores)) if cores > 0 => total as f64 / f64::from(cores),
        _ => 0.0,
    }
}

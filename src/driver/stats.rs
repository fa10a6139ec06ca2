//! A task's resource use, while somebody wants to know (driver-spec 1.10, 9.2): a thread per subscription.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::handle::Task;
use super::task::TaskId;
use super::{Error, Inner};
use crate::engine::types::Stats;
use crate::engine::{Engine, StatsQuery};
use crate::stats::{Machine, ResourceUsage, usage};
use crate::threads::{Backoff, Hangup, Worker};

/// Pauses after a sample that could not be had: 5 s, 10 s … 2 min.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(120));
/// A sample takes the Engine about a second, and longer where it is busy.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it takes at least: an Engine (podman) that answers at once would be asked without end.
const LEAST: Duration = Duration::from_secs(1);

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
    let machine = machine(inner);
    let engine = inner.engine.with(hangup);
    let mut before: Option<Stats> = None;
    let mut pause = interval;
    // The end of the task closes no latch of its own, for others go on reading its output: it is looked at each time.
    while !task.exit.has_result() && hangup.sleep(pause) && !task.exit.has_result() {
        let begun = Instant::now();
        let sample = one(&engine, task, hangup);
        // An Engine that answers at once is not asked more often than one that takes its time.
        pause = interval.max(LEAST.saturating_sub(begun.elapsed()));
        match sample {
            Ok(Some(sample)) if sample.is_sample() => {
                backoff.reset();
                let Some(sample) = with_before(sample, &mut before) else { continue };
                let Some(usage) = usage(&sample, machine) else { continue };
                match to.try_send(usage) {
                    // A slow receiver misses this one.
                    Ok(()) | Err(TrySendError::Full(_)) => {}
                    Err(TrySendError::Disconnected(_)) => return,
                }
            }
            Ok(Some(_)) if has_ended(&engine, task) => return,
            Ok(Some(_)) => {}
            Ok(None) => pause = backoff.next(),
            Err(_) if hangup.is_hung_up() => return,
            Err(e) if task.attached && e.is_not_found() => return,
            Err(e) => {
                log::debug!("{e}");
                pause = backoff.next();
            }
        }
    }
}

/// A sample with the one before it, for there is no share of the CPU in one alone. podman 5 leaves it out: then it is the
/// one that came last. `None`: there was none yet.
fn with_before(mut sample: Stats, last: &mut Option<Stats>) -> Option<Stats> {
    if sample.has_before() {
        return Some(sample);
    }
    let before = last.replace(sample.clone())?;
    (sample.preread, sample.precpu_stats) = (before.read, before.cpu_stats);
    Some(sample)
}

/// Whether a task has ended that nobody waits for here: then its end is told by the Engine alone.
fn has_ended(engine: &Engine, task: &Task) -> bool {
    task.attached && engine.container_state(&task.handle.container_id).is_ok_and(|state| state.is_idle())
}

fn one(engine: &Engine, task: &Task, hangup: &Hangup) -> Result<Option<Stats>, crate::engine::Error> {
    // One that never comes must not be waited for: its latch is closed after a while.
    let latch = hangup.child();
    let _timer = Worker::timer("stats time", &latch, PATIENCE);
    engine.container_stats(&task.handle.container_id, &StatsQuery::once(), &latch)?.next_line()
}

/// The CPUs of the Engine's machine.
fn machine(inner: &Inner) -> Machine {
    let host = &inner.facts().host;
    let cores = host.cores.filter(|cores| *cores > 0);
    let core_mhz = match (host.total_compute_mhz, cores) {
        #[expect(clippy::cast_precision_loss, reason = "a few thousand MHz")]
        (Some(total), Some(cores)) => total as f64 / f64::from(cores),
        _ => 0.0,
    };
    Machine { core_mhz, cores }
}

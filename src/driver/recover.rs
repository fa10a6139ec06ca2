//! Taking up a task that was started before: by this process's predecessor, or by a driver that was shut down
//! (driver-spec 1.5, 13.2). An Engine that is away at that moment is no reason to give a task up.

use std::sync::Arc;

use super::events::EventKind;
use super::handle::{Task, TaskHandle};
use super::holder::container_of;
use super::image::HeldImage;
use super::inspect::network_of;
use super::start::threads;
use super::{Error, Inner, Sink, create, options};
use crate::images::Origin;
use crate::logs::Source;
use crate::threads::Hangup;

pub(super) fn recover(inner: &Arc<Inner>, handle: &TaskHandle, sinks: Vec<Box<dyn Sink>>) -> Result<(), Error> {
    if !handle.is_usable() {
        return Err(Error::Handle { task: handle.config.id.clone(), version: handle.version });
    }
    inner.tasks.let_go(&handle.config.id);
    let reservation = match inner.tasks.reserve(&handle.config.id) {
        Ok(reservation) => reservation,
        // It was taken up before, or never let go of.
        Err(Error::AlreadyStarted { .. }) if inner.tasks.find(&handle.config.id).is_ok() => return Ok(()),
        Err(e) => return Err(e),
    };
    let hangup = inner.hangup.child();
    let mut handle = handle.clone();
    // Before its image may be removed.
    let mut held = HeldImage::new(inner, &handle.config.id);
    count_image(inner, &handle, &hangup)?;
    // Decided when the container was made; the options that made it are at hand.
    let options = options::decode(&handle.config.options).unwrap_or_default();
    let asked = || create::log_config::chosen(&options, &inner.config);
    let mut source = None;
    let engine = inner.engine.with(&hangup).within(inner.config.inspect_timeout);
    let mut away = None;
    match container_of(inner, &engine, &handle) {
        Ok(inspect) => {
            source = Some(Source::of(&inspect, asked));
            handle.network = network_of(&inspect).or(handle.network);
        }
        Err(Error::Inspect { source, .. }) => away = Some(source),
        Err(Error::ShutDown) => {
            held.keep();
            return Err(Error::ShutDown);
        }
        Err(e) => return Err(e),
    }
    let task = Arc::new(Task::new(handle, hangup));
    let source = source.unwrap_or_else(|| Source { tty: options.tty, log_config: asked(), runs: false });
    let running = threads(inner, &task, &source, sinks).and_then(|()| reservation.fill(task.clone()));
    if let Err(e) = running {
        task.end_threads();
        // Its container runs on, for somebody else to take up.
        held.keep();
        return Err(e);
    }
    held.keep();
    if let Some(error) = away {
        let message = format!("The task is taken up while the Engine does not answer: {error}");
        inner.events.emit(&task.handle.config, EventKind::RecoveredUnseen, message);
    }
    Ok(())
}

/// Counts a task's image as used again. Whether it is there shows with its container.
fn count_image(inner: &Inner, handle: &TaskHandle, hangup: &Hangup) -> Result<(), Error> {
    if handle.image_id.is_empty() {
        return Ok(());
    }
    let name = options::decode(&handle.config.options).map(|options| options.image).unwrap_or_default();
    let owner = handle.config.id.as_str();
    let added = inner.images.add(&handle.image_id, &name, owner, Origin::Found, hangup);
    added.map(drop).map_err(|_| Error::ShutDown)
}

//! Starting a task (driver-spec 1.4): plan, image, create, start, threads. Whatever fails, what was created is removed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::create::{self, CreatePlan, INSTANCE_LABEL, TASK_ID_LABEL};
use super::handle::{HANDLE_VERSION, Task, TaskHandle};
use super::image::{HeldImage, TaskImage};
use super::inspect::{has_run, network_of};
use super::options;
use super::task::TaskConfig;
use super::{Error, Inner, Sink, output, wait};
use crate::engine::types::ContainerInspect;
use crate::engine::{self, Engine, InspectQuery, RemoveQuery, StartQuery};
use crate::logs::Source;
use crate::threads::{Backoff, Hangup};

/// How often a start that the Engine fails by a trouble of its own is tried again (driver-spec 1.4.3).
const START_ATTEMPTS: u32 = 5;
/// How long after it was hung up a create may still make its container.
const LATE_CREATE: Duration = Duration::from_secs(1);
const RETRY_BASE: Duration = Duration::from_millis(100);
const RETRY_LIMIT: Duration = Duration::from_secs(60);

pub(super) fn start(inner: &Arc<Inner>, task: TaskConfig, sinks: Vec<Box<dyn Sink>>) -> Result<TaskHandle, Error> {
    let started = steps(inner, task, sinks);
    // Whichever call a shutdown cut, that is why it failed, and trying again does not help.
    started.map_err(|e| if inner.hangup.is_hung_up() { Error::ShutDown } else { e })
}

fn steps(inner: &Arc<Inner>, task: TaskConfig, sinks: Vec<Box<dyn Sink>>) -> Result<TaskHandle, Error> {
    let reservation = inner.tasks.reserve(&task.id)?;
    let options = options::decode(&task.options).map_err(|problems| Error::Options { problems })?;
    let plan = create::build(&task, &options, &inner.config, inner.facts())?;

    let hangup = inner.hangup.child();
    let engine = inner.engine.with(&hangup);
    let image = TaskImage { inner, engine: &engine, hangup: &hangup, task: &task, options: &options };
    let mut held = HeldImage::new(inner, &task.id);
    let mut image_id = image.obtain(false)?;
    write_files(&plan)?;
    let mut created = match create_container(inner, &engine, &task, &plan) {
        // Somebody removed the image since we looked.
        Err(Error::Create { source, .. }) if source.is_not_found() => {
            image_id = image.obtain(true)?;
            create_container(inner, &engine, &task, &plan)?
        }
        created => created?,
    };
    if !created.running {
        start_container(inner, &engine, &created)?;
    }
    let inspect = inspect(&engine, &created.id)?;

    let handle = TaskHandle {
        version: HANDLE_VERSION,
        container_id: inspect.id.clone(),
        container_name: plan.name.clone(),
        image_id: if inspect.image.is_empty() { image_id } else { inspect.image.clone() },
        network: network_of(&inspect),
        config: task,
    };
    let task = Arc::new(Task::new(handle.clone(), hangup));
    let source = Source::of(&inspect, || create::log_config::chosen(&options, &inner.config));
    let threads = threads(inner, &task, &source, sinks).and_then(|()| reservation.fill(task.clone()));
    if let Err(e) = threads {
        task.end_threads();
        return Err(e);
    }
    created.keep();
    held.keep();
    Ok(handle)
}

fn inspect(engine: &Engine, container: &str) -> Result<ContainerInspect, Error> {
    engine
        .container_inspect(container, &InspectQuery::default())
        .map_err(|source| Error::Inspect { container: container.into(), source })
}

fn write_files(plan: &CreatePlan) -> Result<(), Error> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    for file in &plan.files {
        let mut options = std::fs::OpenOptions::new();
        let opened = options.write(true).create(true).truncate(true).mode(file.mode).open(&file.path);
        let written = opened.and_then(|mut open| open.write_all(&file.content));
        written.map_err(|source| Error::File { path: file.path.clone(), source })?;
    }
    Ok(())
}

/// A container of this start, removed again unless it is kept.
struct Created<'a> {
    inner: &'a Inner,
    id: String,
    name: &'a str,
    running: bool,
    kept: bool,
}

impl Created<'_> {
    fn keep(&mut self) {
        self.kept = true;
    }
}

impl Drop for Created<'_> {
    fn drop(&mut self) {
        if !self.kept {
            // With the driver's own client: a shutdown that ended this start must not leave its container behind.
            remove(&self.inner.engine, &self.id);
        }
    }
}

fn remove(engine: &Engine, id: &str) {
    let query = RemoveQuery { force: true, volumes: true, link: false };
    match engine.container_remove(id, &query) {
        Ok(()) => {}
        Err(e) if e.is_not_found() || e.is_conflict() => {}
        Err(e) => log::error!("a container of a failed start is left: {e}"),
    }
}

/// What has the name that we want.
enum Holder {
    Nobody,
    OursRunning(String),
    OursDead(String),
    Stranger(String),
}

/// Creates the container. Where its name is taken: ours that runs is adopted, ours that does not is replaced, another's is
/// left alone. A create whose answer was lost is looked up by name, so that it is never done twice (driver-spec 1.4.2).
fn create_container<'a>(
    inner: &'a Inner,
    engine: &Engine,
    task: &TaskConfig,
    plan: &'a CreatePlan,
) -> Result<Created<'a>, Error> {
    // One that ran before this start is not this start's to remove.
    let created = |id, running| Created { inner, id, name: &plan.name, running, kept: running };
    let mut backoff = Backoff::new(RETRY_BASE, RETRY_LIMIT);
    let mut attempts_left = inner.config.container_exists_attempts;
    loop {
        let source = match engine.container_create(Some(plan.name.as_str()), &plan.body) {
            Ok(answer) => {
                for warning in &answer.warnings {
                    log::warn!("container {}: {warning}", plan.name);
                }
                return Ok(created(answer.id, false));
            }
            Err(source) => source,
        };
        if source.is_hung_up() {
            remove_if_created(inner, task, plan);
            return Err(Error::ShutDown);
        }
        // podman says 500 where docker says 409. Without a status it may have been done, and its answer was lost.
        if source.is_conflict() || source.is_transient() || source.status().is_none() {
            match holder(engine, inner, task, plan) {
                Ok(Holder::OursRunning(id)) => return Ok(created(id, true)),
                Ok(Holder::OursDead(id)) => remove(engine, &id),
                Ok(Holder::Stranger(container)) => return Err(Error::NameTaken { name: plan.name.clone(), container }),
                Ok(Holder::Nobody) | Err(_) => {}
            }
            if attempts_left > 0 {
                attempts_left -= 1;
                if !inner.hangup.sleep(backoff.next()) {
                    return Err(Error::ShutDown);
                }
                continue;
            }
        }
        return Err(Error::Create { name: plan.name.clone(), source });
    }
}

/// Removes what a create has made whose answer nobody waited for: whether it was done is not known, and only we know its
/// name. The Engine may still be about it.
fn remove_if_created(inner: &Inner, task: &TaskConfig, plan: &CreatePlan) {
    let engine = inner.engine.within(inner.config.inspect_timeout);
    let mut backoff = Backoff::new(Duration::from_millis(20), LATE_CREATE);
    let begun = Instant::now();
    loop {
        match holder(&engine, inner, task, plan) {
            Ok(Holder::OursDead(id)) => return remove(&inner.engine, &id),
            Ok(Holder::OursRunning(_) | Holder::Stranger(_)) => return,
            Ok(Holder::Nobody) => {}
            Err(e) => log::debug!("{e}"),
        }
        if begun.elapsed() >= LATE_CREATE {
            return;
        }
        // The driver's latch is closed, and must not end this.
        Hangup::new().sleep(backoff.next());
    }
}

fn holder(engine: &Engine, inner: &Inner, task: &TaskConfig, plan: &CreatePlan) -> Result<Holder, engine::Error> {
    let inspect = match engine.container_inspect(&plan.name, &InspectQuery::default()) {
        Ok(inspect) => inspect,
        Err(e) if e.is_not_found() => return Ok(Holder::Nobody),
        Err(e) => return Err(e),
    };
    // A name may also be the beginning of another container's id.
    if inspect.name.trim_start_matches('/') != plan.name {
        return Ok(Holder::Nobody);
    }
    let label = |name: &str| inspect.config.labels.get(name).map(String::as_str);
    let ours = label(INSTANCE_LABEL) == Some(&inner.config.instance) && label(TASK_ID_LABEL) == Some(task.id.as_str());
    Ok(match (ours, inspect.state.is_running()) {
        (false, _) => Holder::Stranger(inspect.id),
        (true, true) => Holder::OursRunning(inspect.id),
        (true, false) => Holder::OursDead(inspect.id),
    })
}

/// Starts the container. A start that failed and yet runs, and one that the Engine says is going on, is a start; one that
/// failed by a trouble of the Engine's own is tried again (driver-spec 1.4.3).
fn start_container(inner: &Inner, engine: &Engine, created: &Created<'_>) -> Result<(), Error> {
    let mut backoff = Backoff::new(RETRY_BASE, RETRY_LIMIT);
    let mut attempts_left = START_ATTEMPTS;
    loop {
        let source = match engine.container_start(&created.id, &StartQuery::default()) {
            Ok(_) => return Ok(()),
            Err(source) if source.is_hung_up() => return Err(Error::ShutDown),
            Err(source) => source,
        };
        // It may even have run and ended by now.
        let inspect = engine.container_inspect(&created.id, &InspectQuery::default());
        if inspect.is_ok_and(|i| i.state.is_running() || has_run(&i.state)) {
            return Ok(());
        }
        if !source.is_transient() || attempts_left == 0 {
            return Err(Error::Start { name: created.name.into(), source });
        }
        attempts_left -= 1;
        if !inner.hangup.sleep(backoff.next()) {
            return Err(Error::ShutDown);
        }
    }
}

/// Starts what waits for the container and collects its output.
pub(super) fn threads(
    inner: &Arc<Inner>,
    task: &Arc<Task>,
    source: &Source,
    sinks: Vec<Box<dyn Sink>>,
) -> Result<(), Error> {
    let wait = wait::spawn(inner, task)?;
    task.workers().wait = Some(wait);
    let logs = output::collect(inner, task, source, sinks)?;
    task.workers().logs = logs;
    Ok(())
}

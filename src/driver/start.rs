//! Starting a task (driver-spec 1.4): plan, image, create, start, threads. Whatever fails, what was created is removed; what
//! cannot be removed now is owed (`owed.rs`), and the error names it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::create::{self, CreatePlan};
use super::handle::{HANDLE_VERSION, Task, TaskHandle};
use super::holder::{Holder, holder, is_ours};
use super::image::{HeldImage, TaskImage};
use super::inspect::{has_run, network_of};
use super::options;
use super::owed::{Debt, Owed, Unsettled, settle_all};
use super::task::{TaskConfig, TaskId};
use super::tasks::Reservation;
use super::{Error, Inner, Sink, output, wait};
use crate::engine::types::ContainerInspect;
use crate::engine::{Engine, InspectQuery, RemoveQuery, StartQuery};
use crate::logs::Source;
use crate::threads::{Backoff, Hangup};

/// How often a start that the Engine fails by a trouble of its own is tried again (driver-spec 1.4.3).
const START_ATTEMPTS: u32 = 5;
const RETRY_BASE: Duration = Duration::from_millis(100);
const RETRY_LIMIT: Duration = Duration::from_secs(60);
/// How long the removal of what a failed start has made is waited for before it is owed: where the start went wrong, where
/// its caller has given it up and waits, where the driver is shut down and nobody can remove it later.
const CLEARING: Duration = Duration::from_secs(1);
const CLEARING_GIVEN_UP: Duration = Duration::from_millis(800);
const CLEARING_AT_SHUTDOWN: Duration = Duration::from_secs(3);

/// Starts a task. `hangup` gives the start up; once the task is started it means nothing any more.
pub(super) fn start(
    inner: &Arc<Inner>,
    task: TaskConfig,
    sinks: Vec<Box<dyn Sink>>,
    hangup: &Hangup,
) -> Result<TaskHandle, Error> {
    // Kept until what a failed start has made is cleared away: the next start of the task must not meet that.
    let mut reservation = Some(inner.tasks.reserve(&task.id)?);
    let name = create::container_name(&task).unwrap_or_default();
    let mut made = Made { inner, task: task.id.clone(), name: name.clone(), debts: Vec::new() };
    let error = match steps(inner, task, sinks, hangup, &mut reservation, &mut made) {
        Ok(handle) => {
            // But for what creates without an answer may make once this container and its name are gone.
            made.keep_late();
            Owed::add(inner, std::mem::take(&mut made.debts));
            return Ok(handle);
        }
        // Whichever call was cut, that is why it failed, and trying again does not help.
        Err(_) if inner.hangup.is_hung_up() => Error::ShutDown,
        Err(_) if hangup.is_hung_up() => Error::GivenUp,
        Err(e) => e,
    };
    match made.clear_away(hangup) {
        true => Err(error),
        false => Err(Error::LeftBehind { container: name, source: Box::new(error) }),
    }
}

fn steps(
    inner: &Arc<Inner>,
    task: TaskConfig,
    sinks: Vec<Box<dyn Sink>>,
    given_up: &Hangup,
    reservation: &mut Option<Reservation<'_>>,
    made: &mut Made<'_>,
) -> Result<TaskHandle, Error> {
    // The task's own latch, which outlives the start, and the start's.
    let hangup = inner.hangup.child();
    let latch = hangup.joined(given_up);
    made.take_over(&latch)?;
    let options = options::decode(&task.options).map_err(|problems| Error::Options { problems })?;
    let plan = create::build(&task, &options, &inner.config, inner.facts())?;

    let engine = inner.engine.with(&latch);
    let image = TaskImage { inner, engine: &engine, hangup: &latch, task: &task, options: &options };
    let mut held = HeldImage::new(inner, &task.id);
    let mut image_id = image.obtain(false)?;
    write_files(&plan)?;
    let starting = Starting { inner, engine: &engine, latch: &latch, task: &task, plan: &plan };
    let mut created = match starting.create(made) {
        // Somebody removed the image since we looked.
        Err(Error::Create { source, .. }) if source.is_not_found() => {
            image_id = image.obtain(true)?;
            starting.create(made)?
        }
        created => created?,
    };
    if !created.running {
        starting.start(&created)?;
        created.running = true;
    }
    let inspect = inspect(&engine, &created.id)?;
    // Which of the two runs nobody can say: neither is taken for the task's.
    let ours = is_ours(&inspect, &inner.config.instance, &task.id);
    if !ours || inspect.id != created.id && !inspect.id.starts_with(&created.id) {
        match ours {
            true => made.note(Some(inspect.id.clone())),
            // Another's, which is not removed.
            false => made.is_not(&created.id),
        }
        return Err(Error::OtherId { name: plan.name.clone(), created: created.id, inspected: inspect.id });
    }

    let handle = TaskHandle {
        version: HANDLE_VERSION,
        container_id: inspect.id.clone(),
        container_name: plan.name.clone(),
        image_id: if inspect.image.is_empty() { image_id } else { inspect.image.clone() },
        network: network_of(&inspect),
        config: task,
    };
    let source = Source::of(&inspect, || create::log_config::chosen(&options, &inner.config));
    let task = Arc::new(Task::new(handle.clone(), hangup));
    let threads = threads(inner, &task, &source, sinks)
        .and_then(|()| reservation.take().map_or(Err(Error::ShutDown), |mine| mine.fill(task.clone())));
    if let Err(e) = threads {
        task.end_threads();
        return Err(e);
    }
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

/// What a start has made, or may have made: removed again unless the start is done.
struct Made<'a> {
    inner: &'a Arc<Inner>,
    task: TaskId,
    name: String,
    debts: Vec<Debt>,
}

impl Made<'_> {
    /// Removes what an earlier start of the task has left.
    fn take_over(&mut self, latch: &Hangup) -> Result<(), Error> {
        self.debts = self.inner.owed.take(&self.task);
        let deadline = Instant::now() + self.inner.config.inspect_timeout;
        match settle_all(self.inner, &mut self.debts, latch, deadline, Instant::now()) {
            // The create meets it, and knows what to do.
            Ok(()) | Err(Unsettled::Removing | Unsettled::MayCome) => Ok(()),
            Err(Unsettled::Engine(source)) => Err(Error::Remove { container: self.name.clone(), source }),
        }
    }

    /// This container, and no other of this name.
    fn is(&mut self, id: &str) {
        self.keep_late();
        self.note(Some(id.to_owned()));
    }

    /// What has this id is not the task's.
    fn is_not(&mut self, id: &str) {
        self.debts.retain(|debt| debt.id.as_deref() != Some(id));
    }

    /// All that may be left is what creates without an answer may still make.
    fn keep_late(&mut self) {
        self.debts.retain(|debt| debt.may_come().is_some());
    }

    /// A create may have been done, or, where it was not `answered`, may yet be.
    fn may_be(&mut self, asked: Instant, answered: bool) {
        if !self.debts.iter().any(|debt| debt.id.is_none()) {
            self.note(None);
        }
        // A time beyond the clock's range does not come.
        let late = if answered { None } else { asked.checked_add(self.inner.config.create_grace) };
        for debt in self.debts.iter_mut().filter(|debt| debt.id.is_none()) {
            debt.late = debt.late.max(late);
            debt.unanswered += u32::from(!answered);
        }
    }

    fn note(&mut self, id: Option<String>) {
        self.debts.push(Debt { task: self.task.clone(), name: self.name.clone(), id, late: None, unanswered: 0 });
    }

    /// Removes it, as far as that can be done now; the rest is owed. Says whether nothing is left.
    fn clear_away(&mut self, given_up: &Hangup) -> bool {
        let shut_down = self.inner.hangup.is_hung_up();
        // A shutdown that ended this start must not leave its container behind.
        let (latch, time) = match given_up.is_hung_up() || shut_down {
            true => (Hangup::new(), if shut_down { CLEARING_AT_SHUTDOWN } else { CLEARING_GIVEN_UP }),
            false => (self.inner.hangup.joined(given_up), CLEARING),
        };
        let deadline = Instant::now() + time;
        let cleared = settle_all(self.inner, &mut self.debts, &latch, deadline, deadline);
        if let Err(Unsettled::Engine(e)) = &cleared {
            log::debug!("a container of a failed start may be left: {e}");
        }
        Owed::add(self.inner, std::mem::take(&mut self.debts));
        cleared.is_ok()
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        // Of a start that panicked.
        if !self.debts.is_empty() {
            Owed::add(self.inner, std::mem::take(&mut self.debts));
        }
    }
}

/// A container of this start.
struct Created {
    id: String,
    running: bool,
}

/// What the steps of a start have in common.
struct Starting<'a> {
    inner: &'a Inner,
    engine: &'a Engine,
    latch: &'a Hangup,
    task: &'a TaskConfig,
    plan: &'a CreatePlan,
}

impl Starting<'_> {
    /// Creates the container. Where its name is taken: ours that runs is adopted, ours that does not is replaced, another's
    /// is left alone. A create whose answer was lost is looked up by name, so that it is never done twice (driver-spec 1.4.2).
    fn create(&self, made: &mut Made<'_>) -> Result<Created, Error> {
        let Self { inner, engine, task, plan, .. } = *self;
        let mut backoff = Backoff::new(RETRY_BASE, RETRY_LIMIT);
        let mut attempts_left = inner.config.container_exists_attempts;
        loop {
            let asked = Instant::now();
            let source = match engine.container_create(Some(plan.name.as_str()), &plan.body) {
                Ok(answer) => {
                    made.is(&answer.id);
                    for warning in &answer.warnings {
                        log::warn!("container {}: {warning}", plan.name);
                    }
                    return Ok(Created { id: answer.id, running: false });
                }
                Err(source) => source,
            };
            // podman says 500 where docker says 409. Without a status it may have been done, and its answer was lost.
            // So it may where a proxy has not waited for it.
            let answered = source.status().is_some_and(|status| !matches!(status, 502 | 504));
            if source.is_conflict() || source.is_transient() || !answered {
                // Nothing was sent to an Engine to which there was no connection.
                if !source.is_conflict() && !matches!(source, crate::engine::Error::Connect { .. }) {
                    made.may_be(asked, answered);
                }
                if source.is_hung_up() {
                    return Err(Error::ShutDown);
                }
                match holder(engine, &inner.config.instance, &task.id, &plan.name) {
                    // One that ran before this start is not this start's to remove.
                    Ok(Holder::Ours(inspect)) if inspect.state.is_running() => {
                        made.keep_late();
                        return Ok(Created { id: inspect.id, running: true });
                    }
                    Ok(Holder::Ours(inspect)) if inspect.state.is_idle() => remove(engine, &inspect.id, made),
                    // Nobody knows whether it runs: it is neither adopted nor replaced.
                    Ok(Holder::Ours(inspect)) => {
                        log::warn!("container {}: the Engine says that it is `{}`", plan.name, inspect.state.status);
                    }
                    Ok(Holder::Stranger(container)) => {
                        made.debts.clear();
                        return Err(Error::NameTaken { name: plan.name.clone(), container });
                    }
                    Ok(Holder::Nobody) | Err(_) => {}
                }
                if attempts_left > 0 {
                    attempts_left -= 1;
                    if !self.latch.sleep(backoff.next()) {
                        return Err(Error::ShutDown);
                    }
                    continue;
                }
            }
            return Err(Error::Create { name: plan.name.clone(), source });
        }
    }

    /// Starts the container. A start that failed and yet runs, and one that the Engine says is going on, is a start; one that
    /// failed by a trouble of the Engine's own is tried again (driver-spec 1.4.3).
    fn start(&self, created: &Created) -> Result<(), Error> {
        let engine = self.engine;
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
                return Err(Error::Start { name: self.plan.name.clone(), source });
            }
            attempts_left -= 1;
            if !self.latch.sleep(backoff.next()) {
                return Err(Error::ShutDown);
            }
        }
    }
}

/// Removes our own dead container that has the name; noted, where it may still be there.
fn remove(engine: &Engine, id: &str, made: &mut Made<'_>) {
    let query = RemoveQuery { force: true, volumes: true, link: false };
    match engine.container_remove(id, &query) {
        Ok(()) => {}
        Err(e) if e.is_not_found() || e.is_conflict() => {}
        Err(e) => {
            log::debug!("{e}");
            made.note(Some(id.to_owned()));
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

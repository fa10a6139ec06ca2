//! What somebody does to a task who does not own its allocation. The desired state is written down first, for the owner, if
//! there is one, to read before it would start the task again; then its container is looked for, in this order: an owner
//! that starts the task at that moment reads it after its start.

use std::time::{Duration, SystemTime};

use crate::driver::{self, Driver, Signal, TaskHandle, TaskState};
use crate::engine::WaitCondition;
use crate::threads::{Hangup, Worker};

use crate::runner::control::acquire::{Site, must_be_here};
use crate::runner::state::desired::{self, Desired};
use crate::runner::state::lock::{self, Owned};
use crate::runner::state::store::{AllocState, Store, TaskRecord};
use crate::runner::{Error, Found};

/// How long an owner may take to collect the rest of a task's output and remove its container, before it is removed here.
const OWNERS_TURN: Duration = Duration::from_secs(20);

/// Where somebody acts who owns nothing.
#[derive(Debug)]
pub struct Outside<'a> {
    /// The Engine and the data directory.
    pub site: Site<'a>,
    /// The saved states.
    pub store: &'a Store,
    /// A driver on the Engine, which only looks.
    pub driver: &'a Driver,
}

impl Outside<'_> {
    /// Attaches the driver to a task. `None`: it has no container.
    ///
    /// # Errors
    /// [`Error::Elsewhere`]; the Engine does not say.
    pub fn attach(&self, found: &Found<'_>) -> Result<Option<TaskHandle>, Error> {
        must_be_here(&self.site, found.alloc)?;
        let task = found.task;
        let failed = |source| failed("reach", task, source);
        if let Some(handle) = &task.handle {
            match self.driver.attach_task(handle) {
                Ok(()) => return Ok(Some(handle.clone())),
                // Its owner may have started it again since.
                Err(driver::Error::Gone { .. }) => {}
                Err(source) => return Err(failed(source)),
            }
        }
        let Some(handle) = self.driver.find_task(&task.config).map_err(failed)? else { return Ok(None) };
        match self.driver.attach_task(&handle) {
            Ok(()) => Ok(Some(handle)),
            Err(driver::Error::Gone { .. }) => Ok(None),
            Err(source) => Err(failed(source)),
        }
    }

    /// Stops a task for good: by `signal`, within `timeout`, or as its job says. One that does not run is not started again.
    /// Where the desired state cannot be written, the disk being full for one, the task is stopped all the same.
    ///
    /// # Errors
    /// [`Error::Elsewhere`]; [`Error::Unwritten`]; the Engine does not stop it.
    pub fn stop(&self, found: &Found<'_>, signal: Option<Signal>, timeout: Option<Duration>) -> Result<(), Error> {
        must_be_here(&self.site, found.alloc)?;
        match self.set_desired(found, Desired::Stopped) {
            Ok(None) => Ok(()),
            Ok(Some(alloc)) => again(&alloc, found).map_or(Ok(()), |found| self.end(&found, signal, timeout)),
            Err(source) => {
                self.end(found, signal, timeout)?;
                Err(Error::Unwritten { task: found.task.config.name.clone(), source: Box::new(source) })
            }
        }
    }

    /// Stops a task's container, if there is one.
    fn end(&self, found: &Found<'_>, signal: Option<Signal>, timeout: Option<Duration>) -> Result<(), Error> {
        if self.attach(found)?.is_none() {
            return Ok(());
        }
        let task = found.task;
        let signal = signal.or_else(|| task.kill_signal.as_deref().and_then(|name| name.parse().ok()));
        let stopped = self.driver.stop_task(&task.config.id, timeout.unwrap_or(task.kill_timeout), signal);
        stopped.map_err(|source| failed("stop", task, source))
    }

    /// Removes a task's container, and with `force` kills it before, if it runs. An owner gets time to collect its output and
    /// to remove it itself; without one, the task is written down as ended.
    ///
    /// # Errors
    /// The task runs, and was not to be forced; [`Error::Elsewhere`]; no state can be written; the Engine
    /// does not remove it.
    pub fn destroy(&self, found: &Found<'_>, force: bool) -> Result<(), Error> {
        let id = &found.task.config.id;
        let destroying = |source| failed("destroy", found.task, source);
        let attached = self.attach(found)?;
        // What a failed start has left nobody wants.
        let force = force || found.task.may_be_left();
        if attached.is_some() && !force {
            let status = self.driver.inspect_task(id).map_err(destroying)?;
            if status.state == TaskState::Running {
                return Err(destroying(driver::Error::StillRunning { task: id.clone() }));
            }
        }
        let remove = || match attached {
            Some(_) => self.driver.destroy_task(id, force).map_err(destroying),
            None => self.driver.remove_unstarted(&found.task.config).map(drop).map_err(destroying),
        };
        let alloc = match self.set_desired(found, Desired::Destroyed) {
            Ok(Some(alloc)) => alloc,
            // It has ended, and was kept, or lost its owner.
            Ok(None) => return remove(),
            Err(source) => {
                // An owner who cannot be told would start it again. Without one a full disk must not keep it alive.
                let Ok(_lock) = lock::claim(self.store, &found.alloc.alloc_id) else { return Err(source) };
                remove()?;
                return Err(Error::Unwritten { task: found.task.config.name.clone(), source: Box::new(source) });
            }
        };
        let Some(found) = again(&alloc, found) else { return Ok(()) };
        let attached = self.attach(&found)?;
        let lock = match lock::claim(self.store, &alloc.alloc_id) {
            Ok(lock) => Some(lock),
            Err(Error::Owned { .. }) => None,
            Err(error) => return Err(error),
        };
        let mut removed = attached.is_some();
        if let Some(handle) = attached {
            if lock.is_none() && !found.task.ended {
                if force {
                    self.driver.stop_task(id, Duration::ZERO, None).map_err(destroying)?;
                }
                self.wait_for_removal(&handle.container_id);
            }
            self.driver.destroy_task(id, force).map_err(destroying)?;
        } else if lock.is_some() {
            removed = self.driver.remove_unstarted(&found.task.config).map_err(destroying)?;
        }
        let Some(lock) = lock else { return Ok(()) };
        // What its last owner wrote before we had the lock.
        let Some(state) = self.store.load(&alloc.alloc_id)? else { return Ok(()) };
        let may_come = |task: &TaskRecord| !removed && task.may_come(SystemTime::now());
        let comes = state.tasks.iter().any(|task| task.config.id == *id && may_come(task));
        let owned = Owned::take_up(self.site.data, self.store, lock, state);
        owned.update(|state| {
            for task in state.tasks.iter_mut().filter(|task| task.config.id == *id) {
                task.handle = None;
                if comes {
                    task.container_may_exist = true;
                } else {
                    task.is_clear();
                }
                task.restart_at = None;
                task.ended = true;
            }
            let done = |task: &TaskRecord| task.is_cleared_away() || state.keep && task.ended && task.handle.is_some();
            state.ended |= state.tasks.iter().all(done);
        })?;
        match comes {
            true => Err(Error::MayCome { container: found.task.container_name.clone() }),
            false => Ok(()),
        }
    }

    /// Writes down the desired state of a task, and gives its allocation as it is then. `None`: it has ended.
    fn set_desired(&self, found: &Found<'_>, wanted: Desired) -> Result<Option<AllocState>, Error> {
        let alloc_id = &found.alloc.alloc_id;
        if found.alloc.ended {
            return Ok(None);
        }
        desired::write(self.store, alloc_id, &found.task.config.name, wanted)?;
        self.store.load(alloc_id)
    }

    /// Waits until a container is gone, for a while.
    fn wait_for_removal(&self, container: &str) {
        let latch = Hangup::new();
        let timer = latch.child();
        let (sleeper, ends) = (timer.clone(), latch.clone());
        let in_time = move || {
            if sleeper.sleep(OWNERS_TURN) {
                ends.hang_up();
            }
        };
        // Without a thread for the time there is none to wait in.
        let Ok(_timer) = Worker::spawn("removal time", timer, in_time, |_| {}) else { return };
        // Whatever comes of it, what is left is removed here.
        if let Err(error) = self.site.engine.container_wait(container, WaitCondition::Removed, &latch) {
            log::debug!("{error}");
        }
    }
}

/// The same task in a newer state.
fn again<'a>(alloc: &'a AllocState, found: &Found<'_>) -> Option<Found<'a>> {
    alloc.task(&found.task.config.name).map(|task| Found { alloc, task })
}

fn failed(verb: &str, task: &TaskRecord, source: driver::Error) -> Error {
    Error::Driver { what: format!("cannot {verb} task `{}`", task.config.name), source: Box::new(source) }
}

//! Which tasks a driver has. An id is reserved before anything is asked of the Engine, so that of two starts one wins.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Error;
use super::handle::Task;
use super::task::TaskId;

#[derive(Debug, Default)]
pub(super) struct Tasks {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    tasks: HashMap<TaskId, Slot>,
}

#[derive(Debug)]
enum Slot {
    Starting,
    Started(Arc<Task>),
}

/// An id that nobody else can start; given back when dropped, unless [`Reservation::fill`]ed.
#[derive(Debug)]
pub(super) struct Reservation<'a> {
    tasks: &'a Tasks,
    id: TaskId,
    is_filled: bool,
}

impl Tasks {
    pub(super) fn reserve(&self, id: &TaskId) -> Result<Reservation<'_>, Error> {
        let mut state = self.lock();
        if state.closed {
            return Err(Error::ShutDown);
        }
        if state.tasks.contains_key(id) {
            return Err(Error::AlreadyStarted { task: id.clone() });
        }
        state.tasks.insert(id.clone(), Slot::Starting);
        Ok(Reservation { tasks: self, id: id.clone(), is_filled: false })
    }

    pub(super) fn find(&self, id: &TaskId) -> Result<Arc<Task>, Error> {
        match self.lock().tasks.get(id) {
            Some(Slot::Started(task)) => Ok(task.clone()),
            _ => Err(Error::TaskNotFound { task: id.clone() }),
        }
    }

    /// Forgets a task that is only looked at, so that it can be looked at anew, or be taken up.
    pub(super) fn let_go(&self, id: &TaskId) {
        let mut state = self.lock();
        if let Some(Slot::Started(task)) = state.tasks.get(id)
            && task.attached
        {
            state.tasks.remove(id);
        }
    }

    pub(super) fn started(&self) -> Vec<Arc<Task>> {
        let started = |slot: &Slot| match slot {
            Slot::Started(task) => Some(task.clone()),
            Slot::Starting => None,
        };
        self.lock().tasks.values().filter_map(started).collect()
    }

    /// Forgets this task, and no other that has its id by now.
    pub(super) fn forget(&self, task: &Arc<Task>) {
        let mut state = self.lock();
        let id = &task.handle.config.id;
        if matches!(state.tasks.get(id), Some(Slot::Started(found)) if Arc::ptr_eq(found, task)) {
            state.tasks.remove(id);
        }
    }

    /// Takes no more tasks, and gives those there are.
    pub(super) fn close(&self) -> Vec<Arc<Task>> {
        self.lock().closed = true;
        self.started()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservation<'_> {
    /// Puts the started task in its place. Where the driver was shut down meanwhile, it comes too late.
    pub(super) fn fill(mut self, task: Arc<Task>) -> Result<(), Error> {
        let mut state = self.tasks.lock();
        if state.closed {
            // Dropping `self` gives the id back, after the lock.
            return Err(Error::ShutDown);
        }
        state.tasks.insert(self.id.clone(), Slot::Started(task));
        self.is_filled = true;
        Ok(())
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if !self.is_filled {
            self.tasks.lock().tasks.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::handle::TaskHandle;
    use super::super::task::TaskConfig;
    use super::*;
    use crate::threads::Hangup;

    #[test]
    fn of_two_starts_one_wins() {
        let (tasks, id) = (Tasks::default(), TaskId::from("a"));
        let first = tasks.reserve(&id).expect("free");
        assert!(matches!(tasks.reserve(&id), Err(Error::AlreadyStarted { .. })));
        assert!(matches!(tasks.find(&id), Err(Error::TaskNotFound { .. })), "not yet");
        drop(first);
        let again = tasks.reserve(&id).expect("given back");
        let task = || {
            let config = TaskConfig { id: id.clone(), ..TaskConfig::default() };
            Arc::new(Task::new(TaskHandle { config, ..TaskHandle::default() }, Hangup::new()))
        };
        again.fill(task()).expect("open");
        assert!(tasks.find(&id).is_ok() && tasks.started().len() == 1);
        assert!(matches!(tasks.reserve(&id), Err(Error::AlreadyStarted { .. })));
        tasks.forget(&task());
        let started = tasks.find(&id).expect("another task of the same id is not forgotten");
        tasks.forget(&started);
        let late = tasks.reserve(&id).expect("free");
        assert!(tasks.close().is_empty());
        assert!(matches!(late.fill(task()), Err(Error::ShutDown)));
        assert!(matches!(tasks.reserve(&id), Err(Error::ShutDown)));
    }
}

//! What commands need that work on what runs already: the saved states of the data directory, the tasks that arguments
//! name, and a driver that only looks.

use crate::driver::{Driver, ImageRemoval, TaskHandle, TaskId};
use crate::engine::Engine;
use crate::limits;
use crate::runner::{
    AllocState, DataDir, Found, Outside, Ownership, Site, Store, TaskRecord, TaskView, chain, find, find_ended_too,
    look_at,
};

use crate::cli::args::Args;
use crate::cli::failure::Failure;
use crate::cli::{context, eprint};

/// The saved states of a data directory.
pub(in crate::cli) struct Known {
    pub(in crate::cli) data: DataDir,
    pub(in crate::cli) store: Store,
    pub(in crate::cli) states: Vec<AllocState>,
    /// Whether a state cannot be read, which has been told.
    pub(in crate::cli) incomplete: bool,
}

/// The Engine, with its own id, and a driver on it.
pub(in crate::cli) struct Reached {
    pub(in crate::cli) engine: Engine,
    pub(in crate::cli) engine_id: String,
    pub(in crate::cli) driver: Driver,
}

impl Known {
    /// Reads what is saved. States that cannot be read are told, and disturb no others.
    pub(in crate::cli) fn read(global: &Args) -> Result<Self, Failure> {
        let data = context::data_dir(global)?;
        let store = Store::known(&data)?;
        let (states, unreadable) = store.states()?;
        for error in &unreadable {
            eprint(&format!("longshore: {}", chain(error)));
        }
        Ok(Self { data, store, states, incomplete: !unreadable.is_empty() })
    }

    /// Reads the states again. Where that cannot be done those that are known stay.
    pub(in crate::cli) fn refresh(&mut self) {
        match self.store.states() {
            Ok((states, _)) => self.states = states,
            Err(error) => log::warn!("{}", chain(&error)),
        }
    }

    /// The one task that an argument names.
    pub(in crate::cli) fn find(&self, name: &str) -> Result<Found<'_>, Failure> {
        Ok(find(&self.states, name)?)
    }

    /// The same, of ended allocations too.
    pub(in crate::cli) fn find_ended_too(&self, name: &str) -> Result<Found<'_>, Failure> {
        Ok(find_ended_too(&self.states, name)?)
    }

    /// The tasks that arguments name, each once.
    pub(in crate::cli) fn find_all(&self, names: &[String]) -> Result<Vec<Found<'_>>, Failure> {
        let mut all: Vec<Found<'_>> = Vec::new();
        for name in names {
            let found = self.find(name)?;
            if !all.iter().any(|other| other.task.config.id == found.task.config.id) {
                all.push(found);
            }
        }
        Ok(all)
    }

    /// All tasks, of ended allocations too if so wanted.
    pub(in crate::cli) fn tasks(&self, ended: bool) -> impl Iterator<Item = Found<'_>> {
        let allocs = self.states.iter().filter(move |alloc| ended || !alloc.ended);
        allocs.flat_map(|alloc| alloc.tasks.iter().map(move |task| Found { alloc, task }))
    }

    /// Reaches the Engine, which must answer.
    pub(in crate::cli) fn reach(&self, global: &Args) -> Result<Reached, Failure> {
        let engine = context::engine(global)?;
        self.reached(engine)
    }

    /// Who owns a task's allocation. Where that cannot be found out it is told, and taken as nobody.
    pub(in crate::cli) fn owner(&self, found: &Found<'_>) -> Ownership {
        self.store.ownership(&found.alloc.alloc_id).unwrap_or_else(|error| {
            eprint(&format!("longshore: {}", chain(&error)));
            Ownership::Nobody
        })
    }

    /// Takes those tasks off all images that no state knows any more: their process was killed, and their containers are
    /// gone. Not where a state cannot be read.
    fn forget_lost_users(&self, engine: &Engine, driver: &Driver) -> Result<(), Failure> {
        // In this order: a task's state is written before its image is counted.
        let before = driver.images();
        let (states, unreadable) = self.store.states()?;
        // Of an allocation that has ended only containers that were to be kept still use an image.
        let uses = |alloc: &AllocState, task: &TaskRecord| match (&task.handle, alloc.ended) {
            (Some(handle), true) => {
                let state = engine.container_state(&handle.container_id);
                task.ended && !state.is_err_and(|error| error.is_not_found())
            }
            (None, true) => false,
            (_, false) => !task.is_cleared_away(),
        };
        let is_known = |id: &TaskId| {
            let of = |alloc: &AllocState| alloc.tasks.iter().any(|task| task.config.id == *id && uses(alloc, task));
            states.iter().any(of)
        };
        if unreadable.is_empty() {
            let is_new = |id: &TaskId| !before.values().any(|image| image.owners.contains_key(id.as_str()));
            driver.retain_image_users(|id| is_new(id) || is_known(id));
        }
        Ok(())
    }

    fn reached(&self, engine: Engine) -> Result<Reached, Failure> {
        let engine_id = context::engine_id(&engine)?;
        let instance = self.data.known_instance()?.unwrap_or_default();
        let driver = Driver::new(engine.clone(), context::driver_config(&self.data, &engine, &engine_id, instance));
        self.forget_lost_users(&engine, &driver)?;
        Ok(Reached { engine, engine_id, driver })
    }
}

/// Whoever let go of images did not wait until they were due: a command does, once it has done what it was asked for.
impl Drop for Reached {
    fn drop(&mut self) {
        for (id, _, removal) in self.driver.remove_images(true) {
            if let ImageRemoval::Failed(error) = removal {
                log::warn!("cannot remove the image {id}, which nobody uses: {}", chain(&error));
            }
        }
    }
}

impl Reached {
    /// Whether the account of images can be read: who is asked for it must not say that there are none.
    pub(in crate::cli) fn check_ledger(&self, known: &Known) -> Result<(), Failure> {
        let ledger = context::image_ledger(&known.data, &self.engine, &self.engine_id);
        ledger.check().map_err(|error| {
            let path = ledger.path.display();
            // The file is not to blame where this process may open no more.
            let why = limits::advice(&error)
                .unwrap_or_else(|| format!("{error}: move the file away, and what longshore brought so far stays"));
            Failure::new("io", format!("cannot read the account of images in {path}: {why}"))
        })
    }

    pub(in crate::cli) fn site<'a>(&'a self, known: &'a Known) -> Site<'a> {
        Site { engine: &self.engine, engine_id: &self.engine_id, data: &known.data }
    }

    /// How a task is, for who looks.
    pub(in crate::cli) fn view(&self, known: &Known, found: &Found<'_>) -> Result<TaskView, Failure> {
        let seen = look_at(&self.site(known), found)?;
        Ok(TaskView::new(found, &seen, known.owner(found)))
    }

    /// Attaches to a task that has a container.
    pub(in crate::cli) fn attach(&self, known: &Known, found: &Found<'_>) -> Result<TaskHandle, Failure> {
        self.outside(known).attach(found)?.ok_or_else(|| {
            let (task, name) = (&found.task.config.name, found.name());
            Failure::new(
                "not_running",
                format!("task `{task}` has no container; `longshore status {name}` says how it is"),
            )
        })
    }

    pub(in crate::cli) fn outside<'a>(&'a self, known: &'a Known) -> Outside<'a> {
        Outside { site: self.site(known), store: &known.store, driver: &self.driver }
    }
}

//! Before anything of a job runs: that it is not alive already, or is taken up where it is, that its allocations are ours,
//! that their states and directories are there.

use std::time::SystemTime;

use crate::driver::{TaskConfig, create, is_ours};
use crate::engine::types::ContainerInspect;
use crate::engine::{Engine, InspectQuery, RemoveQuery};

use crate::runner::state::desired;
use crate::runner::state::lock::{self, Lock, Owned};
use crate::runner::state::store::{AllocState, Store, TaskRecord};
use crate::runner::{Allocation, DataDir, Error, chain};

/// Where allocations run: an Engine, by address and by its own id.
#[derive(Debug)]
pub struct Site<'a> {
    /// The Engine.
    pub engine: &'a Engine,
    /// What it calls itself; empty: it does not say.
    pub engine_id: &'a str,
    /// The data directory.
    pub data: &'a DataDir,
}

/// Allocations that are ours.
#[derive(Debug, Default)]
pub struct Begun {
    /// What is to run.
    pub allocs: Vec<Allocation>,
    /// The same ones, in the same order, as possessions.
    pub owned: Vec<Owned>,
    /// What the person should know, a line each.
    pub notices: Vec<String>,
}

/// Takes a job's allocations into possession, writes their states and makes their directories. The second part of the
/// answer is what the person should know.
///
/// # Errors
/// The job, or an allocation of one of the ids, is alive in this data directory; somebody else owns it; a file or
/// directory that cannot be used. Nothing has been started then.
pub fn begin(site: &Site<'_>, allocs: &[Allocation], keep: bool) -> Result<(Vec<Owned>, Vec<String>), Error> {
    let store = Store::open(site.data)?;
    let _placing = lock::placing(&store)?;
    let mut notices = Vec::new();
    for head in store.heads()?.into_iter().filter(|head| !head.ended) {
        if allocs.iter().any(|alloc| alloc.job_id == head.job_id || alloc.id == head.alloc_id) {
            notices.extend(lay_to_rest(site, &store, &head.alloc_id, &head.job_id)?);
        }
    }
    let mut owned: Vec<Owned> = Vec::new();
    for alloc in allocs {
        match take(site, &store, alloc, keep) {
            Ok(alloc) => owned.push(alloc),
            Err(error) => {
                abandon(owned.iter());
                return Err(error);
            }
        }
    }
    Ok((owned, notices))
}

/// The same, but allocations of the job that are alive are taken up as their last owner left them, in the place of those of
/// the same group and index: their saved tasks count, not those of `allocs`. One of which nothing is left to do is begun anew.
///
/// # Errors
/// As for [`begin`]; a live allocation that has an owner is an error.
pub fn begin_or_take_up(site: &Site<'_>, allocs: Vec<Allocation>, keep: bool) -> Result<Begun, Error> {
    let store = Store::open(site.data)?;
    let _placing = lock::placing(&store)?;
    let mut notices = Vec::new();
    let mut taken: Vec<Option<(Allocation, Owned)>> = allocs.iter().map(|_| None).collect();
    for head in store.heads()?.into_iter().filter(|head| !head.ended) {
        if !allocs.iter().any(|alloc| alloc.job_id == head.job_id || alloc.id == head.alloc_id) {
            continue;
        }
        let lock = lock::claim(&store, &head.alloc_id)?;
        let Some(state) = store.load(&head.alloc_id)?.filter(|state| !state.ended) else { continue };
        must_be_here(site, &state)?;
        if is_over(site, &store, &state)? {
            drop(lock);
            notices.extend(lay_to_rest(site, &store, &head.alloc_id, &head.job_id)?);
            continue;
        }
        let same = |alloc: &Allocation| (&alloc.group, alloc.index) == (&state.group, state.index);
        let place = allocs.iter().zip(&mut taken).find(|(alloc, place)| place.is_none() && same(alloc));
        match place {
            Some((_, place)) => *place = Some(took(site, &store, lock, state)),
            None => notices.push(format!(
                "allocation {} (group {}, index {}) is not chosen, and left as it is",
                state.alloc_id, state.group, state.index
            )),
        }
    }
    let mut begun = Begun { notices, ..Begun::default() };
    for (alloc, taken) in allocs.into_iter().zip(taken) {
        let taken = match taken {
            Some(taken) => Ok(taken),
            None => take(site, &store, &alloc, keep).map(|owned| (alloc, owned)),
        };
        match taken {
            Ok((alloc, owned)) => {
                begun.allocs.push(alloc);
                begun.owned.push(owned);
            }
            Err(error) => {
                abandon(begun.owned.iter().filter(|owned| !owned.is_taken_up()));
                return Err(error);
            }
        }
    }
    Ok(begun)
}

/// Nothing of these will be started: the next run need not look after them.
fn abandon<'a>(allocs: impl Iterator<Item = &'a Owned>) {
    for alloc in allocs {
        if let Err(error) = alloc.update(|state| state.ended = true) {
            log::warn!("{}", chain(&error));
        }
    }
}

/// Takes an allocation up as its last owner left it.
///
/// # Errors
/// [`Error::Owned`] by the owner that it has; [`Error::HasEnded`]; [`Error::Elsewhere`]; its state cannot be read.
pub fn take_up(site: &Site<'_>, alloc_id: &str) -> Result<(Allocation, Owned), Error> {
    let store = Store::open(site.data)?;
    let lock = lock::claim(&store, alloc_id)?;
    let state = store.load(alloc_id)?.filter(|state| !state.ended);
    let state = state.ok_or_else(|| Error::HasEnded { alloc_id: alloc_id.to_owned() })?;
    must_be_here(site, &state)?;
    Ok(took(site, &store, lock, state))
}

fn took(site: &Site<'_>, store: &Store, lock: Lock, state: AllocState) -> (Allocation, Owned) {
    // Its last owner may have been an older one, that left others too much room.
    let tasks = state.tasks.iter().map(|task| task.config.name.as_str());
    if let Err(error) = site.data.make_alloc(&state.alloc_id, tasks) {
        log::warn!("{}", chain(&error));
    }
    (state.allocation(), Owned::take_up(site.data, store, lock, state))
}

/// Whether nothing is left to do for an allocation but to clear it away: each task has ended for good, or is not to be started
/// again, and none runs.
fn is_over(site: &Site<'_>, store: &Store, state: &AllocState) -> Result<bool, Error> {
    let states = desired::read(store, &state.alloc_id)?;
    if !state.tasks.iter().all(|task| task.ended || states.of(&task.config.name).is_some()) {
        return Ok(false);
    }
    // What a failed start has left is no reason to go on with it.
    for task in state.tasks.iter().filter(|task| !task.may_be_left()) {
        if look(site.engine, task)?.is_some_and(|container| !container.state.is_idle()) {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(in crate::runner) fn must_be_here(site: &Site<'_>, state: &AllocState) -> Result<(), Error> {
    match is_here(site, state) {
        true => Ok(()),
        false => Err(Error::Elsewhere { alloc_id: state.alloc_id.clone(), endpoint: state.endpoint.clone() }),
    }
}

fn take(site: &Site<'_>, store: &Store, alloc: &Allocation, keep: bool) -> Result<Owned, Error> {
    let lock = lock::claim(store, &alloc.id)?;
    site.data.make_alloc(&alloc.id, alloc.tasks.iter().map(|task| task.config.name.as_str()))?;
    let endpoint = site.engine.endpoint().to_string();
    let mut state = AllocState::new(alloc, &endpoint, site.engine_id, keep, container_name);
    // What its last run left on the books has the same name.
    let last = store.load(&alloc.id)?.filter(|last| !last.ended);
    for task in &mut state.tasks {
        let same = last.as_ref().and_then(|last| last.task(&task.config.name));
        task.container_may_come_until = same.and_then(|same| same.container_may_come_until);
    }
    Owned::begin(site.data, store, lock, state)
}

/// What the container of a task is called; empty for one that can have none, whose start says why.
fn container_name(task: &TaskConfig) -> String {
    create::container_name(task).unwrap_or_default()
}

/// An allocation that did not end: its owner died, or it is alive. Refused where it is, or may be, alive; else it is
/// marked as ended, and what is to be said of that is the answer.
fn lay_to_rest(site: &Site<'_>, store: &Store, alloc_id: &str, job_id: &str) -> Result<Option<String>, Error> {
    let live = |why: String| Error::Live { job_id: job_id.to_owned(), alloc_id: alloc_id.to_owned(), why };
    let _lock = lock::claim(store, alloc_id).map_err(|error| match error {
        Error::Owned { pid: Some(pid), .. } => live(format!("process {pid} runs it; stop that one first")),
        Error::Owned { pid: None, .. } => live("another process runs it; stop that one first".into()),
        error => error,
    })?;
    // Its owner may have ended it between our look and our lock.
    let Some(mut state) = store.load(alloc_id)?.filter(|state| !state.ended) else { return Ok(None) };
    if !is_here(site, &state) {
        let file = store.file(alloc_id, "json");
        return Err(live(format!(
            "it was left on the Engine at {}, which is not this one; run it there, or remove {}",
            state.endpoint,
            file.display()
        )));
    }
    let (mut stopped, mut coming) = (Vec::new(), Vec::new());
    for task in &mut state.tasks {
        if task.may_be_left() {
            if !remove_leftover(site, task)? {
                coming.push(task.container_name.clone());
            }
            continue;
        }
        match look(site.engine, task)? {
            // What is not known may run.
            Some(container) if !container.state.is_idle() => {
                let name = &task.container_name;
                return Err(live(format!(
                    "nobody owns it and its container {name} runs; take it up with --recover, or end it with `longshore stop {alloc_id}/{}`",
                    task.config.name
                )));
            }
            // Its owner ended between the create and the start.
            Some(container) if task.handle.is_none() && container.state.status == "created" => {
                remove_leftover(site, task)?;
            }
            Some(_) => stopped.push(task.container_name.clone()),
            None => {}
        }
    }
    if !coming.is_empty() {
        store.save(&state)?;
        return Ok(Some(format!(
            "allocation {alloc_id} of this job lost its owner and stays on the books: its containers {} may still be made",
            coming.join(", ")
        )));
    }
    state.ended = true;
    store.save(&state)?;
    let left = if stopped.is_empty() {
        "nothing of it is left".into()
    } else {
        format!("its containers {} are left, stopped", stopped.join(", "))
    };
    Ok(Some(format!("allocation {alloc_id} of this job lost its owner and is taken as ended: {left}")))
}

/// Removes what a failed start of a task has left: nobody wants it. False: it is not there, and may yet come.
fn remove_leftover(site: &Site<'_>, task: &mut TaskRecord) -> Result<bool, Error> {
    // Where the data directory is not the one that made it, it is another's to remove.
    let instance = site.data.known_instance()?.unwrap_or_default();
    let ours = |container: &ContainerInspect| is_ours(container, &instance, &task.config.id);
    if let Some(container) = look(site.engine, task)?.filter(ours) {
        let query = RemoveQuery { force: true, volumes: true, link: false };
        match site.engine.container_remove(&container.id, &query) {
            Ok(()) => {}
            Err(error) if error.is_not_found() => {}
            Err(source) => {
                return Err(Error::Engine {
                    what: format!("cannot remove the container {}, which a failed start has left", task.container_name),
                    source: Box::new(source),
                });
            }
        }
    } else if task.may_come(SystemTime::now()) {
        return Ok(false);
    }
    task.is_clear();
    Ok(true)
}

/// Whether a state is about the Engine that answers here. Some Engines have no id: then the address decides.
pub(in crate::runner) fn is_here(site: &Site<'_>, state: &AllocState) -> bool {
    if state.engine_id.is_empty() || site.engine_id.is_empty() {
        return state.endpoint == site.engine.endpoint().to_string();
    }
    state.engine_id == site.engine_id
}

/// The task's container: by its id, else by its name. `None`: there is none, or it is a stranger's.
pub(in crate::runner) fn look(engine: &Engine, task: &TaskRecord) -> Result<Option<ContainerInspect>, Error> {
    let name = task.handle.as_ref().map_or(&task.container_name, |handle| &handle.container_id);
    if name.is_empty() {
        return Ok(None);
    }
    let ours = |container: &ContainerInspect| {
        container.config.labels.get(create::TASK_ID_LABEL).is_some_and(|id| id == task.config.id.as_str())
    };
    match engine.container_inspect(name, &InspectQuery::default()) {
        Ok(container) => Ok(Some(container).filter(ours)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(source) => Err(Error::Engine {
            what: format!("cannot find out whether container {name} runs"),
            source: Box::new(source),
        }),
    }
}

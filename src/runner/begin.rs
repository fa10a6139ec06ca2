//! Before anything of a job runs: that it is not alive already, that its allocations are ours, that their states and
//! directories are there.

use crate::driver::{TaskConfig, create};
use crate::engine::types::ContainerInspect;
use crate::engine::{Engine, InspectQuery};

use super::owner::{self, Owned};
use super::state::{AllocState, Store, TaskRecord};
use super::{Allocation, DataDir, Error, chain};

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

/// Takes a job's allocations into possession, writes their states and makes their directories. The second part of the
/// answer is what the person should know.
///
/// # Errors
/// The job, or an allocation of one of the ids, is alive in this data directory; somebody else owns it; a file or
/// directory that cannot be used. Nothing has been started then.
pub fn begin(site: &Site<'_>, allocs: &[Allocation], keep: bool) -> Result<(Vec<Owned>, Vec<String>), Error> {
    let store = Store::open(site.data)?;
    let _placing = owner::placing(&store)?;
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
                // Nothing of those that went well will be started: the next run need not look after them.
                for alloc in &owned {
                    if let Err(error) = alloc.update(|state| state.ended = true) {
                        log::warn!("{}", chain(&error));
                    }
                }
                return Err(error);
            }
        }
    }
    Ok((owned, notices))
}

fn take(site: &Site<'_>, store: &Store, alloc: &Allocation, keep: bool) -> Result<Owned, Error> {
    let lock = owner::claim(store, &alloc.id)?;
    site.data.make_alloc(&alloc.id, alloc.tasks.iter().map(|task| task.config.name.as_str()))?;
    let endpoint = site.engine.endpoint().to_string();
    let state = AllocState::new(alloc, &endpoint, site.engine_id, keep, container_name);
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
    let _lock = owner::claim(store, alloc_id).map_err(|error| match error {
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
    let mut stopped = Vec::new();
    for task in &state.tasks {
        match look(site.engine, task)? {
            Some(container) if container.state.running => {
                let name = &task.container_name;
                return Err(live(format!(
                    "its owner is gone and container {name} still runs; end it with `docker rm -f {name}`"
                )));
            }
            Some(_) => stopped.push(task.container_name.as_str()),
            None => {}
        }
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

/// Whether a state is about the Engine that answers here. Some Engines have no id: then the address decides.
pub fn is_here(site: &Site<'_>, state: &AllocState) -> bool {
    if state.engine_id.is_empty() || site.engine_id.is_empty() {
        return state.endpoint == site.engine.endpoint().to_string();
    }
    state.engine_id == site.engine_id
}

/// The task's container: by its id, else by its name. `None`: there is none, or it is a stranger's.
pub(super) fn look(engine: &Engine, task: &TaskRecord) -> Result<Option<ContainerInspect>, Error> {
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

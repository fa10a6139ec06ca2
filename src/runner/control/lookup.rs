//! Which task a person means: by its name, as `ALLOC/TASK`, by the beginning of an allocation's id, or of a container's.
//! Pure: over the states of a data directory.
//!
//! A name counts before an id, and is looked for among allocations that have not ended; ended ones are found by their ids
//! (and by name too, where that is asked for).

use crate::runner::Error;
use crate::runner::state::store::{AllocState, TaskRecord};

/// So much of an allocation's id is shown, where that is enough.
const SHORT: usize = 8;

/// A task that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found<'a> {
    /// Its allocation.
    pub alloc: &'a AllocState,
    /// The task.
    pub task: &'a TaskRecord,
}

impl Found<'_> {
    /// The task as it can be named: `ALLOC/TASK`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.alloc.alloc_id, self.task.config.name)
    }
}

/// The one task that `name` means.
///
/// # Errors
/// [`Error::NoTask`]; [`Error::Ambiguous`] with the candidates.
pub fn find<'a>(states: &'a [AllocState], name: &str) -> Result<Found<'a>, Error> {
    let found = candidates(states, name);
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(no_task(states, name)),
        several => Err(ambiguous(name, several.iter().map(Found::name))),
    }
}

/// The one task that `name` means, by its name among ended allocations too, where no other one has it.
///
/// # Errors
/// As for [`find`].
pub fn find_ended_too<'a>(states: &'a [AllocState], name: &str) -> Result<Found<'a>, Error> {
    let ended = || states.iter().filter(|alloc| alloc.ended).flat_map(tasks_of);
    match find(states, name) {
        Err(error @ Error::NoTask { .. }) => {
            let named: Vec<_> = ended().filter(|found| found.task.config.name == name).collect();
            match named.as_slice() {
                [one] => Ok(*one),
                [] => Err(error),
                several => Err(ambiguous(name, several.iter().map(Found::name))),
            }
        }
        found => found,
    }
}

/// The one allocation that `name` means: as for [`find`], and an allocation of several tasks is one.
///
/// # Errors
/// [`Error::NoTask`]; [`Error::Ambiguous`] with the candidates.
pub fn find_alloc<'a>(states: &'a [AllocState], name: &str) -> Result<&'a AllocState, Error> {
    let mut allocs: Vec<&AllocState> = candidates(states, name).into_iter().map(|found| found.alloc).collect();
    allocs.dedup_by(|a, b| a.alloc_id == b.alloc_id);
    match allocs.as_slice() {
        [one] => Ok(one),
        [] => Err(no_task(states, name)),
        several => Err(ambiguous(name, several.iter().map(|alloc| alloc.alloc_id.clone()))),
    }
}

/// So much of the beginning of an allocation's id as people need, and a short id whole.
pub fn short(alloc_id: &str) -> &str {
    let is_uuid = alloc_id.len() == 36 && alloc_id.as_bytes()[SHORT] == b'-';
    if is_uuid { &alloc_id[..SHORT] } else { alloc_id }
}

fn candidates<'a>(states: &'a [AllocState], name: &str) -> Vec<Found<'a>> {
    let all = || states.iter().flat_map(tasks_of);
    if name.is_empty() {
        return Vec::new();
    }
    if let Some((alloc, task)) = name.split_once('/') {
        let of_allocs = |fits: &dyn Fn(&str) -> bool| {
            all().filter(|found| fits(&found.alloc.alloc_id) && found.task.config.name == task).collect::<Vec<_>>()
        };
        let exact = of_allocs(&|id| id == alloc);
        return if exact.is_empty() && !alloc.is_empty() { of_allocs(&|id| id.starts_with(alloc)) } else { exact };
    }
    let named: Vec<_> = all().filter(|found| !found.alloc.ended && found.task.config.name == name).collect();
    if !named.is_empty() {
        return named;
    }
    let exact: Vec<_> = all().filter(|found| found.alloc.alloc_id == name).collect();
    if !exact.is_empty() {
        return exact;
    }
    let is_container = |found: &Found<'_>| {
        let handle = found.task.handle.as_ref();
        handle.is_some_and(|handle| handle.container_id.starts_with(name)) || found.task.container_name == name
    };
    all().filter(|found| found.alloc.alloc_id.starts_with(name) || is_container(found)).collect()
}

fn tasks_of(alloc: &AllocState) -> impl Iterator<Item = Found<'_>> {
    alloc.tasks.iter().map(move |task| Found { alloc, task })
}

fn ambiguous(name: &str, candidates: impl Iterator<Item = String>) -> Error {
    Error::Ambiguous { name: name.to_owned(), candidates: candidates.collect() }
}

/// With what there is, where it is little enough to be read.
fn no_task(states: &[AllocState], name: &str) -> Error {
    let live = states.iter().filter(|alloc| !alloc.ended);
    let mut names: Vec<&str> = live.flat_map(|alloc| &alloc.tasks).map(|task| task.config.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let why = match names.len() {
        0 => "no task is known in this data directory but ended ones (`longshore ps -a`); another one is named with --data-dir".into(),
        1..=10 => format!("there is {}; see `longshore ps`", names.join(", ")),
        n => format!("`longshore ps` shows the {n} that there are"),
    };
    Error::NoTask { name: name.to_owned(), why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{TaskConfig, TaskHandle};
    use crate::runner::testing::state;

    fn states() -> Vec<AllocState> {
        let mut states = vec![
            state("8f9a1f5e-0000-4000-8000-000000000001", &["web", "db"]),
            state("8f9a2222-0000-4000-8000-000000000002", &["web"]),
            state("77aa", &["old", "solo"]),
            state("77aabb", &["cache"]),
            state("cache", &["x"]),
        ];
        states[2].ended = true;
        let config = TaskConfig::default();
        let handle = TaskHandle { config, container_id: "c0ffee00".into(), ..TaskHandle::default() };
        states[0].tasks[1].handle = Some(handle);
        states
    }

    #[test]
    fn tasks() {
        let states = states();
        for (row, name, want) in [
            ("a name", "db", Ok("8f9a1f5e-0000-4000-8000-000000000001/db")),
            ("a name of two", "web", Err(2)),
            (
                "a name in an allocation",
                "8f9a1f5e-0000-4000-8000-000000000001/web",
                Ok("8f9a1f5e-0000-4000-8000-000000000001/web"),
            ),
            ("in the beginning of its id", "8f9a2/web", Ok("8f9a2222-0000-4000-8000-000000000002/web")),
            ("in that of two", "8f9a/web", Err(2)),
            ("of two allocations one has it", "8f9a/db", Ok("8f9a1f5e-0000-4000-8000-000000000001/db")),
            ("an allocation of one task", "8f9a2", Ok("8f9a2222-0000-4000-8000-000000000002/web")),
            ("an allocation of two", "8f9a1", Err(2)),
            ("a container", "c0f", Ok("8f9a1f5e-0000-4000-8000-000000000001/db")),
            (
                "a container's name",
                "db-8f9a1f5e-0000-4000-8000-000000000001",
                Ok("8f9a1f5e-0000-4000-8000-000000000001/db"),
            ),
            ("a name before an id", "cache", Ok("77aabb/cache")),
            ("an ended one is not found by name", "solo", Err(0)),
            ("but by its id", "77aa/solo", Ok("77aa/solo")),
            ("a whole id is no beginning of another", "77aa", Err(2)),
            ("nothing", "", Err(0)),
            ("no allocation", "/web", Err(0)),
            ("what is not there", "nosuch", Err(0)),
        ] {
            match (find(&states, name), want) {
                (Ok(found), Ok(want)) => assert_eq!(found.name(), want, "{row}"),
                (Err(Error::NoTask { .. }), Err(0)) => {}
                (Err(Error::Ambiguous { candidates, .. }), Err(n)) => {
                    assert_eq!(candidates.len(), n, "{row}: {candidates:?}")
                }
                (got, want) => panic!("{row}: {got:?}, not {want:?}"),
            }
        }
    }

    #[test]
    fn ended_ones_too() {
        let mut states = states();
        for (row, name, want) in [
            ("a live one first", "cache", Ok("77aabb/cache")),
            ("an ended one", "solo", Ok("77aa/solo")),
            ("two live ones", "web", Err(2)),
            ("nothing", "nosuch", Err(0)),
        ] {
            match (find_ended_too(&states, name), want) {
                (Ok(found), Ok(want)) => assert_eq!(found.name(), want, "{row}"),
                (Err(Error::NoTask { .. }), Err(0)) => {}
                (Err(Error::Ambiguous { candidates, .. }), Err(n)) => assert_eq!(candidates.len(), n, "{row}"),
                (got, want) => panic!("{row}: {got:?}, not {want:?}"),
            }
        }
        let mut again = state("88bb", &["solo"]);
        again.ended = true;
        states.push(again);
        let error = find_ended_too(&states, "solo").unwrap_err().to_string();
        assert!(error.contains("77aa/solo, 88bb/solo"), "{error}");
    }

    #[test]
    fn allocations() {
        let states = states();
        for (row, name, want) in [
            ("of two tasks", "8f9a1", Some("8f9a1f5e-0000-4000-8000-000000000001")),
            ("by one of them", "db", Some("8f9a1f5e-0000-4000-8000-000000000001")),
            ("by a name of two", "web", None),
            ("ended, by its id", "77aa", Some("77aa")),
        ] {
            assert_eq!(find_alloc(&states, name).ok().map(|alloc| alloc.alloc_id.as_str()), want, "{row}");
        }
    }

    #[test]
    fn errors_list_what_there_is() {
        let states = states();
        let error = find(&states, "nosuch").unwrap_err().to_string();
        assert!(error.contains("cache, db, web, x") && !error.contains("old"), "{error}");
        let error = find(&states, "web").unwrap_err().to_string();
        assert!(error.contains("8f9a1f5e-0000-4000-8000-000000000001/web, 8f9a2222-"), "{error}");
        assert_eq!((short("8f9a1f5e-0000-4000-8000-000000000001"), short("mine")), ("8f9a1f5e", "mine"));
    }
}

//! The desired states of an allocation's tasks: `state/<alloc>.wish.json`. Processes that do not own the allocation write the
//! file; its owner reads it before it applies a restart policy. What was done about them stands in the allocation's state.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

use crate::files;

use crate::runner::Error;
use crate::runner::state::dirs::read_own;
use crate::runner::state::lock;
use crate::runner::state::store::Store;

/// Bytes that are read at most: a few for each task.
const LONGEST: u64 = 16 * 1024 * 1024;

/// The desired states of the tasks of an allocation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredStates {
    /// By task name.
    pub tasks: BTreeMap<String, Desired>,
}

/// The desired state of a task, where that is not to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Desired {
    /// Stopped, and not started again.
    Stopped,
    /// The same, and its container removed.
    Destroyed,
}

impl DesiredStates {
    /// The desired state of a task. `None`: it is to run.
    pub fn of(&self, task: &str) -> Option<Desired> {
        self.tasks.get(task).copied()
    }
}

/// Writes down the desired state of a task. One that is to be destroyed stays so.
///
/// # Errors
/// The file cannot be written, or holds something else.
pub(in crate::runner) fn write(store: &Store, alloc_id: &str, task: &str, wanted: Desired) -> Result<(), Error> {
    let _lock = lock::lock_desired(store)?;
    let mut states = read(store, alloc_id)?;
    let present = states.tasks.entry(task.to_owned()).or_insert(wanted);
    *present = (*present).max(wanted);
    let path = store.file(alloc_id, "wish.json");
    let text =
        serde_json::to_vec(&states).map_err(|error| Error::Corrupt { path: path.clone(), why: error.to_string() })?;
    files::replace(&path, &text).map_err(Error::io("write", &path))
}

/// The desired states at present; none where nobody wrote any.
pub(in crate::runner) fn read(store: &Store, alloc_id: &str) -> Result<DesiredStates, Error> {
    let path = store.file(alloc_id, "wish.json");
    match read_own(&path, LONGEST)? {
        Some(text) => serde_json::from_slice(&text).map_err(|error| Error::Corrupt { path, why: error.to_string() }),
        None => Ok(DesiredStates::default()),
    }
}

/// Forgets the desired states of an earlier allocation of the same id.
pub(in crate::runner) fn forget(store: &Store, alloc_id: &str) -> Result<(), Error> {
    let path = store.file(alloc_id, "wish.json");
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::DataDir;
    use crate::runner::testing::Scratch;

    #[test]
    fn what_others_wrote() {
        let scratch = Scratch::new("wish");
        let store = Store::open(&DataDir::new(scratch.path()).unwrap()).unwrap();
        assert_eq!(read(&store, "a1").unwrap(), DesiredStates::default());
        fs::write(store.file("a1", "wish.json"), r#"{"tasks":{"web":"stopped","db":"destroyed"}}"#).unwrap();
        let wish = read(&store, "a1").unwrap();
        let wanted = |wish: &DesiredStates| ["web", "db", "other"].map(|task| wish.of(task));
        assert_eq!(wanted(&wish), [Some(Desired::Stopped), Some(Desired::Destroyed), None]);
        for (task, wanted) in [("other", Desired::Stopped), ("web", Desired::Destroyed), ("db", Desired::Stopped)] {
            write(&store, "a1", task, wanted).unwrap();
        }
        let wish = read(&store, "a1").unwrap();
        assert_eq!(wanted(&wish), [Some(Desired::Destroyed), Some(Desired::Destroyed), Some(Desired::Stopped)]);
        fs::write(store.file("a1", "wish.json"), r#"{"tasks":{"web":"dance"}}"#).unwrap();
        assert!(matches!(read(&store, "a1"), Err(Error::Corrupt { .. })));
        scratch.lay_fifo(&store.file("a1", "wish.json"));
        assert!(matches!(read(&store, "a1"), Err(Error::Corrupt { .. })));
        forget(&store, "a1").unwrap();
        fs::write(store.file("a1", "wish.json"), "").unwrap();
        fs::File::options().write(true).open(store.file("a1", "wish.json")).unwrap().set_len(LONGEST + 1).unwrap();
        assert!(matches!(read(&store, "a1"), Err(Error::Corrupt { .. })));
        forget(&store, "a1").unwrap();
        forget(&store, "a1").unwrap();
        assert_eq!(read(&store, "a1").unwrap(), DesiredStates::default());
    }
}

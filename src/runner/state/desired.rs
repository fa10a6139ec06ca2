//! What other processes want of an allocation that they do not own: `state/<alloc>.wish.json`. They write it, its owner
//! reads it before it applies a restart policy. It holds wishes only; what was done about them stands in the state.

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

/// What is wanted of the tasks of an allocation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// By task name.
    pub tasks: BTreeMap<String, Wanted>,
}

/// What is wanted of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// It is to stay as it is when it has ended.
    Stopped,
    /// The same, and its container is to go.
    Destroyed,
}

impl Wish {
    /// What is wanted of a task; in any case it is not to be started again.
    pub fn of(&self, task: &str) -> Option<Wanted> {
        self.tasks.get(task).copied()
    }
}

/// Writes down what is wanted of a task. Who wants it gone does not want it to stay.
///
/// # Errors
/// The file cannot be written, or holds something else than wishes.
pub(in crate::runner) fn write(store: &Store, alloc_id: &str, task: &str, wanted: Wanted) -> Result<(), Error> {
    let _wishing = lock::wishing(store)?;
    let mut wish = read(store, alloc_id)?;
    let present = wish.tasks.entry(task.to_owned()).or_insert(wanted);
    *present = (*present).max(wanted);
    let path = store.file(alloc_id, "wish.json");
    let text =
        serde_json::to_vec(&wish).map_err(|error| Error::Corrupt { path: path.clone(), why: error.to_string() })?;
    files::replace(&path, &text).map_err(Error::io("write", &path))
}

/// What is wanted at present; nothing where nobody wrote anything.
pub(in crate::runner) fn read(store: &Store, alloc_id: &str) -> Result<Wish, Error> {
    let path = store.file(alloc_id, "wish.json");
    match read_own(&path, LONGEST)? {
        Some(text) => serde_json::from_slice(&text).map_err(|error| Error::Corrupt { path, why: error.to_string() }),
        None => Ok(Wish::default()),
    }
}

/// Forgets what was wanted of an earlier allocation of the same id.
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
        assert_eq!(read(&store, "a1").unwrap(), Wish::default());
        fs::write(store.file("a1", "wish.json"), r#"{"tasks":{"web":"stopped","db":"destroyed"}}"#).unwrap();
        let wish = read(&store, "a1").unwrap();
        let wanted = |wish: &Wish| ["web", "db", "other"].map(|task| wish.of(task));
        assert_eq!(wanted(&wish), [Some(Wanted::Stopped), Some(Wanted::Destroyed), None]);
        for (task, wanted) in [("other", Wanted::Stopped), ("web", Wanted::Destroyed), ("db", Wanted::Stopped)] {
            write(&store, "a1", task, wanted).unwrap();
        }
        let wish = read(&store, "a1").unwrap();
        assert_eq!(wanted(&wish), [Some(Wanted::Destroyed), Some(Wanted::Destroyed), Some(Wanted::Stopped)]);
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
        assert_eq!(read(&store, "a1").unwrap(), Wish::default());
    }
}

//! Who owns an allocation: the one process that holds the lock on `state/<alloc>.lock`. The lock goes with the process,
//! so there is nothing to clean up after a crash; the pid in the file is for people. Lock files are never removed: a
//! process could hold the lock of a file that has no name any more.
//!
//! Who only wants to know whether there is an owner tries the lock, and must not be taken for one by who claims it at that
//! moment: it holds `state/peek.lock` meanwhile, with others like it, and a claim that was refused waits for that.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::files;

use crate::runner::journal::writer::Journal;
use crate::runner::state::desired::{self, DesiredStates};
use crate::runner::state::store::{AllocState, Store, TaskRecord};
use crate::runner::{DataDir, Error};

/// Held by who looks whether there is an owner.
const PEEK: &str = "peek.lock";
/// How long a lock is waited for that is held for the length of a few calls: who was stopped meanwhile holds it for good.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 10 });

/// An allocation that this process owns, until it is dropped.
#[derive(Debug)]
pub struct Owned {
    store: Store,
    state: Mutex<AllocState>,
    pub(in crate::runner) journal: Journal,
    /// Whether somebody owned it before.
    taken_up: bool,
    /// The tasks of which output is lost, by their numbers.
    output_lost: Mutex<BTreeSet<usize>>,
    _lock: Lock,
}

/// The right to write an allocation's state.
#[derive(Debug)]
pub(in crate::runner) struct Lock {
    _file: File,
}

/// Whether somebody owns an allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// Nobody does: it was detached, or its owner died.
    Nobody,
    /// A process does.
    Process {
        /// Its id, if it could be read.
        pid: Option<u32>,
    },
}

impl Owned {
    /// Takes an allocation into possession and writes its state. What an earlier, ended allocation of this id left of desired states is forgotten.
    pub(in crate::runner) fn begin(
        data: &DataDir,
        store: &Store,
        lock: Lock,
        state: AllocState,
    ) -> Result<Self, Error> {
        desired::forget(store, &state.alloc_id)?;
        store.save(&state)?;
        let journal = Journal::open(&data.alloc(&state.alloc_id));
        Ok(Self {
            store: store.clone(),
            state: Mutex::new(state),
            journal,
            taken_up: false,
            output_lost: Mutex::default(),
            _lock: lock,
        })
    }

    /// Takes an allocation into possession as its last owner left it; what others desire of it stands.
    pub(in crate::runner) fn take_up(data: &DataDir, store: &Store, lock: Lock, state: AllocState) -> Self {
        let journal = Journal::open(&data.alloc(&state.alloc_id));
        Self {
            store: store.clone(),
            state: Mutex::new(state),
            journal,
            taken_up: true,
            output_lost: Mutex::default(),
            _lock: lock,
        }
    }

    /// Whether somebody owned it before.
    pub(in crate::runner) fn is_taken_up(&self) -> bool {
        self.taken_up
    }

    /// Some of a task's output is lost for good.
    pub(in crate::runner) fn note_lost_output(&self, number: usize) {
        self.output_lost.lock().unwrap_or_else(PoisonError::into_inner).insert(number);
    }

    /// Whether some of a task's output was lost while this process owned it.
    pub(in crate::runner) fn has_lost_output(&self, number: usize) -> bool {
        self.output_lost.lock().unwrap_or_else(PoisonError::into_inner).contains(&number)
    }

    /// A copy of what is known.
    pub fn state(&self) -> AllocState {
        self.lock().clone()
    }

    /// A copy of what is known of one task.
    pub(in crate::runner) fn task(&self, number: usize) -> TaskRecord {
        self.lock().tasks[number].clone()
    }

    /// Changes the state and writes it. Where writing fails the change is kept in memory, for the next write.
    pub(in crate::runner) fn update(&self, change: impl FnOnce(&mut AllocState)) -> Result<(), Error> {
        let mut state = self.lock();
        change(&mut state);
        self.store.save(&state)
    }

    /// What somebody else wants of this allocation.
    pub(in crate::runner) fn desired(&self) -> Result<DesiredStates, Error> {
        let id = self.lock().alloc_id.clone();
        desired::read(&self.store, &id)
    }

    fn lock(&self) -> MutexGuard<'_, AllocState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the lock of an allocation, without waiting.
///
/// # Errors
/// [`Error::Owned`] with the pid of who has it.
pub(in crate::runner) fn claim(store: &Store, alloc_id: &str) -> Result<Lock, Error> {
    let path = store.file(alloc_id, "lock");
    let mut file = open(&path)?;
    if !try_lock(&file, &path)? {
        // It may be held by who only looks.
        let _gate = gate(store, File::try_lock)?;
        if !try_lock(&file, &path)? {
            return Err(Error::Owned { alloc_id: alloc_id.to_owned(), pid: read_pid(&mut file) });
        }
    }
    let pid = format!("{}\n", std::process::id());
    let written =
        file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).and_then(|_| file.write_all(pid.as_bytes()));
    written.map_err(Error::io("write", &path))?;
    Ok(Lock { _file: file })
}

/// Whether somebody owns an allocation at present. Disturbs nobody.
pub(in crate::runner) fn ownership(store: &Store, alloc_id: &str) -> Result<Ownership, Error> {
    let path = store.file(alloc_id, "lock");
    let mut file = match files::open_regular(&path, OpenOptions::new().read(true)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ownership::Nobody),
        Err(error) => return Err(Error::io("open", &path)(error)),
    };
    let _gate = gate(store, File::try_lock_shared)?;
    match file.try_lock_shared() {
        Ok(()) => {
            // Before the gate, which closing would give back in no order that anybody promises.
            file.unlock().map_err(Error::io("unlock", &path))?;
            Ok(Ownership::Nobody)
        }
        Err(TryLockError::WouldBlock) => Ok(Ownership::Process { pid: read_pid(&mut file) }),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", &path)(error)),
    }
}

fn try_lock(file: &File, path: &Path) -> Result<bool, Error> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", path)(error)),
    }
}

fn gate(store: &Store, try_lock: fn(&File) -> Result<(), TryLockError>) -> Result<File, Error> {
    let path = store.dir().join(PEEK);
    // Who looks may not be able to write there, and need not.
    let file = match files::open_regular(&path, OpenOptions::new().read(true)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => open(&path)?,
        opened => opened.map_err(Error::io("open", &path))?,
    };
    files::lock_within(|| try_lock(&file), PATIENCE).map_err(Error::io("lock", &path))?;
    Ok(file)
}

/// Waits for the lock under which desired states are written, held for the length of a read and a write.
pub(in crate::runner) fn lock_desired(store: &Store) -> Result<Lock, Error> {
    wait_for(&store.dir().join("wish.lock"))
}

/// Waits for the lock under which a job is placed: of two processes that place the same job, the second finds it alive.
/// It is held for the length of a few calls.
pub(in crate::runner) fn placing(store: &Store) -> Result<Lock, Error> {
    wait_for(&store.dir().join("placing.lock"))
}

fn wait_for(path: &Path) -> Result<Lock, Error> {
    let file = open(path)?;
    files::lock_within(|| file.try_lock(), PATIENCE).map_err(Error::io("lock", path))?;
    Ok(Lock { _file: file })
}

fn open(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    files::open_regular(path, &mut options).map_err(Error::io("open", path))
}

/// The owner may be about to write it: then it is not known.
fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::testing::Scratch;
    use std::fs;

    #[test]
    fn locks_are_regular_files() {
        let scratch = Scratch::new("owner-fifo");
        let data = DataDir::new(scratch.path()).unwrap();
        data.make_state().unwrap();
        let store = Store::open(&data).unwrap();
        for name in ["a1.lock", "wish.lock", "placing.lock", PEEK] {
            scratch.lay_fifo(&store.dir().join(name));
        }
        assert!(claim(&store, "a1").is_err() && ownership(&store, "a1").is_err());
        assert!(lock_desired(&store).is_err() && placing(&store).is_err() && gate(&store, File::try_lock).is_err());
    }

    #[test]
    fn a_lock_that_is_never_given_back_is_given_up_and_named() {
        let scratch = Scratch::new("owner-stuck");
        let store = Store::open(&DataDir::new(scratch.path()).unwrap()).unwrap();
        let owner = claim(&store, "a1").unwrap();
        let held = ["wish.lock", "placing.lock", PEEK].map(|name| open(&store.dir().join(name)).unwrap());
        held.iter().for_each(|file| file.lock().unwrap());
        type Try = fn(&Store) -> Result<(), Error>;
        let tries: [(&str, Try); 4] = [
            ("wish.lock", |store| lock_desired(store).map(drop)),
            ("placing.lock", |store| placing(store).map(drop)),
            (PEEK, |store| ownership(store, "a1").map(drop)),
            (PEEK, |store| claim(store, "a1").map(drop)),
        ];
        std::thread::scope(|scope| {
            for (name, take) in tries {
                let store = &store;
                scope.spawn(move || {
                    let error = take(store).unwrap_err();
                    assert!(error.is_recoverable(), "{error}");
                    let told = crate::runner::chain(&error);
                    let path = store.dir().join(name);
                    assert_eq!(told, format!("cannot lock {}: another longshore holds it", path.display()));
                });
            }
        });
        drop((owner, held));
    }

    #[test]
    fn one_owner_at_a_time() {
        let scratch = Scratch::new("owner");
        let store = Store::open(&DataDir::new(scratch.path()).unwrap()).unwrap();
        let lock = claim(&store, "a1").unwrap();
        // A second open file is a second owner, in this process too.
        let refused = claim(&store, "a1").unwrap_err();
        let me = std::process::id();
        assert!(matches!(&refused, Error::Owned { pid: Some(pid), .. } if *pid == me), "{refused}");
        assert!(refused.to_string().contains(&me.to_string()), "{refused}");
        claim(&store, "a2").unwrap();
        drop(lock);
        claim(&store, "a1").unwrap();
    }

    #[test]
    fn looking_is_not_owning() {
        let scratch = Scratch::new("owner-look");
        let store = Store::open(&DataDir::new(scratch.path()).unwrap()).unwrap();
        assert_eq!(ownership(&store, "a1").unwrap(), Ownership::Nobody);
        let lock = claim(&store, "a1").unwrap();
        assert_eq!(ownership(&store, "a1").unwrap(), Ownership::Process { pid: Some(std::process::id()) });
        drop(lock);
        // However many look, a claim is never refused for it.
        std::thread::scope(|scope| {
            let lookers: Vec<_> = (0..3)
                .map(|_| scope.spawn(|| (0..300).for_each(|_| assert!(ownership(&store, "a1").is_ok()))))
                .collect();
            while !lookers.iter().all(|looker| looker.is_finished()) {
                claim(&store, "a1").unwrap();
            }
        });
    }

    #[test]
    fn a_pid_that_is_not_there_yet() {
        let scratch = Scratch::new("owner-pid");
        let store = Store::open(&DataDir::new(scratch.path()).unwrap()).unwrap();
        let _lock = claim(&store, "a1").unwrap();
        fs::write(store.file("a1", "lock"), "").unwrap();
        assert!(matches!(claim(&store, "a1"), Err(Error::Owned { pid: None, .. })));
    }
}

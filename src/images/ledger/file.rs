//! A ledger on disk: one file for all Engines and processes of a data directory, changed under a lock, replaced whole.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Ledger;
use crate::files;

/// The version of the file's form.
const VERSION: u32 = 1;
/// The longest file that is read, in bytes: some ten thousand images.
const LONGEST: u64 = 16 * 1024 * 1024;
/// How long the lock is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);

/// Where a ledger is kept, so that other processes, and later ones, know what is used and what is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerFile {
    /// The file. Beside it lie its lock and, for a moment, its successor.
    pub path: PathBuf,
    /// Which Engine's images these are: what it calls itself, or its address.
    pub engine: String,
}

#[derive(Default, Serialize, Deserialize)]
struct Content {
    version: u32,
    engines: BTreeMap<String, Ledger>,
}

impl LedgerFile {
    /// Says why the file cannot be read.
    ///
    /// # Errors
    /// It cannot be read, is no ledger, or is one of a later version. That there is none is no error.
    pub fn check(&self) -> io::Result<()> {
        self.read().map(drop)
    }

    /// The ledger as it is on disk, with `memory`'s running removals. The file is always whole: it needs no lock.
    pub(crate) fn load(&self, memory: &Ledger) -> io::Result<Ledger> {
        let ledger = self.read()?.engines.remove(&self.engine).unwrap_or_default();
        Ok(Ledger { removing: memory.removing.clone(), ..ledger })
    }

    /// Does `change` to the ledger, and writes it where that made a difference. The lock is held meanwhile, for the length
    /// of a read and a write. `memory` lends its running removals, and becomes what is on disk; it stays as it is on an error.
    pub(crate) fn update<R>(&self, memory: &mut Ledger, change: impl FnOnce(&mut Ledger) -> R) -> io::Result<R> {
        // Who changes nothing need not be able to write there.
        let lock = self.lock();
        let mut content = self.read()?;
        let before = content.engines.remove(&self.engine).unwrap_or_default();
        let mut ledger = Ledger { removing: memory.removing.clone(), ..before.clone() };
        let result = change(&mut ledger);
        if ledger.images != before.images {
            let _held = lock?;
            if !ledger.images.is_empty() {
                content.engines.insert(self.engine.clone(), ledger.clone());
            }
            content.version = VERSION;
            let text = serde_json::to_vec_pretty(&content).map_err(io::Error::other)?;
            files::replace(&self.path, &text)?;
        }
        *memory = ledger;
        Ok(result)
    }

    /// Takes the lock, which is a file of its own: the ledger's is replaced. A process that was stopped while it has the
    /// lock must not stop the others: it is waited for at most [`LOCK_PATIENCE`].
    fn lock(&self) -> io::Result<File> {
        let mut path = self.path.clone().into_os_string();
        path.push(".lock");
        let path = PathBuf::from(path);
        let mut options = OpenOptions::new();
        let file = files::open_regular(&path, options.write(true).create(true).truncate(false).mode(0o600))?;
        files::lock_within(|| file.try_lock(), LOCK_PATIENCE).map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => {
                io::Error::new(io::ErrorKind::TimedOut, format!("the lock {}: {error}", path.display()))
            }
            _ => error,
        })?;
        Ok(file)
    }

    fn read(&self) -> io::Result<Content> {
        let text = match files::read_regular(&self.path, LONGEST) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Content::default()),
            Err(error) => return Err(error),
        };
        let content: Content = serde_json::from_slice(&text).map_err(io::Error::other)?;
        if content.version != VERSION {
            let why = format!("its form is version {}, and {VERSION} is known here", content.version);
            return Err(io::Error::other(why));
        }
        Ok(content)
    }
}

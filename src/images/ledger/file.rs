//! A ledger on disk: one file for all Engines and processes of a data directory, changed under a lock, replaced whole.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Ledger;
use crate::files;

/// The version of the file's form.
const VERSION: u32 = 1;
/// The longest file that is read, in bytes: some ten thousand images.
const LONGEST: u64 = 16 * 1024 * 1024;

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
    /// Does `change` to the ledger, and writes it where that made a difference. The lock is held meanwhile, for the length
    /// of a read and a write. `memory` lends its running removals, and becomes what is on disk; it stays as it is on an error.
    pub(crate) fn update<R>(&self, memory: &mut Ledger, change: impl FnOnce(&mut Ledger) -> R) -> io::Result<R> {
        let lock = match self.lock() {
            // Without its folder there is nothing to read, and nothing is made to look.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            lock => Some(lock?),
        };
        let mut content = self.read()?;
        let before = content.engines.remove(&self.engine).unwrap_or_default();
        let mut ledger = Ledger { removing: memory.removing.clone(), ..before.clone() };
        let result = change(&mut ledger);
        if ledger.images != before.images {
            if lock.is_none() {
                return Err(io::ErrorKind::NotFound.into());
            }
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

    /// The lock is a file of its own: the ledger's is replaced.
    fn lock(&self) -> io::Result<File> {
        let mut path = self.path.clone().into_os_string();
        path.push(".lock");
        let path = PathBuf::from(path);
        let mut options = OpenOptions::new();
        let file = files::open_regular(&path, options.write(true).create(true).truncate(false).mode(0o600))?;
        file.lock()?;
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

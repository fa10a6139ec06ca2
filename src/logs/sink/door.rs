//! The opening of a FIFO for writing, which shows whether it has a reader.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::OFlags;

/// A FIFO that may have no reader yet. Opening it shows; and what was opened must not be closed again, for a reader that was
/// waiting would take that for the end.
#[derive(Debug)]
pub(in crate::logs) struct Door {
    path: PathBuf,
    opened: Mutex<Option<Arc<File>>>,
}

impl Door {
    /// The FIFO at `path`, not opened yet.
    pub(in crate::logs) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), opened: Mutex::default() }
    }

    /// Opens the FIFO, where it has a reader; says whether it is open.
    pub(in crate::logs) fn try_open(&self) -> bool {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.is_none() {
            let mut options = OpenOptions::new();
            let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
            // Whatever the error is, the FIFO is not open; it may be made anew.
            *opened = options.write(true).custom_flags(flags).open(&self.path).ok().map(Arc::new);
        }
        opened.is_some()
    }

    pub(in crate::logs) fn opened(&self) -> Option<Arc<File>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

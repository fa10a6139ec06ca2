//! The events of an allocation on disk: `alloc/<id>/events.jsonl`, one JSON object a line, appended by the owner, read by
//! whoever wants. Bounded: a file over 1 MiB becomes `events.jsonl.1`, and the one before it goes.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::OFlags;

use crate::files::Entry;
use crate::runner::Error;
use crate::runner::journal::event::Event;

/// When a file is full, in bytes.
const FULL: u64 = 1 << 20;
/// How long a file may be, in bytes: the line that fills it is longer than any that is written.
pub(in crate::runner) const LONGEST: u64 = 8 << 20;

/// The event file of an allocation.
#[derive(Debug)]
pub(in crate::runner) struct Journal {
    at: Entry,
    /// Lines of several threads are written one after the other, and the rotation between two of them.
    writing: Mutex<()>,
}

/// The event file in an allocation's directory. No link in its place is followed.
pub(in crate::runner) fn file(alloc_dir: &Path) -> Entry {
    Entry::new(&alloc_dir.join("events.jsonl"), Some(alloc_dir))
}

/// The one before it.
pub(in crate::runner) fn rotated(file: &Path) -> PathBuf {
    file.with_extension("jsonl.1")
}

impl Journal {
    /// The journal in an allocation's directory; the file is made with the first event.
    pub(in crate::runner) fn open(alloc_dir: &Path) -> Self {
        Self { at: file(alloc_dir), writing: Mutex::default() }
    }

    /// Adds an event.
    ///
    /// # Errors
    /// The file cannot be written. Nothing else depends on it: the caller says so and goes on.
    pub(in crate::runner) fn append(&self, event: &Event) -> Result<(), Error> {
        let mut line = event.to_json();
        line.push('\n');
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.at.path();
        let held = self.at.hold().map_err(Error::io("write", path))?;
        if held.length(path).is_ok_and(|length| length >= FULL) {
            held.rename(path, &rotated(path)).map_err(Error::io("rotate", path))?;
        }
        let file = held.open(path, OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE, 0o600);
        // One write, so that a reader sees whole lines.
        file.and_then(|mut file| file.write_all(line.as_bytes())).map_err(Error::io("write", path))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::runner::journal::event::Happened;
    use crate::runner::testing::Scratch;
    use std::time::SystemTime;

    #[test]
    fn is_bounded() {
        let scratch = Scratch::new("journal");
        let journal = Journal::open(scratch.path());
        let message = "x".repeat(300 << 10);
        let event = Event {
            time: SystemTime::UNIX_EPOCH,
            alloc_id: "a1".into(),
            task_name: "web".into(),
            task_id: "a1/web/0".into(),
            happened: Happened::Notice { message },
        };
        for _ in 0..12 {
            journal.append(&event).unwrap();
        }
        let lines = |name: &str| fs::read_to_string(scratch.path().join(name)).unwrap().lines().count();
        assert_eq!((lines("events.jsonl"), lines("events.jsonl.1")), (4, 4), "twelve lines of a third of a file");
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 2);
        scratch.lay_fifo(file(scratch.path()).path());
        assert!(journal.append(&event).is_err(), "a FIFO that nobody reads is not waited for");
        let _reader = fs::File::options().read(true).write(true).open(file(scratch.path()).path()).unwrap();
        assert!(journal.append(&event).is_err(), "nor one that somebody reads written to");
    }
}

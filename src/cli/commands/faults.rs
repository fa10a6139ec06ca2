//! What becomes of a run whose output cannot be written. Where the reader has left, as after `| head`, there is nothing
//! left to run for: the tasks are stopped, and nothing is said. Anything else, such as a full disk, is said once; the tasks
//! go on, and the run has not succeeded.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::runner::Stop;

use crate::cli::eprint;

/// What went wrong with the output. Clones are the same.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Faults {
    stop: Stop,
    found: Arc<Found>,
}

#[derive(Debug, Default)]
struct Found {
    reader_left: AtomicBool,
    lost: AtomicBool,
}

impl Faults {
    pub(in crate::cli) fn new(stop: Stop) -> Self {
        Self { stop, found: Arc::default() }
    }

    /// Takes note of what a write to `stream` gave. False: nothing more can be written there.
    pub(in crate::cli) fn note(&self, stream: &str, done: io::Result<()>) -> bool {
        match done {
            Ok(()) => return true,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.found.reader_left.store(true, Ordering::SeqCst);
                self.stop.ask();
            }
            Err(error) => {
                self.found.lost.store(true, Ordering::SeqCst);
                eprint(&format!("longshore: cannot write to {stream}, and the tasks' output is lost: {error}"));
            }
        }
        false
    }

    /// Whether the reader has left.
    pub(in crate::cli) fn reader_left(&self) -> bool {
        self.found.reader_left.load(Ordering::SeqCst)
    }

    /// Whether output is lost that somebody wanted.
    pub(in crate::cli) fn lost(&self) -> bool {
        self.found.lost.load(Ordering::SeqCst)
    }
}

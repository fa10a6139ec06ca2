//! A sink as the collector sees it: something that takes bytes, takes them later, or fails. Checkpoints are kept elsewhere.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::limits::is_exhausted;
use crate::logs::checkpoint::file::Place;
use crate::logs::record::Record;

/// Somewhere for bytes to go. An error is for good: it is not called again.
pub(in crate::logs) trait SinkBackend: Send {
    /// Takes bytes of a record, and says how many: where these are not all, it is stalled.
    fn put(&mut self, record: &Record<'_>) -> io::Result<usize>;

    /// Takes words that are not output.
    fn notice(&mut self, text: &str) -> io::Result<()> {
        let _ = text;
        Ok(())
    }

    /// Passes on what it holds back. False: not all of it, it is stalled.
    fn flush(&mut self) -> io::Result<bool>;

    /// Where it is, once all is passed on.
    fn place(&self) -> Place {
        Place::default()
    }

    /// Whether everything it was given has got where nothing that happens to us can lose it.
    fn is_delivered(&self) -> bool {
        true
    }

    /// When it is worth another try, after a stall.
    fn gate(&self) -> Gate;

    /// Whether it holds descriptors that others may need more than it does.
    fn takes_from_others(&self) -> bool {
        false
    }

    /// All is passed on that it was given, or it is stalled: descriptors that can be had again are let go of.
    fn release(&mut self) {}

    /// Nothing comes at present: what can be had again may be let go of.
    fn rest(&mut self) {}
}

/// What a stalled backend waits for.
#[derive(Debug, Clone)]
pub(in crate::logs) enum Gate {
    /// A moment.
    Later(Instant),
    /// A FIFO to have a reader, and room.
    Room(Arc<File>),
    /// A FIFO to have a reader at all.
    Reader(Arc<crate::logs::sink::door::Door>),
}

impl Gate {
    /// Whether it is worth another try now. Waits for nothing.
    pub(in crate::logs) fn is_open(&self) -> bool {
        match self {
            Self::Later(moment) => *moment <= Instant::now(),
            Self::Room(fifo) => has_room(fifo),
            Self::Reader(door) => door.try_open(),
        }
    }

    /// Whether somebody is there who may make it open soon: an end of the task waits for him for a while.
    pub(in crate::logs) fn has_somebody(&self) -> bool {
        match self {
            Self::Later(_) | Self::Reader(_) => false,
            Self::Room(fifo) => !flags(fifo).contains(PollFlags::ERR),
        }
    }
}

/// Whether what failed so may work later: the disk, or what its user may have of it, is full, or this
/// process has no descriptor left.
pub(in crate::logs) fn may_pass(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::WouldBlock)
        || is_exhausted(error)
}

fn has_room(fifo: &File) -> bool {
    let flags = flags(fifo);
    flags.contains(PollFlags::OUT) && !flags.contains(PollFlags::ERR)
}

/// ERR: it has no reader.
fn flags(fifo: &File) -> PollFlags {
    let mut fds = [PollFd::new(fifo, PollFlags::OUT)];
    match poll(&mut fds, Some(&Timespec::default())) {
        Ok(_) => fds[0].revents(),
        Err(_) => PollFlags::empty(),
    }
}

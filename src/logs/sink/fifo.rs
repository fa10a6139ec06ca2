//! A FIFO as a sink. It is never waited for: without a reader nothing is written, with a slow one as much as there is room. What was
//! written and not read yet stays in the FIFO while we hold it open, however often its reader comes and goes.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::io::{Errno, ioctl_fionread};

use crate::logs::record::Record;
use crate::logs::sink::backend::{Gate, SinkBackend};
use crate::logs::sink::door::Door;

/// Held back at most, so that a short line is not a system call of its own.
const BATCH: usize = 16 * 1024;

/// The way of one stream, or of both, into a FIFO.
#[derive(Debug)]
pub(in crate::logs) struct Fifo {
    streams: [bool; 2],
    door: Arc<Door>,
    open: Option<Arc<File>>,
    held: Vec<u8>,
}

impl Fifo {
    /// The FIFO at `path`, made where it is missing.
    pub(in crate::logs) fn open(path: &Path, streams: [bool; 2]) -> io::Result<Self> {
        match mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR) {
            Ok(()) => {}
            Err(Errno::EXIST) if path.symlink_metadata()?.file_type().is_fifo() => {}
            Err(Errno::EXIST) => return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no FIFO")),
            Err(e) => return Err(e.into()),
        }
        let door = Arc::new(Door::new(path));
        Ok(Self { streams, door, open: None, held: Vec::new() })
    }
}

/// Writes what there is room for: how much; fewer than all where there is no more, or no reader.
fn write(mut fifo: &File, mut bytes: &[u8]) -> io::Result<usize> {
    let all = bytes.len();
    while !bytes.is_empty() {
        match fifo.write(bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::BrokenPipe) => break,
            Err(e) => return Err(e),
        }
    }
    Ok(all - bytes.len())
}

impl SinkBackend for Fifo {
    fn put(&mut self, record: &Record<'_>) -> io::Result<usize> {
        if !self.streams[record.stream as usize] {
            return Ok(record.bytes.len());
        }
        if self.held.len() + record.bytes.len() > BATCH && !self.flush()? {
            return Ok(0);
        }
        if record.bytes.len() <= BATCH {
            self.held.extend_from_slice(record.bytes);
            return Ok(record.bytes.len());
        }
        match &self.open {
            Some(fifo) => write(fifo, record.bytes),
            None => Ok(0),
        }
    }

    fn flush(&mut self) -> io::Result<bool> {
        if self.open.is_none() && self.door.try_open() {
            self.open = self.door.opened();
        }
        let Some(fifo) = &self.open else { return Ok(false) };
        let written = write(fifo, &self.held)?;
        self.held.drain(..written);
        Ok(self.held.is_empty())
    }

    fn is_delivered(&self) -> bool {
        // What lies in the FIFO is lost with us, unless its reader is there.
        self.open.as_ref().is_some_and(|fifo| ioctl_fionread(&**fifo).is_ok_and(|unread| unread == 0))
    }

    fn gate(&self) -> Gate {
        match &self.open {
            Some(fifo) => Gate::Room(fifo.clone()),
            None => Gate::Reader(self.door.clone()),
        }
    }

    fn rest(&mut self) {
        if self.held.is_empty() {
            self.held = Vec::new();
        }
    }
}

//! A task's output for who does not collect it: its collected files in order, both streams' lines in the order of their times, or
//! their last lines; and what the Engine holds beyond them (`held`).
//!
//! A file is never read whole. Whoever collects may write, rotate and remove meanwhile.

pub(in crate::logs) mod held;
mod lines;
mod tail;
mod watch;

use std::io;
use std::path::Path;

use crate::files::Entry;
use crate::logs::checkpoint::file;
use crate::logs::sink::layout;
use crate::logs::{Reached, Stream};

pub(crate) use lines::{Lines, Piece};
pub(crate) use tail::last_lines;
pub(crate) use watch::Watch;

/// A place in a stream's files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    /// The file's number.
    pub(crate) number: u32,
    /// In bytes from its beginning.
    pub(crate) offset: u64,
}

/// How far a stream is collected, as its collector wrote it down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The container whose output it was.
    pub(crate) container: String,
    /// Up to which record.
    pub(crate) reached: Reached,
    /// What stands in the files from here on counts as not collected while that container is there: it comes again.
    pub(crate) end: Spot,
}

/// Where a stream of a task is collected, by the directory of its allocation: below that no link is followed.
pub(crate) fn place(alloc_dir: &Path, task: &str, stream: Stream) -> Entry {
    let name = match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    };
    Entry::new(&alloc_dir.join("alloc/logs").join(format!("{task}.{name}")), Some(alloc_dir))
}

/// How far a stream is collected. `None`: its collector wrote nothing down.
///
/// # Errors
/// The cursor is there and cannot be read.
pub(crate) fn kept(at: &Entry, stream: Stream) -> io::Result<Option<Kept>> {
    let kept = file::read(&at.beside(layout::cursor(at.path())))?;
    Ok(kept.map(|file::Kept { container, reached, place, .. }| Kept {
        container,
        reached: reached[stream as usize],
        end: Spot { number: place.number, offset: place.length },
    }))
}

/// Where a stream's files end at present.
///
/// # Errors
/// The directory cannot be read.
pub(crate) fn end(at: &Entry) -> io::Result<Spot> {
    let number = lines::numbers(at)?.last().copied().unwrap_or(0);
    let offset = match at.hold().and_then(|held| held.length(&layout::file(at.path(), number))) {
        Ok(length) => length,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    Ok(Spot { number, offset })
}

/// Whether what stands before a place ends in the midst of a line.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn is_within_line(place: &Entry, at: Spot) -> io::Result<bool> {
    let Some(before) = at.offset.checked_sub(1) else { return Ok(false) };
    let mut byte = [b'\n'];
    match lines::open(place, &layout::file(place.path(), at.number)) {
        Ok(file) => lines::read_at(&file, &mut byte, before)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    Ok(byte != [b'\n'])
}

/// Streams of one task, as one.
#[derive(Debug)]
pub(crate) struct Merged {
    pub(crate) streams: Vec<Lines>,
    /// Whose line is being handed out.
    current: Option<usize>,
}

impl Merged {
    /// Of two streams at most, in the order in which lines of the same time are to come.
    pub(crate) fn new(streams: Vec<Lines>) -> Self {
        Self { streams, current: None }
    }

    /// Hands out all that is there at present. A line is not broken by another stream's, unless its end is not there.
    ///
    /// # Errors
    /// A file cannot be read, or `each` has failed: then its error.
    pub(crate) fn drain(&mut self, mut each: impl FnMut(&Piece<'_>) -> io::Result<()>) -> io::Result<()> {
        loop {
            let mut heads = [None; 2];
            for (head, stream) in heads.iter_mut().zip(&mut self.streams) {
                *head = stream.head()?;
            }
            let current = self.current.filter(|n| heads[*n].is_some_and(|head| !head.begins));
            let earliest =
                || (0..heads.len()).filter(|n| heads[*n].is_some()).min_by_key(|n| heads[*n].map(|h| h.judged));
            let Some(number) = current.or_else(earliest) else { return Ok(()) };
            let Some(head) = heads[number] else { return Ok(()) };
            let stream = &mut self.streams[number];
            stream.take(head, &mut each)?;
            self.current = stream.is_within().then_some(number);
        }
    }
}

#[cfg(test)]
mod tests;

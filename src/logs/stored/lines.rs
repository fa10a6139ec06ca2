//! One stream's collected lines, oldest first: from file to file, through rotation, while somebody writes.
//!
//! A line begins where its file of times says so, and behind a newline where that says nothing: such a line has no time of
//! its own. The collector writes a time before the bytes that it is of, so that a line that can be read has its time.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::OFlags;

use super::Spot;
use crate::files::Entry;
use crate::logs::sink::layout::{self, Time};
use crate::logs::{Stamp, Stream};

/// Read at once, in bytes.
const BLOCK: usize = 64 * 1024;

/// A piece of a line, lent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    pub(crate) stream: Stream,
    /// Whether the line begins here.
    pub(crate) begins: bool,
    /// When the line was written. `None`: it is not known.
    pub(crate) stamp: Option<Stamp>,
    /// The time by which it is judged: its own, else that of the line before it.
    pub(crate) judged: Option<Stamp>,
    pub(crate) bytes: &'a [u8],
}

/// Where the next bytes belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) begins: bool,
    stamp: Option<Stamp>,
    pub(super) judged: Option<Stamp>,
}

/// Reads one stream's files.
#[derive(Debug)]
pub(crate) struct Lines {
    place: Entry,
    stream: Stream,
    /// Nothing from here on counts.
    end: Option<Spot>,
    /// Where the next byte is.
    at: Spot,
    file: Option<File>,
    times: Times,
    buffer: Vec<u8>,
    /// How much of the buffer has been handed out.
    from: usize,
    /// So many of the next bytes are known already, and not handed out.
    skip: u64,
    /// Whether the line before has no end yet.
    within: bool,
    last: Option<Stamp>,
    /// Whether files were removed before they were read.
    missed: bool,
}

impl Lines {
    /// The lines from a place on.
    pub(crate) fn new(place: &Entry, stream: Stream, at: Spot) -> Self {
        Self {
            place: place.clone(),
            stream,
            end: None,
            at,
            file: None,
            times: Times::new(place.beside(layout::times(place.path(), at.number))),
            buffer: Vec::new(),
            from: 0,
            skip: 0,
            within: false,
            last: None,
            missed: false,
        }
    }

    /// Nothing from `end` on counts any more; `None`: everything does.
    pub(crate) fn until(&mut self, end: Option<Spot>) {
        self.end = end;
        self.buffer.clear();
        self.from = 0;
    }

    /// Goes on at another place, of which `skip` bytes are known already.
    pub(crate) fn go_to(&mut self, at: Spot, skip: u64) {
        let (end, within, last) = (self.end, self.within, self.last);
        *self = Self { end, skip, within, last, ..Self::new(&self.place, self.stream, at) };
    }

    /// How many bytes beyond `base` have been handed out.
    ///
    /// # Errors
    /// A file cannot be looked at.
    pub(crate) fn beyond(&self, base: Spot) -> io::Result<u64> {
        let mut beyond = self.at.offset;
        if self.at.number <= base.number {
            return Ok(if self.at.number == base.number { beyond.saturating_sub(base.offset) } else { 0 });
        }
        for number in base.number..self.at.number {
            let file = layout::file(self.place.path(), number);
            beyond += match self.place.hold().and_then(|held| held.length(&file)) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
                Err(error) => return Err(error),
            };
        }
        Ok(beyond.saturating_sub(base.offset))
    }

    /// Whether files were removed before they were read, since this was last asked.
    pub(crate) fn has_missed(&mut self) -> bool {
        std::mem::take(&mut self.missed)
    }

    /// What comes next. `None`: nothing, at present.
    pub(super) fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if !self.fill()? {
                return Ok(None);
            }
            let held = (self.buffer.len() - self.from) as u64;
            let known = self.skip.min(held);
            if known == 0 {
                break;
            }
            self.pass(usize::try_from(known).unwrap_or(usize::MAX));
            self.skip -= known;
        }
        let time = self.times.from(self.at.offset)?.filter(|time| time.offset == self.at.offset);
        let begins = match time {
            // A line that is longer than a file goes on in the next one, and has its time there too.
            Some(time) => !(self.within && self.at.offset == 0 && self.last == Some(time.stamp)),
            None => !self.within,
        };
        let stamp = time.map(|time| time.stamp);
        Ok(Some(Head { begins, stamp, judged: stamp.or(self.last) }))
    }

    /// Hands out the next piece of a line, at `head`.
    pub(super) fn take(&mut self, head: Head, each: impl FnOnce(&Piece<'_>) -> io::Result<()>) -> io::Result<()> {
        let held = &self.buffer[self.from..];
        let mut length = memchr::memchr(b'\n', held).map_or(held.len(), |at| at + 1);
        if let Some(next) = self.times.from(self.at.offset + 1)? {
            length = length.min(usize::try_from(next.offset - self.at.offset).unwrap_or(length));
        }
        let Head { begins, stamp, judged } = head;
        let piece = Piece { stream: self.stream, begins, stamp, judged, bytes: &self.buffer[self.from..][..length] };
        let done = each(&piece);
        self.pass(length);
        self.last = judged;
        done
    }

    /// Whether the line before has no end yet.
    pub(super) fn is_within(&self) -> bool {
        self.within
    }

    fn pass(&mut self, length: usize) {
        self.from += length;
        self.at.offset += length as u64;
        self.within = self.buffer[self.from - 1] != b'\n';
    }

    /// Sees to it that the buffer holds something. False: there is nothing.
    fn fill(&mut self) -> io::Result<bool> {
        if self.from < self.buffer.len() {
            return Ok(true);
        }
        loop {
            if self.file.is_some() && self.read()? {
                return Ok(true);
            }
            if self.end.is_some_and(|end| self.at.number >= end.number) && self.file.is_some() {
                return Ok(false);
            }
            let least = self.at.number + u32::from(self.file.is_some());
            let Some(next) = numbers(&self.place)?.into_iter().find(|number| *number >= least) else {
                return Ok(false);
            };
            if let Some(end) = self.end.filter(|end| next > end.number) {
                self.missed |= Spot { number: least, offset: 0 } < end;
                return Ok(false);
            }
            // What came to the file before the next one was begun.
            if self.file.is_some() && self.read()? {
                return Ok(true);
            }
            match open(&self.place, &layout::file(self.place.path(), next)) {
                Ok(file) => {
                    self.missed |= self.file.is_some() && next > least;
                    if next != self.at.number {
                        self.at = Spot { number: next, offset: 0 };
                    }
                    self.times = Times::new(self.place.beside(layout::times(self.place.path(), next)));
                    self.file = Some(file);
                }
                // Removed at this moment: there are newer ones.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn read(&mut self) -> io::Result<bool> {
        let Some(file) = &self.file else { return Ok(false) };
        let most = match self.end {
            Some(end) if end.number == self.at.number => end.offset.saturating_sub(self.at.offset),
            Some(end) if end.number < self.at.number => 0,
            _ => u64::MAX,
        };
        self.buffer.resize(usize::try_from(most).map_or(BLOCK, |most| most.min(BLOCK)), 0);
        self.from = 0;
        let length = read_at(file, &mut self.buffer, self.at.offset)?;
        self.buffer.truncate(length);
        Ok(length > 0)
    }
}

/// The times of one file, read as they are needed.
#[derive(Debug)]
struct Times {
    place: Entry,
    file: Option<File>,
    /// How far it is read, in bytes.
    read: u64,
    next: VecDeque<Time>,
}

impl Times {
    fn new(place: Entry) -> Self {
        Self { place, file: None, read: 0, next: VecDeque::new() }
    }

    /// The first time of an offset that is not below `least`.
    fn from(&mut self, least: u64) -> io::Result<Option<Time>> {
        loop {
            while self.next.front().is_some_and(|time| time.offset < least) {
                self.next.pop_front();
            }
            if let Some(time) = self.next.front() {
                return Ok(Some(*time));
            }
            if !self.read()? {
                return Ok(None);
            }
        }
    }

    fn read(&mut self) -> io::Result<bool> {
        if self.file.is_none() {
            match open(&self.place, self.place.path()) {
                Ok(file) => self.file = Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        let Some(file) = &self.file else { return Ok(false) };
        let mut block = [0; 256 * Time::LENGTH];
        let length = read_at(file, &mut block, self.read)?;
        let (times, _) = block[..length].as_chunks::<{ Time::LENGTH }>();
        self.next.extend(times.iter().map(|time| Time::from_bytes(*time)));
        self.read += (times.len() * Time::LENGTH) as u64;
        Ok(!times.is_empty())
    }
}

/// The numbers of a stream's files, in order.
pub(super) fn numbers(place: &Entry) -> io::Result<Vec<u32>> {
    let names = match place.hold().and_then(|held| held.names()) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let number = |name: &OsString| layout::number(place.path(), Path::new(name));
    let mut numbers: Vec<u32> = names.iter().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Opens a file of collected output, or of its times, that lies beside a place. A link in its place is refused, and a FIFO
/// is not waited for.
pub(super) fn open(place: &Entry, path: &Path) -> io::Result<File> {
    place.hold()?.open(path, OFlags::RDONLY, 0)
}

/// Reads until the buffer is full or the file ends.
pub(super) fn read_at(file: &File, buffer: &mut [u8], from: u64) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read_at(&mut buffer[length..], from + length as u64) {
            Ok(0) => break,
            Ok(n) => length += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

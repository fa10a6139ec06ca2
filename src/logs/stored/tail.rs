//! Where the last lines begin: files and their times are read from the end, no further than needed.
//!
//! Between two times there is one line. What the times do not cover, the end of a file whose times are torn, or a file
//! without any, is searched for newlines.

use std::fs::File;
use std::io;

use super::Spot;
use super::lines::{numbers, open, read_at};
use crate::files::Entry;
use crate::logs::Stamp;
use crate::logs::sink::layout::{self, Time};

/// Searched at once, in bytes.
const BLOCK: usize = 64 * 1024;
/// So many times are read at once.
const TIMES: u64 = 256;

/// Where to begin in each of the streams, so that what comes is the last `wanted` lines of those that pass. A stream is its
/// place, and where it ends if not with its last file.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn last_lines(
    streams: &[(&Entry, Option<Spot>)],
    wanted: u64,
    passes: impl Fn(Option<Stamp>) -> bool,
) -> io::Result<Vec<Spot>> {
    let mut readers = Vec::new();
    for (place, end) in streams {
        readers.push(Backward::new(place, *end)?);
    }
    let mut begins: Vec<Spot> = readers.iter().map(|reader| reader.end).collect();
    let mut heads = readers.iter_mut().map(Backward::next).collect::<io::Result<Vec<_>>>()?;
    let mut left = wanted;
    while left > 0 {
        // Of two at the same time that of the later stream comes later.
        let latest = (0..heads.len()).filter(|n| heads[*n].is_some()).max_by_key(|n| heads[*n].map(|line| line.judged));
        let Some(number) = latest else { break };
        if let Some(line) = heads[number]
            && passes(line.judged)
        {
            begins[number] = line.at;
            left -= 1;
        }
        heads[number] = readers[number].next()?;
    }
    Ok(begins)
}

/// A line's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Begin {
    at: Spot,
    /// The time by which it is judged.
    judged: Option<Stamp>,
}

/// One stream's lines, the last first.
#[derive(Debug)]
struct Backward {
    place: Entry,
    /// Where the stream ends.
    end: Spot,
    /// Files that have not been looked at, in order.
    numbers: Vec<u32>,
    file: Option<Reader>,
}

/// One file.
#[derive(Debug)]
struct Reader {
    number: u32,
    file: File,
    /// Where what has not been found yet ends.
    end: u64,
    times: Times,
    /// Whether what lies behind the last time that is left may be several lines.
    search: bool,
    /// Bytes of the file, and where they are.
    block: (u64, Vec<u8>),
}

impl Backward {
    fn new(place: &Entry, end: Option<Spot>) -> io::Result<Self> {
        let mut numbers = numbers(place)?;
        numbers.retain(|number| end.is_none_or(|end| *number <= end.number));
        let last = numbers.last().copied().unwrap_or(0);
        let mut backward = Self { place: place.clone(), end: Spot { number: last, offset: 0 }, numbers, file: None };
        if let Some(reader) = Reader::open(place, last)? {
            backward.end.offset = reader.end;
        }
        backward.end = end.unwrap_or(backward.end).min(backward.end);
        Ok(backward)
    }

    fn next(&mut self) -> io::Result<Option<Begin>> {
        loop {
            let Some(reader) = self.file.as_mut().filter(|reader| reader.end > 0) else {
                let Some(number) = self.numbers.pop() else { return Ok(None) };
                self.file = Reader::open(&self.place, number)?;
                match &mut self.file {
                    Some(reader) if number == self.end.number => reader.end = reader.end.min(self.end.offset),
                    Some(_) => {}
                    // Removed meanwhile; so are older ones.
                    None => self.numbers.clear(),
                }
                continue;
            };
            let number = reader.number;
            let (offset, time) = reader.last_line()?;
            if offset > 0 || !self.is_continued(number, time)? {
                return Ok(Some(Begin { at: Spot { number, offset }, judged: time.map(|time| time.stamp) }));
            }
        }
    }

    /// Whether a file begins within a line of the one before it.
    fn is_continued(&self, number: u32, time: Option<Time>) -> io::Result<bool> {
        let Some(before) = number.checked_sub(1).filter(|before| self.numbers.contains(before)) else {
            return Ok(false);
        };
        let Some(mut before) = Reader::open(&self.place, before)? else { return Ok(false) };
        let mut last = [b'\n'];
        if before.end > 0 {
            read_at(&before.file, &mut last, before.end - 1)?;
        }
        let same = |own: Time, last: Option<Time>| last.is_none_or(|last| last.stamp == own.stamp);
        Ok(last != [b'\n']
            && match time.filter(|time| time.offset == 0) {
                None => true,
                Some(own) => same(own, before.times.below(before.end)?),
            })
    }
}

impl Reader {
    fn open(place: &Entry, number: u32) -> io::Result<Option<Self>> {
        let file = match open(place, &layout::file(place.path(), number)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let end = file.metadata()?.len();
        let times = Times::open(&place.beside(layout::times(place.path(), number)))?;
        Ok(Some(Self { number, file, end, times, search: true, block: (0, Vec::new()) }))
    }

    /// Takes the last line off the end: where it begins, and the time by which it is judged.
    fn last_line(&mut self) -> io::Result<(u64, Option<Time>)> {
        let time = self.times.below(self.end)?;
        let floor = time.map_or(0, |time| time.offset);
        let begin = if self.search || time.is_none() { self.line_begin(floor)? } else { floor };
        // Between two times there is one line.
        self.search = begin > floor;
        self.end = begin;
        Ok((begin, time))
    }

    /// Where the last line before the end begins, not below `floor`.
    fn line_begin(&mut self, floor: u64) -> io::Result<u64> {
        // The last byte may be the line's own newline.
        let mut high = self.end - 1;
        while high > floor {
            let covered = self.block.0 < high && self.block.0 + self.block.1.len() as u64 >= high;
            if !covered {
                let low = high.saturating_sub(BLOCK as u64).max(floor);
                let mut bytes = vec![0; usize::try_from(high - low).unwrap_or(BLOCK)];
                let length = read_at(&self.file, &mut bytes, low)?;
                if length < bytes.len() {
                    // Cut at this moment.
                    return Ok(floor);
                }
                self.block = (low, bytes);
            }
            let low = self.block.0.max(floor);
            let within = |at: u64| usize::try_from(at - self.block.0).unwrap_or(usize::MAX);
            if let Some(at) = memchr::memrchr(b'\n', &self.block.1[within(low)..within(high)]) {
                return Ok(low + at as u64 + 1);
            }
            high = low;
        }
        Ok(floor)
    }
}

/// A file's times, the last first.
#[derive(Debug)]
struct Times {
    file: Option<File>,
    /// How many have not been read.
    left: u64,
    /// Those that were read, in order.
    block: Vec<Time>,
}

impl Times {
    fn open(place: &Entry) -> io::Result<Self> {
        let file = match open(place, place.path()) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let left = match &file {
            Some(file) => file.metadata()?.len() / Time::LENGTH as u64,
            None => 0,
        };
        Ok(Self { file, left, block: Vec::new() })
    }

    /// The last time of an offset below `limit`. Those above are forgotten.
    fn below(&mut self, limit: u64) -> io::Result<Option<Time>> {
        loop {
            while self.block.last().is_some_and(|time| time.offset >= limit) {
                self.block.pop();
            }
            if let Some(time) = self.block.last() {
                return Ok(Some(*time));
            }
            let Some(file) = self.file.as_ref().filter(|_| self.left > 0) else { return Ok(None) };
            let count = self.left.min(TIMES);
            self.left -= count;
            let mut bytes = [0; TIMES as usize * Time::LENGTH];
            let wanted = usize::try_from(count).unwrap_or(0) * Time::LENGTH;
            let length = read_at(file, &mut bytes[..wanted], self.left * Time::LENGTH as u64)?;
            let (times, _) = bytes[..length].as_chunks::<{ Time::LENGTH }>();
            self.block.extend(times.iter().map(|time| Time::from_bytes(*time)));
        }
    }
}

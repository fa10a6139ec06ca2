//! Files as sinks: one that grows, or one of several after the other, with each line's time beside it.
//!
//! Bytes are gathered, and written when nothing more is there at present. Only what is written counts as collected; what a
//! crash leaves beyond that is cut off again. A disk that is full is waited for.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use super::kept::Place;
use super::layout::{self, Time};
use super::outlet::{Gate, Outlet, may_pass};
use super::record::{Record, Stream};

/// Gathered at most, in bytes.
const BATCH: usize = 128 * 1024;
/// How often a disk that is full, or files that cannot be opened, are tried again.
const DISK_PAUSE: Duration = Duration::from_secs(2);

/// Where rotation begins a new file, and how many stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rotation {
    pub(crate) max_files: u32,
    pub(crate) max_file_size: u64,
}

/// One stream's files, or both streams' one file.
#[derive(Debug)]
pub(super) struct Files {
    path: PathBuf,
    /// Which streams are written.
    streams: [bool; 2],
    rotation: Option<Rotation>,
    /// What is written, flushed.
    place: Place,
    /// Bytes and times that are not written yet.
    held: Vec<u8>,
    held_times: Vec<u8>,
    open: Option<Open>,
    /// How much of the line that is coming is in this file already; 0 between two lines.
    line: u64,
    /// What the path is: cut back and measured only where it is a plain file.
    is_plain: bool,
    /// When it is worth another try, after a stall.
    again: Instant,
}

#[derive(Debug)]
struct Open {
    bytes: File,
    times: Option<File>,
}

impl Files {
    /// The files at `path`, none of them opened yet but looked at: what is there stays, and is gone on with.
    pub(super) fn new(path: &Path, streams: [bool; 2], rotation: Option<Rotation>) -> io::Result<Self> {
        let is_plain = match (rotation, path.metadata()) {
            (None, Ok(found)) if found.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            (None, Ok(found)) => found.is_file(),
            _ => true,
        };
        let mut files = Self {
            path: path.to_owned(),
            streams,
            rotation,
            place: Place::default(),
            held: Vec::new(),
            held_times: Vec::new(),
            open: None,
            line: 0,
            is_plain,
            again: Instant::now(),
        };
        if rotation.is_some() {
            files.place.number = numbers(path)?.into_iter().max().unwrap_or(0);
        }
        files.measure();
        // A directory that is not there, or not ours, is told now.
        files.open()?;
        files.open = None;
        Ok(files)
    }

    /// Whether what is written can be cut back.
    pub(super) fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Goes back to where another process had come to: what it wrote beyond that is not known to be collected, and comes again.
    /// Says how many bytes are missing that should be there.
    pub(super) fn cut_back(&mut self, to: Place) -> io::Result<u64> {
        if !self.is_plain {
            return Ok(0);
        }
        if self.rotation.is_some() {
            for number in numbers(&self.path)?.into_iter().filter(|number| *number > to.number) {
                remove(&layout::file(&self.path, number))?;
                remove(&layout::times(&self.path, number))?;
            }
        }
        self.place.number = to.number;
        self.measure();
        let missing = to.length.saturating_sub(self.place.length);
        if self.place.length > to.length {
            cut(&self.bytes_path(), to.length)?;
        }
        if self.place.times > to.times {
            cut(&layout::times(&self.path, to.number), to.times)?;
        }
        self.measure();
        Ok(missing)
    }

    /// Goes on within the line that the present file ends with, where it ends with none; says whether it does.
    pub(super) fn go_on_in_line(&mut self) -> io::Result<bool> {
        let Some(last) = self.place.length.checked_sub(1).filter(|_| self.is_plain) else { return Ok(false) };
        let mut byte = [0];
        File::open(self.bytes_path())?.read_exact_at(&mut byte, last)?;
        self.line = u64::from(byte != *b"\n");
        Ok(self.line > 0)
    }

    fn bytes_path(&self) -> PathBuf {
        match self.rotation {
            Some(_) => layout::file(&self.path, self.place.number),
            None => self.path.clone(),
        }
    }

    /// How long the present files are.
    fn measure(&mut self) {
        let length = |path: PathBuf| path.metadata().map_or(0, |found| found.size());
        self.place.length = if self.is_plain { length(self.bytes_path()) } else { 0 };
        let times = || length(layout::times(&self.path, self.place.number));
        self.place.times = if self.rotation.is_some() { times() } else { 0 };
    }

    fn open(&mut self) -> io::Result<&mut Open> {
        if self.open.is_none() {
            let mut append = OpenOptions::new();
            append.append(true).create(true).mode(0o644);
            if self.rotation.is_some() {
                // Whoever may write where these are could lay a link there, or a FIFO that nobody reads.
                append.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
            }
            let bytes = append.open(self.bytes_path())?;
            let times = match self.rotation {
                Some(_) => Some(append.open(layout::times(&self.path, self.place.number))?),
                None => None,
            };
            self.open = Some(Open { bytes, times });
        }
        // Set above.
        self.open.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Writes what is gathered. False: not all of it could be, for now.
    fn write_out(&mut self) -> io::Result<bool> {
        if self.held.is_empty() && self.held_times.is_empty() {
            return Ok(true);
        }
        let (mut held, mut times) = (std::mem::take(&mut self.held), std::mem::take(&mut self.held_times));
        let written = self.open().and_then(|open| {
            // The times first: who reads meanwhile shall not see a line without its own.
            let times = match &mut open.times {
                Some(file) => drain(file, &mut times),
                None => (times.len(), Ok(())),
            };
            let bytes = drain(&mut open.bytes, &mut held);
            bytes.1.and(times.1).map(|()| (bytes.0, times.0)).or_else(|e| match may_pass(&e) {
                true => Ok((bytes.0, times.0)),
                false => Err(e),
            })
        });
        (self.held, self.held_times) = (held, times);
        let (bytes, times) = match written {
            Ok(written) => written,
            Err(e) if may_pass(&e) => (0, 0),
            Err(e) => return Err(e),
        };
        self.place.length += bytes as u64;
        self.place.times += times as u64;
        let all = self.held.is_empty() && self.held_times.is_empty();
        if !all {
            self.again = Instant::now() + DISK_PAUSE;
        }
        Ok(all)
    }

    /// Goes on in a new file; the oldest goes.
    fn rotate(&mut self, rotation: Rotation) -> io::Result<()> {
        self.open = None;
        self.place = Place { number: self.place.number.saturating_add(1), ..Place::default() };
        self.line = 0;
        self.measure();
        let keep = rotation.max_files.max(1);
        if let Some(last) = (self.place.number + 1).checked_sub(keep).and_then(|first| first.checked_sub(1)) {
            // From the newest that is too old downwards, until there is none: a smaller `max_files` than before holds, too.
            for number in (0..=last).rev() {
                if !remove(&layout::file(&self.path, number))? {
                    break;
                }
                remove(&layout::times(&self.path, number))?;
            }
        }
        Ok(())
    }

    /// Whether these bytes are to begin a new file.
    fn is_over(&self, rotation: Rotation, bytes: &[u8]) -> bool {
        let length = self.place.length + self.held.len() as u64;
        match self.line {
            0 => length > 0 && length + bytes.len() as u64 > rotation.max_file_size,
            // A line is torn only where it alone fills a file.
            line => line >= rotation.max_file_size,
        }
    }

    /// Bytes of one line, or of a part of one.
    fn put_line(&mut self, bytes: &[u8], record: &Record<'_>) -> io::Result<bool> {
        if self.held.len() + bytes.len() > BATCH && !self.write_out()? {
            return Ok(false);
        }
        if let Some(rotation) = self.rotation
            && self.is_over(rotation, bytes)
        {
            if !self.write_out()? {
                return Ok(false);
            }
            let continued = self.line > 0;
            self.rotate(rotation)?;
            if continued {
                self.time(record);
            }
        }
        if self.rotation.is_some() && self.line == 0 {
            self.time(record);
        }
        self.held.extend_from_slice(bytes);
        self.line = if bytes.last() == Some(&b'\n') { 0 } else { self.line + bytes.len() as u64 };
        Ok(true)
    }

    fn time(&mut self, record: &Record<'_>) {
        let offset = self.place.length + self.held.len() as u64;
        self.held_times.extend_from_slice(&Time { offset, stamp: record.stamp }.to_bytes());
        // The line has begun, even where nothing of it is here yet.
        self.line = self.line.max(1);
    }
}

impl Outlet for Files {
    fn put(&mut self, record: &Record<'_>) -> io::Result<usize> {
        if !self.streams[record.stream as usize] {
            return Ok(record.bytes.len());
        }
        Ok(if self.put_line(record.bytes, record)? { record.bytes.len() } else { 0 })
    }

    fn flush(&mut self) -> io::Result<bool> {
        self.write_out()
    }

    fn place(&self) -> Place {
        self.place
    }

    fn gate(&self) -> Gate {
        Gate::Later(self.again)
    }

    fn rest(&mut self) {
        (self.open, self.held, self.held_times) = (None, Vec::new(), Vec::new());
    }
}

/// Writes bytes and takes what was written off their front: how many, and what went wrong.
fn drain(file: &mut File, bytes: &mut Vec<u8>) -> (usize, io::Result<()>) {
    let mut written = 0;
    let mut result = Ok(());
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => result = Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => written += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => result = Err(e),
        }
        if result.is_err() {
            break;
        }
    }
    if written == bytes.len() {
        bytes.clear();
    } else {
        bytes.drain(..written);
    }
    (written, result)
}

/// The numbers of the files of a stream that there are, in no order.
fn numbers(path: &Path) -> io::Result<Vec<u32>> {
    // A path without a folder lies in the present one.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        numbers.extend(layout::number(path, &entry?.path()));
    }
    Ok(numbers)
}

/// Removes a file; false: there was none.
fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

fn cut(path: &Path, length: u64) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.set_len(length)
}

/// Whether there is a FIFO at a path.
pub(super) fn is_fifo(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.file_type().is_fifo())
}

/// Whether a path is the null device: nothing is to be collected for it.
pub(super) fn is_null(path: &Path) -> bool {
    path == Path::new("/dev/null")
}

/// The hidden cursor of one file or of several.
pub(super) fn cursor_path(path: &Path) -> PathBuf {
    layout::cursor(path)
}

const _: () = assert!(Stream::Stdout as usize == 0 && Stream::Stderr as usize == 1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::record::Stamp;
    use crate::logs::testing::Folder;

    fn put(files: &mut Files, lines: &[(i64, &str)]) {
        for (nanos, text) in lines {
            let record = Record {
                stream: Stream::Stdout,
                stamp: Stamp::from_nanos(*nanos),
                bytes: text.as_bytes(),
                continues: false,
            };
            assert_eq!(files.put(&record).unwrap(), text.len());
        }
        assert!(files.flush().unwrap());
    }

    fn listed(folder: &Folder) -> Vec<(String, String)> {
        let mut found: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| !path.file_name().unwrap().to_str().unwrap().starts_with('.'))
            .map(|path| {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                (name, fs::read_to_string(path).unwrap())
            })
            .collect();
        found.sort();
        found
    }

    fn times(folder: &Folder, number: u32) -> Vec<(u64, i64)> {
        let bytes = fs::read(layout::times(&folder.path().join("t.stdout"), number)).unwrap();
        let (times, rest) = bytes.as_chunks::<{ Time::LENGTH }>();
        assert!(rest.is_empty());
        times.iter().map(|time| Time::from_bytes(*time)).map(|time| (time.offset, time.stamp.as_nanos())).collect()
    }

    fn rotating(folder: &Folder, max_files: u32, max_file_size: u64) -> Files {
        let rotation = Some(Rotation { max_files, max_file_size });
        Files::new(&folder.path().join("t.stdout"), [true, false], rotation).unwrap()
    }

    fn named(names: &[(&str, &str)]) -> Vec<(String, String)> {
        names.iter().map(|(name, text)| (format!("t.stdout.{name}"), (*text).to_owned())).collect()
    }

    #[test]
    fn no_line_is_torn_but_one_longer_than_a_file() {
        let folder = Folder::new();
        let mut files = rotating(&folder, 3, 10);
        put(&mut files, &[(1, "aaaa\n"), (2, "bbbb\n"), (3, "c\n"), (4, "dddddddd\n")]);
        assert_eq!(listed(&folder), named(&[("0", "aaaa\nbbbb\n"), ("1", "c\n"), ("2", "dddddddd\n")]));
        assert_eq!((times(&folder, 0), times(&folder, 2)), (vec![(0, 1), (5, 2)], vec![(0, 4)]));
        // In pieces, as they come: the line stays whole, and the file is longer for it.
        put(&mut files, &[(5, "ee"), (5, "eeeeee"), (5, "ee\n"), (6, "f\n")]);
        assert_eq!(
            listed(&folder),
            named(&[("2", "dddddddd\n"), ("3", "eeeeeeeeee\n"), ("4", "f\n")]),
            "the oldest go"
        );
        assert_eq!(times(&folder, 3), [(0, 5)]);
        // Longer than a file.
        put(&mut files, &[(7, "gggggggggg"), (7, "gggggggggg"), (7, "g\n"), (8, "h\n")]);
        let want = named(&[("5", "gggggggggg"), ("6", "gggggggggg"), ("7", "g\nh\n")]);
        assert_eq!(listed(&folder), want);
        assert_eq!((times(&folder, 6), times(&folder, 7)), (vec![(0, 7)], vec![(0, 7), (2, 8)]));
        assert!(!layout::times(&folder.path().join("t.stdout"), 4).exists());
    }

    #[test]
    fn a_crash_is_cut_back() {
        let folder = Folder::new();
        let mut files = rotating(&folder, 9, 10);
        put(&mut files, &[(1, "aaaa\n")]);
        let kept = files.place();
        put(&mut files, &[(2, "bbb\n"), (3, "cccc\n"), (4, "dddddd\n")]);
        assert_eq!(files.place().number, 2);
        let mut again = rotating(&folder, 9, 10);
        assert_eq!(again.place(), files.place(), "as it was left");
        assert_eq!(again.cut_back(kept).unwrap(), 0);
        assert_eq!(listed(&folder), named(&[("0", "aaaa\n")]));
        put(&mut again, &[(2, "bbb\n")]);
        assert_eq!((listed(&folder), times(&folder, 0)), (named(&[("0", "aaaa\nbbb\n")]), vec![(0, 1), (5, 2)]));
        fs::write(folder.path().join("t.stdout.0"), "aa").unwrap();
        assert_eq!(rotating(&folder, 9, 10).cut_back(kept).unwrap(), 3, "what the machine lost is told");
    }

    #[test]
    fn a_disk_that_is_full_is_waited_for() {
        let folder = Folder::new();
        let path = folder.path().join("out");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let mut files = Files::new(&path, [true, true], None).unwrap();
        let record = Record { stream: Stream::Stdout, stamp: Stamp::from_nanos(1), bytes: b"line\n", continues: false };
        assert_eq!(files.put(&record).unwrap(), 5);
        assert!(!files.flush().unwrap());
        assert!(!files.gate().is_open(), "not at once");
        // The gate is asked for anew each time, and comes nearer all the same.
        files.again = Instant::now();
        assert!(files.gate().is_open());
        fs::remove_file(&path).unwrap();
        files.open = None;
        assert!(files.flush().unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "line\n");
    }

    #[test]
    fn links_fifos_and_odd_numbers_among_the_files() {
        let folder = Folder::new();
        let (first, elsewhere) = (folder.path().join("t.stdout.0"), folder.path().join("elsewhere"));
        fs::write(&elsewhere, "").unwrap();
        std::os::unix::fs::symlink(&elsewhere, &first).unwrap();
        let rotation = Some(Rotation { max_files: 2, max_file_size: 10 });
        let path = folder.path().join("t.stdout");
        assert!(Files::new(&path, [true, false], rotation).is_err(), "a link is not followed");
        fs::remove_file(&first).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &first, rustix::fs::Mode::RWXU).unwrap();
        assert!(Files::new(&path, [true, false], rotation).is_err(), "a FIFO is not waited for");
        fs::remove_file(&first).unwrap();
        // Far more numbers than files.
        fs::write(folder.path().join("t.stdout.4294967295"), "").unwrap();
        let mut files = Files::new(&path, [true, false], rotation).unwrap();
        files.cut_back(Place::default()).unwrap();
        put(&mut files, &[(1, "a\n")]);
        assert_eq!(listed(&folder), [("elsewhere".into(), String::new()), ("t.stdout.0".into(), "a\n".into())]);
    }

    #[test]
    fn one_file_of_both_streams() {
        let folder = Folder::new();
        let path = folder.path().join("both");
        fs::write(&path, "before\n").unwrap();
        let mut files = Files::new(&path, [true, true], None).unwrap();
        let kept = files.place();
        put(&mut files, &[(1, "a\n")]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "before\na\n");
        assert_eq!(files.cut_back(kept).unwrap(), 0);
        assert_eq!(fs::read_to_string(&path).unwrap(), "before\n");
        assert!(Files::new(&folder.path().join("no/such"), [true, true], None).is_err());
        assert!(Files::new(folder.path(), [true, true], None).is_err());
    }
}

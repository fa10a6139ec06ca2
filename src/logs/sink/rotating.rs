//! Files as sinks: one that grows, or one of several after the other, with each line's time beside it.
//!
//! Bytes are gathered, and written when nothing more is there at present. Only what is written counts as collected; what a
//! crash leaves beyond that is cut off again. A disk that is full is waited for. Files in turn lie in a directory whose way
//! others may change: each is opened, measured and removed by that directory's descriptor (`files::folder`), and it is
//! held between two bursts only of a busy stream, and where descriptors are plenty. One file alone is where its user says, through links and to devices.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use crate::files::{Entry, Held};
use crate::limits;
use crate::logs::checkpoint::file::Place;
use crate::logs::record::{Record, Stream};
use crate::logs::sink::backend::{Gate, SinkBackend, may_pass};
use crate::logs::sink::layout::{self, Time};

/// Gathered at most, in bytes.
const BATCH: usize = 128 * 1024;
/// Whoever may pass the directory may read.
const MODE: u32 = 0o644;
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
pub(in crate::logs) struct Files {
    at: Entry,
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
    /// The files at a place, none of them opened yet but looked at: what is there stays, and is gone on with.
    pub(in crate::logs) fn new(at: &Entry, streams: [bool; 2], rotation: Option<Rotation>) -> io::Result<Self> {
        let is_plain = match (rotation, at.path().metadata()) {
            (None, Ok(found)) if found.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            (None, Ok(found)) => found.is_file(),
            _ => true,
        };
        let mut files = Self {
            at: at.clone(),
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
            files.place.number = numbers(at.path(), &at.hold()?)?.into_iter().max().unwrap_or(0);
        }
        files.measure()?;
        // A directory that is not there, or not ours, is told now.
        files.open()?;
        files.open = None;
        Ok(files)
    }

    /// Whether what is written can be cut back.
    pub(in crate::logs) fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Goes back to where another process had come to: what it wrote beyond that is not known to be collected, and comes again.
    /// Says how many bytes are missing that should be there.
    pub(in crate::logs) fn cut_back(&mut self, to: Place) -> io::Result<u64> {
        if !self.is_plain {
            return Ok(0);
        }
        let path = self.at.path();
        if self.rotation.is_some() {
            let held = self.at.hold()?;
            for number in numbers(path, &held)?.into_iter().filter(|number| *number > to.number) {
                held.remove(&layout::file(path, number))?;
                held.remove(&layout::times(path, number))?;
            }
        }
        self.place.number = to.number;
        self.measure()?;
        let missing = to.length.saturating_sub(self.place.length);
        if self.place.length > to.length {
            self.bytes(OFlags::WRONLY)?.set_len(to.length)?;
        }
        if self.place.times > to.times {
            let times = layout::times(self.at.path(), to.number);
            self.at.hold()?.open(&times, OFlags::WRONLY, 0)?.set_len(to.times)?;
        }
        self.measure()?;
        Ok(missing)
    }

    /// Goes on within the line that the present file ends with, where it ends with none; says whether it does.
    pub(in crate::logs) fn go_on_in_line(&mut self) -> io::Result<bool> {
        let Some(last) = self.place.length.checked_sub(1).filter(|_| self.is_plain) else { return Ok(false) };
        let mut byte = [0];
        self.bytes(OFlags::RDONLY)?.read_exact_at(&mut byte, last)?;
        self.line = u64::from(byte != *b"\n");
        Ok(self.line > 0)
    }

    /// Opens the present file, which is there.
    fn bytes(&self, access: OFlags) -> io::Result<File> {
        match self.rotation {
            Some(_) => self.at.hold()?.open(&layout::file(self.at.path(), self.place.number), access, 0),
            None => {
                let mut options = OpenOptions::new();
                options.read(access == OFlags::RDONLY).write(access == OFlags::WRONLY).open(self.at.path())
            }
        }
    }

    /// How long the present files are.
    fn measure(&mut self) -> io::Result<()> {
        let (path, number) = (self.at.path(), self.place.number);
        if self.rotation.is_some() {
            let held = self.at.hold()?;
            self.place.length = held.length(&layout::file(path, number))?;
            self.place.times = held.length(&layout::times(path, number))?;
        } else {
            self.place.length = if self.is_plain { path.metadata().map_or(0, |found| found.size()) } else { 0 };
            self.place.times = 0;
        }
        Ok(())
    }

    fn open(&mut self) -> io::Result<&mut Open> {
        if self.open.is_none() {
            self.open = Some(match self.rotation {
                Some(_) => {
                    let (path, number) = (self.at.path(), self.place.number);
                    let (held, append) = (self.at.hold()?, OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE);
                    let bytes = held.open(&layout::file(path, number), append, MODE)?;
                    Open { bytes, times: Some(held.open(&layout::times(path, number), append, MODE)?) }
                }
                None => {
                    let mut append = OpenOptions::new();
                    let bytes = append.append(true).create(true).mode(MODE).open(self.at.path())?;
                    Open { bytes, times: None }
                }
            });
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
            self.release();
            self.again = Instant::now() + DISK_PAUSE;
        }
        Ok(all)
    }

    /// Goes on in a new file; the oldest goes.
    fn rotate(&mut self, rotation: Rotation) -> io::Result<()> {
        self.open = None;
        let held = self.at.hold()?;
        self.place = Place { number: self.place.number.saturating_add(1), ..Place::default() };
        self.line = 0;
        self.measure()?;
        let path = self.at.path();
        let keep = rotation.max_files.max(1);
        if let Some(last) = (self.place.number + 1).checked_sub(keep).and_then(|first| first.checked_sub(1)) {
            // From the newest that is too old downwards, until there is none: a smaller `max_files` than before holds, too.
            for number in (0..=last).rev() {
                if !held.remove(&layout::file(path, number))? {
                    break;
                }
                held.remove(&layout::times(path, number))?;
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

impl SinkBackend for Files {
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

    fn takes_from_others(&self) -> bool {
        self.open.as_ref().is_some_and(|open| !limits::are_plenty(&open.bytes))
    }

    fn release(&mut self) {
        // What is no file may be other after it is opened again.
        if self.is_plain {
            self.open = None;
        }
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
fn numbers(path: &Path, held: &Held) -> io::Result<Vec<u32>> {
    Ok(held.names()?.iter().filter_map(|name| layout::number(path, Path::new(name))).collect())
}

/// Whether there is a FIFO at a path.
pub(in crate::logs) fn is_fifo(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.file_type().is_fifo())
}

/// Whether a path is the null device: nothing is to be collected for it.
pub(in crate::logs) fn is_null(path: &Path) -> bool {
    path == Path::new("/dev/null")
}

/// The hidden cursor of one file or of several.
pub(in crate::logs) fn cursor(at: &Entry) -> Entry {
    at.beside(layout::cursor(at.path()))
}

const _: () = assert!(Stream::Stdout as usize == 0 && Stream::Stderr as usize == 1);

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::logs::record::Stamp;
    use crate::logs::testing::Folder;

    fn at(path: &Path, streams: [bool; 2], rotation: Option<Rotation>) -> io::Result<Files> {
        Files::new(&Entry::new(path, None), streams, rotation)
    }

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
        at(&folder.path().join("t.stdout"), [true, false], rotation).unwrap()
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
        let mut files = at(&path, [true, true], None).unwrap();
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
        assert!(at(&path, [true, false], rotation).is_err(), "a link is not followed");
        fs::remove_file(&first).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &first, rustix::fs::Mode::RWXU).unwrap();
        assert!(at(&path, [true, false], rotation).is_err(), "a FIFO is not waited for");
        fs::remove_file(&first).unwrap();
        // Far more numbers than files.
        fs::write(folder.path().join("t.stdout.4294967295"), "").unwrap();
        let mut files = at(&path, [true, false], rotation).unwrap();
        files.cut_back(Place::default()).unwrap();
        put(&mut files, &[(1, "a\n")]);
        assert_eq!(listed(&folder), [("elsewhere".into(), String::new()), ("t.stdout.0".into(), "a\n".into())]);
    }

    #[test]
    fn a_directory_that_was_swapped_for_a_link_is_not_followed() {
        let folder = Folder::new();
        let (alloc, logs) = (folder.path().join("a1"), folder.path().join("a1/alloc/logs"));
        let victim = folder.path().join("victim");
        fs::create_dir_all(&logs).unwrap();
        fs::create_dir(&victim).unwrap();
        for name in ["t.stdout.0", ".t.stdout.0.times", "t.stdout.1", "t.stdout.7"] {
            fs::write(victim.join(name), "precious\n").unwrap();
        }
        let entry = || Entry::new(&logs.join("t.stdout"), Some(&alloc));
        let rotation = Some(Rotation { max_files: 1, max_file_size: 4 });
        let mut files = Files::new(&entry(), [true, false], rotation).unwrap();
        put(&mut files, &[(1, "a\n")]);
        files.release();
        assert!(files.open.is_none(), "nothing is held between two bursts");
        fs::rename(&logs, alloc.join("alloc/away")).unwrap();
        std::os::unix::fs::symlink(&victim, &logs).unwrap();
        let line = |text| Record { stream: Stream::Stdout, stamp: Stamp::from_nanos(2), bytes: text, continues: false };
        // It writes, rotates, removes and cuts back: all of it elsewhere, were the link followed.
        let wrote = files.put(&line(b"bbbb\n")).and_then(|_| files.flush());
        assert!(wrote.is_err(), "{wrote:?}");
        assert!(files.cut_back(Place::default()).is_err());
        assert!(Files::new(&entry(), [true, false], rotation).is_err());
        for name in ["t.stdout.0", ".t.stdout.0.times", "t.stdout.1", "t.stdout.7"] {
            assert_eq!(fs::read_to_string(victim.join(name)).unwrap(), "precious\n", "{name}");
        }
        assert_eq!(fs::read_dir(&victim).unwrap().count(), 4);
    }

    #[test]
    fn one_file_of_both_streams() {
        let folder = Folder::new();
        let path = folder.path().join("both");
        fs::write(&path, "before\n").unwrap();
        let mut files = at(&path, [true, true], None).unwrap();
        let kept = files.place();
        put(&mut files, &[(1, "a\n")]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "before\na\n");
        assert_eq!(files.cut_back(kept).unwrap(), 0);
        assert_eq!(fs::read_to_string(&path).unwrap(), "before\n");
        assert!(at(&folder.path().join("no/such"), [true, true], None).is_err());
        assert!(at(folder.path(), [true, true], None).is_err());
    }
}

//! How far a stream is collected, on disk beside the sink: what lets another process go on where this one was killed.
//!
//! Two slots of a fixed length, written in turn and each with a digest, so that a write that is cut short leaves the one
//! before it. Nothing is synced to the disk: it outlives our process, not the machine.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::OFlags;

use crate::files::Entry;
use crate::limits;
use crate::logs::checkpoint::hash::{Digest, LOOKED_AT};
use crate::logs::checkpoint::tracker::Reached;
use crate::logs::record::Stamp;

const MAGIC: &[u8; 8] = b"lscursr3";
/// The longest container id that is kept, in bytes: Docker's and podman's have 64.
const LONGEST_ID: usize = 64;
/// What it holds of a stream, in bytes.
const STREAM: usize = 5 * 8;
/// What a slot holds, in bytes: magic, number of the write, container, two streams, the sink's place, digest.
const LENGTH: usize = 8 + 8 + LONGEST_ID + 2 * STREAM + 24 + 8;
const _: () = assert!(LENGTH <= LOOKED_AT, "all of it is digested");
/// Where the second slot begins.
const SLOT: u64 = 256;

/// Where a sink is, beside the streams themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// The number of the file that is written.
    pub(crate) number: u32,
    /// Its length, in bytes.
    pub(crate) length: u64,
    /// The length of its file of times, in bytes.
    pub(crate) times: u64,
}

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The container whose output it is.
    pub(crate) container: String,
    /// How far its streams are collected.
    pub(crate) reached: [Reached; 2],
    /// Per stream whether that is within a line.
    pub(crate) within_line: [bool; 2],
    /// Where the sink was then.
    pub(crate) place: Place,
}

/// A cursor's file.
#[derive(Debug)]
pub(in crate::logs) struct CheckpointFile {
    at: Entry,
    container: String,
    /// How often it was written.
    writes: u64,
    file: Option<File>,
    /// Whether what was kept cannot be made out any more.
    pub(in crate::logs) is_damaged: bool,
}

impl CheckpointFile {
    /// The file at a place, for a container: what was kept last in it, of whichever container.
    ///
    /// # Errors
    /// It cannot be read, or holds something else.
    pub(in crate::logs) fn open(at: &Entry, container: &str) -> io::Result<(Self, Option<Kept>)> {
        let slots = read_slots(at)?;
        let is_damaged = matches!(slots, Slots::Damaged);
        let found = slots.newest();
        let writes = found.as_ref().map_or(0, |(writes, _)| writes + 1);
        let file = Self { at: at.clone(), container: container.to_owned(), writes, file: None, is_damaged };
        Ok((file, found.map(|(_, kept)| kept)))
    }

    /// Keeps how far it is.
    pub(in crate::logs) fn write(
        &mut self,
        reached: [Reached; 2],
        within_line: [bool; 2],
        place: Place,
    ) -> io::Result<()> {
        let slot = encode(self.writes, &self.container, reached, within_line, place)?;
        if self.file.is_none() {
            self.file = Some(self.at.open(OFlags::WRONLY | OFlags::CREATE, 0o600)?);
        }
        if let Some(file) = &self.file {
            file.write_all_at(&slot, (self.writes % 2) * SLOT)?;
        }
        self.writes += 1;
        Ok(())
    }

    /// Whether it holds a descriptor that others may need more than it does.
    pub(in crate::logs) fn takes_from_others(&self) -> bool {
        self.file.as_ref().is_some_and(|file| !limits::are_plenty(file))
    }

    /// Lets go of the descriptor until the next write.
    pub(in crate::logs) fn close(&mut self) {
        self.file = None;
    }
}

/// What is kept in a file; `None`: there is no file yet, or it is damaged.
///
/// # Errors
/// It cannot be read, or holds something else.
#[cfg(any(feature = "cli", test))]
pub(crate) fn read(at: &Entry) -> io::Result<Option<Kept>> {
    Ok(read_slots(at)?.newest().map(|(_, kept)| kept))
}

/// What a cursor's file holds.
enum Slots {
    /// Nothing yet.
    Empty,
    /// Nothing that can be made out: the machine died while it was written.
    Damaged,
    /// The number of the newest write, and what it kept.
    Newest(u64, Kept),
}

impl Slots {
    fn newest(self) -> Option<(u64, Kept)> {
        match self {
            Self::Newest(writes, kept) => Some((writes, kept)),
            Self::Empty | Self::Damaged => None,
        }
    }
}

fn read_slots(at: &Entry) -> io::Result<Slots> {
    let file = match at.open(OFlags::RDONLY, 0) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Slots::Empty),
        Err(e) => return Err(e),
    };
    let mut newest: Option<(u64, Kept)> = None;
    let (mut is_empty, mut is_foreign) = (true, true);
    for at in [0, SLOT] {
        let mut slot = [0; LENGTH];
        match file.read_exact_at(&mut slot, at) {
            Ok(()) => is_empty = false,
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => continue,
            Err(e) => return Err(e),
        }
        is_foreign &= slot[..8] != *MAGIC && slot != [0; LENGTH];
        if let Some(found) = decode(&slot)
            && newest.as_ref().is_none_or(|(writes, _)| *writes < found.0)
        {
            newest = Some(found);
        }
    }
    match newest {
        Some((writes, kept)) => Ok(Slots::Newest(writes, kept)),
        None if is_empty => Ok(Slots::Empty),
        None if is_foreign => Err(io::Error::new(io::ErrorKind::InvalidData, "it is no cursor of collected output")),
        None => Ok(Slots::Damaged),
    }
}

fn encode(
    writes: u64,
    container: &str,
    reached: [Reached; 2],
    within_line: [bool; 2],
    place: Place,
) -> io::Result<[u8; LENGTH]> {
    let mut slot = [0; LENGTH];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        slot[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    let mut id = [0; LONGEST_ID];
    id.get_mut(..container.len())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the container's id is too long for a cursor"))?
        .copy_from_slice(container.as_bytes());
    put(MAGIC);
    put(&writes.to_le_bytes());
    put(&id);
    for (Reached { last, taken, open, ahead }, within_line) in reached.into_iter().zip(within_line) {
        put(&nanos(last).to_le_bytes());
        put(&taken.to_le_bytes());
        put(&open.unwrap_or(u64::MAX).to_le_bytes());
        put(&nanos(ahead).to_le_bytes());
        put(&u64::from(within_line).to_le_bytes());
    }
    put(&u64::from(place.number).to_le_bytes());
    put(&place.length.to_le_bytes());
    put(&place.times.to_le_bytes());
    let digest = Digest::of(&slot[..LENGTH - 8]);
    slot[LENGTH - 8..].copy_from_slice(&digest.to_le_bytes());
    Ok(slot)
}

/// A stamp; none has the value that stands for none: a record of that time cannot be.
fn nanos(stamp: Option<Stamp>) -> i64 {
    stamp.map_or(i64::MIN, Stamp::as_nanos)
}

fn decode(slot: &[u8; LENGTH]) -> Option<(u64, Kept)> {
    let word = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&slot[at..at + 8]);
        u64::from_le_bytes(word)
    };
    if slot[..8] != *MAGIC || word(LENGTH - 8) != Digest::of(&slot[..LENGTH - 8]) {
        return None;
    }
    let id = &slot[16..16 + LONGEST_ID];
    let id_end = id.iter().position(|&b| b == 0).unwrap_or(LONGEST_ID);
    let stamp = |at: usize| Some(word(at).cast_signed()).filter(|n| *n != nanos(None)).map(Stamp::from_nanos);
    let stream = |at: usize| Reached {
        last: stamp(at),
        taken: word(at + 8),
        open: Some(word(at + 16)).filter(|open| *open != u64::MAX),
        ahead: stamp(at + 24),
    };
    let is_within_line = |at: usize| word(at + 32) == 1;
    let (out, err) = (16 + LONGEST_ID, 16 + LONGEST_ID + STREAM);
    let end = err + STREAM;
    let kept = Kept {
        container: String::from_utf8(id[..id_end].to_vec()).ok()?,
        reached: [stream(out), stream(err)],
        within_line: [is_within_line(out), is_within_line(err)],
        place: Place { number: u32::try_from(word(end)).ok()?, length: word(end + 8), times: word(end + 16) },
    };
    Some((word(8), kept))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::testing::Folder;

    fn reached(nanos: i64) -> [Reached; 2] {
        let out = Reached {
            last: Some(Stamp::from_nanos(nanos)),
            taken: 7,
            open: Some(3),
            ahead: Some(Stamp::from_nanos(nanos + 1)),
        };
        [out, Reached::default()]
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = Folder::new();
        let path = Entry::new(&folder.path().join(".t.cursor"), None);
        assert_eq!(read(&path).unwrap(), None);
        let id = "a".repeat(64);
        let (mut file, found) = CheckpointFile::open(&path, &id).unwrap();
        assert_eq!(found, None);
        for n in 1..=5 {
            let place = Place { number: 2, length: n, times: 16 };
            file.write(reached(n.cast_signed()), [true, false], place).unwrap();
            if n % 2 == 0 {
                file.close();
            }
            let want =
                Kept { container: id.clone(), reached: reached(n.cast_signed()), within_line: [true, false], place };
            assert_eq!(read(&path).unwrap(), Some(want), "write {n}");
        }
        let (mut again, found) = CheckpointFile::open(&path, "b").unwrap();
        assert_eq!(found.unwrap().place.length, 5, "another container's, too");
        again.write(reached(9), [false; 2], Place::default()).unwrap();
        assert_eq!(read(&path).unwrap().unwrap().container, "b", "the newest wins, whoever wrote it");
        assert!(
            CheckpointFile::open(&path, &"c".repeat(65))
                .unwrap()
                .0
                .write(reached(1), [false; 2], Place::default())
                .is_err()
        );
    }

    #[test]
    fn a_write_that_was_cut_leaves_the_one_before() {
        let folder = Folder::new();
        let path = Entry::new(&folder.path().join(".t.cursor"), None);
        let (mut file, _) = CheckpointFile::open(&path, "c").unwrap();
        file.write(reached(1), [false; 2], Place::default()).unwrap();
        file.write(reached(2), [false; 2], Place::default()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for at in [SLOT as usize, SLOT as usize + LENGTH - 1] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, &damaged).unwrap();
            assert_eq!(read(&path).unwrap().unwrap().reached, reached(1), "byte {at} of the newer one");
        }
        let mut damaged = whole;
        (damaged[LENGTH - 1], damaged[SLOT as usize + LENGTH - 1]) = (0, 0);
        // Nothing is synced: a machine that dies may leave what was not written as zeros.
        for damaged in [damaged, vec![0; 600]] {
            std::fs::write(&path, damaged).unwrap();
            let (mut file, found) = CheckpointFile::open(&path, "c").unwrap();
            assert_eq!((found, file.is_damaged), (None, true));
            file.write(reached(3), [false; 2], Place::default()).unwrap();
            assert_eq!(read(&path).unwrap().unwrap().reached, reached(3), "it is gone on with");
        }
        std::fs::write(&path, [7; 600]).unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
        std::fs::write(&path, b"").unwrap();
        assert_eq!(read(&path).unwrap(), None, "made, and not written yet");
    }

    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting() {
        let folder = Folder::new();
        let fifo = folder.path().join(".t.cursor");
        let at = Entry::new(&fifo, None);
        let (mut file, _) = CheckpointFile::open(&at, "c").unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
        for at in [at, Entry::new(std::path::Path::new("/dev/zero"), None)] {
            assert_eq!(read(&at).unwrap_err().kind(), io::ErrorKind::InvalidInput);
            assert_eq!(CheckpointFile::open(&at, "c").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
        assert!(file.write(reached(1), [false; 2], Place::default()).is_err());
    }
}

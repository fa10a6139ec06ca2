//! The events of an allocation, read by who does not own it: the last ones, or those that come. The owner writes whole
//! lines and never waits for a reader; a file that is full is renamed, and a new one begun (`journal.rs`).

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::OFlags;
use serde_json::Value;

use crate::files::{self, Entry};
use crate::runner::journal::writer::{LONGEST, file, rotated};

/// The last events of a task, oldest first, at most `most`. What cannot be read is left out.
pub fn last_events(alloc_dir: &Path, task: &str, most: usize) -> Vec<Value> {
    let file = file(alloc_dir);
    let mut events = Vec::new();
    for at in [file.beside(rotated(file.path())), file] {
        let Ok(text) = at.open(OFlags::RDONLY, 0).and_then(|file| files::read_at_most(file, LONGEST)) else { continue };
        let lines = text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        events.extend(lines.filter(|event| event["task_name"] == task));
    }
    events.split_off(events.len().saturating_sub(most))
}

/// Reads the events of an allocation as they come.
#[derive(Debug)]
pub struct Follower {
    at: Entry,
    file: Option<File>,
    /// A line that has no end yet.
    rest: Vec<u8>,
}

impl Follower {
    /// The events from their first on.
    pub fn from_start(alloc_dir: &Path) -> Self {
        Self { at: file(alloc_dir), file: None, rest: Vec::new() }
    }

    /// The events from now on.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn from_now(alloc_dir: &Path) -> io::Result<Self> {
        let mut follower = Self::from_start(alloc_dir);
        follower.file = open(&follower.at)?;
        if let Some(file) = &mut follower.file {
            file.seek(SeekFrom::End(0))?;
        }
        Ok(follower)
    }

    /// The lines that have come since the last call, without their ends. Does not wait. Of events that come faster than a
    /// whole file between two calls, some are missed.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn lines(&mut self) -> io::Result<Vec<String>> {
        let newest = open(&self.at)?;
        let mut bytes = std::mem::take(&mut self.rest);
        if let Some(file) = &mut self.file {
            // Nothing is written to it once another has its name.
            bytes.append(&mut files::read_at_most(file, LONGEST)?);
        }
        let same = match (&self.file, &newest) {
            (Some(held), Some(newest)) => identity(held)? == identity(newest)?,
            (_, None) => true,
            (None, Some(_)) => false,
        };
        if !same && let Some(mut file) = newest {
            bytes.append(&mut files::read_at_most(&mut file, LONGEST)?);
            self.file = Some(file);
        }
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.rest = bytes.split_off(whole);
        if self.rest.len() as u64 > LONGEST {
            self.rest.clear();
            return Err(files::too_large(LONGEST));
        }
        Ok(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect())
    }
}

fn open(at: &Entry) -> io::Result<Option<File>> {
    match at.open(OFlags::RDONLY, 0) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn identity(file: &File) -> io::Result<(u64, u64)> {
    let metadata = file.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::testing::Scratch;
    use std::fs;
    use std::io::Write;

    fn append(path: &Path, text: &str) {
        File::options().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn what_comes_and_nothing_twice() {
        let scratch = Scratch::new("news");
        let path = file(scratch.path()).path().to_owned();
        let mut early = Follower::from_now(scratch.path()).unwrap();
        assert!(early.lines().unwrap().is_empty(), "there is no file yet");
        append(&path, "1\n2\n");
        assert_eq!(early.lines().unwrap(), ["1", "2"], "one that began later than we is read whole");
        let mut late = Follower::from_now(scratch.path()).unwrap();
        let mut whole = Follower::from_start(scratch.path());
        append(&path, "3\n4");
        assert_eq!(early.lines().unwrap(), ["3"], "half a line waits for its end");
        append(&path, "\n");
        assert_eq!(early.lines().unwrap(), ["4"]);
        append(&path, "5\n");
        fs::rename(&path, rotated(&path)).unwrap();
        append(&path, "6\n");
        assert_eq!(early.lines().unwrap(), ["5", "6"], "over a rotation");
        assert_eq!(late.lines().unwrap(), ["3", "4", "5", "6"]);
        assert_eq!(whole.lines().unwrap(), ["6"], "the file before is not this one's");
        assert!(early.lines().unwrap().is_empty());
    }

    #[test]
    fn what_is_no_journal_is_not_waited_for() {
        let scratch = Scratch::new("news-odd");
        let path = file(scratch.path());
        append(path.path(), "1\n");
        let mut early = Follower::from_now(scratch.path()).unwrap();
        append(path.path(), "2");
        File::options().write(true).open(&path).unwrap().set_len(LONGEST + 10).unwrap();
        assert_eq!(early.lines().unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert!(last_events(scratch.path(), "a", 3).is_empty());
        scratch.lay_fifo(path.path());
        assert!(Follower::from_now(scratch.path()).is_err());
        assert!(Follower::from_start(scratch.path()).lines().is_err());
        assert!(last_events(scratch.path(), "a", 3).is_empty());
    }

    #[test]
    fn the_last_ones_of_a_task() {
        let scratch = Scratch::new("news-last");
        let path = file(scratch.path()).path().to_owned();
        assert!(last_events(scratch.path(), "a", 3).is_empty());
        let line = |task: &str, n: u32| format!("{{\"task_name\":\"{task}\",\"n\":{n}}}\n");
        append(&rotated(&path), &(line("a", 1) + &line("a", 2)));
        append(&path, &(line("b", 3) + "no JSON\n" + &line("a", 4) + &line("a", 5) + "{\"task_na"));
        let numbers = |most| -> Vec<_> {
            last_events(scratch.path(), "a", most).iter().map(|event| event["n"].as_u64().unwrap()).collect()
        };
        assert_eq!((numbers(3), numbers(9)), (vec![2, 4, 5], vec![1, 2, 4, 5]));
    }
}

//! A subscription: one sink of a container's output, with its checkpoint.
//!
//! Each subscription of a container advances by itself. A sink that takes nothing stays at its checkpoint, and is offered the
//! records that it has not taken when it is ready again.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::files::Entry;
use crate::logs::checkpoint::file::{CheckpointFile, Kept};
#[cfg(any(test, feature = "cli"))]
use crate::logs::checkpoint::tracker::Reached;
use crate::logs::checkpoint::tracker::Tracker;
#[cfg(any(test, feature = "cli"))]
use crate::logs::record::Stream;
use crate::logs::record::{Part, Record, Stamp};
use crate::logs::sink::backend::{Gate, SinkBackend, may_pass};
use crate::logs::sink::fifo::Fifo;
use crate::logs::sink::rotating::{self, Files, Rotation};
use crate::logs::sink::{Live, Sink};

/// What is written more rarely than this lets go of its buffers in between.
const BUSY: Duration = Duration::from_secs(1);

/// A place for output, as a task names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// One file, for one stream or both.
    File { path: &'a Path, streams: [bool; 2] },
    /// Files in turn.
    Rotating { path: &'a Path, streams: [bool; 2], rotation: Rotation },
    /// A FIFO.
    Fifo { path: &'a Path, streams: [bool; 2] },
}

impl Target<'_> {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::File { path, .. } | Self::Rotating { path, .. } | Self::Fifo { path, .. } => path,
        }
    }
}

/// Somewhere for output to go, and how far it has got there.
pub(crate) struct Subscription<'a> {
    backend: Box<dyn SinkBackend + 'a>,
    /// What it is, in words.
    pub(in crate::logs) name: String,
    pub(in crate::logs) cursor: Tracker,
    kept: Option<CheckpointFile>,
    /// Per stream whether the last byte taken was not a newline.
    within_line: [bool; 2],
    /// Whether the kept cursor is behind.
    dirty: bool,
    stalled: bool,
    /// Whether it can go on from the start only, until it has come to the end: the Engine's clock was set back while it was stalled.
    anew: bool,
    /// Whether it is known to have been offered all that any other subscription was.
    pub(in crate::logs) is_level: bool,
    /// When nothing came last.
    rested: Instant,
    /// What is to be said about its beginning.
    notice: Option<String>,
    /// What its sink was told of a gap, and others were not yet.
    gap: Option<String>,
}

impl std::fmt::Debug for Subscription<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("name", &self.name).field("stalled", &self.stalled).finish_non_exhaustive()
    }
}

impl<'a> Subscription<'a> {
    /// Opens a target for a container's output, and goes on where it was kept that another process had come to. `None`: there is
    /// nothing to collect for it. Below `anchor`, the directory of an allocation, no link is followed.
    pub(crate) fn open(target: &Target<'_>, container: &str, anchor: Option<&Path>) -> io::Result<Option<Self>> {
        match *target {
            Target::File { path, .. } if rotating::is_null(path) => Ok(None),
            // Opened as a file, it would wait for a reader.
            Target::File { path, streams } if rotating::is_fifo(path) => {
                Self::open(&Target::Fifo { path, streams }, container, anchor)
            }
            Target::File { path, streams } => {
                Self::files(&Entry::new(path, anchor), streams, None, container).map(Some)
            }
            Target::Rotating { path, streams, rotation } => {
                Self::files(&Entry::new(path, anchor), streams, Some(rotation), container).map(Some)
            }
            Target::Fifo { path, streams } => {
                let fifo = Fifo::open(path, streams)?;
                let (kept, found) = CheckpointFile::open(&rotating::cursor(&Entry::new(path, anchor)), container)?;
                let found = found.filter(|found| found.container == container);
                Ok(Some(Self::new(Box::new(fifo), path.display().to_string(), streams, Some(kept), found.as_ref())))
            }
        }
    }

    fn files(at: &Entry, streams: [bool; 2], rotation: Option<Rotation>, container: &str) -> io::Result<Self> {
        let mut files = Files::new(at, streams, rotation)?;
        let name = at.path().display().to_string();
        if !files.is_plain() {
            return Ok(Self::new(Box::new(files), name, streams, None, None));
        }
        let (kept, found) = CheckpointFile::open(&rotating::cursor(at), container)?;
        // What another container's collector wrote beyond its cursor is all that is left of that.
        let found = found.filter(|found| found.container == container);
        let (mut notice, mut in_line) = (None, false);
        if let Some(Kept { place, .. }) = &found {
            let missing = files.cut_back(*place)?;
            if missing > 0 {
                notice = Some(format!("{missing} bytes of {name} that were collected are gone"));
            }
            in_line = files.go_on_in_line()?;
        }
        let mut subscription = Self::new(Box::new(files), name, streams, Some(kept), found.as_ref());
        if streams != [true; 2] {
            // The file itself tells; where both streams are in it, not of which the line is.
            subscription.within_line = streams.map(|wanted| wanted && in_line);
        }
        subscription.notice = notice.or(subscription.notice);
        Ok(subscription)
    }

    /// A user's sink. `anchor` as for [`Subscription::open`].
    pub(crate) fn live(sink: Box<dyn Sink>, container: &str, anchor: Option<&Path>) -> io::Result<Self> {
        let (kept, found) = match sink.cursor() {
            None => (None, None),
            Some(path) => {
                let (kept, found) = CheckpointFile::open(&Entry::new(path, anchor), container)?;
                (Some(kept), found.filter(|found| found.container == container))
            }
        };
        Ok(Self::new(Box::new(Live::new(sink)), "a live sink".into(), [true; 2], kept, found.as_ref()))
    }

    /// A stream's, from where it is collected otherwise: nothing is kept of how far this one gets.
    #[cfg(any(test, feature = "cli"))]
    pub(in crate::logs) fn beyond(
        backend: Box<dyn SinkBackend + 'a>,
        stream: Stream,
        reached: Reached,
        within_line: bool,
    ) -> Self {
        let number = stream as usize;
        let (mut streams, mut both, mut within) = ([false; 2], [Reached::default(); 2], [false; 2]);
        (streams[number], both[number], within[number]) = (true, reached, within_line);
        let subscription = Self::new(backend, "the output".into(), streams, None, None);
        Self { cursor: Tracker::resume(streams, both), within_line: within, ..subscription }
    }

    fn new(
        backend: Box<dyn SinkBackend + 'a>,
        name: String,
        streams: [bool; 2],
        kept: Option<CheckpointFile>,
        found: Option<&Kept>,
    ) -> Self {
        let cursor = match found {
            Some(found) => Tracker::resume(streams, found.reached),
            None => Tracker::new(streams),
        };
        let within_line = found.map_or([false; 2], |found| found.within_line);
        // Where it is now holds for this container from now on, also if nothing comes.
        let dirty = found.is_none();
        let notice = kept.as_ref().filter(|kept| kept.is_damaged).map(|_| {
            format!("how far {name} was collected is not known any more: what the Engine holds comes once more")
        });
        Self {
            backend,
            name,
            cursor,
            kept,
            within_line,
            dirty,
            stalled: false,
            anew: false,
            is_level: false,
            rested: Instant::now(),
            notice,
            gap: None,
        }
    }

    /// Where to go on from. `None`: from the start.
    pub(in crate::logs) fn lower(&self) -> Option<Stamp> {
        if self.anew { None } else { self.cursor.lower(self.within_line) }
    }

    /// The Engine has told all that it holds, from the start.
    pub(in crate::logs) fn has_seen_all(&mut self) {
        self.cursor.has_seen_all();
        self.anew = false;
    }

    /// From the start, until that has come to the end.
    pub(in crate::logs) fn begin_anew(&mut self) {
        self.anew = true;
    }

    /// What is to be said about its beginning, once.
    pub(in crate::logs) fn opening_notice(&mut self) -> Option<String> {
        self.notice.take()
    }

    /// What its sink was told of lines that may be missing, once.
    pub(in crate::logs) fn gap(&mut self) -> Option<String> {
        self.gap.take()
    }

    /// Takes what is new to it of a part; says how many bytes that was.
    pub(in crate::logs) fn take(&mut self, part: &Part<'_>) -> io::Result<usize> {
        if self.stalled {
            self.is_level = false;
            return Ok(0);
        }
        let bytes = self.cursor.take(part);
        if let Some(after) = self.cursor.gap() {
            let gap = format!("the Engine no longer holds all that was written; lines may be missing after {after}");
            self.backend.notice(&gap)?;
            self.gap = Some(gap);
        }
        if bytes.is_empty() {
            self.cursor.took(part, 0);
            return Ok(0);
        }
        let within_line = &mut self.within_line[part.stream as usize];
        let record = Record { stream: part.stream, stamp: part.stamp, bytes, continues: *within_line };
        let taken = self.backend.put(&record)?;
        if let Some(last) = taken.checked_sub(1) {
            *within_line = bytes[last] != b'\n';
            self.dirty = true;
        }
        self.stalled = taken < bytes.len();
        self.cursor.took(part, taken);
        Ok(taken)
    }

    /// Passes on what it holds, and keeps how far it is.
    pub(in crate::logs) fn flush(&mut self) -> io::Result<()> {
        if !self.backend.flush()? {
            self.stalled = true;
            return Ok(());
        }
        if self.dirty && self.backend.is_delivered() {
            self.keep()?;
        }
        Ok(())
    }

    fn keep(&mut self) -> io::Result<()> {
        let Some(kept) = &mut self.kept else { return Ok(()) };
        match kept.write(self.cursor.reached(), self.within_line, self.backend.place()) {
            Ok(()) => self.dirty = false,
            // There will be room again; until then a crash finds an older cursor, and cuts back to that.
            Err(e) if may_pass(&e) => self.stalled = true,
            Err(e) => return Err(e),
        }
        Ok(())
    }

    /// Nothing comes at present. A sink that is blocked, that is written more rarely than once a second, or whose descriptors
    /// others need, holds none in between, for hundreds of tasks may wait so; one that is written rarely holds no buffer either.
    pub(in crate::logs) fn rest(&mut self) {
        let now = Instant::now();
        let is_quiet = now.duration_since(self.rested) > BUSY;
        self.rested = now;
        let kept_takes = self.kept.as_ref().is_some_and(CheckpointFile::takes_from_others);
        if self.stalled || is_quiet || kept_takes || self.backend.takes_from_others() {
            self.backend.release();
            if let Some(kept) = &mut self.kept {
                kept.close();
            }
        }
        // What is stalled holds what it was given and could not pass on.
        if is_quiet && !self.stalled {
            self.backend.rest();
        }
    }

    /// Passes on words.
    pub(in crate::logs) fn notice_with(&mut self, text: &str) -> io::Result<()> {
        if self.stalled { Ok(()) } else { self.backend.notice(text) }
    }

    pub(in crate::logs) fn is_stalled(&self) -> bool {
        self.stalled
    }

    /// Tries again, where its gate is open.
    pub(in crate::logs) fn try_again(&mut self) -> io::Result<()> {
        if self.stalled && self.backend.gate().is_open() {
            self.stalled = false;
            self.flush()?;
            self.rest();
        }
        Ok(())
    }

    /// What it waits for, while it is stalled.
    pub(in crate::logs) fn gate(&self) -> Gate {
        self.backend.gate()
    }

    /// What it has not taken, in words.
    pub(in crate::logs) fn behind(&self) -> String {
        let after = self.cursor.upper().map_or("the start".to_owned(), |stamp: Stamp| stamp.to_string());
        format!("{} has taken nothing after {after}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::record::Stream;

    /// Takes all, and cannot pass it on yet.
    struct Full;

    impl SinkBackend for Full {
        fn put(&mut self, record: &Record<'_>) -> io::Result<usize> {
            Ok(record.bytes.len())
        }

        fn flush(&mut self) -> io::Result<bool> {
            Ok(false)
        }

        fn gate(&self) -> Gate {
            Gate::Later(Instant::now())
        }

        fn rest(&mut self) {
            panic!("it would lose what it holds");
        }
    }

    #[test]
    fn one_that_holds_what_it_could_not_pass_on_does_not_rest() {
        let mut subscription = Subscription::new(Box::new(Full), "full".into(), [true; 2], None, None);
        subscription.cursor.begin(None);
        let part =
            Part { stream: Stream::Stdout, stamp: Stamp::from_nanos(1), bytes: b"line\n", first: true, last: true };
        assert_eq!(subscription.take(&part).unwrap(), 5);
        subscription.rested = Instant::now().checked_sub(2 * BUSY).unwrap();
        subscription.flush().unwrap();
        subscription.rest();
        assert!(subscription.is_stalled());
    }
}

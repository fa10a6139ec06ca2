//! One task's lines on our own streams: those that are wanted, as they are, or with their times before them.

use std::io::{self, BufWriter, Write};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::fstat;

use crate::logs::stored::Piece;
use crate::logs::{Record, Sink, Stamp, Stream};

const BUFFER: usize = 64 * 1024;

/// Which lines are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::cli) struct Filter {
    pub(in crate::cli) since: Option<Stamp>,
    pub(in crate::cli) until: Option<Stamp>,
}

impl Filter {
    /// Whether a line of this time is wanted. One whose time nobody knows is.
    pub(in crate::cli) fn passes(&self, stamp: Option<Stamp>) -> bool {
        stamp.is_none_or(|stamp| {
            self.since.is_none_or(|since| since <= stamp) && self.until.is_none_or(|until| stamp <= until)
        })
    }
}

/// Writes the lines of one task.
pub(in crate::cli) struct Printer {
    /// Standard output and standard error.
    to: [Box<dyn Write + Send>; 2],
    /// Whether both are one place, where the order of what they get is seen.
    one_place: bool,
    filter: Filter,
    timestamps: bool,
    /// So many of the next lines are left away.
    leave: u64,
    /// So many after these are shown. `None`: all.
    show: Option<u64>,
    /// Per stream whether its present line is shown.
    shown: [bool; 2],
    /// Per stream whether what was written last has no newline.
    within: [bool; 2],
    /// Which stream could not be written to.
    failed: Option<usize>,
}

impl Printer {
    pub(in crate::cli) fn new(filter: Filter, timestamps: bool) -> Self {
        let to: [Box<dyn Write + Send>; 2] = [
            Box::new(BufWriter::with_capacity(BUFFER, io::stdout())),
            Box::new(BufWriter::with_capacity(BUFFER, io::stderr())),
        ];
        // Where it cannot be told they are taken for one.
        let place = |fd: BorrowedFd<'_>| fstat(fd).map(|found| (found.st_dev, found.st_ino));
        let one_place = match (place(io::stdout().as_fd()), place(io::stderr().as_fd())) {
            (Ok(out), Ok(err)) => out == err,
            _ => true,
        };
        Self { one_place, ..Self::to(to, filter, timestamps) }
    }

    /// The same, to other places.
    pub(in crate::cli) fn to(to: [Box<dyn Write + Send>; 2], filter: Filter, timestamps: bool) -> Self {
        Self {
            to,
            one_place: true,
            filter,
            timestamps,
            leave: 0,
            show: None,
            shown: [true; 2],
            within: [false; 2],
            failed: None,
        }
    }

    /// Leaves so many of the lines away that come next.
    pub(in crate::cli) fn leave_away(&mut self, lines: u64) {
        self.leave = lines;
    }

    /// Shows so many lines at most of those that come after that.
    pub(in crate::cli) fn show_at_most(&mut self, lines: u64) {
        self.show = Some(lines);
    }

    /// Which of our streams could not be written to.
    pub(in crate::cli) fn failed(&self) -> Option<&'static str> {
        self.failed.map(|number| ["standard output", "standard error"][number])
    }

    /// Takes a piece of a line.
    pub(in crate::cli) fn piece(&mut self, piece: &Piece<'_>) -> io::Result<()> {
        let number = piece.stream as usize;
        if piece.begins {
            self.shown[number] = self.filter.passes(piece.judged) && !self.left_away() && !self.is_enough();
        }
        if !self.shown[number] {
            return Ok(());
        }
        // What the other holds goes first.
        if self.one_place {
            self.flush_one(1 - number)?;
        }
        if piece.begins && self.timestamps {
            if self.within[number] {
                self.write(number, b"\n")?;
            }
            if let Some(stamp) = piece.stamp {
                self.write(number, format!("{stamp} ").as_bytes())?;
            }
        }
        self.within[number] = piece.bytes.last() != Some(&b'\n');
        self.write(number, piece.bytes)
    }

    fn left_away(&mut self) -> bool {
        let left = self.leave > 0;
        self.leave -= u64::from(left);
        left
    }

    fn is_enough(&mut self) -> bool {
        let Some(show) = &mut self.show else { return false };
        let is_enough = *show == 0;
        *show = show.saturating_sub(1);
        is_enough
    }

    fn write(&mut self, number: usize, bytes: &[u8]) -> io::Result<()> {
        let done = self.to[number].write_all(bytes);
        self.noted(number, done)
    }

    fn flush_one(&mut self, number: usize) -> io::Result<()> {
        let done = self.to[number].flush();
        self.noted(number, done)
    }

    fn noted(&mut self, number: usize, done: io::Result<()>) -> io::Result<()> {
        if done.is_err() {
            self.failed = Some(number);
        }
        done
    }
}

impl Sink for Printer {
    fn record(&mut self, record: &Record<'_>) -> io::Result<()> {
        self.piece(&Piece {
            stream: record.stream,
            begins: !record.continues,
            stamp: Some(record.stamp),
            judged: Some(record.stamp),
            bytes: record.bytes,
        })
    }

    fn notice(&mut self, text: &str) -> io::Result<()> {
        // What came before it goes first.
        self.flush()?;
        log::warn!("{text}");
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flush_one(0)?;
        self.flush_one(1)
    }
}

/// Counts the lines that a [`Printer`] would show.
#[derive(Debug, Default)]
pub(in crate::cli) struct Counter {
    pub(in crate::cli) filter: Filter,
    pub(in crate::cli) lines: u64,
}

impl Sink for Counter {
    fn record(&mut self, record: &Record<'_>) -> io::Result<()> {
        self.lines += u64::from(!record.continues && self.filter.passes(Some(record.stamp)));
        Ok(())
    }
}

const _: () = assert!(Stream::Stdout as usize == 0 && Stream::Stderr as usize == 1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::Shared;

    /// What both streams get, of pieces: stream, begins, second (below 0: not known), bytes.
    fn printed(filter: Filter, timestamps: bool, leave: u64, pieces: &[(Stream, bool, i64, &str)]) -> [String; 2] {
        let streams = [Shared::default(), Shared::default()];
        let to: [Box<dyn Write + Send>; 2] = [Box::new(streams[0].clone()), Box::new(streams[1].clone())];
        let mut printer = Printer::to(to, filter, timestamps);
        printer.leave_away(leave);
        for (stream, begins, second, text) in pieces {
            let stamp = (*second >= 0).then(|| at(*second));
            let piece = Piece { stream: *stream, begins: *begins, stamp, judged: stamp, bytes: text.as_bytes() };
            printer.piece(&piece).unwrap();
        }
        streams.map(|stream| stream.taken())
    }

    fn at(second: i64) -> Stamp {
        Stamp::from_nanos(second * 1_000_000_000)
    }

    #[test]
    fn lines() {
        use Stream::{Stderr, Stdout};
        let all = Filter::default();
        let pieces: &[_] = &[
            (Stdout, true, 1, "a\n"),
            (Stderr, true, 2, "b"),
            (Stdout, true, 3, "c"),
            (Stderr, false, 2, "B\n"),
            (Stdout, true, 4, "d"),
            (Stdout, true, -1, "e\n"),
        ];
        let second = |n: i64| format!("1970-01-01T00:00:0{n}.000000000Z ");
        for (row, filter, timestamps, leave, out, err) in [
            ("as they are", all, false, 0, "a\ncde\n".to_owned(), "bB\n".to_owned()),
            (
                "with their times",
                all,
                true,
                0,
                format!("{}a\n{}c\n{}d\ne\n", second(1), second(3), second(4)),
                format!("{}bB\n", second(2)),
            ),
            ("since", Filter { since: Some(at(3)), until: None }, false, 0, "cde\n".into(), String::new()),
            ("until", Filter { since: None, until: Some(at(2)) }, false, 0, "a\ne\n".into(), "bB\n".into()),
            ("without the first", all, false, 2, "cde\n".into(), String::new()),
            (
                "nor those that are not wanted",
                Filter { since: Some(at(2)), until: None },
                false,
                1,
                "cde\n".into(),
                String::new(),
            ),
        ] {
            assert_eq!(printed(filter, timestamps, leave, pieces), [out, err], "{row}");
        }
    }
}

//! From what an Engine sends, with `timestamps=1`, to stamped records. Pieces in, pieces lent out; no I/O.
//!
//! With frames a record is a frame: its stamp, a blank, a line or a part of one. A terminal's come without, see [`tty`].
//! A record is handed on in pieces as it comes; its stamp is held back until it is whole, the rest is never buffered.

pub(in crate::logs) mod tty;

use std::fmt;

use crate::engine::{self, Piece};
use crate::logs::record::tty::{Cuts, RawSplitter};
use crate::values::calendar;

/// The longest stamp that is one: `2006-01-02T15:04:05.999999999+00:00`.
pub(in crate::logs) const LONGEST_STAMP: usize = 35;
/// The length of Docker's stamps: `2006-01-02T15:04:05.999999999Z`.
const DOCKERS_STAMP: usize = 30;
/// Of what an Engine says in the midst of a stream no more than this is kept, in bytes.
const LARGEST_WORDS: usize = 4096;
/// Which stream of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output. With a terminal, all of it.
    Stdout,
    /// Standard error.
    Stderr,
}

/// When a record was written, by the Engine's clock: nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Stamp {
    nanos: i64,
}

impl Stamp {
    /// The stamp of a moment.
    pub fn from_nanos(nanos: i64) -> Self {
        Self { nanos }
    }

    /// Nanoseconds since 1970.
    pub fn as_nanos(self) -> i64 {
        self.nanos
    }

    /// What the Engine's `since` takes to have the records of this stamp: seconds, a point, nine digits. A microsecond less, for
    /// podman 5 leaves out those of the moment itself, and rounds by a tenth of that.
    pub(crate) fn as_since(self) -> String {
        let nanos = self.nanos.saturating_sub(1000).max(0);
        format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
    }

    /// Reads RFC 3339, with up to nine digits of a second.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let number = |from: usize, to: usize| -> Option<i64> {
            let digits = text.get(from..to)?;
            digits.iter().try_fold(0, |n, &b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
        };
        let is = |at: usize, byte: u8| text.get(at) == Some(&byte);
        if !(is(4, b'-') && is(7, b'-') && is(10, b'T') && is(13, b':') && is(16, b':')) {
            return None;
        }
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let (mut at, mut nanos) = (19, 0);
        if is(at, b'.') {
            let digits = text[at + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
            if digits == 0 || digits > 9 {
                return None;
            }
            nanos = number(at + 1, at + 1 + digits)? * 10_i64.pow(9 - digits as u32);
            at += 1 + digits;
        }
        let offset = match text.get(at)? {
            b'Z' if text.len() == at + 1 => 0,
            sign @ (b'+' | b'-') if text.len() == at + 6 && is(at + 3, b':') => {
                let seconds = number(at + 1, at + 3)? * 3600 + number(at + 4, at + 6)? * 60;
                if *sign == b'+' { seconds } else { -seconds }
            }
            _ => return None,
        };
        let seconds = calendar::days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
        // Years that 64 bits cannot count in nanoseconds (before 1678, after 2261) are no times of a log.
        Some(Self { nanos: seconds.checked_mul(1_000_000_000)?.checked_add(nanos)? })
    }
}

impl fmt::Display for Stamp {
    /// RFC 3339 in UTC with nine digits of a second, as Docker writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.nanos.div_euclid(1_000_000_000);
        let (year, month, day) = calendar::date(seconds.div_euclid(86_400));
        let second = seconds.rem_euclid(86_400);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let nanos = self.nanos.rem_euclid(1_000_000_000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
    }
}

/// The second of the last stamp, as text and as what that came to: of a busy task, many records share one.
#[derive(Debug)]
struct Near {
    /// Up to the point. At first, what no stamp is: blanks.
    text: [u8; 20],
    nanos: i64,
}

impl Near {
    fn new() -> Self {
        Self { text: [b' '; 20], nanos: 0 }
    }

    /// [`Stamp::parse`]; quick where all is as Docker writes it, and within the same second.
    fn parse(&mut self, text: &[u8]) -> Option<Stamp> {
        let Some((second, [fraction @ .., b'Z'])) = text.split_first_chunk::<20>() else { return Stamp::parse(text) };
        if *second == self.text
            && let Some(nanos) = nine_digits(fraction)
        {
            return Some(Stamp { nanos: self.nanos + nanos });
        }
        let stamp = Stamp::parse(text)?;
        if second[19] == b'.' {
            (self.text, self.nanos) = (*second, stamp.nanos - stamp.nanos.rem_euclid(1_000_000_000));
        }
        Some(stamp)
    }
}

/// Nine digits as a number: the first by itself, the others side by side in one word.
fn nine_digits(text: &[u8]) -> Option<i64> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let (first, rest) = text.split_first_chunk::<1>()?;
    let word = u64::from_le_bytes(rest.try_into().ok()?) ^ (ONES * u64::from(b'0'));
    // 0x76 more of what is above 9, and what has its highest bit set anyway, has that bit set.
    let is_bad = (word.wrapping_add(ONES * 0x76) | word) & (ONES * 0x80) != 0;
    if is_bad || !first[0].is_ascii_digit() {
        return None;
    }
    // Pairs, in each second byte; then fours, then all eight.
    let pairs = (word * 10 + (word >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    let eight = (fours * 10_000 + (fours >> 32)) & 0xffff_ffff;
    Some(i64::from(first[0] - b'0') * 100_000_000 + eight.cast_signed())
}

/// A piece of what a task wrote, as a [`Sink`](crate::logs::Sink) gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Which stream it was written to.
    pub stream: Stream,
    /// When, by the Engine's clock.
    pub stamp: Stamp,
    /// The bytes: a line with its newline, or a piece of one.
    pub bytes: &'a [u8],
    /// Whether these bytes go on with a line of which earlier ones of the stream were the beginning.
    pub continues: bool,
}

/// A piece of a record, and where it lies within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::logs) struct Part<'a> {
    pub(in crate::logs) stream: Stream,
    pub(in crate::logs) stamp: Stamp,
    pub(in crate::logs) bytes: &'a [u8],
    /// Whether the record begins here.
    pub(in crate::logs) first: bool,
    /// Whether it ends here.
    pub(in crate::logs) last: bool,
}

/// What comes is not what an Engine sends for `timestamps=1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::logs) enum BadRecord {
    NoStamp,
    /// The Engine's own words in the midst of the stream; they are in [`Splitter::words`].
    System,
}

/// Cuts what comes into stamped records.
#[derive(Debug)]
pub(in crate::logs) struct Splitter {
    /// The stamp of the frame that is coming, once it has come.
    stamp: Option<Stamp>,
    /// The beginning of a stamp that has not come whole.
    held: [u8; LONGEST_STAMP + 1],
    held_len: usize,
    near: Near,
    words: Vec<u8>,
    /// For a terminal.
    raw: Option<RawSplitter>,
}

impl Splitter {
    /// For frames, or for the bytes of a terminal, whose long lines the Engine cuts so.
    pub(in crate::logs) fn new(terminal: Option<Cuts>) -> Self {
        Self {
            stamp: None,
            held: [0; LONGEST_STAMP + 1],
            held_len: 0,
            near: Near::new(),
            words: Vec::new(),
            raw: terminal.map(RawSplitter::new),
        }
    }

    /// What the Engine itself said, after [`BadRecord::System`].
    pub(in crate::logs) fn words(&self) -> String {
        String::from_utf8_lossy(&self.words).trim().to_owned()
    }

    /// Hands the parts of records in `piece` to `each`.
    pub(in crate::logs) fn feed(
        &mut self,
        piece: &Piece<'_>,
        mut each: impl FnMut(&Part<'_>),
    ) -> Result<(), BadRecord> {
        let stream = match piece.stream {
            engine::Stream::Stdout => Stream::Stdout,
            engine::Stream::Stderr => Stream::Stderr,
            engine::Stream::System => {
                // Bounded: it is for people, and whoever sends it may send anything.
                let room = LARGEST_WORDS.saturating_sub(self.words.len()).min(piece.bytes.len());
                self.words.extend_from_slice(&piece.bytes[..room]);
                return if piece.last { Err(BadRecord::System) } else { Ok(()) };
            }
        };
        match &mut self.raw {
            Some(raw) => raw.feed(piece.bytes, &mut each),
            None => self.feed_frame(stream, piece, &mut each),
        }
    }

    /// The input has ended: hands on what was held back.
    pub(in crate::logs) fn finish(&mut self, mut each: impl FnMut(&Part<'_>)) {
        if let Some(raw) = &mut self.raw {
            raw.finish(&mut each);
        }
    }

    fn feed_frame(
        &mut self,
        stream: Stream,
        piece: &Piece<'_>,
        each: &mut impl FnMut(&Part<'_>),
    ) -> Result<(), BadRecord> {
        if piece.first {
            (self.stamp, self.held_len) = (None, 0);
        }
        let mut bytes = piece.bytes;
        let (stamp, first) = match self.stamp {
            Some(stamp) => (stamp, false),
            None => match self.take_stamp(&mut bytes)? {
                Some(stamp) => (stamp, true),
                // An empty record is "STAMP " and no more; a frame without its blank is none.
                None if piece.last => return Err(BadRecord::NoStamp),
                None => return Ok(()),
            },
        };
        self.stamp = Some(stamp);
        if first || piece.last || !bytes.is_empty() {
            each(&Part { stream, stamp, bytes, first, last: piece.last });
        }
        Ok(())
    }

    /// Takes the stamp and the blank behind it off the front of `bytes`; `None`: all of it was the beginning of one.
    fn take_stamp(&mut self, bytes: &mut &[u8]) -> Result<Option<Stamp>, BadRecord> {
        // Docker's are all of one length; to search for the blank would cost more than the rest of this.
        if self.held_len == 0
            && bytes.get(DOCKERS_STAMP) == Some(&b' ')
            && let Some(stamp) = self.near.parse(&bytes[..DOCKERS_STAMP])
        {
            *bytes = &bytes[DOCKERS_STAMP + 1..];
            return Ok(Some(stamp));
        }
        let room = self.held.len() - self.held_len;
        let look = &bytes[..bytes.len().min(room)];
        let Some(blank) = look.iter().position(|&b| b == b' ') else {
            if look.len() == room {
                return Err(BadRecord::NoStamp);
            }
            self.held[self.held_len..self.held_len + look.len()].copy_from_slice(look);
            self.held_len += look.len();
            *bytes = &[];
            return Ok(None);
        };
        let stamp = match self.held_len {
            0 => self.near.parse(&look[..blank]),
            len => {
                self.held[len..len + blank].copy_from_slice(&look[..blank]);
                self.near.parse(&self.held[..len + blank])
            }
        };
        self.held_len = 0;
        *bytes = &bytes[blank + 1..];
        stamp.map(Some).ok_or(BadRecord::NoStamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "2026-11-25T03:36:02.843543396Z";
    const B: &str = "2026-11-25T03:36:03.000000001Z";

    #[test]
    fn stamps() {
        for (text, nanos) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1970-01-01T00:00:01.5Z", Some(1_500_000_000)),
            ("2000-02-29T12:00:00.000000001Z", Some(951_825_600_000_000_001)),
            ("2026-11-25T04:36:02.843543396+01:00", Some(1_795_577_762_843_543_396)),
            ("2026-11-25T03:36:02.843543396Z", Some(1_795_577_762_843_543_396)),
            ("2026-11-25 03:36:02Z", None),
            ("2026-13-25T03:36:02Z", None),
            ("2026-11-25T03:36:02.Z", None),
            ("2026-11-25T03:36:02.0123456789Z", None),
            ("2026-11-25T03:36:02", None),
            ("9999-12-31T23:59:59Z", None),
            ("0001-01-01T00:00:00Z", None),
            ("hello", None),
        ] {
            assert_eq!(Stamp::parse(text.as_bytes()).map(Stamp::as_nanos), nanos, "{text}");
            // After itself, and after another of its second.
            let mut near = Near::new();
            for _ in 0..2 {
                assert_eq!(near.parse(text.as_bytes()).map(Stamp::as_nanos), nanos, "{text}");
            }
            near.parse(A.as_bytes());
            assert_eq!(near.parse(text.as_bytes()).map(Stamp::as_nanos), nanos, "{text}");
        }
        for text in
            [A, B, "2024-02-29T23:59:59.999999999Z", "1969-12-31T23:59:59.000000000Z", "2100-03-01T00:00:00.000000000Z"]
        {
            assert_eq!(Stamp::parse(text.as_bytes()).map(|s| s.to_string()).as_deref(), Some(text));
        }
        assert_eq!(Stamp::parse(A.as_bytes()).map(Stamp::as_since).as_deref(), Some("1795577762.843542396"));
    }

    #[test]
    fn nine_digits_at_once() {
        for (text, want) in [
            ("000000000", Some(0)),
            ("123456789", Some(123_456_789)),
            ("999999999", Some(999_999_999)),
            ("100000000", Some(100_000_000)),
            ("000000001", Some(1)),
            ("12345678", None),
            ("1234567890", None),
            ("", None),
        ] {
            assert_eq!(nine_digits(text.as_bytes()), want, "{text}");
        }
        for at in 0..9 {
            for byte in (0..=u8::MAX).filter(|byte| !byte.is_ascii_digit()) {
                let mut text = *b"123456789";
                text[at] = byte;
                assert_eq!(nine_digits(&text), None, "{byte} at {at}");
            }
        }
    }

    /// Whole records: stream, stamp, bytes.
    fn records(pieces: &[Piece<'_>]) -> Vec<(Stream, String, Vec<u8>)> {
        let (mut splitter, mut records) = (Splitter::new(None), Vec::new());
        for piece in pieces {
            splitter
                .feed(piece, |part| {
                    if part.first {
                        records.push((part.stream, part.stamp.to_string(), Vec::new()));
                    }
                    records.last_mut().expect("begun").2.extend_from_slice(part.bytes);
                })
                .expect("records");
        }
        records
    }

    fn frame(stream: engine::Stream, bytes: &[u8]) -> Vec<Piece<'_>> {
        // Byte for byte: the worst cut.
        let n = bytes.len();
        (0..n).map(|i| Piece { stream, bytes: &bytes[i..=i], first: i == 0, last: i + 1 == n }).collect()
    }

    #[test]
    fn a_frame_is_a_record() {
        let (out, err) = (format!("{A} hello world\n"), format!("{B} "));
        let mut pieces = frame(engine::Stream::Stdout, out.as_bytes());
        pieces.extend(frame(engine::Stream::Stderr, err.as_bytes()));
        let want =
            vec![(Stream::Stdout, A.to_string(), b"hello world\n".to_vec()), (Stream::Stderr, B.to_string(), vec![])];
        assert_eq!(records(&pieces), want);
        let whole = [
            Piece { stream: engine::Stream::Stdout, bytes: out.as_bytes(), first: true, last: true },
            Piece { stream: engine::Stream::Stderr, bytes: err.as_bytes(), first: true, last: true },
        ];
        assert_eq!(records(&whole), want);
    }

    #[test]
    fn stamps_of_every_length() {
        // A blank where the longest of Docker's would have it.
        for stamp in ["2026-11-25T03:36:02Z", "2026-11-25T03:36:02.5+01:00", A, "2026-11-25T04:36:02.843543396+01:00"] {
            let line = format!("{stamp} {}", "a b c d e f g h i j k l m n");
            let bytes = line.as_bytes();
            let piece = Piece { stream: engine::Stream::Stdout, bytes, first: true, last: true };
            let parsed = Stamp::parse(stamp.as_bytes()).unwrap().to_string();
            assert_eq!(records(&[piece]), [(Stream::Stdout, parsed, bytes[stamp.len() + 1..].to_vec())]);
        }
    }

    #[test]
    fn what_has_no_stamp_is_told() {
        let piece = |bytes| Piece { stream: engine::Stream::Stdout, bytes, first: true, last: true };
        for bytes in [&b"hello world"[..], b"", b"x", b"2026-11-25T03:36:02.843543396Z", &[b'x'; 100]] {
            assert_eq!(Splitter::new(None).feed(&piece(bytes), |_| {}), Err(BadRecord::NoStamp), "{bytes:?}");
        }
        let system = Piece { stream: engine::Stream::System, bytes: b"no luck\n", first: true, last: true };
        let mut splitter = Splitter::new(None);
        assert_eq!(splitter.feed(&system, |_| {}), Err(BadRecord::System));
        assert_eq!(splitter.words(), "no luck");
    }
}

//! A terminal's output, which comes without frames: from raw bytes, with `timestamps=1`, to parts of stamped records.
//!
//! Records follow each other with nothing between. Each begins with its stamp and a blank, and ends with its newline, or
//! without one where the Engine cut a long line. Docker cuts after exactly 16 KiB. podman cuts wherever a read of its
//! ended, and only the next stamp tells: one in the midst of a line that is not older than the line's own. (A time that
//! the task itself prints is older than the record that carries it.)

use crate::logs::record::{BadRecord, LONGEST_STAMP, Part, Stamp, Stream};

/// How much of a line Docker puts in one record.
const PART: usize = 16 * 1024;

/// Where an Engine cuts a line that is too long for one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cuts {
    /// After 16 KiB: Docker.
    At16Kib,
    /// Anywhere: podman.
    Anywhere,
}

/// Cuts a terminal's bytes into records.
#[derive(Debug)]
pub(in crate::logs) struct RawSplitter {
    cuts: Cuts,
    state: State,
    /// What has come and cannot be judged before more comes: the beginning of a stamp, or what may be one.
    carry: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// A stamp is coming.
    Stamp,
    /// Payload is coming; so much of it has.
    Payload { stamp: Stamp, seen: usize },
}

impl RawSplitter {
    pub(in crate::logs) fn new(cuts: Cuts) -> Self {
        Self { cuts, state: State::Stamp, carry: Vec::new() }
    }

    /// Hands the parts of records in `bytes` to `each`.
    pub(in crate::logs) fn feed(&mut self, bytes: &[u8], each: &mut impl FnMut(&Part<'_>)) -> Result<(), BadRecord> {
        if self.carry.is_empty() {
            let used = self.take(bytes, each)?;
            self.carry.extend_from_slice(&bytes[used..]);
            return Ok(());
        }
        let mut input = std::mem::take(&mut self.carry);
        input.extend_from_slice(bytes);
        let used = self.take(&input, each)?;
        input.drain(..used);
        self.carry = input;
        Ok(())
    }

    /// The bytes have ended: what was held back is payload after all.
    pub(in crate::logs) fn finish(&mut self, each: &mut impl FnMut(&Part<'_>)) {
        let held = std::mem::take(&mut self.carry);
        if let State::Payload { stamp, seen } = self.state
            && !held.is_empty()
        {
            each(&part(stamp, &held, seen, false));
            self.state = State::Payload { stamp, seen: seen + held.len() };
        }
    }

    /// Hands on what can be judged; says how much of the input that is.
    fn take(&mut self, input: &[u8], each: &mut impl FnMut(&Part<'_>)) -> Result<usize, BadRecord> {
        let mut at = 0;
        while at < input.len() {
            let rest = &input[at..];
            match self.state {
                State::Stamp => match leading_stamp(rest) {
                    Some((stamp, length)) => {
                        self.state = State::Payload { stamp, seen: 0 };
                        at += length;
                    }
                    None if may_begin_stamp(rest) => return Ok(at),
                    None => return Err(BadRecord::NoStamp),
                },
                State::Payload { stamp, seen } => {
                    let (length, ended) = self.payload(rest, stamp, seen);
                    if length == 0 && !ended {
                        return Ok(at);
                    }
                    each(&part(stamp, &rest[..length], seen, ended));
                    at += length;
                    self.state = if ended { State::Stamp } else { State::Payload { stamp, seen: seen + length } };
                }
            }
        }
        Ok(at)
    }

    /// How many bytes at the front belong to the record, and whether it ends with them.
    fn payload(&self, rest: &[u8], stamp: Stamp, seen: usize) -> (usize, bool) {
        let newline = rest.iter().position(|&b| b == b'\n').map(|at| at + 1);
        match self.cuts {
            Cuts::At16Kib => match newline {
                Some(end) if seen + end <= PART => (end, true),
                _ if seen + rest.len() >= PART => (PART - seen, true),
                _ => (rest.len(), false),
            },
            Cuts::Anywhere => {
                let line = &rest[..newline.unwrap_or(rest.len())];
                let mut held = line.len();
                // A stamp has a dash as its fifth character.
                for dash in line.iter().enumerate().filter(|(_, b)| **b == b'-').map(|(at, _)| at) {
                    let Some(start) = dash.checked_sub(4) else { continue };
                    if leading_stamp(&rest[start..]).is_some_and(|(next, _)| next >= stamp) {
                        return (start, true);
                    }
                    if newline.is_none() && may_begin_stamp(&line[start..]) {
                        held = held.min(start);
                    }
                }
                if let Some(end) = newline {
                    return (end, true);
                }
                // The beginning of one, too short to have its dash.
                let tail = (1..=4.min(line.len())).rev().find(|n| may_begin_stamp(&line[line.len() - n..]));
                (held.min(line.len() - tail.unwrap_or(0)), false)
            }
        }
    }
}

fn part(stamp: Stamp, bytes: &[u8], seen: usize, last: bool) -> Part<'_> {
    Part { stream: Stream::Stdout, stamp, bytes, first: seen == 0, last }
}

/// The stamp that the bytes begin with, and its length with the blank behind it.
fn leading_stamp(bytes: &[u8]) -> Option<(Stamp, usize)> {
    let blank = bytes.iter().take(LONGEST_STAMP + 1).position(|&b| b == b' ')?;
    Some((Stamp::parse(&bytes[..blank])?, blank + 1))
}

/// Whether all of the bytes may be the beginning of a stamp that goes on in what is still to come.
fn may_begin_stamp(bytes: &[u8]) -> bool {
    const SHAPE: &[u8] = b"dddd-dd-ddTdd:dd:dd";
    bytes.len() <= LONGEST_STAMP
        && bytes.iter().enumerate().all(|(at, &b)| match SHAPE.get(at) {
            Some(b'd') => b.is_ascii_digit(),
            Some(&fixed) => b == fixed,
            None => b.is_ascii_digit() || b".Z+-:".contains(&b),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "2026-11-25T03:36:02.843543396Z";
    const B: &str = "2026-11-25T03:36:03.000000001Z";

    /// Whole records, however the bytes are cut: stamp, bytes, whether it ended.
    fn records(cuts: Cuts, raw: &str) -> Vec<(String, String, bool)> {
        let mut all: Vec<Vec<(String, String, bool)>> = Vec::new();
        for size in [1, 7, 4096, raw.len()] {
            let (mut splitter, mut records) = (RawSplitter::new(cuts), Vec::<(String, String, bool)>::new());
            let mut each = |part: &Part<'_>| {
                if part.first {
                    records.push((part.stamp.to_string(), String::new(), false));
                }
                let record = records.last_mut().expect("begun");
                record.1.push_str(std::str::from_utf8(part.bytes).expect("ASCII"));
                record.2 = part.last;
            };
            for chunk in raw.as_bytes().chunks(size) {
                splitter.feed(chunk, &mut each).expect("records");
            }
            splitter.finish(&mut each);
            all.push(records);
        }
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "the same however it is cut");
        all.remove(0)
    }

    fn rows(rows: &[(&str, &str, bool)]) -> Vec<(String, String, bool)> {
        rows.iter().map(|(stamp, text, ended)| (stamp.to_string(), text.to_string(), *ended)).collect()
    }

    #[test]
    fn docker_cuts_after_16_kib() {
        let long = "x".repeat(PART);
        let raw = format!("{A} one\r\n{A} {long}{A} {long}{A} end\r\n{A} {B} is no stamp\r\n{B} open 2026-11");
        let spoken = format!("{B} is no stamp\r\n");
        let want = [
            ("one\r\n", A, true),
            (&long, A, true),
            (&long, A, true),
            ("end\r\n", A, true),
            (&spoken, A, true),
            ("open 2026-11", B, false),
        ]
        .map(|(text, stamp, ended)| (stamp, text, ended));
        assert_eq!(records(Cuts::At16Kib, &raw), rows(&want));
    }

    #[test]
    fn podman_cuts_anywhere() {
        let long = "x".repeat(20_000);
        let raw =
            format!("{A} one\r\n{A} tt{B} y two\r\n{B} {A} is older\r\n{B} {long}{B} {long}\r\n{B} open 2026-11-25T");
        let spoken = format!("{A} is older\r\n");
        let end = format!("{long}\r\n");
        let want = [
            ("one\r\n", A, true),
            ("tt", A, true),
            ("y two\r\n", B, true),
            (&spoken, B, true),
            (&long, B, true),
            (&end, B, true),
            ("open 2026-11-25T", B, false),
        ]
        .map(|(text, stamp, ended)| (stamp, text, ended));
        assert_eq!(records(Cuts::Anywhere, &raw), rows(&want));
    }

    #[test]
    fn what_has_no_stamp_is_told() {
        for bytes in [&b"hello world"[..], b"x", &[b'2'; 100]] {
            for cuts in [Cuts::At16Kib, Cuts::Anywhere] {
                assert_eq!(RawSplitter::new(cuts).feed(bytes, &mut |_| {}), Err(BadRecord::NoStamp), "{bytes:?}");
            }
        }
    }
}

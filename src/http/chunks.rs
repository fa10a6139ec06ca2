//! Chunked bodies: what of a buffer is data, and what frames the chunks. Bytes in, places out; no I/O.
//!
//! An Engine sends each record of a log in a chunk of its own, so this is done for each line of a busy task: a body is read
//! from the socket into the buffer of whoever reads it, and is found, or moved together, there.

use std::ops::Range;

/// The longest line that may say how long a chunk is, in bytes, and all trailers together.
const LONGEST_LINE: usize = 4096;

/// What came is no chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadChunk;

impl std::fmt::Display for BadChunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a chunk of the answer does not say how long it is")
    }
}

impl std::error::Error for BadChunk {}

/// Where in a chunked body it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The digits of a length, of which so many have come.
    Size {
        size: usize,
        digits: usize,
    },
    /// What follows the digits, up to the line's end.
    Extension {
        size: usize,
        seen: usize,
    },
    /// So many bytes are to come.
    Data(usize),
    /// The line end behind the data.
    DataEnd,
    /// Lines after the last chunk, up to an empty one.
    Trailer {
        line: usize,
        seen: usize,
    },
    Ended,
}

/// Takes chunks apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chunks(State);

impl Chunks {
    /// At the beginning of a body.
    pub(super) fn new() -> Self {
        Self(State::Size { size: 0, digits: 0 })
    }

    /// Whether the body has ended, as its sender meant it.
    pub(super) fn is_ended(&self) -> bool {
        self.0 == State::Ended
    }

    /// Moves what is data in `bytes` to their front; says how much that is.
    pub(super) fn take(&mut self, bytes: &mut [u8]) -> Result<usize, BadChunk> {
        let (mut from, mut to) = (0, 0);
        while let Some(data) = self.next(bytes, &mut from)? {
            let length = data.len();
            if data.start != to {
                bytes.copy_within(data, to);
            }
            to += length;
        }
        Ok(to)
    }

    /// Says where in `bytes` data lies.
    pub(super) fn find(&mut self, bytes: &[u8], parts: &mut Vec<Range<usize>>) -> Result<(), BadChunk> {
        let mut from = 0;
        while let Some(data) = self.next(bytes, &mut from)? {
            parts.push(data);
        }
        Ok(())
    }

    /// What most often lies between the data of two chunks, where it is here whole: how long that is, and how long the next chunk.
    fn between(&self, bytes: &[u8]) -> Option<(usize, usize)> {
        match self.0 {
            State::DataEnd => length(bytes.strip_prefix(b"\r\n")?).map(|(read, size)| (read + 2, size)),
            State::Size { digits: 0, .. } => length(bytes),
            _ => None,
        }
    }

    /// The next data in `bytes`, from `from` on, which then lies behind it. `None`: there is no more in them.
    fn next(&mut self, bytes: &[u8], from: &mut usize) -> Result<Option<Range<usize>>, BadChunk> {
        if let Some((read, size)) = bytes.get(*from..).and_then(|rest| self.between(rest)) {
            *from += read;
            self.0 = State::Data(size);
        }
        while let Some(&byte) = bytes.get(*from) {
            if let State::Data(left) = self.0 {
                let length = left.min(bytes.len() - *from);
                let data = *from..*from + length;
                *from = data.end;
                self.0 = if length == left { State::DataEnd } else { State::Data(left - length) };
                return Ok(Some(data));
            }
            *from += 1;
            self.0 = match self.0 {
                State::Size { size, digits } => match (byte as char).to_digit(16) {
                    Some(digit) if digits < 15 => State::Size { size: size << 4 | digit as usize, digits: digits + 1 },
                    None if digits > 0 && matches!(byte, b'\r' | b'\n' | b';' | b' ' | b'\t') => {
                        after_size(size, 0, byte)?
                    }
                    _ => return Err(BadChunk),
                },
                State::Extension { size, seen } => after_size(size, seen, byte)?,
                State::DataEnd => match byte {
                    b'\r' => State::DataEnd,
                    b'\n' => State::Size { size: 0, digits: 0 },
                    _ => return Err(BadChunk),
                },
                State::Trailer { line: 0, .. } if byte == b'\n' => State::Ended,
                State::Trailer { seen: LONGEST_LINE, .. } => return Err(BadChunk),
                State::Trailer { line, seen } => State::Trailer {
                    line: match byte {
                        b'\n' => 0,
                        b'\r' => line,
                        _ => line + 1,
                    },
                    seen: seen + 1,
                },
                // What follows the end is not this body's.
                State::Ended => return Ok(None),
                State::Data(_) => State::Ended,
            };
        }
        Ok(None)
    }
}

/// The usual beginning of a chunk: its length in so few digits, and the line end.
fn length(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut size = 0;
    for (at, byte) in bytes.iter().take(8).enumerate() {
        match (*byte as char).to_digit(16) {
            Some(digit) => size = size << 4 | digit as usize,
            // A length of 0 is the end, and none is an error.
            None => return (size > 0 && bytes[at..].starts_with(b"\r\n")).then_some((at + 2, size)),
        }
    }
    None
}

/// What follows a byte of the rest of a length's line.
fn after_size(size: usize, seen: usize, byte: u8) -> Result<State, BadChunk> {
    match byte {
        b'\n' if size == 0 => Ok(State::Trailer { line: 0, seen: 0 }),
        b'\n' => Ok(State::Data(size)),
        _ if seen < LONGEST_LINE => Ok(State::Extension { size, seen: seen + 1 }),
        _ => Err(BadChunk),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The data of a body that comes in pieces of a size, and whether it has ended.
    fn data(body: &[u8], size: usize) -> Result<(Vec<u8>, bool), BadChunk> {
        let (mut chunks, mut data) = (Chunks::new(), Vec::new());
        for piece in body.chunks(size) {
            let mut piece = piece.to_vec();
            let (mut found, mut parts) = (Vec::new(), Vec::new());
            let mut finder = chunks.clone();
            let is_found = finder.find(&piece, &mut parts);
            parts.into_iter().for_each(|part| found.extend_from_slice(&piece[part]));
            let taken = chunks.take(&mut piece);
            assert_eq!((is_found, finder), (taken.map(drop), chunks.clone()));
            let n = taken?;
            assert_eq!(piece[..n], found);
            data.extend_from_slice(&found);
        }
        Ok((data, chunks.is_ended()))
    }

    #[test]
    fn bodies_however_they_are_cut() {
        type Want<'a> = Result<(&'a [u8], bool), BadChunk>;
        let rows: [(&str, &[u8], Want<'_>); 15] = [
            ("two chunks", b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", Ok((b"abc0123456789", true))),
            ("line ends within", b"4\r\n\r\n\r\n\r\n1\r\nx\r\n0\r\n\r\n", Ok((b"\r\n\r\nx", true))),
            ("an extension", b"3;a=\"b\"\r\nabc\r\n0 \r\n\r\n", Ok((b"abc", true))),
            ("trailers", b"1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n", Ok((b"x", true))),
            ("leading zeros", b"003\r\nabc\r\n000\r\n\r\n", Ok((b"abc", true))),
            ("seven digits", b"0000003\r\nabc\r\n0\r\n\r\n", Ok((b"abc", true))),
            ("eight digits", b"00000003\r\nabc\r\n0\r\n\r\n", Ok((b"abc", true))),
            ("nine digits", b"000000003\r\nabc\r\n0\r\n\r\n", Ok((b"abc", true))),
            ("nothing", b"0\r\n\r\n", Ok((b"", true))),
            ("cut in data", b"3\r\nab", Ok((b"ab", false))),
            ("cut before the last line", b"3\r\nabc\r\n0\r\n", Ok((b"abc", false))),
            ("no length", b"\r\nabc", Err(BadChunk)),
            ("no digits", b"xyz\r\n", Err(BadChunk)),
            ("longer than said", b"2\r\nabc\r\n", Err(BadChunk)),
            ("a length beyond all", b"fffffffffffffffff\r\n", Err(BadChunk)),
        ];
        for (name, body, want) in rows {
            for size in [1, 2, 3, 7, 100] {
                let got = data(body, size);
                assert_eq!(
                    got.as_ref().map(|(data, ended)| (data.as_slice(), *ended)),
                    want.as_ref().map(|w| *w),
                    "{name}, by {size}"
                );
            }
        }
    }

    #[test]
    fn lines_without_end_are_refused() {
        for begin in ["1;", "0\r\n"] {
            let body = [begin.as_bytes(), &[b'x'; 2 * LONGEST_LINE]].concat();
            assert_eq!(data(&body, 100), Err(BadChunk), "{begin:?}");
        }
    }
}

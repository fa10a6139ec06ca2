//! Streams of JSON documents: pull, load, stats, events. A decoder that takes bytes and lends lines, and the iterator on it.

use std::fmt;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use super::Error;
use super::call::{Streamed, object};

/// The longest document that is taken, in bytes. The largest that an Engine sends in earnest, an event with a
/// container's labels, is a few kilobytes.
const LONGEST: usize = 1024 * 1024;
/// Read at a time.
const CHUNK: usize = 4 * 1024;

/// A line that is too long to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadLine {
    /// How much of it has come, in bytes.
    pub length: usize,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a JSON document of more than {} bytes", self.length)
    }
}

impl std::error::Error for BadLine {}

/// Takes lines off a stream of bytes. Lines end with `\n` or `\r\n`; empty ones are passed over.
#[derive(Debug, Default)]
pub struct LineDecoder {
    buffer: Vec<u8>,
    /// What of the buffer was lent out already.
    used: usize,
    /// Up to where no newline was found.
    searched: usize,
}

impl LineDecoder {
    /// Takes more bytes in.
    ///
    /// # Errors
    /// [`BadLine`]: a line has grown too long. What follows cannot be understood.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), BadLine> {
        self.buffer.drain(..self.used);
        self.searched = self.searched.saturating_sub(self.used);
        self.used = 0;
        self.buffer.extend_from_slice(bytes);
        match self.buffer.len() > LONGEST && !self.buffer.contains(&b'\n') {
            true => Err(BadLine { length: self.buffer.len() }),
            false => Ok(()),
        }
    }

    /// Lends the next whole line, without its end. `None`: feed more.
    pub fn next_line(&mut self) -> Option<&[u8]> {
        loop {
            let from = self.searched.max(self.used);
            let Some(at) = self.buffer[from..].iter().position(|&b| b == b'\n') else {
                self.searched = self.buffer.len();
                return None;
            };
            let (start, end) = (self.used, from + at);
            self.used = end + 1;
            if !trimmed(&self.buffer[start..end]).is_empty() {
                return Some(trimmed(&self.buffer[start..end]));
            }
        }
    }

    /// What is left at the end of the input: a last line without its end, or nothing.
    pub fn rest(&mut self) -> &[u8] {
        let start = self.used;
        self.used = self.buffer.len();
        trimmed(&self.buffer[start..])
    }
}

fn trimmed(line: &[u8]) -> &[u8] {
    line.trim_ascii()
}

/// An answer that is a row of JSON documents, each read when it is asked for. Dropping it closes its connection.
pub struct JsonLines<T> {
    streamed: Streamed,
    lines: LineDecoder,
    chunk: Box<[u8]>,
    ended: bool,
    /// What a document lacks without which it is none.
    without: fn(&T) -> Option<&'static str>,
    of: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for JsonLines<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonLines").field("call", self.streamed.call()).finish_non_exhaustive()
    }
}

impl<T: DeserializeOwned> JsonLines<T> {
    pub(super) fn new(streamed: Streamed) -> Self {
        let (lines, chunk) = (LineDecoder::default(), vec![0; CHUNK].into());
        Self { streamed, lines, chunk, ended: false, without: |_| None, of: PhantomData }
    }

    /// The same, of whose documents one that lacks what `without` names is an error.
    pub(super) fn checked(self, without: fn(&T) -> Option<&'static str>) -> Self {
        Self { without, ..self }
    }

    /// Waits for the next document. `None`: the answer has ended.
    ///
    /// # Errors
    /// [`Error::Decode`] for a line that is no such document, [`Error::Protocol`] for one too long, and what can happen
    /// to a connection. After one of them nothing more comes.
    pub fn next_line(&mut self) -> Result<Option<T>, Error> {
        loop {
            if let Some(line) = self.lines.next_line() {
                return decode(&self.streamed, line, self.without).map(Some);
            }
            if self.ended {
                return Ok(None);
            }
            match self.streamed.read(&mut self.chunk)? {
                0 => {
                    self.ended = true;
                    let rest = self.lines.rest();
                    if !rest.is_empty() {
                        return decode(&self.streamed, rest, self.without).map(Some);
                    }
                }
                n => self.lines.feed(&self.chunk[..n]).map_err(|bad| Error::Protocol {
                    call: Box::new(self.streamed.call().clone()),
                    source: Box::new(bad),
                })?,
            }
        }
    }

    pub(super) fn call(&self) -> &super::Call {
        self.streamed.call()
    }
}

impl<T: DeserializeOwned> Iterator for JsonLines<T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_line();
        if next.is_err() {
            self.ended = true;
            self.lines = LineDecoder::default();
        }
        next.transpose()
    }
}

fn decode<T: DeserializeOwned>(
    streamed: &Streamed,
    line: &[u8],
    without: fn(&T) -> Option<&'static str>,
) -> Result<T, Error> {
    let document = object(line).and_then(|document| match without(&document) {
        None => Ok(document),
        Some(field) => Err(serde::de::Error::missing_field(field)),
    });
    document.map_err(|source| Error::decode(streamed.call(), source))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let (mut decoder, mut lines) = (LineDecoder::default(), Vec::new());
        for chunk in chunks {
            decoder.feed(chunk).expect("short");
            while let Some(line) = decoder.next_line() {
                lines.push(String::from_utf8(line.to_vec()).expect("text"));
            }
        }
        let rest = decoder.rest();
        if !rest.is_empty() {
            lines.push(String::from_utf8(rest.to_vec()).expect("text"));
        }
        lines
    }

    #[test]
    fn lines_survive_any_cut() {
        let input = b"{\"a\":1}\r\n\r\n\n {\"b\":2}\n{\"c\":3}";
        let want = ["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"];
        assert_eq!(lines(&[input]), want);
        assert_eq!(lines(&input.chunks(1).collect::<Vec<_>>()), want);
        for cut in 0..input.len() {
            assert_eq!(lines(&[&input[..cut], &input[cut..]]), want, "cut at {cut}");
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut decoder = LineDecoder::default();
        let chunk = vec![b'x'; LONGEST / 2];
        decoder.feed(&chunk).expect("half");
        decoder.feed(&chunk).expect("whole");
        assert!(decoder.feed(b"x").is_err());
    }
}

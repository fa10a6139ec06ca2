//! What a container or a command wrote, from frames or raw: pieces, lent from one buffer.
//!
//! Where frames should be there may be words: an Engine's `exec failed`, a proxy's page. They are never taken for output.

use std::fmt;
use std::ops::Range;

use super::types::cut;
use super::{BadFrame, Call, Decoder, Error, Stream};

/// Read at a time, at first: most are silent.
const SMALL: usize = 2 * 1024;
/// Read at a time, once so much comes.
const LARGE: usize = 128 * 1024;

/// A piece of what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Whose bytes these are. With a terminal all are standard output. [`Stream::System`]: the Engine's own words.
    pub stream: Stream,
    /// The bytes.
    pub bytes: &'a [u8],
    /// Whether a frame begins here. With a terminal never: there are none.
    pub first: bool,
    /// Whether a frame ends here.
    pub last: bool,
}

/// Pieces on their way.
pub(super) struct Pieces {
    /// For errors.
    call: Call,
    /// `None`: raw.
    decoder: Option<Decoder>,
    /// Whose raw bytes are.
    raw: Stream,
    /// Whether words in the place of the first frame are pieces, too, and no error.
    takes_words: bool,
    /// Whether a frame has come.
    framed: bool,
    /// The first words, where a header should have been.
    words: Vec<u8>,
    buffer: Vec<u8>,
    /// Where in the buffer the last read's bytes are. Those of the body lie between what framed its chunks, and are not moved.
    parts: Vec<Range<usize>>,
    /// How many of the parts are lent out whole, and what is left of the one that is being lent.
    lent: usize,
    part: Range<usize>,
}

impl Pieces {
    /// Whether there are frames depends on the terminal alone: the content type of some Engines says otherwise.
    pub(super) fn new(call: Call, tty: bool) -> Self {
        let decoder = (!tty).then(Decoder::default);
        Self {
            call,
            decoder,
            raw: Stream::Stdout,
            takes_words: false,
            framed: false,
            words: Vec::new(),
            buffer: vec![0; SMALL],
            parts: Vec::new(),
            lent: 0,
            part: 0..0,
        }
    }

    /// The same, where words in the place of all frames are pieces of [`Stream::System`].
    pub(super) fn with_words(mut self) -> Self {
        self.takes_words = true;
        self
    }

    /// Lends the next piece; `read` waits for more bytes, and says where in the buffer they are: nowhere, at their end.
    pub(super) fn next(
        &mut self,
        mut read: impl FnMut(&mut [u8], &mut Vec<Range<usize>>) -> Result<(), Error>,
    ) -> Result<Option<Piece<'_>>, Error> {
        loop {
            match self.buffered() {
                Ok(None) => {}
                Ok(Some(Found { stream, bytes, first, last })) => {
                    self.framed = true;
                    return Ok(Some(Piece { stream, bytes: &self.buffer[bytes], first, last }));
                }
                Err(bad @ BadFrame::Header(header)) => return self.unframed(&header, bad),
                Err(bad) => return Err(Error::bad_frame(&self.call, bad)),
            }
            let filled = self.parts.last().map_or(0, |part| part.end);
            if filled > self.buffer.len() / 2 && self.buffer.len() < LARGE {
                // The last read filled it, or nearly so: there is more where that came from.
                self.buffer = vec![0; (self.buffer.len() * 4).min(LARGE)];
            }
            (self.lent, self.part) = (0, 0..0);
            self.parts.clear();
            read(&mut self.buffer, &mut self.parts)?;
            if self.parts.is_empty() {
                let Some(Err(bad)) = self.decoder.as_ref().map(Decoder::end) else { return Ok(None) };
                return match self.decoder.as_ref().and_then(Decoder::no_header).map(<[u8]>::to_vec) {
                    Some(begin) => self.unframed(&begin, bad),
                    None => Err(Error::bad_frame(&self.call, bad)),
                };
            }
        }
    }

    /// What `begin`, in a header's place, is: words, or else what `bad` says.
    fn unframed(&mut self, begin: &[u8], bad: BadFrame) -> Result<Option<Piece<'_>>, Error> {
        if !begin.iter().all(|byte| matches!(byte, b' '..=b'~' | 0x80.. | b'\t' | b'\n' | b'\r' | 0x1b)) {
            return Err(Error::bad_frame(&self.call, bad));
        }
        self.words = begin.to_vec();
        if self.takes_words && !self.framed {
            (self.decoder, self.raw) = (None, Stream::System);
            return Ok(Some(Piece { stream: self.raw, bytes: &self.words, first: false, last: false }));
        }
        // Those that are here: who holds the connection may never say more.
        for part in std::iter::once(&self.part).chain(self.parts.iter().skip(self.lent)) {
            self.words.extend_from_slice(&self.buffer[part.clone()]);
        }
        let words = cut(String::from_utf8_lossy(&self.words).trim()).into_owned();
        Err(Error::Protocol { call: Box::new(self.call.clone()), source: Box::new(Words(words)) })
    }

    /// Whether the next piece is here already. (No, too, where it is an empty one at the end of what is here.)
    pub(super) fn is_buffered(&self) -> bool {
        let needed = self.decoder.as_ref().map_or(1, Decoder::needed);
        let mut here = self.part.len();
        for part in self.parts.iter().skip(self.lent) {
            if here >= needed {
                break;
            }
            here += part.len();
        }
        here >= needed
    }

    /// Finds the next piece in the buffer.
    fn buffered(&mut self) -> Result<Option<Found>, BadFrame> {
        loop {
            if self.part.is_empty() {
                let Some(part) = self.parts.get(self.lent) else { return Ok(None) };
                (self.lent, self.part) = (self.lent + 1, part.clone());
            }
            let Some(decoder) = &mut self.decoder else {
                let bytes = std::mem::replace(&mut self.part, 0..0);
                return Ok(Some(Found { stream: self.raw, bytes, first: false, last: false }));
            };
            let mut input = &self.buffer[self.part.clone()];
            let next = decoder.next(&mut input).map(|frame| frame.map(|f| (f.stream, f.bytes.len(), f.first, f.last)));
            let end = self.part.end - input.len();
            self.part.start = end;
            if let Some((stream, length, first, last)) = next? {
                return Ok(Some(Found { stream, bytes: end - length..end, first, last }));
            }
        }
    }
}

/// Words in the place of a frame.
#[derive(Debug)]
struct Words(String);

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "words in the place of a frame: {}", self.0)
    }
}

impl std::error::Error for Words {}

/// A [`Piece`] by its place in the buffer.
struct Found {
    stream: Stream,
    bytes: Range<usize>,
    first: bool,
    last: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces of what lies in a buffer in parts, with other bytes between them.
    fn pieces(body: &[u8], tty: bool, size: usize, gap: usize) -> Vec<(Vec<u8>, bool)> {
        let mut rest = body.chunks(size);
        let mut pieces = Pieces::new(Call::for_test("container_logs"), tty);
        let mut seen = Vec::new();
        loop {
            let (is_buffered, mut was_read) = (pieces.is_buffered(), false);
            let next = pieces.next(|buffer, parts| {
                was_read = true;
                buffer.fill(b'?');
                let mut at = gap;
                for part in rest.by_ref().take(3) {
                    buffer[at..at + part.len()].copy_from_slice(part);
                    parts.push(at..at + part.len());
                    at += part.len() + gap;
                }
                Ok(())
            });
            let Some(piece) = next.unwrap() else { return seen };
            let piece = (piece.bytes.to_vec(), piece.last);
            assert!(!(is_buffered && was_read), "it was here");
            seen.push(piece);
        }
    }

    #[test]
    fn words_in_the_place_of_frames() {
        let frame = b"\x01\0\0\0\0\0\0\x03out";
        let framed = [frame, &b"words in the midst"[..]].concat();
        let long = "x".repeat(5_000);
        let all = |body: &[u8], size: usize, takes_words: bool| {
            let pieces = Pieces::new(Call::for_test("exec_start"), false);
            let mut pieces = if takes_words { pieces.with_words() } else { pieces };
            let (mut rest, mut system) = (body.chunks(size), Vec::new());
            loop {
                let next = pieces.next(|buffer, parts| {
                    let part = rest.next().unwrap_or_default();
                    buffer[..part.len()].copy_from_slice(part);
                    parts.extend((!part.is_empty()).then_some(0..part.len()));
                    Ok(())
                });
                match next {
                    Ok(Some(piece)) if piece.stream == Stream::System => system.extend_from_slice(piece.bytes),
                    Ok(Some(_)) => {}
                    Ok(None) => return Ok(system),
                    Err(Error::Protocol { source, .. }) => return Err(source.to_string()),
                    Err(e) => panic!("{e}"),
                }
            }
        };
        for size in [1, 3, 8, 9, 1000] {
            for words in ["exec failed: no such file\r\n", "<html>Bad Gateway</html>", "no", "é", &long] {
                assert_eq!(all(words.as_bytes(), size, true).unwrap(), words.as_bytes(), "{words} by {size}");
                // As much of them as has come by then.
                let error = all(words.as_bytes(), size, false).unwrap_err();
                let (_, shown) = error.split_once("words in the place of a frame: ").expect(&error);
                let shown = shown.trim_end_matches(" …");
                assert!(words.starts_with(shown) && shown.len() >= words.trim().len().min(7), "{error}");
                assert!(error.len() < 2_100, "{words} by {size}: {}", error.len());
            }
            for takes_words in [false, true] {
                // What follows output could be some of it.
                let error = all(&framed, size, takes_words).unwrap_err();
                assert!(error.contains("frame: words in"), "{error}");
                let error = all(b"\x01\x01\0\0\0\0\0\x01x", size, takes_words).unwrap_err();
                assert!(error.contains("no frame begins"), "{error}");
                let error = all(&frame[..9], size, takes_words).unwrap_err();
                assert!(error.contains("ended within a frame"), "{error}");
            }
        }
    }

    #[test]
    fn parts_of_a_buffer_are_lent_where_they_lie() {
        let frames = b"\x01\0\0\0\0\0\0\x06hello\n\x02\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\x03bye";
        for size in [1, 2, 7, 8, 9, 14, 100] {
            for gap in [0, 1, 6] {
                let mut whole = vec![Vec::new()];
                for (bytes, last) in pieces(frames, false, size, gap) {
                    whole.last_mut().unwrap().extend(bytes);
                    if last {
                        whole.push(Vec::new());
                    }
                }
                assert_eq!(whole, [&b"hello\n"[..], b"", b"bye", b""], "in parts of {size}, {gap} apart");
                let raw: Vec<u8> = pieces(frames, true, size, gap).into_iter().flat_map(|(bytes, _)| bytes).collect();
                assert_eq!(raw, frames, "raw, in parts of {size}, {gap} apart");
            }
        }
    }
}

//! Multiplexed frames: how an Engine sends two streams over one connection. Bytes in, pieces lent out; no I/O.
//!
//! A frame is a header of eight bytes (the stream, three zeros, the payload's length as big-endian u32) and its payload.
//! A payload is handed out in pieces as it comes, so no length in a header makes us buffer anything.

use std::fmt;

const HEADER: usize = 8;

/// Which stream of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output. With a terminal, all of it.
    Stdout,
    /// Standard error.
    Stderr,
    /// The Engine's own error, in the midst of the stream.
    System,
}

/// A piece of a frame's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Whose bytes these are.
    pub stream: Stream,
    /// The piece.
    pub bytes: &'a [u8],
    /// Whether it is the first piece of its frame.
    pub first: bool,
    /// Whether it is the last one.
    pub last: bool,
}

/// What came is no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadFrame {
    /// No stream has such a number, or the header's padding is not zero: what comes is not multiplexed.
    Header([u8; HEADER]),
    /// The input ended within a frame.
    Cut,
}

impl fmt::Display for BadFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(bytes) => write!(f, "no frame begins with the bytes {bytes:02x?}"),
            Self::Cut => f.write_str("the stream ended within a frame"),
        }
    }
}

impl std::error::Error for BadFrame {}

/// Takes frames off a stream of bytes.
///
/// ```
/// use longshore::engine::{Decoder, Stream};
/// let mut decoder = Decoder::default();
/// let mut input = &b"\x01\0\0\0\0\0\0\x03hi\n"[..];
/// let frame = decoder.next(&mut input).unwrap().unwrap();
/// assert_eq!((frame.stream, frame.bytes, frame.last), (Stream::Stdout, &b"hi\n"[..], true));
/// ```
#[derive(Debug, Default)]
pub struct Decoder {
    header: [u8; HEADER],
    header_len: usize,
    /// The frame that is coming: its stream, how much of its payload is still to come, and whether any has come.
    current: Option<(Stream, u32, bool)>,
}

impl Decoder {
    /// Takes the next piece off the front of `input`. `None`: it is used up, feed more. An empty frame is an empty piece.
    ///
    /// # Errors
    /// [`BadFrame::Header`]. What follows it cannot be understood.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Frame<'a>>, BadFrame> {
        let (stream, left, begun) = match self.current {
            Some(current) => current,
            None => match self.take_header(input)? {
                Some((stream, length)) => (stream, length, false),
                None => return Ok(None),
            },
        };
        if input.is_empty() && left > 0 {
            self.current = Some((stream, left, begun));
            return Ok(None);
        }
        let take = input.len().min(left as usize);
        let (bytes, rest) = input.split_at(take);
        *input = rest;
        let left = left - take as u32;
        self.current = (left > 0).then_some((stream, left, true));
        Ok(Some(Frame { stream, bytes, first: !begun, last: left == 0 }))
    }

    /// How many bytes it takes to make a piece of them, for certain.
    pub(super) fn needed(&self) -> usize {
        if self.current.is_some() { 1 } else { HEADER - self.header_len + 1 }
    }

    /// Says whether the input may end here.
    ///
    /// # Errors
    /// [`BadFrame::Cut`].
    pub fn end(&self) -> Result<(), BadFrame> {
        if self.header_len == 0 && self.current.is_none() { Ok(()) } else { Err(BadFrame::Cut) }
    }

    /// What has come of a header, where that can be none.
    pub(super) fn no_header(&self) -> Option<&[u8]> {
        let held = &self.header[..self.header_len];
        let (stream, padding) = held.split_first()?;
        let is_none = *stream > 3 || padding.iter().take(3).any(|byte| *byte != 0);
        is_none.then_some(held)
    }

    fn take_header(&mut self, input: &mut &[u8]) -> Result<Option<(Stream, u32)>, BadFrame> {
        let header = match input.split_first_chunk() {
            Some((header, rest)) if self.header_len == 0 => {
                *input = rest;
                *header
            }
            _ => {
                let take = input.len().min(HEADER - self.header_len);
                let (bytes, rest) = input.split_at(take);
                self.header[self.header_len..self.header_len + take].copy_from_slice(bytes);
                self.header_len += take;
                *input = rest;
                if self.header_len < HEADER {
                    return Ok(None);
                }
                self.header_len = 0;
                self.header
            }
        };
        let [stream, a, b, c, length @ ..] = header;
        let stream = match stream {
            // 0 is standard input, which an Engine writes where it means standard output.
            0 | 1 => Stream::Stdout,
            2 => Stream::Stderr,
            3 => Stream::System,
            _ => return Err(BadFrame::Header(header)),
        };
        if [a, b, c] != [0; 3] {
            return Err(BadFrame::Header(header));
        }
        Ok(Some((stream, u32::from_be_bytes(length))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: &[u8] = b"\x01\0\0\0\0\0\0\x03hi\n\x02\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\x05oh no\x00\0\0\0\0\0\0\x01x";

    /// Everything in the input, pieces of one frame joined.
    fn whole(chunks: &[&[u8]]) -> Vec<(Stream, Vec<u8>)> {
        let (mut decoder, mut frames) = (Decoder::default(), Vec::new());
        for mut chunk in chunks.iter().copied() {
            while let Some(frame) = decoder.next(&mut chunk).expect("frame") {
                if frame.first {
                    frames.push((frame.stream, Vec::new()));
                }
                frames.last_mut().expect("begun").1.extend_from_slice(frame.bytes);
            }
            assert!(chunk.is_empty());
        }
        decoder.end().expect("whole");
        frames
    }

    #[test]
    fn frames_survive_any_cut() {
        let want =
            [(Stream::Stdout, &b"hi\n"[..]), (Stream::Stderr, b""), (Stream::Stderr, b"oh no"), (Stream::Stdout, b"x")]
                .map(|(s, b)| (s, b.to_vec()));
        assert_eq!(whole(&[THREE]), want);
        assert_eq!(whole(&THREE.chunks(1).collect::<Vec<_>>()), want, "byte for byte");
        for cut in 0..THREE.len() {
            assert_eq!(whole(&[&THREE[..cut], &THREE[cut..]]), want, "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_frame() {
        for input in [&b"hello world"[..], b"\x04\0\0\0\0\0\0\x01x", b"\x01\x01\0\0\0\0\0\x01x", b"{\"message\":\"x\"}"]
        {
            assert!(matches!(Decoder::default().next(&mut &input[..]), Err(BadFrame::Header(_))), "{input:?}");
        }
    }

    #[test]
    fn an_end_within_a_frame_is_told() {
        for (name, input) in [("header", &THREE[..5]), ("before the payload", &THREE[..8]), ("payload", &THREE[..9])] {
            let (mut decoder, mut rest) = (Decoder::default(), input);
            while decoder.next(&mut rest).expect("frame").is_some() {}
            assert_eq!(decoder.end(), Err(BadFrame::Cut), "cut in {name}");
        }
    }

    #[test]
    fn a_huge_length_buffers_nothing() {
        let (mut decoder, mut input) = (Decoder::default(), &b"\x01\0\0\0\xff\xff\xff\xffab"[..]);
        let frame = decoder.next(&mut input).expect("frame").expect("piece");
        assert_eq!((frame.bytes, frame.first, frame.last), (&b"ab"[..], true, false));
    }
}

//! What a container or a command wrote, from frames or raw: pieces, lent from one buffer.

use std::ops::Range;

use super::{BadFrame, Call, Decoder, Error, Stream};

/// Read at a time, at first: most are silent.
const SMALL: usize = 2 * 1024;
/// Read at a time, once so much comes.
const LARGE: usize = 128 * 1024;

/// A piece of what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Whose bytes these are. With a terminal all are standard output.
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
    buffer: Vec<u8>,
    /// What of the buffer is not lent out yet.
    start: usize,
    end: usize,
}

impl Pieces {
    /// Whether there are frames depends on the terminal alone: the content type of some Engines says otherwise.
    pub(super) fn new(call: Call, tty: bool) -> Self {
        Self { call, decoder: (!tty).then(Decoder::default), buffer: vec![0; SMALL], start: 0, end: 0 }
    }

    /// Lends the next piece; `read` waits for more bytes, and gives 0 at their end.
    pub(super) fn next(
        &mut self,
        mut read: impl FnMut(&mut [u8]) -> Result<usize, Error>,
    ) -> Result<Option<Piece<'_>>, Error> {
        loop {
            if let Some(Found { stream, bytes, first, last }) =
                self.buffered().map_err(|bad| Error::bad_frame(&self.call, bad))?
            {
                return Ok(Some(Piece { stream, bytes: &self.buffer[bytes], first, last }));
            }
            if self.end > self.buffer.len() / 2 && self.buffer.len() < LARGE {
                // The last read filled it, or nearly so (what framed its chunks is gone): there is more where that came from.
                self.buffer = vec![0; (self.buffer.len() * 4).min(LARGE)];
            }
            match read(&mut self.buffer)? {
                0 => {
                    let ended = self.decoder.as_ref().map_or(Ok(()), Decoder::end);
                    return ended.map(|()| None).map_err(|bad| Error::bad_frame(&self.call, bad));
                }
                n => (self.start, self.end) = (0, n),
            }
        }
    }

    /// Whether the next piece is here already.
    pub(super) fn is_buffered(&self) -> bool {
        self.start < self.end
    }

    /// Finds the next piece in the buffer.
    fn buffered(&mut self) -> Result<Option<Found>, BadFrame> {
        let mut input = &self.buffer[self.start..self.end];
        let Some(decoder) = &mut self.decoder else {
            let bytes = self.start..self.end;
            self.start = self.end;
            let found = Found { stream: Stream::Stdout, bytes, first: false, last: false };
            return Ok((!found.bytes.is_empty()).then_some(found));
        };
        let next = decoder.next(&mut input).map(|frame| frame.map(|f| (f.stream, f.bytes.len(), f.first, f.last)));
        self.start = self.end - input.len();
        let end = self.start;
        Ok(next?.map(|(stream, length, first, last)| Found { stream, bytes: end - length..end, first, last }))
    }
}

/// A [`Piece`] by its place in the buffer.
struct Found {
    stream: Stream,
    bytes: Range<usize>,
    first: bool,
    last: bool,
}

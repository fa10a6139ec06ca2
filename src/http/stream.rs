//! The body of a long answer, read as it comes.
//!
//! A chunked one, as nearly all are, is read from the socket itself: ureq takes a small chunk apart at the price of a large one,
//! and a log has a chunk a line. All others are ureq's.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Arc, PoisonError, Weak};

use ureq::http;
use ureq::http::header::TRANSFER_ENCODING;

use super::chunks::{BadChunk, Chunks};
use super::exchange::{hung_up, refusal, sort};
use super::transport::Handover;
use super::{Error, Reply, Socket};
use crate::threads::{Cut, Hangup, Registration};

/// An answer whose body is still coming. Dropping it closes its connection, unread or not.
pub(crate) struct Stream {
    parts: http::response::Parts,
    body: Body,
    hangup: Hangup,
}

/// Where the body comes from.
enum Body {
    Ureq(Box<ureq::BodyReader<'static>>),
    Chunked(Chunked),
}

/// A chunked body on its socket.
struct Chunked {
    socket: Arc<Socket>,
    _registration: Registration,
    /// What came with the head.
    early: Vec<u8>,
    chunks: Chunks,
}

impl Stream {
    pub(super) fn new(response: http::Response<ureq::Body>, hangup: Hangup) -> Self {
        let (parts, body) = response.into_parts();
        Self { parts, body: Body::Ureq(Box::new(body.into_reader())), hangup }
    }

    /// The same, on the socket itself where that can be.
    pub(super) fn on_socket(
        response: http::Response<ureq::Body>,
        handover: &Handover,
        hangup: &Hangup,
    ) -> Result<Self, Error> {
        let coding = response.headers().get(TRANSFER_ENCODING);
        let is_chunked = coding.is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
        let socket = handover.socket.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(socket) = socket.filter(|_| is_chunked && response.status().is_success()) else {
            return Ok(Self::new(response, hangup.clone()));
        };
        // Registered once more before ureq lets go of it: there is no moment in which a hang-up would miss it.
        let weak: Weak<Socket> = Arc::downgrade(&socket);
        let registration = hangup.register(weak as Weak<dyn Cut>).map_err(|_| Error::HungUp)?;
        let (parts, body) = response.into_parts();
        drop(body);
        let early = std::mem::take(&mut *handover.early.lock().unwrap_or_else(PoisonError::into_inner));
        // ureq may have left a timeout on it.
        socket.set_read_timeout(None).map_err(|source| Error::Disconnected { source, unsent: false })?;
        let chunked = Chunked { socket, _registration: registration, early, chunks: Chunks::new() };
        Ok(Self { parts, body: Body::Chunked(chunked), hangup: hangup.clone() })
    }

    pub(crate) fn status(&self) -> u16 {
        self.parts.status.as_u16()
    }

    /// Reads what has come, at most `buf`; 0 is the end of the body as its sender meant it.
    pub(crate) fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        let read = match &mut self.body {
            Body::Chunked(chunked) => chunked.read(buf),
            Body::Ureq(body) => read_on(&mut **body, buf).map_err(|e| sort(ureq::Error::Io(e))),
        };
        match read {
            // A cut socket reads like a body that ends by close.
            Ok(0) if self.hangup.is_hung_up() => Err(Error::HungUp),
            Ok(n) => Ok(n),
            Err(e) => Err(hung_up(Some(&self.hangup), e)),
        }
    }

    /// Reads what has come, and leaves it where it lies: adds to `parts` where in `buf` bytes of the body are. None: its end,
    /// as its sender meant it.
    pub(crate) fn read_parts(&mut self, buf: &mut [u8], parts: &mut Vec<Range<usize>>) -> Result<(), Error> {
        if let Body::Chunked(chunked) = &mut self.body {
            let before = parts.len();
            let read = chunked.read_parts(buf, parts);
            return match read {
                Ok(()) if parts.len() == before && self.hangup.is_hung_up() => Err(Error::HungUp),
                read => read.map_err(|e| hung_up(Some(&self.hangup), e)),
            };
        }
        let length = self.read(buf)?;
        parts.extend((length > 0).then_some(0..length));
        Ok(())
    }

    /// Takes a refusal, with as much of its body as comes within a refusal's bounds.
    pub(crate) fn into_refusal(self) -> Result<Reply, Error> {
        let body = match self.body {
            Body::Ureq(mut body) => refusal(&mut body),
            Body::Chunked(_) => Vec::new(),
        };
        if self.hangup.is_hung_up() {
            return Err(Error::HungUp);
        }
        Ok(Reply { status: self.parts.status.as_u16(), headers: self.parts.headers, body })
    }
}

impl Chunked {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        while let Some(length) = self.fill(buf)? {
            let data = self.chunks.take(&mut buf[..length]).map_err(bad)?;
            if data > 0 {
                return Ok(data);
            }
        }
        Ok(0)
    }

    fn read_parts(&mut self, buf: &mut [u8], parts: &mut Vec<Range<usize>>) -> Result<(), Error> {
        let before = parts.len();
        while let Some(length) = self.fill(buf)? {
            self.chunks.find(&buf[..length], parts).map_err(bad)?;
            if parts.len() > before {
                break;
            }
        }
        Ok(())
    }

    /// Reads what comes next, chunks and what frames them. `None`: the body has ended.
    fn fill(&mut self, buf: &mut [u8]) -> Result<Option<usize>, Error> {
        if self.chunks.is_ended() || buf.is_empty() {
            return Ok(None);
        }
        let read = match self.early.len().min(buf.len()) {
            0 => read_on(&mut &*self.socket, buf),
            early => {
                buf[..early].copy_from_slice(&self.early[..early]);
                self.early.drain(..early);
                if self.early.is_empty() {
                    self.early = Vec::new();
                }
                Ok(early)
            }
        };
        let cut = |source| Error::Disconnected { source, unsent: false };
        match read.map_err(cut)? {
            0 => Err(cut(io::ErrorKind::UnexpectedEof.into())),
            length => Ok(Some(length)),
        }
    }
}

fn bad(bad: BadChunk) -> Error {
    Error::Protocol(Box::new(bad))
}

fn read_on(from: &mut impl Read, buf: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(buf) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

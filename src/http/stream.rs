//! The body of a long answer, read as it comes.

use std::io::{self, Read};

use ureq::http;

use super::exchange::{hung_up, sort};
use super::{Error, Reply};
use crate::threads::Hangup;

/// Of an error's body no more than this is taken.
const LARGEST_ERROR: u64 = 64 * 1024;

/// An answer whose body is still coming. Dropping it closes its connection, unread or not.
pub(crate) struct Stream {
    parts: http::response::Parts,
    body: ureq::BodyReader<'static>,
    hangup: Hangup,
}

impl Stream {
    pub(super) fn new(response: http::Response<ureq::Body>, hangup: Hangup) -> Self {
        let (parts, body) = response.into_parts();
        Self { parts, body: body.into_reader(), hangup }
    }

    pub(crate) fn status(&self) -> u16 {
        self.parts.status.as_u16()
    }

    /// Reads what has come, at most `buf`; 0 is the end of the body as its sender meant it.
    pub(crate) fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        loop {
            match self.body.read(buf) {
                Ok(n) => {
                    // A cut socket reads like a body that ends by close.
                    return if n == 0 && self.hangup.is_hung_up() { Err(Error::HungUp) } else { Ok(n) };
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(hung_up(Some(&self.hangup), sort(ureq::Error::Io(e)))),
            }
        }
    }

    /// Takes the rest of a short answer whole: an error's body.
    pub(crate) fn into_reply(mut self) -> Result<Reply, Error> {
        let mut body = Vec::new();
        let read = (&mut self.body).take(LARGEST_ERROR).read_to_end(&mut body);
        read.map_err(|e| hung_up(Some(&self.hangup), sort(ureq::Error::Io(e))))?;
        Ok(Reply { status: self.parts.status.as_u16(), headers: self.parts.headers, body })
    }
}

//! A connection that is no longer HTTP: read by whoever called, written by whoever has its [`Sender`].

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, PoisonError, Weak};

use ureq::{Agent, http};

use super::exchange::hung_up;
use super::transport::Handover;
use super::{Error, Reply, Socket, Stream};
use crate::threads::{Cut, Hangup, Registration};

/// A connection in both directions. Dropping it ends it, whoever still writes.
pub(crate) struct Duplex {
    status: u16,
    source: Source,
    socket: Ends,
    hangup: Hangup,
}

/// Ends its socket when it goes, whoever else has it.
struct Ends(Arc<Socket>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.cut();
    }
}

/// Where its bytes come from.
enum Source {
    /// After a 101: the socket, once what came with the head is used up.
    Raw { early: Vec<u8>, taken: usize, _registration: Registration },
    /// After a 200: a body that ends with the connection.
    Body(Box<Stream>),
}

impl Duplex {
    pub(super) fn new(
        response: http::Response<ureq::Body>,
        agent: Agent,
        handover: &Handover,
        hangup: &Hangup,
    ) -> Result<Self, Error> {
        let lost = || Error::Disconnected { source: io::ErrorKind::NotConnected.into(), unsent: false };
        let socket = handover.socket.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(lost)?;
        let status = response.status().as_u16();
        let source = if status == 101 {
            // Registered once more before ureq lets go of it: there is no moment in which a hang-up would miss it.
            let weak: Weak<Socket> = Arc::downgrade(&socket);
            let registration = hangup.register(weak as Weak<dyn Cut>).map_err(|_| Error::HungUp)?;
            drop(response);
            drop(agent);
            let early = std::mem::take(&mut *handover.early.lock().unwrap_or_else(PoisonError::into_inner));
            // ureq may have left a timeout on it.
            socket
                .set_read_timeout(None)
                .and_then(|()| socket.set_write_timeout(None))
                .map_err(|source| Error::Disconnected { source, unsent: false })?;
            Source::Raw { early, taken: 0, _registration: registration }
        } else {
            Source::Body(Box::new(Stream::new(response, hangup.clone())))
        };
        Ok(Self { status, source, socket: Ends(socket), hangup: hangup.clone() })
    }

    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// Reads what has come, at most `buf`; 0 is the end.
    pub(crate) fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        match &mut self.source {
            Source::Body(stream) => stream.read(buf),
            Source::Raw { early, taken, .. } if *taken < early.len() => {
                let n = buf.len().min(early.len() - *taken);
                buf[..n].copy_from_slice(&early[*taken..*taken + n]);
                *taken += n;
                Ok(n)
            }
            Source::Raw { .. } => loop {
                match (&*self.socket.0).read(buf) {
                    // A cut socket reads like one that has ended.
                    Ok(0) if self.hangup.is_hung_up() => return Err(Error::HungUp),
                    Ok(n) => return Ok(n),
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(source) => {
                        return Err(hung_up(Some(&self.hangup), Error::Disconnected { source, unsent: false }));
                    }
                }
            },
        }
    }

    /// What writes to it, from any thread.
    pub(crate) fn sender(&self) -> Sender {
        Sender { socket: self.socket.0.clone() }
    }

    /// Takes a refusal, as [`Stream::into_refusal`] does.
    pub(crate) fn into_refusal(self) -> Result<Reply, Error> {
        match self.source {
            Source::Body(stream) => stream.into_refusal(),
            Source::Raw { .. } => Ok(Reply { status: self.status, headers: http::HeaderMap::new(), body: Vec::new() }),
        }
    }
}

/// Writes to a [`Duplex`].
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    socket: Arc<Socket>,
}

impl Sender {
    /// Says that this was all; the other direction goes on.
    pub(crate) fn end(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }
}

impl Write for Sender {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self.socket).write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

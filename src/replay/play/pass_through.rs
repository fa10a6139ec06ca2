//! What a recording does not have is asked of the real Engine, and recorded: one request at a time.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};

use rustix::event::{PollFd, PollFlags};

use crate::http::{Endpoint, Socket};
use crate::replay::har::exchange::End;
use crate::replay::http::server::{lock, under};
use crate::replay::http::spool::Log;
use crate::replay::http::wire::{self, Framing, Head};
use crate::replay::record::capture::Tape;
use crate::replay::record::proxy::{connect, pass};
use crate::replay::record::recorder::Recorder;
use crate::threads::Hangup;

/// The real Engine behind a recording.
pub(in crate::replay) struct Onward {
    pub(in crate::replay) endpoint: Endpoint,
    pub(in crate::replay) recorder: Arc<Recorder>,
}

impl Onward {
    /// A connection to the Engine.
    pub(in crate::replay) fn connect(&self, hangup: &Hangup) -> io::Result<Arc<Socket>> {
        connect(&self.endpoint, hangup).map(Arc::new)
    }

    /// Asks the Engine, and passes on what it says. `early` came after the request. Gives whether the client's connection
    /// may have another request.
    pub(in crate::replay) fn ask(
        &self,
        client: &Arc<Socket>,
        engine: Arc<Socket>,
        head: &Head,
        body: &Log,
        early: &[u8],
        hangup: &Hangup,
    ) -> io::Result<bool> {
        let _registration = under(hangup, &engine).map_err(|_| io::Error::from(io::ErrorKind::ConnectionAborted))?;
        let tape = Mutex::new(Tape::new(&self.recorder));
        let send = |bytes: &[u8]| -> io::Result<()> {
            lock(&tape).client(bytes);
            (&*engine).write_all(bytes)
        };
        send(&text(head))?;
        let chunked = Framing::of_request(head) == Ok(Framing::Chunked);
        let (mut from, mut buf) = (body.reader(), vec![0; 64 * 1024]);
        loop {
            match from.read(&mut buf)? {
                0 => break,
                n if chunked => send(&[format!("{n:x}\r\n").as_bytes(), &buf[..n], b"\r\n"].concat())?,
                n => send(&buf[..n])?,
            }
        }
        if chunked {
            send(b"0\r\n\r\n")?;
        }
        let upgrades = {
            let (_, target) = head.request_line().map_err(io::Error::other)?;
            let path = target.split('?').next().unwrap_or_default();
            wire::header(&head.headers, "upgrade").is_some()
                || path.ends_with("/attach")
                || path.contains("/exec/") && path.ends_with("/start")
        };
        if upgrades {
            if !early.is_empty() {
                send(early)?;
            }
            pass(client, engine, &tape, hangup);
            return Ok(false);
        }
        loop {
            if !speaks(&engine, client)? {
                lock(&tape).end(if hangup.is_hung_up() { End::Open } else { End::Left });
                return Ok(false);
            }
            match (&*engine).read(&mut buf)? {
                0 => {
                    lock(&tape).end(if hangup.is_hung_up() { End::Open } else { End::Cut });
                    return Ok(false);
                }
                n => {
                    lock(&tape).engine(&buf[..n]);
                    if let Err(e) = (&**client).write_all(&buf[..n]) {
                        lock(&tape).end(End::Left);
                        return Err(e);
                    }
                }
            }
            if lock(&tape).is_idle() {
                return Ok(true);
            }
        }
    }
}

impl fmt::Debug for Onward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "on to {}", self.endpoint)
    }
}

/// Waits until the Engine has something to say. Not, where the client has left before.
fn speaks(engine: &Socket, client: &Socket) -> io::Result<bool> {
    loop {
        let mut fds = [PollFd::new(engine, PollFlags::IN), PollFd::new(client, PollFlags::empty())];
        match rustix::event::poll(&mut fds, None) {
            Ok(_) if !fds[0].revents().is_empty() => return Ok(true),
            Ok(_) if !fds[1].revents().is_empty() => return Ok(false),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// A head as it was, but for what has been answered already.
fn text(head: &Head) -> Vec<u8> {
    let mut text = format!("{}\r\n", head.start).into_bytes();
    for (name, value) in head.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("expect")) {
        text.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    text.extend_from_slice(b"\r\n");
    text
}

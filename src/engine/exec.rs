//! The API's section "Exec": commands started in a container that runs, and what is said with them.

use std::fmt;
use std::io::{self, Write};

use super::bounds::Bound;
use super::call::Part::{Fixed, Id};
use super::call::Upgraded;
use super::pieces::{Piece, Pieces};
use super::query::{Query, QueryString};
use super::types::{ExecCreate, ExecCreated, ExecInspect, ExecStart};
use super::{ApiVersion, Engine, Error};
use crate::http::{Buffers, Sender};
use crate::threads::Hangup;

/// The first version of the API that takes a terminal's first size.
const CONSOLE_SIZE: ApiVersion = ApiVersion::new(1, 42);

impl Engine {
    /// Prepares a command in a container that runs (`POST /containers/{id}/exec`). Nothing is started. A `console_size` goes
    /// out where the Engine knows it: with a terminal, from API 1.42 on.
    ///
    /// # Errors
    /// [`Error::is_not_found`]; [`Error::is_conflict`] where the container is paused or does not run (podman: 500).
    pub fn exec_create(&self, id: &str, body: &ExecCreate) -> Result<ExecCreated, Error> {
        let request = self.post("exec_create", &[Fixed("containers"), Id(id), Fixed("exec")]);
        let console_size = self.console_size(body.tty, body.console_size)?;
        let answer = request.json(&ExecCreate { console_size, ..body.clone() })?.send()?;
        answer.identified(|created: &ExecCreated| &created.id)
    }

    /// Starts a command, attached (`POST /exec/{id}/start`): gives what it writes, and takes what it is to read. There is no
    /// deadline; `hangup` ends the connection, and the command goes on: the API has no call that ends one. Of `body`,
    /// `detach` does not count, and `console_size` as for [`Engine::exec_create`].
    ///
    /// # Errors
    /// [`Error::is_not_found`]; [`Error::is_conflict`]: it was started before, or its container does not run (podman: 500).
    pub fn exec_start(&self, id: &str, body: &ExecStart, hangup: &Hangup) -> Result<Attached, Error> {
        let request = self.post("exec_start", &[Fixed("exec"), Id(id), Fixed("start")]);
        let console_size = self.console_size(body.tty, body.console_size)?;
        let body = ExecStart { detach: false, console_size, ..body.clone() };
        let upgraded = request.json(&body)?.upgrade(Buffers::LOGS, hangup)?;
        Ok(Attached { pieces: Pieces::new(upgraded.call().clone(), body.tty).with_words(), upgraded })
    }

    /// A terminal's first size as it may be sent: without a terminal Engines refuse one.
    fn console_size(&self, tty: bool, size: Option<[u32; 2]>) -> Result<Option<[u32; 2]>, Error> {
        match size.filter(|_| tty) {
            Some(size) => Ok((self.api_version()? >= CONSOLE_SIZE).then_some(size)),
            None => Ok(None),
        }
    }

    /// Starts a command that nobody listens to (`POST /exec/{id}/start` with `Detach`).
    ///
    /// # Errors
    /// Those of [`Engine::exec_start`].
    pub fn exec_start_detached(&self, id: &str) -> Result<(), Error> {
        let request = self.post("exec_start", &[Fixed("exec"), Id(id), Fixed("start")]);
        request.json(&ExecStart { detach: true, ..ExecStart::default() })?.send()?.done()
    }

    /// Whether a command runs, and its exit code (`GET /exec/{id}/json`).
    ///
    /// # Errors
    /// [`Error::is_not_found`]: also some time after its end (Docker forgets it after five minutes, podman sooner).
    pub fn exec_inspect(&self, id: &str) -> Result<ExecInspect, Error> {
        // The whole command is in it.
        self.get("exec_inspect", &[Fixed("exec"), Id(id), Fixed("json")]).bound(Bound::THING).send()?.json()
    }

    /// Gives a command's terminal a size (`POST /exec/{id}/resize`).
    ///
    /// # Errors
    /// [`Error::is_not_found`]; 500 where it does not run (yet).
    pub fn exec_resize(&self, id: &str, size: &ResizeQuery) -> Result<(), Error> {
        self.post("exec_resize", &[Fixed("exec"), Id(id), Fixed("resize")]).query(size).send()?.done()
    }
}

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResizeQuery {
    /// Rows.
    pub height: u16,
    /// Columns.
    pub width: u16,
}

impl Query for ResizeQuery {
    fn write(&self, to: &mut QueryString) {
        to.text("h", &self.height.to_string());
        to.text("w", &self.width.to_string());
    }
}

/// A command that one is attached to. Dropping it ends the connection, not the command.
pub struct Attached {
    upgraded: Upgraded,
    pieces: Pieces,
}

impl Attached {
    /// What the command reads: its standard input, from any thread.
    pub fn stdin(&self) -> Stdin {
        Stdin { sender: self.upgraded.sender() }
    }

    /// Waits for the next piece of what it writes, and lends it until the next call. `None`: the end of its output. Where words
    /// come in the place of all frames, as of an Engine that could not start the command, they are pieces of
    /// [`Stream::System`](super::Stream::System).
    ///
    /// # Errors
    /// [`Error::Protocol`] for bytes that are no frames, or that end within one; [`Error::HungUp`]; what can happen to a connection.
    pub fn next_piece(&mut self) -> Result<Option<Piece<'_>>, Error> {
        let Self { upgraded, pieces } = self;
        pieces.next(|buffer, parts| upgraded.read_parts(buffer, parts))
    }
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attached").field("call", self.upgraded.call()).finish_non_exhaustive()
    }
}

/// A command's standard input. Dropping it leaves it open: say [`Stdin::close`] where this was all.
#[derive(Debug, Clone)]
pub struct Stdin {
    sender: Sender,
}

impl Stdin {
    /// Says that this was all: the command reads an end. What it writes goes on.
    ///
    /// # Errors
    /// The connection has ended.
    pub fn close(&self) -> io::Result<()> {
        self.sender.end()
    }
}

impl Write for Stdin {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.sender.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sender.flush()
    }
}

//! A container's logs (`GET /containers/{id}/logs`): pieces of frames, or of a terminal's raw bytes, lent from one buffer.

use std::fmt;

use super::call::Part::{Fixed, Id};
use super::call::Streamed;
use super::pieces::{Piece, Pieces};
use super::query::{Query, QueryString};
use super::{Engine, Error};
use crate::http::Buffers;
use crate::threads::Hangup;

impl Engine {
    /// A container's logs (`GET /containers/{id}/logs`), as `query` asks. With `follow` they end with the container;
    /// `hangup` ends them sooner. Whether they come in frames depends on the container alone: say [`LogsQuery::tty`]
    /// where it has a terminal (the answer's content type is no guide).
    ///
    /// # Errors
    /// [`Error::is_not_found`]; 500 or 501 where its log driver keeps nothing that can be read.
    pub fn container_logs(&self, id: &str, query: &LogsQuery, hangup: &Hangup) -> Result<Logs, Error> {
        let request = self.get("container_logs", &[Fixed("containers"), Id(id), Fixed("logs")]);
        let streamed = request.query(query).stream(if query.follow { Buffers::WAIT } else { Buffers::LOGS }, hangup)?;
        Ok(Logs { pieces: Pieces::new(streamed.call().clone(), query.tty), streamed })
    }
}

/// Which logs. By default both streams, all that the Engine holds, without stamps, then the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogsQuery {
    /// Whether what is written from now on comes too, until the container ends.
    pub follow: bool,
    /// Whether standard output is wanted.
    pub stdout: bool,
    /// Whether standard error is wanted.
    pub stderr: bool,
    /// From this moment on, itself included: seconds since 1970, with up to nine digits after a point. Empty: from the start.
    pub since: String,
    /// Up to this moment. Empty: to the end.
    pub until: String,
    /// Whether each record begins with its time and a blank.
    pub timestamps: bool,
    /// Whether the labels and variables that the log driver was told to record stand before each record.
    pub details: bool,
    /// Only the last so many lines.
    pub tail: Option<u64>,
    /// Whether the container has a terminal: its logs come raw then, and not in frames. Not a parameter of the request.
    pub tty: bool,
}

impl Default for LogsQuery {
    fn default() -> Self {
        Self {
            follow: false,
            stdout: true,
            stderr: true,
            since: String::new(),
            until: String::new(),
            timestamps: false,
            details: false,
            tail: None,
            tty: false,
        }
    }
}

impl LogsQuery {
    /// Both streams, all that the Engine holds.
    pub fn new() -> Self {
        Self::default()
    }

    /// What is written from now on, too.
    #[must_use]
    pub fn follow(mut self) -> Self {
        self.follow = true;
        self
    }

    /// With each record's time.
    #[must_use]
    pub fn timestamps(mut self) -> Self {
        self.timestamps = true;
        self
    }

    /// From a moment on.
    #[must_use]
    pub fn since(mut self, since: impl Into<String>) -> Self {
        self.since = since.into();
        self
    }

    /// Of a container with a terminal.
    #[must_use]
    pub fn tty(mut self, tty: bool) -> Self {
        self.tty = tty;
        self
    }
}

impl Query for LogsQuery {
    fn write(&self, to: &mut QueryString) {
        to.flag("follow", self.follow);
        to.flag("stdout", self.stdout);
        to.flag("stderr", self.stderr);
        to.some_text("since", &self.since);
        to.some_text("until", &self.until);
        to.flag("timestamps", self.timestamps);
        to.flag("details", self.details);
        to.option("tail", self.tail);
    }
}

/// Logs as they come. Dropping them closes their connection, read to the end or not.
pub struct Logs {
    streamed: Streamed,
    pieces: Pieces,
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logs").field("call", self.streamed.call()).finish_non_exhaustive()
    }
}

impl Logs {
    /// Waits for the next piece, and lends it until the next call. `None`: the end, as the Engine meant it.
    ///
    /// # Errors
    /// [`Error::Protocol`] for bytes that are no frames, or that end within one; [`Error::HungUp`]; what can happen to a connection.
    pub fn next_piece(&mut self) -> Result<Option<Piece<'_>>, Error> {
        let Self { streamed, pieces } = self;
        pieces.next(|buffer, parts| streamed.read_parts(buffer, parts))
    }

    /// Whether the next piece is here already, so that asking for it waits for nobody.
    pub fn is_buffered(&self) -> bool {
        self.pieces.is_buffered()
    }
}

//! A recording as it is looked at: what was asked, what was answered, in which pieces.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files;
use crate::replay::Error;
use crate::replay::har::exchange::{Body, Exchange};
use crate::replay::har::read::{self, Contents};
use crate::replay::http::spool::Spool;
use crate::replay::http::wire;

/// Bytes that a file may have.
const LONGEST: u64 = 16 << 30;

/// A recording: a HAR 1.2 file, so that any HAR viewer opens it. What HAR lacks is in fields that begin with `_`.
///
/// It is read entry by entry, and long bodies go to a file without a name: one of 200 MB takes far less memory.
///
/// ```no_run
/// let cassette = longshore::replay::Cassette::read("fixtures/cassettes/hello.har")?;
/// for entry in cassette.entries() {
///     println!("{} {} {:?}", entry.method(), entry.target(), entry.status());
/// }
/// # Ok::<(), longshore::replay::Error>(())
/// ```
#[derive(Debug)]
pub struct Cassette {
    pub(in crate::replay) path: PathBuf,
    pub(in crate::replay) contents: Contents,
    /// Where long bodies are.
    pub(in crate::replay) spool: Arc<Spool>,
}

impl Cassette {
    /// Reads a recording: a regular file of at most 16 GiB.
    ///
    /// # Errors
    /// [`Error::Missing`]; [`Error::Io`]; [`Error::Damaged`], with entry and field: what is no HAR, and what has more than
    /// a million entries, or an entry of more than 4 GiB.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let file = files::open_regular(path, OpenOptions::new().read(true)).map_err(|e| match e.kind() {
            ErrorKind::NotFound => Error::Missing { path: path.into() },
            _ => Error::io("open", path.display(), e),
        })?;
        if file.metadata().map_err(|e| Error::io("look at", path.display(), e))?.len() > LONGEST {
            return Err(Error::io("read", path.display(), files::too_large(LONGEST)));
        }
        Self::read_from(path, BufReader::with_capacity(64 * 1024, file))
    }

    /// Reads a recording from anywhere; `name` is what errors call it.
    ///
    /// # Errors
    /// Those of [`Cassette::read`].
    pub fn read_from(name: impl AsRef<Path>, from: impl BufRead) -> Result<Self, Error> {
        let name = name.as_ref();
        let dir = std::env::temp_dir();
        let spool = Spool::new(&dir).map_err(|e| Error::io("make a file in", dir.display(), e))?;
        let contents = read::read(name, from, &spool)?;
        Ok(Self { path: name.into(), contents, spool })
    }

    /// Where it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was asked, in order.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Entry<'_>> {
        let lines = self.contents.lines.iter();
        self.contents.exchanges.iter().zip(lines).map(|(exchange, line)| Entry { exchange, line: *line })
    }

    /// What the Engine said of itself: `name`, `version`, `api_version`, `min_api_version`, as far as it did.
    pub fn peer(&self, word: &str) -> Option<&str> {
        self.contents.preface.peer.get(word).map(String::as_str)
    }

    /// Entries that cannot be played, each with its line: in files of other programs, those whose answers were not kept.
    pub fn skipped(&self) -> &[String] {
        &self.contents.skipped
    }
}

/// A request, and what was answered.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    exchange: &'a Exchange,
    line: u64,
}

impl<'a> Entry<'a> {
    /// In which line of its file it begins, counted from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The request's method.
    pub fn method(&self) -> &'a str {
        &self.exchange.request.method
    }

    /// The request's path and query, as they were sent.
    pub fn target(&self) -> &'a str {
        &self.exchange.request.target
    }

    /// A header of the request, by its name in any case.
    pub fn request_header(&self, name: &str) -> Option<&'a str> {
        wire::header(&self.exchange.request.headers, name)
    }

    /// The request's body.
    ///
    /// # Errors
    /// [`Error::Io`]: it could not be read again.
    pub fn request_body(&self) -> Result<Vec<u8>, Error> {
        bytes(&self.exchange.request.body)
    }

    /// The answer's status. `None`: there was no answer.
    pub fn status(&self) -> Option<u16> {
        self.exchange.answer.as_ref().map(|answer| answer.status)
    }

    /// A header of the answer, by its name in any case.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.exchange.answer.as_ref().and_then(|answer| wire::header(&answer.headers, name))
    }

    /// The answer's body, or what the Engine sent on an upgraded connection.
    ///
    /// # Errors
    /// [`Error::Io`]: it could not be read again.
    pub fn body(&self) -> Result<Vec<u8>, Error> {
        self.exchange.answer.as_ref().map_or(Ok(Vec::new()), |answer| bytes(&answer.body))
    }

    /// The pieces in which the answer's body came: after how many microseconds, and how many bytes.
    ///
    /// # Errors
    /// [`Error::Io`]: they could not be read again.
    pub fn chunks(&self) -> Result<Vec<(u64, u64)>, Error> {
        let Some(answer) = &self.exchange.answer else { return Ok(Vec::new()) };
        let chunks = answer.body.chunks().map(|chunk| chunk.map(|chunk| (chunk.mark.at, chunk.len)));
        // A last one without a byte says when the body ended.
        let pieces = chunks.filter(|chunk| !matches!(chunk, Ok((_, 0))));
        pieces.collect::<Result<_, _>>().map_err(lost)
    }

    /// What the client sent on an upgraded connection. `None`: it was none.
    ///
    /// # Errors
    /// [`Error::Io`]: it could not be read again.
    pub fn sent(&self) -> Result<Option<Vec<u8>>, Error> {
        self.exchange.sent.as_ref().map(|sent| bytes(&sent.body)).transpose()
    }
}

fn bytes(body: &Body) -> Result<Vec<u8>, Error> {
    body.bytes.whole(u64::MAX).map(Option::unwrap_or_default).map_err(lost)
}

fn lost(e: std::io::Error) -> Error {
    Error::io("read", "the bodies of a recording", e)
}

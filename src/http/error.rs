//! Why an exchange failed, sorted by what its caller can do about it.

use std::error;
use std::fmt;
use std::io;

/// Why an exchange, or the reading of its answer, failed.
#[derive(Debug)]
pub(crate) enum Error {
    /// Nobody answers there.
    Connect(io::Error),
    /// This side has no descriptor or no memory for it.
    Exhausted(io::Error),
    /// Its time was up.
    Timeout,
    /// Somebody hung up on purpose.
    HungUp,
    /// The connection ended before the answer did. `unsent`: no byte of the request had gone out.
    Disconnected { source: io::Error, unsent: bool },
    /// What came was no HTTP, or not what we take.
    Protocol(Box<dyn error::Error + Send + Sync>),
    /// The request's own body could not be read.
    Source(io::Error),
}

/// The body of an answer is larger than its call can need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge {
    /// The bound, in bytes.
    pub(crate) bound: u64,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "its body is larger than {} KiB", self.bound / 1024)
    }
}

impl error::Error for TooLarge {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect(_) => "cannot connect",
            Self::Exhausted(_) => "no descriptor or no memory is left here",
            Self::Timeout => "timed out",
            Self::HungUp => "hung up",
            Self::Disconnected { .. } => "the connection ended",
            Self::Protocol(_) => "not HTTP as we know it",
            Self::Source(_) => "cannot read what is to be sent",
        })
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Connect(e) | Self::Exhausted(e) | Self::Source(e) => Some(e),
            Self::Disconnected { source, .. } => Some(source),
            Self::Protocol(e) => Some(e.as_ref()),
            Self::Timeout | Self::HungUp => None,
        }
    }
}

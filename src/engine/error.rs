//! Why a call to an Engine failed: which call, on what, and what of it a program can act on.
//! Status and type decide; the Engine's text is for people (and for `phrases`, where it gives a fact as text only).

use std::error;
use std::fmt;
use std::io;
use std::time::Duration;

use super::types::cut;
use super::{ApiVersion, BadFrame, Call, ContextError};
use crate::http::{self, Endpoint};
use crate::limits;

/// Why a call to an Engine failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Where the Engine is could not be told from the environment.
    Context(ContextError),
    /// No Engine answers there.
    Connect {
        /// Where.
        endpoint: Endpoint,
        /// Why not.
        source: io::Error,
    },
    /// This process has no descriptor or no memory left for the call: nobody knows what the Engine would have said.
    Exhausted {
        /// Where the Engine is.
        endpoint: Endpoint,
        /// What is used up.
        source: io::Error,
    },
    /// The Engine and we have no API version in common.
    Version {
        /// Where.
        endpoint: Endpoint,
        /// The highest that the Engine speaks.
        highest: ApiVersion,
    },
    /// The API version that is set is not one that the Engine speaks.
    VersionRange {
        /// Where.
        endpoint: Endpoint,
        /// The version that is set.
        asked: ApiVersion,
        /// The lowest that the Engine speaks. `None`: it did not say.
        lowest: Option<ApiVersion>,
        /// The highest that the Engine speaks.
        highest: ApiVersion,
    },
    /// Somebody answers there who is no Engine.
    NoEngine {
        /// Where.
        endpoint: Endpoint,
    },
    /// The answer was not there in time.
    Timeout {
        /// Which call.
        call: Box<Call>,
        /// How long it was waited for.
        after: Duration,
    },
    /// The call was ended from our side, by its [`Hangup`](crate::Hangup).
    HungUp {
        /// Which call.
        call: Box<Call>,
    },
    /// The connection ended before the answer did.
    Disconnected {
        /// Which call.
        call: Box<Call>,
        /// What the socket said.
        source: io::Error,
    },
    /// The Engine answered no.
    Status {
        /// Which call.
        call: Box<Call>,
        /// The HTTP status.
        status: u16,
        /// The Engine's own text.
        message: String,
        /// Whether the answer is the Engine's own, by its form: JSON with a `message`. A proxy before it may have written
        /// any other, and such an answer says nothing of the thing asked about.
        own: bool,
    },
    /// The Engine said yes, and then no, in the answer's body.
    Stream {
        /// Which call.
        call: Box<Call>,
        /// The Engine's own text.
        message: String,
    },
    /// The answer is no HTTP, or not as the call's answer must be.
    Protocol {
        /// Which call.
        call: Box<Call>,
        /// What is wrong with it.
        source: Box<dyn error::Error + Send + Sync>,
    },
    /// The answer is not the JSON that it should be.
    Decode {
        /// Which call.
        call: Box<Call>,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// What was to be sent could not be read.
    Source {
        /// Which call.
        call: Box<Call>,
        /// Why not.
        source: io::Error,
    },
    /// What came could not be written where the caller wants it.
    Write {
        /// Which call.
        call: Box<Call>,
        /// Why not.
        source: io::Error,
    },
    /// The call makes no sense: nothing was sent.
    Argument {
        /// Which call.
        call: Box<Call>,
        /// What is wrong with what it was given.
        why: &'static str,
    },
}

impl Error {
    /// Whether the Engine does not know the thing: 404, in the Engine's own form. A proxy's page with that status is none.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Status { status: 404, own: true, .. })
    }

    /// Whether the thing is in a state that forbids it, or the name is taken: 409, in the Engine's own form.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Status { status: 409, own: true, .. })
    }

    /// Whether it was ended from our side.
    pub fn is_hung_up(&self) -> bool {
        matches!(self, Self::HungUp { .. })
    }

    /// Whether the answer was not there in time.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { .. })
    }

    /// Whether this process has no descriptor or no memory left to ask with: it says nothing of the Engine.
    pub fn is_exhausted(&self) -> bool {
        matches!(self, Self::Exhausted { .. })
    }

    /// Whether the Engine itself could not be reached, or went away: it says nothing of the thing asked about. So it is, too,
    /// where it could not be asked ([`Error::is_exhausted`]).
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Exhausted { .. } | Self::Timeout { .. } | Self::Disconnected { .. })
    }

    /// Whether the same call may well succeed later: the Engine could not be reached, or had trouble of its own
    /// (500, 502, 503, 504), or somebody else answered in its place (404 and 409 in a form that is not the Engine's).
    pub fn is_transient(&self) -> bool {
        self.is_unreachable()
            || matches!(self.status(), Some(500 | 502..=504))
            || matches!(self, Self::Status { status: 404 | 409, own: false, .. })
    }

    /// The HTTP status of the Engine's no.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The Engine's own text.
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Status { message, .. } | Self::Stream { message, .. } => Some(message),
            _ => None,
        }
    }

    /// Which call it was. `None`: it failed before there was one.
    pub fn call(&self) -> Option<&Call> {
        match self {
            Self::Context(_)
            | Self::Connect { .. }
            | Self::Exhausted { .. }
            | Self::Version { .. }
            | Self::VersionRange { .. }
            | Self::NoEngine { .. } => None,
            Self::Timeout { call, .. }
            | Self::HungUp { call }
            | Self::Disconnected { call, .. }
            | Self::Status { call, .. }
            | Self::Stream { call, .. }
            | Self::Protocol { call, .. }
            | Self::Decode { call, .. }
            | Self::Source { call, .. }
            | Self::Write { call, .. }
            | Self::Argument { call, .. } => Some(call),
        }
    }

    /// An error of the layer below, told with its call.
    pub(super) fn of(call: &Call, endpoint: &Endpoint, after: Duration, error: http::Error) -> Self {
        let call = Box::new(call.clone());
        match error {
            http::Error::Connect(source) => Self::Connect { endpoint: endpoint.clone(), source },
            http::Error::Exhausted(source) => Self::Exhausted { endpoint: endpoint.clone(), source },
            http::Error::Timeout => Self::Timeout { call, after },
            http::Error::HungUp => Self::HungUp { call },
            http::Error::Disconnected { source, .. } => Self::Disconnected { call, source },
            http::Error::Protocol(source) => Self::Protocol { call, source },
            http::Error::Source(source) => Self::Source { call, source },
        }
    }

    /// What is no JSON as it should be, told within bounds: serde names a value of the wrong type whole.
    pub(super) fn decode(call: &Call, source: serde_json::Error) -> Self {
        let text = source.to_string();
        let short = cut(&text);
        let source = if short.len() == text.len() { source } else { serde::de::Error::custom(short) };
        Self::Decode { call: Box::new(call.clone()), source }
    }

    pub(super) fn bad_frame(call: &Call, bad: BadFrame) -> Self {
        Self::Protocol { call: Box::new(call.clone()), source: Box::new(bad) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Context(_) => f.write_str("cannot tell where the Engine is"),
            Self::Connect { endpoint, .. } => write!(f, "no Engine answers at {endpoint}"),
            // Its cause is within these words.
            Self::Exhausted { endpoint, source } => {
                let advice = limits::advice(source).unwrap_or_else(|| source.to_string());
                write!(f, "the Engine at {endpoint} cannot be asked: {advice}")
            }
            Self::Version { endpoint, highest } => {
                write!(
                    f,
                    "the Engine at {endpoint} speaks API {highest} at most, and the oldest known here is {}",
                    ApiVersion::LOWEST
                )
            }
            Self::VersionRange { endpoint, asked, lowest: Some(lowest), highest } => {
                write!(f, "API {asked} is set, and the Engine at {endpoint} speaks {lowest} to {highest}")
            }
            Self::VersionRange { endpoint, asked, lowest: None, highest } => {
                write!(f, "API {asked} is set, and the Engine at {endpoint} speaks {highest} at most")
            }
            Self::NoEngine { endpoint } => write!(f, "what answers at {endpoint} is no Docker Engine"),
            Self::Timeout { call, after } => write!(f, "{call}: no answer within {after:?}"),
            Self::HungUp { call } => write!(f, "{call}: ended from this side"),
            Self::Disconnected { call, .. } => write!(f, "{call}: the connection ended before the answer did"),
            Self::Status { call, status, message, .. } => write!(f, "{call}: {message} ({status})"),
            Self::Stream { call, message } => write!(f, "{call}: {message}"),
            Self::Protocol { call, .. } => write!(f, "{call}: not an answer that can be read"),
            Self::Decode { call, .. } => write!(f, "{call}: not the JSON expected"),
            Self::Source { call, .. } => write!(f, "{call}: cannot read what is to be sent"),
            Self::Write { call, .. } => write!(f, "{call}: cannot write what came"),
            Self::Argument { call, why } => write!(f, "{call}: {why}"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Context(e) => Some(e),
            Self::Connect { source, .. }
            | Self::Disconnected { source, .. }
            | Self::Source { source, .. }
            | Self::Write { source, .. } => Some(source),
            Self::Protocol { source, .. } => Some(source.as_ref()),
            Self::Decode { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<ContextError> for Error {
    fn from(e: ContextError) -> Self {
        Self::Context(e)
    }
}

//! Why an image could not be pulled, and whether trying again may help (driver-spec 5.7).

use std::error;
use std::fmt;
use std::io;
use std::time::Duration;

use super::ReferenceError;
use crate::engine;

/// Why an image could not be pulled.
#[derive(Debug)]
#[non_exhaustive]
pub enum PullError {
    /// The reference names nothing that can be pulled. Nothing was asked.
    Reference(ReferenceError),
    /// The Engine said no, at once or in the middle of the pull, or went away.
    Pull(engine::Error),
    /// The pull was not done within its deadline.
    Timeout {
        /// The deadline.
        after: Duration,
    },
    /// Nothing came of the pull for too long.
    Inactive {
        /// How long nothing came.
        after: Duration,
    },
    /// The image was pulled, and the Engine could not say what it is.
    Inspect(engine::Error),
    /// A thread could not be started.
    Thread(io::Error),
    /// The pull was ended from our side.
    ShutDown,
}

impl PullError {
    /// Whether a later pull may succeed (driver-spec 5.7).
    pub fn is_recoverable(&self) -> bool {
        match self {
            Self::Reference(_) | Self::ShutDown => false,
            Self::Pull(source) => !engine::image_does_not_exist(source),
            Self::Inspect(source) => source.is_transient() || source.is_not_found(),
            Self::Timeout { .. } | Self::Inactive { .. } | Self::Thread(_) => true,
        }
    }
}

impl PullError {
    /// The error with its causes, in one text.
    pub(super) fn whole(&self) -> String {
        let (mut text, mut cause) = (self.to_string(), error::Error::source(self));
        while let Some(source) = cause {
            text = format!("{text}: {source}");
            cause = source.source();
        }
        text
    }
}

impl fmt::Display for PullError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reference(_) => f.write_str("it cannot be pulled by this name"),
            // Its own words are the whole story.
            Self::Pull(source) => source.fmt(f),
            Self::Timeout { after } => write!(f, "the pull was not done within {after:?} (image_pull_timeout)"),
            Self::Inactive { after } => {
                write!(f, "nothing came of the pull for {after:?} (pull_activity_timeout)")
            }
            Self::Inspect(_) => f.write_str("it was pulled, and cannot be looked at"),
            Self::Thread(_) => f.write_str("cannot start a thread"),
            Self::ShutDown => f.write_str("the pull was ended from this side"),
        }
    }
}

impl error::Error for PullError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Reference(source) => Some(source),
            Self::Pull(source) => source.source(),
            Self::Inspect(source) => Some(source),
            Self::Thread(source) => Some(source),
            Self::Timeout { .. } | Self::Inactive { .. } | Self::ShutDown => None,
        }
    }
}

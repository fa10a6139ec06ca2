//! Why there are no credentials to be had. No text here holds a secret: what a helper prints is
//! shown without its answer.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use crate::images::ReferenceError;
use crate::values::printable;

/// Why credentials could not be found. That there are none is no error.
#[derive(Debug)]
#[non_exhaustive]
pub enum CredentialsError {
    /// The image's reference names no registry.
    Reference(ReferenceError),
    /// The config file cannot be read.
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The config file is not what Docker writes.
    Parse {
        /// Which.
        path: PathBuf,
        /// What is wrong with it, and where.
        problem: String,
    },
    /// A helper has failed.
    Helper {
        /// The program's name: `docker-credential-pass`.
        program: String,
        /// The registry that it was asked for.
        registry: String,
        /// How it failed.
        fault: HelperFault,
    },
    /// The latch was closed.
    HungUp,
}

/// How a helper failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum HelperFault {
    /// No program can have that name.
    Name,
    /// No folder of the `PATH` has such a program.
    NotFound,
    /// The registry's name is too long to be handed to a helper.
    Registry,
    /// It could not be run.
    Run(io::Error),
    /// It ended with something else than success.
    Failed {
        /// How it ended.
        status: ExitStatus,
        /// The end of what it printed, stderr first, made fit for a line.
        words: String,
    },
    /// It had no more time, and was killed.
    TimedOut {
        /// How much it had.
        after: Duration,
        /// The end of what it had printed.
        words: String,
    },
    /// It printed too much, and was killed.
    TooMuch {
        /// How many bytes it may print.
        limit: usize,
    },
    /// Its answer is not the JSON that it should be.
    Answer(String),
}

impl CredentialsError {
    /// Whether the search was ended from this side.
    pub fn is_hung_up(&self) -> bool {
        matches!(self, Self::HungUp)
    }
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reference(_) => f.write_str("no registry to find credentials for"),
            Self::Read { path, .. } => write!(f, "cannot read credentials from {}", path.display()),
            Self::Parse { path, problem } => write!(f, "no credentials from {}: {problem}", path.display()),
            Self::Helper { program, registry, fault } => {
                write!(f, "no credentials for `{}` from `{}`: ", printable(registry), printable(program))?;
                fault.fmt(f)
            }
            Self::HungUp => f.write_str("looking for credentials: ended from this side"),
        }
    }
}

impl fmt::Display for HelperFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("no program has such a name"),
            Self::NotFound => f.write_str("no such program in the PATH"),
            Self::Registry => f.write_str("the registry's name is too long for it"),
            Self::Run(_) => f.write_str("it cannot be run"),
            Self::Failed { status, words } if words.is_empty() => write!(f, "it failed without a word ({status})"),
            Self::Failed { status, words } => write!(f, "it failed ({status}): {words}"),
            Self::TimedOut { after, words } if words.is_empty() => write!(f, "no answer within {after:?}"),
            Self::TimedOut { after, words } => write!(f, "no answer within {after:?}: {words}"),
            Self::TooMuch { limit } => write!(f, "it printed more than {limit} bytes"),
            Self::Answer(problem) => write!(f, "it answered with {problem}"),
        }
    }
}

impl std::error::Error for CredentialsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Reference(source) => Some(source),
            Self::Read { source, .. } | Self::Helper { fault: HelperFault::Run(source), .. } => Some(source),
            _ => None,
        }
    }
}

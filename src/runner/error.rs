//! What can go wrong in the runner, told by what the caller may do about it.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::{driver, engine, limits};

/// Why the runner could not do something.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory of the data directory could not be used.
    Io {
        /// What was tried: `make directory`, `write`…
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A saved file holds something else than it should.
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Another process owns the allocation.
    Owned {
        /// The allocation.
        alloc_id: String,
        /// The owner's process id, if it could be read.
        pid: Option<u32>,
    },
    /// The job, or the allocation of the given id, is alive in this data directory.
    Live {
        /// The job.
        job_id: String,
        /// The allocation that is alive.
        alloc_id: String,
        /// How that is known, and what to do.
        why: String,
    },
    /// The job cannot be placed here as it is.
    Place {
        /// Which part of it.
        object: String,
        /// Why not.
        why: String,
    },
    /// No task, or no allocation, is called so here.
    NoTask {
        /// What was asked for.
        name: String,
        /// What there is, and what to do.
        why: String,
    },
    /// Several tasks, or allocations, are called so.
    Ambiguous {
        /// What was asked for.
        name: String,
        /// The candidates, as they can be named.
        candidates: Vec<String>,
    },
    /// A task was stopped, and that cannot be written down for its owner to know.
    Unwritten {
        /// The task.
        task: String,
        /// Why not.
        source: Box<Error>,
    },
    /// The allocation runs on another Engine than the one that answers.
    Elsewhere {
        /// The allocation.
        alloc_id: String,
        /// Where its Engine is.
        endpoint: String,
    },
    /// The allocation has ended, and cannot be taken up.
    HasEnded {
        /// The allocation.
        alloc_id: String,
    },
    /// The container of a failed start is not there, and a create that got no answer may still make it.
    MayCome {
        /// The container's name.
        container: String,
    },
    /// The caller chose something that the job has not.
    Choice {
        /// What is wrong with it.
        why: String,
    },
    /// The Engine did not do what it was asked.
    Engine {
        /// What for.
        what: String,
        /// Its answer.
        source: Box<engine::Error>,
    },
    /// The driver did not do what it was asked.
    Driver {
        /// What for.
        what: String,
        /// Its answer.
        source: Box<driver::Error>,
    },
}

impl Error {
    pub(crate) fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// What kind of error it is, for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Io { .. } => "io",
            Self::Corrupt { .. } => "corrupt_state",
            Self::Owned { .. } => "owned",
            Self::Live { .. } => "live",
            Self::Place { .. } => "job",
            Self::Choice { .. } => "usage",
            Self::NoTask { .. } => "task_not_found",
            Self::Ambiguous { .. } => "ambiguous",
            Self::Elsewhere { .. } => "elsewhere",
            Self::HasEnded { .. } => "ended",
            Self::MayCome { .. } => "may_come",
            Self::Engine { .. } => "engine",
            Self::Driver { source, .. } => source.kind(),
            Self::Unwritten { source, .. } => source.kind(),
        }
    }

    /// Whether the same may succeed later, with nothing changed.
    pub fn is_recoverable(&self) -> bool {
        match self {
            Self::Owned { .. } | Self::Live { .. } | Self::MayCome { .. } => true,
            Self::Engine { source, .. } => source.is_transient(),
            Self::Driver { source, .. } => source.is_recoverable(),
            // A lock that somebody holds.
            Self::Io { source, .. } => source.kind() == io::ErrorKind::TimedOut,
            Self::Corrupt { .. }
            | Self::Place { .. }
            | Self::Unwritten { .. }
            | Self::NoTask { .. }
            | Self::Ambiguous { .. }
            | Self::Elsewhere { .. }
            | Self::HasEnded { .. }
            | Self::Choice { .. } => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { action, path, .. } => write!(f, "cannot {action} {}", path.display()),
            Self::Corrupt { path, why } => write!(f, "saved state {} cannot be used: {why}", path.display()),
            Self::Owned { alloc_id, pid: Some(pid) } => {
                write!(f, "allocation {alloc_id} is run by process {pid}; stop that one first")
            }
            Self::Owned { alloc_id, pid: None } => {
                write!(f, "allocation {alloc_id} is run by another process; stop that one first")
            }
            Self::Live { job_id, alloc_id, why } => {
                write!(f, "job `{job_id}` is alive as allocation {alloc_id}: {why}")
            }
            Self::Place { object, why } => write!(f, "{object}: {why}"),
            Self::NoTask { name, why } => write!(f, "no task is called `{name}`: {why}"),
            Self::Ambiguous { name, candidates } => {
                write!(f, "`{name}` may be each of {}: name one of these", candidates.join(", "))
            }
            Self::Unwritten { task, .. } => {
                write!(f, "task `{task}` was stopped, but its owner may start it again, for it is not told")
            }
            Self::Elsewhere { alloc_id, endpoint } => write!(
                f,
                "allocation {alloc_id} runs on the Engine at {endpoint}, which is not this one; name that one with -H"
            ),
            Self::HasEnded { alloc_id } => {
                write!(f, "allocation {alloc_id} has ended; `longshore ps -a` says how, and `run` begins anew")
            }
            Self::MayCome { container } => write!(
                f,
                "there is no container {container}, but it may still be made, for its create got no answer: look again in a minute"
            ),
            Self::Choice { why } => f.write_str(why),
            Self::Engine { what, .. } | Self::Driver { what, .. } => f.write_str(what),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Engine { source, .. } => Some(source),
            Self::Driver { source, .. } => Some(source),
            Self::Unwritten { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// An error with its causes, in one line.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        if let Some(advice) = error.downcast_ref::<io::Error>().and_then(limits::advice) {
            text.push_str(": ");
            text.push_str(&advice);
        }
        cause = error.source();
    }
    // What an Engine says may have several lines.
    text.trim().replace(['\n', '\r'], " ")
}

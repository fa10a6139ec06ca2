//! Why a recording could not be made, read or played.

use std::error;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a recording could not be made, read or played.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file or a socket did not do what was asked.
    Io {
        /// What was to be done: `read`, `write`, `listen at`…
        action: &'static str,
        /// With what.
        place: String,
        /// Why not.
        source: io::Error,
    },
    /// There is no such recording.
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file is no recording, or a damaged one.
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Which entry, counted from 1; `None`: outside of them.
        entry: Option<usize>,
        /// In which line the entry, or what is wrong, begins, counted from 1.
        line: u64,
        /// The field, such as `response.content.text`; empty where it is not one field.
        field: String,
        /// What is wrong with it.
        why: String,
    },
    /// A client asked what the recording does not have.
    Misses {
        /// Which recording.
        path: PathBuf,
        /// Each question, with the nearest entry and what differs.
        misses: Vec<String>,
    },
    /// A word that names none of the things it may name.
    Word {
        /// What was to be named.
        what: &'static str,
        /// The word.
        word: String,
        /// What it may be.
        known: &'static str,
    },
}

impl Error {
    pub(super) fn io(action: &'static str, place: impl fmt::Display, source: io::Error) -> Self {
        Self::Io { action, place: place.to_string(), source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { action, place, .. } => write!(f, "cannot {action} {place}"),
            Self::Missing { path } => write!(f, "there is no recording {}", path.display()),
            Self::Damaged { path, entry, line, field, why } => {
                write!(f, "{}:{line}: ", path.display())?;
                if let Some(entry) = entry {
                    write!(f, "entry {entry}: ")?;
                }
                if !field.is_empty() {
                    write!(f, "{field}: ")?;
                }
                f.write_str(why)
            }
            Self::Misses { path, misses } => {
                write!(f, "{} has no answer to {} of the requests", path.display(), misses.len())?;
                misses.iter().try_for_each(|miss| write!(f, "\n{miss}"))
            }
            Self::Word { what, word, known } => write!(f, "`{word}` is no {what}: {known}"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

//! What this process may have of the machine: descriptors, memory, threads. Which errors say that there is no more of it, what
//! a person can do about that, and the one limit that a process may raise by itself.

use std::io;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
#[cfg(feature = "cli")]
use rustix::process::{Rlimit, setrlimit};

/// Whether an error says that this process, or its machine, has no more descriptors or memory at present. It says nothing of
/// the file or the peer that was asked for.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS))
}

/// What is exhausted and what to do about it, in words. `None`: nothing is.
pub(crate) fn advice(error: &io::Error) -> Option<String> {
    Some(match Errno::from_io_error(error)? {
        Errno::MFILE => match getrlimit(Resource::Nofile).current {
            // Twice as many is the least that makes a difference.
            Some(now) => {
                format!("too many open files: raise the limit to {} (ulimit -n; it is {now})", now.saturating_mul(2))
            }
            None => "too many open files".to_owned(),
        },
        Errno::NFILE => "too many open files on this machine: raise the limit of its kernel (fs.file-max)".to_owned(),
        Errno::NOMEM | Errno::NOBUFS => "out of memory".to_owned(),
        _ => return None,
    })
}

/// Raises the limit of open files to what the process may give itself. The usual 1,024 are for programs with `select`.
///
/// # Errors
/// The kernel refuses; the limit stays.
#[cfg(feature = "cli")]
pub(crate) fn raise_open_files() -> io::Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return Ok(());
    }
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_exhausted_is_told_apart() {
        for (errno, exhausted, words) in [
            (Errno::MFILE, true, "too many open files: raise the limit to "),
            (Errno::NFILE, true, "too many open files on this machine"),
            (Errno::NOMEM, true, "out of memory"),
            (Errno::NOBUFS, true, "out of memory"),
            (Errno::NOENT, false, ""),
            (Errno::CONNREFUSED, false, ""),
            (Errno::AGAIN, false, ""),
        ] {
            let error = io::Error::from(errno);
            assert_eq!(is_exhausted(&error), exhausted, "{error}");
            let told = advice(&error);
            assert_eq!(told.is_some(), exhausted, "{error}");
            assert!(told.unwrap_or_default().starts_with(words), "{error}");
        }
        assert!(!is_exhausted(&io::Error::other("no number")));
    }
}

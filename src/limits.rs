//! What this process may have of the machine: descriptors, memory, threads. Which errors say that there is no more of it, what
//! a person can do about that, and the one limit that a process may raise by itself.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

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

/// What a new connection is for, and so, how much of what is left it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It stays for as long as a task lives.
    Stream,
    /// It ends a connection of the first kind, as a stop does, or is over soon.
    Call,
}

/// At most so many descriptors are kept for each of the two that come after long connections: calls, and files.
const SPARE: u64 = 32;

/// Looks whether enough descriptors are left beside this new one. The tasks that run could take all of them for their
/// connections; then no task could be stopped any more, and no output written.
///
/// # Errors
/// Too few are left; it is to be closed.
pub(crate) fn leaves_room(new: &impl AsFd, purpose: Purpose) -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // A process gets the lowest number that is free: a high one says that there are few.
    let number = u64::try_from(new.as_fd().as_raw_fd()).unwrap_or(u64::MAX);
    if number < ceiling(limit, purpose) { Ok(()) } else { Err(Errno::MFILE.into()) }
}

/// Whether a descriptor may be held that is only needed now and then: of the numbers that there may be it is among the lowest.
pub(crate) fn are_plenty(held: &impl AsFd) -> bool {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    u64::try_from(held.as_fd().as_raw_fd()).is_ok_and(|number| is_low(number, limit))
}

fn is_low(number: u64, limit: u64) -> bool {
    number < limit / 16
}

/// The first descriptor that is for others.
fn ceiling(limit: u64, purpose: Purpose) -> u64 {
    let spare = SPARE.min(limit / 16);
    limit
        - match purpose {
            Purpose::Stream => 2 * spare,
            Purpose::Call => spare,
        }
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
    fn some_descriptors_are_kept_for_calls_and_files() {
        for (limit, stream, call) in
            [(1024, 960, 992), (u64::MAX, u64::MAX - 64, u64::MAX - 32), (64, 56, 60), (8, 8, 8)]
        {
            assert_eq!((ceiling(limit, Purpose::Stream), ceiling(limit, Purpose::Call)), (stream, call), "{limit}");
        }
    }

    #[test]
    fn a_low_descriptor_may_be_held() {
        for (number, limit, low) in [
            (63, 1024, true),
            (64, 1024, false),
            (3, 64, true),
            (4, 64, false),
            (0, 8, false),
            (1_000_000, u64::MAX, true),
        ] {
            assert_eq!(is_low(number, limit), low, "{number} of {limit}");
        }
    }

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

//! Whether somebody still reads what the program writes: `grep -q` leaves when it has seen enough, and a write that would
//! tell may never come.

use std::fs::File;
use std::io::{self, PipeWriter};
use std::os::fd::{AsFd, OwnedFd};
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, poll};

use crate::threads::Hangup;

/// The thread that waits until the reader of a stream leaves. Dropping this ends it, and waits for that.
pub(in crate::cli) struct Reader {
    /// Its other side is closed with it, which the thread sees.
    end: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// Closes `latch` when nobody reads `stream` any more. Files and devices have no reader that could leave; a terminal is left
    /// when it is hung up.
    pub(in crate::cli) fn watch(stream: impl AsFd, latch: &Hangup) -> io::Result<Self> {
        let stream = File::from(stream.as_fd().try_clone_to_owned()?);
        let (ended, end) = io::pipe()?;
        let (ended, latch) = (OwnedFd::from(ended), latch.clone());
        let body = move || {
            if is_left(&stream, &ended) {
                latch.hang_up();
            }
        };
        let thread = thread::Builder::new().name("reader".into()).stack_size(64 * 1024).spawn(body)?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }

    /// The same for standard output; without the threads for it the program goes on.
    pub(in crate::cli) fn of_standard_output(latch: &Hangup) -> Option<Self> {
        or_told(Self::watch(io::stdout(), latch))
    }

    /// The same for standard error.
    pub(in crate::cli) fn of_standard_error(latch: &Hangup) -> Option<Self> {
        or_told(Self::watch(io::stderr(), latch))
    }
}

fn or_told(watched: io::Result<Reader>) -> Option<Reader> {
    watched.inspect_err(|error| log::warn!("a reader that leaves will be noticed late: {error}")).ok()
}

/// Waits until one of them has no other side. True: the stream.
fn is_left(stream: &File, ended: &OwnedFd) -> bool {
    // Of both, only what is told without being asked for: that the other side has gone.
    let mut fds = [PollFd::new(stream, PollFlags::empty()), PollFd::new(ended, PollFlags::empty())];
    let told = rustix::io::retry_on_intr(|| poll(&mut fds, None));
    told.is_ok() && fds[1].revents().is_empty() && fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}

impl Drop for Reader {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the thread that waits for a reader to leave panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    #[test]
    fn who_leaves_and_who_does_not() {
        let (from, to) = io::pipe().unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        for (row, stream, reader) in
            [("a pipe", OwnedFd::from(to), OwnedFd::from(from)), ("a socket", ours.into(), theirs.into())]
        {
            let latch = Hangup::new();
            let _watch = Reader::watch(&stream, &latch).unwrap();
            assert!(latch.sleep(Duration::from_millis(50)), "{row}: somebody reads");
            drop(reader);
            assert!(!latch.sleep(Duration::from_secs(20)), "{row}: nobody reads");
        }
        for file in ["/dev/null", "/proc/self/exe"] {
            let (latch, file) = (Hangup::new(), File::open(file).unwrap());
            let watch = Reader::watch(&file, &latch).unwrap();
            assert!(latch.sleep(Duration::from_millis(50)), "{file:?} has no reader");
            drop(watch);
            assert!(!latch.is_hung_up(), "it ended for us");
        }
    }
}

//! Waiting for files of a directory to grow, without looking all the time.

use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::threads::POLL_INTERVAL;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::inotify::{self, WatchFlags};

/// A directory that is watched.
#[derive(Debug)]
pub(crate) struct Watch(Option<OwnedFd>);

impl Watch {
    /// Watches a directory.
    pub(crate) fn new(dir: &Path) -> Self {
        let watch = || -> io::Result<OwnedFd> {
            let fd = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
            // Of what may be swapped for a link nothing is told but that it changed.
            let flags = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::ONLYDIR | WatchFlags::DONT_FOLLOW;
            inotify::add_watch(&fd, dir, flags)?;
            Ok(fd)
        };
        Self(watch().inspect_err(|error| log::debug!("cannot watch {}: {error}", dir.display())).ok())
    }

    /// Whether it is watched. If not, another try may do.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Waits until something there grows, at most `most`.
    pub(crate) fn wait(&self, most: Duration) {
        let Some(fd) = &self.0 else { return thread::sleep(most.min(POLL_INTERVAL)) };
        let timeout = Timespec { tv_sec: most.as_secs().cast_signed(), tv_nsec: most.subsec_nanos().into() };
        let mut fds = [PollFd::new(fd, PollFlags::IN)];
        if poll(&mut fds, Some(&timeout)).is_err() {
            return thread::sleep(most.min(POLL_INTERVAL));
        }
        // What has grown is seen when it is read: the events themselves say nothing new.
        let mut events = [0; 4096];
        while rustix::io::read(fd, &mut events).is_ok_and(|length| length > 0) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::testing::Folder;
    use std::fs;
    use std::time::Instant;

    #[test]
    fn growth_ends_a_wait() {
        let scratch = Folder::new();
        let watch = Watch::new(scratch.path());
        assert!(watch.is_on());
        fs::write(scratch.path().join("a"), "1").unwrap();
        let begun = Instant::now();
        watch.wait(Duration::from_secs(60));
        assert!(begun.elapsed() < Duration::from_secs(30), "it was there before the wait");
        let begun = Instant::now();
        watch.wait(Duration::from_millis(20));
        assert!(begun.elapsed() >= Duration::from_millis(20), "nothing has grown since");
        assert!(!Watch::new(&scratch.path().join("nosuch")).is_on());
    }
}

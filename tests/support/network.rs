//! The network of another process, for threads that are to listen or connect there: a private dockerd has one of its own.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A network namespace. It stays as long as this does, even when every process there has ended.
#[derive(Clone)]
pub(crate) struct Network(Arc<File>);

impl Network {
    pub(crate) fn of_process(id: u32) -> Self {
        let link = format!("/proc/{id}/ns/net");
        Self(Arc::new(File::open(&link).unwrap_or_else(|e| panic!("{link}: {e}"))))
    }

    /// Moves the calling thread there for good, and with it the threads and processes that it starts from now on. Needs root.
    pub(crate) fn enter(&self) -> io::Result<()> {
        Ok(move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))?)
    }
}

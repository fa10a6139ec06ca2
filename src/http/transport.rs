//! ureq's transport on our own sockets. The one file that names `ureq::unversioned`, which may break in a minor release.
//!
//! Three things differ from ureq's own: sockets are put under a hang-up latch before anything blocks on them, a socket's
//! timeout is set only when it is far off the one wanted (it is a system call), and a request that failed before its
//! first byte went out says so.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use ureq::http::Uri;
use ureq::unversioned::resolver::{ArrayVec, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers as UreqBuffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

use super::Endpoint;
use super::socket::{Connect, Socket};
use crate::limits::{Purpose, is_exhausted};
use crate::threads::{Backoff, Cut, Hangup, Registration};

/// How long a call waits for a descriptor, where none is left.
const PATIENCE: Duration = Duration::from_secs(20);
/// Pauses between two looks, the first and the longest: nothing tells when a descriptor is free.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// How large a connection's buffers are, in bytes. They live as long as the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Buffers {
    /// For what the Engine sends. Its head must fit, and a chunk is handed on at most this much at a time.
    pub(crate) input: usize,
    /// For what we send.
    pub(crate) output: usize,
}

impl Buffers {
    /// An ordinary call: an answer of a few kilobytes.
    pub(crate) const CALL: Self = Self { input: 16 * 1024, output: 8 * 1024 };
    /// A call that mostly waits: for the end of a task, for what it will write. There are two of these a task.
    pub(crate) const WAIT: Self = Self { input: 8 * 1024, output: 2 * 1024 };
    /// A short question with much for an answer: logs.
    pub(crate) const LOGS: Self = Self { input: 64 * 1024, output: 4 * 1024 };
    /// Bytes in bulk that we send: archives.
    pub(crate) const BULK: Self = Self { input: 64 * 1024, output: 64 * 1024 };
}

/// Makes connections for one ureq agent.
pub(super) struct Dial {
    pub(super) endpoint: Endpoint,
    /// Who connects there in our place.
    pub(super) through: Option<Arc<dyn Connect>>,
    pub(super) buffers: Buffers,
    pub(super) connect_timeout: Duration,
    /// Under which every socket is put before its first use.
    pub(super) hangup: Option<Hangup>,
    /// Who wants the socket itself, beside ureq.
    pub(super) handover: Option<Arc<Handover>>,
    /// Header lines that each connection's first request gets without ureq's knowledge.
    pub(super) unlogged: Option<Arc<str>>,
}

/// A socket on its way from ureq to a caller that goes on with it when HTTP is over.
#[derive(Debug, Default)]
pub(super) struct Handover {
    pub(super) socket: Mutex<Option<Arc<Socket>>>,
    /// What came with the answer's head and belongs to what follows it.
    pub(super) early: Mutex<Vec<u8>>,
}

/// Carried through ureq's errors, to be found again by [`super::exchange`].
#[derive(Debug)]
pub(super) enum Failure {
    Connect(io::Error),
    HungUp,
    /// The connection was closed before the first byte of a request went out.
    Unsent(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(e) | Self::Unsent(e) => e.fmt(f),
            Self::HungUp => f.write_str("hung up"),
        }
    }
}

impl std::error::Error for Failure {}

fn failed(failure: Failure) -> ureq::Error {
    ureq::Error::Other(Box::new(failure))
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dial({})", self.endpoint)
    }
}

impl Dial {
    /// A socket that leaves descriptors for others. Where it cannot, it waits: others may give theirs back in a moment.
    fn socket(&self, timeout: Option<Duration>) -> Result<Socket, ureq::Error> {
        let purpose = if timeout.is_some() { Purpose::Call } else { Purpose::Stream };
        let deadline = timeout.map_or(self.connect_timeout, |left| left.min(self.connect_timeout));
        let patience = timeout.map_or(PATIENCE, |left| left.min(PATIENCE));
        let (begun, mut backoff) = (Instant::now(), Backoff::new(PAUSES.0, PAUSES.1));
        loop {
            let socket = match &self.through {
                None => Socket::connect(&self.endpoint, purpose, deadline),
                Some(through) => through.connect(deadline).map(Socket::Unix),
            };
            let pause = backoff.next();
            match socket {
                Err(e) if is_exhausted(&e) && begun.elapsed() + pause < patience => {}
                socket => return socket.map_err(|e| failed(Failure::Connect(e))),
            }
            if !self.hangup.clone().unwrap_or_default().sleep(pause) {
                return Err(failed(Failure::HungUp));
            }
        }
    }
}

impl Connector for Dial {
    type Out = SocketTransport;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<SocketTransport>, ureq::Error> {
        let socket = Arc::new(self.socket(details.timeout.not_zero().map(|left| *left))?);
        let registration = match &self.hangup {
            None => None,
            Some(hangup) => {
                let weak: Weak<Socket> = Arc::downgrade(&socket);
                Some(hangup.register(weak as Weak<dyn Cut>).map_err(|_| failed(Failure::HungUp))?)
            }
        };
        if let Some(handover) = &self.handover {
            *lock(&handover.socket) = Some(socket.clone());
        }
        Ok(Some(SocketTransport {
            socket,
            handover: self.handover.clone(),
            _registration: registration,
            buffers: LazyBuffers::new(self.buffers.input, self.buffers.output),
            unlogged: self.unlogged.clone(),
            timeouts: [None, None],
            mid_request: false,
        }))
    }
}

/// Our addresses are no host names: ureq asks for one all the same, and gets one that nobody uses.
#[derive(Debug)]
pub(super) struct NoResolver;

impl Resolver for NoResolver {
    fn resolve(&self, _: &Uri, _: &ureq::config::Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let nowhere = std::net::SocketAddr::from(([0, 0, 0, 0], 1));
        let mut addresses: ResolvedSocketAddrs = ArrayVec::from_fn(|_| nowhere);
        addresses.push(nowhere);
        Ok(addresses)
    }
}

/// One connection.
pub(super) struct SocketTransport {
    socket: Arc<Socket>,
    _registration: Option<Registration>,
    handover: Option<Arc<Handover>>,
    buffers: LazyBuffers,
    /// Header lines that have not gone out yet.
    unlogged: Option<Arc<str>>,
    /// What the socket's read and write timeouts are set to.
    timeouts: [Option<Duration>; 2],
    /// Whether a part of the request has gone out, and no part of its answer has come in.
    mid_request: bool,
}

impl fmt::Debug for SocketTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketTransport").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl Drop for SocketTransport {
    fn drop(&mut self) {
        // ureq is done with an exchange that ended in an upgrade, and has read further than its head.
        if let Some(handover) = &self.handover {
            *lock(&handover.early) = self.buffers.input().to_vec();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Clone, Copy)]
enum Direction {
    Read = 0,
    Write = 1,
}

impl SocketTransport {
    /// Sets the socket's timeout where it is far off. A shorter one is as good: who wakes too early looks at the clock
    /// and waits again. A longer one overshoots, by a fiftieth at the most.
    fn wait_at_most(&mut self, direction: Direction, wanted: Option<Duration>) -> io::Result<()> {
        let set = &mut self.timeouts[direction as usize];
        let near = match (*set, wanted) {
            (None, None) => true,
            (Some(set), Some(wanted)) => set >= wanted / 2 && set <= wanted + wanted / 50,
            _ => false,
        };
        if near {
            return Ok(());
        }
        match direction {
            Direction::Read => self.socket.set_read_timeout(wanted)?,
            Direction::Write => self.socket.set_write_timeout(wanted)?,
        }
        *set = wanted;
        Ok(())
    }

    /// The first bytes of a request with the unlogged header lines behind its first line. `None`: the output as it is.
    fn with_unlogged(&mut self, amount: usize) -> Result<Option<Vec<u8>>, ureq::Error> {
        let Some(lines) = self.unlogged.take() else { return Ok(None) };
        let output = &self.buffers.output()[..amount];
        // ureq never sends a part of a request's first line.
        let Some(end) = memchr::memchr(b'\n', output) else {
            return Err(io::Error::from(io::ErrorKind::InvalidInput).into());
        };
        let (first, others) = output.split_at(end + 1);
        Ok(Some([first, lines.as_bytes(), others].concat()))
    }
}

/// The moment at which `timeout` is over.
fn deadline(timeout: &NextTimeout) -> Option<Instant> {
    timeout.not_zero().and_then(|left| Instant::now().checked_add(*left))
}

thread_local! {
    /// The moment at which this thread's reads end, whatever deadline ureq has: a body gets none of its own once its head
    /// is there, and whether it needs one depends on the head.
    static READS_END: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Does `read`, within which this thread reads from connections until `end` at the latest, and then times out.
pub(super) fn reading_until<T>(end: Instant, read: impl FnOnce() -> T) -> T {
    struct Restore(Option<Instant>);
    impl Drop for Restore {
        fn drop(&mut self) {
            READS_END.set(self.0);
        }
    }
    let _restore = Restore(READS_END.replace(Some(end)));
    read()
}

fn is_would_block(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

impl Transport for SocketTransport {
    fn buffers(&mut self) -> &mut dyn UreqBuffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let deadline = deadline(&timeout);
        let head = self.with_unlogged(amount)?;
        let amount = head.as_ref().map_or(amount, Vec::len);
        let mut sent = 0;
        while sent < amount {
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(ureq::Error::Timeout(timeout.reason));
            }
            self.wait_at_most(Direction::Write, left)?;
            let output = head.as_deref().unwrap_or_else(|| self.buffers.output());
            match (&*self.socket).write(&output[sent..amount]) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(n) => {
                    sent += n;
                    self.mid_request = true;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted || is_would_block(&e) => {}
                Err(e) if !self.mid_request => return Err(failed(Failure::Unsent(e))),
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let deadline = [deadline(&timeout), READS_END.get()].into_iter().flatten().min();
        loop {
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(ureq::Error::Timeout(timeout.reason));
            }
            self.wait_at_most(Direction::Read, left)?;
            let room = self.buffers.input_append_buf();
            if room.is_empty() {
                // A head that does not fit in the buffer. (A body is handed on as far as it has come.)
                return Err(ureq::Error::LargeResponseHeader(self.buffers.input().len(), self.buffers.input().len()));
            }
            match (&*self.socket).read(room) {
                Ok(n) => {
                    self.buffers.input_appended(n);
                    self.mid_request = false;
                    return Ok(n > 0);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted || is_would_block(&e) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    fn is_open(&mut self) -> bool {
        self.mid_request = false;
        self.socket.is_quiet()
    }
}

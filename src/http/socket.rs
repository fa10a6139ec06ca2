//! One connected socket, shared by whoever reads, whoever writes and whoever cuts it: no second descriptor.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, RecvFlags, SocketAddrUnix, SocketFlags, SocketType, sockopt};

use super::Endpoint;
use crate::limits::{Purpose, leaves_room};
use crate::threads::Cut;

/// Somebody in this process who stands in for an Engine, or between us and one.
pub(crate) trait Connect: fmt::Debug + Send + Sync {
    /// Gives one end of a connection of its own, within `timeout`.
    fn connect(&self, timeout: Duration) -> io::Result<UnixStream>;
}

/// A connected socket. All its operations take `&self`.
#[derive(Debug)]
pub(crate) enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Socket {
    /// Connects within `timeout`, if that leaves descriptors for others.
    pub(crate) fn connect(endpoint: &Endpoint, purpose: Purpose, timeout: Duration) -> io::Result<Self> {
        match endpoint {
            Endpoint::Unix(path) => connect_unix(path, purpose, timeout).map(Self::Unix),
            Endpoint::Tcp { host, port } => {
                let stream = connect_tcp(host, *port, timeout)?;
                leaves_room(&stream, purpose).map(|()| Self::Tcp(stream))
            }
            Endpoint::Replay(_) => Err(unsupported("it is a recording, and nobody plays it: see longshore::replay")),
            Endpoint::Tls { .. } => Err(unsupported("Engines behind TLS are not supported yet")),
            Endpoint::Ssh { .. } => Err(unsupported("Engines behind ssh are not supported yet")),
        }
    }

    /// How long a read may block; `None`: for ever.
    pub(crate) fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Unix(s) => s.set_read_timeout(timeout),
            Self::Tcp(s) => s.set_read_timeout(timeout),
        }
    }

    /// How long a write may block; `None`: for ever.
    pub(crate) fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Unix(s) => s.set_write_timeout(timeout),
            Self::Tcp(s) => s.set_write_timeout(timeout),
        }
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Self::Unix(s) => s.shutdown(how),
            Self::Tcp(s) => s.shutdown(how),
        }
    }

    /// Whether the peer has neither closed nor sent anything: the state of a connection between two exchanges.
    /// One system call, and it never blocks.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut byte = [0u8];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let got = rustix::net::recv(self, &mut byte, flags);
        // Nothing to read yet is what an idle connection says; an end, an error or early bytes make it useless.
        matches!(got, Err(rustix::io::Errno::AGAIN))
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(s) => s.as_fd(),
            Self::Tcp(s) => s.as_fd(),
        }
    }
}

impl Read for &Socket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Unix(s) => (&*s).read(buf),
            Socket::Tcp(s) => (&*s).read(buf),
        }
    }
}

impl Write for &Socket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Unix(s) => (&*s).write(buf),
            Socket::Tcp(s) => (&*s).write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Cut for Socket {
    fn cut(&self) {
        // An error means that it is cut already.
        let _ = self.shutdown(Shutdown::Both);
    }
}

/// std cannot time a connect to a Unix socket, and one blocks while the listener's queue is full: a stopped Engine
/// would hold us for ever. The kernel times it by the socket's send timeout.
fn connect_unix(path: &Path, purpose: Purpose, timeout: Duration) -> io::Result<UnixStream> {
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    leaves_room(&socket, purpose)?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(timeout))?;
    let address = SocketAddrUnix::new(path)?;
    let connected = rustix::io::retry_on_intr(|| rustix::net::connect(&socket, &address));
    connected.map_err(|errno| match errno {
        rustix::io::Errno::AGAIN => io::Error::new(io::ErrorKind::TimedOut, "it takes no connection"),
        other => other.into(),
    })?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, None)?;
    Ok(UnixStream::from(socket))
}

/// Tries a host's addresses in turn, all within `timeout`.
fn connect_tcp(host: &str, port: u16, timeout: Duration) -> io::Result<TcpStream> {
    let deadline = Instant::now() + timeout;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    // The error of a name that cannot be resolved has no kind of its own.
    let addresses = (host, port).to_socket_addrs().map_err(|error| io::Error::new(io::ErrorKind::NotFound, error))?;
    for address in addresses {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it takes no connection"));
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => {
                // Requests are small and written whole: waiting to fill a packet only delays them.
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(e) => last = e,
        }
    }
    Err(last)
}

fn unsupported(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, what)
}

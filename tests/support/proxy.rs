//! A proxy before a registry, through which pulls go wrong: cut in the middle of a layer, slow, silent, refused.
//!
//! It passes bytes on, and knows of HTTP only which requests ask for a blob: Docker sends one request after the other on a
//! connection, and a request's line in one piece. Faults set hold for connections that stand and for those to come.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::dockerd::Dockerd;
use super::network::Network;

/// At a limited rate, how often something is passed on.
const BEAT: Duration = Duration::from_millis(50);
/// How many connections may wait to be accepted.
const BACKLOG: i32 = 64;

/// A proxy on a port of 127.0.0.1. Dropping it closes its connections and ends its threads.
pub(crate) struct Proxy {
    host: String,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    listener: TcpListener,
    upstream: String,
    state: Mutex<State>,
    /// Told of every change of the state.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    cut_after: Option<u64>,
    /// Bytes a second.
    rate: Option<u64>,
    paused: bool,
    refused: bool,
    ended: bool,
    accepted: usize,
    cuts: usize,
    connections: Vec<Arc<Connection>>,
    threads: Vec<JoinHandle<()>>,
}

struct Connection {
    client: TcpStream,
    upstream: TcpStream,
    answer: Mutex<Answer>,
}

/// How far the answer is that is under way.
#[derive(Default)]
struct Answer {
    is_blob: bool,
    passed: u64,
}

impl Proxy {
    /// Listens, before a registry at `upstream` (`IP:PORT`).
    pub(crate) fn start(upstream: &str) -> Self {
        Self::start_at(upstream, None)
    }

    /// The same within the network of a private dockerd.
    pub(crate) fn start_in(dockerd: &Dockerd, upstream: &str) -> Self {
        Self::start_at(upstream, Some(dockerd.network()))
    }

    fn start_at(upstream: &str, network: Option<Network>) -> Self {
        let upstream = upstream.to_owned();
        let (started, start) = channel();
        let accepting = thread::Builder::new().name("proxy".into());
        // The threads of the connections are started by this one, and so connect in its network.
        let accepting = accepting.spawn(move || accept(upstream, network, &started)).expect("start a thread");
        let shared = start.recv().expect("the thread answers").unwrap_or_else(|e| panic!("listen: {e}"));
        let host = shared.listener.local_addr().expect("a listener has an address").to_string();
        Self { host, shared, accepting: Some(accepting) }
    }

    /// `IP:PORT`, as a reference begins.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Closes a connection when so many bytes of an answer with a blob, its head counted, have passed. Smaller blobs are not
    /// affected: an image's config has about 1 kB, with a head of half of that.
    pub(crate) fn cut_after(&self, bytes: u64) {
        self.shared.change(|state| state.cut_after = Some(bytes));
    }

    /// Passes on no more than so many bytes of blobs a second, per connection.
    pub(crate) fn trickle(&self, bytes_per_second: u64) {
        self.shared.change(|state| state.rate = Some(bytes_per_second));
    }

    /// Passes nothing on, in either direction. Connections are accepted.
    pub(crate) fn pause(&self) {
        self.shared.change(|state| state.paused = true);
    }

    /// Refuses new connections (`ECONNREFUSED`), and closes those that stand.
    pub(crate) fn refuse(&self) {
        self.shared.change(|state| {
            state.refused = true;
            state.close();
        });
        // It keeps its port.
        let _ = rustix::net::shutdown(&self.shared.listener, rustix::net::Shutdown::Both);
    }

    /// Closes the connections that stand, and no others.
    pub(crate) fn cut(&self) {
        self.shared.lock().close();
    }

    /// Ends every fault: what was held is passed on, connections are accepted again.
    pub(crate) fn resume(&self) {
        self.shared.change(|state| {
            if state.refused {
                rustix::net::listen(&self.shared.listener, BACKLOG).expect("listen again");
            }
            (state.cut_after, state.rate, state.paused, state.refused) = (None, None, false, false);
        });
    }

    /// How many connections were accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.shared.lock().accepted
    }

    /// How many were cut in the middle of a blob.
    pub(crate) fn cuts(&self) -> usize {
        self.shared.lock().cuts
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.change(|state| {
            state.ended = true;
            state.close();
        });
        let _ = rustix::net::shutdown(&self.shared.listener, rustix::net::Shutdown::Both);
        let threads = |shared: &Shared| std::mem::take(&mut shared.lock().threads);
        // When the first has ended, no more are started.
        for thread in self.accepting.take().into_iter().chain(std::iter::once_with(|| threads(&self.shared)).flatten())
        {
            if thread.join().is_err() {
                eprintln!("a thread of the proxy panicked");
            }
        }
    }
}

impl State {
    fn close(&mut self) {
        for connection in &self.connections {
            connection.close();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Blocks until some of `want` bytes may pass on, or `None`: the connection is to end.
    fn allowed(&self, connection: &Connection, direction: Direction, want: usize) -> Option<usize> {
        let mut state = self.lock();
        let mut waited = false;
        loop {
            if state.ended {
                return None;
            }
            let mut answer = connection.answer.lock().unwrap_or_else(PoisonError::into_inner);
            let limited = direction == Direction::Answers && answer.is_blob;
            let mut most = want as u64;
            if state.paused {
                drop(answer);
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            if let Some(rate) = state.rate.filter(|_| limited) {
                if !waited {
                    drop(answer);
                    waited = true;
                    state = self.changed.wait_timeout(state, BEAT).unwrap_or_else(PoisonError::into_inner).0;
                    continue;
                }
                most = most.min((rate / 20).max(1));
            }
            if let Some(limit) = state.cut_after.filter(|_| limited) {
                if answer.passed >= limit {
                    state.cuts += 1;
                    return None;
                }
                most = most.min(limit - answer.passed);
            }
            if limited {
                answer.passed += most;
            }
            return Some(most as usize);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Requests,
    Answers,
}

/// Listens, says so, and accepts until the proxy is dropped.
fn accept(upstream: String, network: Option<Network>, started: &Sender<io::Result<Arc<Shared>>>) {
    let enter_and_listen = || {
        if let Some(network) = network {
            network.enter()?;
        }
        listen()
    };
    let listener = match enter_and_listen() {
        Ok(listener) => listener,
        Err(e) => {
            let _ = started.send(Err(e));
            return;
        }
    };
    let shared = Arc::new(Shared { listener, upstream, state: Mutex::default(), changed: Condvar::new() });
    let _ = started.send(Ok(shared.clone()));
    loop {
        let mut accepted = shared.listener.accept();
        let mut state = shared.lock();
        // While it refuses, there is no listening, and accept fails at once.
        while state.refused && !state.ended {
            accepted = Err(io::ErrorKind::ConnectionRefused.into());
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.ended {
            return;
        }
        let Ok((client, _)) = accepted else { continue };
        state.accepted += 1;
        let through = shared.clone();
        let connection = thread::Builder::new().name("proxied".into());
        state.threads.push(connection.spawn(move || pass(&through, client)).expect("start a thread"));
    }
}

/// Listens on a free port that it keeps while it refuses: one asked for by number. The kernel takes back one that it chose.
fn listen() -> io::Result<TcpListener> {
    loop {
        let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        match TcpListener::bind(free) {
            // Somebody else was given it in between.
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => {}
            other => return other,
        }
    }
}

/// Passes a connection's requests on, and its answers in a thread of its own, until either side ends it.
fn pass(shared: &Shared, client: TcpStream) {
    // A client whose registry is not there is hung up on.
    let Ok(upstream) = TcpStream::connect(&shared.upstream) else { return };
    let _ = (client.set_nodelay(true), upstream.set_nodelay(true));
    let connection = Arc::new(Connection { client, upstream, answer: Mutex::default() });
    let mut state = shared.lock();
    if state.ended || state.refused {
        return;
    }
    state.connections.push(connection.clone());
    drop(state);
    thread::scope(|scope| {
        scope.spawn(|| {
            copy(shared, &connection, Direction::Answers);
            connection.close();
        });
        copy(shared, &connection, Direction::Requests);
        let _ = connection.upstream.shutdown(Shutdown::Write);
    });
    shared.lock().connections.retain(|other| !Arc::ptr_eq(other, &connection));
}

impl Connection {
    fn close(&self) {
        let _ = (self.client.shutdown(Shutdown::Both), self.upstream.shutdown(Shutdown::Both));
    }

    /// Looks at what the client sends. An answer begins when a request was made.
    fn look(&self, piece: &[u8]) {
        let methods: [&[u8]; 6] = [b"GET ", b"HEAD ", b"POST ", b"PUT ", b"PATCH ", b"DELETE "];
        if methods.iter().any(|method| piece.starts_with(method)) {
            let line = piece.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let is_blob = line.starts_with(b"GET ") && line.windows(7).any(|part| part == b"/blobs/");
            *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Answer { is_blob, passed: 0 };
        }
    }
}

/// Passes one direction on until it ends, or must not go on.
fn copy(shared: &Shared, connection: &Connection, direction: Direction) {
    let (mut from, mut to) = match direction {
        Direction::Requests => (&connection.client, &connection.upstream),
        Direction::Answers => (&connection.upstream, &connection.client),
    };
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let mut piece = match from.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(read) => &buffer[..read],
        };
        if direction == Direction::Requests {
            connection.look(piece);
        }
        while !piece.is_empty() {
            let Some(now) = shared.allowed(connection, direction, piece.len()) else { return connection.close() };
            if to.write_all(&piece[..now]).is_err() {
                return;
            }
            piece = &piece[now..];
        }
    }
}

//! A proxy before the Engine's socket that goes away: at a step that a test names, before or after it passed the request on,
//! or at once; and comes back after a while, or when it is told to. It can also keep a request for ever.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// When a request is met that a test has named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Goes away, and does not pass it on.
    Before,
    /// Passes it on, waits for its answer, and goes away with it.
    After,
    /// Keeps it, and every later one of its kind: no answer comes.
    Hold,
    /// Keeps it for so long, and passes it on then, whether or not its sender still waits. Once.
    Late(Duration),
}

/// A proxy on a Unix socket. Dropping it closes its connections and ends its threads.
pub(crate) struct Gate {
    shared: Arc<Shared>,
}

struct Shared {
    socket: PathBuf,
    upstream: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// `None`: it is away.
    listener: Option<Arc<UnixListener>>,
    fault: Option<(&'static str, &'static str, Fault)>,
    met: usize,
    ended: bool,
    connections: Vec<Arc<(UnixStream, UnixStream)>>,
    threads: Vec<JoinHandle<()>>,
}

impl Gate {
    /// Listens at `socket`, before the Engine at `upstream`.
    pub(crate) fn start(socket: &Path, upstream: &Path) -> Self {
        let shared = Shared { socket: socket.to_owned(), upstream: upstream.to_owned(), state: Mutex::default() };
        let gate = Self { shared: Arc::new(shared) };
        gate.come_back();
        gate
    }

    /// The address of the socket.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.shared.socket.display())
    }

    /// Does so at the next request of this method whose path ends so, before its query. With `Before` and `After` once.
    pub(crate) fn fault(&self, method: &'static str, path_end: &'static str, fault: Fault) {
        self.shared.lock().fault = Some((method, path_end, fault));
    }

    /// How often a named request was met.
    pub(crate) fn met(&self) -> usize {
        self.shared.lock().met
    }

    /// Refuses connections, and closes those that stand.
    pub(crate) fn go_away(&self) {
        self.shared.go_away();
    }

    /// Ends every fault, and listens again.
    pub(crate) fn come_back(&self) {
        let shared = &self.shared;
        let mut state = shared.lock();
        state.fault = None;
        if state.listener.is_some() || state.ended {
            return;
        }
        let _ = fs::remove_file(&shared.socket);
        let listener = Arc::new(UnixListener::bind(&shared.socket).expect("listen"));
        state.listener = Some(listener.clone());
        let accepts = shared.clone();
        state.threads.push(thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let through = accepts.clone();
                let passes = thread::spawn(move || pass(&through, client));
                accepts.lock().threads.push(passes);
            }
        }));
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.go_away();
        loop {
            let threads = std::mem::take(&mut self.shared.lock().threads);
            if threads.is_empty() {
                break;
            }
            for thread in threads {
                if thread.join().is_err() {
                    eprintln!("a thread of the gate panicked");
                }
            }
        }
        let _ = fs::remove_file(&self.shared.socket);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn go_away(&self) {
        let mut state = self.lock();
        if let Some(listener) = state.listener.take() {
            let _ = rustix::net::shutdown(&listener, rustix::net::Shutdown::Both);
        }
        for connection in state.connections.drain(..) {
            let _ = (connection.0.shutdown(Shutdown::Both), connection.1.shutdown(Shutdown::Both));
        }
    }

    /// What is to be done with what a client sends.
    fn look(&self, piece: &[u8]) -> Option<Fault> {
        let line = String::from_utf8_lossy(piece.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
        let mut words = line.split(' ');
        let (method, path) = (words.next()?, words.next()?);
        let path = path.split('?').next()?;
        let mut state = self.lock();
        let (wanted, end, fault) = state.fault?;
        if method != wanted || !path.ends_with(end) {
            return None;
        }
        state.met += 1;
        if fault != Fault::Hold {
            state.fault = None;
        }
        Some(fault)
    }
}

/// Passes a connection's requests on, and its answers in a thread of its own, until either side ends it.
fn pass(shared: &Arc<Shared>, client: UnixStream) {
    let Ok(upstream) = UnixStream::connect(&shared.upstream) else { return };
    let connection = Arc::new((client, upstream));
    {
        let mut state = shared.lock();
        if state.listener.is_none() {
            return;
        }
        state.connections.push(connection.clone());
    }
    let goes_with_its_answer = Mutex::new(false);
    thread::scope(|scope| {
        let (client, upstream) = (&connection.0, &connection.1);
        let goes_with_its_answer = &goes_with_its_answer;
        scope.spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(length @ 1..) = (&mut &*upstream).read(&mut buffer) {
                if *goes_with_its_answer.lock().unwrap_or_else(PoisonError::into_inner) {
                    shared.go_away();
                    break;
                }
                if (&mut &*client).write_all(&buffer[..length]).is_err() {
                    break;
                }
            }
            let _ = client.shutdown(Shutdown::Both);
        });
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = (&mut &*client).read(&mut buffer) {
            match shared.look(&buffer[..length]) {
                Some(Fault::Before) => {
                    shared.go_away();
                    break;
                }
                // Until the client hangs up.
                Some(Fault::Hold) => continue,
                Some(Fault::Late(time)) => {
                    thread::sleep(time);
                    let _ = (&mut &*upstream).write_all(&buffer[..length]);
                    // A request that is hung up on at once is given up by the Engine.
                    thread::sleep(Duration::from_secs(1));
                    continue;
                }
                Some(Fault::After) => {
                    *goes_with_its_answer.lock().unwrap_or_else(PoisonError::into_inner) = true;
                }
                None => {}
            }
            if (&mut &*upstream).write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = upstream.shutdown(Shutdown::Both);
    });
    shared.lock().connections.retain(|other| !Arc::ptr_eq(other, &connection));
}

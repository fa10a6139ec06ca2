//! A scripted Engine: it listens on a socket of its own, does with each request what the newest rule that wants it says,
//! and remembers what it was asked. Its threads end, and are joined, when it is dropped.
//!
//! Nothing here knows Docker's API: rules do. A request that no rule wants is answered 501, and fails the test.

use std::collections::HashMap;
use std::fs;
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use longshore::Endpoint;
use longshore::engine::{Engine, EngineConfig};

use crate::answer::{Answer, Step};
use crate::request::{Request, matches};
use crate::support::unique;

/// What a test waits for has failed if it takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// A thread that reads requests needs little; a test has hundreds of them.
const STACK: usize = 256 * 1024;

/// What a rule does with a request; `None`: it leaves it to an older rule.
type Handler = Box<dyn FnMut(&Request) -> Option<Answer> + Send>;

/// A scripted Engine.
pub(crate) struct Scripted {
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
    dir: Option<PathBuf>,
    endpoint: Endpoint,
}

struct Shared {
    rules: Mutex<Vec<(&'static str, Handler)>>,
    state: Mutex<State>,
    changed: Condvar,
}

/// What has happened so far.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) requests: Vec<Request>,
    /// How many connections were made.
    pub(crate) connections: usize,
    /// To how many requests it is known what is answered.
    answered: usize,
    unwanted: Vec<String>,
    open: HashMap<usize, Arc<Socket>>,
    threads: Vec<JoinHandle<()>>,
    stopped: bool,
}

impl State {
    /// How many connections are open.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    /// The last request, if what is answered to it, and to all before it, is known.
    pub(crate) fn last_answered(&self) -> Option<&Request> {
        self.requests.last().filter(|_| self.answered == self.requests.len())
    }

    /// How often a thing was asked.
    pub(crate) fn count(&self, pattern: &str) -> usize {
        self.requests.iter().filter(|request| matches(pattern, request)).count()
    }
}

impl Scripted {
    /// An Engine on a Unix socket.
    pub(crate) fn unix() -> Self {
        let dir = std::env::temp_dir().join(unique("longshore-scripted"));
        fs::create_dir(&dir).unwrap();
        let path = dir.join("engine.sock");
        let listener = UnixListener::bind(&path).unwrap();
        Self::listening(Listener::Unix(listener), Endpoint::Unix(path), Some(dir))
    }

    /// An Engine on a port, and so with a clock that may be another.
    pub(crate) fn tcp() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        Self::listening(Listener::Tcp(listener), Endpoint::Tcp { host: "127.0.0.1".into(), port }, None)
    }

    fn listening(listener: Listener, endpoint: Endpoint, dir: Option<PathBuf>) -> Self {
        let shared = Arc::new(Shared { rules: Mutex::default(), state: Mutex::default(), changed: Condvar::new() });
        let acceptor = {
            let shared = shared.clone();
            thread::spawn(move || shared.accept(&listener))
        };
        let scripted = Self { shared, acceptor: Some(acceptor), dir, endpoint };
        scripted.always("GET /_ping", || Answer::ping("1.41"));
        scripted
    }

    /// A client, with the usual patience.
    pub(crate) fn client(&self) -> Engine {
        Engine::connect(self.endpoint.clone())
    }

    /// A client that waits for an ordinary call so long.
    pub(crate) fn client_within(&self, call_timeout: Duration) -> Engine {
        self.client_with(EngineConfig { call_timeout, ..EngineConfig::default() })
    }

    pub(crate) fn client_with(&self, config: EngineConfig) -> Engine {
        Engine::with_config(self.endpoint.clone(), config)
    }

    /// A rule: `METHOD /path`, without a version, a `*` for one part of the path. The newest rule is asked first.
    pub(crate) fn on(&self, pattern: &'static str, handler: impl FnMut(&Request) -> Option<Answer> + Send + 'static) {
        lock(&self.shared.rules).push((pattern, Box::new(handler)));
    }

    /// A rule for each such request from now on.
    pub(crate) fn always(&self, pattern: &'static str, answer: impl Fn() -> Answer + Send + 'static) {
        self.on(pattern, move |_| Some(answer()));
    }

    /// A rule for as many such requests as there are answers; then the older rules hold again.
    pub(crate) fn answers(&self, pattern: &'static str, answers: impl IntoIterator<Item = Answer>) {
        let mut answers: std::collections::VecDeque<_> = answers.into_iter().collect();
        self.on(pattern, move |_| answers.pop_front());
    }

    /// What has happened so far.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.state)
    }

    /// The requests so far that the pattern means.
    pub(crate) fn requests(&self, pattern: &str) -> Vec<Request> {
        self.state().requests.iter().filter(|request| matches(pattern, request)).cloned().collect()
    }

    pub(crate) fn count(&self, pattern: &str) -> usize {
        self.state().count(pattern)
    }

    /// Blocks until what has happened is so.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, mut condition: impl FnMut(&State) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state();
        while !condition(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let asked: Vec<_> = state.requests.iter().map(|r| format!("{} {}", r.method, r.path)).collect();
                drop(state);
                panic!("not in time: {what}; asked so far: {asked:?}");
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What gives the Engine's waiting answers cause to look at their conditions again.
    pub(crate) fn poker(&self) -> impl Fn() + Clone + Send + use<> {
        let shared = self.shared.clone();
        move || {
            let _state = lock(&shared.state);
            shared.changed.notify_all();
        }
    }

    /// Takes no more connections and cuts all there are, as an Engine does that goes down. On a Unix socket only.
    pub(crate) fn go_away(&self) {
        let dir = self.dir.as_ref().unwrap();
        fs::rename(dir.join("engine.sock"), dir.join("away.sock")).unwrap();
        for socket in self.state().open.values() {
            socket.shutdown();
        }
    }

    /// Takes connections again.
    pub(crate) fn come_back(&self) {
        let dir = self.dir.as_ref().unwrap();
        fs::rename(dir.join("away.sock"), dir.join("engine.sock")).unwrap();
    }

    /// One more connection, only to be noticed.
    fn knock(&self) {
        match (&self.endpoint, &self.dir) {
            (Endpoint::Tcp { host, port }, _) => drop(TcpStream::connect((host.as_str(), *port))),
            (_, Some(dir)) => {
                let _ = UnixStream::connect(dir.join("engine.sock"))
                    .or_else(|_| UnixStream::connect(dir.join("away.sock")));
            }
            _ => unreachable!("no other kind is made"),
        }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        let threads = {
            let mut state = self.state();
            state.stopped = true;
            for socket in state.open.values() {
                socket.shutdown();
            }
            self.shared.changed.notify_all();
            std::mem::take(&mut state.threads)
        };
        self.knock();
        for thread in self.acceptor.take().into_iter().chain(threads) {
            let _ = thread.join();
        }
        if let Some(dir) = &self.dir {
            let _ = fs::remove_dir_all(dir);
        }
        let unwanted = std::mem::take(&mut self.state().unwanted);
        assert!(unwanted.is_empty() || thread::panicking(), "no rule for: {unwanted:?}");
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &Listener) {
        loop {
            let Ok(socket) = listener.accept().map(Arc::new) else { return };
            let mut state = lock(&self.state);
            if state.stopped {
                return;
            }
            let number = state.connections;
            state.connections += 1;
            state.open.insert(number, socket.clone());
            self.changed.notify_all();
            let shared = self.clone();
            let serve = move || {
                // However the client leaves is its own affair.
                let _ = shared.serve(&socket, number);
                socket.shutdown();
                // Closed before it counts as closed.
                lock(&shared.state).open.remove(&number);
                shared.changed.notify_all();
            };
            state.threads.push(thread::Builder::new().stack_size(STACK).spawn(serve).unwrap());
        }
    }

    fn serve(&self, socket: &Socket, number: usize) -> io::Result<()> {
        let mut reader = BufReader::new(socket);
        while let Some(request) = Request::read(&mut reader, number)? {
            let answer = self.answer(&request);
            lock(&self.state).answered += 1;
            self.changed.notify_all();
            if !self.perform(socket, &mut reader, answer.steps)? {
                break;
            }
        }
        Ok(())
    }

    fn answer(&self, request: &Request) -> Answer {
        {
            let mut state = lock(&self.state);
            state.requests.push(request.clone());
            self.changed.notify_all();
        }
        let mut rules = lock(&self.rules);
        let wanted = rules.iter_mut().rev().filter(|(pattern, _)| matches(pattern, request));
        wanted.into_iter().find_map(|(_, handler)| handler(request)).unwrap_or_else(|| {
            let what = format!("{} {}", request.method, request.path);
            lock(&self.state).unwanted.push(what.clone());
            Answer::error(501, &format!("no rule for {what}"))
        })
    }

    /// Does the steps. False: the connection is over.
    fn perform(&self, mut socket: &Socket, reader: &mut impl Read, steps: Vec<Step>) -> io::Result<bool> {
        for step in steps {
            match step {
                Step::Send(bytes) => socket.write_all(&bytes)?,
                Step::Pause(pause) => {
                    let end = Instant::now() + pause;
                    self.until(|| Instant::now() >= end, Some(end));
                }
                Step::Until(condition) => self.until(condition, None),
                Step::Then(go_on) => {
                    if !self.perform(socket, reader, go_on())? {
                        return Ok(false);
                    }
                }
                Step::Hold => {
                    io::copy(reader, &mut io::sink())?;
                    return Ok(false);
                }
                Step::Close => return Ok(false),
            }
        }
        Ok(true)
    }

    fn until(&self, mut condition: impl FnMut() -> bool, end: Option<Instant>) {
        let mut state = lock(&self.state);
        while !state.stopped && !condition() {
            let left = end.map_or(PATIENCE, |end| end.saturating_duration_since(Instant::now()));
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A test that failed while it held a lock must not make the Engine's end fail too.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Listener {
    fn accept(&self) -> io::Result<Socket> {
        match self {
            Self::Unix(listener) => Ok(Socket::Unix(listener.accept()?.0)),
            Self::Tcp(listener) => {
                let stream = listener.accept()?.0;
                stream.set_nodelay(true)?;
                Ok(Socket::Tcp(stream))
            }
        }
    }
}

enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Socket {
    fn shutdown(&self) {
        // An error means that it is closed already.
        let _ = match self {
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

impl Read for &Socket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Unix(stream) => (&*stream).read(buf),
            Socket::Tcp(stream) => (&*stream).read(buf),
        }
    }
}

impl Write for &Socket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Unix(stream) => (&*stream).write(buf),
            Socket::Tcp(stream) => (&*stream).write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

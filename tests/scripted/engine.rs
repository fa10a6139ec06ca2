//! A scripted Engine on a socket of its own: a function says what each request is answered with, byte for byte.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use longshore::engine::{Engine, EngineConfig};
use serde_json::Value;

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Without version and query.
    pub(crate) path: String,
    pub(crate) version: Option<String>,
    pub(crate) query: String,
    pub(crate) body: Vec<u8>,
    /// How many of this method and path came before.
    pub(crate) before: usize,
}

impl Request {
    /// `METHOD /path`.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// What is written to the connection, and what becomes of it then.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pieces: Vec<(Duration, Vec<u8>)>,
    then: Then,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Keep,
    Close,
    /// The connection stays, and nothing more comes.
    Hang,
}

impl Answer {
    /// Bytes as they stand; the connection is kept.
    pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { pieces: vec![(Duration::ZERO, bytes.into())], then: Then::Keep }
    }

    pub(crate) fn status(status: u16, body: &str) -> Self {
        let kind = "Content-Type: application/json\r\nApi-Version: 1.41";
        // 1xx, 204 and 304 have no body.
        let length =
            if matches!(status, 204 | 304) { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        Self::raw(format!("HTTP/1.1 {status} X\r\n{kind}\r\n{length}\r\n{body}"))
    }

    pub(crate) fn json(body: &Value) -> Self {
        Self::status(200, &body.to_string())
    }

    pub(crate) fn error(status: u16, message: &str) -> Self {
        Self::status(status, &serde_json::json!({"message": message}).to_string())
    }

    /// A stream that ends by close.
    pub(crate) fn stream(bytes: &[u8]) -> Self {
        let mut all = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n".to_vec();
        all.extend_from_slice(bytes);
        Self::raw(all).close()
    }

    /// A stream in one chunk, with its last one or, where it is cut, without.
    pub(crate) fn chunk(bytes: &[u8], ends: bool) -> Self {
        let mut all = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        if !bytes.is_empty() {
            all.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
            all.extend_from_slice(bytes);
            all.extend_from_slice(b"\r\n");
        }
        if ends {
            all.extend_from_slice(b"0\r\n\r\n");
            return Self::raw(all);
        }
        Self::raw(all).close()
    }

    /// No byte ever.
    pub(crate) fn never() -> Self {
        Self { pieces: Vec::new(), then: Then::Hang }
    }

    pub(crate) fn close(mut self) -> Self {
        self.then = Then::Close;
        self
    }

    pub(crate) fn hang(mut self) -> Self {
        self.then = Then::Hang;
        self
    }

    /// Only after a while.
    pub(crate) fn after(mut self, pause: Duration) -> Self {
        self.pieces.first_mut().unwrap().0 = pause;
        self
    }

    /// A byte at a time.
    pub(crate) fn dribbled(self, pause: Duration) -> Self {
        let bytes = self.pieces.concat_bytes();
        Self { pieces: bytes.into_iter().map(|byte| (pause, vec![byte])).collect(), then: self.then }
    }
}

trait Concat {
    fn concat_bytes(&self) -> Vec<u8>;
}

impl Concat for Vec<(Duration, Vec<u8>)> {
    fn concat_bytes(&self) -> Vec<u8> {
        self.iter().flat_map(|(_, bytes)| bytes.clone()).collect()
    }
}

type Script = dyn Fn(&Request) -> Answer + Send + Sync;

struct Shared {
    script: Box<Script>,
    requests: Mutex<Vec<Request>>,
    connections: AtomicUsize,
    open: Mutex<Vec<UnixStream>>,
    ended: AtomicBool,
}

/// An Engine that follows a script until it is dropped.
pub(crate) struct Scripted {
    path: PathBuf,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Scripted {
    pub(crate) fn new(script: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let path = std::env::temp_dir().join(format!("longshore-scripted-{}-{number}.sock", std::process::id()));
        let shared = Arc::new(Shared {
            script: Box::new(script),
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
            open: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let mut scripted = Self { path, shared, accepting: None };
        scripted.up();
        scripted
    }

    /// Listens (again).
    pub(crate) fn up(&mut self) {
        let _ = std::fs::remove_file(&self.path);
        let listener = UnixListener::bind(&self.path).unwrap();
        self.shared.ended.store(false, Ordering::SeqCst);
        let shared = self.shared.clone();
        self.accepting = Some(thread::spawn(move || accept(&listener, &shared)));
    }

    /// Nobody listens any more, and every connection is cut.
    pub(crate) fn down(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        let _ = UnixStream::connect(&self.path);
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(accepting) = self.accepting.take() {
            accepting.join().unwrap();
        }
        let _ = std::fs::remove_file(&self.path);
    }

    pub(crate) fn engine(&self) -> Engine {
        self.engine_with(EngineConfig::default())
    }

    pub(crate) fn engine_with(&self, config: EngineConfig) -> Engine {
        Engine::with_config(format!("unix://{}", self.path.display()).parse().unwrap(), config)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// How many requests of a method and path came.
    pub(crate) fn count(&self, line: &str) -> usize {
        self.requests().iter().filter(|request| request.line() == line).count()
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.down();
    }
}

fn accept(listener: &UnixListener, shared: &Arc<Shared>) {
    let mut threads = Vec::new();
    for stream in listener.incoming() {
        let Ok(stream) = stream else { break };
        if shared.ended.load(Ordering::SeqCst) {
            break;
        }
        shared.connections.fetch_add(1, Ordering::SeqCst);
        shared.open.lock().unwrap().push(stream.try_clone().unwrap());
        let shared = shared.clone();
        // Every error here is a connection that was cut, by either side.
        threads.push(thread::spawn(move || drop(serve(stream, &shared))));
    }
    for stream in shared.open.lock().unwrap().drain(..) {
        let _ = stream.shutdown(Shutdown::Both);
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

fn serve(stream: UnixStream, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    while let Some(mut request) = read_request(&mut reader)? {
        let answer = {
            let mut requests = shared.requests.lock().unwrap();
            request.before = requests.iter().filter(|r| r.line() == request.line()).count();
            requests.push(request.clone());
            drop(requests);
            (shared.script)(&request)
        };
        for (pause, bytes) in &answer.pieces {
            if !pause.is_zero() {
                thread::sleep(*pause); // What the script says of time.
            }
            writer.write_all(bytes)?;
        }
        match answer.then {
            Then::Keep => {}
            Then::Close => {
                writer.shutdown(Shutdown::Both)?;
                return Ok(());
            }
            Then::Hang => {
                let mut rest = Vec::new();
                reader.read_to_end(&mut rest)?;
                return Ok(());
            }
        }
    }
    Ok(())
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let mut body = Vec::new();
    if let Some(length) = headers.get("content-length") {
        reader.take(length.parse().unwrap()).read_to_end(&mut body)?;
    } else if headers.contains_key("transfer-encoding") {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size)?;
            let size = u64::from_str_radix(size.trim(), 16).unwrap();
            reader.take(size).read_to_end(&mut body)?;
            reader.read_line(&mut String::new())?;
            if size == 0 {
                break;
            }
        }
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let (version, path) = match path.strip_prefix("/v").and_then(|rest| rest.split_once('/')) {
        Some((version, rest)) if version.starts_with(|c: char| c.is_ascii_digit()) => {
            (Some(version.to_owned()), format!("/{rest}"))
        }
        _ => (None, path.to_owned()),
    };
    Ok(Some(Request { method, path, version, query: query.to_owned(), body, before: 0 }))
}

/// The answer of a ping, for scripts that are about something else.
pub(crate) fn pong() -> Answer {
    Answer::status(200, "OK")
}

/// Blocks until the condition holds, and panics where it does not within ten seconds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(10), "not in time: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

//! An Engine that has one thing to say, and says it as fast as it is read: a container's output in chunked frames with stamps.
//!
//! It knows the few calls that a client makes around `logs`. The output comes to those who follow; a read without follow finds
//! nothing, so that all of it goes one way. Stamps go on by a second with each block of frames: faster than any clock, so
//! nobody takes them for late. In its steady state it allocates nothing.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use longshore::logs::Stamp;

/// How much is sent at once, about, in bytes.
const BLOCK: usize = 1024 * 1024;
/// The text of a stamp and the blank behind it.
const STAMP: usize = 31;
/// The part of a stamp that changes from block to block: up to the point.
const SECONDS: usize = 20;

/// What a container has written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// The length of a line, with its newline.
    pub(crate) line: usize,
    /// How many lines, about: as many as make whole blocks.
    pub(crate) lines: usize,
}

impl Output {
    fn lines_a_block(&self) -> usize {
        (BLOCK / (self.line + STAMP + 20)).clamp(1, self.lines.max(1))
    }

    fn blocks(&self) -> usize {
        self.lines.div_ceil(self.lines_a_block())
    }

    /// How many bytes a client is to get, stamps not counted.
    pub(crate) fn bytes(&self) -> u64 {
        (self.line * self.frames()) as u64
    }

    /// In how many frames these come.
    pub(crate) fn frames(&self) -> usize {
        self.lines_a_block() * self.blocks()
    }
}

/// What it does with those who follow.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// All of this, at once.
    Whole(Output),
    /// They are kept, for [`Playback::line_to_each`].
    Slow,
}

/// A server that is there until it is dropped with its process.
#[derive(Debug, Clone)]
pub(crate) struct Playback(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    socket: PathBuf,
    pace: Pace,
    state: Mutex<State>,
    changed: Condvar,
    /// Blocks sent.
    sent: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    ended: bool,
    followers: Vec<UnixStream>,
}

impl Playback {
    /// Listens at a path.
    pub(crate) fn start(socket: &Path, pace: Pace) -> io::Result<Self> {
        let listener = UnixListener::bind(socket)?;
        let (state, changed, sent) = (Mutex::default(), Condvar::new(), AtomicU64::new(0));
        let playback = Self(Arc::new(Shared { socket: socket.to_owned(), pace, state, changed, sent }));
        let server = playback.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (server, Ok(stream)) = (server.clone(), stream) else { return };
                let serving = thread::Builder::new().stack_size(128 * 1024).spawn(move || server.serve(stream));
                if let Err(error) = serving {
                    eprintln!("playback: {error}");
                }
            }
        });
        Ok(playback)
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.0.socket
    }

    /// The container runs again, and has written nothing.
    pub(crate) fn rewind(&self) {
        self.lock().ended = false;
        self.0.sent.store(0, Ordering::Relaxed);
    }

    /// Which part of the output is sent: 0 to 1.
    #[allow(dead_code, reason = "the bench itself waits for the end")]
    pub(crate) fn progress(&self) -> f64 {
        match self.0.pace {
            Pace::Whole(output) => self.0.sent.load(Ordering::Relaxed) as f64 / output.blocks() as f64,
            Pace::Slow => 0.0,
        }
    }

    /// How many follow.
    pub(crate) fn followers(&self) -> usize {
        self.lock().followers.len()
    }

    /// One line of 100 bytes to each follower.
    pub(crate) fn line_to_each(&self, stamped: bool) -> io::Result<()> {
        let line = Block::new(&Output { line: 100, lines: 1 }, stamped, now());
        self.lock().followers.iter_mut().try_for_each(|follower| follower.write_all(&line.bytes))
    }

    /// The containers end, and their output.
    pub(crate) fn end(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.ended = true;
        self.0.changed.notify_all();
        state.followers.drain(..).try_for_each(|mut follower| follower.write_all(b"0\r\n\r\n"))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers the requests of one connection. A client that leaves in the midst of an answer is none of our business.
    fn serve(&self, stream: UnixStream) {
        let Ok(write) = stream.try_clone() else { return };
        let (mut read, mut write) = (BufReader::with_capacity(4096, stream), write);
        while let Ok(Some((method, target))) = request(&mut read) {
            match self.answer(&method, &target, &mut write) {
                Ok(true) => {}
                Ok(false) | Err(_) => return,
            }
        }
    }

    /// Answers one request. Says whether the connection is good for another.
    fn answer(&self, method: &str, target: &str, to: &mut UnixStream) -> io::Result<bool> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let is = |parameter: &str| query.split('&').any(|given| given == parameter);
        let path: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && !part.starts_with("v1.")).collect();
        match path.as_slice() {
            ["_ping"] => plain(to, 200, if method == "HEAD" { "" } else { "OK" })?,
            ["version"] => plain(to, 200, r#"{"Version":"20.10","ApiVersion":"1.41","MinAPIVersion":"1.12"}"#)?,
            ["containers", "json"] => plain(to, 200, "[]")?,
            ["containers", id, "json"] => {
                let (status, running) = if self.lock().ended { ("exited", false) } else { ("running", true) };
                let started = "2026-11-25T00:00:00Z";
                plain(
                    to,
                    200,
                    &format!(
                        r#"{{"Id":"{id}","Name":"/{id}","Image":"sha256:1","State":{{"Status":"{status}","Running":{running},"ExitCode":0,"StartedAt":"{started}","FinishedAt":"{started}"}},"Config":{{"Tty":false,"Image":"x","Labels":{{"longshore.instance":"bench","longshore.task_id":"{id}"}}}},"HostConfig":{{"LogConfig":{{"Type":"json-file","Config":{{"max-size":"1000000m"}}}}}}}}"#
                    ),
                )?;
            }
            ["containers", _, "wait"] => {
                let ended = self.0.changed.wait_while(self.lock(), |state| !state.ended);
                drop(ended);
                plain(to, 200, r#"{"StatusCode":0}"#)?;
            }
            ["containers", _, "logs"] => {
                to.write_all(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
                )?;
                if is("follow=1") || is("follow=true") {
                    return self.follow(is("timestamps=1") || is("timestamps=true"), to);
                }
                to.write_all(b"0\r\n\r\n")?;
            }
            _ => plain(to, 404, r#"{"message":"page not found"}"#)?,
        }
        Ok(true)
    }

    fn follow(&self, stamped: bool, to: &mut UnixStream) -> io::Result<bool> {
        let Pace::Whole(output) = self.0.pace else {
            self.lock().followers.push(to.try_clone()?);
            // Its client closes it.
            let closed = self.0.changed.wait_while(self.lock(), |state| !state.ended);
            drop(closed);
            return Ok(false);
        };
        if !self.lock().ended {
            // From the next second on: what is older than the clock says is late.
            let begin = now() + 1_000_000_000;
            let mut block = Block::new(&output, stamped, begin);
            for second in 0..output.blocks() {
                block.stamp(begin + second as i64 * 1_000_000_000);
                to.write_all(&block.bytes)?;
                self.0.sent.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.lock().ended = true;
        self.0.changed.notify_all();
        to.write_all(b"0\r\n\r\n")?;
        Ok(true)
    }
}

/// Frames, each in a chunk of its own as an Engine sends them, all of one second.
struct Block {
    bytes: Vec<u8>,
    /// Where the first stamp is, and how far it is to the next. `None`: there are none.
    stamps: Option<(usize, usize)>,
}

impl Block {
    fn new(output: &Output, stamped: bool, begin: i64) -> Self {
        let frames = output.lines_a_block();
        let (mut bytes, mut stamps) = (Vec::new(), None);
        for n in 0..frames {
            let at = bytes.len();
            let stamp = if stamped { STAMP } else { 0 };
            let length = stamp + output.line;
            bytes.extend_from_slice(format!("{:x}\r\n\x01\0\0\0", length + 8).as_bytes());
            bytes.extend_from_slice(&(length as u32).to_be_bytes());
            if stamped {
                let second = begin - begin % 1_000_000_000;
                // The only frame is now.
                let nanos = if frames == 1 { begin } else { second + n as i64 * (1_000_000_000 / frames as i64) };
                let text = format!("{} ", Stamp::from_nanos(nanos));
                stamps.get_or_insert((bytes.len(), 0));
                bytes.extend_from_slice(text.as_bytes());
            }
            bytes.extend((1..output.line).map(|at| b'a' + (at % 26) as u8));
            bytes.extend_from_slice(b"\n\r\n");
            if let Some((_, stride)) = &mut stamps {
                *stride = bytes.len() - at;
            }
        }
        Self { bytes, stamps }
    }

    /// Sets the second of all.
    fn stamp(&mut self, moment: i64) {
        let Some((first, stride)) = self.stamps else { return };
        let mut seconds = [0; SECONDS];
        // Into a buffer of ours, without an allocation: what does not fit in it is the rest of a second.
        let cut = write!(io::Cursor::new(&mut seconds[..]), "{}", Stamp::from_nanos(moment));
        debug_assert!(cut.is_err(), "a stamp is longer");
        for at in (first..self.bytes.len()).step_by(stride) {
            self.bytes[at..at + SECONDS].copy_from_slice(&seconds);
        }
    }
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_nanos() as i64
}

/// Reads one request: its method and target. `None`: there is none any more.
fn request(from: &mut impl BufRead) -> io::Result<Option<(String, String)>> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ');
    let found = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let mut length = 0;
    loop {
        line.clear();
        from.read_line(&mut line)?;
        let field = line.trim().to_ascii_lowercase();
        if field.is_empty() {
            break;
        }
        if let Some(value) = field.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    io::copy(&mut from.take(length), &mut io::sink())?;
    Ok(Some(found))
}

fn plain(to: &mut UnixStream, status: u16, body: &str) -> io::Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} x\r\nApi-Version: 1.41\r\nOstype: linux\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    to.write_all(format!("{head}{body}").as_bytes())
}

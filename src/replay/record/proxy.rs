//! A proxy that records: every connection of a client has one of its own to the Engine, and what passes is shown to a
//! [`Tape`] on its way. No byte is changed, and none is waited for.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use serde_json::{Value, json};

use crate::engine::{Engine, EngineConfig};
use crate::host::Host;
use crate::http::{Connect, Endpoint, Socket};
use crate::limits::Purpose;
use crate::replay::Error;
use crate::replay::har::exchange::End;
use crate::replay::http::server::{Crew, Server, end_writing, lock, under};
use crate::replay::record::capture::Tape;
use crate::replay::record::recorder::{Recorded, Recorder};
use crate::threads::{Cut, Hangup};

/// How much is passed on at a time, in bytes. A socket holds about as much.
const AT_ONCE: usize = 128 * 1024;
/// How long a connection to the Engine may take to stand.
const CONNECT: Duration = Duration::from_secs(10);
/// How long one attempt at it may take.
const ATTEMPT: Duration = Duration::from_secs(1);
/// How long the Engine may take to say what it is, before anything is recorded.
const INTRODUCTION: Duration = Duration::from_secs(2);

/// A recording under way: whatever is asked through its [`engine`](Recording::engine), or through a socket that it
/// [listens](Recording::listen) at, goes to the real Engine, and into the recording.
///
/// Any Docker client may be recorded. The file is written by [`finish`](Recording::finish); a recording that is dropped
/// is finished too, but in a panic: then an older file stays as it was.
///
/// ```no_run
/// use longshore::{engine::Engine, replay::Recording};
/// let recording = Recording::of(Engine::from_env()?.endpoint().clone(), "ping.har", &[])?;
/// recording.engine().ping()?;
/// recording.finish()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Recording {
    recorder: Arc<Recorder>,
    endpoint: Endpoint,
    crew: Arc<Crew>,
    servers: Mutex<Vec<Server>>,
    finished: bool,
}

impl Recording {
    /// Records what is said with the Engine at `endpoint`, for a file at `path`. `redact` are more patterns (a glob each,
    /// in any case) of names whose values are secret, beside [`SECRET_NAMES`](crate::replay::SECRET_NAMES).
    ///
    /// # Errors
    /// [`Error::Io`]: no file can be made in that folder.
    pub fn of(endpoint: Endpoint, path: impl AsRef<Path>, redact: &[String]) -> Result<Self, Error> {
        let recorder = Recorder::new(path.as_ref(), redact)?;
        Ok(Self::by(recorder, endpoint))
    }

    pub(in crate::replay) fn by(recorder: Arc<Recorder>, endpoint: Endpoint) -> Self {
        introduce(&recorder, &endpoint);
        let (watching, upstream) = (recorder.clone(), endpoint.clone());
        let crew = Crew::new("record", move |client, hangup| {
            match connect(&upstream, hangup) {
                Ok(engine) => pass(&client, Arc::new(engine), &Mutex::new(Tape::new(&watching)), hangup),
                // The client sees what it would see of an Engine that went away: an end.
                Err(e) => log::warn!("no Engine answers at {upstream}: {e}"),
            }
        });
        Self { recorder, endpoint, crew, servers: Mutex::default(), finished: false }
    }

    /// A client of the Engine, recorded. It has no socket of its own.
    pub fn engine(&self) -> Engine {
        self.engine_with(EngineConfig::default())
    }

    /// The same, with other timeouts or a fixed version.
    pub fn engine_with(&self, config: EngineConfig) -> Engine {
        let through =
            Through { crew: self.crew.clone(), recorder: self.recorder.clone(), endpoint: self.endpoint.clone() };
        Engine::through(self.endpoint.clone(), config, Some(Arc::new(through)), None)
    }

    /// Takes connections at a Unix socket, or at a port; port 0 is one that is free. Gives where it listens.
    ///
    /// # Errors
    /// [`Error::Io`]: it cannot listen there.
    pub fn listen(&self, at: &Endpoint) -> Result<Endpoint, Error> {
        let server = Server::listen(at, &self.crew).map_err(|e| Error::io("listen at", at, e))?;
        let endpoint = server.endpoint().clone();
        lock(&self.servers).push(server);
        Ok(endpoint)
    }

    /// Ends every connection, and writes the file.
    ///
    /// # Errors
    /// [`Error::Io`]: the file could not be written; one that was there before is as it was.
    pub fn finish(mut self) -> Result<Recorded, Error> {
        self.end()
    }

    /// Ends every connection, and leaves no file, or the one that was there before.
    pub fn discard(self) {
        self.recorder.discard();
    }

    fn end(&mut self) -> Result<Recorded, Error> {
        self.finished = true;
        lock(&self.servers).clear();
        self.crew.stop();
        self.recorder.finish()
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        if thread::panicking() {
            self.recorder.discard();
        }
        if let Err(error) = self.end() {
            let cause = std::error::Error::source(&error).map(|e| format!(": {e}")).unwrap_or_default();
            log::error!("{error}{cause}");
        }
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Engine {
    /// A client of the Engine at `endpoint` whose conversation is recorded, for a file at `path`; and the recording, which
    /// is to be [finished](Recording::finish).
    ///
    /// # Errors
    /// Those of [`Recording::of`].
    pub fn recording(endpoint: Endpoint, path: impl AsRef<Path>) -> Result<(Self, Recording), Error> {
        let recording = Recording::of(endpoint, path, &[])?;
        Ok((recording.engine(), recording))
    }
}

/// Connections within the process, refused where the Engine's would be.
struct Through {
    crew: Arc<Crew>,
    recorder: Arc<Recorder>,
    endpoint: Endpoint,
}

impl Connect for Through {
    fn connect(&self, timeout: Duration) -> io::Result<UnixStream> {
        let engine = Arc::new(Socket::connect(&self.endpoint, Purpose::Stream, timeout)?);
        let (ours, theirs) = UnixStream::pair()?;
        let recorder = self.recorder.clone();
        self.crew.start(Socket::Unix(ours), move |client, hangup| {
            pass(&client, engine, &Mutex::new(Tape::new(&recorder)), hangup);
        })?;
        Ok(theirs)
    }
}

impl fmt::Debug for Through {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "recording of {}", self.endpoint)
    }
}

/// What the recording says of the Engine and of this machine, where they are willing to tell.
pub(in crate::replay) fn introduce(recorder: &Recorder, endpoint: &Endpoint) {
    let config = EngineConfig { connect_timeout: INTRODUCTION, ping_timeout: INTRODUCTION, ..EngineConfig::default() };
    let engine = Engine::with_config(endpoint.clone(), config).within(INTRODUCTION);
    let mut peer = Vec::new();
    match engine.version() {
        Ok(version) => {
            let name = version.components.first().map(|component| component.name.clone()).unwrap_or_default();
            peer.push(("name", if name == "Engine" { "Docker Engine".into() } else { name }));
            peer.push(("version", version.version));
            peer.push(("api_version", version.api_version));
            peer.push(("min_api_version", version.min_api_version));
        }
        // It may come later; what its answers say of it will do.
        Err(e) => log::debug!("the Engine at {endpoint} does not say what it is: {e}"),
    }
    // What a driver plans by, where it takes this machine for the Engine's.
    let host = if matches!(endpoint, Endpoint::Unix(_)) { facts(&Host::of_this_machine()) } else { BTreeMap::new() };
    recorder.know(peer, host);
}

/// Facts of a machine as they are written down: no name, no address.
fn facts(host: &Host) -> BTreeMap<String, Value> {
    let version = host.cgroup_version.map(|version| match version {
        crate::host::CgroupVersion::V1 => 1,
        crate::host::CgroupVersion::V2 => 2,
    });
    let facts = json!({
        "cores": host.cores,
        "total_compute_mhz": host.total_compute_mhz,
        "cgroup_version": version,
        "swappiness_writable": host.swappiness_writable,
        "cpuset": host.cpuset,
        "memory_bytes": host.memory_bytes,
        "kernel_release": host.kernel_release,
        "os_name": host.os_name,
        "os_version": host.os_version,
        "arch": host.arch,
    });
    match facts {
        Value::Object(facts) => facts.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        _ => BTreeMap::new(),
    }
}

/// The facts that a recording wrote down.
pub(in crate::replay) fn host_of(facts: &BTreeMap<String, Value>) -> Option<Host> {
    if facts.is_empty() {
        return None;
    }
    let number = |name: &str| facts.get(name).and_then(Value::as_u64);
    let text = |name: &str| facts.get(name).and_then(Value::as_str).map(str::to_owned);
    Some(Host {
        cores: number("cores").and_then(|cores| u32::try_from(cores).ok()),
        total_compute_mhz: number("total_compute_mhz"),
        cgroup_version: match number("cgroup_version") {
            Some(1) => Some(crate::host::CgroupVersion::V1),
            Some(2) => Some(crate::host::CgroupVersion::V2),
            _ => None,
        },
        swappiness_writable: facts.get("swappiness_writable").and_then(Value::as_bool).unwrap_or(false),
        cpuset: text("cpuset"),
        memory_bytes: number("memory_bytes"),
        kernel_release: text("kernel_release"),
        os_name: text("os_name"),
        os_version: text("os_version"),
        arch: text("arch").unwrap_or_default(),
        ..Host::default()
    })
}

/// Connects to the Engine, for so long as nobody hangs up. An attempt cannot be cut short, so each is a short one.
pub(in crate::replay) fn connect(endpoint: &Endpoint, hangup: &Hangup) -> io::Result<Socket> {
    let begun = Instant::now();
    loop {
        match Socket::connect(endpoint, Purpose::Call, ATTEMPT) {
            Err(e) if e.kind() == io::ErrorKind::TimedOut && begun.elapsed() < CONNECT && !hangup.is_hung_up() => {}
            done => return done,
        }
    }
}

/// Passes on what a client and an Engine say, until both have ended or the latch is closed.
pub(in crate::replay) fn pass(client: &Arc<Socket>, engine: Arc<Socket>, tape: &Mutex<Tape>, hangup: &Hangup) {
    let Ok(_registration) = under(hangup, &engine) else { return };
    thread::scope(|scope| {
        // The peer of whichever direction ends last.
        let questions = thread::Builder::new().name("record".into()).stack_size(256 * 1024).spawn_scoped(scope, || {
            let done = copy(client, &engine, Deaf::Drain, |bytes| lock(tape).client(bytes));
            if done.is_ok() && !(is_unix(client) && gone(client, Some(Duration::ZERO))) {
                // One that has only ended its own direction still listens. On a port nothing tells the two apart.
                lock(tape).client_ended(!is_unix(client));
                end_writing(&engine);
                gone(client, None);
            }
            lock(tape).end(if hangup.is_hung_up() { End::Open } else { End::Left });
            engine.cut();
        });
        let done = copy(&engine, client, Deaf::End, |bytes| lock(tape).engine(bytes));
        if done.is_ok() {
            lock(tape).end(if hangup.is_hung_up() { End::Open } else { End::Cut });
            end_writing(client);
        } else {
            client.cut();
        }
        if questions.is_err() {
            client.cut();
        }
    });
}

/// What becomes of what is read for a peer that takes no more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deaf {
    /// It ends the copying.
    End,
    /// It goes nowhere: an Engine that has refused a request before it heard all of it has its answer on the way, and
    /// cutting its client short would lose it that.
    Drain,
}

/// Copies until the end (`Ok`), or until either side fails.
fn copy(mut from: &Socket, mut to: &Socket, deaf: Deaf, mut show: impl FnMut(&[u8])) -> io::Result<()> {
    let (mut buf, mut hears) = (vec![0; AT_ONCE], true);
    loop {
        match from.read(&mut buf) {
            Ok(0) => return Ok(()),
            Ok(n) => {
                show(&buf[..n]);
                match to.write_all(if hears { &buf[..n] } else { &[] }) {
                    Err(_) if deaf == Deaf::Drain => hears = false,
                    done => done?,
                }
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

fn is_unix(socket: &Socket) -> bool {
    matches!(socket, Socket::Unix(_))
}

/// Waits until a connection has ended in both directions, at most so long. Gives whether it has.
fn gone(socket: &Socket, at_most: Option<Duration>) -> bool {
    let timeout =
        at_most.map(|most| Timespec { tv_sec: most.as_secs().cast_signed(), tv_nsec: most.subsec_nanos().into() });
    // Asked for nothing: an end is told all the same.
    let mut fds = [PollFd::new(socket, PollFlags::empty())];
    loop {
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Err(rustix::io::Errno::INTR) => {}
            ready => return ready.is_ok_and(|n| n > 0),
        }
    }
}

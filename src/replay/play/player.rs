//! A recording that stands in for an Engine: in process, and on a socket.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::engine::{Engine, EngineConfig};
use crate::host::Host;
use crate::http::Endpoint;
use crate::replay::Error;
use crate::replay::har::cassette::Cassette;
use crate::replay::http::server::{Crew, Inside, Server, lock};
use crate::replay::play::core::{Core, Own};
use crate::replay::play::fault::Fault;
use crate::replay::play::pass_through::Onward;
use crate::replay::play::script::Script;
use crate::replay::record::proxy::host_of;
use crate::replay::redact::Redactor;

/// How a recording is played. By default as fast as the client reads, and as it was.
#[derive(Debug, Clone, Default)]
pub struct PlayOptions {
    /// With the recorded times, divided by this: 1 is as it was, 10 ten times as fast. `None`: nothing waits, but for the
    /// requests that preceded it in the recording.
    pub speed: Option<f64>,
    /// What goes wrong on purpose. Of several that concern a request the first counts.
    pub faults: Vec<Fault>,
}

/// A recording that is played in an Engine's place.
///
/// A request is answered by the first recorded one that is the same and was not asked yet: method, path without the API
/// version, query as a set, and what the body says. Reads that are repeated more often than in the recording get the
/// last answer again; the read of a container gets the answer of its time. No part of an answer comes before the
/// requests that preceded it in the recording. What was not recorded is answered 501, with the nearest entries and what
/// differs; pings, and questions for the version, are always answered.
///
/// ```no_run
/// let player = longshore::replay::Player::open("fixtures/cassettes/hello.har")?;
/// let engine = player.engine();
/// println!("{:?}", engine.ping());
/// assert_eq!(player.misses(), Vec::<String>::new());
/// # Ok::<(), longshore::replay::Error>(())
/// ```
pub struct Player {
    path: PathBuf,
    core: Arc<Core>,
    crew: Arc<Crew>,
    host: Option<Host>,
    servers: Mutex<Vec<Server>>,
    about: String,
}

impl Player {
    /// Plays a recording.
    ///
    /// # Errors
    /// Those of [`Cassette::read`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::of(&Cassette::read(path)?, PlayOptions::default())
    }

    /// Plays a recording that was read, in another way.
    ///
    /// # Errors
    /// [`Error::Io`]: its bodies could not be read again.
    pub fn of(cassette: &Cassette, options: PlayOptions) -> Result<Self, Error> {
        Self::with(cassette, options, None)
    }

    pub(in crate::replay) fn with(
        cassette: &Cassette,
        options: PlayOptions,
        onward: Option<Onward>,
    ) -> Result<Self, Error> {
        let preface = &cassette.contents.preface;
        let redactor = Arc::new(Redactor::new(&preface.redact));
        let speed = options.speed.filter(|speed| speed.is_finite() && *speed > 0.0);
        let script = Script::new(cassette, &redactor, speed.is_some())
            .map_err(|e| Error::io("read the bodies of", cassette.path.display(), e))?;
        let said = |word: &str, other: &str| preface.peer.get(word).map_or(other, String::as_str).to_owned();
        let own = Own {
            name: said("name", "recording"),
            version: said("version", "0"),
            api_version: said("api_version", "1.41"),
            min_api_version: said("min_api_version", "1.24"),
        };
        let when = cassette.contents.exchanges.first().map(|first| first.started.to_text());
        let about = match when.as_deref().and_then(|when| when.get(..10)) {
            Some(day) => format!("{} {}, recorded on {day}", own.name, own.version),
            None => "nothing was recorded".into(),
        };
        let core = Arc::new(Core::new(script, redactor, cassette.spool.clone(), own, speed, options.faults, onward));
        let serving = core.clone();
        let crew = Crew::new("replay", move |socket, hangup| serving.serve(&socket, hangup));
        Ok(Self {
            path: cassette.path.clone(),
            core,
            crew,
            host: host_of(&preface.host),
            servers: Mutex::default(),
            about,
        })
    }

    /// A client of the recording. It has no socket; its [`Engine::endpoint`] is `replay:FILE`.
    pub fn engine(&self) -> Engine {
        self.engine_with(EngineConfig::default())
    }

    /// The same, with other timeouts or a fixed version.
    pub fn engine_with(&self, config: EngineConfig) -> Engine {
        let inside = Arc::new(Inside(self.crew.clone()));
        Engine::through(Endpoint::Replay(self.path.clone()), config, Some(inside), self.host.clone())
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

    /// Lets what was done as often as it was recorded be done again: from here on a run may be made any number of times. A
    /// container that is created again begins its life anew. As it is, a second time is a miss.
    pub fn repeat(&self) {
        self.core.script().repeat();
    }

    /// What was asked so far and not recorded, each with the nearest entries and what differs.
    pub fn misses(&self) -> Vec<String> {
        self.core.misses()
    }

    /// What was recorded and not asked so far, each with its line.
    pub fn unused(&self) -> Vec<String> {
        self.core.script().unused()
    }

    /// Which Engine was recorded, and when: `Docker Engine 20.10.24, recorded on 2026-11-25`.
    pub fn about(&self) -> &str {
        &self.about
    }

    /// Whether all that was asked so far was recorded.
    ///
    /// # Errors
    /// [`Error::Misses`]: it was not.
    pub fn check(&self) -> Result<(), Error> {
        match self.misses() {
            misses if misses.is_empty() => Ok(()),
            misses => Err(Error::Misses { path: self.path.clone(), misses }),
        }
    }

    /// Ends every connection, and takes no more.
    pub(in crate::replay) fn stop(&self) {
        lock(&self.servers).clear();
        self.crew.stop();
    }

    pub(in crate::replay) fn core(&self) -> &Core {
        &self.core
    }
}

impl fmt::Debug for Player {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Player").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Engine {
    /// A client of a recording in an Engine's place. Who wants to know what was missing keeps the
    /// [`Player`](Player::engine) instead.
    ///
    /// # Errors
    /// Those of [`Player::open`].
    pub fn replay(path: impl AsRef<Path>) -> Result<Self, Error> {
        Player::open(path).map(|player| player.engine())
    }
}

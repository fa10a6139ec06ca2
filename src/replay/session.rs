//! A recording for a test: made, played, or continued, as its mode says.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::thread;

use super::Error;
use crate::engine::{self, Engine, EngineConfig};
use crate::http::Endpoint;
use crate::replay::har::cassette::Cassette;
use crate::replay::play::pass_through::Onward;
use crate::replay::play::player::{PlayOptions, Player};
use crate::replay::record::proxy::{Recording, introduce};
use crate::replay::record::recorder::Recorder;

/// The variable that says the mode of every session, whatever its test says.
const VARIABLE: &str = "LONGSHORE_RECORD";

/// Whether a [`Session`] asks a real Engine. The names are those of VCR libraries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Never: what was not recorded is a miss, and a recording that is not there an error.
    None,
    /// Only where there is no recording yet.
    Once,
    /// For what was not recorded; it is added.
    NewEpisodes,
    /// For everything, always: the recording is made anew.
    All,
}

impl FromStr for Mode {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        match word.to_ascii_lowercase().as_str() {
            "none" => Ok(Self::None),
            "once" => Ok(Self::Once),
            "new_episodes" => Ok(Self::NewEpisodes),
            "all" => Ok(Self::All),
            _ => Err(Error::Word { what: "record mode", word: word.into(), known: "none, once, new_episodes or all" }),
        }
    }
}

/// A test's recording.
///
/// `LONGSHORE_RECORD` (`none`, `once`, `new_episodes`, `all`) says the mode in the place of the test. What is recorded is
/// written when the session ends, unless the test panics. A session that is dropped panics where something was asked that
/// the recording lacks, and names the nearest entries.
///
/// ```no_run
/// use longshore::replay::{Mode, Session};
/// let session = Session::open("tests/cassettes/ping.har", Mode::Once)?;
/// session.engine().ping()?;
/// assert_eq!(session.unused(), Vec::<String>::new());
/// session.finish()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Session {
    path: PathBuf,
    role: Option<Role>,
}

enum Role {
    Plays(Player),
    Records(Recording),
    /// Plays, and asks for what is missing.
    Continues(Player),
}

impl Session {
    /// Begins with a recording, and the Engine that the environment names where one is to be asked.
    ///
    /// # Errors
    /// Those of [`Cassette::read`] and [`Recording::of`]; [`Error::Word`]: `LONGSHORE_RECORD` is no mode;
    /// [`Error::Io`]: it cannot be told where the Engine is.
    pub fn open(path: impl AsRef<Path>, mode: Mode) -> Result<Self, Error> {
        Self::begin(path.as_ref(), mode, || {
            engine::endpoint_from_env()
                .map_err(|e| Error::io("tell from the environment", "where the Engine is", std::io::Error::other(e)))
        })
    }

    /// Begins with a recording, and this Engine where one is to be asked.
    ///
    /// # Errors
    /// Those of [`Session::open`].
    pub fn open_on(path: impl AsRef<Path>, mode: Mode, endpoint: Endpoint) -> Result<Self, Error> {
        Self::begin(path.as_ref(), mode, || Ok(endpoint))
    }

    fn begin(path: &Path, mode: Mode, endpoint: impl FnOnce() -> Result<Endpoint, Error>) -> Result<Self, Error> {
        let mode = match std::env::var_os(VARIABLE) {
            // One that is not UTF-8 is no mode either.
            Some(word) if !word.is_empty() => word.to_string_lossy().parse()?,
            _ => mode,
        };
        let role = match (mode, path.exists()) {
            (Mode::None, _) | (Mode::Once, true) => Role::Plays(Player::open(path)?),
            (Mode::Once | Mode::NewEpisodes, false) | (Mode::All, _) => {
                Role::Records(Recording::of(endpoint()?, path, &[])?)
            }
            (Mode::NewEpisodes, true) => {
                let (cassette, endpoint) = (Cassette::read(path)?, endpoint()?);
                let recorder = Recorder::new(path, &cassette.contents.preface.redact)?;
                introduce(&recorder, &endpoint);
                recorder.continue_from(&cassette);
                Role::Continues(Player::with(&cassette, PlayOptions::default(), Some(Onward { endpoint, recorder }))?)
            }
        };
        Ok(Self { path: path.into(), role: Some(role) })
    }

    /// The client for the test.
    pub fn engine(&self) -> Engine {
        self.engine_with(EngineConfig::default())
    }

    /// The same, with other timeouts or a fixed version.
    pub fn engine_with(&self, config: EngineConfig) -> Engine {
        match &self.role {
            Some(Role::Plays(player) | Role::Continues(player)) => player.engine_with(config),
            Some(Role::Records(recording)) => recording.engine_with(config),
            None => Engine::with_config(Endpoint::Replay(self.path.clone()), config),
        }
    }

    /// Whether a real Engine is asked for all.
    pub fn is_recording(&self) -> bool {
        matches!(self.role, Some(Role::Records(_)))
    }

    /// What was recorded and not asked so far, each with its line. Nothing, while it is being recorded.
    pub fn unused(&self) -> Vec<String> {
        match &self.role {
            Some(Role::Plays(player) | Role::Continues(player)) => player.unused(),
            _ => Vec::new(),
        }
    }

    /// What was asked so far and not recorded, each with the nearest entries and what differs.
    pub fn misses(&self) -> Vec<String> {
        match &self.role {
            Some(Role::Plays(player) | Role::Continues(player)) => player.misses(),
            _ => Vec::new(),
        }
    }

    /// Ends every connection, and writes what was recorded.
    ///
    /// # Errors
    /// [`Error::Misses`]: something was asked that was not recorded. [`Error::Io`]: the file could not be written; one
    /// that was there before is as it was.
    pub fn finish(mut self) -> Result<(), Error> {
        self.end(false)
    }

    fn end(&mut self, discard: bool) -> Result<(), Error> {
        match self.role.take() {
            None => Ok(()),
            Some(Role::Plays(player)) => {
                player.stop();
                player.check()
            }
            Some(Role::Records(recording)) if discard => {
                recording.discard();
                Ok(())
            }
            Some(Role::Records(recording)) => recording.finish().map(drop),
            Some(Role::Continues(player)) => {
                player.stop();
                match player.core().onward() {
                    // Nothing was asked anew: the file stays as it is.
                    Some(onward) if !discard && onward.recorder.has_new() => onward.recorder.finish().map(drop)?,
                    _ => {}
                }
                player.check()
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let panics = thread::panicking();
        if let Err(error) = self.end(panics)
            && !panics
        {
            panic!("{error}");
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("path", &self.path).field("records", &self.is_recording()).finish()
    }
}

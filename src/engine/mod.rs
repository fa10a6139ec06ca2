//! The Engine API: [`Engine`] and its operations, one file per section of Docker's API reference, each next to the
//! queries it takes. Wire bodies are in [`types`], what an answer means is in `call`, framing in `frames` and `json_lines`.

mod bounds;
mod call;
mod containers;
mod context;
mod error;
mod events;
mod exec;
mod frames;
mod images;
mod json_lines;
mod logs;
mod odd;
mod phrases;
mod pieces;
mod progress;
mod query;
mod registry;
mod stats;
mod system;
pub mod types;
mod version;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::host::Host;
use crate::http::{Client, Connect, Endpoint, Timeouts};
use crate::threads::Hangup;

pub use call::Call;
pub use containers::{
    CreateQuery, InspectQuery, KillQuery, ListQuery, RemoveQuery, StartQuery, Started, StopQuery, Stopped,
    WaitCondition,
};
pub use context::{ContextError, api_version_from_env, check_tls_from_env, docker_config_file, endpoint_from_env};
pub use error::Error;
pub use events::EventsQuery;
pub use exec::{Attached, ResizeQuery, Stdin};
pub use frames::{BadFrame, Decoder, Frame, Stream};
pub use images::{
    ImageInspectQuery, ImageListQuery, ImagePruneQuery, ImageRemoveQuery, ImageSearchQuery, ImportQuery, LoadQuery,
    PullQuery, PushQuery, SaveQuery,
};
pub use json_lines::{BadLine, JsonLines, LineDecoder};
pub use logs::{Logs, LogsQuery};
pub(crate) use phrases::{image_does_not_exist, loaded_images, logs_cannot_be_read};
pub use pieces::Piece;
pub use progress::ProgressStream;
pub use stats::StatsQuery;
pub use version::ApiVersion;

/// How an engine client behaves. More fields come with more of it: write `EngineConfig { …, ..EngineConfig::default() }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineConfig {
    /// How long a connection may take to stand. Defaults to 3 s.
    pub connect_timeout: Duration,
    /// How long an ordinary call may take in all; long ones (wait, logs, stop, archives) have no deadline.
    /// Defaults to 5 minutes.
    pub call_timeout: Duration,
    /// How long a ping may take in all; each client's first call is one, to agree on a version. Defaults to 5 s.
    pub ping_timeout: Duration,
    /// The API version to speak; one that the Engine does not is an error of the first call. Defaults to none: the highest
    /// that both know.
    pub api_version: Option<ApiVersion>,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            call_timeout: Duration::from_secs(5 * 60),
            ping_timeout: Duration::from_secs(5),
            api_version: None,
        }
    }
}

/// A client of one Engine. Cheap to clone; clones share kept connections and what was agreed with the Engine.
///
/// ```no_run
/// use longshore::engine::Engine;
/// let engine = Engine::from_env()?;
/// println!("{} speaks {}", engine.endpoint(), engine.api_version()?);
/// # Ok::<(), longshore::engine::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Engine {
    client: Arc<Client>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    endpoint: Endpoint,
    config: EngineConfig,
    host: Option<Host>,
    /// What was agreed, by the first call that succeeded.
    agreed: RwLock<Option<ApiVersion>>,
}

impl Engine {
    /// A client of the Engine at `endpoint`. Nothing is sent yet.
    pub fn connect(endpoint: Endpoint) -> Self {
        Self::with_config(endpoint, EngineConfig::default())
    }

    /// The same, with other timeouts or a fixed version.
    pub fn with_config(endpoint: Endpoint, config: EngineConfig) -> Self {
        Self::through(endpoint, config, None, None)
    }

    /// The same, its connections made by `through`, if there is one; `host` are the facts of the Engine's machine, where
    /// they are not to be found out.
    pub(crate) fn through(
        endpoint: Endpoint,
        config: EngineConfig,
        through: Option<Arc<dyn Connect>>,
        host: Option<Host>,
    ) -> Self {
        let timeouts = Timeouts { connect: config.connect_timeout, call: config.call_timeout };
        Self {
            client: Arc::new(Client::new(endpoint.clone(), through, timeouts)),
            shared: Arc::new(Shared { endpoint, config, host, agreed: RwLock::new(None) }),
        }
    }

    /// A client of the Engine that the environment names, as [`endpoint_from_env`] finds it, and of the version
    /// in `DOCKER_API_VERSION`, where that is set.
    ///
    /// # Errors
    /// [`Error::Context`]: what the environment says cannot be understood, or nothing that could be an Engine was found.
    pub fn from_env() -> Result<Self, Error> {
        let endpoint = endpoint_from_env()?;
        let api_version = context::api_version_from_env()?;
        Ok(Self::with_config(endpoint, EngineConfig { api_version, ..EngineConfig::default() }))
    }

    /// The same client, its ordinary calls ended by `hangup`. It keeps no connection between calls.
    #[must_use]
    pub fn with(&self, hangup: &Hangup) -> Self {
        Self { client: Arc::new(self.client.under(hangup)), shared: self.shared.clone() }
    }

    /// The same client, its ordinary calls given so long in all, in place of [`EngineConfig::call_timeout`].
    #[must_use]
    pub fn within(&self, call_timeout: Duration) -> Self {
        Self { client: Arc::new(self.client.within(call_timeout)), shared: self.shared.clone() }
    }

    /// Where the Engine is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.shared.endpoint
    }

    /// Facts of the machine that the Engine runs on, as far as they are known here: this machine's for an Engine on a
    /// Unix socket, what was written down for a recording, nothing for any other.
    pub(crate) fn host(&self) -> Host {
        match (&self.shared.host, &self.shared.endpoint) {
            (Some(host), _) => host.clone(),
            (None, Endpoint::Unix(_)) => Host::of_this_machine(),
            (None, _) => Host::default(),
        }
    }

    /// The API version that is spoken with the Engine: asked for once, with a ping, and remembered.
    ///
    /// # Errors
    /// Those of [`Engine::ping`], but for an Engine that is not well and names its version all the same; [`Error::Version`] for
    /// one that speaks none that we know; [`Error::VersionRange`] for one that does not speak the version that is set.
    pub fn api_version(&self) -> Result<ApiVersion, Error> {
        if let Some(agreed) = *self.shared.agreed.read().unwrap_or_else(PoisonError::into_inner) {
            return Ok(agreed);
        }
        let version = match self.shared.config.api_version {
            Some(asked) => version::check(self, asked)?,
            None => version::agree(self)?,
        };
        *self.shared.agreed.write().unwrap_or_else(PoisonError::into_inner) = Some(version);
        Ok(version)
    }

    /// Forgets what was agreed: the Engine at this endpoint is another than before.
    fn disagree(&self) {
        *self.shared.agreed.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

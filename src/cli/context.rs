//! What several commands need of the global options: the Engine, the data directory.

use std::ffi::OsStr;
use std::time::Duration;

use crate::driver::{CredentialSources, DriverConfig, GcConfig, LedgerFile};
use crate::engine::{self, Engine, EngineConfig};
use crate::http::Endpoint;
use crate::replay::Player;
use crate::runner::DataDir;

use super::args::Args;
use super::eprint;
use super::failure::Failure;

/// An Engine that does not answer must have been given up within five seconds of the program's start, on a busy machine
/// too. The time to connect is part of the ping's.
const CONNECT: Duration = Duration::from_secs(3);
pub(super) const PING: Duration = Duration::from_secs(4);

/// The Engine that `-H` or the environment names, after it has answered.
pub(super) fn engine(args: &Args) -> Result<Engine, Failure> {
    let engine = silent_engine(args)?;
    check(&engine)?;
    Ok(engine)
}

/// Whether an Engine answers.
pub(super) fn check(engine: &Engine) -> Result<(), Failure> {
    engine.api_version().map_err(|error| Failure::engine(engine.endpoint(), &error))?;
    Ok(())
}

/// Where `-H` or the environment says that the Engine is.
pub(super) fn endpoint(args: &Args) -> Result<Endpoint, Failure> {
    let Some(url) = &args.host else {
        return engine::endpoint_from_env().map_err(|error| Failure::context(&error));
    };
    let endpoint = url.parse().map_err(|error| Failure::usage(format!("-H: {error}")))?;
    engine::check_tls_from_env(&endpoint).map_err(|error| Failure::context(&error))?;
    Ok(endpoint)
}

/// The same, before anything is sent to it.
pub(super) fn silent_engine(args: &Args) -> Result<Engine, Failure> {
    let endpoint = endpoint(args)?;
    let api_version = engine::api_version_from_env().map_err(|error| Failure::context(&error))?;
    let config = EngineConfig { connect_timeout: CONNECT, ping_timeout: PING, api_version, ..EngineConfig::default() };
    if let Endpoint::Replay(file) = &endpoint {
        let player = Player::open(file)?;
        eprint(&format!("longshore: playing {} ({}), and asking no Engine", file.display(), player.about()));
        return Ok(player.engine_with(config));
    }
    Ok(Engine::with_config(endpoint, config))
}

/// Refuses to bring images where the environment asks that their signatures be verified, which is not built. As with
/// Docker, what is no boolean counts as yes.
pub(super) fn check_content_trust() -> Result<(), Failure> {
    const VARIABLE: &str = "DOCKER_CONTENT_TRUST";
    let wanted = std::env::var_os(VARIABLE).is_some_and(|value| asks_for_trust(&value));
    let line =
        || format!("{VARIABLE} asks that images be verified by their signatures, which is not supported: unset it");
    if wanted { Err(Failure::new("content_trust", line())) } else { Ok(()) }
}

fn asks_for_trust(value: &OsStr) -> bool {
    !["", "0", "f", "F", "false", "False", "FALSE"].iter().any(|no| value == *no)
}

/// What the Engine calls itself; some have no name.
pub(super) fn engine_id(engine: &Engine) -> Result<String, Failure> {
    engine.info().map(|info| info.id).map_err(|error| Failure::engine(engine.endpoint(), &error))
}

pub(super) fn data_dir(args: &Args) -> Result<DataDir, Failure> {
    let root = args.data_dir.clone().or_else(|| DataDir::default_root(|name| std::env::var_os(name)));
    let root = root.ok_or_else(|| {
        Failure::usage(
            "no data directory: none of LONGSHORE_DATA_DIR, XDG_STATE_HOME and HOME is set; name one with --data-dir"
                .into(),
        )
    })?;
    let data = DataDir::new(root)?;
    // Before the Engine is asked for anything: what lies there says what is stopped, and what runs as root.
    data.check()?;
    Ok(data)
}

/// How the program's drivers are configured: images are accounted for in the data directory, and credentials are those of
/// `docker login`.
pub(super) fn driver_config(data: &DataDir, engine: &Engine, engine_id: &str, instance: String) -> DriverConfig {
    if let Endpoint::Replay(_) = engine.endpoint() {
        // What a recording says of images is about no Engine of ours.
        let gc = GcConfig { image: false, ..GcConfig::default() };
        return DriverConfig { instance, gc, ..DriverConfig::default() };
    }
    DriverConfig {
        instance,
        auth: CredentialSources {
            config: engine::docker_config_file(),
            pass_over_malformed_config: true,
            ..CredentialSources::default()
        },
        image_ledger: Some(image_ledger(data, engine, engine_id)),
        ..DriverConfig::default()
    }
}

/// Where the program keeps account of an Engine's images.
pub(super) fn image_ledger(data: &DataDir, engine: &Engine, engine_id: &str) -> LedgerFile {
    let engine = if engine_id.is_empty() { engine.endpoint().to_string() } else { engine_id.to_owned() };
    LedgerFile { path: data.root().join("images.json"), engine }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_signatures() {
        for (value, want) in [("", false), ("0", false), ("False", false), ("1", true), ("true", true), ("no", true)] {
            assert_eq!(asks_for_trust(OsStr::new(value)), want, "{value:?}");
        }
    }
}

//! Which Engine the environment names: `DOCKER_HOST`, Docker's contexts, the usual sockets. Reads files; talks to nobody.

use std::env;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::ApiVersion;
use crate::http::{Endpoint, EndpointError};

/// The context that is none: Docker's own defaults.
const DEFAULT_CONTEXT: &str = "default";

/// Why the environment names no Engine.
#[derive(Debug)]
#[non_exhaustive]
pub enum ContextError {
    /// An address cannot be understood. `from`: where it stands.
    Endpoint {
        /// Where it stands: `DOCKER_HOST`, or a context's file.
        from: String,
        /// What is wrong with it.
        source: EndpointError,
    },
    /// `DOCKER_API_VERSION`, or what an Engine calls its version, is no version.
    ApiVersion(String),
    /// A file of Docker's cannot be read.
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file of Docker's is not the JSON that it should be.
    Parse {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// No context has the name that is asked for.
    UnknownContext(String),
    /// There is no socket in any of the usual places.
    NoSocket {
        /// All that were tried.
        tried: Vec<PathBuf>,
    },
}

impl fmt::Display for ContextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint { from, .. } => write!(f, "{from} is no address of an Engine"),
            Self::ApiVersion(text) => write!(f, "`{text}` is no API version (one looks like 1.41)"),
            Self::Read { path, .. } => write!(f, "cannot read {}", path.display()),
            Self::Parse { path, .. } => write!(f, "{} is not what Docker writes there", path.display()),
            Self::UnknownContext(name) => write!(f, "there is no Docker context `{name}`"),
            Self::NoSocket { tried } => {
                f.write_str("no Engine's socket was found: tried")?;
                for (i, path) in tried.iter().enumerate() {
                    write!(f, "{} unix://{}", if i == 0 { "" } else { "," }, path.display())?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ContextError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Endpoint { source, .. } => Some(source),
            Self::Read { source, .. } => Some(source),
            Self::Parse { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Where the Engine is that the environment names: `DOCKER_HOST`, else the context of `DOCKER_CONTEXT` or the current
/// one of Docker's configuration, else the first that exists of `/var/run/docker.sock` and the sockets of rootless Engines.
///
/// # Errors
/// [`ContextError`]: something named is not there or makes no sense, or nothing is named and no usual socket exists;
/// the error lists all that were tried.
pub fn endpoint_from_env() -> Result<Endpoint, ContextError> {
    find(&Surroundings::of_this_process())
}

/// The API version that `DOCKER_API_VERSION` fixes, where it is set.
///
/// # Errors
/// [`ContextError::ApiVersion`]: it is no version.
pub fn api_version_from_env() -> Result<Option<ApiVersion>, ContextError> {
    variable("DOCKER_API_VERSION").map(|text| text.parse()).transpose()
}

/// What the search looks at.
struct Surroundings {
    docker_host: Option<String>,
    docker_context: Option<String>,
    /// The folder of Docker's configuration.
    config: Option<PathBuf>,
    sockets: Vec<PathBuf>,
}

impl Surroundings {
    fn of_this_process() -> Self {
        let home = variable("HOME").map(PathBuf::from);
        let config = variable("DOCKER_CONFIG").map(PathBuf::from).or_else(|| Some(home.as_ref()?.join(".docker")));
        let mut sockets = vec![PathBuf::from("/var/run/docker.sock")];
        if let Some(runtime) = variable("XDG_RUNTIME_DIR") {
            sockets.push(Path::new(&runtime).join("docker.sock"));
        }
        if let Some(home) = &home {
            sockets.push(home.join(".docker/run/docker.sock"));
        }
        Self { docker_host: variable("DOCKER_HOST"), docker_context: variable("DOCKER_CONTEXT"), config, sockets }
    }
}

/// The file in which `docker login` keeps credentials: `config.json` below `DOCKER_CONFIG`, or else `~/.docker`. `None`: there is none.
pub fn docker_config_file() -> Option<PathBuf> {
    Surroundings::of_this_process().config.map(|folder| folder.join("config.json")).filter(|file| file.exists())
}

/// A variable that is set and not empty.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn find(around: &Surroundings) -> Result<Endpoint, ContextError> {
    if let Some(address) = &around.docker_host {
        return parse(address, "DOCKER_HOST");
    }
    let context = match &around.docker_context {
        Some(name) => Some(name.clone()),
        None => around.config.as_deref().map(current_context).transpose()?.flatten(),
    };
    if let Some(name) = context.filter(|name| name != DEFAULT_CONTEXT) {
        let config = around.config.as_deref().ok_or_else(|| ContextError::UnknownContext(name.clone()))?;
        return context_endpoint(config, &name);
    }
    let is_socket = |path: &&PathBuf| fs::metadata(path).is_ok_and(|m| m.file_type().is_socket());
    match around.sockets.iter().find(is_socket) {
        Some(path) => Ok(Endpoint::Unix(path.clone())),
        None => Err(ContextError::NoSocket { tried: around.sockets.clone() }),
    }
}

fn parse(address: &str, from: &str) -> Result<Endpoint, ContextError> {
    address.parse().map_err(|source| ContextError::Endpoint { from: from.into(), source })
}

#[derive(Deserialize)]
struct ConfigFile {
    #[serde(rename = "currentContext", default)]
    current_context: Option<String>,
}

#[derive(Deserialize)]
struct ContextFile {
    #[serde(rename = "Name", default)]
    name: String,
    #[serde(rename = "Endpoints", default)]
    endpoints: Endpoints,
}

#[derive(Deserialize, Default)]
struct Endpoints {
    #[serde(default)]
    docker: DockerEndpoint,
}

#[derive(Deserialize, Default)]
struct DockerEndpoint {
    #[serde(rename = "Host", default)]
    host: String,
}

fn current_context(config: &Path) -> Result<Option<String>, ContextError> {
    let file: Option<ConfigFile> = read(&config.join("config.json"))?;
    Ok(file.and_then(|file| file.current_context).filter(|name| !name.is_empty()))
}

/// Docker keeps a context in a folder named after the SHA-256 of its name; reading them all needs no SHA-256.
fn context_endpoint(config: &Path, name: &str) -> Result<Endpoint, ContextError> {
    let folder = config.join("contexts/meta");
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(ContextError::UnknownContext(name.into())),
        Err(source) => return Err(ContextError::Read { path: folder, source }),
    };
    for entry in entries.flatten() {
        let path = entry.path().join("meta.json");
        let Some(context) = read::<ContextFile>(&path)? else { continue };
        if context.name == name {
            return parse(&context.endpoints.docker.host, &path.display().to_string());
        }
    }
    Err(ContextError::UnknownContext(name.into()))
}

/// A JSON file; `None` where there is none.
fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>, ContextError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
        Err(source) => return Err(ContextError::Read { path: path.into(), source }),
    };
    serde_json::from_slice(&text).map(Some).map_err(|source| ContextError::Parse { path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A folder of its own, removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            // Tests run side by side, and two have a context of the same name.
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = env::temp_dir().join(format!("longshore-context-{}-{number}-{name}", std::process::id()));
            fs::create_dir(&path).expect("folder");
            Self(path)
        }

        fn with_context(name: &str, host: &str) -> Self {
            let folder = Self::new(name);
            let meta = folder.0.join("contexts/meta/0123");
            fs::create_dir_all(&meta).expect("meta");
            let json = format!(r#"{{"Name":"{name}","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"{host}"}}}}}}"#);
            fs::write(meta.join("meta.json"), json).expect("meta.json");
            fs::write(folder.0.join("config.json"), format!(r#"{{"auths":{{}},"currentContext":"{name}"}}"#))
                .expect("config");
            folder
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn around(config: &Path) -> Surroundings {
        Surroundings { docker_host: None, docker_context: None, config: Some(config.into()), sockets: Vec::new() }
    }

    #[test]
    fn docker_host_goes_before_everything() {
        let folder = Folder::with_context("far", "tcp://far:1");
        let mut around = around(&folder.0);
        assert_eq!(find(&around).expect("context").to_string(), "tcp://far:1");
        around.docker_host = Some("tcp://near:2".into());
        assert_eq!(find(&around).expect("host").to_string(), "tcp://near:2");
        around.docker_host = Some("/no/scheme".into());
        assert!(matches!(find(&around), Err(ContextError::Endpoint { .. })));
    }

    #[test]
    fn a_context_that_is_not_there_is_an_error_and_no_fallback() {
        let folder = Folder::with_context("far", "tcp://far:1");
        let mut around = around(&folder.0);
        around.docker_context = Some("nowhere".into());
        assert!(matches!(find(&around), Err(ContextError::UnknownContext(name)) if name == "nowhere"));
        fs::write(folder.0.join("config.json"), "{").expect("write");
        around.docker_context = None;
        assert!(matches!(find(&around), Err(ContextError::Parse { .. })));
    }

    #[test]
    fn the_usual_sockets_in_turn_and_all_named_where_none_is() {
        let folder = Folder::new("sockets");
        let mut around = around(&folder.0);
        around.docker_context = Some(DEFAULT_CONTEXT.into());
        around.sockets = vec![folder.0.join("a.sock"), folder.0.join("b.sock")];
        let error = find(&around).expect_err("none").to_string();
        assert!(error.contains("a.sock") && error.contains("b.sock"), "{error}");
        let _listener = UnixListener::bind(folder.0.join("b.sock")).expect("listen");
        assert_eq!(find(&around).expect("b"), Endpoint::Unix(folder.0.join("b.sock")));
    }
}

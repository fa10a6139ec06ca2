//! Which Engine the environment names: `DOCKER_HOST`, Docker's contexts, the usual sockets. Reads files; talks to nobody.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::ApiVersion;
use crate::files;
use crate::http::{Endpoint, EndpointError};

/// The context that is none: Docker's own defaults.
const DEFAULT_CONTEXT: &str = "default";
/// Bytes of a `config.json` that are read at most; Docker writes a few kB.
const LONGEST_CONFIG: u64 = 16 * 1024 * 1024;
/// Bytes of a `meta.json` that are read at most; Docker writes less than one kB.
const LONGEST_META: u64 = 1024 * 1024;

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
    /// A variable of the environment is not UTF-8.
    NotUtf8 {
        /// Its name.
        variable: &'static str,
    },
    /// TLS is asked for, and not built: nothing is said in the clear in its place.
    Tls {
        /// Who asks for it: a variable of the environment, or a context, with the setting or the folder of its files.
        asked_by: String,
        /// The Engine that would be spoken to.
        endpoint: Box<Endpoint>,
    },
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
            Self::NotUtf8 { variable } => write!(f, "the environment variable {variable} is not UTF-8"),
            Self::Tls { asked_by, endpoint } => {
                write!(f, "{asked_by} asks for TLS to {endpoint}, and Engines behind TLS are not supported yet")
            }
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
/// A `config.json` that is not what Docker writes is passed over with a warning, as `docker` does.
///
/// # Errors
/// [`ContextError`]: something named is not there or makes no sense, or nothing is named and no usual socket exists;
/// the error lists all that were tried. [`ContextError::Tls`]: TLS is asked for.
pub fn endpoint_from_env() -> Result<Endpoint, ContextError> {
    find(&Surroundings::of_this_process()?)
}

/// Whether an Engine that somebody names beside the environment may be spoken to as the environment demands: it may ask
/// for TLS, by `DOCKER_TLS_VERIFY` or `DOCKER_TLS`, whatever their value, or `DOCKER_CERT_PATH`.
///
/// # Errors
/// [`ContextError::Tls`]: it asks for what is not built. [`ContextError::NotUtf8`].
pub fn check_tls_from_env(endpoint: &Endpoint) -> Result<(), ContextError> {
    check_tls(Tls::of_this_process(), endpoint)
}

/// The API version that `DOCKER_API_VERSION` fixes, where it is set.
///
/// # Errors
/// [`ContextError::ApiVersion`]: it is no version. [`ContextError::NotUtf8`].
pub fn api_version_from_env() -> Result<Option<ApiVersion>, ContextError> {
    variable("DOCKER_API_VERSION")?.map(|text| text.parse()).transpose()
}

/// What the search looks at.
struct Surroundings {
    docker_host: Option<String>,
    docker_context: Option<String>,
    tls: Option<Tls>,
    /// The folder of Docker's configuration.
    config: Option<PathBuf>,
    sockets: Vec<PathBuf>,
}

/// A variable that asks for TLS.
#[derive(Debug, Clone, Copy)]
struct Tls {
    variable: &'static str,
    /// Whether it makes a TLS port of this machine the Engine where nothing names one.
    moves_the_default: bool,
}

impl Tls {
    /// Docker counts any value, `0` and `false` too, and so does this.
    fn of_this_process() -> Option<Self> {
        Self::of(|name| path(name).is_some())
    }

    fn of(is_set: impl Fn(&str) -> bool) -> Option<Self> {
        let all = [("DOCKER_TLS_VERIFY", true), ("DOCKER_TLS", true), ("DOCKER_CERT_PATH", false)];
        let found = all.into_iter().find(|(variable, _)| is_set(variable));
        found.map(|(variable, moves_the_default)| Self { variable, moves_the_default })
    }
}

impl Surroundings {
    fn of_this_process() -> Result<Self, ContextError> {
        let mut sockets = vec![PathBuf::from(Endpoint::DEFAULT_SOCKET)];
        if let Some(runtime) = path("XDG_RUNTIME_DIR") {
            sockets.push(Path::new(&runtime).join("docker.sock"));
        }
        if let Some(home) = path("HOME") {
            sockets.push(Path::new(&home).join(".docker/run/docker.sock"));
        }
        Ok(Self {
            docker_host: variable("DOCKER_HOST")?,
            docker_context: variable("DOCKER_CONTEXT")?,
            tls: Tls::of_this_process(),
            config: config_folder(),
            sockets,
        })
    }
}

/// The folder of Docker's configuration.
fn config_folder() -> Option<PathBuf> {
    path("DOCKER_CONFIG").map(PathBuf::from).or_else(|| Some(Path::new(&path("HOME")?).join(".docker")))
}

/// The file in which `docker login` keeps credentials: `config.json` below `DOCKER_CONFIG`, or else `~/.docker`. `None`: there is none.
pub fn docker_config_file() -> Option<PathBuf> {
    config_folder().map(|folder| folder.join("config.json")).filter(|file| file.exists())
}

/// A variable that is set and not empty.
fn variable(name: &'static str) -> Result<Option<String>, ContextError> {
    let text = |value: OsString| value.into_string().map_err(|_| ContextError::NotUtf8 { variable: name });
    path(name).map(text).transpose()
}

/// The same as a path, which may have any bytes.
fn path(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

fn find(around: &Surroundings) -> Result<Endpoint, ContextError> {
    let endpoint = find_address(around)?;
    check_tls(around.tls, &endpoint)?;
    Ok(endpoint)
}

fn check_tls(tls: Option<Tls>, endpoint: &Endpoint) -> Result<(), ContextError> {
    match (tls, endpoint) {
        (Some(tls), Endpoint::Tcp { .. } | Endpoint::Tls { .. }) => {
            Err(ContextError::Tls { asked_by: tls.variable.into(), endpoint: Box::new(endpoint.clone()) })
        }
        // Nothing of it crosses a network, or by ssh.
        _ => Ok(()),
    }
}

fn find_address(around: &Surroundings) -> Result<Endpoint, ContextError> {
    if let Some(address) = &around.docker_host {
        return match address.trim() {
            // Docker's own default, and no context.
            "" => Ok(Endpoint::Unix(Endpoint::DEFAULT_SOCKET.into())),
            address => parse(address, "DOCKER_HOST"),
        };
    }
    let context = match &around.docker_context {
        Some(name) => Some(name.clone()),
        None => around.config.as_deref().map(current_context).transpose()?.flatten(),
    };
    if let Some(name) = context.filter(|name| name != DEFAULT_CONTEXT) {
        let config = around.config.as_deref().ok_or_else(|| ContextError::UnknownContext(name.clone()))?;
        return context_endpoint(config, &name);
    }
    if let Some(tls) = around.tls.filter(|tls| tls.moves_the_default) {
        let endpoint = Box::new(Endpoint::Tls { host: "localhost".into(), port: Endpoint::TLS_PORT });
        return Err(ContextError::Tls { asked_by: tls.variable.into(), endpoint });
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

/// A null is absent everywhere.
#[derive(Deserialize)]
struct ConfigFile {
    #[serde(rename = "currentContext")]
    current_context: Option<String>,
}

#[derive(Deserialize)]
struct ContextFile {
    #[serde(rename = "Name")]
    name: Option<String>,
    #[serde(rename = "Endpoints")]
    endpoints: Option<Endpoints>,
}

#[derive(Deserialize, Default)]
struct Endpoints {
    docker: Option<DockerEndpoint>,
}

#[derive(Deserialize, Default)]
struct DockerEndpoint {
    #[serde(rename = "Host")]
    host: Option<String>,
    #[serde(rename = "SkipTLSVerify")]
    skip_tls_verify: Option<bool>,
}

/// The file need not be there, nor hold anything. What is malformed counts for nothing, which is told.
fn current_context(config: &Path) -> Result<Option<String>, ContextError> {
    let file = match read::<Option<ConfigFile>>(&config.join("config.json"), LONGEST_CONFIG) {
        Ok(file) => file.flatten(),
        Err(error @ ContextError::Parse { .. }) => {
            // The cause says where, and quotes nothing.
            let why = std::error::Error::source(&error).map(|why| format!(": {why}")).unwrap_or_default();
            log::warn!("{error}, and is passed over{why}");
            None
        }
        Err(error) => return Err(error),
    };
    Ok(file.and_then(|file| file.current_context).filter(|name| !name.is_empty()))
}

/// Docker keeps a context in a folder named after the SHA-256 of its name; reading them all needs no SHA-256. Those of
/// other contexts do not matter, whatever is wrong with them.
fn context_endpoint(config: &Path, name: &str) -> Result<Endpoint, ContextError> {
    let folder = config.join("contexts/meta");
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(ContextError::UnknownContext(name.into())),
        Err(source) => return Err(ContextError::Read { path: folder, source }),
    };
    let mut broken = None;
    for entry in entries.flatten() {
        let path = entry.path().join("meta.json");
        let context = match read::<Option<ContextFile>>(&path, LONGEST_META) {
            Ok(Some(Some(context))) => context,
            Ok(_) => continue,
            // It may be the one, or another's.
            Err(error) => {
                broken.get_or_insert(error);
                continue;
            }
        };
        if context.name.as_deref() != Some(name) {
            continue;
        }
        let docker = context.endpoints.and_then(|endpoints| endpoints.docker).unwrap_or_default();
        let endpoint = parse(&docker.host.unwrap_or_default(), &path.display().to_string())?;
        let files = config.join("contexts/tls").join(entry.file_name()).join("docker");
        let asked_by = match docker.skip_tls_verify {
            Some(true) => Some(format!("the context `{name}` (SkipTLSVerify)")),
            _ if holds_anything(&files)? => Some(format!("the context `{name}` ({})", files.display())),
            _ => None,
        };
        return match (asked_by, &endpoint) {
            (Some(asked_by), Endpoint::Tcp { .. } | Endpoint::Tls { .. }) => {
                Err(ContextError::Tls { asked_by, endpoint: Box::new(endpoint) })
            }
            _ => Ok(endpoint),
        };
    }
    Err(broken.unwrap_or_else(|| ContextError::UnknownContext(name.into())))
}

/// Whether there is such a folder, with something in it.
fn holds_anything(folder: &Path) -> Result<bool, ContextError> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(ContextError::Read { path: folder.into(), source }),
    }
}

/// The first JSON value of a regular file, as Docker's reader takes it; `None` where there is no file, or nothing in it.
fn read<T: for<'de> Deserialize<'de>>(path: &Path, limit: u64) -> Result<Option<T>, ContextError> {
    let text = match files::read_regular(path, limit) {
        Ok(text) => text,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
        Err(source) => return Err(ContextError::Read { path: path.into(), source }),
    };
    let first = serde_json::Deserializer::from_slice(&text).into_iter().next().transpose();
    first.map_err(|source| ContextError::Parse { path: path.into(), source })
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
            folder.meta(
                "0123",
                &format!(r#"{{"Name":"{name}","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"{host}"}}}}}}"#),
            );
            folder.config(&format!(r#"{{"auths":{{}},"currentContext":"{name}"}}"#));
            folder
        }

        fn meta(&self, id: &str, json: &str) {
            let meta = self.0.join("contexts/meta").join(id);
            fs::create_dir_all(&meta).expect("meta");
            fs::write(meta.join("meta.json"), json).expect("meta.json");
        }

        fn config(&self, json: &str) {
            fs::write(self.0.join("config.json"), json).expect("config");
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn around(config: &Path) -> Surroundings {
        Surroundings {
            docker_host: None,
            docker_context: None,
            tls: None,
            config: Some(config.into()),
            sockets: Vec::new(),
        }
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
    }

    fn tls(variable: &str) -> Option<Tls> {
        Some(Tls::of(|name| name == variable).expect(variable))
    }

    #[test]
    fn tls_that_the_environment_asks_for_is_refused_by_name() {
        let folder = Folder::with_context("far", "tcp://far:1");
        for variable in ["DOCKER_TLS_VERIFY", "DOCKER_TLS", "DOCKER_CERT_PATH"] {
            let mut around = around(&folder.0);
            around.tls = tls(variable);
            for (host, refused) in [
                (Some("tcp://near:2"), true),
                (Some("near:2376"), true),
                (Some("tcp://"), true),
                (Some("http://near:2"), true),
                (Some("https://near:2"), true),
                (None, true),
                (Some("unix:///run/docker.sock"), false),
                (Some("ssh://near"), false),
                (Some(" \n"), false),
                (Some("replay:a.har"), false),
            ] {
                around.docker_host = host.map(Into::into);
                match find(&around) {
                    Err(error @ ContextError::Tls { .. }) => {
                        assert!(refused && error.to_string().starts_with(variable), "{host:?}: {error}");
                    }
                    found => assert!(!refused && found.is_ok(), "{variable}, {host:?}: {found:?}"),
                }
            }
        }
        assert!(Tls::of(|name| name == "DOCKER_HOST").is_none());
    }

    #[test]
    fn tls_moves_the_default_to_a_port_that_is_refused() {
        let folder = Folder::new("default-tls");
        let _listener = UnixListener::bind(folder.0.join("a.sock")).expect("listen");
        for (variable, refused) in [("DOCKER_TLS_VERIFY", true), ("DOCKER_TLS", true), ("DOCKER_CERT_PATH", false)] {
            let mut around = around(&folder.0);
            (around.tls, around.sockets) = (tls(variable), vec![folder.0.join("a.sock")]);
            match find(&around) {
                Err(ContextError::Tls { asked_by, endpoint }) => {
                    assert_eq!(
                        (refused, &*asked_by, &*endpoint.to_string()),
                        (true, variable, "https://localhost:2376")
                    );
                }
                found => assert!(!refused && found.is_ok(), "{variable}: {found:?}"),
            }
        }
    }

    #[test]
    fn tls_that_a_context_asks_for_is_refused_by_name() {
        let meta =
            |host: &str, more: &str| format!(r#"{{"Name":"far","Endpoints":{{"docker":{{"Host":"{host}"{more}}}}}}}"#);
        for (row, host, more, files, refused) in [
            ("none", "tcp://far:1", "", false, false),
            ("files", "tcp://far:1", "", true, true),
            ("files and https", "https://far:1", "", true, true),
            ("not verified", "tcp://far:1", r#","SkipTLSVerify":true"#, false, true),
            ("verified, of no files", "tcp://far:1", r#","SkipTLSVerify":false"#, false, false),
            ("null", "tcp://far:1", r#","SkipTLSVerify":null"#, false, false),
            ("a socket", "unix:///run/docker.sock", r#","SkipTLSVerify":true"#, true, false),
        ] {
            let folder = Folder::with_context("far", host);
            folder.meta("0123", &meta(host, more));
            let tls = folder.0.join("contexts/tls/0123/docker");
            fs::create_dir_all(&tls).expect("tls");
            if files {
                fs::write(tls.join("ca.pem"), "").expect("ca.pem");
            }
            // Another context's are not this one's.
            fs::create_dir_all(folder.0.join("contexts/tls/4567/docker/ca.pem")).expect("tls");
            match find(&around(&folder.0)) {
                Err(error @ ContextError::Tls { .. }) => {
                    assert!(refused && error.to_string().contains("context `far`"), "{row}: {error}");
                }
                found => assert!(!refused && found.is_ok(), "{row}: {found:?}"),
            }
        }
    }

    #[test]
    fn what_counts_of_a_config_file() {
        let folder = Folder::with_context("far", "tcp://far:1");
        let _listener = UnixListener::bind(folder.0.join("a.sock")).expect("listen");
        let usual = Endpoint::Unix(folder.0.join("a.sock"));
        let far: Endpoint = "tcp://far:1".parse().expect("address");
        for (text, want) in [
            ("", &usual),
            (" \n", &usual),
            ("null", &usual),
            ("{}", &usual),
            (r#"{"currentContext":null}"#, &usual),
            (r#"{"currentContext":""}"#, &usual),
            ("{", &usual),
            ("[]", &usual),
            (r#"{"currentContext":7}"#, &usual),
            ("\0\0\0", &usual),
            (r#"{"currentContext":"far"}"#, &far),
            (r#"{"currentContext":"far"} and what an editor left"#, &far),
            (r#"{"psFormat":7,"currentContext":"far"}"#, &far),
        ] {
            folder.config(text);
            let mut around = around(&folder.0);
            around.sockets = vec![folder.0.join("a.sock")];
            assert_eq!(find(&around).as_ref().ok(), Some(want), "{text}");
        }
    }

    #[test]
    fn files_are_regular_and_bounded() {
        let folder = Folder::with_context("far", "tcp://far:1");
        let (config, meta) = (folder.0.join("config.json"), folder.0.join("contexts/meta/0123/meta.json"));
        let refused = |path: &Path| {
            assert!(matches!(find(&around(&folder.0)), Err(ContextError::Read { path: of, .. }) if of == path));
        };
        for (path, limit) in [(&meta, LONGEST_META), (&config, LONGEST_CONFIG)] {
            fs::File::options().write(true).open(path).expect("open").set_len(limit + 1).expect("length");
            refused(path);
            fs::remove_file(path).expect("remove");
            rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RWXU).expect("mkfifo");
            refused(path);
            fs::remove_file(path).expect("remove");
            std::os::unix::fs::symlink("/dev/zero", path).expect("link");
            refused(path);
        }
    }

    #[test]
    fn other_contexts_do_not_matter() {
        let folder = Folder::with_context("far", "tcp://far:1");
        for (number, other) in
            ["", "{", "[]", "null", r#"{"Name":7}"#, r#"{"Name":null,"Endpoints":null}"#, r#"{"Name":"x"}"#]
                .into_iter()
                .enumerate()
        {
            folder.meta(&format!("0{number}"), other);
            folder.meta(&format!("9{number}"), other);
        }
        fs::create_dir_all(folder.0.join("contexts/meta/00fifo")).expect("folder");
        let fifo = folder.0.join("contexts/meta/00fifo/meta.json");
        rustix::fs::mkfifoat(rustix::fs::CWD, fifo, rustix::fs::Mode::RWXU).expect("mkfifo");
        let mut around = around(&folder.0);
        assert_eq!(find(&around).expect("context").to_string(), "tcp://far:1");
        for (name, says) in [("x", "no address"), ("y", "is not what Docker writes there")] {
            around.docker_context = Some(name.into());
            let error = find(&around).expect_err(name).to_string();
            assert!(error.contains(says) || name == "y" && error.contains("cannot read"), "{name}: {error}");
        }
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

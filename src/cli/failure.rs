//! Why a command failed, as it is told: lines for people, an object for programs, an exit code for scripts.

use std::error::Error;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use serde_json::json;

use crate::http::Endpoint;
use crate::job::Problem;
use crate::runner::{self, FAILED, chain};
use crate::{driver, engine, host, replay};

/// Wrong usage.
const USAGE: u8 = 2;

/// Why a command failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// For people, without the program's name; more than one only for the problems of a file.
    pub(super) lines: Vec<String>,
    kind: &'static str,
    recoverable: bool,
    pub(super) code: u8,
}

impl Failure {
    pub(super) fn new(kind: &'static str, line: String) -> Self {
        Self { lines: vec![line], kind, recoverable: false, code: FAILED }
    }

    pub(super) fn usage(line: String) -> Self {
        Self { code: USAGE, ..Self::new("usage", line) }
    }

    /// A job file with problems.
    pub(super) fn problems(problems: &[Problem]) -> Self {
        let lines = problems.iter().map(Problem::to_string).collect();
        Self { lines, kind: "job_file", recoverable: false, code: FAILED }
    }

    /// What the Engine at `endpoint` did not do. The address is always told.
    pub(super) fn engine(endpoint: &Endpoint, error: &engine::Error) -> Self {
        let place = match error {
            // They name it themselves.
            engine::Error::Connect { .. }
            | engine::Error::Exhausted { .. }
            | engine::Error::Version { .. }
            | engine::Error::VersionRange { .. }
            | engine::Error::NoEngine { .. } => String::new(),
            _ => format!("the Engine at {endpoint}: "),
        };
        let way_out = match error {
            engine::Error::Connect { endpoint, source } => way_in(endpoint, source),
            engine::Error::Exhausted { .. } => String::new(),
            engine::Error::VersionRange { .. } => ": set DOCKER_API_VERSION to one of them, or not at all".into(),
            engine::Error::NoEngine { .. } => ": name another address with -H".into(),
            _ if error.is_unreachable() => ": is the Engine well? Another one can be named with -H".into(),
            _ => String::new(),
        };
        let line = format!("{place}{}{way_out}", chain(error));
        Self { recoverable: error.is_transient(), ..Self::new("engine", line) }
    }

    /// What the driver did not do.
    pub(super) fn driver(error: &driver::Error) -> Self {
        Self { recoverable: error.is_recoverable(), ..Self::new(error.kind(), chain(error)) }
    }

    /// Why it cannot be told where the Engine is, or what is to be spoken with it.
    pub(super) fn context(error: &engine::ContextError) -> Self {
        let line = match error {
            engine::ContextError::ApiVersion(_) => format!("DOCKER_API_VERSION: {}", chain(error)),
            engine::ContextError::NotUtf8 { .. } => format!("{}: set it anew, or unset it", chain(error)),
            engine::ContextError::Tls { .. } => {
                format!("{}: name a socket of this machine with -H, or take the setting away", chain(error))
            }
            _ => format!("cannot tell where the Engine is: {}: start Docker, or name an Engine with -H", chain(error)),
        };
        Self::new("engine", line)
    }

    /// A variable of the environment that the program itself reads.
    pub(super) fn not_utf8(variable: &str) -> Self {
        Self::usage(format!("the environment variable {variable} is not UTF-8: set it anew, or unset it"))
    }

    pub(super) fn to_json(&self) -> String {
        let message = self.lines.join("\n");
        json!({"error": {"message": message, "kind": self.kind, "recoverable": self.recoverable}}).to_string()
    }
}

/// What to do where no connection could be made.
fn way_in(endpoint: &Endpoint, source: &io::Error) -> String {
    use io::ErrorKind as Kind;
    let another = "or name another Engine with -H";
    match (source.kind(), endpoint) {
        (Kind::PermissionDenied, Endpoint::Unix(path)) => {
            // Not where a directory is closed that it lies in.
            let group = fs::metadata(path).ok().and_then(|socket| host::group_name(socket.gid()));
            let group = group.map(|name| format!(" ({name})")).unwrap_or_default();
            format!(": you may not use this socket: run as root, or join the group that owns it{group}")
        }
        (Kind::NotFound, Endpoint::Unix(_)) => format!(": there is no such socket: start Docker, {another}"),
        (Kind::ConnectionRefused, Endpoint::Unix(_)) => {
            format!(": nobody listens at this socket any more: start Docker, {another}")
        }
        (Kind::NotFound, Endpoint::Tcp { .. }) => format!(": nobody knows this host: mend its name, {another}"),
        (Kind::ConnectionRefused, Endpoint::Tcp { .. }) => {
            format!(": nobody listens at this port: start Docker there, with this port, {another}")
        }
        (Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown, _) => {
            format!(": there is no way to this host: look at the network, {another}")
        }
        (Kind::TimedOut, _) => ": is the Engine well? Another one can be named with -H".into(),
        (Kind::Unsupported, _) => ": name a socket of this machine with -H, a tunnel's for one (`ssh -L`)".into(),
        _ => format!(": start Docker, {another}"),
    }
}

impl From<runner::Error> for Failure {
    fn from(error: runner::Error) -> Self {
        match &error {
            runner::Error::Choice { .. } => Self::usage(chain(&error)),
            _ => Self { recoverable: error.is_recoverable(), ..Self::new(error.kind(), chain(&error)) },
        }
    }
}

impl From<replay::Error> for Failure {
    fn from(error: replay::Error) -> Self {
        Self::new("recording", chain(&error))
    }
}

impl From<driver::create::CreateError> for Failure {
    fn from(error: driver::create::CreateError) -> Self {
        Self::new("plan", chain(&error as &(dyn Error + 'static)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::chown;
    use std::os::unix::net::UnixListener;

    #[test]
    fn each_way_not_to_connect_has_its_hint() {
        let path = std::env::temp_dir().join(format!("longshore-failure-{}.sock", std::process::id()));
        let _listener = UnixListener::bind(&path).unwrap();
        // Nobody has this one.
        let unnamed = chown(&path, None, Some(0x7fff_fff0)).is_ok();
        let unix = Endpoint::Unix(path.clone());
        let absent = Endpoint::Unix("/no/such.sock".into());
        let tcp: Endpoint = "tcp://far:1".parse().unwrap();
        let ssh: Endpoint = "ssh://far".parse().unwrap();
        use io::ErrorKind as Kind;
        for (endpoint, kind, words) in [
            (&unix, Kind::PermissionDenied, "you may not use this socket: run as root, or join the group that owns it"),
            (
                &absent,
                Kind::PermissionDenied,
                "you may not use this socket: run as root, or join the group that owns it",
            ),
            (&absent, Kind::NotFound, "there is no such socket: start Docker"),
            (&unix, Kind::ConnectionRefused, "nobody listens at this socket"),
            (&tcp, Kind::ConnectionRefused, "nobody listens at this port"),
            (&tcp, Kind::NotFound, "nobody knows this host"),
            (&tcp, Kind::HostUnreachable, "no way to this host"),
            (&tcp, Kind::TimedOut, "is the Engine well?"),
            (&tcp, Kind::PermissionDenied, "start Docker"),
            (&ssh, Kind::Unsupported, "name a socket of this machine"),
        ] {
            let error = engine::Error::Connect { endpoint: endpoint.clone(), source: kind.into() };
            let line = &Failure::engine(endpoint, &error).lines[0];
            assert!(line.contains(words) && line.contains(&endpoint.to_string()), "{kind:?}: {line}");
            assert!(
                kind != Kind::PermissionDenied || endpoint != &unix || !unnamed || line.ends_with("owns it"),
                "{line}"
            );
        }
        if unnamed {
            chown(&path, None, Some(0)).unwrap();
            assert_eq!(way_in(&unix, &Kind::PermissionDenied.into()).rsplit("owns it").next(), Some(" (root)"));
        }
        fs::remove_file(&path).unwrap();
    }
}

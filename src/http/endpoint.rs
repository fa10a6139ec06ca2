//! Where an Engine is: the addresses that Docker's programs take (driver-spec 1.17), and nothing but their grammar.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Docker's port without TLS.
const PLAIN_PORT: u16 = 2375;
/// Whom Docker takes for an Engine that has a port and no host.
const THIS_MACHINE: &str = "localhost";

/// Where an Engine is.
///
/// ```
/// use longshore::Endpoint;
/// let endpoint: Endpoint = "unix:///run/docker.sock".parse()?;
/// assert_eq!(endpoint, Endpoint::Unix("/run/docker.sock".into()));
/// assert_eq!("tcp://10.0.0.1".parse::<Endpoint>()?.to_string(), "tcp://10.0.0.1:2375");
/// # Ok::<(), longshore::EndpointError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// A socket of this machine.
    Unix(PathBuf),
    /// A host that speaks HTTP in the clear.
    Tcp {
        /// Its name or address; an IPv6 address without brackets.
        host: String,
        /// Its port.
        port: u16,
    },
    /// A host that speaks HTTP over TLS. Known, but no call can reach it yet.
    Tls {
        /// Its name or address; an IPv6 address without brackets.
        host: String,
        /// Its port.
        port: u16,
    },
    /// A machine reached by `ssh`. Known, but no call can reach it yet.
    Ssh {
        /// Who logs in there.
        user: Option<String>,
        /// Its name or address.
        host: String,
        /// Its port, if not ssh's own.
        port: Option<u16>,
    },
    /// A recording, played in the Engine's place by [`replay`](crate::replay).
    Replay(PathBuf),
}

/// An address that says nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointError {
    address: String,
    why: &'static str,
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bad Engine address `{}`: {}", self.address, self.why)
    }
}

impl Error for EndpointError {}

impl Endpoint {
    /// Docker's own socket.
    pub(crate) const DEFAULT_SOCKET: &str = "/var/run/docker.sock";
    /// Docker's port with TLS.
    pub(crate) const TLS_PORT: u16 = 2376;
}

/// What `docker` makes of an address, but for two: a path needs `unix://`, and `http://` and `https://` are known. Blanks and
/// newlines around it do not count.
impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(address: &str) -> Result<Self, EndpointError> {
        let address = address.trim();
        let bad = |why| EndpointError { address: without_password(address), why };
        if let Some(file) = address.strip_prefix("replay:") {
            return match file {
                "" => Err(bad("it names no recording")),
                file if file.contains('\0') => Err(bad("its path holds a NUL")),
                file => Ok(Self::Replay(file.into())),
            };
        }
        let (scheme, rest) = match address.split_once("://") {
            Some(split) => split,
            None if address.is_empty() => return Err(bad("it is empty")),
            None if address.starts_with('/') => return Err(bad("a socket's path needs `unix://` before it")),
            None => ("tcp", address),
        };
        match scheme {
            "unix" if rest.is_empty() => Ok(Self::Unix(Self::DEFAULT_SOCKET.into())),
            "unix" if rest.contains('\0') => Err(bad("its path holds a NUL")),
            "unix" => Ok(Self::Unix(rest.into())),
            "tcp" => {
                let (host, port) = host_and_port(rest).map_err(bad)?;
                let host = if host.is_empty() { THIS_MACHINE.into() } else { host };
                Ok(Self::Tcp { host, port: port.unwrap_or(PLAIN_PORT) })
            }
            "http" => {
                let (host, port) = named(host_and_port(rest)).map_err(bad)?;
                Ok(Self::Tcp { host, port: port.unwrap_or(PLAIN_PORT) })
            }
            "https" => {
                let (host, port) = named(host_and_port(rest)).map_err(bad)?;
                Ok(Self::Tls { host, port: port.unwrap_or(Self::TLS_PORT) })
            }
            "ssh" => {
                let (user, rest) = match rest.rsplit_once('@') {
                    Some((user, rest)) => (Some(user), rest),
                    None => (None, rest),
                };
                if user.is_some_and(|user| user.contains(':')) {
                    return Err(bad("ssh takes no password in an address"));
                }
                let (host, port) = named(host_and_port(rest)).map_err(bad)?;
                Ok(Self::Ssh { user: user.map(Into::into), host, port })
            }
            "npipe" => Err(bad("named pipes are Windows's, and longshore runs on Linux")),
            _ => Err(bad("it begins with none of unix://, tcp://, http://, https://, ssh://, replay:")),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Replay(path) => write!(f, "replay:{}", path.display()),
            Self::Tcp { host, port } => write!(f, "tcp://{}:{port}", bracketed(host)),
            Self::Tls { host, port } => write!(f, "https://{}:{port}", bracketed(host)),
            Self::Ssh { user, host, port } => {
                f.write_str("ssh://")?;
                if let Some(user) = user {
                    write!(f, "{user}@")?;
                }
                f.write_str(&bracketed(host))?;
                port.map_or(Ok(()), |port| write!(f, ":{port}"))
            }
        }
    }
}

/// A host and a port, of which the host is not empty.
fn named(found: Result<(String, Option<u16>), &'static str>) -> Result<(String, Option<u16>), &'static str> {
    found.and_then(|found| if found.0.is_empty() { Err("it has no host") } else { Ok(found) })
}

/// `[host][:[port]][/]`, an IPv6 address in brackets.
fn host_and_port(rest: &str) -> Result<(String, Option<u16>), &'static str> {
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains('@') {
        return Err("it takes no user");
    }
    if rest.contains(['/', '?', '#']) {
        return Err("nothing may follow host and port");
    }
    let (host, port) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("a bracket is not closed")?;
            if host.is_empty() {
                return Err("it has no host");
            }
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return Err("something stands between host and port"),
            }
        }
        None => match rest.split_once(':') {
            Some((_, port)) if port.contains(':') => return Err("an IPv6 address needs brackets"),
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        },
    };
    if host.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("its host holds a blank");
    }
    let port = match port {
        None | Some("") => None,
        Some(port) => match port.parse() {
            Ok(0) | Err(_) => return Err("its port is no number from 1 to 65535"),
            Ok(port) => Some(port),
        },
    };
    Ok((host.into(), port))
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.into() }
}

/// What may be shown of an address: one with a password in it is refused, and the error must not repeat it.
fn without_password(address: &str) -> String {
    match (address.find("://"), address.rfind('@')) {
        (scheme, Some(at)) => {
            let start = scheme.map_or(0, |s| s + 3);
            format!("{}…{}", &address[..start.min(at)], &address[at..])
        }
        _ => address.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (address, shown) in [
            ("unix:///var/run/docker.sock", "unix:///var/run/docker.sock"),
            ("unix://docker.sock", "unix://docker.sock"),
            ("tcp://127.0.0.1:5555", "tcp://127.0.0.1:5555"),
            ("tcp://engine", "tcp://engine:2375"),
            ("tcp://engine/", "tcp://engine:2375"),
            ("engine:2222", "tcp://engine:2222"),
            ("http://[::1]:80", "tcp://[::1]:80"),
            ("tcp://[fe80::1]", "tcp://[fe80::1]:2375"),
            ("https://engine.example", "https://engine.example:2376"),
            ("ssh://me@engine", "ssh://me@engine"),
            ("ssh://engine:2222", "ssh://engine:2222"),
            ("tcp://:5555", "tcp://localhost:5555"),
            (":5555", "tcp://localhost:5555"),
            ("tcp://", "tcp://localhost:2375"),
            ("tcp://:", "tcp://localhost:2375"),
            ("tcp://engine:", "tcp://engine:2375"),
            ("tcp://[::1]:", "tcp://[::1]:2375"),
            ("unix://", "unix:///var/run/docker.sock"),
            ("  unix:///x.sock\n", "unix:///x.sock"),
            ("\tengine:2222\r\n", "tcp://engine:2222"),
            (" unix:///with blank .sock ", "unix:///with blank .sock"),
            ("replay:a/b.har", "replay:a/b.har"),
            ("replay:/x:y.har", "replay:/x:y.har"),
        ] {
            let endpoint: Endpoint = address.parse().unwrap_or_else(|e| panic!("{address}: {e}"));
            assert_eq!(endpoint.to_string(), shown, "{address}");
            assert_eq!(shown.parse::<Endpoint>().as_ref(), Ok(&endpoint), "{shown} again");
        }
    }

    #[test]
    fn nowhere() {
        for (address, why) in [
            ("", "empty"),
            ("/var/run/docker.sock", "unix://"),
            (" \n", "empty"),
            ("http://", "no host"),
            ("https://:2376", "no host"),
            ("ssh://me@", "no host"),
            ("ssh://:22", "no host"),
            ("tcp://[]:80", "no host"),
            ("replay:", "no recording"),
            ("tcp:///path", "follow"),
            ("tcp://?x", "follow"),
            ("tcp://engine:0", "port"),
            ("tcp://engine:70000", "port"),
            ("tcp://engine:x", "port"),
            ("tcp://::1:80", "brackets"),
            ("tcp://[::1", "closed"),
            ("tcp://[::1]80", "between"),
            ("tcp://engine/path", "follow"),
            ("tcp://me@engine", "user"),
            ("tcp://two words", "blank"),
            ("npipe:////./pipe/docker_engine", "Windows"),
            ("ftp://engine", "begins with none"),
        ] {
            let error = address.parse::<Endpoint>().expect_err(address).to_string();
            assert!(error.contains(why), "{address}: {error}");
        }
    }

    #[test]
    fn a_password_is_not_repeated() {
        for address in ["ssh://me:hunter2@engine", "tcp://me:hunter2@engine", "me:hunter2@engine"] {
            let error = address.parse::<Endpoint>().expect_err(address).to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}

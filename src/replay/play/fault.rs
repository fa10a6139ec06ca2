//! What a player can be told to do wrong, on purpose.

use std::str::FromStr;
use std::time::Duration;

use crate::replay::Error;
use crate::values::{duration, glob};

/// Something that goes wrong with an answer, for tests of what a client makes of it.
///
/// As a text: `KIND`, or `once:KIND` for the first answer only, and `@METHOD /path` after it for some requests only, with
/// `*` for any characters and without the API version. Kinds: `cut:BYTES`, `delay:DURATION`, `reset`, `garbage`, `500`.
///
/// ```
/// use longshore::replay::{Fault, FaultKind};
/// let fault: Fault = "once:cut:100@GET /containers/*/logs".parse()?;
/// assert_eq!(fault.kind, FaultKind::Cut(100));
/// assert!(fault.once);
/// # Ok::<(), longshore::replay::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// Whether only the first time.
    pub once: bool,
    /// With which requests: `METHOD /path`, with `*` for any characters and without the API version.
    pub pattern: String,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// The connection ends after so many bytes of the answer, its head counted.
    Cut(u64),
    /// The answer comes so much later.
    Delay(Duration),
    /// The connection is reset before the answer. On a Unix socket, which knows no reset, it ends.
    Reset,
    /// Bytes that are no HTTP, in the answer's place.
    Garbage,
    /// `500 Internal Server Error`, in the answer's place.
    ServerError,
}

const KNOWN: &str = "cut:BYTES, delay:DURATION, reset, garbage or 500, `once:` before it, `@METHOD /path` after it";

impl Fault {
    /// This fault, with every answer.
    pub fn always(kind: FaultKind) -> Self {
        Self { kind, once: false, pattern: "*".into() }
    }

    /// This fault, with the first answer.
    pub fn once(kind: FaultKind) -> Self {
        Self { once: true, ..Self::always(kind) }
    }

    /// The same for some requests only: `METHOD /path`, with `*` for any characters.
    #[must_use]
    pub fn on(mut self, pattern: impl Into<String>) -> Self {
        self.pattern = pattern.into();
        self
    }

    pub(in crate::replay) fn concerns(&self, method: &str, path: &str) -> bool {
        glob::matches(&self.pattern, &format!("{method} {path}"))
    }
}

impl FromStr for Fault {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Word { what: "fault", word: text.into(), known: KNOWN };
        let (what, pattern) = match text.split_once('@') {
            Some((what, pattern)) if pattern.contains(" /") || pattern.contains('*') => (what, pattern),
            Some(_) => return Err(wrong()),
            None => (text, "*"),
        };
        let (once, what) = match what.strip_prefix("once:") {
            Some(what) => (true, what),
            None => (false, what),
        };
        let kind = match what.split_once(':') {
            Some(("cut", bytes)) => FaultKind::Cut(bytes.parse().map_err(|_| wrong())?),
            Some(("delay", length)) => FaultKind::Delay(duration::parse(length).map_err(|_| wrong())?),
            None if what == "reset" => FaultKind::Reset,
            None if what == "garbage" => FaultKind::Garbage,
            None if what == "500" => FaultKind::ServerError,
            _ => return Err(wrong()),
        };
        Ok(Self { kind, once, pattern: pattern.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        for (text, want) in [
            ("cut:0", Some((FaultKind::Cut(0), false, "*"))),
            ("once:500", Some((FaultKind::ServerError, true, "*"))),
            ("delay:1.5s@* /info", Some((FaultKind::Delay(Duration::from_millis(1500)), false, "* /info"))),
            ("once:reset@GET /containers/*", Some((FaultKind::Reset, true, "GET /containers/*"))),
            ("garbage", Some((FaultKind::Garbage, false, "*"))),
            ("cut", None),
            ("cut:x", None),
            ("cut:-1", None),
            ("delay:soon", None),
            ("404", None),
            ("reset@containers", None),
            ("", None),
        ] {
            let found = text.parse::<Fault>().ok().map(|fault| (fault.kind, fault.once, fault.pattern));
            assert_eq!(found, want.map(|(kind, once, pattern)| (kind, once, pattern.to_owned())), "{text}");
        }
        let fault: Fault = "reset@GET /containers/*/logs".parse().unwrap();
        assert!(fault.concerns("GET", "/containers/x/logs") && !fault.concerns("POST", "/containers/x/logs"));
    }
}

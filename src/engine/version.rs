//! Which version of the API is spoken: `min(ours, the Engine's)`, agreed once a client.

use std::fmt;
use std::str::FromStr;

use super::{ContextError, Engine, Error};

/// A version of the Engine API, such as 1.41.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiVersion {
    /// 1, so far.
    pub major: u16,
    /// 41 in 1.41.
    pub minor: u16,
}

impl ApiVersion {
    /// The oldest that is spoken here: Docker 1.12's, of 2016.
    pub const LOWEST: Self = Self::new(1, 24);
    /// The newest that is known here: Docker 28.5's.
    pub const HIGHEST: Self = Self::new(1, 51);

    /// The version `major.minor`.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for ApiVersion {
    type Err = ContextError;

    fn from_str(text: &str) -> Result<Self, ContextError> {
        let bad = || ContextError::ApiVersion(text.into());
        let (major, minor) = text.strip_prefix('v').unwrap_or(text).split_once('.').ok_or_else(bad)?;
        // A third number says nothing: 1.41.0 is 1.41.
        let (minor, patch) = minor.split_once('.').unwrap_or((minor, "0"));
        let number = |digits: &str| match digits.bytes().all(|b| b.is_ascii_digit()) {
            true => digits.parse::<u16>().map_err(|_| bad()),
            false => Err(bad()),
        };
        number(patch)?;
        Ok(Self { major: number(major)?, minor: number(minor)? })
    }
}

/// Asks the Engine what it speaks, and takes the highest that both know.
pub(super) fn agree(engine: &Engine) -> Result<ApiVersion, Error> {
    // Who names no version speaks the lowest.
    let theirs = engine.told_version()?.unwrap_or(ApiVersion::LOWEST);
    if theirs < ApiVersion::LOWEST {
        return Err(Error::Version { endpoint: engine.endpoint().clone(), highest: theirs });
    }
    if theirs <= ApiVersion::HIGHEST {
        return Ok(theirs);
    }
    // A newer Engine than any known. It may have dropped what we know: only its /version says so.
    let lowest = engine.version()?.min_api_version.parse().unwrap_or(ApiVersion::LOWEST);
    Ok(choose(lowest))
}

/// Checks that a version which is set is one that the Engine speaks, as far as the Engine tells.
pub(super) fn check(engine: &Engine, asked: ApiVersion) -> Result<ApiVersion, Error> {
    let Some(highest) = engine.told_version()? else { return Ok(asked) };
    let endpoint = || engine.endpoint().clone();
    if asked > highest {
        return Err(Error::VersionRange { endpoint: endpoint(), asked, lowest: None, highest });
    }
    if asked < highest {
        // One that cannot be asked refuses the calls themselves, where it must.
        let lowest = engine.version().ok().and_then(|version| version.min_api_version.parse().ok());
        if let Some(lowest) = lowest.filter(|lowest| asked < *lowest) {
            return Err(Error::VersionRange { endpoint: endpoint(), asked, lowest: Some(lowest), highest });
        }
    }
    Ok(asked)
}

/// The version for an Engine whose highest is above ours.
fn choose(their_lowest: ApiVersion) -> ApiVersion {
    if their_lowest > ApiVersion::HIGHEST {
        log::warn!(
            "the Engine speaks API {their_lowest} and newer only, and {} is the newest known here: some of what it says may be missed",
            ApiVersion::HIGHEST
        );
    }
    their_lowest.max(ApiVersion::HIGHEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text() {
        for (text, want) in [
            ("1.41", Some((1, 41))),
            ("v1.5", Some((1, 5))),
            ("1", None),
            ("", None),
            ("1.x", None),
            ("1.+4", None),
            ("1.41.0", Some((1, 41))),
            ("v1.41.12", Some((1, 41))),
            ("1.41.", None),
            ("1.41.x", None),
            ("1.41.0.0", None),
            (".41", None),
            ("1..41", None),
            ("1.99999", None),
        ] {
            assert_eq!(text.parse::<ApiVersion>().ok(), want.map(|(a, b)| ApiVersion::new(a, b)), "{text}");
        }
        assert!(ApiVersion::new(1, 9) < ApiVersion::new(1, 41), "by number, not by text");
        assert_eq!(ApiVersion::new(1, 41).to_string(), "1.41");
    }

    #[test]
    fn an_engine_newer_than_any_known() {
        assert_eq!(choose(ApiVersion::new(1, 44)), ApiVersion::HIGHEST);
        assert_eq!(choose(ApiVersion::new(1, 60)), ApiVersion::new(1, 60));
    }
}

//! References of images: the grammar, and what a driver makes of it (driver-spec 15.1, 6.4). Pure.

use std::fmt;
use std::str::FromStr;

/// A reference of an image, as written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    text: String,
}

/// A text that is no reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceError {
    text: String,
    at: usize,
    why: &'static str,
}

/// The registry that a reference names, for finding credentials (driver-spec 6.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Its host, with the port if one is written: `registry.example:5000`; `docker.io` for Docker Hub.
    pub name: String,
    /// Whether it is Docker Hub.
    pub official: bool,
}

impl fmt::Display for ReferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no image reference: {} at character {}", self.text, self.why, self.at)
    }
}

impl std::error::Error for ReferenceError {}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        Ok(Self { text: text.to_owned() })
    }
}

//! References of images, and what the driver makes of them (driver-spec 15.1, 6.4). Pure.
//!
//! The grammar says what a task may name. Docker's client library, which pulls, takes a little
//! less, so [`Reference::named`], [`Reference::pull_name`] and [`Reference::index`] may fail for a
//! text that is a reference. The prefix `https://` that a task's `image` may carry is no part of
//! it: it is taken off where options are read.

mod grammar;

use std::fmt;
use std::str::FromStr;

use grammar::Fault;

const HUB: &str = "docker.io";
const HUB_LEGACY: &str = "index.docker.io";
/// Namespace of Docker Hub's images that are written without one.
const HUB_LIBRARY: &str = "library/";
const LATEST: &str = "latest";
/// Characters of a path, with `library/` where that is added.
const MAX_PATH: usize = 255;

/// A reference of an image as it was written: `[domain[:port]/]path[:tag][@algorithm:hex]`.
///
/// `Display` shows the text that was read. Two references of one image may differ: `web` and
/// `docker.io/library/web:latest`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    name: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl Reference {
    /// The repository as the driver splits it off: the name, with the digest if there is one.
    /// A tag beside a digest is dropped: `web:1@sha256:…` gives `web@sha256:…`.
    pub fn repo(&self) -> String {
        joined(&self.name, None, self.digest.as_deref())
    }

    /// The tag as the driver splits it off: `latest` if none is written, empty beside a digest.
    pub fn tag(&self) -> &str {
        match (&self.tag, &self.digest) {
            (_, Some(_)) => "",
            (Some(tag), None) => tag,
            (None, None) => LATEST,
        }
    }

    /// The repository and the tag in one text, as events show the image: `web:latest`.
    pub fn image_ref(&self) -> String {
        joined(&self.repo(), Some(self.tag()).filter(|tag| !tag.is_empty()), None)
    }

    /// Whether an image that is already there is taken without a pull. The tag `latest` moves, so
    /// it is always pulled.
    pub fn is_checked_locally(&self) -> bool {
        self.tag() != LATEST
    }

    /// The reference completed with domain and namespace, as Docker reads it.
    ///
    /// # Errors
    ///
    /// Docker does not take it: 64 hex digits alone, a path of more than 255 characters, a digest
    /// other than sha256, sha384 and sha512 in lower case, or a domain in brackets that has neither
    /// a colon nor an upper case letter.
    pub fn named(&self) -> Result<Named, ReferenceError> {
        match self.tag {
            None => self.refuse_id().and_then(|()| self.completed()),
            Some(_) => self.completed(),
        }
    }

    /// The query of a pull: `fromImage`, the canonical name; and `tag`, the digest or the tag.
    ///
    /// # Errors
    ///
    /// Those of [`Reference::named`], but 64 hex digits alone are a name: the default tag is added.
    pub fn pull_name(&self) -> Result<(String, String), ReferenceError> {
        let named = self.completed()?;
        Ok((named.canonical_name(), self.digest.as_deref().unwrap_or(self.tag()).to_owned()))
    }

    /// The registry, for finding credentials. It is looked up by [`Reference::repo`].
    ///
    /// # Errors
    ///
    /// Those of [`Reference::named`], and 64 hex digits are refused with a tag too.
    pub fn index(&self) -> Result<Index, ReferenceError> {
        self.refuse_id()?;
        let name = self.completed()?.domain;
        Ok(Index { official: name == HUB, name })
    }

    /// Refuses a name that reads as the id of an image, unless a digest follows.
    fn refuse_id(&self) -> Result<(), ReferenceError> {
        let is_id = self.digest.is_none() && self.name.len() == 64 && self.name.bytes().all(grammar::is_lower_hex);
        if is_id { Err(self.refused(0, "64 hex digits are the id of an image, not its name")) } else { Ok(()) }
    }

    /// The rules of Docker that do not depend on a tag.
    fn completed(&self) -> Result<Named, ReferenceError> {
        let name = self.name.as_str();
        let (domain, rest) = match name.split_once('/') {
            Some((HUB_LEGACY, rest)) => (HUB, rest),
            Some((first, rest)) if grammar::looks_like_domain(first) => match grammar::check_domain(first) {
                Ok(()) => (first, rest),
                // A part of the path, such as `reg_istry.example` for its underscore.
                Err(_) => ("", name),
            },
            Some((first, _)) if first.starts_with('[') => {
                return Err(self.refused(0, "the address in brackets has no colon"));
            }
            _ => (HUB, name),
        };
        let namespace = if domain == HUB && !rest.contains('/') { HUB_LIBRARY } else { "" };
        if namespace.len() + rest.len() > MAX_PATH {
            let at = name.len() - rest.len() + MAX_PATH - namespace.len();
            return Err(self.refused(at, "the path, with `library/` on Docker Hub, has more than 255 characters"));
        }
        if let Some(digest) = &self.digest {
            let start = self.to_string().len() - digest.len();
            grammar::check_supported(digest, start).map_err(|fault| self.refused(fault.at, fault.why))?;
        }
        let path = format!("{namespace}{rest}");
        Ok(Named { domain: domain.to_owned(), path, tag: self.tag.clone(), digest: self.digest.clone() })
    }

    fn refused(&self, at: usize, why: &'static str) -> ReferenceError {
        ReferenceError::new(&self.to_string(), Fault { at, why })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&joined(&self.name, self.tag.as_deref(), self.digest.as_deref()))
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    /// Reads a reference as the driver takes it.
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let parts = grammar::split(text).map_err(|fault| ReferenceError::new(text, fault))?;
        let owned = |part: Option<&str>| part.map(Into::into);
        Ok(Self { name: parts.name.into(), tag: owned(parts.tag), digest: owned(parts.digest) })
    }
}

/// A reference completed as Docker does it: `web` is `docker.io/library/web`. No tag is added.
///
/// `Display` shows the canonical text, with tag and digest as far as they were written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Named {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl Named {
    /// The registry's host, with the port if one is written. Empty where the first part of the
    /// name has a `.` and is no host name, as in `reg_istry.example/web`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The name inside of the registry: `library/web`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag, if one is written.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one is written: `sha256:…`.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// The domain and the path: `docker.io/library/web`.
    pub fn canonical_name(&self) -> String {
        if self.domain.is_empty() { self.path.clone() } else { format!("{}/{}", self.domain, self.path) }
    }

    /// The name as people write it, without what Docker adds: `web`. It is for showing: that of
    /// `docker.io/a.b/web` is `a.b/web`, which names another registry.
    pub fn familiar_name(&self) -> String {
        if self.domain != HUB {
            return self.canonical_name();
        }
        let short = self.path.strip_prefix(HUB_LIBRARY).filter(|rest| !rest.contains('/'));
        short.unwrap_or(&self.path).to_owned()
    }

    /// The familiar name with tag and digest as far as they were written: `web:1`.
    pub fn familiar(&self) -> String {
        joined(&self.familiar_name(), self.tag(), self.digest())
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&joined(&self.canonical_name(), self.tag(), self.digest()))
    }
}

/// The registry that a reference names, for finding credentials (driver-spec 6.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Its host, with the port if one is written: `registry.example:5000`. It is `docker.io` for
    /// Docker Hub, and empty where [`Named::domain`] is.
    pub name: String,
    /// Whether it is Docker Hub.
    pub official: bool,
}

impl Index {
    /// The key of the registry's entry in a file of credentials.
    pub fn key(&self) -> &str {
        if self.official { "https://index.docker.io/v1/" } else { &self.name }
    }
}

/// A text that is no reference, or a reference that Docker does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceError {
    /// The text as it was given.
    pub text: String,
    /// The place of the fault: a number of characters, from 1. Where something is missing at the
    /// end, one more than the text has.
    pub at: usize,
    /// The fault, for people: `the tag is empty`.
    pub why: &'static str,
}

impl ReferenceError {
    fn new(text: &str, fault: Fault) -> Self {
        let at = 1 + text.char_indices().take_while(|(start, _)| *start < fault.at).count();
        Self { text: text.to_owned(), at, why: fault.why }
    }
}

impl fmt::Display for ReferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid image reference {:?}: {} (character {})", self.text, self.why, self.at)
    }
}

impl std::error::Error for ReferenceError {}

fn joined(name: &str, tag: Option<&str>, digest: Option<&str>) -> String {
    let mut text = name.to_owned();
    for (mark, part) in [(':', tag), ('@', digest)] {
        if let Some(part) = part {
            text.push(mark);
            text.push_str(part);
        }
    }
    text
}

#[cfg(test)]
mod tests;

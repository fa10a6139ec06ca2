//! Redaction: no secret reaches a recording.
//!
//! Owns what is secret (by its name, by where it stands, by having been seen as a secret before) and how it is hidden: in a body
//! each byte of it becomes a `*`, so that lengths, frames and chunks stay true; in a header or a parameter the value becomes
//! `redacted`. No I/O. What will surprise: a password that was seen in a header or in an environment is masked wherever it stands
//! later, on every connection; so the order of things matters, and what was recorded before is passed through
//! [`Redactor::last_pass`] at the end.

mod header;
mod json;
mod learned;
mod mask;
mod names;
mod runs;
#[cfg(feature = "cli")]
mod shown;
mod target;
mod text;

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use learned::Learned;
use names::Names;

pub(crate) use mask::Masker;
#[allow(unused_imports)]
pub(crate) use names::NOT_SECRET;
pub use names::{SECRET_HEADERS, SECRET_NAMES};
#[cfg(feature = "cli")]
pub(crate) use shown::mask_secrets;

/// What stands in place of a secret header or parameter.
pub(crate) const REDACTED: &str = "redacted";

/// Everything that is masked, for people: one line each.
pub const MASKED: &[&str] = &[
    "headers of credentials, and those with a secret name: the whole value",
    "parameters of a request with a secret name: the whole value",
    "JSON members with a secret name: every string in the value",
    "`NAME=value` in an environment, an argument, a label, a log: the value, if the name is secret",
    "`--name value` in arguments: the value, if the name is secret",
    "`NAME: value` and `\"name\":\"value\"` in a text: the value, if the name is secret",
    "`scheme://user:password@host`: the password, or the user where it is a token",
    "private keys in PEM: the body",
    "bodies of credentials (`/auth`) and the data of swarm's secrets and configs",
    "what was seen as a secret in a header of credentials or such a body, wherever it stands later, and its base64",
    "strong values of secret names in environments, arguments, JSON and URLs (eight bytes or more; no word, number or path), wherever they stand later",
    "both also where some of it is escaped, as URLs, HTML or JSON do, and in UTF-16",
];

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// JSON, one document or many.
    Json,
    /// A task's output, raw or in frames; or anything else.
    Text,
    /// An archive: files, in which a name tells nothing, and of which no byte may change. Only what was learned is masked.
    Archive,
}

/// What is secret: names whose values are, and values learned from requests. One for all connections of a recorder.
pub(crate) struct Redactor {
    rules: Arc<Rules>,
}

/// What all maskers share.
struct Rules {
    names: Names,
    learned: Learned,
}

impl Rules {
    fn new(more: &[String]) -> Self {
        Self { names: Names::new(more), learned: Learned::new() }
    }
}

impl Redactor {
    /// The built-in names and those that `more` matches: globs in any case, over the names of environment variables, JSON members,
    /// headers, parameters and `NAME=value` texts.
    pub(crate) fn new(more: &[String]) -> Self {
        Self { rules: Arc::new(Rules::new(more)) }
    }

    /// A masker for one body.
    pub(crate) fn masker(&self, kind: Kind) -> Masker {
        match kind {
            Kind::Json => Masker::json(&self.rules, false),
            Kind::Text => Masker::text(&self.rules, false),
            Kind::Archive => self.last_pass(kind),
        }
    }

    /// A masker for a body that was masked before: hides only what was learned, for what was learned since.
    pub(crate) fn last_pass(&self, kind: Kind) -> Masker {
        match kind {
            Kind::Json => Masker::json(&self.rules, true),
            Kind::Text | Kind::Archive => Masker::text(&self.rules, true),
        }
    }

    /// How many values were learned: if that is what it was before a body, the body needs no last pass.
    pub(crate) fn has_learned(&self) -> u64 {
        self.rules.learned.count()
    }

    /// Brings a whole request body into the form in which bodies are compared: masked, and every row of `*` one `*`. So a recorded
    /// body and a live one are equal whatever their secrets and however long; an empty secret is equal to any. Learns what the
    /// body teaches, as the recorder did. A value that the recorder learned from a later request only is not known here.
    pub(crate) fn comparable(&self, value: &mut Value) {
        let masked = self.masked(value);
        if let Some(masked) = masked {
            *value = masked;
        }
        self.collapse(value, false);
    }

    /// As recorded, last pass included.
    fn masked(&self, value: &Value) -> Option<Value> {
        let written = serde_json::to_vec(value).ok()?;
        let masked = mask::json(&self.rules, &written, false);
        serde_json::from_slice(&mask::json(&self.rules, &masked, true)).ok()
    }

    fn collapse(&self, value: &mut Value, secret: bool) {
        match value {
            Value::String(text) => {
                let is_empty_entry = || {
                    let name = text.strip_suffix('=')?;
                    Some(!name.contains(char::is_whitespace) && self.rules.names.is_secret(name))
                };
                if (secret && text.is_empty()) || is_empty_entry() == Some(true) {
                    text.push('*');
                }
                let mut before = ' ';
                text.retain(|c| c != '*' || std::mem::replace(&mut before, c) != '*');
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.collapse(item, secret)),
            Value::Object(members) => {
                for (name, member) in members {
                    self.collapse(member, secret || self.rules.names.is_secret(name));
                }
            }
            _ => {}
        }
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").field("learned", &self.has_learned()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

//! Request targets: the query's parameters, each as what it is.

use std::fmt::Write as _;

use super::learned::From;
use super::names::teaches;
use super::text::Place;
use super::{REDACTED, Redactor, mask};

impl Redactor {
    /// `path?query` as recorded. A parameter whose name is secret becomes `redacted`, another is masked as JSON or as text;
    /// one in which nothing is masked stays as it was written. The path is no secret.
    pub(crate) fn target(&self, target: &str) -> String {
        let Some((path, query)) = target.split_once('?') else { return target.to_owned() };
        let parameters: Vec<_> = query.split('&').map(|parameter| self.parameter(parameter)).collect();
        format!("{path}?{}", parameters.join("&"))
    }

    fn parameter(&self, written: &str) -> String {
        let Some((written_name, written_value)) = written.split_once('=') else { return written.to_owned() };
        let (name, value) = (decode(written_name), decode(written_value));
        if value.is_empty() {
            return written.to_owned();
        }
        if self.rules.names.is_secret(&String::from_utf8_lossy(&name)) {
            if teaches(&String::from_utf8_lossy(&name), &value) && written_name != "session" {
                self.rules.learned.learn(&value, From::Name);
            }
            return format!("{written_name}={REDACTED}");
        }
        let masked = match value.trim_ascii_start().first() {
            Some(b'{' | b'[') => mask::json(&self.rules, &value, false),
            _ => mask::text(&self.rules, Place::Parameter, &value),
        };
        if masked == value { written.to_owned() } else { format!("{written_name}={}", encode(&masked, "+")) }
    }
}

/// Percent-decoded, `+` as a space. What is no escape stays.
fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = |at: usize| bytes.get(at).and_then(|&b| char::from(b).to_digit(16));
        match (bytes[i], hex(i + 1), hex(i + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high << 4 | low) as u8);
                i += 2;
            }
            (b'+', ..) => decoded.push(b' '),
            (b, ..) => decoded.push(b),
        }
        i += 1;
    }
    decoded
}

/// Percent-encoded, but for letters, digits, `-._~` and the `*` of a mask.
pub(super) fn encode(bytes: &[u8], space: &str) -> String {
    let mut encoded = String::with_capacity(bytes.len());
    for &b in bytes {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'*' => encoded.push(char::from(b)),
            b' ' => encoded.push_str(space),
            // Writing to a string does not fail.
            b => drop(write!(encoded, "%{b:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        for (target, want) in [
            ("/_ping", "/_ping"),
            ("/v1.41/containers/json?all=1", "/v1.41/containers/json?all=1"),
            ("/x?", "/x?"),
            ("/x?a&b=&=c", "/x?a&b=&=c"),
            ("/x?token=abc&all=1", "/x?token=redacted&all=1"),
            ("/x?Token=", "/x?Token="),
            ("/x?to%6ben=abc", "/x?to%6ben=redacted"),
            ("/x?mine=abc", "/x?mine=redacted"),
            (
                "/build?buildargs=%7B%22DB_PASSWORD%22%3A%22x%22%7D",
                "/build?buildargs=%7B%22DB_PASSWORD%22%3A%22*%22%7D",
            ),
            (r#"/build?buildargs={"A":"DB_PASSWORD=x"}"#, "/build?buildargs=%7B%22A%22%3A%22DB_PASSWORD%3D*%22%7D"),
            (r#"/x?filters={"label":{"a=b":true}}&all=%31"#, r#"/x?filters={"label":{"a=b":true}}&all=%31"#),
            (
                "/commit?changes=ENV+DB_PASSWORD=x&changes=ENV%20A%3D1",
                "/commit?changes=ENV+DB_PASSWORD%3D*&changes=ENV%20A%3D1",
            ),
            ("/x?env=DB_PASSWORD=a+b", "/x?env=DB_PASSWORD%3D***"),
            (
                "/images/create?fromSrc=https://user:pw@host/x",
                "/images/create?fromSrc=https%3A%2F%2Fuser%3A**%40host%2Fx",
            ),
            ("/build?remote=https://tok@host/x.git", "/build?remote=https%3A%2F%2F***%40host%2Fx.git"),
            ("/x?a=%ff%zz%", "/x?a=%ff%zz%"),
            ("/secret=1/x?b=1", "/secret=1/x?b=1"),
        ] {
            assert_eq!(Redactor::new(&["mine".into()]).target(target), want, "{target}");
        }
    }

    #[test]
    fn learns() {
        for target in ["/x?token=AbCdEf12", "/x?buildargs={\"MY_TOKEN\":\"AbCdEf12\"}", "/x?src=http://me:AbCdEf12@h/"]
        {
            let redactor = Redactor::new(&[]);
            redactor.target(target);
            assert_eq!(redactor.target("/y?q=is+AbCdEf12."), "/y?q=is+********.", "{target}");
        }
    }
}

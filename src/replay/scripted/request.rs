//! What a scripted Engine was asked, and the patterns that mean requests. Pure.

use std::fmt;

use serde::de::DeserializeOwned;

use crate::replay::http::wire::{self, Head};

/// A request, whole.
#[derive(Clone)]
#[non_exhaustive]
pub struct Request {
    /// Such as `GET`.
    pub method: String,
    /// The path, without version and query, as it was sent.
    pub path: String,
    /// The version before the path, such as `1.41`. Empty: none.
    pub version: String,
    /// The query, as it was sent. Empty: none.
    pub query: String,
    /// Names and values as they were sent.
    pub headers: Vec<(String, String)>,
    /// The body, taken out of its chunks.
    pub body: Vec<u8>,
    /// Which connection it came on, counted from 0.
    pub connection: usize,
}

impl Request {
    pub(super) fn new(method: &str, target: &str, head: &Head, body: Vec<u8>, connection: usize) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (version, path) = split_version(path);
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            version: version.to_owned(),
            query: query.to_owned(),
            headers: head.headers.clone(),
            body,
            connection,
        }
    }

    /// A header's value, its name in any case; the first of several.
    pub fn header(&self, name: &str) -> Option<&str> {
        wire::header(&self.headers, name)
    }

    /// A parameter of the query, decoded; the first of several. One without a value is empty.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self.query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.map(|(n, value)| (decoded(n), value)).find(|(n, _)| n == name).map(|(_, value)| decoded(value))
    }

    /// The body's JSON.
    ///
    /// # Errors
    /// The body is none, or none of that shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }
}

/// Names, no values: those of headers, parameters and bodies may be secret.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parameters = self.query.split('&').filter(|pair| !pair.is_empty());
        let parameters: Vec<_> = parameters.map(|pair| pair.split('=').next().unwrap_or_default()).collect();
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("version", &self.version)
            .field("parameters", &parameters)
            .field("headers", &headers)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .field("connection", &self.connection)
            .finish()
    }
}

/// Method and path.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// Splits `/v1.41/info` into `1.41` and `/info`.
fn split_version(path: &str) -> (&str, &str) {
    let versioned = || {
        let rest = path.strip_prefix("/v")?;
        let end = rest.find('/')?;
        let (version, path) = rest.split_at(end);
        let (major, minor) = version.split_once('.')?;
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        (is_number(major) && is_number(minor)).then_some((version, path))
    };
    versioned().unwrap_or(("", path))
}

/// Undoes the encoding of a query. What is no encoding stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                bytes.push(hex(*high) << 4 | hex(*low));
                rest = after;
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// `METHOD /path`: which requests are meant. A `*` stands for any method, or for one part of a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    method: String,
    path: String,
}

impl Pattern {
    /// # Panics
    /// With the pattern, and what is wrong with it.
    #[track_caller]
    pub(super) fn new(pattern: &str) -> Self {
        match Self::parse(pattern) {
            Ok(pattern) => pattern,
            Err(why) => panic!("bad pattern `{pattern}`: {why}"),
        }
    }

    fn parse(pattern: &str) -> Result<Self, &'static str> {
        let (method, path) = pattern.split_once(' ').ok_or("it is not `METHOD /path`")?;
        if method != "*" && (method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase())) {
            return Err("its method is no method");
        }
        if !path.starts_with('/') {
            return Err("its path begins with no slash");
        }
        if path.contains([' ', '?', '#']) {
            return Err("something follows its path");
        }
        if !split_version(path).0.is_empty() {
            return Err("versions are no part of it");
        }
        if path.split('/').any(|part| part.contains('*') && part != "*") {
            return Err("a `*` stands for a whole part");
        }
        Ok(Self { method: method.to_owned(), path: path.to_owned() })
    }

    pub(super) fn means(&self, request: &Request) -> bool {
        let (mut wanted, mut asked) = (self.path.split('/'), request.path.split('/'));
        (self.method == "*" || self.method == request.method)
            && loop {
                match (wanted.next(), asked.next()) {
                    (None, None) => break true,
                    (Some(wanted), Some(asked)) if wanted == "*" || wanted == asked => {}
                    _ => break false,
                }
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, target: &str) -> Request {
        Request::new(method, target, &Head::default(), Vec::new(), 0)
    }

    #[test]
    fn patterns() {
        for (pattern, method, target, want) in [
            ("GET /info", "GET", "/info", true),
            ("GET /info", "GET", "/v1.41/info?x=/y", true),
            ("GET /info", "HEAD", "/info", false),
            ("* /info", "HEAD", "/info", true),
            ("GET /info", "GET", "/info/more", false),
            ("GET /containers/*/json", "GET", "/v1.41/containers/a/json", true),
            ("GET /containers/*/json", "GET", "/containers/json", false),
            ("GET /containers/*/json", "GET", "/containers/a/b/json", false),
            ("GET /", "GET", "/", true),
            ("GET /info", "GET", "/vx/info", false),
            ("GET /volumes/*", "GET", "/volumes/v1.2/", false),
            ("GET /volumes/*", "GET", "/volumes/v1.2", true),
        ] {
            assert_eq!(Pattern::new(pattern).means(&request(method, target)), want, "{pattern}: {method} {target}");
        }
        for (pattern, why) in [
            ("", "METHOD /path"),
            ("/info", "METHOD /path"),
            ("get /info", "no method"),
            (" /info", "no method"),
            ("GET info", "slash"),
            ("GET /info?all=1", "follows"),
            ("GET /a b", "follows"),
            ("GET /v1.41/info", "versions"),
            ("GET /containers/a*/json", "whole part"),
            ("GET /containers/**", "whole part"),
        ] {
            assert!(
                Pattern::parse(pattern).is_err_and(|e| e.contains(why)),
                "{pattern}: {:?}",
                Pattern::parse(pattern)
            );
        }
    }

    #[test]
    fn targets() {
        for (target, version, path, query) in [
            ("/v1.41/containers/json?all=1", "1.41", "/containers/json", "all=1"),
            ("/_ping", "", "/_ping", ""),
            ("/v1.41", "", "/v1.41", ""),
            ("/v1./info", "", "/v1./info", ""),
            ("/volumes", "", "/volumes", ""),
            ("/v5.0.0/libpod/info", "", "/v5.0.0/libpod/info", ""),
        ] {
            let request = request("GET", target);
            assert_eq!((&*request.version, &*request.path, &*request.query), (version, path, query), "{target}");
        }
    }

    #[test]
    fn parameters() {
        let request = request("GET", "/x?a=1&filters=%7B%22l%22%3a%5B%5d%7D&b&a=2&c%20d=e+f&bad=%zz%4&u=%C3%A9");
        for (name, want) in [
            ("a", Some("1")),
            ("filters", Some(r#"{"l":[]}"#)),
            ("b", Some("")),
            ("c d", Some("e f")),
            ("bad", Some("%zz%4")),
            ("u", Some("é")),
            ("none", None),
        ] {
            assert_eq!(request.parameter(name).as_deref(), want, "{name}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let head = Head { start: String::new(), headers: vec![("X-Registry-Auth".to_owned(), "hunter2".to_owned())] };
        let request = Request::new("POST", "/build?buildargs=hunter2", &head, b"hunter2".to_vec(), 0);
        let shown = format!("{request:?} {request}");
        assert!(
            !shown.contains("hunter2") && shown.contains("X-Registry-Auth") && shown.contains("buildargs"),
            "{shown}"
        );
    }
}

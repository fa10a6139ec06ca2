//! What a scripted Engine was asked: a request read off a connection, without more of HTTP than the client speaks.

use std::io::{self, BufRead, Read};

/// A request, whole.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// The path, without version and query.
    pub(crate) path: String,
    /// The version before the path, such as `1.41`. Empty: none.
    pub(crate) version: String,
    /// The query, as it was sent.
    pub(crate) query: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Which connection it came on, counted from 0.
    pub(crate) connection: usize,
}

impl Request {
    /// Reads the next request. `None`: the client has left between two.
    pub(crate) fn read(from: &mut impl BufRead, connection: usize) -> io::Result<Option<Self>> {
        let first = line(from)?;
        if first.is_empty() {
            return Ok(None);
        }
        let mut words = first.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (version, path) = match path.strip_prefix("/v1.").and_then(|rest| rest.split_once('/')) {
            Some((minor, _)) => (format!("1.{minor}"), &path["/v1.".len() + minor.len()..]),
            None => (String::new(), path),
        };
        let mut request = Self {
            method: method.into(),
            path: path.into(),
            version,
            query: query.into(),
            headers: Vec::new(),
            body: Vec::new(),
            connection,
        };
        loop {
            let header = line(from)?;
            if header.is_empty() {
                break;
            }
            let (name, value) = header.split_once(':').unwrap_or((&header, ""));
            request.headers.push((name.to_ascii_lowercase(), value.trim().into()));
        }
        request.read_body(from)?;
        Ok(Some(request))
    }

    /// A header's value, or an empty text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    /// A parameter of the query, still encoded, or an empty text.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(n, _)| *n == name).map_or("", |(_, value)| value)
    }

    fn read_body(&mut self, from: &mut impl BufRead) -> io::Result<()> {
        if self.header("transfer-encoding") == "chunked" {
            loop {
                let length = usize::from_str_radix(&line(from)?, 16).map_err(io::Error::other)?;
                let start = self.body.len();
                self.body.resize(start + length, 0);
                from.read_exact(&mut self.body[start..])?;
                line(from)?;
                if length == 0 {
                    return Ok(());
                }
            }
        }
        let length = self.header("content-length").parse().unwrap_or(0);
        self.body.resize(length, 0);
        from.read_exact(&mut self.body)
    }
}

/// Whether `METHOD /path` means the request: a `*` stands for one part of a path.
pub(crate) fn matches(pattern: &str, request: &Request) -> bool {
    let (method, path) = pattern.split_once(' ').unwrap();
    let (mut wanted, mut asked) = (path.split('/'), request.path.split('/'));
    method == request.method
        && loop {
            match (wanted.next(), asked.next()) {
                (None, None) => break true,
                (Some(a), Some(b)) if a == "*" || a == b => {}
                _ => break false,
            }
        }
}

fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    from.take(64 * 1024).read_until(b'\n', &mut line)?;
    Ok(String::from_utf8_lossy(&line).trim_end().into())
}

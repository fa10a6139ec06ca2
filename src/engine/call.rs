//! One call: its name for errors, how it is put together, and what its answer means.

use std::fmt;
use std::io::Read;
use std::ops::Range;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::query::{Query, QueryString, encode};
use super::types::{List, error_message, is_engines_error};
use super::{Engine, Error, phrases};
use crate::http::{self, Buffers, Method, Reply};
use crate::threads::Hangup;

/// Which call it was, for errors: `container_start`, `POST`, `/containers/1a2b/start`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The operation, as [`Engine`]'s method is called.
    pub operation: &'static str,
    /// The HTTP method.
    pub method: &'static str,
    /// The path, without the API version and without a query.
    pub path: String,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

#[cfg(test)]
impl Call {
    pub(super) fn for_test(operation: &'static str) -> Self {
        Self { operation, method: "GET", path: "/test".into() }
    }
}

/// A part of a path.
pub(super) enum Part<'a> {
    /// As it stands.
    Fixed(&'static str),
    /// An id or a name of a container: any character but letters, digits and `-._~` is encoded.
    Id(&'a str),
    /// A reference of an image: its slashes stay, as routers want them.
    Image(&'a str),
}

/// A call in the making.
pub(super) struct Request<'a> {
    engine: &'a Engine,
    call: Call,
    bad: Option<&'static str>,
    query: QueryString,
    json: Option<Vec<u8>>,
    /// Header lines that no log may show.
    secret: String,
    /// Whether the API version goes before the path.
    versioned: bool,
    deadline: Option<Duration>,
}

impl Engine {
    pub(super) fn get<'a>(&'a self, operation: &'static str, path: &[Part<'_>]) -> Request<'a> {
        Request::new(self, operation, "GET", path)
    }

    pub(super) fn post<'a>(&'a self, operation: &'static str, path: &[Part<'_>]) -> Request<'a> {
        Request::new(self, operation, "POST", path)
    }

    pub(super) fn delete<'a>(&'a self, operation: &'static str, path: &[Part<'_>]) -> Request<'a> {
        Request::new(self, operation, "DELETE", path)
    }
}

impl<'a> Request<'a> {
    fn new(engine: &'a Engine, operation: &'static str, method: &'static str, parts: &[Part<'_>]) -> Self {
        let (mut path, mut bad) = (String::new(), None);
        for part in parts {
            path.push('/');
            match part {
                Part::Fixed(text) => path.push_str(text),
                Part::Id(id) => {
                    bad = bad.or(not_a_name(id));
                    encode(&mut path, id, b"");
                }
                Part::Image(name) => {
                    bad = bad.or(name.split('/').find_map(not_a_name));
                    encode(&mut path, name, b"/:@");
                }
            }
        }
        let call = Call { operation, method, path };
        let (query, secret) = (QueryString::default(), String::new());
        Self { engine, call, bad, query, json: None, secret, versioned: true, deadline: None }
    }

    pub(super) fn query(mut self, query: &impl Query) -> Self {
        query.write(&mut self.query);
        self
    }

    /// Sends `body` as JSON.
    pub(super) fn json(mut self, body: &impl Serialize) -> Result<Self, Error> {
        self.json = Some(serde_json::to_vec(body).map_err(|source| self.unwritable(source))?);
        Ok(self)
    }

    /// The error of what has no form in JSON.
    pub(super) fn unwritable(&self, source: serde_json::Error) -> Error {
        Error::Decode { call: Box::new(self.call.clone()), source }
    }

    /// Adds a header that no log may show. `value` has no end of a line in it.
    pub(super) fn secret_header(mut self, name: &'static str, value: &str) -> Self {
        debug_assert!(!value.contains(['\r', '\n']), "{name}");
        self.secret.extend([name, ": ", value, "\r\n"]);
        self
    }

    /// Refuses what makes no sense, before anything is sent.
    pub(super) fn refuse(mut self, is_bad: bool, why: &'static str) -> Self {
        self.bad = self.bad.or(is_bad.then_some(why));
        self
    }

    /// Leaves the API version out of the path.
    pub(super) fn without_version(mut self) -> Self {
        self.versioned = false;
        self
    }

    /// Another deadline than the client's.
    pub(super) fn within(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sends it, and takes the whole answer. A status of 400 and above is an error.
    pub(super) fn send(self) -> Result<Answer, Error> {
        let reply = self.negotiated(|path| {
            let reply = self.engine.client.call(self.request(path, self.body()), self.deadline);
            let reply = reply.map_err(|e| self.failed(e))?;
            self.checked(reply)
        })?;
        Ok(Answer { call: self.call, reply })
    }

    /// The same on a connection of its own that nothing but its own `deadline` and `hangup` end.
    pub(super) fn send_alone(mut self, deadline: Option<Duration>, hangup: Option<&Hangup>) -> Result<Answer, Error> {
        self.deadline = deadline;
        let reply = self.negotiated(|path| {
            let reply = self.engine.client.call_alone(self.request(path, http::Body::Empty), deadline, hangup);
            self.checked(reply.map_err(|e| self.failed(e))?)
        })?;
        Ok(Answer { call: self.call, reply })
    }

    /// Sends it on a connection of its own, and gives the answer's body as it comes. A status of 400 and above is an error.
    pub(super) fn stream(self, buffers: Buffers, hangup: &Hangup) -> Result<Streamed, Error> {
        let stream = self.negotiated(|path| self.opened(self.request(path, self.body()), buffers, hangup))?;
        Ok(self.streamed(stream))
    }

    /// The same, with an archive as the request's body. It can be read only once, so no other version is tried.
    pub(super) fn upload(self, source: &mut dyn Read, hangup: &Hangup) -> Result<Streamed, Error> {
        self.check_arguments()?;
        let path = self.path()?;
        let stream = self.opened(self.request(&path, http::Body::Archive(source)), Buffers::BULK, hangup)?;
        Ok(self.streamed(stream))
    }

    /// Sends it on a connection of its own that is no longer HTTP after the answer's head. A status of 400 and above is an error.
    pub(super) fn upgrade(self, buffers: Buffers, hangup: &Hangup) -> Result<Upgraded, Error> {
        let duplex = self.negotiated(|path| {
            let mut request = self.request(path, self.body());
            request.headers = UPGRADE;
            let duplex = self.engine.client.hijack(request, buffers, hangup).map_err(|e| self.failed(e))?;
            if duplex.status() < 400 {
                return Ok(duplex);
            }
            let reply = duplex.into_reply().map_err(|e| self.failed(e))?;
            Err(refused(&self.call, &reply))
        })?;
        Ok(Upgraded { endpoint: self.engine.shared.endpoint.clone(), call: self.call, duplex })
    }

    /// Does `exchange` with the path of the agreed version, and once more where the Engine turns out to be another by now.
    fn negotiated<T>(&self, mut exchange: impl FnMut(&str) -> Result<T, Error>) -> Result<T, Error> {
        self.check_arguments()?;
        match exchange(&self.path()?) {
            Err(e) if self.may_renegotiate() && phrases::is_other_version(&e) => {
                self.engine.disagree();
                exchange(&self.path()?)
            }
            other => other,
        }
    }

    fn may_renegotiate(&self) -> bool {
        self.versioned && self.engine.shared.config.api_version.is_none()
    }

    fn check_arguments(&self) -> Result<(), Error> {
        match self.bad {
            None => Ok(()),
            Some(why) => Err(Error::Argument { call: Box::new(self.call.clone()), why }),
        }
    }

    fn path(&self) -> Result<String, Error> {
        Ok(match self.versioned {
            true => format!("/v{}{}", self.engine.api_version()?, self.call.path),
            false => self.call.path.clone(),
        })
    }

    fn body(&self) -> http::Body<'_> {
        match &self.json {
            Some(bytes) => http::Body::Json(bytes),
            None => http::Body::Empty,
        }
    }

    fn request<'b>(&'b self, path: &'b str, body: http::Body<'b>) -> http::Request<'b> {
        let method = match self.call.method {
            "GET" => Method::GET,
            "POST" => Method::POST,
            _ => Method::DELETE,
        };
        http::Request { method, path, query: self.query.as_str(), headers: &[], unlogged: &self.secret, body }
    }

    fn opened(&self, request: http::Request<'_>, buffers: Buffers, hangup: &Hangup) -> Result<http::Stream, Error> {
        let stream = self.engine.client.stream(request, buffers, hangup).map_err(|e| self.failed(e))?;
        if stream.status() < 400 {
            return Ok(stream);
        }
        let reply = stream.into_reply().map_err(|e| self.failed(e))?;
        Err(refused(&self.call, &reply))
    }

    fn streamed(self, stream: http::Stream) -> Streamed {
        Streamed { endpoint: self.engine.shared.endpoint.clone(), call: self.call, stream }
    }

    fn checked(&self, reply: Reply) -> Result<Reply, Error> {
        if reply.status < 400 { Ok(reply) } else { Err(refused(&self.call, &reply)) }
    }

    fn failed(&self, error: http::Error) -> Error {
        let deadline = self.deadline.unwrap_or(self.engine.client.call_timeout());
        Error::of(&self.call, &self.engine.shared.endpoint, deadline, error)
    }
}

/// What asks an Engine to go on without HTTP. One that does so without a word understands it, too.
const UPGRADE: &[(&str, &str)] = &[("Connection", "Upgrade"), ("Upgrade", "tcp")];

/// Why a text names nothing: it would be another path.
fn not_a_name(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("the id or name is empty"),
        "." | ".." => Some("`.` and `..` are no names"),
        _ => None,
    }
}

fn refused(call: &Call, reply: &Reply) -> Error {
    let kind = reply.header("content-type");
    let (message, own) = (error_message(&reply.body, kind), is_engines_error(&reply.body, kind));
    Error::Status { call: Box::new(call.clone()), status: reply.status, message, own }
}

/// An answer taken whole.
pub(super) struct Answer {
    call: Call,
    reply: Reply,
}

impl Answer {
    pub(super) fn status(&self) -> u16 {
        self.reply.status
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.reply.header(name).unwrap_or_default()
    }

    /// Its body as JSON.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.reply.body)
            .map_err(|source| Error::Decode { call: Box::new(self.call.clone()), source })
    }

    /// Its body as a list. podman 5.8 says nothing at all where it has no images and is asked for digests.
    pub(super) fn list<T: DeserializeOwned + Default>(&self) -> Result<Vec<T>, Error> {
        if self.reply.body.trim_ascii().is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.json::<List<T>>()?.0)
    }

    /// The error of an answer that lacks a field without which it says nothing.
    pub(super) fn without(&self, field: &'static str) -> Error {
        Error::Decode { call: Box::new(self.call.clone()), source: serde::de::Error::missing_field(field) }
    }
}

/// An answer whose body is still coming.
pub(super) struct Streamed {
    endpoint: http::Endpoint,
    call: Call,
    stream: http::Stream,
}

impl Streamed {
    pub(super) fn call(&self) -> &Call {
        &self.call
    }

    /// Reads what has come; 0 is the end.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        // No deadline stands on a stream, so none can pass.
        self.stream.read(buf).map_err(|e| Error::of(&self.call, &self.endpoint, Duration::ZERO, e))
    }

    /// The same, and leaves it where it lies: adds to `parts` where in `buf` that is. Nowhere is the end.
    pub(super) fn read_parts(&mut self, buf: &mut [u8], parts: &mut Vec<Range<usize>>) -> Result<(), Error> {
        self.stream.read_parts(buf, parts).map_err(|e| Error::of(&self.call, &self.endpoint, Duration::ZERO, e))
    }
}

/// A connection that is no longer HTTP.
pub(super) struct Upgraded {
    endpoint: http::Endpoint,
    call: Call,
    duplex: http::Duplex,
}

impl Upgraded {
    pub(super) fn call(&self) -> &Call {
        &self.call
    }

    pub(super) fn sender(&self) -> http::Sender {
        self.duplex.sender()
    }

    /// Reads what has come; 0 is the end.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        self.duplex.read(buf).map_err(|e| Error::of(&self.call, &self.endpoint, Duration::ZERO, e))
    }

    /// The same, as [`Streamed::read_parts`] says it.
    pub(super) fn read_parts(&mut self, buf: &mut [u8], parts: &mut Vec<Range<usize>>) -> Result<(), Error> {
        let length = self.read(buf)?;
        parts.extend((length > 0).then_some(0..length));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_another_path_is_refused_before_anything_is_sent() {
        let engine = Engine::connect("unix:///nowhere".parse().expect("endpoint"));
        for id in ["", ".", ".."] {
            let error = engine.get("x", &[Part::Fixed("containers"), Part::Id(id), Part::Fixed("json")]).send();
            assert!(matches!(error.err(), Some(Error::Argument { .. })), "{id:?}");
        }
        for (name, bad) in [("a/../b", true), ("a//b", true), ("h:5000/a/b:t@sha256:1", false)] {
            let request = engine.get("x", &[Part::Fixed("images"), Part::Image(name), Part::Fixed("json")]);
            assert_eq!(request.bad.is_some(), bad, "{name}");
        }
        let request = engine.get("x", &[Part::Fixed("containers"), Part::Id("a/b c"), Part::Fixed("json")]);
        assert_eq!(request.call.to_string(), "GET /containers/a%2Fb%20c/json");
    }
}

//! One call: its name for errors, how it is put together, and what its answer means.

use std::fmt;
use std::io::Read;
use std::ops::Range;
use std::time::Duration;

use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _, IgnoredAny, Unexpected};

use super::bounds::Bound;
use super::query::{Query, QueryString, encode};
use super::types::{List, cut, error_message, is_engines_error};
use super::{Engine, Error, odd, phrases};
use crate::http::{self, Buffers, Method, Reply};
use crate::threads::Hangup;

/// Which call it was, for errors: `container_start`, `POST`, `/containers/1a2b/start`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The operation, as [`Engine`]'s method is called.
    pub operation: &'static str,
    pub(super) method: Method,
    /// The path, without the API version and without a query.
    pub path: String,
}

impl Call {
    /// The HTTP method: `POST`.
    pub fn method(&self) -> &str {
        self.method.as_str()
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

#[cfg(test)]
impl Call {
    pub(super) fn for_test(operation: &'static str) -> Self {
        Self { operation, method: Method::GET, path: "/test".into() }
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
    /// How large its answer may be, where that is taken whole.
    bound: Bound,
    /// The status that is a yes, too, beside 2xx.
    also: Option<u16>,
}

impl Engine {
    pub(super) fn get<'a>(&'a self, operation: &'static str, path: &[Part<'_>]) -> Request<'a> {
        Request::new(self, operation, Method::GET, path)
    }

    pub(super) fn post<'a>(&'a self, operation: &'static str, path: &[Part<'_>]) -> Request<'a> {
        Request::new(self, operation, Method::POST, path)
    }

    pub(super) fn delete<'a>(&'a self, operation: &'static str, path: &[Part<'_>]) -> Request<'a> {
        Request::new(self, operation, Method::DELETE, path)
    }
}

impl<'a> Request<'a> {
    fn new(engine: &'a Engine, operation: &'static str, method: Method, parts: &[Part<'_>]) -> Self {
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
        Self {
            engine,
            call,
            bad,
            query: QueryString::default(),
            json: None,
            secret: String::new(),
            versioned: true,
            deadline: None,
            bound: Bound::SMALL,
            also: None,
        }
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
        Error::decode(&self.call, source)
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

    /// Lets the answer be so large, where that is taken whole. By default [`Bound::SMALL`].
    pub(super) fn bound(mut self, bound: Bound) -> Self {
        self.bound = bound;
        self
    }

    /// Takes 304, too, for a yes: it is so already.
    pub(super) fn or_already(mut self) -> Self {
        self.also = Some(304);
        self
    }

    /// Sends it, and takes the whole answer. A status that the call does not accept is an error.
    pub(super) fn send(self) -> Result<Answer, Error> {
        let reply = self.negotiated(|path| self.checked(self.exchanged(path)?))?;
        Ok(self.answer(reply))
    }

    /// Sends it, and takes the whole answer, whatever its status is.
    pub(super) fn send_whatever(self) -> Result<Answer, Error> {
        let reply = self.negotiated(|path| self.exchanged(path))?;
        Ok(self.answer(reply))
    }

    fn exchanged(&self, path: &str) -> Result<Reply, Error> {
        self.engine.client.call(self.request(path, self.body()), self.deadline).map_err(|e| self.failed(e))
    }

    fn answer(self, reply: Reply) -> Answer {
        Answer { call: self.call, bound: self.bound, reply }
    }

    /// The same on a connection of its own that nothing but its own `deadline` and `hangup` end.
    pub(super) fn send_alone(mut self, deadline: Option<Duration>, hangup: Option<&Hangup>) -> Result<Answer, Error> {
        self.deadline = deadline;
        let reply = self.negotiated(|path| {
            let reply = self.engine.client.call_alone(self.request(path, http::Body::Empty), deadline, hangup);
            self.checked(reply.map_err(|e| self.failed(e))?)
        })?;
        Ok(self.answer(reply))
    }

    /// Sends it on a connection of its own, and gives the answer's body as it comes. A status that the call does not accept is an error.
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

    /// Sends it on a connection of its own that is no longer HTTP after the answer's head: 101, or 2xx without a word of that.
    /// Any other status is an error.
    pub(super) fn upgrade(mut self, buffers: Buffers, hangup: &Hangup) -> Result<Upgraded, Error> {
        self.also = Some(101);
        let duplex = self.negotiated(|path| {
            let mut request = self.request(path, self.body());
            request.headers = UPGRADE;
            let duplex = self.engine.client.hijack(request, buffers, hangup).map_err(|e| self.failed(e))?;
            if self.accepts(duplex.status()) {
                return Ok(duplex);
            }
            let reply = duplex.into_refusal().map_err(|e| self.failed(e))?;
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
        http::Request {
            method: self.call.method.clone(),
            path,
            query: self.query.as_str(),
            headers: &[],
            unlogged: &self.secret,
            body,
            largest: self.bound.bytes,
        }
    }

    fn opened(&self, request: http::Request<'_>, buffers: Buffers, hangup: &Hangup) -> Result<http::Stream, Error> {
        let stream = self.engine.client.stream(request, buffers, hangup).map_err(|e| self.failed(e))?;
        if self.accepts(stream.status()) {
            return Ok(stream);
        }
        let reply = stream.into_refusal().map_err(|e| self.failed(e))?;
        Err(refused(&self.call, &reply))
    }

    fn streamed(self, stream: http::Stream) -> Streamed {
        Streamed { endpoint: self.engine.shared.endpoint.clone(), call: self.call, stream }
    }

    fn checked(&self, reply: Reply) -> Result<Reply, Error> {
        if self.accepts(reply.status) { Ok(reply) } else { Err(refused(&self.call, &reply)) }
    }

    /// Whether a status is a yes to this call. A redirection is none: nothing was done.
    fn accepts(&self, status: u16) -> bool {
        (200..300).contains(&status) || self.also == Some(status)
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
    let message = match reply.body.is_empty() && reply.status < 400 {
        true => "the answer is none that this call has".into(),
        false => error_message(&reply.body, kind),
    };
    let own = is_engines_error(&reply.body, kind);
    Error::Status { call: Box::new(call.clone()), status: reply.status, message, own }
}

/// Whether a text may be the id of a container, an image or a command.
fn is_id(id: &str) -> bool {
    id.len() <= LONGEST_ID && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
}

/// Twice as long as any Engine's.
const LONGEST_ID: usize = 128;

/// Reads one object. A list is none, though serde takes its elements for the fields, in their order.
pub(super) fn object<T: DeserializeOwned>(json: &[u8]) -> serde_json::Result<T> {
    match json.trim_ascii_start().first() {
        Some(b'[') => Err(serde_json::Error::invalid_type(Unexpected::Seq, &"an object")),
        _ => serde_json::from_slice(json),
    }
}

/// An answer taken whole.
pub(super) struct Answer {
    call: Call,
    bound: Bound,
    reply: Reply,
}

impl Answer {
    pub(super) fn status(&self) -> u16 {
        self.reply.status
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.reply.header(name).unwrap_or_default()
    }

    /// Whether the whole body is this text, but for white space around it.
    pub(super) fn is_text(&self, text: &str) -> bool {
        self.reply.body.trim_ascii() == text.as_bytes()
    }

    /// The error of an answer with a status that the call does not accept.
    pub(super) fn refused(&self) -> Error {
        refused(&self.call, &self.reply)
    }

    /// Its body as a JSON object.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        self.check_size()?;
        object(&self.reply.body).map_err(|source| self.unreadable(source))
    }

    /// The same, of which one that says nothing that we know is none: `{}`, `{"message":"no"}`. `field` is then what is missing.
    pub(super) fn meaningful<T: DeserializeOwned + Default + PartialEq>(
        &self,
        field: &'static str,
    ) -> Result<T, Error> {
        let said: T = self.json()?;
        if said == T::default() { Err(self.without(field)) } else { Ok(said) }
    }

    /// Its body as an object with an id, which `id` gives: without one it says nothing. What is asked of it later is asked by
    /// that id, so it must be one.
    pub(super) fn identified<T: DeserializeOwned>(&self, id: impl Fn(&T) -> &str) -> Result<T, Error> {
        let said: T = self.json()?;
        match id(&said) {
            "" => Err(self.without("Id")),
            id if is_id(id) => Ok(said),
            id => {
                let error = serde_json::Error::invalid_value(Unexpected::Str(&cut(id)), &"an id");
                Err(self.unreadable(error))
            }
        }
    }

    /// That it says no more than its status: nothing at all, or JSON, which nobody reads. A page is a proxy's.
    pub(super) fn done(&self) -> Result<(), Error> {
        match self.reply.body.trim_ascii() {
            b"" => Ok(()),
            body => serde_json::from_slice::<IgnoredAny>(body).map(drop).map_err(|source| self.unreadable(source)),
        }
    }

    /// Its body as a list. podman 5.8 says nothing at all where it has no images and is asked for digests. What is odd in an
    /// entry is left out.
    pub(super) fn list<T: DeserializeOwned + Default>(&self) -> Result<Vec<T>, Error> {
        let body = self.reply.body.trim_ascii();
        if body.is_empty() {
            return Ok(Vec::new());
        }
        self.check_size()?;
        match serde_json::from_slice::<List<T>>(body) {
            Ok(list) => Ok(list.0),
            Err(source) => {
                let entries = odd::entries(body).ok_or_else(|| self.unreadable(source))?;
                log::warn!("{}: an entry is not as it should be", self.call);
                Ok(entries)
            }
        }
    }

    fn check_size(&self) -> Result<(), Error> {
        let checked = self.bound.check(&self.reply.body);
        checked.map_err(|e| Error::Protocol { call: Box::new(self.call.clone()), source: Box::new(e) })
    }

    fn unreadable(&self, source: serde_json::Error) -> Error {
        Error::decode(&self.call, source)
    }

    /// The error of an answer that lacks a field without which it says nothing.
    pub(super) fn without(&self, field: &'static str) -> Error {
        self.unreadable(serde_json::Error::missing_field(field))
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

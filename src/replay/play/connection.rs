//! One connection to a player: requests are read, and answered from the script. How a recorded answer is given is told in
//! `respond`, and how long it waits in `schedule`.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::http::Socket;
use crate::replay::http::kinds::without_authority;
use crate::replay::http::spool::Log;
use crate::replay::http::target::without_version;
use crate::replay::http::wire::{self, Bad, BodyDecoder, Framing, Head, HeadDecoder, Piece};
use crate::replay::play::core::{Core, Own};
use crate::replay::play::fault::FaultKind;
use crate::replay::play::matching::{Form, Measure};
use crate::replay::play::respond::Out;
use crate::replay::play::script::Found;
use crate::threads::Hangup;

/// How much of a body is sent at a time.
pub(in crate::replay) const AT_ONCE: usize = 64 * 1024;

impl Core {
    /// Answers what comes on a connection, until it ends.
    pub(in crate::replay) fn serve(&self, socket: &Arc<Socket>, hangup: &Hangup) {
        let mut connection = Connection { core: self, socket, hangup, buf: vec![0; AT_ONCE], from: 0, to: 0 };
        // However a client leaves is its own affair.
        while let Ok(Then::Next) = connection.exchange() {}
    }
}

/// How it goes on with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::replay) enum Then {
    /// With the next request.
    Next,
    /// It is over.
    Close,
}

/// A connection that is served.
pub(in crate::replay) struct Connection<'a> {
    pub(in crate::replay) core: &'a Core,
    pub(in crate::replay) socket: &'a Arc<Socket>,
    pub(in crate::replay) hangup: &'a Hangup,
    /// What has come and was not looked at yet is `buf[from..to]`.
    pub(in crate::replay) buf: Vec<u8>,
    pub(in crate::replay) from: usize,
    pub(in crate::replay) to: usize,
}

/// A request that has come whole.
pub(in crate::replay) struct Request {
    pub(in crate::replay) head: Head,
    pub(in crate::replay) method: String,
    pub(in crate::replay) form: Form,
    /// Its body, where somebody may have to be asked.
    pub(in crate::replay) body: Option<Log>,
    pub(in crate::replay) sent: u64,
}

impl Request {
    /// Whether its client knows neither chunks nor a second request.
    pub(in crate::replay) fn is_old(&self) -> bool {
        self.head.start.ends_with("HTTP/1.0")
    }
}

impl Connection<'_> {
    /// Takes one request, and answers it.
    fn exchange(&mut self) -> io::Result<Then> {
        let request = match self.request() {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(Then::Close),
            Err(e) if e.get_ref().is_some_and(|e| e.is::<Bad>()) => {
                self.plain("", 400, &json!({ "message": format!("not understood: {e}") }).to_string())?;
                return Ok(Then::Close);
            }
            Err(e) => return Err(e),
        };
        let keeps = !request.is_old() && !wire::has_word(&request.head.headers, "connection", "close");
        let fault = self.core.fault(&request.form);
        match fault {
            Some(FaultKind::Delay(delay)) => {
                if !self.hangup.sleep(delay) {
                    return Ok(Then::Close);
                }
            }
            Some(FaultKind::Reset) => {
                if let Socket::Tcp(stream) = &**self.socket {
                    // With no time to linger the end is a reset.
                    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
                }
                return Ok(Then::Close);
            }
            Some(FaultKind::Garbage) => {
                self.send(b"\x15\x03\x01\x00\x02\x02\x16 this is no HTTP\r\n")?;
                return Ok(Then::Close);
            }
            Some(FaultKind::ServerError) => {
                self.plain(&request.method, 500, &json!({"message": "a fault, as it was asked for"}).to_string())?;
                return Ok(if keeps { Then::Next } else { Then::Close });
            }
            Some(FaultKind::Cut(_)) | None => {}
        }
        let mut out = Out {
            socket: self.socket,
            left: if let Some(FaultKind::Cut(n)) = fault { Some(n) } else { None },
            held: Vec::new(),
        };
        let found = self.core.script().find(&request.form);
        self.core.ring(matches!(found, Found::Item { again: false, .. }));
        let then = match found {
            Found::Item { n, .. } => self.play(n, &request, &mut out)?,
            Found::Miss(nearest) => self.unrecorded(&request, &nearest)?,
        };
        Ok(if keeps { then } else { Then::Close })
    }

    /// `None`: the client has left between two.
    fn request(&mut self) -> io::Result<Option<Request>> {
        let mut decoder = HeadDecoder::default();
        let head = loop {
            let mut input = &self.buf[self.from..self.to];
            let head = decoder.next(&mut input).map_err(io::Error::other)?;
            self.from = self.to - input.len();
            match head {
                Some(head) => break head,
                None if self.fill()? == 0 => return Ok(None),
                None => {}
            }
        };
        let (method, target) = head.request_line().map_err(io::Error::other)?;
        let (method, target) = (method.to_owned(), without_authority(target).to_owned());
        let framing = Framing::of_request(&head).map_err(io::Error::other)?;
        // What it learns from the headers is masked in the body too, as it was in the recording.
        for (name, value) in &head.headers {
            self.core.redactor.header(name, value);
        }
        if wire::has_word(&head.headers, "expect", "100-continue") {
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let mut measure = Measure::new(&self.core.redactor, &method, &target, &head.headers);
        let mut body = self.core.onward.as_ref().map(|_| Log::new(&self.core.spool));
        let (mut decoder, mut sent) = (BodyDecoder::new(framing), 0);
        loop {
            let mut input = &self.buf[self.from..self.to];
            let piece = decoder.next(&mut input).map_err(io::Error::other)?;
            let rest = input.len();
            match piece {
                Some(Piece::Data(data)) => {
                    sent += data.len() as u64;
                    measure.feed(data);
                    if let Some(body) = &mut body {
                        body.push(data)?;
                    }
                }
                Some(Piece::ChunkEnd) => {}
                Some(Piece::End) => {
                    self.from = self.to - rest;
                    break;
                }
                None => {
                    self.from = self.to - rest;
                    if self.fill()? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    continue;
                }
            }
            self.from = self.to - rest;
        }
        let form = Form::new(&self.core.redactor, &method, &target, measure.end());
        Ok(Some(Request { head, method, form, body, sent }))
    }

    /// Reads more. Gives how much has come; 0 is the end.
    pub(in crate::replay) fn fill(&mut self) -> io::Result<usize> {
        if self.from == self.to {
            (self.from, self.to) = (0, 0);
        } else if self.to == self.buf.len() {
            self.buf.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
        }
        loop {
            match (&**self.socket).read(&mut self.buf[self.to..]) {
                Ok(n) => {
                    self.to += n;
                    return Ok(n);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        (&**self.socket).write_all(bytes)
    }

    /// An answer of our own.
    pub(in crate::replay) fn plain(&self, method: &str, status: u16, body: &str) -> io::Result<()> {
        let reason = match status {
            200 => "OK",
            400 => "Bad Request",
            501 => "Not Implemented",
            _ => "Internal Server Error",
        };
        let body_sent = if method == "HEAD" { "" } else { body };
        let kind = if body.starts_with('{') { "application/json" } else { "text/plain; charset=utf-8" };
        let Own { api_version, .. } = &self.core.own;
        self.send(
            format!(
                "HTTP/1.1 {status} {reason}\r\nApi-Version: {api_version}\r\nServer: longshore-replay\r\n\
                 Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body_sent}",
                body.len()
            )
            .as_bytes(),
        )
    }

    /// Answers what no exchange fits.
    fn unrecorded(&mut self, request: &Request, nearest: &str) -> io::Result<Then> {
        if let (Some(onward), Some(body)) = (&self.core.onward, &request.body) {
            match onward.connect(self.hangup) {
                Ok(engine) => {
                    let early = &self.buf[self.from..self.to];
                    onward.recorder.bind(self.core.script().bindings());
                    let next = onward.ask(self.socket, engine, &request.head, body, early, self.hangup)?;
                    return Ok(if next { Then::Next } else { Then::Close });
                }
                // Without an Engine it is what it would be without asking one.
                Err(e) => log::warn!("no Engine answers at {}: {e}", onward.endpoint),
            }
        }
        let (method, own) = (request.method.as_str(), &self.core.own);
        match (method, without_version(&request.form.target.path)) {
            ("GET" | "HEAD", "/_ping") => self.plain(method, 200, "OK")?,
            ("GET", "/version") => {
                let version = json!({
                    "Version": own.version, "ApiVersion": own.api_version, "MinAPIVersion": own.min_api_version,
                    "Os": "linux", "Components": [{"Name": own.name, "Version": own.version}],
                });
                self.plain(method, 200, &version.to_string())?;
            }
            _ => {
                let message = self.core.miss(&request.form, nearest);
                self.plain(method, 501, &json!({ "message": message }).to_string())?;
            }
        }
        Ok(Then::Next)
    }
}

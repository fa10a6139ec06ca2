//! How a recorded answer is given: its head, its chunks where they were cut, its end as it ended.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::http::Socket;
use crate::replay::har::exchange::{Answer, Body, End, Exchange};
use crate::replay::http::kinds::{is_h2c, kind_of_answer};
use crate::replay::http::server::end_writing;
use crate::replay::http::spool::Spool;
use crate::replay::http::wire::{self, Framing, Head};
use crate::replay::play::connection::{AT_ONCE, Connection, Request, Then};
use crate::replay::play::matching::Form;
use crate::replay::play::schedule::Wait;
use crate::replay::record::recorder::rechunked;
use crate::replay::record::vars::Bindings;
use crate::replay::redact::Kind;

/// The longest pause between the head of an upgraded connection and what follows it, where there was one: some clients lose
/// what they read together with the head (docker-py).
const AFTER_UPGRADE: Duration = Duration::from_millis(20);
/// A JSON body up to this size gets what words stand for, whatever its length, in bytes.
const LONGEST_JSON: u64 = 8 * 1024 * 1024;
/// How an Engine begins to ask BuildKit's client for files, and asks for none: the preface of HTTP/2 and settings that are as usual. Without it the client waits ten
/// seconds before it ends.
const IDLE_HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

impl Connection<'_> {
    /// Gives a recorded answer.
    pub(in crate::replay) fn play(&mut self, n: usize, request: &Request, out: &mut Out<'_>) -> io::Result<Then> {
        let (exchange, bindings) = {
            let script = self.core.script();
            (script.items[n].exchange.clone(), script.bindings().clone())
        };
        let http2 = is_h2c(&exchange.request.headers) && exchange.sent.is_some();
        if http2 && !request.form.is_session() {
            // Nothing that could be said; and the client, which speaks first, would wait for ever.
            let Form { method, target, .. } = &request.form;
            let message = format!("what was said after {method} {} is HTTP/2, which is not recorded", target.path);
            self.core.note(message.clone());
            self.plain(&request.method, 501, &json!({ "message": message }).to_string())?;
            return Ok(Then::Next);
        }
        if let Some(why) = exchange.answer.as_ref().and_then(|answer| answer.body.left_out.as_ref()) {
            let Form { method, target, .. } = &request.form;
            let message = format!("the answer to {method} {} was not recorded: {why}", target.path);
            self.core.note(message.clone());
            self.core.given(n);
            self.plain(&request.method, 501, &json!({ "message": message }).to_string())?;
            return Ok(Then::Next);
        }
        let mut wait = Wait {
            item: n,
            begun: Instant::now(),
            sent: request.sent,
            ended: false,
            bell: None,
            upgraded: false,
            clear: 0,
        };
        let Some(answer) = &exchange.answer else {
            if exchange.end != End::Cut {
                self.until_gone(&mut wait, false)?;
            }
            return Ok(Then::Close);
        };
        let kind = kind_of_answer(&exchange.request, &answer.headers);
        let answer = filled(answer, kind, &bindings, &self.core.spool)?;
        wait.upgraded = exchange.sent.is_some();
        if wait.upgraded {
            wait.sent += (self.to - self.from) as u64;
            (self.from, self.to) = (0, 0);
        }
        self.until(&mut wait, answer.head)?;
        // Said before the client can have read it: it may ask how things are at once.
        let whole = exchange.end == End::Whole;
        if whole && answer.body.count() == 0 {
            self.core.given(n);
        }
        let framing = match answer.status {
            101 => Framing::Close,
            _ => match framing(&answer, &request.method)? {
                Framing::Chunked if request.is_old() => Framing::Close,
                framing => framing,
            },
        };
        out.write_all(&head(&answer, framing, exchange.end, request.is_old()))?;
        if http2 {
            out.write_all(IDLE_HTTP2)?;
            out.flush()?;
            let mut answers = false;
            while !wait.ended {
                // What it says first shows that it listens: only then can a build be over.
                if !answers && wait.sent > request.sent {
                    answers = true;
                    self.core.given(n);
                }
                self.rest(&mut wait, None, true)?;
            }
            return Ok(Then::Close);
        }
        if wait.upgraded
            && let Some(first) = answer.body.chunks().next().transpose()?
        {
            out.flush()?;
            let gap = Duration::from_micros(first.mark.at.saturating_sub(answer.head.at));
            let end = Instant::now() + gap.min(AFTER_UPGRADE);
            while Instant::now() < end {
                self.rest(&mut wait, Some(end), false)?;
            }
        }
        let manner = Manner { framing, kind, whole, bindings: &bindings };
        self.body(&answer.body, &manner, &mut wait, out)?;
        let then = self.finish(&exchange, framing, &mut wait, out)?;
        // What the Engine said of its connection goes for this one.
        Ok(if wire::has_word(&answer.headers, "connection", "close") { Then::Close } else { then })
    }

    /// Sends a body as it came.
    fn body(&mut self, body: &Body, manner: &Manner<'_>, wait: &mut Wait, out: &mut Out<'_>) -> io::Result<()> {
        let Manner { framing, kind, whole, bindings } = *manner;
        let (mut from, mut bytes) = (io::BufReader::with_capacity(AT_ONCE, body.bytes.reader()), Vec::new());
        for (n, chunk) in (1..).zip(body.chunks()) {
            let chunk = chunk?;
            if !self.is_clear(wait, chunk.mark) {
                out.flush()?;
                self.until(wait, chunk.mark)?;
            }
            if whole && n == body.count() {
                self.core.given(wait.item);
            }
            let mut left = chunk.len;
            // A chunk of any length is no reason to hold all of it, unless words are to be replaced in it.
            let at_once = if bindings.is_empty() { AT_ONCE as u64 } else { 16 * AT_ONCE as u64 };
            while left > 0 {
                bytes.resize(usize::try_from(left.min(at_once)).unwrap_or(AT_ONCE), 0);
                from.read_exact(&mut bytes)?;
                left -= bytes.len() as u64;
                let other = match framing {
                    // Its length has been told.
                    Framing::Length(_) => None,
                    _ if kind == Kind::Archive => None,
                    _ => bindings.fill(&bytes, kind != Kind::Json).map(|replaced| replaced.bytes),
                };
                let bytes = other.as_ref().unwrap_or(&bytes);
                match framing {
                    Framing::Chunked if !bytes.is_empty() => {
                        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
                        chunk.extend_from_slice(bytes);
                        chunk.extend_from_slice(b"\r\n");
                        out.write_all(&chunk)?;
                    }
                    Framing::Empty => {}
                    _ => out.write_all(bytes)?,
                }
            }
        }
        Ok(())
    }

    /// Ends an answer as it ended.
    fn finish(
        &mut self,
        exchange: &Exchange,
        framing: Framing,
        wait: &mut Wait,
        out: &mut Out<'_>,
    ) -> io::Result<Then> {
        if framing == Framing::Chunked && exchange.end == End::Whole {
            out.write_all(b"0\r\n\r\n")?;
        }
        out.flush()?;
        match exchange.end {
            End::Whole => {}
            End::Cut => return Ok(Then::Close),
            // The client left: this one is expected to do so too.
            End::Left | End::Open => {
                self.until_gone(wait, exchange.sent.as_ref().is_some_and(|sent| sent.closed))?;
                return Ok(Then::Close);
            }
        }
        if framing != Framing::Close {
            return Ok(Then::Next);
        }
        end_writing(self.socket);
        if exchange.sent.is_some() {
            // What the client still sends goes nowhere; cutting it short would lose it what it has not read yet.
            (self.from, self.to) = (0, 0);
            while self.fill()? > 0 {
                (self.from, self.to) = (0, 0);
            }
        }
        Ok(Then::Close)
    }
}

/// How a body is sent.
struct Manner<'a> {
    framing: Framing,
    kind: Kind,
    /// Whether it came to its end.
    whole: bool,
    bindings: &'a Bindings,
}

/// Where an answer goes, many chunks at a time; cut after so many bytes.
pub(in crate::replay) struct Out<'a> {
    pub(in crate::replay) socket: &'a Socket,
    pub(in crate::replay) left: Option<u64>,
    pub(in crate::replay) held: Vec<u8>,
}

impl Out<'_> {
    /// Sends what is held.
    fn pass_on(&mut self) -> io::Result<()> {
        let mut socket = self.socket;
        let allowed = self.left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        let (now, cut) = (&self.held[..allowed.min(self.held.len())], allowed < self.held.len());
        socket.write_all(now)?;
        if let Some(left) = &mut self.left {
            *left -= now.len() as u64;
        }
        self.held.clear();
        if cut { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

impl Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        if self.held.len() >= AT_ONCE {
            self.pass_on()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass_on()
    }
}

/// How the answer's body goes out.
fn framing(answer: &Answer, method: &str) -> io::Result<Framing> {
    let head = Head { start: String::new(), headers: answer.headers.clone() };
    Framing::of_answer(&head, answer.status, method).map_err(io::Error::other)
}

fn head(answer: &Answer, framing: Framing, end: End, old: bool) -> Vec<u8> {
    let (version, reason) = (if old { "1.0" } else { "1.1" }, answer.reason.replace(['\r', '\n'], " "));
    let mut head = format!("HTTP/{version} {} {reason}\r\n", answer.status).into_bytes();
    for (name, value) in &answer.headers {
        if old && name.eq_ignore_ascii_case("transfer-encoding") {
            continue;
        }
        // A length that was not kept to would leave the client waiting, or give it the next answer's beginning. Of an
        // answer that broke off it is what shows that it did.
        if end == End::Whole
            && name.eq_ignore_ascii_case("content-length")
            && let Framing::Length(_) = framing
            && !answer.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("transfer-encoding"))
        {
            let _ = write!(head, "{name}: {}\r\n", answer.body.bytes.len());
            continue;
        }
        let _ = write!(head, "{name}: {value}\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// The answer with what words stand for, where its length is told before.
fn filled(answer: &Answer, kind: Kind, bindings: &Bindings, spool: &Arc<Spool>) -> io::Result<Answer> {
    let mut answer = answer.clone();
    for (_, value) in &mut answer.headers {
        if let Some(replaced) = bindings.fill(value.as_bytes(), false)
            && let Ok(text) = String::from_utf8(replaced.bytes)
        {
            *value = text;
        }
    }
    let has_length = wire::header(&answer.headers, "content-length").is_some();
    if !bindings.is_empty()
        && kind != Kind::Archive
        && has_length
        && let Some(bytes) = answer.body.bytes.whole(LONGEST_JSON)?
        && let Some(replaced) = bindings.fill(&bytes, kind != Kind::Json)
    {
        answer.body = rechunked(&answer.body, &replaced, spool)?;
    }
    Ok(answer)
}

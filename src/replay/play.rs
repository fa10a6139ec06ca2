//! One connection to a player: requests are read, and answered from the script.
//!
//! An answer, or a part of it, may have to wait for what came before it in the recording. Whoever waits blocks in one
//! system call, which ends when another request comes, when its time has come, and when the client leaves.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};
use serde_json::json;

use super::exchange::{Answer, Body, End, Exchange, Mark};
use super::fault::{Fault, FaultKind};
use super::matching::{Form, Measure};
use super::onward::Onward;
use super::recorder::rechunked;
use super::redact::{Kind, Redactor};
use super::script::{Found, Script};
use super::server::{end_writing, lock};
use super::spool::{Log, Spool};
use super::tape::{is_h2c, kind_of_answer, without_authority};
use super::target::without_version;
use super::vars::Bindings;
use super::wire::{self, Bad, BodyDecoder, Framing, Head, HeadDecoder, Piece};
use crate::http::Socket;
use crate::threads::Hangup;

/// How long an answer waits for requests that may not come in this run, counted from the last new one that came: somebody
/// who asks the same again and again is waiting, too.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long it waits for what was done with the same container, counted the same way: then this run does not do it.
const LONGEST_PATIENCE: Duration = Duration::from_secs(60);
/// The longest pause between the head of an upgraded connection and what follows it, where there was one: some clients lose
/// what they read together with the head (docker-py).
const AFTER_UPGRADE: Duration = Duration::from_millis(20);
/// A JSON body up to this size gets what words stand for, whatever its length, in bytes.
const LONGEST_JSON: u64 = 8 * 1024 * 1024;
/// So many misses are told one by one: a client may ask for ever what it does not get.
const MOST_MISSES: usize = 1_000;
/// How an Engine begins to ask BuildKit's client for files, and asks for none: the preface of HTTP/2 and settings that are as usual. Without it the client waits ten
/// seconds before it ends.
const IDLE_HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// How much of a body is sent at a time.
const AT_ONCE: usize = 64 * 1024;

/// What the connections of a player have in common.
pub(super) struct Core {
    script: Mutex<Script>,
    redactor: Arc<Redactor>,
    spool: Arc<Spool>,
    /// What is answered to a ping and to a question for the version, where the recording lacks them.
    own: Own,
    speed: Option<f64>,
    faults: Vec<(Fault, AtomicUsize)>,
    onward: Option<Onward>,
    waiting: Mutex<Waiting>,
    misses: Mutex<Misses>,
}

/// What was asked and not recorded.
#[derive(Default)]
struct Misses {
    told: Vec<String>,
    more: u64,
}

/// Answers that a recording need not have.
#[derive(Debug, Clone, Default)]
pub(super) struct Own {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) api_version: String,
    pub(super) min_api_version: String,
}

struct Waiting {
    /// Woken when something happens.
    bells: Vec<Weak<OwnedFd>>,
    /// When the last new request came.
    last: Instant,
}

/// How it goes on with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// With the next request.
    Next,
    /// It is over.
    Close,
}

impl Core {
    pub(super) fn new(
        script: Script,
        redactor: Arc<Redactor>,
        spool: Arc<Spool>,
        own: Own,
        speed: Option<f64>,
        faults: Vec<Fault>,
        onward: Option<Onward>,
    ) -> Self {
        Self {
            script: Mutex::new(script),
            redactor,
            spool,
            own,
            speed,
            faults: faults.into_iter().map(|fault| (fault, AtomicUsize::new(0))).collect(),
            onward,
            waiting: Mutex::new(Waiting { bells: Vec::new(), last: Instant::now() }),
            misses: Mutex::default(),
        }
    }

    pub(super) fn script(&self) -> MutexGuard<'_, Script> {
        lock(&self.script)
    }

    pub(super) fn misses(&self) -> Vec<String> {
        let misses = lock(&self.misses);
        let more = (misses.more > 0).then(|| format!("and {} more", misses.more));
        misses.told.iter().cloned().chain(more).collect()
    }

    pub(super) fn onward(&self) -> Option<&Onward> {
        self.onward.as_ref()
    }

    /// Answers what comes on a connection, until it ends.
    pub(super) fn serve(&self, socket: &Arc<Socket>, hangup: &Hangup) {
        let mut connection = Connection { core: self, socket, hangup, buf: vec![0; AT_ONCE], from: 0, to: 0 };
        // However a client leaves is its own affair.
        while let Ok(Then::Next) = connection.exchange() {}
    }

    /// Something has happened that an answer may have waited for. `new`: a request that had not come yet.
    fn ring(&self, new: bool) {
        let mut waiting = lock(&self.waiting);
        if new {
            waiting.last = Instant::now();
        }
        waiting.bells.retain(|bell| {
            let Some(bell) = bell.upgrade() else { return false };
            // A full counter is one that rings already.
            let _ = rustix::io::write(&*bell, &1u64.to_ne_bytes());
            true
        });
    }

    /// The rest of an answer is on its way, for which others may wait.
    fn given(&self, n: usize) {
        self.script().given(n);
        self.ring(false);
    }

    fn fault(&self, form: &Form) -> Option<FaultKind> {
        let concerned = self.faults.iter().find(|(fault, count)| {
            fault.concerns(&form.method, &form.target.path)
                && (count.fetch_add(1, Ordering::SeqCst) == 0 || !fault.once)
        });
        concerned.map(|(fault, _)| fault.kind)
    }

    fn miss(&self, form: &Form, nearest: &str) -> String {
        let query: Vec<String> = form.target.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let question = if query.is_empty() { "" } else { "?" };
        let asked = format!("{} {}{question}{}", form.method, form.target.path, query.join("&"));
        let miss = format!("nothing was recorded for {asked}{nearest}");
        self.note(miss.clone());
        miss
    }

    /// Remembers what a run and its recording do not agree on.
    fn note(&self, miss: String) {
        log::warn!("{miss}");
        let misses = &mut *lock(&self.misses);
        if misses.told.len() < MOST_MISSES {
            misses.told.push(miss);
        } else {
            misses.more += 1;
        }
    }
}

struct Connection<'a> {
    core: &'a Core,
    socket: &'a Arc<Socket>,
    hangup: &'a Hangup,
    /// What has come and was not looked at yet is `buf[from..to]`.
    buf: Vec<u8>,
    from: usize,
    to: usize,
}

/// A request that has come whole.
struct Request {
    head: Head,
    method: String,
    form: Form,
    /// Its body, where somebody may have to be asked.
    body: Option<Log>,
    sent: u64,
}

impl Request {
    /// Whether its client knows neither chunks nor a second request.
    fn is_old(&self) -> bool {
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
    fn fill(&mut self) -> io::Result<usize> {
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
    fn plain(&self, method: &str, status: u16, body: &str) -> io::Result<()> {
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

    /// Gives a recorded answer.
    fn play(&mut self, n: usize, request: &Request, out: &mut Out<'_>) -> io::Result<Then> {
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

    /// Whether it was found before that nothing holds this part of an answer.
    fn is_clear(&self, wait: &Wait, mark: Mark) -> bool {
        let heard = !wait.upgraded || wait.ended || mark.sent <= wait.sent;
        self.core.speed.is_none() && mark.requests <= wait.clear && heard
    }

    /// Waits for what came before this part of an answer.
    fn until(&mut self, wait: &mut Wait, mark: Mark) -> io::Result<()> {
        loop {
            // A time beyond the clock's range is for ever.
            let due = self.core.speed.map(|speed| wait.begun.checked_add(scaled(mark.at, speed)));
            let until = match (self.holds(wait, mark), due) {
                (Hold::No, None) => {
                    wait.clear = mark.requests;
                    return Ok(());
                }
                (Hold::No, Some(Some(due))) if due <= Instant::now() => return Ok(()),
                (Hold::No, Some(due)) => due,
                (Hold::Until(end), None) => Some(end),
                (Hold::Until(end), Some(due)) => due.map(|due| due.max(end)),
                (Hold::ForGood, _) => None,
            };
            self.rest(wait, until, wait.upgraded && mark.sent > wait.sent && !wait.ended)?;
        }
    }

    fn holds(&self, wait: &Wait, mark: Mark) -> Hold {
        if wait.upgraded && mark.sent > wait.sent && !wait.ended {
            return Hold::ForGood;
        }
        let script = self.core.script();
        // With the recorded times there is no waiting for what may not come.
        if self.core.speed.is_none() && script.awaits(wait.item, mark.requests, true) {
            let end = lock(&self.core.waiting).last + LONGEST_PATIENCE;
            if end > Instant::now() {
                return Hold::Until(end);
            }
            if let Some((awaited, answer)) = script.first_awaited(wait.item, mark.requests) {
                drop(script);
                self.core.note(format!(
                    "not asked in this run, while an answer waited for it\n  {awaited}\n  the answer: {answer}"
                ));
            }
            return Hold::No;
        }
        if script.awaits(wait.item, mark.requests, false) {
            let end = lock(&self.core.waiting).last + PATIENCE;
            if end > Instant::now() {
                return Hold::Until(end);
            }
        }
        Hold::No
    }

    /// Waits until the client has left. `half_closes`: the recorded one ended its own direction, and listened on.
    fn until_gone(&mut self, wait: &mut Wait, half_closes: bool) -> io::Result<()> {
        loop {
            self.rest(wait, None, wait.upgraded && !wait.ended)?;
            // On a port that is all that is told of one that has left.
            if wait.ended && !half_closes && matches!(**self.socket, Socket::Tcp(_)) {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
        }
    }

    /// Blocks until something happens, or until a moment. An error: the client has left.
    fn rest(&mut self, wait: &mut Wait, until: Option<Instant>, reads: bool) -> io::Result<()> {
        let bell = match &wait.bell {
            Some(bell) => bell.clone(),
            None => {
                let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
                let bell = Arc::new(rustix::event::eventfd(0, flags)?);
                lock(&self.core.waiting).bells.push(Arc::downgrade(&bell));
                wait.bell = Some(bell.clone());
                // What happened before it rang has to be looked at once more.
                return Ok(());
            }
        };
        // On a port nothing tells an end in one direction from one in both.
        let whole_ends = wait.upgraded || matches!(**self.socket, Socket::Unix(_));
        let gone = if whole_ends { PollFlags::HUP } else { PollFlags::RDHUP };
        let asks = if reads { PollFlags::IN } else { PollFlags::empty() };
        let mut fds = [PollFd::new(&**self.socket, gone | asks), PollFd::new(&*bell, PollFlags::IN)];
        let timeout = until.map(|until| {
            let left = until.saturating_duration_since(Instant::now()) + Duration::from_micros(100);
            Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() }
        });
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let (client, rang) = (fds[0].revents(), fds[1].revents());
        if rang.contains(PollFlags::IN) {
            let _ = rustix::io::read(&*bell, &mut [0u8; 8]);
        }
        if reads && client.contains(PollFlags::IN) {
            (self.from, self.to) = (0, 0);
            match self.fill()? {
                0 => wait.ended = true,
                n => wait.sent += n as u64,
            }
            (self.from, self.to) = (0, 0);
        } else if client.intersects(gone | PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

/// Whether an answer goes on.
enum Hold {
    No,
    Until(Instant),
    ForGood,
}

/// An answer that is being given.
struct Wait {
    item: usize,
    begun: Instant,
    /// How many bytes the client has sent after the request's head.
    sent: u64,
    /// Whether it sends no more.
    ended: bool,
    bell: Option<Arc<OwnedFd>>,
    /// Whether what the client sends now belongs to this answer.
    upgraded: bool,
    /// Up to which count of requests nothing holds it.
    clear: u64,
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
struct Out<'a> {
    socket: &'a Socket,
    left: Option<u64>,
    held: Vec<u8>,
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

fn scaled(us: u64, speed: f64) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "a few microseconds in a century")]
    Duration::try_from_secs_f64(us as f64 / 1e6 / speed).unwrap_or(Duration::MAX)
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

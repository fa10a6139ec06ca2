//! One connection as it is watched: what passed in both directions becomes exchanges. It looks on; nothing it does, and
//! nothing that it does not understand, changes what passes.
//!
//! Bytes are shown to it before they are passed on, so that in the recording, as on the wire, no answer comes before
//! what it answers.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use crate::replay::har::exchange::{Answer, Body, Chunk, End, Exchange, Mark, Request, Sent};
use crate::replay::har::time::Moment;
use crate::replay::http::coding::{self, Held, Intake};
use crate::replay::http::kinds::{is_h2c, kind_of_answer, kind_of_request, may_upgrade, without_authority};
use crate::replay::http::wire::{Bad, BodyDecoder, Framing, Head, HeadDecoder, Piece};
use crate::replay::record::recorder::Recorder;
use crate::replay::redact::{Kind, Masker};

/// How much of what a client sends may be held until it is known whether it is HTTP.
const MOST_UNDECIDED: usize = 1024 * 1024;
/// A chunk longer than this is noted in parts, in bytes.
const LONGEST_CHUNK: u64 = 1024 * 1024;
/// An end that comes so soon after the last byte came with it, in microseconds.
const AT_ONCE: u64 = 1_000;
/// How much of a create request is looked at for what changes from run to run, in bytes.
const MOST_TO_LEARN: usize = 1024 * 1024;

/// One connection, watched.
pub(in crate::replay) struct Tape {
    recorder: Arc<Recorder>,
    connection: u64,
    client: Client,
    engine: Engine,
    /// Requests that have no whole answer yet, in order.
    live: VecDeque<Live>,
    /// Whether the client sends no more, and may have left.
    may_have_left: bool,
}

/// Where the client's direction is.
enum Client {
    Head(HeadDecoder),
    Body(BodyDecoder),
    /// After a request whose answer may be that the connection is no longer HTTP.
    Undecided(Vec<u8>),
    /// No longer HTTP: all of it belongs to the first request.
    Raw,
    /// Not understood.
    Blind,
}

/// Where the Engine's direction is.
enum Engine {
    Head(HeadDecoder),
    Body(BodyDecoder),
    Blind,
}

/// An exchange that is not over.
struct Live {
    exchange: Exchange,
    /// Its place among all requests.
    number: u64,
    begun: Instant,
    /// How many bytes the client sent after the head.
    sent: u64,
    /// How many requests had come when the client's last byte did.
    asked: Part,
    answered: Part,
    upgraded: Part,
    asked_whole: bool,
    answered_whole: bool,
    /// A create request as it was, for what can be learned from it.
    learn: Option<Vec<u8>>,
    /// What an upgraded connection carries is not recorded.
    omit: bool,
    /// Whether anything was said to a client that sends no more.
    told: bool,
}

impl Live {
    /// How it ended, as far as the Engine's direction says. An Engine that only ends an answer, once its client sends no
    /// more, does so because that one has left; one that still has something to say says it to somebody.
    fn ended(&self, end: End, may_have_left: bool) -> End {
        if may_have_left && !self.told && self.exchange.sent.is_none() { End::Left } else { end }
    }
}

/// A body in the making.
struct Part {
    masker: Option<Masker>,
    intake: Option<Intake>,
    /// How much of the chunk at hand has come.
    open: u64,
    masked: Vec<u8>,
    /// The chunks of a body that is held.
    held: Vec<Mark>,
    /// The body was unpacked.
    unpacked: bool,
}

impl Part {
    fn new(masker: Option<Masker>) -> Self {
        Self { masker, intake: None, open: 0, masked: Vec::new(), held: Vec::new(), unpacked: false }
    }

    /// Of a body that may have to be unpacked.
    fn of(masker: Masker, intake: Intake) -> Self {
        Self { intake: Some(intake), ..Self::new(Some(masker)) }
    }

    fn bytes(&mut self, bytes: &[u8], body: &mut Body) -> io::Result<()> {
        match &mut self.intake {
            Some(intake) if !intake.is_plain() => {
                let through = intake.feed(bytes);
                if intake.is_plain() {
                    // Until now it was not known.
                    let mut from = 0;
                    for (mark, end) in std::mem::take(&mut self.held).into_iter().zip(intake.take_cuts()) {
                        body.note(Chunk { mark, len: (end - from) as u64 })?;
                        from = end;
                    }
                }
                self.mask(&through, body)
            }
            _ => self.mask(bytes, body),
        }
    }

    fn mask(&mut self, bytes: &[u8], body: &mut Body) -> io::Result<()> {
        match &mut self.masker {
            None => body.bytes.push(bytes),
            Some(masker) => {
                self.masked.clear();
                masker.feed(bytes, &mut self.masked);
                body.bytes.push(&self.masked)
            }
        }
    }

    /// Notes what has come of a chunk.
    fn note(&mut self, mark: Mark, body: &mut Body) -> io::Result<()> {
        match (std::mem::take(&mut self.open), &mut self.intake) {
            (0, _) => Ok(()),
            (_, Some(intake)) if !intake.is_plain() => {
                if intake.cut() {
                    self.held.push(mark);
                }
                Ok(())
            }
            (len, _) => body.note(Chunk { mark, len }),
        }
    }

    /// Notes when an answer ended, where that was later than its last byte: a follower's ends when its container does.
    fn over(&mut self, mark: Mark, head: Mark, body: &mut Body) -> io::Result<()> {
        self.note(mark, body)?;
        let last = self.held.last().copied().or(body.last_mark()).unwrap_or(head);
        if mark.requests > last.requests || mark.at > last.at + AT_ONCE {
            match &mut self.intake {
                Some(intake) if !intake.is_plain() => {
                    if intake.cut() {
                        self.held.push(mark);
                    }
                }
                _ => body.note(Chunk { mark, len: 0 })?,
            }
        }
        Ok(())
    }

    fn end(&mut self, mark: Mark, body: &mut Body) -> io::Result<()> {
        self.note(mark, body)?;
        if let Some(mut intake) = self.intake.take().filter(|intake| !intake.is_plain()) {
            self.unpack(&mut intake, body)?;
        }
        if let Some(mut masker) = self.masker.take() {
            self.masked.clear();
            masker.end(&mut self.masked);
            body.bytes.push(&self.masked)?;
        }
        self.masked = Vec::new();
        Ok(())
    }

    /// Takes the body that was held.
    fn unpack(&mut self, intake: &mut Intake, body: &mut Body) -> io::Result<()> {
        let (bytes, ends) = match intake.end() {
            Held::Plain(bytes) => {
                let len = bytes.len();
                (bytes, vec![len; self.held.len()])
            }
            Held::Unpacked(bytes, ends) => {
                self.unpacked = true;
                (bytes, ends)
            }
            Held::LeftOut(why) => {
                if !self.held.is_empty() {
                    body.left_out = Some(why);
                }
                return Ok(());
            }
        };
        let mut from = 0;
        let marks = std::mem::take(&mut self.held);
        let last = marks.len().saturating_sub(1);
        for (n, mark) in marks.into_iter().enumerate() {
            // What comes behind the last place that was noted belongs to it.
            let end = if n == last { bytes.len() } else { ends.get(n).copied().unwrap_or(bytes.len()) };
            body.note(Chunk { mark, len: (end - from) as u64 })?;
            from = end;
        }
        self.mask(&bytes, body)
    }
}

/// Why a connection is watched no longer.
enum Lost {
    /// What passes is not understood.
    Bad(Bad),
    /// The recording cannot be kept.
    Io(io::Error),
}

impl From<Bad> for Lost {
    fn from(bad: Bad) -> Self {
        Self::Bad(bad)
    }
}

impl From<io::Error> for Lost {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

impl Tape {
    pub(in crate::replay) fn new(recorder: &Arc<Recorder>) -> Self {
        Self {
            connection: recorder.connection(),
            recorder: recorder.clone(),
            client: Client::Head(HeadDecoder::default()),
            engine: Engine::Head(HeadDecoder::default()),
            live: VecDeque::new(),
            may_have_left: false,
        }
    }

    /// The client sent these bytes.
    pub(in crate::replay) fn client(&mut self, bytes: &[u8]) {
        let done = self.client_sent(bytes);
        self.check(done);
    }

    /// The Engine sent these bytes.
    pub(in crate::replay) fn engine(&mut self, bytes: &[u8]) {
        let done = self.engine_sent(bytes);
        self.check(done);
    }

    /// The client has said that it sends no more; it may have left by that.
    pub(in crate::replay) fn client_ended(&mut self, may_have_left: bool) {
        self.may_have_left = may_have_left;
        if let (Client::Raw, Some(live)) = (&self.client, self.live.front_mut())
            && let Some(sent) = &mut live.exchange.sent
        {
            sent.closed = true;
        }
    }

    /// Whether every request that came has its whole answer.
    pub(in crate::replay) fn is_idle(&self) -> bool {
        self.live.is_empty() && matches!(&self.client, Client::Head(decoder) if !decoder.has_begun())
    }

    /// The connection has ended; `end` says by whom.
    pub(in crate::replay) fn end(&mut self, end: End) {
        while let Some(mut live) = self.live.pop_front() {
            // What goes as far as the connection is whole where the Engine ended it.
            let whole = matches!(&self.engine, Engine::Body(decoder) if decoder.is_endless()) && end == End::Cut;
            live.exchange.end = if whole { End::Whole } else { live.ended(end, self.may_have_left) };
            if let (true, Some(answer)) = (whole, &mut live.exchange.answer) {
                let mark = Mark { at: micros(live.begun), requests: self.recorder.begun(), sent: live.sent };
                if let Err(e) = live.answered.over(mark, answer.head, &mut answer.body) {
                    self.recorder.fail(e);
                }
            }
            self.engine = Engine::Blind;
            self.keep(live);
        }
        self.client = Client::Blind;
    }

    fn check(&mut self, done: Result<(), Lost>) {
        match done {
            Ok(()) => return,
            Err(Lost::Bad(bad)) => {
                log::warn!("a connection passes on, and is not recorded further: {bad}");
                self.recorder.not_understood();
            }
            Err(Lost::Io(e)) => self.recorder.fail(e),
        }
        self.end(End::Open);
        self.engine = Engine::Blind;
    }

    fn client_sent(&mut self, mut bytes: &[u8]) -> Result<(), Lost> {
        while !bytes.is_empty() {
            match &mut self.client {
                Client::Head(decoder) => {
                    if let Some(head) = decoder.next(&mut bytes)? {
                        self.begin(&head)?;
                    }
                }
                Client::Body(decoder) => {
                    let Some(live) = self.live.back_mut() else { return Ok(()) };
                    let body = &mut live.exchange.request.body;
                    loop {
                        let mark = Mark { at: micros(live.begun), requests: self.recorder.begun(), sent: live.sent };
                        match decoder.next(&mut bytes)? {
                            None => {
                                // What came at once is one piece, unless chunks say otherwise.
                                if !decoder.is_chunked() || live.asked.open > LONGEST_CHUNK {
                                    live.asked.note(mark, body)?;
                                }
                                break;
                            }
                            Some(Piece::Data(data)) => {
                                live.sent += data.len() as u64;
                                live.asked.open += data.len() as u64;
                                live.asked.bytes(data, body)?;
                                if let Some(learn) = &mut live.learn {
                                    learn.extend_from_slice(data);
                                    if learn.len() > MOST_TO_LEARN {
                                        live.learn = None;
                                    }
                                }
                            }
                            Some(Piece::ChunkEnd) => live.asked.note(mark, body)?,
                            Some(Piece::End) => {
                                self.asked()?;
                                break;
                            }
                        }
                    }
                }
                Client::Undecided(held) if held.len() < MOST_UNDECIDED => {
                    held.extend_from_slice(bytes);
                    return Ok(());
                }
                Client::Undecided(_) => return Err(Bad("what follows a request is no request").into()),
                Client::Raw => return self.raw(bytes),
                Client::Blind => return Ok(()),
            }
        }
        Ok(())
    }

    /// A request's head has come.
    fn begin(&mut self, head: &Head) -> Result<(), Lost> {
        let (method, target) = head.request_line()?;
        let target = without_authority(target);
        let framing = Framing::of_request(head)?;
        let redactor = self.recorder.redactor();
        let path = target.split('?').next().unwrap_or_default();
        let creates = method == "POST" && (path.ends_with("/containers/create") || path.ends_with("/exec"));
        if method == "GET" && path.ends_with("/containers/json") {
            self.recorder.learn_list(target);
        }
        let headers = head.headers.iter().map(|(name, value)| (name.clone(), redactor.header(name, value))).collect();
        let request = Request {
            method: method.into(),
            target: redactor.target(target),
            headers,
            body: Body::new(self.recorder.spool()),
        };
        let kind = kind_of_request(method, target, &head.headers);
        let live = Live {
            number: self.recorder.begin(),
            exchange: Exchange {
                started: Moment::now(),
                connection: self.connection,
                request,
                answer: None,
                end: End::Whole,
                sent: None,
            },
            begun: Instant::now(),
            sent: 0,
            asked: Part::of(redactor.masker(kind), Intake::of(&head.headers, kind)),
            answered: Part::new(None),
            upgraded: Part::new(None),
            asked_whole: false,
            answered_whole: false,
            learn: creates.then(Vec::new),
            omit: is_h2c(&head.headers),
            told: false,
        };
        self.live.push_back(live);
        self.client = Client::Body(BodyDecoder::new(framing));
        if matches!(framing, Framing::Empty | Framing::Length(0)) {
            self.asked()?;
        }
        Ok(())
    }

    /// A request is whole.
    fn asked(&mut self) -> Result<(), Lost> {
        self.client = Client::Head(HeadDecoder::default());
        let Some(live) = self.live.back_mut() else { return Ok(()) };
        let mark = Mark { at: micros(live.begun), requests: self.recorder.begun(), sent: live.sent };
        live.asked.end(mark, &mut live.exchange.request.body)?;
        live.asked_whole = true;
        if let Some(body) = live.learn.take() {
            let body = if live.asked.unpacked {
                live.exchange.request.body.bytes.whole(MOST_TO_LEARN as u64)?.unwrap_or_default()
            } else {
                body
            };
            self.recorder.learn(&live.exchange.request.target, &body);
        }
        if live.answered_whole {
            // The Engine said no before it had heard all.
            self.answered();
        } else if may_upgrade(&live.exchange.request) {
            self.client = Client::Undecided(Vec::new());
        }
        Ok(())
    }

    /// The client's bytes on a connection that is no longer HTTP.
    fn raw(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        let Some(live) = self.live.front_mut() else { return Ok(()) };
        let Some(sent) = &mut live.exchange.sent else { return Ok(()) };
        live.sent += bytes.len() as u64;
        if live.omit || bytes.is_empty() {
            return Ok(());
        }
        let mark = Mark { at: micros(live.begun), requests: self.recorder.begun(), sent: live.sent };
        live.upgraded.bytes(bytes, &mut sent.body)?;
        live.upgraded.open = bytes.len() as u64;
        live.upgraded.note(mark, &mut sent.body)?;
        Ok(())
    }

    fn engine_sent(&mut self, mut bytes: &[u8]) -> Result<(), Lost> {
        while !bytes.is_empty() {
            match &mut self.engine {
                Engine::Head(decoder) => {
                    if let Some(head) = decoder.next(&mut bytes)? {
                        self.answer(&head)?;
                    }
                }
                Engine::Body(decoder) => {
                    let Some(live) = self.live.iter_mut().find(|live| !live.answered_whole) else { return Ok(()) };
                    let Some(answer) = &mut live.exchange.answer else { return Ok(()) };
                    let mark = Mark { at: micros(live.begun), requests: self.recorder.begun(), sent: live.sent };
                    loop {
                        match decoder.next(&mut bytes)? {
                            None => {
                                if !decoder.is_chunked() || live.answered.open > LONGEST_CHUNK {
                                    live.answered.note(mark, &mut answer.body)?;
                                }
                                break;
                            }
                            Some(Piece::Data(_)) if live.omit && decoder.is_endless() => {}
                            Some(Piece::Data(data)) => {
                                live.told |= self.may_have_left;
                                live.answered.open += data.len() as u64;
                                live.answered.bytes(data, &mut answer.body)?;
                            }
                            Some(Piece::ChunkEnd) => live.answered.note(mark, &mut answer.body)?,
                            Some(Piece::End) => {
                                live.answered.over(mark, answer.head, &mut answer.body)?;
                                live.answered_whole = true;
                                live.exchange.end = live.ended(End::Whole, self.may_have_left);
                                self.engine = Engine::Head(HeadDecoder::default());
                                self.answered();
                                break;
                            }
                        }
                    }
                }
                Engine::Blind => return Ok(()),
            }
        }
        Ok(())
    }

    /// An answer's head has come.
    fn answer(&mut self, head: &Head) -> Result<(), Lost> {
        let Some(live) = self.live.iter_mut().find(|live| !live.answered_whole) else {
            return Err(Bad("the Engine speaks without being asked").into());
        };
        live.told |= self.may_have_left;
        let (status, reason) = head.status_line()?;
        if (100..200).contains(&status) && status != 101 {
            // `100 Continue`: the answer proper comes later.
            return Ok(());
        }
        self.recorder.peer(&head.headers);
        let redactor = self.recorder.redactor();
        let framing = Framing::of_answer(head, status, &live.exchange.request.method)?;
        let headers = head.headers.iter().map(|(name, value)| (name.clone(), redactor.header(name, value))).collect();
        let mark = Mark { at: micros(live.begun), requests: self.recorder.begun(), sent: live.sent };
        let body = Body::new(self.recorder.spool());
        live.exchange.answer = Some(Answer { status, reason: reason.into(), headers, head: mark, body });
        let kind = kind_of_answer(&live.exchange.request, &head.headers);
        let raw = status == 101 || framing == Framing::Close && may_upgrade(&live.exchange.request);
        live.answered = match raw {
            true => Part::new(Some(redactor.masker(kind))),
            false => Part::of(redactor.masker(kind), Intake::of(&head.headers, kind)),
        };
        if raw {
            live.exchange.sent = Some(Sent { body: Body::new(self.recorder.spool()), closed: false });
            live.upgraded = Part::new(Some(redactor.masker(Kind::Text)));
        }
        let framing = if raw { Framing::Close } else { framing };
        self.engine = Engine::Body(BodyDecoder::new(framing));
        let next = if raw { Client::Raw } else { Client::Head(HeadDecoder::default()) };
        if let Client::Undecided(held) = &mut self.client {
            let held = std::mem::take(held);
            self.client = next;
            self.client_sent(&held)?;
        } else if raw {
            self.client = next;
        }
        if matches!(framing, Framing::Empty | Framing::Length(0)) {
            // Nothing more will come to say so.
            self.engine = Engine::Head(HeadDecoder::default());
            if let Some(live) = self.live.iter_mut().find(|live| !live.answered_whole) {
                live.answered_whole = true;
            }
            self.answered();
        }
        Ok(())
    }

    /// Keeps the exchanges that are over.
    fn answered(&mut self) {
        while self.live.front().is_some_and(|live| live.answered_whole && live.asked_whole) {
            if let Some(live) = self.live.pop_front() {
                self.keep(live);
            }
        }
    }

    fn keep(&self, mut live: Live) {
        let mark = Mark { at: micros(live.begun), requests: self.recorder.begun(), sent: live.sent };
        let mut close = || -> io::Result<()> {
            live.asked.end(mark, &mut live.exchange.request.body)?;
            if let Some(answer) = &mut live.exchange.answer {
                live.answered.end(mark, &mut answer.body)?;
            }
            if let Some(sent) = &mut live.exchange.sent {
                live.upgraded.end(mark, &mut sent.body)?;
            }
            Ok(())
        };
        match close() {
            Ok(()) => {
                let Exchange { request, answer, .. } = &mut live.exchange;
                if live.asked.unpacked {
                    coding::unpacked(&mut request.headers, request.body.bytes.len());
                }
                if let Some(answer) = answer.as_mut().filter(|_| live.answered.unpacked) {
                    coding::unpacked(&mut answer.headers, answer.body.bytes.len());
                }
                self.recorder.keep(live.number, live.exchange);
            }
            Err(e) => self.recorder.fail(e),
        }
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

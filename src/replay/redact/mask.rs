//! The masker of a body: puts `*` where the readers of text and JSON decided so, and takes a task's output out of its frames first.

use std::sync::Arc;

use super::Rules;
use super::json::Json;
use super::runs::{Runs, Units};
use super::text::{Place, Scan};

/// The length of a frame's header: stream, three zeros, length of the payload, big-endian.
const HEADER: usize = 8;
/// Empty frames in a row, before what waits for more text waits no longer.
const EMPTY_FRAMES: usize = 1_024;

/// Masks a body as it streams. Bytes come out in order, as many as went in, late by a few kilobytes at most; how the body was cut
/// into pieces changes nothing.
pub(crate) struct Masker {
    reader: Reader,
    /// What went in and did not come out yet.
    held: Vec<u8>,
    runs: Runs,
}

enum Reader {
    Json(Box<Json>),
    Output(Box<Output>),
}

impl Masker {
    pub(super) fn json(rules: &Arc<Rules>, learned_only: bool) -> Self {
        Self::new(Reader::Json(Box::new(Json::new(rules, learned_only))))
    }

    pub(super) fn text(rules: &Arc<Rules>, learned_only: bool) -> Self {
        Self::new(Reader::Output(Box::new(Output::new(rules, learned_only))))
    }

    fn new(reader: Reader) -> Self {
        Self { reader, held: Vec::new(), runs: Runs::default() }
    }

    /// Takes a piece of the body; appends what is decided to `out`.
    pub(crate) fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.held.extend_from_slice(bytes);
        match &mut self.reader {
            Reader::Json(json) => json.feed(bytes, &mut self.runs),
            Reader::Output(output) => output.feed(bytes, &mut self.runs),
        }
        self.give(out);
    }

    /// The body has ended: appends the rest to `out`.
    pub(crate) fn end(&mut self, out: &mut Vec<u8>) {
        match &mut self.reader {
            Reader::Json(json) => json.end(&mut self.runs),
            Reader::Output(output) => output.end(&mut self.runs),
        }
        self.give(out);
        debug_assert!(self.held.is_empty(), "{} bytes without a decision", self.held.len());
    }

    fn give(&mut self, out: &mut Vec<u8>) {
        let mut given = 0;
        for (count, masked) in self.runs.drain() {
            let end = (given + count).min(self.held.len());
            if masked {
                out.resize(out.len() + end - given, b'*');
            } else {
                out.extend_from_slice(&self.held[given..end]);
            }
            given = end;
        }
        self.held.drain(..given);
    }
}

impl std::fmt::Debug for Masker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Masker").field("held", &self.held.len()).finish_non_exhaustive()
    }
}

/// A whole body of JSON.
pub(super) fn json(rules: &Arc<Rules>, body: &[u8], learned_only: bool) -> Vec<u8> {
    let (mut masker, mut out) = (Masker::json(rules, learned_only), Vec::with_capacity(body.len()));
    masker.feed(body, &mut out);
    masker.end(&mut out);
    out
}

/// A whole text.
pub(super) fn text(rules: &Arc<Rules>, place: Place, text: &[u8]) -> Vec<u8> {
    let (mut scan, mut runs) = (Scan::new(rules, place, false), Runs::default());
    scan.feed(text, &mut runs);
    for value in scan.end(&mut runs) {
        rules.learned.learn(&value, super::learned::From::Name);
    }
    let mut masked = text.to_vec();
    let mut at = 0;
    for (count, is_masked) in runs.drain() {
        if is_masked {
            masked[at..at + count].fill(b'*');
        }
        at += count;
    }
    masked
}

/// A task's output. If its first bytes are a frame's header it is read as frames, each stream a text of its own: a value that a task
/// wrote in two pieces is one value. What ends to be frames is read on as text.
struct Output {
    mode: Mode,
    /// One a stream; the first for what has no frames.
    scans: [Scan; 3],
    stream: usize,
    units: Units,
    decisions: Runs,
    empty: usize,
}

enum Mode {
    Raw,
    /// In a header, or before the first one.
    Header(Vec<u8>),
    Payload(usize),
}

impl Output {
    fn new(rules: &Arc<Rules>, learned_only: bool) -> Self {
        let scan = || Scan::new(rules, Place::Output, learned_only);
        Self {
            mode: Mode::Header(Vec::with_capacity(HEADER)),
            scans: [scan(), scan(), scan()],
            stream: 0,
            units: Units::default(),
            decisions: Runs::default(),
            empty: 0,
        }
    }

    fn feed(&mut self, bytes: &[u8], runs: &mut Runs) {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match &mut self.mode {
                Mode::Raw => {
                    self.take(rest);
                    &[]
                }
                Mode::Payload(left) => {
                    let (payload, after) = rest.split_at(rest.len().min(*left));
                    *left -= payload.len();
                    if *left == 0 {
                        self.mode = Mode::Header(Vec::with_capacity(HEADER));
                    }
                    self.take(payload);
                    after
                }
                Mode::Header(header) => {
                    let (more, after) = rest.split_at(rest.len().min(HEADER - header.len()));
                    header.extend_from_slice(more);
                    if header.len() == HEADER || !begins_header(header) {
                        let header = std::mem::take(header);
                        self.take_header(&header);
                    }
                    after
                }
            }
        }
        self.scans[self.stream].read(&mut self.decisions);
        self.units.apply(&mut self.decisions, runs);
    }

    /// A header, or what turned out to be none.
    fn take_header(&mut self, header: &[u8]) {
        let &[stream, _, _, _, a, b, c, d] = header else {
            self.mode = Mode::Raw;
            return self.take(header);
        };
        if !begins_header(header) {
            self.mode = Mode::Raw;
            return self.take(header);
        }
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        self.empty = if length == 0 { self.empty + 1 } else { 0 };
        if usize::from(stream) != self.stream || self.empty == EMPTY_FRAMES {
            // What comes next must not wait for more of the other stream.
            self.scans[self.stream].settle(&mut self.decisions);
            (self.stream, self.empty) = (stream.into(), 0);
        }
        self.units.push(0, HEADER);
        self.mode = if length == 0 { Mode::Header(Vec::with_capacity(HEADER)) } else { Mode::Payload(length) };
    }

    fn take(&mut self, text: &[u8]) {
        self.units.push(text.len(), text.len());
        self.scans[self.stream].append(text, &mut self.decisions);
    }

    fn end(&mut self, runs: &mut Runs) {
        if let Mode::Header(header) = &mut self.mode {
            let header = std::mem::take(header);
            self.take(&header);
        }
        self.scans[self.stream].settle(&mut self.decisions);
        self.units.apply(&mut self.decisions, runs);
    }
}

/// Whether that is how a header begins.
fn begins_header(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .zip([0..=2, 0..=0, 0..=0, 0..=0])
        .all(|(b, allowed): (_, std::ops::RangeInclusive<u8>)| allowed.contains(b))
}

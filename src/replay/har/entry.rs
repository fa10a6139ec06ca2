//! An entry of a HAR file as an exchange, with bounds on what it may hold.
//!
//! Our own entries have all that a player wants in fields that begin with `_`. Those of other programs lack them: a body
//! is then one chunk that came with the head, and an entry of which the body was not kept is passed over.

use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeSeed, Deserializer};
use serde_json::Value;

use crate::replay::har::at::{At, LONGEST_WORD, Wrong, kind};
use crate::replay::har::exchange::{Answer, Body, Chunk, End, Exchange, Mark, Request, Sent};
use crate::replay::har::time::Moment;
use crate::replay::har::tree::{Lists, Notes, Tree, micros};
use crate::replay::http::spool::{BLOCK, Spool};

/// More headers than any server takes.
pub(in crate::replay) const MOST_HEADERS: usize = 1_000;
/// The longest target or value of a header, in bytes.
const LONGEST_VALUE: usize = 1024 * 1024;

/// Reads entries, one after the other. Long bodies go to the spool.
pub(in crate::replay) struct Entries<'a> {
    spool: &'a Arc<Spool>,
    /// The lists of chunks of the entry at hand.
    lists: Lists,
}

/// Reads the line of one entry, written by us.
pub(in crate::replay) fn of_line(line: &[u8], spool: &Arc<Spool>) -> io::Result<Exchange> {
    let entries = Entries::new(spool);
    match entries.read(&entries.tree(&mut serde_json::Deserializer::from_slice(line))?) {
        Ok(Some(exchange)) => Ok(exchange),
        Ok(None) => Err(io::ErrorKind::InvalidData.into()),
        Err(Wrong::Io(e)) => Err(e),
        Err(Wrong::Field(field, why)) => Err(io::Error::new(io::ErrorKind::InvalidData, format!("{field}: {why}"))),
    }
}

impl<'a> Entries<'a> {
    pub(in crate::replay) fn new(spool: &'a Arc<Spool>) -> Self {
        Self { spool, lists: Lists::default() }
    }

    /// An entry as JSON, its lists of chunks kept aside.
    pub(in crate::replay) fn tree<'de, D: Deserializer<'de>>(&self, from: D) -> Result<Value, D::Error> {
        Tree::of_entry(self.spool, &self.lists).deserialize(from)
    }

    /// `None`: it cannot be played.
    pub(in crate::replay) fn read(&self, value: &Value) -> Result<Option<Exchange>, Wrong> {
        let entry = At::root(value);
        let (request, response) = (entry.need("request")?, entry.need("response")?);
        let status = response.need("status")?.number(999)?;
        let ours = response.has("_end");
        if status == 0 && !ours {
            return Ok(None);
        }
        let started = entry.need("startedDateTime")?.word(LONGEST_WORD)?;
        let started = Moment::parse(&started)
            .ok_or_else(|| entry.field("startedDateTime").wrong("expected a moment in RFC 3339"))?;
        let connection = match entry.get("connection") {
            // Others write what they like.
            Some(connection) => connection.value.as_str().and_then(|text| text.parse().ok()).unwrap_or(0),
            None => 0,
        };
        let request = Request {
            method: request.need("method")?.word(LONGEST_WORD)?,
            target: target(&request.need("url")?)?,
            headers: headers(&request)?,
            body: match request.get("postData") {
                Some(data) => self.body(&data, "_encoding", request.get("_chunks"))?,
                None => Body::new(self.spool),
            },
        };
        let end = match response.get("_end") {
            None => End::Whole,
            Some(end) => match end.word(LONGEST_WORD)?.as_str() {
                "whole" => End::Whole,
                "cut" => End::Cut,
                "left" => End::Left,
                "open" => End::Open,
                _ => return Err(end.wrong("expected whole, cut, left or open")),
            },
        };
        let answer = match status {
            0 => None,
            status if !is_final(status) => {
                return Err(response.field("status").wrong("expected 101, or a status from 200 to 999"));
            }
            status => {
                let content = response.need("content")?;
                let size = content.get("size").map_or(Some(0), |size| size.value.as_i64()).unwrap_or(0);
                if !ours && !content.has("text") && size > 0 && request.method != "HEAD" {
                    return Ok(None);
                }
                let body = self.body(&content, "encoding", response.get("_chunks"))?;
                let mut headers = headers(&response)?;
                if !ours {
                    plain(&mut headers, &body);
                }
                let reason = response.get("statusText").map(|text| reason(&text)).transpose()?;
                let head = response.get("_head").map(|head| mark(&head, 0)).transpose()?.unwrap_or_default();
                #[expect(clippy::cast_possible_truncation, reason = "it is at most 999")]
                Some(Answer { status: status as u16, reason: reason.unwrap_or_default(), headers, head, body })
            }
        };
        let sent = match entry.get("_upgraded") {
            None => None,
            Some(sent) => Some(Sent {
                body: self.body(&sent, "encoding", sent.get("_chunks"))?,
                closed: sent.get("closed").is_some_and(|closed| closed.value == &Value::Bool(true)),
            }),
        };
        Ok(Some(Exchange { started, connection, request, answer, end, sent }))
    }

    fn body(&self, at: &At<'_>, encoding: &str, chunks: Option<At<'_>>) -> Result<Body, Wrong> {
        let left_out = at.get("_left_out").map(|why| why.word(LONGEST_WORD)).transpose()?;
        if let Some(why) = left_out {
            let mut body = Body::new(self.spool);
            body.left_out = Some(why);
            return Ok(body);
        }
        let Some(text) = at.get("text") else { return Ok(Body::new(self.spool)) };
        let (mut body, told) = match &chunks {
            None => (Body::new(self.spool), None),
            Some(chunks) => {
                let notes = self.notes(chunks)?;
                (notes.body, Some(notes.total))
            }
        };
        let bytes = text.text()?.as_bytes();
        match at.get(encoding).map(|encoding| encoding.word(LONGEST_WORD)).transpose()?.as_deref() {
            Some("base64") => unpack(bytes, &text, &mut body)?,
            Some("" | "utf-8" | "utf8") | None => {
                bytes.chunks(BLOCK).try_for_each(|part| body.bytes.push(part))?;
            }
            Some(other) => return Err(at.field(encoding).wrong(&format!("`{other}` is not known, base64 is"))),
        }
        let len = body.bytes.len();
        match (told, chunks) {
            (Some(told), Some(chunks)) if told != len => {
                return Err(chunks.wrong(&format!("its chunks have {told} bytes, its text has {len}")));
            }
            (None, _) if len > 0 => body.note(Chunk { mark: Mark::default(), len })?,
            _ => {}
        }
        if len >= BLOCK as u64 {
            body.put_away()?;
        }
        Ok(body)
    }

    /// A list of chunks that was read already.
    fn notes(&self, chunks: &At<'_>) -> Result<Notes, Wrong> {
        let n = chunks.value.as_u64().and_then(|n| usize::try_from(n).ok());
        let notes = n.and_then(|n| self.lists.borrow_mut().get_mut(n).and_then(Option::take));
        let mut notes = notes.ok_or_else(|| chunks.wrong("expected a list of chunks"))?;
        if let Some(e) = notes.failed.take() {
            return Err(e.into());
        }
        let Some((place, value)) = &notes.wrong else { return Ok(notes) };
        let Some(n) = place else {
            return Err(chunks.wrong(&format!("expected a list, found {}", kind(value))));
        };
        let chunk = At { value, path: format!("{}[{n}]", chunks.path) };
        mark(&chunk, 1)?;
        chunk.item(1)?.number(u64::MAX)?;
        Err(chunk.wrong("expected numbers"))
    }
}

/// Base64, some of whose writers break its lines. A part at a time: the text is long enough.
fn unpack(text: &[u8], at: &At<'_>, body: &mut Body) -> Result<(), Wrong> {
    let mut packed = Vec::with_capacity(BLOCK);
    let mut symbols = text.iter().copied().filter(|b| !b.is_ascii_whitespace());
    let mut first = true;
    loop {
        packed.clear();
        packed.extend(symbols.by_ref().take(BLOCK));
        if packed.is_empty() {
            return Ok(());
        }
        let bytes = STANDARD.decode(&packed).map_err(|e| match first {
            true => at.wrong(&format!("not base64: {e}")),
            false => at.wrong("not base64"),
        })?;
        body.bytes.push(&bytes)?;
        first = false;
    }
}

/// `[ms, requests, sent]`, with `skip` numbers between the first and the others.
fn mark(at: &At<'_>, skip: usize) -> Result<Mark, Wrong> {
    let optional = |n: usize| if at.count() > n { at.item(n)?.number(u64::MAX) } else { Ok(0) };
    let ms = at.item(0)?;
    let us = ms.value.as_f64().and_then(micros).ok_or_else(|| ms.wrong("expected a time in milliseconds"))?;
    Ok(Mark { at: us, requests: optional(1 + skip)?, sent: optional(2 + skip)? })
}

/// The path and query of a URL.
fn target(at: &At<'_>) -> Result<String, Wrong> {
    let url = at.word(LONGEST_VALUE)?;
    let rest = match url.split_once("://") {
        Some((_, rest)) => rest.find(['/', '?']).map_or("/", |from| &rest[from..]),
        None => &url,
    };
    let rest = rest.split('#').next().unwrap_or_default();
    if has_blank(rest) {
        return Err(at.wrong("it holds a blank"));
    }
    match rest.as_bytes().first() {
        Some(b'/') => Ok(rest.into()),
        Some(b'?') => Ok(format!("/{rest}")),
        _ => Err(at.wrong("it has no path")),
    }
}

fn headers(at: &At<'_>) -> Result<Vec<(String, String)>, Wrong> {
    let Some(list) = at.get("headers") else { return Ok(Vec::new()) };
    let items = list.items()?;
    if items.len() > MOST_HEADERS {
        return Err(list.wrong("more than a thousand headers"));
    }
    let mut headers = Vec::with_capacity(items.len());
    for item in items {
        let (name, value) = (item.need("name")?, item.need("value")?);
        let (name_text, value_text) = (name.word(LONGEST_WORD)?, value.word(LONGEST_VALUE)?);
        // HTTP/2's own, in files of browsers.
        if name_text.starts_with(':') {
            continue;
        }
        if !is_name(&name_text) {
            return Err(name.wrong("it is no name of a header"));
        }
        if !is_value(&value_text) {
            return Err(value.wrong("it has a line break"));
        }
        headers.push((name_text, value_text));
    }
    Ok(headers)
}

fn has_blank(target: &str) -> bool {
    target.bytes().any(|b| b <= b' ' || b == 0x7f)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.bytes().any(|b| b <= b' ' || b == b':' || b == 0x7f)
}

fn is_value(value: &str) -> bool {
    !value.contains(['\r', '\n', '\0'])
}

/// What stands behind a status, in the first line of an answer.
fn reason(at: &At<'_>) -> Result<String, Wrong> {
    let text = at.word(LONGEST_WORD)?;
    if is_reason(&text) { Ok(text) } else { Err(at.wrong("it has a line end or another control character")) }
}

/// Whether it stays in its line when it is played, and harms no terminal on which it is shown.
fn is_reason(text: &str) -> bool {
    !text.contains(|c: char| c.is_control() && c != '\t')
}

/// Whether an answer may have this status. A client takes another 1xx for the first of two heads, and waits for the second.
fn is_final(status: impl Into<u64>) -> bool {
    matches!(status.into(), 101 | 200..=999)
}

/// Why an exchange cannot be an entry: what would be written of it would not be read.
pub(in crate::replay) fn unreadable(exchange: &Exchange) -> Option<&'static str> {
    let request = &exchange.request;
    // What is written has a scheme and a host before it, and a `#` takes three bytes.
    if request.target.len() > LONGEST_VALUE / 4 {
        return Some("its target is too long");
    }
    if has_blank(&request.target) || !request.target.starts_with('/') {
        return Some("its target is none that HTTP knows");
    }
    if request.method.len() > LONGEST_WORD {
        return Some("its method is too long");
    }
    if let Some(answer) = &exchange.answer {
        if answer.reason.len() > LONGEST_WORD {
            return Some("its reason is too long");
        }
        if !is_reason(&answer.reason) {
            return Some("its reason has a control character within it");
        }
        if !is_final(answer.status) {
            return Some("its status is none");
        }
    }
    let answered = exchange.answer.as_ref().map(|answer| &answer.headers);
    for headers in std::iter::once(&request.headers).chain(answered) {
        if headers.len() > MOST_HEADERS {
            return Some("it has more than a thousand headers");
        }
        for (name, value) in headers {
            if name.len() > LONGEST_WORD || !is_name(name) || name.starts_with(':') {
                return Some("the name of a header is none");
            }
            if value.len() > LONGEST_VALUE || !is_value(value) {
                return Some("a header has a line break or a NUL within it");
            }
        }
    }
    None
}

/// Headers of an answer that was taken apart by somebody else: what they say of its encoding holds no longer.
fn plain(headers: &mut Vec<(String, String)>, body: &Body) {
    let gone = ["content-length", "transfer-encoding", "content-encoding"];
    headers.retain(|(name, _)| !gone.iter().any(|gone| name.eq_ignore_ascii_case(gone)));
    headers.push(("Content-Length".into(), body.bytes.len().to_string()));
}

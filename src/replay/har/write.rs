//! A recording as a HAR file: what is written where. One entry a line, in the order in which requests came.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use base64::engine::general_purpose::STANDARD;
use base64::write::EncoderWriter;
use serde_json::{Value, json};

use crate::replay::har::exchange::{Body, End, Exchange, Mark};
use crate::replay::http::wire;

/// What stands before the entries.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::replay) struct Preface {
    /// The Engine: `name`, `version`, `api_version`, `min_api_version`, as far as it said.
    pub(in crate::replay) peer: BTreeMap<String, String>,
    /// What changes from run to run, and the word that stands for it in the entries.
    pub(in crate::replay) vars: BTreeMap<String, String>,
    /// Patterns of names whose values were masked, beside the built-in ones.
    pub(in crate::replay) redact: Vec<String>,
    /// Facts of the machine on which it was made.
    pub(in crate::replay) host: BTreeMap<String, Value>,
}

/// Writes what stands before the entries.
pub(in crate::replay) fn begin(preface: &Preface, to: &mut impl Write) -> io::Result<()> {
    start(preface, to)?;
    to.write_all(b",\"entries\":[")
}

/// Writes what stands before the entries of a journal.
pub(in crate::replay) fn begin_journal(preface: &Preface, to: &mut impl Write) -> io::Result<()> {
    start(preface, to)?;
    to.write_all(b",\"_journal\":true,\"entries\":[")
}

fn start(preface: &Preface, to: &mut impl Write) -> io::Result<()> {
    let creator = json!({"name": "longshore", "version": env!("CARGO_PKG_VERSION")});
    write!(to, r#"{{"log":{{"version":"1.2","creator":{creator}"#)?;
    if !preface.peer.is_empty() {
        write!(to, r#","_peer":{}"#, json!(preface.peer))?;
    }
    if !preface.vars.is_empty() {
        write!(to, r#","_vars":{}"#, json!(preface.vars))?;
    }
    if !preface.redact.is_empty() {
        write!(to, r#","_redact":{}"#, json!(preface.redact))?;
    }
    if !preface.host.is_empty() {
        write!(to, r#","_host":{}"#, json!(preface.host))?;
    }
    Ok(())
}

/// Writes what stands between two entries, or before the first.
pub(in crate::replay) fn separate(first: bool, to: &mut impl Write) -> io::Result<()> {
    to.write_all(if first { b"\n" } else { b",\n" })
}

/// Writes an entry, without a line break.
pub(in crate::replay) fn entry(exchange: &Exchange, to: &mut impl Write) -> io::Result<()> {
    to.write_all(b"{")?;
    fields(exchange, to)
}

/// Begins an entry of a journal, whose order is not that of the requests.
pub(in crate::replay) fn number(number: u64, to: &mut impl Write) -> io::Result<()> {
    write!(to, r#"{{"_number":{number},"#)
}

/// Writes what stands in an entry, and its last brace.
pub(in crate::replay) fn fields(exchange: &Exchange, to: &mut impl Write) -> io::Result<()> {
    let head = exchange.answer.as_ref().map(|answer| answer.head.at);
    let last = exchange.answer.as_ref().and_then(|answer| answer.body.last_mark()).map(|mark| mark.at).or(head);
    let (wait, receive) = (head.unwrap_or(0), last.unwrap_or(0).saturating_sub(head.unwrap_or(0)));
    write!(
        to,
        r#""startedDateTime":"{}","time":{},"connection":"{}","request":"#,
        exchange.started.to_text(),
        Ms(wait + receive),
        exchange.connection
    )?;
    let request = &exchange.request;
    let head = json!({
        "method": request.method,
        // What stands behind a `#` is no part of a URL.
        "url": format!("http://docker{}", request.target.replace('#', "%23")),
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": headers(&request.headers),
        "queryString": query_string(&request.target),
        "headersSize": -1,
        "bodySize": request.body.bytes.len(),
    });
    open_object(&head, to)?;
    if request.body.count() > 0 || request.body.left_out.is_some() {
        let kind = wire::header(&request.headers, "content-type").unwrap_or_default();
        write!(to, r#","postData":{{"mimeType":{}"#, json!(kind))?;
        left_out(&request.body, to)?;
        text(&request.body, "_encoding", to)?;
        to.write_all(b"}")?;
        chunks(&request.body, to)?;
    }
    to.write_all(br#"},"response":"#)?;
    response(exchange, to)?;
    if let Some(sent) = &exchange.sent {
        write!(to, r#","_upgraded":{{"closed":{}"#, sent.closed)?;
        text(&sent.body, "encoding", to)?;
        chunks(&sent.body, to)?;
        to.write_all(b"}")?;
    }
    write!(to, r#","cache":{{}},"timings":{{"send":0,"wait":{},"receive":{}}}}}"#, Ms(wait), Ms(receive))
}

/// Writes what stands after the entries.
pub(in crate::replay) fn end(to: &mut impl Write) -> io::Result<()> {
    to.write_all(b"\n]}}\n")
}

fn response(exchange: &Exchange, to: &mut impl Write) -> io::Result<()> {
    let Some(answer) = &exchange.answer else {
        // What HAR's other writers say of a request that got none.
        let none = json!({
            "status": 0, "statusText": "", "httpVersion": "", "cookies": [], "headers": [], "redirectURL": "",
            "headersSize": -1, "bodySize": -1, "content": {"size": 0, "mimeType": ""}, "_end": word(exchange.end),
        });
        return write!(to, "{none}");
    };
    let head = json!({
        "status": answer.status,
        "statusText": answer.reason,
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": headers(&answer.headers),
        "redirectURL": wire::header(&answer.headers, "location").unwrap_or_default(),
        "headersSize": -1,
        "bodySize": answer.body.bytes.len(),
        "_end": word(exchange.end),
    });
    open_object(&head, to)?;
    to.write_all(br#","_head":"#)?;
    mark(answer.head, Some(Mark { at: u64::MAX, ..Mark::default() }), None, to)?;
    let kind = wire::header(&answer.headers, "content-type").unwrap_or_default();
    write!(to, r#","content":{{"size":{},"mimeType":{}"#, answer.body.bytes.len(), json!(kind))?;
    left_out(&answer.body, to)?;
    if answer.body.count() > 0 {
        text(&answer.body, "encoding", to)?;
    }
    to.write_all(b"}")?;
    if answer.body.count() > 0 {
        chunks(&answer.body, to)?;
    }
    to.write_all(b"}")
}

pub(in crate::replay) fn word(end: End) -> &'static str {
    match end {
        End::Whole => "whole",
        End::Cut => "cut",
        End::Left => "left",
        End::Open => "open",
    }
}

fn headers(headers: &[(String, String)]) -> Vec<Value> {
    headers.iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
}

/// For readers of HAR; the player looks at the URL.
fn query_string(target: &str) -> Vec<Value> {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            json!({"name": crate::replay::http::target::decode(name), "value": crate::replay::http::target::decode(value)})
        })
        .collect()
}

/// An object without its last brace.
fn open_object(object: &Value, to: &mut impl Write) -> io::Result<()> {
    let text = object.to_string();
    to.write_all(text.strip_suffix('}').unwrap_or(&text).as_bytes())
}

/// `,"_chunks":[[ms,bytes,requests,sent],…]`; the last two where they differ from the chunk before.
fn chunks(body: &Body, to: &mut impl Write) -> io::Result<()> {
    to.write_all(br#","_chunks":["#)?;
    let mut before = None;
    for (n, chunk) in body.chunks().enumerate() {
        let chunk = chunk?;
        if n > 0 {
            to.write_all(b",")?;
        }
        mark(chunk.mark, before, Some(chunk.len), to)?;
        before = Some(chunk.mark);
    }
    to.write_all(b"]")
}

fn mark(mark: Mark, before: Option<Mark>, len: Option<u64>, to: &mut impl Write) -> io::Result<()> {
    write!(to, "[{}", Ms(mark.at))?;
    if let Some(len) = len {
        write!(to, ",{len}")?;
    }
    let before = before.unwrap_or_default();
    match (mark.requests == before.requests, mark.sent == before.sent) {
        _ if before.at == u64::MAX => write!(to, ",{},{}", mark.requests, mark.sent)?,
        (true, true) => {}
        (false, true) => write!(to, ",{}", mark.requests)?,
        (_, false) => write!(to, ",{},{}", mark.requests, mark.sent)?,
    }
    to.write_all(b"]")
}

/// Microseconds, written as milliseconds.
struct Ms(u64);

impl std::fmt::Display for Ms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 % 1000 {
            0 => write!(f, "{}", self.0 / 1000),
            us => write!(f, "{}.{us:03}", self.0 / 1000),
        }
    }
}

/// `,"comment":…,"_left_out":…`, of a body that was not kept: why, for people and for us.
fn left_out(body: &Body, to: &mut impl Write) -> io::Result<()> {
    let Some(why) = &body.left_out else { return Ok(()) };
    write!(to, r#","comment":{},"_left_out":{}"#, json!(format!("left out: {why}")), json!(why))
}

/// `,"text":…`, and the encoding where the bytes are no text.
fn text(body: &Body, encoding: &str, to: &mut impl Write) -> io::Result<()> {
    to.write_all(br#","text":""#)?;
    if is_text(body.bytes.reader())? {
        escaped(body.bytes.reader(), to)?;
        return to.write_all(b"\"");
    }
    let mut encoder = EncoderWriter::new(&mut *to, &STANDARD);
    io::copy(&mut body.bytes.reader(), &mut encoder)?;
    encoder.finish()?;
    drop(encoder);
    write!(to, r#"","{encoding}":"base64""#)
}

/// Whether bytes are UTF-8, and mostly to be read: a stream with frame headers in it may be, by accident.
fn is_text(mut from: impl Read) -> io::Result<bool> {
    let mut buf = vec![0; 64 * 1024];
    let (mut kept, mut total, mut control) = (0, 0u64, 0u64);
    loop {
        let n = from.read(&mut buf[kept..])?;
        if n == 0 {
            return Ok(kept == 0 && control * 4 <= total);
        }
        total += n as u64;
        control +=
            buf[kept..kept + n].iter().filter(|b| **b < b' ' && !matches!(b, b'\n' | b'\r' | b'\t')).count() as u64;
        let have = kept + n;
        match std::str::from_utf8(&buf[..have]) {
            Ok(_) => kept = 0,
            Err(e) if e.error_len().is_none() => {
                buf.copy_within(e.valid_up_to()..have, 0);
                kept = have - e.valid_up_to();
            }
            Err(_) => return Ok(false),
        }
    }
}

/// UTF-8 as the inside of a JSON string. Bytes above 0x7f stand for themselves, so it may be cut anywhere.
fn escaped(mut from: impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buf = vec![0; 64 * 1024];
    loop {
        let n = from.read(&mut buf)?;
        if n == 0 {
            return Ok(());
        }
        let mut rest = &buf[..n];
        while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f | 0x7f)) {
            to.write_all(&rest[..at])?;
            match rest[at] {
                byte @ (b'"' | b'\\') => to.write_all(&[b'\\', byte])?,
                b'\n' => to.write_all(b"\\n")?,
                b'\r' => to.write_all(b"\\r")?,
                b'\t' => to.write_all(b"\\t")?,
                byte => write!(to, "\\u{byte:04x}")?,
            }
            rest = &rest[at + 1..];
        }
        to.write_all(rest)?;
    }
}

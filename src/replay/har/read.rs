//! A HAR file as a recording: one entry at a time, with bounds on what it may hold, and errors that name entry and field.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, BufRead, Read};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::replay::Error;
use crate::replay::har::at::{At, LONGEST_WORD, MOST_WORDS, Wrong};
use crate::replay::har::entry::Entries;
use crate::replay::har::exchange::Exchange;
use crate::replay::har::tree::Tree;
use crate::replay::har::write::Preface;
use crate::replay::http::spool::Spool;

/// More entries than a day of a busy Engine has.
pub(in crate::replay) const MOST_ENTRIES: usize = 1_000_000;
/// The longest text of one entry, in bytes.
pub(in crate::replay) const LONGEST_ENTRY: u64 = 4 * 1024 * 1024 * 1024;

/// What a file holds.
#[derive(Debug)]
pub(in crate::replay) struct Contents {
    pub(in crate::replay) preface: Preface,
    pub(in crate::replay) exchanges: Vec<Exchange>,
    /// In which line each begins.
    pub(in crate::replay) lines: Vec<u64>,
    /// Entries that cannot be played, and why not.
    pub(in crate::replay) skipped: Vec<String>,
}

/// Reads a recording. `path` is for errors.
pub(in crate::replay) fn read(path: &Path, from: impl BufRead, spool: &Arc<Spool>) -> Result<Contents, Error> {
    let position = Rc::new(Position { line: Cell::new(1), left: Cell::new(LONGEST_ENTRY) });
    let mut counted = Counted { from, position: position.clone() };
    skip_mark(&mut counted).map_err(|e| Error::io("read", path.display(), e))?;
    let contents = Contents { preface: Preface::default(), exchanges: vec![], lines: vec![], skipped: vec![] };
    let reading = Reading {
        path,
        entries: Entries::new(spool),
        position: &position,
        contents: RefCell::new(contents),
        journal: Cell::new(false),
        numbers: RefCell::default(),
        failed: RefCell::new(None),
    };
    let mut json = serde_json::Deserializer::from_reader(counted);
    let read = (&mut json).deserialize_map(File(&reading)).and_then(|seen| json.end().map(|()| seen));
    match (reading.failed.take(), read) {
        (Some(error), _) => Err(error),
        (None, Err(e)) if reading.journal.get() && !e.is_io() => {
            let line = position.line.get();
            let mut contents =
                in_order(reading, spool).map_err(|e| Error::io("keep the bodies of", path.display(), e))?;
            contents.skipped.push(format!("line {line}: the recording was not finished: {}", reason(&e)));
            Ok(contents)
        }
        (None, Err(e)) if e.is_io() => Err(Error::io("read", path.display(), e.into())),
        (None, Err(e)) => Err(damaged(path, position.line.get(), format!("not a HAR file: {}", reason(&e)))),
        (None, Ok(false)) => Err(damaged(path, 1, "not a HAR file: it has no `log`".into())),
        (None, Ok(true)) => Ok(reading.contents.into_inner()),
    }
}

/// What a journal holds, in the order of its requests. Those that had no end when it broke off are not there, and are
/// not counted.
fn in_order(reading: Reading<'_>, spool: &Arc<Spool>) -> io::Result<Contents> {
    let (mut contents, numbers) = (reading.contents.into_inner(), reading.numbers.into_inner());
    let (exchanges, lines) = (std::mem::take(&mut contents.exchanges), std::mem::take(&mut contents.lines));
    let mut all: Vec<_> = numbers.into_iter().zip(exchanges.into_iter().zip(lines)).collect();
    all.sort_by_key(|(number, _)| *number);
    let present: Vec<u64> = all.iter().map(|(number, _)| *number).collect();
    for (_, (mut exchange, line)) in all {
        exchange.renumber(&present, spool)?;
        contents.exchanges.push(exchange);
        contents.lines.push(line);
    }
    Ok(contents)
}

fn damaged(path: &Path, line: u64, why: String) -> Error {
    Error::Damaged { path: path.into(), entry: None, line, field: String::new(), why }
}

/// What serde says, without the place: it counts from where it began, we know better.
fn reason(e: &serde_json::Error) -> String {
    let text = e.to_string();
    match text.rfind(" at line ") {
        Some(at) => text[..at].into(),
        None => text,
    }
}

/// Where we are in the file.
struct Position {
    line: Cell<u64>,
    /// How many bytes the entry at hand may still have.
    left: Cell<u64>,
}

struct Counted<R> {
    from: R,
    position: Rc<Position>,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(buf)?;
        let lines = memchr::memchr_iter(b'\n', &buf[..n]).count() as u64;
        self.position.line.set(self.position.line.get() + lines);
        match self.position.left.get().checked_sub(n as u64) {
            Some(left) => self.position.left.set(left),
            None => return Err(io::Error::new(io::ErrorKind::InvalidData, "an entry is too long")),
        }
        Ok(n)
    }
}

/// Some programs begin a file with a byte order mark.
fn skip_mark<R: BufRead>(from: &mut Counted<R>) -> io::Result<()> {
    if from.from.fill_buf()?.starts_with(b"\xef\xbb\xbf") {
        from.from.consume(3);
    }
    Ok(())
}

struct Reading<'a> {
    path: &'a Path,
    entries: Entries<'a>,
    position: &'a Position,
    contents: RefCell<Contents>,
    /// The file may end anywhere, and its entries are in the order in which they ended: their numbers.
    journal: Cell<bool>,
    numbers: RefCell<Vec<u64>>,
    /// Why we stopped, where serde cannot say it as well.
    failed: RefCell<Option<Error>>,
}

impl Reading<'_> {
    /// Hands an error of ours past serde.
    fn stop_if<E: serde::de::Error>(&self, done: Result<(), Error>) -> Result<(), E> {
        done.map_err(|error| {
            *self.failed.borrow_mut() = Some(error);
            E::custom("stopped")
        })
    }

    fn damaged(&self, entry: Option<usize>, line: u64, field: String, why: String) -> Error {
        Error::Damaged { path: self.path.into(), entry, line, field, why }
    }

    fn preface(&self, key: &str, value: Value) -> Result<(), Error> {
        let field = At { value: &value, path: format!("log.{key}") };
        let preface = &mut self.contents.borrow_mut().preface;
        let read = match key {
            "version" if value.as_str().is_some_and(|version| version.starts_with("1.")) => Ok(()),
            "version" => Err(field.wrong("HAR 1.2 is known, and this is another version")),
            "_peer" => field.words().map(|words| preface.peer = words),
            "_vars" => field.words().map(|words| preface.vars = words),
            "_redact" => field.items().and_then(|items| {
                let patterns = items.iter().take(MOST_WORDS).map(|item| item.word(LONGEST_WORD));
                preface.redact = patterns.collect::<Result<_, _>>()?;
                Ok(())
            }),
            _ => field
                .object()
                .map(|facts| preface.host = facts.into_iter().map(|(k, v)| (k.clone(), v.clone())).collect()),
        };
        read.map_err(|wrong| self.error(None, self.position.line.get(), wrong))
    }

    fn error(&self, entry: Option<usize>, line: u64, wrong: Wrong) -> Error {
        match wrong {
            Wrong::Field(field, why) => self.damaged(entry, line, field, why),
            Wrong::Io(e) => Error::io("keep the bodies of", self.path.display(), e),
        }
    }

    /// Takes one entry.
    fn take(&self, line: u64, value: &Value) -> Result<(), Error> {
        let contents = &mut *self.contents.borrow_mut();
        let number = contents.exchanges.len() + contents.skipped.len() + 1;
        if number > MOST_ENTRIES {
            return Err(self.damaged(None, line, "log.entries".into(), "more than a million entries".into()));
        }
        match self.entries.read(value).map_err(|wrong| self.error(Some(number), line, wrong))? {
            Some(exchange) => {
                let place = contents.exchanges.len() as u64;
                self.numbers.borrow_mut().push(value["_number"].as_u64().unwrap_or(place));
                contents.exchanges.push(exchange);
                contents.lines.push(line);
            }
            None => contents.skipped.push(format!("line {line}: entry {number} has no answer that was kept")),
        }
        Ok(())
    }
}

/// The file: an object with a `log` in it. Says whether there was one.
struct File<'a>(&'a Reading<'a>);
/// The log: an object with entries.
struct Log<'a>(&'a Reading<'a>);
/// The list of entries, taken one by one.
struct List<'a>(&'a Reading<'a>);
/// An entry, and the line in which it begins.
struct Entry<'a>(&'a Reading<'a>);

impl<'de> Visitor<'de> for File<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a `log`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut seen = false;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "log" => {
                    map.next_value_seed(Log(self.0))?;
                    seen = true;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(seen)
    }
}

impl<'de> DeserializeSeed<'de> for Log<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Log<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `entries`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "entries" => map.next_value_seed(List(self.0))?,
                "_journal" => self.0.journal.set(map.next_value::<bool>()?),
                "version" | "_peer" | "_vars" | "_redact" | "_host" => {
                    let value = map.next_value_seed(&Tree::whole())?;
                    self.0.stop_if(self.0.preface(&key, value))?;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some((line, value)) = list.next_element_seed(Entry(self.0))? {
            self.0.stop_if(self.0.take(line, &value))?;
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Entry<'_> {
    type Value = (u64, Value);

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(u64, Value), D::Error> {
        // Its first character has been looked at.
        let line = self.0.position.line.get();
        self.0.position.left.set(LONGEST_ENTRY);
        self.0.entries.tree(from).map(|value| (line, value))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::replay::har::entry::MOST_HEADERS;
    use crate::replay::har::exchange::{Answer, Body, Chunk, End, Mark, Request, Sent};
    use crate::replay::har::time::Moment;
    use crate::replay::har::write;
    use crate::replay::http::server::Place;

    /// Numbers as from a die, the same each time.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, n: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % n
        }

        fn bytes(&mut self, most: u64) -> Vec<u8> {
            let (len, kind) = (self.below(most + 1), self.below(4));
            let text = "a\"b\\c\n\t\r\u{7f}é€😀/</script>\u{2028}0";
            match kind {
                0 => (0..len).map(|_| self.below(256) as u8).collect(),
                1 => (0..len).map(|_| b" {}[]\",:\\\n\x00\x1f\x7fazAZ09"[self.below(19) as usize]).collect(),
                2 => text.repeat(len as usize / text.len() + 1).into_bytes(),
                // Cut within a character.
                _ => text.repeat(3).into_bytes()[..(len as usize).min(text.len())].to_vec(),
            }
        }

        fn word(&mut self) -> String {
            let len = 1 + self.below(12);
            (0..len).map(|_| char::from(b"abcXYZ-019"[self.below(10) as usize])).collect()
        }

        fn headers(&mut self) -> Vec<(String, String)> {
            let values = ["", "x", "a, b; c=\"d\"", "application/json", "é", "\\"];
            (0..self.below(5)).map(|_| (self.word(), values[self.below(6) as usize].to_owned())).collect()
        }

        fn mark(&mut self, after: Mark) -> Mark {
            Mark {
                at: after.at + self.below(3_000_000) * self.below(2),
                requests: after.requests + self.below(3) * self.below(2),
                sent: after.sent + self.below(3000) * self.below(2),
            }
        }

        fn body(&mut self, spool: &Arc<Spool>) -> Body {
            let (mut body, mut mark) = (Body::new(spool), Mark::default());
            let most = if self.below(60) == 0 { 200_000 } else { 300 };
            for _ in 0..self.below(6) {
                let bytes = self.bytes(most);
                mark = self.mark(mark);
                body.note(Chunk { mark, len: bytes.len() as u64 }).unwrap();
                body.bytes.push(&bytes).unwrap();
            }
            body
        }

        fn exchange(&mut self, spool: &Arc<Spool>) -> Exchange {
            let ends = [End::Whole, End::Cut, End::Left, End::Open];
            Exchange {
                started: Moment(1_700_000_000_000_000 + self.below(1 << 50) as i64),
                connection: self.below(100),
                request: Request {
                    method: ["GET", "POST", "HEAD", "DELETE"][self.below(4) as usize].into(),
                    target: format!("/v1.{}/{}?{}=%22%7B", self.below(60), self.word(), self.word()),
                    headers: self.headers(),
                    body: self.body(spool),
                },
                answer: (self.below(8) > 0).then(|| Answer {
                    status: [101, 200 + self.below(500) as u16][self.below(2) as usize],
                    reason: ["", "OK", "No \"such\""][self.below(3) as usize].into(),
                    headers: self.headers(),
                    head: self.mark(Mark::default()),
                    body: self.body(spool),
                }),
                end: ends[self.below(4) as usize],
                sent: (self.below(3) == 0).then(|| Sent { body: self.body(spool), closed: self.below(2) == 0 }),
            }
        }
    }

    /// All of it, to be compared.
    fn told(exchange: &Exchange) -> String {
        let body = |body: &Body| {
            let chunks: Vec<_> = body.chunks().map(Result::unwrap).collect();
            format!("{:?} {chunks:?}", body.bytes.whole(u64::MAX).unwrap())
        };
        let Exchange { started, connection, request, answer, end, sent } = exchange;
        let answer = answer.as_ref().map(|a| (a.status, &a.reason, &a.headers, a.head, body(&a.body)));
        let sent = sent.as_ref().map(|s| (s.closed, body(&s.body)));
        let Request { method, target, headers, body: asked } = request;
        format!("{started:?} {connection} {method} {target} {headers:?} {} {answer:?} {end:?} {sent:?}", body(asked))
    }

    fn spool() -> (Place, Arc<Spool>) {
        let place = Place::new("longshore-read").unwrap();
        let spool = Spool::new(place.path()).unwrap();
        (place, spool)
    }

    #[test]
    fn what_is_written_is_read_again() {
        let ((_place, spool), mut dice) = (spool(), Dice(0x2545_f491_4f6c_dd1d));
        for round in 0..60 {
            let exchanges: Vec<_> = (0..dice.below(6)).map(|_| dice.exchange(&spool)).collect();
            let words = |dice: &mut Dice| (0..dice.below(3)).map(|_| (dice.word(), dice.word())).collect();
            let preface = Preface {
                peer: words(&mut dice),
                vars: words(&mut dice),
                redact: (0..dice.below(3)).map(|_| dice.word()).collect(),
                host: BTreeMap::from([("cores".to_owned(), Value::from(dice.below(64)))]),
            };
            let mut file = Vec::new();
            write::begin(&preface, &mut file).unwrap();
            for (n, exchange) in exchanges.iter().enumerate() {
                write::separate(n == 0, &mut file).unwrap();
                write::entry(exchange, &mut file).unwrap();
            }
            write::end(&mut file).unwrap();
            let contents = read(Path::new("x.har"), &file[..], &spool).unwrap_or_else(|e| panic!("round {round}: {e}"));
            assert_eq!(contents.preface, preface, "round {round}");
            assert_eq!(contents.exchanges.len(), exchanges.len(), "round {round}");
            for (n, (read, written)) in contents.exchanges.iter().zip(&exchanges).enumerate() {
                assert_eq!(told(read), told(written), "round {round}, entry {n}");
                assert_eq!(contents.lines[n], n as u64 + 2, "one a line");
            }
        }
    }

    fn file(entries: &str) -> String {
        format!(r#"{{"log":{{"version":"1.2","creator":{{}},"entries":[{entries}]}}}}"#)
    }

    const GOOD: &str = r#"{"startedDateTime":"2026-01-01T00:00:00Z","request":{"method":"GET","url":"http://x/info","headers":[]},
        "response":{"status":200,"headers":[],"content":{"size":2,"mimeType":"","text":"{}"}}}"#;

    #[test]
    fn damage_is_named() {
        let (_place, spool) = spool();
        let changed = |from: &str, to: &str| {
            assert!(GOOD.contains(from), "{from}");
            file(&format!("{GOOD},\n{}", GOOD.replace(from, to)))
        };
        for (row, text, want) in [
            ("empty", String::new(), "x.har:1: not a HAR file: EOF while parsing a value"),
            ("no JSON", "hello".into(), "x.har:1: not a HAR file: expected value"),
            ("a list", "[]".into(), "x.har:1: not a HAR file: invalid type: sequence, expected an object with a `log`"),
            ("no log", "{}".into(), "x.har:1: not a HAR file: it has no `log`"),
            ("cut", file(GOOD).split_at(80).0.into(), "x.har:1: not a HAR file: EOF while parsing a string"),
            ("after the end", file(GOOD) + "x", "x.har:2: not a HAR file: trailing characters"),
            (
                "another version",
                file("").replace("1.2", "2.0"),
                "x.har:1: log.version: HAR 1.2 is known, and this is another version",
            ),
            (
                "entries no list",
                r#"{"log":{"entries":{}}}"#.into(),
                "x.har:1: not a HAR file: invalid type: map, expected a list of entries",
            ),
            ("an entry no object", file("1"), "x.har:1: entry 1: expected an object, found the number 1"),
            ("no request", changed("request", "questions"), "x.har:3: entry 2: request: it is missing"),
            (
                "status a text",
                changed("200", "\"200\""),
                "x.har:3: entry 2: response.status: expected a whole number up to 999, found a text",
            ),
            (
                "status too high",
                changed("200", "2000"),
                "x.har:3: entry 2: response.status: expected a whole number up to 999, found the number 2000",
            ),
            (
                "status too low",
                changed("200", "7"),
                "x.har:3: entry 2: response.status: expected 101, or a status from 200 to 999",
            ),
            (
                "no moment",
                changed("2026-01-01T", "yesterday"),
                "x.har:3: entry 2: startedDateTime: expected a moment in RFC 3339",
            ),
            ("no path", changed("http://x/info", "info"), "x.har:3: entry 2: request.url: it has no path"),
            (
                "two lines in a URL",
                changed("/info", "/a\\r\\nHost: b"),
                "x.har:3: entry 2: request.url: it holds a blank",
            ),
            (
                "two lines in a reason",
                changed(r#""status":200,"#, r#""status":200,"statusText":"OK\r\nA: b","#),
                "x.har:3: entry 2: response.statusText: it has a line end or another control character",
            ),
            (
                "an escape in a reason",
                changed(r#""status":200,"#, r#""status":200,"statusText":"\u001b[2J","#),
                "x.har:3: entry 2: response.statusText: it has a line end or another control character",
            ),
            (
                "two lines in a header",
                changed(r#""status":200,"headers":[]"#, r#""status":200,"headers":[{"name":"a","value":"b\r\nc"}]"#),
                "x.har:3: entry 2: response.headers[0].value: it has a line break",
            ),
            (
                "a header of two",
                changed(r#""status":200,"headers":[]"#, r#""status":200,"headers":[{"name":"a: b","value":""}]"#),
                "x.har:3: entry 2: response.headers[0].name: it is no name of a header",
            ),
            (
                "no base64",
                changed(r#""text":"{}""#, r#""text":"{}","encoding":"base64""#),
                "x.har:3: entry 2: response.content.text: not base64: Invalid symbol 123, offset 0.",
            ),
            (
                "another encoding",
                changed(r#""text":"{}""#, r#""text":"{}","encoding":"rot13""#),
                "x.har:3: entry 2: response.content.encoding: `rot13` is not known, base64 is",
            ),
            (
                "chunks too long",
                changed(r#""status":200"#, r#""_chunks":[[0,3]],"status":200"#),
                "x.har:3: entry 2: response._chunks: its chunks have 3 bytes, its text has 2",
            ),
            (
                "chunks of words",
                changed(r#""status":200"#, r#""_chunks":["a"],"status":200"#),
                "x.har:3: entry 2: response._chunks[0]: expected a list of numbers, with more of them",
            ),
            (
                "time before its start",
                changed(r#""status":200"#, r#""_chunks":[[-1,2]],"status":200"#),
                "x.har:3: entry 2: response._chunks[0][0]: expected a time in milliseconds",
            ),
            (
                "another end",
                changed(r#""status":200"#, r#""_end":"soon","status":200"#),
                "x.har:3: entry 2: response._end: expected whole, cut, left or open",
            ),
            (
                "an empty word",
                file(GOOD).replace("\"creator\"", "\"_vars\":{\"a\":\"\"},\"creator\""),
                "x.har:1: log._vars.a: it is empty",
            ),
            ("too deep", file(&"[".repeat(500)), "x.har:1: not a HAR file: recursion limit exceeded"),
        ] {
            let error = read(Path::new("x.har"), text.as_bytes(), &spool).expect_err(row);
            assert_eq!(error.to_string(), want, "{row}");
        }
        let many = r#"{"name":"a","value":""},"#.repeat(MOST_HEADERS) + r#"{"name":"a","value":""}"#;
        let text = changed(r#""status":200,"headers":[]"#, &format!(r#""status":200,"headers":[{many}]"#));
        let error = read(Path::new("x.har"), text.as_bytes(), &spool).expect_err("headers").to_string();
        assert_eq!(error, "x.har:3: entry 2: response.headers: more than a thousand headers");
    }

    #[test]
    fn a_file_of_another_program() {
        let (_place, spool) = spool();
        // As browsers and proxies write: what was packed is unpacked, failures have status 0, some bodies are not kept.
        let entry = |url: &str, status: u16, headers: &str, content: &str| {
            format!(
                r#"{{"startedDateTime":"2026-01-01T00:00:00+01:00","connection":"http","_initiator":{{"type":"other"}},
                "request":{{"method":"GET","url":"{url}","headers":[{{"name":":authority","value":"x"}}]}},
                "response":{{"status":{status},"statusText":"","headers":[{headers}],"content":{{{content}}}}},"timings":{{}}}}"#
            )
        };
        let gzip = r#"{"name":"content-encoding","value":"gzip"},{"name":"Transfer-Encoding","value":"chunked"}"#;
        let entries = [
            entry("http://localhost:2375/v1.41/info?a=b#c", 200, gzip, r#""size":2,"text":"{}""#),
            entry(
                "http+unix://%2Fvar%2Frun%2Fdocker.sock/_ping",
                200,
                "",
                r#""size":2,"text":"T0s=","encoding":"base64""#,
            ),
            entry("https://example.com", 0, "", ""),
            entry("https://example.com/big", 200, "", r#""size":100000"#),
            entry("https://example.com/none", 204, "", r#""size":0"#),
        ];
        let text = format!("\u{feff}{}", file(&entries.join(",\n")));
        let contents = read(Path::new("x.har"), text.as_bytes(), &spool).unwrap();
        let found: Vec<_> = contents.exchanges.iter().map(|e| e.request.target.as_str()).collect();
        assert_eq!(found, ["/v1.41/info?a=b", "/_ping", "/none"]);
        assert_eq!(contents.skipped.len(), 2, "{:?}", contents.skipped);
        assert!(contents.exchanges[0].request.headers.is_empty());
        let answer = contents.exchanges[0].answer.as_ref().unwrap();
        assert_eq!(answer.headers, [("Content-Length".to_owned(), "2".to_owned())]);
        let ping = contents.exchanges[1].answer.as_ref().unwrap();
        assert_eq!(ping.body.bytes.whole(9).unwrap().unwrap(), b"OK");
    }
}

//! What an Engine answers: HTTP, JSON, frames, lines.

use std::sync::{Arc, Mutex};

use longshore::Hangup;
use longshore::engine::types::{ContainerCreate, ExecCreate};
use longshore::engine::{
    Decoder, Engine, Error, EventsQuery, ImageSearchQuery, InspectQuery, JsonLines, LineDecoder, LogsQuery, PullQuery,
    StatsQuery, WaitCondition,
};
use longshore::replay::scripted::{Answer, Scripted};

use crate::harness::fuzz;

/// So many inputs are given to one scripted Engine, which remembers all that it was asked.
const USES: usize = 500;

/// An Engine that answers everything with the input.
struct Mouth {
    input: Arc<Mutex<Vec<u8>>>,
    answer: fn(Vec<u8>) -> Answer,
    scripted: Scripted,
    uses: usize,
}

impl Mouth {
    fn new(answer: fn(Vec<u8>) -> Answer) -> Self {
        let input = Arc::default();
        Self { scripted: scripted(&input, answer), input, answer, uses: 0 }
    }

    /// An Engine to be asked, which will say `input`.
    fn says(&mut self, input: &[u8]) -> Engine {
        input.clone_into(&mut self.input.lock().unwrap());
        self.uses += 1;
        if self.uses.is_multiple_of(USES) {
            self.scripted = scripted(&self.input, self.answer);
        }
        self.scripted.engine()
    }
}

fn scripted(input: &Arc<Mutex<Vec<u8>>>, answer: fn(Vec<u8>) -> Answer) -> Scripted {
    let scripted = Scripted::new().forgiving();
    for path in ["/*", "/*/*", "/*/*/*", "/*/*/*/*"] {
        let input = input.clone();
        scripted.always(format!("* {path}"), move || answer(input.lock().unwrap().clone()));
    }
    for pattern in ["GET /_ping", "HEAD /_ping"] {
        scripted.always(pattern, || Answer::ping("1.41"));
    }
    scripted
}

/// An error must be fit to be shown.
fn told<T>(answer: Result<T, Error>) {
    if let Err(error) = answer {
        let _ = (error.to_string(), error.is_transient(), error.is_not_found(), error.message().map(str::len));
    }
}

fn drained<T: serde::de::DeserializeOwned>(lines: Result<JsonLines<T>, Error>) {
    match lines {
        Ok(mut lines) => while matches!(lines.next_line(), Ok(Some(_))) {},
        Err(error) => told::<()>(Err(error)),
    }
}

fn logs(engine: &Engine, query: &LogsQuery) {
    match engine.container_logs("c", query, &Hangup::new()) {
        Ok(mut logs) => while matches!(logs.next_piece(), Ok(Some(_))) {},
        Err(error) => told::<()>(Err(error)),
    }
}

fn pull(engine: &Engine) {
    match engine.image_create(&PullQuery::new("a", "1"), None, &Hangup::new()) {
        Ok(messages) => messages.take_while(Result::is_ok).for_each(drop),
        Err(error) => told::<()>(Err(error)),
    }
}

/// A call, by the name that stands in the first line of an input.
type Call = (&'static str, fn(&Engine));

const CALLS: &[Call] = &[
    ("version", |engine| told(engine.version())),
    ("info", |engine| told(engine.info())),
    ("container_create", |engine| told(engine.container_create(Some("c"), &ContainerCreate::default()))),
    ("container_inspect", |engine| told(engine.container_inspect("c", &InspectQuery::default()))),
    ("container_list", |engine| told(engine.container_list(&Default::default()))),
    ("container_wait", |engine| told(engine.container_wait("c", WaitCondition::NextExit, &Hangup::new()))),
    ("image_inspect", |engine| told(engine.image_inspect("a:1"))),
    ("image_list", |engine| told(engine.image_list(&Default::default()))),
    ("image_history", |engine| told(engine.image_history("a:1"))),
    ("image_remove", |engine| told(engine.image_remove("a:1", &Default::default()))),
    ("image_prune", |engine| told(engine.image_prune(&Default::default()))),
    ("image_search", |engine| told(engine.image_search("a", &ImageSearchQuery::default()))),
    ("image_create", pull),
    ("image_load", |engine| told(engine.image_load(&b"tar"[..], &Default::default(), &Hangup::new()))),
    ("image_import", |engine| told(engine.image_import(&b"tar"[..], &Default::default(), &Hangup::new()))),
    ("distribution", |engine| told(engine.distribution_inspect("a:1", None))),
    ("exec_create", |engine| told(engine.exec_create("c", &ExecCreate::default()))),
    ("exec_inspect", |engine| told(engine.exec_inspect("e"))),
    ("events", |engine| drained(engine.events(&EventsQuery::default(), &Hangup::new()))),
    ("stats", |engine| drained(engine.container_stats("c", &StatsQuery::default(), &Hangup::new()))),
];

#[test]
fn json() {
    let as_json = |body| Answer::body(200, body).header("Content-Type", "application/json");
    let mut mouth = Mouth::new(as_json);
    fuzz("json", |input| {
        let line = input.iter().position(|&byte| byte == b'\n').unwrap_or(input.len());
        let (name, body) = input.split_at(line);
        let engine = mouth.says(body.get(1..).unwrap_or_default());
        let named = CALLS.iter().filter(|(call, _)| call.as_bytes() == name).collect::<Vec<_>>();
        let calls = if named.is_empty() { CALLS.iter().collect() } else { named };
        calls.iter().for_each(|(_, call)| call(&engine));
    });
}

#[test]
fn http() {
    let mut mouth = Mouth::new(|bytes| Answer::raw(bytes).close());
    fuzz("http", |input| {
        let engine = mouth.says(input);
        told(engine.info());
        logs(&engine, &LogsQuery::new().follow());
        drained(engine.events(&EventsQuery::default(), &Hangup::new()));
        told(engine.container_start("c", &Default::default()));
        if let Ok(mut attached) =
            engine.exec_start("e", &longshore::engine::types::ExecStart::default(), &Hangup::new())
        {
            while matches!(attached.next_piece(), Ok(Some(_))) {}
        }
        // The first that an Engine is asked.
        let scripted = Scripted::new().forgiving();
        for pattern in ["GET /_ping", "HEAD /_ping"] {
            let input = input.to_owned();
            scripted.always(pattern, move || Answer::raw(input.clone()).close());
        }
        told(scripted.engine().api_version());
        told(scripted.engine().ping());
    });
}

/// In one piece or in many: the same frames, or the same mistake.
#[test]
fn frames() {
    let decode = |input: &[u8], size: usize| {
        let (mut decoder, mut payload) = (Decoder::default(), Vec::new());
        for mut piece in input.chunks(size) {
            loop {
                match decoder.next(&mut piece) {
                    Ok(Some(frame)) => payload.extend(frame.bytes.iter().map(|byte| (frame.stream as u8, *byte))),
                    Ok(None) => break,
                    Err(error) => return (payload, error.to_string()),
                }
            }
            assert!(piece.is_empty(), "what is not taken is lost");
        }
        (payload, decoder.end().map_or_else(|error| error.to_string(), |()| "whole".into()))
    };
    let mut mouth = Mouth::new(|body| Answer::body(200, body));
    fuzz("frames", |input| {
        let whole = decode(input, usize::MAX);
        for size in [1, 3, 8, 11] {
            assert_eq!(decode(input, size), whole, "in pieces of {size}");
        }
        let engine = mouth.says(input);
        logs(&engine, &LogsQuery::new());
        logs(&engine, &LogsQuery::new().tty(true));
    });
}

/// In one piece or in many: the same lines, or too long a line.
#[test]
fn lines() {
    let decode = |input: &[u8], size: usize| {
        let (mut decoder, mut lines) = (LineDecoder::default(), Vec::new());
        for piece in input.chunks(size) {
            if decoder.feed(piece).is_err() {
                return None;
            }
            while let Some(line) = decoder.next_line() {
                lines.push(line.to_owned());
            }
        }
        lines.push(decoder.rest().to_owned());
        Some(lines)
    };
    fuzz("lines", |input| {
        let whole = decode(input, usize::MAX);
        for size in [1, 2, 7] {
            assert_eq!(decode(input, size), whole, "in pieces of {size}");
        }
    });
}

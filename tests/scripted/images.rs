//! Calls for images: what is asked, with which credentials, and that no failure in the midst of an answer is taken for
//! its end.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Mutex;
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use longshore::Hangup;
use longshore::engine::types::AuthConfig;
use longshore::engine::{
    Engine, Error, ImageListQuery, ImagePruneQuery, ImageRemoveQuery, ImageSearchQuery, ImportQuery, LoadQuery,
    ProgressStream, PullQuery, PushQuery, SaveQuery,
};
use longshore::replay::scripted::{Answer, Scripted};
use serde_json::json;

const PULL: &str = "POST /images/create";
const PUSH: &str = "POST /images/r.example/web/push";
const DISTRIBUTION: &str = "GET /distribution/r.example/web:1.2/json";
/// What Docker says while it pulls, `\r\n` and all.
const PULLED: &[&str] = &[
    "{\"status\":\"Pulling from web\",\"id\":\"1.2\"}\r\n",
    "{\"status\":\"Pulling fs layer\",\"progressDetail\":{},\"id\":\"c73ab1c6897b\"}\r\n",
    "{\"status\":\"Downloading\",\"progressDetail\":{\"current\":45800,\"total\":4335495},\"progress\":\"[>  ]\",\"id\":\"c73ab1c6897b\"}\r\n",
    "{\"status\":\"Pull complete\",\"progressDetail\":null,\"id\":\"c73ab1c6897b\"}\r\n",
    "{\"status\":\"Digest: sha256:1234\"}\r\n{\"status\":\"Status: Downloaded newer image for r.example/web:1.2\"}\r\n",
];

fn pulling() -> Answer {
    PULLED.iter().fold(Answer::chunked(200), |answer, text| answer.chunk(text))
}

fn query() -> PullQuery {
    PullQuery::new("r.example/web", "1.2")
}

fn auth(password: &str) -> AuthConfig {
    AuthConfig { username: "anne".into(), password: password.into(), ..AuthConfig::default() }
}

fn pull(engine: &Engine) -> Result<Vec<String>, Error> {
    engine.image_create(&query(), None, &Hangup::new())?.map(|message| Ok(message?.status)).collect()
}

/// Reads until an error comes; an end is none.
fn error_of(mut messages: ProgressStream) -> (usize, Error) {
    let mut count = 0;
    loop {
        match messages.next_message() {
            Ok(Some(_)) => count += 1,
            Ok(None) => panic!("an end after {count} messages"),
            Err(error) => {
                assert!(matches!(messages.next_message(), Ok(None)), "after an error nothing more comes");
                return (count, error);
            }
        }
    }
}

#[test]
fn a_pull_is_read_message_by_message() {
    let scripted = Scripted::unix().unwrap();
    // The second half is not sent before the first has been read.
    let (open, opened) = std::sync::mpsc::channel::<()>();
    let half = Answer::chunked(200).chunk(PULLED[0]);
    let half = half.until(move || opened.try_recv().is_ok());
    scripted.answers(PULL, [PULLED[1..].iter().fold(half, |answer, text| answer.chunk(text)).end()]);
    let query = query().platform("linux/arm64");
    let mut messages = scripted.engine().image_create(&query, None, &Hangup::new()).unwrap();
    let first = messages.next_message().unwrap().unwrap();
    assert_eq!((first.status.as_str(), first.id.as_str()), ("Pulling from web", "1.2"));
    open.send(()).unwrap();
    scripted.poker().poke();
    let rest: Vec<_> = messages.by_ref().map(Result::unwrap).collect();
    assert_eq!(rest.len(), 5);
    let layer = &rest[1];
    assert_eq!((layer.progress_detail.current, layer.progress_detail.total), (45800, 4_335_495));
    assert_eq!(rest[4].status, "Status: Downloaded newer image for r.example/web:1.2");
    assert!(messages.next_message().unwrap().is_none());

    let request = &scripted.requests(PULL)[0];
    assert_eq!(request.parameter("fromImage").as_deref(), Some("r.example/web"));
    assert_eq!(request.parameter("tag").as_deref(), Some("1.2"));
    assert_eq!(request.parameter("platform").as_deref(), Some("linux/arm64"));
    assert_eq!(request.header("X-Registry-Auth"), None);
}

#[test]
fn a_pull_by_digest_asks_for_the_digest() {
    let scripted = Scripted::unix().unwrap();
    scripted.always(PULL, || pulling().end());
    let digest = format!("sha256:{}", "a".repeat(64));
    let query = PullQuery::new("host:5000/a", &digest);
    scripted.engine().image_create(&query, None, &Hangup::new()).unwrap().for_each(|message| drop(message.unwrap()));
    let request = &scripted.requests(PULL)[0];
    assert_eq!(request.parameter("fromImage").as_deref(), Some("host:5000/a"));
    assert_eq!(request.parameter("tag"), Some(digest));
    // Nobody's image is an import.
    let error = scripted.engine().image_create(&PullQuery::default(), None, &Hangup::new()).unwrap_err();
    assert!(matches!(error, Error::Argument { .. }), "{error:?}");
    assert_eq!(scripted.count(PULL), 1);
}

#[test]
fn credentials_are_sent_where_there_are_any() {
    let long = "x".repeat(100_000);
    let nothing = AuthConfig { server_address: "r.example".into(), ..AuthConfig::default() };
    for (row, auth, want) in [
        ("none", None, None),
        ("an address alone", Some(nothing), None),
        (
            "`-` in place of `+`",
            Some(auth("abc>>>def")),
            Some("eyJ1c2VybmFtZSI6ImFubmUiLCJwYXNzd29yZCI6ImFiYz4-PmRlZiJ9"),
        ),
        (
            "padding",
            Some(AuthConfig { username: "test".into(), password: "1234".into(), ..AuthConfig::default() }),
            Some("eyJ1c2VybmFtZSI6InRlc3QiLCJwYXNzd29yZCI6IjEyMzQifQ=="),
        ),
        ("a long token", Some(auth(&long)), Some("")),
    ] {
        let scripted = Scripted::unix().unwrap();
        scripted.always(PULL, || pulling().end());
        let messages = scripted.engine().image_create(&query(), auth.as_ref(), &Hangup::new()).unwrap();
        assert_eq!(messages.map(Result::unwrap).count(), 6, "{row}");
        let request = &scripted.requests(PULL)[0];
        assert_eq!((request.parameter("tag").as_deref(), request.body.len()), (Some("1.2"), 0), "{row}");
        match (request.header("X-Registry-Auth"), want) {
            (Some(header), Some("")) => assert!(header.len() > long.len(), "{row}: {} bytes", header.len()),
            (header, want) => assert_eq!(header, want, "{row}"),
        }
    }
}

#[test]
fn a_pull_that_fails_in_its_answer_is_an_error() {
    for (row, last, want) in [
        ("docker", r#"{"errorDetail":{"message":"toomanyrequests"},"error":"toomanyrequests"}"#, "toomanyrequests"),
        (
            "podman 4.3",
            r#"{"progressDetail":{},"errorDetail":{"message":"connection refused"},"error":"connection refused"}"#,
            "connection refused",
        ),
        ("with a status", r#"{"status":"Pulling","errorDetail":{"message":"no space"}}"#, "no space"),
        ("error alone", r#"{"error":"no space"}"#, "no space"),
        ("a code alone", r#"{"errorDetail":{"code":1}}"#, "no reason given (code 1)"),
        ("nothing in it", r#"{"errorDetail":{},"error":""}"#, "no reason given"),
    ] {
        for more in ["", "\r\n", "\r\n{\"status\":\"Status: Downloaded newer image\"}\r\n"] {
            let scripted = Scripted::unix().unwrap();
            scripted.always(PULL, move || pulling().chunk(last).chunk(more).end());
            let messages = scripted.engine().image_create(&query(), None, &Hangup::new()).unwrap();
            let (count, error) = error_of(messages);
            assert_eq!(count, 6, "{row}");
            assert!(matches!(error, Error::Stream { .. }), "{row}: {error:?}");
            assert_eq!(error.to_string(), format!("POST /images/create: {want}"), "{row}");
        }
    }
}

#[test]
fn a_pull_that_is_cut_is_an_error() {
    let body = PULLED.concat();
    let whole = || Answer::body(200, body.as_bytes());
    let (head, size) = (whole().size() - body.len(), whole().size());
    // With a length: every cut, at the end of a message too.
    for cut in (head..size).step_by(7).chain([head + PULLED[0].len(), size - 1]) {
        let scripted = Scripted::unix().unwrap();
        scripted.answers(PULL, [whole().cut(cut)]);
        let (_, error) = error_of(scripted.engine().image_create(&query(), None, &Hangup::new()).unwrap());
        assert!(matches!(error, Error::Disconnected { .. }), "with a length, after {cut} of {size}: {error:?}");
        assert!(error.is_unreachable() && error.is_transient());
    }
    // In chunks: in the midst of a message, between two, after the last, and within the end itself.
    let cuts = [
        ("a message", Answer::chunked(200).chunk(PULLED[0]).chunk(&PULLED[2][..40]).close()),
        ("between two", Answer::chunked(200).chunk(PULLED[0]).chunk(PULLED[1]).close()),
        ("after the last", pulling().close()),
        ("within the end", pulling().send("0\r\n").close()),
        ("within a chunk", Answer::chunked(200).chunk(PULLED[0]).send("ff\r\n{\"status\"").close()),
    ];
    for (row, answer) in cuts {
        let scripted = Scripted::unix().unwrap();
        scripted.answers(PULL, [answer]);
        let (_, error) = error_of(scripted.engine().image_create(&query(), None, &Hangup::new()).unwrap());
        assert!(matches!(error, Error::Disconnected { .. }), "{row}: {error:?}");
    }
    // An answer that ends well within a message, or is none.
    for (row, text) in
        [("half a message", "{\"status\":\"Pull"), ("no message", "Bad Gateway\n"), ("a text", "\"no\"\n")]
    {
        let scripted = Scripted::unix().unwrap();
        scripted.answers(PULL, [pulling().chunk(text).end()]);
        let (_, error) = error_of(scripted.engine().image_create(&query(), None, &Hangup::new()).unwrap());
        assert!(matches!(error, Error::Decode { .. }), "{row}: {error:?}");
    }
}

#[test]
fn a_pull_that_is_refused_says_why() {
    for (row, answer, status, message) in [
        ("docker", Answer::error(404, "manifest for web:1.2 not found"), 404, "manifest for web:1.2 not found"),
        ("denied", Answer::error(500, "Head \"https://r\": denied"), 500, "Head \"https://r\": denied"),
        (
            "podman 5.4",
            Answer::chunked(500).chunk("{\"message\":\"connection refused\"}\n").end(),
            500,
            "connection refused",
        ),
        ("a proxy", Answer::body(503, "no Engine").header("Content-Type", "text/plain"), 503, "no Engine"),
    ] {
        let scripted = Scripted::unix().unwrap();
        scripted.answers(PULL, [answer]);
        let error = pull(&scripted.engine()).unwrap_err();
        assert_eq!((error.status(), error.message()), (Some(status), Some(message)), "{row}");
        assert_eq!(error.is_not_found(), status == 404, "{row}");
        assert_eq!(scripted.count(PULL), 1, "{row}: it is not asked again");
    }
}

#[test]
fn a_hang_up_ends_a_silent_pull() {
    for (row, answer) in [
        ("before its head", (|| Answer::nothing().hold()) as fn() -> Answer),
        ("after its head", || Answer::chunked(200).hold()),
        ("in a message", || pulling().chunk("{\"status\"").hold()),
        ("before its end", || pulling().hold()),
    ] {
        let scripted = Scripted::unix().unwrap();
        scripted.always(PULL, answer);
        let (engine, hangup) = (scripted.engine(), Hangup::new());
        let pulling = {
            let hangup = hangup.clone();
            thread::spawn(move || {
                let mut messages = engine.image_create(&query(), Some(&auth("p")), &hangup)?;
                messages.try_for_each(|message| message.map(drop))
            })
        };
        scripted.wait_for("it pulls", |state| state.count(PULL) == 1);
        thread::sleep(Duration::from_millis(20));
        let begun = Instant::now();
        hangup.hang_up();
        let error = pulling.join().unwrap().unwrap_err();
        assert!(error.is_hung_up(), "{row}: {error:?}");
        assert!(begun.elapsed() < Duration::from_secs(1), "{row}: {:?}", begun.elapsed());
    }
}

#[test]
fn a_pull_has_no_deadline_and_ends_where_it_is_dropped() {
    let scripted = Scripted::unix().unwrap();
    let late = Duration::from_millis(300);
    let answer =
        Answer::nothing().pause(late).and(Answer::chunked(200).chunk(PULLED[0]).pause(late).chunk(PULLED[1]).hold());
    scripted.answers(PULL, [answer]);
    let engine = crate::kit::engine_within(&scripted, Duration::from_millis(100));
    let mut messages = engine.image_create(&query(), None, &Hangup::new()).unwrap();
    assert!(messages.next_message().unwrap().is_some());
    assert!(messages.next_message().unwrap().is_some());
    let open = scripted.state().open();
    drop(messages);
    scripted.wait_for("its connection is closed", move |state| state.open() < open);
}

/// What `ureq_proto` logs of the bytes that pass it, by thread: rows of 16.
struct Rows(Mutex<HashMap<ThreadId, String>>);

impl log::Log for Rows {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let text = record.args().to_string();
        let shown = if record.target() == "ureq_proto::util" { &text[text.len() - 16..] } else { &text };
        self.0.lock().unwrap().entry(thread::current().id()).or_default().push_str(shown);
    }

    fn flush(&self) {}
}

#[test]
fn credentials_are_in_no_log() {
    let rows: &Rows = Box::leak(Box::new(Rows(Mutex::default())));
    log::set_logger(rows).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let scripted = Scripted::unix().unwrap();
    scripted.always(PULL, || pulling().end());
    scripted.always(PUSH, || Answer::chunked(200).end());
    scripted.always(DISTRIBUTION, || Answer::json(200, &json!({"Descriptor": {"digest": "sha256:1"}})));
    let (engine, hangup, auth) = (scripted.engine(), Hangup::new(), auth("hunter2hunter2hunter2"));
    engine.image_create(&query(), Some(&auth), &hangup).unwrap().for_each(drop);
    engine.image_push("r.example/web", &PushQuery::new("1.2"), Some(&auth), &hangup).unwrap().for_each(drop);
    engine.distribution_inspect("r.example/web:1.2", Some(&auth)).unwrap();
    log::set_max_level(log::LevelFilter::Off);

    let logged = rows.0.lock().unwrap();
    // That the paths are there shows that the header would be.
    for path in ["/images/create?fromImage=r.example", "/images/r.example/web/push?tag=1.2", "/distribution/r.example"]
    {
        assert!(logged.values().any(|text| text.contains(path)), "{path}");
    }
    for pattern in [PULL, PUSH, DISTRIBUTION] {
        let request = &scripted.requests(pattern)[0];
        let header = request.header("X-Registry-Auth").unwrap();
        for secret in [&header[..24], &header[header.len() - 24..], "hunter2"] {
            assert!(!logged.values().any(|text| text.contains(secret)), "{pattern}: {secret}");
        }
    }
    for shown in [format!("{auth:?}"), format!("{engine:?}")] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn a_push_always_says_who_pushes() {
    for (row, auth, want) in [
        ("nobody", None, "e30="),
        ("an empty one", Some(AuthConfig::default()), "e30="),
        ("somebody", Some(auth("abc>>>def")), "eyJ1c2VybmFtZSI6ImFubmUiLCJwYXNzd29yZCI6ImFiYz4-PmRlZiJ9"),
    ] {
        let scripted = Scripted::unix().unwrap();
        let said = "{\"status\":\"Pushed\",\"id\":\"a1\"}\r\n{\"aux\":{\"Tag\":\"1.2\",\"Digest\":\"sha256:1\",\"Size\":9}}\r\n";
        scripted.answers(PUSH, [Answer::chunked(200).chunk(said).end()]);
        let messages =
            scripted.engine().image_push("r.example/web", &PushQuery::new("1.2"), auth.as_ref(), &Hangup::new());
        let messages: Vec<_> = messages.unwrap().map(Result::unwrap).collect();
        assert_eq!(messages[0].status, "Pushed");
        assert_eq!(messages[1].aux.as_ref().unwrap()["Digest"], "sha256:1");
        let request = &scripted.requests(PUSH)[0];
        assert_eq!(request.header("X-Registry-Auth"), Some(want), "{row}");
        assert_eq!((request.parameter("tag").as_deref(), request.body.len()), (Some("1.2"), 0), "{row}");
    }
    // Docker's way to say that it is not there, and podman's.
    let scripted = Scripted::unix().unwrap();
    let text = "An image does not exist locally with the tag: r.example/web";
    let failure = json!({"errorDetail": {"message": text}, "error": text}).to_string();
    let docker = Answer::chunked(200).chunk("{\"status\":\"The push refers to…\"}\r\n").chunk(failure).end();
    scripted.answers(PUSH, [docker, Answer::error(404, "image not known")]);
    let push = || scripted.engine().image_push("r.example/web", &PushQuery::default(), None, &Hangup::new());
    let (count, error) = error_of(push().unwrap());
    assert_eq!((count, error.message()), (1, Some(text)));
    assert!(push().unwrap_err().is_not_found());
    assert_eq!(scripted.requests(PUSH)[0].parameter("tag"), None);
}

#[test]
fn what_is_loaded_or_imported_is_told_or_it_is_not() {
    let id = format!("sha256:{}", "e7".repeat(32));
    let scripted = Scripted::unix().unwrap();
    let (engine, hangup) = (scripted.engine(), Hangup::new());
    for (row, body, want) in [
        ("docker", format!("{{\"status\":\"{id}\"}}\r\n"), Ok(())),
        (
            "podman",
            format!("{{\"status\":\"{id}\",\"progress\":\"\",\"progressDetail\":{{}},\"id\":\"{id}\"}}\n"),
            Ok(()),
        ),
        ("more after it", format!("{{\"status\":\"{id}\"}}\r\n{{\"status\":\"Done\"}}\r\n"), Ok(())),
        ("nothing", String::new(), Err("decode")),
        ("no id", "{\"status\":\"Importing\"}\r\n".into(), Err("decode")),
        ("an empty one", "{\"status\":\"\"}\n{}\n".into(), Err("decode")),
        ("a code alone", format!("{{\"status\":\"{id}\"}}\r\n{{\"errorDetail\":{{\"code\":1}}}}"), Err("stream")),
    ] {
        let text = body.clone();
        scripted.answers(PULL, [Answer::chunked(200).chunk(body).end()]);
        let imported = engine.image_import(&b"archive"[..], &ImportQuery::new(), &hangup);
        match (imported, want) {
            (Ok(imported), Ok(())) => assert_eq!(imported, id, "{row}"),
            (Err(Error::Decode { source, .. }), Err("decode")) => {
                assert!(source.to_string().contains("status"), "{row}")
            }
            (Err(Error::Stream { message, .. }), Err("stream")) => assert_eq!(message, "no reason given (code 1)"),
            (other, _) => panic!("{row}: {text}: {other:?}"),
        }
    }

    const LOAD: &str = "POST /images/load";
    let layer = r#"{"status":"Loading layer","progressDetail":{"current":5,"total":9},"id":"a1"}"#;
    let load = || Answer::chunked(200).chunk(layer).chunk("\r\n").chunk("{\"stream\":\"Loaded image: a:b\\n\"}\r\n");
    scripted.answers(
        LOAD,
        [load().end(), load().end(), load().close(), load().chunk("{\"errorDetail\":{\"code\":1}}").end()],
    );
    assert_eq!(engine.image_load(&b"x"[..], &LoadQuery::default(), &hangup).unwrap(), ["Loaded image: a:b"]);
    let mut messages = engine.image_load_messages(&b"x"[..], &LoadQuery::default(), &hangup).unwrap();
    assert_eq!(messages.next_message().unwrap().unwrap().progress_detail.current, 5);
    assert_eq!(messages.next_message().unwrap().unwrap().stream, "Loaded image: a:b\n");
    assert!(messages.next_message().unwrap().is_none());
    let error = engine.image_load(&b"x"[..], &LoadQuery::default(), &hangup).unwrap_err();
    assert!(matches!(error, Error::Disconnected { .. }), "{error:?}");
    let error = engine.image_load(&b"x"[..], &LoadQuery::default(), &hangup).unwrap_err();
    assert_eq!(error.message(), Some("no reason given (code 1)"));
}

/// An archive: what is in it does not matter, its end does.
fn archive() -> Vec<u8> {
    let mut archive = b"files".repeat(60_000);
    archive.extend([0; 10240]);
    archive
}

const ONE: &str = "GET /images/h:5000/a/b@sha256:1/get";
const SOME: &str = "GET /images/get";

#[test]
fn images_are_saved_as_they_come() {
    let bytes = archive();
    let scripted = Scripted::unix().unwrap();
    for answer in [
        Answer::body(200, bytes.clone()),
        Answer::chunked(200).chunk(&bytes[..100_000]).chunk(&bytes[100_000..]).end(),
        Answer::chunked(200).chunk(&bytes).end().in_pieces(7000, Duration::ZERO),
        Answer::raw("HTTP/1.1 200 OK\r\n\r\n").send(bytes.clone()).close(),
    ] {
        scripted.answers(ONE, [answer]);
        let (engine, mut to) = (scripted.engine(), Vec::new());
        let length =
            engine.image_save(&["h:5000/a/b@sha256:1"], &SaveQuery::default(), &mut to, &Hangup::new()).unwrap();
        assert_eq!(length, bytes.len() as u64);
        assert!(to == bytes);
    }
    scripted.answers(SOME, [Answer::body(200, bytes.clone())]);
    let (engine, names) = (scripted.engine(), vec!["a:1".to_owned(), "h:5000/b".to_owned()]);
    engine.image_save(&names, &SaveQuery::default(), &mut Vec::new(), &Hangup::new()).unwrap();
    assert_eq!(scripted.requests(SOME)[0].query, "names=a%3A1&names=h%3A5000%2Fb");
    for names in [&[][..], &[""], &["a", ""]] {
        let error = engine.image_save(names, &SaveQuery::default(), &mut Vec::new(), &Hangup::new()).unwrap_err();
        assert!(matches!(error, Error::Argument { .. }), "{names:?}: {error:?}");
    }
}

#[test]
fn an_archive_that_has_no_end_is_no_success() {
    let bytes = archive();
    let docker = "{\"errorDetail\":{\"message\":\"no space left\"},\"error\":\"no space left\"}\r\n";
    let half = || Answer::chunked(200).chunk(&bytes[..100_000]);
    for (row, answer, want) in [
        ("cut in chunks", half().close(), "disconnected"),
        ("cut with a length", Answer::body(200, bytes.clone()).cut(100_000), "disconnected"),
        (
            "cut where it ends by close",
            Answer::raw("HTTP/1.1 200 OK\r\n\r\n").send(&bytes[..100_000]).close(),
            "protocol",
        ),
        ("nothing at all", Answer::body(200, ""), "protocol"),
        ("half", half().end(), "protocol"),
        ("docker's error in it", half().chunk(docker).end(), "no space left"),
        ("docker's error after it", Answer::chunked(200).chunk(&bytes).chunk(docker).end(), "no space left"),
        ("a refusal", Answer::error(404, "No such image: a:1"), "No such image: a:1"),
    ] {
        let scripted = Scripted::unix().unwrap();
        scripted.answers("GET /images/a:1/get", [answer]);
        let (engine, mut to) = (scripted.engine(), Vec::new());
        let error = engine.image_save(&["a:1"], &SaveQuery::default(), &mut to, &Hangup::new()).unwrap_err();
        let told = match &error {
            Error::Disconnected { .. } => "disconnected",
            Error::Protocol { .. } => "protocol",
            error => error.message().unwrap(),
        };
        assert_eq!(told, want, "{row}: {error:?}");
        assert_eq!(error.is_not_found(), row == "a refusal");
    }
}

/// Takes so much, and then no more.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.min(bytes.len()) {
            0 => Err(io::Error::new(io::ErrorKind::StorageFull, "the disk is full")),
            taken => {
                self.0 -= taken;
                Ok(taken)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.0 == 1 { Err(io::Error::other("not flushed")) } else { Ok(()) }
    }
}

#[test]
fn what_cannot_be_written_is_told_as_that() {
    let bytes = archive();
    for (room, want) in [(0, "the disk is full"), (70_000, "the disk is full"), (bytes.len() + 1, "not flushed")] {
        let (scripted, body) = (Scripted::unix().unwrap(), bytes.clone());
        // Whatever else it would send is not waited for.
        let held = move || Answer::chunked(200).chunk(&body).end();
        scripted.always("GET /images/a/get", held);
        let engine = scripted.engine();
        let error = engine.image_save(&["a"], &SaveQuery::default(), &mut Full(room), &Hangup::new()).unwrap_err();
        assert!(matches!(&error, Error::Write { source, .. } if source.to_string() == want), "{room}: {error:?}");
        assert_eq!(error.to_string(), "GET /images/a/get: cannot write what came");
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), want);
        assert!(!error.is_transient() && !error.is_unreachable());
    }
}

#[test]
fn a_hang_up_ends_a_push_a_save_and_a_load() {
    type Call = fn(&Engine, &Hangup) -> Result<(), Error>;
    let calls: [(&str, Call); 3] = [
        (PUSH, |engine, hangup| {
            engine
                .image_push("r.example/web", &PushQuery::default(), None, hangup)?
                .try_for_each(|message| message.map(drop))
        }),
        ("GET /images/a/get", |engine, hangup| {
            engine.image_save(&["a"], &SaveQuery::default(), &mut io::sink(), hangup).map(drop)
        }),
        ("POST /images/load", |engine, hangup| engine.image_load(&b"x"[..], &LoadQuery::default(), hangup).map(drop)),
    ];
    for (pattern, call) in calls {
        let scripted = Scripted::unix().unwrap();
        scripted.always(pattern, || Answer::chunked(200).chunk("{}\n").hold());
        let (engine, hangup) = (scripted.engine(), Hangup::new());
        let called = {
            let hangup = hangup.clone();
            thread::spawn(move || call(&engine, &hangup))
        };
        scripted.wait_for("it is asked", |state| state.count(pattern) == 1);
        let begun = Instant::now();
        hangup.hang_up();
        let error = called.join().unwrap().unwrap_err();
        assert!(error.is_hung_up() && begun.elapsed() < Duration::from_secs(1), "{pattern}: {error:?}");
    }
}

#[test]
fn what_an_engine_says_of_images_has_nulls() {
    let scripted = Scripted::unix().unwrap();
    let engine = scripted.engine();
    const HISTORY: &str = "GET /images/a:1/history";
    let podman =
        json!([{"Id": "1", "Created": 5, "CreatedBy": "ADD x", "Tags": null, "Size": 7, "Comment": null}, null]);
    scripted.answers(HISTORY, [Answer::json(200, &podman), Answer::body(200, "null"), Answer::error(404, "no")]);
    let history = engine.image_history("a:1").unwrap();
    assert_eq!((history[0].created_by.as_str(), history[0].size, history[0].tags.len()), ("ADD x", 7, 0));
    assert_eq!((history.len(), engine.image_history("a:1").unwrap().len()), (2, 0));
    assert!(engine.image_history("a:1").unwrap_err().is_not_found());

    const PRUNE: &str = "POST /images/prune";
    let pruned = json!({"ImagesDeleted": [{"Untagged": "a:1"}, {"Deleted": "sha256:1"}], "SpaceReclaimed": 1_982_282});
    scripted.answers(
        PRUNE,
        [Answer::json(200, &pruned), Answer::body(200, r#"{"ImagesDeleted":null,"SpaceReclaimed":0}"#)],
    );
    let pruned = engine.image_prune(&ImagePruneQuery::new().all().filter("until", "1h")).unwrap();
    assert_eq!((pruned.images_deleted[1].deleted.as_str(), pruned.space_reclaimed), ("sha256:1", 1_982_282));
    assert!(engine.image_prune(&ImagePruneQuery::new()).unwrap().images_deleted.is_empty());
    let [first, second] = &scripted.requests(PRUNE)[..] else { panic!("two") };
    assert_eq!(first.parameter("filters").as_deref(), Some(r#"{"dangling":["false"],"until":["1h"]}"#));
    assert_eq!(second.parameter("filters"), None);

    const SEARCH: &str = "GET /images/search";
    let found = json!([
        {"star_count": 3416, "is_official": true, "name": "busybox", "is_automated": false, "description": "Small."},
        {"name": "a/b", "description": null, "star_count": null, "is_official": null},
    ]);
    scripted
        .answers(SEARCH, [Answer::json(200, &found), Answer::body(200, "null"), Answer::error(500, "no such host")]);
    let query = ImageSearchQuery::new().limit(3).filter("stars", "2");
    let found = engine.image_search("busy box", &query).unwrap();
    assert_eq!((found[0].star_count, found[0].is_official, found[1].description.as_str()), (3416, true, ""));
    assert!(engine.image_search("x", &ImageSearchQuery::new()).unwrap().is_empty());
    assert_eq!(engine.image_search("x", &ImageSearchQuery::new()).unwrap_err().status(), Some(500));
    assert!(matches!(engine.image_search("", &ImageSearchQuery::new()).unwrap_err(), Error::Argument { .. }));
    let request = &scripted.requests(SEARCH)[0];
    assert_eq!(request.query, "term=busy%20box&limit=3&filters=%7B%22stars%22%3A%5B%222%22%5D%7D");

    scripted.answers(
        "GET /images/json",
        [Answer::json(200, &json!([{"Id": "sha256:1", "RepoTags": null, "Labels": null}]))],
    );
    let list = engine.image_list(&ImageListQuery::new().filter("dangling", "true")).unwrap();
    assert!(list[0].id == "sha256:1" && list[0].repo_tags.is_empty());
    let request = &scripted.requests("GET /images/json")[0];
    assert_eq!(request.parameter("filters").as_deref(), Some(r#"{"dangling":["true"]}"#));
}

#[test]
fn an_image_without_an_id_is_none() {
    let scripted = Scripted::unix().unwrap();
    let engine = scripted.engine();
    for body in ["{}", "null", r#"{"Id":""}"#, r#"{"Id":null,"RepoTags":["a:1"]}"#] {
        scripted.answers("GET /images/a:1/json", [Answer::body(200, body)]);
        let error = engine.image_inspect("a:1").unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        let names_it = source.contains("missing field `Id`") || body == "null";
        assert!(matches!(error, Error::Decode { .. }) && names_it, "{body}: {error:?}");
        scripted.answers(DISTRIBUTION, [Answer::body(200, body)]);
        let error = engine.distribution_inspect("r.example/web:1.2", None).unwrap_err();
        assert!(matches!(error, Error::Decode { .. }), "{body}: {error:?}");
    }
}

#[test]
fn a_registry_is_asked_through_the_engine() {
    let scripted = Scripted::unix().unwrap();
    let engine = scripted.engine();
    let platform = json!({"architecture": "arm", "os": "linux", "variant": "v7", "os.version": null});
    let descriptor = json!({"mediaType": "application/x", "digest": "sha256:1", "size": 529});
    let answer = || Answer::json(200, &json!({"Descriptor": descriptor, "Platforms": [platform]}));
    scripted.answers(DISTRIBUTION, [answer(), answer(), Answer::error(401, "unauthorized")]);
    for auth in [None, Some(auth("p"))] {
        let inspect = engine.distribution_inspect("r.example/web:1.2", auth.as_ref()).unwrap();
        assert_eq!((inspect.descriptor.digest.as_str(), inspect.descriptor.size), ("sha256:1", 529));
        assert_eq!((inspect.platforms[0].variant.as_str(), inspect.platforms[0].os_version.as_str()), ("v7", ""));
        let requests = scripted.requests(DISTRIBUTION);
        assert_eq!(requests.last().unwrap().header("X-Registry-Auth").is_some(), auth.is_some());
    }
    assert_eq!(engine.distribution_inspect("r.example/web:1.2", None).unwrap_err().status(), Some(401));
    // What was asked with credentials does not go out again with another request.
    scripted.answers("GET /images/json", [Answer::body(200, "[]")]);
    engine.image_list(&ImageListQuery::new()).unwrap();
    assert_eq!(scripted.requests("GET /images/json")[0].header("X-Registry-Auth"), None);
}

#[test]
fn an_image_is_named_as_it_is_written() {
    let digest = format!("sha256:{}", "ab".repeat(32));
    let scripted = Scripted::unix().unwrap();
    let engine = scripted.engine();
    for name in ["busybox", "h:5000/a/b:1.2", &format!("h:5000/a@{digest}"), &format!("a:1@{digest}"), &digest, "ab12"]
    {
        let (removal, tagging) = (format!("DELETE /images/{name}"), format!("POST /images/{name}/tag"));
        scripted.answers(&removal, [Answer::body(200, r#"[{"Untagged":"a:1"},{"Deleted":"sha256:1"}]"#)]);
        scripted.answers(&tagging, [Answer::body(201, "\n")]);
        let removed = engine.image_remove(name, &ImageRemoveQuery { force: true, ..ImageRemoveQuery::default() });
        let removed = removed.unwrap();
        assert_eq!((removed[0].untagged.as_str(), removed[1].deleted.as_str()), ("a:1", "sha256:1"));
        engine.image_tag(name, "h:5000/c", "1").unwrap();
        assert_eq!(scripted.requests(&removal)[0].query, "force=1");
        assert_eq!(scripted.requests(&tagging)[0].query, "repo=h%3A5000%2Fc&tag=1");
    }
    for name in ["", "a/../b", "a//b", "/a", "."] {
        let error = engine.image_remove(name, &ImageRemoveQuery::default()).unwrap_err();
        assert!(matches!(error, Error::Argument { .. }), "{name}: {error:?}");
    }
    assert!(matches!(engine.image_tag("a", "", "1").unwrap_err(), Error::Argument { .. }));
}

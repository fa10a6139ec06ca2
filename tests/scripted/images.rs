//! Calls for images: what is asked, with which credentials, and that no failure in the midst of an answer is taken for
//! its end.

use std::thread;
use std::time::{Duration, Instant};

use longshore::Hangup;
use longshore::engine::types::AuthConfig;
use longshore::engine::{Engine, Error, ProgressStream, PullQuery};
use longshore::replay::scripted::{Answer, Scripted};

const PULL: &str = "POST /images/create";
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

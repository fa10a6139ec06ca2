//! A hang-up from another thread ends whatever a call is blocked in; a closed latch refuses new calls; a stop is not cut.

use std::io::{Read, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use longshore::Hangup;
use longshore::engine::{Engine, Error, InspectQuery, LoadQuery, LogsQuery, StopQuery, Stopped, WaitCondition};
use longshore::replay::scripted::{Answer, Scripted};
use serde_json::json;

use crate::kit::{engine_within, frame};

/// A call that blocks, the request that shows that it is under way, and how it is answered.
type Blocked = (&'static str, &'static str, fn() -> Answer, fn(&Engine, &Hangup) -> Result<(), Error>);

fn wait(engine: &Engine, hangup: &Hangup) -> Result<(), Error> {
    engine.container_wait("a", WaitCondition::NotRunning, hangup).map(drop)
}

fn logs(engine: &Engine, hangup: &Hangup) -> Result<(), Error> {
    let mut logs = engine.container_logs("a", &LogsQuery::new().follow(), hangup)?;
    while logs.next_piece()?.is_some() {}
    Ok(())
}

fn inspect(engine: &Engine, hangup: &Hangup) -> Result<(), Error> {
    engine.with(hangup).container_inspect("a", &InspectQuery::default()).map(drop)
}

const BLOCKED: &[Blocked] = &[
    ("a wait, after its head", "POST /containers/a/wait", || Answer::chunked(200).hold(), wait),
    ("a wait, before its head", "POST /containers/a/wait", || Answer::nothing().hold(), wait),
    ("a follow", "GET /containers/a/logs", || Answer::chunked(200).chunk(frame(1, b"x\n")).hold(), logs),
    (
        "a follow within a frame",
        "GET /containers/a/logs",
        || Answer::chunked(200).chunk(&frame(1, b"x\n")[..9]).hold(),
        logs,
    ),
    ("a follow that ends by close", "GET /containers/a/logs", || Answer::raw("HTTP/1.1 200 OK\r\n\r\n").hold(), logs),
    ("a follow, before its head", "GET /containers/a/logs", || Answer::nothing().hold(), logs),
    ("an ordinary call, before its head", "GET /containers/a/json", || Answer::nothing().hold(), inspect),
    ("an ordinary call, in its head", "GET /containers/a/json", || Answer::raw("HTTP/1.1 2").hold(), inspect),
    ("an ordinary call, in its body", "GET /containers/a/json", || Answer::chunked(200).chunk("{").hold(), inspect),
];

#[test]
fn a_hang_up_ends_what_is_blocked() {
    for (name, request, answer, call) in BLOCKED {
        let scripted = Scripted::unix().unwrap();
        scripted.always(*request, answer);
        let (engine, hangup) = (scripted.engine(), Hangup::new());
        let parent = Hangup::new();
        let under = parent.child();
        let threads = [hangup.clone(), under].map(|latch| {
            let engine = engine.clone();
            thread::spawn(move || (call(&engine, &latch), Instant::now()))
        });
        scripted.wait_for("both are under way", |state| state.count(request) == 2);
        let begun = Instant::now();
        hangup.hang_up();
        parent.hang_up();
        for thread in threads {
            let (result, ended) = thread.join().unwrap();
            assert!(result.as_ref().is_err_and(Error::is_hung_up), "{name}: {result:?}");
            assert!(ended - begun < Duration::from_secs(1), "{name}: {:?}", ended - begun);
        }
        assert_eq!(scripted.count(request), 2, "{name}: nothing is asked again");
        // A closed latch lets nothing through.
        let connections = scripted.state().connections();
        let result = call(&engine, &hangup);
        assert!(result.as_ref().is_err_and(Error::is_hung_up), "{name}, again: {result:?}");
        assert_eq!(scripted.count(request), 2, "{name}: no new call");
        assert!(scripted.state().connections() <= connections + 1, "{name}");
        engine.ping().unwrap();
    }
}

#[test]
fn a_hang_up_ends_an_upload_that_nobody_reads() {
    struct Endless(Arc<AtomicBool>);
    impl Read for Endless {
        fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
            self.0.store(true, Ordering::SeqCst);
            buf.fill(0);
            Ok(buf.len())
        }
    }
    let path = std::env::temp_dir().join(crate::support::unique("longshore-deaf"));
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let engine = Engine::with_config(
        longshore::Endpoint::Unix(path.clone()),
        longshore::engine::EngineConfig {
            api_version: Some(longshore::engine::ApiVersion::new(1, 41)),
            ..Default::default()
        },
    );
    let (hangup, sent) = (Hangup::new(), Arc::new(AtomicBool::new(false)));
    let uploading = {
        let (hangup, sent) = (hangup.clone(), sent.clone());
        thread::spawn(move || engine.image_load(Endless(sent), &LoadQuery::default(), &hangup))
    };
    // It says what it speaks, and is deaf from then on.
    let (mut pinged, _) = listener.accept().unwrap();
    pinged.write_all(b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK").unwrap();
    let _deaf = listener.accept().unwrap();
    crate::support::eventually(Duration::from_secs(5), "it sends", || sent.load(Ordering::SeqCst));
    let begun = Instant::now();
    hangup.hang_up();
    let error = uploading.join().unwrap().unwrap_err();
    std::fs::remove_file(&path).unwrap();
    assert!(error.is_hung_up(), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[test]
fn a_stop_outlives_deadlines_and_hang_ups() {
    let scripted = Scripted::unix().unwrap();
    let gate = Arc::new(AtomicBool::new(false));
    let open = gate.clone();
    scripted.answers(
        "POST /containers/*/stop",
        [Answer::nothing().until(move || open.load(Ordering::SeqCst)).send("HTTP/1.1 204 No Content\r\n\r\n")],
    );
    let (engine, hangup) = (engine_within(&scripted, Duration::from_millis(100)), Hangup::new());
    let under = engine.with(&hangup);
    let begun = Instant::now();
    let stopping = thread::spawn(move || under.container_stop("a", &StopQuery::default()));
    scripted.wait_for("it is asked", |state| state.count("POST /containers/a/stop") == 1);
    hangup.hang_up();
    // An ordinary call that takes longer than its deadline shows that the stop has outlived its own.
    scripted.answers("GET /containers/*/json", [Answer::nothing().hold()]);
    assert!(engine.container_inspect("a", &InspectQuery::default()).unwrap_err().is_timeout());
    assert!(begun.elapsed() >= Duration::from_millis(100));
    assert!(!stopping.is_finished());
    gate.store(true, Ordering::SeqCst);
    scripted.poker().poke();
    assert_eq!(stopping.join().unwrap().unwrap(), Stopped::Now);
}

#[test]
fn a_stop_has_the_deadline_that_it_is_given() {
    let scripted = Scripted::unix().unwrap();
    scripted.always("POST /containers/*/stop", || Answer::nothing().hold());
    let query = StopQuery { deadline: Some(Duration::from_millis(200)), ..StopQuery::default() };
    let begun = Instant::now();
    let error = scripted.engine().container_stop("a", &query).unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(190) && took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn a_wait_and_a_follow_have_no_deadline() {
    let scripted = Scripted::unix().unwrap();
    let late = Duration::from_millis(400);
    let waited = Answer::nothing().pause(late).and(Answer::json(200, &json!({"StatusCode": 4})));
    scripted.answers("POST /containers/*/wait", [waited]);
    let followed = Answer::chunked(200).chunk(frame(1, b"x\n")).pause(late).chunk(frame(1, b"y\n")).end();
    scripted.answers("GET /containers/*/logs", [Answer::nothing().pause(late).and(followed)]);
    let engine = engine_within(&scripted, Duration::from_millis(100));
    let waited = engine.container_wait("a", WaitCondition::NotRunning, &Hangup::new()).unwrap();
    assert_eq!(waited.status_code, 4);
    let mut logs = engine.container_logs("a", &LogsQuery::new().follow(), &Hangup::new()).unwrap();
    let mut pieces = 0;
    while logs.next_piece().unwrap().is_some() {
        pieces += 1;
    }
    assert_eq!(pieces, 2);
}

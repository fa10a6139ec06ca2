//! Kept connections: used again, never in a way that does a thing twice or mixes up two answers.

use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use longshore::Hangup;
use longshore::engine::types::ContainerCreate;
use longshore::engine::{Engine, EngineConfig, Error, InspectQuery, LogsQuery};
use longshore::replay::scripted::{Answer, Scripted};
use serde_json::json;

use crate::kit::{Named, engine_within, frame};
use crate::support::unique;

const CREATE: &str = "POST /containers/create";
const INSPECT: &str = "GET /containers/*/json";

fn created() -> Answer {
    Answer::json(201, &json!({"Id": "c1", "Warnings": null}))
}

/// Answers an inspect with the id that was asked for.
fn same_id(request: &longshore::replay::scripted::Request) -> Answer {
    let id = request.path.split('/').nth(2).unwrap();
    Answer::json(200, &json!({ "Id": id }))
}

fn create(engine: &Engine, name: &str) -> Result<String, Error> {
    engine.container_create(Some(name), &ContainerCreate::default()).map(|created| created.id)
}

fn inspect(engine: &Engine, id: &str) -> Result<String, Error> {
    engine.container_inspect(id, &InspectQuery::default()).map(|inspect| inspect.id)
}

#[test]
fn a_connection_is_used_again() {
    let scripted = Scripted::unix().unwrap();
    let engine = scripted.engine();
    for _ in 0..50 {
        engine.ping().unwrap();
    }
    assert_eq!((scripted.count("GET /_ping"), scripted.state().connections()), (50, 1));
}

#[test]
fn a_connection_that_the_engine_closed_while_it_was_idle_is_not_used_again() {
    for scripted in [Scripted::unix().unwrap(), Scripted::tcp().unwrap()] {
        scripted.on(INSPECT, |request| Some(same_id(request).close()));
        scripted.always(CREATE, || created().close());
        let engine = scripted.engine();
        engine.ping().unwrap();
        for round in 0..20 {
            assert_eq!(inspect(&engine, "a").unwrap(), "a", "round {round}");
            scripted.wait_for("it is closed", |state| state.open() == 0);
            assert_eq!(create(&engine, "b").unwrap(), "c1", "round {round}");
            scripted.wait_for("it is closed", |state| state.open() == 0);
        }
        assert_eq!((scripted.count(INSPECT), scripted.count(CREATE)), (20, 20));
    }
}

#[test]
fn fifty_creates_are_fifty_containers() {
    let scripted = Scripted::unix().unwrap();
    scripted.always(CREATE, || created().close());
    let engine = scripted.engine();
    engine.ping().unwrap();
    // At once, so that some meet a connection that is just being closed: those may fail, and are never done twice.
    let failed = (0..50).filter(|n| create(&engine, &format!("quick{n}")).is_err()).count();
    let received = scripted.count(CREATE);
    assert!(received >= 50 - failed && received <= 50, "{received} received, {failed} failed");
    let mut names: Vec<_> = scripted.requests(CREATE).iter().map(|r| r.query.clone()).collect();
    names.dedup();
    assert_eq!(names.len(), received, "each once, in order");
    // After each close has come to pass none may fail.
    for n in 0..50 {
        // The ping's is kept.
        scripted.wait_for("it is closed", |state| state.open() <= 1);
        create(&engine, &format!("name{n}")).unwrap_or_else(|e| panic!("create {n}: {e}"));
    }
    assert_eq!(scripted.count(CREATE), received + 50);
}

#[test]
fn a_create_that_was_read_is_not_repeated() {
    let answers: [Named; 3] = [
        ("no answer", || Answer::nothing().close()),
        ("half a head", || Answer::raw("HTTP/1.1 201 Cre").close()),
        ("half a body", || created().cut(95)),
    ];
    for kept in [false, true] {
        for (name, answer) in answers {
            let scripted = Scripted::unix().unwrap();
            scripted.answers(CREATE, [answer()]);
            let engine = scripted.engine();
            let error = match kept {
                // The ping before it leaves a kept connection.
                true => create(&engine, "b").unwrap_err(),
                false => {
                    scripted.always("GET /_ping", || Answer::ping("1.41").close());
                    engine.api_version().unwrap();
                    scripted.wait_for("it is closed", |state| state.open() == 0);
                    create(&engine, "b").unwrap_err()
                }
            };
            assert!(matches!(error, Error::Disconnected { .. }), "{name}: {error:?}");
            assert_eq!(scripted.count(CREATE), 1, "{name}, kept: {kept}");
        }
    }
}

#[test]
fn a_read_that_broke_is_repeated_once() {
    let scripted = Scripted::unix().unwrap();
    scripted.on(INSPECT, |request| Some(same_id(request)));
    scripted.answers(INSPECT, [Answer::nothing().close()]);
    let engine = scripted.engine();
    assert_eq!(inspect(&engine, "a").unwrap(), "a");
    assert_eq!(scripted.count(INSPECT), 2);
    scripted.answers(INSPECT, [Answer::nothing().close(), Answer::raw("HTTP/1.").close()]);
    let error = inspect(&engine, "a").unwrap_err();
    assert!(matches!(error, Error::Disconnected { .. }), "{error:?}");
    assert_eq!(scripted.count(INSPECT), 4);
}

#[test]
fn a_late_answer_is_never_another_calls() {
    let whole = json!({"Id": "late"}).to_string();
    let length = whole.len();
    for sent_in_time in [0, 10, 60] {
        let scripted = Scripted::unix().unwrap();
        scripted.on(INSPECT, |request| Some(same_id(request)));
        let gate = Arc::new(AtomicBool::new(false));
        let late = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{whole}");
        let (early, rest) = late.split_at(sent_in_time.min(late.len() - 4));
        let open = gate.clone();
        let answer = Answer::raw(early).until(move || open.load(Ordering::SeqCst)).send(rest);
        scripted.answers("GET /containers/late/json", [answer]);
        let engine = engine_within(&scripted, Duration::from_millis(700));
        engine.ping().unwrap();
        let error = inspect(&engine, "late").unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
        gate.store(true, Ordering::SeqCst);
        scripted.poker().poke();
        for id in ["a", "b", "c"] {
            assert_eq!(inspect(&engine, id).unwrap(), id, "after {sent_in_time} bytes in time");
        }
        let other = scripted.requests("GET /containers/a/json")[0].connection;
        let late = scripted.requests("GET /containers/late/json")[0].connection;
        assert_ne!(other, late, "that connection is given up");
    }
}

#[test]
fn an_engine_that_wants_to_close_is_believed() {
    let scripted = Scripted::unix().unwrap();
    // It says that it will close, and does not: no answer may wait for it.
    scripted.always("GET /_ping", || Answer::ping("1.41").header("Connection", "close").hold());
    let engine = scripted.engine();
    let begun = Instant::now();
    for _ in 0..5 {
        engine.ping().unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(scripted.state().connections(), 5, "none is used again");
    scripted.wait_for("none is kept", |state| state.open() == 0);
}

#[test]
fn an_engine_that_takes_no_connection_is_given_up() {
    let path = std::env::temp_dir().join(unique("longshore-full"));
    let listener = UnixListener::bind(&path).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let _queued = UnixStream::connect(&path).unwrap();
    let config = EngineConfig { connect_timeout: Duration::from_millis(200), ..EngineConfig::default() };
    let engine = Engine::with_config(format!("unix://{}", path.display()).parse().unwrap(), config);
    let begun = Instant::now();
    let error = engine.ping().unwrap_err();
    let took = begun.elapsed();
    std::fs::remove_file(&path).unwrap();
    match &error {
        Error::Connect { source, .. } => assert_eq!(source.kind(), std::io::ErrorKind::TimedOut),
        other => panic!("{other:?}"),
    }
    assert!(took >= Duration::from_millis(150) && took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn streams_that_were_dropped_are_closed() {
    let scripted = Scripted::unix().unwrap();
    scripted.always("GET /containers/*/logs", || Answer::chunked(200).chunk(frame(1, b"hello\n")).hold());
    let (engine, hangup) = (scripted.engine(), Hangup::new());
    engine.ping().unwrap();
    let before = scripted.state().open();
    for n in 0..1000 {
        let mut logs = engine.container_logs("a", &LogsQuery::new().follow(), &hangup).unwrap();
        // Some unread, some read in part.
        if n % 2 == 0 {
            assert_eq!(logs.next_piece().unwrap().unwrap().bytes, b"hello\n");
        }
        drop(logs);
        if n % 100 == 99 {
            scripted.wait_for("as many are open as before", |state| state.open() == before);
        }
    }
    assert_eq!(scripted.count("GET /containers/*/logs"), 1000);
}

#[test]
fn three_hundred_follows_do_not_delay_a_stop() {
    let scripted = Scripted::unix().unwrap();
    scripted.always("GET /containers/*/logs", || Answer::chunked(200).chunk(frame(1, b"hello\n")).hold());
    scripted.always("POST /containers/*/stop", || Answer::empty(204));
    let (engine, hangup) = (scripted.engine(), Hangup::new());
    let mut follows = Vec::new();
    for _ in 0..300 {
        follows.push(engine.container_logs("a", &LogsQuery::new().follow(), &hangup).unwrap());
    }
    let begun = Instant::now();
    engine.container_stop("a", &Default::default()).unwrap();
    engine.ping().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(scripted.state().open() >= 300);
    drop(follows);
}

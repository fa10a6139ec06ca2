//! One exchange: connections kept and closed, answers late, cut and foreign, and how a call is ended from outside.

use std::thread;
use std::time::{Duration, Instant};

use longshore::Hangup;
use longshore::engine::types::ContainerCreate;
use longshore::engine::{Engine, EngineConfig, Error, LoadQuery, LogsQuery, StopQuery, WaitCondition};
use serde_json::json;

use crate::engine::{Answer, Scripted, eventually, pong};

const MS: fn(u64) -> Duration = Duration::from_millis;

fn created() -> Answer {
    Answer::status(201, r#"{"Id":"c","Warnings":null}"#)
}

fn create(engine: &Engine) -> Result<(), Error> {
    engine.container_create(Some("x"), &ContainerCreate::default()).map(drop)
}

#[test]
fn a_connection_is_kept() {
    let scripted = Scripted::new(|_| pong());
    let engine = scripted.engine();
    for _ in 0..20 {
        engine.ping().unwrap();
    }
    assert_eq!((scripted.requests().len(), scripted.connections()), (20, 1));
}

#[test]
fn an_engine_that_closes_after_each_answer_creates_each_thing_once() {
    let scripted = Scripted::new(|request| match request.line().as_str() {
        "GET /_ping" => pong().close(),
        _ => created().close(),
    });
    let engine = scripted.engine();
    for _ in 0..50 {
        create(&engine).unwrap();
    }
    assert_eq!(scripted.count("POST /containers/create"), 50);
}

#[test]
fn what_only_reads_is_asked_again_and_what_creates_is_not() {
    let scripted = Scripted::new(|request| match request.line().as_str() {
        "GET /_ping" => pong(),
        _ if request.before == 0 => Answer::raw("").close(),
        "POST /containers/create" => created(),
        _ => Answer::json(&json!({"Id": "c"})),
    });
    let engine = scripted.engine();
    assert!(matches!(create(&engine), Err(Error::Disconnected { .. })));
    assert_eq!(scripted.count("POST /containers/create"), 1);
    engine.container_inspect("c", &Default::default()).unwrap();
    assert_eq!(scripted.count("GET /containers/c/json"), 2);
}

#[test]
fn a_late_answer_is_not_taken_for_the_next_ones() {
    let scripted = Scripted::new(|request| match request.path.as_str() {
        "/_ping" => pong(),
        "/containers/slow/json" => Answer::json(&json!({"Id": "slow"})).after(MS(400)),
        _ => Answer::json(&json!({"Id": "quick"})),
    });
    let engine = scripted.engine_with(EngineConfig { call_timeout: MS(100), ..EngineConfig::default() });
    let error = engine.container_inspect("slow", &Default::default()).unwrap_err();
    assert!(error.is_timeout() && error.to_string().contains("/containers/slow/json"), "{error}");
    for _ in 0..5 {
        assert_eq!(engine.container_inspect("quick", &Default::default()).unwrap().id, "quick");
        thread::sleep(MS(100)); // The late answer comes meanwhile.
    }
}

#[test]
fn bodies_of_every_kind() {
    let body = r#"{"Id":"c"}"#;
    let scripted = Scripted::new(move |request| match request.path.as_str() {
        "/_ping" => pong(),
        "/containers/length/json" => Answer::status(200, body),
        "/containers/chunked/json" => Answer::chunk(body.as_bytes(), true),
        "/containers/closed/json" => Answer::stream(body.as_bytes()),
        "/containers/dribbled/json" => Answer::status(200, body).dribbled(MS(1)),
        "/containers/cut-chunk/json" => Answer::chunk(body.as_bytes(), false),
        "/containers/cut-length/json" => {
            Answer::raw(format!("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{body}")).close()
        }
        "/containers/cut-head/json" => Answer::raw("HTTP/1.1 200 OK\r\nContent-Le").close(),
        "/containers/garbage/json" => Answer::raw("hello, who is there?\r\n\r\n").close(),
        "/containers/huge-head/json" => {
            Answer::raw(format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(100_000))).close()
        }
        "/containers/not-json/json" => Answer::status(200, "<html>"),
        _ => Answer::error(404, "page not found"),
    });
    let engine = scripted.engine();
    for id in ["length", "chunked", "closed", "dribbled"] {
        assert_eq!(engine.container_inspect(id, &Default::default()).unwrap().id, "c", "{id}");
    }
    for id in ["cut-chunk", "cut-length", "cut-head", "garbage", "huge-head", "not-json"] {
        let error = engine.container_inspect(id, &Default::default()).unwrap_err();
        let right = match id {
            "not-json" => matches!(error, Error::Decode { .. }),
            _ => matches!(error, Error::Disconnected { .. } | Error::Protocol { .. }),
        };
        assert!(right, "{id}: {error:?}");
    }
}

#[test]
fn a_deadline_holds_whatever_comes() {
    let scripted = Scripted::new(|request| match request.path.as_str() {
        "/_ping" => pong(),
        "/containers/never/json" => Answer::never(),
        _ => Answer::status(200, &format!("{:1000}", "{}")).dribbled(MS(20)),
    });
    let engine = scripted.engine_with(EngineConfig { call_timeout: MS(300), ..EngineConfig::default() });
    for id in ["never", "dribbled"] {
        let begun = Instant::now();
        let error = engine.container_inspect(id, &Default::default()).unwrap_err();
        assert!(error.is_timeout() && error.is_transient(), "{id}: {error:?}");
        assert!(begun.elapsed() >= MS(300) && begun.elapsed() < MS(2000), "{id}: {:?}", begun.elapsed());
    }
}

#[test]
fn a_listener_that_takes_no_connection_is_given_up() {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, connect, listen, socket};
    let path = std::env::temp_dir().join(format!("longshore-full-{}.sock", std::process::id()));
    let address = SocketAddrUnix::new(&path).unwrap();
    let listener = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    bind(&listener, &address).unwrap();
    listen(&listener, 0).unwrap();
    let waiting = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    connect(&waiting, &address).unwrap(); // Now its queue is full.
    let config = EngineConfig { connect_timeout: MS(200), ..EngineConfig::default() };
    let begun = Instant::now();
    let error = Engine::with_config(format!("unix://{}", path.display()).parse().unwrap(), config).ping().unwrap_err();
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    assert!(begun.elapsed() < MS(2000), "{:?}", begun.elapsed());
}

#[test]
fn a_hang_up_ends_whatever_is_blocked() {
    let scripted = Scripted::new(|request| match request.path.as_str() {
        "/_ping" => pong(),
        // A head, and then nothing.
        "/containers/head/wait" | "/containers/head/logs" => {
            Answer::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").hang()
        }
        _ => Answer::never(),
    });
    let engine = scripted.engine();
    engine.api_version().unwrap();
    type Blocked = fn(&Engine, &Hangup) -> Error;
    let calls: [(&str, Blocked); 5] = [
        ("wait before its head", |e, h| e.container_wait("never", WaitCondition::NotRunning, h).unwrap_err()),
        ("wait after it", |e, h| e.container_wait("head", WaitCondition::NotRunning, h).unwrap_err()),
        ("logs before their head", |e, h| e.container_logs("never", &LogsQuery::new().follow(), h).unwrap_err()),
        ("logs after it", |e, h| match e.container_logs("head", &LogsQuery::new().follow(), h) {
            Ok(mut logs) => logs.next_piece().unwrap_err(),
            Err(error) => error,
        }),
        ("an ordinary call", |e, h| e.with(h).container_inspect("never", &Default::default()).unwrap_err()),
    ];
    for (name, call) in calls {
        let (hangup, before) = (Hangup::new(), scripted.requests().len());
        let blocked = {
            let (engine, hangup) = (engine.clone(), hangup.clone());
            thread::spawn(move || call(&engine, &hangup))
        };
        eventually("the request came", || scripted.requests().len() > before);
        let begun = Instant::now();
        hangup.hang_up();
        let error = blocked.join().unwrap();
        assert!(error.is_hung_up(), "{name}: {error:?}");
        assert!(begun.elapsed() < MS(1000), "{name}: {:?}", begun.elapsed());
        assert!(call(&engine, &hangup).is_hung_up(), "{name}: a closed latch takes no call");
    }
}

#[test]
fn a_stop_outlives_every_timeout_and_hang_up() {
    let scripted = Scripted::new(|request| match request.path.as_str() {
        "/_ping" => pong(),
        _ => Answer::status(204, "").after(MS(600)),
    });
    let engine = scripted.engine_with(EngineConfig { call_timeout: MS(100), ..EngineConfig::default() });
    let hangup = Hangup::new();
    let stopping = {
        let engine = engine.with(&hangup);
        thread::spawn(move || {
            engine.container_stop("c", &StopQuery { timeout: Some(MS(3700)), ..StopQuery::default() })
        })
    };
    eventually("the stop came", || scripted.count("POST /containers/c/stop") == 1);
    hangup.hang_up();
    assert!(stopping.join().unwrap().is_ok());
    assert_eq!(scripted.requests().last().unwrap().query, "t=3");
    let error = engine.container_stop("c", &StopQuery { deadline: Some(MS(100)), ..StopQuery::default() }).unwrap_err();
    assert!(error.is_timeout(), "its own deadline holds: {error:?}");
}

#[test]
fn many_follows_delay_no_other_call_and_leave_no_descriptor() {
    let scripted = Scripted::new(|request| match request.path.as_str() {
        "/_ping" => pong(),
        "/containers/c/stop" => Answer::status(304, ""),
        _ => Answer::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").hang(),
    });
    let (engine, hangup) = (scripted.engine(), Hangup::new());
    let follows: Vec<_> =
        (0..100).map(|_| engine.container_logs("c", &LogsQuery::new().follow(), &hangup).unwrap()).collect();
    let begun = Instant::now();
    engine.container_stop("c", &StopQuery::default()).unwrap();
    assert!(begun.elapsed() < MS(1000), "{:?}", begun.elapsed());
    let ours = |path: &str| {
        std::fs::read_dir("/proc/self/fd")
            .unwrap()
            .flatten()
            .filter(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to.to_string_lossy().contains(path)))
            .count()
    };
    let open = ours("socket:");
    drop(follows);
    // The script's ends close when they see ours do.
    eventually("the sockets are closed", || ours("socket:") + 100 <= open);
}

#[test]
fn an_error_names_call_object_status_and_the_engines_words() {
    let scripted = Scripted::new(|request| match request.path.as_str() {
        "/_ping" => pong(),
        "/containers/podman/json" => Answer::status(500, r#"{"cause":"x","message":"no luck: x","response":500}"#),
        "/containers/text/json" => {
            Answer::raw("HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nNot Found")
        }
        "/images/load" => Answer::chunk(
            b"{\"stream\":\"a\"}\r\n{\"errorDetail\":{\"message\":\"bad archive\"},\"error\":\"bad archive\"}\r\n",
            true,
        ),
        _ => Answer::error(409, "it is paused"),
    });
    let engine = scripted.engine();
    for (id, status, words) in [("a", 409, "it is paused"), ("podman", 500, "no luck: x"), ("text", 404, "Not Found")] {
        let error = engine.container_inspect(id, &Default::default()).unwrap_err();
        assert_eq!((error.status(), error.message()), (Some(status), Some(words)));
        assert_eq!(error.call().unwrap().operation, "container_inspect");
        assert_eq!(error.to_string(), format!("GET /containers/{id}/json: {words} ({status})"));
    }
    let error = engine.image_load(&b"x"[..], &LoadQuery::default(), &Hangup::new()).unwrap_err();
    assert!(matches!(&error, Error::Stream { message, .. } if message == "bad archive"), "{error:?}");
    assert_eq!(scripted.requests().last().unwrap().body, b"x");
}

//! What an answer must be for its call to have been done: its status, its size, and that it says something.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use longshore::engine::{
    Engine, Error, EventsQuery, ImageListQuery, ImageRemoveQuery, ImportQuery, InspectQuery, KillQuery, ListQuery,
    LoadQuery, LogsQuery, PullQuery, PushQuery, RemoveQuery, ResizeQuery, StartQuery, StatsQuery, StopQuery,
    WaitCondition,
};
use longshore::replay::scripted::{Answer, Scripted};
use longshore::{Endpoint, Hangup};
use serde_json::json;

use crate::kit::Named;
use crate::support::unique;

type Call = fn(&Engine, &Hangup) -> Result<(), Error>;

/// Calls of every kind: by pattern, and the status below 400, beside 2xx, that is a yes to them.
const CALLS: [(&str, Option<u16>, Call); 20] = [
    ("POST /containers/*/start", Some(304), |e, _| e.container_start("a", &StartQuery::default()).map(drop)),
    ("POST /containers/*/stop", Some(304), |e, _| e.container_stop("a", &StopQuery::default()).map(drop)),
    ("POST /containers/*/kill", None, |e, _| e.container_kill("a", &KillQuery::default())),
    ("DELETE /containers/*", None, |e, _| e.container_remove("a", &RemoveQuery::default())),
    ("POST /containers/create", None, |e, _| e.container_create(None, &Default::default()).map(drop)),
    ("GET /containers/*/json", None, |e, _| e.container_inspect("a", &InspectQuery::default()).map(drop)),
    ("GET /containers/json", None, |e, _| e.container_list(&ListQuery::new()).map(drop)),
    ("POST /containers/*/wait", None, |e, h| e.container_wait("a", WaitCondition::NotRunning, h).map(drop)),
    ("GET /containers/*/logs", None, |e, h| e.container_logs("a", &LogsQuery::new(), h).map(drop)),
    ("GET /containers/*/stats", None, |e, h| e.container_stats("a", &StatsQuery::once(), h).map(drop)),
    ("GET /events", None, |e, h| e.events(&EventsQuery::new(), h).map(drop)),
    ("POST /images/load", None, |e, h| e.image_load(&b"tar"[..], &LoadQuery::default(), h).map(drop)),
    ("POST /images/create", None, |e, h| e.image_create(&PullQuery::new("a", "1"), None, h).map(drop)),
    ("POST /images/*/push", None, |e, h| e.image_push("a", &PushQuery::new("1"), None, h).map(drop)),
    ("DELETE /images/*", None, |e, _| e.image_remove("a", &ImageRemoveQuery::default()).map(drop)),
    ("POST /exec/*/start", Some(101), |e, h| {
        e.exec_start("a", &longshore::engine::types::ExecStart::default(), h).map(drop)
    }),
    ("GET /exec/*/json", None, |e, _| e.exec_inspect("a").map(drop)),
    ("GET /_ping", None, |e, _| e.ping().map(drop)),
    ("GET /version", None, |e, _| e.version().map(drop)),
    ("GET /info", None, |e, _| e.info().map(drop)),
];

#[test]
fn a_status_that_a_call_does_not_have_is_no_yes() {
    for (pattern, also, call) in CALLS {
        for status in [101, 300, 301, 302, 303, 304, 307, 308, 399, 600] {
            let scripted = Scripted::unix().unwrap();
            let engine = scripted.engine();
            engine.api_version().unwrap();
            let answer = move || match status {
                101 => Answer::upgrade(),
                304 => Answer::empty(304),
                _ => Answer::body(status, "moved").header("Location", "http://elsewhere/"),
            };
            scripted.always(pattern, answer);
            let before = scripted.count(pattern);
            let result = call(&engine, &Hangup::new());
            match also == Some(status) {
                true => result.unwrap_or_else(|e| panic!("{pattern}, {status}: {e}")),
                false => assert_eq!(result.unwrap_err().status(), Some(status), "{pattern}"),
            }
            assert_eq!(
                scripted.count(pattern),
                before + 1,
                "{pattern}, {status}: nothing is asked again, or elsewhere"
            );
        }
    }
}

#[test]
fn a_refusal_whose_body_stalls_or_breaks_is_that_refusal() {
    let bodies: [(Named, u16, &str); 8] = [
        (("a byte of many", || Answer::raw("HTTP/1.1 404 No\r\nContent-Length: 100\r\n\r\nn").hold()), 404, "n"),
        (("no length, and no end", || Answer::raw("HTTP/1.1 409 No\r\n\r\nno").hold()), 409, "no"),
        (("a chunk without an end", || Answer::chunked(500).chunk(r#"{"message":"ill"}"#).hold()), 500, "ill"),
        (("no body at all", || Answer::raw("HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\n").hold()), 403, "no reason"),
        (("a body that was cut", || Answer::raw("HTTP/1.1 404 No\r\nContent-Length: 9\r\n\r\nno").close()), 404, "no"),
        (("broken chunks", || Answer::chunked(502).chunk("bad").send("zz\r\n").close()), 502, ""),
        (("one that dribbles", || Answer::chunked(500).and(dribble())), 500, "xx"),
        (("a redirection", || Answer::raw("HTTP/1.1 302 No\r\nContent-Length: 9\r\n\r\nlo").hold()), 302, "lo"),
    ];
    thread::scope(|scope| {
        for ((name, answer), status, words) in bodies {
            for (pattern, _, call) in CALLS {
                scope.spawn(move || {
                    let scripted = Scripted::unix().unwrap();
                    let engine = scripted.engine();
                    engine.api_version().unwrap();
                    scripted.always(pattern, answer);
                    let before = scripted.count(pattern);
                    let begun = Instant::now();
                    let error = call(&engine, &Hangup::new()).unwrap_err();
                    assert!(begun.elapsed() < Duration::from_secs(9), "{pattern}, {name}: {:?}", begun.elapsed());
                    assert_eq!(error.status(), Some(status), "{pattern}, {name}: {error:?}");
                    let message = error.message().unwrap();
                    assert!(message.starts_with(words), "{pattern}, {name}: {message}");
                    assert_eq!(scripted.count(pattern), before + 1, "{pattern}, {name}");
                });
            }
        }
    });
}

fn dribble() -> Answer {
    (0..100).fold(Answer::nothing(), |answer, _| answer.chunk("x").pause(Duration::from_millis(500)))
}

#[test]
fn a_hang_up_ends_the_body_of_a_refusal() {
    let scripted = Scripted::unix().unwrap();
    scripted.always("GET /containers/*/logs", || Answer::raw("HTTP/1.1 409 No\r\n\r\nno").hold());
    let (engine, hangup) = (scripted.engine(), Hangup::new());
    let other = hangup.clone();
    let logs = thread::spawn(move || engine.container_logs("a", &LogsQuery::new(), &other).map(drop));
    scripted.wait_for("it is asked", |state| state.count("GET /containers/*/logs") == 1);
    hangup.hang_up();
    let begun = Instant::now();
    assert!(logs.join().unwrap().unwrap_err().is_hung_up());
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

/// An Engine that begins an answer and repeats a part of it without end; and counts what is taken of it.
struct Endless {
    path: PathBuf,
    taken: Arc<AtomicUsize>,
}

impl Endless {
    fn new(begin: &str, part: &str) -> Self {
        let path = std::env::temp_dir().join(unique("longshore-endless"));
        let listener = UnixListener::bind(&path).unwrap();
        let taken = Arc::<AtomicUsize>::default();
        let (counter, begin, part) = (taken.clone(), begin.to_owned(), part.repeat(64 * 1024 / part.len()));
        let body = format!("{:x}\r\n{part}\r\n", part.len());
        // Lives as long as the test program.
        thread::spawn(move || {
            for connection in listener.incoming() {
                let Ok(connection) = connection else { return };
                let (begin, body, counter) = (begin.clone(), body.clone(), counter.clone());
                thread::spawn(move || serve(connection, &begin, &body, &counter));
            }
        });
        Self { path, taken }
    }

    fn engine(&self) -> Engine {
        Engine::connect(Endpoint::Unix(self.path.clone()))
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn serve(mut connection: UnixStream, begin: &str, body: &str, taken: &AtomicUsize) {
    let mut request = vec![0; 8192];
    loop {
        let Ok(length @ 1..) = connection.read(&mut request) else { return };
        if request[..length].starts_with(b"GET /_ping") {
            let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK");
            continue;
        }
        let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{begin}\r\n", begin.len());
        let _ = connection.write_all(head.as_bytes());
        // 210 MB, if anybody takes them.
        for _ in 0..3_300 {
            if connection.write_all(body.as_bytes()).is_err() {
                return;
            }
            taken.fetch_add(body.len(), Ordering::SeqCst);
        }
        return;
    }
}

/// What a socket may hold beyond what was read.
const IN_FLIGHT: usize = 1024 * 1024;

#[test]
fn an_answer_larger_than_its_call_can_need_is_refused() {
    const KIB: usize = 1024;
    const MIB: usize = 1024 * KIB;
    type Row = (&'static str, &'static str, &'static str, usize, Call);
    let rows: [Row; 8] = [
        ("version", "{\"Components\":[{}", ",{}", 64 * KIB, |e, _| e.version().map(drop)),
        ("info", "{\"Warnings\":[\"\"", ",\"\"", 8 * MIB, |e, _| e.info().map(drop)),
        ("exec", "{\"ProcessConfig\":{\"arguments\":[\"", "xxxx", 8 * MIB, |e, _| e.exec_inspect("a").map(drop)),
        ("inspect", "{\"Id\":\"a\",\"Mounts\":[{}", ",{}", 8 * MIB, |e, _| {
            e.container_inspect("a", &InspectQuery::default()).map(drop)
        }),
        ("start", "{\"message\":\"", "x", 64 * KIB, |e, _| e.container_start("a", &StartQuery::default()).map(drop)),
        ("list", "[{}", ",{\"Id\":\"a\"}", 32 * MIB, |e, _| e.container_list(&ListQuery::new()).map(drop)),
        ("images", "[\"", "xxxx", 32 * MIB, |e, _| e.image_list(&ImageListQuery::default()).map(drop)),
        ("a message", "{\"status\":\"", "xxxx", MIB, |e, h| e.events(&EventsQuery::new(), h)?.next_line().map(drop)),
    ];
    for (row, begin, part, bound, call) in rows {
        let endless = Endless::new(begin, part);
        let error = call(&endless.engine(), &Hangup::new()).unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{row}: {error:?}");
        let taken = endless.taken.load(Ordering::SeqCst);
        assert!(taken <= bound + IN_FLIGHT, "{row}: {taken} bytes");
        assert!(taken + IN_FLIGHT >= bound, "{row}: {taken} bytes");
    }
}

#[test]
fn an_answer_that_says_that_it_is_too_large_is_not_read() {
    let scripted = Scripted::unix().unwrap();
    scripted.always("GET /version", || Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 210000000\r\n\r\n{").hold());
    let begun = Instant::now();
    let error = scripted.engine().version().unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn small_bytes_that_become_much_memory_are_refused() {
    let scripted = Scripted::unix().unwrap();
    let many = |begin: &str, part: &str, count: usize, end: &str| format!("{begin}{}{end}", part.repeat(count));
    let list = many("[{}", ",{}", 2_000_000, "]");
    let mounts = many("{\"Id\":\"a\",\"Mounts\":[{}", ",{}", 500_000, "]}");
    scripted.answers("GET /containers/json", [Answer::body(200, list)]);
    scripted.answers("GET /containers/*/json", [Answer::body(200, mounts)]);
    let engine = scripted.engine();
    let listed = engine.container_list(&ListQuery::new()).map(drop);
    let inspected = engine.container_inspect("a", &InspectQuery::default()).map(drop);
    for error in [listed, inspected] {
        assert!(matches!(error, Err(Error::Protocol { .. })), "{error:?}");
    }
    // Ten thousand containers are a list.
    let label = json!({"org.example.description": "x".repeat(500), "a": "b", "c": "d"});
    let port = json!({"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"});
    let container = json!({
        "Id": "a".repeat(64), "Names": ["/a"], "Image": "i", "ImageID": "b".repeat(64), "Command": "c", "Created": 1,
        "Ports": [port, port], "Labels": label, "State": "running", "Status": "Up", "HostConfig": {"NetworkMode": "n"},
        "NetworkSettings": {"Networks": {"n": {"Gateway": "g", "IPAddress": "1"}}}, "Mounts": [{"Type": "bind"}],
    });
    scripted.answers("GET /containers/json", [Answer::json(200, &vec![container; 10_000])]);
    assert_eq!(engine.container_list(&ListQuery::new()).unwrap().len(), 10_000);
}

#[test]
fn texts_for_people_are_cut() {
    let long = "x".repeat(50_000);
    let scripted = Scripted::unix().unwrap();
    let message = long.clone();
    scripted.always("GET /containers/json", move || Answer::error(500, &message));
    scripted.always("GET /containers/b/json", {
        let long = long.clone();
        move || Answer::json(200, &json!({"Id": "b", "State": {"Error": long, "ExitCode": 127}}))
    });
    let odd = long.clone();
    scripted.always("GET /containers/a/json", move || Answer::json(200, &json!({"Id": "a", "SizeRw": odd})));
    let inner = long.clone();
    scripted.always("POST /images/load", move || {
        Answer::chunked(200).chunk(json!({"errorDetail": {"message": inner}}).to_string()).end()
    });
    scripted.always("GET /containers/*/logs", move || Answer::body(200, long.clone()));
    let engine = scripted.engine();
    let logs = engine.container_logs("a", &LogsQuery::new(), &Hangup::new());
    for (row, error) in [
        ("a refusal", engine.container_list(&ListQuery::new()).map(drop)),
        ("a value", engine.container_inspect("a", &InspectQuery::default()).map(drop)),
        ("a message", engine.image_load(&b"tar"[..], &LoadQuery::default(), &Hangup::new()).map(drop)),
        ("words", logs.and_then(|mut logs| logs.next_piece().map(drop))),
    ] {
        let error = error.unwrap_err();
        let shown =
            format!("{error} {}", std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default());
        assert!(shown.len() < 2_300, "{row}: {} bytes", shown.len());
    }
    assert!(engine.container_state("b").unwrap().error.len() < 2_100);
    assert!(engine.container_inspect("b", &InspectQuery::default()).unwrap().state.error.len() < 2_100);
}

#[test]
fn an_answer_that_says_nothing_is_none() {
    type Rows = [(&'static str, u16, Call); 9];
    let rows: Rows = [
        ("GET /version", 200, |e, _| e.version().map(drop)),
        ("GET /info", 200, |e, _| e.info().map(drop)),
        ("GET /events", 200, |e, h| e.events(&EventsQuery::new(), h)?.next_line().map(drop)),
        ("GET /images/*/json", 200, |e, _| e.image_inspect("a").map(drop)),
        ("POST /images/load", 200, |e, h| e.image_load(&b"tar"[..], &LoadQuery::default(), h).map(drop)),
        ("POST /images/create", 200, |e, h| e.image_import(&b"tar"[..], &ImportQuery::new(), h).map(drop)),
        ("POST /images/create", 200, |e, h| {
            let mut messages = e.image_create(&PullQuery::new("a", "1"), None, h)?;
            while messages.next_message()?.is_some() {}
            Ok(())
        }),
        ("POST /images/*/push", 200, |e, h| {
            let mut messages = e.image_push("a", &PushQuery::new("1"), None, h)?;
            while messages.next_message()?.is_some() {}
            Ok(())
        }),
        ("POST /containers/*/wait", 200, |e, h| e.container_wait("a", WaitCondition::NotRunning, h).map(drop)),
    ];
    for (pattern, status, call) in rows {
        for body in ["{}", "[]", "[137]", r#"{"message":"no"}"#, r#"{"Id":"","Type":"","status":""}"#, "{}\n{}\n"] {
            let scripted = Scripted::unix().unwrap();
            scripted.always(pattern, move || Answer::body(status, body));
            let error = call(&scripted.engine(), &Hangup::new()).expect_err(body);
            assert!(matches!(error, Error::Decode { .. } | Error::Stream { .. }), "{pattern}, {body}: {error:?}");
        }
    }
    // A failure within a load, by any name.
    for (body, want) in [
        (r#"{"errorDetail":{"code":1}}"#, "no reason given (code 1)"),
        ("{\"stream\":\"Loading\"}\n{\"message\":\"no space\"}", "no space"),
    ] {
        let scripted = Scripted::unix().unwrap();
        scripted.always("POST /images/load", move || Answer::body(200, body));
        let error = scripted.engine().image_load(&b"tar"[..], &LoadQuery::default(), &Hangup::new()).unwrap_err();
        assert_eq!(error.message(), Some(want));
    }
}

/// A proxy's page under a good status: nothing was done.
#[test]
fn a_page_is_no_yes() {
    let rows: [(&str, Call); 8] = [
        ("POST /containers/*/start", |e, _| e.container_start("a", &StartQuery::default()).map(drop)),
        ("POST /containers/*/stop", |e, _| e.container_stop("a", &StopQuery::default()).map(drop)),
        ("POST /containers/*/kill", |e, _| e.container_kill("a", &KillQuery::default())),
        ("DELETE /containers/*", |e, _| e.container_remove("a", &RemoveQuery::default())),
        ("POST /images/*/tag", |e, _| e.image_tag("a", "b", "1")),
        ("DELETE /images/*", |e, _| e.image_remove("a", &ImageRemoveQuery::default()).map(drop)),
        ("POST /exec/*/start", |e, _| e.exec_start_detached("a")),
        ("POST /exec/*/resize", |e, _| e.exec_resize("a", &ResizeQuery { height: 2, width: 2 })),
    ];
    for (pattern, call) in rows {
        for (body, kind, done) in [
            ("<html>Please log in</html>", "text/html", false),
            ("Please log in", "text/plain", false),
            ("{}\n", "application/json", pattern.starts_with("POST") || pattern.contains("containers")),
            (" \n", "text/plain", true),
        ] {
            let scripted = Scripted::unix().unwrap();
            scripted.always(pattern, move || Answer::body(200, body).header("Content-Type", kind));
            let answered = call(&scripted.engine(), &Hangup::new());
            assert_eq!(answered.is_ok(), done, "{pattern}, {body}: {answered:?}");
        }
    }
}

/// Docker says so, in its own form, of a path that it does not know.
#[test]
fn a_path_that_is_not_known_is_no_container_that_is_not_there() {
    for (message, is_not_found) in [("page not found", false), ("No such container: a", true)] {
        let scripted = Scripted::unix().unwrap();
        scripted.always("DELETE /containers/*", move || Answer::error(404, message));
        let error = scripted.engine().container_remove("a", &RemoveQuery::default()).unwrap_err();
        assert_eq!((error.status(), error.is_not_found()), (Some(404), is_not_found), "{message}");
    }
}

#[test]
fn what_cannot_be_an_id_is_none() {
    let long = "b".repeat(30_000);
    for (id, good) in
        [("sha256:0a", true), ("0a", true), (&*long, false), ("a/b", false), ("a b", false), ("\u{1b}", false)]
    {
        let rows: [(&str, Call); 4] = [
            ("POST /containers/create", |e, _| e.container_create(None, &Default::default()).map(drop)),
            ("GET /containers/*/json", |e, _| e.container_inspect("a", &InspectQuery::default()).map(drop)),
            ("POST /containers/*/exec", |e, _| e.exec_create("a", &Default::default()).map(drop)),
            ("GET /images/*/json", |e, _| e.image_inspect("a").map(drop)),
        ];
        for (pattern, call) in rows {
            let scripted = Scripted::unix().unwrap();
            let id = id.to_owned();
            scripted.always(pattern, move || Answer::json(200, &json!({ "Id": id })));
            let answered = call(&scripted.engine(), &Hangup::new());
            assert_eq!(answered.is_ok(), good, "{pattern}: {answered:?}");
            assert!(answered.err().is_none_or(|e| e.to_string().len() < 3000), "{pattern}");
        }
    }
}

/// The form of an odd list that takes most memory: what of it cannot be needed is not taken.
#[test]
fn an_odd_list_is_read_entry_by_entry() {
    let deep = |fields: usize| r#"{"a":"#.repeat(100) + "{}" + &"}".repeat(100) + &r#",{"b":1}"#.repeat(fields);
    let scripted = Scripted::unix().unwrap();
    let wide = format!(r#"{{"Id":"wide","Labels":[{}]}}"#, deep(20_000));
    let body = format!(r#"[7,{{"Id":"a","Labels":{{"x":1}}}},{wide},{}]"#, deep(0));
    scripted.always("GET /containers/json", move || Answer::body(200, &*body));
    let list = scripted.engine().container_list(&ListQuery::new()).unwrap();
    assert_eq!(list.iter().map(|container| &*container.id).collect::<Vec<_>>(), ["a"]);
}

#[test]
fn an_odd_entry_does_not_cost_a_list() {
    let scripted = Scripted::unix().unwrap();
    let containers = json!([
        {"Id": "a", "Labels": {"x": 1, "ours": "yes"}, "State": "running"},
        {"Id": "b", "Ports": [{"PrivatePort": 70000, "Type": "tcp"}, {"PrivatePort": 80}], "State": "exited"},
        {"Id": "", "State": "exited"}, null, 7, [], {}, {"Id": 7},
        {"Id": "c", "Names": ["/c"], "State": "running"},
    ]);
    let images = json!([{"Id": "sha256:1", "RepoTags": "a:1", "Size": "large"}, {"Id": "sha256:2", "Size": 7}, [], {}]);
    scripted.always("GET /containers/json", move || Answer::json(200, &containers));
    scripted.always("GET /images/json", move || Answer::json(200, &images));
    let engine = scripted.engine();
    let list = engine.container_list(&ListQuery::new()).unwrap();
    let ids: Vec<&str> = list.iter().map(|container| container.id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "c"], "an id that is empty is no id");
    assert_eq!((list[0].labels.len(), &*list[0].labels["ours"], &*list[0].state), (1, "yes", "running"));
    assert_eq!((list[1].ports.len(), list[1].ports[1].private_port, &*list[1].state), (2, 80, "exited"));
    let images = engine.image_list(&ImageListQuery::default()).unwrap();
    assert_eq!((images.len(), images[0].size, images[1].size), (2, 0, 7));
}

#[test]
fn a_sample_with_its_id_by_both_names() {
    let scripted = Scripted::unix().unwrap();
    let both = r#"{"read":"2026-11-25T03:39:01Z","id":"a","Id":"a","pids_stats":{"current":3}}"#;
    scripted.always("GET /containers/*/stats", move || Answer::body(200, both));
    let mut samples = scripted.engine().container_stats("a", &StatsQuery::once(), &Hangup::new()).unwrap();
    let sample = samples.next_line().unwrap().unwrap();
    assert_eq!((sample.container_id(), sample.pids_stats.current), ("a", 3));
}

#[test]
fn words_in_the_place_of_logs_are_shown() {
    let scripted = Scripted::unix().unwrap();
    for (row, answer) in [
        ("a page", Answer::body(200, "<html>Bad Gateway</html>").header("Content-Type", "text/html")),
        ("one without an end", Answer::chunked(200).chunk("<html>Bad Gateway</html>").hold()),
    ] {
        scripted.answers("GET /containers/*/logs", [answer]);
        let mut logs = scripted.engine().container_logs("a", &LogsQuery::new(), &Hangup::new()).unwrap();
        let error = logs.next_piece().map(drop).unwrap_err();
        let Error::Protocol { source, .. } = &error else { panic!("{row}: {error:?}") };
        assert!(source.to_string().contains("Bad Gateway"), "{row}: {source}");
    }
}

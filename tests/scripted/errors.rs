//! What an Engine's no becomes: typed by its status, with the call and the Engine's own words; and a yes that is a no.

use std::error::Error as _;

use longshore::Hangup;
use longshore::engine::{
    Engine, Error, ImageListQuery, ImportQuery, InspectQuery, ListQuery, LoadQuery, LogsQuery, StartQuery, Started,
    StopQuery, Stopped, WaitCondition,
};
use longshore::replay::scripted::{Answer, Scripted};
use serde_json::json;

const INSPECT: &str = "GET /containers/*/json";

fn inspect(engine: &Engine) -> Result<(), Error> {
    engine.container_inspect("web 1", &InspectQuery::default()).map(drop)
}

#[test]
fn a_no_is_sorted_by_its_status() {
    for (status, not_found, conflict, transient) in [
        (400, false, false, false),
        (401, false, false, false),
        (403, false, false, false),
        (404, true, false, false),
        (406, false, false, false),
        (409, false, true, false),
        (500, false, false, true),
        (501, false, false, false),
        (502, false, false, true),
        (503, false, false, true),
    ] {
        let scripted = Scripted::unix().unwrap();
        scripted.always(INSPECT, move || Answer::error(status, "No such container: web"));
        scripted.always("GET /containers/*/logs", move || Answer::error(status, "No such container: web"));
        let engine = scripted.engine();
        let followed = engine.container_logs("web 1", &LogsQuery::new(), &Hangup::new()).map(drop);
        for (error, call) in [(inspect(&engine), "json"), (followed, "logs")] {
            let error = error.unwrap_err();
            assert_eq!(error.status(), Some(status));
            assert_eq!(error.message(), Some("No such container: web"), "{status}");
            let got = (error.is_not_found(), error.is_conflict(), error.is_transient());
            assert_eq!(got, (not_found, conflict, transient), "{status}");
            assert!(!error.is_timeout() && !error.is_hung_up() && !error.is_unreachable(), "{status}");
            let want = format!("GET /containers/web%201/{call}: No such container: web ({status})");
            assert_eq!(error.to_string(), want);
            assert!(error.source().is_none(), "all is said");
        }
        assert_eq!(scripted.count(INSPECT), 1, "{status}: an answer is an answer");
    }
}

#[test]
fn every_engines_words_are_found() {
    let json = "application/json";
    for (content_type, body, want, own) in [
        (
            json,
            r#"{"cause":"no such container","message":"no container with name \"x\"","response":404}"#,
            "no container with name \"x\"",
            true,
        ),
        (json, r#"{"message":"with a newline\n"}"#, "with a newline", true),
        ("text/plain; charset=utf-8", "Not Found\n", "Not Found", false),
        ("", r#"{"message":"no type"}"#, "no type", true),
        (json, "{\"message\":\"cut", "{\"message\":\"cut", false),
        (json, "", "no reason given", false),
        ("text/html", "<html>Bad Gateway</html>", "<html>Bad Gateway</html>", false),
    ] {
        let scripted = Scripted::unix().unwrap();
        scripted.always(INSPECT, move || match content_type {
            "" => Answer::body(404, body),
            content_type => Answer::body(404, body).header("Content-Type", content_type),
        });
        let error = inspect(&scripted.engine()).unwrap_err();
        assert_eq!(error.message(), Some(want));
        // What is not in the Engine's own form may be a proxy's, and says nothing of the container.
        assert_eq!((error.status(), error.is_not_found(), error.is_transient()), (Some(404), own, !own), "{body}");
    }
}

#[test]
fn an_endless_error_is_cut() {
    let scripted = Scripted::unix().unwrap();
    let endless = || (0..100).fold(Answer::chunked(500), |answer, _| answer.chunk([b'x'; 10_000])).hold();
    scripted.always("GET /containers/*/logs", endless);
    let opened = scripted.engine().container_logs("a", &LogsQuery::new(), &Hangup::new());
    let error = opened.map(drop).unwrap_err();
    assert_eq!(error.status(), Some(500), "{error:?}");
    assert!(error.to_string().len() < 3000);
}

#[test]
fn a_yes_that_is_a_no() {
    let failure = concat!(
        "{\"status\":\"Loading layer\",\"progressDetail\":{\"current\":1}}\r\n",
        "{\"errorDetail\":{\"message\":\"unexpected EOF\"},\"error\":\"unexpected EOF\"}\r\n"
    );
    let scripted = Scripted::unix().unwrap();
    scripted.always("POST /images/load", move || Answer::chunked(200).chunk(failure).end());
    scripted.always("POST /images/create", move || Answer::chunked(200).chunk(failure).end());
    let (engine, hangup) = (scripted.engine(), Hangup::new());
    let loaded = engine.image_load(&b"no archive"[..], &LoadQuery::default(), &hangup).map(drop);
    let imported = engine.image_import(&b"no archive"[..], &ImportQuery::new(), &hangup).map(drop);
    for (error, path) in [(loaded, "/images/load"), (imported, "/images/create")] {
        let error = error.unwrap_err();
        assert!(matches!(error, Error::Stream { .. }), "{error:?}");
        assert_eq!(error.message(), Some("unexpected EOF"));
        assert_eq!(error.to_string(), format!("POST {path}: unexpected EOF"));
    }
    assert_eq!(scripted.requests("POST /images/load")[0].body, b"no archive");
    // A stream that was cut is no success either.
    scripted.always("POST /images/load", || Answer::chunked(200).chunk("{\"stream\":\"Loading\"}\n").close());
    let error = engine.image_load(&b"x"[..], &LoadQuery::default(), &hangup).unwrap_err();
    assert!(matches!(error, Error::Disconnected { .. } | Error::Protocol { .. }), "{error:?}");
    // A refusal with a status, too, keeps the Engine's words.
    scripted.always("POST /images/load", || Answer::error(500, "payload does not match"));
    let error = engine.image_load(&b"x"[..], &LoadQuery::default(), &hangup).unwrap_err();
    assert_eq!((error.status(), error.message()), (Some(500), Some("payload does not match")));
}

#[test]
fn an_archive_that_cannot_be_read_is_our_own_fault() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is gone"))
        }
    }
    let scripted = Scripted::unix().unwrap();
    scripted.always("POST /images/load", || Answer::chunked(200).end());
    let error = scripted.engine().image_load(Broken, &LoadQuery::default(), &Hangup::new()).unwrap_err();
    assert!(matches!(&error, Error::Source { source, .. } if source.to_string().contains("disk")), "{error:?}");
}

#[test]
fn nothing_is_nothing() {
    let scripted = Scripted::unix().unwrap();
    for body in ["null", "[]", "null\n", ""] {
        scripted.answers("GET /containers/json", [Answer::body(200, body)]);
        scripted.answers("GET /images/json", [Answer::body(200, body)]);
        let engine = scripted.engine();
        assert!(engine.container_list(&ListQuery::new()).unwrap().is_empty(), "{body}");
        assert!(engine.image_list(&ImageListQuery::default()).unwrap().is_empty(), "{body}");
    }
    let nulls = json!({
        "Id": "a", "Args": null, "State": null, "Config": {"Env": null, "Labels": null, "Cmd": null},
        "NetworkSettings": {"Ports": null, "Networks": null}, "Mounts": null, "HostConfig": null,
    });
    scripted.answers(INSPECT, [Answer::json(200, &nulls)]);
    let inspect = scripted.engine().container_inspect("a", &InspectQuery::default()).unwrap();
    assert!(!inspect.state.running && inspect.network_settings.networks.is_empty());
}

#[test]
fn a_wrong_shape_is_told_with_its_call() {
    let scripted = Scripted::unix().unwrap();
    for body in ["", "[]", "\"text\"", "{\"Id\": 7}", "{\"Id\": \"a\"", "<html>"] {
        scripted.answers(INSPECT, [Answer::body(200, body)]);
        let error = inspect(&scripted.engine()).unwrap_err();
        assert!(matches!(error, Error::Decode { .. }), "{body}: {error:?}");
        assert!(error.to_string().contains("/containers/web%201/json") && error.source().is_some(), "{error}");
    }
    // Without the one field that makes it an answer it is none: no container without an id, no exit without a code.
    for body in ["null", "{}", "[]", r#"{"Id":"","State":{"Running":false}}"#, r#"{"StatusCode":null}"#] {
        scripted.answers(INSPECT, [Answer::body(200, body)]);
        scripted.answers("POST /containers/create", [Answer::body(201, body)]);
        scripted.answers("POST /containers/*/wait", [Answer::body(200, body)]);
        let engine = scripted.engine();
        let waited = engine.container_wait("a", WaitCondition::NotRunning, &Hangup::new()).map(drop);
        let created = engine.container_create(None, &Default::default()).map(drop);
        for result in [inspect(&engine), created, waited] {
            assert!(matches!(result, Err(Error::Decode { .. })), "{body}: {result:?}");
        }
    }
}

#[test]
fn what_is_so_already_is_no_error() {
    let scripted = Scripted::unix().unwrap();
    scripted.answers("POST /containers/*/start", [Answer::empty(304), Answer::empty(204)]);
    scripted.answers("POST /containers/*/stop", [Answer::empty(304), Answer::empty(204)]);
    let engine = scripted.engine();
    assert_eq!(engine.container_start("a", &StartQuery::default()).unwrap(), Started::Already);
    assert_eq!(engine.container_start("a", &StartQuery::default()).unwrap(), Started::Now);
    assert_eq!(engine.container_stop("a", &StopQuery::default()).unwrap(), Stopped::Already);
    assert_eq!(engine.container_stop("a", &StopQuery::default()).unwrap(), Stopped::Now);
}

#[test]
fn nobody_is_there() {
    let scripted = Scripted::unix().unwrap();
    let engine = scripted.engine();
    engine.ping().unwrap();
    scripted.go_away();
    let error = inspect(&engine).unwrap_err();
    assert!(error.is_unreachable() && error.is_transient() && error.call().is_none(), "{error:?}");
    assert!(error.to_string().contains("no Engine answers at unix://"), "{error}");
    scripted.come_back().unwrap();
    scripted.always(INSPECT, || Answer::json(200, &json!({"Id": "a"})));
    inspect(&engine).unwrap();
}

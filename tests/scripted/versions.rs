//! Which version is spoken with which Engine, and what happens when it has become another.

use longshore::Hangup;
use longshore::engine::{ApiVersion, Engine, EngineConfig, Error, InspectQuery, LogsQuery, StopQuery};
use longshore::replay::scripted::{Answer, Scripted};
use serde_json::json;

const INSPECT: &str = "GET /containers/*/json";
const TOO_NEW: &str = "client version 1.51 is too new. Maximum supported API version is 1.41";

/// Some call of a client.
type Call = fn(&Engine) -> Result<(), Error>;

fn inspected() -> Answer {
    Answer::json(200, &json!({"Id": "a"}))
}

#[test]
fn the_highest_that_both_know() {
    for (header, lowest, want) in [
        ("1.24", "1.12", "1.24"),
        ("1.41", "1.12", "1.41"),
        ("1.51", "1.24", "1.51"),
        ("1.52", "1.44", "1.51"),
        ("1.60", "1.51", "1.51"),
        ("1.60", "1.55", "1.55"),
        ("1.60", "", "1.51"),
        ("", "1.12", "1.24"),
        ("no version", "1.12", "1.24"),
        ("1.41.0", "1.12", "1.41"),
    ] {
        let scripted = Scripted::unix().unwrap();
        scripted.always("GET /_ping", || Answer::ping(header));
        scripted.always("GET /version", move || Answer::json(200, &json!({"Version": "30", "MinAPIVersion": lowest})));
        scripted.always(INSPECT, inspected);
        let engine = scripted.engine();
        for _ in 0..3 {
            engine.container_inspect("a", &InspectQuery::default()).unwrap();
        }
        let asked: Vec<_> = scripted.requests(INSPECT).into_iter().map(|r| r.version).collect();
        assert_eq!(asked, [want; 3], "an Engine that says {header:?}, {lowest:?} at least");
        assert_eq!(scripted.count("GET /_ping"), 1, "{header}: agreed once");
        assert!(scripted.requests("GET /_ping")[0].version.is_empty(), "a ping has no version");
    }
}

#[test]
fn an_engine_that_is_too_old() {
    let scripted = Scripted::unix().unwrap();
    scripted.always("GET /_ping", || Answer::ping("1.23"));
    let error = scripted.engine().container_inspect("a", &InspectQuery::default()).unwrap_err();
    assert!(matches!(error, Error::Version { highest, .. } if highest == ApiVersion::new(1, 23)), "{error:?}");
    assert!(error.to_string().contains("1.23") && error.to_string().contains("1.24"), "{error}");
    assert_eq!(scripted.count(INSPECT), 0);
}

#[test]
fn a_version_that_is_set_is_spoken() {
    let scripted = Scripted::unix().unwrap();
    scripted.answers(INSPECT, [inspected(), Answer::error(400, TOO_NEW)]);
    scripted.always("GET /version", || Answer::json(200, &json!({"Version": "20.10", "MinAPIVersion": "1.12"})));
    let engine =
        scripted.engine_with(EngineConfig { api_version: Some(ApiVersion::new(1, 30)), ..EngineConfig::default() });
    engine.container_inspect("a", &InspectQuery::default()).unwrap();
    let error = engine.container_inspect("a", &InspectQuery::default()).unwrap_err();
    assert_eq!(error.status(), Some(400), "no other version is tried");
    let asked: Vec<_> = scripted.requests(INSPECT).into_iter().map(|r| r.version).collect();
    assert_eq!(asked, ["1.30", "1.30"]);
    assert_eq!((scripted.count("GET /_ping"), scripted.count("GET /version")), (1, 1), "its range is asked for once");
}

#[test]
fn a_version_that_is_set_beyond_the_engines_range_is_an_error() {
    for (highest, lowest, asked, want) in [
        ("1.41", "1.12", (1, 41), None),
        ("1.41", "1.12", (1, 12), None),
        ("1.41", "1.12", (1, 11), Some("speaks 1.12 to 1.41")),
        ("1.41", "1.12", (1, 42), Some("speaks 1.41 at most")),
        ("1.41", "1.12", (2, 0), Some("speaks 1.41 at most")),
        ("1.52", "1.44", (1, 43), Some("speaks 1.44 to 1.52")),
        // What the Engine does not tell it has to refuse itself.
        ("1.41", "", (1, 11), None),
        ("", "1.12", (1, 99), None),
    ] {
        let scripted = Scripted::unix().unwrap();
        scripted.always("GET /_ping", || Answer::ping(highest));
        scripted.always("GET /version", move || Answer::json(200, &json!({"Version": "1", "MinAPIVersion": lowest})));
        scripted.always(INSPECT, inspected);
        let api_version = Some(ApiVersion::new(asked.0, asked.1));
        let engine = scripted.engine_with(EngineConfig { api_version, ..EngineConfig::default() });
        let inspected = engine.container_inspect("a", &InspectQuery::default());
        match want {
            None => drop(inspected.unwrap()),
            Some(words) => {
                let error = inspected.unwrap_err();
                assert!(matches!(error, Error::VersionRange { .. }), "{asked:?}: {error:?}");
                assert!(error.to_string().contains(words), "{asked:?}: {error}");
                assert_eq!(scripted.count(INSPECT), 0, "{asked:?}");
            }
        }
    }
}

#[test]
fn an_engine_that_is_not_well_tells_its_version_all_the_same() {
    for (answer, want) in [
        ((|| Answer::error(500, "not well").header("Api-Version", "1.30")) as fn() -> Answer, Ok("1.30")),
        (|| Answer::error(503, "not well").header("Api-Version", "1.30.0"), Ok("1.30")),
        (|| Answer::error(500, "not well").header("Api-Version", "none"), Err(500)),
        (|| Answer::error(500, "not well"), Err(500)),
        (|| Answer::error(403, "not yours").header("Api-Version", "1.30"), Err(403)),
        (|| Answer::empty(302).header("Location", "/login").header("Api-Version", "1.30"), Err(302)),
    ] {
        let scripted = Scripted::unix().unwrap();
        scripted.always("GET /_ping", answer);
        scripted.always(INSPECT, inspected);
        let engine = scripted.engine();
        let inspected = engine.container_inspect("a", &InspectQuery::default());
        assert!(engine.ping().is_err(), "the ping itself says that it is not well");
        match want {
            Ok(version) => {
                inspected.unwrap();
                assert_eq!(scripted.requests(INSPECT)[0].version, version);
            }
            Err(status) => assert_eq!(inspected.unwrap_err().status(), Some(status)),
        }
    }
}

#[test]
fn what_is_no_engine() {
    for (body, header, is_engine) in [
        ("OK", "", true),
        ("OK\n", "", true),
        ("", "1.41", true),
        ("{}", "", false),
        ("", "", false),
        ("<html>OK</html>", "", false),
    ] {
        let scripted = Scripted::unix().unwrap();
        scripted.always("GET /_ping", move || match header {
            "" => Answer::body(200, body),
            version => Answer::body(200, body).header("Api-Version", version),
        });
        let engine = scripted.engine();
        for result in [engine.ping().map(drop), engine.api_version().map(drop)] {
            match is_engine {
                true => result.unwrap(),
                false => assert!(matches!(result, Err(Error::NoEngine { .. })), "{body:?}: {result:?}"),
            }
        }
    }
}

#[test]
fn an_engine_that_was_exchanged_is_asked_anew() {
    let calls: [(&str, Call); 4] = [
        (INSPECT, |engine| engine.container_inspect("a", &InspectQuery::default()).map(drop)),
        ("POST /containers/*/stop", |engine| engine.container_stop("a", &StopQuery::default()).map(drop)),
        ("GET /containers/*/logs", |engine| engine.container_logs("a", &LogsQuery::new(), &Hangup::new()).map(drop)),
        ("POST /containers/create", |engine| engine.container_create(None, &Default::default()).map(drop)),
    ];
    for (pattern, call) in calls {
        let scripted = Scripted::unix().unwrap();
        scripted.answers("GET /_ping", [Answer::ping("1.51"), Answer::ping("1.41")]);
        scripted.answers(pattern, [inspected()]);
        let engine = scripted.engine();
        call(&engine).unwrap();
        scripted.answers(pattern, [Answer::error(400, TOO_NEW), inspected(), inspected()]);
        call(&engine).unwrap();
        call(&engine).unwrap();
        let asked: Vec<_> = scripted.requests(pattern).into_iter().map(|r| r.version).collect();
        assert_eq!(asked, ["1.51", "1.51", "1.41", "1.41"], "{pattern}");
        assert_eq!(scripted.count("GET /_ping"), 2, "{pattern}: agreed anew, once");
    }
}

#[test]
fn an_engine_that_refuses_every_version_is_asked_twice() {
    let scripted = Scripted::unix().unwrap();
    scripted.always(INSPECT, || Answer::error(400, TOO_NEW));
    let error = scripted.engine().container_inspect("a", &InspectQuery::default()).unwrap_err();
    assert_eq!((error.status(), error.message()), (Some(400), Some(TOO_NEW)));
    assert_eq!((scripted.count(INSPECT), scripted.count("GET /_ping")), (2, 2));
}

#[test]
fn what_a_bad_ping_says_is_not_remembered() {
    let scripted = Scripted::unix().unwrap();
    scripted.always(INSPECT, inspected);
    scripted.answers("GET /_ping", [Answer::error(500, "not well")]);
    let engine = scripted.engine();
    let error = engine.container_inspect("a", &InspectQuery::default()).unwrap_err();
    assert_eq!(error.status(), Some(500), "{error}");
    assert!(error.to_string().contains("/_ping"), "it names the call that failed: {error}");
    engine.container_inspect("a", &InspectQuery::default()).unwrap();
    assert_eq!(scripted.requests(INSPECT)[0].version, "1.41");
}

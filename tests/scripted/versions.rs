//! Which API version is agreed on.

use longshore::engine::{ApiVersion, EngineConfig, Error};
use serde_json::json;

use crate::engine::{Answer, Scripted};

fn ping(version: &str) -> Answer {
    let header = if version.is_empty() { String::new() } else { format!("Api-Version: {version}\r\n") };
    Answer::raw(format!("HTTP/1.1 200 OK\r\n{header}Content-Length: 2\r\n\r\nOK"))
}

#[test]
fn the_highest_that_both_know() {
    for (theirs, lowest, want) in [
        ("1.24", "1.12", Some((1, 24))),
        ("1.41", "1.12", Some((1, 41))),
        ("1.51", "1.24", Some((1, 51))),
        ("1.52", "1.44", Some((1, 51))),
        ("1.60", "1.55", Some((1, 55))),
        ("", "", Some((1, 24))),
        ("1.23", "1.12", None),
    ] {
        let (said, low) = (theirs.to_owned(), lowest.to_owned());
        let scripted = Scripted::new(move |request| match request.path.as_str() {
            "/_ping" => ping(&said),
            "/version" => Answer::json(&json!({"MinAPIVersion": low, "ApiVersion": said})),
            _ => Answer::json(&json!([])),
        });
        let engine = scripted.engine();
        let agreed = engine.container_list(&Default::default()).and_then(|_| engine.api_version());
        match want {
            Some((major, minor)) => {
                assert_eq!(agreed.unwrap(), ApiVersion::new(major, minor), "{theirs}");
                assert_eq!(scripted.requests().last().unwrap().version, Some(format!("{major}.{minor}")), "{theirs}");
                assert_eq!(scripted.count("GET /_ping"), 1, "once");
            }
            None => assert!(matches!(agreed, Err(Error::Version { .. })), "{theirs}"),
        }
    }
}

#[test]
fn a_fixed_version_is_not_asked_about() {
    let scripted = Scripted::new(|_| Answer::json(&json!([])));
    let config = EngineConfig { api_version: Some(ApiVersion::new(1, 30)), ..EngineConfig::default() };
    scripted.engine_with(config).container_list(&Default::default()).unwrap();
    assert_eq!(scripted.requests().len(), 1);
    assert_eq!(scripted.requests()[0].version.as_deref(), Some("1.30"));
}

#[test]
fn an_engine_that_was_exchanged_is_asked_again() {
    let scripted = Scripted::new(|request| match request.path.as_str() {
        "/_ping" if request.before == 0 => ping("1.51"),
        "/_ping" => ping("1.41"),
        _ if request.version.as_deref() == Some("1.51") && request.before > 0 => {
            Answer::error(400, "client version 1.51 is too new. Maximum supported API version is 1.41")
        }
        _ => Answer::json(&json!([])),
    });
    let engine = scripted.engine();
    for _ in 0..3 {
        engine.container_list(&Default::default()).unwrap();
    }
    assert_eq!(scripted.count("GET /_ping"), 2);
    assert_eq!(engine.api_version().unwrap(), ApiVersion::new(1, 41));
}

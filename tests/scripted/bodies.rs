//! Heads and bodies in every form that they may have, whole, dribbled, cut and wrong.

use std::time::{Duration, Instant};

use longshore::Hangup;
use longshore::engine::{Error, InspectQuery, ListQuery, LogsQuery, WaitCondition};
use longshore::replay::scripted::{Answer, Scripted, chunk};
use serde_json::json;

use crate::kit::{engine_within, frame};

const INSPECT: &str = "GET /containers/*/json";
const LOGS: &str = "GET /containers/*/logs";
const SOON: Duration = Duration::from_secs(2);

/// A body in each of HTTP's three forms.
fn forms(body: &[u8]) -> [(&'static str, Answer); 4] {
    let (first, second) = body.split_at(body.len() / 2);
    let extended = format!("{:x};name=value\r\n", body.len());
    let extended = [extended.as_bytes(), body, b"\r\n0\r\nTrailer: x\r\n\r\n"].concat();
    let bare = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";
    [
        ("length", Answer::body(200, body).header("Content-Type", "application/json")),
        ("chunks", Answer::chunked(200).chunk(first).chunk(second).end()),
        ("a chunk with an extension and a trailer", Answer::chunked(200).send(extended)),
        ("until it closes", Answer::raw(bare).send(body).close()),
    ]
}

#[test]
fn an_answer_has_many_forms() {
    let body = json!({"Id": "a".repeat(64), "Name": "/é", "Config": {"Labels": {"k": "v".repeat(3000)}}}).to_string();
    for piece in [usize::MAX, 7, 1] {
        for form in 0..4 {
            let scripted = Scripted::unix().unwrap();
            scripted.on(INSPECT, {
                let body = body.clone();
                move |_| {
                    let answer = forms(body.as_bytes()).into_iter().nth(form)?.1;
                    Some(answer.in_pieces(piece, Duration::ZERO))
                }
            });
            let engine = scripted.engine();
            let name = forms(b"")[form].0;
            for _ in 0..2 {
                let inspect = engine.container_inspect("a", &InspectQuery::default()).unwrap();
                assert_eq!(inspect.name, "/é", "{name} in pieces of {piece}");
                assert_eq!(inspect.config.labels["k"].len(), 3000, "{name} in pieces of {piece}");
            }
        }
    }
}

#[test]
fn a_stream_has_many_forms() {
    let body = [frame(1, b"one\n"), frame(2, b"two\n"), frame(1, &[b'x'; 5000]), frame(2, b"")].concat();
    for piece in [usize::MAX, 7, 1] {
        for (name, answer) in forms(&body) {
            let scripted = Scripted::unix().unwrap();
            scripted.answers(LOGS, [answer.in_pieces(piece, Duration::ZERO)]);
            let mut logs = scripted.engine().container_logs("a", &LogsQuery::new(), &Hangup::new()).unwrap();
            let (mut bytes, mut frames) = (Vec::new(), 0);
            while let Some(piece) = logs.next_piece().unwrap() {
                bytes.extend_from_slice(piece.bytes);
                frames += usize::from(piece.last);
            }
            assert_eq!((bytes.len(), frames), (5008, 4), "{name} in pieces of {piece}");
        }
    }
}

#[test]
fn a_body_that_was_cut_has_no_end() {
    let body = frame(1, b"hello world\n");
    for (name, answer) in forms(&body).into_iter().take(3) {
        let head = answer.size() - body.len();
        let scripted = Scripted::unix().unwrap();
        // Everything but the last byte: for chunks that is the end of the last one.
        for cut in [head, head + 1, answer.size() - 1] {
            let again = forms(&body).into_iter().find(|form| form.0 == name).unwrap().1;
            scripted.answers(LOGS, [again.cut(cut)]);
            let mut logs = match scripted.engine().container_logs("a", &LogsQuery::new(), &Hangup::new()) {
                Ok(logs) => logs,
                Err(e) => {
                    assert!(matches!(e, Error::Disconnected { .. } | Error::Protocol { .. }), "{name}: {e:?}");
                    continue;
                }
            };
            let error = loop {
                match logs.next_piece() {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("{name} cut after {cut} of {}: an end", answer.size()),
                    Err(e) => break e,
                }
            };
            assert!(matches!(error, Error::Disconnected { .. } | Error::Protocol { .. }), "{name}: {error:?}");
        }
    }
}

#[test]
fn a_stream_that_ends_within_a_frame_has_no_end() {
    let frames = [frame(1, b"one\n"), frame(2, b"two\n")].concat();
    for cut in 0..=frames.len() {
        let scripted = Scripted::unix().unwrap();
        // The body itself ends well.
        scripted.answers(LOGS, [Answer::body(200, &frames[..cut])]);
        let mut logs = scripted.engine().container_logs("a", &LogsQuery::new(), &Hangup::new()).unwrap();
        let end = loop {
            match logs.next_piece() {
                Ok(Some(_)) => {}
                end => break end.map(drop),
            }
        };
        match cut % 12 {
            0 => assert!(end.is_ok(), "after {cut} bytes: {end:?}"),
            _ => assert!(matches!(end, Err(Error::Protocol { .. })), "after {cut} bytes: {end:?}"),
        }
    }
}

#[test]
fn a_list_that_was_cut_is_no_list() {
    // Cut where the JSON so far is whole: only the framing tells.
    for (name, answer) in [
        ("length", Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[]").close()),
        ("chunks", Answer::chunked(200).chunk("[]").close()),
    ] {
        let scripted = Scripted::unix().unwrap();
        let again = match name {
            "length" => Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[]").close(),
            _ => Answer::chunked(200).chunk("[]").close(),
        };
        scripted.answers("GET /containers/json", [answer, again]);
        let error = scripted.engine().container_list(&ListQuery::new()).unwrap_err();
        assert!(matches!(error, Error::Disconnected { .. } | Error::Protocol { .. }), "{name}: {error:?}");
    }
}

#[test]
fn heads_may_dribble_and_be_large() {
    let large = "x".repeat(7000);
    let scripted = Scripted::unix().unwrap();
    scripted.answers(
        INSPECT,
        [
            Answer::json(200, &json!({"Id": "a"})).in_pieces(1, Duration::from_millis(1)),
            Answer::body(200, r#"{"Id":"b"}"#).header("X-Large", &large),
        ],
    );
    scripted.answers(
        "POST /containers/*/wait",
        [Answer::body(200, r#"{"StatusCode":3}"#).header("X-Large", &large).in_pieces(100, Duration::ZERO)],
    );
    let engine = scripted.engine();
    for id in ["a", "b"] {
        assert_eq!(engine.container_inspect(id, &InspectQuery::default()).unwrap().id, id);
    }
    let waited = engine.container_wait("a", WaitCondition::NotRunning, &Hangup::new()).unwrap();
    assert_eq!(waited.status_code, 3);
}

#[test]
fn a_head_without_end_is_refused() {
    let scripted = Scripted::unix().unwrap();
    let huge = || Answer::raw(format!("HTTP/1.1 200 OK\r\nX-Huge: {}", "x".repeat(200_000))).hold();
    let many = || {
        let answer = Answer::body(200, "{}");
        (0..5000).fold(answer, |answer, n| answer.header(&format!("X-{n}"), "y")).hold()
    };
    for answer in [huge, many] {
        let engine = scripted.engine();
        let begun = Instant::now();
        scripted.answers(INSPECT, [answer()]);
        let error = engine.container_inspect("a", &InspectQuery::default()).unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
        scripted.answers(LOGS, [answer()]);
        let error = engine.container_logs("a", &LogsQuery::new(), &Hangup::new()).unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    }
}

#[test]
fn what_is_no_http_is_told() {
    for garbage in [
        &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 99999 No\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        b"<html>\r\n\r\n",
        b"\r\n\r\n\r\n",
    ] {
        let scripted = Scripted::unix().unwrap();
        scripted.always(INSPECT, move || Answer::raw(garbage).close());
        scripted.always(LOGS, move || Answer::raw(garbage).close());
        let (engine, begun) = (scripted.engine(), Instant::now());
        let shown = String::from_utf8_lossy(garbage);
        let error = engine.container_inspect("a", &InspectQuery::default()).unwrap_err();
        assert!(matches!(error, Error::Disconnected { .. } | Error::Protocol { .. }), "{shown:?}: {error:?}");
        let opened = engine.container_logs("a", &LogsQuery::new(), &Hangup::new());
        let error = match opened {
            Ok(mut logs) => logs.next_piece().map(|_| ()).unwrap_err(),
            Err(e) => e,
        };
        assert!(matches!(error, Error::Disconnected { .. } | Error::Protocol { .. }), "{shown:?}: {error:?}");
        assert!(begun.elapsed() < SOON, "{shown:?}: {:?}", begun.elapsed());
    }
}

#[test]
fn an_answer_that_dribbles_on_meets_its_deadline() {
    let slow = Duration::from_millis(40);
    let head = || Answer::raw(format!("HTTP/1.1 200 OK\r\nX-Slow: {}\r\n", "x".repeat(1000))).in_pieces(1, slow);
    let dribbled = |bytes: Vec<u8>| Answer::raw(bytes).in_pieces(1, slow);
    let body = || Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").and(dribbled(vec![b' '; 1000]));
    let chunks = || Answer::chunked(200).and(dribbled(chunk(" ").repeat(500)));
    let silence = || Answer::nothing().hold();
    for (name, answer) in
        [("head", &head as &dyn Fn() -> Answer), ("body", &body), ("chunks", &chunks), ("silence", &silence)]
    {
        let scripted = Scripted::unix().unwrap();
        scripted.answers(INSPECT, [answer()]);
        let engine = engine_within(&scripted, Duration::from_millis(300));
        engine.ping().unwrap();
        let begun = Instant::now();
        let error = engine.container_inspect("a", &InspectQuery::default()).unwrap_err();
        assert!(error.is_timeout(), "{name}: {error:?}");
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(290) && took < Duration::from_millis(1000), "{name}: {took:?}");
        assert_eq!(scripted.count(INSPECT), 1, "{name}: it is not asked again");
    }
}

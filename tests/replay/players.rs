//! What a player answers, in which order, and when.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use longshore::engine::types::{ContainerCreate, Env};
use longshore::engine::{InspectQuery, ListQuery, StopQuery, WaitCondition};
use longshore::replay::{Error, Fault, FaultKind, PlayOptions, Player};
use longshore::{Endpoint, Hangup};
use serde_json::{Value, json};

use crate::tapes::{Listening, asking, cassette, cassette_with, chunked, entry, is_silent, last, next, player};

fn state(status: &str) -> Value {
    json!({"Id": "c1", "State": {"Status": status, "Running": status == "running"}})
}

/// A create request for an image, with an environment.
fn create(image: &str, env: &[&str]) -> ContainerCreate {
    let mut body = ContainerCreate::default();
    body.config.image = image.into();
    body.config.env = Env::from(env.iter().map(|pair| (*pair).to_owned()).collect::<Vec<_>>());
    body
}

fn inspect(status: &str) -> Value {
    entry("GET", "/v1.41/containers/c1/json", 200, &state(status))
}

fn status_of(engine: &longshore::engine::Engine) -> String {
    engine.container_inspect("c1", &InspectQuery::default()).unwrap().state.status
}

#[test]
fn equal_reads_are_answered_in_order_and_the_last_one_again() {
    let list = |ids: &[&str]| {
        let list: Vec<Value> = ids.iter().map(|id| json!({ "Id": id })).collect();
        entry("GET", "/v1.41/containers/json?all=1", 200, &Value::Array(list))
    };
    let player = player(&[list(&[]), list(&["a"]), list(&["a", "b"])]);
    let engine = player.engine();
    let count = || engine.container_list(&ListQuery::new().all()).unwrap().len();
    assert_eq!([count(), count(), count(), count(), count()], [0, 1, 2, 2, 2]);
    assert_eq!(player.unused(), Vec::<String>::new());
}

#[test]
fn the_read_of_a_container_is_of_its_time_however_often_it_is_asked() {
    let tape = [
        entry("POST", "/v1.41/containers/c1/start", 204, &Value::Null),
        inspect("running"),
        inspect("running"),
        entry("POST", "/v1.41/containers/c1/stop?t=1", 204, &Value::Null),
        inspect("exited"),
    ];
    let stop = StopQuery { timeout: Some(Duration::from_secs(1)), ..StopQuery::default() };
    // Never before, three times before, and once.
    for asked in [0, 3, 1] {
        let player = player(&tape);
        let engine = player.engine();
        engine.container_start("c1", &Default::default()).unwrap();
        for n in 0..asked {
            assert_eq!(status_of(&engine), "running", "{n} of {asked}");
        }
        engine.container_stop("c1", &stop).unwrap();
        assert_eq!(status_of(&engine), "exited", "after {asked}");
        assert_eq!(status_of(&engine), "exited", "after {asked}, again");
        player.check().unwrap();
    }
}

#[test]
fn an_answer_waits_for_what_came_before_it() {
    // The wait's answer came after the stop had been asked for.
    let tape = [
        chunked("POST", "/v1.41/containers/c1/wait?condition=not-running", &[(1000.0, "{\"StatusCode\":143}\r\n", 2)]),
        entry("POST", "/v1.41/containers/c1/stop", 204, &Value::Null),
    ];
    let player = player(&tape);
    let (engine, hangup) = (player.engine(), Hangup::new());
    let (done, ended) = std::sync::mpsc::channel();
    let waiter = {
        let engine = engine.clone();
        std::thread::spawn(move || {
            let result = engine.container_wait("c1", WaitCondition::NotRunning, &hangup);
            done.send(()).unwrap();
            result.unwrap().status_code
        })
    };
    assert!(ended.recv_timeout(Duration::from_millis(300)).is_err(), "it waits for the stop");
    engine.container_stop("c1", &StopQuery::default()).unwrap();
    ended.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(waiter.join().unwrap(), 143);
}

#[test]
fn requests_about_other_things_are_not_waited_for_long() {
    // Two clients were recorded, and one of them plays.
    let tape = [
        chunked("POST", "/v1.41/containers/c1/wait?condition=not-running", &[(1.0, "{\"StatusCode\":1}\r\n", 3)]),
        entry("POST", "/v1.41/containers/c2/stop", 204, &Value::Null),
        entry("GET", "/v1.41/info", 200, &json!({})),
    ];
    let (player, begun) = (player(&tape), Instant::now());
    let exit = player.engine().container_wait("c1", WaitCondition::NotRunning, &Hangup::new()).unwrap();
    assert_eq!(exit.status_code, 1);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn parallel_requests_may_come_in_another_order() {
    let recorded = |name: &str| {
        let created =
            entry("POST", &format!("/v1.41/containers/create?name={name}"), 201, &json!({"Id": format!("id-{name}")}));
        asking(created, &serde_json::to_value(create("x", &[])).unwrap())
    };
    let player = player(&[recorded("a"), recorded("b"), recorded("c")]);
    let engine = player.engine();
    for name in ["c", "a", "b"] {
        assert_eq!(engine.container_create(Some(name), &create("x", &[])).unwrap().id, format!("id-{name}"));
    }
    let again = engine.container_create(Some("a"), &create("x", &[])).unwrap_err();
    assert_eq!(again.status(), Some(501), "what does something is done once");
}

#[test]
fn a_miss_names_the_nearest_entry_and_what_differs() {
    let tape = [
        entry("GET", "/v1.41/info", 200, &json!({})),
        asking(
            entry("POST", "/v1.41/containers/create?name=web", 201, &json!({"Id": "c1"})),
            &json!({"Image": "x", "HostConfig": {"Memory": 1}}),
        ),
    ];
    let player = player(&tape);
    let error = player.engine().container_create(Some("web"), &create("y", &[])).unwrap_err();
    assert_eq!(error.status(), Some(501));
    let message = error.message().unwrap();
    for part in [
        "nothing was recorded for POST /containers/create?name=web",
        "nearest: line 3: POST /v1.41/containers/create?name=web",
        "body.HostConfig: recorded {\"Memory\":1}, asked null",
        "body.Image: recorded \"x\", asked \"y\"",
    ] {
        assert!(message.contains(part), "{part} in {message}");
    }
    assert!(!message.contains("/info"), "that is not near: {message}");
    let Err(Error::Misses { misses, .. }) = player.check() else { panic!("it was a miss") };
    assert_eq!(misses.len(), 1);
    assert_eq!(player.unused().len(), 2, "{:?}", player.unused());
    assert!(player.unused()[1].starts_with("line 3: POST "), "{:?}", player.unused());
}

#[test]
fn pings_and_the_version_are_answered_in_any_case() {
    let peer = json!({"_peer": {"name": "Docker Engine", "version": "20.10.24", "api_version": "1.41", "min_api_version": "1.12"}});
    let player = Player::of(&cassette_with(&peer, &[]), PlayOptions::default()).unwrap();
    let engine = player.engine();
    assert_eq!(engine.api_version().unwrap().to_string(), "1.41");
    let version = engine.version().unwrap();
    assert_eq!((version.version.as_str(), version.api_version.as_str()), ("20.10.24", "1.41"));
    let listening = Listening::new(&[], PlayOptions::default());
    let head = listening.say(&last("HEAD", "/_ping"));
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    player.check().unwrap();
    assert_eq!(player.engine().endpoint(), &Endpoint::Replay("tape.har".into()));
}

#[test]
fn another_password_is_the_same_request() {
    let created = entry("POST", "/v1.41/containers/create", 201, &json!({"Id": "c1"}));
    let tape = [asking(created, &serde_json::to_value(create("x", &["A=b", "DB_PASSWORD=********"])).unwrap())];
    for (password, known) in [("secret", true), ("s", true), ("a much longer one, with blanks", true), ("", true)] {
        let player = player(&tape);
        let body = create("x", &["A=b", &format!("DB_PASSWORD={password}")]);
        let created = player.engine().container_create(None, &body);
        assert_eq!(created.is_ok(), known, "{password:?}: {created:?}");
    }
    let player = player(&tape);
    let body = create("x", &["A=c", "DB_PASSWORD=secret"]);
    assert!(player.engine().container_create(None, &body).is_err(), "what is no secret counts");
}

#[test]
fn chunks_are_cut_where_they_were() {
    let tape = [chunked("GET", "/events", &[(0.0, "{\"a\":1}\n{", 0), (5.0, "\"b\":2}\n", 0)])];
    let listening = Listening::new(&tape, PlayOptions::default());
    let answer = listening.say(&last("GET", "/events"));
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(body, "9\r\n{\"a\":1}\n{\r\n7\r\n\"b\":2}\n\r\n0\r\n\r\n");
}

#[test]
fn pipelined_requests_are_answered_in_turn() {
    let tape =
        [entry("GET", "/a", 200, &json!(1)), entry("POST", "/b", 200, &json!(2)), entry("GET", "/c", 404, &json!(3))];
    let listening = Listening::new(&tape, PlayOptions::default());
    let answers = listening.say(
        "GET /a HTTP/1.1\r\n\r\nPOST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n0\r\n\r\n\
         GET /c HTTP/1.1\r\nConnection: close\r\n\r\n",
    );
    let statuses: Vec<_> = answers.matches("HTTP/1.1 ").collect();
    assert_eq!(statuses.len(), 4, "{answers}");
    let at = |text: &str| answers.find(text).unwrap_or_else(|| panic!("{text} in {answers}"));
    assert!(
        at("\r\n\r\n1") < at("HTTP/1.1 100 Continue")
            && at("100 Continue") < at("\r\n\r\n2")
            && at("\r\n\r\n2") < at("\r\n\r\n3")
    );
}

#[test]
fn the_recorded_times_are_kept_if_asked_for() {
    let tape = [chunked("GET", "/events", &[(200.0, "{}\n", 0), (400.0, "{}\n", 0)])];
    for (speed, at_least, at_most) in
        [(None, 0, 190), (Some(1.0), 400, 4000), (Some(4.0), 100, 390), (Some(0.5), 800, 8000)]
    {
        let listening = Listening::new(&tape, PlayOptions { speed, ..PlayOptions::default() });
        let begun = Instant::now();
        listening.say(&last("GET", "/events"));
        let took = begun.elapsed().as_millis();
        assert!((at_least..at_most).contains(&took), "speed {speed:?} took {took} ms");
    }
}

/// An interactive exec: what comes out came after what went in.
fn conversation(closed: bool) -> Value {
    let mut exec = entry("POST", "/exec/e1/start", 101, &Value::Null);
    exec["response"]["headers"] =
        json!([{"name": "Upgrade", "value": "tcp"}, {"name": "Connection", "value": "Upgrade"}]);
    exec["response"]["content"]["text"] = json!("> one> two> ");
    // Bytes 0 to 2 at once, "one> " after 4 bytes, the rest after 8.
    exec["response"]["_chunks"] = json!([[1, 2, 1, 0], [2, 5, 1, 4], [3, 5, 1, 8]]);
    exec["_upgraded"] = json!({"closed": closed, "text": "one\ntwo\n", "_chunks": [[1, 4], [2, 4]]});
    exec
}

#[test]
fn an_upgraded_connection_is_a_conversation() {
    let listening = Listening::new(&[conversation(true)], PlayOptions::default());
    let mut stream = listening.connect();
    stream.write_all(b"POST /v1.41/exec/e1/start HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n").unwrap();
    let mut heard = String::new();
    while !heard.ends_with("> ") {
        heard.push_str(&next(&mut stream));
    }
    assert!(heard.starts_with("HTTP/1.1 101 ") && heard.ends_with("\r\n\r\n> "), "{heard}");
    assert!(is_silent(&mut stream), "nothing was said yet");
    stream.write_all(b"one\n").unwrap();
    assert_eq!(next(&mut stream), "one> ");
    // Less than was recorded, and then nothing more: it does not wait for ever.
    stream.write_all(b"t").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(next(&mut stream), "two> ");
    assert_eq!(next(&mut stream), "", "the end");
}

#[test]
fn ends_are_as_they_were() {
    let ended = |how: &str| {
        let mut entry = chunked("GET", "/events", &[(0.0, "{}\n", 0)]);
        entry["response"]["_end"] = json!(how);
        entry
    };
    let listening = Listening::new(&[ended("cut")], PlayOptions::default());
    assert!(listening.say(&last("GET", "/events")).ends_with("3\r\n{}\n\r\n"), "no last chunk");
    // The client left first: this one hears no end either, and is no thread's burden once it has left.
    for how in ["left", "open"] {
        let listening = Listening::new(&[ended(how)], PlayOptions::default());
        let mut stream = listening.connect();
        stream.write_all(last("GET", "/events").as_bytes()).unwrap();
        let mut heard = String::new();
        while !heard.ends_with("3\r\n{}\n\r\n") {
            heard.push_str(&next(&mut stream));
        }
        assert!(is_silent(&mut stream), "{how}");
        drop(stream);
        drop(listening);
    }
    let mut none = entry("GET", "/x", 200, &json!({}));
    none["response"] = json!({"status": 0, "_end": "cut"});
    let listening = Listening::new(&[none], PlayOptions::default());
    assert_eq!(listening.say(&last("GET", "/x")), "", "there was no answer");
}

#[test]
fn faults() {
    let tape = [entry("GET", "/a", 200, &json!({"a": 1})), entry("GET", "/b", 200, &json!({"b": 2}))];
    let with = |fault: Fault| Listening::new(&tape, PlayOptions { faults: vec![fault], ..PlayOptions::default() });
    let whole = Listening::new(&tape, PlayOptions::default()).say(&last("GET", "/a"));

    let cut = with(Fault::always(FaultKind::Cut(20)));
    assert_eq!([cut.say(&last("GET", "/a")), cut.say(&last("GET", "/a"))], [&whole[..20], &whole[..20]]);
    let once = with(Fault::once(FaultKind::Cut(0)));
    assert_eq!([once.say(&last("GET", "/a")), once.say(&last("GET", "/a"))], ["", whole.as_str()]);
    let some = with(Fault::always(FaultKind::ServerError).on("GET /b"));
    assert_eq!(some.say(&last("GET", "/a")), whole);
    assert!(some.say(&last("GET", "/v1.41/b")).starts_with("HTTP/1.1 500 "));
    assert!(!with(Fault::always(FaultKind::Garbage)).say(&last("GET", "/a")).starts_with("HTTP"));
    assert_eq!(with(Fault::always(FaultKind::Reset)).say(&last("GET", "/a")), "");
    let begun = Instant::now();
    assert_eq!(with(Fault::once(FaultKind::Delay(Duration::from_millis(200)))).say(&last("GET", "/a")), whole);
    assert!(begun.elapsed() >= Duration::from_millis(200));
    // A reset is one where the network has it.
    let player = Player::of(
        &cassette(&tape),
        PlayOptions { faults: vec![Fault::always(FaultKind::Reset)], ..PlayOptions::default() },
    );
    let player = player.unwrap();
    let at = player.listen(&Endpoint::Tcp { host: "127.0.0.1".into(), port: 0 }).unwrap();
    let Endpoint::Tcp { port, .. } = at else { panic!("{at}") };
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(last("GET", "/a").as_bytes()).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn a_player_ends_at_once_whatever_is_waited_for() {
    let tape = [
        chunked("POST", "/containers/c1/wait?condition=not-running", &[(1.0, "{}", 2)]),
        entry("POST", "/containers/c1/stop", 204, &Value::Null),
    ];
    let listening =
        Listening::new(&tape, PlayOptions { faults: vec!["delay:1h@GET /x".parse().unwrap()], speed: None });
    let mut held = listening.connect();
    held.write_all(last("POST", "/containers/c1/wait?condition=not-running").as_bytes()).unwrap();
    assert!(next(&mut held).starts_with("HTTP/1.1 200 "));
    let mut delayed = listening.connect();
    delayed.write_all(last("GET", "/x").as_bytes()).unwrap();
    let idle = listening.connect();
    assert!(is_silent(&mut held));
    let begun = Instant::now();
    drop(listening);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    drop((held, delayed, idle));
}

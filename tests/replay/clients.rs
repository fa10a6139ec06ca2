//! What real clients do that is easily overlooked: they leave over TCP, speak HTTP/1.0, come back another day, build with
//! BuildKit, resize their window, send more than an Engine wants to hear.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use longshore::engine::{InspectQuery, RemoveQuery, StartQuery, WaitCondition};
use longshore::replay::{Cassette, PlayOptions, Player, Recording};
use longshore::{Endpoint, Hangup};
use serde_json::{Value, json};

use crate::support::unique;
use crate::tapes::{Listening, asking, cassette_with, chunked, entry, last, next, player};

/// Less than a player waits for requests that may not come.
const SOON: Duration = Duration::from_millis(800);

/// An Engine of a few lines, and a recording of it.
struct Bench {
    recording: Option<Recording>,
    dir: PathBuf,
}

impl Bench {
    /// `serve` has each connection; the recording's own questions find nobody.
    fn new(serve: impl Fn(UnixStream) + Send + Sync + Copy + 'static) -> Self {
        let dir = std::env::temp_dir().join(unique("longshore-clients"));
        std::fs::create_dir(&dir).unwrap();
        let at = dir.join("engine.sock");
        let recording = Recording::of(Endpoint::Unix(at.clone()), dir.join("tape.har"), &[]).unwrap();
        let listener = UnixListener::bind(&at).unwrap();
        thread::spawn(move || listener.incoming().for_each(|stream| _ = thread::spawn(move || serve(stream.unwrap()))));
        Self { recording: Some(recording), dir }
    }

    fn unix(&self) -> UnixStream {
        let path = self.dir.join("proxy.sock");
        self.recording.as_ref().unwrap().listen(&Endpoint::Unix(path.clone())).unwrap();
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    fn tcp(&self) -> TcpStream {
        let any = Endpoint::Tcp { host: "127.0.0.1".into(), port: 0 };
        let at = self.recording.as_ref().unwrap().listen(&any).unwrap();
        let Endpoint::Tcp { host, port } = at else { panic!("{at}") };
        TcpStream::connect((host.as_str(), port)).unwrap()
    }

    /// Ends the recording: its text.
    fn end(&mut self) -> String {
        self.recording.take().unwrap().finish().unwrap();
        std::fs::read_to_string(self.dir.join("tape.har")).unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.recording = None;
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Reads up to the end of a head.
fn head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// How the only entry of a recording ended.
fn end_of(har: &str) -> String {
    let har: Value = serde_json::from_str(har).unwrap();
    har["log"]["entries"][0]["response"]["_end"].as_str().unwrap().to_owned()
}

fn create(name: &str, id: &str) -> Value {
    asking(
        entry("POST", &format!("/v1.41/containers/create?name={name}"), 201, &json!({"Id": id})),
        &json!({"Image": "x"}),
    )
}

fn done(what: &str) -> Value {
    entry("POST", &format!("/v1.41/containers/c1/{what}"), 204, &Value::Null)
}

/// The same, answered after so many requests.
fn late(mut entry: Value, requests: u64) -> Value {
    entry["response"]["_head"] = json!([0, requests, 0]);
    entry
}

fn image() -> longshore::engine::types::ContainerCreate {
    serde_json::from_value(json!({"Image": "x"})).unwrap()
}

/// An Engine whose followers get a line, and the end of their answer once they have left.
fn follow(mut stream: UnixStream) {
    head(&mut stream);
    stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nline\n\r\n").unwrap();
    let _ = stream.read(&mut [0]);
    let _ = stream.write_all(b"0\r\n\r\n");
}

#[test]
fn a_follower_that_leaves_has_left_on_a_port_too() {
    let mut bench = Bench::new(follow);
    let mut client = bench.tcp();
    client.write_all(last("GET", "/containers/c1/logs?follow=1").as_bytes()).unwrap();
    let mut said = String::new();
    while !said.contains("line\n") {
        let mut buf = [0; 1024];
        let n = client.read(&mut buf).unwrap();
        said.push_str(&String::from_utf8_lossy(&buf[..n]));
    }
    // It reads to the end, so that what the Engine says to its leaving has passed.
    client.shutdown(Shutdown::Write).unwrap();
    client.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(end_of(&bench.end()), "left", "the Engine ended an answer to nobody");
}

#[test]
fn a_client_that_only_half_closes_has_its_whole_answer() {
    fn answer(mut stream: UnixStream) {
        head(&mut stream);
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "it is told of the client's end");
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n0\r\n\r\n");
    }
    let mut bench = Bench::new(answer);
    let mut client = bench.tcp();
    client.write_all(last("GET", "/info").as_bytes()).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut said = String::new();
    client.read_to_string(&mut said).unwrap();
    assert!(said.ends_with("2\r\nOK\r\n0\r\n\r\n"), "{said}");
    assert_eq!(end_of(&bench.end()), "whole");
}

#[test]
fn an_engine_that_refuses_before_it_has_heard_all_is_heard() {
    fn refuse(mut stream: UnixStream) {
        head(&mut stream);
        stream.shutdown(Shutdown::Read).unwrap();
        let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno");
    }
    // More than all sockets on the way hold.
    const SIZE: usize = 16 * 1024 * 1024;
    let mut bench = Bench::new(refuse);
    let mut client = bench.unix();
    let request =
        format!("PUT /containers/c1/archive?path=/x HTTP/1.1\r\nHost: docker\r\nContent-Length: {SIZE}\r\n\r\n");
    client.write_all(request.as_bytes()).unwrap();
    client.write_all(&vec![b'x'; SIZE]).unwrap();
    let mut said = String::new();
    client.read_to_string(&mut said).unwrap();
    assert!(said.starts_with("HTTP/1.1 404 "), "{said}");
    drop(client);
    let har: Value = serde_json::from_str(&bench.end()).unwrap();
    assert_eq!(har["log"]["entries"][0]["response"]["status"], 404);
}

#[test]
fn who_takes_the_engine_for_a_proxy_is_recorded_and_played_as_others() {
    let mut bench = Bench::new(|mut stream| {
        head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK");
    });
    let mut client = bench.unix();
    client.write_all(last("GET", "http://docker/v1.41/info").as_bytes()).unwrap();
    client.read_to_end(&mut Vec::new()).unwrap();
    drop(client);
    bench.end();
    let recorded = Cassette::read(bench.dir.join("tape.har")).unwrap();
    assert_eq!(recorded.entries().next().unwrap().target(), "/v1.41/info");
    let listening = Listening::of(Player::of(&recorded, PlayOptions::default()).unwrap());
    assert!(listening.say(&last("GET", "http://elsewhere:1/info")).ends_with("OK"));
}

#[test]
fn http_1_0_has_no_chunks_and_no_second_request() {
    let listening =
        Listening::new(&[chunked("GET", "/v1.41/x", &[(1.0, "one", 0), (2.0, "two", 0)])], PlayOptions::default());
    let said = listening.say("GET /x HTTP/1.0\r\n\r\n");
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.0 200 ") && !head.contains("Transfer-Encoding"), "{head}");
    assert_eq!(body, "onetwo");
}

#[test]
fn a_connection_that_the_engine_ended_ends() {
    let mut entry = entry("GET", "/v1.41/x", 200, &json!({}));
    entry["response"]["headers"] =
        json!([{"name": "Connection", "value": "close"}, {"name": "Content-Length", "value": "2"}]);
    let listening = Listening::new(&[entry], PlayOptions::default());
    assert!(listening.say("GET /x HTTP/1.1\r\nHost: docker\r\n\r\n").ends_with("{}"));
}

#[test]
fn what_is_no_http_is_told_so() {
    let listening = Listening::new(&[], PlayOptions::default());
    assert!(listening.say("PRI * HTTP/2.0\r\n\r\n").starts_with("HTTP/1.1 400 Bad Request\r\n"));
}

#[test]
fn what_went_on_beside_it_keeps_nobody_waiting() {
    // Two clients at once; one of them plays.
    let of = |id: &str, what: &str| entry("POST", &format!("/v1.41/containers/{id}/{what}"), 204, &Value::Null);
    let pull = entry("POST", "/v1.41/images/create?fromImage=y", 200, &json!({}));
    let tape = [
        late(create("a", "id-a"), 3),
        create("b", "id-b"),
        entry("GET", "/v1.41/info", 200, &json!({})),
        late(of("id-a", "start"), 6),
        of("id-b", "start"),
        late(pull, 7),
        of("id-b", "stop"),
    ];
    let (player, begun) = (player(&tape), Instant::now());
    let engine = player.engine();
    engine.container_create(Some("a"), &image()).unwrap();
    engine.container_start("id-a", &StartQuery::default()).unwrap();
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    player.check().unwrap();
}

#[test]
fn of_two_that_run_something_in_one_container_each_may_come_alone() {
    let exec = |id: &str| entry("POST", "/v1.41/containers/c1/exec", 201, &json!({"Id": id}));
    let start = |id: &str, requests| chunked("POST", &format!("/v1.41/exec/{id}/start"), &[(1.0, id, requests)]);
    let tape = [
        asking(exec("e1"), &json!({"Cmd": ["1"]})),
        asking(exec("e2"), &json!({"Cmd": ["2"]})),
        start("e1", 4),
        start("e2", 4),
    ];
    let (listening, begun) = (Listening::new(&tape, PlayOptions::default()), Instant::now());
    let said = listening.say(&last("POST", "/v1.41/exec/e1/start"));
    assert!(said.ends_with("2\r\ne1\r\n0\r\n\r\n"), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn a_name_is_that_of_one_container_after_the_other() {
    let removed = || entry("DELETE", "/v1.41/containers/x?force=1", 204, &Value::Null);
    let wait = chunked("POST", "/v1.41/containers/id-1/wait?condition=removed", &[(1.0, "{\"StatusCode\":0}\r\n", 3)]);
    let player = player(&[create("x", "id-1"), wait, removed(), create("x", "id-2"), removed()]);
    let engine = player.engine();
    engine.container_create(Some("x"), &image()).unwrap();
    let (done, ended) = std::sync::mpsc::channel();
    let waiting = engine.clone();
    thread::spawn(move || done.send(waiting.container_wait("id-1", WaitCondition::Removed, &Hangup::new())));
    // Longer than for something of which it is not sure.
    assert!(ended.recv_timeout(Duration::from_millis(1500)).is_err(), "it is not removed yet");
    engine.container_remove("x", &RemoveQuery { force: true, volumes: false, link: false }).unwrap();
    ended.recv_timeout(Duration::from_secs(10)).unwrap().unwrap();
    engine.container_create(Some("x"), &image()).unwrap();
}

#[test]
fn a_run_may_be_made_again_where_that_is_wanted() {
    let inspect = |status: &str| {
        let state = json!({"Id": "c1", "State": {"Status": status, "Running": status == "running"}});
        entry("GET", "/v1.41/containers/c1/json", 200, &state)
    };
    let tape = [create("a", "c1"), inspect("created"), done("start"), inspect("running"), done("stop")];
    let player = player(&tape);
    let engine = player.engine();
    let status = || engine.container_inspect("c1", &InspectQuery::default()).unwrap().state.status;
    let run = || {
        engine.container_create(Some("a"), &image())?;
        assert_eq!(status(), "created");
        engine.container_start("c1", &StartQuery::default())?;
        assert_eq!(status(), "running");
        engine.container_stop("c1", &longshore::engine::StopQuery::default())
    };
    run().unwrap();
    assert_eq!(run().unwrap_err().status(), Some(501), "what does something is done once");
    player.repeat();
    (0..10).for_each(|_| _ = run().unwrap());
}

#[test]
fn a_run_that_is_made_again_has_its_own_ids() {
    let id = |id: &str| asking(create("a", "c1"), &json!({"Image": "x", "Labels": {"longshore.instance": id}}));
    let tape = [id("~instance.1~"), done("start")];
    let player =
        Player::of(&cassette_with(&json!({"_vars": {"instance.1": "~instance.1~"}}), &tape), PlayOptions::default())
            .unwrap();
    player.repeat();
    let engine = player.engine();
    for instance in ["first-run", "second-run", "first-run"] {
        let create = json!({"Image": "x", "Labels": {"longshore.instance": instance}});
        engine.container_create(Some("a"), &serde_json::from_value(create).unwrap()).unwrap();
        engine.container_start("c1", &StartQuery::default()).unwrap();
    }
    player.check().unwrap();
}

/// A connection that was to be HTTP/2, of which nothing more is recorded.
fn http2(target: &str) -> Value {
    let mut entry = entry("POST", target, 101, &Value::Null);
    entry["request"]["headers"] =
        json!([{"name": "Connection", "value": "Upgrade"}, {"name": "Upgrade", "value": "h2c"}]);
    entry["response"]["headers"] = entry["request"]["headers"].clone();
    entry["response"]["content"] = json!({"size": 0, "mimeType": ""});
    entry["response"]["_end"] = json!("left");
    entry["_upgraded"] = json!({"closed": true, "text": "", "_chunks": []});
    entry
}

fn upgrade(target: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
}

#[test]
fn a_build_by_buildkit_is_played_with_a_session_in_which_nothing_is_asked_for() {
    let build = chunked("POST", "/v1.41/build?buildid=1&session=2&version=2", &[(1.0, "{}", 2)]);
    let listening = Listening::new(&[build, http2("/session")], PlayOptions::default());
    let mut build = listening.connect();
    build.write_all(last("POST", "/v1.41/build?buildid=3&session=4&version=2").as_bytes()).unwrap();
    let mut session = listening.connect();
    session.write_all(upgrade("/session").as_bytes()).unwrap();
    let mut said = String::new();
    while !said.contains("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") {
        said.push_str(&next(&mut session));
    }
    assert!(said.starts_with("HTTP/1.1 101 "), "{said}");
    assert!(!said_whole(&mut build), "its client does not listen yet");
    session.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).unwrap();
    assert!(said_whole(&mut build));
    session.shutdown(Shutdown::Write).unwrap();
    session.read_to_end(&mut Vec::new()).unwrap();
}

/// Whether an answer comes to its end soon.
fn said_whole(stream: &mut UnixStream) -> bool {
    let mut said = String::new();
    while !said.ends_with("0\r\n\r\n") {
        if is_silent_for(stream) {
            return false;
        }
        said.push_str(&next(stream));
    }
    true
}

/// Whether nothing comes for a while, without taking anything.
fn is_silent_for(stream: &UnixStream) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec};
    let mut fds = [PollFd::new(stream, PollFlags::IN)];
    rustix::event::poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 300_000_000 })).unwrap() == 0
}

#[test]
fn what_buildkit_says_in_http2_is_told_not_to_be_there() {
    let player = player(&[http2("/grpc")]);
    let listening = Listening::of(player);
    let mut client = listening.connect();
    client.write_all(upgrade("/grpc").as_bytes()).unwrap();
    let said = next(&mut client);
    assert!(said.starts_with("HTTP/1.1 501 ") && said.contains("is HTTP/2, which is not recorded"), "{said}");
    assert_eq!(listening.player.misses().len(), 1);
}

#[test]
fn a_window_may_have_another_size() {
    let sized = |rows: u32| {
        let body = json!({"Image": "x", "HostConfig": {"ConsoleSize": [rows, 80], "Memory": 1}});
        asking(create("a", "c1"), &body)
    };
    let follow = chunked("POST", "/v1.41/containers/c1/attach?stream=1", &[(1.0, "hi", 4)]);
    let resize = entry("POST", "/v1.41/containers/c1/resize?h=24&w=80", 200, &Value::Null);
    let listening = Listening::new(&[sized(24), follow, done("start"), resize], PlayOptions::default());
    let body = json!({"Image": "x", "HostConfig": {"ConsoleSize": [50, 132], "Memory": 1}}).to_string();
    let begun = Instant::now();
    let created = listening.say(&format!(
        "POST /containers/create?name=a HTTP/1.1\r\nHost: docker\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert!(created.starts_with("HTTP/1.1 201 "), "{created}");
    let mut attached = listening.connect();
    attached.write_all(last("POST", "/containers/c1/attach?stream=1").as_bytes()).unwrap();
    assert!(listening.say(&last("POST", "/containers/c1/start")).starts_with("HTTP/1.1 204 "));
    // This one's size did not change: nobody waits for that.
    assert!(said_whole(&mut attached));
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert!(listening.say(&last("POST", "/containers/c1/resize?h=50&w=132")).starts_with("HTTP/1.1 200 "));
}

#[test]
fn nobody_is_silent_for_long_whose_client_is_gone_on_a_port() {
    // An attached client that was recorded until it left; this one leaves, too.
    let mut attach = http2("/v1.41/containers/c1/attach?stream=1");
    attach["request"]["headers"] =
        json!([{"name": "Connection", "value": "Upgrade"}, {"name": "Upgrade", "value": "tcp"}]);
    attach["_upgraded"]["closed"] = json!(false);
    let player = player(&[attach]);
    let Endpoint::Tcp { host, port } = player.listen(&Endpoint::Tcp { host: "127.0.0.1".into(), port: 0 }).unwrap()
    else {
        panic!()
    };
    let mut client = TcpStream::connect((host.as_str(), port)).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    client.write_all(upgrade("/containers/c1/attach?stream=1").as_bytes()).unwrap();
    assert!(head(&mut client).starts_with("HTTP/1.1 101 "));
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.read(&mut [0]).unwrap(), 0, "its end is taken for its leaving");
}

#[test]
fn a_no_that_came_before_the_body_is_the_answer_to_all_of_it() {
    let put = |path: &str, heard: &str| {
        let mut entry = entry("PUT", &format!("/v1.41/containers/c1/archive?path={path}"), 404, &json!({}));
        entry["request"]["headers"] = json!([{"name": "Content-Length", "value": "9"}]);
        entry["request"]["postData"] = json!({"mimeType": "", "text": heard});
        entry
    };
    let listening = Listening::new(&[put("/a", ""), put("/b", "some"), put("/c", "all of it")], PlayOptions::default());
    let ask = |path: &str, body: &str| {
        listening.say(&format!(
            "PUT /containers/c1/archive?path={path} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\
             Expect: 100-continue\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    };
    for (path, body, status) in
        [("/a", "something", 404), ("/b", "something", 404), ("/c", "something", 501), ("/c", "all of it", 404)]
    {
        let said = ask(path, body);
        assert!(said.contains(&format!("HTTP/1.1 {status} ")), "{path} {body}: {said}");
    }
}

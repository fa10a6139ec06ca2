//! What a player says of a container is true of the time in which the run is, whoever asks first.

use std::io::Write;
use std::time::{Duration, Instant};

use longshore::engine::{Engine, InspectQuery, KillQuery, RemoveQuery, StopQuery, WaitCondition};
use longshore::replay::{Cassette, PlayOptions, Player, Recording};
use longshore::{Endpoint, Hangup};
use serde_json::{Value, json};

use crate::support::{eventually, unique};
use crate::tapes::{Listening, chunked, entry, is_silent, last, next, player};

/// Less than a player waits for requests that may not come.
const SOON: Duration = Duration::from_millis(800);

fn inspect(status: &str) -> Value {
    let state = json!({"Id": "c1", "State": {"Status": status, "Running": status == "running"}});
    entry("GET", "/v1.41/containers/c1/json", 200, &state)
}

/// The same, answered after so many requests.
fn late(mut entry: Value, requests: u64) -> Value {
    entry["response"]["_head"] = json!([0, requests, 0]);
    entry
}

fn done(what: &str) -> Value {
    entry("POST", &format!("/v1.41/containers/c1/{what}"), 204, &Value::Null)
}

fn status_of(engine: &Engine) -> String {
    engine.container_inspect("c1", &InspectQuery::default()).unwrap().state.status
}

const FOLLOW: &str = "/v1.41/containers/c1/logs?follow=1&stdout=1";

/// A follower gets a line, nothing for a while, and the end once the container was killed.
#[track_caller]
fn ends_with_the_kill(player: &Player) {
    let path = std::env::temp_dir().join(unique("longshore-order"));
    player.listen(&Endpoint::Unix(path.clone())).unwrap();
    let mut follower = std::os::unix::net::UnixStream::connect(&path).unwrap();
    follower.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    follower.write_all(last("GET", FOLLOW).as_bytes()).unwrap();
    let mut said = String::new();
    while !said.contains("line") {
        said.push_str(&next(&mut follower));
    }
    assert!(is_silent(&mut follower), "the task runs on");
    player.engine().container_kill("c1", &KillQuery::default()).unwrap();
    let mut end = said.split_once("line\n\r\n").unwrap().1.to_owned();
    while !end.ends_with("0\r\n\r\n") {
        end.push_str(&next(&mut follower));
    }
    assert_eq!(end, "0\r\n\r\n");
}

#[test]
fn a_stream_ends_when_it_ended_and_is_recorded_so() {
    let tape = [chunked("GET", FOLLOW, &[(1.0, "line\n", 1), (500.0, "", 2)]), done("kill")];
    ends_with_the_kill(&player(&tape));

    // Its recording is the same.
    let engine = player(&tape);
    let (at, file) =
        (std::env::temp_dir().join(unique("longshore-order")), std::env::temp_dir().join(unique("order.har")));
    engine.listen(&Endpoint::Unix(at.clone())).unwrap();
    let recording = Recording::of(Endpoint::Unix(at), &file, &[]).unwrap();
    let through = std::env::temp_dir().join(unique("longshore-order"));
    recording.listen(&Endpoint::Unix(through.clone())).unwrap();
    let mut follower = std::os::unix::net::UnixStream::connect(&through).unwrap();
    follower.write_all(last("GET", FOLLOW).as_bytes()).unwrap();
    let mut said = String::new();
    while !said.contains("line") {
        said.push_str(&next(&mut follower));
    }
    recording.engine().container_kill("c1", &KillQuery::default()).unwrap();
    while !said.ends_with("0\r\n\r\n") {
        said.push_str(&next(&mut follower));
    }
    recording.finish().unwrap();
    let recorded = Cassette::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    ends_with_the_kill(&Player::of(&recorded, PlayOptions::default()).unwrap());
}

#[test]
fn what_a_stream_says_of_an_end_comes_after_it_even_where_the_follower_was_first() {
    // It was asked for after the stop, and is asked for before.
    let listening =
        Listening::new(&[done("stop"), late(chunked("GET", FOLLOW, &[(1.0, "TERM\n", 2)]), 2)], PlayOptions::default());
    let mut follower = listening.connect();
    follower.write_all(last("GET", FOLLOW).as_bytes()).unwrap();
    assert!(is_silent(&mut follower), "it is not stopped yet");
    listening.say(&last("POST", "/v1.41/containers/c1/stop"));
    assert!(next(&mut follower).starts_with("HTTP/1.1 200 "));
}

#[test]
fn of_two_that_asked_the_same_at_once_none_waits_for_the_other() {
    // The second was answered when a third client had removed the container; who removes it now is the one who asks.
    let removed = entry("DELETE", "/v1.41/containers/c1?v=1&force=1", 204, &Value::Null);
    let player = player(&[inspect("running"), late(inspect("running"), 3), removed]);
    let (engine, begun) = (player.engine(), Instant::now());
    assert_eq!([status_of(&engine), status_of(&engine)], ["running", "running"]);
    engine.container_remove("c1", &RemoveQuery { force: true, volumes: true, link: false }).unwrap();
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    player.check().unwrap();
}

#[test]
fn what_is_asked_after_an_end_tells_of_it_though_it_was_asked_before_that_was_answered() {
    // Somebody else asked how it was while the stop was under way, and was told.
    let player = player(&[inspect("running"), late(done("stop"), 3), inspect("exited")]);
    let engine = player.engine();
    assert_eq!(status_of(&engine), "running");
    engine.container_stop("c1", &StopQuery::default()).unwrap();
    assert_eq!([status_of(&engine), status_of(&engine)], ["exited", "exited"]);
}

#[test]
fn a_wait_that_was_never_answered_is_not_waited_for() {
    let mut left = entry("POST", "/v1.41/containers/c1/wait?condition=not-running", 200, &Value::Null);
    left["response"] = json!({"status": 0, "_end": "left", "headers": [], "content": {"size": 0, "mimeType": ""}});
    let player = player(&[late(done("stop"), 2), left]);
    let begun = Instant::now();
    player.engine().container_stop("c1", &StopQuery::default()).unwrap();
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

#[test]
fn a_client_that_asks_again_and_again_keeps_no_answer_waiting() {
    // In the recording somebody else did something meanwhile.
    let wait =
        chunked("POST", "/v1.41/containers/c1/wait?condition=not-running", &[(1.0, "{\"StatusCode\":1}\r\n", 3)]);
    let player = player(&[inspect("running"), wait, entry("POST", "/v1.41/containers/c2/stop", 204, &Value::Null)]);
    let engine = player.engine();
    let waiter = {
        let engine = engine.clone();
        std::thread::spawn(move || engine.container_wait("c1", WaitCondition::NotRunning, &Hangup::new()))
    };
    eventually(Duration::from_secs(10), "it is answered", || {
        assert_eq!(status_of(&engine), "running");
        waiter.is_finished()
    });
    assert_eq!(waiter.join().unwrap().unwrap().status_code, 1);
}

#[test]
fn what_was_asked_before_an_end_is_not_waited_for_after_it() {
    // Two asked how it was before it was removed; one does.
    let removed = entry("DELETE", "/v1.41/containers/c1?v=1&force=1", 204, &Value::Null);
    let wait =
        chunked("POST", "/v1.41/containers/c1/wait?condition=not-running", &[(1.0, "{\"StatusCode\":137}\r\n", 4)]);
    let player = player(&[wait, inspect("running"), inspect("running"), removed]);
    let (engine, begun) = (player.engine(), Instant::now());
    assert_eq!(status_of(&engine), "running");
    engine.container_remove("c1", &RemoveQuery { force: true, volumes: true, link: false }).unwrap();
    let exit = engine.container_wait("c1", WaitCondition::NotRunning, &Hangup::new()).unwrap();
    assert_eq!(exit.status_code, 137);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

#[test]
fn a_wait_that_comes_late_gets_an_answer_where_another_client_left_without_one() {
    let wait = "/v1.41/containers/c1/wait?condition=not-running";
    let mut left = chunked("POST", wait, &[]);
    left["response"]["_end"] = json!("left");
    let player = player(&[chunked("POST", wait, &[(1.0, "{\"StatusCode\":143}\r\n", 3)]), left, done("stop")]);
    let engine = player.engine();
    engine.container_stop("c1", &StopQuery::default()).unwrap();
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || done.send(engine.container_wait("c1", WaitCondition::NotRunning, &Hangup::new())));
    assert_eq!(ended.recv_timeout(Duration::from_secs(10)).unwrap().unwrap().status_code, 143);
}

//! Engines that are none: one line each, with the endpoint, the cause and a way out.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use longshore::replay::scripted::{Answer, Scripted};

use crate::place::{Place, Ran, Running};

#[track_caller]
fn refused(ran: &Ran, words: &[&str]) {
    assert_eq!((ran.code, ran.out.as_str()), (125, ""), "{}", ran.err);
    assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
    assert!(words.iter().all(|word| ran.err.contains(word)), "{words:?} in {}", ran.err);
}

#[test]
fn one_that_accepts_and_never_answers_is_named() {
    let place = Place::new();
    let socket = place.dir.join("s");
    // The kernel accepts for us; nobody ever reads.
    let _listener = UnixListener::bind(&socket).unwrap();
    let url = format!("unix://{}", socket.display());
    let begun = Instant::now();
    let ran = Ran::of(place.longshore(&["-H", &url, "ping"]).output().unwrap());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    refused(&ran, &[&url, "no answer", "-H"]);
}

#[test]
fn ones_that_talk_nonsense_are_named() {
    let place = Place::new();
    for (row, answer) in [
        ("nothing", &b""[..]),
        ("no HTTP", b"SSH-2.0-OpenSSH_9.2\r\n"),
        ("half a head", b"HTTP/1.1 200 OK\r\nContent-"),
        ("endless head", &[b'x'; 1 << 20]),
        ("not an Engine", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        ("one that says nothing", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
        ("one that is unwell", b"HTTP/1.1 500 Oh\r\nContent-Length: 17\r\n\r\n{\"message\":\"ill\"}"),
    ] {
        let socket = place.dir.join(row);
        let listener = UnixListener::bind(&socket).unwrap();
        // Lives as long as the test program.
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let Ok(mut connection) = connection else { return };
                let _ = connection.read(&mut [0; 4096]);
                let _ = connection.write_all(answer);
            }
        });
        let url = format!("unix://{}", socket.display());
        let begun = Instant::now();
        let ran = Ran::of(place.longshore(&["ping"]).env("DOCKER_HOST", &url).output().unwrap());
        assert!(begun.elapsed() < Duration::from_secs(5), "{row}: {:?}", begun.elapsed());
        refused(&ran, &[&url]);
    }
}

#[test]
fn one_that_is_no_docker_engine_is_called_that() {
    let place = Place::new();
    for (row, ping, others) in
        [("an object", "{}", "{}"), ("a page", "<html>", "<html>"), ("yes to all", "OK", "OK"), ("half", "OK", "{}")]
    {
        let scripted = Scripted::unix().unwrap().forgiving();
        scripted.always("GET /_ping", move || Answer::body(200, ping));
        scripted.always("GET /version", move || Answer::body(200, others));
        let ran = Ran::of(place.longshore(&["-H", &scripted.endpoint().to_string(), "ping"]).output().unwrap());
        refused(&ran, &["is no Docker Engine", &scripted.endpoint().to_string(), "-H"]);
        assert!(!ran.err.contains("the Engine at"), "{row}: {}", ran.err);
    }
}

#[test]
fn a_version_that_is_set_and_not_spoken_is_refused() {
    let place = Place::new();
    let scripted = Scripted::unix().unwrap();
    for version in ["1.99", "2.0"] {
        let mut command = place.longshore(&["-H", &scripted.endpoint().to_string(), "ping"]);
        let ran = Ran::of(command.env("DOCKER_API_VERSION", version).output().unwrap());
        refused(&ran, &[version, "1.41", "DOCKER_API_VERSION"]);
    }
}

#[test]
fn one_that_hangs_up_late_gets_no_second_time() {
    let place = Place::new();
    let socket = place.dir.join("s");
    let listener = UnixListener::bind(&socket).unwrap();
    // Lives as long as the test program.
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            std::thread::sleep(Duration::from_secs(3));
            drop(connection);
        }
    });
    let begun = Instant::now();
    let ran = Ran::of(place.longshore(&["-H", &format!("unix://{}", socket.display()), "ping"]).output().unwrap());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(ran.code, 125, "{}", ran.err);
}

#[test]
fn a_version_that_is_fixed_is_no_answer() {
    let place = Place::new();
    let socket = place.dir.join("s");
    let _listener = UnixListener::bind(&socket).unwrap();
    let file = place.job(&[("t", "true")], "", "");
    let mut command = place.longshore(&["run", &file]);
    command.env("DOCKER_HOST", format!("unix://{}", socket.display())).env("DOCKER_API_VERSION", "1.41");
    let begun = Instant::now();
    let ran = Running::start(command).end();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    refused(&ran, &["no answer", "-H"]);
}

#[test]
fn a_file_that_is_no_socket() {
    let place = Place::new();
    let url = format!("unix://{}", place.file("plain", ""));
    refused(&Ran::of(place.longshore(&["-H", &url, "ping"]).output().unwrap()), &[&url, "refused", "start Docker"]);
}

#[test]
fn variables_that_say_nothing_of_use() {
    let place = Place::new();
    for (name, value, word) in [
        ("DOCKER_HOST", "gopher://x", "gopher"),
        ("DOCKER_HOST", "unix://", "unix://"),
        ("DOCKER_HOST", "tcp://host:port", "port"),
        ("DOCKER_API_VERSION", "new", "new"),
    ] {
        let mut command = place.longshore(&["ping"]);
        let ran = Ran::of(command.env("DOCKER_HOST", "unix:///no/such.sock").env(name, value).output().unwrap());
        refused(&ran, &[name, word]);
    }
    let mut command = place.longshore(&["ping"]);
    refused(
        &Ran::of(command.env("DOCKER_HOST", "ssh://me@host").output().unwrap()),
        &["ssh://me@host", "not supported"],
    );
}

#[test]
#[ignore = "needs an Engine"]
fn a_ping_says_what_the_engine_is() {
    let place = Place::new();
    let ran = Ran::of(place.longshore(&["ping"]).output().unwrap());
    assert!(ran.code == 0 && ran.out.contains("round trip") && ran.err.is_empty(), "{ran:?}");
    let ran = Ran::of(place.longshore(&["ping", "--json"]).output().unwrap());
    let told: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    for key in ["endpoint", "name", "version", "api_version", "min_api_version", "negotiated", "round_trip_ns"] {
        assert!(!told[key].is_null(), "{key}: {told}");
    }
}

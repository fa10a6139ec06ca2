//! Recordings and clients that mean no good, or are merely odd.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use longshore::Endpoint;
use longshore::engine::{Engine, InspectQuery, ListQuery};
use longshore::replay::{Cassette, Error, Mode, PlayOptions, Player, Recording, Session};
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use serde_json::{Value, json};

use crate::support::unique;
use crate::tapes::{Listening, cassette, entry, is_silent, last};

/// A folder, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(unique("longshore-hostile"));
        fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// An Engine that says this.
    fn engine(&self, entries: &[Value]) -> (Player, Endpoint) {
        let (player, at) = (Player::of(&cassette(entries), PlayOptions::default()).unwrap(), self.nobody());
        player.listen(&at).unwrap();
        (player, at)
    }

    fn nobody(&self) -> Endpoint {
        Endpoint::Unix(self.file("engine.sock"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn inspect(id: &str) -> Value {
    entry("GET", &format!("/v1.41/containers/{id}/json"), 200, &json!({ "Id": id }))
}

fn ask(engine: &Engine, id: &str) -> Result<String, longshore::engine::Error> {
    engine.container_inspect(id, &InspectQuery::default()).map(|inspect| inspect.id)
}

#[test]
fn a_body_that_is_nested_deep_is_a_miss_like_any_other() {
    let playing = Listening::new(&[entry("POST", "/v1.41/x", 200, &Value::Null)], PlayOptions::default());
    for depth in [60, 64, 65, 100, 126, 127, 128, 10_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let body = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let asked = format!(
                "POST /v1.41/x?filters={} HTTP/1.1\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.replace('"', "%22"),
                body.len()
            );
            let said = playing.say(&asked);
            assert!(said.starts_with("HTTP/1.1 501 "), "{depth} {open}: {said}");
        }
    }
}

#[test]
fn an_answer_that_broke_off_breaks_off_again() {
    for end in ["cut", "whole"] {
        let mut broken = entry("GET", "/v1.41/info", 200, &json!({"a": 1}));
        broken["response"]["headers"][1]["value"] = json!("1000");
        broken["response"]["_end"] = json!(end);
        let said = Listening::new(&[broken], PlayOptions::default()).say(&last("GET", "/v1.41/info"));
        let length = if end == "cut" { "1000" } else { "7" };
        assert!(said.contains(&format!("\r\nContent-Length: {length}\r\n")), "{end}: {said}");
        assert!(said.ends_with("{\"a\":1}"), "{end}: {said}");
    }
}

#[test]
fn a_time_beyond_the_clock_is_waited_for() {
    let mut late = entry("GET", "/v1.41/info", 200, &Value::Null);
    late["response"]["_head"] = json!([1e300, 1, 0]);
    let playing = Listening::new(&[late], PlayOptions { speed: Some(1e-9), ..PlayOptions::default() });
    let mut stream = playing.connect();
    stream.write_all(last("GET", "/v1.41/info").as_bytes()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let waits = stream.read(&mut [0]).unwrap_err();
    assert_eq!(waits.kind(), std::io::ErrorKind::WouldBlock, "{waits}");
}

#[test]
fn nothing_but_a_file_is_written_over() {
    let folder = Folder::new();
    let place = folder.file("dir");
    fs::create_dir(&place).unwrap();
    let _socket = UnixListener::bind(folder.file("socket")).unwrap();
    for name in ["dir", "socket"] {
        let error = Recording::of(folder.nobody(), folder.file(name), &[]).unwrap_err();
        assert!(matches!(error, Error::Io { action: "write a recording to", .. }), "{name}: {error}");
    }
}

#[test]
fn recordings_side_by_side_for_one_file_leave_one_of_them() {
    let folder = Folder::new();
    let (_engine, at) = folder.engine(&[inspect("a")]);
    for round in 0..10 {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let (file, at) = (folder.file("one.har"), at.clone());
                std::thread::spawn(move || {
                    let session = Session::open_on(file, Mode::All, at).unwrap();
                    assert_eq!(ask(&session.engine(), "a").unwrap(), "a");
                    session.finish()
                })
            })
            .collect();
        for thread in threads {
            thread
                .join()
                .unwrap()
                .unwrap_or_else(|e| panic!("round {round}: {e}: {:?}", std::error::Error::source(&e)));
        }
        Cassette::read(folder.file("one.har")).unwrap_or_else(|e| panic!("round {round}: {e}"));
    }
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 2, "the socket and the file");
}

#[test]
fn what_is_new_is_a_miss_where_no_engine_answers() {
    let folder = Folder::new();
    let (engine, at) = folder.engine(&[inspect("a")]);
    let session = Session::open_on(folder.file("x.har"), Mode::Once, at.clone()).unwrap();
    ask(&session.engine(), "a").unwrap();
    session.finish().unwrap();
    drop(engine);
    let session = Session::open_on(folder.file("x.har"), Mode::NewEpisodes, at).unwrap();
    ask(&session.engine(), "a").unwrap();
    assert_eq!(ask(&session.engine(), "b").unwrap_err().status(), Some(501));
    let error = session.finish().unwrap_err();
    assert!(error.to_string().contains("nothing was recorded for GET /containers/b/json"), "{error}");
}

#[test]
fn an_engine_that_takes_no_connection_delays_no_end() {
    let folder = Folder::new();
    let path = folder.file("engine.sock");
    // A queue of one, and nobody who empties it.
    let new = || net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::NONBLOCK, None).unwrap();
    let (socket, address) = (new(), SocketAddrUnix::new(&path).unwrap());
    net::bind(&socket, &address).unwrap();
    net::listen(&socket, 1).unwrap();
    let mut held = vec![new()];
    while net::connect(held.last().unwrap(), &address).is_ok() {
        held.push(new());
    }
    let recording = Recording::of(Endpoint::Unix(path), folder.file("x.har"), &[]).unwrap();
    let at = recording.listen(&Endpoint::Unix(folder.file("proxy.sock"))).unwrap();
    let Endpoint::Unix(proxy) = at else { panic!("{at}") };
    let mut clients: Vec<_> = (0..3).map(|_| std::os::unix::net::UnixStream::connect(&proxy).unwrap()).collect();
    for client in &mut clients {
        client.write_all(b"GET /info HTTP/1.1\r\n\r\n").unwrap();
        assert!(is_silent(client));
    }
    let begun = Instant::now();
    recording.finish().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    drop((socket, held));
}

#[test]
fn what_is_not_looked_at_is_no_bound_and_what_is_has_one() {
    let read = |entries: &str| {
        let text = format!("{{\"log\":{{\"version\":\"1.2\",\"entries\":[{entries}]}}}}");
        Cassette::read_from("x.har", text.as_bytes())
    };
    let good = inspect("a").to_string();
    let with = |field: &str, values: &str| read(&format!("{},\"{field}\":{values}}}", good.strip_suffix('}').unwrap()));
    let many = format!("[{}0]", "{},".repeat(300_000));
    assert_eq!(with("_mine", &many).unwrap().entries().len(), 1);
    assert_eq!(with("timings", &many).unwrap().entries().len(), 1);
    for field in ["request", "headers", "_upgraded"] {
        let error = with(field, &many).unwrap_err().to_string();
        assert_eq!(error, "x.har:1: not a HAR file: more values than any entry has", "{field}");
    }
    let host = format!("{{\"log\":{{\"_host\":{{\"a\":{many}}},\"entries\":[]}}}}");
    let error = Cassette::read_from("x.har", host.as_bytes()).unwrap_err().to_string();
    assert!(error.ends_with("more values than any entry has"), "{error}");
    // Of chunks there may be any number: they take a few bytes each.
    let mut long = inspect("a");
    long["response"]["content"]["text"] = json!("x".repeat(200_000));
    long["response"]["_chunks"] = json!(vec![json!([0.5, 1, 1, 0]); 200_000]);
    assert_eq!(read(&long.to_string()).unwrap().entries().next().unwrap().chunks().unwrap().len(), 200_000);
    for (chunks, why) in [
        (json!(7), "response._chunks: expected a list, found the number 7"),
        (json!({}), "response._chunks: expected a list, found an object"),
        (
            json!([[0, 1], [0, -1]]),
            "response._chunks[1][1]: expected a whole number up to 18446744073709551615, found the number -1",
        ),
        (
            json!([[0, 1, "x"]]),
            "response._chunks[0][2]: expected a whole number up to 18446744073709551615, found a text",
        ),
        (json!([[]]), "response._chunks[0]: expected a list of numbers, with more of them"),
    ] {
        long["response"]["_chunks"] = chunks;
        let error = read(&long.to_string()).unwrap_err().to_string();
        assert_eq!(error, format!("x.har:1: entry 1: {why}"));
    }
}

#[test]
fn what_is_added_has_the_words_of_the_older_part() {
    let folder = Folder::new();
    let list = |all: &str, name: &str| {
        let filters = format!("%7B%22label%22%3A%5B%22longshore.instance%3D{name}%22%5D%7D");
        entry("GET", &format!("/v1.41/containers/json?{all}filters={filters}"), 200, &json!([]))
    };
    let text = format!(
        "{{\"log\":{{\"version\":\"1.2\",\"_vars\":{{\"instance.1\":\"~instance.1~\"}},\"entries\":[{}]}}}}",
        list("", "~instance.1~")
    );
    fs::write(folder.file("x.har"), text).unwrap();
    let (engine, at) = folder.engine(&[list("all=1&", "mine")]);
    let ask = |session: &Session, name: &str| {
        let query = ListQuery::new().filter("label", format!("longshore.instance={name}"));
        session.engine().container_list(&query).unwrap();
        session.engine().container_list(&query.all()).unwrap();
    };
    let session = Session::open_on(folder.file("x.har"), Mode::NewEpisodes, at.clone()).unwrap();
    ask(&session, "mine");
    session.finish().unwrap();
    drop(engine);
    let session = Session::open_on(folder.file("x.har"), Mode::None, at).unwrap();
    ask(&session, "another's");
    session.finish().unwrap();
}

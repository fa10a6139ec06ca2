//! Recordings written by hand, for tests of the player: a few entries, each a line.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use longshore::Endpoint;
use longshore::replay::{Cassette, PlayOptions, Player};
use serde_json::{Value, json};

use crate::support::unique;

/// An entry with a JSON answer.
pub(crate) fn entry(method: &str, target: &str, status: u16, body: &Value) -> Value {
    let body = body.to_string();
    json!({
        "startedDateTime": "2026-01-01T00:00:00Z",
        "request": {"method": method, "url": format!("http://docker{target}"), "headers": []},
        "response": {
            "status": status, "statusText": "x", "_end": "whole",
            "headers": [
                {"name": "Content-Type", "value": "application/json"},
                {"name": "Content-Length", "value": body.len().to_string()},
            ],
            "content": {"size": body.len(), "mimeType": "application/json", "text": body},
        },
    })
}

/// The same with a JSON body in the request.
pub(crate) fn asking(mut entry: Value, body: &Value) -> Value {
    entry["request"]["headers"] = json!([{"name": "Content-Type", "value": "application/json"}]);
    entry["request"]["postData"] = json!({"mimeType": "application/json", "text": body.to_string()});
    entry
}

/// An entry with a chunked answer: for each chunk when it came (ms), what it was, and after how many requests.
pub(crate) fn chunked(method: &str, target: &str, chunks: &[(f64, &str, u64)]) -> Value {
    let mut entry = entry(method, target, 200, &Value::Null);
    let response = &mut entry["response"];
    response["headers"] = json!([
        {"name": "Content-Type", "value": "application/json"},
        {"name": "Transfer-Encoding", "value": "chunked"},
    ]);
    let text: String = chunks.iter().map(|(_, text, _)| *text).collect();
    response["content"]["text"] = json!(text);
    response["_chunks"] = chunks.iter().map(|(ms, text, requests)| json!([ms, text.len(), requests])).collect();
    response["_head"] = json!([0, 0, 0]);
    entry
}

/// The recording of these entries.
pub(crate) fn cassette(entries: &[Value]) -> Cassette {
    cassette_with(&json!({}), entries)
}

/// The same, with more words before the entries.
pub(crate) fn cassette_with(preface: &Value, entries: &[Value]) -> Cassette {
    let lines: Vec<String> = entries.iter().map(Value::to_string).collect();
    let mut words = String::new();
    for (name, value) in preface.as_object().unwrap() {
        words.push_str(&format!("{}:{value},", json!(name)));
    }
    let text = format!("{{\"log\":{{\"version\":\"1.2\",{words}\"entries\":[\n{}\n]}}}}\n", lines.join(",\n"));
    Cassette::read_from("tape.har", text.as_bytes()).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

pub(crate) fn player(entries: &[Value]) -> Player {
    Player::of(&cassette(entries), PlayOptions::default()).unwrap()
}

/// A player that listens at a socket, and the socket's folder, which goes when it is dropped.
pub(crate) struct Listening {
    pub(crate) player: Player,
    path: std::path::PathBuf,
}

impl Listening {
    pub(crate) fn new(entries: &[Value], options: PlayOptions) -> Self {
        Self::of(Player::of(&cassette(entries), options).unwrap())
    }

    pub(crate) fn of(player: Player) -> Self {
        let path = std::env::temp_dir().join(unique("longshore-player"));
        player.listen(&Endpoint::Unix(path.clone())).unwrap();
        Self { player, path }
    }

    pub(crate) fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.path).unwrap();
        // What a test waits for has failed if it takes longer.
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    /// Sends bytes, and gives all that comes back until the end.
    pub(crate) fn say(&self, bytes: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes.as_bytes()).unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        String::from_utf8_lossy(&back).into_owned()
    }
}

/// A request that ends its connection.
pub(crate) fn last(method: &str, target: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")
}

/// What a socket gives next, as much as there is at once.
pub(crate) fn next(stream: &mut UnixStream) -> String {
    let mut buf = vec![0; 64 * 1024];
    let n = stream.read(&mut buf).unwrap();
    String::from_utf8_lossy(&buf[..n]).into_owned()
}

/// Whether nothing comes for a while.
pub(crate) fn is_silent(stream: &mut UnixStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(150))).unwrap();
    let silent = stream.read(&mut [0]).is_err();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    silent
}

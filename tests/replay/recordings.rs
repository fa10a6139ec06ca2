//! What a recording holds of what passed: all of it, apart, and no secret. The Engine is a scripted one.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use longshore::engine::{Engine, LogsQuery, Stream};
use longshore::replay::scripted::{Answer, Scripted};
use longshore::replay::{Cassette, Player, Recording};
use longshore::{Endpoint, Hangup};
use serde_json::json;

use crate::support::unique;

/// A scripted Engine, and a recording of it that listens at a socket.
struct Bench {
    scripted: Scripted,
    dir: PathBuf,
    recording: Option<Recording>,
}

impl Bench {
    fn new(redact: &[&str]) -> Self {
        let scripted = Scripted::unix().unwrap();
        // A recording asks the Engine what it is before anything else.
        scripted.always("GET /version", || Answer::json(200, &json!({"ApiVersion": "1.41"})));
        let dir = std::env::temp_dir().join(unique("longshore-recording"));
        fs::create_dir(&dir).unwrap();
        let redact: Vec<String> = redact.iter().map(|pattern| (*pattern).to_owned()).collect();
        let recording = Recording::of(scripted.endpoint().clone(), dir.join("tape.har"), &redact).unwrap();
        recording.listen(&Endpoint::Unix(dir.join("proxy.sock"))).unwrap();
        Self { scripted, dir, recording: Some(recording) }
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.dir.join("proxy.sock")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Sends a request, and gives all that comes back until the end.
    fn say(&self, bytes: impl AsRef<[u8]>) -> Vec<u8> {
        ask(self.connect(), bytes.as_ref())
    }

    /// Ends the recording: its text, and what is in it.
    fn end(&mut self) -> (String, Cassette) {
        self.recording.take().unwrap().finish().unwrap();
        let path = self.dir.join("tape.har");
        (fs::read_to_string(&path).unwrap(), Cassette::read(&path).unwrap())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.recording = None;
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn ask(mut stream: UnixStream, bytes: &[u8]) -> Vec<u8> {
    stream.write_all(bytes).unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    back
}

fn request(method: &str, target: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {target} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )
}

/// Logs of so many bytes, in frames of many sizes, none of them text throughout.
fn logs(size: usize) -> Vec<(Stream, Vec<u8>)> {
    let (mut frames, mut written, mut n) = (Vec::new(), 0, 0usize);
    while written < size {
        let len = (n * 7919 % 16_000 + 1).min(size - written);
        let stream = if n % 3 == 0 { Stream::Stderr } else { Stream::Stdout };
        frames.push((stream, (0..len).map(|at| (at * 31 + n) as u8).collect()));
        written += len;
        n += 1;
    }
    frames
}

fn read_logs(engine: &Engine) -> Vec<(Stream, Vec<u8>)> {
    let mut logs = engine.container_logs("c1", &LogsQuery::new().follow(), &Hangup::new()).unwrap();
    let mut read: Vec<(Stream, Vec<u8>)> = Vec::new();
    while let Some(piece) = logs.next_piece().unwrap() {
        match read.last_mut() {
            Some((_, bytes)) if !piece.first => bytes.extend_from_slice(piece.bytes),
            _ => read.push((piece.stream, piece.bytes.to_vec())),
        }
    }
    read
}

#[test]
fn ten_megabytes_of_logs_byte_for_byte() {
    let mut bench = Bench::new(&[]);
    let frames = logs(10_000_000);
    let answer = frames.clone();
    bench.scripted.always("GET /containers/*/json", || Answer::json(200, &json!({"Config": {"Tty": false}})));
    bench.scripted.always("GET /containers/*/logs", move || {
        let frames = answer.iter();
        frames.fold(Answer::chunked(200), |answer, (stream, bytes)| answer.frame(*stream, bytes)).end()
    });
    let engine = Engine::connect(Endpoint::Unix(bench.dir.join("proxy.sock")));
    assert!(read_logs(&engine) == frames, "through the recording");
    let (_, cassette) = bench.end();
    let entry = cassette.entries().find(|entry| entry.target().contains("/logs")).unwrap();
    assert_eq!(entry.chunks().unwrap().len(), frames.len(), "a chunk each");
    let player = Player::of(&cassette, Default::default()).unwrap();
    let begun = Instant::now();
    assert!(read_logs(&player.engine()) == frames, "from the recording");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn no_byte_is_changed() {
    let bench = Bench::new(&[]);
    bench.scripted.always("GET /chunks", || {
        Answer::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Odd:  two  blanks \r\n\r\n")
            .send("3;name=value\r\nabc\r\n000A\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n")
    });
    bench.scripted.always("HEAD /head", || Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"));
    bench.scripted.always("GET /close", || Answer::raw("HTTP/1.1 200 OK\r\n\r\n\0\x01\u{7f} until the end").close());
    bench.scripted.always("GET /bare", || Answer::raw("HTTP/1.1 200\nContent-Length: 2\n\nok"));
    bench.scripted.always("GET /garbage", || Answer::raw("\x16\x03\x01 no HTTP at all \n\n\n").close());
    bench.scripted.always("GET /cut", || Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf").close());
    bench
        .scripted
        .always("POST /early", || Answer::raw("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 x\r\n\r\n"));
    for (method, path) in [
        ("GET", "/chunks"),
        ("HEAD", "/head"),
        ("GET", "/close"),
        ("GET", "/bare"),
        ("GET", "/garbage"),
        ("GET", "/cut"),
        ("POST", "/early"),
    ] {
        let asked = request(method, path, "", "");
        let Endpoint::Unix(direct) = bench.scripted.endpoint() else { panic!("a socket") };
        let direct = ask(UnixStream::connect(direct).unwrap(), asked.as_bytes());
        assert_eq!(bench.say(&asked), direct, "{method} {path}");
        assert!(!direct.is_empty(), "{path}");
    }
}

#[test]
fn streams_side_by_side_are_kept_apart() {
    let mut bench = Bench::new(&[]);
    const STREAMS: usize = 100;
    bench.scripted.on("GET /containers/*/logs", |request| {
        let id = request.path.split('/').nth(2)?.to_owned();
        let piece = move |n: usize| format!("{id}:{n};");
        let answer =
            (0..20).fold(Answer::chunked(200), |answer, n| answer.chunk(piece(n)).pause(Duration::from_millis(1)));
        Some(answer.end().close())
    });
    let streams: Vec<_> = (0..STREAMS)
        .map(|n| {
            let (stream, asked) = (bench.connect(), request("GET", &format!("/containers/c{n}/logs"), "", ""));
            std::thread::spawn(move || ask(stream, asked.as_bytes()))
        })
        .collect();
    for stream in streams {
        assert!(String::from_utf8(stream.join().unwrap()).unwrap().contains("\r\n\r\n"), "an answer");
    }
    let (_, cassette) = bench.end();
    let entries: Vec<_> = cassette.entries().filter(|entry| entry.target().ends_with("/logs")).collect();
    assert_eq!(entries.len(), STREAMS);
    for entry in entries {
        let id = entry.target().split('/').nth(2).unwrap();
        let want: String = (0..20).map(|n| format!("{id}:{n};")).collect();
        assert_eq!(String::from_utf8(entry.body().unwrap()).unwrap(), want);
        assert_eq!(entry.chunks().unwrap().len(), 20, "{id}");
    }
}

#[test]
fn archives_are_kept_as_they_are() {
    let mut bench = Bench::new(&[]);
    let archive = "etc/app.conf\0\0password = postgres\nTOKEN=abcdefgh1\nurl=https://me:pw12345@host/\0".repeat(3);
    let answer = archive.clone();
    bench.scripted.always("GET /images/*/get", move || {
        Answer::body(200, answer.clone()).header("Content-Type", "application/x-tar")
    });
    let answer = archive.clone();
    bench.scripted.always("GET /containers/*/archive", move || Answer::body(200, answer.clone()));
    bench.scripted.always("PUT /containers/*/archive", || Answer::empty(200));
    bench.scripted.always("POST /build", || Answer::json(200, &json!({})));
    for asked in [
        request("GET", "/v1.41/images/x/get", "", ""),
        request("GET", "/v1.41/containers/c1/archive?path=/etc", "", ""),
        request("PUT", "/v1.41/containers/c1/archive?path=/etc", "Content-Type: text/plain\r\n", &archive),
        request("POST", "/v1.41/build?t=x", "Content-Type: application/x-tar\r\n", &archive),
    ] {
        bench.say(asked);
    }
    let (_, cassette) = bench.end();
    let bodies = cassette.entries().filter(|entry| !entry.target().ends_with("/version")).map(|entry| {
        let body = if entry.method() == "GET" { entry.body() } else { entry.request_body() };
        (entry.target().to_owned(), String::from_utf8(body.unwrap()).unwrap())
    });
    let bodies: Vec<_> = bodies.collect();
    assert_eq!(bodies.len(), 4);
    for (target, body) in bodies {
        assert_eq!(body, archive, "{target}");
    }
}

/// All that is in a recording, what is packed in base64 too.
fn everything(text: &str, cassette: &Cassette) -> String {
    let mut all = text.to_owned();
    for entry in cassette.entries() {
        for bytes in [entry.request_body().unwrap(), entry.body().unwrap(), entry.sent().unwrap().unwrap_or_default()] {
            all.push_str(&String::from_utf8_lossy(&bytes));
            all.push('\n');
        }
    }
    all
}

#[test]
fn no_secret_is_in_the_file() {
    let mut bench = Bench::new(&["*blue*"]);
    let (password, token, database) = ("reg?stry>pass~word", "tok-8f3a91", "hunter2-hunter2");
    // A task that prints what it was given, and an inspect that tells the environment.
    let inspect =
        json!({"Id": "c1", "Config": {"Env": [format!("DB_PASSWORD={database}"), "PATH=/bin"], "Tty": false}});
    bench.scripted.always("GET /containers/*/json", move || Answer::json(200, &inspect));
    let printed = format!("connecting with {database}\nDB_PASSWORD={database}\n{password}\n");
    bench.scripted.always("GET /containers/*/logs", move || Answer::chunked(200).frame(Stream::Stdout, &printed).end());
    for rule in ["POST /images/create", "POST /images/*/push", "POST /auth", "POST /build", "POST /containers/create"] {
        let answer = json!({"Id": "c1", "IdentityToken": token, "Status": "Login Succeeded"});
        bench.scripted.always(rule, move || Answer::json(200, &answer));
    }
    let auth = json!({"username": "me", "password": password, "serveraddress": "https://registry.example"}).to_string();
    let by_token = json!({"identitytoken": token}).to_string();
    let (url_safe, standard) = (URL_SAFE.encode(&auth), STANDARD.encode(&by_token));
    let config = URL_SAFE.encode(json!({"registry.example": {"username": "me", "password": password}}).to_string());
    let basic = STANDARD.encode(format!("me:{password}"));
    let create = json!({
        "Image": "x", "Env": [format!("DB_PASSWORD={database}"), "COLOUR_BLUE=ultramarine", "PATH=/bin"],
        "Cmd": ["sh", "-c", format!("mysql --password={database}")],
        "HostConfig": {"LogConfig": {"Config": {"splunk-token": token}}},
    });
    let kind = "Content-Type: application/json\r\n";
    for asked in [
        request("POST", "/v1.41/images/create?fromImage=x", &format!("x-REGISTRY-auth: {url_safe}\r\n"), ""),
        request("POST", "/v1.41/images/x/push", &format!("X-Registry-Auth: {standard}\r\n"), ""),
        request("POST", "/v1.41/auth", kind, &auth),
        request(
            "POST",
            &format!(
                "/v1.41/build?buildargs=%7B%22API_TOKEN%22%3A%22{token}%22%7D&remote=https%3A%2F%2Fme%3A{database}%40example.com"
            ),
            &format!("X-Registry-Config: {config}\r\nAUTHORIZATION: Basic {basic}\r\n"),
            "",
        ),
        request("POST", "/v1.41/containers/create?name=db", kind, &create.to_string()),
        request("GET", "/v1.41/containers/c1/json", "", ""),
        request("GET", "/v1.41/containers/c1/logs?stdout=1", "", ""),
    ] {
        bench.say(asked);
    }
    let (text, cassette) = bench.end();
    let all = everything(&text, &cassette);
    let user_and_password = format!("me:{password}");
    for secret in [
        password,
        token,
        database,
        "ultramarine",
        url_safe.as_str(),
        standard.as_str(),
        config.as_str(),
        basic.as_str(),
    ] {
        assert!(!all.contains(secret), "{secret}");
    }
    for whole in [password, user_and_password.as_str(), token, database] {
        for packed in [STANDARD.encode(whole), URL_SAFE.encode(whole)] {
            assert!(!all.contains(packed.trim_end_matches('=')), "{whole} as {packed}");
        }
    }
    for kept in ["PATH=/bin", "Login Succeeded", "registry.example", "connecting with ***************"] {
        assert!(all.contains(kept), "{kept} is no secret");
    }
    // It still plays, for whoever has another password.
    let player = Player::of(&cassette, Default::default()).unwrap();
    let mut other = create.clone();
    other["Env"][0] = json!("DB_PASSWORD=another one, much longer");
    other["Cmd"][2] = json!("mysql --password=another-one");
    let socket = bench.dir.join("player.sock");
    player.listen(&Endpoint::Unix(socket.clone())).unwrap();
    let asked = request("POST", "/v1.41/containers/create?name=db", kind, &other.to_string());
    let answer = ask(UnixStream::connect(socket).unwrap(), asked.as_bytes());
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
}

/// Gzip of these bytes, in stored blocks: no packer is needed for that.
fn gzip(body: &[u8]) -> Vec<u8> {
    let length = body.len() as u16;
    let mut packed = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x01".to_vec();
    packed.extend([length.to_le_bytes(), (!length).to_le_bytes()].concat());
    packed.extend(body);
    packed.extend([0; 8]);
    packed
}

fn bytes_of(method: &str, target: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut asked = request(method, target, &format!("{headers}X-Length: {}\r\n", body.len()), "").into_bytes();
    let text = String::from_utf8(asked.clone()).unwrap();
    asked = text.replace("Content-Length: 0", &format!("Content-Length: {}", body.len())).into_bytes();
    asked.extend(body);
    asked
}

#[test]
fn packed_bodies_carry_no_secret_into_the_file() {
    let mut bench = Bench::new(&[]);
    let secret = "S3cret/x&y";
    let body = json!({"Id": "c1", "Config": {"Env": [format!("DB_PASSWORD={secret}"), "A=b"]}}).to_string();
    let wide: Vec<u8> = body.encode_utf16().flat_map(u16::to_le_bytes).collect();
    // (path, headers, body, whether it is kept)
    let rows: Vec<(&str, &str, Vec<u8>, bool)> = vec![
        ("gzip", "Content-Type: application/json\r\nContent-Encoding: GZIP\r\n", gzip(body.as_bytes()), true),
        (
            "deflate",
            "Content-Type: Application/JSON\r\nContent-Encoding: deflate\r\n",
            gzip(body.as_bytes())[10..].into(),
            true,
        ),
        ("wide", "Content-Type: application/json; charset=utf-16\r\n", wide.clone(), true),
        ("both", "Content-Encoding: gzip\r\n", gzip(&wide), true),
        ("case", "Content-Type: APPLICATION/JSON\r\n", body.clone().into_bytes(), true),
        ("br", "Content-Type: application/json\r\nContent-Encoding: br\r\n", body.clone().into_bytes(), false),
        ("zstd", "Content-Type: application/json\r\nContent-Encoding: zstd\r\n", body.clone().into_bytes(), false),
    ];
    for (path, headers, packed, _) in &rows {
        let answer = [
            format!("HTTP/1.1 200 OK\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n", packed.len())
                .into_bytes(),
            packed.clone(),
        ]
        .concat();
        bench.scripted.always(format!("POST /{path}"), move || Answer::raw(answer.clone()).close());
        let back = bench.say(bytes_of("POST", &format!("/{path}"), headers, packed));
        assert!(back.ends_with(packed), "{path}: what passes is what it was");
    }
    let (text, cassette) = bench.end();
    assert!(!everything(&text, &cassette).contains("S3cret"), "{text}");
    assert!(text.contains("left out: it is encoded in br, which is not read"), "{text}");
    let player = Player::of(&cassette, Default::default()).unwrap();
    let socket = bench.dir.join("player.sock");
    player.listen(&Endpoint::Unix(socket.clone())).unwrap();
    for (path, headers, packed, kept) in &rows {
        let entry = cassette.entries().find(|entry| entry.target() == format!("/{path}")).unwrap();
        let want = body.replace(secret, "**********");
        let want = if *kept { want.as_bytes() } else { b"" };
        assert_eq!((entry.request_body().unwrap(), entry.body().unwrap()), (want.to_vec(), want.to_vec()), "{path}");
        // Asked as it was, and played unpacked, or not at all and with the reason.
        let said = ask(UnixStream::connect(&socket).unwrap(), &bytes_of("POST", &format!("/{path}"), headers, packed));
        let said = String::from_utf8(said).unwrap();
        match kept {
            true => assert!(
                said.starts_with("HTTP/1.1 200 ") && said.ends_with(std::str::from_utf8(want).unwrap()),
                "{path}: {said}"
            ),
            false => assert!(said.starts_with("HTTP/1.1 501 ") && said.contains("which is not read"), "{path}: {said}"),
        }
        assert!(!said.contains("Content-Encoding"), "{path}: {said}");
    }
}

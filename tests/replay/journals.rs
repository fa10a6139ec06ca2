//! What is left of a recording that something went wrong with: one odd exchange, a crash, a full disk.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use longshore::Endpoint;
use longshore::replay::{Cassette, PlayOptions, Player, Recording};

use crate::support::{eventually, unique};

/// A server that reads what comes and answers with bytes, whatever they are, and a recording of it.
struct Bench {
    dir: PathBuf,
    answer: Arc<Mutex<Vec<u8>>>,
    ends: Arc<AtomicBool>,
    server: Option<std::thread::JoinHandle<()>>,
    recording: Option<Recording>,
}

const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nServer: Docker/26.1 (linux)\r\nContent-Length: 2\r\n\r\nok";

impl Bench {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(unique("longshore-journals"));
        fs::create_dir(&dir).unwrap();
        let listener = UnixListener::bind(dir.join("engine.sock")).unwrap();
        let (answer, ends) = (Arc::new(Mutex::new(GOOD.to_vec())), Arc::new(AtomicBool::new(false)));
        let (says, stops) = (answer.clone(), ends.clone());
        let server = std::thread::spawn(move || {
            let mut open = Vec::new();
            for stream in listener.incoming() {
                if stops.load(Ordering::SeqCst) {
                    return;
                }
                let mut stream = stream.unwrap();
                // What a client sends here is there at once, and all of it.
                let mut asked = vec![0; 1 << 20];
                let n = stream.read(&mut asked).unwrap_or(0);
                if asked[..n].starts_with(b"POST /open ") {
                    open.push(stream);
                    continue;
                }
                let _ = stream.write_all(&says.lock().unwrap().clone());
            }
        });
        let endpoint = Endpoint::Unix(dir.join("engine.sock"));
        let recording = Recording::of(endpoint, dir.join("new/folder/tape.har"), &[]).unwrap();
        recording.listen(&Endpoint::Unix(dir.join("sockets/proxy.sock"))).unwrap();
        Self { dir, answer, ends, server: Some(server), recording: Some(recording) }
    }

    fn say(&self, asked: &[u8], answer: &[u8]) {
        *self.answer.lock().unwrap() = answer.to_vec();
        let mut stream = UnixStream::connect(self.dir.join("sockets/proxy.sock")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // Longer than a socket holds is for whoever reads on.
        let _ = stream.write_all(asked);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    }

    fn good(&self, path: &str) {
        self.say(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes(), GOOD);
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join("new/folder").join(name)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.recording = None;
        self.ends.store(true, Ordering::SeqCst);
        let _ = UnixStream::connect(self.dir.join("engine.sock"));
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn targets(cassette: &Cassette) -> Vec<String> {
    cassette.entries().map(|entry| entry.target().to_owned()).collect()
}

#[test]
fn one_odd_exchange_does_not_cost_the_others() {
    let many = "X: y\r\n".repeat(1_001);
    let long = format!("Server: {}/1\r\nApi-Version: {}\r\n", "n".repeat(5_000), "1".repeat(5_000));
    let with = |header: &str| format!("GET /odd HTTP/1.1\r\n{header}\r\n\r\n");
    let answer = |header: &str| format!("HTTP/1.1 200 OK\r\n{header}\r\nContent-Length: 2\r\n\r\nok");
    for (row, asked, answered, left_out) in [
        ("a blank in a name", with("X : y"), answer("A: b"), 1),
        ("no name", with(": y"), answer("A: b"), 1),
        ("a NUL", with("X: a\0b"), answer("A: b"), 1),
        ("a bare CR", with("X: a\rb"), answer("A: b"), 1),
        ("a thousand headers and one", with(many.trim_end()), answer("A: b"), 1),
        ("a long name", with(&format!("{}: y", "n".repeat(2_000))), answer("A: b"), 1),
        ("a long method", format!("{} /odd HTTP/1.1\r\n\r\n", "M".repeat(2_000)), answer("A: b"), 1),
        ("a tab in a target", "GET /o\tdd HTTP/1.1\r\n\r\n".into(), answer("A: b"), 1),
        ("no path", "OPTIONS * HTTP/1.1\r\n\r\n".into(), answer("A: b"), 1),
        ("an odd answer", with("X: y"), answer("A : b"), 1),
        ("a CR in an answer", with("X: y"), answer("A: b\rc"), 1),
        (
            "a long reason",
            with("X: y"),
            format!("HTTP/1.1 200 {}\r\nContent-Length: 2\r\n\r\nok", "r".repeat(2_000)),
            1,
        ),
        ("an escape in a reason", with("X: y"), "HTTP/1.1 200 O\u{1b}[2JK\r\nContent-Length: 2\r\n\r\nok".into(), 1),
        ("an Engine of a long name", with("X: y"), answer(long.trim_end()), 0),
        ("what is no header", with("no colon"), answer("A: b"), 0),
        ("what is no answer", with("X: y"), "HTTP/1.1 abc\r\n\r\n".into(), 0),
        ("a part of a URL", "GET /odd#x HTTP/1.1\r\n\r\n".into(), answer("A: b"), 0),
    ] {
        let mut bench = Bench::new();
        bench.good("/before");
        bench.say(asked.as_bytes(), answered.as_bytes());
        bench.good("/after");
        let recorded = bench.recording.take().unwrap().finish().unwrap();
        assert_eq!(recorded.left_out, left_out, "{row}");
        let cassette = Cassette::read(bench.file("tape.har")).unwrap_or_else(|e| panic!("{row}: {e}"));
        let all = targets(&cassette);
        assert_eq!((all.first().unwrap().as_str(), all.last().unwrap().as_str()), ("/before", "/after"), "{row}");
        assert_eq!(all.len() as u64, recorded.requests, "{row}");
        // Nothing waits for what is not there.
        let begun = std::time::Instant::now();
        let playing = crate::tapes::Listening::of(Player::of(&cassette, PlayOptions::default()).unwrap());
        assert!(playing.say(&crate::tapes::last("GET", "/after")).ends_with("ok"), "{row}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{row}");
    }
}

/// Whatever the recorder writes, the player reads.
#[test]
fn what_is_recorded_of_anything_is_read() {
    let mut seed = 0x2545_f491_4f6c_dd1du64;
    let mut dice = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as usize % below
    };
    const WORDS: &[&[u8]] = &[
        b"GET ",
        b"POST ",
        b"/x",
        b"http://h/",
        b" HTTP/1.1\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 +99 \r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"X: y\r\n",
        b"X : y\r\n",
        b": ",
        b"\0",
        b"\r",
        b"\n",
        b"\t",
        b" ",
        b"#",
        b"?",
        b"://",
        b"\xff\xfe",
        b"\xc3\xa9",
        b"\x7f",
        b"Content-Length: 3\r\n",
        b"Content-Length: +3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Content-Encoding: gzip\r\n",
        b"Content-Encoding: br\r\n",
        b"Content-Type: application/json\r\n",
        b"3\r\nabc\r\n0\r\n\r\n",
        b"{\"a\":\"b\"}",
        b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
        b"Upgrade: tcp\r\n",
        b"HTTP/1.1 101 UP\r\n\r\n",
        b"Server: a/b\r\n",
        b"abc",
    ];
    let mut soup = |start: &[u8]| {
        let mut bytes = start.to_vec();
        for _ in 0..dice(12) {
            bytes.extend(WORDS[dice(WORDS.len())]);
        }
        bytes
    };
    for round in 0..20 {
        let mut bench = Bench::new();
        bench.good("/before");
        for _ in 0..15 {
            let start: &[u8] = if round % 4 == 0 { b"" } else { b"POST /x HTTP/1.1\r\n" };
            let (asked, answered) = (soup(start), soup(b"HTTP/1.1 200 OK\r\n"));
            bench.say(&asked, &answered);
        }
        bench.good("/after");
        let recorded = bench.recording.take().unwrap().finish().unwrap();
        let path = bench.file("tape.har");
        let cassette = Cassette::read(&path).unwrap_or_else(|e| panic!("round {round}: {e}: {:?}", fs::read(&path)));
        assert_eq!(cassette.entries().len() as u64, recorded.requests, "round {round}");
        Player::of(&cassette, PlayOptions::default()).unwrap();
    }
}

#[test]
fn what_was_recorded_is_on_disk_before_the_end() {
    let mut bench = Bench::new();
    assert_eq!(fs::read_dir(bench.file("")).unwrap().count(), 0, "nothing yet");
    // One that is not over, before the others.
    let mut open = UnixStream::connect(bench.dir.join("sockets/proxy.sock")).unwrap();
    open.write_all(b"POST /open HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf").unwrap();
    for n in 0..5 {
        bench.good(&format!("/n{n}"));
    }
    let big = format!("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n{}", "x".repeat(300_000));
    bench.say(b"GET /big HTTP/1.1\r\n\r\n", big.as_bytes());
    let journal = bench.file("tape.har.journal");
    let want = ["/n0", "/n1", "/n2", "/n3", "/n4", "/big"];
    eventually(Duration::from_secs(10), "all is there", || {
        Cassette::read(&journal).is_ok_and(|cassette| targets(&cassette) == want)
    });
    let text = fs::read(&journal).unwrap();
    assert!(!bench.file("tape.har").exists());
    // As a kill leaves it, at any byte.
    let cassette = Cassette::read(&journal).unwrap();
    assert!(cassette.skipped()[0].contains("the recording was not finished"), "{:?}", cassette.skipped());
    let playing = crate::tapes::Listening::of(Player::of(&cassette, PlayOptions::default()).unwrap());
    let begun = std::time::Instant::now();
    assert!(playing.say(&crate::tapes::last("GET", "/n4")).ends_with("ok"));
    assert!(begun.elapsed() < Duration::from_secs(1), "it waits for what is not there: {:?}", begun.elapsed());
    let first = text.iter().position(|byte| *byte == b'\n').unwrap();
    for cut in (first..text.len().min(5_000)).step_by(37) {
        let part = Cassette::read_from("x.journal", &text[..cut]).unwrap_or_else(|e| panic!("cut at {cut}: {e}"));
        assert!(want.starts_with(&targets(&part).iter().map(String::as_str).collect::<Vec<_>>()), "cut at {cut}");
    }
    let torn = [&text[..2_000], &[0; 100]].concat();
    assert!(Cassette::read_from("x.journal", &torn[..]).is_ok(), "zeros at its end, as a machine's crash leaves them");
    let whole = String::from_utf8_lossy(&text).replace(",\"_journal\":true", "");
    assert!(Cassette::read_from("x.har", whole.as_bytes()).is_err(), "a file of another kind that is cut is an error");
    drop(open);
    let recorded = bench.recording.take().unwrap().finish().unwrap();
    assert_eq!(recorded.requests, 7);
    assert!(!journal.exists(), "nobody needs it");
    assert_eq!(Cassette::read(bench.file("tape.har")).unwrap().entries().len(), 7);
}

#[test]
fn an_older_journal_stays() {
    let mut bench = Bench::new();
    fs::write(bench.file("tape.har.journal"), "what a crash left").unwrap();
    bench.good("/x");
    assert!(bench.file("tape.har.journal.2").exists());
    bench.recording.take().unwrap().finish().unwrap();
    assert_eq!(fs::read_to_string(bench.file("tape.har.journal")).unwrap(), "what a crash left");
    assert_eq!(fs::read_dir(bench.file("")).unwrap().count(), 2);
}

/// The file cannot get its name: what was recorded stays where it is, and the error says where.
#[test]
fn what_cannot_be_written_is_still_in_the_journal() {
    let mut bench = Bench::new();
    bench.good("/x");
    fs::create_dir(bench.file("tape.har")).unwrap();
    let error = bench.recording.take().unwrap().finish().unwrap_err().to_string();
    let journal = bench.file("tape.har.journal");
    assert!(error.contains(&format!("what was recorded until then is in {}", journal.display())), "{error}");
    assert_eq!(targets(&Cassette::read(&journal).unwrap()), ["/x"]);
}

#[test]
fn what_is_discarded_leaves_nothing() {
    let mut bench = Bench::new();
    bench.good("/x");
    bench.recording.take().unwrap().discard();
    assert_eq!(fs::read_dir(bench.file("")).unwrap().count(), 0);
}

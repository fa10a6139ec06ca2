//! `record`, `replay` and `-H replay:FILE`, without an Engine: what is recorded is a recording that is played.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use longshore::Endpoint;
use longshore::engine::Engine;
use longshore::replay::Cassette;

use crate::place::{PATIENCE, Place, Ran, Running};
use crate::support::eventually;

/// A recording of one container's life.
const TAPE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/cassettes/example-replayed.har");

/// A program that listens at a socket in a place's folder.
struct Listening {
    running: Running,
    socket: PathBuf,
}

impl Listening {
    fn start(place: &Place, name: &str, args: &[&str]) -> Self {
        let socket = place.dir.join(name);
        let listen = format!("unix://{}", socket.display());
        let args: Vec<&str> = args.iter().copied().chain(["--listen", &listen]).collect();
        let running = Running::start(place.longshore(&args));
        eventually(PATIENCE, "it listens", || UnixStream::connect(&socket).is_ok());
        Self { running, socket }
    }

    fn engine(&self) -> Engine {
        Engine::connect(Endpoint::Unix(self.socket.clone()))
    }

    fn url(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    fn end(self, signal: &str) -> Ran {
        self.running.signal(signal);
        let ran = self.running.end();
        assert!(signal == "KILL" || !self.socket.exists(), "the socket is left");
        ran
    }
}

fn path(place: &Place, name: &str) -> String {
    place.dir.join(name).display().to_string()
}

#[test]
fn what_is_recorded_is_played() {
    let place = Place::new();
    let engine = Listening::start(&place, "engine.sock", &["replay", TAPE]);
    for (signal, file) in [("TERM", "a.har"), ("INT", "b.har"), ("HUP", "c.har")] {
        let out = path(&place, file);
        let record = Listening::start(&place, "record.sock", &["-H", &engine.url(), "record", "--out", &out]);
        record.engine().version().unwrap();
        let ran = record.end(signal);
        assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{}", ran.err);
        assert!(ran.err.contains(&format!("recording {} into {out}", engine.url())), "{}", ran.err);
        assert!(ran.err.contains(&format!("{out}: ")) && ran.err.contains(" requests on "), "{}", ran.err);
        let cassette = Cassette::read(&out).unwrap();
        let asked: Vec<_> = cassette.entries().map(|entry| entry.target().to_owned()).collect();
        assert!(asked.iter().any(|target| target.ends_with("/version")), "{signal}: {asked:?}");
    }
    let ran = engine.end("TERM");
    assert_eq!(ran.code, 0, "{}", ran.err);
    let played = Listening::start(&place, "played.sock", &["replay", &path(&place, "a.har")]);
    assert_eq!(played.engine().version().unwrap().api_version, "1.41");
    let ran = played.end("INT");
    assert!(ran.err.contains("playing") && ran.err.contains("recorded on 20"), "{}", ran.err);
}

#[test]
fn a_crash_leaves_the_older_file() {
    let place = Place::new();
    let engine = Listening::start(&place, "engine.sock", &["replay", TAPE]);
    let out = place.file("old.har", "what was there");
    let record = Listening::start(&place, "record.sock", &["-H", &engine.url(), "record", "--out", &out]);
    record.engine().version().unwrap();
    record.end("KILL");
    assert_eq!(fs::read_to_string(&out).unwrap(), "what was there");
    let left: Vec<_> = fs::read_dir(&place.dir).unwrap().flatten().map(|e| e.file_name()).collect();
    assert!(
        !left.iter().any(|name| name.to_string_lossy().contains("spool") || name.to_string_lossy().contains("tmp")),
        "{left:?}"
    );
    // What was recorded is not lost.
    let journal = Cassette::read(format!("{out}.journal")).unwrap();
    assert!(journal.entries().any(|entry| entry.target().ends_with("/version")));
    // The socket of the dead one is taken over.
    let record = Listening::start(&place, "record.sock", &["-H", &engine.url(), "record", "--out", &out]);
    assert_eq!(record.end("TERM").code, 0);
    assert!(Cassette::read(&out).is_ok());
}

#[test]
fn a_recording_stands_in_for_an_engine() {
    let place = Place::new();
    let host = format!("replay:{TAPE}");
    for ran in [
        Ran::of(place.longshore(&["-H", &host, "ping", "--json"]).output().unwrap()),
        Ran::of(place.longshore(&["ping", "--json"]).env("DOCKER_HOST", &host).output().unwrap()),
    ] {
        assert_eq!(ran.code, 0, "{}", ran.err);
        let answer: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!((answer["endpoint"].as_str(), answer["negotiated"].as_str()), (Some(host.as_str()), Some("1.41")));
        assert!(ran.err.starts_with(&format!("longshore: playing {TAPE} (Docker Engine 20.10")), "{}", ran.err);
    }
}

#[test]
fn a_job_that_was_not_recorded_is_told_what_is_missing() {
    let place = Place::new();
    let file = place.job(&[("t", "true")], "", "");
    let ran = Ran::of(place.longshore(&["-H", &format!("replay:{TAPE}"), "run", &file]).output().unwrap());
    assert_eq!(ran.code, 125, "{}", ran.err);
    assert!(ran.err.contains("nothing was recorded for GET /info"), "{}", ran.err);
}

#[test]
fn faults_and_speed_are_what_is_asked_for() {
    let place = Place::new();
    let fault = ["replay", TAPE, "--fault", "once:500@GET /version", "--speed", "100"];
    let engine = Listening::start(&place, "engine.sock", &fault);
    assert_eq!(engine.engine().version().unwrap_err().status(), Some(500));
    engine.engine().version().unwrap();
    engine.end("TERM");
}

#[test]
fn wrong_usage_and_bad_files() {
    let place = Place::new();
    let damaged = place.file("damaged.har", "{\"log\":{\"version\":\"1.2\",\"entries\":[\n{\"request\":1}]}}");
    let (missing, socket) = (path(&place, "missing.har"), format!("unix://{}", path(&place, "x.sock")));
    let occupied = place.file("occupied", "a file");
    let beneath = format!("{occupied}/folder/x.har");
    let socket_beneath = format!("unix://{occupied}/folder/x.sock");
    let occupied = format!("unix://{occupied}");
    for (args, code, words) in [
        (vec!["replay", TAPE], 2, "--listen <URL>"),
        (vec!["replay", TAPE, "--listen", "/x"], 2, "--listen: bad Engine address `/x`"),
        (vec!["replay", TAPE, "--listen", "ssh://x"], 2, "a Unix socket (unix://PATH) or a port"),
        (vec!["replay", TAPE, "--listen", &socket_beneath], 125, &format!("cannot listen at {socket_beneath}")),
        (vec!["replay", TAPE, "--listen", &occupied], 125, "cannot listen at"),
        (vec!["replay", TAPE, "--listen", &socket, "--speed", "0"], 2, "--speed: expected a number above 0"),
        (vec!["replay", TAPE, "--listen", &socket, "--fault", "fire"], 2, "--fault: `fire` is no fault: cut:BYTES,"),
        (vec!["replay", &missing, "--listen", &socket], 125, "there is no recording"),
        (vec!["replay", &damaged, "--listen", &socket], 125, "damaged.har:2: entry 1: response: it is missing"),
        (vec!["-H", "replay:", "ping"], 2, "it names no recording"),
        (vec!["-H", &format!("replay:{missing}"), "ping"], 125, "there is no recording"),
        (
            vec!["-H", &format!("replay:{TAPE}"), "record", "--listen", &socket, "--out", "x"],
            2,
            "a recording of a recording",
        ),
        (vec!["-H", &socket, "record", "--listen", &socket, "--out", &beneath], 125, &beneath),
        (vec!["-H", &socket, "record", "--listen", "tcp://0.0.0.0:0", "--out", "x"], 2, "--allow-network"),
    ] {
        let ran = Ran::of(place.longshore(&args).output().unwrap());
        assert_eq!(ran.code, code, "{args:?}: {}", ran.err);
        assert!(ran.err.contains(words), "{args:?}: {}", ran.err);
        assert_eq!(ran.err.lines().count(), 1, "{args:?}: {}", ran.err);
    }
    assert_eq!(fs::read_to_string(place.dir.join("occupied")).unwrap(), "a file", "it is not taken over");
}

#[test]
fn any_port_will_do() {
    let place = Place::new();
    let mut running = place.longshore(&["replay", TAPE, "--listen", "tcp://127.0.0.1:0"]);
    let mut child = running.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stderr.take().unwrap()), &mut line).unwrap();
    let url = line.split("DOCKER_HOST=").nth(1).unwrap().split(';').next().unwrap();
    let engine = Engine::connect(url.parse().unwrap()).within(Duration::from_secs(10));
    let answered = engine.version();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(answered.unwrap().api_version, "1.41", "{url}");
}

#[test]
fn the_hello_job_is_played_as_often_as_one_likes_and_anywhere() {
    let root = env!("CARGO_MANIFEST_DIR");
    let (host, job) =
        (format!("replay:{root}/fixtures/cassettes/hello.har"), format!("{root}/fixtures/jobs/hello.nomad.hcl"));
    let mut allocations = std::collections::BTreeSet::new();
    for round in 0..10 {
        // Each has a data directory of its own, and so a name of its own.
        let place = Place::new();
        let ran = Ran::of(place.longshore(&["-H", &host, "run", &job]).output().unwrap());
        assert_eq!(ran.code, 0, "{round}: {}", ran.err);
        let allocation = ran.out.strip_prefix("hello from the task greeter, in the allocation ");
        let allocation =
            allocation.and_then(|rest| rest.strip_suffix("\ndone\n")).unwrap_or_else(|| panic!("{}", ran.out));
        assert!(place.dir.join("data/alloc").join(allocation).is_dir(), "{round}: {allocation} is another's");
        allocations.insert(allocation.to_owned());
        let err: Vec<_> = ran.err.lines().collect();
        assert!(
            err[0].starts_with("longshore: playing ") && err[1..] == ["this line goes to standard error"],
            "{err:?}"
        );
        let state = place.state();
        assert_eq!((&state["ended"], &state["tasks"][0]["last_exit"]["exit_code"]), (&true.into(), &0.into()));
    }
    assert_eq!(allocations.len(), 10);
}

#[test]
fn a_full_disk_costs_what_comes_then_and_not_what_was() {
    let place = Place::new();
    let engine = Listening::start(&place, "engine.sock", &["replay", TAPE]);
    let out = path(&place, "new/folder/full.har");
    // A file may grow no longer than this, as on a disk that is full; and nobody is told by a signal.
    let socket = place.dir.join("record.sock");
    let listen = format!("unix://{}", socket.display());
    let mut shell = std::process::Command::new("sh");
    shell.arg("-c").arg("trap '' XFSZ; ulimit -f 16; exec \"$@\"").arg("sh").arg(env!("CARGO_BIN_EXE_longshore"));
    shell.args(["-H", &engine.url(), "record", "--out", &out, "--listen", &listen]).stdin(std::process::Stdio::null());
    let record = Listening { running: Running::start(shell), socket: socket.clone() };
    eventually(PATIENCE, "it listens", || UnixStream::connect(&socket).is_ok());
    for _ in 0..50 {
        record.engine().version().unwrap();
    }
    let ran = record.end("TERM");
    assert_eq!(ran.code, 125, "{}", ran.err);
    let journal = format!("{out}.journal");
    assert!(ran.err.contains(&format!("what was recorded until then is in {journal}")), "{}", ran.err);
    let cassette = Cassette::read(&journal).unwrap();
    assert!(cassette.entries().len() > 2, "{}", cassette.entries().len());
    let played = Listening::start(&place, "sockets/played.sock", &["replay", &journal]);
    played.engine().version().unwrap();
    played.end("TERM");
    engine.end("TERM");
}

#[test]
fn what_is_opened_to_the_network_is_said() {
    let place = Place::new();
    let engine = Listening::start(&place, "engine.sock", &["replay", TAPE]);
    let url = engine.url();
    let mut running = place.longshore(&[
        "-H",
        &url,
        "record",
        "--listen",
        "tcp://0.0.0.0:0",
        "--allow-network",
        "--out",
        &path(&place, "x.har"),
    ]);
    let mut child = running.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut err = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut lines = String::new();
    for _ in 0..2 {
        std::io::BufRead::read_line(&mut err, &mut lines).unwrap();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(lines.contains(&format!("opens the Engine at {url} to the network")), "{lines}");
}

#[test]
fn no_log_shows_what_is_said_to_the_engine() {
    let place = Place::new();
    let file = place.file(
        "t.hcl",
        r#"job "j" {
      type = "batch"
      group "g" {
        task "t" {
          driver = "docker"
          config { image = "x:1" }
          env { DB_PASSWORD = "S3cret-of-the-task" }
        }
      }
    }"#,
    );
    let engine = longshore::replay::scripted::Scripted::unix().unwrap().forgiving();
    for (pattern, answer) in [
        ("GET /_ping", serde_json::json!({})),
        ("GET /version", serde_json::json!({"ApiVersion": "1.41", "Version": "20.10.24"})),
        ("GET /info", serde_json::json!({"ID": "x", "OSType": "linux", "CgroupVersion": "1"})),
        ("GET /containers/json", serde_json::json!([])),
        ("GET /images/*/json", serde_json::json!({"Id": "sha256:1", "RepoTags": ["x:1"]})),
        ("POST /containers/create", serde_json::json!({"message": "no room"})),
    ] {
        let status = if pattern.starts_with("POST") { 507 } else { 200 };
        engine.always(pattern, move || {
            longshore::replay::scripted::Answer::json(status, &answer).header("Api-Version", "1.41")
        });
    }
    let url = engine.endpoint().to_string();
    for (variable, flag) in
        [("trace", None), ("ureq=trace", None), ("ureq::run=debug,ureq_proto=trace,trace", None), ("", Some("trace"))]
    {
        let mut args = vec!["-H", url.as_str(), "run", file.as_str()];
        if let Some(level) = flag {
            args.extend(["--log-level", level]);
        }
        let ran = Ran::of(place.longshore(&args).env("RUST_LOG", variable).output().unwrap());
        assert!(!ran.err.contains("S3cret-of-the-task"), "{variable} {flag:?}: {}", ran.err);
        assert!(!ran.err.contains("ureq"), "{variable} {flag:?}: {}", ran.err);
    }
    assert!(
        engine
            .requests("POST /containers/create")
            .iter()
            .any(|request| String::from_utf8_lossy(&request.body).contains("S3cret-of-the-task")),
        "the Engine was told"
    );
}

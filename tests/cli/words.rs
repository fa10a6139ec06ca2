//! What foreign text does to a terminal: nothing. An Engine, a job file and a journal give names and messages with terminal
//! escapes and newlines in them; no command writes those as they are, and none of them makes a line of its own.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant, SystemTime};

use longshore::driver::{ExitResult, TaskConfig, TaskHandle};
use longshore::replay::scripted::{Answer, Scripted};
use longshore::runner::{AllocState, History, Policy, TaskRecord};
use serde_json::{Value, json};

use crate::place::{PATIENCE, Place, Ran, Running};

/// A title, a red letter, an erased screen in one character, a forged row, text that runs backwards, a line's end of Unicode.
const W: &str = "w\u{1b}]0;T\u{7}\u{1b}[31mr\u{9b}2J\nforged\rforged\tx\u{202e}y\u{2028}z\u{7f}";
/// How long a command may go on by itself.
const LONG: Duration = Duration::from_secs(3);
const ALLOC: &str = "8f9a1f5e-0000-4000-8000-000000000001";

/// An Engine whose every text is [`W`], with one container that runs or has ended.
fn engine(running: bool) -> Scripted {
    let scripted = Scripted::unix().unwrap().forgiving();
    // The rule that was laid last is asked first.
    for path in ["/*", "/*/*", "/*/*/*", "/*/*/*/*"] {
        scripted.always(format!("* {path}"), || Answer::error(500, W));
    }
    for pattern in ["GET /_ping", "HEAD /_ping"] {
        scripted.always(pattern, || Answer::ping("1.41"));
    }
    scripted.always("GET /version", || {
        let component = json!({"Name": W, "Version": W, "Details": {}});
        let platform = json!({"Name": W});
        let more =
            json!({"Version": W, "ApiVersion": W, "MinAPIVersion": W, "Components": [component], "Platform": platform});
        Answer::json(200, &more)
    });
    scripted.always("GET /info", || Answer::json(200, &json!({"ID": "e", "Name": W, "ServerVersion": W})));
    scripted.always("GET /images/*/json", || {
        Answer::json(200, &json!({"Id": format!("sha256:{}", "1".repeat(64)), "RepoTags": [W, "a:1"], "Size": 5}))
    });
    scripted.on("GET /containers/*/json", move |_| {
        let state = json!({
            "Status": if running { "running" } else { "exited" }, "Running": running, "ExitCode": 3, "Error": W,
            "StartedAt": "2026-11-25T03:36:00Z", "FinishedAt": "2026-11-25T03:37:00Z", "Health": {"Status": W},
        });
        let ports = json!({format!("80/{W}"): [{"HostIp": W, "HostPort": W}]});
        let networks = json!({W: {"IPAddress": W}});
        let body = json!({
            "Id": "c".repeat(64), "Name": format!("/{W}"), "Image": W, "State": state, "Config": {"Image": W, "Labels": {W: W}},
            "NetworkSettings": {"Ports": ports, "Networks": networks, "IPAddress": W},
        });
        Some(Answer::json(200, &body))
    });
    scripted
}

/// An allocation whose texts are [`W`] wherever it may have any, with events and an image of the same kind.
fn saved(place: &Place) {
    let config = TaskConfig {
        id: format!("{ALLOC}/t/12ab34cd").as_str().into(),
        name: "t".into(),
        alloc_id: ALLOC.into(),
        job_name: W.into(),
        task_group_name: W.into(),
        options: json!({"image": W}),
        ..TaskConfig::default()
    };
    let handle = TaskHandle {
        version: 1,
        config: config.clone(),
        container_id: "c".repeat(64),
        container_name: W.into(),
        image_id: W.into(),
        network: None,
    };
    let task = TaskRecord {
        config,
        order: (0, 0),
        container_name: W.into(),
        container_may_exist: false,
        container_may_come_until: None,
        handle: Some(handle),
        kill_signal: None,
        kill_timeout: Duration::from_secs(1),
        restart: Policy { attempts: 0, interval: PATIENCE, delay: PATIENCE, waits: false, on_success: false },
        history: History::default(),
        restart_at: Some(SystemTime::now()),
        restart_after: None,
        last_exit: Some(ExitResult { exit_code: 3, err: Some(W.into()), ..ExitResult::default() }),
        ended: false,
    };
    let state = AllocState {
        version: 1,
        alloc_id: ALLOC.into(),
        job_id: W.into(),
        group: W.into(),
        index: 0,
        endpoint: W.into(),
        engine_id: "e".into(),
        keep: false,
        ended: false,
        tasks: vec![task],
    };
    let data = place.dir.join("data");
    for dir in ["state".to_owned(), format!("alloc/{ALLOC}")] {
        fs::create_dir_all(data.join(dir)).unwrap();
    }
    fs::write(data.join("instance"), "12345678-0000-4000-8000-000000000001\n").unwrap();
    fs::write(data.join(format!("state/{ALLOC}.json")), serde_json::to_vec(&state).unwrap()).unwrap();
    fs::write(data.join("state/broken.json"), json!({"version": W}).to_string()).unwrap();
    write_events(&data.join(format!("alloc/{ALLOC}/events.jsonl")));
    let record = json!({"names": [W], "origin": "brought", "owners": {}, "due": null});
    let images = json!({"version": 1, "engines": {"e": {"sha256:1": record}}});
    fs::write(data.join("images.json"), images.to_string()).unwrap();
}

fn write_events(file: &Path) {
    let events = [
        json!({"event": "started", "container_id": W, "container_name": W}),
        json!({"event": "notice", "message": W}),
        json!({"event": W}),
        json!({"event": "image_pull", "image": W, "message": W}),
    ];
    let lines = events.map(|mut event| {
        for (key, value) in [("time", W), ("alloc_id", ALLOC), ("task_name", "t"), ("task_id", W)] {
            event[key] = value.into();
        }
        format!("\t{event}\n")
    });
    let before = fs::read_to_string(file).unwrap_or_default();
    fs::write(file, before + &lines.concat()).unwrap();
}

/// Nothing that a terminal obeys, and no line that a text made.
#[track_caller]
fn is_harmless(row: &str, text: &str) {
    let obeyed = |c: char| c != '\n' && (c.is_control() || matches!(c, '\u{2028}' | '\u{202e}'));
    assert!(!text.contains(obeyed), "{row}: {text:?}");
    assert!(!text.lines().any(|line| line.trim_start().starts_with("forged")), "{row}: {text}");
}

fn ran(row: &str, command: Command) -> Ran {
    let mut running = Running::start(command);
    let begun = Instant::now();
    while running.child.try_wait().unwrap().is_none() && begun.elapsed() < LONG {
        std::thread::sleep(Duration::from_millis(10));
    }
    // What an Engine refuses for ever is asked for until somebody has enough of it.
    while running.child.try_wait().unwrap().is_none() && begun.elapsed() < PATIENCE {
        running.signal("INT");
        std::thread::sleep(Duration::from_millis(500));
    }
    let ran = running.end();
    is_harmless(&format!("{row}: standard output"), &ran.out);
    is_harmless(&format!("{row}: standard error"), &ran.err);
    ran
}

#[test]
fn no_command_passes_terminal_escapes_on() {
    let escaped = "\\u{1b}]0;T\\u{7}\\u{1b}[31mr\\u{9b}2J\\nforged\\rforged\\tx\\u{202e}y\\u{2028}z\\u{7f}";
    let in_json = |text: &str| text.contains("\\u001b]0;T\\u0007") && text.contains("\\u009b2J\\nforged");
    for running in [true, false] {
        let scripted = engine(running);
        let host = scripted.endpoint().to_string();
        let place = Place::new();
        saved(&place);
        let job = "job \"j\" {\n type = \"batch\"\n group \"g\" {\n task \"u\" {\n driver = \"docker\"\n config {\n image = \"a:1\"\n \
                   force_pull = true\n args = [\"\u{9b}2J\"]\n }\n }\n }\n}\n";
        let job = place.file("job\u{1b}[31m\nforged.hcl", job);
        let bad = place.file("bad\u{1b}[31m\nforged.hcl", "job \"j\" {\n \u{9b} = 1\n x\u{202e} = 1\n}\n");
        // What is asked, and whether the words must be seen on standard output, plain or as JSON.
        let rows: &[(&[&str], [bool; 2])] = &[
            (&["ps"], [true, false]),
            (&["ps", "-a", "--json"], [false, true]),
            (&["status", "t"], [true, false]),
            (&["status", "t", "--json"], [false, true]),
            (&["stats", "--no-stream"], [false; 2]),
            (&["images"], [true, false]),
            (&["images", "--json"], [false, true]),
            (&["gc", "--dry-run"], [true, false]),
            (&["gc", "--dry-run", "--json"], [false, true]),
            (&["gc"], [false; 2]),
            (&["gc", "--json"], [false, true]),
            (&["ping"], [true, false]),
            (&["ping", "--json"], [false, true]),
            (&["pull", "a:1"], [false; 2]),
            (&["pull", W, "--json"], [false; 2]),
            (&["validate", &job], [false; 2]),
            (&["validate", &bad], [false; 2]),
            (&["plan", &job], [false; 2]),
            (&["plan", &job, "--json"], [false; 2]),
            (&["plan", &bad], [false; 2]),
            (&["run", &job], [false; 2]),
            (&["run", &job, "--json"], [false; 2]),
            (&["run", &job, "--detach"], [false; 2]),
            (&["run", &bad], [false; 2]),
            (&["stop", "t", "--timeout", "0s"], [false; 2]),
            (&["stop", W], [false; 2]),
            (&["destroy", "--force", "t"], [false; 2]),
            (&["signal", "-s", "HUP", "t"], [false; 2]),
            (&["exec", "t", "--", W], [false; 2]),
            (&["logs", "t"], [false; 2]),
            (&["recover", "t"], [false; 2]),
            (&["recover", "--all", "--json"], [false; 2]),
            (&[W], [false; 2]),
            (&["-H", W, "ping"], [false; 2]),
            (&["-H", "unix:///tmp/\u{1b}[31m\nforged", "ping"], [false; 2]),
            (&["--data-dir", &bad, "ps"], [false; 2]),
            (&["-H", "replay:/no/such\u{1b}[31m\nforged", "ps"], [false; 2]),
            (&["replay", "/no/such\u{1b}[31m\nforged", "--listen", "tcp://127.0.0.1:0"], [false; 2]),
            (&["record", "--listen", W, "--out", "/no/such"], [false; 2]),
        ];
        for (args, [plain, json]) in rows {
            saved(&place);
            let mut command = place.longshore(args);
            command.env("DOCKER_HOST", &host).env("RUST_LOG", "longshore=debug").stdin(Stdio::null());
            let row = format!("{args:?}, running: {running}");
            let ran = ran(&row, command);
            assert!(!plain || ran.out.contains(escaped), "{row}: {ran:?}");
            assert!(!json || in_json(&ran.out), "{row}: {ran:?}");
            if *json {
                assert!(serde_json::from_str::<Value>(&ran.out).is_ok(), "{row}: {ran:?}");
            }
        }
        // Errors are told whole.
        let mut pull = place.longshore(&["pull", "a:1"]);
        pull.env("DOCKER_HOST", &host);
        let ran = ran("an Engine's message", pull);
        assert!(ran.err.contains("r\\u{9b}2J forged forged\\tx\\u{202e}y\\u{2028}z\\u{7f} (500)\n"), "{ran:?}");
        fs::remove_dir_all(place.dir.join("data")).unwrap();
    }
}

#[test]
fn no_event_passes_terminal_escapes_on() {
    for args in [&["events"][..], &["events", "--json"]] {
        let place = Place::new();
        saved(&place);
        let mut command = place.longshore(args);
        command.stdin(Stdio::null());
        let mut running = Running::start(command);
        // It shows what comes once it looks; how soon that is nobody knows.
        let seen = std::sync::mpsc::channel::<()>();
        let file = place.dir.join(format!("data/alloc/{ALLOC}/events.jsonl"));
        let writer = std::thread::spawn(move || {
            while seen.1.recv_timeout(Duration::from_millis(50)) == Err(RecvTimeoutError::Timeout) {
                write_events(&file);
            }
        });
        running.wait_for("forged");
        drop(seen.0);
        writer.join().unwrap();
        running.signal("KILL");
        let ran = running.end();
        is_harmless(&format!("{args:?}"), &ran.out);
        assert!(ran.out.contains("2J\\nforged"), "{args:?}: {}", ran.out);
        fs::remove_dir_all(place.dir.join("data")).unwrap();
    }
}

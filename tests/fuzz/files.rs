//! Files that somebody else may have written: jobs, recordings, saved states, events, credentials, contexts.

use std::process::{Command, Stdio};
use std::time::Duration;

use longshore::Hangup;
use longshore::driver::options;
use longshore::engine::{Engine, EngineConfig};
use longshore::images::{CredentialSources, Reference, resolve_credentials};
use longshore::job;
use longshore::replay::{Cassette, PlayOptions, Player};
use longshore::runner::{DataDir, Follower, Found, Ownership, Seen, Store, TaskView, find, last_events};

use crate::harness::{Scratch, fuzz};

#[test]
fn jobs() {
    fuzz("jobs", |input| match job::parse_bytes("f", input) {
        Ok(job) => {
            for task in job.groups.iter().flat_map(|group| &group.tasks) {
                let _ = options::decode(&task.config);
            }
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "nothing is wrong, and there is no job");
            let lines = 2 + input.iter().filter(|byte| **byte == b'\n' || **byte == b'\r').count();
            for problem in problems {
                assert!(!problem.message.contains('\n'), "one line: {problem}");
                assert!(problem.line <= lines, "beyond the file: {problem}");
            }
        }
    });
}

#[test]
fn recordings() {
    fuzz("recordings", |input| {
        let Ok(cassette) = Cassette::read_from("r.har", input) else { return };
        for entry in cassette.entries() {
            let _ =
                (entry.method(), entry.target(), entry.status(), entry.body(), entry.request_body(), entry.chunks());
        }
        let Ok(player) = Player::of(&cassette, PlayOptions::default()) else { return };
        let ask = |engine: Engine| (engine.ping().is_ok(), engine.info().is_ok());
        // An answer that is none, such as one of status 128, is waited for as long as a call may take.
        let timeout = Duration::from_millis(500);
        ask(player.engine_with(EngineConfig {
            call_timeout: timeout,
            ping_timeout: timeout,
            ..EngineConfig::default()
        }));
    });
}

#[test]
fn states() {
    let scratch = Scratch::new("states");
    let data = DataDir::new(scratch.path()).unwrap();
    let store = Store::known(&data).unwrap();
    fuzz("states", |input| {
        scratch.file("state/8f9a1f5e-0000-4000-8000-000000000001.json", input);
        let (states, unreadable) = store.states().unwrap();
        unreadable.iter().for_each(|error| drop(error.to_string()));
        let _ = (store.heads().is_ok(), find(&states, "greeter").is_ok());
        for alloc in &states {
            for task in &alloc.tasks {
                let view = TaskView::new(&Found { alloc, task }, &Seen::Unknown, Ownership::Nobody);
                serde_json::to_string(&view).unwrap();
            }
        }
    });
}

#[test]
fn events() {
    let scratch = Scratch::new("events");
    fuzz("events", |input| {
        scratch.file("events.jsonl", input);
        let _ = (last_events(scratch.path(), "t", 10), Follower::from_start(scratch.path()).lines().is_ok());
    });
}

#[test]
fn credentials() {
    let scratch = Scratch::new("credentials");
    let images = ["web:1", "registry.example/web:1", "h.example/web:1"];
    let images = images.map(|image| image.parse::<Reference>().unwrap());
    fuzz("credentials", |input| {
        let config = Some(scratch.file("config.json", input));
        // No helper is found there, and so none is run.
        let helper_path = Some(scratch.path().join("none").into_os_string());
        let sources = CredentialSources { config, helper_path, ..CredentialSources::default() };
        for image in &images {
            if let Err(error) = resolve_credentials(None, &sources, image.index(), &Hangup::new()) {
                let error = error.to_string();
                assert!(!error.contains(char::is_control), "{error:?}");
            }
        }
    });
}

/// Docker's contexts, by the program: it finds its Engine, and then has nowhere to listen. Nothing is connected to.
#[test]
fn contexts() {
    let scratch = Scratch::new("contexts");
    fuzz("contexts", |input| {
        let (config, meta) = input.split_at(input.iter().position(|&byte| byte == 0).unwrap_or(input.len()));
        scratch.file("config.json", config);
        scratch.file("contexts/meta/c/meta.json", meta.get(1..).unwrap_or_default());
        // A folder would be made.
        scratch.file("none", b"a file");
        let nowhere = format!("unix://{}/none/s", scratch.path().display());
        let out = scratch.path().join("r.har");
        let output = Command::new(env!("CARGO_BIN_EXE_longshore"))
            .args(["record", "--listen", &nowhere, "--out"])
            .arg(out)
            .env_clear()
            .env("HOME", scratch.path())
            .env("DOCKER_CONFIG", scratch.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(matches!(output.status.code(), Some(2 | 125)), "{}: {said}", output.status);
        assert!(!said.contains(|c: char| c != '\n' && c.is_control()) && said.lines().count() <= 2, "{said:?}");
    });
}

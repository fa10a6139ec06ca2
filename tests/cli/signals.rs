//! Ctrl-C and SIGTERM, once and twice.

use std::time::{Duration, Instant};

use crate::place::{Place, Running};

const POLITE: &str = "trap 'echo bye; exit 5' TERM; trap 'echo int; exit 6' INT; echo up; while :; do sleep 0.1; done";
const STUBBORN: &str = "trap '' TERM INT; echo up; while :; do sleep 0.1; done";

#[test]
#[ignore = "needs an Engine"]
fn the_first_stops_with_signal_and_grace() {
    let place = Place::new();
    for (script, task, signal, code, least) in [
        (POLITE, "", "INT", 5, 0),
        (POLITE, "", "TERM", 5, 0),
        (POLITE, "kill_signal = \"SIGINT\"", "INT", 6, 0),
        (STUBBORN, "kill_timeout = \"2s\"", "INT", 137, 2),
    ] {
        let file = place.job(&[("t", script)], "restart {\n attempts = 3\n }", task);
        let mut running = Running::start(place.longshore(&["run", &file]));
        running.wait_for("up");
        let begun = Instant::now();
        running.signal(signal);
        let ran = running.end();
        let took = begun.elapsed();
        assert_eq!(ran.code, code, "{signal} {task}: {}", ran.err);
        assert!(took >= Duration::from_secs(least) && took < Duration::from_secs(10), "{took:?}");
        assert_eq!(place.containers(), Vec::<String>::new());
    }
}

#[test]
#[ignore = "needs an Engine"]
fn the_second_kills_at_once() {
    let place = Place::new();
    let file = place.job(&[("a", STUBBORN), ("b", STUBBORN)], "", "kill_timeout = \"60s\"");
    let mut running = Running::start(place.longshore(&["run", &file]));
    running.wait_for("up");
    running.wait_for("up");
    running.signal("INT");
    std::thread::sleep(Duration::from_millis(300)); // A person's pause between two; no outcome depends on it.
    let begun = Instant::now();
    running.signal("INT");
    let ran = running.end();
    assert_eq!(ran.code, 130, "{}", ran.err);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(place.containers(), Vec::<String>::new());
}

#[test]
#[ignore = "needs an Engine"]
fn sigterm_is_once_however_often_it_comes() {
    let place = Place::new();
    let script = "trap 'sleep 2; echo bye; exit 5' TERM; echo up; while :; do sleep 0.1; done";
    let file = place.job(&[("t", script)], "", "kill_timeout = \"30s\"");
    let mut running = Running::start(place.longshore(&["run", &file]));
    running.wait_for("up");
    for signal in ["TERM", "HUP", "TERM"] {
        running.signal(signal);
        std::thread::sleep(Duration::from_millis(200)); // Signals of one kind that meet are one.
    }
    let ran = running.end();
    assert_eq!((ran.code, ran.out.as_str()), (5, "up\nbye\n"), "{}", ran.err);
}

#[test]
#[ignore = "needs an Engine"]
fn a_pause_before_a_restart_ends_at_once() {
    let place = Place::new();
    let restart = "restart {\n attempts = 3\n delay = \"1h\"\n interval = \"10h\"\n mode = \"fail\"\n }";
    let file = place.job(&[("t", "echo up; exit 8")], restart, "");
    let mut running = Running::start(place.longshore(&["run", "--json", &file]));
    running.wait_for("restarting");
    let begun = Instant::now();
    running.signal("TERM");
    assert_eq!(running.end().code, 8);
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
#[ignore = "needs an Engine"]
fn a_wish_from_outside_ends_the_restarts() {
    let place = Place::new();
    let restart = "restart {\n attempts = 3\n delay = \"1s\"\n interval = \"10h\"\n mode = \"fail\"\n }";
    let file = place.job(&[("t", "echo up; sleep 1; exit 8")], restart, "");
    let mut running = Running::start(place.longshore(&["run", "--alloc-id", &place.name, &file]));
    running.wait_for("up");
    let wish = place.dir.join(format!("data/state/{}.wish.json", place.name));
    std::fs::write(wish, r#"{"tasks": {"t": "stopped"}}"#).unwrap();
    let ran = running.end();
    assert_eq!((ran.code, ran.out.as_str()), (8, "up\n"), "{}", ran.err);
}

#[test]
#[ignore = "needs an Engine"]
fn a_reader_that_does_not_read_holds_nothing_up() {
    let place = Place::new();
    let script = "trap exit TERM; while :; do head -c 10000 /dev/zero | tr '\\0' x; echo; usleep 1000; done";
    let file = place.job(&[("t", script)], "", "kill_timeout = \"2s\"");
    let mut command = place.longshore(&["run", &file]);
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn().unwrap();
    crate::support::eventually(crate::place::PATIENCE, "it runs", || place.containers().len() == 1);
    std::thread::sleep(Duration::from_secs(1)); // Until the pipe is full.
    assert!(
        std::process::Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap().success()
    );
    let begun = Instant::now();
    crate::support::eventually(crate::place::PATIENCE, "it ends", || child.try_wait().unwrap().is_some());
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
    assert_eq!(place.containers(), Vec::<String>::new());
}

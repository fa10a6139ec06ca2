//! `stats` and `events`: what goes on.

use std::time::Duration;

use serde_json::Value;

use crate::looks::{json, ran};
use crate::place::{Place, Ran, Running};

const POLITE: &str = "trap 'exit 5' TERM; echo up; while :; do sleep 0.1; done";

#[test]
fn wrong_usage_and_nothing_to_show() {
    let place = Place::new();
    for args in
        [&["stats", "--interval", "1"][..], &["stats", "--no-stream", "--interval", "1s"], &["events", "--nosuch"]]
    {
        assert_eq!(ran(&place, args).code, 2, "{args:?}");
    }
    for args in [&["stats", "t"][..], &["events", "t"]] {
        let ran = Ran::of(place.longshore(args).env("DOCKER_HOST", "unix:///nowhere").output().unwrap());
        assert!(ran.code == 125 && ran.err.contains("no task is called `t`"), "{}", ran.err);
    }
}

#[test]
#[ignore = "needs an Engine"]
fn what_tasks_use() {
    let place = Place::new();
    let busy = "trap 'exit 5' TERM; echo up; while :; do :; done";
    let file = place.job(&[("busy", busy), ("idle", POLITE)], "", "");
    let mut running = Running::start(place.longshore(&["run", &file, "--alloc-id", &place.name]));
    running.wait_for("up");
    running.wait_for("up");
    let once = ran(&place, &["stats", "--no-stream"]);
    assert_eq!((once.code, once.out.lines().count(), once.err.as_str()), (0, 3, ""), "{}", once.out);
    assert!(once.out.starts_with("ALLOC") && once.out.contains("busy") && once.out.contains("idle"), "{}", once.out);
    assert!(!once.out.contains('\x1b'), "no terminal");
    let sample: Value = json(&place, &["stats", "--no-stream", "--json", "busy"]);
    assert_eq!((&sample["task_name"], &sample["alloc_id"]), (&"busy".into(), &place.name.as_str().into()));
    assert!(sample["cpu_stats"]["percent"].as_f64().unwrap() > 5.0, "{sample:#}");
    assert!(
        sample["memory_stats"]["limit"].as_u64().unwrap() > 0 && sample["pids"].as_u64().unwrap() > 0,
        "{sample:#}"
    );

    // A stream ends when what was named has ended.
    let mut stream = Running::start(place.longshore(&["stats", "--json", "--interval", "100ms", "busy", "idle"]));
    for name in ["busy", "idle", "busy", "idle"] {
        stream.wait_for(&format!("\"task_name\":\"{name}\""));
    }
    running.signal("TERM");
    assert_eq!(running.end().code, 5);
    let ended = stream.end();
    assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{}", ended.out);
}

#[test]
#[ignore = "needs an Engine"]
fn what_happens_to_tasks() {
    let place = Place::new();
    let restart = "restart {\n attempts = 1\n delay = \"1s\"\n interval = \"10h\"\n mode = \"fail\"\n }";
    let file = place.job(&[("t", "echo up; [ -e /local/x ] && exit 0; touch /local/x; exit 7")], restart, "");
    // Of all, of those too that are not there yet.
    let mut all = Running::start(place.longshore(&["events", "--json"]));
    std::thread::sleep(Duration::from_millis(300)); // It is told of from its start in any case: this makes it a new one.
    assert_eq!(place.run(&file, &["--alloc-id", &place.name]).code, 0);
    for event in ["started", "exited", "restarting", "started", "exited", "finished"] {
        all.wait_for(&format!("\"event\":\"{event}\""));
    }
    let lines: Vec<Value> = all.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 6, "{}", all.out);
    assert!(lines.iter().all(|event| event["task_name"] == "t" && event["alloc_id"] == place.name.as_str()));
    assert_eq!((&lines[1]["exit_code"], &lines[2]["after_ms"]), (&7.into(), &1000.into()));
    drop(all);

    // Of one task, for people, over a change of its owner.
    let file = place.job(&[("one", POLITE), ("two", POLITE)], "", "");
    assert_eq!(place.run(&file, &["--detach", "--alloc-id", &place.name]).code, 0);
    let mut one = Running::start(place.longshore(&["events", "one"]));
    std::thread::sleep(Duration::from_millis(500)); // What happened before is not told: there is nothing to wait for.
    let mut owner = Running::start(place.longshore(&["recover", "--all"]));
    owner.wait_for("up");
    one.wait_for("/one  recovered as one-");
    assert_eq!(ran(&place, &["stop", "one", "two"]).code, 0);
    one.wait_for("exited with code 5");
    one.wait_for("has ended for good: it was stopped from outside");
    assert!(!one.out.contains("two") && !one.out.contains("detached"), "{}", one.out);
    assert_eq!(owner.end().code, 5);
}

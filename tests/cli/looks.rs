//! `ps` and `status`: what is known of tasks, and that looking disturbs nobody.

use std::fs;

use serde_json::Value;

use crate::place::{Place, Ran, Running};

const POLITE: &str = "trap 'exit 5' TERM; echo up; while :; do sleep 0.1; done";

/// Runs a command of this place.
pub(crate) fn ran(place: &Place, args: &[&str]) -> Ran {
    Ran::of(place.longshore(args).output().unwrap())
}

pub(crate) fn json(place: &Place, args: &[&str]) -> Value {
    let ran = ran(place, args);
    assert_eq!(ran.code, 0, "{args:?}: {}", ran.err);
    serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{args:?}: {e}: {}", ran.out))
}

#[test]
fn nothing_is_known_and_nothing_is_made() {
    let place = Place::new();
    let nowhere =
        |args: &[&str]| Ran::of(place.longshore(args).env("DOCKER_HOST", "unix:///nowhere").output().unwrap());
    let ran = nowhere(&["ps"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.starts_with("ALLOC   TASK"), "{}", ran.out);
    assert_eq!(nowhere(&["ps", "--json"]).out, "[]\n");
    for args in [&["status", "web"][..], &["status", "--json", "a/b"]] {
        let ran = nowhere(args);
        assert_eq!((ran.code, ran.out.as_str()), (125, ""), "{args:?}");
        let line = ran.err.lines().next().unwrap();
        assert!(line.starts_with("longshore: no task is called `") && line.contains("longshore ps -a"), "{line}");
    }
    let error: Value = serde_json::from_str(nowhere(&["status", "--json", "x"]).err.lines().nth(1).unwrap()).unwrap();
    assert_eq!(error["error"]["kind"], "task_not_found");
    assert!(!place.dir.join("data").exists(), "looking makes nothing");
}

#[test]
#[ignore = "needs an Engine"]
fn a_task_from_its_start_to_its_end() {
    let place = Place::new();
    let file = place.job(&[("one", POLITE), ("two", POLITE)], "", "");
    let mut running = Running::start(place.longshore(&["run", &file, "--alloc-id", &place.name]));
    running.wait_for("up");
    running.wait_for("up");
    let pid = running.child.id();
    let list = json(&place, &["ps", "--json"]);
    let tasks = list.as_array().unwrap();
    assert_eq!(tasks.len(), 2);
    for task in tasks {
        assert_eq!(
            (&task["state"], &task["owner_pid"], &task["exit_result"]),
            (&"running".into(), &pid.into(), &Value::Null)
        );
        assert_eq!((&task["alloc_id"], &task["image"]), (&place.name.as_str().into(), &crate::support::IMAGE.into()));
    }
    let table = ran(&place, &["ps"]);
    assert!(table.out.lines().count() == 3 && table.out.contains("running"), "{}", table.out);

    let status = json(&place, &["status", "one", "--json"]);
    let container = status["container_id"].as_str().unwrap();
    assert!(status["resource_usage"]["pids"].as_u64().unwrap() > 0, "{status:#}");
    assert_eq!(status["events"][0]["event"], "started");
    for name in [&format!("{}/one", place.name), &container[..12], &format!("one-{}", place.name)] {
        assert_eq!(json(&place, &["status", "--json", name])["container_id"], container, "{name}");
    }
    let ambiguous = ran(&place, &["status", &place.name]);
    assert_eq!((ambiguous.code, ambiguous.err.lines().count()), (125, 1), "{}", ambiguous.err);
    assert!(ambiguous.err.contains(&format!("{0}/one, {0}/two", place.name)), "{}", ambiguous.err);
    let words = ran(&place, &["status", "two"]).out;
    assert!(words.contains("running since 20") && words.contains(&format!("process {pid}")), "{words}");

    // However often somebody looks, the owner stays the owner.
    let refused = place.run(&file, &[]);
    assert!(refused.code == 125 && refused.err.contains(&pid.to_string()), "{}", refused.err);
    running.signal("TERM");
    assert_eq!(running.end().code, 5);
    assert_eq!(json(&place, &["ps", "--json"]), Value::Array(Vec::new()));
    let all = json(&place, &["ps", "-a", "--json"]);
    assert_eq!((&all[0]["state"], &all[0]["exit_result"]["exit_code"]), (&"ended".into(), &5.into()));
    let away = Ran::of(place.longshore(&["ps", "-a"]).env("DOCKER_HOST", "unix:///nowhere").output().unwrap());
    assert_eq!((away.code, away.err.as_str()), (0, ""), "no Engine has more to say of them");
    assert_eq!(away.out.matches("ended").count(), 2, "{}", away.out);
    assert_eq!(ran(&place, &["status", "one"]).code, 125, "an ended one is not found by name");
    let ended = json(&place, &["status", "--json", &format!("{}/one", place.name)]);
    assert_eq!(ended["events"].as_array().unwrap().last().unwrap()["event"], "finished");
}

#[test]
#[ignore = "needs an Engine"]
fn an_engine_that_is_away_and_states_that_are_none() {
    let place = Place::new();
    let file = place.job(&[("t", "echo up; sleep 1000")], "", "");
    let mut running = Running::start(place.longshore(&["run", &file, "--alloc-id", &place.name]));
    running.wait_for("up");
    let away = Ran::of(place.longshore(&["ps"]).env("DOCKER_HOST", "unix:///nowhere").output().unwrap());
    assert_eq!((away.code, away.err.lines().count()), (125, 1), "{}", away.err);
    assert!(away.out.contains("unknown"), "what is saved is shown: {}", away.out);
    let broken = place.dir.join("data/state/broken.json");
    fs::write(&broken, "{").unwrap();
    let ran = ran(&place, &["ps"]);
    assert!(
        ran.code == 125 && ran.err.contains("broken.json") && ran.out.contains("running"),
        "{}{}",
        ran.out,
        ran.err
    );
    fs::remove_file(broken).unwrap();
    running.signal("KILL");
    running.end();
    // Its owner is gone, and it runs on.
    let list = json(&place, &["ps", "--json"]);
    assert_eq!((&list[0]["state"], &list[0]["owned"]), (&"running".into(), &false.into()));
    place.remove_containers();
    assert_eq!(json(&place, &["ps", "--json"])[0]["state"], "gone");
}

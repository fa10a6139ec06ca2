//! `stop`, `destroy` and `signal` from a process that does not own the task, with an owner and without one.

use std::time::{Duration, Instant};

use longshore::engine::types::ContainerCreate;
use longshore::engine::{InspectQuery, RemoveQuery, StartQuery};

use crate::looks::{json, ran};
use crate::place::{PATIENCE, Place, Ran, Running};
use crate::support::{IMAGE, eventually, rounds};

const POLITE: &str = "trap 'exit 5' TERM; trap 'exit 6' INT; trap 'echo hup' HUP; echo up; while :; do sleep 0.1; done";
const STUBBORN: &str = "trap '' TERM INT; echo up; while :; do sleep 0.1; done";
const RESTART: &str = "restart {\n attempts = 3\n delay = \"1s\"\n interval = \"10h\"\n mode = \"fail\"\n }";

fn run(place: &Place, file: &str, more: &[&str]) -> Running {
    let args: Vec<&str> = ["run", file, "--alloc-id", &place.name].into_iter().chain(more.iter().copied()).collect();
    let mut running = Running::start(place.longshore(&args));
    running.wait_for("up");
    running
}

#[test]
fn wrong_usage() {
    let place = Place::new();
    for args in [
        &["stop"][..],
        &["destroy"],
        &["signal", "t"],
        &["signal", "-s", "NOSUCH", "t"],
        &["stop", "--timeout", "5", "t"],
    ] {
        let ran = ran(&place, args);
        assert_eq!((ran.code, ran.err.lines().count()), (2, 1), "{args:?}: {}", ran.err);
    }
    let ran = Ran::of(place.longshore(&["stop", "t"]).env("DOCKER_HOST", "unix:///nowhere").output().unwrap());
    assert!(ran.code == 125 && ran.err.contains("no task is called `t`"), "{}", ran.err);
}

#[test]
#[ignore = "needs an Engine"]
fn a_stop_from_outside_is_no_failure_to_be_restarted() {
    let place = Place::new();
    for (row, script, task, more, code, least) in [
        ("as its job says", POLITE, "kill_signal = \"SIGINT\"", &[][..], 6, 0),
        ("as its image says", POLITE, "", &[], 5, 0),
        ("by another signal", POLITE, "", &["--signal", "INT"], 6, 0),
        ("within its grace", STUBBORN, "kill_timeout = \"2s\"", &[], 137, 2),
        ("within another", STUBBORN, "kill_timeout = \"60s\"", &["--timeout", "1s"], 137, 1),
        (
            "with a signal and another",
            STUBBORN,
            "kill_timeout = \"60s\"",
            &["--timeout", "1s", "--signal", "TERM"],
            137,
            1,
        ),
    ] {
        let file = place.job(&[("t", script)], RESTART, task);
        let running = run(&place, &file, &[]);
        let begun = Instant::now();
        let args: Vec<&str> = ["stop", "t"].into_iter().chain(more.iter().copied()).collect();
        let stopped = ran(&place, &args);
        let took = begun.elapsed();
        assert_eq!((stopped.code, stopped.out), (0, format!("{}/t\n", place.name)), "{row}: {}", stopped.err);
        assert!(took >= Duration::from_secs(least) && took < Duration::from_secs(15), "{row}: {took:?}");
        let ended = running.end();
        assert_eq!((ended.code, ended.out.as_str()), (code, "up\n"), "{row}: {}", ended.err);
        assert!(ended.err.contains("stopped from outside"), "{row}: {}", ended.err);
        assert_eq!(place.containers(), Vec::<String>::new(), "{row}");
    }
}

#[test]
#[ignore = "needs an Engine"]
fn one_that_waits_for_its_restart_waits_no_more() {
    let place = Place::new();
    let restart = "restart {\n attempts = 3\n delay = \"1h\"\n interval = \"10h\"\n mode = \"fail\"\n }";
    let file = place.job(&[("t", "echo up; exit 8")], restart, "");
    let mut running = Running::start(place.longshore(&["run", "--json", &file]));
    running.wait_for("restarting");
    let list = json(&place, &["ps", "--json"]);
    assert_eq!((&list[0]["state"], &list[0]["exit_result"]["exit_code"]), (&"restarting".into(), &8.into()));
    let begun = Instant::now();
    assert_eq!(ran(&place, &["stop", "t"]).code, 0);
    assert_eq!(running.end().code, 8);
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
#[ignore = "needs an Engine"]
fn a_stop_meets_a_start_and_the_task_stays_stopped() {
    let place = Place::new();
    let restart = "restart {\n attempts = 1000\n delay = \"0s\"\n interval = \"10h\"\n mode = \"fail\"\n }";
    let file = place.job(&[("t", "echo up; exit 3")], restart, "kill_timeout = \"1s\"");
    for round in 0..rounds(3, 30) {
        let running = run(&place, &file, &[]);
        std::thread::sleep(Duration::from_millis(u64::from(round) * 37 % 500)); // Another moment of its life each time.
        assert_eq!(ran(&place, &["stop", "t"]).code, 0);
        let ended = running.end();
        assert!([3, 137].contains(&ended.code), "{}: {}", ended.code, ended.err);
        assert_eq!(place.containers(), Vec::<String>::new());
    }
}

#[test]
#[ignore = "needs an Engine"]
fn a_stop_meets_a_start_that_is_to_be_left_alone() {
    let place = Place::new();
    let file = place.job(&[("t", STUBBORN)], "", "kill_timeout = \"1s\"");
    for _ in 0..rounds(3, 30) {
        let running = Running::start(place.longshore(&["run", &file, "--detach", "--alloc-id", &place.name]));
        // As soon as the task is known; it has no container then.
        eventually(PATIENCE, "it is stopped", || ran(&place, &["stop", "t"]).code == 0);
        let ended = running.end();
        assert_eq!(ended.code, 0, "{}", ended.err);
        let state = json(&place, &["ps", "--json"])[0]["state"].clone();
        assert!(state == "ended" || state == "exited", "{state}: {}", ended.err);
        assert_eq!(ran(&place, &["destroy", "t"]).code, 0);
        assert_eq!(place.containers(), Vec::<String>::new());
    }
}

#[test]
#[ignore = "needs an Engine"]
fn a_container_that_was_never_started_is_not_left() {
    let place = Place::new();
    let file = place.job(&[("t", POLITE)], "", "");
    let task = format!("{}/t", place.name);
    // What is done about it, and whether its allocation has ended before, as a run says of one that lost its owner.
    for (ways, has_ended) in [
        (&[&["destroy", "t"][..]][..], false),
        (&[&["destroy", &task]], true),
        (&[&["stop", "t"], &["recover", "t"]], false),
    ] {
        let running = run(&place, &file, &[]);
        running.signal("KILL");
        running.end();
        let path = place.dir.join(format!("data/state/{}.json", place.name));
        let mut state = place.state();
        state["tasks"][0]["handle"] = serde_json::Value::Null;
        state["ended"] = has_ended.into();
        std::fs::write(&path, state.to_string()).unwrap();
        // As an owner leaves it that dies between the create and the start.
        let name = format!("t-{}", place.name);
        let engine = place.engine();
        let labels = engine.container_inspect(&name, &InspectQuery::default()).unwrap().config.labels;
        place.remove_containers();
        let mut body = ContainerCreate::default();
        (body.config.image, body.config.labels) = (IMAGE.into(), labels);
        engine.container_create(Some(name.as_str()), &body).unwrap();
        assert_eq!(place.containers(), [name.as_str()]);
        for way in ways {
            let done = ran(&place, way);
            assert!(done.code == 0 || way[0] == "recover", "{way:?}: {}", done.err);
        }
        assert_eq!(place.containers(), Vec::<String>::new(), "{ways:?}");
        assert_eq!(json(&place, &["ps", "--json"]), serde_json::json!([]), "{ways:?}");
    }
}

#[test]
#[ignore = "needs an Engine"]
fn destroying() {
    let place = Place::new();
    let file = place.job(&[("t", POLITE)], RESTART, "");
    for keep in [&[][..], &["--keep"]] {
        let running = run(&place, &file, keep);
        let refused = ran(&place, &["destroy", "t"]);
        assert_eq!((refused.code, refused.err.lines().count()), (125, 1), "{}", refused.err);
        assert!(refused.err.contains("stop it first, or force it"), "{}", refused.err);
        assert!(!place.dir.join(format!("data/state/{}.wish.json", place.name)).exists(), "nothing is wished");
        let done = ran(&place, &["destroy", "--force", "t"]);
        assert_eq!((done.code, done.err.as_str()), (0, ""));
        assert_eq!(place.containers(), Vec::<String>::new());
        let ended = running.end();
        // Its stop signal comes first, if only for a moment: it may have the time to end by it.
        assert!([5, 137].contains(&ended.code) && ended.out == "up\n", "{keep:?}: {} {}", ended.code, ended.err);
    }
}

#[test]
#[ignore = "needs an Engine"]
fn a_state_that_names_a_strangers_container_does_it_no_harm() {
    let place = Place::new();
    let (engine, file) = (place.engine(), place.job(&[("t", POLITE)], RESTART, ""));
    let running = run(&place, &file, &[]);
    running.signal("KILL");
    running.end();
    let mut body = ContainerCreate::default();
    body.config.image = IMAGE.into();
    body.config.cmd = vec!["sleep".into(), "1000".into()];
    body.host_config.network_mode = "none".into();
    let stranger = engine.container_create(Some(format!("{}-x", place.name).as_str()), &body).unwrap().id;
    engine.container_start(&stranger, &StartQuery::default()).unwrap();
    let path = place.dir.join(format!("data/state/{}.json", place.name));
    let saved = std::fs::read_to_string(&path).unwrap();
    let own = json(&place, &["ps", "--json"])[0]["container_id"].as_str().unwrap().to_owned();
    std::fs::write(&path, saved.replace(&own, &stranger)).unwrap();
    let orders = [
        &["stop", "t"][..],
        &["destroy", "--force", "t"],
        &["signal", "-s", "KILL", "t"],
        &["exec", "t", "true"],
        &["recover", "--all"],
    ];
    let told = orders.map(|args| ran(&place, args));
    let after = engine.container_inspect(&stranger, &InspectQuery::default()).map(|found| found.state.running);
    engine.container_remove(&stranger, &RemoveQuery { force: true, volumes: true, link: false }).unwrap();
    assert!(after.is_ok_and(|running| running), "it is unharmed");
    for (args, ran) in orders.iter().zip(told) {
        assert_ne!(ran.code, 0, "{args:?}: {}", ran.err);
        assert!(ran.err.contains(&stranger[..12]), "{args:?}: {}", ran.err);
    }
    std::fs::write(&path, saved).unwrap();
    assert_eq!(ran(&place, &["destroy", "--force", "t"]).code, 0);
    assert_eq!(place.containers(), Vec::<String>::new());
}

#[test]
#[ignore = "needs an Engine"]
fn without_an_owner() {
    let place = Place::new();
    let file = place.job(&[("a", POLITE), ("b", POLITE)], RESTART, "");
    let mut running = run(&place, &file, &[]);
    running.wait_for("up");
    running.signal("KILL");
    running.end();
    let stopped = ran(&place, &["stop", "a", "b"]);
    assert_eq!((stopped.code, stopped.out), (0, format!("{0}/a\n{0}/b\n", place.name)), "{}", stopped.err);
    let list = json(&place, &["ps", "--json"]);
    for task in [&list[0], &list[1]] {
        assert_eq!(
            (&task["state"], &task["exit_result"]["exit_code"], &task["owned"]),
            (&"exited".into(), &5.into(), &false.into())
        );
    }
    assert_eq!(ran(&place, &["stop", "a"]).code, 0, "one that has ended is stopped");
    assert_eq!(ran(&place, &["destroy", "a"]).code, 0);
    assert_eq!(json(&place, &["ps", "--json"])[0]["state"], "ended");
    assert_eq!(ran(&place, &["destroy", "b"]).code, 0);
    assert_eq!(json(&place, &["ps", "--json"]), serde_json::json!([]), "its allocation has ended with it");
    assert_eq!(place.containers(), Vec::<String>::new());
    assert_eq!(ran(&place, &["destroy", &format!("{}/b", place.name)]).code, 0, "twice is no error");
}

#[test]
#[ignore = "needs an Engine"]
fn kept_containers_are_destroyed_by_their_names() {
    let place = Place::new();
    let file = place.job(&[("t", "exit 4")], "", "");
    assert_eq!(place.run(&file, &["--keep", "--alloc-id", &place.name]).code, 4);
    let name = format!("t-{}", place.name);
    assert_eq!(place.containers(), [name.as_str()]);
    assert_eq!(ran(&place, &["destroy", &name]).code, 0);
    assert_eq!(place.containers(), Vec::<String>::new());
}

#[test]
#[ignore = "needs an Engine"]
fn signals() {
    let place = Place::new();
    let file = place.job(&[("t", POLITE)], RESTART, "");
    let mut running = run(&place, &file, &[]);
    for name in ["SIGHUP", "hup", "1"] {
        let sent = ran(&place, &["signal", "-s", name, "t"]);
        assert_eq!((sent.code, sent.err.as_str()), (0, ""));
        running.wait_for("hup");
    }
    // By a signal it ends like by itself, and is started again.
    assert_eq!(ran(&place, &["signal", "-s", "TERM", "t"]).code, 0);
    running.wait_for("up");
    assert_eq!(ran(&place, &["stop", "t"]).code, 0);
    assert_eq!(running.end().code, 5);
    let late = ran(&place, &["signal", "-s", "TERM", &format!("{}/t", place.name)]);
    assert!(late.code == 125 && late.err.contains("has no container"), "{}", late.err);
    // On another Engine than the one that answers nothing is done, and it is not called gone.
    let running = run(&place, &file, &[]);
    running.signal("KILL");
    running.end();
    let path = place.dir.join(format!("data/state/{}.json", place.name));
    let text = std::fs::read_to_string(&path).unwrap();
    let engine_id = serde_json::from_str::<serde_json::Value>(&text).unwrap()["engine_id"].to_string();
    std::fs::write(&path, text.replace(&engine_id, "\"elsewhere\"")).unwrap();
    for args in [&["stop", "t"][..], &["destroy", "--force", "t"], &["signal", "-s", "HUP", "t"]] {
        let refused = ran(&place, args);
        assert!(refused.code == 125 && refused.err.contains("not this one"), "{args:?}: {}", refused.err);
    }
    assert!(!place.dir.join(format!("data/state/{}.wish.json", place.name)).exists(), "nor is it wished");
    assert_eq!(json(&place, &["ps", "--json"])[0]["state"], "elsewhere");
    let name = format!("t-{}", place.name);
    assert!(place.engine().container_inspect(&name, &InspectQuery::default()).unwrap().state.running);
    place.engine().container_remove(&name, &RemoveQuery { force: true, volumes: true, link: false }).unwrap();
}

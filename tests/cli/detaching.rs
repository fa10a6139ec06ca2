//! Tasks without an owner: `run --detach`, a killed run, `recover`, `run --recover`.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use longshore::engine::types::ContainerCreate;
use longshore::engine::{InspectQuery, RemoveQuery};
use serde_json::Value;

use crate::looks::{json, ran};
use crate::place::{PATIENCE, Place, Ran, Running};
use crate::support::{IMAGE, eventually, rounds, unique};

const POLITE: &str = "trap 'exit 5' TERM; echo up; while :; do sleep 0.1; done";

fn restart(attempts: u32, delay: &str) -> String {
    format!("restart {{\n attempts = {attempts}\n delay = \"{delay}\"\n interval = \"10h\"\n mode = \"fail\"\n }}")
}

/// Starts a job and leaves it; gives the lines that are written.
#[track_caller]
fn detach(place: &Place, file: &str, more: &[&str]) -> Vec<String> {
    let args: Vec<&str> = ["--detach", "--alloc-id", &place.name].into_iter().chain(more.iter().copied()).collect();
    let ran = place.run(file, &args);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    ran.out.lines().map(str::to_owned).collect()
}

fn tasks(place: &Place) -> Vec<Value> {
    json(place, &["ps", "--json"]).as_array().unwrap().clone()
}

#[test]
fn wrong_usage() {
    let place = Place::new();
    for args in [
        &["recover"][..],
        &["recover", "--all", "t"],
        &["run", "x", "--wait"],
        &["run", "x", "--detach", "--wait-timeout", "1s"],
    ] {
        let ran = ran(&place, args);
        assert_eq!((ran.code, ran.err.lines().count()), (2, 1), "{args:?}: {}", ran.err);
    }
    let nothing =
        Ran::of(place.longshore(&["recover", "--all"]).env("DOCKER_HOST", "unix:///nowhere").output().unwrap());
    assert_eq!((nothing.code, nothing.err.as_str()), (0, "longshore: there is nothing to take up\n"));
}

#[test]
#[ignore = "needs an Engine"]
fn tasks_run_on_and_are_taken_up() {
    let place = Place::new();
    let file = place.job(&[("a", POLITE), ("b", POLITE)], &restart(3, "1s"), "");
    let lines = detach(&place, &file, &[]);
    let listed = tasks(&place);
    let want: Vec<String> = listed
        .iter()
        .map(|task| {
            format!("{}/{} {}", place.name, task["task_name"].as_str().unwrap(), task["container_id"].as_str().unwrap())
        })
        .collect();
    assert_eq!(lines, want);
    for task in &listed {
        assert_eq!((&task["state"], &task["owned"]), (&"running".into(), &false.into()));
    }
    assert!(ran(&place, &["ps"]).out.contains("nobody"));
    assert!(ran(&place, &["status", "a"]).out.contains("takes it up"));

    // A job has one life: it is taken up, and not begun again.
    let refused = place.run(&file, &[]);
    assert_eq!((refused.code, refused.err.lines().count()), (125, 1), "{}", refused.err);
    assert!(refused.err.contains(&place.name) && refused.err.contains("--recover"), "{}", refused.err);

    let mut owner = Running::start(place.longshore(&["recover", "a"]));
    owner.wait_for("up");
    owner.wait_for("up");
    let pid = owner.child.id();
    assert!(tasks(&place).iter().all(|task| task["owner_pid"] == pid));
    let second = ran(&place, &["recover", &place.name]);
    assert_eq!((second.code, second.err.lines().count()), (125, 1), "{}", second.err);
    assert!(second.err.contains(&format!("process {pid}")), "{}", second.err);
    let all = ran(&place, &["recover", "--all"]);
    assert!(all.code == 0 && all.err.contains("left as it is") && all.err.contains(&pid.to_string()), "{}", all.err);
    owner.signal("TERM");
    let ended = owner.end();
    let mut shown: Vec<&str> = ended.out.lines().collect();
    shown.sort_unstable();
    assert_eq!((ended.code, shown), (5, vec!["a │ up", "b │ up"]), "{}", ended.err);
    assert_eq!(place.containers(), Vec::<String>::new());
    let late = ran(&place, &["recover", &place.name]);
    assert!(late.code == 125 && late.err.contains("has ended"), "{}", late.err);
}

#[test]
#[ignore = "needs an Engine"]
fn what_ended_meanwhile_is_judged_by_its_policy() {
    let place = Place::new();
    for (row, script, attempts, code, out) in [
        ("a success", "echo out; exit 0", 3, 0, "out\n"),
        ("a failure", "echo out; exit 7", 0, 7, "out\n"),
        (
            "one that is started again",
            "echo out; [ -e /local/x ] && exit 0; touch /local/x; exit 7",
            3,
            0,
            "out\nout\n",
        ),
    ] {
        let file = place.job(&[("t", script)], &restart(attempts, "1s"), "");
        detach(&place, &file, &[]);
        eventually(PATIENCE, "it ends", || tasks(&place)[0]["state"] == "exited");
        let ended = ran(&place, &["recover", "t"]);
        assert_eq!((ended.code, ended.out.as_str()), (code, out), "{row}: {}", ended.err);
        assert_eq!(place.containers(), Vec::<String>::new());
        let _ = std::fs::remove_dir_all(place.dir.join("data/alloc"));
    }
    // Kept, for so it was said at the start.
    let file = place.job(&[("t", "exit 3")], &restart(0, "1s"), "");
    detach(&place, &file, &["--keep"]);
    assert_eq!(ran(&place, &["recover", "--all"]).code, 3);
    assert_eq!(place.containers().len(), 1);
    place.remove_containers();
}

#[test]
#[ignore = "needs an Engine"]
fn one_that_was_removed_fails_alone() {
    let place = Place::new();
    let file = place.job(&[("a", POLITE), ("b", POLITE)], "", "");
    detach(&place, &file, &[]);
    let query = RemoveQuery { force: true, volumes: true, link: false };
    place.engine().container_remove(&format!("a-{}", place.name), &query).unwrap();
    let mut owner = Running::start(place.longshore(&["recover", "--all"]));
    owner.wait_for("up");
    owner.signal("TERM");
    let ended = owner.end();
    assert_eq!(ended.code, 125, "its code is not known: {}", ended.err);
    assert!(ended.err.contains("task a: exited with code -1: its container was removed"), "{}", ended.err);
    assert!(ended.err.contains("task b: exited with code 5"), "{}", ended.err);
    assert_eq!(place.containers(), Vec::<String>::new());
}

#[test]
#[ignore = "needs an Engine"]
fn a_killed_run_is_taken_up_where_it_was() {
    let place = Place::new();
    // While it runs.
    let counts = "trap 'exit 5' TERM; i=100; while :; do echo $i; i=$((i+1)); sleep 0.1; done";
    let file = place.job(&[("t", counts)], &restart(3, "1s"), "");
    let mut running = Running::start(place.longshore(&["run", &file]));
    running.wait_for("105");
    running.signal("KILL");
    let shown: u32 = running.end().out.lines().last().unwrap().parse().unwrap();
    let before = tasks(&place)[0]["container_id"].clone();
    let mut owner = Running::start(place.longshore(&["run", "--recover", &file]));
    owner.wait_for("1");
    assert_eq!(tasks(&place)[0]["container_id"], before, "the same container");
    assert_eq!(ran(&place, &["stop", "t"]).code, 0);
    let ended = owner.end();
    assert_eq!(ended.code, 5);
    let first: u32 = ended.out.lines().next().unwrap().parse().unwrap();
    assert!(first == shown || first == shown + 1, "it goes on after {shown}, with {first}");
    // During the pause before a restart.
    let script = "echo up; [ -e /local/x ] && exit 4; touch /local/x; exit 9";
    let file = place.job(&[("t", script)], &restart(1, "3s"), "");
    let mut running = Running::start(place.longshore(&["run", "--json", &file]));
    running.wait_for("restarting");
    running.signal("KILL");
    running.end();
    let ended = ran(&place, &["recover", "--all"]);
    assert_eq!((ended.code, ended.out.as_str()), (4, "up\n"), "only its second try: {}", ended.err);
    assert!(!ended.err.contains("starts again"), "its one restart is used up: {}", ended.err);
}

#[test]
#[ignore = "needs an Engine"]
fn run_recover_takes_up_what_runs_and_starts_what_does_not() {
    let place = Place::new();
    let file = place.job(&[("t", POLITE)], "count = 2", "");
    let first = place.run(&file, &["--detach"]);
    assert_eq!((first.code, first.out.lines().count()), (0, 2), "{}", first.err);
    let one = first.out.split_whitespace().next().unwrap();
    assert_eq!(ran(&place, &["destroy", "--force", one]).code, 0);
    let again = place.run(&file, &["--detach", "--recover"]);
    assert_eq!(again.code, 0, "{}", again.err);
    let lines = |ran: &Ran| -> Vec<String> { ran.out.lines().map(str::to_owned).collect() };
    assert_eq!(lines(&again).len(), 2, "{}", again.out);
    assert_eq!(lines(&again)[1], lines(&first)[1], "the second is the same");
    assert_ne!(lines(&again)[0], lines(&first)[0], "the first is a new one");
    // What was stopped on purpose is begun anew.
    let names: Vec<&str> = again.out.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(ran(&place, &["stop", names[0], names[1]]).code, 0);
    let anew = place.run(&file, &["--detach", "--recover"]);
    assert_eq!((anew.code, anew.out.lines().count()), (0, 2), "{}", anew.err);
    assert!(lines(&anew).iter().all(|line| !lines(&again).contains(line)), "{}", anew.out);
    place.remove_containers();
}

#[test]
#[ignore = "needs an Engine"]
fn all_are_left_or_none() {
    let place = Place::new();
    let file = place.job(&[("a", POLITE), ("b", POLITE)], "", "");
    let text = std::fs::read_to_string(&file).unwrap();
    let second = text.rfind(IMAGE).unwrap();
    let file =
        place.file("half.hcl", &format!("{}longshore/nosuch:1{}", &text[..second], &text[second + IMAGE.len()..]));
    let failed = place.run(&file, &["--detach"]);
    assert_eq!((failed.code, failed.out.as_str()), (125, ""), "{}", failed.err);
    assert!(failed.err.contains("task b: cannot start task `b`"), "{}", failed.err);
    assert_eq!(place.containers(), Vec::<String>::new());
    assert_eq!(tasks(&place), Vec::<Value>::new());
    // One that comes to its end at once was started all the same.
    let file = place.job(&[("t", "exit 6")], "", "");
    assert_eq!(detach(&place, &file, &[]).len(), 1);
    assert_eq!(ran(&place, &["recover", "t"]).code, 6);
}

/// An image whose health check tells what a file says.
fn image_with_health_check(place: &Place) -> String {
    let engine = place.engine();
    let mut body = ContainerCreate::default();
    body.config.image = IMAGE.into();
    body.host_config.network_mode = "none".into();
    let container = engine.container_create(Some(unique("health").as_str()), &body).unwrap().id;
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".into());
    let mut socket = UnixStream::connect(host.strip_prefix("unix://").unwrap()).unwrap();
    let name = format!("longshore/{}", unique("health"));
    let change = "HEALTHCHECK%20--interval%3D1s%20--retries%3D2%20CMD%20test%20-e%20%2Flocal%2Fwell";
    write!(
        socket,
        "POST /v1.41/commit?container={container}&repo={name}&tag=1&changes={change} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    engine.container_remove(&container, &RemoveQuery { force: true, volumes: true, link: false }).unwrap();
    format!("{name}:1")
}

#[test]
#[ignore = "needs an Engine"]
fn they_are_left_when_they_are_healthy() {
    let place = Place::new();
    let image = image_with_health_check(&place);
    let healthy = |script: &str, args: &[&str]| {
        let text = std::fs::read_to_string(place.job(&[("t", script)], "", "")).unwrap();
        let file = place.file("health.hcl", &text.replace(IMAGE, &image));
        let begun = Instant::now();
        let args: Vec<&str> = ["--detach", "--wait"].iter().chain(args).copied().collect();
        (place.run(&file, &args), begun.elapsed())
    };
    let (well, took) = healthy("sleep 2; touch /local/well; sleep 1000", &[]);
    assert_eq!((well.code, well.out.lines().count()), (0, 1), "{}", well.err);
    assert!(took >= Duration::from_secs(2), "{took:?}");
    assert_eq!(tasks(&place)[0]["health"], "healthy");
    assert_eq!(ran(&place, &["destroy", "--force", "t"]).code, 0);
    let (ill, _) = healthy("sleep 1000", &[]);
    assert!(ill.code == 125 && ill.err.contains("it is unhealthy, and runs on"), "{}", ill.err);
    assert_eq!(ran(&place, &["destroy", "--force", "t"]).code, 0);
    let (late, _) = healthy("sleep 1000", &["--wait-timeout", "500ms"]);
    assert!(late.code == 124 && late.err.contains("not all tasks were healthy in time"), "{}", late.err);
    assert_eq!(ran(&place, &["destroy", "--force", "t"]).code, 0);
    let (ended, _) = healthy("exit 3", &[]);
    assert!(ended.code == 125 && ended.err.contains("ended with code 3"), "{}", ended.err);
    assert_eq!(ran(&place, &["recover", "t"]).code, 3);
    let removed = place.engine().image_remove(&image, &Default::default());
    assert!(removed.is_ok(), "{removed:?}");
}

#[test]
#[ignore = "needs an Engine"]
fn a_run_is_killed_at_any_moment_and_nothing_is_lost_or_doubled() {
    let place = Place::new();
    let script = "echo up; usleep 200000; exit 3";
    let file = place.job(&[("a", script), ("b", POLITE)], &restart(1000, "0s"), "kill_timeout = \"1s\"");
    for round in 0..rounds(5, 100) {
        let running = Running::start(place.longshore(&["run", &file, "--recover"]));
        std::thread::sleep(Duration::from_millis(u64::from(round) * 173 % 1500)); // Another moment of its life each time.
        running.signal("KILL");
        running.end();
        let known: Vec<Value> = tasks(&place);
        for name in place.containers() {
            let owners = known.iter().filter(|task| task["container_name"] == name.as_str()).count();
            let never_started = place
                .engine()
                .container_inspect(&name, &InspectQuery::default())
                .is_ok_and(|inspect| inspect.state.status == "created");
            assert!(owners == 1 || never_started, "{name} is known {owners} times");
        }
    }
    let owner = Running::start(place.longshore(&["run", &file, "--recover"]));
    // It listens for signals before it owns anything; what runs may be of the one before it.
    eventually(PATIENCE, "both run and are its own", || {
        tasks(&place).iter().filter(|task| task["state"] == "running" && task["owned"] == true).count() == 2
    });
    owner.signal("TERM");
    let ended = owner.end();
    assert!([3, 5, 137].contains(&ended.code), "{}: {}", ended.code, ended.err);
    assert_eq!(place.containers(), Vec::<String>::new());
    assert_eq!(tasks(&place), Vec::<Value>::new());
}

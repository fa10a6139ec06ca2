//! The wait loop never lies: only a container that does not run, or is gone, ends its task, whatever else the Engine says.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use longshore::driver::{Driver, DriverConfig, Error, Signal, TaskConfig, TaskEvent, TaskHandle, TaskId, TaskState};
use longshore::replay::scripted::{Answer, PATIENCE};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};

use crate::kit::Named;
use crate::support::eventually;
use crate::world::{INSPECT, LIST, LOGS, REMOVE, STOP, WAIT, World, exit_of, quick, started, task};

/// Nothing has been heard of an end, and the Engine says that it runs.
#[track_caller]
fn assert_runs(driver: &Driver, id: &TaskId, what: &str) {
    assert!(driver.wait_task(id).unwrap().try_recv().is_err(), "{what}: no exit");
    let status = driver.inspect_task(id).unwrap();
    assert_eq!((status.state, status.exit_result), (TaskState::Running, None), "{what}");
}

fn kinds(events: &crossbeam_channel::Receiver<TaskEvent>) -> Vec<String> {
    events.try_iter().filter_map(|event| event.annotations.get("kind").cloned()).collect()
}

#[test]
fn a_broken_wait_is_no_exit() {
    let broken: [Named; 10] = [
        ("no head", || Answer::nothing().close()),
        ("half a head", || Answer::raw("HTTP/1.1 200").close()),
        ("no body", || Answer::chunked(200).close()),
        ("half a body", || Answer::chunked(200).chunk("{\"StatusCode\":").close()),
        ("an end without a word", || Answer::chunked(200).end()),
        ("a whole body without its end", || Answer::chunked(200).chunk("{\"StatusCode\":0}").close()),
        ("garbage", || Answer::body(200, "<html>")),
        ("an object without a code", || Answer::body(200, "{}")),
        ("an error", || Answer::error(500, "i/o timeout")),
        ("an error with a code", || Answer::json(200, &json!({"StatusCode": 0, "Error": {"Message": "lost it"}}))),
    ];
    for (name, answer) in broken {
        let world = World::new();
        world.scripted.answers(WAIT, (0..4).map(|_| answer()));
        let driver = world.driver();
        let id = started(&driver, Vec::new());
        let inspects = world.scripted.count(INSPECT);
        world.scripted.wait_for(name, |state| state.count(WAIT) == 5);
        assert!(world.scripted.count(INSPECT) - inspects >= 3, "{name}: it is looked at after each");
        assert_runs(&driver, &id, name);
        world.exit(3);
        let exit = exit_of(&driver, &id);
        assert_eq!((exit.exit_code, exit.err), (3, None), "{name}");
    }
}

#[test]
fn what_a_wait_or_an_inspect_says_of_an_end() {
    let code = |code: i64, error: Value| Answer::json(200, &json!({"StatusCode": code, "Error": error}));
    for (name, waited, want) in [
        ("wait's code, though inspect says 0", code(137, Value::Null), 137),
        ("wait's code without an error field", Answer::json(200, &json!({"StatusCode": 137})), 137),
        ("inspect's code, where wait itself failed", code(137, json!({"Message": "lost it"})), 0),
        ("inspect's code, where wait was cut", Answer::chunked(200).chunk("{\"Stat").close(), 0),
        ("inspect's code, where wait knows nobody", Answer::error(404, "No such container"), 0),
    ] {
        let world = World::new();
        let gate = world.shared();
        let ended = Answer::nothing().until(move || gate.lock().containers[0].status == "exited").and(waited);
        world.scripted.answers(WAIT, [ended]);
        let driver = world.driver();
        let id = started(&driver, Vec::new());
        assert_runs(&driver, &id, name);
        world.exit(0);
        let exit = exit_of(&driver, &id);
        assert_eq!((exit.exit_code, exit.err, exit.oom_killed), (want, None, false), "{name}");
        assert_eq!(exit_of(&driver, &id).exit_code, want, "{name}: whoever asks later hears it too");
    }
}

#[test]
fn what_inspect_adds() {
    for (state, want) in [
        (json!({"Status": "exited", "OOMKilled": true, "ExitCode": 0}), (9, true, Some("OOM killed"))),
        (json!({"Status": "exited", "Error": "no such file"}), (9, false, Some("no such file"))),
        (json!({"Status": "exited", "ExitCode": 1, "Error": null}), (9, false, None)),
    ] {
        let world = World::new();
        let driver = world.driver();
        let id = started(&driver, Vec::new());
        let told = json!({"Id": world.only().id, "State": state});
        world.scripted.always(INSPECT, move || Answer::json(200, &told));
        world.exit(9);
        let exit = exit_of(&driver, &id);
        assert_eq!((exit.exit_code, exit.oom_killed, exit.err.as_deref()), want);
    }
}

/// As an inspect answers with such a state.
fn inspected(world: &World, state: &Value) -> impl Fn() -> Answer + Send + 'static {
    let mut state = state.clone();
    state["StartedAt"] = json!("2026-11-25T03:36:00Z");
    let told = json!({"Id": world.only().id, "State": state});
    move || Answer::json(200, &told)
}

#[test]
fn a_state_that_nobody_knows_is_no_end() {
    let code = || Answer::json(200, &json!({"StatusCode": 0}));
    let waits: [Named; 3] = [
        ("a wait that is cut", || Answer::nothing().close()),
        ("a wait that fails", || Answer::error(500, "no")),
        ("a wait that says 0", code),
    ];
    for status in ["hibernating", "unknown", "initialized", "configured", "Exited"] {
        for (row, wait) in &waits {
            let world = World::new();
            let driver = world.driver();
            let events = driver.task_events();
            let id = started(&driver, Vec::new());
            let odd = inspected(&world, &json!({"Status": status, "Running": false, "ExitCode": 0}));
            let is_odd = Arc::new(AtomicBool::new(true));
            let (asked, wait) = (is_odd.clone(), *wait);
            world.scripted.on(INSPECT, move |_| asked.load(Ordering::SeqCst).then(&odd));
            let lies = Arc::new(AtomicBool::new(true));
            let asked = lies.clone();
            world.scripted.on(WAIT, move |_| asked.load(Ordering::SeqCst).then(wait));
            let waited = world.scripted.count(WAIT);
            // What waits already has the old rule: it ends with its connection.
            world.scripted.go_away();
            world.scripted.come_back().unwrap();
            world.scripted.wait_for(row, |state| state.count(WAIT) > waited + 2);
            assert!(driver.wait_task(&id).unwrap().try_recv().is_err(), "{status}, {row}: no exit");
            let told = driver.inspect_task(&id).unwrap();
            assert_eq!((told.state, told.exit_result), (TaskState::Unknown, None), "{status}, {row}");
            assert!(
                matches!(driver.destroy_task(&id, false), Err(Error::StillRunning { .. })),
                "{status}, {row}: what may run is not removed"
            );
            assert!(kinds(&events).contains(&"engine_lost".to_owned()), "{status}, {row}: it is told");
            // A wait that says 0 and is followed by an end is believed: the next one tells the truth.
            lies.store(false, Ordering::SeqCst);
            let waited = world.scripted.count(WAIT);
            world.scripted.go_away();
            world.scripted.come_back().unwrap();
            world.scripted.wait_for(row, |state| state.count(WAIT) > waited);
            world.exit(7);
            is_odd.store(false, Ordering::SeqCst);
            assert_eq!(exit_of(&driver, &id).exit_code, 7, "{status}, {row}");
        }
    }
}

#[test]
fn an_end_without_a_code_is_no_success() {
    for (row, state) in [
        ("null", json!({"Status": "exited", "ExitCode": null})),
        ("missing", json!({"Status": "exited"})),
        ("podman's word", json!({"Status": "stopped", "ExitCode": null})),
        ("dead", json!({"Status": "dead", "Dead": true})),
    ] {
        let world = World::new();
        let driver = world.driver();
        let id = started(&driver, Vec::new());
        let ended = inspected(&world, &state);
        world.scripted.always(INSPECT, ended);
        world.scripted.always(WAIT, || Answer::nothing().close());
        world.scripted.go_away();
        world.scripted.come_back().unwrap();
        let exit = exit_of(&driver, &id);
        assert!(exit.exit_code != 0 && exit.err.is_some() && !exit.is_successful(), "{row}: {exit:?}");
    }
}

#[test]
fn a_page_of_a_proxy_is_not_the_engines_no() {
    let page = || Answer::body(404, "<html>Not Found</html>").header("Content-Type", "text/html");
    let pages: [Named; 4] = [
        ("a page", page),
        ("a text", || Answer::body(404, "404 page not found\n").header("Content-Type", "text/plain")),
        ("nothing", || Answer::empty(404)),
        ("another's JSON", || Answer::json(404, &json!({"error": "no such route"}))),
    ];
    for (row, answer) in pages {
        let world = World::new();
        let driver = world.driver();
        let id = started(&driver, Vec::new());
        let on = Arc::new(AtomicBool::new(true));
        for pattern in [INSPECT, WAIT, STOP, REMOVE, LOGS, "POST /containers/*/kill"] {
            let asked = on.clone();
            world.scripted.on(pattern, move |_| asked.load(Ordering::SeqCst).then(answer));
        }
        let asked = world.scripted.count(INSPECT);
        world.scripted.go_away();
        world.scripted.come_back().unwrap();
        world.scripted.wait_for(row, |state| state.count(INSPECT) > asked + 2);
        assert!(driver.wait_task(&id).unwrap().try_recv().is_err(), "{row}: it was not removed by somebody else");
        for signal in [None, Some(Signal::Term)] {
            let stopped = driver.stop_task(&id, Duration::from_secs(1), signal);
            assert!(stopped.is_err(), "{row}: {signal:?}");
        }
        assert!(matches!(driver.destroy_task(&id, true), Err(Error::Inspect { .. })), "{row}");
        assert_eq!(world.only().status, "running", "{row}");
        let handle = TaskHandle { container_id: world.only().id, ..TaskHandle::default() };
        let other = world.driver();
        assert!(matches!(other.attach_task(&handle), Err(Error::Inspect { .. })), "{row}: it is not gone");
        other.recover_task(&handle).unwrap();
        on.store(false, Ordering::SeqCst);
        world.exit(5);
        assert_eq!(exit_of(&driver, &id).exit_code, 5, "{row}");
    }
}

#[test]
fn want_of_memory_may_be_told_after_the_exit() {
    for (code, want) in [(137, true), (1, false)] {
        let world = World::new();
        let driver = world.driver();
        let id = started(&driver, Vec::new());
        let (shared, mut looks) = (world.shared(), 0);
        world.scripted.on(INSPECT, move |_| {
            let container = shared.lock().containers.first().filter(|c| c.status == "exited").cloned()?;
            looks += 1;
            let state = json!({"Status": "exited", "ExitCode": code, "OOMKilled": looks > 2});
            Some(Answer::json(200, &json!({"Id": container.id, "State": state})))
        });
        world.exit(code);
        assert_eq!(exit_of(&driver, &id).oom_killed, want, "only SIGKILL can be the kernel's: {code}");
    }
}

#[test]
fn a_kill_of_our_own_is_reported_at_once() {
    for signal in [None, Some(Signal::Kill)] {
        let world = World::new();
        // As a stop does here.
        let (shared, poker) = (world.shared(), world.scripted.poker());
        world.scripted.on("POST /containers/*/kill", move |_| {
            let container = &mut shared.lock().containers[0];
            (container.status, container.exit_code) = ("exited", 137);
            poker.poke();
            Some(Answer::empty(204))
        });
        let driver = world.driver();
        let id = started(&driver, Vec::new());
        let inspects = world.scripted.count(INSPECT);
        let grace = if signal.is_some() { PATIENCE } else { Duration::ZERO };
        driver.stop_task(&id, grace, signal).unwrap();
        assert_eq!(exit_of(&driver, &id).exit_code, 137);
        assert_eq!(world.scripted.count(INSPECT), inspects + 1, "looked at once: {signal:?}");
    }
}

#[test]
fn a_container_that_somebody_removed_is_gone() {
    for (name, waited, want) in [
        ("without a word", Answer::error(404, "No such container"), -1),
        ("by a cut", Answer::chunked(200).close(), -1),
        ("after its code", Answer::json(200, &json!({"StatusCode": 5})), 5),
    ] {
        let world = World::new();
        let gate = world.shared();
        let gone = Answer::nothing().until(move || gate.lock().containers.is_empty()).and(waited);
        world.scripted.answers(WAIT, [gone]);
        let driver = world.driver();
        let id = started(&driver, Vec::new());
        world.model().containers.clear();
        world.scripted.poker().poke();
        let exit = exit_of(&driver, &id);
        assert_eq!((exit.exit_code, exit.err.is_some()), (want, want == -1), "{name}: {exit:?}");
        assert!(want != -1 || !exit.is_successful(), "{name}");
        driver.destroy_task(&id, false).unwrap();
    }
}

#[test]
fn an_engine_that_has_trouble_for_a_while() {
    let world = World::new();
    let driver = world.driver();
    let events = driver.task_events();
    // The first inspect is the start's.
    let trouble = |n| (0..n).map(|_| Answer::error(500, "no luck"));
    world.scripted.answers(WAIT, trouble(3));
    let inspects = trouble(2).chain([
        Answer::error(503, "starting"),
        Answer::body(200, "<html>"),
        Answer::json(200, &json!({"Id": "x"})),
        Answer::nothing().close(),
        Answer::nothing().close(),
    ]);
    world.later(INSPECT, 1, inspects);
    let id = started(&driver, Vec::new());
    world.scripted.wait_for("a wait that holds", |state| state.count(WAIT) == 4);
    assert_runs(&driver, &id, "after the trouble");
    assert_eq!(kinds(&events), ["engine_lost", "engine_back"], "told once each");
    world.exit(4);
    assert_eq!(exit_of(&driver, &id).exit_code, 4);
}

#[test]
fn an_engine_that_is_away_for_a_while() {
    for ends_meanwhile in [false, true] {
        let world = World::new();
        let driver = world.driver();
        let events = driver.task_events();
        let id = started(&driver, Vec::new());
        world.scripted.wait_for("the wait", |state| state.count(WAIT) == 1);
        world.scripted.go_away();
        let lost = events.recv_timeout(PATIENCE).unwrap();
        assert_eq!(lost.annotations["kind"], "engine_lost");
        if ends_meanwhile {
            world.exit(6);
        }
        let exit = driver.wait_task(&id).unwrap();
        assert!(exit.recv_timeout(Duration::from_millis(100)).is_err(), "an Engine that is away is no exit");
        world.scripted.come_back().unwrap();
        if !ends_meanwhile {
            let back = events.recv_timeout(PATIENCE).unwrap();
            assert_eq!(back.annotations["kind"], "engine_back");
            assert_runs(&driver, &id, "after its return");
            world.exit(6);
        }
        assert_eq!(exit.recv_timeout(PATIENCE).unwrap().exit_code, 6);
    }
}

#[test]
fn an_inspect_that_never_answers_is_asked_again() {
    let world = World::new();
    let driver = world.driver();
    world.scripted.answers(WAIT, [Answer::nothing().close()]);
    // The first inspect is the start's.
    world.later(INSPECT, 1, [Answer::nothing().hold(), Answer::chunked(200).chunk("{").hold()]);
    let id = started(&driver, Vec::new());
    let begun = Instant::now();
    world.scripted.wait_for("a second wait", |state| state.count(WAIT) == 2);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    world.exit(0);
    assert_eq!(exit_of(&driver, &id).exit_code, 0);
}

#[test]
fn a_code_that_was_delivered_survives_the_engine() {
    let world = World::new();
    let driver = world.driver();
    let id = started(&driver, Vec::new());
    world.scripted.always(INSPECT, || Answer::error(500, "going down"));
    world.exit(42);
    assert_eq!(exit_of(&driver, &id).exit_code, 42);
}

#[test]
fn the_sweep_finds_an_end_that_no_wait_reported() {
    let world = World::new();
    world.scripted.always(WAIT, || Answer::chunked(200).hold());
    let driver = world.driver_with(DriverConfig { sweep_period: Duration::from_millis(20), ..quick() });
    let id = started(&driver, Vec::new());
    world.scripted.answers(LIST, [Answer::error(500, "no luck"), Answer::body(200, "<"), Answer::nothing().close()]);
    world.scripted.wait_for("some sweeps", |state| state.count(LIST) > 8);
    assert_eq!(world.scripted.count(WAIT), 1, "a wait of what runs is left alone");
    assert_runs(&driver, &id, "swept");
    let list = &world.scripted.requests(LIST)[0];
    assert_eq!(list.parameter("all").as_deref(), Some("1"));
    assert!(list.parameter("filters").is_some_and(|f| f.contains("longshore.instance=default")), "{}", list.query);
    world.exit(7);
    assert_eq!(exit_of(&driver, &id).exit_code, 7);
    // Nothing to look for: no list.
    let lists = world.scripted.count(LIST);
    std::thread::sleep(Duration::from_millis(100));
    assert!(world.scripted.count(LIST) <= lists + 1, "an ended task needs no sweep");
}

#[test]
fn a_list_that_lies_ends_nothing() {
    for list in [json!([]), json!(null)] {
        let world = World::new();
        let driver = world.driver_with(DriverConfig { sweep_period: Duration::from_millis(20), ..quick() });
        world.scripted.always(LIST, move || Answer::json(200, &list));
        let id = started(&driver, Vec::new());
        world.scripted.wait_for("looks", |state| state.count(WAIT) > 3);
        assert_runs(&driver, &id, "a container that the list lacks");
        world.exit(0);
        assert_eq!(exit_of(&driver, &id).exit_code, 0);
    }
}

#[test]
fn an_engine_that_never_answers_does_not_hold_a_shutdown() {
    for (name, broken) in [("in their waits", false), ("in their inspects", true)] {
        let world = World::new();
        let driver = world.driver_with(DriverConfig {
            sweep_period: Duration::from_millis(20),
            inspect_timeout: Duration::from_secs(60),
            ..quick()
        });
        let ids: Vec<_> = (0..5).map(|_| started(&driver, vec![Box::new(Nowhere)])).collect();
        world.scripted.wait_for("all are followed", |state| state.count(LOGS) >= 10 && state.count(WAIT) >= 5);
        for pattern in [WAIT, LOGS, INSPECT, LIST, "GET /_ping"] {
            world.scripted.always(pattern, || Answer::nothing().hold());
        }
        if broken {
            let before = world.scripted.count(INSPECT);
            world.scripted.go_away();
            world.scripted.come_back().unwrap();
            world.scripted.wait_for("inspects", |state| state.count(INSPECT) >= before + 5);
        }
        let exits: Vec<_> = ids.iter().map(|id| driver.wait_task(id).unwrap()).collect();
        let events = driver.task_events();
        let begun = Instant::now();
        driver.shutdown();
        assert!(begun.elapsed() < Duration::from_secs(2), "{name}: {:?}", begun.elapsed());
        for exit in exits {
            assert!(exit.recv_timeout(PATIENCE).is_err_and(|e| e.is_disconnected()), "{name}: no exit was invented");
        }
        eventually(PATIENCE, "events end", || events.try_recv().is_err_and(|e| e.is_disconnected()));
        assert_eq!(world.model().containers.len(), 5, "{name}: containers stay");
        driver.shutdown();
    }
}

/// A sink for what nobody looks at.
pub(crate) struct Nowhere;

impl longshore::driver::Sink for Nowhere {
    fn record(&mut self, _: &longshore::driver::Record<'_>) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn no_descriptor_is_no_exit() {
    // In a process of its own: the limit is all of that.
    if std::env::var_os("LONGSHORE_EXHAUSTED").is_none() {
        let program = std::env::current_exe().unwrap();
        let args = ["--exact", "--nocapture", "waits::no_descriptor_is_no_exit"];
        let status = Command::new(program).args(args).env("LONGSHORE_EXHAUSTED", "1").status().unwrap();
        assert!(status.success());
        return;
    }
    let world = World::new();
    let low = Arc::new(AtomicBool::new(false));
    let gate = low.clone();
    world.scripted.answers(WAIT, [Answer::nothing().until(move || gate.load(Ordering::SeqCst)).close()]);
    let driver = world.driver();
    let events = driver.task_events();
    let id = started(&driver, Vec::new());
    let whole = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(3), ..whole }).unwrap();
    let error = world.scripted.engine().ping().unwrap_err();
    assert!(error.is_exhausted() && error.is_unreachable() && error.is_transient() && !error.is_timeout(), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("too many open files: raise the limit to 6 ") && !text.contains("no Engine"), "{text}");
    let other = TaskConfig { id: "other".into(), ..task() };
    let refused = driver.start_task(other).unwrap_err();
    assert!(refused.is_recoverable(), "{refused:?}");
    // The wait breaks, and nobody can ask why.
    low.store(true, Ordering::SeqCst);
    world.scripted.poker().poke();
    let mut told = String::new();
    eventually(PATIENCE, "it is told", || {
        told.extend(events.try_iter().map(|event| event.message + "\n"));
        told.contains("The Engine cannot be asked")
    });
    assert!(told.contains("too many open files") && !told.contains("no Engine"), "{told}");
    assert!(driver.wait_task(&id).unwrap().try_recv().is_err(), "no exit");
    setrlimit(Resource::Nofile, whole).unwrap();
    world.scripted.wait_for("it waits again", |state| state.count(WAIT) >= 2);
    assert_runs(&driver, &id, "with descriptors again");
    world.exit(3);
    assert_eq!(exit_of(&driver, &id).exit_code, 3);
}

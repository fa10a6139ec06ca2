//! What is done to a task at the same time, or too late, or by a handle that is wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use longshore::driver::{DriverConfig, Error, Record, Signal, Sink, TaskHandle, TaskState};
use longshore::replay::scripted::{Answer, PATIENCE};
use serde_json::{Value, json};

use crate::world::{INSPECT, LIST, REMOVE, START, STOP, WAIT, World, exit_of, quick, started, task};

const KILL: &str = "POST /containers/*/kill";
const STATS: &str = "GET /containers/*/stats";

#[test]
fn a_late_destroy_forgets_no_other_task_of_its_id() {
    let world = World::new();
    let driver = world.driver();
    let task = task();
    let id = task.id.clone();
    driver.start_task(task.clone()).unwrap();
    world.exit(0);
    exit_of(&driver, &id);
    // The first removal is done, and its answer comes late.
    let may = Arc::new(AtomicBool::new(false));
    let (waits, poker) = (may.clone(), world.scripted.poker());
    let late = Answer::nothing().until(move || waits.load(Ordering::SeqCst)).then(|| Answer::error(404, "gone"));
    world.scripted.answers(REMOVE, [late]);
    let (other, its) = (driver.clone(), id.clone());
    let destroys = std::thread::spawn(move || other.destroy_task(&its, false));
    world.scripted.wait_for("it removes", |state| state.count(REMOVE) == 1);
    driver.destroy_task(&id, false).unwrap();
    driver.start_task(task).unwrap();
    may.store(true, Ordering::SeqCst);
    poker.poke();
    destroys.join().unwrap().unwrap();
    assert_eq!(driver.inspect_task(&id).unwrap().state, TaskState::Running);
}

#[test]
fn a_container_that_podman_stops_has_not_ended() {
    let world = World::new();
    let driver = world.driver();
    let id = started(&driver, Vec::new());
    let container = world.only();
    let stopping = json!({
        "Id": container.id, "Config": {}, "State": {
            "Status": "running", "Running": false, "Pid": 7, "ExitCode": 0,
            "StartedAt": "2026-11-25T03:36:00Z", "FinishedAt": "0001-01-01T00:00:00Z"},
    });
    world.scripted.always(INSPECT, move || Answer::json(200, &stopping));
    world.scripted.answers(WAIT, [Answer::error(500, "no"), Answer::error(500, "no")]);
    world.scripted.go_away();
    world.scripted.come_back().unwrap();
    let exit = driver.wait_task(&id).unwrap();
    world.scripted.wait_for("it waits again", |state| state.count(WAIT) >= 3);
    assert!(exit.try_recv().is_err(), "no exit was invented");
    assert_eq!(driver.inspect_task(&id).unwrap().state, TaskState::Running);
    assert!(matches!(driver.destroy_task(&id, false), Err(Error::StillRunning { .. })));
}

#[test]
fn a_handle_that_is_wrong() {
    let world = World::new();
    let driver = world.driver();
    let handle = |id: &str| TaskHandle { container_id: id.into(), ..TaskHandle::default() };
    for id in ["", ".", "..", "a/b", "a b", "\u{e4}", "a\n"] {
        assert!(matches!(driver.recover_task(&handle(id)), Err(Error::Handle { .. })), "{id:?}");
        assert!(matches!(driver.attach_task(&handle(id)), Err(Error::Handle { .. })), "{id:?}");
    }
    assert!(matches!(driver.recover_task(&handle("abcd")), Err(Error::Gone { .. })));
    for text in [r#"{"version":1,"container_id":7}"#, r#"{"version":-1}"#, "7", "{"] {
        assert!(serde_json::from_str::<TaskHandle>(text).is_err(), "{text}");
    }
}

#[test]
fn a_strangers_container_is_left_alone_whatever_a_handle_says() {
    let world = World::new();
    let first = world.driver();
    let handle = first.start_task(task()).unwrap().0;
    first.shutdown();
    for label in ["longshore.instance", "longshore.task_id"] {
        let own = world.model().containers[0].labels[label].take();
        for other in [serde_json::Value::Null, "x".into()] {
            world.model().containers[0].labels[label] = other;
            let driver = world.driver();
            assert!(matches!(driver.attach_task(&handle), Err(Error::NotOurs { .. })), "{label}");
            assert!(matches!(driver.recover_task(&handle), Err(Error::NotOurs { .. })), "{label}");
            let id = &handle.config.id;
            assert!(driver.stop_task(id, Duration::ZERO, None).is_err(), "{label}: it is not attached");
            assert!(driver.destroy_task(id, true).is_err(), "{label}");
        }
        world.model().containers[0].labels[label] = own;
    }
    assert_eq!(world.only().status, "running");
    world.driver().attach_task(&handle).unwrap();
}

#[test]
fn what_was_never_started_has_no_success() {
    let world = World::new();
    let first = world.driver();
    let handle = first.start_task(task()).unwrap().0;
    first.shutdown();
    world.model().containers[0].status = "created";
    let driver = world.driver();
    driver.recover_task(&handle).unwrap();
    let exit = exit_of(&driver, &handle.config.id);
    assert!(!exit.is_successful() && exit.err.as_ref().is_some_and(|why| why.contains("never started")), "{exit:?}");
}

#[test]
fn a_shutdown_does_not_kill_what_waits_for_its_grace() {
    for attached in [false, true] {
        let world = World::new();
        world.scripted.always(KILL, || Answer::empty(204));
        let owner = world.driver();
        let handle = owner.start_task(task()).unwrap().0;
        let driver = if attached { world.driver() } else { owner.clone() };
        if attached {
            driver.attach_task(&handle).unwrap();
        }
        let (other, id) = (driver.clone(), handle.config.id.clone());
        let stops = std::thread::spawn(move || other.stop_task(&id, Duration::from_secs(3600), Some(Signal::Usr1)));
        world.scripted.wait_for("the signal", |state| state.count(KILL) == 1);
        let waits = world.scripted.count(WAIT);
        if attached {
            world.scripted.wait_for("a wait", move |state| state.count(WAIT) >= waits.max(2));
        }
        let begun = Instant::now();
        driver.shutdown();
        assert!(matches!(stops.join().unwrap(), Err(Error::ShutDown)), "attached: {attached}");
        assert!(begun.elapsed() < Duration::from_secs(2), "attached: {attached}: {:?}", begun.elapsed());
        assert_eq!(world.scripted.count(STOP), 0, "attached: {attached}: it was not killed");
    }
}

#[test]
fn a_grace_without_end() {
    let world = World::new();
    let driver = world.driver();
    let id = started(&driver, Vec::new());
    driver.stop_task(&id, Duration::MAX, None).unwrap();
    assert_eq!(world.scripted.requests(STOP)[0].parameter("t").as_deref(), Some("2147483647"));
}

#[test]
fn a_start_that_fails_leaves_alone_what_ran_before() {
    let world = World::new();
    let first = world.driver();
    let task = task();
    first.start_task(task.clone()).unwrap();
    first.shutdown();
    let id = world.only().id;
    let driver = world.driver();
    // Who has the name is found out; how the adopted one is, is not.
    world.later(INSPECT, 1, [Answer::error(500, "no")]);
    assert!(matches!(driver.start_task(task.clone()), Err(Error::Inspect { .. })));
    assert_eq!((world.only().id.as_str(), world.scripted.count(REMOVE)), (id.as_str(), 0));
    assert_eq!(driver.start_task(task).unwrap().0.container_id, id, "it is adopted at last");
    assert_eq!(world.scripted.count(START), 1);
}

#[test]
fn a_sink_that_blocks_does_not_hold_a_shutdown_behind_a_destroy() {
    struct Blocks(crossbeam_channel::Receiver<()>, crossbeam_channel::Sender<()>);
    impl Sink for Blocks {
        fn record(&mut self, _: &Record<'_>) -> std::io::Result<()> {
            let _ = self.1.try_send(());
            let _ = self.0.recv_timeout(PATIENCE);
            Ok(())
        }
    }
    let world = World::new();
    let driver = world.driver_with(DriverConfig { log_drain: PATIENCE, ..quick() });
    let ((open, gate), (at, arrives)) = (bounded(0), bounded(1));
    let id = started(&driver, vec![Box::new(Blocks(gate, at))]);
    world.write([crate::world::Written(1, 1_795_000_000_000_000_000, b"line\n".to_vec())]);
    arrives.recv_timeout(PATIENCE).unwrap();
    world.exit(0);
    exit_of(&driver, &id);
    let (other, its) = (driver.clone(), id.clone());
    let before = world.scripted.count(INSPECT);
    let destroys = std::thread::spawn(move || other.destroy_task(&its, false));
    world.scripted.wait_for("it looks", |state| state.count(INSPECT) > before);
    let begun = Instant::now();
    driver.task_stats(&id, Duration::MAX).unwrap();
    driver.shutdown();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    drop(open);
    let _ = destroys.join().unwrap();
}

/// A sample, as Docker has it or as podman has it.
fn sample(second: u32, used: u64, before: Option<u64>) -> Value {
    let preread = before.map_or("0001-01-01T00:00:00Z".into(), |_| format!("2026-11-25T03:39:{:02}Z", second - 1));
    json!({
        "read": format!("2026-11-25T03:39:{second:02}Z"), "preread": preread,
        "cpu_stats": {"online_cpus": 4, "cpu_usage": {"total_usage": used, "percpu_usage": null}},
        "precpu_stats": {"cpu_usage": {"total_usage": before.unwrap_or(0)}},
        "memory_stats": {"usage": u64::MAX}, "networks": null, "pids_stats": {"limit": u64::MAX},
    })
}

#[test]
fn samples_of_an_engine_that_leaves_out_the_one_before() {
    let world = World::new();
    let answer = |second, used| Answer::json(200, &sample(second, used, None));
    world.scripted.answers(STATS, [answer(1, 1_000_000_000), answer(2, 1_500_000_000), answer(3, 3_500_000_000)]);
    let driver = world.driver();
    let id = started(&driver, Vec::new());
    let begun = Instant::now();
    let samples = driver.task_stats(&id, Duration::ZERO).unwrap();
    let percent: Vec<_> = (0..2).map(|_| samples.recv_timeout(PATIENCE).unwrap().cpu_stats.percent).collect();
    assert_eq!(percent, [50.0, 200.0]);
    assert!(begun.elapsed() > Duration::from_millis(1500), "it is not asked without end");
    assert_eq!(world.scripted.count(STATS), 3);
    // One who is told at once that there is nothing to hear.
    world.exit(0);
    exit_of(&driver, &id);
    let late = driver.task_stats(&id, Duration::from_secs(3600)).unwrap();
    assert!(late.recv_timeout(PATIENCE).is_err_and(|e| e.is_disconnected()));
}

#[test]
fn what_is_no_sample_is_passed_over() {
    let world = World::new();
    world.scripted.answers(
        STATS,
        [
            Answer::json(200, &json!({})),
            Answer::json(200, &json!({"cause": "no", "response": 409})),
            Answer::json(200, &sample(2, u64::MAX, Some(5))),
        ],
    );
    let driver = world.driver();
    let id = started(&driver, Vec::new());
    let samples = driver.task_stats(&id, Duration::from_millis(1)).unwrap();
    let sample = samples.recv_timeout(PATIENCE).unwrap();
    assert_eq!((sample.cpu_stats.percent, sample.memory_stats.usage), (0.0, u64::MAX));
}

#[test]
fn two_hundred_subscribers_that_never_read_or_have_left() {
    let world = World::new();
    world.scripted.always(STATS, || Answer::json(200, &sample(2, 9, Some(5))));
    world.scripted.always(LIST, || Answer::nothing().hold());
    let driver = world.driver();
    let id = started(&driver, Vec::new());
    let kept: Vec<_> = (0..100).map(|_| driver.task_stats(&id, Duration::ZERO).unwrap()).collect();
    for _ in 0..100 {
        drop(driver.task_stats(&id, Duration::ZERO).unwrap());
    }
    let events: Vec<_> = (0..200).map(|_| driver.task_events()).collect();
    let waiters: Vec<_> = (0..100)
        .map(|_| {
            let (driver, id) = (driver.clone(), id.clone());
            std::thread::spawn(move || driver.wait_task(&id).unwrap().recv())
        })
        .collect();
    world.scripted.wait_for("samples", |state| state.count(STATS) >= 200);
    let begun = Instant::now();
    driver.shutdown();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    for samples in kept {
        assert!(samples.iter().count() <= 1);
    }
    assert!(events.iter().all(|events| events.iter().count() == 0));
    assert!(driver.task_events().recv_timeout(PATIENCE).is_err_and(|e| e.is_disconnected()), "too late");
    assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap().is_err()), "no exit was invented");
}

#[test]
fn a_stop_of_what_runs_on_is_no_success() {
    // row, what a stop answers, what is then said of the container, how often it must be stopped, what comes of it
    for (row, status, state, stops, kind) in [
        ("it runs on", 304, json!({"Status": "running", "Running": true}), 2, Some("not_stopped")),
        ("it was stopped, and runs on", 204, json!({"Status": "running", "Running": true}), 2, Some("not_stopped")),
        ("nothing is said", 204, json!({}), 2, Some("not_stopped")),
        ("nobody knows the word", 304, json!({"Status": "hibernating"}), 2, Some("not_stopped")),
        ("it has ended", 304, json!({"Status": "exited", "ExitCode": 0}), 1, None),
    ] {
        let world = World::new();
        let owner = world.driver();
        let (handle, _) = owner.start_task(task()).unwrap();
        let driver = world.driver();
        driver.attach_task(&handle).unwrap();
        world.scripted.always(STOP, move || Answer::empty(status));
        let inspect = json!({"Id": handle.container_id, "Name": handle.container_name, "State": state});
        world.scripted.always(INSPECT, move || Answer::json(200, &inspect));
        let stopped = driver.stop_task(&handle.config.id, Duration::from_secs(1), None);
        assert_eq!(stopped.as_ref().err().map(|error| error.kind()), kind, "{row}: {stopped:?}");
        assert_eq!(world.scripted.count(STOP), stops, "{row}");
    }
    // One that hears the second is stopped.
    let world = World::new();
    let (handle, _) = world.driver().start_task(task()).unwrap();
    let driver = world.driver();
    driver.attach_task(&handle).unwrap();
    world.scripted.answers(STOP, [Answer::empty(304)]);
    driver.stop_task(&handle.config.id, Duration::from_secs(1), None).unwrap();
    assert_eq!((world.scripted.count(STOP), world.only().status), (2, "exited"));
}

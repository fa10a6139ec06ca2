//! What happens to a task between its start and its end: signals, samples, a driver that goes and one that comes.

use std::time::{Duration, Instant};

use longshore::driver::{Driver, DriverConfig, Error, Signal, TaskHandle, TaskState};
use longshore::engine::RemoveQuery;
use serde_json::json;

use crate::cases::bench::{Bench, Output, PATIENCE};
use crate::support::{IMAGE, eventually};

#[test]
#[ignore = "needs an Engine"]
fn a_signal_reaches_the_task() {
    let bench = Bench::new();
    let script = "trap 'echo usr1; exit 9' USR1; echo ready; while :; do sleep 0.05; done";
    let (id, output) = bench.start(bench.task(script));
    eventually(PATIENCE, "it is ready", || output.out() == "ready\n");
    bench.driver.signal_task(&id, Signal::Usr1).unwrap();
    assert_eq!(bench.wait(&id).exit_code, 9);
    let late = bench.driver.signal_task(&id, Signal::Term).unwrap_err();
    assert!(matches!(late, Error::Signal { .. }), "{late}");
    bench.driver.destroy_task(&id, false).unwrap();
    assert!(matches!(bench.driver.signal_task(&id, Signal::Term), Err(Error::TaskNotFound { .. })));
}

#[test]
#[ignore = "needs an Engine"]
fn samples_come_until_the_task_ends() {
    let bench = Bench::new();
    let (id, _) = bench.start(bench.with(json!({
        "image": IMAGE, "command": "sh", "args": ["-c", "i=0; while [ $i -lt 4000000 ]; do i=$((i+1)); done; sleep 1000"],
    })));
    let samples = bench.driver.task_stats(&id, Duration::from_millis(50)).unwrap();
    drop(bench.driver.task_stats(&id, Duration::from_millis(50)).unwrap());
    let sample = samples.recv_timeout(PATIENCE).unwrap();
    assert!(sample.cpu_stats.percent > 5.0 && sample.cpu_stats.percent <= 6400.0, "{sample:?}");
    assert!(sample.cpu_stats.total_ticks > 0.0 && sample.memory_stats.usage > 0 && sample.pids > 0, "{sample:?}");
    assert_eq!(sample.memory_stats.limit, 64 * 1024 * 1024);
    assert!(sample.timestamp > 1_700_000_000_000_000_000);
    bench.driver.stop_task(&id, Duration::ZERO, None).unwrap();
    eventually(PATIENCE, "the channel ends", || {
        while samples.try_recv().is_ok() {}
        samples.try_recv() == Err(crossbeam_channel::TryRecvError::Disconnected)
    });
    bench.driver.destroy_task(&id, false).unwrap();
}

/// A driver of the same name as the bench's, as a process that comes after it has one.
fn successor(bench: &Bench) -> Driver {
    let config = DriverConfig { instance: bench.instance.clone(), ..DriverConfig::default() };
    Driver::new(bench.engine.clone(), config)
}

/// A handle as it was kept.
fn kept(handle: &TaskHandle) -> TaskHandle {
    serde_json::from_str(&serde_json::to_string(handle).unwrap()).unwrap()
}

#[test]
#[ignore = "needs an Engine"]
fn a_task_is_taken_up_whatever_became_of_it() {
    let bench = Bench::new();
    let start = |script: &str| bench.driver.start_task(bench.task(script)).unwrap().0;
    let goes_on = "trap 'echo after; exit 5' TERM; echo before; while :; do sleep 0.1; done";
    let (runs, ended, removed) = (start(goes_on), start("exit 6"), start("sleep 1000"));
    assert_eq!(bench.wait(&ended.config.id).exit_code, 6);
    let begun = Instant::now();
    bench.driver.shutdown();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let force = RemoveQuery { force: true, volumes: true, link: false };
    bench.engine.container_remove(&removed.container_id, &force).unwrap();

    let driver = successor(&bench);
    let output = Output::default();
    driver.recover_task_with(&kept(&runs), vec![Box::new(output.clone())]).unwrap();
    driver.recover_task(&kept(&runs)).unwrap();
    driver.recover_task(&kept(&ended)).unwrap();
    let error = driver.recover_task(&kept(&removed)).unwrap_err();
    assert!(matches!(error, Error::Gone { .. }), "{error}");
    assert!(matches!(driver.inspect_task(&removed.config.id), Err(Error::TaskNotFound { .. })));

    let wait = |handle: &TaskHandle| driver.wait_task(&handle.config.id).unwrap().recv_timeout(PATIENCE).unwrap();
    assert_eq!(driver.inspect_task(&runs.config.id).unwrap().state, TaskState::Running);
    eventually(PATIENCE, "it is heard again", || output.out() == "before\n");
    driver.signal_task(&runs.config.id, Signal::Term).unwrap();
    assert_eq!((wait(&ended).exit_code, wait(&runs).exit_code), (6, 5));
    driver.destroy_task(&ended.config.id, false).unwrap();
    driver.destroy_task(&runs.config.id, false).unwrap();
    assert_eq!(output.out(), "before\nafter\n", "what it wrote before, too, each line once");

    let newer = TaskHandle { version: 99, ..runs.clone() };
    let error = driver.recover_task(&newer).unwrap_err();
    assert!(error.to_string().contains("version 99"), "{error}");
    driver.shutdown();
}

#[test]
#[ignore = "needs an Engine"]
fn what_somebody_else_does_to_a_container() {
    let bench = Bench::new();
    let loops = "echo begun; trap 'exit 3' TERM; while :; do sleep 0.05; done";
    // Paused: it runs, and ends when it goes on.
    let (handle, _) = bench.driver.start_task(bench.task(loops)).unwrap();
    let id = &handle.config.id;
    bench.docker(&["pause", &handle.container_id]);
    assert_eq!(bench.driver.inspect_task(id).unwrap().state, TaskState::Running);
    assert!(bench.driver.wait_task(id).unwrap().recv_timeout(Duration::from_millis(300)).is_err());
    bench.docker(&["unpause", &handle.container_id]);
    bench.driver.stop_task(id, Duration::from_secs(10), None).unwrap();
    assert_eq!(bench.wait(id).exit_code, 3);
    bench.driver.destroy_task(id, false).unwrap();

    // Renamed: it is known by its id.
    let (handle, _) = bench.driver.start_task(bench.task(loops)).unwrap();
    bench.docker(&["rename", &handle.container_id, &format!("{}-other", handle.container_name)]);
    bench.driver.stop_task(&handle.config.id, Duration::from_secs(10), None).unwrap();
    bench.driver.destroy_task(&handle.config.id, false).unwrap();

    // Restarted: either the task goes on, or it has ended with its first life. Nothing is left either way.
    for _ in 0..5 {
        let (handle, _) = bench.driver.start_task(bench.task(loops)).unwrap();
        let id = &handle.config.id;
        bench.docker(&["restart", "-t", "5", &handle.container_id]);
        match bench.driver.wait_task(id).unwrap().recv_timeout(Duration::from_millis(500)) {
            Ok(exit) => assert_eq!(exit.exit_code, 3),
            Err(_) => bench.driver.stop_task(id, Duration::from_secs(10), None).unwrap(),
        }
        bench.driver.destroy_task(id, false).unwrap();
    }
}

#[test]
#[ignore = "needs an Engine"]
fn a_task_that_is_being_stopped_runs() {
    let bench = Bench::new();
    let (id, output) = bench.start(bench.task("trap '' TERM; echo ready; while :; do sleep 0.1; done"));
    eventually(PATIENCE, "it is ready", || output.out() == "ready\n");
    let (driver, its) = (bench.driver.clone(), id.clone());
    let stops = std::thread::spawn(move || driver.stop_task(&its, Duration::from_secs(4), None));
    // While podman stops a container, it says of it that it does not run.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        assert_eq!(bench.driver.inspect_task(&id).unwrap().state, TaskState::Running);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(matches!(bench.driver.destroy_task(&id, false), Err(Error::StillRunning { .. })));
    stops.join().unwrap().unwrap();
    assert_eq!(bench.wait(&id).exit_code, 137);
    bench.driver.destroy_task(&id, false).unwrap();
}

//! A task of one driver, looked at by another.

use std::time::{Duration, Instant};

use longshore::driver::{Driver, DriverConfig, Error, ExecOptions, Signal, TaskState};

use crate::cases::bench::{Bench, PATIENCE};

const POLITE: &str = "trap 'exit 5' INT; trap '' TERM; echo up; while :; do sleep 0.1; done";

/// Another driver with the same name.
fn other(bench: &Bench) -> Driver {
    Driver::new(bench.engine.clone(), DriverConfig { instance: bench.instance.clone(), ..DriverConfig::default() })
}

#[test]
#[ignore = "needs an Engine"]
fn it_is_used_and_its_owner_is_not_disturbed() {
    let bench = Bench::new();
    let (handle, _) = bench.driver.start_task(bench.task(POLITE)).unwrap();
    let id = handle.config.id.clone();
    let looks = other(&bench);
    looks.attach_task(&handle).unwrap();
    looks.attach_task(&handle).unwrap();
    assert_eq!(looks.inspect_task(&id).unwrap().state, TaskState::Running);
    let options = ExecOptions { command: vec!["echo".into(), "hi".into()], ..ExecOptions::default() };
    assert_eq!(looks.exec_task(&id, &options).unwrap().output.stdout, b"hi\n");
    let samples = looks.task_stats(&id, Duration::ZERO).unwrap();
    assert!(samples.recv_timeout(PATIENCE).unwrap().pids > 0);
    assert!(looks.wait_task(&id).unwrap().recv().is_err(), "nobody waits here, and nobody is kept waiting");
    assert!(matches!(looks.destroy_task(&id, false), Err(Error::StillRunning { .. })));
    assert!(matches!(bench.driver.attach_task(&handle), Err(Error::AlreadyStarted { .. })), "it is its own");

    // Letting go touches nothing.
    drop(looks);
    assert_eq!(bench.driver.inspect_task(&id).unwrap().state, TaskState::Running);

    // Each has its word: a signal that ends it, one that it ignores for its grace.
    let looks = other(&bench);
    looks.attach_task(&handle).unwrap();
    let samples = looks.task_stats(&id, Duration::ZERO).unwrap();
    looks.stop_task(&id, Duration::from_secs(30), Some(Signal::Int)).unwrap();
    assert_eq!(bench.wait(&id).exit_code, 5);
    let status = looks.inspect_task(&id).unwrap();
    assert_eq!((status.state, status.exit_result.map(|exit| exit.exit_code)), (TaskState::Exited, Some(5)));
    while samples.recv_timeout(PATIENCE).is_ok() {}
    looks.stop_task(&id, Duration::from_secs(30), Some(Signal::Int)).unwrap();
    looks.destroy_task(&id, false).unwrap();
    assert!(matches!(looks.attach_task(&handle), Err(Error::Gone { .. })));
    bench.driver.destroy_task(&id, false).unwrap();
    assert_eq!(bench.containers(), Vec::<String>::new());
}

#[test]
#[ignore = "needs an Engine"]
fn a_stop_waits_for_its_grace_and_no_longer() {
    let bench = Bench::new();
    let (handle, _) = bench.driver.start_task(bench.task(POLITE)).unwrap();
    let id = handle.config.id.clone();
    let looks = other(&bench);
    looks.attach_task(&handle).unwrap();
    let begun = Instant::now();
    looks.stop_task(&id, Duration::from_secs(2), Some(Signal::Term)).unwrap();
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(15), "{took:?}");
    assert_eq!(bench.wait(&id).exit_code, 137);
    bench.driver.destroy_task(&id, false).unwrap();
}

#[test]
#[ignore = "needs an Engine"]
fn a_lost_handle_is_found_by_name_and_label() {
    let bench = Bench::new();
    let task = bench.task(POLITE);
    assert_eq!(other(&bench).find_task(&task).unwrap(), None);
    let (handle, _) = bench.driver.start_task(task.clone()).unwrap();
    assert_eq!(other(&bench).find_task(&task).unwrap(), Some(handle.clone()));
    let stranger =
        Driver::new(bench.engine.clone(), DriverConfig { instance: "stranger".into(), ..DriverConfig::default() });
    assert_eq!(stranger.find_task(&task).unwrap(), None, "it has the name, and is not ours");
    bench.driver.destroy_task(&handle.config.id, true).unwrap();
}

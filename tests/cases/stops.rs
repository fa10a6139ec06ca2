//! Stop, destroy and shutdown.

use std::time::{Duration, Instant};

use longshore::driver::{Error, Signal};

use super::bench::Bench;
use crate::support::eventually;

/// Says when it is ready, and how it was asked to go.
const POLITE: &str =
    "trap 'echo TERM; exit 3' TERM; trap 'echo INT; exit 4' INT; echo ready; while :; do sleep 0.1; done";
const STUBBORN: &str = "trap '' TERM INT; echo ready; while :; do sleep 0.1; done";

fn ready(output: &super::bench::Output) {
    eventually(super::bench::PATIENCE, "the task is ready", || output.out().contains("ready"));
}

pub(crate) fn a_stop_gives_the_signal_and_the_grace(bench: &Bench) {
    let int: Signal = "SIGINT".parse().unwrap();
    for (script, signal, grace, code, least) in [
        (POLITE, None, 20, 3, 0),
        (POLITE, Some(int), 20, 4, 0),
        (STUBBORN, None, 1, 137, 1),
        (STUBBORN, Some(int), 1, 137, 1),
        (POLITE, Some(int), 0, 137, 0),
    ] {
        let (id, output) = bench.start(bench.task(script));
        ready(&output);
        let begun = Instant::now();
        bench.driver.stop_task(&id, Duration::from_secs(grace), signal).unwrap();
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(10), "{signal:?} {grace}: {took:?}");
        assert!(took >= Duration::from_secs(least) || bench.is_recorded(), "{signal:?} {grace}: {took:?}");
        let got = bench.wait(&id).exit_code;
        // Without a grace the Engine sends its signal too, and a handler may be quicker than the kill.
        assert!(got == code || grace == 0 && got == 3, "{signal:?}, grace {grace}: {got}");
        bench.driver.stop_task(&id, Duration::from_secs(1), signal).expect("stopping what has stopped");
        bench.driver.destroy_task(&id, false).unwrap();
        assert!(matches!(bench.driver.stop_task(&id, Duration::ZERO, None), Err(Error::TaskNotFound { .. })));
    }
}

pub(crate) fn a_destroy_must_be_forced_while_the_task_runs(bench: &Bench) {
    let (id, output) = bench.start(bench.task(POLITE));
    ready(&output);
    assert!(matches!(bench.driver.destroy_task(&id, false), Err(Error::StillRunning { .. })));
    bench.driver.destroy_task(&id, true).unwrap();
    assert!(matches!(bench.driver.destroy_task(&id, true), Err(Error::TaskNotFound { .. })));
}

pub(crate) fn a_shutdown_joins_all_and_touches_no_container(bench: &Bench) {
    let (id, output) = bench.start(bench.task(POLITE));
    ready(&output);
    let (waiter, events) = (bench.driver.wait_task(&id).unwrap(), bench.driver.task_events());
    let begun = Instant::now();
    bench.driver.shutdown();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(waiter.recv().is_err(), "a shutdown is no exit");
    assert!(events.recv().is_err(), "the events have ended");
    let again = bench.task("true");
    assert!(matches!(bench.driver.start_task(again), Err(Error::ShutDown)));
    let containers = bench.containers();
    assert_eq!(containers.len(), 1);
    let query = longshore::engine::RemoveQuery { force: true, volumes: true, link: false };
    assert!(bench.engine.container_inspect(&containers[0], &Default::default()).unwrap().state.running);
    bench.engine.container_remove(&containers[0], &query).unwrap();
}

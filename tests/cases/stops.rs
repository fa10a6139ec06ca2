//! Stop, destroy and shutdown.

use std::time::{Duration, Instant};

use longshore::driver::{Error, Signal};

use super::bench::Bench;

/// Says how it was asked to go.
const POLITE: &str = "trap 'echo TERM; exit 3' TERM; trap 'echo INT; exit 4' INT;";
const STUBBORN: &str = "trap '' TERM INT;";

pub(crate) fn a_stop_gives_the_signal(bench: &Bench) {
    let int: Signal = "SIGINT".parse().unwrap();
    for (signal, code) in [(None, 3), (Some(int), 4)] {
        assert_eq!(stopped(bench, POLITE, signal, Duration::from_secs(20)).0, code, "{signal:?}");
    }
}

pub(crate) fn a_stop_without_grace_kills(bench: &Bench) {
    let (code, _) = stopped(bench, POLITE, Some("SIGINT".parse().unwrap()), Duration::ZERO);
    // The Engine sends its signal too, and a handler may be quicker than the kill.
    assert!([137, 3].contains(&code), "{code}");
}

pub(crate) fn a_stop_kills_after_the_grace(bench: &Bench) {
    // The Engine's graces are whole seconds; that of another signal than the container's own is the driver's affair.
    for (signal, grace) in
        [(None, Duration::from_secs(1)), (Some("SIGINT".parse().unwrap()), Duration::from_millis(300))]
    {
        let (code, took) = stopped(bench, STUBBORN, signal, grace);
        assert_eq!(code, 137, "{signal:?}");
        assert!(took >= grace || bench.is_recorded(), "{signal:?}: {took:?}");
    }
}

/// Runs a task that is stopped; gives its exit code, and how long the stop took.
fn stopped(bench: &Bench, traps: &str, signal: Option<Signal>, grace: Duration) -> (i64, Duration) {
    let (id, _) = bench.start_endless(traps);
    let begun = Instant::now();
    bench.driver.stop_task(&id, grace, signal).unwrap();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "{signal:?} {grace:?}: {took:?}");
    let code = bench.wait(&id).exit_code;
    bench.driver.stop_task(&id, Duration::from_secs(1), signal).expect("stopping what has stopped");
    bench.driver.destroy_task(&id, false).unwrap();
    assert!(matches!(bench.driver.stop_task(&id, Duration::ZERO, None), Err(Error::TaskNotFound { .. })));
    (code, took)
}

pub(crate) fn a_destroy_must_be_forced_while_the_task_runs(bench: &Bench) {
    let (id, _) = bench.start_endless(POLITE);
    assert!(matches!(bench.driver.destroy_task(&id, false), Err(Error::StillRunning { .. })));
    bench.driver.destroy_task(&id, true).unwrap();
    assert!(matches!(bench.driver.destroy_task(&id, true), Err(Error::TaskNotFound { .. })));
}

pub(crate) fn a_shutdown_joins_all_and_touches_no_container(bench: &Bench) {
    let (id, _) = bench.start_endless(POLITE);
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

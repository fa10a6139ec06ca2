//! An Engine that dies and comes back, on a dockerd of the test's own.

use std::time::Duration;

use longshore::driver::TaskState;
use longshore::engine::Engine;

use crate::cases::bench::{Bench, PATIENCE, assert_same};
use crate::support::dockerd::Dockerd;
use crate::support::{eventually, rounds};

/// Counts to a number, a line each few milliseconds on both streams. After the hundredth it is silent for a while, for
/// the Engine to be killed in: one that dies with a line in its hands, taken from the task and not yet in its file, has
/// lost it for everybody.
fn counting(lines: u32) -> (String, String, String) {
    let script = format!(
        "i=1; while [ $i -le {lines} ]; do echo out $i; echo err $i >&2; [ $i = 100 ] && sleep 2; i=$((i+1)); usleep 5000; done; exit 9"
    );
    let text = |what: &str| (1..=lines).map(|i| format!("{what} {i}\n")).collect();
    (script, text("out"), text("err"))
}

#[test]
#[ignore = "needs root and dockerd"]
fn the_engine_dies_and_comes_back_under_a_running_task() {
    for round in 0..rounds(1, 10) {
        let mut dockerd = Dockerd::start(&["--live-restore"]);
        dockerd.import_image();
        let bench = Bench::on(Engine::connect(dockerd.host().parse().unwrap()));
        let events = bench.driver.task_events();
        let (script, out, err) = counting(1200);
        let (id, output) = bench.start(bench.task(&script));
        let waiter = bench.driver.wait_task(&id).unwrap();
        eventually(PATIENCE, "it writes", || output.out().contains("out 100\n") && output.err().contains("err 100\n"));

        dockerd.kill();
        assert!(waiter.recv_timeout(Duration::from_millis(500)).is_err(), "round {round}: a dead Engine is no exit");
        dockerd.start_again();
        let state = bench.driver.inspect_task(&id).unwrap().state;
        assert_eq!(state, TaskState::Running, "round {round}");

        let exit = waiter.recv_timeout(PATIENCE).expect("it ends");
        assert_eq!((exit.exit_code, exit.err), (9, None), "round {round}");
        bench.driver.destroy_task(&id, false).unwrap();
        assert_same(&output.out(), &out);
        assert_same(&output.err(), &err);
        let kinds: Vec<_> = events.try_iter().filter_map(|e| e.annotations.get("kind").cloned()).collect();
        assert!(kinds.contains(&"engine_lost".into()) && kinds.contains(&"engine_back".into()), "{kinds:?}");
    }
}

#[test]
#[ignore = "needs root and dockerd"]
fn a_task_that_ends_while_the_engine_is_away() {
    let mut dockerd = Dockerd::start(&["--live-restore"]);
    dockerd.import_image();
    let bench = Bench::on(Engine::connect(dockerd.host().parse().unwrap()));
    let (id, output) = bench.start(bench.task("echo begun; sleep 1; exit 6"));
    eventually(PATIENCE, "it writes", || output.out().contains("begun"));
    dockerd.kill();
    let waiter = bench.driver.wait_task(&id).unwrap();
    assert!(waiter.recv_timeout(Duration::from_millis(2500)).is_err(), "nobody can know yet");
    dockerd.start_again();
    let exit = waiter.recv_timeout(PATIENCE).expect("it has ended");
    assert_eq!(exit.exit_code, 6, "{exit:?}");
    bench.driver.destroy_task(&id, false).unwrap();
    assert_same(&output.out(), "begun\n");
}

#[test]
#[ignore = "needs root and dockerd"]
fn without_live_restore_the_engine_takes_its_tasks_along() {
    let mut dockerd = Dockerd::start(&[]);
    dockerd.import_image();
    let bench = Bench::on(Engine::connect(dockerd.host().parse().unwrap()));
    let (id, _) = bench.start(bench.task("sleep 1000"));
    let waiter = bench.driver.wait_task(&id).unwrap();
    dockerd.kill();
    dockerd.start_again();
    let exit = waiter.recv_timeout(PATIENCE).expect("it has ended");
    assert_eq!((exit.exit_code, exit.oom_killed), (137, false), "{exit:?}");
    bench.driver.destroy_task(&id, false).unwrap();
}

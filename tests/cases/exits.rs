//! The exit code is the task's own, however short it lives, and OOM is the Engine's word.

use std::time::Duration;

use longshore::driver::TaskState;
use longshore::engine::KillQuery;
use serde_json::json;

use super::bench::{Bench, PATIENCE};
use crate::support::{IMAGE, eventually, rounds};

pub(crate) fn a_task_of_a_millisecond_ends_with_its_output_and_code(bench: &Bench) {
    // The first writes nothing.
    for round in 0..bench.amount(2, rounds(51, 1001)) {
        let script = if round == 0 { "true" } else { "echo x" };
        let (id, output) = bench.start(bench.task(script));
        let exit = bench.wait(&id);
        assert!(exit.is_successful(), "round {round}: {exit:?}");
        let container = bench.driver.inspect_task(&id).unwrap().driver_attributes["container_id"].clone();
        assert!(bench.driver.drain_task(&id, &crossbeam_channel::never()).unwrap(), "round {round}: all is read");
        let want = if round == 0 { "" } else { "x\n" };
        assert_eq!(output.out(), want, "round {round}; the Engine holds {:?}", held(bench, &container));
        bench.driver.destroy_task(&id, false).unwrap();
    }
}

/// What the Engine holds of a container's output, asked for only where a test fails.
fn held(bench: &Bench, container: &str) -> String {
    let query = longshore::engine::LogsQuery { timestamps: true, ..Default::default() };
    let mut logs = bench.engine.container_logs(container, &query, &longshore::Hangup::new()).unwrap();
    let mut held = Vec::new();
    while let Some(piece) = logs.next_piece().unwrap() {
        held.extend_from_slice(piece.bytes);
    }
    String::from_utf8_lossy(&held).into_owned()
}

pub(crate) fn an_exit_code_is_the_tasks_own(bench: &Bench) {
    for code in [7, 1, 255] {
        let (exit, _) = bench.run(bench.task(&format!("exit {code}")));
        assert_eq!((exit.exit_code, exit.oom_killed, exit.is_successful()), (code, false, false));
    }
}

pub(crate) fn a_kill_is_137_and_no_oom(bench: &Bench) {
    let (id, _) = bench.start_endless("");
    let container = bench.driver.inspect_task(&id).unwrap().driver_attributes["container_id"].clone();
    bench.engine.container_kill(&container, &KillQuery::default()).unwrap();
    let exit = bench.wait(&id);
    assert_eq!((exit.exit_code, exit.oom_killed), (137, false));
    assert_eq!(bench.driver.inspect_task(&id).unwrap().state, TaskState::Exited);
    bench.driver.destroy_task(&id, false).unwrap();
}

pub(crate) fn memory_that_runs_out_is_told(bench: &Bench) {
    let events = bench.driver.task_events();
    let run = || {
        let mut task =
            bench.with(json!({"image": IMAGE, "command": "sh", "args": ["-c", "x=a; while :; do x=$x$x; done"]}));
        task.resources.as_mut().unwrap().nomad.memory_mb = 10;
        let (exit, _) = bench.run(task);
        assert!(!exit.is_successful(), "{exit:?}");
        exit.oom_killed
    };
    // Docker 20.10 itself was seen to miss it, for good, once in ten times.
    assert!((0..3).any(|_| run()), "the Engine never says why");
    assert!(events.try_iter().any(|e| e.annotations.get("kind").is_some_and(|k| k == "oom")));
}

pub(crate) fn a_container_removed_behind_our_back_is_an_end_without_a_code(bench: &Bench) {
    let (id, _) = bench.start_endless("");
    let container = bench.driver.inspect_task(&id).unwrap().driver_attributes["container_id"].clone();
    let query = longshore::engine::RemoveQuery { force: true, volumes: true, link: false };
    bench.engine.container_remove(&container, &query).unwrap();
    let exit = bench.wait(&id);
    assert!(!exit.is_successful(), "{exit:?}");
    bench.driver.destroy_task(&id, false).unwrap();
}

pub(crate) fn every_waiter_hears_it_and_one_that_leaves_disturbs_nobody(bench: &Bench) {
    let (id, _) = bench.start_endless("trap 'exit 4' TERM;");
    let waiters: Vec<_> = (0..3).map(|_| bench.driver.wait_task(&id).unwrap()).collect();
    drop(bench.driver.wait_task(&id).unwrap());
    assert!(waiters[0].recv_timeout(Duration::from_millis(1)).is_err(), "it runs");
    let container = bench.driver.inspect_task(&id).unwrap().driver_attributes["container_id"].clone();
    bench.engine.container_kill(&container, &KillQuery { signal: "SIGTERM".into() }).unwrap();
    for waiter in waiters {
        assert_eq!(waiter.recv_timeout(PATIENCE).unwrap().exit_code, 4);
    }
    eventually(PATIENCE, "it has ended", || bench.driver.inspect_task(&id).unwrap().state == TaskState::Exited);
    assert_eq!(bench.wait(&id).exit_code, 4, "after the exit too");
    bench.driver.destroy_task(&id, false).unwrap();
}

//! Descriptors and threads are at the end what they were at the start.

use std::fs;
use std::process::Command;

use crate::cases::bench::{Bench, PATIENCE};
use crate::support::{eventually, rounds};

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

/// How many threads of this process have names that begin so.
fn threads_of(name: &str) -> usize {
    let names = fs::read_dir("/proc/self/task").unwrap().flatten();
    names.filter(|task| fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.starts_with(name))).count()
}

#[test]
#[ignore = "needs an Engine"]
fn many_starts_and_destroys_leave_nothing() {
    // In a process of its own: other tests open and close things meanwhile.
    if std::env::var_os("LONGSHORE_COUNTS").is_none() {
        let program = std::env::current_exe().unwrap();
        let status = Command::new(program)
            .args(["--ignored", "--exact", "--nocapture", "counts::many_starts_and_destroys_leave_nothing"])
            .env("LONGSHORE_COUNTS", "1")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let bench = Bench::new();
    bench.run(bench.task("true")); // What stays once it is there: the sweep, a kept connection.
    let before = (descriptors(), threads());
    for round in 0..rounds(200, 1000) {
        let (id, _) = bench.start(bench.task(if round % 4 == 0 { "sleep 1000" } else { "echo x" }));
        bench.driver.destroy_task(&id, true).unwrap();
    }
    eventually(PATIENCE, "descriptors and threads are back", || (descriptors(), threads()) <= before);
    assert!(descriptors() <= before.0 + 1, "{} descriptors, {} before", descriptors(), before.0);
    assert_eq!((threads_of("wait "), threads_of("logs ")), (0, 0));
    bench.driver.shutdown();
    assert!(threads() < before.1, "the sweep is gone too");
}

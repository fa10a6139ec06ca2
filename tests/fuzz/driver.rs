//! What a driver reads on its way: a task's output, what is kept of how far it is collected, an image's pull.

use std::sync::{Arc, Mutex};

use longshore::driver::{Driver, DriverConfig, LedgerFile, LogTarget, LogTargets, TaskConfig};
use longshore::replay::scripted::{Answer, Scripted};

use crate::harness::{Scratch, fuzz};
use crate::world::{LOGS, World, exit_of, quick, task};

/// Runs a task that has ended when its output is read, and destroys it; unless what is kept of it stands in the way of a start.
fn run(world: &World, task: TaskConfig) {
    let driver = world.driver_with(DriverConfig { log_drain: std::time::Duration::from_millis(50), ..quick() });
    let id = task.id.clone();
    if driver.start_task_with(task, Vec::new()).is_err() {
        return driver.shutdown();
    }
    world.exit(0);
    assert_eq!(exit_of(&driver, &id).exit_code, 0);
    driver.destroy_task(&id, true).unwrap();
    driver.shutdown();
}

/// Output in frames, or that of a terminal where the first byte is odd; with times that may be none.
#[test]
fn logs() {
    let scratch = Scratch::new("logs");
    fuzz("logs", |input| {
        let (first, output) = input.split_first().map_or((0, &[][..]), |(first, output)| (*first, output));
        let world = World::on(Scripted::new().forgiving());
        world.model().tty = first % 2 == 1;
        let output = output.to_owned();
        world.scripted.always(LOGS, move || Answer::body(200, output.clone()));
        let target = |stream| {
            let path = scratch.path().join(format!("task.{stream}"));
            LogTarget::Rotating { path, max_files: 2, max_file_size: 4096 }
        };
        let logs = LogTargets { stdout: target("stdout"), stderr: target("stderr") };
        run(&world, TaskConfig { logs, ..task() });
    });
}

/// How far output is collected, as a process before this one may have left it.
#[test]
fn cursors() {
    let scratch = Scratch::new("cursors");
    fuzz("cursors", |input| {
        let world = World::on(Scripted::new().forgiving());
        scratch.file(".task.stdout.cursor", input);
        scratch.file("task.stdout.0", b"a\n");
        let target =
            LogTarget::Rotating { path: scratch.path().join("task.stdout"), max_files: 2, max_file_size: 4096 };
        run(&world, TaskConfig { logs: LogTargets { stdout: target, ..LogTargets::default() }, ..task() });
    });
}

/// What an Engine says while it pulls.
#[test]
fn pulls() {
    let body = Arc::<Mutex<Vec<u8>>>::default();
    let (answer, scripted) = (body.clone(), Scripted::new().forgiving());
    scripted.always("GET /images/*/json", || Answer::json(200, &serde_json::json!({"Id": "sha256:1"})));
    scripted.always("POST /images/create", move || Answer::body(200, answer.lock().unwrap().clone()));
    let driver = Driver::new(scripted.engine(), quick());
    let progress = driver.pull_progress();
    fuzz("pulls", |input| {
        input.clone_into(&mut body.lock().unwrap());
        if let Err(error) = driver.pull_image("a:1") {
            let _ = error.to_string();
        }
        for snapshot in progress.try_iter() {
            let _ = (snapshot.status_text(), serde_json::to_string(&snapshot).unwrap());
        }
    });
    driver.shutdown();
}

/// Who uses which image, as a process before this one may have left it.
#[test]
fn ledger() {
    let (scratch, scripted) = (Scratch::new("ledger"), Scripted::new().forgiving());
    fuzz("ledger", |input| {
        let path = scratch.file("images.json", input);
        let image_ledger = Some(LedgerFile { path, engine: "e".into() });
        let driver = Driver::new(scripted.engine(), DriverConfig { image_ledger, ..quick() });
        let _ = driver.images();
        driver.shutdown();
    });
}

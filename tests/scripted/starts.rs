//! Starts that fail at each step: what was created is removed again, nothing of another's is touched, no secret is told.

use std::error::Error as _;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use longshore::Hangup;
use longshore::driver::{Driver, Error, Leftover, TaskConfig};
use longshore::replay::scripted::{Answer, PATIENCE};
use serde_json::json;

use crate::kit::Named;
use crate::support::{eventually, unique};
use crate::world::{CREATE, Container, IMAGE, INSPECT, REMOVE, START, World, exit_of, task};

fn start(driver: &Driver, task: &TaskConfig) -> Result<String, Error> {
    driver.start_task(task.clone()).map(|(handle, _)| handle.container_id)
}

/// An error with all that caused it.
fn whole(error: &Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}

/// A container that has the name of a task's.
fn holder(task: &TaskConfig, ours: bool, status: &'static str) -> Container {
    let id = if ours { task.id.as_str() } else { "another" };
    Container {
        id: format!("dead{}", "0".repeat(60)),
        name: task.id.to_string(),
        labels: json!({"longshore.instance": "default", "longshore.task_id": id}),
        status,
        ..Container::default()
    }
}

#[test]
fn a_start_that_fails_leaves_no_container() {
    let refused = |status: u16| Answer::error(status, "no luck");
    type Break = (&'static str, &'static str, u16, &'static str, bool);
    let rows: [Break; 9] = [
        ("no such image", IMAGE, 404, "pull", true),
        ("an Engine that cannot tell", IMAGE, 500, "image", true),
        ("a create that is wrong", CREATE, 400, "create", false),
        ("an image that went away", CREATE, 404, "create", true),
        ("a create that goes wrong", CREATE, 500, "create", true),
        ("a start that is wrong", START, 400, "start", false),
        ("a command that is missing", START, 404, "start", false),
        ("a start that goes wrong", START, 500, "start", true),
        ("an inspect that goes wrong", INSPECT, 500, "inspect", true),
    ];
    thread::scope(|scope| {
        for (name, pattern, status, kind, recoverable) in rows {
            // Side by side, for some are tried again for seconds.
            scope.spawn(move || {
                let world = World::new();
                world.scripted.always(pattern, move || refused(status));
                world.scripted.always("POST /images/create", || Answer::chunked(200).end());
                let (driver, task) = (world.driver(), task());
                let error = start(&driver, &task).unwrap_err();
                assert_eq!((error.kind(), error.is_recoverable()), (kind, recoverable), "{name}: {}", whole(&error));
                if kind != "pull" {
                    assert!(whole(&error).contains("no luck"), "{name}: {}", whole(&error));
                }
                let created = world.scripted.count(CREATE) > 0 && pattern != CREATE;
                assert_eq!(world.scripted.count(REMOVE), usize::from(created), "{name}");
                for removed in world.scripted.requests(REMOVE) {
                    let [force, volumes] = ["force", "v"].map(|name| removed.parameter(name));
                    assert_eq!((force.as_deref(), volumes.as_deref()), (Some("1"), Some("1")), "{name}");
                }
                assert!(world.model().containers.is_empty(), "{name}");
                assert!(matches!(driver.inspect_task(&task.id), Err(Error::TaskNotFound { .. })), "{name}");
            });
        }
    });
}

#[test]
fn a_failed_start_may_be_tried_again() {
    let world = World::new();
    let (driver, task) = (world.driver(), task());
    world.scripted.answers(START, [Answer::error(400, "no luck")]);
    start(&driver, &task).unwrap_err();
    start(&driver, &task).unwrap();
    world.exit(0);
    assert_eq!(exit_of(&driver, &task.id).exit_code, 0);
    driver.destroy_task(&task.id, false).unwrap();
    assert!(world.model().containers.is_empty());
}

#[test]
fn a_name_that_is_taken() {
    for (name, ours, status, want, removed) in [
        ("by a stranger", false, "exited", Err("name_taken"), 0),
        ("by a stranger that runs", false, "running", Err("name_taken"), 0),
        ("by our own dead container", true, "exited", Ok(false), 1),
        ("by our own container that runs", true, "running", Ok(true), 0),
    ] {
        let world = World::new();
        let (driver, task) = (world.driver(), task());
        let holder = holder(&task, ours, status);
        world.model().containers.push(holder.clone());
        let result = start(&driver, &task);
        match (&result, want) {
            (Err(e), Err(kind)) => {
                assert_eq!((e.kind(), e.is_recoverable()), (kind, false), "{name}");
                assert!(e.to_string().contains(&holder.id[..12]), "{name}: {e}");
                assert_eq!(world.only().id, holder.id, "{name}: it is left alone");
                assert_eq!(world.only().status, status, "{name}");
            }
            (Ok(id), Ok(adopted)) => {
                assert_eq!(*id == holder.id, adopted, "{name}");
                assert_eq!(world.only().id, *id, "{name}: there is but one");
                assert_eq!(world.scripted.count(START), usize::from(!adopted), "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(world.scripted.count(REMOVE), removed, "{name}");
    }
}

#[test]
fn a_create_whose_answer_was_lost_is_not_done_twice() {
    let lost: [Named; 5] = [
        ("no answer", || Answer::nothing().close()),
        ("half an answer", || Answer::raw("HTTP/1.1 201 Created\r\nContent-Length: 90\r\n\r\n{\"Id\":").close()),
        ("garbage", || Answer::body(201, "<html>")),
        ("no id", || Answer::body(201, "{}")),
        ("an error, though it was done", || Answer::error(500, "context deadline exceeded")),
    ];
    for (name, answer) in lost {
        let world = World::new();
        let (shared, task) = (world.shared(), task());
        let mut made = Some(holder(&task, true, "created"));
        world.scripted.on(CREATE, move |_| {
            shared.lock().containers.push(made.take()?);
            Some(answer())
        });
        let driver = world.driver();
        let id = start(&driver, &task).unwrap_or_else(|e| panic!("{name}: {}", whole(&e)));
        assert_eq!(world.only().id, id, "{name}: one container, and it is known");
        assert_eq!(world.scripted.count(CREATE), 2, "{name}");
        assert_eq!(world.only().status, "running", "{name}");
    }
}

#[test]
fn a_start_that_failed_and_yet_runs_is_a_start() {
    for (name, answer) in [
        ("an error", Answer::error(500, "no luck")),
        ("a lost answer", Answer::nothing().close()),
        ("a wrong one", Answer::error(400, "no luck")),
    ] {
        let world = World::new();
        let (shared, mut answer) = (world.shared(), Some(answer));
        world.scripted.on(START, move |_| {
            shared.lock().containers[0].status = "running";
            answer.take()
        });
        let driver = world.driver();
        start(&driver, &task()).unwrap_or_else(|e| panic!("{name}: {}", whole(&e)));
        assert_eq!((world.scripted.count(START), world.scripted.count(REMOVE)), (1, 0), "{name}");
        assert_eq!(world.only().status, "running", "{name}");
    }
}

#[test]
fn a_start_that_works_at_last() {
    let world = World::new();
    world.scripted.answers(CREATE, [Answer::error(500, "no luck"), Answer::error(503, "no luck")]);
    world.scripted.answers(START, [Answer::error(500, "no luck"), Answer::nothing().close()]);
    let driver = world.driver();
    start(&driver, &task()).unwrap();
    assert_eq!((world.scripted.count(CREATE), world.scripted.count(START)), (3, 3));
    assert_eq!((world.only().status, world.scripted.count(REMOVE)), ("running", 0));
}

#[test]
fn a_shutdown_ends_a_start_and_leaves_no_container() {
    for pattern in [IMAGE, CREATE, START, INSPECT] {
        let world = World::new();
        let shared = world.shared();
        let mut first = true;
        let task = task();
        let made = holder(&task, true, "created");
        world.scripted.on(pattern, move |_| {
            if !std::mem::take(&mut first) {
                return None;
            }
            if pattern == CREATE {
                // It is done, and its answer does not come.
                shared.lock().containers.push(made.clone());
            }
            Some(Answer::nothing().hold())
        });
        let driver = world.driver();
        let starting = {
            let (driver, task) = (driver.clone(), task.clone());
            thread::spawn(move || start(&driver, &task))
        };
        world
            .scripted
            .wait_for("it is under way", |state| state.count(pattern) == 1 && state.last_answered().is_some());
        let begun = Instant::now();
        driver.shutdown();
        let error = starting.join().unwrap().unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(2), "{pattern}: {:?}", begun.elapsed());
        assert_eq!((error.kind(), error.is_recoverable()), ("shut_down", false), "{pattern}: {error:?}");
        assert!(world.model().containers.is_empty(), "{pattern}: nothing is left");
    }
}

#[test]
fn a_create_that_goes_on_after_a_shutdown_leaves_no_container() {
    let world = World::new();
    let (driver, task) = (world.driver(), task());
    let (shared, made) = (world.shared(), holder(&task, true, "created"));
    // It is about it when the shutdown comes, and done with it only after it was asked for what it has made.
    world.scripted.answers(CREATE, [Answer::nothing().hold()]);
    let mut asked = 0;
    world.scripted.on(INSPECT, move |_| {
        asked += 1;
        if asked == 3 {
            shared.lock().containers.push(made.clone());
        }
        None
    });
    let starting = {
        let driver = driver.clone();
        thread::spawn(move || start(&driver, &task))
    };
    world.scripted.wait_for("it is under way", |state| state.count(CREATE) == 1);
    driver.shutdown();
    assert_eq!(starting.join().unwrap().unwrap_err().kind(), "shut_down");
    assert!(world.model().containers.is_empty() && world.scripted.count(REMOVE) == 1);
}

/// Answers so until the switch is turned off.
fn while_on(world: &World, pattern: &'static str, answer: fn() -> Answer) -> Arc<AtomicBool> {
    let on = Arc::new(AtomicBool::new(true));
    let asked = on.clone();
    world.scripted.on(pattern, move |_| asked.load(Ordering::SeqCst).then(answer));
    on
}

const NO_ANSWERS: [Named; 3] = [
    ("an error", || Answer::error(500, "no luck")),
    ("no answer", || Answer::nothing().close()),
    ("a proxy's page", || Answer::body(404, "<html>Not Found</html>").header("Content-Type", "text/html")),
];

#[test]
fn what_a_failed_start_has_left_is_owed_until_it_is_gone() {
    for (row, answer) in NO_ANSWERS {
        let world = World::new();
        let (driver, task) = (world.driver(), task());
        world.scripted.always(START, || Answer::error(400, "no luck"));
        let away = while_on(&world, REMOVE, answer);
        let error = start(&driver, &task).unwrap_err();
        assert_eq!((error.kind(), error.left_behind()), ("start", Some(task.id.as_str())), "{row}: {error}");
        assert!(
            whole(&error).contains("may be left") && error.to_string().contains(task.id.as_str()),
            "{row}: {error}"
        );
        assert_eq!(driver.leftovers(), [task.id.as_str()], "{row}");
        assert!(matches!(driver.inspect_task(&task.id), Err(Error::TaskNotFound { .. })), "{row}");
        let asked = world.scripted.count(REMOVE);
        world.scripted.wait_for(row, |state| state.count(REMOVE) > asked + 1);
        away.store(false, Ordering::SeqCst);
        eventually(PATIENCE, row, || driver.leftovers().is_empty());
        assert!(world.model().containers.is_empty(), "{row}");
    }
}

#[test]
fn a_create_that_may_have_been_done_is_owed_until_the_engine_has_said_what_came_of_it() {
    for (row, answer) in NO_ANSWERS {
        for done in [true, false] {
            let world = World::new();
            let (shared, task) = (world.shared(), task());
            let mut made = done.then(|| holder(&task, true, "created"));
            world.scripted.on(CREATE, move |_| {
                shared.lock().containers.extend(made.take());
                Some(Answer::nothing().close())
            });
            let away = while_on(&world, INSPECT, answer);
            let driver = world.driver();
            let error = start(&driver, &task).unwrap_err();
            assert_eq!((error.kind(), error.left_behind()), ("create", Some(task.id.as_str())), "{row}: {error}");
            away.store(false, Ordering::SeqCst);
            eventually(PATIENCE, row, || driver.leftovers().is_empty());
            assert!(world.model().containers.is_empty(), "{row}");
            assert_eq!(world.scripted.count(REMOVE), usize::from(done), "{row}");
        }
    }
}

#[test]
fn the_next_start_removes_what_the_last_one_has_left() {
    let world = World::new();
    let (driver, task) = (world.driver(), task());
    let broken = while_on(&world, START, || Answer::error(400, "no luck"));
    let away = while_on(&world, REMOVE, || Answer::error(500, "no luck"));
    start(&driver, &task).unwrap_err();
    let first = world.only().id;
    broken.store(false, Ordering::SeqCst);
    let error = start(&driver, &task).unwrap_err();
    assert_eq!((error.kind(), error.left_behind()), ("remove", Some(task.id.as_str())), "{}", whole(&error));
    assert!(error.is_recoverable());
    assert_eq!(world.only().id, first, "there is no second one beside it");
    away.store(false, Ordering::SeqCst);
    let second = start(&driver, &task).unwrap();
    assert!(second != first && world.only().id == second && driver.leftovers().is_empty());
    // Nobody removes the new one for the old one's sake.
    let looks = world.scripted.count(REMOVE);
    thread::sleep(Duration::from_millis(500));
    assert_eq!((world.only().status, world.scripted.count(REMOVE)), ("running", looks));
    assert!(matches!(driver.remove_leftover(&task, &Hangup::new()), Err(Error::AlreadyStarted { .. })));
}

#[test]
fn what_is_left_is_removed_when_somebody_wants_it() {
    for status in ["created", "running", "exited"] {
        let world = World::new();
        let (driver, task) = (world.driver(), task());
        driver.remove_leftover(&task, &Hangup::new()).unwrap();
        world.model().containers.push(holder(&task, false, status));
        driver.remove_leftover(&task, &Hangup::new()).unwrap();
        assert_eq!(world.only().status, status, "a stranger's is left alone");
        world.model().containers[0] = holder(&task, true, status);
        let away = while_on(&world, INSPECT, || Answer::body(404, "<html>"));
        let error = driver.remove_leftover(&task, &Hangup::new()).unwrap_err();
        assert_eq!(error.kind(), "inspect", "could not be asked is not: is not there; {error}");
        away.store(false, Ordering::SeqCst);
        driver.remove_leftover(&task, &Hangup::new()).unwrap();
        assert!(world.model().containers.is_empty(), "{status}");
    }
}

/// Gives the first start of a task up whose create is held, and says what the driver then has of it.
fn give_up_a_create(world: &World, driver: &Driver, task: &TaskConfig) {
    let mut first = true;
    world.scripted.on(CREATE, move |_| std::mem::take(&mut first).then(|| Answer::nothing().hold()));
    let hangup = Hangup::new();
    let starting = {
        let (driver, task, hangup) = (driver.clone(), task.clone(), hangup.clone());
        thread::spawn(move || driver.start_task_under(task, Vec::new(), &hangup).map(drop))
    };
    world.scripted.wait_for("it is under way", |state| state.count(CREATE) == 1);
    let begun = Instant::now();
    hangup.hang_up();
    let error = starting.join().unwrap().unwrap_err();
    assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
    assert_eq!((error.kind(), error.left_behind()), ("given_up", Some(task.id.as_str())), "{}", whole(&error));
}

#[test]
fn a_create_without_an_answer_may_still_make_its_container() {
    for comes in [true, false] {
        let world = World::new();
        let (mut config, task) = (crate::world::quick(), task());
        config.create_grace = Duration::from_secs(if comes { 60 } else { 3 });
        let driver = world.driver_with(config);
        give_up_a_create(&world, &driver, &task);
        assert_eq!(driver.leftovers(), [task.id.as_str()], "`no such container` settles nothing");
        assert!(driver.leftover_may_come_until(&task.id).is_some());
        let begun = Instant::now();
        let found = driver.remove_leftover(&task, &Hangup::new()).unwrap();
        assert!(matches!(found, Leftover::MayCome { .. }), "{found:?}");
        assert!(begun.elapsed() < Duration::from_millis(400), "nobody waits for it: {:?}", begun.elapsed());
        if comes {
            world.model().containers.push(holder(&task, true, "created"));
        }
        eventually(PATIENCE, "it is settled", || driver.leftovers().is_empty());
        assert_eq!((world.model().containers.len(), world.scripted.count(REMOVE)), (0, usize::from(comes)));
        assert_eq!(driver.leftover_may_come_until(&task.id), None);
        assert_eq!(driver.remove_leftover(&task, &Hangup::new()).unwrap(), Leftover::Nothing);
    }
}

#[test]
fn a_create_that_was_tried_again_may_still_make_another_container() {
    for (row, lost) in [
        ("no answer", Answer::nothing().close()),
        ("a proxy's word", Answer::body(504, "<html>").header("Content-Type", "text/html")),
    ] {
        let world = World::new();
        let (mut config, task) = (crate::world::quick(), task());
        config.create_grace = Duration::from_secs(60);
        let driver = world.driver_with(config);
        world.scripted.answers(CREATE, [lost]);
        start(&driver, &task).unwrap();
        assert!(driver.leftover_may_come_until(&task.id).is_some(), "{row}");
        thread::sleep(Duration::from_millis(500));
        assert_eq!((world.only().status, world.scripted.count(REMOVE)), ("running", 0), "{row}: it is not the other");
        driver.destroy_task(&task.id, true).unwrap();
        assert_eq!(driver.leftovers(), [task.id.as_str()], "{row}");
        world.model().containers.push(holder(&task, true, "created"));
        eventually(PATIENCE, row, || driver.leftovers().is_empty());
        assert!(world.model().containers.is_empty(), "{row}");
    }
}

/// Nothing is removed by an id that stands for a container without the task's labels.
#[test]
fn a_container_with_two_ids_or_of_a_stranger_is_not_used() {
    for (row, ours, is_created, left) in [
        ("another one of ours", true, false, 0),
        ("a stranger's under the id of ours", false, false, 2),
        ("the id of a stranger's", false, true, 1),
    ] {
        let world = World::new();
        let (driver, task, shared) = (world.driver(), task(), world.shared());
        let other = Container { name: "other".into(), status: "running", ..holder(&task, ours, "running") };
        let told = json!({
            "Id": other.id, "Name": format!("/{}", task.id), "Image": "sha256:1234",
            "State": {"Status": "running", "Running": true, "StartedAt": "2026-11-25T03:36:00Z"},
            "Config": {"Labels": other.labels},
        });
        if is_created {
            let id = other.id.clone();
            world.scripted.always(CREATE, move || Answer::json(201, &json!({ "Id": id })));
        }
        shared.lock().containers.push(other);
        world.scripted.always(INSPECT, move || Answer::json(200, &told));
        let error = start(&driver, &task).unwrap_err();
        assert_eq!((error.kind(), error.left_behind()), ("other_id", None), "{row}: {}", whole(&error));
        let names: Vec<String> = world.model().containers.iter().map(|container| container.name.clone()).collect();
        assert_eq!((names.len(), names.contains(&"other".to_owned())), (left, !ours), "{row}: {names:?}");
    }
}

#[test]
fn a_shutdown_does_not_wait_for_what_is_owed() {
    let world = World::new();
    let (driver, task) = (world.driver(), task());
    world.scripted.always(START, || Answer::error(400, "no luck"));
    world.scripted.always(REMOVE, || Answer::nothing().hold());
    start(&driver, &task).unwrap_err();
    let asked = world.scripted.count(REMOVE);
    world.scripted.wait_for("it is asked again", |state| state.count(REMOVE) > asked);
    let begun = Instant::now();
    driver.shutdown();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(driver.leftovers(), [task.id.as_str()], "and it says so");
}

#[test]
fn a_start_that_hangs_can_be_given_up() {
    const PULL: &str = "POST /images/create";
    const LOAD: &str = "POST /images/load";
    // As long as a disk has it.
    let archive = std::env::temp_dir().join(unique("archive"));
    File::create(&archive).unwrap().set_len(1 << 40).unwrap();
    for pattern in [IMAGE, CREATE, START, INSPECT, PULL, LOAD] {
        let world = World::new();
        let (shared, mut task) = (world.shared(), task());
        match pattern {
            PULL => task.options["force_pull"] = json!(true),
            LOAD => {
                task.options["load"] = json!(archive);
                world.scripted.always(IMAGE, || Answer::error(404, "No such image"));
            }
            _ => {}
        }
        let (made, mut first) = (holder(&task, true, "created"), true);
        world.scripted.on(pattern, move |_| {
            if !std::mem::take(&mut first) {
                return None;
            }
            if pattern == CREATE {
                // It is done, and its answer does not come.
                shared.lock().containers.push(made.clone());
            }
            Some(Answer::nothing().hold())
        });
        let (driver, hangup) = (world.driver(), Hangup::new());
        let starting = {
            let (driver, task, hangup) = (driver.clone(), task.clone(), hangup.clone());
            thread::spawn(move || driver.start_task_under(task, Vec::new(), &hangup).map(drop))
        };
        if pattern == LOAD {
            // A request is counted when it has come, and this one never does: it is on its way.
            thread::sleep(Duration::from_millis(100));
        } else {
            world.scripted.wait_for("it is under way", |state| state.count(pattern) == 1);
        }
        let begun = Instant::now();
        hangup.hang_up();
        let error = starting.join().unwrap().unwrap_err();
        assert!(begun.elapsed() < Duration::from_millis(1500), "{pattern}: {:?}", begun.elapsed());
        assert!(matches!(error, Error::GivenUp) && !error.is_recoverable(), "{pattern}: {error:?}");
        assert!(world.model().containers.is_empty(), "{pattern}: nothing is left");
        // The driver goes on, and so does the latch's owner.
        assert!(matches!(driver.start_task_under(task, Vec::new(), &hangup), Err(Error::GivenUp)), "{pattern}");
    }
    std::fs::remove_file(archive).unwrap();
}

#[test]
fn a_start_that_is_given_up_before_an_engine_that_says_nothing() {
    for pattern in [CREATE, START] {
        let world = World::new();
        let (driver, hangup, task) = (world.driver(), Hangup::new(), task());
        world.scripted.always(pattern, || Answer::nothing().hold());
        let silent = while_on(&world, REMOVE, || Answer::nothing().hold());
        let looks = while_on(&world, INSPECT, || Answer::nothing().hold());
        let starting = {
            let (driver, task, hangup) = (driver.clone(), task.clone(), hangup.clone());
            thread::spawn(move || driver.start_task_under(task, Vec::new(), &hangup).map(drop))
        };
        world.scripted.wait_for("it is under way", |state| state.count(pattern) == 1);
        let begun = Instant::now();
        hangup.hang_up();
        let error = starting.join().unwrap().unwrap_err();
        assert!(begun.elapsed() < Duration::from_millis(1500), "{pattern}: {:?}", begun.elapsed());
        assert_eq!((error.kind(), error.left_behind()), ("given_up", Some(task.id.as_str())), "{pattern}");
        silent.store(false, Ordering::SeqCst);
        looks.store(false, Ordering::SeqCst);
        eventually(PATIENCE, pattern, || driver.leftovers().is_empty());
        assert!(world.model().containers.is_empty(), "{pattern}");
    }
}

#[test]
fn a_started_task_has_nothing_to_do_with_the_latch_of_its_start() {
    let world = World::new();
    let (driver, hangup, task) = (world.driver(), Hangup::new(), task());
    driver.start_task_under(task.clone(), Vec::new(), &hangup).unwrap();
    hangup.hang_up();
    world.exit(3);
    assert_eq!(exit_of(&driver, &task.id).exit_code, 3);
}

#[test]
fn our_own_container_in_an_unknown_state_is_neither_adopted_nor_replaced() {
    let world = World::new();
    let (mut config, task) = (crate::world::quick(), task());
    config.container_exists_attempts = 1;
    let driver = world.driver_with(config);
    world.model().containers.push(holder(&task, true, "hibernating"));
    let error = start(&driver, &task).unwrap_err();
    assert_eq!((error.kind(), error.is_recoverable()), ("create", true), "{error}");
    assert_eq!((world.only().status, world.scripted.count(REMOVE)), ("hibernating", 0));
}

#[test]
fn secrets_are_not_told() {
    const SECRET: &str = "hunter2";
    for pattern in [IMAGE, CREATE, START, INSPECT, "options", ""] {
        let world = World::new();
        if pattern.contains('/') {
            world.scripted.always(pattern, || Answer::error(400, "no luck"));
        }
        let driver = world.driver();
        let events = driver.task_events();
        let mut task = task();
        task.env.insert("PASSWORD".into(), SECRET.into());
        task.device_env.insert("TOKEN".into(), SECRET.into());
        if pattern == "options" {
            task.options["auth"] = json!({"username": "me", "password": SECRET});
            task.options["logging"] = json!({"type": "x", "config": {"token": SECRET}});
        }
        let shown = match driver.start_task(task.clone()) {
            Ok((handle, _)) => format!("{handle:?}"),
            Err(e) => format!("{e:?} {}", whole(&e)),
        };
        let told: Vec<_> = events.try_iter().collect();
        for text in [shown, format!("{driver:?}"), format!("{task:?}"), format!("{told:?}")] {
            assert!(!text.contains(SECRET), "{pattern}: {text}");
        }
        if pattern.is_empty() {
            let created = &world.scripted.requests(CREATE)[0];
            assert!(String::from_utf8_lossy(&created.body).contains("PASSWORD=hunter2"), "but the container has them");
            assert!(format!("{task:?}").contains("PASSWORD"), "names are told");
        }
    }
}

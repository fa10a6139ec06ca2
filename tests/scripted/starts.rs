//! Starts that fail at each step: what was created is removed again, nothing of another's is touched, no secret is told.

use std::error::Error as _;
use std::thread;
use std::time::{Duration, Instant};

use longshore::driver::{Driver, Error, TaskConfig};
use longshore::replay::scripted::Answer;
use serde_json::json;

use crate::kit::Named;
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

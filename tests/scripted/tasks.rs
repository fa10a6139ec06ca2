//! A task on an Engine that misbehaves: what is no exit, what is one, and what a failed start leaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use longshore::driver::{Driver, DriverConfig, Error, NomadResources, Resources, TaskConfig, TaskState};
use longshore::engine::EngineConfig;
use serde_json::{Value, json};

use crate::engine::{Answer, Request, Scripted, eventually, pong};

const MS: fn(u64) -> Duration = Duration::from_millis;

pub(crate) fn config() -> DriverConfig {
    DriverConfig {
        instance: "i".into(),
        wait_backoff: MS(5),
        wait_backoff_limit: MS(20),
        log_drain: MS(2000),
        inspect_timeout: MS(1000),
        ..DriverConfig::default()
    }
}

pub(crate) fn task() -> TaskConfig {
    TaskConfig {
        id: "t1".into(),
        name: "task".into(),
        options: json!({"image": "a:1"}),
        env: [("DB_PASSWORD".to_string(), "hunter2".to_string())].into(),
        resources: Some(Resources {
            nomad: NomadResources { memory_mb: 64, ..Default::default() },
            ..Default::default()
        }),
        ..TaskConfig::default()
    }
}

pub(crate) fn running() -> Value {
    json!({"Id": "c1", "Name": "/task", "Image": "sha256:1", "State": {"Status": "running", "Running": true, "StartedAt": "2026-11-25T00:00:00Z"}})
}

pub(crate) fn exited(code: i64) -> Value {
    json!({"Id": "c1", "Name": "/task", "Image": "sha256:1", "State": {"Status": "exited", "ExitCode": code, "StartedAt": "2026-11-25T00:00:00Z"}})
}

/// What an Engine answers whose container runs for ever.
pub(crate) fn well(request: &Request) -> Answer {
    match request.line().as_str() {
        "GET /_ping" => pong(),
        "GET /images/a:1/json" => Answer::json(&json!({"Id": "sha256:1"})),
        "POST /containers/create" => Answer::status(201, r#"{"Id":"c1","Warnings":[]}"#),
        "POST /containers/c1/start" | "POST /containers/c1/stop" | "DELETE /containers/c1" => Answer::status(204, ""),
        "GET /containers/c1/json" => Answer::json(&running()),
        "GET /containers/json" => Answer::json(&json!([{"Id": "c1", "State": "running"}])),
        "POST /containers/c1/wait" => Answer::never(),
        "GET /containers/c1/logs" if request.query.contains("follow=1") => Answer::never(),
        "GET /containers/c1/logs" => Answer::chunk(b"", true),
        other => Answer::error(404, &format!("page not found: {other}")),
    }
}

#[test]
fn a_broken_wait_is_no_exit() {
    let waits = Arc::new(AtomicUsize::new(0));
    let counted = waits.clone();
    let scripted = Scripted::new(move |request| match request.line().as_str() {
        "POST /containers/c1/wait" => match counted.fetch_add(1, Ordering::SeqCst) {
            0 => Answer::raw("").close(),
            1 => Answer::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").close(),
            2 => Answer::chunk(b"", true),
            3 => Answer::chunk(b"{\"StatusCode\":", true),
            4 => Answer::error(500, "no luck"),
            5 => Answer::json(&json!({"StatusCode": 0, "Error": {"Message": "the wait failed"}})),
            6 => Answer::json(&json!({"StatusCode": 3, "Error": null})),
            _ => Answer::never(),
        },
        // It has ended only after the seventh wait.
        "GET /containers/c1/json" if counted.load(Ordering::SeqCst) > 6 => Answer::json(&exited(0)),
        _ => well(request),
    });
    let driver = Driver::new(scripted.engine(), config());
    driver.start_task(task()).unwrap();
    let exit = driver.wait_task(&"t1".into()).unwrap().recv_timeout(MS(10_000)).unwrap();
    assert_eq!(waits.load(Ordering::SeqCst), 7);
    assert_eq!(exit.exit_code, 3, "the wait's code, whatever inspect says");
}

#[test]
fn an_engine_that_is_away_is_no_exit() {
    let mut scripted = Scripted::new(|request| match request.line().as_str() {
        "GET /containers/c1/json" if (3..6).contains(&request.before) => Answer::error(500, "starting"),
        "GET /containers/c1/json" if request.before >= 8 => Answer::json(&exited(4)),
        "POST /containers/c1/wait" if request.before > 0 => Answer::raw("").close(),
        _ => well(request),
    });
    let driver = Driver::new(scripted.engine(), config());
    let events = driver.task_events();
    driver.start_task(task()).unwrap();
    let waiter = driver.wait_task(&"t1".into()).unwrap();
    eventually("it waits", || scripted.count("POST /containers/c1/wait") == 1);
    scripted.down();
    assert!(waiter.recv_timeout(MS(300)).is_err(), "nobody listens: no exit");
    scripted.up();
    assert_eq!(waiter.recv_timeout(MS(10_000)).unwrap().exit_code, 4);
    let kinds: Vec<_> = events.try_iter().filter_map(|e| e.annotations.get("kind").cloned()).collect();
    assert!(kinds.contains(&"engine_lost".to_string()) && kinds.contains(&"engine_back".to_string()), "{kinds:?}");
}

#[test]
fn a_container_that_is_gone_is_an_end_without_a_code() {
    let scripted = Scripted::new(|request| match request.line().as_str() {
        "POST /containers/c1/wait" => Answer::error(404, "No such container: c1"),
        "GET /containers/c1/json" if request.before > 0 => Answer::error(404, "No such container: c1"),
        _ => well(request),
    });
    let driver = Driver::new(scripted.engine(), config());
    driver.start_task(task()).unwrap();
    let exit = driver.wait_task(&"t1".into()).unwrap().recv_timeout(MS(10_000)).unwrap();
    assert!(exit.exit_code == -1 && exit.err.is_some(), "{exit:?}");
    driver.destroy_task(&"t1".into(), false).unwrap();
}

#[test]
fn the_sweep_finds_an_end_that_no_wait_told() {
    let scripted = Scripted::new(|request| match request.line().as_str() {
        "GET /containers/json" if request.before > 0 => Answer::json(&json!([{"Id": "c1", "State": "exited"}])),
        "GET /containers/c1/json" if request.before > 0 => Answer::json(&exited(6)),
        _ => well(request),
    });
    let driver = Driver::new(scripted.engine(), DriverConfig { sweep_period: MS(50), ..config() });
    driver.start_task(task()).unwrap();
    let exit = driver.wait_task(&"t1".into()).unwrap().recv_timeout(MS(10_000)).unwrap();
    assert_eq!(exit.exit_code, 6);
    assert!(scripted.count("GET /containers/json") >= 2, "the first says that it runs");
}

#[test]
fn a_shutdown_waits_for_no_engine() {
    let scripted = Scripted::new(|request| match request.line().as_str() {
        "GET /containers/c1/json" if request.before > 0 => Answer::never(),
        _ => well(request),
    });
    let driver = Driver::new(scripted.engine(), config());
    driver.start_task_with(task(), vec![Box::new(longshore::logs::WriteSink::new(Vec::new(), Vec::new()))]).unwrap();
    let waiter = driver.wait_task(&"t1".into()).unwrap();
    eventually("its threads are blocked", || {
        scripted.count("POST /containers/c1/wait") == 1 && scripted.count("GET /containers/c1/json") == 2
    });
    let begun = Instant::now();
    driver.shutdown();
    assert!(begun.elapsed() < MS(2000), "{:?}", begun.elapsed());
    assert!(waiter.recv().is_err(), "it is no exit");
    assert_eq!(
        scripted.count("DELETE /containers/c1") + scripted.count("POST /containers/c1/stop"),
        0,
        "no container is touched"
    );
}

/// A start whose request `at` is answered with `answer`, each time; with the Engine afterwards.
fn start_failing(at: &'static str, answer: fn(&Request) -> Answer) -> (Error, Scripted) {
    let scripted = Scripted::new(move |request| if request.line() == at { answer(request) } else { well(request) });
    let engine = scripted.engine_with(EngineConfig { call_timeout: MS(1000), ..EngineConfig::default() });
    let driver = Driver::new(engine, DriverConfig { container_exists_attempts: 1, ..config() });
    let error = driver.start_task(task()).unwrap_err();
    assert!(matches!(driver.inspect_task(&"t1".into()), Err(Error::TaskNotFound { .. })), "{error}");
    for text in [format!("{error:?}"), error.to_string(), format!("{driver:?}")] {
        assert!(!text.contains("hunter2"), "a value of the environment is told: {text}");
    }
    (error, scripted)
}

#[test]
fn a_failed_start_leaves_nothing() {
    let image = "GET /images/a:1/json";
    let (error, scripted) = start_failing(image, |_| Answer::error(404, "No such image: a:1"));
    assert!(matches!(error, Error::ImageMissing { .. }) && !error.is_recoverable(), "{error:?}");
    assert_eq!(scripted.count("POST /containers/create"), 0);
    let (error, _) = start_failing(image, |_| Answer::error(500, "no luck"));
    assert!(matches!(error, Error::Image { .. }) && error.is_recoverable(), "{error:?}");

    let create = "POST /containers/create";
    let (error, scripted) = start_failing(create, |_| Answer::error(400, "bad parameter"));
    assert!(matches!(error, Error::Create { .. }) && !error.is_recoverable(), "{error:?}");
    assert_eq!(scripted.count(create), 1);
    let (error, _) = start_failing(create, |_| Answer::error(404, "No such image: a:1"));
    assert!(matches!(error, Error::Create { .. }) && error.is_recoverable(), "{error:?}");
    let (error, scripted) = start_failing(create, |_| Answer::error(500, "no luck"));
    assert!(matches!(error, Error::Create { .. }) && error.is_recoverable(), "{error:?}");
    assert_eq!(scripted.count(create), 2, "as often as the configuration says");

    let start = "POST /containers/c1/start";
    for status in [400, 404] {
        // It was created and does not run.
        let scripted = Scripted::new(move |request| match request.line().as_str() {
            "POST /containers/c1/start" => Answer::error(status, "no such command"),
            "GET /containers/c1/json" => {
                Answer::json(&json!({"Id": "c1", "State": {"Status": "created", "StartedAt": "0001-01-01T00:00:00Z"}}))
            }
            _ => well(request),
        });
        let driver = Driver::new(scripted.engine(), config());
        let error = driver.start_task(task()).unwrap_err();
        assert!(matches!(error, Error::Start { .. }) && !error.is_recoverable(), "{error:?}");
        assert_eq!((scripted.count(start), scripted.count("DELETE /containers/c1")), (1, 1), "{status}");
    }
    let (error, scripted) = start_failing("GET /containers/c1/json", |_| Answer::error(500, "no luck"));
    assert!(matches!(error, Error::Inspect { .. }) && error.is_recoverable(), "{error:?}");
    assert_eq!(scripted.count("DELETE /containers/c1"), 1);
}

#[test]
fn a_start_that_failed_and_yet_runs_is_a_start() {
    let scripted = Scripted::new(|request| match request.line().as_str() {
        "POST /containers/c1/start" => Answer::error(500, "no luck"),
        _ => well(request),
    });
    let driver = Driver::new(scripted.engine(), config());
    driver.start_task(task()).unwrap();
    assert_eq!(driver.inspect_task(&"t1".into()).unwrap().state, TaskState::Running);
    assert_eq!((scripted.count("POST /containers/c1/start"), scripted.count("DELETE /containers/c1")), (1, 0));
}

#[test]
fn a_create_whose_answer_was_lost_is_not_done_twice() {
    let labels = json!({"longshore.instance": "i", "longshore.task_id": "t"});
    let ours = json!({"Id": "c1", "Name": "/t0", "Config": {"Labels": labels}, "State": {"Status": "created", "StartedAt": "0001-01-01T00:00:00Z"}});
    let scripted = Scripted::new(move |request| match request.line().as_str() {
        "POST /containers/create" if request.before == 0 => Answer::raw("").close(),
        "GET /containers/t0/json" => Answer::json(&ours),
        _ => well(request),
    });
    let driver = Driver::new(scripted.engine(), config());
    let mut task = task();
    task.id = "t0".into();
    let ours = task.id.clone();
    // The label says "t": somebody else's.
    let error = driver.start_task(task.clone()).unwrap_err();
    assert!(matches!(error, Error::NameTaken { .. }), "{error:?}");
    assert_eq!(scripted.count("DELETE /containers/c1"), 0, "a stranger's is left alone");
    assert!(driver.inspect_task(&ours).is_err());
}

#[test]
fn stopping_what_has_ended_is_success() {
    let int = "SIGINT".parse().unwrap();
    for (status, signal) in
        [(304, None), (404, None), (409, None), (500, None), (404, Some(int)), (409, Some(int)), (500, Some(int))]
    {
        let scripted = Scripted::new(move |request| match request.line().as_str() {
            "POST /containers/c1/stop" | "POST /containers/c1/kill" if status == 304 => Answer::status(304, ""),
            "POST /containers/c1/stop" | "POST /containers/c1/kill" => Answer::error(status, "it does not run"),
            "GET /containers/c1/json" if request.before > 0 => Answer::json(&exited(0)),
            _ => well(request),
        });
        let driver = Driver::new(scripted.engine(), config());
        driver.start_task(task()).unwrap();
        driver.stop_task(&"t1".into(), MS(5000), signal).unwrap_or_else(|e| panic!("{status} {signal:?}: {e}"));
    }
}

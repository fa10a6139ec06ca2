//! Images on an Engine that pulls, loses and keeps them: one pull however many tasks wait, counts, removal some time later
//! (driver-spec 5, 17.3).

use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use longshore::driver::{Driver, DriverConfig, Error, GcConfig, LedgerFile, Origin, PullError, TaskConfig, TaskId};
use longshore::replay::scripted::{Answer, Request};
use serde_json::json;

use crate::support::{eventually, unique};
use crate::world::{CREATE, IMAGE, World, quick, task};

const PULL: &str = "POST /images/create";
const REMOVE_IMAGE: &str = "DELETE /images/*";
const DEADLINE: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_secs(3600);

/// A world whose Engine has no image at first: a pull brings one, a removal takes it.
struct Store {
    world: World,
    /// By reference: the id.
    images: Arc<Mutex<BTreeMap<String, String>>>,
}

/// What a request to `/images/…` names.
fn named(request: &Request) -> String {
    let path = request.path.trim_start_matches("/images/").trim_end_matches("/json");
    path.replace("%3A", ":")
}

fn pulled(request: &Request) -> String {
    let [name, tag] = ["fromImage", "tag"].map(|name| request.parameter(name).unwrap_or_default());
    format!("{}:{tag}", name.trim_start_matches("docker.io/library/"))
}

/// What a pull says that went well.
fn progress() -> Answer {
    let layer = |status: &str| format!("{}\n", json!({"status": status, "id": "c73ab1c6897b", "progressDetail": {}}));
    Answer::chunked(200).chunk(layer("Pulling fs layer")).chunk(layer("Pull complete"))
}

impl Store {
    fn new() -> Self {
        Self::with_pull(|_, answer| answer)
    }

    /// `pull` changes what the Engine answers to a pull that goes well.
    fn with_pull(pull: impl Fn(&Request, Answer) -> Answer + Send + 'static) -> Self {
        let world = World::new();
        let images: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
        let has = images.clone();
        world.scripted.on(IMAGE, move |request| {
            let (name, images) = (named(request), has.lock().unwrap());
            let found = images.iter().find(|(reference, id)| **reference == name || **id == name);
            Some(match found {
                Some((reference, id)) => Answer::json(200, &json!({"Id": id, "RepoTags": [reference]})),
                None => Answer::error(404, "No such image"),
            })
        });
        let has = images.clone();
        world.scripted.always("GET /images/json", move || {
            Answer::json(200, &has.lock().unwrap().values().map(|id| json!({"Id": id})).collect::<serde_json::Value>())
        });
        let has = images.clone();
        world.scripted.on(PULL, move |request| {
            let (name, has) = (pulled(request), has.clone());
            let done = move || {
                let id = format!("sha256:{:064x}", name.bytes().fold(7u64, |sum, byte| sum * 31 + u64::from(byte)));
                has.lock().unwrap().insert(name, id);
                Answer::nothing().end()
            };
            Some(pull(request, progress()).then(done))
        });
        let has = images.clone();
        world.scripted.on(CREATE, move |request| {
            let body: serde_json::Value = request.json().unwrap();
            let is_there = has.lock().unwrap().contains_key(body["Image"].as_str().unwrap_or_default());
            (!is_there).then(|| Answer::error(404, "No such image"))
        });
        let has = images.clone();
        world.scripted.on(REMOVE_IMAGE, move |request| {
            let name = named(request);
            let before = has.lock().unwrap().len();
            has.lock().unwrap().retain(|reference, id| *reference != name && *id != name);
            Some(match has.lock().unwrap().len() == before {
                true => Answer::error(404, "No such image"),
                false => Answer::json(200, &json!([{"Deleted": name}])),
            })
        });
        Self { world, images }
    }

    fn count(&self, pattern: &str) -> usize {
        self.world.scripted.count(pattern)
    }

    fn has(&self, reference: &str) -> bool {
        self.images.lock().unwrap().contains_key(reference)
    }

    fn driver(&self, delay: Duration) -> Driver {
        self.world.driver_with(config(delay))
    }

    /// Counts of users, and how many images are due.
    fn counts(driver: &Driver) -> (usize, usize) {
        let images = driver.images();
        let users = images.values().map(|image| image.owners.len()).sum();
        (users, images.values().filter(|image| image.due.is_some()).count())
    }
}

fn config(delay: Duration) -> DriverConfig {
    DriverConfig { gc: GcConfig { image: true, image_delay: delay }, ..quick() }
}

fn task_of(image: &str) -> TaskConfig {
    with(json!({"image": image, "command": "run", "network_mode": "none"}))
}

fn with(options: serde_json::Value) -> TaskConfig {
    TaskConfig { options, ..task() }
}

/// Starts tasks side by side.
fn start_all(driver: &Driver, tasks: &[TaskConfig]) -> Vec<Result<TaskId, Error>> {
    thread::scope(|scope| {
        let start = |task: &TaskConfig| driver.start_task(task.clone()).map(|(handle, _)| handle.config.id);
        let threads: Vec<_> = tasks.iter().map(|task| scope.spawn(move || start(task))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn destroy(driver: &Driver, id: &TaskId) {
    driver.destroy_task(id, true).unwrap();
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

#[test]
fn however_many_tasks_wait_one_pull_is_made() {
    // 17.3, ConcurrentPulls.
    let asked = Arc::new(Mutex::new(0));
    let counted = asked.clone();
    let store = Store::with_pull(move |_, answer| {
        let counted = counted.clone();
        answer.until(move || *counted.lock().unwrap() == 20)
    });
    let counted = asked.clone();
    let poker = store.world.scripted.poker();
    store.world.scripted.on(IMAGE, move |request| {
        if named(request) == "web:1" {
            *counted.lock().unwrap() += 1;
            poker.poke();
        }
        None
    });
    let driver = store.driver(HOUR);
    let tasks: Vec<_> = (0..20).map(|_| task_of("web:1")).collect();
    let ids: Vec<_> = start_all(&driver, &tasks).into_iter().map(Result::unwrap).collect();
    assert_eq!((store.count(PULL), store.count(CREATE)), (1, 20));
    assert_eq!(Store::counts(&driver), (20, 0));
    for id in &ids[..19] {
        destroy(&driver, id);
    }
    assert_eq!(Store::counts(&driver), (1, 0));
    destroy(&driver, &ids[19]);
    assert_eq!(Store::counts(&driver), (0, 1));
    assert_eq!(store.count(REMOVE_IMAGE), 0, "not before the delay");
}

#[test]
fn five_images_are_pulled_side_by_side() {
    let asked = Arc::new(Mutex::new(0));
    let store = Store::with_pull(move |_, answer| {
        *asked.lock().unwrap() += 1;
        let asked = asked.clone();
        answer.until(move || *asked.lock().unwrap() == 5)
    });
    let driver = store.driver(HOUR);
    let tasks: Vec<_> = (0..5).map(|n| task_of(&format!("web:{n}"))).collect();
    assert!(start_all(&driver, &tasks).iter().all(Result::is_ok));
    assert_eq!(store.count(PULL), 5);
}

#[test]
fn the_last_user_takes_the_image_along() {
    // 17.3, Pull_Remove.
    let store = Store::new();
    let driver = store.driver(Duration::from_millis(50));
    let tasks: Vec<_> = (0..3).map(|_| task_of("web:1")).collect();
    let ids: Vec<_> = start_all(&driver, &tasks).into_iter().map(Result::unwrap).collect();
    destroy(&driver, &ids[0]);
    destroy(&driver, &ids[1]);
    assert_eq!((Store::counts(&driver), store.count(REMOVE_IMAGE)), ((1, 0), 0));
    destroy(&driver, &ids[2]);
    eventually(DEADLINE, "the image is removed", || !store.has("web:1"));
    eventually(DEADLINE, "nothing is pending", || driver.images().is_empty());
    let requests = store.world.scripted.requests(REMOVE_IMAGE);
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].parameter("force"), None, "it would take containers of others along");
}

#[test]
fn what_was_there_goes_too_unless_a_file_keeps_account() {
    let dir = std::env::temp_dir().join(unique("ledger"));
    std::fs::create_dir_all(&dir).unwrap();
    for (row, ledger, goes) in [
        ("as Nomad's driver", None, true),
        ("with a ledger", Some(LedgerFile { path: dir.join("images.json"), engine: "e".into() }), false),
    ] {
        let store = Store::new();
        store.images.lock().unwrap().insert("web:1".into(), "sha256:11".into());
        let driver = store.world.driver_with(DriverConfig { image_ledger: ledger, ..config(Duration::ZERO) });
        let found = driver.start_task(task_of("web:1")).unwrap().0.config.id;
        let brought = driver.start_task(task_of("db:1")).unwrap().0.config.id;
        destroy(&driver, &found);
        destroy(&driver, &brought);
        eventually(DEADLINE, row, || !store.has("db:1") && store.has("web:1") != goes);
        eventually(DEADLINE, row, || driver.images().is_empty());
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

/// What was there before cannot be told from what came, so nothing of it goes.
#[test]
fn what_the_engine_does_not_tell_is_kept() {
    let dir = std::env::temp_dir().join(unique("ledger"));
    std::fs::create_dir_all(&dir).unwrap();
    let ledger = LedgerFile { path: dir.join("images.json"), engine: "e".into() };
    let store = Store::new();
    let driver = store.world.driver_with(DriverConfig { image_ledger: Some(ledger), ..config(Duration::ZERO) });
    store.world.scripted.always("GET /images/json", || Answer::error(500, "boom"));
    driver.pull_image("web:1").unwrap();
    assert!(driver.remove_images(false).is_empty() && store.has("web:1"));
    let task = driver.start_task(task_of("db:1")).unwrap().0.config.id;
    destroy(&driver, &task);
    assert!(driver.remove_images(false).is_empty() && store.has("db:1"));
    driver.shutdown();
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_ledger_outlives_its_process() {
    let dir = std::env::temp_dir().join(unique("ledger"));
    std::fs::create_dir_all(&dir).unwrap();
    let ledger = LedgerFile { path: dir.join("images.json"), engine: "e".into() };
    let store = Store::new();
    let with = |delay| store.world.driver_with(DriverConfig { image_ledger: Some(ledger.clone()), ..config(delay) });
    let first = with(Duration::ZERO);
    let handle = first.start_task(task_of("web:1")).unwrap().0;
    first.shutdown();
    // Another Engine's images are another account.
    let other = LedgerFile { engine: "another".into(), ..ledger.clone() };
    let other = store.world.driver_with(DriverConfig { image_ledger: Some(other), ..config(Duration::ZERO) });
    assert!(other.images().is_empty());
    let second = with(HOUR);
    assert_eq!(Store::counts(&second), (1, 0));
    assert!(second.remove_images(false).is_empty(), "it is in use");
    second.recover_task(&handle).unwrap();
    destroy(&second, &handle.config.id);
    assert_eq!(Store::counts(&second), (0, 1));
    assert!(second.remove_images(true).is_empty(), "it is not due");
    second.shutdown();
    let third = with(HOUR);
    let [(_, record, _)] = third.remove_images(false).try_into().unwrap();
    assert_eq!((record.origin, record.names.contains("web:1")), (Origin::Brought, true));
    assert!(!store.has("web:1") && third.images().is_empty());
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_crashed_process_leaves_no_user_for_ever() {
    let store = Store::new();
    let driver = store.driver(HOUR);
    let ids: Vec<_> = (0..2).map(|_| driver.start_task(task_of("web:1")).unwrap().0.config.id).collect();
    driver.retain_image_users(|id| *id == ids[0]);
    assert_eq!(Store::counts(&driver), (1, 0));
    driver.retain_image_users(|_| false);
    assert_eq!(Store::counts(&driver), (0, 1));
}

#[test]
fn a_new_task_within_the_delay_keeps_the_image() {
    // 17.3, Remove_Cancel.
    let store = Store::new();
    let driver = store.driver(HOUR);
    let first = driver.start_task(task_of("web:1")).unwrap().0.config.id;
    destroy(&driver, &first);
    assert_eq!(Store::counts(&driver), (0, 1));
    driver.start_task(task_of("web:1")).unwrap();
    assert_eq!(Store::counts(&driver), (1, 0));
    assert_eq!((store.count(PULL), store.count(REMOVE_IMAGE)), (1, 0));
}

#[test]
fn without_cleanup_nothing_is_counted() {
    // 17.3, No_Cleanup.
    let store = Store::new();
    let gc = GcConfig { image: false, image_delay: Duration::ZERO };
    let driver = store.world.driver_with(DriverConfig { gc, ..quick() });
    let id = driver.start_task(task_of("web:1")).unwrap().0.config.id;
    assert!(driver.images().is_empty());
    destroy(&driver, &id);
    driver.shutdown();
    assert_eq!(store.count(REMOVE_IMAGE), 0);
}

#[test]
fn after_a_shutdown_nothing_is_removed() {
    // 17.3, Cleanup_HonorsCtx.
    let store = Store::new();
    let driver = store.driver(Duration::from_millis(100));
    let id = driver.start_task(task_of("web:1")).unwrap().0.config.id;
    destroy(&driver, &id);
    driver.shutdown();
    thread::sleep(Duration::from_millis(300));
    assert_eq!(store.count(REMOVE_IMAGE), 0);
}

#[test]
fn a_failed_start_lets_go_of_the_image() {
    let store = Store::new();
    let driver = store.driver(HOUR);
    store.world.scripted.answers(CREATE, [Answer::error(400, "no luck")]);
    driver.start_task(task_of("web:1")).unwrap_err();
    assert_eq!(Store::counts(&driver), (0, 1));
}

#[test]
fn an_image_that_a_container_uses_stays() {
    let store = Store::new();
    let driver = store.driver(Duration::ZERO);
    store.world.scripted.always(REMOVE_IMAGE, || Answer::error(409, "image is being used by stopped container 1a2b"));
    let id = driver.start_task(task_of("web:1")).unwrap().0.config.id;
    destroy(&driver, &id);
    eventually(DEADLINE, "nothing is pending", || store.count(REMOVE_IMAGE) > 0 && Store::counts(&driver) == (0, 0));
    assert_eq!(store.count(REMOVE_IMAGE), 1);
    assert!(store.has("web:1"));
}

#[test]
fn a_removal_that_fails_is_tried_until_it_is_done() {
    let store = Store::new();
    let retry = Duration::from_millis(5);
    let driver = store.world.driver_with(DriverConfig { image_removal_retry: retry, ..config(Duration::ZERO) });
    store.world.scripted.answers(REMOVE_IMAGE, (0..5).map(|_| Answer::error(500, "disk trouble")));
    let id = driver.start_task(task_of("web:1")).unwrap().0.config.id;
    destroy(&driver, &id);
    eventually(DEADLINE, "the image is removed", || !store.has("web:1") && driver.images().is_empty());
    assert_eq!(store.count(REMOVE_IMAGE), 6);
}

#[test]
fn who_wants_an_image_that_is_being_removed_waits_and_pulls_it_again() {
    let store = Store::new();
    let driver = store.driver(Duration::ZERO);
    let id = driver.start_task(task_of("web:1")).unwrap().0.config.id;
    let (gate, open) = (Arc::new(Mutex::new(false)), store.world.scripted.poker());
    let (opened, images) = (gate.clone(), store.images.clone());
    store.world.scripted.on(REMOVE_IMAGE, move |_| {
        let (opened, images) = (opened.clone(), images.clone());
        let wait = Answer::chunked(200).until(move || *opened.lock().unwrap());
        Some(wait.then(move || {
            images.lock().unwrap().clear();
            Answer::nothing().chunk("[]").end()
        }))
    });
    destroy(&driver, &id);
    eventually(DEADLINE, "the removal has begun", || store.count(REMOVE_IMAGE) == 1);
    thread::scope(|scope| {
        let looks = store.count(IMAGE);
        let start = scope.spawn(|| driver.start_task(task_of("web:1")).map(drop));
        eventually(DEADLINE, "the start has found the image", || store.count(IMAGE) > looks);
        assert_eq!(store.count(CREATE), 1, "and waits");
        *gate.lock().unwrap() = true;
        open.poke();
        start.join().unwrap().unwrap();
    });
    // Where the removal ended before the start had counted the image, a create finds out.
    assert_eq!((store.count(PULL), store.has("web:1")), (2, true));
}

#[test]
fn an_image_that_vanishes_before_the_create_is_pulled_once_more() {
    for (row, times, started) in [("once", 1, true), ("for good", 2, false)] {
        let store = Store::new();
        let driver = store.driver(HOUR);
        store.world.scripted.answers(CREATE, (0..times).map(|_| Answer::error(404, "No such image: web:1")));
        let result = driver.start_task(task_of("web:1"));
        assert_eq!(result.is_ok(), started, "{row}");
        assert_eq!((store.count(PULL), store.count(CREATE)), (2, 2), "{row}");
        if let Err(error) = result {
            assert!(error.is_recoverable() && error.kind() == "create", "{row}: {}", whole(&error));
            assert_eq!(Store::counts(&driver).0, 0, "{row}");
        }
    }
}

#[test]
fn pulls_that_fail() {
    let said = |error: &str| format!("{}\n", json!({"error": error, "errorDetail": {"message": error}}));
    let gone = said("Error: image library/web:1 not found");
    let unknown = said("manifest for web:1 not found: manifest unknown");
    type Row = (&'static str, Box<dyn Fn() -> Answer + Send>, &'static str, bool);
    let rows: Vec<Row> = vec![
        ("an error in the stream", Box::new(move || progress().chunk(&unknown).end()), "manifest unknown", true),
        ("an image that does not exist", Box::new(move || progress().chunk(&gone).end()), "not found", false),
        ("a stream that is cut", Box::new(|| progress().close()), "connection ended", true),
        ("a refusal", Box::new(|| Answer::error(404, "pull access denied for web")), "pull access denied", true),
        ("a server error", Box::new(|| Answer::error(500, "connection refused")), "connection refused", true),
        ("a line that is no JSON", Box::new(|| progress().chunk("no JSON\n").end()), "not the JSON", true),
    ];
    for (row, answer, words, recoverable) in rows {
        let store = Store::new();
        let driver = store.driver(HOUR);
        store.world.scripted.answers(PULL, [answer()]);
        let tasks: Vec<_> = (0..3).map(|_| task_of("web:1")).collect();
        let results = start_all(&driver, &tasks);
        let failed: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
        assert!(!failed.is_empty(), "{row}");
        for error in failed {
            assert_eq!((error.kind(), error.is_recoverable()), ("pull", recoverable), "{row}: {}", whole(error));
            let told = whole(error);
            assert!(told.contains("web:1") && told.contains(words), "{row}: {told}");
        }
        assert_eq!(Store::counts(&driver).0, results.iter().filter(|result| result.is_ok()).count(), "{row}");
        driver.start_task(task_of("web:1")).unwrap_or_else(|error| panic!("{row}: the next try: {}", whole(&error)));
    }
}

#[test]
fn a_pull_has_a_deadline_and_a_limit_of_inactivity() {
    let tick = Duration::from_millis(20);
    let drip = move || {
        let lines = (0..10_000).map(|n| {
            format!(
                "{}\n",
                json!({"status": "Downloading", "id": "a", "progressDetail": {"current": n, "total": 10_000}})
            )
        });
        lines.fold(Answer::chunked(200), |answer, line| answer.chunk(line).pause(Duration::from_millis(10)))
    };
    let tedious = move || {
        let line =
            format!("{}\n", json!({"status": "Downloading", "id": "a", "progressDetail": {"current": 7, "total": 9}}));
        (0..10_000).fold(Answer::chunked(200), |answer, _| answer.chunk(&line).pause(Duration::from_millis(5)))
    };
    type Row = (&'static str, Box<dyn Fn() -> Answer + Send>, Duration, Duration, &'static str);
    let rows: Vec<Row> = vec![
        ("progress for too long", Box::new(drip), Duration::from_millis(300), HOUR, "image_pull_timeout"),
        ("silence", Box::new(|| progress().hold()), HOUR, tick * 5, "pull_activity_timeout"),
        ("no head", Box::new(|| Answer::nothing().hold()), HOUR, tick * 5, "pull_activity_timeout"),
        ("the same words again and again", Box::new(tedious), HOUR, tick * 5, "pull_activity_timeout"),
    ];
    for (row, answer, timeout, activity, words) in rows {
        let store = Store::new();
        let driver = store.world.driver_with(DriverConfig {
            image_pull_timeout: timeout,
            pull_activity_timeout: activity,
            ..config(HOUR)
        });
        store.world.scripted.answers(PULL, [answer()]);
        let error = driver.start_task(task_of("web:1")).unwrap_err();
        assert!(error.is_recoverable() && whole(&error).contains(words), "{row}: {}", whole(&error));
    }
    // The task's own deadline counts before the driver's.
    let store = Store::new();
    let driver = store.world.driver_with(DriverConfig { image_pull_timeout: HOUR, ..config(HOUR) });
    store.world.scripted.answers(PULL, [drip()]);
    let task = with(json!({"image": "web:1", "image_pull_timeout": "200ms", "network_mode": "none"}));
    let error = driver.start_task(task).unwrap_err();
    assert!(matches!(&error, Error::Pull { source, .. } if matches!(**source, PullError::Timeout { .. })), "{error:?}");
}

#[test]
fn a_shutdown_ends_a_pull_and_all_who_wait_for_it() {
    let store = Store::with_pull(|_, answer| answer.hold());
    let driver = store.driver(HOUR);
    thread::scope(|scope| {
        let starts: Vec<_> =
            (0..3).map(|_| scope.spawn(|| driver.start_task(task_of("web:1")).map(drop).unwrap_err())).collect();
        eventually(DEADLINE, "the pull has begun", || store.count(PULL) == 1);
        driver.shutdown();
        for start in starts {
            assert_eq!(start.join().unwrap().kind(), "shut_down");
        }
    });
}

#[test]
fn credentials_go_to_the_engine_and_nowhere_else() {
    let store = Store::new();
    let driver = store.driver(HOUR);
    let auth = json!({"username": "ann", "password": "abc>>>def?", "server_address": "r.example"});
    let task = with(json!({"image": "web:1", "auth": auth, "network_mode": "none"}));
    let handle = driver.start_task(task.clone()).unwrap().0;
    let request = &store.world.scripted.requests(PULL)[0];
    let header = request.header("X-Registry-Auth").unwrap();
    assert!(!header.contains(['+', '/']), "{header}");
    assert!(!format!("{handle:?} {task:?}").contains("abc>>>"));
    // None: no header.
    driver.start_task(task_of("web:2")).unwrap();
    assert_eq!(store.world.scripted.requests(PULL)[1].header("X-Registry-Auth"), None);
}

#[test]
fn credentials_that_cannot_be_found_fail_the_start_unless_it_may_do_without() {
    let store = Store::new();
    let mut config = config(HOUR);
    config.auth.config = Some("/no/such/config.json".into());
    let driver = store.world.driver_with(config);
    let error = driver.start_task(task_of("web:1")).unwrap_err();
    assert_eq!((error.kind(), error.is_recoverable()), ("credentials", false));
    assert!(whole(&error).contains("/no/such/config.json"), "{}", whole(&error));
    driver.start_task(with(json!({"image": "web:1", "auth_soft_fail": true, "network_mode": "none"}))).unwrap();
    assert_eq!(store.count(PULL), 1);
}

#[test]
fn which_images_are_pulled() {
    for (image, force, pulls, looks) in [
        ("web:1", false, 0, 1),
        ("web:1", true, 1, 0),
        ("web", false, 1, 0),
        ("web:latest", false, 1, 0),
        ("db:1", false, 1, 1),
    ] {
        let store = Store::new();
        store.images.lock().unwrap().insert("web:1".into(), "sha256:11".into());
        let driver = store.driver(HOUR);
        // The look after the pull is by the same name.
        let before = store.count(IMAGE);
        let task = with(json!({"image": image, "force_pull": force, "network_mode": "none"}));
        let _ = driver.start_task(task);
        let row = format!("{image}, force {force}");
        assert_eq!(store.count(PULL), pulls, "{row}");
        assert_eq!(store.count(IMAGE) - before - pulls, looks, "{row}");
    }
}

#[test]
fn a_reference_that_is_none_is_refused_before_anything_is_asked() {
    let store = Store::new();
    let driver = store.driver(HOUR);
    for image in ["Web", "web:", " web", "http://web"] {
        let error = driver.start_task(task_of(image)).unwrap_err();
        assert_eq!((error.kind(), error.is_recoverable()), ("reference", false), "{image}");
        assert!(error.to_string().contains(image), "{error}");
    }
    assert_eq!(store.count(PULL) + store.count(IMAGE) + store.count(CREATE), 0);
}

#[test]
fn task_events_tell_of_a_pull() {
    let store = Store::new();
    let driver = store.driver(HOUR);
    let (events, progress) = (driver.task_events(), driver.pull_progress());
    driver.start_task(task_of("web:1")).unwrap();
    let event = events.try_iter().find(|event| event.annotations.contains_key("image")).unwrap();
    assert_eq!((event.message.as_str(), event.annotations["image"].as_str()), ("Downloading image", "web:1"));
    let reports: Vec<_> = progress.try_iter().collect();
    assert!(reports.iter().all(|report| report.image == "web:1"), "{reports:?}");
    assert!(reports.last().is_some_and(longshore::driver::PullProgress::has_ended), "{reports:?}");
}

#[test]
fn an_archive_must_hold_the_image() {
    let dir = std::env::temp_dir().join(unique("archive"));
    std::fs::create_dir_all(&dir).unwrap();
    let archive = dir.join("images.tar");
    std::fs::write(&archive, "an archive").unwrap();
    let options =
        json!({"image": "web:1", "load": archive.to_str().unwrap(), "force_pull": true, "network_mode": "none"});
    for (row, said, error) in [
        ("it does", "Loaded image: web:1\n", None),
        ("in a podman's words", "Loaded image: docker.io/library/web:1", None),
        ("it has others", "Loaded image: db:1\n", Some("but db:1")),
        ("nothing of use is said", "\n", None),
    ] {
        let store = Store::new();
        // From before: it is not what was meant.
        store.images.lock().unwrap().insert("web:1".into(), "sha256:11".into());
        store.world.scripted.always("POST /images/load", move || {
            Answer::chunked(200).chunk(format!("{}\n", json!({"stream": said}))).end()
        });
        let driver = store.driver(HOUR);
        let result = driver.start_task(with(options.clone()));
        assert_eq!(store.count("POST /images/load"), 1, "{row}");
        match (result, error) {
            (Ok(_), None) => {}
            (Err(got), Some(words)) => assert!(whole(&got).contains(words), "{row}: {}", whole(&got)),
            (got, _) => panic!("{row}: {got:?}"),
        }
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

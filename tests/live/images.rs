//! Images of tasks from a registry of the test's own: pulled once, with credentials, with time limits; kept while they
//! are used, gone some time later. The registry's access log and the Engine say what happened.

use std::error::Error as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use longshore::Hangup;
use longshore::driver::{DriverConfig, Error, LedgerFile, PullError, TaskConfig, TaskId};
use longshore::engine::types::{ContainerConfig, ContainerCreate, HostConfig};
use longshore::engine::{Engine, ImageRemoveQuery, RemoveQuery, SaveQuery};
use serde_json::{Value, json};

use crate::cases::bench::{Bench, PATIENCE};
use crate::support::image::ImageSpec;
use crate::support::proxy::Proxy;
use crate::support::registry::{Options, PASSWORD, Registry, Sweep, USER};
use crate::support::{eventually, unique};

/// A registry, and a driver on the Engine that answers. What was pulled is gone at the end.
struct Place {
    bench: Bench,
    registry: Registry,
    _sweep: Sweep,
}

impl Place {
    fn new() -> Self {
        Self::with(Options::default(), |_| {})
    }

    fn with(options: Options, configure: impl FnOnce(&mut DriverConfig)) -> Self {
        let registry = Registry::start(options);
        let bench = Bench::configured(Engine::from_env().unwrap(), configure);
        let _sweep = Sweep::new(&bench.engine, registry.host());
        Self { bench, registry, _sweep }
    }

    /// With images that go so long after their last task.
    fn removing(delay: Duration) -> Self {
        Self::with(Options::default(), removing(delay))
    }

    fn put(&self, repo: &str, tag: &str) -> String {
        self.registry.put_image(repo, tag, ImageSpec { marker: repo, layers: &[20_000] });
        format!("{}/{repo}:{tag}", self.registry.host())
    }

    /// A task that waits until it is killed.
    fn task(&self, image: &str) -> TaskConfig {
        self.with_options(json!({"image": image}))
    }

    fn with_options(&self, mut options: Value) -> TaskConfig {
        options["command"] = "sleep".into();
        options["args"] = json!(["1000"]);
        self.bench.with(options)
    }

    fn start(&self, task: TaskConfig) -> Result<TaskId, Error> {
        self.bench.driver.start_task(task).map(|(handle, _)| handle.config.id)
    }

    fn destroy(&self, id: &TaskId) {
        self.bench.driver.destroy_task(id, true).unwrap();
    }

    /// Starts a task of an image, and ends it again.
    fn run(&self, task: TaskConfig) -> Result<(), Error> {
        self.start(task).map(|id| self.destroy(&id))
    }

    fn has(&self, image: &str) -> bool {
        self.bench.engine.image_inspect(image).is_ok()
    }
}

fn removing(delay: Duration) -> impl FnOnce(&mut DriverConfig) {
    move |config| {
        config.gc.image = true;
        config.gc.image_delay = delay;
    }
}

/// An error with all that caused it, in a line.
fn whole(error: &Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}

/// A folder that is gone when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(unique("images"));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
#[ignore = "needs an Engine and docker-registry"]
fn twenty_tasks_pull_an_image_once_and_the_last_one_takes_it_along() {
    let delay = Duration::from_secs(2);
    let place = Place::removing(delay);
    let image = place.put("app", "1");
    let tasks: Vec<_> = (0..20).map(|_| place.task(&image)).collect();
    let ids: Vec<TaskId> = thread::scope(|scope| {
        let threads: Vec<_> = tasks.into_iter().map(|task| scope.spawn(|| place.start(task))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap().unwrap_or_else(|e| panic!("{}", whole(&e)))).collect()
    });
    assert_eq!(place.registry.manifests_served("app", "1"), 1, "{:?}", place.registry.requests());
    let (last, others) = ids.split_last().unwrap();
    others.iter().for_each(|id| place.destroy(id));
    thread::sleep(delay + Duration::from_millis(500));
    assert!(place.has(&image), "somebody uses it");
    place.destroy(last);
    let begun = Instant::now();
    eventually(PATIENCE, "the image is gone", || !place.has(&image));
    assert!(begun.elapsed() >= delay - Duration::from_millis(100), "after {:?}", begun.elapsed());
    eventually(PATIENCE, "nothing is remembered", || place.bench.driver.images().is_empty());
}

#[test]
#[ignore = "needs an Engine and docker-registry"]
fn five_images_are_pulled_side_by_side() {
    let place = Place::new();
    let proxy = Proxy::start(place.registry.host());
    let _sweep = Sweep::new(&place.bench.engine, proxy.host());
    let images: Vec<_> = (0..5).map(|n| format!("app{n}")).collect();
    for image in &images {
        place.put(image, "1");
    }
    proxy.pause();
    thread::scope(|scope| {
        let start = |image: &String| place.run(place.task(&format!("{}/{image}:1", proxy.host())));
        let threads: Vec<_> = images.iter().map(|image| scope.spawn(move || start(image))).collect();
        eventually(PATIENCE, "five connections wait", || proxy.accepted() >= 5);
        proxy.resume();
        for thread in threads {
            thread.join().unwrap().unwrap_or_else(|error| panic!("{}", whole(&error)));
        }
    });
}

#[test]
#[ignore = "needs an Engine and docker-registry"]
fn by_tag_by_digest_and_by_both() {
    let place = Place::new();
    let host = place.registry.host();
    let stored = place.registry.put_image("folder/app", "1", ImageSpec { marker: "one", layers: &[] });
    let digest = &stored.manifest_digest;
    let by_name = host.replace("127.0.0.1", "localhost");
    let _sweep = Sweep::new(&place.bench.engine, &by_name);
    for image in [
        format!("{host}/folder/app:1"),
        format!("{host}/folder/app@{digest}"),
        format!("{host}/folder/app:1@{digest}"),
        format!("{by_name}/folder/app:1"),
        format!("https://{host}/folder/app:1"),
    ] {
        let (exit, output) =
            place.bench.run(place.bench.with(json!({"image": image, "command": "cat", "args": ["/marker"]})));
        assert_eq!((exit.exit_code, output.out().as_str()), (0, "one"), "{image}: {}", output.err());
    }
}

#[test]
#[ignore = "needs an Engine and docker-registry"]
fn credentials_of_the_task_of_a_file_and_of_a_helper() {
    let folder = Folder::new();
    let registry = Registry::start(Options { password: true, ..Options::default() });
    registry.put_image("app", "1", ImageSpec { marker: "", layers: &[] });
    let (host, image) = (registry.host(), format!("{}/app:1", registry.host()));
    let _sweep = Sweep::new(&Engine::from_env().unwrap(), host);
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("{USER}:{PASSWORD}"));
    let file = folder.file("config.json", &json!({"auths": {host: {"auth": encoded}}}).to_string());
    let by_helper =
        folder.file("helpers.json", &json!({"auths": {host: {}}, "credHelpers": {host: "fixture"}}).to_string());
    let helper = json!({"ServerURL": host, "Username": USER, "Secret": PASSWORD}).to_string();
    let helper = folder.file("docker-credential-fixture", &format!("#!/bin/sh\ncat >/dev/null\necho '{helper}'\n"));
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let task_block = json!({"username": USER, "password": PASSWORD, "server_address": host});
    for (row, auth, config, helper, pulls) in [
        ("the task's", Some(task_block.clone()), None, "", true),
        ("a file's", None, Some(file.clone()), "", true),
        ("a file's helper", None, Some(by_helper), "", true),
        ("the driver's helper", None, None, "fixture", true),
        ("the task's before the file's", Some(json!({"username": USER, "password": "wr0ng!"})), Some(file), "", false),
        ("none", None, None, "", false),
    ] {
        let bench = Bench::configured(Engine::from_env().unwrap(), |driver| {
            driver.auth.config = config;
            driver.auth.helper = helper.into();
            driver.auth.helper_path = Some(format!("{}:{}", folder.0.display(), std::env::var("PATH").unwrap()).into());
        });
        let mut options = json!({"image": image, "command": "true", "force_pull": true});
        if let Some(auth) = auth {
            options["auth"] = auth;
        }
        let task = bench.with(options);
        let started =
            bench.driver.start_task(task).map(|(handle, _)| bench.driver.destroy_task(&handle.config.id, true));
        match started {
            Ok(destroyed) => {
                destroyed.unwrap();
                assert!(pulls, "{row}");
            }
            Err(error) => {
                let told = whole(&error);
                assert!(!pulls && error.kind() == "pull" && error.is_recoverable(), "{row}: {told}");
                assert!(told.contains(&image) && !told.contains("wr0ng") && !told.contains('\n'), "{row}: {told}");
            }
        }
    }
}

#[test]
#[ignore = "needs an Engine and docker-registry"]
fn what_is_not_there_is_said_in_a_line() {
    let place = Place::new();
    place.put("app", "1");
    let host = place.registry.host();
    // A port that was free a moment ago.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (image, recoverable) in [
        (format!("{host}/none:1"), true),
        (format!("{host}/app:2"), true),
        (format!("{host}/app@sha256:{}", "0".repeat(64)), true),
        (format!("{nobody}/app:1"), true),
        (format!("{host}/App:1"), false),
    ] {
        let begun = Instant::now();
        let error = place.start(place.task(&image)).unwrap_err();
        let told = whole(&error);
        assert!(told.contains(&image) && !told.contains('\n'), "{told}");
        assert_eq!(error.is_recoverable(), recoverable, "{told}");
        assert!(begun.elapsed() < PATIENCE, "{told}");
    }
    place.run(place.task(&format!("{host}/app:1"))).unwrap();
}

#[test]
#[ignore = "needs an Engine and docker-registry"]
fn a_slow_pull_is_left_alone_and_a_mute_one_is_given_up() {
    let limit = Duration::from_secs(3);
    let registry = Registry::start(Options::default());
    let proxy = Proxy::start(registry.host());
    let bench = Bench::configured(Engine::from_env().unwrap(), |config| config.pull_activity_timeout = limit);
    let _sweep = Sweep::new(&bench.engine, proxy.host());
    let layers: &[usize] = &[1_000_000];
    for tag in ["slow", "mute", "long", "back"] {
        registry.put_image("app", tag, ImageSpec { marker: tag, layers });
    }
    let run = |tag: &str, timeout: &str| {
        let image = format!("{}/app:{tag}", proxy.host());
        let task = bench.with(json!({"image": image, "command": "true", "image_pull_timeout": timeout}));
        let begun = Instant::now();
        let started = bench.driver.start_task(task);
        (started.map(|(handle, _)| bench.driver.destroy_task(&handle.config.id, true).unwrap()), begun.elapsed())
    };
    // Docker tells of each hundredth of a layer.
    proxy.trickle(200_000);
    let (started, took) = run("slow", "1h");
    started.unwrap_or_else(|error| panic!("{}", whole(&error)));
    assert!(took > limit, "{took:?}");

    let (started, took) = run("long", "2s");
    let error = started.unwrap_err();
    assert!(
        matches!(&error, Error::Pull { source, .. } if matches!(**source, PullError::Timeout { .. })),
        "{}",
        whole(&error)
    );
    assert!(took < PATIENCE, "{took:?}");

    proxy.pause();
    let (started, took) = run("mute", "1h");
    let error = started.unwrap_err();
    assert!(
        matches!(&error, Error::Pull { source, .. } if matches!(**source, PullError::Inactive { .. })),
        "{}",
        whole(&error)
    );
    assert!(error.is_recoverable() && took < PATIENCE, "{took:?}");

    proxy.resume();
    run("mute", "1h").0.unwrap_or_else(|error| panic!("the next try pulls anew: {}", whole(&error)));
}

#[test]
#[ignore = "needs an Engine and docker-registry"]
fn a_shutdown_ends_a_pull_at_once() {
    let place = Place::new();
    let proxy = Proxy::start(place.registry.host());
    let _sweep = Sweep::new(&place.bench.engine, proxy.host());
    place.put("app", "1");
    proxy.pause();
    thread::scope(|scope| {
        let start = scope.spawn(|| place.start(place.task(&format!("{}/app:1", proxy.host()))));
        eventually(PATIENCE, "the pull has begun", || proxy.accepted() > 0);
        let begun = Instant::now();
        place.bench.driver.shutdown();
        let error = start.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), "shut_down");
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    });
    proxy.resume();
}

#[test]
#[ignore = "needs an Engine and docker-registry"]
fn a_tag_that_moves_is_noticed_where_it_is_looked_for() {
    let place = Place::new();
    let marker = |image: &str, force: bool| {
        let task = json!({"image": image, "command": "cat", "args": ["/marker"], "force_pull": force});
        let (exit, output) = place.bench.run(place.bench.with(task));
        assert_eq!(exit.exit_code, 0, "{image}: {}", output.err());
        output.out()
    };
    let host = place.registry.host();
    for tag in ["1", "latest"] {
        place.registry.put_image("app", tag, ImageSpec { marker: "old", layers: &[] });
    }
    let [fixed, latest] = [format!("{host}/app:1"), format!("{host}/app")];
    assert_eq!((marker(&fixed, false), marker(&latest, false)), ("old".into(), "old".into()));
    for tag in ["1", "latest"] {
        let new = place.registry.put_image("app", &format!("{tag}-new"), ImageSpec { marker: "new", layers: &[] });
        place.registry.move_tag("app", tag, &new);
    }
    let asked = place.registry.manifests_served("app", "1");
    assert_eq!((marker(&fixed, false), marker(&latest, false)), ("old".into(), "new".into()));
    assert_eq!(place.registry.manifests_served("app", "1"), asked, "it is here, and not asked for");
    assert_eq!(marker(&fixed, true), "new");
}

#[test]
#[ignore = "needs an Engine and docker-registry"]
fn what_a_stranger_uses_stays() {
    for running in [true, false] {
        let place = Place::removing(Duration::ZERO);
        let image = place.put("app", "1");
        let id = place.start(place.task(&image)).unwrap();
        let host_config = HostConfig { network_mode: "none".into(), ..HostConfig::default() };
        let command = vec!["sleep".into(), "1000".into()];
        let config = ContainerConfig { image: image.clone(), cmd: command, ..ContainerConfig::default() };
        let body = ContainerCreate { config, host_config, ..ContainerCreate::default() };
        let stranger = place.bench.engine.container_create(Some(unique("stranger").as_str()), &body).unwrap().id;
        if running {
            place.bench.engine.container_start(&stranger, &Default::default()).unwrap();
        }
        place.destroy(&id);
        eventually(PATIENCE, "the removal was tried", || {
            place.bench.driver.images().values().all(|image| image.owners.is_empty() && image.due.is_none())
        });
        assert!(place.has(&image), "running: {running}");
        let state = place.bench.engine.container_state(&stranger).unwrap();
        assert_eq!(state.is_running(), running, "the stranger is not touched");
        let query = RemoveQuery { force: true, volumes: true, link: false };
        place.bench.engine.container_remove(&stranger, &query).unwrap();
    }
}

#[test]
#[ignore = "needs an Engine and docker-registry"]
fn a_new_task_within_the_delay_keeps_the_image() {
    let delay = Duration::from_secs(1);
    let place = Place::removing(delay);
    let image = place.put("app", "1");
    let first = place.start(place.task(&image)).unwrap();
    place.destroy(&first);
    let second = place.start(place.task(&image)).unwrap();
    thread::sleep(delay * 2);
    assert!(place.has(&image));
    assert_eq!(place.registry.manifests_served("app", "1"), 1);
    place.destroy(&second);
    eventually(PATIENCE, "the image is gone", || !place.has(&image));
}

#[test]
#[ignore = "needs an Engine and docker-registry"]
fn names_of_others_stay_where_there_is_a_ledger() {
    let folder = Folder::new();
    let ledger = LedgerFile { path: folder.0.join("images.json"), engine: "e".into() };
    let place = Place::with(Options::default(), |config| {
        removing(Duration::ZERO)(config);
        config.image_ledger = Some(ledger);
    });
    let image = place.put("app", "1");
    let id = place.start(place.task(&image)).unwrap();
    let theirs = format!("{}/theirs", place.registry.host());
    place.bench.engine.image_tag(&image, &theirs, "1").unwrap();
    place.destroy(&id);
    eventually(PATIENCE, "our name is gone", || !place.has(&image));
    assert!(place.has(&format!("{theirs}:1")), "theirs stays");
    place.bench.engine.image_remove(&format!("{theirs}:1"), &ImageRemoveQuery::default()).unwrap();
}

#[test]
#[ignore = "needs an Engine and docker-registry"]
fn several_names_go_with_the_image_where_there_is_none() {
    let place = Place::removing(Duration::ZERO);
    let image = place.put("app", "1");
    let id = place.start(place.task(&image)).unwrap();
    let another = format!("{}/another", place.registry.host());
    place.bench.engine.image_tag(&image, &another, "1").unwrap();
    place.destroy(&id);
    eventually(PATIENCE, "both are gone", || !place.has(&image) && !place.has(&format!("{another}:1")));
}

#[test]
#[ignore = "needs an Engine and docker-registry"]
fn what_is_due_outlives_its_process() {
    let folder = Folder::new();
    let ledger = LedgerFile { path: folder.0.join("images.json"), engine: "e".into() };
    let instance = &unique("instance");
    let configure = |delay| {
        let ledger = ledger.clone();
        move |config: &mut DriverConfig| {
            removing(delay)(config);
            config.image_ledger = Some(ledger);
            config.instance = instance.to_owned();
        }
    };
    let delay = Duration::from_secs(2);
    let place = Place::with(Options::default(), configure(delay));
    let image = place.put("app", "1");
    let (handle, _) = place.bench.driver.start_task(place.task(&image)).unwrap();
    // Its process ends, and another one goes on.
    place.bench.driver.shutdown();
    let second = Bench::configured(place.bench.engine.clone(), configure(delay));
    second.driver.recover_task(&handle).unwrap();
    thread::sleep(delay + Duration::from_millis(500));
    assert!(place.has(&image));
    second.driver.destroy_task(&handle.config.id, true).unwrap();
    second.driver.shutdown();
    let third = Bench::configured(place.bench.engine.clone(), configure(delay));
    assert!(place.has(&image) && third.driver.images().len() == 1);
    eventually(PATIENCE, "it is due, and gone", || {
        third.driver.remove_images(true);
        !place.has(&image)
    });
    assert!(third.driver.images().is_empty());
}

#[test]
#[ignore = "needs an Engine and docker-registry"]
fn archives_are_loaded_plain_and_compressed() {
    let place = Place::new();
    let folder = Folder::new();
    let engine = &place.bench.engine;
    let image = place.put("app", "1");
    place.bench.driver.pull_image(&image).unwrap();
    let plain = folder.0.join("image.tar");
    let mut to = fs::File::create(&plain).unwrap();
    engine.image_save(&[&image], &SaveQuery::default(), &mut to, &Hangup::new()).unwrap();
    assert!(Command::new("gzip").arg("-k").arg(&plain).status().unwrap().success());
    for archive in ["image.tar", "image.tar.gz"] {
        engine.image_remove(&image, &ImageRemoveQuery::default()).unwrap();
        let load = folder.0.join(archive).display().to_string();
        place
            .run(place.with_options(json!({"image": image, "load": load})))
            .unwrap_or_else(|e| panic!("{}", whole(&e)));
        assert_eq!(place.registry.manifests_served("app", "1"), 1, "{archive}");
        let other = format!("{}/other:1", place.registry.host());
        let error = place.start(place.with_options(json!({"image": other, "load": load}))).unwrap_err();
        assert!(error.to_string().contains(&image) && error.kind() == "not_in_archive", "{}", whole(&error));
    }
    let garbage = folder.file("garbage.tar", "this is no archive");
    let load = garbage.display().to_string();
    let error = place.start(place.with_options(json!({"image": image, "load": load, "force_pull": true}))).unwrap_err();
    assert_eq!(error.kind(), "load", "{}", whole(&error));
}

/// On a dockerd of the test's own.
mod faults {
    use super::*;
    use crate::support::dockerd::Dockerd;
    use crate::support::registry::{CERTIFICATE, OUTSIDE};

    fn bench(dockerd: &Dockerd) -> Bench {
        Bench::on(Engine::connect(dockerd.host().parse().unwrap()))
    }

    #[test]
    #[ignore = "needs root, dockerd and docker-registry"]
    fn a_pull_that_breaks_in_mid_layer_fails_and_is_made_anew() {
        let mut dockerd = Dockerd::start(&["--max-download-attempts", "1"]);
        let registry = Registry::start_in(&dockerd, Options::default());
        let proxy = Proxy::start_in(&dockerd, registry.host());
        registry.put_image("app", "1", ImageSpec { marker: "", layers: &[8_000_000] });
        let bench = bench(&dockerd);
        let image = format!("{}/app:1", proxy.host());
        let task = || bench.with(json!({"image": image, "command": "true"}));
        proxy.cut_after(4_000_000);
        let error = bench.driver.start_task(task()).unwrap_err();
        assert!(error.is_recoverable() && error.kind() == "pull", "{}", whole(&error));
        assert!(proxy.cuts() > 0);

        // The Engine goes in the middle of a pull, and comes back.
        proxy.trickle(500_000);
        thread::scope(|scope| {
            let start = scope.spawn(|| bench.driver.start_task(task()));
            let before = proxy.accepted();
            eventually(PATIENCE, "the pull has begun", || proxy.accepted() > before);
            dockerd.kill();
            let error = start.join().unwrap().unwrap_err();
            assert!(error.is_recoverable() && error.kind() == "pull", "{}", whole(&error));
        });
        proxy.resume();
        dockerd.start_again();
        let (handle, _) = bench.driver.start_task(task()).unwrap_or_else(|error| panic!("{}", whole(&error)));
        bench.driver.destroy_task(&handle.config.id, true).unwrap();
        drop(bench);
    }

    #[test]
    #[ignore = "needs root, dockerd and docker-registry"]
    fn a_registry_with_a_password_behind_tls() {
        let dockerd = Dockerd::start_with(&[], &[("SSL_CERT_FILE", CERTIFICATE)]);
        let options = Options { password: true, tls: true, address: Some(OUTSIDE) };
        let registry = Registry::start_in(&dockerd, options);
        registry.put_image("app", "1", ImageSpec { marker: "", layers: &[] });
        let bench = bench(&dockerd);
        let auth = json!({"username": USER, "password": PASSWORD});
        let task = bench.with(json!({"image": format!("{OUTSIDE}/app:1"), "command": "true", "auth": auth}));
        let (handle, _) = bench.driver.start_task(task).unwrap_or_else(|error| panic!("{}", whole(&error)));
        bench.driver.destroy_task(&handle.config.id, true).unwrap();
        drop(bench);
    }
}

//! What a task driver of Nomad's is tested for (driver-spec 17.1, 17.2), as far as no other test of ours asks it: one test a
//! row, under the row's name.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use longshore::driver::{Driver, DriverConfig, Error, LogConfig, ResourceUsage, Signal, TaskConfig, TaskId, TaskState};
use longshore::engine::types::ContainerInspect;
use longshore::engine::{InspectQuery, RemoveQuery};
use serde_json::{Value, json};

use crate::cases::bench::{Bench, PATIENCE};
use crate::support::{IMAGE, eventually, unique};

/// As long as the original's own tests wait, and a loaded machine's share.
const SOON: Duration = Duration::from_secs(20);
const FORCE: RemoveQuery = RemoveQuery { force: true, volumes: true, link: false };

fn inspected(bench: &Bench, id: &TaskId) -> ContainerInspect {
    let container = bench.driver.inspect_task(id).unwrap().driver_attributes["container_id"].clone();
    bench.engine.container_inspect(&container, &InspectQuery::default()).unwrap()
}

/// Starts a task that sleeps, with more options; gives what the Engine made of it.
fn made_with(bench: &Bench, more: Value) -> ContainerInspect {
    let mut options = json!({"image": IMAGE, "command": "sleep", "args": ["1000"]});
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let (id, _) = bench.start(bench.with(options));
    let inspect = inspected(bench, &id);
    bench.driver.destroy_task(&id, true).unwrap();
    inspect
}

/// Makes an image of the test image and one more instruction.
fn build(bench: &Bench, image: &str, instruction: &str) {
    let dir = AllocDir::new("build");
    fs::write(dir.0.join("Dockerfile"), format!("FROM {IMAGE}\n{instruction}\n")).unwrap();
    bench.docker(&["build", "--quiet", "--tag", image, dir.0.to_str().unwrap()]);
}

/// An allocation's directory, gone when the test ends.
struct AllocDir(PathBuf);

impl AllocDir {
    fn new(task: &str) -> Self {
        let dir = std::env::temp_dir().join(unique("alloc"));
        for leaf in ["alloc/logs", &format!("{task}/local"), &format!("{task}/secrets")] {
            fs::create_dir_all(dir.join(leaf)).unwrap();
        }
        Self(dir)
    }
}

impl Drop for AllocDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A task with directories.
fn housed(bench: &Bench, dir: &AllocDir, script: &str) -> TaskConfig {
    let mut task = bench.task(script);
    task.alloc_dir = Some(dir.0.clone());
    task.env = [("NOMAD_ALLOC_DIR", "/alloc"), ("NOMAD_TASK_DIR", "/local"), ("NOMAD_SECRETS_DIR", "/secrets")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    task
}

#[test]
#[ignore = "needs an Engine"]
fn start_wait() {
    let bench = Bench::new();
    let (id, _) = bench.start(bench.task("sleep 1000"));
    let exit = bench.driver.wait_task(&id).unwrap();
    assert!(exit.recv_timeout(Duration::from_secs(1)).is_err(), "it runs");
    bench.driver.destroy_task(&id, true).unwrap();
}

#[test]
#[ignore = "needs an Engine"]
fn start_wait_finish() {
    let bench = Bench::new();
    let (id, output) = bench.start(bench.task("echo hello"));
    let exit = bench.driver.wait_task(&id).unwrap().recv_timeout(SOON).unwrap();
    assert!(exit.is_successful(), "{exit:?}");
    bench.driver.destroy_task(&id, false).unwrap();
    assert_eq!(output.out(), "hello\n");
}

#[test]
#[ignore = "needs an Engine"]
fn start_no_image() {
    let bench = Bench::new();
    for options in [json!({}), json!({"image": ""})] {
        let error = bench.driver.start_task(bench.with(options)).unwrap_err();
        assert!(error.to_string().contains("image name required"), "{error}");
    }
}

#[test]
#[ignore = "needs an Engine"]
fn start_load_image_and_n_versions() {
    let bench = Bench::new();
    let dir = AllocDir::new("task");
    // Three variants of one image, each in an archive in the task's directory, and the Engine has none of them.
    let variants: Vec<String> = (1..=3).map(|n| format!("{}:{n}", unique("longshore/variant"))).collect();
    for (n, variant) in variants.iter().enumerate() {
        build(&bench, variant, &format!("ENV VARIANT={n}"));
        let archive = dir.0.join(format!("task/local/{n}.tar"));
        bench.docker(&["save", "-o", archive.to_str().unwrap(), variant]);
        bench.engine.image_remove(variant, &Default::default()).unwrap();
    }
    let tasks: Vec<TaskId> = variants
        .iter()
        .enumerate()
        .map(|(n, variant)| {
            let script = format!("echo variant $VARIANT >$NOMAD_TASK_DIR/output-{n}");
            let mut task = housed(&bench, &dir, &script);
            task.options["image"] = json!(variant);
            task.options["load"] = json!(format!("{n}.tar"));
            bench.start(task).0
        })
        .collect();
    for (n, id) in tasks.iter().enumerate() {
        assert!(bench.wait(id).is_successful());
        bench.driver.destroy_task(id, false).unwrap();
        let written = fs::read_to_string(dir.0.join(format!("task/local/output-{n}"))).unwrap();
        assert_eq!(written, format!("variant {n}\n"));
        bench.engine.image_remove(&variants[n], &Default::default()).unwrap();
    }
}

#[test]
#[ignore = "needs an Engine"]
fn start_wait_alloc_dir_and_container_binds() {
    let bench = Bench::new();
    let dir = AllocDir::new("task");
    let script = "echo win >$NOMAD_ALLOC_DIR/output && echo own >/local/output && echo secret >/secrets/output && \
                  ! touch /alloc/logs/no";
    let (id, _) = bench.start(housed(&bench, &dir, script));
    let binds = inspected(&bench, &id).host_config.binds;
    assert!(bench.wait(&id).is_successful());
    bench.driver.destroy_task(&id, false).unwrap();
    for (leaf, text) in [("alloc/output", "win\n"), ("task/local/output", "own\n"), ("task/secrets/output", "secret\n")]
    {
        assert_eq!(fs::read_to_string(dir.0.join(leaf)).unwrap(), text);
    }
    // podman adds options.
    let leads = |to: &str| binds.iter().any(|bind| bind.split(':').nth(1) == Some(to));
    assert!(["/alloc", "/local", "/secrets"].into_iter().all(leads), "{binds:?}");
}

#[test]
#[ignore = "needs an Engine"]
fn start_kill_wait_and_kill_timeout() {
    let bench = Bench::new();
    // Obeys: ended at once. Does not: only after its grace.
    for (script, signal, grace, slow) in [
        ("sleep 1000 & trap 'exit 130' INT; wait", Signal::Int, Duration::from_secs(30), false),
        ("trap '' USR1; echo up; while :; do sleep 0.1; done", Signal::Usr1, Duration::from_secs(2), true),
    ] {
        let (id, _) = bench.start(bench.task(script));
        std::thread::sleep(Duration::from_millis(500)); // For its trap; until then the signal ends it, or does nothing.
        let begun = Instant::now();
        bench.driver.stop_task(&id, grace, Some(signal)).unwrap();
        let took = begun.elapsed();
        assert!(!bench.wait(&id).is_successful());
        assert_eq!(took >= grace, slow, "{signal}: {took:?}");
        assert!(took < SOON, "{signal}: {took:?}");
        bench.driver.destroy_task(&id, false).unwrap();
    }
}

#[test]
#[ignore = "needs an Engine"]
fn start_n() {
    let bench = Bench::new();
    let script = "trap 'exit 1' INT; echo up; while :; do sleep 0.1; done";
    let tasks: Vec<_> = (0..3).map(|_| bench.start(bench.task(script))).collect();
    for (id, output) in &tasks {
        eventually(PATIENCE, "it is ready", || output.out() == "up\n");
        bench.driver.stop_task(id, Duration::from_secs(20), Some(Signal::Int)).unwrap();
    }
    for (id, _) in &tasks {
        assert_eq!(bench.driver.wait_task(id).unwrap().recv_timeout(SOON).unwrap().exit_code, 1);
        bench.driver.destroy_task(id, false).unwrap();
    }
}

#[test]
#[ignore = "needs an Engine"]
fn what_the_engine_makes_of_the_options() {
    let bench = Bench::new();
    let config = |more: Value| made_with(&bench, more);
    let host = config(json!({"network_mode": "host"}));
    assert_eq!(host.host_config.network_mode, "host", "NetworkMode_Host");

    let labels = config(json!({"labels": {"a": "1", "b": "2"}})).config.labels;
    assert_eq!((labels["a"].as_str(), labels["b"].as_str()), ("1", "2"), "Labels");
    assert_eq!(labels["longshore.instance"], bench.instance, "Labels");

    assert_eq!(config(json!({"work_dir": "/some/path"})).config.working_dir, "/some/path", "DockerWorkDir");
    let entrypoint = config(json!({"entrypoint": ["/bin/sh", "-c"], "command": "sleep 1000", "args": []}));
    assert_eq!(entrypoint.config.entrypoint, Some(vec!["/bin/sh".to_owned(), "-c".to_owned()]), "Entrypoint");

    let limits = config(json!({"memory_hard_limit": 300})).host_config;
    assert_eq!((limits.memory, limits.memory_reservation), (300 << 20, 64 << 20), "MemoryHardLimit");
    let cfs = config(json!({"cpu_hard_limit": true, "cpu_cfs_period": 1_000_000})).host_config;
    assert_eq!(cfs.cpu_period, 1_000_000, "CPUCFSPeriod");
    assert!(cfs.cpu_quota > 0, "CPUCFSPeriod");
    let hard = config(json!({"cpu_hard_limit": true})).host_config;
    assert_eq!(hard.cpu_period, 100_000, "CreateContainerConfig_CPUHardLimit");

    let logs = |more: Value| {
        let made = config(more).host_config.log_config;
        (made.kind, serde_json::to_value(made.config).unwrap())
    };
    let own = logs(json!({"logging": {"driver": "local", "config": [{"max-size": "1m"}, {"max-file": 2}]}}));
    assert_eq!(own.0, "local", "CreateContainerConfig_Logging");
    assert_eq!((&own.1["max-size"], &own.1["max-file"]), (&json!("1m"), &json!("2")), "CreateContainerConfig_Logging");
    let bare = logs(json!({"logging": {"type": "none"}}));
    assert_eq!((bare.0.as_str(), bare.1), ("none", json!({})), "CreateContainerConfig_Logging");
    assert_eq!(logs(json!({})).1["max-size"], "20m", "CreateContainerConfig_Logging");
}

#[test]
#[ignore = "needs an Engine"]
fn logging_configuration() {
    let mut bench = Bench::new();
    // Any address does: nothing listens to gelf over UDP, and nobody knows.
    let options = [("gelf-address", "udp://127.0.0.1:1"), ("tag", "t")];
    let config = options.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let logging = LogConfig { kind: "gelf".into(), config };
    let own = DriverConfig { instance: bench.instance.clone(), logging: logging.clone(), ..DriverConfig::default() };
    bench.driver = Driver::new(bench.engine.clone(), own);
    assert_eq!(made_with(&bench, json!({})).host_config.log_config, logging);
}

#[test]
#[ignore = "needs an Engine"]
fn user() {
    let bench = Bench::new();
    let mut task = bench.task("true");
    task.user = "alice".into();
    let error = bench.driver.start_task(task).unwrap_err();
    let told = format!("{error}: {}", std::error::Error::source(&error).unwrap());
    assert!(matches!(error, Error::Start { .. }) && told.contains("alice"), "{told}");
    assert_eq!(bench.containers(), Vec::<String>::new());
}

#[test]
#[ignore = "needs an Engine"]
fn pids_limit() {
    let bench = Bench::new();
    let script = "sleep 5 & sleep 5 & sleep 5";
    let (exit, output) =
        bench.run(bench.with(json!({"image": IMAGE, "command": "sh", "args": ["-c", script], "pids_limit": 1})));
    assert_eq!(exit.exit_code, 2);
    assert!(output.err().contains("can't fork"), "{}", output.err());
}

#[test]
#[ignore = "needs an Engine"]
fn stats_and_collect_stats() {
    let bench = Bench::new();
    let (id, _) = bench.start(bench.task("while :; do :; done"));
    let samples = bench.driver.task_stats(&id, Duration::from_secs(1)).unwrap();
    let taken: Vec<_> = (0..3).map(|_| samples.recv_timeout(PATIENCE).unwrap()).collect();
    assert!(
        taken.iter().all(|sample| sample.cpu_stats.total_ticks > 0.0 && sample.memory_stats.usage > 0),
        "{taken:?}"
    );
    // podman counts nothing but the whole.
    let counts_rss = |sample: &ResourceUsage| sample.memory_stats.measured.iter().any(|name| name == "RSS");
    assert!(taken.iter().all(|sample| counts_rss(sample) == (sample.memory_stats.rss > 0)), "{taken:?}");
    assert!(taken.windows(2).all(|pair| pair[0].timestamp < pair[1].timestamp), "{taken:?}");
    bench.driver.stop_task(&id, Duration::ZERO, None).unwrap();
    assert!(!bench.wait(&id).is_successful());
    bench.driver.destroy_task(&id, false).unwrap();
    assert!(matches!(bench.driver.task_stats(&id, Duration::ZERO), Err(Error::TaskNotFound { .. })));
}

#[test]
#[ignore = "needs an Engine"]
fn missing_container_cleanup() {
    let bench = Bench::new();
    let (handle, _) = bench.driver.start_task(bench.task("sleep 1000")).unwrap();
    bench.engine.container_remove(&handle.container_id, &FORCE).unwrap();
    bench.driver.destroy_task(&handle.config.id, false).unwrap();
    assert!(matches!(bench.driver.inspect_task(&handle.config.id), Err(Error::TaskNotFound { .. })), "forgotten");
}

#[test]
#[ignore = "needs an Engine"]
fn stop_signal() {
    let bench = Bench::new();
    // An image whose own stop signal is USR1, and one that names none.
    let own = format!("{}:1", unique("longshore/stopsignal"));
    build(&bench, &own, "STOPSIGNAL SIGUSR1");
    let script = "for s in TERM USR1 INT; do trap \"echo $s\" $s; done; echo up; while :; do sleep 0.05; done";
    for (image, signal, want) in [
        (IMAGE, None, "up\nTERM\n"),
        (&own, None, "up\nUSR1\n"),
        (IMAGE, Some(Signal::Int), "up\nINT\n"),
        // The signal that is asked for, and then the Engine's own stop without a grace: its signal, and the kill.
        (&own, Some(Signal::Int), "up\nINT\n"),
    ] {
        let (id, output) = bench.start(bench.with(json!({"image": image, "command": "sh", "args": ["-c", script]})));
        eventually(PATIENCE, "it is ready", || output.out() == "up\n");
        bench.driver.stop_task(&id, Duration::from_secs(1), signal).unwrap();
        assert_eq!(bench.wait(&id).exit_code, 137, "{image} {signal:?}");
        assert_eq!(bench.driver.inspect_task(&id).unwrap().state, TaskState::Exited);
        bench.driver.destroy_task(&id, false).unwrap();
        // A handler may be as quick as the kill.
        assert!(output.out().starts_with(want), "{image} {signal:?}: {:?}", output.out());
    }
    bench.engine.image_remove(&own, &Default::default()).unwrap();
}

#[test]
#[ignore = "needs an Engine"]
fn the_same_task_twice_at_once() {
    let bench = Bench::new();
    for _ in 0..5 {
        let task = bench.task("sleep 1000");
        let starts: Vec<_> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..4).map(|_| scope.spawn(|| bench.driver.start_task(task.clone()))).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        assert_eq!(starts.iter().filter(|start| start.is_ok()).count(), 1, "one wins");
        assert!(
            starts.iter().flat_map(|start| start.as_ref().err()).all(|e| matches!(e, Error::AlreadyStarted { .. }))
        );
        assert_eq!(bench.containers().len(), 1);
        bench.driver.destroy_task(&task.id, true).unwrap();
    }
}

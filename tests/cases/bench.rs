//! A driver of a test's own, whose containers are gone when the test ends, however it ends.
//! The driver is shut down, and the containers are looked for, when the bench is dropped: before its recording is finished.
// Each test program makes its benches in one of the ways.
#![allow(dead_code)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use longshore::driver::{Driver, DriverConfig, ExitResult, NomadResources, Resources, Sink, TaskConfig, TaskId};
use longshore::engine::{Engine, ListQuery, RemoveQuery};
use longshore::logs::{Record, Stream};
use serde_json::{Value, json};

use crate::support::{IMAGE, eventually, unique};

/// Long enough for a loaded machine; a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A driver with a name of its own.
pub(crate) struct Bench {
    pub(crate) driver: Driver,
    pub(crate) engine: Engine,
    pub(crate) instance: String,
    recorded: bool,
}

impl Bench {
    /// On the Engine that answers.
    pub(crate) fn new() -> Self {
        Self::on(Engine::from_env().unwrap())
    }

    /// On this Engine.
    pub(crate) fn on(engine: Engine) -> Self {
        Self::of(engine, false)
    }

    /// On a recording, as it is made or as it is played.
    pub(crate) fn recorded(engine: Engine) -> Self {
        Self::of(engine, true)
    }

    /// On this Engine, with a driver that is configured otherwise.
    pub(crate) fn configured(engine: Engine, configure: impl FnOnce(&mut DriverConfig)) -> Self {
        let mut config = DriverConfig { instance: unique("test"), ..DriverConfig::default() };
        // The test image is everybody's.
        config.gc.image = false;
        configure(&mut config);
        let instance = config.instance.clone();
        Self { driver: Driver::new(engine.clone(), config), engine, instance, recorded: false }
    }

    fn of(engine: Engine, recorded: bool) -> Self {
        let mut bench = Self::configured(engine, |_| {});
        bench.recorded = recorded;
        bench
    }

    /// Whether it is a recording, where time does not pass as it did.
    pub(crate) fn is_recorded(&self) -> bool {
        self.recorded
    }

    /// How often, or how much: little for a recording, which is to be small.
    pub(crate) fn amount(&self, recorded: u32, real: u32) -> u32 {
        if self.recorded { recorded } else { real }
    }

    /// An allocation's id that no other test has. It is as long as every other: in a recording, what changes from run to
    /// run within a task's output has to be.
    pub(crate) fn alloc_id(&self) -> String {
        let number = unique("").rsplit('-').next().and_then(|number| number.parse::<u64>().ok()).unwrap();
        format!("{:08x}-0000-4000-8000-{number:012x}", std::process::id())
    }

    /// A task of a shell script, in the test image.
    pub(crate) fn task(&self, script: &str) -> TaskConfig {
        self.with(json!({"image": IMAGE, "command": "sh", "args": ["-c", script]}))
    }

    /// A task of any options. It needs no network, and gets none: starts are quicker so.
    pub(crate) fn with(&self, mut options: Value) -> TaskConfig {
        if options.get("network_mode").is_none() {
            options["network_mode"] = json!("none");
        }
        TaskConfig {
            id: TaskId::new(unique(&self.instance)),
            name: "task".into(),
            options,
            resources: Some(Resources {
                nomad: NomadResources { cpu_shares: 100, memory_mb: 64, ..NomadResources::default() },
                ..Resources::default()
            }),
            ..TaskConfig::default()
        }
    }

    /// Starts a task and gives what it writes.
    pub(crate) fn start(&self, task: TaskConfig) -> (TaskId, Output) {
        let (id, output) = (task.id.clone(), Output::default());
        self.driver.start_task_with(task, vec![Box::new(output.clone())]).unwrap();
        (id, output)
    }

    /// Starts a task that runs until it is stopped, as `traps` say, and waits until it is ready. It is silent for a while
    /// before it says so, for its output to be followed by then: what a case does next then comes at the same point of
    /// what the driver does, in each of its runs.
    pub(crate) fn start_endless(&self, traps: &str) -> (TaskId, Output) {
        let script = format!("{traps} sleep 0.3; echo ready; while :; do sleep 0.1; done");
        let (id, output) = self.start(self.task(&script));
        eventually(PATIENCE, "the task is ready", || output.out().contains("ready"));
        (id, output)
    }

    pub(crate) fn wait(&self, id: &TaskId) -> ExitResult {
        self.driver.wait_task(id).unwrap().recv_timeout(PATIENCE).expect("the task has not ended in time")
    }

    /// Runs a task from start to destroy.
    pub(crate) fn run(&self, task: TaskConfig) -> (ExitResult, Output) {
        let (id, output) = self.start(task);
        let exit = self.wait(&id);
        self.driver.destroy_task(&id, false).unwrap();
        (exit, output)
    }

    /// Does what only the docker program can.
    #[track_caller]
    pub(crate) fn docker(&self, args: &[&str]) {
        let endpoint = self.engine.endpoint().to_string();
        let mut docker = std::process::Command::new("docker");
        // What builds otherwise may be missing.
        let done = docker.env("DOCKER_BUILDKIT", "0").args(["-H", &endpoint]).args(args).output().unwrap();
        assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// The ids of this driver's containers, by its label.
    pub(crate) fn containers(&self) -> Vec<String> {
        let query = ListQuery::new().all().filter("label", format!("longshore.instance={}", self.instance));
        self.engine.container_list(&query).unwrap().into_iter().map(|c| c.id).collect()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.driver.shutdown();
        if std::thread::panicking() {
            let query = ListQuery::new().all().filter("label", format!("longshore.instance={}", self.instance));
            for container in self.engine.container_list(&query).unwrap_or_default() {
                let _ = self
                    .engine
                    .container_remove(&container.id, &RemoveQuery { force: true, volumes: true, link: false });
            }
            return;
        }
        assert_eq!(self.containers(), Vec::<String>::new(), "containers are left");
    }
}

/// What a task has written, per stream, and the notices about it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Output(Arc<Mutex<Written>>);

#[derive(Debug, Default)]
struct Written {
    out: Vec<u8>,
    err: Vec<u8>,
    notices: Vec<String>,
}

impl Output {
    pub(crate) fn out(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap().out).into_owned()
    }

    pub(crate) fn err(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap().err).into_owned()
    }

    pub(crate) fn notices(&self) -> Vec<String> {
        self.0.lock().unwrap().notices.clone()
    }
}

impl Sink for Output {
    fn record(&mut self, record: &Record<'_>) -> std::io::Result<()> {
        let mut written = self.0.lock().unwrap();
        match record.stream {
            Stream::Stdout => written.out.extend_from_slice(record.bytes),
            Stream::Stderr => written.err.extend_from_slice(record.bytes),
        }
        Ok(())
    }

    fn notice(&mut self, text: &str) -> std::io::Result<()> {
        self.0.lock().unwrap().notices.push(text.into());
        Ok(())
    }
}

/// Says where two texts differ first, for texts too long to print.
#[track_caller]
pub(crate) fn assert_same(got: &str, want: &str) {
    if got != want {
        let line = got.lines().zip(want.lines()).take_while(|(a, b)| a == b).count();
        panic!(
            "{} bytes instead of {}; line {line} is {:?} instead of {:?}",
            got.len(),
            want.len(),
            got.lines().nth(line).map(|l| l.get(..80).unwrap_or(l)),
            want.lines().nth(line).map(|l| l.get(..80).unwrap_or(l)),
        );
    }
}

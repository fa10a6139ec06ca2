//! A scripted Engine that behaves, as far as a driver asks: one image, containers that are created, started, waited for,
//! read and removed. A test lays a rule of its own over what is to go wrong; when that is used up, this holds again.
//!
//! Containers do nothing by themselves: a test says what they write and when they end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use longshore::driver::{Driver, DriverConfig, ExitResult, NomadResources, Resources, Sink, TaskConfig, TaskId};
use longshore::logs::Stamp;
use longshore::replay::scripted::{Answer, PATIENCE, Scripted};
use serde_json::{Value, json};

use crate::kit::frame;
use crate::support::unique;
use longshore::replay::scripted::Request;

pub(crate) const IMAGE: &str = "GET /images/*/json";
pub(crate) const CREATE: &str = "POST /containers/create";
pub(crate) const START: &str = "POST /containers/*/start";
pub(crate) const INSPECT: &str = "GET /containers/*/json";
pub(crate) const WAIT: &str = "POST /containers/*/wait";
pub(crate) const LOGS: &str = "GET /containers/*/logs";
pub(crate) const STOP: &str = "POST /containers/*/stop";
pub(crate) const REMOVE: &str = "DELETE /containers/*";
pub(crate) const LIST: &str = "GET /containers/json";

/// A scripted Engine with containers.
pub(crate) struct World {
    pub(crate) scripted: Scripted,
    model: Shared,
}

/// What the rules and the test share.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<Model>>);

#[derive(Default)]
pub(crate) struct Model {
    pub(crate) containers: Vec<Container>,
    /// How many were made: the next one's id tells.
    pub(crate) made: u32,
    /// Whether containers have a terminal.
    pub(crate) tty: bool,
    /// Whether `since` says where logs begin, and not which records are left out.
    pub(crate) since_once: bool,
}

#[derive(Clone, Default)]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) labels: Value,
    /// `created`, `running` or `exited`.
    pub(crate) status: &'static str,
    pub(crate) exit_code: i64,
    pub(crate) records: Vec<Written>,
}

/// What a container wrote: the stream (1 or 2), when (ns since 1970), what.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Written(pub(crate) u8, pub(crate) i64, pub(crate) Vec<u8>);

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Model> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The container that a request names, by id or name.
    pub(crate) fn named(&self, request: &Request) -> Option<Container> {
        let named = request.path.split('/').nth(2)?.to_owned();
        self.lock().containers.iter().find(|c| c.id == named || c.name == named).cloned()
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Container)) {
        if let Some(container) = self.lock().containers.iter_mut().find(|c| c.id == id) {
            change(container);
        }
    }

    fn create(&self, request: &Request) -> Answer {
        let name = request.parameter("name").unwrap_or_default();
        let mut model = self.lock();
        if model.containers.iter().any(|c| c.name == name) {
            return Answer::error(409, "Conflict. The container name is already in use");
        }
        model.made += 1;
        let id = format!("{:08x}{}", model.made, "0".repeat(56));
        let body: Value = request.json().unwrap();
        model.containers.push(Container {
            id: id.clone(),
            name,
            labels: body["Labels"].clone(),
            status: "created",
            ..Container::default()
        });
        Answer::json(201, &json!({"Id": id, "Warnings": []}))
    }

    fn inspect(&self, container: &Container) -> Answer {
        let never = "0001-01-01T00:00:00Z";
        let started = if container.status == "created" { never } else { "2026-11-25T03:36:00Z" };
        let finished = if container.status == "exited" { "2026-11-25T03:36:09Z" } else { never };
        Answer::json(
            200,
            &json!({
                "Id": container.id, "Name": format!("/{}", container.name), "Image": "sha256:1234",
                "State": {
                    "Status": container.status, "Running": container.status == "running",
                    "ExitCode": container.exit_code, "StartedAt": started, "FinishedAt": finished,
                },
                "Config": {"Labels": container.labels, "Tty": self.lock().tty},
            }),
        )
    }

    fn wait(&self, container: &Container) -> Answer {
        let (shared, id) = (self.clone(), container.id.clone());
        let find = move || shared.lock().containers.iter().find(|c| c.id == id).cloned();
        let ended = find.clone();
        Answer::chunked(200).until(move || ended().is_none_or(|c| c.status != "running")).then(move || {
            let code = find().map_or(0, |c| c.exit_code);
            Answer::nothing().chunk(json!({"StatusCode": code, "Error": null}).to_string()).end()
        })
    }

    /// What the container has written, as an Engine sends it.
    fn logs(&self, container: &Container, request: &Request) -> Answer {
        let Model { tty, since_once, .. } = *self.lock();
        let since = since(request);
        let mut begun = false;
        let mut wanted = container.records.clone();
        wanted.retain(|record| {
            begun |= record.1 >= since;
            if since_once { begun } else { record.1 >= since }
        });
        let answer = Answer::chunked(200).and(said(&wanted, tty));
        match is_follow(request) {
            true => {
                let hides_before = if since_once { i64::MIN } else { since };
                self.follow(container.id.clone(), container.records.len(), hides_before, answer)
            }
            false => answer.end(),
        }
    }

    fn follow(&self, id: String, from: usize, hides_before: i64, answer: Answer) -> Answer {
        let shared = self.clone();
        let find = move || shared.lock().containers.iter().find(|c| c.id == id).cloned();
        let (shared, look) = (self.clone(), find.clone());
        let changed = move || look().is_none_or(|c| c.status != "running" || c.records.len() > from);
        answer.until(changed).then(move || match find() {
            Some(c) if c.records.len() > from => {
                let tty = shared.lock().tty;
                let shown: Vec<_> =
                    c.records[from..].iter().filter(|record| record.1 >= hides_before).cloned().collect();
                shared.follow(c.id, c.records.len(), hides_before, said(&shown, tty))
            }
            _ => Answer::nothing().end(),
        })
    }
}

/// Whether a request wants logs as they come.
pub(crate) fn is_follow(request: &Request) -> bool {
    request.parameter("follow").as_deref() == Some("1")
}

/// The moment from which a request wants logs, in ns.
pub(crate) fn since(request: &Request) -> i64 {
    let since = request.parameter("since").unwrap_or_default();
    let Some((seconds, nanos)) = since.split_once('.') else { return 0 };
    seconds.parse::<i64>().unwrap() * 1_000_000_000 + nanos.parse::<i64>().unwrap()
}

/// Records as an Engine sends them with stamps: a chunk each.
fn said(records: &[Written], tty: bool) -> Answer {
    records.iter().fold(Answer::nothing(), |answer, record| answer.chunk(sent(record, tty)))
}

/// A record as an Engine sends it.
pub(crate) fn sent(Written(stream, stamp, bytes): &Written, tty: bool) -> Vec<u8> {
    let stamped = [Stamp::from_nanos(*stamp).to_string().as_bytes(), b" ", bytes].concat();
    if tty { stamped } else { frame(*stream, &stamped) }
}

impl World {
    /// Containers on an Engine of this machine.
    pub(crate) fn new() -> Self {
        Self::on(Scripted::unix().unwrap())
    }

    pub(crate) fn on(scripted: Scripted) -> Self {
        let model = Shared(Arc::default());
        let rule = |pattern, answer: fn(&Shared, &Container, &Request) -> Answer| {
            let model = model.clone();
            scripted.on(pattern, move |request| {
                Some(match model.named(request) {
                    Some(container) => answer(&model, &container, request),
                    None => Answer::error(404, "No such container"),
                })
            });
        };
        rule(START, |model, container, _| {
            model.change(&container.id, |c| c.status = "running");
            Answer::empty(204)
        });
        rule(INSPECT, |model, container, _| model.inspect(container));
        rule(WAIT, |model, container, _| model.wait(container));
        rule(LOGS, |model, container, request| model.logs(container, request));
        rule(REMOVE, |model, container, _| {
            model.lock().containers.retain(|c| c.id != container.id);
            Answer::empty(204)
        });
        scripted.always(IMAGE, || Answer::json(200, &json!({"Id": "sha256:1234"})));
        let shared = model.clone();
        scripted.on(CREATE, move |request| Some(shared.create(request)));
        let shared = model.clone();
        scripted.always(LIST, move || {
            let told = |c: &Container| json!({"Id": c.id, "State": c.status});
            Answer::json(200, &shared.lock().containers.iter().map(told).collect::<Value>())
        });
        let (shared, poker) = (model.clone(), scripted.poker());
        scripted.on(STOP, move |request| {
            let container = shared.named(request)?;
            shared.change(&container.id, |c| (c.status, c.exit_code) = ("exited", 137));
            poker.poke();
            Some(Answer::empty(204))
        });
        Self { scripted, model }
    }

    pub(crate) fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock()
    }

    /// What rules of a test need.
    pub(crate) fn shared(&self) -> Shared {
        self.model.clone()
    }

    /// A driver with short pauses.
    pub(crate) fn driver(&self) -> Driver {
        self.driver_with(quick())
    }

    pub(crate) fn driver_with(&self, config: DriverConfig) -> Driver {
        Driver::new(self.scripted.engine(), config)
    }

    /// A rule that leaves so many requests to the older rules, and then holds for as many as there are answers.
    pub(crate) fn later(&self, pattern: &'static str, mut skip: usize, answers: impl IntoIterator<Item = Answer>) {
        let mut answers: std::collections::VecDeque<_> = answers.into_iter().collect();
        self.scripted.on(pattern, move |_| match skip {
            0 => answers.pop_front(),
            _ => {
                skip -= 1;
                None
            }
        });
    }

    /// The only container there is.
    #[track_caller]
    pub(crate) fn only(&self) -> Container {
        let containers = &self.model().containers;
        assert_eq!(containers.len(), 1);
        containers[0].clone()
    }

    /// The only container writes.
    pub(crate) fn write(&self, records: impl IntoIterator<Item = Written>) {
        self.model().containers[0].records.extend(records);
        self.scripted.poker().poke();
    }

    /// The only container ends, by itself.
    pub(crate) fn exit(&self, code: i64) {
        let id = self.only().id;
        self.model.change(&id, |c| (c.status, c.exit_code) = ("exited", code));
        self.scripted.poker().poke();
    }
}

/// A configuration for tests: nothing waits long.
pub(crate) fn quick() -> DriverConfig {
    DriverConfig {
        wait_backoff: Duration::from_millis(2),
        wait_backoff_limit: Duration::from_millis(20),
        inspect_timeout: Duration::from_millis(500),
        create_grace: Duration::from_millis(600),
        ..DriverConfig::default()
    }
}

/// A task.
pub(crate) fn task() -> TaskConfig {
    TaskConfig {
        id: TaskId::new(unique("task")),
        name: "task".into(),
        options: json!({"image": "image:1", "command": "run", "network_mode": "none"}),
        resources: Some(Resources {
            nomad: NomadResources { cpu_shares: 100, memory_mb: 64, ..NomadResources::default() },
            ..Resources::default()
        }),
        ..TaskConfig::default()
    }
}

/// Starts a task.
#[track_caller]
pub(crate) fn started(driver: &Driver, sinks: Vec<Box<dyn Sink>>) -> TaskId {
    let task = task();
    let id = task.id.clone();
    driver.start_task_with(task, sinks).unwrap();
    id
}

/// Waits for a task's end.
#[track_caller]
pub(crate) fn exit_of(driver: &Driver, id: &TaskId) -> ExitResult {
    driver.wait_task(id).unwrap().recv_timeout(PATIENCE).expect("the task has not ended in time")
}

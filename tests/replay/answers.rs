//! Every answer of `fixtures/answers` against the type of its endpoint: that it is read, that nothing of it is lost unknowingly, that nulls
//! and missing fields do no harm; and every error answer against the text that is made of it.

use std::collections::BTreeSet;
use std::path::Path;

use longshore::engine::types::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// An endpoint's answer, by the label of its request, and how it is read.
struct Typed {
    label: &'static str,
    name: fn() -> &'static str,
    /// Reads a document and writes what it understood.
    reread: fn(&str) -> serde_json::Result<Value>,
    lines: bool,
}

/// The answer is one document.
const fn whole<T: DeserializeOwned + Serialize>(label: &'static str) -> Typed {
    Typed { label, name: std::any::type_name::<T>, reread: reread::<T>, lines: false }
}

/// The answer is a line for each document.
const fn lines<T: DeserializeOwned + Serialize>(label: &'static str) -> Typed {
    Typed { lines: true, ..whole::<T>(label) }
}

/// Which type an answer has. Several engines may say it in several forms.
const TYPED: &[Typed] = &[
    whole::<Version>("version"),
    whole::<Version>("version V"),
    whole::<Version>("version at v1.12"),
    whole::<Version>("version at v1.18"),
    whole::<Version>("version at v1.23"),
    whole::<Version>("version at v1.24"),
    whole::<Version>("version at v1.30"),
    whole::<Version>("version at v1.40"),
    whole::<Version>("version at v1.41"),
    whole::<Version>("version at v1.43"),
    whole::<Version>("version at v1.44"),
    whole::<Version>("version at v1.45"),
    whole::<Version>("version at v1.51"),
    whole::<Version>("version at v1.52"),
    whole::<Version>("version at v1.99"),
    whole::<Version>("version at v9.0"),
    whole::<SystemInfo>("info"),
    lines::<Progress>("image import"),
    lines::<Progress>("image import tag param"),
    lines::<Progress>("image load"),
    lines::<Progress>("image load garbage"),
    lines::<Progress>("image load quiet"),
    lines::<Progress>("image pull refused"),
    lines::<Progress>("image pull nodns"),
    lines::<Progress>("image push refused"),
    lines::<Progress>("build"),
    lines::<Progress>("build fails"),
    whole::<List<ImageSummary>>("images list"),
    whole::<List<ImageSummary>>("images list filter ref"),
    whole::<ImageInspect>("image inspect"),
    whole::<ImageInspect>("image inspect tag param"),
    whole::<List<ImageRemoved>>("image delete tag"),
    whole::<List<ImageHistoryItem>>("image history"),
    whole::<ImagesPruned>("images prune"),
    whole::<ContainerCreated>("create c1"),
    whole::<ContainerCreated>("create bad"),
    whole::<ContainerCreated>("create run"),
    whole::<ContainerCreated>("create att"),
    whole::<ContainerCreated>("create att2"),
    whole::<ContainerCreated>("create tty"),
    whole::<ContainerCreated>("create fl"),
    whole::<ContainerCreated>("create auto"),
    whole::<ContainerCreated>("create nc"),
    whole::<ContainerInspect>("inspect created"),
    whole::<ContainerInspect>("inspect exited"),
    whole::<ContainerInspect>("inspect failed start"),
    whole::<ContainerInspect>("inspect running"),
    whole::<ContainerState>("paused state"),
    whole::<WaitResult>("wait next-exit body"),
    whole::<WaitResult>("wait (not-running) exited"),
    whole::<WaitResult>("wait removed body"),
    whole::<List<ContainerSummary>>("list"),
    whole::<List<ContainerSummary>>("list all size"),
    whole::<List<ContainerSummary>>("list old-map filter"),
    whole::<Stats>("stats one-shot"),
    whole::<Stats>("stats no-stream"),
    whole::<Stats>("stats exited"),
    lines::<Stats>("stats stream"),
    whole::<ExecCreated>("exec create"),
    whole::<ExecCreated>("exec create stdin"),
    whole::<ExecCreated>("exec create tty"),
    whole::<ExecCreated>("exec create detach"),
    whole::<ExecCreated>("exec create nosuch cmd"),
    whole::<ExecInspect>("exec inspect before"),
    whole::<ExecInspect>("exec inspect after"),
    whole::<ExecInspect>("exec inspect running"),
    whole::<ExecInspect>("exec inspect nosuch cmd"),
    whole::<List<Network>>("networks"),
    whole::<Network>("network inspect"),
    whole::<NetworkCreated>("network create"),
    whole::<VolumeList>("volumes empty"),
    whole::<VolumeList>("volumes"),
    whole::<Volume>("volume create"),
    whole::<Volume>("volume create again"),
    whole::<Volume>("volume create anon"),
    whole::<Volume>("volume inspect"),
    lines::<Event>("events window"),
];

/// Answers of endpoints that have no type: nobody calls them.
const UNTYPED: &[&str] = &[
    "containers prune",
    "networks prune",
    "volumes prune",
    "build cache prune",
    "system df",
    "top",
    "top exited",
    "top aux",
    "changes",
    "update",
    "update restart",
    "update restart no",
    "commit",
    "secrets",
    "plugins",
];

/// What the types leave out on purpose: (type, path), with all that is below it.
const LEFT_OUT: &[(&str, &str)] = &[
    // Repeats what `Networks` says of the default bridge; gone from newer Engines.
    ("ContainerInspect", "NetworkSettings.EndpointID"),
    ("ContainerInspect", "NetworkSettings.Gateway"),
    ("ContainerInspect", "NetworkSettings.IPAddress"),
    ("ContainerInspect", "NetworkSettings.IPPrefixLen"),
    ("ContainerInspect", "NetworkSettings.MacAddress"),
    // Fields of podman's own structures that slip into its Docker answers, without meaning.
    ("ContainerSummary", "[].AdjustCPUShares"),
    ("ContainerSummary", "[].DefaultReadOnlyNonRecursive"),
    ("ContainerSummary", "[].Name"),
    ("ImageSummary", "[].Digest"),
    ("ImageSummary", "[].History[]"),
    ("ImageSummary", "[].Names[]"),
    // Repeats `Action`, `Actor`; gone from newer Engines.
    ("Event", "status"),
    ("Event", "id"),
    ("Event", "from"),
    // The old builder's intermediate container.
    ("ImageInspect", "Container"),
    ("ImageInspect", "ContainerConfig"),
    // They may hold passwords.
    ("SystemInfo", "HttpProxy"),
    ("SystemInfo", "HttpsProxy"),
    ("SystemInfo", "NoProxy"),
    // For people who look after Engines.
    ("SystemInfo", "Containerd"),
    ("SystemInfo", "ContainerdCommit"),
    ("SystemInfo", "FirewallBackend"),
    ("SystemInfo", "InitCommit"),
    ("SystemInfo", "NEventsListener"),
    ("SystemInfo", "NFd"),
    ("SystemInfo", "NGoroutines"),
    ("SystemInfo", "RuncCommit"),
    // podman's own.
    ("SystemInfo", "BuildahVersion"),
    ("SystemInfo", "CPURealtimePeriod"),
    ("SystemInfo", "CPURealtimeRuntime"),
    ("SystemInfo", "ProductLicense"),
    ("SystemInfo", "SwapFree"),
    ("SystemInfo", "SwapTotal"),
    ("SystemInfo", "Uptime"),
    // podman's error with status 200: no sample.
    ("Stats", "cause"),
    ("Stats", "message"),
    ("Stats", "response"),
];

/// Objects whose names are data, so that a new one is not an unknown field.
const MAPS: &[&str] = &[
    "/Labels",
    "/GraphDriver/Data",
    "/Details",
    "/LogConfig/Config",
    "/PortBindings",
    "/Ports",
    "/Networks",
    "/Annotations",
    "/Attributes",
    "/Options",
    "/Runtimes",
    "/status",
    "/IndexConfigs",
    "/networks",
    "/memory_stats/stats",
];

#[test]
fn every_json_answer_has_a_type_or_is_known_to_have_none() {
    let mut unused: BTreeSet<&str> = TYPED.iter().map(|row| row.label).chain(UNTYPED.iter().copied()).collect();
    assert_eq!(unused.len(), TYPED.len() + UNTYPED.len(), "a label stands twice in the tables");
    for answer in answers() {
        let known = unused.remove(answer.label.as_str())
            || UNTYPED.contains(&answer.label.as_str())
            || TYPED.iter().any(|row| row.label == answer.label);
        assert!(known || !answer.is_json_success(), "{answer}: which type has it?");
    }
    assert!(unused.is_empty(), "no answer bears these labels: {unused:?}");
}

#[test]
fn every_answer_is_read_and_nothing_is_lost_unknowingly() {
    let mut left_out: BTreeSet<(&str, &str)> = LEFT_OUT.iter().copied().collect();
    let mut lost = BTreeSet::new();
    for (answer, row, document) in documents() {
        let understood = (row.reread)(&document).unwrap_or_else(|error| panic!("{answer}: {error}\n{document}"));
        let original = serde_json::from_str(&document).unwrap();
        let kind = short((row.name)());
        for path in differences(&original, &understood) {
            let below = |row: &&(&str, &str)| {
                row.0 == kind && path.strip_prefix(row.1).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            match LEFT_OUT.iter().find(below) {
                Some(row) => drop(left_out.remove(row)),
                None => drop(lost.insert(format!("(\"{kind}\", \"{path}\"), // {answer}"))),
            }
        }
    }
    assert!(lost.is_empty(), "these get lost:\n{}", lost.into_iter().collect::<Vec<_>>().join("\n"));
    assert!(left_out.is_empty(), "no answer has these any more: {left_out:?}");
}

#[test]
fn nulls_missing_and_unknown_fields_do_no_harm() {
    let mut tried = BTreeSet::new();
    for (answer, row, document) in documents() {
        let original: Value = serde_json::from_str(&document).unwrap();
        for path in paths(&original) {
            let (parent, last) = path.rsplit_once('/').unwrap();
            if parent.ends_with("/ConsoleSize") {
                continue; // a pair, not a list: two numbers or none
            }
            let is_map = MAPS.iter().any(|map| parent.ends_with(map));
            for (what, change) in [("null", nulled as fn(&mut Value, &str)), ("missing", removed), ("unknown", joined)]
            {
                // Once for each place in a type is enough.
                let place: String =
                    path.split('/').map(|name| if name.parse::<usize>().is_ok() { "/#" } else { name }).collect();
                if (what == "unknown" && is_map) || !tried.insert(((row.name)(), what, place)) {
                    continue;
                }
                let mut changed = original.clone();
                change(changed.pointer_mut(parent).unwrap(), &last.replace("~1", "/").replace("~0", "~"));
                if let Err(error) = (row.reread)(&changed.to_string()) {
                    panic!("{answer}: {what} at {path}: {error}");
                }
            }
        }
    }
    assert!(tried.len() > 1_000, "only {}", tried.len());
}

#[test]
fn answers_mean_what_they_say() {
    for engine in ENGINES {
        let podman = engine.starts_with("podman");

        for answer in answers().filter(|answer| answer.engine == engine && answer.label == "version") {
            let version: Version = read(engine, "version");
            assert_eq!(Some(version.api_version), answer.api_version, "{engine}");
            assert_eq!(version.components[0].name, if podman { "Podman Engine" } else { "Engine" }, "{engine}");
        }

        let running: ContainerInspect = read(engine, "inspect running");
        assert_eq!((running.name.as_str(), running.state.status.as_str()), ("/run", "running"), "{engine}");
        assert!(running.state.running && running.state.pid > 0 && !running.state.oom_killed, "{engine}");
        assert_eq!(running.host_config.memory, 64 << 20, "{engine}");
        assert_eq!(running.host_config.memory_swap, 128 << 20, "{engine}");
        assert_eq!(running.host_config.memory_swappiness, if podman { Some(-1) } else { None }, "{engine}");
        assert_eq!(running.host_config.log_config.kind, "json-file", "{engine}");
        assert_eq!(running.config.healthcheck.as_ref().map(|check| check.interval), Some(1_000_000_000), "{engine}");
        assert!(running.config.exposed_ports.0.contains("80/tcp"), "{engine}");
        assert!(!running.network_settings.ports["80/tcp"][0].host_port.is_empty(), "{engine}");
        let network = &running.network_settings.networks[if podman { "podman" } else { "bridge" }];
        assert!(!network.ip_address.is_empty() && network.ip_prefix_len == 16, "{engine}: {network:?}");
        assert!(running.state.health.is_some(), "{engine}");

        let exited: ContainerInspect = read(engine, "inspect exited");
        assert_eq!((exited.state.status.as_str(), exited.state.exit_code), ("exited", Some(5)), "{engine}");
        assert_eq!(exited.config.labels["probe"], "1", "{engine}");

        for (label, code) in [
            ("wait next-exit body", 5),
            ("wait (not-running) exited", 5),
            ("wait removed body", if engine == "podman-4.3" { 0 } else { 9 }),
        ] {
            assert_eq!(
                read::<WaitResult>(engine, label),
                WaitResult { status_code: code, error: None },
                "{engine} {label}"
            );
        }

        assert_eq!(read::<ContainerCreated>(engine, "create run").id, running.id, "{engine}");
        let List(list): List<ContainerSummary> = read(engine, "list");
        assert_eq!((list[0].names[0].as_str(), list[0].state.as_str()), ("/run", "running"), "{engine}");
        assert_eq!((list[0].ports[0].private_port, list[0].ports[0].public_port > 0), (80, true), "{engine}");

        let sample: Stats = read(engine, "stats one-shot");
        assert!(sample.is_sample() && sample.pids_stats.current > 0 && sample.cpu_stats.online_cpus == 2, "{engine}");
        assert_eq!(sample.memory_stats.limit, 64 << 20, "{engine}");
        assert_eq!(sample.networks.len(), 1, "{engine}");
        if engine != "podman-4.3" {
            assert!(!read::<Stats>(engine, "stats exited").is_sample(), "{engine}: nothing runs there");
        }

        let image: ImageInspect = read(engine, "image inspect");
        assert_eq!((image.config.cmd, image.architecture.as_str()), (vec!["sh".into()], "amd64"), "{engine}");
        assert_eq!(read::<ExecInspect>(engine, "exec inspect after").exit_code, Some(3), "{engine}");
        assert_eq!(read::<ExecInspect>(engine, "exec inspect running").exit_code, podman.then_some(0), "{engine}");
        assert_eq!(read::<Network>(engine, "network inspect").ipam.config.len(), 1, "{engine}");
        if !podman {
            let failure = read::<Progress>(engine, "image load garbage");
            assert!(failure.failure().is_some_and(|text| text.contains("invalid tar header")), "{engine}: {failure:?}");
        }
    }
    assert!(read::<Progress>("podman-4.3", "image pull refused").failure().is_some());
}

#[test]
fn every_error_answer_has_a_text() {
    let mut seen = 0;
    for answer in answers().filter(|answer| answer.status >= 400) {
        let (kind, body) = answer.error_body();
        let body = if answer.is_cut() { made_of(answer.shape.as_ref().unwrap()).to_string() } else { body };
        let text = error_message(body.as_bytes(), kind.as_deref());
        // An Engine's own words may hold braces; none of these answers' do.
        for noise in ["{", "}", "\"message\"", "\"cause\"", "\"response\""] {
            assert!(!text.contains(noise), "{answer}: {text}");
        }
        assert!(!text.is_empty() && text.trim() == text, "{answer}: {text:?}");
        assert_eq!(text == "no reason given", body.is_empty(), "{answer}: {text}");
        seen += 1;
    }
    assert!(seen > 300, "only {seen}");
    for (engine, label, want) in [
        (
            "docker-28.5",
            "version at v1.12",
            "client version 1.12 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version",
        ),
        ("docker-20.10", "attach 404", "No such container: nosuch"),
        ("podman-5.8", "attach 404", "no container with name or ID \"nosuch\" found: no such container"),
        ("podman-4.3", "wrong method", "Method Not Allowed"),
        ("podman-5.4", "plugins", "Path /v1.41/plugins is not supported"),
        ("podman-4.3", "archive HEAD 404", "no reason given"),
    ] {
        let answer = answers().find(|answer| answer.engine == engine && answer.label == label).unwrap();
        let (kind, body) = answer.error_body();
        assert_eq!(error_message(body.as_bytes(), kind.as_deref()), want, "{answer}");
    }
}

const ENGINES: [&str; 6] = ["docker-20.10", "docker-26.1", "docker-28.5", "podman-4.3", "podman-5.4", "podman-5.8"];

/// An answer as it was recorded; see `fixtures/answers/README.md`.
#[derive(Deserialize)]
struct Answer {
    #[serde(skip)]
    engine: &'static str,
    label: String,
    status: u16,
    ct: Option<String>,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    body: String,
    raw: Option<String>,
    shape: Option<Value>,
    #[serde(rename = "api-version")]
    api_version: Option<String>,
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {}", self.engine, self.label)
    }
}

impl Answer {
    /// Whether it is a success with a JSON body. Status 0: a piece of a success.
    fn is_json_success(&self) -> bool {
        let success = self.status == 0 || (200..300).contains(&self.status);
        let json = self.kind.starts_with("json") || (self.kind.is_empty() && !self.body.is_empty());
        success && json
    }

    /// Whether the recorder cut its JSON.
    fn is_cut(&self) -> bool {
        self.kind == "json" && serde_json::from_str::<Value>(&self.body).is_err()
    }

    /// Content-Type and body, out of the head where it was taped with it.
    fn error_body(&self) -> (Option<String>, String) {
        let Some(raw) = &self.raw else { return (self.ct.clone(), self.body.clone()) };
        let (head, body) = raw.split_once("\r\n\r\n").unwrap();
        let kind = head.lines().find_map(|line| line.strip_prefix("Content-Type: "));
        (kind.map(str::to_owned), body.to_owned())
    }

    /// The JSON documents that it consists of. One that was cut is closed behind its last whole value, and the shape of it is made a document.
    fn documents(&self, row: &Typed) -> Vec<String> {
        let body = if self.body.ends_with("\r\n0\r\n\r\n") {
            self.body.lines().nth(1).unwrap() // in its only chunk
        } else {
            &self.body
        };
        let parts = if row.lines { body.lines().collect() } else { vec![body] };
        let mut documents: Vec<String> = parts.into_iter().filter(|part| !part.trim().is_empty()).map(closed).collect();
        if self.is_cut() {
            documents.push(
                made_of(self.shape.as_ref().unwrap_or_else(|| panic!("{self}: cut, and without a shape"))).to_string(),
            );
        }
        documents
    }
}

/// Every answer of every Engine.
fn answers() -> impl Iterator<Item = Answer> {
    ENGINES.into_iter().flat_map(|engine| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/answers/{engine}.json"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let answers: Vec<Answer> = serde_json::from_str(&text).unwrap();
        answers.into_iter().map(move |answer| Answer { engine, ..answer })
    })
}

/// Every document that has a type, with the name of its answer.
fn documents() -> impl Iterator<Item = (String, &'static Typed, String)> {
    answers().filter(Answer::is_json_success).flat_map(|answer| {
        let row = TYPED.iter().find(|row| row.label == answer.label);
        let documents = row.map(|row| answer.documents(row)).unwrap_or_default();
        assert!(row.is_none() || !documents.is_empty(), "{answer}: no document");
        documents.into_iter().map(|document| (answer.to_string(), row.unwrap(), document)).collect::<Vec<_>>()
    })
}

/// The first answer with a label, as its type.
fn read<T: DeserializeOwned>(engine: &str, label: &str) -> T {
    let row = TYPED.iter().find(|row| row.label == label).unwrap();
    let answer = answers().find(|answer| answer.engine == engine && answer.label == label).unwrap();
    serde_json::from_str(&answer.documents(row)[0]).unwrap_or_else(|error| panic!("{answer}: {error}"))
}

fn reread<T: DeserializeOwned + Serialize>(document: &str) -> serde_json::Result<Value> {
    serde_json::to_value(serde_json::from_str::<T>(document)?)
}

/// A type's name without its path.
fn short(name: &'static str) -> &'static str {
    name.rsplit("::").next().unwrap().trim_end_matches('>')
}

/// JSON that may have been cut, closed behind its last whole value.
fn closed(text: &str) -> String {
    if serde_json::from_str::<Value>(text).is_ok() {
        return text.to_owned();
    }
    let (mut open, mut good, mut in_string, mut escaped) = (Vec::new(), (0, Vec::new()), false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                open.push(if byte == b'{' { '}' } else { ']' });
                good = (at + 1, open.clone());
            }
            b'}' | b']' => {
                open.pop();
            }
            b',' => good = (at, open.clone()),
            _ => {}
        }
    }
    text[..good.0].chars().chain(good.1.into_iter().rev()).collect()
}

/// A document of a shape.
fn made_of(shape: &Value) -> Value {
    match shape {
        Value::Object(fields) => fields.iter().map(|(name, shape)| (name.clone(), made_of(shape))).collect(),
        Value::Array(elements) => elements.iter().map(made_of).collect(),
        Value::String(kind) => match kind.as_str() {
            "str" => json!("x"),
            "int" => json!(1),
            "float" => json!(1.5),
            "bool" => json!(true),
            "NoneType" => json!(null),
            "dict" => json!({}),
            "list" => json!([]),
            other => panic!("what is a {other}?"),
        },
        other => panic!("a shape of {other}"),
    }
}

/// Where the second of two documents lacks what the first has. What is empty, zero or false may be lacking.
fn differences(original: &Value, understood: &Value) -> Vec<String> {
    fn compare(path: String, original: &Value, understood: &Value, into: &mut Vec<String>) {
        match (original, understood) {
            (Value::Object(fields), _) => fields.iter().for_each(|(name, value)| {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                compare(path, value, understood.get(name).unwrap_or(&Value::Null), into);
            }),
            (Value::Array(values), _) => values.iter().enumerate().for_each(|(at, value)| {
                compare(format!("{path}[]"), value, understood.get(at).unwrap_or(&Value::Null), into);
            }),
            (_, Value::Null) if [json!(null), json!(false), json!(0), json!("")].contains(original) => {}
            _ if original == understood => {}
            _ => into.push(path),
        }
    }
    let mut found = Vec::new();
    compare(String::new(), original, understood, &mut found);
    found
}

/// The JSON pointers of all that is in a document.
fn paths(document: &Value) -> Vec<String> {
    let children: Vec<(String, &Value)> = match document {
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Value::Array(values) => values.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    let below = |(name, value): (String, &Value)| {
        std::iter::once(String::new()).chain(paths(value)).map(|path| format!("/{name}{path}")).collect::<Vec<_>>()
    };
    children.into_iter().flat_map(below).collect()
}

fn nulled(parent: &mut Value, name: &str) {
    match parent {
        Value::Array(values) => values[name.parse::<usize>().unwrap()] = Value::Null,
        _ => parent[name] = Value::Null,
    }
}

fn removed(parent: &mut Value, name: &str) {
    match parent {
        Value::Array(values) => drop(values.remove(name.parse().unwrap())),
        _ => drop(parent.as_object_mut().unwrap().remove(name)),
    }
}

fn joined(parent: &mut Value, _: &str) {
    if let Value::Object(fields) = parent {
        fields.insert("Some Thing New".into(), json!({"of": ["a", "later", 1.5, {}]}));
    }
}

//! What a task is told of itself and of the machine: the `NOMAD_*` environment, and what `${node.…}` and `${attr.…}` mean.
//! Pure: the machine's facts are given. Ports have no part in it yet.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::job::{Group, Job, Task, interpolate::interpolate};

use super::machine::Machine;

/// Nomad's names where a job says nothing else.
const DATACENTER: &str = "dc1";
const NAMESPACE: &str = "default";
const REGION: &str = "global";

/// Which task of which allocation is meant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// The job.
    pub job: &'a Job,
    /// The group.
    pub group: &'a Group,
    /// The task.
    pub task: &'a Task,
    /// The allocation's id.
    pub alloc_id: &'a str,
    /// The allocation's number within its group, from 0.
    pub index: u32,
}

/// What names mean when a task is placed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Values {
    /// The task's environment.
    pub env: BTreeMap<String, String>,
    /// `node.…` and `attr.…`.
    pub node: BTreeMap<String, String>,
}

impl Values {
    /// What `name` means, as it stands between `${` and `}`: `NOMAD_TASK_NAME`, `env["HOME"]`, `attr.cpu.arch`.
    pub(super) fn lookup(&self, name: &str) -> Option<String> {
        let name = dotted(name);
        match name.strip_prefix("env.") {
            Some(variable) => self.env.get(variable),
            None => self.env.get(&name).or_else(|| self.node.get(&name)),
        }
        .cloned()
    }
}

/// The environment of a task and what else its names may mean, and the names that mean nothing, in the order in which they were met.
/// Variables of a task may use each other; those that go round in a circle mean nothing.
pub(super) fn values(place: &Place<'_>, machine: &Machine) -> (Values, Vec<String>) {
    let mut values = Values { env: own_variables(place), node: node(place.job, machine) };
    let mut unknown = Vec::new();
    for (key, value) in meta(place) {
        let value = resolve(&value, &|name| values.lookup(name), &mut unknown);
        let clean = variable_name(&key);
        // In both spellings, as Nomad does; the job's own spelling wins where they meet.
        values.env.entry(format!("NOMAD_META_{}", clean.to_uppercase())).or_insert_with(|| value.clone());
        values.env.insert(format!("NOMAD_META_{clean}"), value);
    }
    let variables =
        Variables { raw: &place.task.env, given: &values, unknown: RefCell::default(), open: RefCell::default() };
    let env: Vec<_> =
        place.task.env.keys().map(|key| (key.clone(), variables.value(key).unwrap_or_default())).collect();
    for name in variables.unknown.into_inner() {
        note(&mut unknown, name);
    }
    values.env.extend(env);
    (values, unknown)
}

/// Replaces the names in a text. Those without a value stay as written and are added to `unknown`, each once.
pub(super) fn resolve(text: &str, lookup: &dyn Fn(&str) -> Option<String>, unknown: &mut Vec<String>) -> String {
    let (text, names) = interpolate(text, lookup);
    for name in names {
        note(unknown, name);
    }
    text
}

fn note(unknown: &mut Vec<String>, name: String) {
    if !unknown.contains(&name) {
        unknown.push(name);
    }
}

/// A task's own variables, each resolved when it is asked for.
struct Variables<'a> {
    raw: &'a BTreeMap<String, String>,
    given: &'a Values,
    unknown: RefCell<Vec<String>>,
    /// Those whose value is being made: a name met in here goes round in a circle.
    open: RefCell<BTreeSet<String>>,
}

impl Variables<'_> {
    fn value(&self, key: &str) -> Option<String> {
        let raw = self.raw.get(key)?;
        if !self.open.borrow_mut().insert(key.to_owned()) {
            return None;
        }
        let mut unknown = Vec::new();
        let value = resolve(raw, &|name| self.lookup(name), &mut unknown);
        self.open.borrow_mut().remove(key);
        let mut all = self.unknown.borrow_mut();
        for name in unknown {
            note(&mut all, name);
        }
        Some(value)
    }

    /// A variable that takes up its own name means the one that was given: `NOMAD_DC = "${NOMAD_DC}-x"`.
    fn lookup(&self, name: &str) -> Option<String> {
        let plain = dotted(name);
        let key = plain.strip_prefix("env.").unwrap_or(&plain);
        self.value(key).or_else(|| self.given.lookup(name))
    }
}

/// The `NOMAD_*` variables that do not depend on what the job writes.
fn own_variables(place: &Place<'_>) -> BTreeMap<String, String> {
    let Place { job, group, task, alloc_id, index } = *place;
    let mut env: BTreeMap<String, String> = [
        ("NOMAD_ALLOC_DIR", "/alloc".to_owned()),
        ("NOMAD_TASK_DIR", "/local".into()),
        ("NOMAD_SECRETS_DIR", "/secrets".into()),
        ("NOMAD_ALLOC_ID", alloc_id.into()),
        ("NOMAD_SHORT_ALLOC_ID", alloc_id.chars().take(8).collect()),
        ("NOMAD_ALLOC_NAME", alloc_name(&job.id, &group.name, index)),
        ("NOMAD_ALLOC_INDEX", index.to_string()),
        ("NOMAD_TASK_NAME", task.name.clone()),
        ("NOMAD_GROUP_NAME", group.name.clone()),
        ("NOMAD_JOB_ID", job.id.clone()),
        ("NOMAD_JOB_NAME", job.name.clone()),
        ("NOMAD_NAMESPACE", or(&job.namespace, NAMESPACE)),
        ("NOMAD_REGION", or(&job.region, REGION)),
        ("NOMAD_DC", datacenter(job)),
        ("NOMAD_CPU_LIMIT", task.resources.cpu.to_string()),
        ("NOMAD_MEMORY_LIMIT", task.resources.memory.to_string()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    // Left out where a job sets none, as Nomad does. -1 is "no limit".
    if task.resources.memory_max != 0 {
        env.insert("NOMAD_MEMORY_MAX_LIMIT".into(), task.resources.memory_max.to_string());
    }
    env
}

/// What an allocation is called: `<job>.<group>[<index>]`.
pub(super) fn alloc_name(job_id: &str, group: &str, index: u32) -> String {
    format!("{job_id}.{group}[{index}]")
}

/// The datacenter: the first that the job names, if it is a name and no pattern.
pub(super) fn datacenter(job: &Job) -> String {
    let name = job.datacenters.first().filter(|name| !name.contains(['*', '?', '[']));
    or(name.map_or("", String::as_str), DATACENTER)
}

/// The job's namespace.
pub(super) fn namespace(job: &Job) -> String {
    or(&job.namespace, NAMESPACE)
}

fn node(job: &Job, machine: &Machine) -> BTreeMap<String, String> {
    let known = [
        ("node.unique.name", machine.hostname.clone()),
        ("node.unique.id", machine.id.clone()),
        ("node.datacenter", datacenter(job)),
        ("node.region", or(&job.region, REGION)),
        ("node.pool", "default".into()),
        ("attr.kernel.name", machine.kernel_name.clone()),
        ("attr.kernel.version", machine.kernel_version.clone()),
        ("attr.os.name", machine.os_name.clone()),
        ("attr.os.version", machine.os_version.clone()),
        ("attr.cpu.arch", machine.arch.clone()),
        ("attr.cpu.numcores", number(machine.cores)),
        ("attr.cpu.totalcompute", number(machine.total_compute_mhz)),
        ("attr.memory.totalbytes", number(machine.memory_bytes)),
        ("attr.unique.hostname", machine.hostname.clone()),
        ("attr.unique.network.ip-address", machine.address.clone()),
    ];
    // What is not known of a machine is no value: the name is then named in a notice, and not replaced by nothing.
    let known = known.into_iter().filter(|(_, value)| !value.is_empty());
    // A class is always a value: most machines of a cluster have the empty one.
    known.chain([("node.class", String::new())]).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The meta of job, group and task; the inner wins.
fn meta(place: &Place<'_>) -> BTreeMap<String, String> {
    let all = [&place.job.meta, &place.group.meta, &place.task.meta];
    all.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// `env["X"]` and `attr["a.b"]` as `env.X` and `attr.a.b`.
fn dotted(name: &str) -> String {
    let name = name.trim();
    match name.split_once('[').zip(name.strip_suffix(']')) {
        Some(((root, _), open)) => {
            let key = open[root.len() + 1..].trim().trim_matches('"');
            format!("{}.{key}", root.trim())
        }
        None => name.to_owned(),
    }
}

/// A name that a shell takes as a variable's: everything else becomes `_`.
fn variable_name(key: &str) -> String {
    let clean: String = key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    // The name goes behind a prefix, so that a digit may stand first.
    clean
}

fn or(value: &str, default: &str) -> String {
    if value.is_empty() { default } else { value }.to_owned()
}

fn number(value: u64) -> String {
    if value == 0 { String::new() } else { value.to_string() }
}

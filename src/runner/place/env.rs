//! What a task is told of itself and of the machine: the `NOMAD_*` environment, and what `${node.…}` and `${attr.…}` mean.
//! Pure: the machine's facts are given. Ports have no part in it yet.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::job::{Group, Job, Task, interpolate::interpolate};

use crate::runner::place::machine::Machine;

/// Nomad's names where a job says nothing else.
const DATACENTER: &str = "dc1";
const NAMESPACE: &str = "default";
const REGION: &str = "global";

/// Which task of which allocation is meant.
#[derive(Debug, Clone, Copy)]
pub(in crate::runner) struct Place<'a> {
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
pub(in crate::runner) struct Values {
    /// The task's environment.
    pub env: BTreeMap<String, String>,
    /// `node.…` and `attr.…`.
    pub node: BTreeMap<String, String>,
}

impl Values {
    /// What `name` means: a variable's name, or one with dots such as `attr.cpu.arch`.
    pub(in crate::runner) fn lookup(&self, name: &str) -> Option<String> {
        self.env.get(name).or_else(|| self.node.get(name)).cloned()
    }
}

/// The environment of a task and what else its names may mean, and the names that mean nothing, in the order in which they were met.
/// Variables of a task may use each other; those that go round in a circle mean nothing.
pub(in crate::runner) fn values(place: &Place<'_>, machine: &Machine) -> (Values, Vec<String>) {
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
pub(in crate::runner) fn resolve(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    unknown: &mut Vec<String>,
) -> String {
    let (text, names) = interpolate(text, lookup);
    for name in names {
        note(unknown, name);
    }
    text
}

/// Adds a name, once.
pub(in crate::runner) fn note(unknown: &mut Vec<String>, name: String) {
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
        self.value(name).or_else(|| self.given.lookup(name))
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
pub(in crate::runner) fn alloc_name(job_id: &str, group: &str, index: u32) -> String {
    format!("{job_id}.{group}[{index}]")
}

/// The datacenter: the first that the job names, if it is a name and no pattern.
pub(in crate::runner) fn datacenter(job: &Job) -> String {
    let name = job.datacenters.first().filter(|name| !name.contains(['*', '?', '[']));
    or(name.map_or("", String::as_str), DATACENTER)
}

/// The job's namespace.
pub(in crate::runner) fn namespace(job: &Job) -> String {
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

/// A name that a shell takes as a variable's: everything else becomes `_`.
fn variable_name(key: &str) -> String {
    // It goes behind a prefix, so that a digit may stand first.
    key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

fn or(value: &str, default: &str) -> String {
    if value.is_empty() { default } else { value }.to_owned()
}

fn number(value: u64) -> String {
    if value == 0 { String::new() } else { value.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job;

    const JOB: &str = r#"
job "shop" {
  datacenters = ["*"]
  meta = { owner = "ops", "a-b" = "job" }
  group "web" {
    meta { owner = "team" }
    task "nginx" {
      driver = "docker"
      config { image = "x" }
      meta { Tier = "${NOMAD_GROUP_NAME}" }
      env {
        WHO = "${NOMAD_JOB_NAME}/${NOMAD_TASK_NAME}[${NOMAD_ALLOC_INDEX}]"
        ARCH = "${attr.cpu.arch} on ${node.unique.name}"
        URL = "http://${HOST}:${env["PORT"]}"
        HOST = "h-${NOMAD_SHORT_ALLOC_ID}"
        PORT = "80"
        NOMAD_DC = "${NOMAD_DC}-x"
        A = "a${B}"
        B = "b${A}"
        NONE = "${attr.none} ${NOMAD_PORT_http}"
        META = "${NOMAD_META_owner}"
        LITERAL = "$$${HOST}"
      }
      resources {
        cpu = 250
        memory = 64
      }
    }
  }
}"#;

    fn machine() -> Machine {
        Machine { id: "n1".into(), hostname: "box".into(), arch: "amd64".into(), cores: 4, ..Machine::default() }
    }

    fn of(text: &str) -> (Values, Vec<String>) {
        let job = job::parse("t.hcl", text).unwrap();
        let (group, alloc_id) = (&job.groups[0], "0a1b2c3d-4e5f-4000-8000-000000000001");
        values(&Place { job: &job, group, task: &group.tasks[0], alloc_id, index: 2 }, &machine())
    }

    #[test]
    fn what_a_task_is_told() {
        let (values, unknown) = of(JOB);
        for (name, want) in [
            ("NOMAD_ALLOC_DIR", Some("/alloc")),
            ("NOMAD_TASK_DIR", Some("/local")),
            ("NOMAD_SECRETS_DIR", Some("/secrets")),
            ("NOMAD_ALLOC_ID", Some("0a1b2c3d-4e5f-4000-8000-000000000001")),
            ("NOMAD_SHORT_ALLOC_ID", Some("0a1b2c3d")),
            ("NOMAD_ALLOC_NAME", Some("shop.web[2]")),
            ("NOMAD_ALLOC_INDEX", Some("2")),
            ("NOMAD_TASK_NAME", Some("nginx")),
            ("NOMAD_GROUP_NAME", Some("web")),
            ("NOMAD_JOB_ID", Some("shop")),
            ("NOMAD_JOB_NAME", Some("shop")),
            ("NOMAD_NAMESPACE", Some("default")),
            ("NOMAD_REGION", Some("global")),
            ("NOMAD_CPU_LIMIT", Some("250")),
            ("NOMAD_MEMORY_LIMIT", Some("64")),
            ("NOMAD_MEMORY_MAX_LIMIT", None),
            // The inner meta wins; both spellings; what no shell takes is `_`.
            ("NOMAD_META_owner", Some("team")),
            ("NOMAD_META_OWNER", Some("team")),
            ("NOMAD_META_a_b", Some("job")),
            ("NOMAD_META_A_B", Some("job")),
            ("NOMAD_META_Tier", Some("web")),
            ("NOMAD_META_TIER", Some("web")),
            ("WHO", Some("shop/nginx[2]")),
            ("ARCH", Some("amd64 on box")),
            ("URL", Some("http://h-0a1b2c3d:80")),
            ("META", Some("team")),
            ("LITERAL", Some("${HOST}")),
            // A job's pattern of datacenters is no name; its own variable may take the given one up.
            ("NOMAD_DC", Some("dc1-x")),
            // A circle ends where it closes.
            ("A", Some("ab${A}")),
            ("B", Some("ba${B}")),
            ("NONE", Some("${attr.none} ${NOMAD_PORT_http}")),
        ] {
            assert_eq!(values.env.get(name).map(String::as_str), want, "{name}");
        }
        assert_eq!(unknown, ["A", "B", "attr.none", "NOMAD_PORT_http"], "each once");
    }

    #[test]
    fn what_names_mean() {
        let named =
            JOB.replace("datacenters = [\"*\"]", "datacenters = [\"fra\"]\n namespace = \"n\"\n region = \"r\"");
        let (values, _) = of(&named);
        for (name, want) in [
            ("node.unique.name", Some("box")),
            ("node.unique.id", Some("n1")),
            ("node.datacenter", Some("fra")),
            ("node.region", Some("r")),
            ("node.class", Some("")),
            ("attr.cpu.arch", Some("amd64")),
            ("attr.cpu.numcores", Some("4")),
            ("attr.memory.totalbytes", None),
            ("attr.os.name", None),
            ("NOMAD_NAMESPACE", Some("n")),
            ("NOMAD_DC", Some("fra-x")),
            ("PORT", Some("80")),
            ("nothing", None),
        ] {
            assert_eq!(values.lookup(name).as_deref(), want, "{name}");
        }
    }
}

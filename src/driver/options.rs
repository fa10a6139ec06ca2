//! A task's options (driver-spec section 3): from JSON as a job file gives them to a typed value.
//! What an option does to a container is not here but in `create`; which options there are is in `options/list.rs`.
//!
//! Decoding reports every problem, not the first. It is as generous as Nomad: a string for a number or a boolean and the
//! reverse, a list of maps for a map. A null is "not set", and so is the zero value of an option that is not built yet.

mod auth;
mod list;
mod logging;
mod nearest;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::Value;

pub use list::{ALL, OptionInfo, OptionKind};
pub use logging::LoggingOptions;

use crate::engine::types::AuthConfig;
use crate::values::duration;
use nearest::nearest;
use value::Reader;

/// A task's options. A zero value (empty, 0, false) means "not set", for `image` too: only [`decode`] insists on it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TaskOptions {
    /// The image: a name with tag or digest, or an id.
    pub image: String,
    /// The program; it comes before `args`. Empty: `args` alone, or what the image says.
    pub command: String,
    /// Arguments.
    pub args: Vec<String>,
    /// What runs before `command` and `args`, in place of the image's entry point. `[""]` takes the image's away.
    pub entrypoint: Vec<String>,
    /// Labels of the container.
    pub labels: BTreeMap<String, String>,
    /// Where the command starts.
    pub work_dir: String,
    /// An archive that the image is loaded from: a path below the task's local directory.
    pub load: String,
    /// Credentials for the image's registry. `None`: not said.
    pub auth: Option<AuthConfig>,
    /// Whether the image is pulled without credentials where finding them fails.
    pub auth_soft_fail: bool,
    /// Whether the image is pulled, or loaded, although the Engine has it.
    pub force_pull: bool,
    /// How long a pull may take. `None`: as the driver's.
    pub image_pull_timeout: Option<Duration>,
    /// Whether the command has a terminal.
    pub tty: bool,
    /// Whether standard input stays open.
    pub interactive: bool,
    /// The host name within the container.
    pub hostname: String,
    /// `bridge`, `host`, `none`, `container:<id>` or a network's name. Empty: the Engine's default.
    pub network_mode: String,
    /// Whether an init process reaps zombies and passes signals on.
    pub init: bool,
    /// Whether the task's CPU is a limit, not only a weight.
    pub cpu_hard_limit: bool,
    /// The period that such a limit is counted in, in µs. 0: that of the task's resources, or else 100,000.
    pub cpu_cfs_period: i64,
    /// The most memory, in MB (2^20 bytes); the task's `memory` is then what it is pushed back to when memory is short.
    pub memory_hard_limit: i64,
    /// The most processes. 0 or less: the driver's limit.
    pub pids_limit: i64,
    /// The size of `/dev/shm`, in bytes. 0: the Engine's default.
    pub shm_size: i64,
    /// Whether the root file system is read-only.
    pub readonly_rootfs: bool,
    /// Which log driver keeps the output, with which options.
    pub logging: LoggingOptions,
    /// How readily the kernel kills the task when memory runs out, -1000 to 1000.
    pub oom_score_adj: i64,
    /// More groups of the process, by name or number.
    pub group_add: Vec<String>,
}

/// What is wrong with one option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionProblem {
    /// Which value: `image`, `args[2]`, `labels[0].x`. Keys stand as they are, dots included. Empty: the options as a whole.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for OptionProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

impl std::error::Error for OptionProblem {}

/// Decodes a task's options.
///
/// # Errors
/// Every problem, in the order of [`ALL`], then the names that are not known: a value of the wrong type or out of range,
/// an `image` that is missing, an option that is not built yet, an unknown one with the known one that is nearest.
pub fn decode(options: &Value) -> Result<TaskOptions, Vec<OptionProblem>> {
    let empty = serde_json::Map::new();
    let given = match options {
        Value::Object(given) => given,
        Value::Null => &empty,
        other => {
            let message = format!("the options must be a map, and are {}", value::kind_of(other));
            return Err(vec![OptionProblem { path: String::new(), message }]);
        }
    };
    let mut reader = Reader::new(given);
    let decoded = read(&mut reader);
    let mut problems = reader.problems;
    problems.extend(unbuilt(given));
    problems.extend(unknown(given));
    // One order for all kinds of problems; sorting is stable, so those of one option keep theirs.
    problems.sort_by_key(|problem| position(&problem.path));
    if problems.is_empty() { Ok(decoded) } else { Err(problems) }
}

fn read(reader: &mut Reader<'_>) -> TaskOptions {
    let options = TaskOptions {
        image: without_scheme(&reader.string("image")).to_owned(),
        command: reader.string("command"),
        args: reader.list("args"),
        entrypoint: reader.list("entrypoint"),
        labels: reader.map("labels"),
        work_dir: reader.string("work_dir"),
        load: reader.string("load"),
        auth: reader.block("auth", auth::read),
        auth_soft_fail: reader.boolean("auth_soft_fail"),
        force_pull: reader.boolean("force_pull"),
        image_pull_timeout: pull_timeout(reader),
        tty: reader.boolean("tty"),
        interactive: reader.boolean("interactive"),
        hostname: reader.string("hostname"),
        network_mode: reader.string("network_mode"),
        init: reader.boolean("init"),
        cpu_hard_limit: reader.boolean("cpu_hard_limit"),
        cpu_cfs_period: reader.number("cpu_cfs_period"),
        memory_hard_limit: reader.number("memory_hard_limit"),
        pids_limit: reader.number("pids_limit"),
        shm_size: reader.number("shm_size"),
        readonly_rootfs: reader.boolean("readonly_rootfs"),
        logging: reader.block("logging", logging::read),
        oom_score_adj: reader.number("oom_score_adj"),
        group_add: reader.list("group_add"),
    };
    if options.image.is_empty() && !reader.has_problem("image") {
        reader.problem("image", "image name required");
    }
    if options.memory_hard_limit < 0 {
        reader
            .problem("memory_hard_limit", &format!("is a number of MB, and {} is below 0", options.memory_hard_limit));
    }
    if options.shm_size < 0 {
        reader.problem("shm_size", &format!("is a number of bytes, and {} is below 0", options.shm_size));
    }
    if !(-1000..=1000).contains(&options.oom_score_adj) {
        reader.problem("oom_score_adj", &format!("goes from -1000 to 1000, and is {}", options.oom_score_adj));
    }
    options
}

fn pull_timeout(reader: &mut Reader<'_>) -> Option<Duration> {
    let text = reader.string("image_pull_timeout");
    if text.is_empty() {
        return None;
    }
    duration::parse(&text).map_err(|error| reader.problem("image_pull_timeout", &error.to_string())).ok()
}

/// Job files copy image names out of browsers.
pub(super) fn without_scheme(image: &str) -> &str {
    image.strip_prefix("https://").unwrap_or(image)
}

fn unbuilt(given: &serde_json::Map<String, Value>) -> impl Iterator<Item = OptionProblem> {
    let not_built = ALL.iter().filter(|option| !option.built);
    let set = not_built.filter(|option| given.get(option.name).is_some_and(|value| !value::is_zero(value)));
    set.map(|option| OptionProblem {
        path: option.name.into(),
        message: format!("`{}` is not supported yet", option.name),
    })
}

fn unknown(given: &serde_json::Map<String, Value>) -> impl Iterator<Item = OptionProblem> {
    let strangers = given.keys().filter(|name| ALL.iter().all(|option| option.name != *name));
    strangers.map(|name| {
        let hint = nearest(name, ALL.iter().map(|option| option.name));
        let hint = hint.map_or(String::new(), |known| format!(": did you mean `{known}`?"));
        OptionProblem { path: name.clone(), message: format!("`{name}` is not an option of a docker task{hint}") }
    })
}

fn position(path: &str) -> usize {
    let name = path.split(['.', '[']).next().unwrap_or_default();
    ALL.iter().position(|option| option.name == name).unwrap_or(ALL.len())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn problems(options: &Value) -> Vec<String> {
        decode(options).expect_err(&options.to_string()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_built_option_is_read_and_no_other() {
        let given = serde_json::Map::new();
        let mut reader = Reader::new(&given);
        read(&mut reader);
        let built: BTreeSet<&str> = ALL.iter().filter(|option| option.built).map(|option| option.name).collect();
        assert_eq!(reader.asked, built);
    }

    #[test]
    fn every_built_option_reaches_its_field() {
        let text = |name: &str| Value::from(name);
        let given = json!({
            "image": "https://r.example/a:1", "command": "c", "args": ["a"], "entrypoint": ["e"], "labels": {"l": "1"},
            "work_dir": "/w", "load": "i.tar", "tty": true,
            "auth": {"username": "u"}, "auth_soft_fail": true, "force_pull": true, "image_pull_timeout": "20m", "interactive": true, "hostname": "h", "network_mode": "none",
            "init": true, "cpu_hard_limit": true, "cpu_cfs_period": 2000, "memory_hard_limit": 64, "pids_limit": 9,
            "shm_size": 4096, "readonly_rootfs": true, "logging": {"type": "local"}, "oom_score_adj": -7, "group_add": [12],
        });
        let strings = |list: &[&str]| list.iter().map(|item| item.to_string()).collect::<Vec<_>>();
        let want = TaskOptions {
            image: "r.example/a:1".into(),
            command: "c".into(),
            args: strings(&["a"]),
            entrypoint: strings(&["e"]),
            labels: [("l".to_string(), "1".to_string())].into(),
            work_dir: "/w".into(),
            load: "i.tar".into(),
            auth: Some(AuthConfig { username: "u".into(), ..AuthConfig::default() }),
            auth_soft_fail: true,
            force_pull: true,
            image_pull_timeout: Some(Duration::from_secs(20 * 60)),
            tty: true,
            interactive: true,
            hostname: "h".into(),
            network_mode: "none".into(),
            init: true,
            cpu_hard_limit: true,
            cpu_cfs_period: 2000,
            memory_hard_limit: 64,
            pids_limit: 9,
            shm_size: 4096,
            readonly_rootfs: true,
            logging: LoggingOptions { kind: "local".into(), config: None },
            oom_score_adj: -7,
            group_add: strings(&["12"]),
        };
        assert_eq!(decode(&given), Ok(want));
        let nulls: serde_json::Map<String, Value> =
            ALL.iter().map(|option| (option.name.into(), Value::Null)).collect();
        let mut nulls = Value::Object(nulls);
        nulls["image"] = text("a");
        assert_eq!(decode(&nulls), Ok(TaskOptions { image: "a".into(), ..TaskOptions::default() }));
    }

    #[test]
    fn the_scheme_is_taken_off_once() {
        for (given, want) in [
            ("https://a/b", "a/b"),
            ("https://https://a", "https://a"),
            ("http://a", "http://a"),
            ("a/https://b", "a/https://b"),
        ] {
            assert_eq!(decode(&json!({"image": given})).map(|options| options.image), Ok(want.into()), "{given}");
        }
    }

    #[test]
    fn each_problem_says_where_it_is() {
        for (given, want) in [
            (json!(null), vec!["image: image name required"]),
            (json!({"image": ""}), vec!["image: image name required"]),
            (json!({"image": "https://"}), vec!["image: image name required"]),
            (json!({"image": ["a"]}), vec!["image: wants a string, and is a list"]),
            (json!([{"image": "a"}]), vec!["the options must be a map, and are a list"]),
            (
                json!({"image": "a", "imge": 1}),
                vec!["imge: `imge` is not an option of a docker task: did you mean `image`?"],
            ),
            (json!({"image": "a", "qqqqqqqq": 1}), vec!["qqqqqqqq: `qqqqqqqq` is not an option of a docker task"]),
            (json!({"image": "a", "volumes": ["/a:/b"]}), vec!["volumes: `volumes` is not supported yet"]),
            (json!({"image": "a", "shm_size": -1}), vec!["shm_size: is a number of bytes, and -1 is below 0"]),
            (
                json!({"image": "a", "memory_hard_limit": "-2"}),
                vec!["memory_hard_limit: is a number of MB, and -2 is below 0"],
            ),
            (
                json!({"image": "a", "image_pull_timeout": "5"}),
                vec!["image_pull_timeout: \"5\" is no duration: a number needs a unit: ns, us, ms, s, m or h"],
            ),
            (json!({"image": "a", "oom_score_adj": 1001}), vec!["oom_score_adj: goes from -1000 to 1000, and is 1001"]),
            (
                json!({"args": ["a", 1, null], "labels": [{"x": {}}], "zzzzzzzz": 1, "privileged": true, "tty": "maybe"}),
                vec![
                    "image: image name required",
                    "args[2]: wants a string, and is null",
                    "tty: wants true or false, and is \"maybe\"",
                    "labels[0].x: wants a string, and is a map",
                    "privileged: `privileged` is not supported yet",
                    "zzzzzzzz: `zzzzzzzz` is not an option of a docker task",
                ],
            ),
        ] {
            assert_eq!(problems(&given), want, "{given}");
        }
    }

    #[test]
    fn an_option_that_is_not_built_may_be_zero_and_nothing_else() {
        for option in ALL.iter().filter(|option| !option.built) {
            for zero in [json!(null), json!(false), json!(0), json!(""), json!([]), json!({})] {
                let given = json!({"image": "a", option.name: zero});
                assert!(decode(&given).is_ok(), "{given}");
            }
            for value in [json!(true), json!(1), json!("x"), json!(["x"]), json!({"config": {}}), json!([{}])] {
                let given = json!({"image": "a", option.name: value});
                assert_eq!(problems(&given), [format!("{0}: `{0}` is not supported yet", option.name)], "{given}");
            }
        }
    }
}

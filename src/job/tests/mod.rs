//! Whole job files: what comes out of them.

use std::time::Duration;

use serde_json::json;

use super::*;

mod accepted;
mod hostile;
mod json;
mod refused;
mod restart;

/// A job around what stands in it.
fn in_job(inner: &str) -> String {
    format!("job \"j\" {{\n{inner}\ngroup \"g\" {{\ntask \"t\" {{\ndriver = \"docker\"\n}}\n}}\n}}\n")
}

fn in_group(inner: &str) -> String {
    format!("job \"j\" {{\ngroup \"g\" {{\n{inner}\ntask \"t\" {{\ndriver = \"docker\"\n}}\n}}\n}}\n")
}

fn in_task(inner: &str) -> String {
    format!("job \"j\" {{\ngroup \"g\" {{\ntask \"t\" {{\ndriver = \"docker\"\n{inner}\n}}\n}}\n}}\n")
}

fn in_config(inner: &str) -> String {
    in_task(&format!("config {{\n{inner}\n}}"))
}

fn read(text: &str) -> Job {
    parse("f", text).unwrap_or_else(|problems| panic!("{text}\n{}", lines(&problems)))
}

fn refused(text: &str) -> Vec<Problem> {
    match parse("f", text) {
        Ok(job) => panic!("{text}\nis accepted: {job:?}"),
        Err(problems) => problems,
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|p| p.to_string()).collect::<Vec<_>>().join("\n")
}

fn task(job: &Job) -> &Task {
    &job.groups[0].tasks[0]
}

#[test]
fn hello() {
    let job =
        parse("hello.nomad.hcl", include_str!("../../../fixtures/jobs/hello.nomad.hcl")).expect("our own example");
    let hello = task(&job);
    assert_eq!((job.id.as_str(), job.kind, job.notices.len()), ("hello", JobType::Batch, 0));
    assert_eq!((hello.driver.as_str(), hello.restart.attempts), ("docker", 0));
    assert_eq!(hello.config["image"], "longshore/busybox:test");
    let script = hello.config["args"][1].as_str().expect("the script");
    assert!(script.starts_with("echo \"$GREETING from the task ${NOMAD_TASK_NAME}, in"), "{script:?}");
    assert!(script.ends_with("echo \"done\"\n"), "{script:?}");
}

#[test]
fn a_whole_job() {
    let text = r#"
job "web" {
  datacenters = ["dc1", "dc2"]
  namespace   = "team"
  region      = "eu"
  meta { owner = "us" }
  group "front" {
    count = "2"
    meta = { tier = 1 }
    restart {
      attempts = 5
      delay    = "1m"
    }
    task "nginx" {
      driver       = "docker"
      user         = "1000:1000"
      kill_signal  = "SIGQUIT"
      kill_timeout = "20s"
      config {
        image = "nginx:1"
      }
      env {
        PORT  = 80
        DEBUG = true
        UMASK = 022
        HOST  = "${attr.unique.hostname}"
        NONE  = null
      }
      meta {
        x = "y"
      }
      resources {
        cpu        = "500"
        memory     = 64
        memory_max = 128
      }
      restart {
        interval = "10m"
        mode     = "delay"
      }
    }
    task "log" {
      driver = "docker"
    }
  }
  type = "batch"
}
"#;
    let job = read(text);
    assert_eq!((job.id.as_str(), job.name.as_str(), job.kind), ("web", "web", JobType::Batch));
    assert_eq!((job.namespace.as_str(), job.region.as_str()), ("team", "eu"));
    assert_eq!(job.datacenters, ["dc1", "dc2"]);
    assert_eq!(job.meta["owner"], "us");
    let front = &job.groups[0];
    assert_eq!((front.name.as_str(), front.count, front.meta["tier"].as_str()), ("front", 2, "1"));
    let nginx = &front.tasks[0];
    assert_eq!((nginx.name.as_str(), nginx.user.as_str()), ("nginx", "1000:1000"));
    assert_eq!((nginx.kill_signal.as_deref(), nginx.kill_timeout), (Some("SIGQUIT"), Duration::from_secs(20)));
    let env: Vec<(&str, &str)> = nginx.env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(env, [("DEBUG", "true"), ("HOST", "${attr.unique.hostname}"), ("PORT", "80"), ("UMASK", "22")]);
    assert_eq!(nginx.meta["x"], "y");
    assert_eq!(nginx.resources, TaskResources { cpu: 500, memory: 64, memory_max: 128 });
    // The task's policy over the group's over the default of the type, which stands last in the file.
    let want = RestartPolicy {
        attempts: 5,
        interval: Duration::from_secs(600),
        delay: Duration::from_secs(60),
        mode: RestartMode::Delay,
    };
    assert_eq!(nginx.restart, want);
    let want = RestartPolicy { interval: Duration::from_secs(86_400), mode: RestartMode::Fail, ..want };
    assert_eq!(front.tasks[1].restart, want);
    assert_eq!(front.tasks[1].resources, TaskResources { cpu: 100, memory: 300, memory_max: 0 });
    assert_eq!(front.tasks[1].kill_timeout, Duration::from_secs(5));
    assert_eq!(front.tasks[1].config, json!({}));
}

#[test]
fn defaults_by_type() {
    for (kind, attempts, minutes) in
        [("", 2, 30), ("service", 2, 30), ("system", 2, 30), ("batch", 3, 1440), ("sysbatch", 3, 1440)]
    {
        let said = if kind.is_empty() { String::new() } else { format!("type = \"{kind}\"") };
        let job = read(&in_job(&said));
        let want = RestartPolicy {
            attempts,
            interval: Duration::from_secs(minutes * 60),
            delay: Duration::from_secs(15),
            mode: RestartMode::Fail,
        };
        assert_eq!(task(&job).restart, want, "type {kind:?}");
        assert_eq!(job.kind.to_string(), if kind.is_empty() { "service" } else { kind });
        assert_eq!((job.namespace.as_str(), job.region.as_str(), job.datacenters.len()), ("default", "global", 1));
    }
}

#[test]
fn kept_output() {
    let kept = |max_files, max_file_size, disabled| TaskLogs { max_files, max_file_size, disabled };
    for (inner, want) in [
        ("", kept(10, 10, false)),
        ("logs {\n}", kept(10, 10, false)),
        ("logs {\nmax_files = 3\n}", kept(3, 10, false)),
        ("logs {\nmax_files = \"1\"\nmax_file_size = 1\n}", kept(1, 1, false)),
        ("logs {\nmax_files = null\nmax_file_size = 4294967295\n}", kept(10, u32::MAX, false)),
        ("logs {\ndisabled = true\n}", kept(10, 10, true)),
        ("logs {\ndisabled = \"false\"\n}", kept(10, 10, false)),
        ("logs {\nenabled = false\n}", kept(10, 10, true)),
        ("logs {\nenabled = true\n}", kept(10, 10, false)),
        ("logs {\nenabled = true\ndisabled = true\n}", kept(10, 10, true)),
        ("logs {\nenabled = false\ndisabled = false\n}", kept(10, 10, true)),
    ] {
        assert_eq!(task(&read(&in_task(inner))).logs, want, "{inner}");
    }
}

#[test]
fn options() {
    // what stands in `config` -> the options
    for (inner, want) in [
        ("", json!({})),
        (
            "image = \"x\"\nprivileged = true\npids_limit = 5\nargs = [\"a\", 1]",
            json!({"image": "x", "privileged": true, "pids_limit": 5, "args": ["a", 1]}),
        ),
        ("mount {\ntype = \"bind\"\n}", json!({"mount": {"type": "bind"}})),
        (
            "mount {\ntype = \"bind\"\n}\nimage = \"x\"\nmount {\ntype = \"volume\"\n}\nmount { }",
            json!({"image": "x", "mount": [{"type": "bind"}, {"type": "volume"}, {}]}),
        ),
        (
            "mounts = [{ type = \"bind\" }, { type = \"tmpfs\" }]",
            json!({"mounts": [{"type": "bind"}, {"type": "tmpfs"}]}),
        ),
        ("labels {\na = 1\n}", json!({"labels": {"a": 1}})),
        ("labels = { \"a.b\" = \"c\", d : \"e\", }", json!({"labels": {"a.b": "c", "d": "e"}})),
        ("labels = [{ a = \"b\" }]", json!({"labels": [{"a": "b"}]})),
        (
            "mount {\ntmpfs_options {\nmode = 0777\nsize = 010\n}\n}",
            json!({"mount": {"tmpfs_options": {"mode": 511, "size": 10}}}),
        ),
        ("x = null\ny = 1.5\nz = -3", json!({"x": null, "y": 1.5, "z": -3})),
        (
            "arch = attr.cpu.arch\nq = \"${NOMAD_PORT_http}-$${X}\"",
            json!({"arch": "${attr.cpu.arch}", "q": "${NOMAD_PORT_http}-${X}"}),
        ),
        ("command = <<-EOF\n    a\n      b\n    EOF", json!({"command": "a\n  b\n"})),
    ] {
        assert_eq!(task(&read(&in_config(inner))).config, want, "{inner}");
    }
    let job = read(&in_task("config = { image = \"x\" }"));
    assert_eq!(task(&job).config, json!({"image": "x"}));
}

#[test]
fn places_of_options() {
    let text = in_config(
        "image = \"x\"\nmount {\n  type = \"bind\"\n}\nmount {\n    type = \"tmpfs\"\n}\nlabels = {\n \"a.b\" = 1\n}\nlogging {\n  type = \"x\"\n}",
    );
    let job = read(&text);
    let positions = &task(&job).positions;
    for (path, line, column) in [
        ("", 5, 1),
        ("image", 6, 1),
        ("mount", 7, 1),
        ("mount[0].type", 8, 3),
        ("mount[1]", 10, 1),
        ("mount[1].type", 11, 5),
        ("mount[1].source", 10, 1),
        ("labels.a.b", 14, 2),
        ("logging.type", 17, 3),
        ("logging[0].type", 17, 3),
        ("missing", 5, 1),
    ] {
        assert_eq!(positions.at(path), Position { line, column }, "{path}");
    }
    let problem = positions.problem("mount[1].type", "no such type");
    assert_eq!(problem.to_string(), "f:11:5: no such type");
}

#[test]
fn a_task_directly_in_the_job() {
    let job = read(
        "job \"j\" {\ntype = \"batch\"\ntask \"a\" {\ndriver = \"docker\"\n}\ntask \"b\" {\ndriver = \"docker\"\n}\n}\n",
    );
    let groups: Vec<(&str, u32, usize)> =
        job.groups.iter().map(|g| (g.name.as_str(), g.count, g.tasks.len())).collect();
    assert_eq!(groups, [("a", 1, 1), ("b", 1, 1)]);
    assert_eq!(task(&job).restart, RestartPolicy::of(JobType::Batch));
}

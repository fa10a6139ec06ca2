//! The shapes of JSON, and their problems.

use std::time::Duration;

use serde_json::json;

use super::*;

#[test]
fn json() {
    let api = r#"{"ID": "j", "Name": "n", "Type": "batch", "Datacenters": ["dc1"], "Meta": {"a": "b"}, "Unknown": [1],
      "Constraints": null, "Affinities": [], "Periodic": null, "Status": "running", "ModifyIndex": 7,
      "TaskGroups": [{"Name": "g", "Count": 2, "Networks": null, "Volumes": {}, "ShutdownDelay": null, "Services": [],
        "RestartPolicy": {"Attempts": 1, "Interval": 600000000000, "Delay": 1000000000, "Mode": "delay", "RenderTemplates": false},
        "Tasks": [{"Name": "t", "Driver": "docker", "User": "", "Leader": false, "Lifecycle": null, "Templates": null,
          "Config": {"image": "x", "mount": [{"type": "bind"}]}, "Env": {"A": "1"}, "KillSignal": "", "KillTimeout": 20000000000,
          "LogConfig": {"MaxFiles": 3, "MaxFileSizeMB": 10, "Enabled": null, "Disabled": true}, "ShutdownDelay": 0,
          "Resources": {"CPU": 200, "Cores": 0, "MemoryMB": 64, "MemoryMaxMB": 0, "DiskMB": 0, "IOPS": 0, "Networks": null, "Devices": null}}]}]}"#;
    let want = read(api);
    assert_eq!((want.id.as_str(), want.name.as_str(), want.kind), ("j", "n", JobType::Batch));
    assert_eq!((want.groups[0].count, want.meta["a"].as_str(), want.notices.len()), (2, "b", 0));
    let t = task(&want);
    assert_eq!(t.config, json!({"image": "x", "mount": [{"type": "bind"}]}));
    assert_eq!((t.env["A"].as_str(), t.kill_timeout, t.kill_signal.as_deref()), ("1", Duration::from_secs(20), None));
    assert_eq!(t.logs, TaskLogs { max_files: 3, max_file_size: 10, disabled: true });
    assert_eq!(t.resources, TaskResources { cpu: 200, memory: 64, memory_max: 0 });
    assert_eq!(
        (t.restart.attempts, t.restart.interval, t.restart.mode),
        (1, Duration::from_secs(600), RestartMode::Delay)
    );
    assert_eq!(t.positions.at("mount[0].type"), Position { line: 6, column: 47 });

    let strip = |mut job: Job| {
        job.groups[0].tasks[0].positions = Positions::default();
        job
    };
    let want = strip(want);
    for around in [
        format!("{{\"Job\": {api}}}"),
        format!("{{\"Diff\": null, \"job\": {api}}}"),
        format!("\u{feff}\n {api}"),
        api.to_lowercase().replace("\"restartpolicy", "\"RestartPolicy").replace("\"a\": \"1\"", "\"A\": \"1\""),
    ] {
        assert_eq!(strip(read(&around)), want, "{around}");
    }

    let shaped = r#"{"job": {"j": [{"name": "n", "type": "batch", "datacenters": ["dc1"], "meta": {"a": "b"},
      "group": {"g": {"count": 2, "restart": {"attempts": 1, "interval": "10m", "delay": "1s", "mode": "delay"},
        "task": {"t": {"driver": "docker", "config": [{"image": "x", "mount": [{"type": "bind"}]}], "env": {"A": "1"},
          "kill_timeout": "20s", "resources": [{"cpu": 200, "memory": 64}],
          "logs": {"max_files": 3, "disabled": true}}}}}}]}}"#;
    assert_eq!(strip(read(shaped)), want);
}

#[test]
fn json_refused() {
    for (text, want) in [
        ("{", "f:1:1: what opens here is not closed: a key in quotes is missing"),
        ("{\n \"Job\": {\n  \"ID\": \"j\",\n }\n}", "f:4:2: a key in quotes is expected, not `}`"),
        ("{}", "f:1:1: no job is in this object: `Job`, or `ID` and `TaskGroups`, are expected"),
        ("{\"Job\": {\"ID\": \"j\"}}", "f:1:2: the job has no `group`, so there is nothing to run"),
        (
            "{\"Job\": {\"TaskGroups\": [{\"Tasks\": [{\"Driver\": \"docker\"}]}]}}",
            "f:1:2: a `job` needs a name that is not empty\nf:1:25: a `group` needs a name that is not empty\nf:1:36: a `task` needs a name that is not empty",
        ),
        ("{\"ID\": \"j\", \"TaskGroups\": 5}", "f:1:13: `group` is a block with a name: write `group \"name\" { … }`"),
        (
            "{\"ID\": \"j\", \"TaskGroups\": [{\"Name\": \"g\", \"Networks\": [{\"Mode\": \"host\"}], \"Tasks\": [{\"Name\": \"t\", \"Driver\": \"docker\", \"Resources\": 5, \"LogConfig\": {\"MaxFiles\": 0}}]}]}",
            "f:1:55: `network` is not supported yet\nf:1:118: `resources` is a block: write `resources { … }`\nf:1:160: `max_files` must be at least 1",
        ),
        ("{\"job\": 5}", "f:1:2: `job` is a block with a name: write `job \"name\" { … }`"),
        (
            "{\"job\": {\"j\": {\"grup\": {}, \"task\": {\"t\": {\"driver\": \"docker\", \"config\": {\"image\": \"a-${var.x}\"}}}}}}",
            "f:1:16: unknown name `grup` in `job`; did you mean `group`?\nf:1:83: `var.x`: variables are not supported yet",
        ),
        (
            "{\"variable\": {\"x\": {}}, \"job\": {\"j\": {\"task\": {\"t\": {\"driver\": \"docker\"}}}}}",
            "f:1:15: `variable` is not supported yet",
        ),
    ] {
        assert_eq!(lines(&refused(text)), want, "{text}");
    }
}

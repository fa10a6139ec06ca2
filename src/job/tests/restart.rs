//! Restart policies: what a real Nomad server takes and refuses of them, and where a file is told so.

use super::*;

/// What stands in `restart`, and whether a Nomad server takes it in a job of batch and of service. The answers are the
/// server's own.
#[test]
fn as_nomads_server() {
    for (inner, taken) in [
        ("", true),
        ("attempts = 0", true),
        ("delay = \"0s\"", true),
        ("attempts = 2\ninterval = \"12s\"\ndelay = \"6s\"", true),
        ("attempts = 1\ninterval = \"5s\"\ndelay = \"1s\"", true),
        ("mode = \"delay\"", true),
        ("attempts = 0\nmode = \"delay\"", false),
        ("attempts = 1\ninterval = \"1s\"\ndelay = \"1s\"", false),
        ("attempts = 2\ninterval = \"10s\"\ndelay = \"6s\"", false),
        ("attempts = 1\ninterval = \"0s\"", false),
        ("attempts = 1\ninterval = \"4s\"\ndelay = \"1s\"", false),
        ("mode = \"nope\"", false),
    ] {
        for kind in ["batch", "service"] {
            let restart = format!("restart {{\n{inner}\n}}");
            let task = "task \"t\" {\ndriver = \"docker\"\n}";
            let text = format!("job \"j\" {{\ntype = \"{kind}\"\ngroup \"g\" {{\n{restart}\n{task}\n}}\n}}\n");
            assert_eq!(parse("f", &text).is_ok(), taken, "{text}");
        }
    }
}

#[test]
fn what_never_runs_out_is_refused_at_its_place() {
    let both = |group: &str, task: &str| {
        format!(
            "job \"j\" {{\ngroup \"g\" {{\nrestart {{\n{group}\n}}\ntask \"t\" {{\ndriver = \"docker\"\nrestart {{\n{task}\n}}\n}}\n}}\n}}\n"
        )
    };
    for (text, want) in [
        (
            in_group("restart {\nattempts = 1\ninterval = \"1s\"\ndelay = \"1s\"\n}"),
            "f:5:12: `interval` must be at least 5s, not 1s",
        ),
        (in_group("restart {\ninterval = \"0s\"\n}"), "f:4:12: `interval` must be at least 5s, not 0s"),
        (in_task("restart {\ninterval = \"4999ms\"\n}"), "f:6:12: `interval` must be at least 5s, not 4.999s"),
        // 0 attempts never begin a window, and the server refuses it all the same.
        (in_group("restart {\nattempts = 0\ninterval = \"1s\"\n}"), "f:5:12: `interval` must be at least 5s, not 1s"),
        (
            in_group("restart {\ndelay = \"6s\"\ninterval = \"10s\"\nattempts = 2\n}"),
            "f:6:12: 2 restarts with a `delay` of 6s before each do not fit in an `interval` of 10s",
        ),
        // The rest is the default of a service: 2 in 30 minutes, 15 s apart.
        (
            in_group("restart {\ninterval = \"29s\"\n}"),
            "f:4:12: 2 restarts with a `delay` of 15s before each do not fit in an `interval` of 29s",
        ),
        (
            in_task("restart {\ndelay = \"1h\"\nmode = \"delay\"\n}"),
            "f:6:9: 2 restarts with a `delay` of 1h0m0s before each do not fit in an `interval` of 30m0s",
        ),
        (
            in_group("restart {\nattempts = 4294967295\ndelay = \"2562047h\"\n}"),
            "f:4:12: 4294967295 restarts with a `delay` of 2562047h0m0s before each do not fit in an `interval` of 30m0s",
        ),
        // The task's own over its group's.
        (
            both("interval = \"60s\"", "attempts = 5"),
            "f:9:12: 5 restarts with a `delay` of 15s before each do not fit in an `interval` of 1m0s",
        ),
        (
            both("mode = \"delay\"", "attempts = 0"),
            "f:9:12: `mode = \"delay\"` with no `attempts` says nothing: no restart is ever due",
        ),
        // What is the group's fault is told once.
        (both("interval = \"1s\"", "mode = \"delay\""), "f:4:12: `interval` must be at least 5s, not 1s"),
        // So is what cannot be read.
        (
            in_group("restart {\ninterval = \"5\"\nattempts = 2000\n}"),
            "f:4:12: `interval`: \"5\" is no duration: a number needs a unit: ns, us, ms, s, m or h",
        ),
        // The API's numbers are nanoseconds.
        (
            r#"{"ID": "j", "TaskGroups": [{"Name": "g", "RestartPolicy": {"Interval": 1000000000}, "Tasks": [{"Name": "t", "Driver": "docker"}]}]}"#
                .into(),
            "f:1:72: `interval` must be at least 5s, not 1s",
        ),
    ] {
        assert_eq!(lines(&refused(&text)), want, "{text}");
    }
    let inner = "restart {\nattempts = 2\ninterval = \"12s\"\ndelay = \"6s\"\n}";
    assert_eq!(task(&read(&in_group(inner))).restart.attempts, 2, "as much as fits");
}

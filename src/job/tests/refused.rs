//! What cannot be done yet, and what is wrong: with its place, and every problem at once.

use super::super::names::{FILE, Fate, GROUP, JOB, LOGS, Level, RESOURCES, RESTART, Shape, TASK};
use super::*;

#[test]
fn refused_as_not_built() {
    for (text, place, what) in [
        ("variable \"x\" {\n}\n".to_owned() + &in_job(""), "1:1", "`variable` is"),
        ("variables {\n}\n".to_owned() + &in_job(""), "1:1", "`variables` is"),
        ("locals {\n}\n".to_owned() + &in_job(""), "1:1", "`locals` is"),
        (in_job("parameterized {\n}"), "2:1", "`parameterized` is"),
        (in_job("dynamic \"group\" {\n}"), "2:1", "`dynamic` is"),
        (in_job("type = var.type"), "2:8", "`var.type`: variables are"),
        (in_group("network {\n}"), "3:1", "`network` is"),
        (in_group("volume \"v\" {\n}"), "3:1", "`volume` is"),
        (in_group("shutdown_delay = \"5s\""), "3:18", "`shutdown_delay` is"),
        (in_group("count = 1 + 1"), "3:9", "calculating in a value is"),
        (in_group("count = true ? 1 : 2"), "3:9", "a conditional (`… ? … : …`) is"),
        (in_task("template {\n}"), "5:1", "`template` is"),
        (in_task("artifact {\n}"), "5:1", "`artifact` is"),
        (in_task("volume_mount {\n}"), "5:1", "`volume_mount` is"),
        (in_task("lifecycle {\n}"), "5:1", "`lifecycle` is"),
        (in_task("shutdown_delay = \"5s\""), "5:18", "`shutdown_delay` is"),
        (in_task("resources {\ncores = 2\n}"), "6:1", "`cores` is"),
        (in_task("resources {\ndevice \"nvidia/gpu\" {\n}\n}"), "6:1", "`device` is"),
        (in_task("resources {\nnetwork {\n}\n}"), "6:1", "`network` is"),
        (in_task("env {\nX = file(\"x\")\n}"), "6:5", "`file(…)`: functions are"),
        (in_task("env = merge(local.a, local.b)"), "5:7", "`merge(…)`: functions are"),
        (in_task("env {\ndynamic \"x\" {\n}\n}"), "6:1", "`dynamic` is"),
        (in_config("image = \"a:${var.tag}\""), "6:14", "`var.tag`: variables are"),
        (in_config("image = local.x"), "6:9", "`local.x`: locals are"),
        (in_config("args = [for x in [1] : x]"), "6:8", "`for` is"),
        (in_config("args = [\n\"%{ if true }a%{ endif }\"]"), "7:2", "a template directive (`%{ … }`) is"),
        (in_config("args = meta.x[*]"), "6:8", "a splat (`*`) is"),
        (in_config("dynamic \"mount\" {\n}"), "6:1", "`dynamic` is"),
        (in_config("mount {\ndynamic \"x\" {\n}\n}"), "7:1", "`dynamic` is"),
        (
            in_group("task \"u\" {\ndriver = \"docker\"\nleader = true\n}"),
            "5:1",
            "`leader` in a group of several tasks is",
        ),
    ] {
        assert_eq!(lines(&refused(&text)), format!("f:{place}: {what} not supported yet"), "{text}");
    }
}

#[test]
fn refused_as_wrong() {
    for (text, want) in [
        (in_job("grup \"x\" {\n}"), "f:2:1: unknown name `grup` in `job`; did you mean `group`?"),
        (in_group("tsak \"x\" {\n}"), "f:3:1: unknown name `tsak` in `group`; did you mean `task`?"),
        (in_task("enf {\n}"), "f:5:1: unknown name `enf` in `task`; did you mean `env`?"),
        (
            in_task("image = \"x\""),
            "f:5:1: unknown name `image` in `task`; an option of the docker driver belongs in `config`",
        ),
        (in_task("memory = 1"), "f:5:1: unknown name `memory` in `task`; it belongs in `resources`"),
        (in_task("resources {\nmem = 1\n}"), "f:6:1: unknown name `mem` in `resources`"),
        (
            in_task("resources {\nmemorymax = 1\n}"),
            "f:6:1: unknown name `memorymax` in `resources`; did you mean `memory_max`?",
        ),
        (in_group("restart {\nattempt = 1\n}"), "f:4:1: unknown name `attempt` in `restart`; did you mean `attempts`?"),
        ("resource \"x\" {\n}\n".into(), "f:1:1: `resource` cannot stand outside of the job"),
        (String::new(), "f:1:1: there is no job in this file: `job \"name\" { … }` is expected"),
        (in_job("") + &in_job(""), "f:9:1: a second job: a file holds one"),
        ("job {\n}\n".into(), "f:1:1: a `job` needs a name: write `job \"name\" { … }`"),
        ("job \"a\" \"b\" {\n}\n".into(), "f:1:9: a `job` has one name, but here is `b` too"),
        (
            "job \"[[ var \"name\" . ]]\" {\n}\n".into(),
            "f:1:5: this is a template (`[[`): render it first, with levant, nomad-pack, terraform, …",
        ),
        ("job = 1\n".into(), "f:1:1: `job` is a block with a name: write `job \"name\" { … }`"),
        ("job \"j\" {\n}\n".into(), "f:1:1: the job has no `group`, so there is nothing to run"),
        ("job \"j\" {\ngroup \"g\" {\n}\n}\n".into(), "f:2:1: the group has no `task`, so there is nothing to run"),
        ("job \"j\" {\ntask \"t\" {\n}\n}\n".into(), "f:2:1: the task names no driver: write `driver = \"docker\"`"),
        (in_task("").replace("\"j\"", "\"\""), "f:1:5: a `job` needs a name that is not empty"),
        (in_task("").replace("\"j\"", "\"a b\""), "f:1:5: the job's name `a b` has a blank in it"),
        (in_task("").replace("\"g\"", "\"\""), "f:2:7: a `group` needs a name that is not empty"),
        (in_task("").replace("\"t\"", "\" \""), "f:3:6: a `task` needs a name that is not empty"),
        (
            in_task("").replace("\"t\"", "\"a/b\""),
            "f:3:6: the task's name `a/b` has a slash in it, and it is the name of the task's directory too",
        ),
        (
            in_task("").replace("\"t\"", "\"..\""),
            "f:3:6: the task's name `..` cannot be the name of the task's directory",
        ),
        (
            in_task("").replace("\"t\"", "\"alloc\""),
            "f:3:6: the task's name `alloc` is the name of the directory that the tasks of a group share: call the task otherwise",
        ),
        (
            in_task("").replace("\"t\"", "\"events.jsonl.1\""),
            "f:3:6: the task's name `events.jsonl.1` is the name of the file of the allocation's events: call the task otherwise",
        ),
        (in_job("group \"g\" {\ntask \"t\" {\ndriver = \"docker\"\n}\n}"), "f:7:7: a second group of the name `g`"),
        (in_job("task \"g\" {\ndriver = \"docker\"\n}"), "f:5:7: a second group of the name `g`"),
        (in_group("task \"t\" {\ndriver = \"docker\"\n}"), "f:6:6: a second task of the name `t`"),
        (
            in_job("type = \"servise\""),
            "f:2:8: no job type is called `servise` (did you mean `service`?): service, batch, system or sysbatch",
        ),
        (in_job("datacenters = \"dc1\""), "f:2:15: `datacenters`: a list of strings is expected here, not `\"dc1\"`"),
        (in_group("count = -1"), "f:3:9: `count` must not be below zero"),
        (in_group("count = 1001"), "f:3:9: `count` is at most 1000 here: one machine runs them all"),
        (in_group("count = 5000000000"), "f:3:9: `count` is too large a number"),
        (in_group("count = \"many\""), "f:3:9: `count`: a whole number is expected here, not `\"many\"`"),
        (in_group("count = \"${NOMAD_X}\""), "f:3:9: `count`: a whole number is expected here, not `\"${NOMAD_X}\"`"),
        (in_group("count {\n}"), "f:3:1: `count` is no block: write `count = …`"),
        (in_group("restart = {}"), "f:3:1: `restart` is a block: write `restart { … }`"),
        (in_group("restart {\n}\nrestart {\n}"), "f:5:1: a second `restart` in `group`: one is enough"),
        (in_group("restart {\nmode = \"never\"\n}"), "f:4:8: no restart mode is called `never`: fail or delay"),
        (
            in_group("restart {\nattempts = 0\nmode = \"delay\"\n}"),
            "f:5:8: `mode = \"delay\"` with no `attempts` says nothing: no restart is ever due",
        ),
        (
            in_group("restart {\ninterval = \"1d\"\n}"),
            "f:4:12: `interval`: \"1d\" is no duration: the units are ns, us, ms, s, m and h",
        ),
        (in_task("resources \"x\" {\n}"), "f:5:11: `resources` takes no name, but here is `x`"),
        (in_task("resources {\ncpu = 0\n}"), "f:6:7: `cpu` must be at least 1 (MHz)"),
        (in_task("resources {\nmemory = -5\n}"), "f:6:10: `memory` must be at least 10 (MB)"),
        (in_task("resources {\nmemory_max = -2\n}"), "f:6:14: `memory_max` must not be below zero; -1 is no limit"),
        (in_task("resources {\nmemory_max = 100\n}"), "f:6:14: `memory_max` (100) is less than `memory` (300)"),
        (in_task("logs = {}"), "f:5:1: `logs` is a block: write `logs { … }`"),
        (in_task("logs {\n}\nlogs {\n}"), "f:7:1: a second `logs` in `task`: one is enough"),
        (in_task("logs {\nmax_file = 1\n}"), "f:6:1: unknown name `max_file` in `logs`; did you mean `max_files`?"),
        (in_task("logs {\nmax_files = 0\n}"), "f:6:13: `max_files` must be at least 1"),
        (in_task("logs {\nmax_file_size = -1\ndisabled = true\n}"), "f:6:17: `max_file_size` must be at least 1 (MB)"),
        (in_task("logs {\nmax_files = 5000000000\n}"), "f:6:13: `max_files` is too large a number"),
        (
            in_task("logs {\nmax_file_size = \"10MB\"\n}"),
            "f:6:17: `max_file_size`: a whole number is expected here, not `\"10MB\"`",
        ),
        (in_task("logs {\ndisabled = \"no\"\n}"), "f:6:12: `disabled`: true or false is expected here, not `\"no\"`"),
        (in_group("logs {\n}"), "f:3:1: unknown name `logs` in `group`; it belongs in `task`"),
        (in_task("kill_timeout = \"-1s\""), "f:5:16: `kill_timeout`: \"-1s\" is no duration: it is below zero"),
        (
            in_task("kill_timeout = \"5\""),
            "f:5:16: `kill_timeout`: \"5\" is no duration: a number needs a unit: ns, us, ms, s, m or h",
        ),
        (in_task("env {\nX = [1]\n}"), "f:6:5: `X`: a string is expected here, not a list"),
        (in_task("env {\nX {\n}\n}"), "f:6:1: no block can stand in `env`: write `… = …`"),
        (in_task("config {\n}\nconfig {\n}"), "f:7:1: a second `config` in `task`: one is enough"),
        (in_task("config = \"x\""), "f:5:10: `config`: a map of options is expected here, not `\"x\"`"),
        (in_config("mount \"x\" {\n}"), "f:6:7: a block of `config` takes no name, but here is `x`"),
        (in_config("mount {\n}\nmount = []"), "f:8:1: `mount` stands here both as a block and as an attribute"),
        (in_config("mount = []\nmount {\n}"), "f:7:1: `mount` stands here both as a block and as an attribute"),
    ] {
        assert_eq!(lines(&refused(&text)), want, "{text}");
    }
    let signal = lines(&refused(&in_task("kill_signal = \"TERM\"")));
    assert!(signal.starts_with("f:5:15: `kill_signal`: no signal is called \"TERM\"; there are SIGABRT"), "{signal}");
    assert_eq!(task(&read(&in_task("kill_signal = \"sigusr1\""))).kill_signal.as_deref(), Some("sigusr1"));
    assert_eq!(read(&in_group("count = 0")).groups[0].count, 0, "none is a number too");
    assert_eq!(task(&read(&in_task("resources {\nmemory_max = -1\n}"))).resources.memory_max, -1);
}

#[test]
fn every_problem_at_once() {
    let text = in_task(
        "tempalte {\n}\ntemplate {\n}\nkill_timeout = \"x\"\nconfig {\nimage = var.a\nargs = [var.b, upper(\"c\")]\n}\nrestart {\nmode = \"x\"\n}",
    );
    let places: Vec<(usize, usize)> = refused(&text).iter().map(|p| (p.line, p.column)).collect();
    assert_eq!(places, [(5, 1), (7, 1), (9, 16), (11, 9), (12, 9), (12, 16), (15, 8)]);
    let many = in_task(&(0..5_000).map(|i| format!("x{i} = 1\n")).collect::<String>());
    let problems = refused(&many);
    assert_eq!(problems.len(), 1_001);
    assert_eq!(problems[1_000].message, "… and 4000 more problems");
}

#[test]
fn syntax_errors_are_one_line_with_a_place() {
    for (text, want) in [
        ("job \"j\" {\n  group \"g\" {\n", "f:1:9: the `{` that opens here is not closed"),
        ("job \"j\" {\n  type = \n}\n", "f:2:10: invalid expression; expected"),
        ("job \"é\" { é = ; }", "f:1:15: invalid expression; expected"),
        ("job \"${x}\" {\n}\n", "f:1:"),
        ("{{ job }}", "f:1:1: this is a template (`{{`)"),
        ("\u{feff}[[ x ]]", "f:1:1: this is a template (`[[`)"),
    ] {
        let problems = refused(text);
        assert_eq!(problems.len(), 1, "{text}");
        let line = problems[0].to_string();
        assert!(line.starts_with(want) && !line.contains('\n'), "{text}: {line}");
    }
    let dos = in_task("user = \"x\"").replace('\n', "\r\n");
    assert_eq!(task(&read(dos.trim_end())).user, "x", "CRLF, and no newline at the end");
}

/// A name that is listed as read, and that no reader takes, would pass whatever it says.
#[test]
fn every_name_that_is_listed_as_read_is_read() {
    type File<'a> = &'a dyn Fn(&str) -> String;
    let within = |block: &'static str| move |inner: &str| in_task(&format!("{block} {{\n{inner}\n}}"));
    let rows: [(&Level, File<'_>); 7] = [
        (&FILE, &|inner| inner.to_owned()),
        (&JOB, &in_job),
        (&GROUP, &in_group),
        (&TASK, &in_task),
        (&RESOURCES, &within("resources")),
        (&RESTART, &within("restart")),
        (&LOGS, &within("logs")),
    ];
    for (level, file) in rows {
        for known in level.known.iter().filter(|known| known.fate == Fate::Read) {
            let wrong = match known.shape {
                Shape::Attribute => format!("{} = [[]]", known.name),
                Shape::Map => format!("{} = 7", known.name),
                Shape::Block => format!("{} {{\nbogus = 1\n}}", known.name),
                Shape::Labelled => format!("{} \"x\" {{\nbogus = 1\n}}", known.name),
            };
            refused(&file(&wrong));
        }
    }
}

//! What a run shows.

use std::fs::File;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::place::{Place, Ran, Running};

#[test]
#[ignore = "needs an Engine"]
fn the_hello_job() {
    let place = Place::new();
    let ran = place.run(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/jobs/hello.nomad.hcl"), &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.out.starts_with("hello from the task greeter, in the allocation ") && ran.out.ends_with("\ndone\n"),
        "{}",
        ran.out
    );
    assert_eq!(ran.err, "this line goes to standard error\n");
    let state = place.state();
    assert_eq!((&state["ended"], &state["tasks"][0]["last_exit"]["exit_code"]), (&true.into(), &0.into()));
}

#[test]
#[ignore = "needs an Engine"]
fn one_task_is_passed_through_as_it_is() {
    let place = Place::new();
    let ran = place.run_script("printf 'a\\nb'; printf 'c' >&2", &[]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "a\nb", "c"));
    let ran = place.run_script("printf 'a\\nb\\n'", &["--timestamps"]);
    let lines: Vec<_> = ran.out.lines().map(|line| line.split_once(' ').unwrap()).collect();
    assert!(lines.iter().all(|(stamp, _)| stamp.len() == 30 && stamp.ends_with('Z')), "{}", ran.out);
    assert_eq!(lines.iter().map(|(_, text)| *text).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
#[ignore = "needs an Engine"]
fn lines_of_several_tasks_have_their_names_and_are_not_broken() {
    let place = Place::new();
    let script = |word: &str| {
        format!(
            "for i in 1 2 3 4 5; do printf {word}; usleep 20000; printf {word}; usleep 20000; echo {word}; done; head -c 100000 /dev/zero | tr '\\0' {word}; echo; printf {word}"
        )
    };
    let (a, b) = (script("a"), script("b"));
    let file = place.job(&[("one", &a), ("second", &b)], "", "");
    for color in ["never", "always"] {
        let ran = place.run(&file, &["--color", color]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        for (name, word) in [("one   ", "a"), ("second", "b")] {
            let lines: Vec<&str> = ran.out.lines().filter(|line| line.contains(name)).collect();
            let text: Vec<&str> = lines
                .iter()
                .map(|line| line.split_once("│").unwrap().1.trim_start_matches("\x1b[0m").trim_start())
                .collect();
            assert_eq!(text.len(), 7, "{name} {color}");
            assert!(text[..5].iter().all(|line| *line == word.repeat(3)), "{:?}", &text[..5]);
            assert_eq!((text[5].len(), text[6]), (100_000, word));
            assert_eq!(lines[0].starts_with('\x1b'), color == "always");
        }
    }
}

#[test]
#[ignore = "needs an Engine"]
fn json_is_an_object_a_line_and_nothing_else() {
    let place = Place::new();
    let ran = place.run_script("echo out; echo err >&2; exit 3", &["--json"]);
    assert_eq!(ran.code, 3);
    let events: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of =
        |kind: &str| events.iter().find(|e| e["event"] == kind).unwrap_or_else(|| panic!("no {kind}: {}", ran.out));
    assert!(!of("started")["container_id"].as_str().unwrap().is_empty());
    assert_eq!((&of("exited")["exit_code"], &of("exited")["oom_killed"]), (&3.into(), &false.into()));
    assert_eq!(of("finished")["exit_code"], 3);
    let output = |stream: &str| events.iter().find(|e| e["stream"] == stream).unwrap()["text"].clone();
    assert_eq!((output("stdout"), output("stderr")), ("out\n".into(), "err\n".into()));
}

#[test]
#[ignore = "needs an Engine"]
fn a_task_sees_its_names_and_directories() {
    let place = Place::new();
    let script =
        "echo $WHO $NOMAD_GROUP_NAME; echo a > $NOMAD_ALLOC_DIR/data/f; echo l > /local/f; echo s > /secrets/f; id -u";
    let env = "env {\n WHO = \"${NOMAD_JOB_NAME}/${NOMAD_TASK_NAME}\"\n }";
    let ran = place.run(&place.job(&[("t", script)], "", env), &["--alloc-id", &place.name]);
    assert_eq!((ran.code, ran.out), (0, format!("{}/t g\n0\n", place.name)), "{}", ran.err);
    let alloc = place.dir.join("data/alloc").join(&place.name);
    for (file, text) in [("alloc/data/f", "a\n"), ("t/local/f", "l\n"), ("t/secrets/f", "s\n")] {
        assert_eq!(std::fs::read_to_string(alloc.join(file)).ok().as_deref(), Some(text), "{file}");
    }
    // Another user of the task, too.
    let script = "id -u; echo a > /alloc/data/g && echo l > /local/g && echo s > /secrets/g && cat /secrets/g";
    let ran = place.run(&place.job(&[("t", script)], "", "user = \"1234\""), &[]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "1234\ns\n"), "{}", ran.err);
}

#[test]
#[ignore = "needs an Engine"]
fn a_reader_that_leaves_ends_the_run_quietly() {
    let place = Place::new();
    let file = place.job(&[("t", "while :; do echo x; usleep 10000; done")], "", "kill_timeout = \"1s\"");
    let mut running = Running::start(place.longshore(&["run", &file]));
    running.wait_for("x");
    // The reading thread ends with its receiver, and the pipe with it.
    let mut child = std::process::Command::new("true").spawn().unwrap();
    std::mem::swap(&mut child, &mut running.child);
    drop(running);
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert_eq!(ran.err, "");
}

#[test]
#[ignore = "needs an Engine"]
fn a_slow_reader_gets_everything() {
    let place = Place::new();
    let file = place.job(&[("t", "seq 30000")], "", "");
    let child = place.longshore(&["run", &file]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Longer than the end of an ended task's output is waited for where nothing comes.
    std::thread::sleep(Duration::from_secs(12));
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.out.lines().count(), ran.err.as_str()), (0, 30_000, ""));
}

#[test]
#[ignore = "needs an Engine"]
fn output_that_cannot_be_written_is_no_success() {
    let place = Place::new();
    let file = place.job(&[("t", "echo lost; sleep 1; touch /alloc/data/done; echo shown >&2")], "", "");
    for json in [&[][..], &["--json"]] {
        let args: Vec<&str> =
            ["run", &file, "--alloc-id", &place.name].into_iter().chain(json.iter().copied()).collect();
        let full = File::options().write(true).open("/dev/full").unwrap();
        let ran = Ran::of(place.longshore(&args).stdout(full).stderr(Stdio::piped()).output().unwrap());
        assert_eq!(ran.code, 125, "{}", ran.err);
        assert_eq!(ran.err.lines().filter(|line| line.contains("standard output")).count(), 1, "{}", ran.err);
        assert_eq!(ran.err.contains("shown"), json.is_empty(), "the other stream goes on: {}", ran.err);
        let done = place.dir.join("data/alloc").join(&place.name).join("alloc/data/done");
        std::fs::remove_file(done).expect("the task came to its end");
    }
}

#[test]
#[ignore = "needs an Engine"]
fn allocations_of_a_group_are_told_apart_and_our_lines_begin_at_the_left() {
    let place = Place::new();
    let file = place.job(&[("t", "echo $NOMAD_ALLOC_INDEX")], "count = 2", "");
    let ran = place.run(&file, &[]);
    let mut lines: Vec<&str> = ran.out.lines().collect();
    lines.sort();
    assert_eq!(lines, ["t[0] │ 0", "t[1] │ 1"], "{}", ran.err);
    let ran = place.run_script("printf asked >&2; sleep 1; exit 3", &[]);
    assert_eq!((ran.code, ran.err.as_str()), (3, "asked\nlongshore: task t: exited with code 3\n"));
}

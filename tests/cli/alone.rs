//! What the program does without an Engine.

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::place::{Place, Ran};

const GOOD: &str = r#"job "j" {
  type = "batch"
  group "g" {
    count = 2
    task "t" {
      driver = "docker"
      config { image = "a:1" }
    }
  }
}
"#;

#[test]
fn wrong_usage_is_2() {
    let place = Place::new();
    let file = place.file("j.hcl", GOOD);
    let many: &[&[&str]] = &[
        &[],
        &["nosuch"],
        &["run"],
        &["run", "--nosuch", &file],
        &["-H", "nowhere://", "run", &file],
        &["plan", &file, "--alloc-id", "a"],
        &["plan", &file, "--group", "nosuch"],
        &["plan", &file, "--task", "nosuch"],
        &["plan", &file, "--group", "g", "--alloc-id", "../x"],
    ];
    for args in many {
        let ran = Ran::of(place.longshore(args).output().unwrap());
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{args:?}: {}", ran.err);
        let one_line = ran.err.starts_with("longshore: ") && ran.err.lines().count() == 1;
        assert!(one_line || args.is_empty(), "{args:?}: {}", ran.err);
    }
}

#[test]
fn validate_says_every_problem_at_its_place() {
    let place = Place::new();
    let good = place.file("good.hcl", GOOD);
    let ran = Ran::of(place.longshore(&["validate", &good]).output().unwrap());
    assert_eq!((ran.code, ran.out), (0, format!("{good}: valid\n")), "{}", ran.err);

    let bad = GOOD
        .replace("count = 2", "cuont = 2")
        .replace("image = \"a:1\"", "image = \"a:1\"\n      volumes = [\"/:/h\"]\n      imag = 1");
    let bad =
        place.file("bad.hcl", &bad.replace("config { ", "config {\n      ").replace("imag = 1 }", "imag = 1\n      }"));
    let ran = Ran::of(place.longshore(&["validate", &bad]).output().unwrap());
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{}", ran.err);
    assert!(ran.err.contains(&format!("{bad}:4:5: ")) && ran.err.contains("count"), "{}", ran.err);

    let bad = place.file(
        "options.hcl",
        &GOOD.replace("config { image = \"a:1\" }", "config {\n image = \"a:1\"\n volumes = [\"/:/h\"]\n imag = 1\n}"),
    );
    let ran = Ran::of(place.longshore(&["validate", &bad]).output().unwrap());
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains(&format!("{bad}:9:")) && ran.err.contains("volumes"), "{}", ran.err);
    assert!(ran.err.contains(&format!("{bad}:10:")) && ran.err.contains("image"), "{}", ran.err);
    // The same file is no job to run.
    for command in ["run", "plan"] {
        let ran = Ran::of(place.longshore(&[command, &bad]).output().unwrap());
        assert_eq!(ran.code, 125, "{command}: {}", ran.err);
        assert!(
            ran.err.lines().all(|line| line.starts_with("longshore: ")) && ran.err.lines().count() == 2,
            "{}",
            ran.err
        );
    }
    for file in ["/no/such/file", &place.dir.display().to_string()] {
        let ran = Ran::of(place.longshore(&["validate", file]).output().unwrap());
        assert_eq!((ran.code, ran.err.lines().count()), (1, 1), "{}", ran.err);
    }
    std::fs::write(place.dir.join("bytes.hcl"), b"job \"\xff\" {}").unwrap();
    let ran =
        Ran::of(place.longshore(&["validate", &place.dir.join("bytes.hcl").display().to_string()]).output().unwrap());
    assert!(ran.code == 1 && ran.err.contains(":1:6: "), "{}", ran.err);
}

#[test]
fn a_restart_policy_that_never_runs_out_is_refused() {
    let place = Place::new();
    for (policy, words) in [
        ("attempts = 1\ninterval = \"1s\"\ndelay = \"1s\"", ":7:12: `interval` must be at least 5s, not 1s\n"),
        ("interval = \"0s\"", ":6:12: `interval` must be at least 5s, not 0s\n"),
        ("attempts = 9\ninterval = \"1m\"", ":6:12: 9 restarts with a `delay` of 15s before each do not fit"),
    ] {
        let restart = format!("count = 2\nrestart {{\n{policy}\n}}");
        let file = place.file("restart.hcl", &GOOD.replace("    count = 2", &restart));
        for (command, code) in [("validate", 1), ("plan", 125), ("run", 125)] {
            let ran = Ran::of(place.longshore(&[command, &file]).output().unwrap());
            assert_eq!((ran.code, ran.err.lines().count()), (code, 1), "{command} {policy}: {}", ran.err);
            assert!(ran.err.contains(&format!("{file}{words}")), "{command} {policy}: {}", ran.err);
        }
    }
}

#[test]
fn what_a_job_says_of_its_output() {
    let place = Place::new();
    let job = |config: &str, task: &str| {
        let config = format!("config {{\n image = \"a:1\"\n {config}\n}}\n{task}");
        place.file("output.hcl", &GOOD.replace("config { image = \"a:1\" }", &config))
    };
    for (config, task, place_and_words) in [
        ("", "logs {\n  max_files = 0\n}", ":12:15: `max_files` must be at least 1\n"),
        ("", "logs {\n  max_file_size = \"big\"\n}", ":12:19: `max_file_size`: a whole number is expected here"),
        ("", "logs {\n  max_fils = 1\n}", ":12:3: unknown name `max_fils` in `logs`; did you mean `max_files`?"),
        ("logging {\n  typ = \"local\"\n}", "", ":10:3: "),
        ("logging {\n  type = \"local\"\n}\nlogging {\n}", "", ":12:1: "),
        ("logging = \"local\"", "", ":9:2: "),
    ] {
        let file = job(config, task);
        let ran = Ran::of(place.longshore(&["validate", &file]).output().unwrap());
        assert_eq!((ran.code, ran.err.lines().count()), (1, 1), "{config}{task}: {}", ran.err);
        assert!(ran.err.contains(&format!("{file}{place_and_words}")), "{config}{task}: {}", ran.err);
    }
    let logs = "logs {\n max_files = 3\n max_file_size = 1\n}";
    for (config, want) in [
        ("", json!({"Type": "json-file", "Config": {"max-file": "5", "max-size": "20m"}})),
        ("logging {\n type = \"json-file\"\n}", json!({"Type": "json-file"})),
        (
            "logging {\n driver = \"local\"\n config {\n max-size = \"${NOMAD_ALLOC_INDEX}m\"\n}\n}",
            json!({"Type": "local", "Config": {"max-size": "0m"}}),
        ),
    ] {
        let file = job(config, logs);
        let ran = Ran::of(place.longshore(&["plan", "--json", &file]).output().unwrap());
        assert_eq!(ran.code, 0, "{config}: {}", ran.err);
        let plan: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(plan[0]["container"]["body"]["HostConfig"]["LogConfig"], want, "{config}");
    }
}

#[test]
fn a_plan_is_the_request_and_the_same_each_time() {
    let place = Place::new();
    let file = place.file("j.hcl", GOOD);
    let plan = |args: &[&str]| {
        let all: Vec<&str> = ["plan", "--json", &file].into_iter().chain(args.iter().copied()).collect();
        let ran = Ran::of(place.longshore(&all).env("DOCKER_HOST", "unix:///nowhere").output().unwrap());
        assert_eq!(ran.code, 0, "{}", ran.err);
        serde_json::from_str::<Value>(&ran.out).unwrap()
    };
    let (first, again) = (plan(&[]), plan(&[]));
    assert_eq!(first, again);
    assert_eq!(first.as_array().unwrap().len(), 2, "one a count");
    assert_ne!(first[0]["alloc"], first[1]["alloc"]);
    assert_eq!((&first[0]["group"], &first[0]["task"], &first[0]["image"]), (&"g".into(), &"t".into(), &"a:1".into()));
    assert_eq!(first[0]["container"]["body"]["Image"], "a:1");
    assert!(first[0]["container"]["name"].as_str().unwrap().starts_with("t-"));
    assert!(!place.dir.join("data").exists(), "a plan makes nothing");
    // Shares are counted anew on a machine of more than 262,144 MHz.
    let big = plan(&["--cpu-total", "26214400"]);
    assert_eq!(
        (
            &first[0]["container"]["body"]["HostConfig"]["CpuShares"],
            &big[0]["container"]["body"]["HostConfig"]["CpuShares"]
        ),
        (&100.into(), &2.into())
    );
    let one = place.file("j.hcl", &GOOD.replace("count = 2", ""));
    let fixed = Ran::of(place.longshore(&["plan", "--json", "--alloc-id", "abc", &one]).output().unwrap());
    let fixed: Value = serde_json::from_str(&fixed.out).unwrap();
    assert_eq!(fixed[0]["container"]["name"], "t-abc");
}

#[test]
fn an_answer_that_cannot_be_written_is_told() {
    let place = Place::new();
    let file = place.file("j.hcl", GOOD);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let ran = Ran::of(place.longshore(&["plan", &file]).stdout(full).stderr(Stdio::piped()).output().unwrap());
    assert!(ran.code == 125 && ran.err.contains("standard output"), "{}", ran.err);
}

#[test]
fn wrong_usage_for_programs() {
    let ran = Ran::of(Place::new().longshore(&["ping", "--json", "--nosuch"]).output().unwrap());
    let error: Value = serde_json::from_str(ran.err.lines().nth(1).unwrap()).unwrap();
    assert_eq!((ran.code, &error["error"]["kind"]), (2, &"usage".into()));
}

#[test]
fn a_job_from_standard_input() {
    let place = Place::new();
    let mut child = place.longshore(&["validate", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(GOOD.as_bytes()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_reader_that_leaves_is_no_panic() {
    let place = Place::new();
    let file = place.file("j.hcl", &GOOD.replace("count = 2", "count = 500"));
    let mut child = place.longshore(&["plan", &file]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
}

#[test]
fn an_engine_that_cannot_be_reached_is_told_within_5_seconds() {
    let place = Place::new();
    let file = place.file("j.hcl", GOOD);
    let socket = place.dir.join("silent.sock");
    let _accepts_and_never_answers = UnixListener::bind(&socket).unwrap();
    let silent = format!("unix://{}", socket.display());
    for (host, cause) in [
        ("unix:///no/such.sock", "No such file"),
        (silent.as_str(), "no answer within"),
        ("tcp://127.0.0.1:1", "refused"),
    ] {
        for command in [&["run", &file][..], &["ping"], &["run", "--json", &file]] {
            let begun = Instant::now();
            let ran = Ran::of(place.longshore(command).env("DOCKER_HOST", host).output().unwrap());
            assert!(begun.elapsed() < Duration::from_secs(5), "{host}: {:?}", begun.elapsed());
            assert_eq!((ran.code, ran.out.as_str()), (125, ""), "{host}: {}", ran.err);
            let line = ran.err.lines().next().unwrap();
            assert!(line.starts_with("longshore: ") && line.contains(cause) && line.contains("-H"), "{line}");
            if command.contains(&"--json") {
                let error: Value = serde_json::from_str(ran.err.lines().nth(1).unwrap()).unwrap();
                assert_eq!((&error["error"]["kind"], &error["error"]["recoverable"]), (&"engine".into(), &true.into()));
            } else {
                assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
            }
        }
    }
    let nowhere = Ran::of(place.longshore(&["ping"]).env("DOCKER_HOST", "/no/scheme").output().unwrap());
    assert!(nowhere.code == 125 && nowhere.err.contains("unix://"), "{}", nowhere.err);
}

#[test]
fn a_data_directory_that_cannot_be_used_is_named() {
    let place = Place::new();
    let file = place.file("j.hcl", GOOD);
    let blocked = place.file("blocked", "");
    let ran = Ran::of(place.longshore(&["--data-dir", &blocked, "run", &file]).output().unwrap());
    assert!(ran.code == 125 && ran.err.contains(&blocked) && ran.err.lines().count() == 1, "{}", ran.err);
    let mut homeless = place.longshore(&["run", &file]);
    let homeless = homeless.env_remove("LONGSHORE_DATA_DIR").env_remove("XDG_STATE_HOME").env_remove("HOME");
    let ran = Ran::of(homeless.output().unwrap());
    assert!(ran.code == 2 && ran.err.contains("--data-dir"), "{}", ran.err);
}

#[test]
fn a_data_directory_in_which_others_may_write_is_refused() {
    use std::fs::{Permissions, create_dir_all, set_permissions};
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let file = place.file("j.hcl", GOOD);
    let (data, state) = (place.dir.join("data"), place.dir.join("data/state"));
    create_dir_all(&state).unwrap();
    for open in [&data, &state] {
        let set = |mode| set_permissions(open, Permissions::from_mode(mode)).unwrap();
        set(0o777);
        for args in [
            &["ps"][..],
            &["status", "t"],
            &["stats", "t"],
            &["events", "t"],
            &["logs", "t"],
            &["exec", "t", "true"],
            &["signal", "-s", "TERM", "t"],
            &["stop", "t"],
            &["destroy", "t"],
            &["recover", "--all"],
            &["run", &file],
            &["plan", &file],
            &["pull", "a:1"],
            &["images"],
            &["gc"],
        ] {
            let ran = Ran::of(place.longshore(args).output().unwrap());
            let told = format!("cannot use directory {}: others may write in it", open.display());
            assert!(ran.code == 125 && ran.err.contains(&told), "{args:?}: {} {}", ran.code, ran.err);
        }
        set(0o755);
    }
}

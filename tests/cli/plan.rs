//! What is chosen of a job, as a plan shows it.

use serde_json::Value;

use crate::place::{Place, Ran};

const TWO_GROUPS: &str = r#"job "j" {
  type = "batch"
  group "a" {
    task "t" {
      driver = "docker"
      config { image = "x:1" }
    }
    task "u" {
      driver = "docker"
      config { image = "x:1" }
    }
  }
  group "b" {
    task "t" {
      driver = "docker"
      config { image = "x:1" }
    }
    task "e" {
      driver = "exec"
      config { command = "true" }
    }
  }
}
"#;

fn plan(place: &Place, args: &[&str]) -> Ran {
    let file = place.file("j.hcl", TWO_GROUPS);
    let all: Vec<&str> = ["plan", "--json", &file].into_iter().chain(args.iter().copied()).collect();
    Ran::of(place.longshore(&all).output().unwrap())
}

#[test]
fn groups_and_tasks_are_chosen_by_name() {
    let place = Place::new();
    for (args, want) in [
        (&[][..], &["a/t", "a/u", "b/t"][..]),
        (&["--group", "b"], &["b/t"]),
        (&["--task", "t"], &["a/t", "b/t"]),
        (&["--task", "t", "--task", "u"], &["a/t", "a/u", "b/t"]),
        (&["--group", "a", "--group", "b", "--task", "u"], &["a/u"]),
    ] {
        let ran = plan(&place, args);
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.err);
        let tasks: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
        let got: Vec<String> = tasks
            .iter()
            .map(|task| format!("{}/{}", task["group"].as_str().unwrap(), task["task"].as_str().unwrap()))
            .collect();
        assert_eq!(got, want, "{args:?}");
    }
}

#[test]
fn a_choice_of_nothing_is_no_choice() {
    let place = Place::new();
    let ran = plan(&place, &["--group", "b", "--task", "u"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{}", ran.err);
    assert!(ran.err.contains("--group b") && ran.err.contains("--task u"), "{}", ran.err);
}

#[test]
fn a_task_of_another_driver_is_named() {
    let place = Place::new();
    let ran = plan(&place, &["--group", "b"]);
    assert!(ran.err.contains("`e`") && ran.err.contains("`exec`") && ran.err.lines().count() == 1, "{}", ran.err);
}

#[test]
fn the_keys_are_those_that_scripts_rely_on() {
    let place = Place::new();
    let ran = plan(&place, &["--group", "b", "--alloc-id", "a1"]);
    let tasks: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&tasks[0]), ["alloc", "container", "group", "image", "task"]);
    assert_eq!(keys(&tasks[0]["container"]), ["body", "name"]);
}

#[test]
fn a_plan_shows_no_secret_unless_it_is_asked_to() {
    let place = Place::new();
    let file = place.file(
        "s.hcl",
        r#"job "j" {
  type = "batch"
  group "g" {
    task "t" {
      driver = "docker"
      config {
        image = "x:1"
        command = "run"
        args = ["--token", "Arg-s3cret-1"]
      }
      env {
        DB_PASSWORD = "Env-s3cret-1"
        COLOUR = "blue"
      }
    }
  }
}
"#,
    );
    for json in [&[][..], &["--json"]] {
        let with = |more: &[&str]| {
            let args: Vec<&str> = ["plan", &file].iter().chain(json).chain(more).copied().collect();
            let ran = Ran::of(place.longshore(&args).output().unwrap());
            assert_eq!(ran.code, 0, "{}", ran.err);
            ran.out
        };
        let plain = with(&[]);
        assert!(!plain.contains("s3cret"), "{plain}");
        for kept in
            ["COLOUR=blue", "DB_PASSWORD=********", "\"--token\"", "NOMAD_SECRETS_DIR=/secrets", "secrets:/secrets"]
        {
            assert!(plain.contains(kept), "{kept}: {plain}");
        }
        let shown = with(&["--show-secrets"]);
        assert!(shown.contains("DB_PASSWORD=Env-s3cret-1") && shown.contains("\"Arg-s3cret-1\""), "{shown}");
    }
}

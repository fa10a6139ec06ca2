//! Images by the program: `pull`, what `run` shows of a pull, `images`, `gc`, and what is removed when it is due.

use std::fs;

use serde_json::{Value, json as value};

use crate::looks::{json, ran};
use crate::place::{PATIENCE, Place, Ran, Running};
use crate::support::eventually;
use crate::support::image::ImageSpec;
use crate::support::registry::{Options, PASSWORD, Registry, Sweep, USER};

const TASK: &str = "trap 'exit 0' TERM; echo up; while :; do sleep 0.1; done";

/// A registry with the image `app:1`, and a place whose jobs run it.
struct Stand {
    place: Place,
    registry: Registry,
    image: String,
    _sweep: Sweep,
}

impl Stand {
    fn new(options: Options) -> Self {
        let (place, registry) = (Place::new(), Registry::start(options));
        registry.put_image("app", "1", ImageSpec { marker: "", layers: &[200_000] });
        let image = format!("{}/app:1", registry.host());
        let _sweep = Sweep::new(&place.engine(), registry.host());
        Self { place, registry, image, _sweep }
    }

    fn job(&self, script: &str) -> String {
        let file = self.place.job(&[("t", script)], "", "");
        let text = fs::read_to_string(&file).unwrap().replace(crate::support::IMAGE, &self.image);
        self.place.file("job.nomad.hcl", &text)
    }

    fn has_image(&self) -> bool {
        self.place.engine().image_inspect(&self.image).is_ok()
    }

    fn images(&self) -> Vec<Value> {
        json(&self.place, &["images", "--json"]).as_array().unwrap().clone()
    }

    /// Lets three minutes pass for what is due.
    fn pass_time(&self) {
        let path = self.place.dir.join("data/images.json");
        let mut ledger: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        for engine in ledger["engines"].as_object_mut().unwrap().values_mut() {
            for image in engine.as_object_mut().unwrap().values_mut() {
                let due = image["due"]["secs_since_epoch"].as_u64().expect("it is due some time");
                image["due"]["secs_since_epoch"] = (due - 180).into();
            }
        }
        fs::write(&path, ledger.to_string()).unwrap();
    }
}

#[test]
#[ignore = "needs an Engine and docker-registry"]
fn a_run_pulls_its_image_and_a_later_command_removes_it() {
    let stand = Stand::new(Options::default());
    let run = stand.place.run(&stand.job("echo hi"), &[]);
    assert_eq!((run.code, run.out.as_str()), (0, "hi\n"), "{}", run.err);
    let told: Vec<&str> = run.err.lines().filter(|line| line.contains(&stand.image)).collect();
    assert!(told.len() >= 2 && told.iter().all(|line| line.starts_with("longshore: pull")), "{}", run.err);

    let [image] = stand.images().try_into().unwrap();
    assert_eq!(
        (&image["origin"], &image["users"], &image["tags"]),
        (&value!("brought"), &value!([]), &value!([stand.image]))
    );
    assert!(image["due"].is_string() && image["size"].as_i64() > Some(200_000), "{image}");
    assert!(stand.has_image(), "not before three minutes");
    stand.pass_time();
    // Whatever is asked for.
    assert_eq!(ran(&stand.place, &["ps", "-a"]).code, 0);
    assert!(stand.has_image(), "nothing is asked of the Engine");
    assert_eq!(ran(&stand.place, &["images"]).code, 0);
    assert!(!stand.has_image());
    assert_eq!(stand.images(), Vec::<Value>::new());
}

#[test]
#[ignore = "needs an Engine and docker-registry"]
fn an_image_is_used_by_tasks_that_nobody_owns_and_by_those_of_a_killed_run() {
    let stand = Stand::new(Options::default());
    let place = &stand.place;
    let mut run = Running::start(place.longshore(&["run", &stand.job(TASK), "--alloc-id", &place.name]));
    run.wait_for("up");
    run.signal("KILL");
    run.end();
    let [image] = stand.images().try_into().unwrap();
    assert_eq!(image["users"].as_array().map(Vec::len), Some(1), "{image}");
    let listed = ran(place, &["images"]).out;
    assert!(listed.contains(&format!("{}/t", place.name)) && listed.contains("after its last task"), "{listed}");
    assert_eq!(ran(place, &["gc"]).out, "", "it is in use");
    assert!(stand.has_image());

    let recovered = Running::start(place.longshore(&["recover", "--all"]));
    eventually(PATIENCE, "it is owned", || json(place, &["ps", "--json"])[0]["owned"] == true);
    assert_eq!(ran(place, &["stop", "t"]).code, 0);
    assert_eq!(recovered.end().code, 0);
    let dry = ran(place, &["gc", "--dry-run"]);
    assert!(dry.out.starts_with(&format!("unused: {}", stand.image)) && dry.out.contains("goes in "), "{}", dry.out);
    assert!(stand.has_image());
    let gc = ran(place, &["gc"]);
    assert!(gc.out.starts_with(&format!("removed: {}", stand.image)), "{}", gc.out);
    assert!(!stand.has_image());
    assert_eq!(json(place, &["gc", "--json"]), value!([]));
}

#[test]
#[ignore = "needs an Engine and docker-registry"]
fn a_task_that_went_without_its_run_uses_nothing_any_more() {
    let stand = Stand::new(Options::default());
    let mut run = Running::start(stand.place.longshore(&["run", &stand.job(TASK)]));
    run.wait_for("up");
    run.signal("KILL");
    run.end();
    stand.place.remove_containers();
    // Its state says that it runs; the next run of the job finds that it does not.
    let run = stand.place.run(&stand.job("echo hi"), &[]);
    assert_eq!(run.code, 0, "{}", run.err);
    let [image] = stand.images().try_into().unwrap();
    assert_eq!((&image["users"], image["due"].is_string()), (&value!([]), true), "{image}");
    assert_eq!(ran(&stand.place, &["gc"]).code, 0);
    assert!(!stand.has_image());
}

#[test]
#[ignore = "needs an Engine and docker-registry"]
fn what_was_there_before_is_not_ours_to_remove() {
    let stand = Stand::new(Options::default());
    assert_eq!(ran(&stand.place, &["pull", &stand.image]).code, 0);
    let other = Place::new();
    let file = other.file("job.nomad.hcl", &fs::read_to_string(stand.job("true")).unwrap());
    assert_eq!(other.run(&file, &[]).code, 0);
    assert_eq!(json(&other, &["images", "--json"]), value!([]));
    assert_eq!(ran(&other, &["gc"]).out, "");
    assert!(stand.has_image());
    // Where it was pulled by name it stays until it is asked to go.
    assert_eq!(stand.place.run(&file, &[]).code, 0);
    let [image] = stand.images().try_into().unwrap();
    assert_eq!((&image["origin"], &image["due"]), (&value!("requested"), &Value::Null), "{image}");
    assert!(ran(&stand.place, &["gc"]).out.starts_with("removed: "));
    assert!(!stand.has_image());
}

#[test]
#[ignore = "needs an Engine and docker-registry"]
fn credentials_are_those_of_docker_login() {
    let stand = Stand::new(Options { password: true, ..Options::default() });
    let docker = stand.place.dir.join("docker");
    fs::create_dir(&docker).unwrap();
    let pull = |args: &[&str]| Ran::of(stand.place.longshore(args).env("DOCKER_CONFIG", &docker).output().unwrap());
    let refused = pull(&["pull", &stand.image]);
    assert_eq!((refused.code, refused.out.as_str()), (125, ""));
    let errors: Vec<&str> = refused.err.lines().filter(|line| line.contains("cannot pull")).collect();
    assert_eq!(errors.len(), 1, "{}", refused.err);
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("{USER}:{PASSWORD}"));
    let config = value!({"auths": {stand.registry.host(): {"auth": encoded}}});
    fs::write(docker.join("config.json"), config.to_string()).unwrap();
    let pulled = pull(&["pull", &stand.image, "--json"]);
    assert_eq!(pulled.code, 0, "{}", pulled.err);
    let last: Value = serde_json::from_str(pulled.out.lines().last().unwrap()).unwrap();
    assert_eq!(last[0]["image"], stand.image.as_str());
    let verbose = pull(&["pull", &stand.image, "--log-level", "trace"]);
    assert_eq!(verbose.code, 0);
    for secret in [PASSWORD, encoded.as_str(), "X-Registry-Auth"] {
        assert!(!verbose.err.to_lowercase().contains(&secret.to_lowercase()), "{secret} is logged");
    }
}

#[test]
#[ignore = "needs an Engine and docker-registry"]
fn a_run_that_cannot_pull_says_so_in_a_line_and_writes_events() {
    let stand = Stand::new(Options::default());
    let text = fs::read_to_string(stand.job("true")).unwrap().replace("app:1", "none:1");
    let file = stand.place.file("none.nomad.hcl", &text);
    let run = stand.place.run(&file, &[]);
    assert_eq!((run.code, run.out.as_str()), (125, ""));
    let errors = run.err.lines().filter(|line| line.contains("cannot pull the image")).count();
    assert_eq!(errors, 1, "{}", run.err);
    let run = stand.place.run(&stand.job("true"), &["--json"]);
    let events: Vec<Value> = run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |event: &str| events.iter().filter(|e| e["event"] == event).collect::<Vec<_>>();
    assert_eq!(of("image_pull")[0]["image"], stand.image.as_str(), "{}", run.out);
    let progress = of("pull_progress");
    assert_eq!(progress.last().unwrap()["state"], "pulled", "{}", run.out);
}

/// On a dockerd of the test's own that has never seen an image.
mod faults {
    use std::path::Path;
    use std::process::Command;

    use super::*;
    use crate::support::dockerd::Dockerd;

    /// The lines of the README's first example, but for indentation and what only the documentation needs.
    fn example(text: &str) -> Vec<&str> {
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("# ")).collect()
    }

    #[test]
    #[ignore = "needs root, dockerd and docker-registry"]
    fn the_examples_of_the_readme_run_where_nothing_is_there() {
        let dockerd = Dockerd::start(&["--registry-mirror", "http://127.0.0.1:5000"]);
        let options = Options { address: Some("127.0.0.1:5000"), ..Options::default() };
        // It stands for Docker Hub.
        let registry = Registry::start_in(&dockerd, options);
        registry.put_image("library/busybox", "1", ImageSpec { marker: "", layers: &[] });
        let place = Place::on(dockerd.host());

        let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
        let shown = readme.split_once("```rust,no_run\n").and_then(|(_, rest)| rest.split_once("```")).unwrap().0;
        let source = include_str!("../../examples/hello.rs");
        let built: Vec<&str> = example(source);
        for line in example(shown) {
            assert!(built.contains(&line), "examples/hello.rs lacks {line:?}");
        }
        let programs = Path::new(env!("CARGO_BIN_EXE_longshore")).parent().unwrap();
        let hello = Command::new(programs.join("examples/hello")).env("DOCKER_HOST", dockerd.host()).output().unwrap();
        let hello = Ran::of(hello);
        assert_eq!((hello.code, hello.out.as_str()), (0, "hello\nexit code 0\n"), "{}", hello.err);

        let text = "job \"hub\" {\n type = \"batch\"\n group \"g\" {\n task \"t\" {\n driver = \"docker\"\n config {\n \
                    image = \"busybox:1\"\n command = \"echo\"\n args = [\"hi\"]\n }\n }\n }\n}\n";
        let run = place.run(&place.file("hub.nomad.hcl", text), &[]);
        assert_eq!((run.code, run.out.as_str()), (0, "hi\n"), "{}", run.err);
        assert_eq!(registry.manifests_served("library/busybox", "1"), 1, "it is there since the first example");
    }
}

//! The program in a place of its own: a data directory and a job file, whose containers are gone when the test ends.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use longshore::engine::{Engine, ListQuery, RemoveQuery};

use crate::support::{IMAGE, unique};

/// Long enough for a loaded machine; a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Place {
    pub(crate) dir: PathBuf,
    /// Whom the program asks; `None`: as the environment says.
    host: Option<String>,
    /// Whether a proxy stands there, which may be away.
    is_behind: bool,
    /// The job's name: no other test has it.
    pub(crate) name: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        let name = unique("cli");
        let dir = std::env::temp_dir().join(&name);
        fs::create_dir(&dir).unwrap();
        Self { dir, host: None, is_behind: false, name }
    }

    /// The same on another Engine.
    pub(crate) fn on(host: String) -> Self {
        let mut place = Self::new();
        place.host = Some(host);
        place
    }

    /// The program asks through a proxy at `host`; the test itself asks the Engine of this machine.
    pub(crate) fn behind(host: String) -> Self {
        let mut place = Self::on(host);
        place.is_behind = true;
        place
    }

    /// The program with this place's data directory.
    pub(crate) fn longshore(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_longshore"));
        command
            .args(args)
            .env("LONGSHORE_DATA_DIR", self.dir.join("data"))
            .env_remove("RUST_LOG")
            .env_remove("NO_COLOR");
        if let Some(host) = &self.host {
            command.env("DOCKER_HOST", host);
        }
        command.stdin(Stdio::null());
        command
    }

    /// Writes a file and gives its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.dir.join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Writes a batch job of one group of tasks, name and script each, and more for the group and for each task.
    pub(crate) fn job(&self, tasks: &[(&str, &str)], group: &str, task: &str) -> String {
        let tasks: String = tasks
            .iter()
            .map(|(name, script)| {
                format!(
                    "task \"{name}\" {{\n driver = \"docker\"\n config {{\n image = \"{IMAGE}\"\n command = \"sh\"\n \
                     args = [\"-c\", <<EOF\n{script}\nEOF\n]\n network_mode = \"none\"\n }}\n {task}\n}}\n"
                )
            })
            .collect();
        let restart = if group.contains("restart") { "" } else { "restart {\n attempts = 0\n }" };
        let name = &self.name;
        self.file(
            "job.nomad.hcl",
            &format!("job \"{name}\" {{\n type = \"batch\"\n group \"g\" {{\n {restart}\n {group}\n {tasks} }}\n}}\n"),
        )
    }

    /// Runs a job to its end.
    pub(crate) fn run(&self, file: &str, args: &[&str]) -> Ran {
        let all: Vec<&str> = ["run", file].into_iter().chain(args.iter().copied()).collect();
        Ran::of(self.longshore(&all).output().unwrap())
    }

    /// Runs a job of one script to its end.
    pub(crate) fn run_script(&self, script: &str, args: &[&str]) -> Ran {
        let file = self.job(&[("t", script)], "", "");
        self.run(&file, args)
    }

    pub(crate) fn engine(&self) -> Engine {
        match &self.host {
            Some(host) if !self.is_behind => Engine::connect(host.parse().unwrap()),
            _ => Engine::from_env().unwrap(),
        }
    }

    /// The names of this place's containers.
    #[track_caller]
    pub(crate) fn containers(&self) -> Vec<String> {
        self.list().expect("the containers")
    }

    fn list(&self) -> Result<Vec<String>, longshore::engine::Error> {
        let Ok(instance) = fs::read_to_string(self.dir.join("data/instance")) else { return Ok(Vec::new()) };
        let query = ListQuery::new().all().filter("label", format!("longshore.instance={}", instance.trim()));
        let list = self.engine().container_list(&query)?;
        Ok(list.into_iter().map(|c| c.names.concat().trim_start_matches('/').to_owned()).collect())
    }

    /// Removes them.
    pub(crate) fn remove_containers(&self) {
        let query = RemoveQuery { force: true, volumes: true, link: false };
        for name in self.containers() {
            self.engine().container_remove(&name, &query).unwrap();
        }
    }

    /// The one state that is saved.
    pub(crate) fn state(&self) -> serde_json::Value {
        let state = fs::read_dir(self.dir.join("data/state")).unwrap().flatten().map(|e| e.path());
        let is_state = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.ends_with(".json") && !name.ends_with(".wish.json")
        };
        let files: Vec<PathBuf> = state.filter(is_state).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        serde_json::from_slice(&fs::read(&files[0]).unwrap()).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let left = self.list();
        for name in left.iter().flatten() {
            let _ = self.engine().container_remove(name, &RemoveQuery { force: true, volumes: true, link: false });
        }
        let _ = fs::remove_dir_all(&self.dir);
        if !std::thread::panicking() {
            assert_eq!(left.expect("the containers"), Vec::<String>::new(), "containers are left");
        }
    }
}

/// What a run of the program gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The program while it runs. Killed when dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    lines: Receiver<String>,
    pub(crate) out: String,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (send, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        // Ends with the program's standard output.
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines, out: String::new() }
    }

    /// Waits for a line of standard output that holds `text`.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) {
        let begun = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            let line =
                self.lines.recv_timeout(left).unwrap_or_else(|e| panic!("no line with {text:?}: {e}; {}", self.out));
            self.out.push_str(&line);
            self.out.push('\n');
            if line.contains(text) {
                return;
            }
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ran {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "the program does not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        for line in self.lines.iter() {
            self.out.push_str(&line);
            self.out.push('\n');
        }
        let mut err = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        Ran { code: status.code().unwrap_or(-1), out: std::mem::take(&mut self.out), err }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

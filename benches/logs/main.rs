//! What collecting costs: one container's output to a file, with longshore, `docker logs -f`, bollard, and by hand.
//!
//! Each subject is a process of its own, which gets the same request answered; they go by turns. Speed is that of the output
//! itself, without stamps and frames; a ratio is the median of the ratios within each round. CPU is the client's. Once from a
//! real Engine, and once from a socket that says what an Engine would as fast as it is read: `playback`. `many` is another
//! question: 200 tasks that each write a little. `README.md` says how to read the tables.

#[path = "../container/mod.rs"]
mod container;
#[path = "../machine/mod.rs"]
mod machine;
mod many;
mod playback;
mod raw;

use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use std::{env, io, thread};

use longshore::Endpoint;
use longshore::driver::{Driver, DriverConfig, LogTarget, LogTargets, TaskConfig, TaskHandle, TaskId};
use longshore::engine::Engine;

use container::Container;
use machine::{build_peers, median};
use playback::{Output, Pace, Playback};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A container of the playback: it takes every name.
const ANY: &str = "0123456789abcdef";

/// How much is measured.
struct Extent {
    rounds: usize,
    /// Output from the playback and from the Engine, in MB.
    playback: usize,
    engine: usize,
    /// How long the many tasks are watched, and how many they are.
    many: (Duration, usize),
    peers: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let given = |name: &str| arguments.iter().any(|argument| argument == name);
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--collect", "raw", socket, id, file] => {
            raw::follow(Path::new(socket), id, Path::new(file)).map_err(Into::into)
        }
        ["--collect", "longshore", socket, id, file] => collect(Path::new(socket), &[(*id, Path::new(file))]),
        ["--collect-many", socket, count, folder] => many::collect_all(socket, count, folder),
        // cargo gives `--bench` to a bench that is to measure, and nothing to one that is tested; `--test` asks for a trial.
        _ => bench(&extent(given("--bench") && !given("--test"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("logs: {error}");
            ExitCode::FAILURE
        }
    }
}

fn extent(whole: bool) -> Extent {
    let said = |name: &str| env::var(name).ok().and_then(|text| text.parse::<usize>().ok());
    let seconds = said("LONGSHORE_BENCH_SECONDS");
    let megabytes = said("LONGSHORE_BENCH_MB");
    match whole {
        true => Extent {
            rounds: 5,
            playback: megabytes.unwrap_or(500),
            engine: megabytes.unwrap_or(500) / 10,
            many: (Duration::from_secs(seconds.unwrap_or(20) as u64), 200),
            peers: true,
        },
        false => Extent { rounds: 1, playback: 2, engine: 1, many: (Duration::from_millis(500), 3), peers: false },
    }
}

fn bench(extent: &Extent) -> Result<()> {
    let load = fs::read_to_string("/proc/loadavg")?;
    println!("machine: {}, load before {}", machine::cpu_model()?, load.trim());
    println!("medians of {} rounds, by turns; ratios are to the raw socket in the same round\n", extent.rounds);
    let folder = Folder::new()?;
    let programs = Programs::find(extent.peers)?;
    for line in [100, 16 * 1024] {
        let output = Output { line, lines: extent.playback * 1_000_000 / line };
        let playback = Playback::start(&folder.0.join(format!("{line}.sock")), Pace::Whole(output))?;
        let run = |subject: Subject| {
            playback.rewind();
            once(subject, &programs, playback.socket(), ANY, &folder.0, output.bytes())
        };
        compare(&format!("lines of {line} bytes, played back"), extent.rounds, &programs, run)?;
    }
    match Engine::from_env().and_then(|engine| engine.ping().map(|_| engine)) {
        Err(error) => println!("nothing measured with an Engine: {error}\n"),
        Ok(engine) => {
            let Endpoint::Unix(socket) = engine.endpoint().clone() else {
                println!("nothing measured with an Engine: {} is no Unix socket\n", engine.endpoint());
                return Ok(());
            };
            for line in [100, 16 * 1024] {
                let lines = extent.engine * 1_000_000 / line;
                let container = Container::of_a_log(&engine, line, lines)?;
                // One that has only just ended is read once more, to be certain.
                thread::sleep(Duration::from_secs(4));
                let bytes = (line * lines) as u64;
                let run = |subject| once(subject, &programs, &socket, &container.id, &folder.0, bytes);
                let title = format!("lines of {line} bytes, Engine {}", engine.version()?.version);
                compare(&title, extent.rounds.min(3), &programs, run)?;
            }
        }
    }
    many::compare(&programs, &folder.0, extent.many.0, extent.many.1)
}

/// Who collects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Raw,
    Longshore,
    Docker,
    Bollard,
}

impl Subject {
    fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw socket",
            Self::Longshore => "longshore",
            Self::Docker => "docker logs -f",
            Self::Bollard => "bollard",
        }
    }
}

/// The programs that are there.
struct Programs {
    own: PathBuf,
    docker: bool,
    peers: Option<PathBuf>,
}

impl Programs {
    fn find(peers: bool) -> Result<Self> {
        let docker = Command::new("docker").arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success());
        Ok(Self { own: env::current_exe()?, docker, peers: peers.then(build_peers).transpose()? })
    }

    fn subjects(&self) -> Vec<Subject> {
        let mut subjects = vec![Subject::Raw, Subject::Longshore];
        subjects.extend(self.docker.then_some(Subject::Docker));
        subjects.extend(self.peers.is_some().then_some(Subject::Bollard));
        subjects
    }

    /// What collects a container's output into a file.
    fn command(&self, subject: Subject, socket: &Path, id: &str, file: &Path) -> Result<Command> {
        let mut command;
        match subject {
            Subject::Raw | Subject::Longshore => {
                command = Command::new(&self.own);
                command.args(["--collect", if subject == Subject::Raw { "raw" } else { "longshore" }]);
                command.arg(socket).arg(id).arg(file);
            }
            Subject::Bollard => {
                command = Command::new(self.peers.as_ref().ok_or("no peers")?);
                command.args(["logs", "current-thread"]).arg(socket).arg(id).arg(file);
            }
            Subject::Docker => {
                command = Command::new("docker");
                command.arg("-H").arg(format!("unix://{}", socket.display())).args(["logs", "-f", id]);
                command.stdout(File::create(file)?);
            }
        }
        Ok(command)
    }
}

/// What one run came to.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// Bytes a second.
    speed: f64,
    /// CPU seconds for 1 GB.
    cpu: f64,
}

/// Collects once, from the start of a process to its end.
fn once(subject: Subject, programs: &Programs, socket: &Path, id: &str, folder: &Path, bytes: u64) -> Result<Run> {
    let folder = folder.join("run");
    fs::create_dir(&folder)?;
    let file = folder.join("output");
    let (begun, cpu) = (Instant::now(), machine::childrens_cpu()?);
    let status = programs.command(subject, socket, id, &file)?.status()?;
    let (took, cpu) = (begun.elapsed(), machine::childrens_cpu()? - cpu);
    let found = file.metadata()?.len();
    fs::remove_dir_all(&folder)?;
    match status.success() && found == bytes {
        true => Ok(Run { speed: bytes as f64 / took.as_secs_f64(), cpu: cpu / (bytes as f64 / 1e9) }),
        false => Err(format!("{}: {found} bytes instead of {bytes}, {status}", subject.name()).into()),
    }
}

fn compare(title: &str, rounds: usize, programs: &Programs, run: impl Fn(Subject) -> Result<Run>) -> Result<()> {
    let subjects = programs.subjects();
    let mut runs: Vec<Vec<Run>> = Vec::new();
    for _ in 0..rounds {
        runs.push(subjects.iter().map(|subject| run(*subject)).collect::<Result<_>>()?);
    }
    println!("| {title} | MB/s | ratio | CPU s per GB |\n|---|---:|---:|---:|");
    for (at, subject) in subjects.iter().enumerate() {
        let speed = median(runs.iter().map(|round| round[at].speed)) / 1e6;
        let ratio = median(runs.iter().map(|round| round[at].speed / round[0].speed));
        let cpu = median(runs.iter().map(|round| round[at].cpu));
        println!("| {} | {speed:.0} | {ratio:.2} | {cpu:.2} |", subject.name());
    }
    println!();
    Ok(())
}

/// Collects containers' output with a driver, as it collects that of tasks, until all have ended.
fn collect(socket: &Path, containers: &[(&str, &Path)]) -> Result<()> {
    let engine = Engine::connect(Endpoint::Unix(socket.to_owned()));
    let driver = Driver::new(engine, DriverConfig { instance: "bench".into(), ..DriverConfig::default() });
    for (id, file) in containers {
        let file = LogTarget::File((*file).to_owned());
        let config = TaskConfig {
            id: TaskId::new(*id),
            name: "bench".into(),
            logs: LogTargets { stdout: file.clone(), stderr: file },
            ..TaskConfig::default()
        };
        let handle = TaskHandle { version: 1, config, container_id: (*id).to_owned(), ..TaskHandle::default() };
        driver.recover_task(&handle)?;
    }
    for (id, _) in containers {
        let id = TaskId::new(*id);
        driver.wait_task(&id)?.recv()?;
        if !driver.drain_task(&id, &crossbeam_channel::never())? {
            return Err("not all was collected".into());
        }
    }
    driver.shutdown();
    Ok(())
}

/// A folder that goes with us.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        let path = env::temp_dir().join(format!("longshore-bench-{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("logs: {} is left: {error}", self.0.display());
        }
    }
}

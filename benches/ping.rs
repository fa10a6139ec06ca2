//! What a `/_ping` costs: by hand on a raw socket, with longshore, and with bollard on two tokio runtimes.
//!
//! All are measured in one run and by turns, so that what else the machine does hits all alike. Figures are medians over
//! rounds; a ratio is the median of the ratios within each round. The Engine's own CPU time is nowhere in them.
//! bollard is a program of its own (`peers/`), built here and spoken to in lines. `README.md` says how to read the table.

mod machine;
mod measure;

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use longshore::Endpoint;
use longshore::engine::Engine;

use machine::{build_peers, cpu_model, median, peers_dir};
use measure::{Figures, Round};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How much is measured.
struct Extent {
    rounds: usize,
    /// Calls of each subject in a round.
    calls: usize,
    peers: bool,
}

/// What `cargo bench` asks for: half a minute, and 20 samples of each round lie above its p99.
const WHOLE: Extent = Extent { rounds: 20, calls: 2000, peers: true };
/// What `cargo test --all-targets` does: enough to see that it works, and nothing is built.
const SHORT: Extent = Extent { rounds: 1, calls: 20, peers: false };

fn main() -> ExitCode {
    // cargo gives `--bench` to a bench that is to measure, and nothing to one that is tested; `--test` asks for a trial.
    let given = |name: &str| env::args().any(|argument| argument == name);
    let whole = given("--bench") && !given("--test");
    match bench(if whole { &WHOLE } else { &SHORT }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ping: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(extent: &Extent) -> Result<()> {
    let engine = match Engine::from_env().and_then(|engine| engine.ping().map(|_| engine)) {
        Ok(engine) => engine,
        Err(error) => {
            println!("ping: nothing measured: {}", chain(&error));
            return Ok(());
        }
    };
    let Endpoint::Unix(socket) = engine.endpoint() else {
        println!("ping: nothing measured: {} is not a Unix socket", engine.endpoint());
        return Ok(());
    };

    let mut subjects: Vec<Subject> = vec![
        Subject::new("raw socket, kept", Raw::Kept(connect(socket)?)),
        Subject::new("longshore", Longshore(engine.clone())),
        Subject::new("raw socket, one a call", Raw::PerCall(socket.clone())),
    ];
    if extent.peers {
        let program = build_peers()?;
        for runtime in ["current-thread", "multi-thread"] {
            subjects.push(Subject::new(&format!("bollard, {runtime}"), Peer::start(&program, runtime, socket)?));
        }
    }

    let load = fs::read_to_string("/proc/loadavg")?;
    for subject in &mut subjects {
        // Warms up.
        subject.pinger.round(extent.calls.min(200)).map_err(|error| format!("{}: {error}", subject.name))?;
    }
    for _ in 0..extent.rounds {
        for subject in &mut subjects {
            let figures = subject.pinger.round(extent.calls);
            subject.rounds.push(figures.map_err(|error| format!("{}: {error}", subject.name))?);
        }
    }
    report(extent, &engine, &subjects, &load)
}

/// One line of the table.
struct Subject {
    name: String,
    pinger: Box<dyn Pinger>,
    rounds: Vec<Figures>,
}

impl Subject {
    fn new(name: &str, pinger: impl Pinger + 'static) -> Self {
        Self { name: name.to_owned(), pinger: Box::new(pinger), rounds: Vec::new() }
    }
}

/// Something that pings, so many times a round.
trait Pinger {
    fn round(&mut self, calls: usize) -> Result<Figures>;
}

/// Times calls in this process.
fn timed(calls: usize, mut call: impl FnMut() -> Result<()>) -> Result<Figures> {
    let mut round = Round::begin(calls)?;
    for _ in 0..calls {
        let begun = Instant::now();
        call()?;
        round.took(begun.elapsed());
    }
    Ok(round.end()?)
}

struct Longshore(Engine);

impl Pinger for Longshore {
    fn round(&mut self, calls: usize) -> Result<Figures> {
        timed(calls, || {
            self.0.ping()?;
            Ok(())
        })
    }
}

/// The least that a client can do: one write, and reads into a buffer on the stack.
enum Raw {
    /// All calls on one connection, as longshore does it.
    Kept(UnixStream),
    /// A connection for each call, as bollard does it.
    PerCall(PathBuf),
}

impl Pinger for Raw {
    fn round(&mut self, calls: usize) -> Result<Figures> {
        match self {
            Self::Kept(stream) => timed(calls, || Ok(ping_by_hand(stream)?)),
            Self::PerCall(socket) => timed(calls, || Ok(ping_by_hand(&mut connect(socket)?)?)),
        }
    }
}

fn connect(socket: &Path) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    Ok(stream)
}

fn ping_by_hand(stream: &mut UnixStream) -> io::Result<()> {
    stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut buffer = [0; 4096];
    let mut filled = 0;
    // The whole answer of an Engine that is well: a head, and the body `OK`.
    while !buffer[..filled].ends_with(b"\r\n\r\nOK") {
        match stream.read(&mut buffer[filled..])? {
            0 => return Err(io::Error::other("no answer to a ping")),
            n => filled += n,
        }
    }
    if !buffer.starts_with(b"HTTP/1.1 200 ") {
        return Err(io::Error::other("the Engine is not well"));
    }
    Ok(())
}

/// A child that measures itself.
struct Peer {
    child: Child,
    /// `None`: closed, which ends the child.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Peer {
    fn start(program: &Path, runtime: &str, socket: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        command.arg(runtime).arg(socket).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("cannot run {}: {error}", program.display()))?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().ok_or("a peer without output")?);
        Ok(Self { child, input, output })
    }
}

impl Pinger for Peer {
    fn round(&mut self, calls: usize) -> Result<Figures> {
        let input = self.input.as_mut().ok_or("a peer without input")?;
        writeln!(input, "{calls}")?;
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err("it ended before its time".into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.input = None;
        if let Err(error) = self.child.wait() {
            eprintln!("ping: a peer was not waited for: {error}");
        }
    }
}

fn report(extent: &Extent, engine: &Engine, subjects: &[Subject], load: &str) -> Result<()> {
    let Some(raw) = subjects.first() else { return Err("nothing to report".into()) };
    println!();
    let trial = if extent.peers { "" } else { " (this was a trial of it: its figures mean nothing)" };
    println!("command: cargo bench --bench ping{trial}");
    let load = load.split_whitespace().next().unwrap_or("unknown");
    println!("machine: {}, {} cores, load {load} before", cpu_model()?, thread::available_parallelism()?);
    println!("Engine:  {} over a Unix socket, API {}", engine.version()?.version, engine.api_version()?);
    if extent.peers {
        println!("peers:   bollard {}, tokio {}", locked_version("bollard")?, locked_version("tokio")?);
    }
    // The Engine is on this machine, so its clock is ours.
    println!("date:    {}", engine.info()?.system_time.get(..10).unwrap_or("unknown"));
    println!("rounds:  {} of {} calls each, by turns", extent.rounds, extent.calls);
    println!("Times in µs: medians over the rounds. CPU is the client's: the Engine's own is not counted.");
    println!("Ratios are to the first line, each the median of the ratios within a round.");
    println!();
    println!("| `/_ping`                |    p50 |    p99 | CPU/call | p50 ratio | p99 ratio | CPU ratio |");
    println!("|-------------------------|-------:|-------:|---------:|----------:|----------:|----------:|");
    for subject in subjects {
        let [p50, p99, cpu] = COLUMNS.map(|column| median(subject.rounds.iter().map(column)) / 1000.0);
        let [p50_ratio, p99_ratio, cpu_ratio] = COLUMNS.map(|column| {
            let pairs = subject.rounds.iter().zip(&raw.rounds);
            median(pairs.map(|(round, raw)| column(round) / column(raw)))
        });
        print!("| {:<23} | {p50:>6.1} | {p99:>6.1} | {cpu:>8.1} ", subject.name);
        println!("| {p50_ratio:>9.2} | {p99_ratio:>9.2} | {cpu_ratio:>9.2} |");
    }
    Ok(())
}

/// The table's columns: each once in µs, and once as a ratio.
const COLUMNS: [fn(&Figures) -> f64; 3] =
    [|round| round.p50_ns as f64, |round| round.p99_ns as f64, |round| round.cpu_ns as f64];

/// The version of a crate in the peers' lock file.
fn locked_version(name: &str) -> Result<String> {
    let lock = fs::read_to_string(peers_dir().join("Cargo.lock"))?;
    let mut lines = lock.lines().skip_while(|line| *line != format!("name = \"{name}\"")).skip(1);
    let version = lines.next().and_then(|line| line.strip_prefix("version = ")).map(|text| text.trim_matches('"'));
    Ok(version.ok_or_else(|| format!("the peers' lock file has no {name}"))?.to_owned())
}

/// An error and what caused it, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

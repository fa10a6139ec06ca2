//! What a call costs: `/_ping` over a raw socket, longshore and bollard, in turn in one run, as ratios against the raw socket.
//!
//! `cargo bench --bench ping`. bollard runs in a process of its own (`benches/peers`), which is built first.

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use longshore::Endpoint;
use longshore::engine::{Engine, endpoint_from_env};

const ROUNDS: usize = 20;
const CALLS: usize = 500;
const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/Cargo.toml");

type Failed = Box<dyn Error>;

fn main() -> Result<(), Failed> {
    // `cargo test --benches` runs this too: it measures nothing then.
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("nothing was measured: run `cargo bench --bench ping`");
        return Ok(());
    }
    let Ok(Endpoint::Unix(path)) = endpoint_from_env() else {
        println!("nothing was measured: there is no Engine at a Unix socket");
        return Ok(());
    };
    let socket = path.to_string_lossy().into_owned();
    let engine = Engine::connect(Endpoint::Unix(path));
    let version = match engine.version() {
        Ok(version) => version.version,
        Err(e) => {
            println!("nothing was measured: {e}");
            return Ok(());
        }
    };
    let mut raw = Raw::connect(&socket)?;
    let mut current = Peer::start("current", &socket)?;
    let mut multi = Peer::start("multi", &socket)?;

    let mut rows = [
        Row::new("raw socket"),
        Row::new("longshore"),
        Row::new("bollard, current-thread tokio"),
        Row::new("bollard, multi-thread tokio"),
    ];
    // The first round warms all up, and does not count.
    for round in 0..=ROUNDS {
        let rounds = [raw.round()?, ours(&engine)?, current.round()?, multi.round()?];
        if round > 0 {
            rows.iter_mut().zip(rounds).for_each(|(row, round)| row.add(round));
        }
    }
    print(&version, &mut rows);
    Ok(())
}

/// What one round took: per call, and in CPU altogether.
struct Round {
    took_ns: Vec<u64>,
    cpu_ns: u64,
}

/// Does `call` as often as a round has calls, in this process.
fn timed(mut call: impl FnMut() -> Result<(), Failed>) -> Result<Round, Failed> {
    let mut took_ns = Vec::with_capacity(CALLS);
    let cpu = cpu_ns();
    for _ in 0..CALLS {
        let begun = Instant::now();
        call()?;
        took_ns.push(begun.elapsed().as_nanos() as u64);
    }
    Ok(Round { took_ns, cpu_ns: cpu_ns() - cpu })
}

fn ours(engine: &Engine) -> Result<Round, Failed> {
    timed(|| Ok(engine.ping().map(drop)?))
}

/// The floor: the same request on a kept connection, the answer read to its known end.
struct Raw {
    socket: UnixStream,
    buffer: [u8; 4096],
}

impl Raw {
    fn connect(path: &str) -> Result<Self, Failed> {
        Ok(Self { socket: UnixStream::connect(path)?, buffer: [0; 4096] })
    }

    fn round(&mut self) -> Result<Round, Failed> {
        timed(|| {
            self.socket.write_all(b"GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n")?;
            let mut length = 0;
            loop {
                let n = self.socket.read(&mut self.buffer[length..])?;
                length += n;
                if n == 0 {
                    return Err("the Engine has closed".into());
                }
                // The body of a ping is "OK", and its end the end of the answer.
                if self.buffer[..length].ends_with(b"\r\n\r\nOK") {
                    return Ok(());
                }
            }
        })
    }
}

/// bollard in a process of its own.
struct Peer {
    child: Child,
    go: ChildStdin,
    rounds: BufReader<ChildStdout>,
}

impl Peer {
    fn start(runtime: &str, socket: &str) -> Result<Self, Failed> {
        let built = Command::new("cargo")
            .args(["build", "--quiet", "--release", "--locked", "--manifest-path", PEERS])
            .status()?;
        if !built.success() {
            return Err("benches/peers could not be built".into());
        }
        let mut child = Command::new("cargo")
            .args(["run", "--quiet", "--release", "--locked", "--manifest-path", PEERS, "--", runtime, socket])
            .arg(CALLS.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let go = child.stdin.take().ok_or("no standard input")?;
        let rounds = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        Ok(Self { child, go, rounds })
    }

    fn round(&mut self) -> Result<Round, Failed> {
        writeln!(self.go)?;
        let mut line = String::new();
        self.rounds.read_line(&mut line)?;
        let round: serde_json::Value = serde_json::from_str(&line)?;
        let took = round["took_ns"].as_array().ok_or("no samples")?;
        Ok(Round {
            took_ns: took.iter().filter_map(serde_json::Value::as_u64).collect(),
            cpu_ns: round["cpu_ns"].as_u64().ok_or("no CPU time")?,
        })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All rounds of one of them.
struct Row {
    name: &'static str,
    took_ns: Vec<u64>,
    cpu_ns: u64,
}

impl Row {
    fn new(name: &'static str) -> Self {
        Self { name, took_ns: Vec::new(), cpu_ns: 0 }
    }

    fn add(&mut self, round: Round) {
        self.took_ns.extend(round.took_ns);
        self.cpu_ns += round.cpu_ns;
    }

    /// p50, p99 and CPU a call, in µs.
    fn figures(&mut self) -> [f64; 3] {
        self.took_ns.sort_unstable();
        let at = |share: f64| {
            let last = self.took_ns.len().saturating_sub(1);
            self.took_ns.get((last as f64 * share) as usize).map_or(f64::NAN, |ns| *ns as f64 / 1000.0)
        };
        [at(0.5), at(0.99), self.cpu_ns as f64 / 1000.0 / self.took_ns.len() as f64]
    }
}

fn print(version: &str, rows: &mut [Row]) {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("?", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let days = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs() / 86_400;
    println!("cargo bench --bench ping; Engine {version}; {cores} cores, {model}; day {days} since 1970");
    println!("{ROUNDS} rounds of {CALLS} calls each, in turn; the Engine's own CPU is not counted\n");
    println!("| `/_ping` by | p50 µs | p99 µs | CPU µs | p50 | p99 | CPU |");
    println!("|---|---|---|---|---|---|---|");
    let floor = rows[0].figures();
    for row in rows {
        let [p50, p99, cpu] = row.figures();
        let name = row.name;
        let ratios = [p50 / floor[0], p99 / floor[1], cpu / floor[2]];
        println!(
            "| {name} | {p50:.1} | {p99:.1} | {cpu:.1} | {:.2} | {:.2} | {:.2} |",
            ratios[0], ratios[1], ratios[2]
        );
    }
}

/// What all threads of this process have run so far, in ns.
fn cpu_ns() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let run = |text: String| text.split(' ').next().and_then(|ns| ns.parse::<u64>().ok());
    tasks.filter_map(|task| run(fs::read_to_string(task.path().join("schedstat")).ok()?)).sum()
}

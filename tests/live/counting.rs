//! The counting test: a task writes numbered lines, and everything around it breaks meanwhile. What was collected is what the Engine
//! answers in the end: each line once, in order, byte for byte.
//!
//! The collector runs in a process of its own, this very program, which is killed again and again. Its connections go through a proxy
//! that cuts them at random bytes. The seed is printed; `LONGSHORE_SEED=…` repeats a run's choices.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use longshore::Hangup;
use longshore::driver::{Driver, DriverConfig, LogConfig, LogTarget, LogTargets, TaskHandle};
use longshore::engine::{Engine, LogsQuery};
use serde_json::json;

use crate::cases::bench::Bench;
use crate::support::dockerd::Dockerd;
use crate::support::{IMAGE, rounds, unique};

/// Tells the collecting process where it works.
const COLLECT: &str = "LONGSHORE_COUNTING";
/// For the task and its collection to end, once nothing is broken any more.
const END: Duration = Duration::from_secs(1200);

/// Numbers that look random, the same for a seed.
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn seed() -> u64 {
    let given = std::env::var("LONGSHORE_SEED").ok().and_then(|seed| seed.parse().ok());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros() as u64;
    given.unwrap_or(now | 1)
}

/// What is done to one run.
#[derive(Clone, Copy)]
struct Plan {
    lines: u32,
    /// How often the collecting process is killed.
    kills: u32,
    /// How often a connection is cut.
    cuts: u32,
    /// How often the Engine is killed and started again.
    engine_kills: u32,
    /// About how many lines a second, on the average.
    rate: u32,
    tty: bool,
    log_driver: &'static str,
    /// The longest line, in bytes.
    longest: u32,
    max_file_size: u64,
}

const SHORT: Plan = Plan {
    lines: 30_000,
    kills: 10,
    cuts: 10,
    engine_kills: 0,
    rate: 4000,
    tty: false,
    log_driver: "json-file",
    longest: 70_000,
    // No line is longer, and none may be torn.
    max_file_size: 100_000,
};

/// Writes numbered lines on both streams, in bursts with pauses between: 99 of 100 shorter than 200 bytes, the others up to
/// the longest; some in two writes, some not UTF-8, and the last without a newline.
fn writer(plan: Plan, seed: u64) -> String {
    let Plan { lines, longest, rate, .. } = plan;
    // Bursts of up to a fifth of what comes in a second, and pauses of up to as long.
    let (burst, pause) = (rate / 5, 200_000);
    format!(
        r#"awk 'BEGIN {{
          srand({seed});
          pad = "abcdefghij"; while (length(pad) < {longest}) pad = pad pad;
          left = 1;
          for (i = 1; i <= {lines}; i++) {{
            len = rand() < 0.99 ? int(rand() * 180) : int(rand() * rand() * {longest});
            line = i " " substr(pad, 1, len);
            if (rand() < 0.01) line = line sprintf("%c%c", 200 + int(rand() * 50), 255);
            to = rand() < 0.7 ? "/dev/stdout" : "/dev/stderr";
            if (rand() < 0.01) {{ printf "%s", line > to; fflush(to); printf "|two\n" > to }}
            else if (i == {lines}) printf "%s", line > to;
            else print line > to;
            if (--left <= 0) {{ fflush("/dev/stdout"); fflush("/dev/stderr"); left = int(rand() * {burst}) + 1; system("usleep " int(rand() * {pause})) }}
          }}
        }}'"#,
        seed = seed % 1_000_000_000,
    )
}

/// Passes connections on to an Engine, and cuts some of them in the midst of what it says.
struct Proxy {
    path: PathBuf,
    left: Arc<AtomicU32>,
}

impl Proxy {
    fn start(path: PathBuf, engine: PathBuf, cuts: u32, mut dice: Dice) -> Self {
        let listener = UnixListener::bind(&path).unwrap();
        let left = Arc::new(AtomicU32::new(cuts));
        let budget = left.clone();
        // Ends with the test's process.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // Not each: some must get on. Small and large, for heads and for the midst of output.
                let size = [300, 3_000, 100_000, 2_000_000][dice.below(4) as usize];
                let after = (dice.below(3) > 0).then(|| dice.below(size));
                let (engine, budget) = (engine.clone(), budget.clone());
                thread::spawn(move || pass_on(client, &engine, after, &budget));
            }
        });
        Self { path, left }
    }
}

fn pass_on(client: UnixStream, engine: &Path, cut_after: Option<u64>, budget: &AtomicU32) {
    let Ok(engine) = UnixStream::connect(engine) else { return };
    let (mut from_client, mut to_engine) = (client.try_clone().unwrap(), engine.try_clone().unwrap());
    thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_engine);
        let _ = to_engine.shutdown(Shutdown::Write);
    });
    let (mut engine, mut client) = (engine, client);
    let mut buf = [0; 16 * 1024];
    let mut left = cut_after;
    while let Ok(n @ 1..) = engine.read(&mut buf) {
        if left.is_some_and(|left| left <= n as u64)
            && budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |budget| budget.checked_sub(1)).is_ok()
        {
            let _ = client.write_all(&buf[..left.unwrap_or(0) as usize]);
            break;
        }
        left = left.map(|left| left.saturating_sub(n as u64));
        if client.write_all(&buf[..n]).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = engine.shutdown(Shutdown::Both);
}

/// The collecting process: takes the task up where its predecessor was, and ends when all is collected.
fn collect(dir: &Path) {
    let handle: TaskHandle = serde_json::from_slice(&fs::read(dir.join("handle.json")).unwrap()).unwrap();
    let engine = Engine::connect(format!("unix://{}", dir.join("p.sock").display()).parse().unwrap());
    // To read all of so much takes the Engine long before it says the first of it.
    let log_drain = Duration::from_secs(120);
    let instance = fs::read_to_string(dir.join("instance")).unwrap();
    let driver = Driver::new(engine, DriverConfig { instance, log_drain, ..DriverConfig::default() });
    let events = driver.task_events();
    driver.recover_task(&handle).unwrap();
    driver.wait_task(&handle.config.id).unwrap().recv().unwrap();
    assert!(driver.drain_task(&handle.config.id, &crossbeam_channel::never()).unwrap());
    driver.shutdown();
    for event in
        events.try_iter().filter(|event| event.annotations.get("kind").is_some_and(|kind| kind == "logs_notice"))
    {
        println!("{}", event.message);
    }
}

struct Collecting(Child);

impl Collecting {
    fn start(test: &str, dir: &Path) -> Self {
        let program = std::env::current_exe().unwrap();
        let child = Command::new(program)
            .args(["--ignored", "--exact", "--nocapture", test])
            .env(COLLECT, dir)
            .stdout(Stdio::from(fs::OpenOptions::new().append(true).create(true).open(dir.join("said")).unwrap()))
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Collecting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(test: &str, plan: Plan) {
    if let Some(dir) = std::env::var_os(COLLECT) {
        return collect(Path::new(&dir));
    }
    let seed = seed();
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let dockerd = (plan.engine_kills > 0).then(|| {
        let dockerd = Dockerd::start(&["--live-restore"]);
        dockerd.import_image();
        dockerd
    });
    let (bench, socket) = match &dockerd {
        Some(dockerd) => (Bench::on(Engine::connect(dockerd.host().parse().unwrap())), dockerd.socket()),
        None => {
            let bench = Bench::new();
            let socket = bench.engine.endpoint().to_string();
            (bench, PathBuf::from(socket.strip_prefix("unix://").expect("an Engine on a Unix socket")))
        }
    };
    let dockerd = Mutex::new(dockerd);
    let dir = std::env::temp_dir().join(unique("lsc"));
    fs::create_dir(&dir).unwrap();

    let mut task = bench.with(json!({
        "image": IMAGE, "command": "sh", "args": ["-c", writer(plan, seed)], "tty": plan.tty,
    }));
    task.resources.as_mut().unwrap().nomad.memory_mb = 256;
    // `local` compresses what it has rotated.
    let options = [("max-file", "100"), ("max-size", "20m")];
    let logging = LogConfig {
        kind: plan.log_driver.into(),
        config: options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    };
    let config = DriverConfig { instance: bench.instance.clone(), logging, ..DriverConfig::default() };
    let starter = Driver::new(bench.engine.clone(), config);
    let (mut handle, _) = starter.start_task(task).unwrap();
    starter.shutdown();
    let rotating = |stream: &str| LogTarget::Rotating {
        path: dir.join(format!("t.{stream}")),
        max_files: 100_000,
        max_file_size: plan.max_file_size,
    };
    handle.config.logs = LogTargets { stdout: rotating("stdout"), stderr: rotating("stderr") };
    fs::write(dir.join("instance"), &bench.instance).unwrap();
    fs::write(dir.join("handle.json"), serde_json::to_vec(&handle).unwrap()).unwrap();

    let proxy = Proxy::start(dir.join("p.sock"), socket, plan.cuts, dice.clone());
    let begun = Instant::now();
    // At least so long it writes, in ms.
    let life = u64::from(plan.lines / plan.rate) * 1000;
    let (engine_kills, kills) = thread::scope(|scope| {
        let mut breaks = dice.clone();
        let (dockerd, plan) = (&dockerd, &plan);
        let engine = scope.spawn(move || {
            let mut guard = dockerd.lock().unwrap();
            let Some(dockerd) = guard.as_mut() else { return 0 };
            for _ in 0..plan.engine_kills {
                let between = life / u64::from(plan.engine_kills + 1);
                thread::sleep(Duration::from_millis(between / 2 + breaks.below(between)));
                dockerd.kill();
                thread::sleep(Duration::from_millis(breaks.below(500)));
                dockerd.start_again();
            }
            plan.engine_kills
        });
        // All over the task's life; those of one that has come to its end do not count.
        let mut kills = 0;
        for _ in 0..plan.kills {
            let mut collecting = Collecting::start(test, &dir);
            thread::sleep(Duration::from_millis(50 + dice.below(3 * life / 2 / u64::from(plan.kills))));
            kills += u32::from(collecting.0.try_wait().unwrap().is_none());
        }
        (engine.join().unwrap(), kills)
    });
    let mut last = Collecting::start(test, &dir);
    let status = loop {
        if let Some(status) = last.0.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < END, "seed {seed}: it does not end; {}", dir.display());
        thread::sleep(Duration::from_millis(20));
    };
    let said = fs::read_to_string(dir.join("said")).unwrap();
    assert!(status.success(), "seed {seed}: {said}");

    let collected = ["stdout", "stderr"].map(|stream| compare(&bench, &handle, &dir, stream, plan, seed));
    let total = collected[0].len() + collected[1].len();
    if plan.engine_kills == 0 {
        // Where the Engine was not killed, that is all that was written.
        let mut numbers: Vec<u32> = collected.iter().flat_map(|bytes| numbers(bytes)).collect();
        numbers.sort_unstable();
        assert!(numbers.iter().copied().eq(1..=plan.lines), "seed {seed}: {} numbers", numbers.len());
    }
    let cuts = plan.cuts - proxy.left.load(Ordering::Relaxed);
    println!(
        "{test}, seed {seed}: {} lines, {total} bytes in {:.0} s; {} kills, {} cuts, {engine_kills} times the Engine",
        plan.lines,
        begun.elapsed().as_secs_f64(),
        kills,
        cuts,
    );
    assert!(kills >= plan.kills * 4 / 5, "seed {seed}: {kills} kills; it had ended too soon");
    assert!(cuts >= plan.cuts * 9 / 10, "seed {seed}: {cuts} cuts");
    assert!(proxy.path.exists());
    for line in said.lines().filter(|line| line.starts_with("Output:")) {
        println!("{line}");
    }
    let force = longshore::engine::RemoveQuery { force: true, volumes: true, link: false };
    bench.engine.container_remove(&handle.container_id, &force).unwrap();
    fs::remove_dir_all(&dir).unwrap();
    // It asks its Engine whether anything is left.
    drop(bench);
}

/// The numbers with which lines begin.
fn numbers(bytes: &[u8]) -> Vec<u32> {
    let lines = bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    let number =
        |line: &[u8]| line.split(|b| *b == b' ').next().and_then(|word| str::from_utf8(word).ok()?.parse().ok());
    lines.map(|line| number(line).unwrap_or_else(|| panic!("no number: {:?}", String::from_utf8_lossy(line)))).collect()
}

/// Compares a stream's files with what the Engine answers; gives them.
fn compare(bench: &Bench, handle: &TaskHandle, dir: &Path, stream: &str, plan: Plan, seed: u64) -> Vec<u8> {
    let query =
        LogsQuery { stdout: stream == "stdout", stderr: stream == "stderr", tty: plan.tty, ..LogsQuery::default() };
    let mut logs = bench.engine.container_logs(&handle.container_id, &query, &Hangup::new()).unwrap();
    let mut want = Vec::new();
    while let Some(piece) = logs.next_piece().unwrap() {
        want.extend_from_slice(piece.bytes);
    }
    let mut got = Vec::new();
    for number in 0.. {
        let Ok(bytes) = fs::read(dir.join(format!("t.{stream}.{number}"))) else { break };
        if plan.log_driver == "json-file"
            && !bytes.is_empty()
            && dir.join(format!("t.{stream}.{}", number + 1)).exists()
        {
            assert_eq!(bytes.last(), Some(&b'\n'), "seed {seed}: a line is torn at the end of {stream}.{number}");
        }
        got.extend_from_slice(&bytes);
    }
    if got != want {
        let at = got.iter().zip(&want).take_while(|(a, b)| a == b).count();
        let near = |bytes: &[u8]| {
            String::from_utf8_lossy(&bytes[at.saturating_sub(100)..bytes.len().min(at + 200)]).into_owned()
        };
        panic!(
            "seed {seed}, {stream}: {} bytes instead of {}; from {at} on they differ; kept in {}:\n{}\ninstead of:\n{}",
            got.len(),
            want.len(),
            dir.display(),
            near(&got),
            near(&want)
        );
    }
    got
}

/// Short in `make test`, whole in `make soak`.
fn form(short: Plan, long: impl FnOnce(Plan) -> Plan) -> Plan {
    if rounds(1, 2) == 1 { short } else { long(short) }
}

#[test]
#[ignore = "needs an Engine"]
fn killed_and_cut() {
    let plan = form(SHORT, |plan| Plan { lines: 1_000_000, kills: 50, cuts: 50, rate: 12_000, ..plan });
    run("counting::killed_and_cut", plan);
}

#[test]
#[ignore = "needs root and dockerd"]
fn the_engine_is_killed_too() {
    let short = Plan { lines: 15_000, kills: 5, cuts: 5, engine_kills: 1, rate: 3000, ..SHORT };
    let plan = form(short, |plan| Plan { lines: 1_000_000, kills: 50, cuts: 50, engine_kills: 5, rate: 4500, ..plan });
    run("counting::the_engine_is_killed_too", plan);
}

#[test]
#[ignore = "needs an Engine"]
fn on_a_terminal() {
    let plan =
        form(Plan { tty: true, ..SHORT }, |plan| Plan { lines: 1_000_000, kills: 50, cuts: 50, rate: 12_000, ..plan });
    run("counting::on_a_terminal", plan);
}

#[test]
#[ignore = "needs an Engine"]
fn with_the_local_driver() {
    let short = Plan { log_driver: "local", longest: 16_000, ..SHORT };
    let plan = form(short, |plan| Plan { lines: 1_000_000, kills: 50, cuts: 50, rate: 12_000, ..plan });
    run("counting::with_the_local_driver", plan);
}

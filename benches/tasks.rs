//! What a driver costs for many tasks at once: CPU time of its own for their starts, and memory for each while they run.
//!
//! The Engine is a real one, and its own time and memory are in neither figure. `README.md` says how to read the table.

use std::env;
use std::error::Error;
use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use longshore::driver::{Driver, DriverConfig, NomadResources, Resources, TaskConfig, TaskId};
use longshore::engine::Engine;
use longshore::logs::WriteSink;
use serde_json::json;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What `cargo bench` starts at once, and what a trial does.
const WHOLE: usize = 300;
const SHORT: usize = 3;
/// How many threads start them.
const STARTERS: usize = 8;

fn main() -> ExitCode {
    // cargo gives `--bench` to a bench that is to measure, and nothing to one that is tested; `--test` asks for a trial.
    let given = |name: &str| env::args().any(|argument| argument == name);
    match bench(if given("--bench") && !given("--test") { WHOLE } else { SHORT }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tasks: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(count: usize) -> Result<()> {
    let engine = match Engine::from_env().and_then(|engine| engine.ping().map(|_| engine)) {
        Ok(engine) => engine,
        Err(error) => {
            println!("tasks: nothing measured: {error}");
            return Ok(());
        }
    };
    let instance = format!("bench-{}", std::process::id());
    let driver = Driver::new(engine, DriverConfig { instance: instance.clone(), ..DriverConfig::default() });
    // One before: what is made once is no task's.
    let first = start(&driver, &instance, count)?;
    let (memory, cpu, begun) = (resident_kib()?, cpu_seconds()?, Instant::now());
    // By a few threads, as an Engine does not do more at once either.
    let next = std::sync::atomic::AtomicUsize::new(0);
    let started: Vec<Result<TaskId>> = std::thread::scope(|scope| {
        let (driver, instance, next) = (&driver, &instance, &next);
        let starters: Vec<_> = (0..STARTERS)
            .map(|_| {
                scope.spawn(move || {
                    let numbers = std::iter::repeat_with(|| next.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
                    let starts = numbers.take_while(|n| *n < count);
                    starts.map(|n| start(driver, instance, n).map_err(|e| e.to_string())).collect::<Vec<_>>()
                })
            })
            .collect();
        let joined = starters.into_iter().flat_map(|starter| starter.join().unwrap_or_default());
        joined.map(|start| start.map_err(Into::into)).collect()
    });
    let started: Vec<TaskId> = started.into_iter().collect::<Result<_>>()?;
    let (took, used) = (begun.elapsed(), cpu_seconds()? - cpu);
    let (grown, threads) = (resident_kib()?.saturating_sub(memory), threads()?);
    println!("{count} tasks by {STARTERS} threads, each with a thread that waits and one that collects its output\n");
    println!("| figure | value |\n|---|---:|");
    println!("| time until all run | {:.1} s |", took.as_secs_f64());
    println!("| CPU time of this process for that | {used:.2} s |");
    println!("| threads | {threads} |");
    println!("| resident memory a task | {} KiB |", grown / count.max(1) as u64);
    for id in started.iter().chain([&first]) {
        driver.destroy_task(id, true)?;
    }
    driver.shutdown();
    Ok(())
}

fn start(driver: &Driver, instance: &str, n: usize) -> Result<TaskId> {
    let task = TaskConfig {
        id: TaskId::new(format!("{instance}-{n}")),
        name: "bench".into(),
        options: json!({
            "image": "longshore/busybox:test", "command": "sleep", "args": ["1000"], "network_mode": "none",
        }),
        resources: Some(Resources {
            nomad: NomadResources { cpu_shares: 10, memory_mb: 16, ..NomadResources::default() },
            ..Resources::default()
        }),
        ..TaskConfig::default()
    };
    let id = task.id.clone();
    driver.start_task_with(task, vec![Box::new(WriteSink::new(std::io::sink(), std::io::sink()))])?;
    Ok(id)
}

fn status(name: &str) -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such line in /proc/self/status")?;
    Ok(line.split_whitespace().next().ok_or("an empty line in /proc/self/status")?.parse()?)
}

fn resident_kib() -> Result<u64> {
    status("VmRSS:")
}

fn threads() -> Result<u64> {
    status("Threads:")
}

/// User and kernel time of this process, ended threads counted.
fn cpu_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks =
        |n: usize| fields.get(n).and_then(|field| field.parse::<f64>().ok()).ok_or("no times in /proc/self/stat");
    // Of a hundred a second, on every Linux.
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

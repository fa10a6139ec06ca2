//! What recording costs a long stream: a container's log of 1 GB is read directly, and through a recording, by turns.
//!
//! The Engine is a real one: what it takes to read its log back is the floor on which the recording's share stands.
//! `README.md` says how to read the table. `LONGSHORE_BENCH_MB` makes it smaller.

mod container;

use std::env;
use std::error::Error;
use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use longshore::Hangup;
use longshore::engine::{Engine, LogsQuery};
use longshore::replay::Recording;

use container::Container;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A line of the log, in bytes, with its newline.
const LINE: usize = 200;

fn main() -> ExitCode {
    // cargo gives `--bench` to a bench that is to measure, and nothing to one that is tested; `--test` asks for a trial.
    let given = |name: &str| env::args().any(|argument| argument == name);
    let whole = given("--bench") && !given("--test");
    let megabytes = env::var("LONGSHORE_BENCH_MB").ok().and_then(|text| text.parse().ok());
    let (megabytes, rounds) = if whole { (megabytes.unwrap_or(1000), 5) } else { (1, 1) };
    match bench(megabytes, rounds) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("record: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(megabytes: usize, rounds: usize) -> Result<()> {
    let engine = match Engine::from_env().and_then(|engine| engine.ping().map(|_| engine)) {
        Ok(engine) => engine,
        Err(error) => {
            println!("record: nothing measured: {error}");
            return Ok(());
        }
    };
    let lines = megabytes * 1_000_000 / LINE;
    let container = Container::of_a_log(&engine, LINE, lines)?;
    let load = fs::read_to_string("/proc/loadavg")?;
    let file = env::temp_dir().join(format!("longshore-bench-{}.har", std::process::id()));
    let (mut direct, mut recorded, mut written) = (Vec::new(), Vec::new(), Vec::new());
    read(&engine, &container.id, lines)?;
    for round in 0..rounds {
        let mut once = |through: bool| -> Result<()> {
            if !through {
                direct.push(read(&engine, &container.id, lines)?);
                return Ok(());
            }
            let recording = Recording::of(engine.endpoint().clone(), &file, &[])?;
            recorded.push(read(&recording.engine(), &container.id, lines)?);
            let begun = Instant::now();
            recording.finish()?;
            written.push(begun.elapsed());
            fs::remove_file(&file)?;
            Ok(())
        };
        // By turns, and each as often first.
        for through in if round % 2 == 0 { [false, true] } else { [true, false] } {
            once(through)?;
        }
    }
    let mut ratios: Vec<f64> =
        direct.iter().zip(&recorded).map(|(direct, recorded)| recorded.as_secs_f64() / direct.as_secs_f64()).collect();
    ratios.sort_by(f64::total_cmp);
    println!("machine load before: {}", load.trim());
    println!("{rounds} rounds of a log of {megabytes} MB in {lines} lines; medians\n");
    println!("| a log of {megabytes} MB | time | MB/s | ratio |");
    println!("|---|---:|---:|---:|");
    let row = |name: &str, times: &mut Vec<Duration>, ratio: String| {
        times.sort();
        let time = times[times.len() / 2].as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let speed = megabytes as f64 / time;
        println!("| {name} | {time:.2} s | {speed:.0} | {ratio} |");
    };
    row("read directly", &mut direct, "1".into());
    let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
    row(
        "read through a recording",
        &mut recorded,
        format!("{:.2} ({least:.2} to {most:.2})", ratios[ratios.len() / 2]),
    );
    row("the file written afterwards", &mut written, String::new());
    Ok(())
}

/// Reads a container's log to its end. Gives how long that took.
fn read(engine: &Engine, id: &str, lines: usize) -> Result<Duration> {
    let begun = Instant::now();
    let mut logs = engine.container_logs(id, &LogsQuery::new(), &Hangup::new())?;
    let mut bytes = 0;
    while let Some(piece) = logs.next_piece()? {
        bytes += piece.bytes.len();
    }
    match bytes == lines * LINE {
        true => Ok(begun.elapsed()),
        false => Err(format!("{bytes} bytes instead of {}", lines * LINE).into()),
    }
}

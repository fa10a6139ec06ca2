//! bollard's half of `cargo bench --bench ping`: pings the Engine and prints what each call took, a line of JSON a round.
//!
//! `peers current|multi SOCKET CALLS`: waits for a line on standard input before each round, until there is none.

use std::error::Error;
use std::fs;
use std::io::{BufRead, Write};
use std::time::Instant;

use bollard::{API_DEFAULT_VERSION, Docker};
use tokio::runtime::Builder;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [runtime, socket, calls] = arguments.as_slice() else {
        return Err("usage: peers current|multi SOCKET CALLS".into());
    };
    let calls: usize = calls.parse()?;
    let runtime = match runtime.as_str() {
        "current" => Builder::new_current_thread().enable_all().build()?,
        _ => Builder::new_multi_thread().enable_all().build()?,
    };
    let docker = Docker::connect_with_unix(socket, 120, API_DEFAULT_VERSION)?;
    for line in std::io::stdin().lock().lines() {
        line?;
        let mut took = Vec::with_capacity(calls);
        let cpu = cpu_ns();
        for _ in 0..calls {
            let begun = Instant::now();
            runtime.block_on(docker.ping())?;
            took.push(begun.elapsed().as_nanos().to_string());
        }
        let mut out = std::io::stdout().lock();
        writeln!(out, "{{\"cpu_ns\":{},\"took_ns\":[{}]}}", cpu_ns() - cpu, took.join(","))?;
        out.flush()?;
    }
    Ok(())
}

/// What all threads of this process have run so far, in ns.
fn cpu_ns() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let run = |text: String| text.split(' ').next().and_then(|ns| ns.parse::<u64>().ok());
    tasks.filter_map(|task| run(fs::read_to_string(task.path().join("schedstat")).ok()?)).sum()
}

//! `peers RUNTIME SOCKET`: pings the Engine at a Unix socket with bollard, on tokio's `current-thread` or `multi-thread`
//! runtime as it comes. Each line on standard input is a number of calls: a round, whose figures are the next line on
//! standard output, as JSON. Ends with its input. Between rounds it waits in a read, and uses no CPU.

#[path = "../../measure/mod.rs"]
mod measure;

use std::error::Error;
use std::io::{self, Write};
use std::time::Instant;

use bollard::{API_DEFAULT_VERSION, Docker};
use tokio::runtime::{Builder, Runtime};

use measure::{Figures, Round};

/// How long bollard waits for an answer, in seconds: its own default.
const TIMEOUT: u64 = 120;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [runtime, socket] = arguments.as_slice() else { return Err("usage: peers RUNTIME SOCKET".into()) };
    let runtime = build(runtime)?;
    let docker = runtime.block_on(async {
        // Its own version would be refused by an older Engine.
        Docker::connect_with_unix(socket, TIMEOUT, API_DEFAULT_VERSION)?.negotiate_version().await
    })?;
    for line in io::stdin().lines() {
        let calls = line?.trim().parse()?;
        let figures = runtime.block_on(round(&docker, calls))?;
        let mut out = io::stdout().lock();
        writeln!(out, "{}", serde_json::to_string(&figures)?)?;
        out.flush()?;
    }
    Ok(())
}

fn build(name: &str) -> Result<Runtime, Box<dyn Error>> {
    let mut builder = match name {
        "current-thread" => Builder::new_current_thread(),
        "multi-thread" => Builder::new_multi_thread(),
        other => return Err(format!("no runtime is called `{other}`").into()),
    };
    Ok(builder.enable_all().build()?)
}

/// One call after the other, as a program does whose `main` is async.
async fn round(docker: &Docker, calls: usize) -> Result<Figures, Box<dyn Error>> {
    let mut round = Round::begin(calls)?;
    for _ in 0..calls {
        let begun = Instant::now();
        docker.ping().await?;
        round.took(begun.elapsed());
    }
    Ok(round.end()?)
}

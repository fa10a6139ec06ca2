//! `peers RUNTIME SOCKET`: pings the Engine at a Unix socket with bollard, on tokio's `current-thread` or `multi-thread`
//! runtime as it comes. Each line on standard input is a number of calls: a round, whose figures are the next line on
//! standard output, as JSON. Ends with its input. Between rounds it waits in a read, and uses no CPU.
//!
//! `peers logs RUNTIME SOCKET CONTAINER FILE`: follows a container's output into a file, to its end, without the stamps that it
//! asks for.

#[path = "../../measure/mod.rs"]
mod measure;

use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::time::Instant;

use bollard::query_parameters::LogsOptionsBuilder;
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::StreamExt;
use tokio::runtime::{Builder, Runtime};

use measure::{Figures, Round};

/// How long bollard waits for an answer, in seconds: its own default.
const TIMEOUT: u64 = 120;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [runtime, socket] => pings(runtime, socket),
        ["logs", runtime, socket, id, file] => {
            build(runtime)?.block_on(async { logs(&connect(socket).await?, id, file).await })
        }
        _ => Err("usage: peers RUNTIME SOCKET, or peers logs RUNTIME SOCKET CONTAINER FILE".into()),
    }
}

async fn connect(socket: &str) -> Result<Docker, Box<dyn Error>> {
    // Its own version would be refused by an older Engine.
    Ok(Docker::connect_with_unix(socket, TIMEOUT, API_DEFAULT_VERSION)?.negotiate_version().await?)
}

fn pings(runtime: &str, socket: &str) -> Result<(), Box<dyn Error>> {
    let runtime = build(runtime)?;
    let docker = runtime.block_on(connect(socket))?;
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

/// Its messages one by one, through a buffer as large as longshore's.
async fn logs(docker: &Docker, id: &str, file: &str) -> Result<(), Box<dyn Error>> {
    let mut file = BufWriter::with_capacity(64 * 1024, File::create(file)?);
    let query = LogsOptionsBuilder::new().follow(true).stdout(true).stderr(true).timestamps(true).build();
    let mut messages = docker.logs(id, Some(query));
    while let Some(message) = messages.next().await {
        let message = message?.into_bytes();
        let stamp = message.iter().position(|byte| *byte == b' ').ok_or("a record without a stamp")?;
        file.write_all(&message[stamp + 1..])?;
    }
    Ok(file.flush()?)
}

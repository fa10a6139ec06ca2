//! A program that uses Docker, and its test that needs none: `cargo run --example replayed -- IMAGE COMMAND [ARG…]` asks the
//! Engine that the environment names; `cargo test --example replayed` plays a recording of one.
//!
//! The recording is made anew by `LONGSHORE_RECORD=all cargo test --example replayed`. docs/recordings.md tells more.

use std::error::Error;
use std::process::ExitCode;

use longshore::Hangup;
use longshore::engine::types::ContainerCreate;
use longshore::engine::{Engine, LogsQuery, RemoveQuery, StartQuery, WaitCondition};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let image = arguments.next().ok_or("usage: replayed IMAGE COMMAND [ARG…]")?;
    let (code, output) = run(&Engine::from_env()?, &image, arguments.collect())?;
    print!("{output}");
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// Runs a command in a container of its own. Gives its exit code and what it wrote.
fn run(engine: &Engine, image: &str, command: Vec<String>) -> Result<(i64, String), longshore::engine::Error> {
    let mut body = ContainerCreate::default();
    body.config.image = image.into();
    body.config.cmd = command;
    let id = engine.container_create(None, &body)?.id;
    let ran = follow(engine, &id);
    engine.container_remove(&id, &RemoveQuery { force: true, volumes: true, link: false })?;
    ran
}

fn follow(engine: &Engine, id: &str) -> Result<(i64, String), longshore::engine::Error> {
    // What ends the two long calls from another thread; nobody does here.
    let hangup = Hangup::new();
    engine.container_start(id, &StartQuery::default())?;
    let exit = engine.container_wait(id, WaitCondition::NotRunning, &hangup)?;
    let mut logs = engine.container_logs(id, &LogsQuery::new(), &hangup)?;
    let mut output = Vec::new();
    while let Some(piece) = logs.next_piece()? {
        output.extend_from_slice(piece.bytes);
    }
    Ok((exit.status_code, String::from_utf8_lossy(&output).into_owned()))
}

#[cfg(test)]
mod tests {
    use longshore::replay::{Mode, Session};

    #[test]
    fn a_command_runs() -> Result<(), Box<dyn std::error::Error>> {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/cassettes/example-replayed.har");
        let session = Session::open(file, Mode::None)?;
        let script = ["sh", "-c", "echo hello from a recording; exit 3"].map(str::to_owned);
        let (code, output) = super::run(&session.engine(), "longshore/busybox:test", script.into())?;
        assert_eq!((code, output.as_str()), (3, "hello from a recording\n"));
        assert_eq!(session.unused(), Vec::<String>::new());
        Ok(session.finish()?)
    }
}

//! The program: arguments, terminal, signals, exit codes. The one place that prints errors and knows exit codes.
//!
//! Standard output carries the answer and the tasks' output; progress, notices and errors go to standard error. Foreign text that is
//! no task's output leaves by [`eprint`], [`print`], `print_json` and the log, which escape what a terminal would obey; that it
//! stays in its cell, its field or its line is up to who puts it there (`table`, `status`, `told`).

mod args;
mod commands;
mod context;
mod failure;
mod output;
mod session;
mod signals;
#[cfg(test)]
mod testing;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use env_logger::Target;
use log::{Level, LevelFilter};

use args::{Args, Command};
use failure::Failure;

use crate::limits::raise_open_files;
use crate::runner::FAILED;
use crate::values::{printable, printable_json, printable_lines};

/// The exit code where a deadline passed.
const TIMED_OUT: u8 = 124;

/// Runs the program with this process's arguments.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(answer) => return ExitCode::from(asked_otherwise(&answer)),
    };
    if std::env::var_os(env_logger::DEFAULT_FILTER_ENV).is_some_and(|filter| filter.to_str().is_none()) {
        return ExitCode::from(report(&Failure::not_utf8(env_logger::DEFAULT_FILTER_ENV), false));
    }
    log_to_stderr(args.log_level);
    if let Err(error) = raise_open_files() {
        log::debug!("the limit of open files stays as it is: {error}");
    }
    let (json, done) = match &args.command {
        Command::Run(options) => (options.json, commands::run::run(&args, options)),
        Command::Validate(options) => (false, commands::validate::validate(&args, options)),
        Command::Plan(options) => (options.json, commands::plan::plan(&args, options)),
        Command::Record(options) => (false, commands::record::record(&args, options)),
        Command::Replay(options) => (false, commands::replay::replay(&args, options)),
        Command::Recover(options) => (options.json, commands::recover::recover(&args, options)),
        Command::Ps(options) => (options.json, commands::ps::ps(&args, options)),
        Command::Status(options) => (options.json, commands::status::status(&args, options)),
        Command::Logs(options) => (false, commands::logs::logs(&args, options)),
        Command::Stats(options) => (options.json, commands::stats::stats(&args, options)),
        Command::Events(options) => (options.json, commands::events::events(&args, options)),
        Command::Exec(options) => (false, commands::exec::exec(&args, options)),
        Command::Stop(options) => (false, commands::stop::stop(&args, options)),
        Command::Destroy(options) => (false, commands::stop::destroy(&args, options)),
        Command::Signal(options) => (false, commands::signal::signal(&args, options)),
        Command::Pull(options) => (options.json, commands::pull::pull(&args, options)),
        Command::Images(options) => (options.json, commands::images::images(&args, options)),
        Command::Gc(options) => (options.json, commands::gc::gc(&args, options)),
        Command::Ping(options) => (options.json, commands::ping::ping(&args, options)),
    };
    ExitCode::from(done.unwrap_or_else(|failure| report(&failure, json)))
}

/// Help, the version, or wrong usage, which is told in one line like every error.
fn asked_otherwise(answer: &clap::Error) -> u8 {
    let code = u8::try_from(answer.exit_code()).unwrap_or(FAILED);
    // Help has a kind of its own where it answers wrong usage.
    if !answer.use_stderr() || answer.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // Nobody to tell where nobody reads.
        let _ = answer.print();
        return code;
    }
    let text = answer.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let first: Vec<&str> = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
    let json = std::env::args_os().any(|arg| arg == "--json");
    report(&Failure::usage(format!("{}; see longshore --help", first.join(" "))), json)
}

/// Prints an error, a line each, and gives its exit code.
fn report(failure: &Failure, json: bool) -> u8 {
    for line in &failure.lines {
        eprint(&format!("longshore: {line}"));
    }
    if json {
        eprint_json(&failure.to_json());
    }
    failure.code
}

/// Writes a line to standard error, one whatever the text holds. Where nobody reads it there is nobody to tell.
fn eprint(line: &str) {
    let _ = output::screen::stderr().write_all(format!("{}\n", printable(line)).as_bytes());
}

fn eprint_json(line: &str) {
    let _ = output::screen::stderr().write_all(format!("{}\n", printable_json(line)).as_bytes());
}

/// Writes an answer to standard output. A reader that has left has read enough.
fn print(text: &str) -> Result<(), Failure> {
    print_on(text).map(drop)
}

/// Writes a part of an answer that goes on. False: its reader has left.
fn print_on(text: &str) -> Result<bool, Failure> {
    write(&printable_lines(text))
}

/// Writes an answer that is JSON.
fn print_json(text: &str) -> Result<(), Failure> {
    print_json_on(text).map(drop)
}

/// Writes a part of such an answer. False: its reader has left.
fn print_json_on(text: &str) -> Result<bool, Failure> {
    write(&printable_json(text))
}

/// Writes to standard output what may pass as it is. False: its reader has left.
fn write(text: &str) -> Result<bool, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new("io", format!("cannot write to standard output: {error}"))),
    }
}

fn log_to_stderr(level: Option<LevelFilter>) {
    let mut logger = env_logger::Builder::new();
    logger.filter_level(LevelFilter::Warn).parse_default_env();
    if let Some(level) = level {
        logger.filter_level(level);
    }
    logger.format(|to, record| {
        let words = record.args().to_string();
        let words = printable(&words);
        match record.level() {
            level if is_dump(record.target(), level) => Ok(()),
            Level::Error | Level::Warn => writeln!(to, "longshore: {words}"),
            level => writeln!(to, "longshore: {}: {}: {words}", level.as_str().to_lowercase(), record.target()),
        }
    });
    logger.target(Target::Pipe(Box::new(output::screen::stderr())));
    logger.init();
}

/// Whether a record may repeat what is said to the Engine. ureq writes out heads and bodies, and a create request's
/// body has a task's passwords in it; as a filter this would give way to a directive of `RUST_LOG`.
fn is_dump(target: &str, level: Level) -> bool {
    target.starts_with("ureq") && level > Level::Warn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dumps_are_known_by_their_target() {
        for (target, level, dump) in [
            ("ureq::run", Level::Trace, true),
            ("ureq::run", Level::Debug, true),
            ("ureq", Level::Info, true),
            ("ureq_proto::util", Level::Trace, true),
            ("ureq::run", Level::Warn, false),
            ("longshore::http", Level::Trace, false),
        ] {
            assert_eq!(is_dump(target, level), dump, "{target} {level}");
        }
    }
}

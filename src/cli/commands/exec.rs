//! `longshore exec`: a command in a task's container, as if it ran here: its streams, its terminal, its exit code.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::driver::{self, ExecIo, ExecOptions, ExitResult};
use crate::runner::{Error, FAILED};
use crate::values::duration;

use crate::cli::args::{Args, Exec};
use crate::cli::commands::detach_keys::Watched;
use crate::cli::failure::Failure;
use crate::cli::output::raw::Raw;
use crate::cli::session::Known;
use crate::cli::{TIMED_OUT, eprint};

pub(in crate::cli) fn exec(global: &Args, args: &Exec) -> Result<u8, Failure> {
    if args.tty && args.interactive && !io::stdin().is_terminal() {
        return Err(Failure::usage("-it: standard input is no terminal; leave -t away".into()));
    }
    let known = Known::read(global)?;
    let found = known.find(&args.task)?;
    let reached = known.reach(global)?;
    reached.attach(&known, &found)?;

    let left = Arc::new(AtomicBool::new(false));
    let terminal = match args.tty {
        true => Some(
            Raw::new(args.interactive)
                .map_err(|error| Failure::new("terminal", format!("cannot use the terminal: {error}")))?,
        ),
        false => None,
    };
    let stdin: Option<Box<dyn Read + Send>> = match (args.interactive, args.tty) {
        (false, _) => None,
        (true, false) => Some(Box::new(io::stdin())),
        (true, true) => {
            let (left, driver) = (left.clone(), reached.driver.clone());
            // The driver only looks: letting go of all touches nothing, and the command goes on.
            let leave = move || {
                left.store(true, Ordering::SeqCst);
                driver.shutdown();
            };
            let keyboard = io::stdin().as_fd().try_clone_to_owned();
            let keyboard = keyboard
                .map_err(|error| Failure::new("terminal", format!("cannot read from the terminal: {error}")))?;
            Some(Box::new(Watched::new(File::from(keyboard), args.detach_keys.clone(), leave)))
        }
    };
    let io = ExecIo {
        stdin,
        stdout: Box::new(io::stdout()),
        stderr: Box::new(io::stderr()),
        resize: terminal.as_ref().map(Raw::sizes),
    };
    let options = ExecOptions { command: args.command.clone(), tty: args.tty, timeout: args.timeout };
    let done = reached.driver.exec_task_streaming(&found.task.config.id, &options, io);
    // Before anything is said.
    drop(terminal);
    match done {
        Ok(result) => Ok(ending(&result)),
        Err(driver::Error::ShutDown) if left.load(Ordering::SeqCst) => {
            eprint("longshore: left; the command goes on");
            Ok(0)
        }
        Err(driver::Error::ExecTimeout { after, fate, .. }) => {
            let after = duration::format(after);
            eprint(&format!("longshore: the command did not end within {after}; {fate}"));
            Ok(TIMED_OUT)
        }
        // Who read what it writes has left.
        Err(driver::Error::ExecIo(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(FAILED),
        Err(source) => {
            let what = format!("task `{}`", found.task.config.name);
            Err(Error::Driver { what, source: Box::new(source) }.into())
        }
    }
}

/// The program's exit code for how a command ended. One without a success says why, or has said it.
fn ending(result: &ExitResult) -> u8 {
    match u8::try_from(result.exit_code) {
        // Its output is not whole, which the driver has told.
        Ok(0) if result.err.is_some() => FAILED,
        Ok(code) => code,
        Err(_) => {
            eprint(&format!(
                "longshore: the command ended with code {}, which no process can end with",
                result.exit_code
            ));
            FAILED
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes() {
        for (code, cut, want) in [
            (0, false, 0),
            (0, true, FAILED),
            (3, false, 3),
            (3, true, 3),
            (255, false, 255),
            (256, false, FAILED),
            (-1, false, FAILED),
            (i64::MAX, true, FAILED),
        ] {
            let err = cut.then(|| "cut".to_owned());
            let result = ExitResult { exit_code: code, err, ..ExitResult::default() };
            assert_eq!(ending(&result), want, "{code}, cut: {cut}");
        }
    }
}

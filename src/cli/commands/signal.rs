//! `longshore signal`, and how a person writes a signal.

use crate::driver::Signal;
use crate::runner::Error;
use crate::values::printable;

use crate::cli::args::{Args, SendSignal};
use crate::cli::failure::Failure;
use crate::cli::print;
use crate::cli::session::Known;

pub(in crate::cli) fn signal(global: &Args, args: &SendSignal) -> Result<u8, Failure> {
    let known = Known::read(global)?;
    let found = known.find(&args.task)?;
    let reached = known.reach(global)?;
    reached.attach(&known, &found)?;
    let sent = reached.driver.signal_task(&found.task.config.id, args.signal);
    sent.map_err(|source| {
        let what = format!("cannot signal task `{}`", found.task.config.name);
        Failure::from(Error::Driver { what, source: Box::new(source) })
    })?;
    print(&format!("{}\n", printable(&found.name())))?;
    Ok(0)
}

/// Reads a signal: `SIGHUP`, `HUP`, in any case, or its number.
pub(in crate::cli) fn parse(text: &str) -> Result<Signal, String> {
    if let Ok(number) = text.parse::<i32>() {
        let found = Signal::ALL.iter().find(|signal| signal.number() == number);
        return found.copied().ok_or_else(|| format!("no signal has the number {number}"));
    }
    let name = text.parse::<Signal>().or_else(|error| format!("SIG{text}").parse().map_err(|_| error));
    name.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_people_write_them() {
        for (text, want) in [
            ("SIGHUP", Some(Signal::Hup)),
            ("hup", Some(Signal::Hup)),
            ("USR1", Some(Signal::Usr1)),
            ("9", Some(Signal::Kill)),
            ("0", None),
            ("99", None),
            ("SIGSIGHUP", None),
            ("", None),
        ] {
            assert_eq!(parse(text).ok(), want, "{text:?}");
        }
    }
}

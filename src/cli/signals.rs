//! Ctrl-C and its kin. A first Ctrl-C stops the tasks, a second kills them, a third ends the program as it stands;
//! but not one that comes right after the second: a key held down, or three quick strokes, should leave no container.
//!
//! SIGTERM and SIGHUP stop the tasks, however often they come: `timeout`, a closing terminal or an init may send one
//! several times, or both, and mean no more by it. A SIGHUP that is ignored when we start, as under `nohup`, stays so.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use crate::runner::Stop;

use super::eprint;

/// The exit code of a run that was forced to its end.
pub(super) const FORCED: u8 = 130;

/// How far the end of a run has been driven.
const STOPPING: u8 = 1;
const KILLING: u8 = 2;

/// How long killing takes on a busy machine. A Ctrl-C within it asks for nothing new.
const TIME_TO_KILL: Duration = Duration::from_secs(2);

/// Listens for signals until it is dropped.
pub(super) struct Listener {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
    level: Arc<AtomicU8>,
}

impl Listener {
    /// Takes SIGINT, SIGTERM and SIGHUP over, for `stop`.
    pub(super) fn new(stop: Stop) -> io::Result<Self> {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let taken =
            [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|&signal| signal != SIGHUP || !ignores(&status, signal));
        let mut signals = Signals::new(taken)?;
        let (handle, level) = (signals.handle(), Arc::new(AtomicU8::new(0)));
        let reached = level.clone();
        let thread = thread::Builder::new().name("signals".into()).spawn(move || {
            let mut killing: Option<Instant> = None;
            for signal in signals.forever() {
                let before = reached.load(Ordering::SeqCst);
                let level = after(before, signal, killing.map(|since| since.elapsed()));
                reached.store(level, Ordering::SeqCst);
                match level {
                    _ if level == before => {}
                    STOPPING => {
                        eprint("longshore: stopping the tasks; Ctrl-C kills them");
                        stop.ask();
                    }
                    KILLING => {
                        eprint("longshore: killing the tasks");
                        killing = Some(Instant::now());
                        stop.kill();
                    }
                    _ => {
                        eprint(&left(&stop.containers()));
                        std::process::exit(FORCED.into());
                    }
                }
            }
        })?;
        Ok(Self { handle, thread: Some(thread), level })
    }

    /// Whether the tasks were killed by a second Ctrl-C.
    pub(super) fn forced(&self) -> bool {
        self.level.load(Ordering::SeqCst) >= KILLING
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the thread that listens for signals panicked");
        }
    }
}

/// What is said by a program that ends at once.
fn left(containers: &[String]) -> String {
    match containers {
        [] => "longshore: ended at once; no container is left".into(),
        names => format!(
            "longshore: ended at once; these containers are left, or may be: {}; `longshore ps` shows them",
            names.join(", ")
        ),
    }
}

/// How far the end is driven once `signal` has come, so long after the order to kill.
fn after(level: u8, signal: i32, killing: Option<Duration>) -> u8 {
    match signal {
        SIGINT if killing.is_some_and(|since| since < TIME_TO_KILL) => level,
        SIGINT => level.saturating_add(1),
        _ => level.max(STOPPING),
    }
}

/// Whether a process ignores a signal, by its `/proc/<pid>/status`.
fn ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    // The first signal is 1, the first bit 0.
    mask >> (signal - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels() {
        for (row, signals, want) in [
            ("nothing", &[][..], 0),
            ("Ctrl-C", &[SIGINT], STOPPING),
            ("twice", &[SIGINT, SIGINT], KILLING),
            ("three times", &[SIGINT, SIGINT, SIGINT], KILLING + 1),
            ("SIGTERM", &[SIGTERM], STOPPING),
            ("however often", &[SIGTERM, SIGTERM, SIGHUP], STOPPING),
            ("Ctrl-C is the second then", &[SIGTERM, SIGINT], KILLING),
            ("SIGTERM is never", &[SIGINT, SIGTERM], STOPPING),
            ("nor does it undo one", &[SIGINT, SIGINT, SIGTERM], KILLING),
        ] {
            let patient = |level, signal: &i32| after(level, *signal, (level >= KILLING).then_some(TIME_TO_KILL));
            assert_eq!(signals.iter().fold(0, patient), want, "{row}");
        }
        let held_down = |level, _| after(level, SIGINT, (level >= KILLING).then_some(Duration::from_millis(30)));
        assert_eq!((0..9).fold(0, held_down), KILLING, "a key held down");
    }

    #[test]
    fn ignored_ones() {
        for (row, status, want) in [
            ("under nohup", "Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0\n", true),
            ("only SIGPIPE", "SigIgn:\t0000000000001000\n", false),
            ("not said", "", false),
        ] {
            assert_eq!(ignores(status, SIGHUP), want, "{row}");
        }
    }
}

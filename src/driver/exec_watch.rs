//! What ends a command's output when nothing else does: its time, and a terminal's command that has ended while something
//! that it left behind still has the terminal. Also what passes on the terminal's sizes. Each is a thread of its own.

use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, after, bounded, never, select};

use super::Inner;
use super::end_exec::{self, Target};
use super::exec::{ExecFate, PACE, TerminalSize};
use crate::engine::Engine;
use crate::threads::{Backoff, Hangup, Worker};

/// How long a terminal may be silent, once its command has ended, before its last words are taken to be said.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// How many times as long they may take in all: what was left behind may have much to say, for ever.
const MOST_WORDS: u32 = 50;

/// How the one who passes the output on gets along.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    pieces: AtomicU64,
    in_sink: AtomicBool,
}

impl Pulse {
    /// Hands a piece to a sink by `take`.
    pub(super) fn while_taken<T>(&self, take: impl FnOnce() -> T) -> T {
        self.in_sink.store(true, Ordering::SeqCst);
        let taken = take();
        self.pieces.fetch_add(1, Ordering::SeqCst);
        self.in_sink.store(false, Ordering::SeqCst);
        taken
    }
}

/// A command's time.
pub(super) struct Clock {
    worker: Worker,
    fate: Arc<OnceLock<ExecFate>>,
}

impl Clock {
    /// Hangs `connection` up after `timeout`, and ends the command: here, and not where its output is passed on, for a sink
    /// that blocks must not keep it alive.
    pub(super) fn start(
        inner: &Arc<Inner>,
        target: &Arc<Target>,
        connection: &Hangup,
        timeout: Duration,
    ) -> io::Result<Self> {
        let fate = Arc::new(OnceLock::new());
        let latch = connection.child();
        let body = {
            let (inner, target, fate) = (inner.clone(), target.clone(), Arc::clone(&fate));
            let (sleeper, ends) = (latch.clone(), connection.clone());
            move || {
                if sleeper.sleep(timeout) {
                    ends.hang_up();
                    let _ = fate.set(end_exec::end(&inner, &target));
                }
            }
        };
        Ok(Self { worker: Worker::spawn("exec time", latch, body, |_| {})?, fate })
    }

    /// Stops it. What became of the command, if its time was over.
    pub(super) fn stop(mut self) -> Option<ExecFate> {
        self.worker.stop();
        self.fate.get().copied()
    }
}

/// Watches over a terminal's command whose output comes by `connection`: hangs that up when the command has ended and
/// nothing more comes.
pub(super) fn watch_terminal(
    engine: &Engine,
    exec: &str,
    connection: &Hangup,
    pulse: &Arc<Pulse>,
) -> io::Result<Worker> {
    let latch = connection.child();
    let (engine, exec) = (engine.with(&latch), exec.to_owned());
    let (pace, ends, pulse) = (latch.clone(), connection.clone(), pulse.clone());
    let body = move || {
        if has_ended(&engine, &exec, &pace) && has_said_all(&pulse, &pace) {
            ends.hang_up();
        }
    };
    Worker::spawn("exec end", latch, body, |_| {})
}

/// The thread that passes on a terminal's sizes. When it is dropped, the thread is told first, and then joined.
pub(super) struct Sizes {
    _end: Sender<Infallible>,
    _worker: Worker,
}

impl Sizes {
    /// Passes on `first`, then those that come. The command may be one that is about to start.
    pub(super) fn start(
        engine: &Engine,
        exec: &str,
        first: Option<TerminalSize>,
        sizes: Receiver<TerminalSize>,
        connection: &Hangup,
    ) -> io::Result<Self> {
        let (end, ended) = bounded(0);
        let latch = connection.child();
        let (engine, exec) = (engine.with(&latch), exec.to_owned());
        let body = move || pass_sizes(&engine, &exec, first, sizes, &ended);
        Ok(Self { _end: end, _worker: Worker::spawn("exec resize", latch, body, |_| {})? })
    }
}

/// The last of the sizes that are there. No more than there are now: whoever sends them may never pause.
pub(super) fn newest(sizes: &Receiver<TerminalSize>) -> Option<TerminalSize> {
    let waiting = sizes.len();
    sizes.try_iter().take(waiting).last()
}

/// Waits for a command's end. False: it is watched no longer.
fn has_ended(engine: &Engine, exec: &str, pace: &Hangup) -> bool {
    while pace.sleep(PACE) {
        if engine.exec_inspect(exec).is_ok_and(|inspect| inspect.ended().is_some()) {
            return true;
        }
    }
    false
}

/// Waits until nothing more comes of an ended command's terminal, not counting the time that a sink takes. False: it is
/// watched no longer.
fn has_said_all(pulse: &Pulse, pace: &Hangup) -> bool {
    let mut left = MOST_WORDS;
    loop {
        let before = pulse.pieces.load(Ordering::SeqCst);
        if !pace.sleep(LAST_WORDS) {
            return false;
        }
        if pulse.in_sink.load(Ordering::SeqCst) {
            continue;
        }
        left -= 1;
        if left == 0 || pulse.pieces.load(Ordering::SeqCst) == before {
            return true;
        }
    }
}

/// Passes on a terminal's sizes until `ended` disconnects.
fn pass_sizes(
    engine: &Engine,
    exec: &str,
    first: Option<TerminalSize>,
    mut sizes: Receiver<TerminalSize>,
    ended: &Receiver<Infallible>,
) {
    let (mut wanted, mut backoff) = (first, Backoff::new(Duration::from_millis(1), PACE / 4));
    loop {
        // Docker takes one that comes before the command has its terminal, and waits; others refuse it until then.
        if let Some(size) = &wanted
            && engine.exec_resize(exec, size).is_ok()
        {
            wanted = None;
            backoff.reset();
        }
        let again = if wanted.is_some() { after(backoff.next()) } else { never() };
        select! {
            recv(sizes) -> size => match size {
                Ok(size) => wanted = newest(&sizes).or(Some(size)),
                Err(_) => sizes = never(),
            },
            recv(again) -> _ => wanted = newest(&sizes).or(wanted),
            recv(ended) -> _ => return,
        }
    }
}

//! Commands in a task's container: collected, or passed through as they go (driver-spec 1.13, 1.14, 8.5, 17.5).
//!
//! The Engine has no call that ends a command. One that is out of time is ended by its process, where the Engine is this
//! machine's and the process is surely the container's; else by another command, which looks for it in the container.

use std::convert::Infallible;
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, after, bounded, never, select};

use super::end_exec::{self, Target};
use super::handle::Task;
use super::task::{ExitResult, TaskId};
use super::{Error, Inner};
use crate::engine::types::{Env, ExecCreate};
use crate::engine::{self, Attached, Engine, ResizeQuery, Stdin, Stream};
use crate::threads::{Backoff, Hangup, Worker};

/// How much is kept of each stream of a collected command, in bytes: the end of it, as Nomad keeps 4 KiB.
pub(super) const KEPT: usize = 64 * 1024;
/// By this variable a command is found in its container.
pub(super) const MARK: &str = "LONGSHORE_EXEC";
/// Keys at which the Engine lets go of a terminal's input: its own, ctrl-p and ctrl-q, would be taken from the command, and it
/// cannot be told that there are none. Nobody strikes these in a row; a caller with keys to leave by looks for them itself.
const NO_DETACH_KEYS: &str = "ctrl-^,ctrl-_,ctrl-^,ctrl-^,ctrl-_,ctrl-_,ctrl-^,ctrl-_";
/// How often it is asked whether a command has ended: nothing tells.
const PACE: Duration = Duration::from_millis(100);
/// How long a terminal's last words may take once the command has ended.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// What a command wrote: of each stream the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecOutput {
    /// The end of what it wrote to standard output, at most 64 KiB.
    pub stdout: Vec<u8>,
    /// How many bytes of standard output were dropped before that.
    pub stdout_dropped: u64,
    /// The end of what it wrote to standard error, at most 64 KiB.
    pub stderr: Vec<u8>,
    /// How many bytes of standard error were dropped before that.
    pub stderr_dropped: u64,
}

/// What came of a command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecResult {
    /// What it wrote.
    pub output: ExecOutput,
    /// Its exit code.
    pub exit_result: ExitResult,
}

/// The size of a terminal, in characters.
pub type TerminalSize = ResizeQuery;

/// What is said with a command that is passed through.
pub struct ExecIo {
    /// What it reads; at its end the command's standard input ends, but for a terminal, which has no end. `None`: nothing.
    pub stdin: Option<Box<dyn Read + Send>>,
    /// Where its standard output goes; with a terminal all it writes.
    pub stdout: Box<dyn Write + Send>,
    /// Where its standard error goes; nowhere with a terminal.
    pub stderr: Box<dyn Write + Send>,
    /// The sizes of its terminal, as they change. `None`, or a channel that closes: it stays as it is.
    pub resize: Option<Receiver<TerminalSize>>,
}

impl fmt::Debug for ExecIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecIo").field("stdin", &self.stdin.is_some()).finish_non_exhaustive()
    }
}

/// How a command is run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecOptions {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Whether it has a terminal.
    pub tty: bool,
    /// How long it may take; then it is ended, where that can be done. `None`: as long as it likes.
    pub timeout: Option<Duration>,
}

/// What became of a command that was out of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExecFate {
    /// It had ended by itself meanwhile.
    Ended,
    /// It was killed.
    Killed,
    /// It goes on: nothing could end it.
    GoesOn,
}

impl fmt::Display for ExecFate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ended => "it had ended by itself meanwhile",
            Self::Killed => "it was killed",
            Self::GoesOn => "it goes on in the container: the Engine has no call that ends it, and neither its process nor a shell there could be used",
        })
    }
}

/// Runs a command to its end, and keeps the end of what it writes.
pub(super) fn collect(inner: &Arc<Inner>, id: &TaskId, options: &ExecOptions) -> Result<ExecResult, Error> {
    let task = inner.tasks.find(id)?;
    let mut kept = [Kept::default(), Kept::default()];
    let ended = {
        let mut take = |stream: Stream, bytes: &[u8]| {
            kept[usize::from(stream == Stream::Stderr)].push(bytes);
            Ok(())
        };
        run(inner, &task, options, None, None, &mut take)
    };
    let [stdout, stderr] = kept;
    let output = ExecOutput {
        stdout: stdout.bytes,
        stdout_dropped: stdout.dropped,
        stderr: stderr.bytes,
        stderr_dropped: stderr.dropped,
    };
    match ended {
        Ok(exit_result) => Ok(ExecResult { output, exit_result }),
        Err(Error::ExecTimeout { after, fate, .. }) => {
            Err(Error::ExecTimeout { after, fate, output: Box::new(output) })
        }
        Err(e) => Err(e),
    }
}

/// Runs a command, and passes on what is said.
pub(super) fn stream(inner: &Arc<Inner>, id: &TaskId, options: &ExecOptions, io: ExecIo) -> Result<ExitResult, Error> {
    let task = inner.tasks.find(id)?;
    let ExecIo { stdin, mut stdout, mut stderr, resize } = io;
    let mut take = |stream: Stream, bytes: &[u8]| {
        let to = if stream == Stream::Stderr { &mut stderr } else { &mut stdout };
        to.write_all(bytes).and_then(|()| to.flush())
    };
    run(inner, &task, options, stdin, resize, &mut take)
}

type Take<'a> = &'a mut dyn FnMut(Stream, &[u8]) -> io::Result<()>;

fn run(
    inner: &Arc<Inner>,
    task: &Task,
    options: &ExecOptions,
    stdin: Option<Box<dyn Read + Send>>,
    resize: Option<Receiver<TerminalSize>>,
    take: Take<'_>,
) -> Result<ExitResult, Error> {
    if options.command.first().is_none_or(String::is_empty) {
        return Err(Error::NoCommand);
    }
    let container = &task.handle.container_id;
    let failed = |source: engine::Error| match source.is_hung_up() {
        true => Error::ShutDown,
        false => Error::Exec { container: container.clone(), source },
    };
    let hangup = task.hangup.child();
    let engine = inner.engine.with(&hangup);
    let mark = format!("{:x}-{container:.12}", mark());
    let body = ExecCreate {
        attach_stdin: stdin.is_some(),
        attach_stdout: true,
        attach_stderr: true,
        detach_keys: if options.tty { NO_DETACH_KEYS.into() } else { String::new() },
        tty: options.tty,
        env: Env::from(vec![format!("{MARK}={mark}")]),
        cmd: options.command.clone(),
        ..ExecCreate::default()
    };
    let exec = engine.exec_create(container, &body).map_err(failed)?.id;
    let begun = Instant::now();
    let attached = engine.exec_start(&exec, options.tty, &hangup).map_err(failed)?;
    let (target, fate) = (Target { container: container.clone(), exec, mark }, Arc::default());
    let command = Command { inner, target: &target, fate: Arc::clone(&fate), hangup: &hangup, options, begun };
    let ended = command.follow(attached, stdin, resize, take);
    let out_of_time =
        |fate| Error::ExecTimeout { after: options.timeout.unwrap_or_default(), fate, output: Box::default() };
    match (ended, fate.get()) {
        // It ended in the moment in which its time was over.
        (Ok(result), None | Some(ExecFate::Ended)) => Ok(result),
        (Err(Broken::Io(e)), _) => {
            // As a pipe does to who writes to it when its reader leaves: else it would stay, blocked in a write, until its task ends.
            let fate = end_exec::end(inner, &target);
            log::debug!("exec {}: nobody takes its output; {fate}", target.exec);
            Err(Error::ExecIo(e))
        }
        (Err(Broken::ShutDown), _) => Err(Error::ShutDown),
        (_, Some(fate)) => Err(out_of_time(*fate)),
        (Err(Broken::OutOfTime), None) => Err(out_of_time(end_exec::end(inner, &target))),
        (Err(Broken::Engine(e)), None) => Err(failed(e)),
    }
}

/// A number that no other command of this process has, nor likely one of another.
fn mark() -> u128 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
    now << 32 | u128::from(std::process::id()) << 16 | u128::from(COUNT.fetch_add(1, Ordering::Relaxed) & 0xffff)
}

/// Why a command is followed no longer.
enum Broken {
    Engine(engine::Error),
    Io(io::Error),
    OutOfTime,
    ShutDown,
}

/// A command that was started.
struct Command<'a> {
    inner: &'a Arc<Inner>,
    target: &'a Target,
    /// What became of it when its time was over.
    fate: Arc<OnceLock<ExecFate>>,
    /// Ends its connection.
    hangup: &'a Hangup,
    options: &'a ExecOptions,
    begun: Instant,
}

impl Command<'_> {
    /// Passes on what is said until it has ended, or is out of time.
    fn follow(
        &self,
        mut attached: Attached,
        stdin: Option<Box<dyn Read + Send>>,
        resize: Option<Receiver<TerminalSize>>,
        take: Take<'_>,
    ) -> Result<ExitResult, Broken> {
        let (to, has_stdin) = (attached.stdin(), stdin.is_some());
        if let Some(from) = stdin {
            // Blocked in a read of the caller's, which no latch can end: it is left to itself, and ends with its source.
            let (to, hangup) = (to.clone(), self.hangup.clone());
            let feed = thread::Builder::new().name("exec stdin".into()).stack_size(128 * 1024);
            let ends = !self.options.tty;
            feed.spawn(move || feed_stdin(from, to, ends, &hangup)).map_err(Broken::Io)?;
        }
        // A non-terminal command that reads nothing has an end for its input.
        if !has_stdin && !self.options.tty {
            let _ = to.close();
        }
        let _watch = self.watch(resize)?;
        let mut broken = None;
        loop {
            match attached.next_piece() {
                Ok(None) => break,
                Ok(Some(piece)) => {
                    if let Err(e) = take(piece.stream, piece.bytes) {
                        broken = Some(e);
                        break;
                    }
                }
                Err(e) if e.is_hung_up() => break,
                Err(e) => return Err(Broken::Engine(e)),
            }
        }
        drop(attached);
        if let Some(e) = broken {
            return Err(Broken::Io(e));
        }
        if self.inner.hangup.is_hung_up() {
            return Err(Broken::ShutDown);
        }
        self.code()
    }

    /// What ends the output when nothing else does: the time, and a terminal's command that has ended while something that
    /// it left behind still has the terminal. It also passes on the terminal's sizes.
    fn watch(&self, resize: Option<Receiver<TerminalSize>>) -> Result<Watch, Broken> {
        let (end, ended) = bounded(0);
        let mut workers = Vec::new();
        let mut spawn = |name: &str, latch: Hangup, body: Box<dyn FnOnce() + Send>| -> Result<(), Broken> {
            workers.push(Worker::spawn(name, latch, body, |_| {}).map_err(Broken::Io)?);
            Ok(())
        };
        if let Some(timeout) = self.options.timeout {
            let (latch, left) = (self.hangup.child(), timeout.saturating_sub(self.begun.elapsed()));
            let (sleeper, ends, fate) = (latch.clone(), self.hangup.clone(), self.fate.clone());
            let (inner, target) = (self.inner.clone(), self.target.clone());
            spawn(
                "exec time",
                latch,
                Box::new(move || {
                    if sleeper.sleep(left) {
                        ends.hang_up();
                        // Here, and not where the output is passed on: a sink that blocks must not keep the command alive.
                        let _ = fate.set(end_exec::end(&inner, &target));
                    }
                }),
            )?;
        }
        if self.options.tty {
            let (latch, ends) = (self.hangup.child(), self.hangup.clone());
            let (engine, exec, pace) = (self.inner.engine.with(&latch), self.target.exec.clone(), latch.clone());
            spawn(
                "exec end",
                latch,
                Box::new(move || {
                    while pace.sleep(PACE) {
                        if engine
                            .exec_inspect(&exec)
                            .is_ok_and(|inspect| !inspect.running && inspect.exit_code.is_some())
                        {
                            pace.sleep(LAST_WORDS);
                            ends.hang_up();
                            return;
                        }
                    }
                }),
            )?;
        }
        if let Some(sizes) = resize {
            let latch = self.hangup.child();
            let (engine, exec) = (self.inner.engine.with(&latch), self.target.exec.clone());
            spawn("exec resize", latch, Box::new(move || pass_sizes(&engine, &exec, sizes, &ended)))?;
        }
        Ok(Watch { _end: end, _workers: workers })
    }

    /// Its exit code, once it has one.
    fn code(&self) -> Result<ExitResult, Broken> {
        // Its own connection was hung up, perhaps: that must not end this.
        let engine = self.inner.engine.with(&self.inner.hangup).within(self.inner.config.inspect_timeout);
        let mut backoff = Backoff::new(Duration::from_millis(5), PACE);
        loop {
            let inspect = engine.exec_inspect(&self.target.exec).map_err(Broken::Engine)?;
            match inspect.exit_code {
                // podman says 0 while it runs.
                Some(exit_code) if !inspect.running => return Ok(ExitResult { exit_code, ..ExitResult::default() }),
                _ => {}
            }
            if self.options.timeout.is_some_and(|timeout| self.begun.elapsed() >= timeout) {
                return Err(Broken::OutOfTime);
            }
            if !self.inner.hangup.sleep(backoff.next()) {
                return Err(Broken::ShutDown);
            }
        }
    }
}

/// The threads beside a command. When they are dropped, the one that waits at a channel is told first, and then all are
/// joined.
struct Watch {
    _end: Sender<Infallible>,
    _workers: Vec<Worker>,
}

/// Passes on a terminal's sizes until `ended` disconnects.
fn pass_sizes(engine: &Engine, exec: &str, mut sizes: Receiver<TerminalSize>, ended: &Receiver<Infallible>) {
    let mut wanted = None;
    loop {
        let again = if wanted.is_some() { after(PACE / 4) } else { never() };
        select! {
            recv(sizes) -> size => match size {
                Ok(size) => wanted = Some(size),
                Err(_) => sizes = never(),
            },
            recv(again) -> _ => {}
            recv(ended) -> _ => return,
        }
        wanted = sizes.try_iter().last().or(wanted);
        // Refused until the command has its terminal.
        if let Some(size) = &wanted
            && engine.exec_resize(exec, size).is_ok()
        {
            wanted = None;
        }
    }
}

/// Passes on what a command is to read, and says when that was all, if `ends`.
fn feed_stdin(mut from: Box<dyn Read + Send>, mut to: Stdin, ends: bool, hangup: &Hangup) {
    let mut buf = [0; 16 * 1024];
    loop {
        match from.read(&mut buf) {
            Ok(0) => break,
            Ok(n) => {
                if hangup.is_hung_up() || to.write_all(&buf[..n]).is_err() {
                    return;
                }
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => {
                log::warn!("what a command is to read: {e}");
                break;
            }
        }
    }
    // A terminal has no end: Docker takes that of its connection for a hang-up, and the command would see nothing of it.
    if ends {
        // An error: it has ended, and reads nothing any more.
        let _ = to.close();
    }
}

/// The end of a stream.
#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    dropped: u64,
}

impl Kept {
    fn push(&mut self, bytes: &[u8]) {
        let bytes = match bytes.len().checked_sub(KEPT) {
            Some(more) => {
                self.dropped += more as u64;
                &bytes[more..]
            }
            None => bytes,
        };
        let over = (self.bytes.len() + bytes.len()).saturating_sub(KEPT);
        self.bytes.drain(..over);
        self.dropped += over as u64;
        self.bytes.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept() {
        for (pieces, dropped) in [
            (&[10, 20][..], 0),
            (&[KEPT, 1], 1),
            (&[KEPT - 1, 1], 0),
            (&[KEPT + 5], 5),
            (&[3, 3 * KEPT, 7], 2 * KEPT as u64 + 10),
        ] {
            let (mut kept, mut all) = (Kept::default(), Vec::new());
            for &len in pieces {
                let piece: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
                kept.push(&piece);
                all.extend_from_slice(&piece);
            }
            assert_eq!(kept.dropped, dropped, "{pieces:?}");
            assert!(kept.bytes == all[usize::try_from(dropped).unwrap()..], "{pieces:?}");
        }
    }
}

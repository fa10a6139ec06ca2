//! Commands in a task's container: collected, or passed through as they go (driver-spec 1.13, 1.14, 8.5, 17.5).
//!
//! The Engine has no call that ends a command. One that is out of time is ended by its process, where the Engine is this
//! machine's and the process is surely the container's; else by another command, which looks for it in the container.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::end_exec::{self, Target};
use super::exec_watch::{Clock, Pulse, Sizes, newest, watch_terminal};
use super::handle::Task;
use super::task::{ExitResult, TaskId};
use super::{Error, Inner};
use crate::engine::types::{Env, ExecCreate, ExecStart};
use crate::engine::{self, Attached, ResizeQuery, Stdin, Stream};
use crate::threads::{Backoff, Hangup};
use crate::values::printable;

/// How much is kept of each stream of a collected command, in bytes: the end of it, as Nomad keeps 4 KiB.
pub(super) const KEPT: usize = 64 * 1024;
/// By this variable a command is found in its container.
pub(super) const MARK: &str = "LONGSHORE_EXEC";
/// Keys at which the Engine lets go of a terminal's input: its own, ctrl-p and ctrl-q, would be taken from the command, and it
/// cannot be told that there are none. Nobody strikes these in a row; a caller with keys to leave by looks for them itself.
const NO_DETACH_KEYS: &str = "ctrl-^,ctrl-_,ctrl-^,ctrl-^,ctrl-_,ctrl-_,ctrl-^,ctrl-_";
/// Bytes of a line of the Engine's own words that are waited for its end.
const LONGEST_LINE: usize = 4096;
/// How often it is asked whether a command has ended: nothing tells.
pub(super) const PACE: Duration = Duration::from_millis(100);

/// How often a command is looked at again that has ended, by the Engine's word, and has no exit code.
const CODE_LOOKS: u32 = 10;

/// How long a command may run on after the end of its output before that is taken for cut off.
const OUTLIVES: Duration = Duration::from_secs(1);
/// What is then said.
const CUT: &str = "the connection ended before the command; what it writes since is lost";

/// What a command wrote: of each stream the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecOutput {
    /// The end of what it wrote to standard output, at most 64 KiB.
    pub stdout: Vec<u8>,
    /// How many bytes of standard output were dropped before that.
    pub stdout_dropped: u64,
    /// The end of what it wrote to standard error, at most 64 KiB; also what the Engine itself said, such as why it could not be run.
    pub stderr: Vec<u8>,
    /// How many bytes of standard error were dropped before that.
    pub stderr_dropped: u64,
}

/// What came of a command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecResult {
    /// What it wrote.
    pub output: ExecOutput,
    /// Its exit code; with an error where its connection ended before it, and what it wrote since is lost.
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
    /// Where its standard error goes, and what the Engine itself says; nowhere with a terminal.
    pub stderr: Box<dyn Write + Send>,
    /// The sizes of its terminal, as they change; it begins with the last one that is there then. `None`, or a channel that
    /// closes: it stays as it is.
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
    /// How long it may take, from the first word to the Engine on; then it is ended, where that can be done, even while a
    /// sink blocks. `None`: as long as it likes.
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
    /// It was never started: the Engine had not answered by then.
    NotBegun,
    /// It goes on: nothing could end it.
    GoesOn,
    /// Nobody knows whether it was started: the Engine has the order, and did not answer.
    MayGoOn,
    /// Nobody knows: the Engine could not be asked. The driver asks again until it can be, or is shut down.
    Unknown,
}

impl fmt::Display for ExecFate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ended => "it had ended by itself meanwhile",
            Self::Killed => "it was killed",
            Self::NotBegun => "it was not even started: the Engine did not answer",
            Self::Unknown => "nobody knows what became of it: the Engine could not be asked to end it, and is asked again",
            Self::MayGoOn => "nobody knows whether it was started: the Engine has the order and did not answer; it may go on in the container",
            Self::GoesOn => "it goes on in the container: the Engine has no call that ends it, and neither its process nor a shell there could be used",
        })
    }
}

/// Runs a command to its end, and keeps the end of what it writes.
pub(super) fn collect(inner: &Arc<Inner>, id: &TaskId, options: &ExecOptions) -> Result<ExecResult, Error> {
    let task = inner.tasks.find(id)?;
    let mut kept = [Kept::default(), Kept::default()];
    let ended = {
        let mut keep = |stream: Stream, bytes: &[u8]| {
            kept[usize::from(stream != Stream::Stdout)].push(bytes);
            Ok(())
        };
        let mut words = Words::default();
        let ended = run(inner, &task, options, None, None, &mut |stream, bytes| words.pass(stream, bytes, &mut keep));
        words.end(&mut keep).map_err(Error::ExecIo)?;
        ended
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
    let mut write = |stream: Stream, bytes: &[u8]| {
        let to = if stream == Stream::Stdout { &mut stdout } else { &mut stderr };
        to.write_all(bytes).and_then(|()| to.flush())
    };
    let mut words = Words::default();
    let ended = run(inner, &task, options, stdin, resize, &mut |stream, bytes| words.pass(stream, bytes, &mut write));
    let said = words.end(&mut write);
    let result = ended?;
    said.map_err(Error::ExecIo)?;
    Ok(result)
}

/// The Engine's own words between a command's: each on a line of its own, with nothing in it that a terminal obeys.
#[derive(Debug, Default)]
struct Words {
    /// What is said of a line.
    line: Vec<u8>,
    /// Whether the command's last line has no end.
    open: bool,
}

impl Words {
    /// Passes a piece on: what the command wrote as it is.
    fn pass(&mut self, stream: Stream, bytes: &[u8], take: Take<'_>) -> io::Result<()> {
        if stream == Stream::Stdout || stream == Stream::Stderr {
            self.end(take)?;
            self.open = bytes.last().map_or(self.open, |last| *last != b'\n');
            return take(stream, bytes);
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.line.len() > LONGEST_LINE {
                self.end(take)?;
            }
        }
        Ok(())
    }

    /// Passes on what is left of a line.
    fn end(&mut self, take: Take<'_>) -> io::Result<()> {
        if self.line.is_empty() {
            return Ok(());
        }
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = printable(line.trim_end_matches(['\n', '\r'])).into_owned();
        let begin = if std::mem::take(&mut self.open) { "\n" } else { "" };
        take(Stream::System, format!("{begin}{line}\n").as_bytes())
    }
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
    let mark = format!("{:x}-{container:.12}", mark());
    let target =
        Arc::new(Target { container: container.clone(), exec: OnceLock::new(), started: OnceLock::new(), mark });
    let (hangup, begun) = (task.hangup.child(), Instant::now());
    let clock = options.timeout.map(|timeout| Clock::start(inner, &target, &hangup, timeout));
    let clock = clock.transpose().map_err(Error::Thread)?;
    let command = Command { inner, task, target: &target, hangup: &hangup, options, begun };
    let ended = command.begin(stdin.is_some(), resize).and_then(|begun| command.follow(begun, stdin, take));
    let fate = clock.and_then(Clock::stop);
    let out_of_time =
        |fate| Error::ExecTimeout { after: options.timeout.unwrap_or_default(), fate, output: Box::default() };
    match (ended, fate) {
        // It ended, all of its output passed on, in the moment in which its time was over.
        (Ok(result), None | Some(ExecFate::Ended)) => Ok(result),
        (Err(Broken::Io(e)), _) => {
            // As a pipe does to who writes to it when its reader leaves: else it would stay, blocked in a write, until its task ends.
            let fate = end_exec::end(inner, &target);
            log::debug!("a command in {container}: nobody takes its output; {fate}");
            Err(Error::ExecIo(e))
        }
        (Err(Broken::ShutDown), _) => Err(Error::ShutDown),
        (_, Some(fate)) => Err(out_of_time(fate)),
        (Err(Broken::NoCode), None) => Err(Error::ExecNoCode { container: container.clone() }),
        (Err(Broken::OutOfTime), None) => Err(out_of_time(end_exec::end(inner, &target))),
        (Err(Broken::Engine(source)), None) => Err(Error::Exec { container: container.clone(), source }),
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
    /// It has ended, and the Engine does not say how.
    NoCode,
    OutOfTime,
    ShutDown,
}

/// A command that was started.
struct Begun {
    attached: Attached,
    _sizes: Option<Sizes>,
}

/// A command.
struct Command<'a> {
    inner: &'a Arc<Inner>,
    task: &'a Task,
    target: &'a Target,
    /// Ends its connection: with the task's own latch, when its time is over, or when a terminal has said all.
    hangup: &'a Hangup,
    options: &'a ExecOptions,
    begun: Instant,
}

impl Command<'_> {
    /// Starts it, and attaches to it. Its terminal has a size as early as the Engine allows: with its first breath from API
    /// 1.42 on, and else as soon as there is a terminal, which is asked for before it is.
    fn begin(&self, reads: bool, resize: Option<Receiver<TerminalSize>>) -> Result<Begun, Broken> {
        let resize = resize.filter(|_| self.options.tty);
        let size = resize.as_ref().and_then(newest);
        let console_size = size.map(|size| [u32::from(size.height), u32::from(size.width)]);
        let body = ExecCreate {
            attach_stdin: reads,
            attach_stdout: true,
            attach_stderr: true,
            detach_keys: if self.options.tty { NO_DETACH_KEYS.into() } else { String::new() },
            tty: self.options.tty,
            console_size,
            env: Env::from(vec![format!("{MARK}={}", self.target.mark)]),
            cmd: self.options.command.clone(),
            ..ExecCreate::default()
        };
        let failed = |e: engine::Error| if e.is_hung_up() { self.cut() } else { Broken::Engine(e) };
        let engine = self.inner.engine.with(self.hangup);
        let exec = engine.exec_create(&self.target.container, &body).map_err(failed)?.id;
        let exec = self.target.exec.get_or_init(|| exec);
        let sizes = resize.map(|resize| Sizes::start(&self.inner.engine, exec, size, resize, self.hangup));
        let sizes = sizes.transpose().map_err(Broken::Io)?;
        let body = ExecStart { tty: self.options.tty, console_size, ..ExecStart::default() };
        let attached = engine.exec_start(exec, &body, self.hangup).map_err(failed)?;
        let _ = self.target.started.set(());
        Ok(Begun { attached, _sizes: sizes })
    }

    /// Why its latch is closed, while it had more to say.
    fn cut(&self) -> Broken {
        if self.task.hangup.is_hung_up() { Broken::ShutDown } else { Broken::OutOfTime }
    }

    /// Whether its time is over.
    fn is_out_of_time(&self) -> bool {
        self.options.timeout.is_some_and(|timeout| self.begun.elapsed() >= timeout)
    }

    /// Passes on what is said until it has ended, or is out of time.
    fn follow(&self, begun: Begun, stdin: Option<Box<dyn Read + Send>>, take: Take<'_>) -> Result<ExitResult, Broken> {
        let Begun { mut attached, _sizes } = begun;
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
        let exec = self.target.exec.get().map_or("", String::as_str);
        let pulse = Arc::<Pulse>::default();
        let engine = &self.inner.engine;
        let watch = self.options.tty.then(|| watch_terminal(engine, exec, self.hangup, &pulse));
        let _watch = watch.transpose().map_err(Broken::Io)?;
        loop {
            match attached.next_piece() {
                Ok(None) => break,
                Ok(Some(piece)) => pulse.while_taken(|| take(piece.stream, piece.bytes)).map_err(Broken::Io)?,
                // A terminal that has said all. Out of time there may have been more.
                Err(e) if e.is_hung_up() && !self.task.hangup.is_hung_up() && !self.is_out_of_time() => break,
                Err(e) if e.is_hung_up() => return Err(self.cut()),
                Err(e) => return Err(Broken::Engine(e)),
            }
        }
        drop(attached);
        self.code(exec)
    }

    /// Its exit code, once it has one.
    fn code(&self, exec: &str) -> Result<ExitResult, Broken> {
        // Its own connection was hung up, perhaps: that must not end this.
        let engine = self.inner.engine.with(&self.task.hangup).within(self.inner.config.inspect_timeout);
        let mut backoff = Backoff::new(Duration::from_millis(5), PACE);
        let mut looks = CODE_LOOKS;
        let (begun, mut cut) = (Instant::now(), false);
        loop {
            let failed = |e: engine::Error| if e.is_hung_up() { Broken::ShutDown } else { Broken::Engine(e) };
            let inspect = engine.exec_inspect(exec).map_err(failed)?;
            match inspect.ended() {
                // podman says 0 while it runs.
                Some(exit_code) => {
                    let err = cut.then(|| CUT.to_owned());
                    return Ok(ExitResult { exit_code, err, ..ExitResult::default() });
                }
                None if inspect.running == Some(true) => {
                    looks = CODE_LOOKS;
                    if !cut && begun.elapsed() >= OUTLIVES {
                        cut = true;
                        log::warn!("{CUT}");
                    }
                }
                // Its output has ended: an end and a code that are not there by now do not come.
                None if looks == 0 => return Err(Broken::NoCode),
                None => looks -= 1,
            }
            if self.is_out_of_time() {
                return Err(Broken::OutOfTime);
            }
            if !self.task.hangup.sleep(backoff.next()) {
                return Err(Broken::ShutDown);
            }
        }
    }
}

/// Passes on what a command is to read, and says when that was all, if `ends`.
fn feed_stdin(mut from: Box<dyn Read + Send>, to: Stdin, ends: bool, hangup: &Hangup) {
    // Said even where the source panics: the command would wait for more.
    let mut input = Closing { to, ends };
    let mut buf = [0; 16 * 1024];
    loop {
        match from.read(&mut buf) {
            Ok(0) => break,
            Ok(n) => {
                if hangup.is_hung_up() || input.to.write_all(&buf[..n]).is_err() {
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
}

/// A command's standard input, ended when it goes.
struct Closing {
    to: Stdin,
    ends: bool,
}

impl Drop for Closing {
    fn drop(&mut self) {
        // A terminal has no end: Docker takes that of its connection for a hang-up, and the command would see nothing of it.
        if self.ends {
            // An error: it has ended, and reads nothing any more.
            let _ = self.to.close();
        }
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

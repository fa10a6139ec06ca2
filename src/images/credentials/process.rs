//! Runs a program that has a deadline: what it prints is bounded, a hang-up ends it, and nothing of
//! its process group is left afterwards.
//!
//! The caller's thread reads both of the program's outputs; a second one, joined here, only waits
//! for the program's end. An end of the output would not do for that: a program may leave a child
//! behind that holds it, or close it and go on.

use std::io::{self, PipeReader, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::threads::{Cut, Hangup, Worker};

/// How many bytes a program may print, on each of its outputs.
pub(super) const OUTPUT_LIMIT: usize = 1024 * 1024;
/// How many bytes of input it can be given: what a new pipe holds at least.
pub(super) const INPUT_LIMIT: usize = 4096;
/// How long a killed program may take to end. One that hangs in a system call ends when that
/// returns.
const LAST_BREATH: Duration = Duration::from_secs(2);
/// The longest single wait; a deadline beyond the clock's range is none.
const LONG: Duration = Duration::from_secs(3600);

/// What a program printed, and how it ended.
pub(super) struct Ended {
    pub(super) how: How,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// How a program ended. All but the first: it was killed.
pub(super) enum How {
    Exited(ExitStatus),
    TimedOut,
    TooMuch,
    HungUp,
}

/// Runs `command` with `input` as its stdin, for `time` at most.
pub(super) fn run(command: &mut Command, input: &[u8], time: Duration, hangup: &Hangup) -> io::Result<Ended> {
    let deadline = Instant::now().checked_add(time);
    let (rope, bell) = UnixStream::pair()?;
    let rope = Arc::new(Rope(rope));
    let weak: Weak<Rope> = Arc::downgrade(&rope);
    let Ok(_registration) = hangup.register(weak) else {
        return Ok(Ended { how: How::HungUp, stdout: Vec::new(), stderr: Vec::new() });
    };
    let mut running = Running::start(command, input)?;
    let cut = running.attend(&bell, deadline);
    let status = running.end();
    let how = match cut? {
        Some(how) => how,
        None => How::Exited(status?),
    };
    Ok(Ended { how, stdout: running.stdout.bytes, stderr: running.stderr.bytes })
}

/// What a hang-up pulls: the other end of the pair becomes readable.
struct Rope(UnixStream);

impl Cut for Rope {
    fn cut(&self) {
        // An error means that it is cut already.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// A program in a process group of its own. It has to be ended by [`Running::end`].
struct Running {
    child: Child,
    group: Pid,
    /// Waits for the program's end, without reaping it: its number stays its group's own.
    watch: Worker,
    /// Ends with `watch`.
    ended: PipeReader,
    stdout: Output,
    stderr: Output,
}

impl Running {
    fn start(command: &mut Command, input: &[u8]) -> io::Result<Self> {
        // All is in the pipe before there is a reader: this write neither blocks nor fails,
        // whatever the program does.
        let (stdin, mut writer) = io::pipe()?;
        writer.write_all(input)?;
        drop(writer);
        let (ended, ends) = io::pipe()?;
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn()?;
        let group = Pid::from_child(&child);
        let body = move || {
            let _ends = ends;
            let _ = retry_on_intr(|| waitid(WaitId::Pid(group), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT));
        };
        let (stdout, stderr) = (Output::new(child.stdout.take()), Output::new(child.stderr.take()));
        match Worker::spawn("credential helper", Hangup::new(), body, |_| {}) {
            Ok(watch) => Ok(Self { child, group, watch, ended, stdout, stderr }),
            Err(error) => {
                let _ = kill_process_group(group, Signal::KILL);
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// Takes what the program prints, until it has ended (`None`) or may not go on.
    fn attend(&mut self, bell: &UnixStream, deadline: Option<Instant>) -> io::Result<Option<How>> {
        loop {
            let left = deadline.map_or(LONG, |deadline| deadline.saturating_duration_since(Instant::now())).min(LONG);
            let fds = [Some(bell.as_fd()), Some(self.ended.as_fd()), self.stdout.fd(), self.stderr.fd()];
            let [rang, ended, out, err] = ready(fds, left)?;
            if rang {
                return Ok(Some(How::HungUp));
            }
            if self.take([out, err])? {
                return Ok(Some(How::TooMuch));
            }
            if ended {
                break;
            }
            if left.is_zero() {
                return Ok(Some(How::TimedOut));
            }
        }
        // All that it printed is in the pipes. What it left behind is to add nothing, and not to
        // hold them open.
        self.kill();
        loop {
            match ready([self.stdout.fd(), self.stderr.fd()], Duration::ZERO)? {
                [false, false] => return Ok(None),
                some if self.take(some)? => return Ok(Some(How::TooMuch)),
                _ => {}
            }
        }
    }

    /// Reads a piece of each output that has one. Whether it is too much by now.
    fn take(&mut self, [out, err]: [bool; 2]) -> io::Result<bool> {
        if out {
            self.stdout.read()?;
        }
        if err {
            self.stderr.read()?;
        }
        Ok(self.stdout.bytes.len().max(self.stderr.bytes.len()) > OUTPUT_LIMIT)
    }

    fn kill(&self) {
        // An error means that there is nobody.
        let _ = kill_process_group(self.group, Signal::KILL);
    }

    /// Kills what is left of the group, and reaps the program.
    fn end(&mut self) -> io::Result<ExitStatus> {
        self.kill();
        if ready([Some(self.ended.as_fd())], LAST_BREATH)? == [false] {
            self.watch.abandon();
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it was killed and does not end"));
        }
        self.watch.join();
        self.child.wait()
    }
}

/// One of a program's outputs.
struct Output {
    /// `None`: at its end.
    pipe: Option<OwnedFd>,
    bytes: Vec<u8>,
}

impl Output {
    fn new(pipe: Option<impl Into<OwnedFd>>) -> Self {
        Self { pipe: pipe.map(Into::into), bytes: Vec::new() }
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    fn read(&mut self) -> io::Result<()> {
        let Some(pipe) = &self.pipe else { return Ok(()) };
        let mut piece = [0; 16 * 1024];
        let length = retry_on_intr(|| rustix::io::read(pipe, &mut piece))?;
        self.bytes.extend_from_slice(&piece[..length]);
        if length == 0 {
            self.pipe = None;
        }
        Ok(())
    }
}

/// Which of these can be read, or are at their end. Blocks until one is, for `time` at most.
fn ready<const N: usize>(fds: [Option<BorrowedFd<'_>>; N], time: Duration) -> io::Result<[bool; N]> {
    let until = Instant::now() + time;
    let mut polled: Vec<PollFd<'_>> =
        fds.iter().flatten().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    retry_on_intr(|| {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        poll(&mut polled, Some(&timeout))
    })?;
    let mut found = polled.iter().map(|fd| !fd.revents().is_empty());
    Ok(fds.map(|fd| fd.is_some() && found.next().unwrap_or_default()))
}

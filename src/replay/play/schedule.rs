//! How long a part of an answer waits for what came before it in the recording. Whoever waits blocks in one system call, which
//! ends when another request comes, when its time has come, and when the client leaves.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};

use crate::http::Socket;
use crate::replay::har::exchange::Mark;
use crate::replay::http::server::lock;
use crate::replay::play::connection::Connection;

/// How long an answer waits for requests that may not come in this run, counted from the last new one that came: somebody
/// who asks the same again and again is waiting, too.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long it waits for what was done with the same container, counted the same way: then this run does not do it.
const LONGEST_PATIENCE: Duration = Duration::from_secs(60);

impl Connection<'_> {
    /// Whether it was found before that nothing holds this part of an answer.
    pub(in crate::replay) fn is_clear(&self, wait: &Wait, mark: Mark) -> bool {
        let heard = !wait.upgraded || wait.ended || mark.sent <= wait.sent;
        self.core.speed.is_none() && mark.requests <= wait.clear && heard
    }

    /// Waits for what came before this part of an answer.
    pub(in crate::replay) fn until(&mut self, wait: &mut Wait, mark: Mark) -> io::Result<()> {
        loop {
            // A time beyond the clock's range is for ever.
            let due = self.core.speed.map(|speed| wait.begun.checked_add(scaled(mark.at, speed)));
            let until = match (self.holds(wait, mark), due) {
                (Hold::No, None) => {
                    wait.clear = mark.requests;
                    return Ok(());
                }
                (Hold::No, Some(Some(due))) if due <= Instant::now() => return Ok(()),
                (Hold::No, Some(due)) => due,
                (Hold::Until(end), None) => Some(end),
                (Hold::Until(end), Some(due)) => due.map(|due| due.max(end)),
                (Hold::ForGood, _) => None,
            };
            self.rest(wait, until, wait.upgraded && mark.sent > wait.sent && !wait.ended)?;
        }
    }

    fn holds(&self, wait: &Wait, mark: Mark) -> Hold {
        if wait.upgraded && mark.sent > wait.sent && !wait.ended {
            return Hold::ForGood;
        }
        let script = self.core.script();
        // With the recorded times there is no waiting for what may not come.
        if self.core.speed.is_none() && script.awaits(wait.item, mark.requests, true) {
            let end = lock(&self.core.waiting).last + LONGEST_PATIENCE;
            if end > Instant::now() {
                return Hold::Until(end);
            }
            if let Some((awaited, answer)) = script.first_awaited(wait.item, mark.requests) {
                drop(script);
                self.core.note(format!(
                    "not asked in this run, while an answer waited for it\n  {awaited}\n  the answer: {answer}"
                ));
            }
            return Hold::No;
        }
        if script.awaits(wait.item, mark.requests, false) {
            let end = lock(&self.core.waiting).last + PATIENCE;
            if end > Instant::now() {
                return Hold::Until(end);
            }
        }
        Hold::No
    }

    /// Waits until the client has left. `half_closes`: the recorded one ended its own direction, and listened on.
    pub(in crate::replay) fn until_gone(&mut self, wait: &mut Wait, half_closes: bool) -> io::Result<()> {
        loop {
            self.rest(wait, None, wait.upgraded && !wait.ended)?;
            // On a port that is all that is told of one that has left.
            if wait.ended && !half_closes && matches!(**self.socket, Socket::Tcp(_)) {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
        }
    }

    /// Blocks until something happens, or until a moment. An error: the client has left.
    pub(in crate::replay) fn rest(&mut self, wait: &mut Wait, until: Option<Instant>, reads: bool) -> io::Result<()> {
        let bell = match &wait.bell {
            Some(bell) => bell.clone(),
            None => {
                let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
                let bell = Arc::new(rustix::event::eventfd(0, flags)?);
                lock(&self.core.waiting).bells.push(Arc::downgrade(&bell));
                wait.bell = Some(bell.clone());
                // What happened before it rang has to be looked at once more.
                return Ok(());
            }
        };
        // On a port nothing tells an end in one direction from one in both.
        let whole_ends = wait.upgraded || matches!(**self.socket, Socket::Unix(_));
        let gone = if whole_ends { PollFlags::HUP } else { PollFlags::RDHUP };
        let asks = if reads { PollFlags::IN } else { PollFlags::empty() };
        let mut fds = [PollFd::new(&**self.socket, gone | asks), PollFd::new(&*bell, PollFlags::IN)];
        let timeout = until.map(|until| {
            let left = until.saturating_duration_since(Instant::now()) + Duration::from_micros(100);
            Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() }
        });
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let (client, rang) = (fds[0].revents(), fds[1].revents());
        if rang.contains(PollFlags::IN) {
            let _ = rustix::io::read(&*bell, &mut [0u8; 8]);
        }
        if reads && client.contains(PollFlags::IN) {
            (self.from, self.to) = (0, 0);
            match self.fill()? {
                0 => wait.ended = true,
                n => wait.sent += n as u64,
            }
            (self.from, self.to) = (0, 0);
        } else if client.intersects(gone | PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

/// Whether an answer goes on.
enum Hold {
    No,
    Until(Instant),
    ForGood,
}

/// An answer that is being given.
pub(in crate::replay) struct Wait {
    pub(in crate::replay) item: usize,
    pub(in crate::replay) begun: Instant,
    /// How many bytes the client has sent after the request's head.
    pub(in crate::replay) sent: u64,
    /// Whether it sends no more.
    pub(in crate::replay) ended: bool,
    pub(in crate::replay) bell: Option<Arc<OwnedFd>>,
    /// Whether what the client sends now belongs to this answer.
    pub(in crate::replay) upgraded: bool,
    /// Up to which count of requests nothing holds it.
    pub(in crate::replay) clear: u64,
}

fn scaled(us: u64, speed: f64) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "a few microseconds in a century")]
    Duration::try_from_secs_f64(us as f64 / 1e6 / speed).unwrap_or(Duration::MAX)
}

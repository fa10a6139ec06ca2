//! How one container's logs are collected: it reads what the Engine holds, follows, and reads again.
//!
//! A follow that the Engine's own rotation overtakes skips silently, and a read does not: whenever we lag, we go back to
//! reading; and where the Engine's files are so small that each burst may overtake it, a follow only rings for a read. After
//! a break of any kind it goes on from the cursor, and so it does where a sink takes nothing: the Engine's connection is
//! given up then, not held. Where an Engine may leave files out of what it says since a time, and does not repeat the record
//! of that time, it is asked for all that it holds. It ends when the container has ended, no sink is behind and a read brings
//! nothing new (or, once that end is a while ago, has brought what there was), or when the container, or its logs, cannot be
//! had any more.

use std::convert::Infallible;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam_channel::Sender;

use super::collector::Settings;
use super::lanes::Lanes;
use super::pace::Pace;
use super::record::{BadRecord, Part, Splitter, Stamp, Stream};
use crate::engine::{Engine, Error, LogsQuery, logs_cannot_be_read};
use crate::threads::{Backoff, Hangup};

/// A record that arrives this late while following says that we lag.
const LAG: Duration = Duration::from_millis(250);
/// How far ahead of our clock, in ns, a stamp of the same clock may be without that having been set back.
const AHEAD: i64 = 1_000_000_000;
/// So long after a container's end, in ns, an Engine has written all of its output.
const SETTLED: i64 = 3_000_000_000;
/// How often an ended container's logs are tried again while they give nothing but errors.
const LAST_TRIES: u32 = 5;

/// One container's logs on their way to its lanes.
pub(super) struct Collection {
    engine: Engine,
    settings: Settings,
    hangup: Hangup,
    backoff: Backoff,
    lag: Lag,
    /// Whether the next read begins at the start, whatever was taken already.
    from_start: bool,
    /// How often the Engine has failed to say all.
    failed: u32,
    /// Dropped when all has come that will come.
    completed: Option<Sender<Infallible>>,
    out: Lanes,
}

/// Why reading stopped.
enum Stop {
    /// The logs came to their end, for now.
    End { new: bool },
    /// We lag behind, or a check is due.
    Lag,
    /// A follow brought what only a read can tell of.
    Rung,
    /// It left out what came last: only a read from the start can tell what else.
    LeftOut,
    /// Something broke. `new`: after it had brought something.
    Broken { error: Error, new: bool },
    /// The Engine said something in the midst of the stream.
    Words { words: String, new: bool },
    /// It was given up, for a sink to be looked at.
    Interrupted,
}

/// What the container does, as far as its logs are concerned.
enum Container {
    Runs,
    /// `settled`: so long ago that one read says all.
    Ended {
        settled: bool,
    },
    Unknown,
}

impl Collection {
    /// Logs of which nothing is read yet. `completed` is dropped when all has come that will come.
    pub(super) fn new(
        engine: &Engine,
        settings: Settings,
        hangup: Hangup,
        completed: Sender<Infallible>,
        out: Lanes,
    ) -> Self {
        Self {
            engine: engine.with(&hangup),
            backoff: Backoff::new(settings.backoff.0, settings.backoff.1),
            lag: Lag { floor: settings.same_clock.then_some(0) },
            from_start: false,
            failed: 0,
            settings,
            hangup,
            completed: Some(completed),
            out,
        }
    }

    /// Reads, follows and reads again, until there is nothing more, or somebody hangs up.
    pub(super) fn run(&mut self) {
        self.out.open();
        let mut tries_left = LAST_TRIES;
        // Where it ran a moment ago, and has ended, the first follow ends at once.
        let mut assumed = self.settings.runs.then_some(Container::Runs);
        // Whether the last follow brought what only a read can tell of.
        let mut rung = false;
        while !self.hangup.is_hung_up() {
            self.out.try_again();
            if self.out.is_empty() {
                break;
            }
            if self.out.all_stalled() {
                // Without a connection, until the watch sees that one of them is worth a try.
                self.latch(false).sleep(Duration::MAX);
                continue;
            }
            // Asked before the read: what it wrote before its end is then read after it.
            let (ended, settled) = match assumed.take().unwrap_or_else(|| self.container()) {
                Container::Ended { settled } => (true, settled),
                Container::Runs => (false, false),
                Container::Unknown => {
                    if !self.pause() {
                        break;
                    }
                    continue;
                }
            };
            let read = self.pass(false);
            rung &= matches!(read, Stop::End { new: false } | Stop::LeftOut);
            let follow = match read {
                Stop::End { new } if ended && (settled || !new) && !self.out.any_stalled() => break,
                Stop::End { new: true } | Stop::Lag | Stop::Rung | Stop::LeftOut | Stop::Interrupted => false,
                Stop::End { new: false } if ended => {
                    self.completed = None;
                    self.latch(false).sleep(Duration::MAX);
                    false
                }
                Stop::End { new: false } => true,
                stop => {
                    if !self.recover(stop, ended.then_some(&mut tries_left)) {
                        break;
                    }
                    false
                }
            };
            if !follow {
                continue;
            }
            // For nothing: an Engine that does so again and again must not make us spin.
            if std::mem::take(&mut rung) && !self.pause() {
                break;
            }
            match self.pass(true) {
                Stop::End { new } => {
                    // The container has ended, or the Engine goes down: the next inspect tells. Where it runs on, a
                    // follow that ends at once again and again must not spin.
                    if !new && !matches!(self.container(), Container::Ended { .. }) && !self.pause() {
                        break;
                    }
                }
                Stop::Rung | Stop::LeftOut => rung = true,
                Stop::Lag | Stop::Interrupted => {}
                stop => {
                    if !self.recover(stop, None) {
                        break;
                    }
                }
            }
        }
        self.out.flush();
    }

    /// What ends the next request, or pause: our own end, or the watch, for a sink to be looked at.
    fn latch(&self, follow: bool) -> Hangup {
        let latch = self.hangup.child();
        self.out.connected(&latch, follow);
        latch
    }

    fn container(&mut self) -> Container {
        match self.engine.container_state(&self.settings.id) {
            Ok(state) if state.is_running() => Container::Runs,
            // A state that says nothing is not an end.
            Ok(state) if state.status.is_empty() => Container::Unknown,
            Ok(state) => Container::Ended { settled: self.is_long_ago(&state.finished_at) },
            Err(e) if e.is_not_found() => Container::Ended { settled: false },
            Err(_) => Container::Unknown,
        }
    }

    /// After a break: waits, and says whether to go on. `tries_left`: for a container that has ended.
    fn recover(&mut self, stop: Stop, tries_left: Option<&mut u32>) -> bool {
        let new = match stop {
            Stop::End { .. } | Stop::Lag | Stop::Rung | Stop::LeftOut | Stop::Interrupted => return true,
            Stop::Broken { error, .. } if error.is_hung_up() || error.is_not_found() => return false,
            Stop::Broken { error, .. } if logs_cannot_be_read(&error) || error.status() == Some(501) => {
                self.out
                    .notice("the output cannot be collected: the container's log driver keeps none that can be read");
                return false;
            }
            Stop::Broken { error, new } => {
                log::debug!("logs of {}: {error}", self.settings.id);
                new
            }
            Stop::Words { words, new } => {
                self.missing(&format!("the Engine says in the midst of the output: {words}"));
                new
            }
        };
        match tries_left {
            _ if new => self.backoff.reset(),
            None => {}
            Some(0) => {
                self.missing("the end of the output cannot be read");
                return false;
            }
            Some(left) => *left -= 1,
        }
        self.pause()
    }

    fn missing(&mut self, why: &str) {
        let after = self.out.upper().map_or("the start".into(), |stamp| stamp.to_string());
        self.out.notice(&format!("{why}; lines may be missing after {after}"));
    }

    fn pause(&mut self) -> bool {
        self.hangup.sleep(self.backoff.next())
    }

    /// One request, from where the lane that is least far is: all that the Engine holds, or that and what comes.
    fn pass(&mut self, follow: bool) -> Stop {
        let from_start = std::mem::take(&mut self.from_start);
        let stop = self.ask(follow, from_start);
        match &stop {
            Stop::LeftOut => self.from_start = true,
            Stop::Words { .. } if from_start => self.failed += 1,
            Stop::Broken { error, .. } if from_start && error.status().is_some() => self.failed += 1,
            _ => {}
        }
        stop
    }

    fn ask(&mut self, follow: bool, from_start: bool) -> Stop {
        let since = self.out.lower().filter(|since| !from_start && !self.is_ahead_of_us(*since));
        let query = LogsQuery {
            follow,
            stdout: self.out.wants(Stream::Stdout),
            stderr: self.out.wants(Stream::Stderr),
            since: since.map(Stamp::as_since).unwrap_or_default(),
            timestamps: true,
            tty: self.settings.terminal.is_some(),
            ..LogsQuery::default()
        };
        let latch = self.latch(follow);
        let interrupted = |hangup: &Hangup| latch.is_hung_up() && !hangup.is_hung_up();
        let mut logs = match self.engine.container_logs(&self.settings.id, &query, &latch) {
            Ok(logs) => logs,
            Err(_) if interrupted(&self.hangup) => return Stop::Interrupted,
            Err(error) => return Stop::Broken { error, new: false },
        };
        self.out.begin(since);
        let mut splitter = Splitter::new(self.settings.terminal);
        let (mut new, mut late, mut rung, mut left_out) = (false, false, false, false);
        // Whether it is still to repeat what came last. One that cannot say all must be believed.
        let mut awaits = since.is_some() && self.settings.leaves_out && self.failed < LAST_TRIES;
        let (mut carried, mut arrived, mut pace) = (0, now(), Pace::new());
        let rings = follow && self.settings.follow_bytes == Some(0);
        loop {
            let waits = !logs.is_buffered();
            if waits {
                self.out.flush();
                pace.before_read(&self.hangup);
            }
            let next = logs.next_piece();
            if waits {
                // The same for all that came at once: a clock for each record would cost as much as the rest of it.
                arrived = now();
                pace.after_read();
            }
            self.out.piece();
            let (out, lag) = (&mut self.out, &mut self.lag);
            let mut take = |part: Part<'_>| {
                if awaits && part.first {
                    left_out |= out.shows_gap(&part);
                    awaits = !out.is_confirmed();
                }
                rung |= follow && part.first && out.needs_read(&part, rings);
                if left_out || rung {
                    return;
                }
                let taken = out.take(&part);
                if taken > 0 {
                    carried += taken as u64;
                    new = true;
                    late |= follow && lag.is_late(part.stamp, arrived);
                }
            };
            let fed = match next {
                Ok(Some(piece)) => {
                    pace.brought(piece.bytes.len());
                    splitter.feed(&piece, &mut take)
                }
                Ok(None) => {
                    splitter.finish(&mut take);
                    self.out.flush();
                    if since.is_none() {
                        self.out.have_seen_all();
                        self.failed = 0;
                    }
                    left_out |= !follow && awaits && !self.out.is_confirmed();
                    return match (left_out, rung) {
                        (true, _) => Stop::LeftOut,
                        (_, true) => Stop::Rung,
                        _ => Stop::End { new },
                    };
                }
                Err(_) if interrupted(&self.hangup) => return Stop::Interrupted,
                Err(error) => return Stop::Broken { error, new },
            };
            if new {
                self.backoff.reset();
            }
            match fed {
                Ok(()) => {}
                Err(BadRecord::System) => return Stop::Words { words: splitter.words(), new },
                Err(BadRecord::NoStamp) => {
                    return Stop::Words { words: "something that bears no time".into(), new };
                }
            }
            if left_out {
                return Stop::LeftOut;
            }
            if rung {
                return Stop::Rung;
            }
            if late || follow && self.settings.follow_bytes.is_some_and(|most| carried > most) {
                return Stop::Lag;
            }
            if self.out.all_stalled() {
                return Stop::Interrupted;
            }
        }
    }

    /// Whether a container that ended then, by the Engine's clock, has had its output written since.
    fn is_long_ago(&self, finished: &str) -> bool {
        let age = |stamp: Stamp| now().as_nanos().saturating_sub(stamp.as_nanos());
        self.settings.same_clock && Stamp::parse(finished.as_bytes()).is_some_and(|stamp| age(stamp) > SETTLED)
    }

    /// Whether a stamp of the Engine's lies in the future: its clock is ours, and was set back. What it writes from now on bears
    /// lower stamps, and `since` would hide it.
    fn is_ahead_of_us(&self, stamp: Stamp) -> bool {
        self.settings.same_clock && stamp.as_nanos() > now().as_nanos().saturating_add(AHEAD)
    }
}

/// Whether records come late.
struct Lag {
    /// The least time seen between a record's stamp and its arrival, in ns: what the clocks differ by. `None`: not known yet.
    floor: Option<i64>,
}

impl Lag {
    fn is_late(&mut self, stamp: Stamp, now: Stamp) -> bool {
        let age = now.as_nanos().saturating_sub(stamp.as_nanos());
        let floor = self.floor.map_or(age, |floor| floor.min(age));
        self.floor = Some(floor);
        // podman 4.3 stamps whole seconds.
        let coarse = if stamp.as_nanos() % 1_000_000_000 == 0 { 1_000_000_000 } else { 0 };
        age.saturating_sub(floor) > LAG.as_nanos() as i64 + coarse
    }
}

fn now() -> Stamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Stamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late() {
        let ms = |ms: i64| Stamp::from_nanos(ms * 1_000_000);
        let mut same = Lag { floor: Some(0) };
        for (stamp, now, want) in
            [(1, 200, false), (1, 252, true), (2000, 1999, false), (3000, 4200, false), (3001, 4200, true)]
        {
            assert_eq!(same.is_late(ms(stamp), ms(now)), want, "written at {stamp}, here at {now}");
        }
        let mut other = Lag { floor: None };
        for (stamp, now, want) in
            [(1, 5001, false), (1001, 6002, false), (1501, 6852, true), (2001, 6901, false), (2501, 7652, true)]
        {
            assert_eq!(other.is_late(ms(stamp), ms(now)), want, "written at {stamp} by another clock, here at {now}");
        }
    }
}

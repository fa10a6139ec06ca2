//! The loop that collects one container's logs: it reads what the Engine holds, follows, and reads again.
//!
//! After a break of any kind the loop goes on from the checkpoint, and so it does where a sink takes nothing: the Engine's
//! connection is given up then, not held. The loop ends when the container has ended, no sink is behind and a read brings nothing new (or, once
//! that end is a while ago, has brought what there was), or when the container, or its logs, cannot be had any more.

use std::convert::Infallible;
use std::time::Duration;

use crossbeam_channel::Sender;

use crate::engine::{Engine, logs_cannot_be_read};
use crate::logs::delivery::fanout::Fanout;
use crate::logs::fetch::request::{Passed, Reading, Stop, now};
use crate::logs::fetch::source::Settings;
use crate::logs::record::Stamp;
use crate::threads::{Backoff, Hangup};

/// So long after a container's end, in ns, an Engine has written all of its output.
const SETTLED: i64 = 3_000_000_000;
/// How often an ended container's logs are tried again while they give nothing but errors.
pub(in crate::logs) const LAST_TRIES: u32 = 5;

/// One container's logs on their way to its subscriptions.
pub(in crate::logs) struct Collection {
    reading: Reading<'static>,
    backoff: Backoff,
    /// Dropped when all has come that will come.
    completed: Option<Sender<Infallible>>,
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
    pub(in crate::logs) fn new(
        engine: &Engine,
        settings: Settings,
        hangup: &Hangup,
        completed: Sender<Infallible>,
        out: Fanout<'static>,
    ) -> Self {
        Self {
            backoff: Backoff::new(settings.backoff.0, settings.backoff.1),
            reading: Reading::new(engine, settings, hangup, out),
            completed: Some(completed),
        }
    }

    /// Reads, follows and reads again, until there is nothing more, or somebody hangs up.
    pub(in crate::logs) fn run(&mut self) {
        self.reading.out.open();
        let mut tries_left = LAST_TRIES;
        // Where it ran a moment ago, and has ended, the first follow ends at once.
        let mut assumed = self.reading.settings.runs.then_some(Container::Runs);
        // Whether the last follow brought what only a read can tell of.
        let mut rung = false;
        while !self.reading.hangup.is_hung_up() {
            self.reading.out.try_again();
            if self.reading.out.is_empty() {
                break;
            }
            if self.reading.out.all_stalled() {
                // Without a connection, until the watch sees that one of them is worth a try.
                self.reading.latch(false).sleep(Duration::MAX);
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
            let Passed { stop, new } = self.pass(false);
            rung &= matches!((&stop, new), (Stop::End, false) | (Stop::LeftOut, _));
            let follow = match stop {
                Stop::End if ended && (settled || !new) && !self.reading.out.any_stalled() => break,
                Stop::End if !new && ended => {
                    self.completed = None;
                    self.reading.latch(false).sleep(Duration::MAX);
                    false
                }
                // While it runs, each further read of a busy task would find something new.
                Stop::End if !new || !ended && self.reading.may_follow() => true,
                Stop::End => {
                    self.reading.rest();
                    false
                }
                Stop::LagDetector | Stop::Rung | Stop::LeftOut | Stop::Interrupted => false,
                stop => {
                    if !self.recover(stop, new, ended.then_some(&mut tries_left)) {
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
            let Passed { stop, new } = self.pass(true);
            match stop {
                Stop::End => {
                    // The container has ended, or the Engine goes down: the next inspect tells. Where it runs on, a
                    // follow that ends at once again and again must not spin.
                    if !new && !matches!(self.container(), Container::Ended { .. }) && !self.pause() {
                        break;
                    }
                }
                Stop::Rung | Stop::LeftOut | Stop::OutOfOrder(_) => rung = true,
                Stop::LagDetector | Stop::Interrupted => {}
                stop => {
                    if !self.recover(stop, new, None) {
                        break;
                    }
                }
            }
        }
        self.reading.out.flush();
    }

    fn pass(&mut self, follow: bool) -> Passed {
        let passed = self.reading.pass(follow);
        if passed.new {
            self.backoff.reset();
        }
        passed
    }

    fn container(&mut self) -> Container {
        match self.reading.engine.container_state(&self.reading.settings.id) {
            Ok(state) if state.is_running() => Container::Runs,
            Ok(state) if state.is_idle() => Container::Ended { settled: self.is_long_ago(&state.finished_at) },
            // A state that says nothing is not an end, and a word that is not known is none either.
            Ok(state) if state.status.is_empty() && !state.is_running() => Container::Unknown,
            Ok(_) => Container::Runs,
            Err(e) if e.is_not_found() => Container::Ended { settled: false },
            Err(_) => Container::Unknown,
        }
    }

    /// After a break: waits, and says whether to go on. `tries_left`: for a container that has ended.
    fn recover(&mut self, stop: Stop, new: bool, tries_left: Option<&mut u32>) -> bool {
        // What could not be asked was not tried.
        let is_asked = !matches!(&stop, Stop::Broken(error) if error.is_exhausted());
        match stop {
            Stop::End | Stop::LagDetector | Stop::Rung | Stop::LeftOut | Stop::Interrupted => return true,
            Stop::Broken(error) if error.is_hung_up() || error.is_not_found() => return false,
            Stop::Broken(error) if logs_cannot_be_read(&error) => {
                self.reading
                    .out
                    .notice("the output cannot be collected: the container's log driver keeps none that can be read");
                return false;
            }
            Stop::Broken(error) => log::debug!("logs of {}: {error}", self.reading.settings.id),
            Stop::OutOfOrder(_) => {
                log::debug!("logs of {}: out of order", self.reading.settings.id);
                return self.pause();
            }
            Stop::Words(words) => self.reading.missing(&format!("the Engine says in the midst of the output: {words}")),
        }
        match tries_left {
            None => {}
            Some(_) if new || !is_asked => {}
            Some(0) => {
                self.reading.missing("the end of the output cannot be read");
                return false;
            }
            Some(left) => *left -= 1,
        }
        self.pause()
    }

    fn pause(&mut self) -> bool {
        self.reading.hangup.sleep(self.backoff.next())
    }

    /// Whether a container that ended then, by the Engine's clock, has had its output written since.
    fn is_long_ago(&self, finished: &str) -> bool {
        let age = |stamp: Stamp| now().as_nanos().saturating_sub(stamp.as_nanos());
        let finished = Stamp::parse(finished.as_bytes());
        self.reading.settings.same_clock && finished.is_some_and(|finished| age(finished) > SETTLED)
    }
}

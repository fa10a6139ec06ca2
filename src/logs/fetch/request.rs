//! One request for a container's logs, from where its subscriptions are: its records on their way to them, and why it came to its end.
//!
//! A follow that the Engine's own rotation overtakes skips silently, and a read does not: whenever it lags, a follow ends; and
//! where the Engine's files are so small that each burst may overtake it, it only rings for a read.
//!
//! Docker 20.10, where it compresses rotated files, cannot be trusted: it leaves files out of what it says since a time, and it
//! mixes them up ([`super::order`]). An answer that does not repeat the record that came last, or brings older ones after newer
//! ones, is not believed there: its rest goes to nobody, and all that the Engine holds is asked for next.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::engine::{Engine, Error, Logs, LogsQuery};
use crate::logs::delivery::clock::Clock;
use crate::logs::delivery::fanout::Fanout;
use crate::logs::fetch::batching::ReadBatcher;
use crate::logs::fetch::lag::{LagDetector, ReadHistory};
use crate::logs::fetch::order::{Doubt, Mark, Order};
use crate::logs::fetch::source::Settings;
use crate::logs::record::{BadRecord, Part, Splitter, Stamp, Stream};
use crate::threads::Hangup;

/// What the Engine writes beside a short line, in bytes: its stream, its time, their names.
const BESIDE: u64 = 80;
/// How far ahead of our clock, in ns, a stamp of the same clock may be without that having been set back: where it is not quite
/// the same, as a virtual machine's.
const AHEAD: i64 = 1_000_000_000;
/// So much earlier than it must, in ns, an Engine is asked to begin that may mix up its files: the end of one that comes twice is
/// then told from one more record of the last stamp.
const MARGIN: i64 = 2_000_000_000;
/// How often an Engine may fail to say all before it is believed to have done.
const TRIES: u32 = 5;

/// One container's logs, request after request.
pub(in crate::logs) struct Reading<'a> {
    pub(in crate::logs) engine: Engine,
    pub(in crate::logs) settings: Settings,
    pub(in crate::logs) hangup: Hangup,
    lag: LagDetector,
    clock: Clock,
    /// Whether it was set back while we were at it.
    set_back: bool,
    reads: ReadHistory,
    /// Whether the next request begins at the start, whatever was taken already.
    from_start: bool,
    /// How often the Engine has failed to say all.
    failed: u32,
    /// How many reads in a row came to an end because they were out of order, and by what the last of them was doubted.
    disordered: u32,
    doubted: Option<Mark>,
    pub(in crate::logs) out: Fanout<'a>,
}

/// What a request came to.
pub(in crate::logs) struct Passed {
    pub(in crate::logs) stop: Stop,
    /// Whether it brought anything new.
    pub(in crate::logs) new: bool,
}

/// Why it came to its end.
pub(in crate::logs) enum Stop {
    /// The logs came to theirs, for now.
    End,
    /// We lag behind, or a check is due: a read is to be next.
    LagDetector,
    /// A follow brought what only a read can tell of.
    Rung,
    /// It left out what came last: only a read from the start can tell what else.
    LeftOut,
    /// It brought older records after newer ones: that one, or some before a gap.
    OutOfOrder(Option<Mark>),
    /// Something broke.
    Broken(Error),
    /// The Engine said something in the midst of the stream.
    Words(String),
    /// It was given up, for a sink to be looked at.
    Interrupted,
}

impl<'a> Reading<'a> {
    /// Logs of which nothing is read yet.
    pub(in crate::logs) fn new(engine: &Engine, settings: Settings, hangup: &Hangup, out: Fanout<'a>) -> Self {
        Self {
            engine: engine.with(hangup),
            lag: LagDetector::new(settings.same_clock),
            settings,
            clock: Clock::new(),
            set_back: false,
            reads: ReadHistory::new(),
            hangup: hangup.clone(),
            from_start: false,
            failed: 0,
            disordered: 0,
            doubted: None,
            out,
        }
    }

    /// What ends the next request, or pause: our own end, or the watch, for a sink to be looked at.
    pub(in crate::logs) fn latch(&self, follow: bool) -> Hangup {
        let latch = self.hangup.child();
        self.out.connected(&latch, follow);
        latch
    }

    /// One request, from where the subscription that is least far is: all that the Engine holds, or that and what comes.
    pub(in crate::logs) fn pass(&mut self, follow: bool) -> Passed {
        let was_set_back = self.was_set_back();
        if was_set_back {
            self.out.begin_stalled_anew();
        }
        let from_start = was_set_back || self.from_start;
        self.from_start = false;
        let (mut carried, began) = (0, Instant::now());
        let stop = self.ask(follow, from_start, &mut carried);
        if follow {
            self.reads.are_over();
        } else {
            self.reads.add(began, Instant::now(), carried, matches!(stop, Stop::End));
        }
        match &stop {
            Stop::LeftOut => {
                if from_start {
                    self.out.accept_passed_over();
                }
                self.from_start = true;
            }
            Stop::OutOfOrder(mark) => {
                (self.from_start, self.doubted) = (true, *mark);
                self.disordered += u32::from(!follow);
                if self.disordered == TRIES {
                    self.missing("the Engine gives older output in place of newer");
                }
            }
            Stop::End if !follow => (self.disordered, self.doubted) = (0, None),
            // It has not told.
            Stop::Interrupted => self.from_start = from_start,
            Stop::Broken(error) if error.status().is_none() => self.from_start = from_start,
            Stop::Words(_) if from_start => self.failed += 1,
            Stop::Broken(error) if from_start && error.status().is_some() => self.failed += 1,
            _ => {}
        }
        Passed { stop, new: carried > 0 }
    }

    /// Whether what a running container writes may be followed after this read: else it is to be read again.
    pub(in crate::logs) fn may_follow(&self) -> bool {
        self.reads.may_be_followed(self.settings.follow_bytes)
    }

    /// Waits for a moment before what may not be followed is read again.
    pub(in crate::logs) fn rest(&self) {
        self.hangup.sleep(self.reads.pause(self.settings.follow_bytes));
    }

    fn ask(&mut self, follow: bool, from_start: bool, carried: &mut u64) -> Stop {
        if self.out.all_stalled() {
            return Stop::Interrupted;
        }
        let since = self.out.lower().filter(|since| !from_start && !self.is_ahead_of_us(*since));
        let margin = if self.settings.leaves_out { MARGIN } else { 0 };
        let since = since.map(|since| Stamp::from_nanos(since.as_nanos().saturating_sub(margin)));
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
        if follow {
            self.out.expect_within(self.reads.patience());
        }
        let interrupted = |hangup: &Hangup| latch.is_hung_up() && !hangup.is_hung_up();
        let mut logs = match self.engine.container_logs(&self.settings.id, &query, &latch) {
            Ok(logs) => logs,
            Err(_) if interrupted(&self.hangup) => return Stop::Interrupted,
            Err(error) => return Stop::Broken(error),
        };
        self.out.begin(since);
        let stop = match self.listen(&mut logs, follow, from_start, since, carried) {
            Stop::Broken(_) if interrupted(&self.hangup) => Stop::Interrupted,
            stop => stop,
        };
        if self.settings.leaves_out {
            self.out.flush();
            self.let_go(logs, &stop, query);
        }
        stop
    }

    /// Sees to it that the Engine holds no file for a request that was not believed, or only rang: it would give that in place of
    /// another to the next one.
    fn let_go(&mut self, mut logs: Logs, stop: &Stop, query: LogsQuery) {
        match stop {
            // Files are let go of where a read ends.
            Stop::LeftOut | Stop::OutOfOrder(_) if !query.follow => self.pass_over(&mut logs),
            // A follow has no end. While a read goes on that begins now, the Engine sees that nobody is there any more: of 1800 reads right
            // after a follow 14 brought a wrong file, of 2100 with another read in between none.
            Stop::Rung | Stop::LagDetector | Stop::LeftOut | Stop::OutOfOrder(_) if self.settings.rings() => {
                drop(logs);
                let (query, latch) = (LogsQuery { follow: false, ..query }, self.latch(false));
                // Where that fails, the next request tells.
                if let Ok(mut logs) = self.engine.container_logs(&self.settings.id, &query, &latch) {
                    self.pass_over(&mut logs);
                }
            }
            _ => {}
        }
    }

    /// Reads to the end, for nobody.
    fn pass_over(&mut self, logs: &mut Logs) {
        while let Ok(Some(_)) = logs.next_piece() {
            self.out.piece();
        }
    }

    /// Hands on what comes, up to what ends it.
    fn listen(
        &mut self,
        logs: &mut Logs,
        follow: bool,
        from_start: bool,
        since: Option<Stamp>,
        carried: &mut u64,
    ) -> Stop {
        let mut splitter = Splitter::new(self.settings.terminal);
        let (mut late, mut halt) = (false, None);
        // Whether it is still to repeat what came last. One that cannot say all must be believed.
        let mut awaits = since.is_some() && self.settings.leaves_out && self.failed < TRIES;
        let is_kept = self.settings.leaves_out && self.disordered < TRIES;
        let mut order = Order::new(is_kept, self.doubted.filter(|_| from_start));
        let (mut arrived, mut pace) = (now(), ReadBatcher::new());
        let rings = follow && self.settings.rings();
        let mut start = self.reads.start();
        loop {
            let waits = !logs.is_buffered();
            if waits {
                self.out.flush();
                if self.out.all_stalled() {
                    // Nobody is left to wait for more with.
                    return Stop::Interrupted;
                }
                pace.before_read(&self.hangup);
            }
            let next = logs.next_piece();
            if waits {
                // The same for all that came at once: a clock for each record would cost as much as the rest of it.
                arrived = now();
                start.came(Instant::now());
                pace.after_read();
                if follow && self.was_set_back() {
                    // It may have been hiding something since. What it brought now comes once more.
                    self.out.begin_stalled_anew();
                    self.from_start = true;
                    return Stop::LagDetector;
                }
            }
            self.out.piece();
            let (out, lag) = (&mut self.out, &mut self.lag);
            let mut take = |part: &Part<'_>| {
                if part.first && halt.is_none() && (is_kept || awaits || rings || !out.simply_goes_on(part)) {
                    let shows_gap = || out.shows_gap(part);
                    halt = match order.doubt(part, || out.is_out_of_order(part), shows_gap) {
                        _ if awaits && shows_gap() => Some(Stop::LeftOut),
                        _ if out.is_beyond_passed_over(part) => Some(Stop::LeftOut),
                        Some(Doubt::Older(_)) if follow && out.is_repeat(part) => Some(Stop::Rung),
                        Some(Doubt::Older(mark)) => Some(Stop::OutOfOrder(Some(mark))),
                        Some(Doubt::Hole) => Some(Stop::OutOfOrder(None)),
                        None => (follow && out.needs_read(part, rings)).then_some(Stop::Rung),
                    };
                    awaits = awaits && !out.is_confirmed();
                }
                if halt.is_some() {
                    return;
                }
                let taken = out.take(part);
                if taken > 0 {
                    *carried += taken as u64 + if part.first { BESIDE } else { 0 };
                    late |= follow && start.is_late(lag.behind(part.stamp, arrived));
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
                    let is_short = awaits && !self.out.is_confirmed() || self.out.has_passed_over();
                    return match halt {
                        Some(halt) => halt,
                        None if order.went_back() && !self.out.is_confirmed() => Stop::OutOfOrder(None),
                        None if is_short && !follow => Stop::LeftOut,
                        None => {
                            if since.is_none() {
                                self.out.have_seen_all();
                                self.failed = 0;
                            }
                            if !follow && !self.settings.leaves_out {
                                self.out.make_level();
                            }
                            Stop::End
                        }
                    };
                }
                Err(error) => return Stop::Broken(error),
            };
            match fed {
                Ok(()) => {}
                Err(BadRecord::System) => return Stop::Words(splitter.words()),
                Err(BadRecord::NoStamp) => return Stop::Words("something that bears no time".into()),
            }
            if let Some(halt) = halt {
                return halt;
            }
            if start.has_become_live() {
                self.out.expect_within(None);
            }
            if late || follow && self.settings.follow_bytes.is_some_and(|most| *carried > most) {
                return Stop::LagDetector;
            }
            if self.out.all_stalled() {
                return Stop::Interrupted;
            }
        }
    }

    /// Says that lines may be missing.
    pub(in crate::logs) fn missing(&mut self, why: &str) {
        let after = self.out.upper().map_or("the start".into(), |stamp| stamp.to_string());
        self.out.notice(&format!("{why}; lines may be missing after {after}"));
    }

    /// Whether the Engine's clock, which is ours, was set back since this was last asked.
    fn was_set_back(&mut self) -> bool {
        let was_set_back = self.settings.same_clock && self.clock.was_set_back();
        self.set_back |= was_set_back;
        was_set_back
    }

    /// Whether a stamp of the Engine's lies in the future: its clock is ours, and was set back. What it writes from now on bears
    /// lower stamps, and `since` would hide it.
    fn is_ahead_of_us(&self, stamp: Stamp) -> bool {
        let tolerated = if self.set_back { 0 } else { AHEAD };
        self.settings.same_clock && stamp.as_nanos() > now().as_nanos().saturating_add(tolerated)
    }
}

pub(in crate::logs) fn now() -> Stamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Stamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

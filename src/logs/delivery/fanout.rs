//! All subscriptions of one container: each record is offered to each of them. A subscription that fails is reported and left
//! out; the watchdog hears of those that take nothing.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::logs::checkpoint::tracker::Tracker;
use crate::logs::delivery::report::Collected;
use crate::logs::delivery::subscription::Subscription;
use crate::logs::delivery::watchdog::Watchdog;
use crate::logs::record::{Part, Stamp, Stream};
use crate::threads::Hangup;

/// The subscriptions, and whom to tell about them.
pub(in crate::logs) struct Fanout<'a> {
    subscriptions: Vec<Subscription<'a>>,
    report: Box<dyn Fn(Collected) + Send + 'a>,
    watchdog: Arc<Watchdog>,
}

impl<'a> Fanout<'a> {
    /// These subscriptions; `report` is told what fails, `watchdog` what stalls.
    pub(in crate::logs) fn new(
        subscriptions: Vec<Subscription<'a>>,
        report: Box<dyn Fn(Collected) + Send + 'a>,
        watchdog: Arc<Watchdog>,
    ) -> Self {
        let mut subscriptions = Self { subscriptions, report, watchdog };
        if subscriptions.subscriptions.iter().any(|subscription| subscription.cursor.is_set_back()) {
            // One that was stalled when that happened does not know.
            subscriptions.begin_anew(|subscription| !subscription.cursor.is_set_back());
        }
        subscriptions
    }

    /// Whether none is left.
    pub(in crate::logs) fn is_empty(&self) -> bool {
        self.subscriptions.is_empty()
    }

    /// What ends what is done for them now: a request, or a pause.
    pub(in crate::logs) fn connected(&self, latch: &Hangup, follow: bool) {
        self.watchdog.connected(latch, follow);
    }

    /// A follow is likely to say something within so long. `None`: it is not any more.
    pub(in crate::logs) fn expect_within(&self, patience: Option<Duration>) {
        self.watchdog.expect_within(patience);
    }

    /// A piece of output has come.
    pub(in crate::logs) fn piece(&self) {
        self.watchdog.piece();
    }

    /// Says what there is to say about their beginning, and keeps it.
    pub(in crate::logs) fn open(&mut self) {
        let notices: Vec<String> = self.subscriptions.iter_mut().filter_map(Subscription::opening_notice).collect();
        for notice in notices {
            self.notice(&notice);
        }
        self.flush();
    }

    pub(in crate::logs) fn begin(&mut self, since: Option<Stamp>) {
        for subscription in &mut self.subscriptions {
            subscription.cursor.begin(since);
        }
    }

    /// Offers a part to each subscription; gives the most bytes that were new to one.
    pub(in crate::logs) fn take(&mut self, part: &Part<'_>) -> usize {
        if part.first && self.open_lanes().any(|subscription| subscription.cursor.is_too_early(part)) {
            self.excuse(part.stream);
        }
        let (mut taken, mut stalled, mut went_back) = (0, false, false);
        self.each(|subscription| {
            let (was, last) = (subscription.is_stalled(), subscription.cursor.last(part.stream));
            taken = taken.max(subscription.take(part)?);
            stalled |= subscription.is_stalled() != was;
            went_back |= subscription.cursor.last(part.stream) < last;
            Ok(())
        });
        if stalled {
            self.tell_stalls();
        }
        if went_back {
            self.begin_stalled_anew();
        }
        if part.first {
            self.tell_gaps();
        }
        taken
    }

    /// A record comes whose stream's last one did not come before it. That shows no gap where a later one of the other stream did: the
    /// Engine holds all that was written since.
    fn excuse(&mut self, stream: Stream) {
        if self
            .subscriptions
            .iter()
            .any(|subscription| subscription.cursor.is_set_back() || subscription.cursor.is_repeating())
        {
            // Stamps do not tell what came after what.
            return;
        }
        let confirmed = self
            .open_lanes()
            .filter(|subscription| subscription.is_level)
            .filter_map(|subscription| subscription.cursor.confirmed())
            .max();
        let Some(confirmed) = confirmed else { return };
        for subscription in
            self.subscriptions.iter_mut().filter(|subscription| subscription.is_level && !subscription.is_stalled())
        {
            subscription.cursor.excuse(stream, confirmed);
        }
    }

    /// What the Engine holds was offered to all that are open.
    pub(in crate::logs) fn make_level(&mut self) {
        self.subscriptions.iter_mut().for_each(|subscription| subscription.is_level = !subscription.is_stalled());
    }

    /// Whether a record that begins is new to all that want its stream, and nothing about it is doubtful: what nearly all are, for
    /// which this alone is looked at.
    pub(in crate::logs) fn simply_goes_on(&self, part: &Part<'_>) -> bool {
        let goes_on = self.open_lanes().all(|subscription| subscription.cursor.simply_goes_on(part));
        debug_assert!(
            !goes_on
                || !(self.needs_read(part, false) || self.is_beyond_passed_over(part) || self.is_out_of_order(part)),
            "what else is asked of {part:?} would say no"
        );
        goes_on
    }

    /// Whether a record that begins in a follow is not to be taken from that, but read: each new one, or only what the
    /// Engine may be repeating, and what comes where it should have repeated another.
    pub(in crate::logs) fn needs_read(&self, part: &Part<'_>, each: bool) -> bool {
        let is_doubtful = |cursor: &Tracker| cursor.may_be_repeat(part) || cursor.is_too_early(part);
        let is_new = |subscription: &Subscription<'_>| subscription.cursor.is_new(part);
        // Whichever stream's that is: what is skipped may be of both.
        let is_repeating = || self.open_lanes().any(|subscription| subscription.cursor.is_repeating());
        self.open_lanes()
            .any(|subscription| is_new(subscription) && (each || is_doubtful(&subscription.cursor) || is_repeating()))
    }

    /// Whether a record that begins shows that the Engine leaves out what came last.
    pub(in crate::logs) fn shows_gap(&self, part: &Part<'_>) -> bool {
        self.open_lanes().any(|subscription| subscription.cursor.shows_gap(part))
    }

    /// Whether a record that begins is older than the one that was taken last, and comes after it.
    pub(in crate::logs) fn is_out_of_order(&self, part: &Part<'_>) -> bool {
        self.open_lanes().any(|subscription| subscription.cursor.is_out_of_order(part))
    }

    /// Whether a record that is so is known all the same.
    pub(in crate::logs) fn is_repeat(&self, part: &Part<'_>) -> bool {
        self.open_lanes()
            .all(|subscription| !subscription.cursor.is_out_of_order(part) || subscription.cursor.is_repeat(part))
    }

    /// Whether the Engine has repeated what came last.
    pub(in crate::logs) fn is_confirmed(&self) -> bool {
        self.open_lanes().all(|subscription| subscription.cursor.is_confirmed())
    }

    /// The Engine's clock was set back: what it writes from now on may be stamped before what stalled ones have not taken yet.
    pub(in crate::logs) fn begin_stalled_anew(&mut self) {
        self.begin_anew(Subscription::is_stalled);
    }

    fn begin_anew(&mut self, which: impl Fn(&Subscription<'a>) -> bool) {
        self.subscriptions.iter_mut().filter(|subscription| which(subscription)).for_each(Subscription::begin_anew);
    }

    /// All that the Engine holds has come.
    pub(in crate::logs) fn have_seen_all(&mut self) {
        for subscription in self.subscriptions.iter_mut().filter(|subscription| !subscription.is_stalled()) {
            subscription.has_seen_all();
        }
    }

    /// Whether what was passed over, as taken before, may be new.
    pub(in crate::logs) fn has_passed_over(&self) -> bool {
        self.open_lanes().any(|subscription| subscription.cursor.has_passed_over())
    }

    /// Whether a record that begins shows that.
    pub(in crate::logs) fn is_beyond_passed_over(&self, part: &Part<'_>) -> bool {
        self.open_lanes().any(|subscription| subscription.cursor.is_beyond_passed_over(part))
    }

    /// All that the Engine holds has been asked for: what was passed over is to be taken, when it comes again.
    pub(in crate::logs) fn accept_passed_over(&mut self) {
        self.subscriptions
            .iter_mut()
            .filter(|subscription| !subscription.is_stalled())
            .for_each(|subscription| subscription.cursor.accept_passed_over());
    }

    pub(in crate::logs) fn notice(&mut self, text: &str) {
        (self.report)(Collected::Notice(text.into()));
        self.each(|subscription| subscription.notice_with(text));
    }

    pub(in crate::logs) fn flush(&mut self) {
        let before = self.any_stalled();
        self.each(
            |subscription| {
                if subscription.is_stalled() { Ok(()) } else { subscription.flush().map(|()| subscription.rest()) }
            },
        );
        if before || self.any_stalled() {
            self.tell_stalls();
        }
    }

    /// Those that are stalled, where that may be over.
    pub(in crate::logs) fn try_again(&mut self) {
        if self.any_stalled() {
            self.each(Subscription::try_again);
            self.tell_stalls();
        }
    }

    /// Once, where several subscriptions met the same.
    fn tell_gaps(&mut self) {
        let mut told = None;
        for gap in self.subscriptions.iter_mut().filter_map(Subscription::gap) {
            if told.as_ref() != Some(&gap) {
                (self.report)(Collected::Notice(gap.clone()));
                told = Some(gap);
            }
        }
    }

    fn tell_stalls(&self) {
        let stalled = || self.subscriptions.iter().filter(|subscription| subscription.is_stalled());
        let (gates, behind) =
            (stalled().map(Subscription::gate).collect(), stalled().map(Subscription::behind).collect());
        self.watchdog.stalled(gates, behind, self.all_stalled());
    }

    pub(in crate::logs) fn any_stalled(&self) -> bool {
        self.subscriptions.iter().any(Subscription::is_stalled)
    }

    pub(in crate::logs) fn all_stalled(&self) -> bool {
        self.subscriptions.iter().all(Subscription::is_stalled)
    }

    fn open_lanes(&self) -> impl Iterator<Item = &Subscription<'a>> {
        self.subscriptions.iter().filter(|subscription| !subscription.is_stalled())
    }

    /// Where the subscription is that is least far. `None`: at the start.
    pub(in crate::logs) fn lower(&self) -> Option<Stamp> {
        self.open_lanes().map(Subscription::lower).min().flatten()
    }

    pub(in crate::logs) fn upper(&self) -> Option<Stamp> {
        self.subscriptions.iter().map(|subscription| subscription.cursor.upper()).max().flatten()
    }

    pub(in crate::logs) fn wants(&self, stream: Stream) -> bool {
        self.open_lanes().any(|subscription| subscription.cursor.wants(stream))
    }

    fn each(&mut self, mut hand: impl FnMut(&mut Subscription<'a>) -> io::Result<()>) {
        let report = &self.report;
        self.watchdog.call();
        self.subscriptions.retain_mut(|subscription| match hand(subscription) {
            Ok(()) => true,
            Err(e) => {
                report(Collected::SinkFailed(format!("{}: {e}", subscription.name)));
                false
            }
        });
        self.watchdog.call();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};
    use std::time::Instant;

    use super::*;
    use crate::logs::checkpoint::tracker::Reached;
    use crate::logs::record::Record;
    use crate::logs::sink::backend::{Gate, SinkBackend};

    /// Takes all, or nothing.
    struct Door {
        is_open: Arc<AtomicBool>,
    }

    impl SinkBackend for Door {
        fn put(&mut self, record: &Record<'_>) -> io::Result<usize> {
            Ok(if self.is_open.load(Ordering::Relaxed) { record.bytes.len() } else { 0 })
        }

        fn flush(&mut self) -> io::Result<bool> {
            Ok(true)
        }

        fn gate(&self) -> Gate {
            Gate::Later(Instant::now())
        }
    }

    fn part(stream: Stream, stamp: i64, bytes: &[u8]) -> Part<'_> {
        Part { stream, stamp: Stamp::from_nanos(stamp), bytes, first: true, last: true }
    }

    #[test]
    fn what_a_silent_stream_misses() {
        const OUT: Stream = Stream::Stdout;
        const ERR: Stream = Stream::Stderr;
        /// What one connection brings.
        type Connection = &'static [(Stream, i64, &'static [u8])];
        let first: Connection = &[(ERR, 1, b"1\n"), (OUT, 2, b"2\n"), (OUT, 3, b"3\n")];
        let goes_on: Connection = &[(OUT, 3, b"3\n"), (ERR, 4, b"4\n")];
        for (row, level, err_stalls, second, want) in [
            ("the other's last comes once more", true, false, goes_on, 0),
            ("it is not known that they are level", false, false, goes_on, 1),
            ("it missed some while it was stalled", true, true, &[(OUT, 5, b"5\n"), (ERR, 6, b"6\n")], 2),
            ("the other's last is gone, too", true, false, &[(OUT, 5, b"5\n"), (ERR, 6, b"6\n")], 2),
            ("another record has that stamp", true, false, &[(OUT, 3, b"x\n"), (ERR, 4, b"4\n")], 1),
            ("the connection repeats itself", true, false, &[(OUT, 3, b"3\n"), (OUT, 2, b"2\n"), (ERR, 4, b"4\n")], 1),
        ] {
            let (told, is_open) = (Arc::new(Mutex::new(0)), Arc::new(AtomicBool::new(true)));
            let subscription = |stream, is_open: &Arc<AtomicBool>| {
                Subscription::beyond(Box::new(Door { is_open: is_open.clone() }), stream, Reached::default(), false)
            };
            let subscriptions = vec![subscription(OUT, &Arc::new(AtomicBool::new(true))), subscription(ERR, &is_open)];
            let report = |_| *told.lock().unwrap() += 1;
            let mut subscriptions = Fanout::new(subscriptions, Box::new(report), Arc::default());
            subscriptions.begin(None);
            for (stream, stamp, bytes) in first {
                subscriptions.take(&part(*stream, *stamp, bytes));
            }
            if level {
                subscriptions.make_level();
            }
            if err_stalls {
                is_open.store(false, Ordering::Relaxed);
                subscriptions.take(&part(ERR, 4, b"4\n"));
                subscriptions.take(&part(OUT, 4, b"4\n"));
                is_open.store(true, Ordering::Relaxed);
                subscriptions.try_again();
            }
            subscriptions.begin(Some(Stamp::from_nanos(1)));
            for (stream, stamp, bytes) in second {
                subscriptions.take(&part(*stream, *stamp, bytes));
            }
            assert_eq!(*told.lock().unwrap(), want, "{row}");
        }
    }
}

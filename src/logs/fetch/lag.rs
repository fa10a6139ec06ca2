//! Whether a follow keeps up with its task, and whether a busy task may be followed at all.
//!
//! To find what came since a time, an Engine searches all its files, for a read and at the beginning of a follow. What was written
//! meanwhile comes late, and is no lag: else a busy task behind a large log would be read again and again, without end. But Docker
//! 20.10 takes no notice of a rotation in that time: the follow says nothing then until the next one, and has skipped a file. So
//! a task is followed only where no file can be filled before we find that out.

use std::time::{Duration, Instant};

use crate::logs::record::Stamp;

/// A record that arrives this late while following says that we lag.
const LAG: Duration = Duration::from_millis(250);
/// So long a follow may take to catch up, beside the time in which the Engine searches.
const CATCH_UP: Duration = Duration::from_secs(1);
/// Where a task wrote something a moment ago, its follow says something within this, or within so many times as long as the Engine
/// searches.
const SOON: Duration = Duration::from_secs(5);
const SEARCHES: u32 = 3;
/// The longest pause between two reads of a task that is not followed.
const PAUSE: Duration = Duration::from_millis(100);

/// How late records come.
#[derive(Debug)]
pub(in crate::logs) struct LagDetector {
    /// The least time seen between a record's stamp and its arrival, in ns: what the clocks differ by. `None`: not known yet.
    floor: Option<i64>,
}

impl LagDetector {
    pub(in crate::logs) fn new(same_clock: bool) -> Self {
        Self { floor: same_clock.then_some(0) }
    }

    /// By how much a record comes later than at once.
    pub(in crate::logs) fn behind(&mut self, stamp: Stamp, now: Stamp) -> Duration {
        let age = now.as_nanos().saturating_sub(stamp.as_nanos());
        let floor = self.floor.map_or(age, |floor| floor.min(age));
        self.floor = Some(floor);
        // podman 4.3 stamps whole seconds.
        let coarse = if stamp.as_nanos() % 1_000_000_000 == 0 { 1_000_000_000 } else { 0 };
        Duration::from_nanos(age.saturating_sub(floor).saturating_sub(coarse).max(0).cast_unsigned())
    }
}

/// What the last read showed.
#[derive(Debug)]
pub(in crate::logs) struct ReadHistory {
    began: Instant,
    took: Duration,
    brought: bool,
    /// Whether it told all, and nothing else has come since.
    is_next: bool,
    /// How fast the task writes, in bytes a second, where there were two reads in a row.
    rate: Option<u64>,
    /// Whether the task wrote something a moment ago.
    is_busy: bool,
}

impl ReadHistory {
    pub(in crate::logs) fn new() -> Self {
        let (began, took) = (Instant::now(), Duration::ZERO);
        Self { began, took, brought: false, is_next: false, rate: None, is_busy: false }
    }

    /// One more, which brought so many bytes that were new, and told all, or not.
    pub(in crate::logs) fn add(&mut self, began: Instant, ended: Instant, bytes: u64, is_whole: bool) {
        // A read brings what was written until it begins. Where long lay between two, the Engine may have dropped some of that.
        let since = began.saturating_duration_since(self.began);
        let is_next = self.is_next && since <= self.took * 2 + CATCH_UP;
        let rate = || (u128::from(bytes) * 1000 / since.as_millis().max(1)).try_into().unwrap_or(u64::MAX);
        self.rate = is_next.then(rate);
        self.is_busy = bytes > 0 || is_next && self.brought;
        (self.began, self.took) = (began, ended.saturating_duration_since(began));
        (self.brought, self.is_next) = (bytes > 0, is_whole);
    }

    /// Something else than a read came.
    pub(in crate::logs) fn are_over(&mut self) {
        self.is_next = false;
    }

    /// Whether a running task may be followed now; `half`: of what one of the Engine's files holds, in bytes, 0 where that
    /// is next to nothing. `None`: it does not rotate.
    pub(in crate::logs) fn may_be_followed(&self, half: Option<u64>) -> bool {
        let Some(half) = half.filter(|_| self.brought) else { return true };
        let needed = self.took * 2 + CATCH_UP + self.patience().unwrap_or_default();
        self.rate.is_some_and(|rate| u128::from(rate) * needed.as_millis() / 1000 < u128::from(half))
    }

    /// How long to wait before the next read of a task that may not be followed: a small part of the time in which it fills a file.
    pub(in crate::logs) fn pause(&self, half: Option<u64>) -> Duration {
        let (Some(half), Some(rate @ 1..)) = (half, self.rate) else { return Duration::ZERO };
        Duration::from_millis(half.saturating_mul(1000) / rate / 8).min(PAUSE)
    }

    /// How long a follow may say nothing, where it is likely to say something.
    pub(in crate::logs) fn patience(&self) -> Option<Duration> {
        self.is_busy.then(|| (self.took * SEARCHES).max(SOON))
    }

    /// A follow that begins.
    pub(in crate::logs) fn start(&self) -> Start {
        let now = Instant::now();
        let (read, search) = (self.began, self.took);
        Start { read, search, begun: now, came: now, first: None, is_over: false, is_live: false, is_told: false }
    }
}

/// The beginning of a follow, while the Engine searches its files for what came since.
#[derive(Debug)]
pub(in crate::logs) struct Start {
    /// When the read before it began, and how long the Engine is likely to search.
    read: Instant,
    search: Duration,
    /// When it began, when something came last, and the first new record.
    begun: Instant,
    came: Instant,
    first: Option<Instant>,
    is_over: bool,
    /// Whether a record came in time that was written after the search, and whether that was told.
    is_live: bool,
    is_told: bool,
}

impl Start {
    /// Something has come.
    pub(in crate::logs) fn came(&mut self, now: Instant) {
        self.came = now;
    }

    /// Whether a new record of what came last, so far behind, says that we lag: not, where it was written since the read before
    /// began, and the Engine has only just found it.
    pub(in crate::logs) fn is_late(&mut self, behind: Duration) -> bool {
        let first = *self.first.get_or_insert(self.came);
        let is_in_time = behind <= LAG;
        self.is_over |= is_in_time || self.came.saturating_duration_since(self.begun) > self.search * 2 + CATCH_UP;
        self.is_live |= is_in_time && self.came.saturating_duration_since(first) > self.search + CATCH_UP;
        !is_in_time && (self.is_over || behind > LAG + self.came.saturating_duration_since(self.read))
    }

    /// Whether it is certain now that no rotation was missed: once.
    pub(in crate::logs) fn has_become_live(&mut self) -> bool {
        let is_news = self.is_live && !self.is_told;
        self.is_told |= is_news;
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late() {
        let ms = |ms: i64| Stamp::from_nanos(ms * 1_000_000);
        let mut same = LagDetector::new(true);
        for (stamp, now, want) in
            [(1, 200, false), (1, 252, true), (2000, 1999, false), (3000, 4200, false), (3001, 4200, true)]
        {
            assert_eq!(same.behind(ms(stamp), ms(now)) > LAG, want, "written at {stamp}, here at {now}");
        }
        let mut other = LagDetector::new(false);
        for (stamp, now, want) in
            [(1, 5001, false), (1001, 6002, false), (1501, 6852, true), (2001, 6901, false), (2501, 7652, true)]
        {
            assert_eq!(
                other.behind(ms(stamp), ms(now)) > LAG,
                want,
                "written at {stamp} by another clock, here at {now}"
            );
        }
    }

    #[test]
    fn what_an_engine_finds_late_at_first_is_no_lag() {
        let (begun, ms) = (Instant::now() + Duration::from_secs(10), Duration::from_millis);
        // The read before began 3 s earlier, and took all of that. Each record: when it came, how far behind; whether it is late.
        for (row, records, live) in [
            ("in time", &[(10, 0, false), (9000, 100, false)][..], true),
            ("in time, then not", &[(10, 0, false), (3000, 300, true)], false),
            ("written while both searched", &[(3000, 6000, false), (3100, 3000, false), (3200, 200, false)], false),
            ("and goes on", &[(3000, 6000, false), (3200, 200, false), (7100, 200, false)], true),
            ("written before", &[(3000, 6300, true)], false),
            ("it has caught up, and lags again", &[(3000, 5000, false), (3100, 0, false), (3400, 300, true)], false),
            ("it does not catch up", &[(3000, 5000, false), (6900, 3000, false), (7100, 300, true)], false),
            ("after a silence", &[(300_000, 300, true)], false),
        ] {
            let reads = ReadHistory { began: begun - ms(3000), took: ms(3000), ..ReadHistory::new() };
            let mut start = Start { begun, ..reads.start() };
            for (came, behind, late) in records {
                start.came(begun + ms(*came));
                assert_eq!(start.is_late(ms(*behind)), *late, "{row}: {came}");
            }
            assert_eq!((start.has_become_live(), start.has_become_live()), (live, false), "{row}");
        }
    }

    #[test]
    fn pauses_between_reads_and_patience() {
        let (zero, ms) = (Instant::now(), Duration::from_millis);
        let mut reads = ReadHistory::new();
        assert_eq!((reads.pause(Some(1)), reads.patience()), (Duration::ZERO, None));
        reads.add(zero, zero + ms(10), 50, true);
        assert_eq!((reads.pause(Some(1)), reads.patience()), (Duration::ZERO, Some(SOON)));
        reads.add(zero + ms(10), zero + ms(3010), 10_000, true);
        let pauses = [None, Some(0), Some(128 * 1024), Some(10_000_000)].map(|half| reads.pause(half));
        assert_eq!((pauses, reads.patience()), ([ms(0), ms(0), ms(16), ms(100)], Some(ms(9000))));
        reads.add(zero + ms(3010), zero + ms(3020), 0, true);
        assert_eq!(reads.patience(), Some(SOON), "it has only just paused");
        reads.add(zero + ms(3020), zero + ms(3030), 0, true);
        assert_eq!(reads.patience(), None);
    }

    #[test]
    fn a_task_is_followed_where_it_cannot_fill_a_file_meanwhile() {
        let (zero, ms) = (Instant::now(), Duration::from_millis);
        // Reads: when each began and ended, what it brought.
        for (row, reads, half, want) in [
            ("nothing new", &[(0, 10, 0)][..], Some(100), true),
            ("the first", &[(0, 10, 50)], Some(1_000_000), false),
            ("no rotation", &[(0, 10, 50)], None, true),
            ("next to no file", &[(0, 10, 50), (10, 20, 1)], Some(0), false),
            ("50 KB/s", &[(0, 10, 50), (10, 20, 500)], Some(1_000_000), true),
            ("500 KB/s", &[(0, 10, 50), (10, 20, 5000)], Some(1_000_000), false),
            ("500 KB/s, larger files", &[(0, 10, 50), (10, 20, 5000)], Some(10_000_000), true),
            ("500 KB/s, a long search", &[(0, 5000, 50), (5000, 10_000, 2_500_000)], Some(10_000_000), false),
            ("500 KB/s, the second takes longer", &[(0, 10, 50), (10, 1010, 5000)], Some(1_000_000), false),
            ("long after the first", &[(0, 10, 50), (1100, 1110, 50)], Some(1_000_000), false),
        ] {
            let mut seen = ReadHistory::new();
            for (began, ended, bytes) in reads {
                seen.add(zero + ms(*began), zero + ms(*ended), *bytes, true);
            }
            assert_eq!(seen.may_be_followed(half), want, "{row}");
            let (_, last, _) = reads[reads.len() - 1];
            for is_over in [false, true] {
                seen.add(zero + ms(last), zero + ms(last + 1), 1, is_over);
                if is_over {
                    seen.are_over();
                }
                seen.add(zero + ms(last + 1), zero + ms(last + 2), 1, true);
                let why = if is_over { "a follow lies between" } else { "the one before did not tell all" };
                assert!(!seen.may_be_followed(Some(1_000_000)), "{row}: {why}");
            }
        }
    }
}

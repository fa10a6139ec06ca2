//! The tracker of a task's logs: it decides whether a record is new, by the last stamp of each stream and the number of records
//! that carried it. No I/O and no clock. Records of one stamp are told apart by their order, so we rely on the Engine to repeat them in order.
//!
//! What was seen is skipped always, not only after a break: Docker 20.10 repeats a thousand records within one unbroken
//! follow when it rotates its file. A record below the cursor is a repeat if it is among the recent ones (stamp and digest);
//! else the Engine's clock went back, and the record is where the cursor goes on from. What was taken before that is ahead of
//! the cursor then, and comes before the cursor's own record whenever the Engine is asked again.

use std::cmp::Ordering;

use crate::logs::checkpoint::hash::Digest;
use crate::logs::record::{Part, Stamp, Stream};

/// How many records are remembered a stream: twice what an Engine was seen to repeat at once.
const REMEMBERED: usize = 2048;
/// How much earlier than another's record a record may be stamped that comes after it, in ns: two streams meet at the
/// Engine's log file, and one may wait there while the other writes.
const SLACK: i64 = 2_000_000_000;

/// How far what a sink wants is collected.
#[derive(Debug)]
pub(crate) struct Tracker {
    /// Which streams are wanted at all.
    wanted: [bool; 2],
    streams: [Position; 2],
    /// The stamp of the record that was taken last, of whichever stream.
    latest: Option<Stamp>,
}

/// How far one stream is collected: all that outlives the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reached {
    /// The last record's stamp. `None`: none was taken.
    pub(crate) last: Option<Stamp>,
    /// How many records with that stamp were taken.
    pub(crate) taken: u64,
    /// How many bytes of the last one were taken, where it is not whole.
    pub(crate) open: Option<u64>,
    /// The highest stamp taken before the Engine's clock was set back, while the last one is below it.
    pub(crate) ahead: Option<Stamp>,
}

#[derive(Debug, Default)]
struct Position {
    reached: Reached,
    /// How many records with the last stamp came since the connection began, or began to repeat itself.
    met: u64,
    /// Whether this connection has come up to the last stamp yet.
    caught_up: bool,
    /// Whether this connection is to bring the records of the last stamp, as long as the Engine holds them: it was asked to, or has
    /// begun to repeat itself.
    awaits: bool,
    /// Whether it has begun to repeat itself, and not come to these yet.
    repeats: bool,
    /// Whether the Engine holds these no more.
    is_gone: bool,
    /// The last stamp that it had when this connection brought the last record of that once more.
    confirmed: Option<Stamp>,
    /// Whether this connection brought what was passed over for being ahead, and so taken before.
    passed_over: bool,
    /// The stamp after which it does not hold all any more.
    gap: Option<Stamp>,
    recent: Recent,
    /// The record that is coming.
    coming: Option<Coming>,
}

#[derive(Debug)]
struct Coming {
    /// How many of its next bytes were taken already; all of them, where the record was seen.
    skip: u64,
    seen: bool,
    /// How many of its bytes were taken, by earlier connections too.
    taken: u64,
    digest: Digest,
}

const ALL: u64 = u64::MAX;

impl Tracker {
    /// At the start of the streams that are wanted.
    pub(crate) fn new(wanted: [bool; 2]) -> Self {
        Self { wanted, streams: Default::default(), latest: None }
    }

    /// Where another process had come to.
    pub(crate) fn resume(wanted: [bool; 2], reached: [Reached; 2]) -> Self {
        let streams = reached.map(|reached| Position { reached, ..Position::default() });
        // Where the clock was set back, what was taken since is later than what bears a higher stamp.
        let latest = |is_ahead: bool| reached.iter().filter(|r| r.ahead.is_some() == is_ahead).map(|r| r.last).max();
        Self { wanted, streams, latest: latest(true).or_else(|| latest(false)).flatten() }
    }

    /// How far it has come, per stream.
    pub(crate) fn reached(&self) -> [Reached; 2] {
        [self.streams[0].reached, self.streams[1].reached]
    }

    /// The stamp of the last record of a stream.
    pub(crate) fn last(&self, stream: Stream) -> Option<Stamp> {
        self.streams[stream as usize].reached.last
    }

    /// Whether a stream is wanted.
    pub(crate) fn wants(&self, stream: Stream) -> bool {
        self.wanted[stream as usize]
    }

    /// Where to go on from. `None`: from the start. That is the lower of both streams' stamps, but not far below the
    /// record that was taken last: a stream that has long been silent does not make us read again what the other wrote
    /// since. (Not below the higher stamp, for the Engine's clock may have gone back since that was written.) But not above the last
    /// of a stream that is to be repeated: one of which something is ahead, and one whose last line has no end yet (`within_line`),
    /// for Docker stamps all pieces of a long line as its first, however late they come.
    pub(crate) fn lower(&self, within_line: [bool; 2]) -> Option<Stamp> {
        let near = Stamp::from_nanos(self.latest?.as_nanos().saturating_sub(SLACK));
        let lasts = self.streams.each_ref().map(|position| position.reached.last);
        match (self.wanted, lasts) {
            ([true, false], [out, _]) => out,
            ([false, true], [_, err]) => err,
            (_, [out, err]) => {
                let near = out.zip(err).map_or(near, |(out, err)| out.min(err).max(near));
                let repeated = self.streams.iter().zip(within_line);
                let repeated = repeated.filter(|(position, within)| *within || position.reached.ahead.is_some());
                Some(repeated.filter_map(|(position, _)| position.reached.last).fold(near, Stamp::min))
            }
        }
    }

    /// The higher of both streams' stamps: what a notice of missing lines names.
    pub(crate) fn upper(&self) -> Option<Stamp> {
        self.streams[0].reached.last.max(self.streams[1].reached.last)
    }

    /// A new connection begins, and repeats what the cursor has seen from a stamp on. `None`: from the start.
    pub(crate) fn begin(&mut self, since: Option<Stamp>) {
        for position in &mut self.streams {
            let last = position.reached.last;
            position.met = 0;
            position.awaits = last.is_some_and(|last| since.is_none_or(|since| since <= last));
            // What was taken of a stream that is not repeated lies before all that comes of it.
            position.caught_up = !position.awaits;
            position.coming = None;
            (position.passed_over, position.repeats, position.confirmed) = (false, false, None);
        }
    }

    /// The stamp after which records may be missing, where the last part showed that: the Engine did not repeat what came last.
    pub(crate) fn gap(&mut self) -> Option<Stamp> {
        self.streams.iter_mut().find_map(|position| position.gap.take())
    }

    /// Whether a record that begins is later than all of its stream, and this connection has nothing to repeat any more. It is new
    /// then, and neither a repeat, nor too early, nor out of order, nor beyond what was passed over.
    pub(crate) fn simply_goes_on(&self, part: &Part<'_>) -> bool {
        let position = &self.streams[part.stream as usize];
        !self.is_repeating()
            && position.caught_up
            && !position.is_awaiting()
            && position.reached.ahead.is_none()
            && position.reached.last < Some(part.stamp)
    }

    /// Whether a record that begins would be taken as new, as it comes.
    pub(crate) fn is_new(&self, part: &Part<'_>) -> bool {
        self.wants(part.stream) && self.streams[part.stream as usize].is_new(part)
    }

    /// Whether a record that would be taken as new says what another of its stamp said: a second one, or the first again.
    pub(crate) fn may_be_repeat(&self, part: &Part<'_>) -> bool {
        let position = &self.streams[part.stream as usize];
        position.reached.last == Some(part.stamp) && position.is_recent(part)
    }

    /// Whether a record that begins is newer than the last of its stream, which was to come once more before it.
    pub(crate) fn is_too_early(&self, part: &Part<'_>) -> bool {
        let position = &self.streams[part.stream as usize];
        position.is_awaiting() && position.reached.last < Some(part.stamp)
    }

    /// The highest stamp of which this connection has brought the last record once more.
    pub(crate) fn confirmed(&self) -> Option<Stamp> {
        self.streams[0].confirmed.max(self.streams[1].confirmed)
    }

    /// That a stream's last record does not come once more shows no gap: what was written from then until `known` was offered to this
    /// cursor, and the Engine still holds what came at that moment.
    pub(crate) fn excuse(&mut self, stream: Stream, known: Stamp) {
        let position = &mut self.streams[stream as usize];
        position.awaits &= position.reached.last >= Some(known);
    }

    /// Whether this connection repeats itself, and has not come to the record of that stream yet that came last.
    pub(crate) fn is_repeating(&self) -> bool {
        self.streams.iter().any(|position| position.repeats)
    }

    /// Whether the Engine's clock was set back, and has not passed yet what was taken before.
    pub(crate) fn is_set_back(&self) -> bool {
        self.streams.iter().any(|position| position.reached.ahead.is_some())
    }

    /// Whether a record that begins is one of the last that were taken.
    pub(crate) fn is_repeat(&self, part: &Part<'_>) -> bool {
        self.streams[part.stream as usize].is_recent(part)
    }

    /// Whether a record that begins shows that the Engine does not repeat what came last, though it was asked to.
    pub(crate) fn shows_gap(&self, part: &Part<'_>) -> bool {
        // Whichever stream's that was: what was taken is the beginning of what the Engine has written, of both.
        let is_last = self.streams[part.stream as usize].reached.last == Some(part.stamp);
        !self.is_confirmed() && !is_last && self.is_new(part)
    }

    /// Whether a record that begins is older than the one that was taken last, and comes after it.
    pub(crate) fn is_out_of_order(&self, part: &Part<'_>) -> bool {
        let position = &self.streams[part.stream as usize];
        self.wants(part.stream) && position.caught_up && position.reached.last.is_some_and(|last| part.stamp < last)
    }

    /// Whether this connection has repeated what came last, where it was asked to, and where the Engine still has it.
    pub(crate) fn is_confirmed(&self) -> bool {
        let is_open = |position: &Position| position.is_awaiting() && !position.is_gone;
        !self.streams.iter().zip(self.wanted).any(|(position, wanted)| wanted && is_open(position))
    }

    /// This connection has told all that the Engine holds: what came last and was not repeated is gone.
    pub(crate) fn has_seen_all(&mut self) {
        for position in &mut self.streams {
            position.is_gone = position.is_awaiting();
        }
    }

    /// Whether what this connection passed over may be new: it was not followed by the record that came last.
    pub(crate) fn has_passed_over(&self) -> bool {
        self.streams.iter().any(Position::has_passed_over)
    }

    /// Whether a record that begins shows that: it lies beyond what was passed over.
    pub(crate) fn is_beyond_passed_over(&self, part: &Part<'_>) -> bool {
        let position = &self.streams[part.stream as usize];
        position.has_passed_over() && position.is_new(part)
    }

    /// All that the Engine holds has been asked for: what was passed over is new, for the Engine has dropped the record that came
    /// last, and whatever came before it.
    pub(crate) fn accept_passed_over(&mut self) {
        for position in self.streams.iter_mut().filter(|position| position.has_passed_over()) {
            position.reached.ahead = None;
            // It holds these, too.
            position.recent = Recent::default();
        }
    }

    /// Gives what is new of a part of a record: all of it, nothing, or what a break had cut off. Whoever was given it says
    /// with [`Tracker::took`] how much of that was taken, before the next part.
    pub(crate) fn take<'a>(&mut self, part: &Part<'a>) -> &'a [u8] {
        if !self.wanted[part.stream as usize] {
            return &[];
        }
        let position = &mut self.streams[part.stream as usize];
        if part.first {
            let skip = position.judge(part);
            let taken = if skip == ALL { 0 } else { skip };
            position.coming = Some(Coming { skip, seen: skip == ALL, taken, digest: Digest::default() });
        }
        let Some(coming) = &mut position.coming else { return &[] };
        coming.digest.add(part.bytes);
        let skipped = usize::try_from(coming.skip).map_or(part.bytes.len(), |skip| skip.min(part.bytes.len()));
        &part.bytes[skipped..]
    }

    /// So many of the new bytes of a part were taken. Where these are not all of them, nothing more is to be offered until
    /// the next connection begins.
    pub(crate) fn took(&mut self, part: &Part<'_>, taken: usize) {
        let position = &mut self.streams[part.stream as usize];
        let Some(coming) = &mut position.coming else { return };
        let mut whole = part.last;
        if !coming.seen {
            self.latest = Some(part.stamp);
            let skipped = coming.skip.min(part.bytes.len() as u64);
            coming.skip -= skipped;
            coming.taken += taken as u64;
            whole &= skipped + taken as u64 == part.bytes.len() as u64;
            position.reached.open = if whole { None } else { Some(coming.taken) };
        }
        if whole {
            // One that was seen, too: another process may have taken it, and it may come once more.
            position.recent.add((part.stamp, coming.digest.value()));
        }
        if part.last {
            position.coming = None;
        }
    }
}

impl Position {
    /// How much of a record that begins was taken already.
    fn judge(&mut self, part: &Part<'_>) -> u64 {
        let stamp = part.stamp;
        let Some(last) = self.reached.last else { return self.anchor(stamp) };
        if stamp > last {
            // Where the Engine's clock went back, a connection that goes on from there repeats what it wrote before.
            if self.is_before_the_last(part) {
                self.passed_over = true;
                return ALL;
            }
            if self.is_awaiting() {
                self.gap = Some(last);
            }
            return self.anchor(stamp);
        }
        if stamp == last {
            self.caught_up = true;
            self.met += 1;
            self.repeats &= self.is_awaiting();
            // Pieces of a long line have one stamp: what is counted there may be later ones. Only a whole one can be told from them.
            if self.awaits && self.met == self.reached.taken && part.last && self.is_recent(part) {
                self.confirmed = Some(last);
            }
            return match self.met.cmp(&self.reached.taken) {
                Ordering::Less => ALL,
                Ordering::Equal => self.reached.open.unwrap_or(ALL),
                Ordering::Greater => {
                    (self.reached.taken, self.reached.open) = (self.met, None);
                    0
                }
            };
        }
        if !self.caught_up {
            return ALL;
        }
        if self.is_recent(part) {
            // The Engine repeats itself: the records of the last stamp are to come once more, too.
            (self.met, self.awaits, self.repeats, self.confirmed) = (0, true, true, None);
            return ALL;
        }
        self.anchor(stamp)
    }

    /// Whether a record that begins is to be taken, in part at least: what [`Position::judge`] will say.
    fn is_new(&self, part: &Part<'_>) -> bool {
        let Reached { last: Some(last), taken, open, .. } = self.reached else { return true };
        match part.stamp.cmp(&last) {
            Ordering::Greater => !self.is_before_the_last(part),
            Ordering::Equal => self.met >= taken || self.met + 1 == taken && open.is_some(),
            Ordering::Less => self.caught_up && !self.is_recent(part),
        }
    }

    /// Whether a record with a higher stamp than the last one was taken before that: the clock went back since.
    fn is_before_the_last(&self, part: &Part<'_>) -> bool {
        let is_ahead = self.reached.ahead.is_some_and(|ahead| part.stamp <= ahead);
        !self.caught_up && (is_ahead || self.is_recent(part))
    }

    /// Whether what this connection passed over may be new.
    fn has_passed_over(&self) -> bool {
        self.passed_over && !self.caught_up
    }

    /// Whether it is still to bring the records of the last stamp once more.
    fn is_awaiting(&self) -> bool {
        self.awaits && self.met < self.reached.taken
    }

    /// Whether a record that begins is one of those remembered.
    fn is_recent(&self, part: &Part<'_>) -> bool {
        // One that does not come whole cannot be told by its digest yet; its stamp must do.
        match part.last {
            true => self.recent.holds(part.stamp, Digest::of(part.bytes)),
            false => self.recent.holds_stamp(part.stamp),
        }
    }

    /// Goes on from a new record.
    fn anchor(&mut self, stamp: Stamp) -> u64 {
        let ahead = self.reached.last.max(self.reached.ahead).filter(|ahead| *ahead > stamp);
        self.reached = Reached { last: Some(stamp), taken: 1, open: None, ahead };
        (self.met, self.caught_up, self.awaits, self.repeats, self.is_gone) = (1, true, false, false, false);
        0
    }
}

/// The last records of a stream, by stamp and digest. Searched only for a record that may come once more.
#[derive(Debug, Default)]
struct Recent {
    records: Vec<(Stamp, u64)>,
    /// Where the oldest is, once there are so many: the next takes its place.
    oldest: usize,
}

impl Recent {
    fn add(&mut self, record: (Stamp, u64)) {
        if self.records.len() < REMEMBERED {
            self.records.push(record);
        } else {
            self.records[self.oldest] = record;
            self.oldest = (self.oldest + 1) % REMEMBERED;
        }
    }

    fn holds(&self, stamp: Stamp, digest: u64) -> bool {
        self.records.contains(&(stamp, digest))
    }

    fn holds_stamp(&self, stamp: Stamp) -> bool {
        self.records.iter().any(|(s, _)| *s == stamp)
    }
}

#[cfg(test)]
mod tests;

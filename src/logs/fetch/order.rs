//! Whether what a connection brings is in order. Docker 20.10, where it compresses rotated files, hands out one file's content in
//! place of another's where two requests meet: older records come after newer ones, once more, and others do not come at
//! all. A clock that was set back looks alike, but for this: in all that the Engine holds, what it stamped then comes once.

use crate::logs::checkpoint::hash::Digest;
use crate::logs::record::{Part, Stamp, Stream};

/// A record by which an answer was found to be out of order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::logs) struct Mark {
    stream: Stream,
    stamp: Stamp,
    /// `None`: it did not come whole, and its stamp must do.
    digest: Option<u64>,
}

impl Mark {
    pub(in crate::logs) fn of(part: &Part<'_>) -> Self {
        Self { stream: part.stream, stamp: part.stamp, digest: part.last.then(|| Digest::of(part.bytes)) }
    }

    fn is(&self, part: &Part<'_>) -> bool {
        // The stamp first: the digest of each record would cost.
        (self.stream, self.stamp) == (part.stream, part.stamp)
            && self.digest.zip(Self::of(part).digest).is_none_or(|(one, other)| one == other)
    }
}

/// Why an answer is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::logs) enum Doubt {
    /// A record is older than the one that was taken last, and comes after it.
    Older(Mark),
    /// It has gone back in time, and does not repeat what came last.
    Hole,
}

/// The order of what one connection has brought.
#[derive(Debug)]
pub(in crate::logs) struct Order {
    /// Whether it is kept, as far as is known.
    is_kept: bool,
    /// Per stream the highest stamp.
    came: [Option<Stamp>; 2],
    went_back: bool,
    /// What an earlier connection was doubted by, and how often this one has brought it.
    doubted: Option<Mark>,
    met: u32,
}

impl Order {
    /// Of a connection that begins, where an Engine is to keep it; the connection before was doubted by that.
    pub(in crate::logs) fn new(is_kept: bool, doubted: Option<Mark>) -> Self {
        Self { is_kept, came: [None; 2], went_back: false, doubted, met: 0 }
    }

    /// Whether a record that begins makes the answer doubtful.
    pub(in crate::logs) fn doubt(
        &mut self,
        part: &Part<'_>,
        is_older: impl FnOnce() -> bool,
        shows_gap: impl FnOnce() -> bool,
    ) -> Option<Doubt> {
        if !self.is_kept {
            return None;
        }
        self.see(part);
        if is_older() {
            // What was doubted, and comes once in all that the Engine holds, was stamped by a clock that was set back.
            self.is_kept = !(self.met == 1 && self.doubted.is_some_and(|mark| mark.is(part)));
            return self.is_kept.then(|| Doubt::Older(Mark::of(part)));
        }
        (self.went_back && shows_gap()).then_some(Doubt::Hole)
    }

    /// Whether it has brought older records after newer ones, and was to keep an order.
    pub(in crate::logs) fn went_back(&self) -> bool {
        self.is_kept && self.went_back
    }

    fn see(&mut self, part: &Part<'_>) {
        let came = &mut self.came[part.stream as usize];
        self.went_back |= came.is_some_and(|came| part.stamp < came);
        *came = (*came).max(Some(part.stamp));
        self.met += u32::from(self.doubted.is_some_and(|mark| mark.is(part)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(second: i64, text: &'static str) -> Part<'static> {
        let stamp = Stamp::from_nanos(second * 1_000_000_000);
        Part { stream: Stream::Stdout, stamp, bytes: text.as_bytes(), first: true, last: true }
    }

    /// What of these records was doubted first, of which the last is older than what was taken, and shows a gap or not.
    fn doubted(doubted: Option<&Part<'_>>, brought: &[Part<'_>], gap: bool) -> Option<Doubt> {
        let mut order = Order::new(true, doubted.map(Mark::of));
        let (last, before) = brought.split_last().expect("a record");
        assert!(before.iter().all(|part| order.doubt(part, || false, || false).is_none()));
        order.doubt(last, || !gap, || gap)
    }

    #[test]
    fn a_set_clock_and_a_file_in_place_of_another() {
        let (a, b, c) = (part(1, "a"), part(2, "b"), part(9, "c"));
        let older = Some(Doubt::Older(Mark::of(&a)));
        for (row, earlier, brought, gap, want) in [
            ("older", None, &[b, a][..], false, older),
            ("once in all: a set clock", Some(&a), &[c, b, a], false, None),
            ("once more", Some(&a), &[a, b, a], false, older),
            ("another record of its time came before", Some(&a), &[part(1, "x"), b, a], false, None),
            (
                "once more, but for where it is cut",
                Some(&a),
                &[Part { bytes: b"", last: false, ..a }, b, a],
                false,
                older,
            ),
            ("another one than before", Some(&b), &[b, c, a], false, older),
            ("a gap after it went back", None, &[a, b, a, c], true, Some(Doubt::Hole)),
            ("a gap in order", None, &[a, b, c], true, None),
        ] {
            assert_eq!(doubted(earlier, brought, gap), want, "{row}");
        }
        let err = Part { stream: Stream::Stderr, ..a };
        assert_eq!(doubted(None, &[b, err, c], true), None, "streams go each their own way");
        let mut order = Order::new(false, None);
        assert_eq!(order.doubt(&a, || true, || true), None, "an Engine that is not to keep it");
    }
}

//! What is new, after breaks, repeats and clocks that were set back.

use super::*;

/// What is new of a part, all of which is taken.
fn took<'a>(cursor: &mut Tracker, part: &Part<'a>) -> &'a [u8] {
    let new = cursor.take(part);
    cursor.took(part, new.len());
    new
}

/// A record of one byte, written at a second.
fn record_at(stream: Stream, second: i64) -> Part<'static> {
    Part { stream, stamp: Stamp::from_nanos(second * 1_000_000_000), bytes: b"x", first: true, last: true }
}

/// Which of the records (second, text) of standard output are new.
fn fed(cursor: &mut Tracker, records: &[(i64, &str)]) -> Vec<String> {
    let mut new = Vec::new();
    for (second, text) in records {
        let stamp = Stamp::from_nanos(second * 1_000_000_000);
        let part = Part { stream: Stream::Stdout, stamp, bytes: text.as_bytes(), first: true, last: true };
        let foretold = cursor.is_new(&part);
        let taken = !took(cursor, &part).is_empty();
        assert_eq!(taken, foretold, "{second} {text}");
        if taken {
            new.push((*text).to_string());
        }
    }
    new
}

#[test]
fn what_was_seen_is_skipped_after_a_break() {
    let mut cursor = Tracker::new([true; 2]);
    cursor.begin(None);
    assert_eq!(
        fed(&mut cursor, &[(1, "a"), (2, "b"), (2, "b"), (2, "c")]),
        ["a", "b", "b", "c"],
        "equal lines are two"
    );
    cursor.begin(None);
    assert_eq!(fed(&mut cursor, &[(2, "b"), (2, "b"), (2, "c"), (2, "d"), (3, "e")]), ["d", "e"]);
    cursor.begin(None);
    assert_eq!(fed(&mut cursor, &[(1, "a"), (2, "b"), (3, "e"), (3, "e")]), ["e"], "from further back");
}

#[test]
fn an_engine_that_repeats_itself_in_one_connection() {
    let mut cursor = Tracker::new([true; 2]);
    cursor.begin(None);
    fed(&mut cursor, &[(1, "a"), (2, "b"), (3, "c"), (3, "d")]);
    assert_eq!(fed(&mut cursor, &[(2, "b"), (3, "c"), (3, "d"), (3, "e"), (4, "f")]), ["e", "f"]);
    assert_eq!(cursor.gap(), None);
}

#[test]
fn one_that_does_not_come_to_the_end_of_that() {
    let mut cursor = Tracker::new([true; 2]);
    cursor.begin(None);
    fed(&mut cursor, &[(1, "a"), (2, "b"), (3, "c"), (3, "d")]);
    for (repeated, too_early) in [
        (&[][..], false),
        (&[(2, "b")], true),
        (&[(2, "b"), (3, "c")], true),
        (&[(2, "b"), (3, "c"), (3, "d")], false),
        (&[(2, "b"), (3, "c"), (3, "d"), (1, "a")], true),
    ] {
        cursor.begin(Some(Stamp::from_nanos(3_000_000_000)));
        fed(&mut cursor, &[(3, "c"), (3, "d")]);
        assert_eq!(fed(&mut cursor, repeated), [""; 0]);
        let next = Part { bytes: b"e", ..record_at(Stream::Stdout, 4) };
        assert_eq!((cursor.is_too_early(&next), cursor.is_repeating()), (too_early, too_early), "{repeated:?}");
        for other in [record_at(Stream::Stdout, 2), record_at(Stream::Stdout, 3), record_at(Stream::Stderr, 4)] {
            assert!(!cursor.is_too_early(&other), "{repeated:?} {other:?}");
        }
    }
    // Where no read can tell more, it is a gap.
    assert_eq!(fed(&mut cursor, &[(4, "e"), (5, "f")]), ["e", "f"]);
    assert_eq!(cursor.gap(), Some(Stamp::from_nanos(3_000_000_000)));
}

#[test]
fn a_clock_that_went_back_loses_nothing() {
    let mut cursor = Tracker::new([true; 2]);
    cursor.begin(None);
    fed(&mut cursor, &[(100, "a"), (101, "b")]);
    assert_eq!(fed(&mut cursor, &[(50, "c"), (50, "d"), (51, "e")]), ["c", "d", "e"]);
    assert_eq!(cursor.upper(), Some(Stamp::from_nanos(51_000_000_000)), "the cursor goes on from there");
    cursor.begin(None);
    let again = [(100, "a"), (101, "b"), (50, "c"), (50, "d"), (51, "e"), (52, "f")];
    assert_eq!(fed(&mut cursor, &again), ["f"], "and what was written before is not new again");
}

#[test]
fn a_clock_that_went_back_after_more_than_is_remembered() {
    let before: Vec<_> = (0..REMEMBERED as i64 + 100).map(|n| (100 + n, "a")).collect();
    let mut cursor = Tracker::new([true; 2]);
    cursor.begin(None);
    fed(&mut cursor, &before);
    assert_eq!(fed(&mut cursor, &[(50, "b"), (51, "c")]), ["b", "c"]);
    let mut resumed = Tracker::resume([true; 2], cursor.reached());
    for cursor in [&mut cursor, &mut resumed] {
        for (second, text) in [(52, "d"), (53, "e")] {
            cursor.begin(Some(Stamp::from_nanos(48_000_000_000)));
            assert_eq!(fed(cursor, &before), [""; 0]);
            let after: Vec<_> = [(50, "b"), (51, "c"), (52, "d")].into_iter().take(second as usize - 50).collect();
            assert_eq!(fed(cursor, &after), [""; 0]);
            assert_eq!(fed(cursor, &[(second, text)]), [text]);
            assert!(!cursor.has_passed_over());
        }
    }
    // The Engine has dropped all of that.
    cursor.begin(Some(Stamp::from_nanos(51_000_000_000)));
    assert_eq!(fed(&mut cursor, &[(60, "f"), (61, "g")]), [""; 0]);
    let beyond = Part { stream: Stream::Stdout, ..record_at(Stream::Stdout, 9_000_000) };
    assert!(cursor.has_passed_over() && cursor.is_beyond_passed_over(&beyond), "these are new");
    cursor.accept_passed_over();
    cursor.begin(Some(Stamp::from_nanos(51_000_000_000)));
    assert_eq!(fed(&mut cursor, &[(60, "f"), (61, "g")]), ["f", "g"]);
    assert_eq!(cursor.gap(), Some(Stamp::from_nanos(53_000_000_000)));
}

#[test]
fn a_clock_that_went_back_with_two_streams() {
    let record = |(stream, second)| record_at(stream, second);
    let (out, err) = (|second| (Stream::Stdout, second), |second| (Stream::Stderr, second));
    // Before it was set back, and after.
    let all: Vec<_> = [out(990), err(995), out(1000), err(1001), err(500)]
        .into_iter()
        .chain((501..900).map(out))
        .map(record)
        .collect();
    let mut cursor = Tracker::new([true; 2]);
    cursor.begin(None);
    assert!(all.iter().all(|part| !took(&mut cursor, part).is_empty()));
    let resumed = Tracker::resume([true; 2], cursor.reached());
    for mut cursor in [cursor, resumed] {
        let since = cursor.lower([false; 2]).expect("something was taken");
        assert!(since <= Stamp::from_nanos(500_000_000_000), "the last of each is repeated: {since}");
        cursor.begin(Some(since));
        assert!(all.iter().all(|part| took(&mut cursor, part).is_empty()), "nothing is new");
        assert!(!cursor.has_passed_over() && cursor.gap().is_none());
        for part in [err(902), out(903)].map(record) {
            assert!(!took(&mut cursor, &part).is_empty());
        }
    }
    // One that was silent for long when the clock went back.
    let mut cursor = Tracker::new([true; 2]);
    cursor.begin(None);
    for part in [err(500), out(900)].map(record) {
        took(&mut cursor, &part);
    }
    cursor.begin(cursor.lower([false; 2]));
    assert!(took(&mut cursor, &record(out(900))).is_empty());
    for part in [out(300), err(302)].map(record) {
        assert!(!took(&mut cursor, &part).is_empty());
    }
}

#[test]
fn what_may_be_the_first_again() {
    let mut cursor = Tracker::new([true; 2]);
    cursor.begin(None);
    fed(&mut cursor, &[(1, "a"), (2, "b")]);
    for (second, text, new, doubtful) in
        [(2, "b", true, true), (2, "c", true, false), (1, "a", false, false), (3, "b", true, false)]
    {
        let stamp = Stamp::from_nanos(second * 1_000_000_000);
        let part = Part { stream: Stream::Stdout, stamp, bytes: text.as_bytes(), first: true, last: true };
        assert_eq!((cursor.is_new(&part), cursor.may_be_repeat(&part)), (new, doubtful), "{second} {text}");
    }
}

#[test]
fn what_the_engine_dropped_is_told() {
    let seen = [(1, "a"), (2, "b"), (2, "c")];
    let at = |second: i64| Stamp::from_nanos(second * 1_000_000_000);
    for (row, since, again, gap) in [
        ("all is there", Some(2), &[(2, "b"), (2, "c"), (3, "d")][..], None),
        ("nothing is", Some(2), &[(3, "d")], Some(2)),
        ("a part of the last stamp's is not", Some(2), &[(2, "c"), (3, "d")], Some(2)),
        ("nothing of what there is from the start", None, &[(3, "d")], Some(2)),
        ("it was not asked for", Some(3), &[(3, "d")], None),
        ("nothing new", Some(2), &[(2, "c")], None),
    ] {
        let mut cursor = Tracker::new([true; 2]);
        cursor.begin(None);
        fed(&mut cursor, &seen);
        assert_eq!(cursor.gap(), None, "{row}: nothing was there before");
        let mut resumed = Tracker::resume([true; 2], cursor.reached());
        for cursor in [&mut cursor, &mut resumed] {
            cursor.begin(since.map(at));
            fed(cursor, again);
            assert_eq!(cursor.gap(), gap.map(at), "{row}");
            assert_eq!(cursor.gap(), None, "{row}: once");
        }
    }
}

#[test]
fn what_is_remembered_moves_along() {
    let mut recent = Recent::default();
    let record = |n: usize| (Stamp::from_nanos(n as i64), n as u64);
    (0..REMEMBERED * 2 + 5).for_each(|n| recent.add(record(n)));
    for (n, want) in [(0, false), (REMEMBERED + 4, false), (REMEMBERED + 5, true), (REMEMBERED * 2 + 4, true)] {
        assert_eq!(recent.holds(record(n).0, record(n).1), want, "{n}");
    }
}

#[test]
fn streams_are_told_apart() {
    let mut cursor = Tracker::new([true; 2]);
    cursor.begin(None);
    let part = |stream, second| Part { stream, stamp: Stamp::from_nanos(second), bytes: b"x", first: true, last: true };
    assert_eq!(took(&mut cursor, &part(Stream::Stdout, 20_000_000_000)), b"x");
    assert_eq!(
        cursor.lower([false; 2]).map(Stamp::as_nanos),
        Some(18_000_000_000),
        "the other stream may be a little late"
    );
    assert_eq!(took(&mut cursor, &part(Stream::Stderr, 19_999_999_999)), b"x", "older, and another stream's");
    assert_eq!(cursor.lower([false; 2]).map(Stamp::as_nanos), Some(19_999_999_999));
    cursor.begin(None);
    assert_eq!(took(&mut cursor, &part(Stream::Stderr, 19_999_999_999)), b"");
    assert_eq!(took(&mut cursor, &part(Stream::Stdout, 20_000_000_000)), b"");
}

#[test]
fn a_stream_that_fell_silent_holds_nothing_back() {
    let mut cursor = Tracker::new([true; 2]);
    cursor.begin(None);
    took(&mut cursor, &record_at(Stream::Stderr, 10));
    took(&mut cursor, &record_at(Stream::Stdout, 1000));
    assert_eq!(cursor.lower([false; 2]), Some(Stamp::from_nanos(998_000_000_000)));
    took(&mut cursor, &record_at(Stream::Stdout, 500));
    assert_eq!(cursor.lower([false; 2]), Some(Stamp::from_nanos(498_000_000_000)), "the clock went back");
    took(&mut cursor, &record_at(Stream::Stderr, 499));
    assert_eq!(cursor.lower([false; 2]), Some(Stamp::from_nanos(499_000_000_000)));
}

#[test]
fn a_line_without_an_end_is_gone_on_with_from_its_beginning() {
    let mut cursor = Tracker::new([true; 2]);
    cursor.begin(None);
    took(&mut cursor, &record_at(Stream::Stdout, 10));
    took(&mut cursor, &record_at(Stream::Stderr, 1000));
    for (within_line, want) in [([false; 2], 998), ([true, false], 10), ([false, true], 998), ([true; 2], 10)] {
        assert_eq!(cursor.lower(within_line), Some(Stamp::from_nanos(want * 1_000_000_000)), "{within_line:?}");
    }
}

#[test]
fn a_record_in_parts_is_one() {
    let mut cursor = Tracker::new([true; 2]);
    cursor.begin(None);
    let part = |bytes, first, last| Part { stream: Stream::Stdout, stamp: Stamp::from_nanos(5), bytes, first, last };
    assert_eq!(took(&mut cursor, &part(b"ab", true, false)), b"ab");
    assert_eq!(took(&mut cursor, &part(b"cd", false, true)), b"cd");
    cursor.begin(None);
    assert_eq!(took(&mut cursor, &part(b"abc", true, false)), b"", "cut elsewhere");
    assert_eq!(took(&mut cursor, &part(b"d", false, true)), b"");
    assert_eq!(took(&mut cursor, &part(b"e", true, true)), b"e", "the second of that stamp");
}

#[test]
fn a_break_within_a_record_loses_and_doubles_nothing() {
    let part = |second: i64, bytes, first, last| Part {
        stream: Stream::Stdout,
        stamp: Stamp::from_nanos(second),
        bytes,
        first,
        last,
    };
    for cut in 0..6 {
        let mut cursor = Tracker::new([true; 2]);
        cursor.begin(None);
        let mut got = took(&mut cursor, &part(4, b"1\n", true, true)).to_vec();
        let line = b"abcdef";
        got.extend_from_slice(took(&mut cursor, &part(5, &line[..cut], true, false)));
        cursor.begin(None);
        took(&mut cursor, &part(4, b"1\n", true, true));
        for (i, byte) in line.chunks(1).enumerate() {
            got.extend_from_slice(took(&mut cursor, &part(5, byte, i == 0, i == 5)));
        }
        got.extend_from_slice(took(&mut cursor, &part(5, b"g", true, true)));
        assert_eq!(got, b"1\nabcdefg", "cut after {cut}");
    }
}

#[test]
fn what_a_sink_does_not_take_is_offered_again() {
    let part = |second: i64, bytes, first, last| Part {
        stream: Stream::Stderr,
        stamp: Stamp::from_nanos(second),
        bytes,
        first,
        last,
    };
    for taken in 0..4 {
        for kept in [false, true] {
            let mut cursor = Tracker::new([false, true]);
            cursor.begin(None);
            assert_eq!(took(&mut cursor, &part(4, b"1\n", true, true)), b"1\n");
            assert_eq!(cursor.take(&part(5, b"abcd", true, false)), b"abcd");
            cursor.took(&part(5, b"abcd", true, false), taken);
            if kept {
                // As another process finds it.
                cursor = Tracker::resume([false, true], cursor.reached());
            }
            assert_eq!(cursor.lower([false; 2]), Some(Stamp::from_nanos(5)));
            cursor.begin(None);
            let mut got = Vec::new();
            for (bytes, first, last) in [(&b"ab"[..], true, false), (b"cdef", false, true)] {
                got.extend_from_slice(took(&mut cursor, &part(5, bytes, first, last)));
            }
            assert_eq!(got, &b"abcdef"[taken..], "{taken} were taken, kept {kept}");
            assert_eq!(took(&mut cursor, &part(5, b"same stamp", true, true)), b"same stamp");
        }
    }
}

#[test]
fn a_stream_that_is_not_wanted_moves_nothing() {
    let mut cursor = Tracker::new([true, false]);
    cursor.begin(None);
    let part = |stream, second| Part { stream, stamp: Stamp::from_nanos(second), bytes: b"x", first: true, last: true };
    assert_eq!(took(&mut cursor, &part(Stream::Stderr, 9)), b"");
    assert_eq!(cursor.lower([false; 2]), None);
    assert_eq!(took(&mut cursor, &part(Stream::Stdout, 3)), b"x");
    assert_eq!(cursor.lower([false; 2]), Some(Stamp::from_nanos(3)));
}

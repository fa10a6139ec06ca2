use super::*;
use crate::logs::Stamp;
use crate::logs::sink::layout::Time;
use crate::logs::testing::Folder;
use std::fs::{self, File};
use std::io::Write;

/// A file of a stream, with the times of the lines that are to have one: offset and second.
fn write(path: impl AsRef<Path>, number: u32, text: &str, times: &[(u64, i64)]) {
    let path = path.as_ref();
    fs::write(layout::file(path, number), text).unwrap();
    let times: Vec<u8> = times.iter().flat_map(|(offset, second)| time(*offset, *second)).collect();
    fs::write(layout::times(path, number), times).unwrap();
}

fn append(path: impl AsRef<Path>, number: u32, text: &str, second: i64) {
    let path = path.as_ref();
    let open = |path| File::options().append(true).create(true).open(path).unwrap();
    let mut bytes = open(layout::file(path, number));
    let offset = bytes.metadata().unwrap().len();
    if second >= 0 {
        open(layout::times(path, number)).write_all(&time(offset, second)).unwrap();
    }
    bytes.write_all(text.as_bytes()).unwrap();
}

fn time(offset: u64, second: i64) -> [u8; Time::LENGTH] {
    Time { offset, stamp: Stamp::from_nanos(second) }.to_bytes()
}

fn paths(scratch: &Folder) -> [Entry; 2] {
    ["t.stdout", "t.stderr"].map(|name| Entry::new(&scratch.path().join(name), None))
}

fn merged(paths: &[Entry; 2], begins: &[Spot]) -> Merged {
    let streams = [Stream::Stdout, Stream::Stderr];
    let lines = paths.iter().zip(streams).zip(begins).map(|((path, stream), at)| Lines::new(path, stream, *at));
    Merged::new(lines.collect())
}

/// What is handed out, a text a line: the stream's sign, the second where it is known, the bytes.
fn drained(merged: &mut Merged) -> Vec<String> {
    let mut lines: Vec<(Stream, String)> = Vec::new();
    merged
        .drain(|piece| {
            let text = String::from_utf8_lossy(piece.bytes).into_owned();
            if piece.begins || lines.last().is_none_or(|line| line.0 != piece.stream) {
                let sign = if piece.stream == Stream::Stdout { "o" } else { "e" };
                let begins = if piece.begins { "" } else { "+" };
                let second = piece.stamp.map(|stamp| stamp.as_nanos().to_string()).unwrap_or_default();
                lines.push((piece.stream, format!("{sign}{begins}{second} {text}")));
            } else if let Some(line) = lines.last_mut() {
                line.1.push_str(&text);
            }
            Ok(())
        })
        .unwrap();
    lines.into_iter().map(|line| line.1).collect()
}

fn all(paths: &[Entry; 2]) -> Vec<String> {
    drained(&mut merged(paths, &[Spot::default(); 2]))
}

fn last(paths: &[Entry; 2], wanted: u64, passes: impl Fn(Option<Stamp>) -> bool) -> Vec<String> {
    let begins = last_lines(&[(&paths[0], None), (&paths[1], None)], wanted, passes).unwrap();
    drained(&mut merged(paths, &begins))
}

#[test]
fn both_streams_in_the_order_of_their_times() {
    let scratch = Folder::new();
    let paths = paths(&scratch);
    assert!(all(&paths).is_empty() && last(&paths, 3, |_| true).is_empty(), "nothing was written");
    write(&paths[0], 9, "a\nb\n", &[(0, 1), (2, 4)]);
    write(&paths[0], 10, "c\n\nlast", &[(0, 5), (2, 7), (3, 8)]);
    write(&paths[1], 0, "A\nB\nC\n", &[(0, 2), (2, 5), (4, 6)]);
    let want = ["o1 a\n", "e2 A\n", "o4 b\n", "o5 c\n", "e5 B\n", "e6 C\n", "o7 \n", "o8 last"];
    assert_eq!(all(&paths), want);
    for n in 0..=want.len() + 1 {
        let from = want.len().saturating_sub(n);
        assert_eq!(last(&paths, n as u64, |_| true), want[from..], "the last {n}");
    }
}

#[test]
fn the_last_of_those_that_pass() {
    let scratch = Folder::new();
    let paths = paths(&scratch);
    write(&paths[0], 0, "a\nb\nc\n", &[(0, 1), (2, 3), (4, 5)]);
    write(&paths[1], 0, "A\nB\n", &[(0, 2), (2, 4)]);
    let until = |second| move |stamp: Option<Stamp>| stamp.is_none_or(|stamp| stamp.as_nanos() <= second);
    // Later ones that do not pass are left to who prints.
    assert_eq!(last(&paths, 2, until(3)), ["e2 A\n", "o3 b\n", "e4 B\n", "o5 c\n"]);
}

#[test]
fn times_that_are_torn_or_missing() {
    let scratch = Folder::new();
    let paths = paths(&scratch);
    for (row, times, want) in [
        ("short", &[(0, 1), (2, 5)][..], ["o1 a\n", "e3 A\n", "o5 b\n", "o c\n", "o d\n"]),
        ("none", &[], ["o a\n", "o b\n", "o c\n", "o d\n", "e3 A\n"]),
        ("the first are missing", &[(4, 2), (6, 4)], ["o a\n", "o b\n", "o2 c\n", "e3 A\n", "o4 d\n"]),
        (
            "ahead of the bytes",
            &[(0, 1), (2, 2), (4, 3), (6, 4), (8, 5)],
            ["o1 a\n", "o2 b\n", "o3 c\n", "e3 A\n", "o4 d\n"],
        ),
    ] {
        write(&paths[0], 0, "a\nb\nc\nd\n", times);
        write(&paths[1], 0, "A\n", &[(0, 3)]);
        assert_eq!(all(&paths), want, "{row}");
        for n in 0..=5 {
            assert_eq!(last(&paths, n, |_| true), want[5 - n as usize..], "{row}: the last {n}");
        }
    }
    // Cut within a time.
    let bytes = fs::read(layout::times(paths[0].path(), 0)).unwrap();
    fs::write(layout::times(paths[0].path(), 0), &bytes[..25]).unwrap();
    assert_eq!(all(&paths)[..2], ["o1 a\n", "o b\n"]);
    fs::remove_file(layout::times(paths[0].path(), 0)).unwrap();
    assert_eq!(all(&paths), ["o a\n", "o b\n", "o c\n", "o d\n", "e3 A\n"], "removed");
    assert_eq!(last(&paths, 2, |_| true), ["o d\n", "e3 A\n"]);
}

#[test]
fn a_line_longer_than_a_file_is_one() {
    let scratch = Folder::new();
    let paths = paths(&scratch);
    write(&paths[0], 3, "a\nlong", &[(0, 1), (2, 2)]);
    write(&paths[0], 4, "longer", &[(0, 2)]);
    write(&paths[0], 5, "end\nb", &[(0, 2), (4, 3)]);
    write(&paths[0], 6, "c\n", &[(0, 4)]);
    let want = ["o1 a\n", "o2 longlongerend\n", "o3 b", "o4 c\n"];
    assert_eq!(all(&paths), want, "and one that ended without a newline is another than the next");
    for n in 0..=4 {
        assert_eq!(last(&paths, n, |_| true), want[4 - n as usize..], "the last {n}");
    }
}

#[test]
fn many_lines_are_found_from_the_end() {
    let scratch = Folder::new();
    let paths = paths(&scratch);
    let (mut text, mut times, mut want) = (String::new(), Vec::new(), Vec::new());
    for number in 0..20_000u64 {
        let line = format!("{number} {}\n", "x".repeat(number as usize % 40));
        times.push((text.len() as u64, number as i64));
        want.push(line.clone());
        text.push_str(&line);
    }
    let bare = |lines: Vec<String>| -> Vec<String> {
        lines.into_iter().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
    };
    for (row, times) in [("with times", &times[..]), ("without", &[]), ("with some", &times[..12_345])] {
        write(&paths[0], 0, &text, times);
        assert_eq!(bare(all(&paths)), want, "{row}");
        for n in [1, 300, 7_000, 19_999, 20_000, 30_000] {
            let from = want.len().saturating_sub(n);
            assert_eq!(bare(last(&paths, n as u64, |_| true)), want[from..], "{row}: the last {n}");
        }
    }
}

#[test]
fn following_through_rotation() {
    let scratch = Folder::new();
    let paths = paths(&scratch);
    let mut follow = merged(&paths, &[Spot::default(); 2]);
    assert!(drained(&mut follow).is_empty());
    append(&paths[0], 0, "a\nb", 1);
    append(&paths[1], 0, "A\n", 2);
    assert_eq!(drained(&mut follow), ["o1 a\n", "o b", "e2 A\n"]);
    append(&paths[0], 0, "B\n", -1);
    append(&paths[0], 0, "c\n", 3);
    append(&paths[0], 1, "d\n", 4);
    append(&paths[1], 0, "C\n", 5);
    assert_eq!(drained(&mut follow), ["o+ B\n", "o3 c\n", "o4 d\n", "e5 C\n"], "the old file to its end first");
    append(&paths[0], 1, "e\n", 6);
    append(&paths[0], 2, "f\n", 7);
    fs::remove_file(layout::file(paths[0].path(), 1)).unwrap();
    assert_eq!(drained(&mut follow), ["o6 e\n", "o7 f\n"], "a file that is open is read though it was removed");
    assert!(!follow.streams[0].has_missed());
    append(&paths[0], 3, "g\n", 8);
    append(&paths[0], 4, "h\n", 9);
    fs::remove_file(layout::file(paths[0].path(), 3)).unwrap();
    assert_eq!(drained(&mut follow), ["o9 h\n"]);
    assert!(follow.streams[0].has_missed() && !follow.streams[1].has_missed(), "files went faster than they were read");
    assert!(drained(&mut follow).is_empty(), "nothing twice");
}

#[test]
fn from_files_to_the_engine_and_back() {
    let scratch = Folder::new();
    let paths = paths(&scratch);
    write(&paths[0], 0, "a\nb\n", &[(0, 1), (2, 2)]);
    write(&paths[0], 1, "c\nd\n", &[(0, 3), (2, 4)]);
    let base = Spot { number: 0, offset: 2 };
    let mut lines = merged(&paths, &[Spot::default(); 2]);
    lines.streams[0].until(Some(base));
    assert_eq!(drained(&mut lines), ["o1 a\n"], "what lies beyond comes again");
    assert_eq!(lines.streams[0].beyond(base).unwrap(), 0);
    lines.streams[0].until(None);
    assert_eq!(drained(&mut lines), ["o2 b\n", "o3 c\n", "o4 d\n"]);
    assert_eq!(lines.streams[0].beyond(base).unwrap(), 6, "over files");
    // Its next owner begins where the cursor was, and writes it once more.
    lines.streams[0].go_to(base, 6);
    fs::remove_file(layout::file(paths[0].path(), 1)).unwrap();
    write(&paths[0], 0, "a\nb", &[(0, 1), (2, 2)]);
    assert!(drained(&mut lines).is_empty());
    write(&paths[0], 0, "a\nb\n", &[(0, 1), (2, 2)]);
    write(&paths[0], 1, "c\nd\ne\n", &[(0, 3), (2, 4), (4, 5)]);
    assert_eq!(drained(&mut lines), ["o5 e\n"]);
    assert!(!is_within_line(&paths[0], base).unwrap());
    assert!(is_within_line(&paths[0], Spot { number: 0, offset: 3 }).unwrap());
    assert_eq!(end(&paths[0]).unwrap(), Spot { number: 1, offset: 6 });
    assert_eq!(end(&paths[1]).unwrap(), Spot::default());
    let ends = [(&paths[0], Some(base))];
    assert_eq!(last_lines(&ends, 1, |_| true).unwrap(), [Spot::default()]);
    assert_eq!(last_lines(&ends, 0, |_| true).unwrap(), [base]);
}

#[test]
fn an_error_of_who_takes_it_is_handed_on() {
    let scratch = Folder::new();
    let paths = paths(&scratch);
    write(&paths[0], 0, "a\n", &[(0, 1)]);
    let error = merged(&paths, &[Spot::default(); 2]).drain(|_| Err(io::ErrorKind::BrokenPipe.into())).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn what_somebody_laid_in_place_of_a_file_is_not_followed() {
    let scratch = Folder::new();
    let paths = paths(&scratch);
    fs::write(scratch.path().join("other"), "secret\n").unwrap();
    std::os::unix::fs::symlink(scratch.path().join("other"), layout::file(paths[0].path(), 0)).unwrap();
    let mut lines = merged(&paths, &[Spot::default(); 2]);
    assert!(lines.drain(|piece| panic!("{piece:?}")).is_err());
    assert!(last_lines(&[(&paths[0], None)], 1, |_| true).is_err());
}

#[test]
fn files_that_are_removed_before_the_end_was_read_are_missed() {
    let scratch = Folder::new();
    let paths = paths(&scratch);
    for number in 0..4 {
        write(&paths[0], number, "a\n", &[(0, 1)]);
    }
    let mut lines = Lines::new(&paths[0], Stream::Stdout, Spot::default());
    lines.until(Some(end(&paths[0]).unwrap()));
    assert!(lines.head().unwrap().is_some(), "it has begun to read");
    for number in 0..4 {
        fs::remove_file(layout::file(paths[0].path(), number)).unwrap();
    }
    write(&paths[0], 9, "b\n", &[(0, 1)]);
    let mut merged = Merged::new(vec![lines]);
    let mut seen = String::new();
    let each = |piece: &Piece<'_>| {
        seen.push_str(str::from_utf8(piece.bytes).unwrap());
        Ok(())
    };
    merged.drain(each).unwrap();
    assert_eq!((seen.as_str(), merged.streams[0].has_missed()), ("a\n", true));
}

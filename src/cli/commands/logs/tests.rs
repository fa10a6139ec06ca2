//! From files to an Engine and back, with an Engine of scripted answers: each line once.

use super::*;
use crate::cli::args::Command;
use crate::cli::testing::Shared;
use crate::driver::TaskConfig;
use crate::engine::types::LogConfig;
use crate::logs::delivery::clock::BEHIND;
use crate::logs::sink::layout;
use crate::logs::{Record, Stamp};
use crate::replay::scripted::{Answer, Scripted, frame};
use crate::runner::{Allocation, PlacedTask, Policy};
use crate::threads::Worker;
use clap::Parser;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

const LOGS: &str = "GET /containers/*/logs";
const INSPECT: &str = "GET /containers/*/json";

/// What was written: the stream's number, the second, the bytes.
type Written = (u8, i64, &'static str);

fn at(second: i64) -> Stamp {
    Stamp::from_nanos(second * 1_000_000_000)
}

fn reached(second: i64, taken: u64, open: Option<u64>) -> Reached {
    Reached { last: Some(at(second)), taken, open, ahead: None }
}

fn held(written: &[Written]) -> Answer {
    written.iter().fold(Answer::chunked(200), |answer, record| answer.chunk(said(record)))
}

/// A record as an Engine sends it.
fn said((stream, second, text): &Written) -> Vec<u8> {
    use crate::engine::Stream::{Stderr, Stdout};
    frame(if *stream == 1 { Stdout } else { Stderr }, format!("{} {text}", at(*second)))
}

/// An Engine of one container that has ended, and what it wrote.
fn engine(written: &'static [Written]) -> Scripted {
    let scripted = Scripted::new();
    scripted.always(LOGS, move || held(written).end());
    scripted.always(INSPECT, || state(false));
    scripted
}

fn state(running: bool) -> Answer {
    let status = if running { "running" } else { "exited" };
    Answer::json(200, &json!({"Id": "c", "State": {"Status": status, "Running": running}}))
}

/// What is handed on, a text a record: its stream's sign, `+` where it goes on with a line, its bytes.
#[derive(Default)]
struct Seen(Vec<String>);

impl Sink for Seen {
    fn record(&mut self, record: &Record<'_>) -> io::Result<()> {
        let sign = if record.stream == Stream::Stdout { "o" } else { "e" };
        let continues = if record.continues { "+" } else { "" };
        self.0.push(format!("{sign}{continues} {}", String::from_utf8_lossy(record.bytes)));
        Ok(())
    }
}

/// What may be compressed, so that files are left out.
fn source() -> Source {
    Source { tty: false, log_config: LogConfig { kind: "local".into(), ..LogConfig::default() }, runs: true }
}

/// Beyond what is known of both streams: how far each is collected, and whether within a line.
fn beyond(scripted: &Scripted, out: Reached, err: Reached, known: u64, within_line: bool) -> Held {
    let streams = vec![
        KnownStream { stream: Stream::Stdout, reached: out, beyond: known, within_line },
        KnownStream { stream: Stream::Stderr, reached: err, beyond: 0, within_line: false },
    ];
    Held::new(&scripted.engine(), "c", &source(), streams)
}

/// All that the Engine holds.
fn whole(scripted: &Scripted) -> Held {
    beyond(scripted, Reached::default(), Reached::default(), 0, false)
}

/// Standard output alone, beyond what is collected of it.
fn stdout_after(scripted: &Scripted, source: &Source, reached: Reached) -> Held {
    let stdout = KnownStream { stream: Stream::Stdout, reached, beyond: 0, within_line: false };
    Held::new(&scripted.engine(), "c", source, vec![stdout])
}

#[test]
fn what_the_engine_leaves_out_since_a_time_is_read_from_the_start() {
    for present in [0, 1] {
        let scripted = engine(&[(1, 1, "a\n"), (1, 2, "b\n"), (1, 3, "c\n")]);
        scripted.on(LOGS, move |request| request.parameter("since").map(|_| held(&[(1, 3, "c\n")][..present]).end()));
        let mut seen = Seen::default();
        stdout_after(&scripted, &source(), reached(1, 1, None)).read(&Hangup::new(), &mut seen).unwrap();
        assert_eq!((seen.0, scripted.requests(LOGS).len()), (vec!["o b\n".into(), "o c\n".into()], 2));
    }
}

#[test]
fn a_since_that_leaves_out_its_own_moment() {
    // podman 5.
    let scripted = engine(&[(1, 1, "a\n"), (1, 2, "b\n"), (1, 3, "c\n")]);
    scripted.on(LOGS, |request| {
        let since: f64 = request.parameter("since")?.parse().unwrap();
        let all = [(1, 1, "a\n"), (1, 2, "b\n"), (1, 3, "c\n")];
        Some(held(&all.into_iter().filter(|(_, second, _)| *second as f64 > since).collect::<Vec<_>>()).end())
    });
    let mut seen = Seen::default();
    stdout_after(&scripted, &source(), reached(2, 1, None)).read(&Hangup::new(), &mut seen).unwrap();
    assert_eq!((seen.0, scripted.requests(LOGS).len()), (vec!["o c\n".into()], 1));
}

#[test]
fn what_the_engine_holds_beyond_a_cursor() {
    const ALL: &[Written] = &[
        (1, 1, "a\n"),
        (2, 2, "A\n"),
        (1, 3, "b\n"),
        (1, 3, "c\n"),
        (1, 3, "d\n"),
        (2, 4, "B"),
        (2, 5, "C\n"),
        (1, 6, "long"),
        (1, 6, "er\n"),
    ];
    let scripted = engine(ALL);
    let none = Reached::default();
    for (row, out, err, known, within, want, since) in [
        (
            "all",
            none,
            none,
            0,
            false,
            &["o a\n", "e A\n", "o b\n", "o c\n", "o d\n", "e B", "e+ C\n", "o long", "o+ er\n"][..],
            None,
        ),
        (
            "two of three of one time",
            reached(3, 2, None),
            reached(2, 1, None),
            0,
            false,
            &["o d\n", "e B", "e+ C\n", "o long", "o+ er\n"],
            Some(2),
        ),
        (
            "within a record",
            reached(6, 1, Some(3)),
            reached(4, 1, None),
            0,
            true,
            &["e C\n", "o+ g", "o+ er\n"],
            Some(4),
        ),
        (
            "and what is known beyond",
            reached(3, 1, None),
            reached(5, 1, None),
            6,
            false,
            &["o+ ng", "o+ er\n"],
            Some(3),
        ),
        ("nothing is left", reached(6, 2, None), reached(5, 1, None), 0, false, &[], Some(5)),
    ] {
        let held = beyond(&scripted, out, err, known, within);
        let mut seen = Seen::default();
        held.read(&Hangup::new(), &mut seen).unwrap();
        assert_eq!(seen.0, want, "{row}");
        let asked = scripted.requests(LOGS).last().and_then(|request| request.parameter("since"));
        // A little earlier does no harm, later would.
        let seconds = asked.and_then(|since| since.split('.').next()?.parse::<i64>().ok());
        assert!(seconds.unwrap_or(0) <= since.unwrap_or(0), "{row}: asked since {seconds:?}");
        assert!(since.is_none() || seconds >= since.map(|since| since - 3), "{row}: asked since {seconds:?}");
    }
}

#[test]
fn a_follow_that_breaks_goes_on() {
    let scripted = Scripted::new();
    scripted.always(INSPECT, || state(false));
    scripted.answers(INSPECT, (0..6).map(|_| state(true)));
    const FIRST: &[Written] = &[(1, 1, "a\n"), (1, 2, "b\n")];
    const ALL: &[Written] = &[(1, 1, "a\n"), (1, 2, "b\n"), (1, 2, "c\n"), (1, 3, "d\n")];
    scripted.always(LOGS, || held(ALL).end());
    scripted.answers(
        LOGS,
        [
            held(FIRST).end(),
            held(FIRST).end(),
            // Followed: a connection that is cut within a record.
            held(FIRST).and(Answer::raw("30\r\n").send(b"\x01\0\0\0\0\0\0\x20partial".to_vec()).close()),
            Answer::error(503, "not now"),
        ],
    );
    let held = whole(&scripted);
    let mut seen = Seen::default();
    let bytes = held.follow(&Hangup::new(), &mut seen).unwrap();
    assert_eq!(seen.0, ["o a\n", "o b\n", "o c\n", "o d\n"]);
    assert_eq!(bytes, [8, 0]);
}

#[test]
fn what_comes_in_place_of_something_else_is_asked_for_again() {
    const ALL: &[Written] = &[(1, 1, "a\n"), (1, 2, "b\n"), (1, 3, "c\n"), (1, 4, "d\n")];
    for (row, follow, tries) in [("a read", false, 1), ("several", false, 3), ("a follow", true, 1)] {
        let scripted = engine(ALL);
        scripted.answers(INSPECT, (0..2).map(|_| state(true)));
        let mut left = tries;
        scripted.on(LOGS, move |request| {
            if left == 0 || follow && request.parameter("follow").is_none() {
                return None;
            }
            left -= 1;
            Some(held(&[ALL[0], ALL[1], ALL[0], ALL[3]]).end())
        });
        let (held, mut seen) = (stdout_after(&scripted, &source(), Reached::default()), Seen::default());
        let done = if follow { held.follow(&Hangup::new(), &mut seen) } else { held.read(&Hangup::new(), &mut seen) };
        assert_eq!((done.unwrap(), seen.0.join("")), ([8, 0], "o a\no b\no c\no d\n".into()), "{row}");
    }
}

#[test]
fn what_a_follow_hides_when_the_clock_was_set_back() {
    const ALL: &[Written] = &[(1, 100, "a\n"), (1, 101, "b\n"), (1, 50, "c\n"), (1, 51, "d\n"), (1, 102, "e\n")];
    let scripted = Scripted::unix().unwrap();
    scripted.always(INSPECT, || state(false));
    scripted.answers(INSPECT, [state(true)]);
    scripted.always(LOGS, || held(ALL).end());
    scripted.answers(
        LOGS,
        [
            held(&ALL[..1]).end(),
            // Docker before 23: not a word of what is stamped before `since`.
            held(&ALL[..2]).and(Answer::nothing().pause(Duration::from_millis(50)).chunk(said(&ALL[4]))).hold(),
        ],
    );
    let source = Source { log_config: LogConfig { kind: "json-file".into(), ..LogConfig::default() }, ..source() };
    let mut seen = SetsBack(Seen::default());
    stdout_after(&scripted, &source, Reached::default()).follow(&Hangup::new(), &mut seen).unwrap();
    BEHIND.set(Duration::ZERO);
    assert_eq!(seen.0.0.join(""), "o a\no b\no c\no d\no e\n");
}

/// Sets the clock back when `b` has come.
struct SetsBack(Seen);

impl Sink for SetsBack {
    fn record(&mut self, record: &Record<'_>) -> io::Result<()> {
        if record.bytes == b"b\n" {
            BEHIND.set(Duration::from_secs(3600));
        }
        self.0.record(record)
    }
}

#[test]
fn a_follow_of_small_files_only_rings() {
    let scripted = Scripted::new();
    scripted.always(INSPECT, || state(false));
    scripted.answers(INSPECT, (0..2).map(|_| state(true)));
    const FIRST: &[Written] = &[(1, 1, "a\n")];
    scripted.always(LOGS, || held(&[(1, 1, "a\n"), (1, 2, "b\n"), (1, 3, "c\n")]).end());
    // The Engine's rotation has overtaken the follow.
    scripted.answers(LOGS, [held(FIRST).end(), held(FIRST).end(), held(&[(1, 1, "a\n"), (1, 3, "c\n")]).end()]);
    let config = [("max-size".to_owned(), "10k".to_owned())].into_iter().collect();
    let source = Source { log_config: LogConfig { kind: "json-file".into(), config }, ..source() };
    let held = stdout_after(&scripted, &source, Reached::default());
    let mut seen = Seen::default();
    held.follow(&Hangup::new(), &mut seen).unwrap();
    assert_eq!(seen.0, ["o a\n", "o b\n", "o c\n"]);
}

/// A reader that leaves after so many records.
struct Leaves(u32);

impl Sink for Leaves {
    fn record(&mut self, _: &Record<'_>) -> io::Result<()> {
        self.0 -= 1;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.0 == 0 { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }
}

#[test]
fn a_reader_that_leaves_ends_it_at_once() {
    for records in [1, 2] {
        let scripted = Scripted::new();
        scripted.always(INSPECT, || state(true));
        scripted.answers(
            LOGS,
            [
                held(&[(1, 1, "a\n")]).end(),
                held(&[(1, 1, "a\n")]).end(),
                // Nothing more comes, of either stream.
                held(&[(1, 1, "a\n"), (1, 2, "b\n")]).hold(),
            ],
        );
        let (hangup, (end, ended)) = (Hangup::new(), crossbeam_channel::bounded::<()>(0));
        let watchdog = {
            let hangup = hangup.clone();
            // Until it has ended, or for so long.
            thread::spawn(move || {
                if ended.recv_timeout(Duration::from_secs(10)).is_err_and(|e| e.is_timeout()) {
                    hangup.hang_up()
                }
            })
        };
        let done = whole(&scripted).follow(&hangup, &mut Leaves(records));
        drop(end);
        watchdog.join().unwrap();
        assert!(!hangup.is_hung_up(), "after {records}: at once");
        assert!(matches!(done, Err(HeldError::Sink(e)) if e.kind() == io::ErrorKind::BrokenPipe), "after {records}");
    }
}

#[test]
fn a_follow_that_falls_silent_is_gone_on_with() {
    let scripted = Scripted::new();
    // It brings nothing of what is written meanwhile, and does not end with its container.
    let mut followed = false;
    scripted.on(LOGS, move |request| {
        if request.parameter("follow").is_some() {
            followed = true;
            return Some(held(&[(1, 1, "a\n")]).hold());
        }
        Some(held(if followed { &[(1, 1, "a\n"), (1, 2, "b\n")] } else { &[(1, 1, "a\n")] }).end())
    });
    scripted.answers(INSPECT, [true, true, false, false].map(state));
    let (hangup, mut seen) = (Hangup::new(), Seen::default());
    let _deadline = Worker::timer("deadline", &hangup, Duration::from_secs(20)).unwrap();
    assert_eq!(whole(&scripted).follow_impatiently(&hangup, &mut seen).unwrap(), [4, 0]);
    assert_eq!(seen.0, ["o a\n", "o b\n"]);
}

#[test]
fn what_the_engine_does_not_give() {
    let unreadable = "configured logging driver does not support reading";
    for (row, answer, want) in [
        ("no driver that can be read", Answer::error(500, unreadable), "unreadable"),
        ("nor here", Answer::error(501, "no"), "unreadable"),
        ("no container", Answer::error(404, "no such container"), "404"),
        (
            "its own words",
            Answer::chunked(200).frame(crate::engine::Stream::System, "no luck\n").end(),
            "words: no luck",
        ),
        ("no stamp", Answer::chunked(200).frame(crate::engine::Stream::Stdout, "x\n").end(), "words: something"),
    ] {
        let scripted = Scripted::new();
        let answer = Mutex::new(Some(answer));
        scripted.on(LOGS, move |_| answer.lock().unwrap().take());
        let held = whole(&scripted);
        let got = match held.read(&Hangup::new(), &mut Seen::default()) {
            Ok(_) => "done".to_owned(),
            Err(HeldError::Unreadable) => "unreadable".into(),
            Err(HeldError::Engine(error)) => format!("{:?}", error.status()),
            Err(HeldError::Words(words)) => format!("words: {words}"),
            Err(HeldError::Sink(error)) => error.to_string(),
        };
        assert!(got.contains(want), "{row}: {got}");
    }
}

fn alloc() -> AllocState {
    let none = Duration::ZERO;
    let restart = Policy { attempts: 0, interval: none, delay: none, waits: false, on_success: false };
    let config = TaskConfig { id: "a/t/1".into(), name: "t".into(), alloc_id: "a".into(), ..TaskConfig::default() };
    let task = PlacedTask { config, order: (0, 0), kill_signal: None, kill_timeout: none, restart };
    let alloc = Allocation { id: "a".into(), job_id: "j".into(), group: "g".into(), index: 0, tasks: vec![task] };
    AllocState::new(&alloc, "unix:///s", "e", false, |_| "t-a".into())
}

/// Writes a stream's file and its times: a line a second, from the first on.
fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(layout::file(path, 0), text).unwrap();
    let (mut times, mut offset) = (Vec::new(), 0);
    for (line, second) in text.split_inclusive('\n').zip(1..) {
        times.extend(layout::Time { offset, stamp: at(second) }.to_bytes());
        offset += line.len() as u64;
    }
    fs::write(layout::times(path, 0), times).unwrap();
}

#[test]
fn from_files_to_the_engine_and_back() {
    const ALL: &[Written] = &[(1, 1, "a\n"), (1, 2, "b\n"), (1, 3, "c\n"), (1, 4, "d\n")];
    let scripted = engine(ALL);
    let dir = std::env::temp_dir().join(format!("longshore-test-logs-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    let cursor = Kept { container: "c".into(), reached: reached(1, 1, None), end: Spot { number: 0, offset: 2 } };
    let data = dir.display().to_string();
    for (row, args, first, kept, before, want) in [
        ("a cursor behind the files", &[][..], false, Some(cursor.clone()), "", "a\nb\nc\nd\n"),
        ("followed before", &["-f"], true, Some(cursor.clone()), "a\nb\n", "c\nd\n"),
        ("only followed", &["-f"], false, Some(cursor.clone()), "", "a\nb\nc\nd\n"),
        ("another container's cursor", &["-f"], false, None, "", "a\nb\na\nb\nc\nd\n"),
        ("the last one", &["--tail", "1"], false, Some(cursor.clone()), "", "d\n"),
        ("the last three", &["--tail", "3"], false, Some(cursor.clone()), "", "b\nc\nd\n"),
        ("the last four", &["--tail", "4"], false, Some(cursor.clone()), "", "a\nb\nc\nd\n"),
        ("the last of followed ones", &["-f", "--tail", "2"], false, Some(cursor.clone()), "", "c\nd\n"),
        ("in a time", &["--since", "2", "--until", "3"], false, Some(cursor.clone()), "", "b\nc\n"),
        ("the last in a time", &["--until", "3", "--tail", "2"], false, Some(cursor), "", "b\nc\n"),
    ] {
        let args = ["longshore", "--data-dir", &data, "logs", "t"].into_iter().chain(args.iter().copied());
        let args = Args::try_parse_from(args).unwrap();
        let Command::Logs(options) = &args.command else { panic!("another command") };
        let known = Known::read(&args).unwrap();
        let alloc = alloc();
        let found = found_in(&alloc, "t").unwrap();
        let mut shower = Shower::new(&args, options, &known, &found);
        let path = shower.places[0].at.path().to_owned();
        write(&path, "a\nb\n");
        let (out, err) = (Shared::default(), Shared::default());
        shower.printer = Printer::to([Box::new(out.clone()), Box::new(err)], shower.filter, false);
        if first {
            assert!(shower.print().is_ok());
        }
        assert_eq!(out.taken(), before, "{row}");
        let is_known = kept.is_some();
        let container =
            Container { engine: scripted.engine(), id: "c".into(), source: source(), kept: vec![kept, None] };
        assert!(shower.show_held(&container, options.tail).is_ok(), "{row}");
        assert_eq!(out.taken(), want, "{row}");
        // Somebody takes it up, and collects what was shown already, and more.
        if options.follow && is_known {
            write(&path, "a\nb\nc\n");
            assert!(matches!(shower.print(), Ok(false)), "{row}");
            write(&path, "a\nb\nc\nd\ne\n");
            assert!(matches!(shower.print(), Ok(true)), "{row}");
            assert_eq!(out.taken(), "e\n", "{row}");
        }
    }
    let _ = fs::remove_dir_all(&dir);
}

#[test]
fn what_is_written_meanwhile_is_not_among_the_last_lines() {
    const ALL: &[Written] = &[(1, 1, "a\n"), (1, 2, "b\n"), (1, 3, "c\n"), (1, 4, "d\n")];
    let dir = std::env::temp_dir().join(format!("longshore-test-last-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    let data = dir.display().to_string();
    for (tail, want) in [("0", ""), ("1", "b\n"), ("2", "a\nb\n"), ("5", "a\nb\n")] {
        let scripted = engine(ALL);
        let mut is_first = true;
        scripted.on(LOGS, move |_| std::mem::take(&mut is_first).then(|| held(&ALL[..2]).end()));
        let args = Args::try_parse_from(["longshore", "--data-dir", &data, "logs", "--tail", tail, "t"]).unwrap();
        let Command::Logs(options) = &args.command else { panic!("another command") };
        let known = Known::read(&args).unwrap();
        let alloc = alloc();
        let mut shower = Shower::new(&args, options, &known, &found_in(&alloc, "t").unwrap());
        let (out, err) = (Shared::default(), Shared::default());
        shower.printer = Printer::to([Box::new(out.clone()), Box::new(err)], shower.filter, false);
        let kept = vec![None, None];
        let container = Container { engine: scripted.engine(), id: "c".into(), source: source(), kept };
        assert!(shower.show_held(&container, options.tail).is_ok(), "{tail}");
        assert_eq!(out.taken(), want, "the last {tail}");
    }
    let _ = fs::remove_dir_all(&dir);
}

#[test]
fn files_end_where_they_ended_at_first() {
    let dir = std::env::temp_dir().join(format!("longshore-test-ends-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    let args = Args::try_parse_from(["longshore", "--data-dir", &dir.display().to_string(), "logs", "t"]).unwrap();
    let Command::Logs(options) = &args.command else { panic!("another command") };
    let known = Known::read(&args).unwrap();
    let alloc = alloc();
    let mut shower = Shower::new(&args, options, &known, &found_in(&alloc, "t").unwrap());
    let path = shower.places[0].at.path().to_owned();
    write(&path, "a\nb\n");
    let (out, err) = (Shared::default(), Shared::default());
    shower.printer = Printer::to([Box::new(out.clone()), Box::new(err)], shower.filter, false);
    let Ok(ends) = shower.end_here() else { panic!("no ends") };
    write(&path, "a\nb\nc\n");
    assert!(shower.begin_at_last_lines(Some(1), &ends, 0).is_ok());
    assert!(matches!(shower.print(), Ok(true)));
    assert_eq!(out.taken(), "b\n", "the last of those that were there");
    for (offset, want) in [(5, 0), (6, 0), (7, 1)] {
        let end = Spot { number: 0, offset };
        let kept = vec![Some(Kept { container: "c".into(), reached: reached(1, 1, None), end }), None];
        let container = Container { engine: engine(&[]).engine(), id: "c".into(), source: source(), kept };
        assert_eq!(shower.shortened(&container).unwrap().len(), want, "{offset} bytes were collected, 6 are there");
    }
    let _ = fs::remove_dir_all(&dir);
}

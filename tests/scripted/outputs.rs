//! Output that an Engine cuts, repeats, interrupts or refuses: each record reaches the sinks once.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use longshore::driver::{Driver, DriverConfig, LogConfig, LogTarget, LogTargets, Record, Sink, TaskId, TaskState};
use longshore::logs::{Stamp, Stream};

use crate::kit::frame;
use crate::support::{eventually, unique};
use crate::world::{INSPECT, LOGS, WAIT, World, Written, exit_of, is_follow, quick, sent, since, started, task};
use longshore::replay::scripted::{Answer, PATIENCE, Request, Scripted};

/// 2026-11-25T03:36:00Z.
const T: i64 = 1_795_577_760_000_000_000;
const SECOND: i64 = 1_000_000_000;

/// A sink that remembers; its last clone's channel disconnects when the collector has ended.
#[derive(Clone, Default)]
struct Seen(Arc<(Mutex<All>, Condvar)>);

#[derive(Default)]
struct All {
    out: Vec<u8>,
    err: Vec<u8>,
    /// Every piece's stream, stamp and whether it goes on with a line.
    pieces: Vec<(Stream, Stamp, bool)>,
    notices: Vec<String>,
}

struct SeenSink(Seen, #[allow(dead_code, reason = "dropped with the sink")] Sender<()>);

impl Sink for SeenSink {
    fn record(&mut self, record: &Record<'_>) -> io::Result<()> {
        let mut all = self.0.all();
        all.pieces.push((record.stream, record.stamp, record.continues));
        match record.stream {
            Stream::Stdout => all.out.extend_from_slice(record.bytes),
            Stream::Stderr => all.err.extend_from_slice(record.bytes),
        }
        self.0.0.1.notify_all();
        Ok(())
    }

    fn notice(&mut self, text: &str) -> io::Result<()> {
        self.0.all().notices.push(text.into());
        Ok(())
    }
}

impl Seen {
    /// A sink, and what disconnects when it is dropped.
    fn sink(&self) -> (Box<dyn Sink>, Receiver<()>) {
        let (sender, dropped) = bounded(0);
        (Box::new(SeenSink(self.clone(), sender)), dropped)
    }

    fn out(&self) -> Vec<u8> {
        self.all().out.clone()
    }

    /// Blocks until as much has arrived as was written.
    #[track_caller]
    fn wait_for(&self, written: &[Written], what: &str) {
        let (out, err) = (bytes_of(written, 1).len(), bytes_of(written, 2).len());
        let missing = |all: &mut All| all.out.len() < out || all.err.len() < err;
        let (all, waited) = self.0.1.wait_timeout_while(self.all(), PATIENCE, missing).unwrap();
        let got = (all.out.len(), all.err.len());
        drop(all);
        assert!(!waited.timed_out(), "{what}: {got:?} of {:?} bytes", (out, err));
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.0.0.lock().unwrap()
    }

    fn notices(&self) -> Vec<String> {
        self.all().notices.clone()
    }

    /// That both streams are what was written.
    #[track_caller]
    fn assert_is(&self, written: &[Written], what: &str) {
        let all = self.all();
        for (stream, got) in [(1, &all.out), (2, &all.err)] {
            let want = bytes_of(written, stream);
            let shown = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]).into_owned();
            assert!(
                *got == want,
                "{what}, stream {stream}: {} bytes {:?}, not {} {:?}",
                got.len(),
                shown(got),
                want.len(),
                shown(&want)
            );
        }
    }
}

fn bytes_of(written: &[Written], stream: u8) -> Vec<u8> {
    written.iter().filter(|record| record.0 == stream).flat_map(|record| record.2.clone()).collect()
}

fn out(stamp: i64, text: &str) -> Written {
    Written(1, stamp, text.into())
}

fn err(stamp: i64, text: &str) -> Written {
    Written(2, stamp, text.into())
}

/// A task whose output is collected: its id, what was seen, and what disconnects when nothing more is collected.
fn collected(driver: &Driver) -> (TaskId, Seen, Receiver<()>) {
    let seen = Seen::default();
    let (sink, dropped) = seen.sink();
    (started(driver, vec![sink]), seen, dropped)
}

/// Ends the task and reads its output to the end.
#[track_caller]
fn finish(world: &World, driver: &Driver, id: &TaskId, code: i64) {
    world.exit(code);
    assert_eq!(exit_of(driver, id).exit_code, code);
    driver.destroy_task(id, false).unwrap();
    assert!(world.model().containers.is_empty());
}

/// Lays one follow over the usual ones: when it is asked for, the container has just written `records`.
fn first_follow(world: &World, records: Vec<Written>, answer: Answer) {
    let (shared, mut answer) = (world.shared(), Some(answer));
    world.scripted.on(LOGS, move |request| {
        if !is_follow(request) {
            return None;
        }
        let answer = answer.take()?;
        shared.lock().containers[0].records.extend(records.clone());
        Some(answer)
    });
}

/// How a follow breaks.
#[derive(Clone, Copy, Debug)]
enum Break {
    /// Its connection does.
    Cut,
    /// It ends as if it had ended well.
    End,
}

/// Lets a follow break after so many bytes, and looks at what arrives in the end.
fn broken_follow(scripted: Scripted, records: &[Written], tty: bool, cut: usize, kind: Break) {
    let world = World::on(scripted);
    world.model().tty = tty;
    let bytes: Vec<u8> = records.iter().flat_map(|record| sent(record, tty)).collect();
    // No chunk is empty: that would be the end.
    let begun = if cut == 0 { Answer::chunked(200) } else { Answer::chunked(200).chunk(&bytes[..cut]) };
    let answer = match kind {
        Break::Cut => begun.close(),
        Break::End => begun.end(),
    };
    first_follow(&world, records.to_vec(), answer);
    let driver = world.driver();
    let (id, seen, _) = collected(&driver);
    let what = format!("{kind:?} after {cut} of {} bytes", bytes.len());
    seen.wait_for(records, &what);
    finish(&world, &driver, &id, 0);
    seen.assert_is(records, &what);
    assert_eq!(seen.notices(), [""; 0], "{what}");
    // A line begins where a line has ended, however often it was cut within.
    let all = seen.all();
    for stream in [Stream::Stdout, Stream::Stderr] {
        let whole = all.pieces.iter().filter(|piece| piece.0 == stream && !piece.2).count();
        let text = if stream == Stream::Stdout { &all.out } else { &all.err };
        assert_eq!(whole, text.iter().filter(|b| **b == b'\n').count(), "{what}, {stream:?}");
    }
}

#[test]
fn a_follow_that_breaks_anywhere_loses_and_doubles_nothing() {
    let records = [
        out(T + 1, "one\n"),
        err(T + 1, "one\n"),
        out(T + 2, "two\n"),
        out(T + 2, "two\n"),
        err(T + 3, "begun, "),
        err(T + 3, "and ended\n"),
        out(T + 4, "\n"),
        out(T + 5, "the last\n"),
    ];
    let length: usize = records.iter().map(|record| sent(record, false).len()).sum();
    // With the same clock every record is late, and each follow is checked by a read; with another it goes on.
    thread::scope(|scope| {
        for kind in [Break::Cut, Break::End] {
            let records = &records;
            scope.spawn(move || {
                (0..=length).for_each(|cut| broken_follow(Scripted::tcp().unwrap(), records, false, cut, kind))
            });
        }
        for cut in (0..=length).step_by(7) {
            broken_follow(Scripted::unix().unwrap(), &records, false, cut, Break::Cut);
        }
    });
}

#[test]
fn a_terminals_follow_that_breaks_loses_and_doubles_nothing() {
    let piece = |from: u8, length: usize| (0..length).map(|i| b'a' + (i % 26) as u8 / 2 + from).collect::<Vec<u8>>();
    let records = [
        out(T + 1, "one\r\n"),
        Written(1, T + 2, piece(0, 16_384)),
        Written(1, T + 2, piece(1, 16_384)),
        Written(1, T + 2, [piece(2, 7_230), b"\r\n".to_vec()].concat()),
        out(T + 3, "two\r\n"),
        out(T + 3, "\r\n"),
    ];
    // Within each stamp, each piece, and at each border.
    let mut cuts = vec![0];
    let mut at = 0;
    for record in &records {
        let length = sent(record, true).len();
        cuts.extend([at + 1, at + 29, at + 30, at + 31, at + 32, at + length / 2, at + length - 1, at + length]);
        at += length;
    }
    cuts.retain(|cut| *cut <= at);
    for cut in cuts {
        for kind in [Break::Cut, Break::End] {
            broken_follow(Scripted::tcp().unwrap(), &records, true, cut, kind);
        }
    }
}

#[test]
fn podman_cuts_a_terminals_lines_anywhere() {
    let world = World::on(Scripted::tcp().unwrap());
    world.model().tty = true;
    world.scripted.always("GET /_ping", || Answer::ping("1.41").header("Libpod-Api-Version", "5.8.6"));
    let driver = world.driver();
    let (id, seen, _) = collected(&driver);
    let records =
        [out(T, "a long"), out(T, " line, 2026-11-"), out(T + 1, "25 it says\r\n"), out(T + 2, "another\r\n")];
    world.write(records.clone());
    seen.wait_for(&records, "all of it");
    finish(&world, &driver, &id, 0);
    seen.assert_is(&records, "podman");
}

#[test]
fn an_engine_that_repeats_itself_in_one_follow() {
    let records: Vec<_> = (0..1500).map(|n| out(T + n / 3, &format!("line {}\n", n / 2))).collect();
    // From one border between stamps to another, and from within. (Of the last stamp alone it would be nothing new.)
    for again in [4, 6, 500, 999, 1000, 1200] {
        // A machine so loaded that the collector lags makes it read once more: then it was not one connection.
        assert!((0..5).any(|_| repeated_in_one_follow(&records, again)), "the last {again} again: in one connection");
    }
}

/// Lets an Engine repeat the last so many records; says whether all came in one connection.
fn repeated_in_one_follow(records: &[Written], again: usize) -> bool {
    let world = World::on(Scripted::tcp().unwrap());
    let bytes = |records: &[Written]| records.iter().flat_map(|r| sent(r, false)).collect::<Vec<u8>>();
    let (before, after) = records.split_at(1200);
    let repeated = &before[before.len() - again..];
    let gate = world.shared();
    let answer = Answer::chunked(200)
        .chunk(bytes(before))
        .chunk(bytes(repeated))
        .chunk(bytes(after))
        .until(move || gate.lock().containers[0].status == "exited")
        .end();
    first_follow(&world, records.to_vec(), answer);
    let driver = world.driver();
    let (id, seen, _) = collected(&driver);
    let what = format!("the last {again} again");
    seen.wait_for(records, &what);
    let follows = world.scripted.requests(LOGS).iter().filter(|r| is_follow(r)).count();
    finish(&world, &driver, &id, 0);
    seen.assert_is(records, &what);
    follows == 1
}

#[test]
fn a_follow_that_is_overtaken_while_it_repeats_itself() {
    // As in `an_engine_that_repeats_itself_in_one_follow`, one that lags was no such follow.
    for other_first in [false, true] {
        assert!((0..5).any(|_| overtaken_while_it_repeats(other_first)), "the other stream first: {other_first}");
    }
}

/// Lets an Engine repeat some records, and go on far behind the last, with the other stream or the same; says whether all that
/// was one follow.
fn overtaken_while_it_repeats(other_first: bool) -> bool {
    let world = World::on(Scripted::tcp().unwrap());
    // Each tenth is the other stream's.
    let record = |n| if n % 10 == 0 { err(T + n, &format!("line {n}\n")) } else { out(T + n, &format!("line {n}\n")) };
    let records: Vec<_> = (0..1500).map(record).collect();
    let bytes = |records: &[Written]| records.iter().flat_map(|r| sent(r, false)).collect::<Vec<u8>>();
    let after = if other_first { 1300 } else { 1301 };
    let gate = world.shared();
    // What it repeats, of standard output alone, is dropped before it has come to the last of it, and a hundred that are new with that.
    let answer = Answer::chunked(200)
        .chunk(bytes(&records[..1195]))
        .chunk(bytes(&records[701..710]))
        .chunk(bytes(&records[after..]))
        .until(move || gate.lock().containers[0].status == "exited")
        .end();
    first_follow(&world, records.clone(), answer);
    let driver = world.driver();
    let (id, seen, _) = collected(&driver);
    seen.wait_for(&records, "all, from a read");
    let lagged = world.scripted.requests(LOGS).iter().filter(|r| is_follow(r)).count() > 1;
    finish(&world, &driver, &id, 0);
    seen.assert_is(&records, "all, from a read");
    assert_eq!(seen.notices(), [""; 0]);
    !lagged
}

/// For files; the test removes it.
fn folder() -> PathBuf {
    let dir = std::env::temp_dir().join(unique("outputs"));
    fs::create_dir(&dir).unwrap();
    dir
}

/// Waits until the task is followed.
fn wait_for_follow(world: &World) {
    // The last of the logs' requests; the task's wait may come after it.
    world.scripted.wait_for("a follow", |state| {
        let last = state.requests().filter(|request| request.path.ends_with("/logs")).last();
        state.last_answered().is_some() && last.is_some_and(is_follow)
    });
}

#[test]
fn a_clock_that_is_set_back_loses_and_doubles_nothing() {
    // Engines before 23 hide every record from before `since`, also while they are followed; later ones give all that follow the
    // first one after it.
    for (here, compresses) in [(false, false), (true, false), (false, true), (true, true)] {
        let world = World::on(if here { Scripted::unix() } else { Scripted::tcp() }.unwrap());
        world.model().since_once = true;
        let driver = if compresses { compressing(&world) } else { world.driver() };
        let (id, seen, _) = collected(&driver);
        // Lines that say the same are told apart by their time alone.
        let before =
            [out(T + 100 * SECOND, "tick\n"), err(T + 101 * SECOND, "tick\n"), out(T + 101 * SECOND, "tick\n")];
        let after = [out(T + 50 * SECOND, "tick\n"), out(T + 51 * SECOND, "tick\n"), err(T + 52 * SECOND, "tock\n")];
        world.write(before.clone());
        seen.wait_for(&before, "before it is set back");
        wait_for_follow(&world);
        world.write(after.clone());
        let all = [before, after].concat();
        seen.wait_for(&all, "after it");
        finish(&world, &driver, &id, 0);
        seen.assert_is(&all, "a clock that was set back");
    }
}

#[test]
fn a_clock_that_is_set_back_after_much_was_written() {
    // More than is remembered; it comes again after each break, and before a restart of ours and after it.
    for here in [true, false] {
        let world = World::on(if here { Scripted::unix() } else { Scripted::tcp() }.unwrap());
        world.model().since_once = true;
        let dir = folder();
        let mut task = task();
        task.logs = LogTargets { stdout: LogTarget::File(dir.join("out")), stderr: LogTarget::Null };
        let mut driver = world.driver();
        let (handle, id) = (driver.start_task(task.clone()).unwrap().0, task.id);
        let mut want = String::new();
        let has = |want: &str| fs::read_to_string(dir.join("out")).is_ok_and(|text| text == want);
        let mut write = |records: Vec<Written>| {
            want.extend(records.iter().map(|record| String::from_utf8(record.2.clone()).unwrap()));
            world.write(records);
            eventually(PATIENCE, "what was written", || has(&want));
        };
        write((0..3000).map(|n| out(T + (100 + n) * SECOND, &format!("{n}\n"))).collect());
        wait_for_follow(&world);
        for n in 0..6 {
            write(vec![out(T + (50 + n) * SECOND, &format!("after it {n}\n"))]);
            world.scripted.go_away();
            world.scripted.come_back().unwrap();
            if n == 3 {
                driver.shutdown();
                driver = world.driver();
                driver.recover_task(&handle).unwrap();
            }
        }
        finish(&world, &driver, &id, 0);
        assert!(has(&want), "each line once");
        let requests = world.scripted.count(LOGS);
        assert!(requests < 60, "{requests} requests");
        fs::remove_dir_all(&dir).unwrap();
    }
}

#[test]
fn what_a_follow_kept_back_is_read_at_the_end() {
    let records: Vec<_> = (0..10).map(|n| out(T + n, &format!("line {n}\n"))).collect();
    for short in [false, true] {
        let world = World::on(Scripted::tcp().unwrap());
        let gate = world.shared();
        // Not a word of what was written, though it lasts until the end.
        let answer = Answer::chunked(200).until(move || gate.lock().containers[0].status == "exited").end();
        first_follow(&world, records.clone(), answer);
        let (shared, half) = (world.shared(), records[..5].to_vec());
        let mut first_read = short;
        world.scripted.on(LOGS, move |_| {
            let ended = shared.lock().containers[0].status == "exited";
            if !ended || !std::mem::take(&mut first_read) {
                return None;
            }
            // Nor does the first read say all.
            let said = half.iter().fold(Answer::chunked(200), |answer, record| answer.chunk(sent(record, false)));
            Some(said.end())
        });
        let driver = world.driver();
        let (id, seen, _) = collected(&driver);
        world.scripted.wait_for("a follow", |state| state.last_answered().is_some() && state.requests().any(is_follow));
        assert!(seen.out().is_empty());
        finish(&world, &driver, &id, 0);
        seen.assert_is(&records, if short { "two reads" } else { "one read" });
    }
}

#[test]
fn a_follow_that_outlasts_its_container_is_given_up() {
    let records: Vec<_> = (0..10).map(|n| out(T + n, &format!("line {n}\n"))).collect();
    for drained in [false, true] {
        let world = World::on(Scripted::tcp().unwrap());
        // Some Engines' follows say nothing, for good, after they rotated a file.
        first_follow(&world, records.clone(), Answer::chunked(200).hold());
        let driver = world.driver();
        let (id, seen, _) = collected(&driver);
        world.scripted.wait_for("a follow", |state| state.requests().any(is_follow) && state.count(WAIT) == 1);
        world.exit(0);
        exit_of(&driver, &id);
        let begun = Instant::now();
        if drained {
            assert!(driver.drain_task(&id, &crossbeam_channel::never()).unwrap());
        }
        driver.destroy_task(&id, false).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(4), "drained {drained}: {:?}", begun.elapsed());
        seen.assert_is(&records, "what a follow did not say");
    }
}

#[test]
fn what_the_engine_dropped_meanwhile_is_told() {
    let world = World::on(Scripted::tcp().unwrap());
    let driver = world.driver();
    let events = driver.task_events();
    let other = Seen::default();
    let seen = Seen::default();
    let id = started(&driver, vec![seen.sink().0, other.sink().0]);
    let before = [out(T, "one\n"), err(T + 1, "two\n")];
    world.write(before.clone());
    seen.wait_for(&before, "before");
    world.scripted.go_away();
    // It rotated all of it away, and more.
    let after = [out(T + 10, "eleven\n"), err(T + 11, "twelve\n")];
    world.model().containers[0].records = after.to_vec();
    world.scripted.come_back().unwrap();
    let all = [before, after].concat();
    seen.wait_for(&all, "after");
    finish(&world, &driver, &id, 0);
    seen.assert_is(&all, "what there was");
    other.assert_is(&all, "what there was, again");
    // Once a stream, to each sink, and to who listens to the driver.
    let want = ["2026-11-25T03:36:00.000000000Z", "2026-11-25T03:36:00.000000001Z"];
    for notices in [seen.notices(), other.notices()] {
        assert!(notices.len() == 2 && (0..2).all(|i| notices[i].ends_with(want[i])), "{notices:?}");
    }
    let told = events.try_iter().filter(|event| event.annotations["kind"] == "logs_notice").count();
    assert_eq!(told, 2);
}

#[test]
fn a_stream_that_was_silent_for_long_misses_nothing() {
    // Its last line is rotated away while the other stream goes on.
    for (row, step, with_files, last_is_held) in [
        ("one sink", SECOND / 10, false, true),
        ("two files", 10 * SECOND, true, true),
        ("a gap", 10 * SECOND, true, false),
    ] {
        let world = World::on(Scripted::tcp().unwrap());
        let driver = world.driver();
        let events = driver.task_events();
        let (dir, seen) = (folder(), Seen::default());
        let (file, mut task) = (|name: &str| LogTarget::File(dir.join(name)), task());
        if with_files {
            task.logs = LogTargets { stdout: file("out"), stderr: file("err") };
        }
        let id = task.id.clone();
        let sinks: Vec<Box<dyn Sink>> = if with_files { vec![] } else { vec![seen.sink().0] };
        driver.start_task_with(task, sinks).unwrap();
        let has = |stream: u8, want: &str| match (with_files, stream) {
            (false, 1) => seen.all().out == want.as_bytes(),
            (false, _) => seen.all().err == want.as_bytes(),
            (true, 1) => fs::read_to_string(dir.join("out")).is_ok_and(|text| text == want),
            (true, _) => fs::read_to_string(dir.join("err")).is_ok_and(|text| text == want),
        };
        world.write([err(T, "hello\n"), out(T + 1, "0\n")]);
        eventually(PATIENCE, "both are there", || has(2, "hello\n") && has(1, "0\n"));
        world.write([out(T + step, "1\n")]);
        eventually(PATIENCE, "the next", || has(1, "0\n1\n"));
        world.scripted.go_away();
        world.model().containers[0].records.retain(|record| last_is_held && record.1 > T + 1);
        world.write([out(T + 2 * step, "2\n"), err(T + 3 * step, "again\n")]);
        world.scripted.come_back().unwrap();
        eventually(PATIENCE, "both go on", || has(2, "hello\nagain\n") && has(1, "0\n1\n2\n"));
        finish(&world, &driver, &id, 0);
        let told = events.try_iter().filter(|event| event.annotations["kind"] == "logs_notice").count();
        assert_eq!(told, if last_is_held { 0 } else { 2 }, "{row}");
        fs::remove_dir_all(&dir).unwrap();
    }
}

/// A driver whose containers' log files the Engine compresses.
fn compressing(world: &World) -> Driver {
    let logging = LogConfig { kind: "local".into(), ..LogConfig::default() };
    world.driver_with(DriverConfig { logging, ..quick() })
}

/// From now on, an Engine that leaves all but the last `present` records out of what it says since a time, as Docker 20.10 does with what
/// it has compressed.
fn leave_out(world: &World, present: usize) {
    let shared = world.shared();
    world.scripted.on(LOGS, move |request| {
        let records = shared.lock().containers[0].records.clone();
        let shown = &records[records.len() - present..];
        let answer = shown.iter().fold(Answer::chunked(200), |answer, record| answer.chunk(sent(record, false)));
        let gate = shared.clone();
        match (is_follow(request), since(request)) {
            (_, 0) => None,
            (false, _) => Some(answer.end()),
            (true, _) => Some(answer.until(move || gate.lock().containers[0].status == "exited").end()),
        }
    });
}

#[test]
fn what_is_left_out_of_an_answer_since_a_time_is_read_from_the_start() {
    let flood: Vec<_> = (10..20).map(|n| out(T + n * SECOND, &format!("line {n}\n"))).collect();
    let after =
        |all: &[Written]| all.iter().map(|Written(s, at, b)| Written(*s, at + 100 * SECOND, b.clone())).collect();
    for (row, before, after, present) in [
        ("the end", vec![out(T, "1\n"), err(T + 1, "2\n")], flood.clone(), 0),
        ("the middle", vec![out(T, "1\n"), err(T + 1, "2\n")], flood, 1),
        (
            "of a stream that was silent for long",
            vec![out(T, "1\n"), err(T + 100 * SECOND, "2\n")],
            after(&[out(T + SECOND, "3\n"), out(T + 90 * SECOND, "4\n"), err(T + 91 * SECOND, "5\n")]),
            2,
        ),
        (
            "of a stream that had said nothing",
            vec![out(T + 100 * SECOND, "1\n")],
            after(&[err(T + SECOND, "2\n"), err(T + 2 * SECOND, "3\n"), out(T + 3 * SECOND, "4\n")]),
            2,
        ),
    ] {
        let world = World::on(Scripted::tcp().unwrap());
        let driver = compressing(&world);
        let (id, seen, _) = collected(&driver);
        world.write(before.clone());
        seen.wait_for(&before, row);
        world.scripted.go_away();
        let after: Vec<Written> = after;
        world.write(after.clone());
        leave_out(&world, present);
        world.scripted.come_back().unwrap();
        let all = [&before[..], &after].concat();
        seen.wait_for(&all, row);
        finish(&world, &driver, &id, 0);
        seen.assert_is(&all, row);
        assert_eq!(seen.notices(), [""; 0], "{row}: nothing is missing");
    }
}

#[test]
fn a_file_that_comes_in_place_of_another_is_not_believed() {
    // Docker 20.10, where two requests meet and files are compressed. The second of three is missing.
    let file = |n: i64| {
        (n * 10..n * 10 + 10).map(|line| out(T + line * SECOND, &format!("line {line}\n"))).collect::<Vec<_>>()
    };
    let (all, mixed) = ([file(0), file(1), file(2)].concat(), [file(0), file(0), file(2)].concat());
    for (row, in_follow, known, times) in [
        ("a read", false, 10, 1),
        ("several reads", false, 10, 4),
        ("from within the first", false, 5, 1),
        ("the one that it is within", false, 15, 2),
        ("several times", false, 15, 4),
        ("a follow", true, 10, 1),
    ] {
        let world = World::on(Scripted::tcp().unwrap());
        let driver = compressing(&world);
        let (id, seen, _) = collected(&driver);
        world.write(all[..known].to_vec());
        seen.wait_for(&all[..known], row);
        world.scripted.go_away();
        let (mixed, mut left) = (mixed.clone(), times);
        world.scripted.on(LOGS, move |request| {
            if is_follow(request) != in_follow || left == 0 {
                return None;
            }
            left -= 1;
            let from = since(request);
            let shown = mixed.iter().filter(|Written(_, stamp, _)| *stamp >= from);
            Some(shown.fold(Answer::chunked(200), |answer, record| answer.chunk(sent(record, false))).end())
        });
        if !in_follow {
            world.write(all[known..].to_vec());
        }
        let follows = || world.scripted.requests(LOGS).iter().filter(|request| is_follow(request)).count();
        let before = follows();
        world.scripted.come_back().unwrap();
        if in_follow {
            // Written after the read, which finds nothing new.
            eventually(PATIENCE, "a follow", || follows() > before);
            world.write(all[known..].to_vec());
        }
        finish(&world, &driver, &id, 0);
        seen.assert_is(&all, row);
        assert_eq!(seen.notices(), [""; 0], "{row}: nothing is missing");
    }
}

#[test]
fn files_that_an_engine_holds_for_a_request_that_was_given_up() {
    // Docker 20.10 keeps a rotated file that it has unpacked, by its place, until the last request for it is over.
    let lines = |from: i64, to: i64| -> Vec<Written> {
        (from..to).map(|line| out(T + line * SECOND, &format!("line {line}\n"))).collect()
    };
    let (known, all) = (lines(0, 10), lines(0, 30));
    let world = World::on(Scripted::tcp().unwrap());
    let driver = world.driver_with(DriverConfig {
        logging: LogConfig { kind: "local".into(), config: BTreeMap::from([("max-size".into(), "10k".into())]).into() },
        ..quick()
    });
    let (id, seen, _) = collected(&driver);
    world.write(known.clone());
    seen.wait_for(&known, "before");
    let shown = [lines(0, 11), lines(20, 30)].concat();
    let mut is_held = false;
    world.scripted.on(LOGS, move |request| {
        let was_held = std::mem::replace(&mut is_held, is_follow(request));
        // The second of three files is missing.
        let stale = || shown.iter().filter(|record| record.1 >= since(request));
        (was_held && !is_follow(request))
            .then(|| stale().fold(Answer::chunked(200), |answer, record| answer.chunk(sent(record, false))).end())
    });
    // The follow that is there rings, for the handler above to know the next one.
    world.write(all[10..11].to_vec());
    seen.wait_for(&all[..11], "one more");
    wait_for_follow(&world);
    world.write(all[11..].to_vec());
    finish(&world, &driver, &id, 0);
    seen.assert_is(&all, "all");
    assert_eq!(seen.notices(), [""; 0], "nothing is missing");
}

#[test]
fn an_answer_that_is_not_believed_is_read_to_its_end() {
    // Until then the Engine holds files for it.
    let world = World::on(Scripted::tcp().unwrap());
    let driver = compressing(&world);
    let (id, seen, _) = collected(&driver);
    let all: Vec<_> = (0..30).map(|line| out(T + line * SECOND, &format!("line {line}\n"))).collect();
    world.write(all[..10].to_vec());
    seen.wait_for(&all[..10], "before");
    world.scripted.go_away();
    let (gate, mut mixed) = (Arc::new(AtomicBool::new(false)), Some([&all[..10], &all[..10], &all[20..]].concat()));
    let is_over = gate.clone();
    world.scripted.on(LOGS, move |request| {
        let mixed = mixed.take_if(|_| !is_follow(request))?;
        let from = since(request);
        let shown = mixed.iter().filter(|record| record.1 >= from);
        let answer = shown.fold(Answer::chunked(200), |answer, record| answer.chunk(sent(record, false)));
        let is_over = is_over.clone();
        Some(answer.until(move || is_over.load(Ordering::Relaxed)).end())
    });
    world.write(all[10..].to_vec());
    let before = world.scripted.count(LOGS);
    world.scripted.come_back().unwrap();
    world.scripted.wait_for("a read", |state| state.count(LOGS) > before);
    thread::sleep(Duration::from_millis(200));
    assert_eq!(world.scripted.count(LOGS), before + 1, "the next one waits");
    gate.store(true, Ordering::Relaxed);
    finish(&world, &driver, &id, 0);
    seen.assert_is(&all, "all");
}

#[test]
fn the_end_of_a_file_that_comes_in_place_of_another() {
    // Of one stream alone, which is asked for no more of than it must be.
    let world = World::on(Scripted::tcp().unwrap());
    let driver = compressing(&world);
    let dir = folder();
    let mut task = task();
    task.logs = LogTargets { stdout: LogTarget::File(dir.join("out")), stderr: LogTarget::Null };
    let id = task.id.clone();
    driver.start_task(task).unwrap();
    let has = |want: &[Written]| fs::read(dir.join("out")).is_ok_and(|bytes| bytes == bytes_of(want, 1));
    let all: Vec<_> = (0..30).map(|line| out(T + line * SECOND, &format!("line {line}\n"))).collect();
    world.write(all[..10].to_vec());
    eventually(PATIENCE, "the first file", || has(&all[..10]));
    world.scripted.go_away();
    let mixed = [&all[..10], &all[..10], &all[20..]].concat();
    let mut is_first = true;
    world.scripted.on(LOGS, move |request| {
        if is_follow(request) || !std::mem::take(&mut is_first) {
            return None;
        }
        let from = since(request);
        let shown = mixed.iter().filter(|Written(_, stamp, _)| *stamp >= from);
        Some(shown.fold(Answer::chunked(200), |answer, record| answer.chunk(sent(record, false))).end())
    });
    world.write(all[10..].to_vec());
    world.scripted.come_back().unwrap();
    finish(&world, &driver, &id, 0);
    assert!(has(&all), "each line once");
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn an_engine_that_cannot_say_all_is_believed_in_the_end() {
    // A file that is damaged, and that it skips in what it says since a time.
    let world = World::on(Scripted::tcp().unwrap());
    let driver = compressing(&world);
    let (id, seen, _) = collected(&driver);
    let before = [out(T, "one\n"), err(T + 1, "two\n")];
    world.write(before.clone());
    seen.wait_for(&before, "before");
    world.scripted.go_away();
    let after = [out(T + 10 * SECOND, "ten\n"), out(T + 11 * SECOND, "eleven\n")];
    world.model().containers[0].records = after.to_vec();
    world.scripted.on(LOGS, |request| {
        let words = frame(3, b"error from daemon in stream: Error grabbing logs: invalid character\n");
        (since(request) == 0).then(|| Answer::chunked(200).chunk(words).end())
    });
    world.scripted.come_back().unwrap();
    let all = [&before[..], &after].concat();
    seen.wait_for(&all, "after");
    finish(&world, &driver, &id, 0);
    seen.assert_is(&all, "what there is");
    let told = seen.notices();
    assert!(told.iter().any(|told| told.contains("no longer holds all")), "{told:?}");
}

#[test]
fn a_stream_whose_last_line_is_gone_costs_one_whole_read() {
    let world = World::on(Scripted::tcp().unwrap());
    let driver = compressing(&world);
    let dir = folder();
    let (file, mut task) = (|name: &str| LogTarget::File(dir.join(name)), task());
    task.logs = LogTargets { stdout: file("out"), stderr: file("err") };
    let id = task.id.clone();
    driver.start_task(task).unwrap();
    let has = |name: &str, want: &str| fs::read_to_string(dir.join(name)).is_ok_and(|text| text == want);
    world.write([err(T, "hello\n"), out(T + 1, "0\n")]);
    eventually(PATIENCE, "both are there", || has("err", "hello\n") && has("out", "0\n"));
    let mut want = String::from("0\n");
    for n in 1..10 {
        world.scripted.go_away();
        world.model().containers[0].records.retain(|record| record.0 == 1);
        world.write([out(T + n * SECOND, &format!("{n}\n"))]);
        world.scripted.come_back().unwrap();
        want += &format!("{n}\n");
        eventually(PATIENCE, "the next", || has("out", &want));
    }
    world.write([err(T + 20 * SECOND, "again\n")]);
    eventually(PATIENCE, "the stream goes on", || has("err", "hello\nagain\n"));
    let reads = |request: &Request| !is_follow(request) && since(request) == 0;
    let whole = world.scripted.requests(LOGS).into_iter().filter(reads).count();
    assert!(whole < 7, "it was read from the start {whole} times");
    finish(&world, &driver, &id, 0);
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_container_that_ended_a_while_ago_is_read_once() {
    for (here, want) in [(true, 1), (false, 2)] {
        // Only of a clock that is ours it is known that it was a while ago.
        let world = World::on(if here { Scripted::unix() } else { Scripted::tcp() }.unwrap());
        let driver = world.driver();
        let handle = driver.start_task(task()).unwrap().0;
        driver.shutdown();
        world.write([out(T, "one\n")]);
        world.exit(0);
        let before = world.scripted.count(LOGS);
        let (driver, seen) = (world.driver(), Seen::default());
        driver.recover_task_with(&handle, vec![seen.sink().0]).unwrap();
        exit_of(&driver, &handle.config.id);
        driver.destroy_task(&handle.config.id, false).unwrap();
        assert_eq!((seen.out(), world.scripted.count(LOGS) - before), (b"one\n".to_vec(), want));
    }
}

#[test]
fn pieces_of_a_line_that_come_long_after_its_first() {
    // Docker stamps them all as the first. Meanwhile the other stream goes on.
    let world = World::on(Scripted::tcp().unwrap());
    let driver = world.driver();
    let (id, seen, _) = collected(&driver);
    let before = [out(T, "piece 1, "), err(T + 10 * SECOND, "e\n")];
    world.write(before.clone());
    seen.wait_for(&before, "before");
    world.scripted.go_away();
    let after = [out(T, "piece 2, "), out(T, "end\n"), out(T + 20 * SECOND, "next\n")];
    world.write(after.clone());
    world.scripted.come_back().unwrap();
    finish(&world, &driver, &id, 0);
    seen.assert_is(&[&before[..], &after].concat(), "all pieces");
}

#[test]
fn an_engine_that_is_away_loses_nothing() {
    let world = World::new();
    let driver = world.driver();
    let (id, seen, _) = collected(&driver);
    let mut all = Vec::new();
    for round in 0..10 {
        let more = [out(T + round * SECOND, "out\n"), err(T + round * SECOND + 1, "err\n")];
        all.extend(more.clone());
        if round % 2 == 0 {
            world.scripted.go_away();
            world.write(more);
            world.scripted.come_back().unwrap();
        } else {
            world.write(more);
        }
        seen.wait_for(&all, "each round");
    }
    finish(&world, &driver, &id, 0);
    seen.assert_is(&all, "five times away");
    assert_eq!(seen.notices(), [""; 0]);
}

#[test]
fn collection_that_is_disabled_asks_for_nothing() {
    let world = World::new();
    let driver = world.driver_with(DriverConfig { disable_log_collection: true, ..quick() });
    let (dir, mut task) = (folder(), task());
    task.logs.stdout = LogTarget::File(dir.join("out"));
    let id = task.id.clone();
    driver.start_task(task).unwrap();
    world.write([out(T, "one\n")]);
    finish(&world, &driver, &id, 0);
    assert_eq!((world.scripted.count(LOGS), fs::read_dir(&dir).unwrap().count()), (0, 0));
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn logs_that_cannot_be_read_are_told_once() {
    let docker = "configured logging driver does not support reading";
    for (status, message) in [
        (500, docker),
        (501, "not implemented"),
        (500, "this container is using the 'none' log driver, cannot read logs: this container is not logging output"),
    ] {
        let world = World::new();
        world.scripted.always(LOGS, move || Answer::error(status, message));
        let driver = world.driver();
        let events = driver.task_events();
        let (id, seen, dropped) = collected(&driver);
        assert!(dropped.recv_timeout(PATIENCE).is_err_and(|e| e.is_disconnected()), "{message}: it gives up");
        assert_eq!(seen.notices().len(), 1, "{message}: {:?}", seen.notices());
        assert_eq!(driver.inspect_task(&id).unwrap().state, TaskState::Running, "{message}");
        let begun = Instant::now();
        finish(&world, &driver, &id, 4);
        assert!(begun.elapsed() < Duration::from_secs(2), "{message}: {:?}", begun.elapsed());
        assert_eq!(world.scripted.count(LOGS), 1, "{message}: it is asked once");
        let notices = events.try_iter().filter(|event| event.annotations["kind"] == "logs_notice").count();
        assert_eq!(notices, 1, "{message}");
    }
}

#[test]
fn what_the_engine_says_in_the_midst_is_a_notice() {
    let world = World::on(Scripted::tcp().unwrap());
    let records = [out(T, "before\n"), out(T + 1, "after\n")];
    let words = frame(3, b"error from daemon in stream: Error grabbing logs: invalid character\n");
    let answer = Answer::chunked(200).chunk(sent(&records[0], false)).chunk(words).end();
    first_follow(&world, records[..1].to_vec(), answer);
    let driver = world.driver();
    let (id, seen, _) = collected(&driver);
    eventually(PATIENCE, "a notice", || !seen.notices().is_empty());
    world.write(records[1..].to_vec());
    seen.wait_for(&records, "what comes after");
    finish(&world, &driver, &id, 0);
    seen.assert_is(&records, "around a notice");
    let notices = seen.notices();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(notices[0].contains("Error grabbing logs: invalid character"), "{notices:?}");
    assert!(notices[0].contains("after 2026-11-25T03:36:00.000000000Z"), "{notices:?}");
}

#[test]
fn what_is_no_log_is_a_notice() {
    // Bytes that are no frames, and frames without a stamp: told, and tried again.
    for garbage in [&b"plain text, and no frames\n"[..], &frame(1, b"no stamp here, whatever was asked\n")] {
        let world = World::on(Scripted::tcp().unwrap());
        let records = vec![out(T, "line\n")];
        first_follow(&world, records.clone(), Answer::chunked(200).chunk(garbage).end());
        let driver = world.driver();
        let (id, seen, _) = collected(&driver);
        seen.wait_for(&records, "it goes on");
        finish(&world, &driver, &id, 0);
        seen.assert_is(&records, "after garbage");
    }
}

#[test]
fn logs_of_a_container_that_was_removed_end() {
    for gone in [false, true] {
        let world = World::new();
        let driver = world.driver();
        let (id, seen, dropped) = collected(&driver);
        world.write([out(T, "line\n")]);
        eventually(PATIENCE, "a line", || !seen.out().is_empty());
        match gone {
            // Somebody removes it.
            true => world.model().containers.clear(),
            // The Engine has its logs no more, while it says that the container runs.
            false => world.scripted.always(LOGS, || Answer::error(404, "No such container")),
        }
        world.scripted.poker().poke();
        if !gone {
            // The present follow ends.
            world.scripted.go_away();
            world.scripted.come_back().unwrap();
        }
        assert!(dropped.recv_timeout(PATIENCE).is_err_and(|e| e.is_disconnected()), "gone: {gone}");
        let begun = Instant::now();
        driver.destroy_task(&id, true).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(2), "gone: {gone}: {:?}", begun.elapsed());
        assert_eq!(seen.out(), b"line\n");
    }
}

#[test]
fn a_destroy_waits_for_the_end_of_the_output_but_not_for_ever() {
    let written: Vec<_> = (0..50).map(|n| out(T + n, "slow\n")).collect();
    for endless in [false, true] {
        let world = World::new();
        let log_drain = Duration::from_millis(if endless { 300 } else { 8000 });
        let driver = world.driver_with(DriverConfig { log_drain, ..quick() });
        let (records, shared) = (written.clone(), world.shared());
        world.scripted.on(LOGS, move |request| {
            // Nothing before the end, then a read that dribbles.
            if is_follow(request) {
                let shared = shared.clone();
                let ended = move || shared.lock().containers[0].status == "exited";
                return Some(Answer::chunked(200).until(ended).end());
            }
            if shared.lock().containers[0].status != "exited" {
                return Some(Answer::chunked(200).end());
            }
            let from = crate::world::since(request);
            let wanted = records.iter().filter(|record| record.1 >= from);
            let answer = wanted.fold(Answer::chunked(200), |answer, record| {
                answer.chunk(sent(record, false)).pause(Duration::from_millis(5))
            });
            Some(if endless { answer.hold() } else { answer.end() })
        });
        let (id, seen, _) = collected(&driver);
        world.exit(0);
        exit_of(&driver, &id);
        let begun = Instant::now();
        driver.destroy_task(&id, false).unwrap();
        let took = begun.elapsed();
        if endless {
            assert!(took >= log_drain && took < Duration::from_secs(2), "{took:?}");
        } else {
            seen.assert_is(&written, "a slow end");
        }
        assert!(world.model().containers.is_empty());
    }
}

#[test]
fn a_sink_that_fails_takes_nothing_else_down() {
    struct Full(u32);
    impl Sink for Full {
        fn record(&mut self, _: &Record<'_>) -> io::Result<()> {
            self.0 -= 1;
            if self.0 == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }
    }
    let world = World::new();
    let driver = world.driver();
    let events = driver.task_events();
    let seen = Seen::default();
    let id = started(&driver, vec![Box::new(Full(2)), seen.sink().0]);
    let records: Vec<_> = (0..10).map(|n| out(T + n, "line\n")).collect();
    world.write(records.clone());
    seen.wait_for(&records, "all of it");
    finish(&world, &driver, &id, 0);
    seen.assert_is(&records, "the other sink");
    let failed = events.try_iter().filter(|event| event.annotations["kind"] == "sink_failed").count();
    assert_eq!(failed, 1, "it is told once");
}

#[test]
fn a_busy_task_is_followed_after_two_reads() {
    let world = World::new();
    let (shared, mut n) = (world.shared(), 0);
    // It writes while it is read.
    world.scripted.on(LOGS, move |request| {
        let container = &mut shared.lock().containers[0];
        if !is_follow(request) && container.status == "running" {
            container.records.push(out(T + n, &format!("line {n}\n")));
            n += 1;
        }
        None
    });
    let driver = world.driver();
    let (id, seen, _) = collected(&driver);
    wait_for_follow(&world);
    // By two it is known how much that is.
    assert!(is_follow(&world.scripted.requests(LOGS)[2]));
    finish(&world, &driver, &id, 0);
    let text = String::from_utf8(seen.out()).unwrap();
    assert!(text.lines().enumerate().all(|(n, line)| line == format!("line {n}")), "{text}");
}

#[test]
fn a_silent_task_is_not_asked_again_and_again() {
    let world = World::new();
    let driver = world.driver();
    let (id, ..) = collected(&driver);
    world.scripted.wait_for("a follow", |state| state.count(LOGS) == 2 && state.count(WAIT) == 1);
    let asked = (world.scripted.count(LOGS), world.scripted.count(INSPECT));
    thread::sleep(Duration::from_millis(200));
    assert_eq!((world.scripted.count(LOGS), world.scripted.count(INSPECT)), asked);
    finish(&world, &driver, &id, 0);
}

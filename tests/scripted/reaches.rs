//! How much of its log an Engine is asked for: the last records where little can have come, what came since a time, or all.

use std::fs;
use std::path::PathBuf;

use longshore::driver::{Driver, DriverConfig, LogConfig, LogTarget, LogTargets, TaskId};
use longshore::replay::scripted::{Answer, PATIENCE, Request, Scripted};

use crate::kit::frame;
use crate::outputs::{SECOND, Seen, T, collected, err, finish, out};
use crate::support::{eventually, unique};
use crate::world::{LOGS, World, Written, exit_of, is_follow, quick, sent, since, task};

/// How many of the last records are asked for.
const LAST: i64 = 4000;

/// A task whose streams go to a file each.
struct Apart {
    id: TaskId,
    dir: PathBuf,
}

impl Apart {
    fn start(driver: &Driver) -> Self {
        let dir = std::env::temp_dir().join(unique("reaches"));
        fs::create_dir(&dir).unwrap();
        let (file, mut task) = (|name: &str| LogTarget::File(dir.join(name)), task());
        task.logs = LogTargets { stdout: file("out"), stderr: file("err") };
        let id = task.id.clone();
        driver.start_task(task).unwrap();
        Self { id, dir }
    }

    fn has(&self, name: &str, want: &str) -> bool {
        fs::read_to_string(self.dir.join(name)).is_ok_and(|text| text == want)
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn tail(request: &Request) -> Option<String> {
    request.parameter("tail")
}

#[test]
fn after_a_short_break_only_the_last_records_are_asked_for() {
    let world = World::on(Scripted::tcp().unwrap());
    let driver = world.driver();
    let apart = Apart::start(&driver);
    // One of them has been silent for long.
    world.write([err(T, "hello\n")]);
    eventually(PATIENCE, "the silent one", || apart.has("err", "hello\n"));
    let mut want = String::new();
    for n in 0..10 {
        world.scripted.go_away();
        world.write([out(T + (100 + n) * SECOND, &format!("{n}\n"))]);
        world.scripted.come_back().unwrap();
        want += &format!("{n}\n");
        eventually(PATIENCE, "the other", || apart.has("out", &want));
    }
    world.write([err(T + 200 * SECOND, "again\n")]);
    eventually(PATIENCE, "it speaks again", || apart.has("err", "hello\nagain\n"));
    let asked = world.scripted.requests(LOGS);
    let rest: Vec<_> = asked.iter().filter(|request| tail(request).is_none()).map(since).collect();
    assert!(asked.len() >= 20 && rest.len() <= 3, "of {} only the first reach further: {rest:?}", asked.len());
    finish(&world, &driver, &apart.id, 0);
}

#[test]
fn where_more_has_come_than_the_last_records_nothing_is_lost() {
    let world = World::on(Scripted::tcp().unwrap());
    let driver = world.driver();
    let apart = Apart::start(&driver);
    world.write([err(T, "0\n"), out(T + 100 * SECOND, "0\n")]);
    eventually(PATIENCE, "before", || apart.has("err", "0\n") && apart.has("out", "0\n"));
    let (mut outs, mut errs) = (String::from("0\n"), String::from("0\n"));
    for round in 1..4 {
        world.scripted.go_away();
        let at = T + (100 + round * 10) * SECOND;
        // The first of a stream is not among the last records, its second is the first of them.
        let line = |n| out(at + 10 * n, &format!("{round} {n}\n"));
        let mut all: Vec<_> = (1..=LAST).map(line).collect();
        all.insert(0, err(at, "first\n"));
        all.insert(2, err(at + 15, "second\n"));
        world.write(all);
        world.scripted.come_back().unwrap();
        outs.extend((1..=LAST).map(|n| format!("{round} {n}\n")));
        errs += "first\nsecond\n";
        eventually(PATIENCE, "all of it", || apart.has("out", &outs) && apart.has("err", &errs));
    }
    finish(&world, &driver, &apart.id, 0);
}

#[test]
fn an_engine_that_reads_all_for_its_last_records_is_not_asked_for_them() {
    let world = World::on(Scripted::tcp().unwrap());
    let logging = LogConfig { kind: "journald".into(), ..LogConfig::default() };
    let driver = world.driver_with(DriverConfig { logging, ..quick() });
    let (id, seen, _) = collected(&driver);
    let mut all = Vec::new();
    for n in 0..3 {
        let more = [out(T + n * SECOND, "line\n")];
        world.scripted.go_away();
        world.write(more.clone());
        world.scripted.come_back().unwrap();
        all.extend(more);
        seen.wait_for(&all, "each");
    }
    finish(&world, &driver, &id, 0);
    assert!(world.scripted.requests(LOGS).iter().all(|request| tail(request).is_none()));
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
    let apart = Apart::start(&driver);
    world.write([err(T, "hello\n"), out(T + 1, "0\n")]);
    eventually(PATIENCE, "both are there", || apart.has("err", "hello\n") && apart.has("out", "0\n"));
    let mut want = String::from("0\n");
    for n in 1..10 {
        world.scripted.go_away();
        world.model().containers[0].records.retain(|record| record.0 == 1);
        world.write([out(T + n * SECOND, &format!("{n}\n"))]);
        world.scripted.come_back().unwrap();
        want += &format!("{n}\n");
        eventually(PATIENCE, "the next", || apart.has("out", &want));
    }
    world.write([err(T + 20 * SECOND, "again\n")]);
    eventually(PATIENCE, "the stream goes on", || apart.has("err", "hello\nagain\n"));
    let reads = |request: &Request| !is_follow(request) && since(request) == 0;
    let whole = world.scripted.requests(LOGS).into_iter().filter(reads).count();
    assert!(whole < 7, "it was read from the start {whole} times");
    finish(&world, &driver, &apart.id, 0);
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

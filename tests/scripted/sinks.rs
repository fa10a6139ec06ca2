//! Sinks that stall, go away and come back, and processes that come after one another: each record once, and nothing waits for a sink.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use longshore::driver::{Driver, LogTarget, LogTargets, Record, Sink, TaskHandle, TaskId};
use longshore::logs::{ChannelSink, Stamp, Stream, WriteSink};

use crate::support::{eventually, unique};
use crate::world::{LOGS, WAIT, World, Written, exit_of, is_follow, since, task};
use longshore::replay::scripted::{Answer, PATIENCE};

/// 2026-11-25T03:36:00Z.
const T: i64 = 1_795_577_760_000_000_000;

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(unique("sinks"));
        fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn line(n: i64) -> Written {
    Written(1, T + n, format!("line {n}\n").into_bytes())
}

fn lines(from: i64, to: i64) -> Vec<Written> {
    (from..to).map(line).collect()
}

fn text(from: i64, to: i64) -> String {
    lines(from, to).into_iter().map(|line| String::from_utf8(line.2).unwrap()).collect()
}

/// Starts a task whose standard output goes to a target.
fn started(driver: &Driver, stdout: LogTarget, sinks: Vec<Box<dyn Sink>>) -> TaskHandle {
    let mut task = task();
    task.logs = LogTargets { stdout, stderr: LogTarget::Null };
    driver.start_task_with(task, sinks).unwrap().0
}

/// Remembers what it is given.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<u8>>>);

impl Seen {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Sink for Seen {
    fn record(&mut self, record: &Record<'_>) -> io::Result<()> {
        self.0.lock().unwrap().extend_from_slice(record.bytes);
        Ok(())
    }
}

/// Reads a FIFO as it comes, without waiting for a writer.
struct Reader(fs::File, Vec<u8>);

impl Reader {
    fn open(path: &Path) -> Self {
        let nonblock = 0o4000;
        Self(fs::OpenOptions::new().read(true).custom_flags(nonblock).open(path).unwrap(), Vec::new())
    }

    fn read_until(&mut self, what: &str, enough: impl Fn(&str) -> bool) -> String {
        let mut buf = [0; 4096];
        eventually(PATIENCE, what, || {
            while let Ok(n @ 1..) = self.0.read(&mut buf) {
                self.1.extend_from_slice(&buf[..n]);
            }
            enough(str::from_utf8(&self.1).unwrap())
        });
        String::from_utf8(self.1.clone()).unwrap()
    }
}

#[test]
fn a_fifo_without_a_reader_holds_nothing_up() {
    for alone in [false, true] {
        a_fifo_without_a_reader(alone);
    }
}

fn a_fifo_without_a_reader(alone: bool) {
    let folder = Folder::new();
    let world = World::new();
    let driver = world.driver();
    let events = driver.task_events();
    let seen = Seen::default();
    let begun = Instant::now();
    let other: Vec<Box<dyn Sink>> = if alone { vec![] } else { vec![Box::new(seen.clone())] };
    let handle = started(&driver, LogTarget::Fifo(folder.path("fifo")), other);
    let id = &handle.config.id;
    world.write(lines(0, 100));
    if !alone {
        eventually(PATIENCE, "the other sink gets all", || seen.text() == text(0, 100));
    }
    world.exit(0);
    exit_of(&driver, id);
    assert!(!driver.drain_task(id, &crossbeam_channel::never()).unwrap(), "it was not taken");
    driver.destroy_task(id, false).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3), "alone {alone}: {:?}", begun.elapsed());
    let told: Vec<_> =
        events.try_iter().map(|event| event.message).filter(|message| message.contains("fifo")).collect();
    assert!(told.len() == 1 && told[0].contains("has taken nothing after the start"), "{told:?}");
}

#[test]
fn a_fifos_reader_goes_away_and_comes_back() {
    let folder = Folder::new();
    let path = folder.path("fifo");
    let world = World::new();
    let driver = world.driver();
    let handle = started(&driver, LogTarget::Fifo(path.clone()), vec![]);
    // Written before there is a reader at all.
    world.write(lines(0, 10));
    let mut reader = Reader::open(&path);
    let mut got = reader.read_until("what was written before", |text| text.ends_with("line 9\n"));
    drop(reader);
    // More than a FIFO holds, while it is away.
    world.write(lines(10, 20_000));
    thread::sleep(Duration::from_millis(700));
    let mut reader = Reader::open(&path);
    got += &reader.read_until("what was written meanwhile", |text| text.ends_with("line 19999\n"));
    assert!(got == text(0, 20_000), "{} bytes instead of {}", got.len(), text(0, 20_000).len());
    world.write(lines(20_000, 20_010));
    world.exit(0);
    exit_of(&driver, &handle.config.id);
    driver.destroy_task(&handle.config.id, false).unwrap();
    assert_eq!(reader.read_until("the rest", |text| text.ends_with("line 20009\n")).len(), (text(10, 20_010)).len());
}

/// A sink that takes nothing while it is shut.
struct Door {
    shut: Arc<AtomicBool>,
    seen: Seen,
}

impl Sink for Door {
    fn record(&mut self, record: &Record<'_>) -> io::Result<()> {
        if self.shut.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.seen.record(record)
    }
}

#[test]
fn one_that_takes_nothing_now_gets_it_later_and_the_others_at_once() {
    let world = World::new();
    let driver = world.driver();
    let (shut, late, other) = (Arc::new(AtomicBool::new(true)), Seen::default(), Seen::default());
    let door = Door { shut: shut.clone(), seen: late.clone() };
    let handle = started(&driver, LogTarget::Null, vec![Box::new(door), Box::new(other.clone())]);
    world.write(lines(0, 50));
    eventually(PATIENCE, "the other has all", || other.text() == text(0, 50));
    world.write(lines(50, 60));
    eventually(PATIENCE, "the other goes on", || other.text() == text(0, 60));
    assert_eq!(late.text(), "");
    shut.store(false, Ordering::Relaxed);
    eventually(PATIENCE, "it gets what it had not taken", || late.text() == text(0, 60));
    world.write(lines(60, 70));
    world.exit(0);
    exit_of(&driver, &handle.config.id);
    driver.destroy_task(&handle.config.id, false).unwrap();
    assert_eq!((late.text(), other.text()), (text(0, 70), text(0, 70)));
}

#[test]
fn one_that_is_far_behind_gets_all_and_the_others_nothing_twice() {
    let world = World::new();
    let driver = world.driver();
    let (shut, late, other) = (Arc::new(AtomicBool::new(false)), Seen::default(), Seen::default());
    let door = Door { shut: shut.clone(), seen: late.clone() };
    let handle = started(&driver, LogTarget::Null, vec![Box::new(door), Box::new(other.clone())]);
    // Minutes lie between them.
    let at = |n: i64| Written(1, T + n * 60_000_000_000, format!("line {n}\n").into_bytes());
    world.write((0..5).map(at));
    eventually(PATIENCE, "both have the first", || late.text() == text(0, 5) && other.text() == text(0, 5));
    shut.store(true, Ordering::Relaxed);
    for n in 5..10 {
        world.write([at(n)]);
        eventually(PATIENCE, "the other goes on", || other.text() == text(0, n + 1));
    }
    shut.store(false, Ordering::Relaxed);
    eventually(PATIENCE, "it gets what it had not taken", || late.text() == text(0, 10));
    world.exit(0);
    exit_of(&driver, &handle.config.id);
    driver.destroy_task(&handle.config.id, false).unwrap();
    assert_eq!((late.text(), other.text()), (text(0, 10), text(0, 10)));
}

#[test]
fn one_that_stalled_before_the_clock_was_set_back() {
    // Until then the clock has passed what was written before, or not yet.
    for minutes in [[0, 1, 2, 3], [0, 1, 30, 31]] {
        let world = World::new();
        let driver = world.driver();
        let (shut, late, other) = (Arc::new(AtomicBool::new(false)), Seen::default(), Seen::default());
        let door = Door { shut: shut.clone(), seen: late.clone() };
        let handle = started(&driver, LogTarget::Null, vec![Box::new(door), Box::new(other.clone())]);
        // As later Engines, until all is there for the other; then as one before 23, which hides all that is stamped before `since`.
        world.model().since_once = true;
        let at = |n: i64, minute: i64| Written(1, T + minute * 60_000_000_000, format!("line {n}\n").into_bytes());
        world.write((0..5).map(|n| at(n, 10 + n)));
        eventually(PATIENCE, "both have the first", || late.text() == text(0, 5) && other.text() == text(0, 5));
        shut.store(true, Ordering::Relaxed);
        // Those after the clock was set back are stamped before what the one has not taken yet.
        world.write((5..8).map(|n| at(n, 10 + n)).chain((8..12).zip(minutes).map(|(n, minute)| at(n, minute))));
        eventually(PATIENCE, "the other goes on", || other.text() == text(0, 12));
        world.model().since_once = false;
        shut.store(false, Ordering::Relaxed);
        eventually(PATIENCE, "it gets what it had not taken", || late.text() == text(0, 12));
        world.write([at(12, 40)]);
        world.exit(0);
        exit_of(&driver, &handle.config.id);
        driver.destroy_task(&handle.config.id, false).unwrap();
        assert_eq!((late.text(), other.text()), (text(0, 13), text(0, 13)), "{minutes:?}");
    }
}

#[test]
fn what_a_fifos_reader_had_not_read_comes_again_from_another_process() {
    let folder = Folder::new();
    let path = folder.path("fifo");
    let world = World::new();
    let driver = world.driver();
    let seen = Seen::default();
    let handle = started(&driver, LogTarget::Fifo(path.clone()), vec![Box::new(seen.clone())]);
    let reader = Reader::open(&path);
    world.write(lines(0, 5));
    eventually(PATIENCE, "it is collected", || seen.text() == text(0, 5));
    // What lies in the FIFO goes when nobody has it open any more.
    driver.shutdown();
    drop(reader);
    let driver = world.driver();
    driver.recover_task(&handle).unwrap();
    let got = Reader::open(&path).read_until("all of it", |text| text.ends_with("line 4\n"));
    assert_eq!(got, text(0, 5));
    world.exit(0);
    exit_of(&driver, &handle.config.id);
    driver.destroy_task(&handle.config.id, false).unwrap();
}

#[test]
fn one_that_blocks_holds_no_connection() {
    /// Waits until somebody lets it go on.
    struct Blocked(crossbeam_channel::Receiver<()>, Seen);
    impl Sink for Blocked {
        fn record(&mut self, record: &Record<'_>) -> io::Result<()> {
            let _ = self.0.recv();
            self.1.record(record)
        }
    }
    let world = World::new();
    let driver = world.driver();
    let (go_on, blocked) = crossbeam_channel::unbounded();
    let seen = Seen::default();
    let handle = started(&driver, LogTarget::Null, vec![Box::new(Blocked(blocked, seen.clone()))]);
    world.scripted.wait_for("a follow", |state| state.count(LOGS) == 2 && state.count(WAIT) == 1);
    let open = world.scripted.state().open();
    world.write(lines(0, 5));
    // More than the driver waits for a sink. An Engine that still has its reader would write to it, and notice nothing.
    thread::sleep(Duration::from_millis(2500));
    world.write(lines(5, 10));
    world.scripted.wait_for("the follow was given up", |state| state.open() < open);
    drop(go_on);
    eventually(PATIENCE, "it gets all", || seen.text() == text(0, 10));
    world.exit(0);
    exit_of(&driver, &handle.config.id);
    driver.destroy_task(&handle.config.id, false).unwrap();
    assert_eq!(seen.text(), text(0, 10));
}

#[test]
fn a_channel_that_is_full_loses_nothing() {
    let world = World::new();
    let driver = world.driver();
    let (to, records) = crossbeam_channel::bounded(3);
    let handle = started(&driver, LogTarget::Null, vec![Box::new(ChannelSink::new(to))]);
    world.write(lines(0, 20));
    thread::sleep(Duration::from_millis(500));
    let mut got = Vec::new();
    for n in 0..20 {
        let record = records.recv_timeout(PATIENCE).unwrap();
        assert_eq!((record.stream, record.stamp, record.continues), (Stream::Stdout, Stamp::from_nanos(T + n), false));
        got.extend(record.bytes);
    }
    assert_eq!(String::from_utf8(got).unwrap(), text(0, 20));
    world.exit(0);
    exit_of(&driver, &handle.config.id);
    driver.destroy_task(&handle.config.id, false).unwrap();
    assert!(records.recv_timeout(PATIENCE).is_err(), "its end is the collector's");
}

/// A driver that comes after another, which was shut down.
fn succeeded(world: &World, driver: &Driver, handle: &TaskHandle) -> Driver {
    driver.shutdown();
    let next = world.driver();
    next.recover_task(handle).unwrap();
    next
}

#[test]
fn another_process_goes_on_where_this_one_was() {
    let folder = Folder::new();
    let (path, file) = (folder.path("t.stdout"), folder.path("t.stdout.0"));
    let world = World::new();
    let mut driver = world.driver();
    let target = LogTarget::Rotating { path, max_files: 2, max_file_size: 1 << 20 };
    let handle = started(&driver, target, vec![]);
    let holds = |want: &str| {
        eventually(PATIENCE, "it is collected", || fs::read_to_string(&file).is_ok_and(|text| text == want))
    };
    world.write(lines(0, 5));
    holds(&text(0, 5));
    driver = succeeded(&world, &driver, &handle);
    // Written while nobody collected, and with the last stamp once more: another line.
    world.write([Written(1, T + 4, b"line 4, again\n".to_vec()), line(5)]);
    holds(&(text(0, 5) + "line 4, again\n" + &text(5, 6)));
    driver.shutdown();
    // As a kill between the bytes and the cursor leaves it.
    let whole = fs::read(&file).unwrap();
    fs::write(&file, [&whole[..], b"line 6\nli"].concat()).unwrap();
    world.write([line(6), line(7)]);
    driver = succeeded(&world, &driver, &handle);
    holds(&(text(0, 5) + "line 4, again\n" + &text(5, 8)));
    // As a kill between two files leaves it.
    driver.shutdown();
    fs::write(folder.path("t.stdout.1"), "line 8\n").unwrap();
    world.write([line(8)]);
    driver = succeeded(&world, &driver, &handle);
    holds(&(text(0, 5) + "line 4, again\n" + &text(5, 9)));
    assert!(!folder.path("t.stdout.1").exists());
    world.exit(0);
    exit_of(&driver, &handle.config.id);
    driver.destroy_task(&handle.config.id, false).unwrap();
}

#[test]
fn the_next_container_of_a_task_goes_on_with_its_files() {
    let folder = Folder::new();
    let (path, file) = (folder.path("both"), folder.path("both"));
    for life in 0..2 {
        let world = World::new();
        // Another container. By its times it may have written the same.
        world.model().made = life;
        let driver = world.driver();
        let mut task = task();
        task.logs = LogTargets { stdout: LogTarget::File(path.clone()), stderr: LogTarget::File(path.clone()) };
        let id: TaskId = driver.start_task(task).unwrap().0.config.id;
        world.write([Written(1, T, format!("line {life}\n").into_bytes()), Written(2, T, b"err\n".to_vec())]);
        world.exit(0);
        exit_of(&driver, &id);
        driver.destroy_task(&id, false).unwrap();
    }
    assert_eq!(fs::read_to_string(file).unwrap(), "line 0\nerr\nline 1\nerr\n");
}

#[test]
fn a_clock_that_was_set_back_while_nobody_followed() {
    let folder = Folder::new();
    let file = folder.path("out");
    let world = World::new();
    let driver = world.driver();
    let handle = started(&driver, LogTarget::File(file.clone()), vec![]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as i64;
    let at = |minutes: i64, text: &str| Written(1, now + minutes * 60_000_000_000, format!("{text}\n").into_bytes());
    let holds = |want: &str| {
        let begun = Instant::now();
        while fs::read_to_string(&file).unwrap() != want {
            assert!(begun.elapsed() < PATIENCE, "{:?}, not {want:?}", fs::read_to_string(&file));
            thread::sleep(Duration::from_millis(10));
        }
    };
    // An hour ahead of what is the time now: the clock was set back since.
    world.write([at(60, "before"), at(61, "before too")]);
    holds("before\nbefore too\n");
    let driver = succeeded(&world, &driver, &handle);
    world.write([at(0, "after")]);
    holds("before\nbefore too\nafter\n");
    world.exit(0);
    exit_of(&driver, &handle.config.id);
    driver.destroy_task(&handle.config.id, false).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "before\nbefore too\nafter\n");
}

#[test]
fn places_that_cannot_be_written_are_told_and_nothing_is_left() {
    let folder = Folder::new();
    fs::write(folder.path("plain"), "").unwrap();
    for (row, target) in [
        ("a folder that is not there", LogTarget::File(folder.path("no/such"))),
        ("a folder", LogTarget::File(folder.path(""))),
        ("a file for a FIFO", LogTarget::Fifo(folder.path("plain"))),
        ("no folder for files", LogTarget::Rotating { path: folder.path("no/t"), max_files: 1, max_file_size: 1 }),
    ] {
        let world = World::new();
        let driver = world.driver();
        let mut task = task();
        task.logs.stdout = target;
        let error = driver.start_task(task).expect_err(row);
        assert!(error.to_string().contains(&*folder.0.to_string_lossy()), "{row}: {error}");
        assert!(world.model().containers.is_empty(), "{row}");
    }
    let world = World::new();
    let driver = world.driver();
    let handle = started(&driver, LogTarget::File("/dev/null".into()), vec![]);
    world.exit(0);
    exit_of(&driver, &handle.config.id);
    driver.destroy_task(&handle.config.id, false).unwrap();
    assert_eq!(world.scripted.count(LOGS), 0, "nothing is collected for nobody");
}

#[test]
fn a_fifo_of_both_streams_waits_for_nobody_and_gets_both() {
    for as_file in [false, true] {
        let folder = Folder::new();
        let path = folder.path("fifo");
        let world = World::new();
        let driver = world.driver();
        // Made, and named as a file.
        drop(started(&driver, LogTarget::Fifo(path.clone()), vec![]));
        let target = || if as_file { LogTarget::File(path.clone()) } else { LogTarget::Fifo(path.clone()) };
        let world = World::new();
        let driver = world.driver();
        let mut task = task();
        task.logs = LogTargets { stdout: target(), stderr: target() };
        let id = driver.start_task(task).unwrap().0.config.id;
        let mut reader = Reader::open(&path);
        world.write([line(0), Written(2, T + 1, b"err\n".to_vec()), line(2)]);
        let got = reader.read_until("both streams", |text| text.ends_with("line 2\n"));
        assert_eq!(got, "line 0\nerr\nline 2\n", "as a file {as_file}");
        world.exit(0);
        exit_of(&driver, &id);
        driver.destroy_task(&id, false).unwrap();
    }
}

#[test]
fn rotating_files_of_both_streams_are_gone_on_with() {
    let folder = Folder::new();
    let path = folder.path("both");
    let world = World::new();
    let target = |max_files| LogTarget::Rotating { path: path.clone(), max_files, max_file_size: 1 << 20 };
    let mut driver = world.driver();
    let mut wrong = task();
    wrong.logs = LogTargets { stdout: target(2), stderr: target(3) };
    assert!(driver.start_task(wrong).unwrap_err().to_string().contains("both"), "each in a way of its own");
    let mut task = task();
    task.logs = LogTargets { stdout: target(2), stderr: target(2) };
    let handle = driver.start_task(task).unwrap().0;
    let mut want = String::new();
    for n in 0..3 {
        world.write([line(2 * n), Written(2, T + 2 * n + 1, b"err\n".to_vec())]);
        want += &format!("{}err\n", text(2 * n, 2 * n + 1));
        eventually(PATIENCE, "it is collected", || {
            fs::read_to_string(folder.path("both.0")).is_ok_and(|text| text == want)
        });
        driver = succeeded(&world, &driver, &handle);
    }
    world.exit(0);
    exit_of(&driver, &handle.config.id);
    driver.destroy_task(&handle.config.id, false).unwrap();
    assert_eq!(fs::read_to_string(folder.path("both.0")).unwrap(), want);
}

#[test]
fn a_line_that_a_restart_interrupts_is_not_torn_between_files() {
    let folder = Folder::new();
    let world = World::new();
    let mut driver = world.driver();
    let target = LogTarget::Rotating { path: folder.path("t"), max_files: 9, max_file_size: 10 };
    let handle = started(&driver, target, vec![]);
    let holds = |name: &str, want: &str| {
        let path = folder.path(name);
        eventually(PATIENCE, name, || fs::read_to_string(&path).is_ok_and(|text| text == want));
    };
    // A line of two records, between which another process takes over.
    world.write([Written(1, T, b"ab\n".to_vec()), Written(1, T + 1, b"begin".to_vec())]);
    holds("t.0", "ab\nbegin");
    driver = succeeded(&world, &driver, &handle);
    world.write([Written(1, T + 1, b"-end-\n".to_vec()), Written(1, T + 2, b"next\n".to_vec())]);
    holds("t.1", "next\n");
    assert_eq!(fs::read_to_string(folder.path("t.0")).unwrap(), "ab\nbegin-end-\n");
    assert_eq!(fs::read(folder.path(".t.0.times")).unwrap().len(), 2 * 16, "two lines have a time");
    world.exit(0);
    exit_of(&driver, &handle.config.id);
    driver.destroy_task(&handle.config.id, false).unwrap();
}

#[test]
fn a_writer_that_takes_a_part_now_gets_the_rest_later() {
    /// Takes three bytes, and then nothing for once.
    struct Slow(Arc<Mutex<Vec<u8>>>, bool);
    impl io::Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if !self.1 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let n = bytes.len().min(3);
            self.0.lock().unwrap().extend_from_slice(&bytes[..n]);
            Ok(n)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let world = World::new();
    let driver = world.driver();
    let written = Arc::new(Mutex::new(Vec::new()));
    let sink = WriteSink::new(Slow(written.clone(), false), io::sink());
    let handle = started(&driver, LogTarget::Null, vec![Box::new(sink)]);
    world.write(lines(0, 2));
    eventually(PATIENCE, "all of it", || written.lock().unwrap().len() >= text(0, 2).len());
    world.exit(0);
    exit_of(&driver, &handle.config.id);
    driver.destroy_task(&handle.config.id, false).unwrap();
    assert_eq!(String::from_utf8(written.lock().unwrap().clone()).unwrap(), text(0, 2));
}

#[test]
fn only_what_is_wanted_is_asked_for() {
    let folder = Folder::new();
    let world = World::new();
    let driver = world.driver();
    let (asked, answered) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
    let (seen, once) = (asked.clone(), answered.clone());
    world.scripted.on(LOGS, move |request| {
        let parameter = |name| request.parameter(name).unwrap_or_default();
        seen.lock().unwrap().push((parameter("stdout"), parameter("stderr"), since(request)));
        once.store(is_follow(request), Ordering::Relaxed);
        None::<Answer>
    });
    let handle = started(&driver, LogTarget::File(folder.path("out")), vec![]);
    eventually(PATIENCE, "a follow", || answered.load(Ordering::Relaxed));
    world.exit(0);
    exit_of(&driver, &handle.config.id);
    driver.destroy_task(&handle.config.id, false).unwrap();
    for (stdout, stderr, _) in asked.lock().unwrap().iter() {
        assert_eq!((stdout.as_str(), stderr.as_str()), ("1", ""));
    }
}

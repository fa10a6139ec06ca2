//! `logs`: files as a collector leaves them, made by hand, and what the Engine holds.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use longshore::driver::{LogTarget, LogTargets, TaskConfig};
use longshore::runner::{AllocState, Allocation, PlacedTask, Policy};

use crate::looks::ran;
use crate::place::{PATIENCE, Place, Ran, Running};
use crate::support::eventually;

const ALLOC: &str = "a1";
const NOWHERE: (&str, &str) = ("DOCKER_HOST", "unix:///nowhere");

/// An allocation of one task whose output is collected.
struct Saved<'a> {
    place: &'a Place,
    state: AllocState,
}

impl<'a> Saved<'a> {
    /// It has ended, and its container is gone.
    fn new(place: &'a Place) -> Self {
        let target = |name: &str| LogTarget::Rotating {
            path: format!("/nowhere/t.{name}").into(),
            max_files: 10,
            max_file_size: 1000,
        };
        let config = TaskConfig {
            id: format!("{ALLOC}/t/1").as_str().into(),
            name: "t".into(),
            alloc_id: ALLOC.into(),
            logs: LogTargets { stdout: target("stdout"), stderr: target("stderr") },
            ..TaskConfig::default()
        };
        let none = Duration::ZERO;
        let restart = Policy { attempts: 0, interval: none, delay: none, waits: false, on_success: false };
        let task = PlacedTask { config, order: (0, 0), kill_signal: None, kill_timeout: none, restart };
        let alloc = Allocation { id: ALLOC.into(), job_id: "j".into(), group: "g".into(), index: 0, tasks: vec![task] };
        let mut state = AllocState::new(&alloc, "unix:///nowhere", "e", false, |_| "t-a1".into());
        (state.ended, state.tasks[0].ended) = (true, true);
        fs::create_dir_all(place.dir.join("data/state")).unwrap();
        let saved = Self { place, state };
        fs::create_dir_all(saved.logs()).unwrap();
        saved.save();
        saved
    }

    fn logs(&self) -> PathBuf {
        self.place.dir.join("data/alloc").join(ALLOC).join("alloc/logs")
    }

    fn save(&self) {
        let path = self.place.dir.join("data/state/a1.json");
        let aside = path.with_extension("aside");
        fs::write(&aside, serde_json::to_vec(&self.state).unwrap()).unwrap();
        fs::rename(aside, path).unwrap();
    }

    /// Runs again, and is owned until what is given is dropped.
    fn owned(&mut self) -> File {
        (self.state.ended, self.state.tasks[0].ended) = (false, false);
        self.save();
        let lock = File::create(self.place.dir.join("data/state/a1.lock")).unwrap();
        lock.try_lock().unwrap();
        lock
    }

    /// Ends for good.
    fn end(&mut self) {
        self.state.tasks[0].ended = true;
        self.save();
    }

    /// Appends a line as a collector does, written at a second of 1970.
    fn line(&self, stream: &str, number: u32, bytes: &[u8], second: i64) {
        let open = |name: String| File::options().append(true).create(true).open(self.logs().join(name)).unwrap();
        let mut file = open(format!("t.{stream}.{number}"));
        let offset = file.metadata().unwrap().len();
        let mut time = offset.to_le_bytes().to_vec();
        time.extend((second * 1_000_000_000).to_le_bytes());
        open(format!(".t.{stream}.{number}.times")).write_all(&time).unwrap();
        file.write_all(bytes).unwrap();
    }
}

fn alone(place: &Place, args: &[&str]) -> Ran {
    let args: Vec<&str> = ["logs"].into_iter().chain(args.iter().copied()).collect();
    Ran::of(place.longshore(&args).env(NOWHERE.0, NOWHERE.1).output().unwrap())
}

#[test]
fn wrong_usage() {
    let place = Place::new();
    for args in [
        &[][..],
        &["t", "--since", "yesterday"],
        &["t", "--until", "-5s"],
        &["t", "--tail", "x"],
        &["t", "-f", "--until", "5m"],
        &["a", "b"],
    ] {
        let ran = alone(&place, args);
        assert_eq!((ran.code, ran.out.as_str(), ran.err.lines().count()), (2, "", 1), "{args:?}: {}", ran.err);
    }
    for args in [&["t"][..], &["-f", "a/t"]] {
        let ran = alone(&place, args);
        assert_eq!((ran.code, ran.out.as_str()), (125, ""), "{args:?}");
        assert!(ran.err.starts_with("longshore: no task is called `"), "{}", ran.err);
    }
    assert!(!place.dir.join("data").exists(), "looking makes nothing");
}

#[test]
fn what_is_collected() {
    let place = Place::new();
    let saved = Saved::new(&place);
    let nothing = alone(&place, &["t"]);
    assert_eq!((nothing.code, nothing.out.as_str(), nothing.err.as_str()), (0, "", ""));
    saved.line("stdout", 7, b"one\n", 10);
    saved.line("stderr", 0, b"ONE\n", 11);
    saved.line("stdout", 8, b"two\n", 12);
    saved.line("stderr", 0, b"TWO\n", 13);
    saved.line("stdout", 8, b"three", 14);
    let stamp = |second: u32| format!("1970-01-01T00:00:{second}.000000000Z");
    for (args, out, err) in [
        (&["t"][..], "one\ntwo\nthree", "ONE\nTWO\n"),
        (&["a1/t", "-f"], "one\ntwo\nthree", "ONE\nTWO\n"),
        (&["a1", "--stdout", "--stderr"], "one\ntwo\nthree", "ONE\nTWO\n"),
        (&["t", "--stdout"], "one\ntwo\nthree", ""),
        (&["t", "--stderr"], "", "ONE\nTWO\n"),
        (&["t", "--tail", "0"], "", ""),
        (&["t", "--tail", "2"], "three", "TWO\n"),
        (&["t", "-f", "-n", "2", "--stdout"], "two\nthree", ""),
        (&["t", "--tail", "100"], "one\ntwo\nthree", "ONE\nTWO\n"),
        (&["t", "--since", "12"], "two\nthree", "TWO\n"),
        (&["t", "--until", "1970-01-01T00:00:11Z"], "one\n", "ONE\n"),
        (&["t", "--since", "10.5", "--until", "12", "--tail", "1"], "two\n", ""),
        (&["t", "--since", "1h"], "", ""),
        (&["t", "--until", "1h"], "one\ntwo\nthree", "ONE\nTWO\n"),
        (
            &["t", "--timestamps", "--tail", "3"],
            &format!("{} two\n{} three", stamp(12), stamp(14)),
            &format!("{} TWO\n", stamp(13)),
        ),
    ] {
        let ran = alone(&place, args);
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, out, err), "{args:?}");
    }
    // In one place they come in the order in which they were written.
    let both = place.dir.join("both");
    let to = File::create(&both).unwrap();
    let status = place.longshore(&["logs", "t"]).stdout(to.try_clone().unwrap()).stderr(to).status().unwrap();
    assert!(status.success());
    assert_eq!(fs::read_to_string(both).unwrap(), "one\nONE\ntwo\nTWO\nthree");
    // Another one of this name, alive, is meant before it.
    let mut other = saved.state.clone();
    (other.alloc_id, other.ended, other.tasks[0].config.alloc_id) = ("b2".into(), false, "b2".into());
    fs::write(place.dir.join("data/state/b2.json"), serde_json::to_vec(&other).unwrap()).unwrap();
    assert_eq!(alone(&place, &["t"]).out, "");
    other.ended = true;
    fs::write(place.dir.join("data/state/b2.json"), serde_json::to_vec(&other).unwrap()).unwrap();
    let ambiguous = alone(&place, &["t"]);
    assert!(ambiguous.code == 125 && ambiguous.err.contains("a1/t, b2/t"), "{}", ambiguous.err);
}

#[test]
fn bytes_pass_as_they_are() {
    let place = Place::new();
    let saved = Saved::new(&place);
    let mut long = vec![b'x'; 200_000];
    long[77] = 0xff;
    long.push(b'\n');
    saved.line("stdout", 0, b"\xff\0\r\n", 1);
    saved.line("stdout", 0, &long, 2);
    saved.line("stdout", 0, b"\xe4 end", 3);
    let output = place.longshore(&["logs", "t"]).output().unwrap();
    assert_eq!(output.stdout, [&b"\xff\0\r\n"[..], &long, b"\xe4 end"].concat());
}

#[test]
fn readers_that_leave_and_disks_that_are_full() {
    let place = Place::new();
    let saved = Saved::new(&place);
    for n in 0..20_000 {
        if n % 100 == 0 {
            saved.line("stdout", 0, &b"a line of some length\n".repeat(100), n);
        }
    }
    let mut child = place.longshore(&["logs", "t"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 6];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let left = Ran::of(child.wait_with_output().unwrap());
    assert_eq!((left.code, left.err.as_str(), &first), (0, "", b"a line"));
    let full = File::options().write(true).open("/dev/full").unwrap();
    let full = Ran::of(place.longshore(&["logs", "t"]).stdout(full).stderr(Stdio::piped()).output().unwrap());
    assert!(full.code == 125 && full.err.contains("cannot write to standard output"), "{}", full.err);
    assert_eq!(full.err.lines().count(), 1);
}

#[test]
fn an_engine_that_is_away() {
    let place = Place::new();
    let mut saved = Saved::new(&place);
    saved.line("stdout", 0, b"one\n", 1);
    saved.line("stdout", 0, b"two\n", 2);
    drop(saved.owned());
    for (args, out) in [(&["t"][..], "one\ntwo\n"), (&["t", "--tail", "1"], "two\n"), (&["t", "-f"], "one\ntwo\n")] {
        let ran = alone(&place, args);
        assert_eq!((ran.code, ran.out.as_str(), ran.err.lines().count()), (125, out, 1), "{args:?}: {}", ran.err);
        assert!(ran.err.contains("what is not collected of task `t` cannot be had"), "{}", ran.err);
    }
    // Who collects it has it all: the Engine is not asked.
    let _lock = saved.owned();
    let ran = alone(&place, &["t"]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "one\ntwo\n", ""));
}

#[test]
fn following_who_collects() {
    let place = Place::new();
    let mut saved = Saved::new(&place);
    let lock = saved.owned();
    saved.line("stdout", 0, b"old\n", 1);
    saved.line("stdout", 0, b"one\n", 2);
    let mut command = place.longshore(&["logs", "-f", "t", "--tail", "1"]);
    command.env(NOWHERE.0, NOWHERE.1);
    let mut running = Running::start(command);
    running.wait_for("one");
    let begun = Instant::now();
    saved.line("stdout", 0, b"two\n", 3);
    running.wait_for("two");
    // In the middle of the second between two looks, or its machine is busy; far from a minute.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    for number in 1..20 {
        saved.line("stdout", number, format!("file {number}\n").as_bytes(), 3);
        if number % 5 == 0 {
            running.wait_for(&format!("file {number}"));
        }
    }
    saved.line("stderr", 0, b"on the other\n", 4);
    saved.line("stdout", 19, b"last", 5);
    saved.end();
    let ended = running.end();
    let want = format!("one\ntwo\n{}last\n", (1..20).map(|n| format!("file {n}\n")).collect::<String>());
    assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (0, want.as_str(), "on the other\n"));
    drop(lock);
}

#[test]
fn a_reader_that_leaves_ends_it_though_nothing_more_is_written() {
    let place = Place::new();
    let mut saved = Saved::new(&place);
    let _lock = saved.owned();
    for (row, args, stream) in [
        ("logs", &["logs", "-f", "t"][..], "stdout"),
        ("logs of standard output", &["logs", "-f", "--stdout", "t"], "stdout"),
        ("logs of standard error", &["logs", "-f", "--stderr", "t"], "stderr"),
        ("events", &["events"], ""),
    ] {
        if !stream.is_empty() {
            saved.line(stream, 0, b"seen\n", 1);
        }
        let mut child = place.longshore(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0; 5];
        match stream {
            "stdout" => child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap(),
            "stderr" => child.stderr.as_mut().unwrap().read_exact(&mut first).unwrap(),
            _ => {}
        }
        match stream {
            "stderr" => drop(child.stderr.take()),
            _ => drop(child.stdout.take()),
        }
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if begun.elapsed() > PATIENCE {
                child.kill().unwrap();
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        assert_eq!(status.code(), Some(0), "{row}");
    }
}

#[test]
fn ctrl_c_ends_it() {
    let place = Place::new();
    let mut saved = Saved::new(&place);
    let _lock = saved.owned();
    saved.line("stdout", 0, b"one\n", 1);
    let mut running = Running::start(place.longshore(&["logs", "-f", "t"]));
    running.wait_for("one");
    running.signal("INT");
    let ended = running.end();
    assert_eq!((ended.code, ended.err.as_str()), (130, ""));
}

/// Starts a job and leaves it.
#[track_caller]
fn detach(place: &Place, script: &str, task: &str) {
    let file = place.job(&[("t", script)], "", task);
    let ran = place.run(&file, &["--detach", "--alloc-id", &place.name]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
}

#[test]
#[ignore = "needs an Engine"]
fn what_only_the_engine_holds() {
    let place = Place::new();
    detach(
        &place,
        "echo one; sleep 0.2; echo ONE >&2; sleep 0.2; i=0; while [ $i -lt 30000 ]; do echo -n x; i=$((i+1)); done; echo; \
         sleep 0.2; printf 'end \\377'; while [ ! -e /local/go ]; do sleep 0.1; done; echo; echo late",
        "",
    );
    let long = "x".repeat(30_000);
    // json-file has no bytes that are not UTF-8.
    eventually(PATIENCE, "it has written", || ran(&place, &["logs", "t", "--stderr"]).err == "ONE\n");
    eventually(PATIENCE, "more", || ran(&place, &["logs", "t"]).out.contains("xx\n"));
    for (args, out, err) in [
        (&["--stdout"][..], format!("one\n{long}\n"), ""),
        (&["--tail", "1"], format!("{long}\n"), ""),
        (&["--tail", "2"], format!("{long}\n"), "ONE\n"),
        (&["--tail", "9"], format!("one\n{long}\n"), "ONE\n"),
        (&["--since", "1h"], format!("one\n{long}\n"), "ONE\n"),
        (&["--until", "1h"], String::new(), ""),
    ] {
        let all: Vec<&str> = ["logs", "t"].into_iter().chain(args.iter().copied()).collect();
        let ran = ran(&place, &all);
        assert_eq!((ran.code, ran.err.as_str()), (0, err), "{args:?}");
        assert!(ran.out == out, "{args:?}: {} bytes, not {}", ran.out.len(), out.len());
    }
    let stamped = ran(&place, &["logs", "t", "--timestamps", "--tail", "2"]);
    let (stamp, line) = stamped.out.split_once(' ').unwrap();
    assert_eq!((stamp.len(), line.len()), ("2026-11-25T03:36:02.843543396Z".len(), long.len() + 1));
    let since = ran(&place, &["logs", "t", "--since", stamp]);
    assert!(since.out.starts_with("xxx") && since.err.is_empty(), "itself included");

    let mut follow = Running::start(place.longshore(&["logs", "-f", "t", "--tail", "1"]));
    follow.wait_for("xxx");
    File::create(place.dir.join("data/alloc").join(&place.name).join("t/local/go")).unwrap();
    follow.wait_for("late");
    let ended = follow.end();
    assert_eq!((ended.code, ended.err.as_str()), (0, ""), "nobody owns it, and it has ended");
    assert_eq!(ended.out.lines().count(), 3, "{:?}", ended.out.get(30_000..));
    place.remove_containers();
    let gone = ran(&place, &["logs", "t"]);
    assert_eq!(gone.code, 0);
    let (told, err): (Vec<&str>, Vec<&str>) = gone.err.lines().partition(|line| line.contains("is gone"));
    assert_eq!(told.len(), 1, "{}", gone.err);
    // How long it takes until it is left depends on the machine.
    let collected = format!("one\n{long}\nend ").starts_with(&gone.out) && "ONE".starts_with(&err.concat());
    assert!(collected, "no more than was collected before it was left: {:?}, {:?}", gone.out, gone.err);
}

#[test]
#[ignore = "needs an Engine"]
fn a_terminals_output() {
    let place = Place::new();
    let file = place.job(&[("t", "echo one; echo two >&2; sleep 1000")], "", "");
    let text = fs::read_to_string(&file).unwrap().replace("network_mode", "tty = true\n network_mode");
    fs::write(&file, text).unwrap();
    assert_eq!(place.run(&file, &["--detach", "--alloc-id", &place.name]).code, 0);
    eventually(PATIENCE, "it has written", || ran(&place, &["logs", "t"]).out == "one\r\ntwo\r\n");
    assert_eq!(ran(&place, &["logs", "t", "--tail", "1"]).out, "two\r\n");
    assert_eq!(ran(&place, &["logs", "t", "--stderr"]).out, "", "there is one stream");
    let mut follow = Running::start(place.longshore(&["logs", "-f", "t"]));
    follow.wait_for("two");
    follow.signal("INT");
    assert_eq!(follow.end().code, 130);
    place.remove_containers();
}

//! A run in odd circumstances: odd places for its data, others who meddle with its container, signals at bad moments.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use longshore::engine::{InspectQuery, KillQuery, RemoveQuery, StopQuery};

use crate::looks::ran;
use crate::place::{PATIENCE, Place, Ran, Running};
use crate::support::{eventually, rounds};

const POLITE: &str = "trap 'exit 5' TERM; echo up; while :; do sleep 0.1; done";
const STUBBORN: &str = "trap '' TERM INT; echo up; while :; do sleep 0.1; done";
const FORCE: RemoveQuery = RemoveQuery { force: true, volumes: true, link: false };

#[test]
#[ignore = "needs an Engine"]
fn data_directories_of_odd_names() {
    let place = Place::new();
    let file = place.job(&[("t", "echo here > /local/f")], "", "");
    for name in ["a b", "a,b=c", "ä☃", "q\"'\\z", "$HOME", "-x", "new\nline"] {
        let dir = place.dir.join(name);
        let args = ["--data-dir", dir.to_str().unwrap(), "run", &file, "--alloc-id", &place.name];
        let ran = Ran::of(place.longshore(&args).output().unwrap());
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{name:?}");
        let written = dir.join("alloc").join(&place.name).join("t/local/f");
        assert_eq!(fs::read_to_string(written).ok().as_deref(), Some("here\n"), "{name:?}");
    }
    // Docker splits a bind at its colons.
    let dir = place.dir.join("a:b");
    let ran = Ran::of(place.longshore(&["--data-dir", dir.to_str().unwrap(), "run", &file]).output().unwrap());
    assert!(ran.code == 125 && ran.err.contains(dir.to_str().unwrap()) && ran.err.contains("`:`"), "{}", ran.err);
}

#[test]
#[ignore = "needs an Engine"]
fn states_that_are_none_are_named_and_nothing_starts() {
    let place = Place::new();
    let file = place.job(&[("t", "echo ran")], "", "");
    assert_eq!(place.run(&file, &["--alloc-id", &place.name]).code, 0);
    let path = place.dir.join(format!("data/state/{}.json", place.name));
    let good = fs::read_to_string(&path).unwrap();
    for (row, text, word) in [
        ("empty", String::new(), "move the file away"),
        ("cut off", good[..good.len() / 2].into(), "move the file away"),
        ("of the future", good.replace("\"version\": 1", "\"version\": 2"), "version 2"),
        ("of another", good.replace(&place.name, "other"), "other"),
    ] {
        fs::write(&path, text).unwrap();
        let ran = place.run(&file, &[]);
        assert_eq!((ran.code, ran.out.as_str()), (125, ""), "{row}: {}", ran.err);
        assert_eq!(ran.err.lines().count(), 1, "{row}: {}", ran.err);
        assert!(ran.err.contains(path.to_str().unwrap()) && ran.err.contains(word), "{row}: {}", ran.err);
    }
    // One that was left on another Engine says nothing of what runs here: it may be alive there.
    let engine_id = serde_json::from_str::<serde_json::Value>(&good).unwrap()["engine_id"].to_string();
    let elsewhere = good.replace(&engine_id, "\"elsewhere\"").replace("\"ended\": true", "\"ended\": false");
    fs::write(&path, &elsewhere).unwrap();
    let ran = place.run(&file, &[]);
    assert!(ran.code == 125 && ran.err.contains("which is not this one"), "{}", ran.err);
    fs::remove_file(&path).unwrap();
    // A lock that nobody holds is none, whatever it says.
    fs::write(place.dir.join(format!("data/state/{}.lock", place.name)), "1\nis alive\n").unwrap();
    let ran = place.run(&file, &["--alloc-id", &place.name]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "ran\n", ""));
}

#[test]
#[ignore = "needs an Engine"]
fn somebody_else_kills_or_removes_the_container() {
    let place = Place::new();
    let engine = place.engine();
    let file = place.job(&[("t", POLITE)], "", "");
    for (row, code) in [("removes", 137), ("kills", 137), ("stops", 5)] {
        let mut running = Running::start(place.longshore(&["run", &file]));
        running.wait_for("up");
        let name = &place.containers()[0];
        match row {
            "removes" => engine.container_remove(name, &FORCE).unwrap(),
            "kills" => engine.container_kill(name, &KillQuery::default()).unwrap(),
            _ => drop(engine.container_stop(name, &StopQuery::default()).unwrap()),
        }
        let ran = running.end();
        assert_eq!(ran.code, code, "{row}: {}", ran.err);
        assert!(ran.err.contains("exited with code"), "{row}: {}", ran.err);
        assert_eq!(place.containers(), Vec::<String>::new(), "{row}");
    }
}

#[test]
#[ignore = "needs an Engine"]
fn its_data_directory_goes_away() {
    let place = Place::new();
    let file = place.job(&[("t", POLITE)], "", "");
    let mut running = Running::start(place.longshore(&["run", &file]));
    running.wait_for("up");
    let name = place.containers()[0].clone();
    fs::remove_dir_all(place.dir.join("data")).unwrap();
    running.signal("TERM");
    let ran = running.end();
    let left = place.engine().container_inspect(&name, &InspectQuery::default());
    // Without the directory the place cannot find it.
    let _ = place.engine().container_remove(&name, &FORCE);
    assert_eq!(ran.code, 5, "{}", ran.err);
    assert!(ran.err.contains("data/state"), "it says what it could not write: {}", ran.err);
    assert!(left.is_err_and(|error| error.is_not_found()), "{name} is left");
}

/// A small disk of its own below a place's data directory, unmounted when the test ends.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn new(place: &Place) -> Self {
        let dir = place.dir.join("data");
        fs::create_dir(&dir).unwrap();
        let mount = |args: &[&str]| Command::new("mount").args(args).arg(&dir).status().unwrap().success();
        assert!(mount(&["-t", "tmpfs", "-o", "size=256k,mode=700", "longshore-test"]));
        Self(dir)
    }

    /// Leaves no room.
    fn fill(&self) {
        let mut file = fs::File::create(self.0.join("filler")).unwrap();
        while std::io::Write::write_all(&mut file, &[0; 512]).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
#[ignore = "needs an Engine"]
fn a_disk_that_can_only_be_read_is_looked_at() {
    let place = Place::new();
    let disk = SmallDisk::new(&place);
    let file = place.job(&[("t", POLITE)], "", "");
    let mut running = Running::start(place.longshore(&["run", &file]));
    running.wait_for("up");
    let pid = running.child.id();
    // Whoever looks first makes the file by which lookers are told from owners.
    assert_eq!(ran(&place, &["ps"]).code, 0);
    let seen = SmallDisk(place.dir.join("read-only"));
    fs::create_dir(&seen.0).unwrap();
    let mount = |args: &[&str]| Command::new("mount").args(args).arg(&seen.0).status().unwrap().success();
    assert!(mount(&["--bind", &disk.0.display().to_string()]) && mount(&["-o", "remount,bind,ro"]));
    let list = ran(&place, &["--data-dir", &seen.0.display().to_string(), "ps"]);
    assert_eq!((list.code, list.err.as_str()), (0, ""));
    assert!(list.out.contains(&pid.to_string()), "{}", list.out);
    running.signal("TERM");
    assert_eq!(running.end().code, 5);
}

#[test]
#[ignore = "needs an Engine"]
fn a_full_disk_keeps_no_task_alive_that_nobody_owns() {
    let place = Place::new();
    let disk = SmallDisk::new(&place);
    let file = place.job(&[("t", POLITE)], "", "");
    assert_eq!(place.run(&file, &["--detach"]).code, 0);
    disk.fill();
    let destroyed = ran(&place, &["destroy", "--force", "t"]);
    assert!(destroyed.code == 125 && destroyed.err.contains("wish.json"), "{}", destroyed.err);
    assert_eq!(place.containers(), Vec::<String>::new());
}

#[test]
#[ignore = "needs an Engine"]
fn a_full_disk_starts_nothing_and_loses_no_task() {
    let place = Place::new();
    let disk = SmallDisk::new(&place);
    let file = place.job(&[("t", POLITE)], "", "");
    let mut running = Running::start(place.longshore(&["run", &file]));
    running.wait_for("up");
    // A start that was never written down is made up for by who recovers it.
    eventually(PATIENCE, "its start is written down", || !place.state()["tasks"][0]["handle"].is_null());
    disk.fill();
    // What is written before a container is made cannot be: none is made.
    let refused =
        place.run(&place.file("other.nomad.hcl", &fs::read_to_string(&file).unwrap().replace(&place.name, "o")), &[]);
    assert_eq!(refused.code, 125, "{}", refused.err);
    assert!(refused.err.contains("No space left on device"), "{}", refused.err);
    assert_eq!(place.containers().len(), 1);
    let refused = ran(&place, &["destroy", "--force", "t"]);
    assert!(refused.code == 125 && refused.err.contains("wish.json"), "{}", refused.err);
    assert_eq!(place.containers().len(), 1);
    // What fills the disk, perhaps, can be stopped, by somebody else too; that he cannot tell its owner is told.
    let stopped = ran(&place, &["stop", "t"]);
    assert!(stopped.code == 125 && stopped.err.contains("was stopped"), "{}", stopped.err);
    let ran = running.end();
    assert_eq!(ran.code, 5, "{}", ran.err);
    assert!(ran.err.contains("No space left on device"), "{}", ran.err);
    assert_eq!(place.containers(), Vec::<String>::new());
    // With room again nobody takes what has ended for something that runs.
    fs::remove_file(disk.0.join("filler")).unwrap();
    let taken_up = Ran::of(place.longshore(&["recover", "--all"]).output().unwrap());
    assert_eq!(place.containers(), Vec::<String>::new(), "{}", taken_up.err);
}

#[test]
#[ignore = "needs an Engine"]
fn ctrl_c_held_down_leaves_nothing() {
    let place = Place::new();
    let file = place.job(&[("t", STUBBORN)], "", "kill_timeout = \"60s\"");
    let mut running = Running::start(place.longshore(&["run", &file]));
    running.wait_for("up");
    let begun = Instant::now();
    // As a keyboard repeats, until the run has ended.
    for _ in 0..6 {
        if running.child.try_wait().unwrap().is_none() {
            running.signal("INT");
        }
        std::thread::sleep(Duration::from_millis(30));
    }
    let ran = running.end();
    assert_eq!(ran.code, 130, "{}", ran.err);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(place.containers(), Vec::<String>::new());
}

#[test]
#[ignore = "needs an Engine"]
fn ignored_signals() {
    let place = Place::new();
    let file = place.job(&[("t", POLITE)], "", "");
    let ignoring = |ignored: &str| {
        let command = place.longshore(&["run", &file]);
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("trap '' {ignored}; exec \"$0\" \"$@\"")]);
        shell.arg(command.get_program()).args(command.get_args());
        shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
        shell
    };
    // What a script starts in the background ignores Ctrl-C; a task is to be ended by one all the same.
    let mut running = Running::start(ignoring("INT"));
    running.wait_for("up");
    running.signal("INT");
    assert_eq!(running.end().code, 5);
    // nohup means it.
    let mut running = Running::start(ignoring("HUP"));
    running.wait_for("up");
    running.signal("HUP");
    std::thread::sleep(Duration::from_millis(500)); // For a stop that must not come.
    assert!(running.child.try_wait().unwrap().is_none(), "it runs on");
    assert_eq!(place.containers().len(), 1);
    running.signal("TERM");
    assert_eq!(running.end().code, 5);
}

#[test]
#[ignore = "needs an Engine"]
fn a_signal_at_any_moment_of_the_start() {
    let place = Place::new();
    let file = place.job(&[("t", POLITE)], "", "");
    for round in 0..rounds(12, 200) {
        let running = Running::start(place.longshore(&["run", &file]));
        let pause = Duration::from_millis(u64::from(round % 20) * 25 + 5);
        std::thread::sleep(pause);
        running.signal("TERM");
        let ran = running.end();
        // Before it listens (-1: the signal), before the task was started, before its shell had set the trap, after.
        assert!([-1, 130, 143, 137, 5].contains(&ran.code), "after {pause:?}: {}: {}", ran.code, ran.err);
        assert_eq!(place.containers(), Vec::<String>::new(), "after {pause:?}: {}", ran.err);
    }
}

#[test]
#[ignore = "needs an Engine"]
fn a_job_of_many_tasks() {
    let place = Place::new();
    let names: Vec<String> = (0..12).map(|n| format!("t{n}")).collect();
    let scripts: Vec<String> = (0..12).map(|n| format!("seq 500; exit {}", if n == 7 { 7 } else { 0 })).collect();
    let tasks: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(scripts.iter().map(String::as_str)).collect();
    let ran = place.run(&place.job(&tasks, "", ""), &[]);
    assert_eq!(ran.code, 7, "{}", ran.err);
    let want: Vec<String> = (1..=500).map(|n| n.to_string()).collect();
    for name in &names {
        let prefix = format!("{name:3} │ ");
        let lines: Vec<&str> = ran.out.lines().filter_map(|line| line.strip_prefix(&prefix)).collect();
        assert_eq!(lines, want, "{name}");
    }
    assert_eq!(ran.out.lines().count(), 12 * 500);
}

#[test]
#[ignore = "needs an Engine"]
fn bytes_pass_through_as_they_are() {
    let place = Place::new();
    // From 128 on the Engine itself keeps U+FFFD in place of what is no UTF-8.
    let script = "i=0; while [ $i -lt 128 ]; do printf \"\\\\$(printf %o $i)\"; i=$((i+1)); done; \
                  head -c 1000000 /dev/zero";
    let file = place.job(&[("t", script)], "", "");
    let done = place.longshore(&["run", &file]).output().unwrap();
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    let want: Vec<u8> = (0..=127).chain(std::iter::repeat_n(0, 1_000_000)).collect();
    assert!(done.stdout == want, "{} bytes instead of {}", done.stdout.len(), want.len());
}

#[test]
#[ignore = "needs an Engine"]
fn long_lines_of_two_tasks_and_their_times() {
    let place = Place::new();
    let long = |word: &str| format!("for i in 1 2 3; do head -c 1048576 /dev/zero | tr '\\0' {word}; echo; done");
    let file = place.job(&[("a", &long("a")), ("b", &long("b"))], "", "");
    let ran = place.run(&file, &["--timestamps"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), 6);
    for line in lines {
        let (name, rest) = line.split_once(" │ ").unwrap();
        let (stamp, text) = rest.split_once(' ').unwrap();
        assert!(stamp.starts_with("20") && stamp.ends_with('Z'), "{stamp}");
        assert!(text.len() == 1 << 20 && text.bytes().all(|byte| byte == name.as_bytes()[0]), "{name} is broken");
    }
}

#[test]
#[ignore = "needs an Engine"]
fn restarts_without_a_pause() {
    let place = Place::new();
    let restart = "restart {\n attempts = 2\n delay = \"0s\"\n interval = \"10m\"\n mode = \"fail\"\n }";
    let ran = place.run(&place.job(&[("t", "echo try; exit 3")], restart, ""), &[]);
    assert_eq!((ran.code, ran.out.as_str()), (3, "try\ntry\ntry\n"), "{}", ran.err);
}

/// The program under a limit of open files that it cannot raise.
fn limited(place: &Place, files: u32, args: &[&str]) -> Command {
    let command = place.longshore(args);
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -n {files}; exec \"$0\" \"$@\"")]).arg(command.get_program());
    shell.args(command.get_args()).stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

#[test]
fn the_limit_of_open_files_is_raised() {
    let place = Place::new();
    let command = place.longshore(&["replay", "--listen", "tcp://127.0.0.1:0"]);
    let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/cassettes/hello.har");
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -Sn 64; exec \"$0\" \"$@\""]).arg(command.get_program()).args(command.get_args());
    let child = shell.arg(recording).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let limits = std::path::PathBuf::from(format!("/proc/{}/limits", child.id()));
    let soft_and_hard = || {
        let text = fs::read_to_string(&limits).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
        line.split_whitespace().skip(3).take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    let running = Killed(child);
    eventually(PATIENCE, "the limit is raised", || {
        let limits = soft_and_hard();
        limits.len() == 2 && limits[0] == limits[1] && limits[0] != "64"
    });
    drop(running);
}

/// A process of the test's own, killed at its end.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs an Engine"]
fn many_tasks_at_the_usual_limit() {
    let place = Place::new();
    let tasks = rounds(12, 300);
    let pause = if tasks > 50 { "2" } else { "0.1" };
    let script = format!("trap 'exit 5' TERM; while :; do echo up; sleep {pause} & wait $!; done");
    let file = place.job(&[("t", &script)], &format!("count = {tasks}"), "");
    // Where there are plenty, busy tasks hold their files, too.
    let running = Running::start(limited(&place, if tasks > 50 { 1024 } else { 128 }, &["run", &file]));
    let fds = format!("/proc/{}/fd", running.child.id());
    let long = Duration::from_secs(60 + 10 * u64::from(tasks));
    // Each has an allocation of its own, and writes into its files.
    let collected = || {
        let allocs = fs::read_dir(place.dir.join("data/alloc")).into_iter().flatten().flatten();
        let logs = allocs.map(|alloc| alloc.path().join("alloc/logs/t.stdout.0"));
        logs.filter(|file| file.metadata().is_ok_and(|file| file.len() > 0)).count()
    };
    eventually(long, "all run and are collected", || collected() == tasks as usize);
    let most = (0..100).map(|_| {
        std::thread::sleep(Duration::from_millis(20));
        fs::read_dir(&fds).unwrap().count()
    });
    let most = most.max().unwrap();
    println!("{most} descriptors for {tasks} tasks: {:.2} each", most as f64 / f64::from(tasks));
    // The program's own: streams, signals, what is open at the moment.
    assert!(most < 4 * tasks as usize + 16, "{most} descriptors for {tasks} tasks");
    assert_eq!(place.containers().len(), tasks as usize);
    running.signal("TERM");
    let mut running = running;
    eventually(long, "it ends", || running.child.try_wait().unwrap().is_some());
    let ran = running.end();
    assert_eq!(ran.code, 5, "{}", ran.err);
    assert!(!ran.err.to_lowercase().contains("too many open files"), "{}", ran.err);
    assert_eq!(place.containers(), Vec::<String>::new());
}

#[test]
#[ignore = "needs an Engine"]
fn output_lost_to_a_full_disk_is_no_success() {
    let place = Place::new();
    fs::create_dir_all(place.dir.join("data")).unwrap();
    // The state has room, the output has not.
    let alloc = SmallDisk(place.dir.join("data/alloc"));
    fs::create_dir(&alloc.0).unwrap();
    let mount = |args: &[&str]| Command::new("mount").args(args).arg(&alloc.0).status().unwrap().success();
    assert!(mount(&["-t", "tmpfs", "-o", "size=256k,mode=711", "longshore-test"]));
    let file = place.job(&[("t", "head -c 3000000 /dev/zero | tr '\\0' x | fold -w 100; exit $CODE")], "", "");
    let text = fs::read_to_string(&file).unwrap();
    for (code, want) in [("0", 125), ("7", 7)] {
        let ran = place.run(&place.file("job.nomad.hcl", &text.replace("$CODE", code)), &[]);
        assert_eq!(ran.code, want, "{}", ran.err);
        assert!(ran.err.contains("Output is lost"), "{}", ran.err);
    }
}

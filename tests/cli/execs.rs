//! `exec`: streams, codes, times, terminals.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};

use crate::looks::ran;
use crate::place::{PATIENCE, Place, Ran, Running};
use crate::support::eventually;

/// A task that only waits for commands.
struct Waiting {
    /// Dropped first: it ends before its place is looked at.
    running: Option<Running>,
    place: Place,
}

impl Waiting {
    fn new() -> Self {
        let place = Place::new();
        let file = place.job(&[("t", "trap 'exit 0' TERM; echo up; while :; do sleep 0.1; done")], "", "");
        let mut running = Running::start(place.longshore(&["run", &file, "--alloc-id", &place.name]));
        running.wait_for("up");
        Self { running: Some(running), place }
    }

    fn end(mut self) {
        let running = self.running.take().unwrap();
        running.signal("TERM");
        assert_eq!(running.end().code, 0);
    }
}

#[test]
fn wrong_usage() {
    let place = Place::new();
    for args in [
        &["exec", "t"][..],
        &["exec", "--timeout", "soon", "t", "--", "x"],
        &["exec", "--detach-keys", "ctrl-1", "t", "--", "x"],
        &["exec", "-it", "t", "--", "sh"],
    ] {
        let ran = ran(&place, args);
        assert_eq!((ran.code, ran.err.lines().count()), (2, 1), "{args:?}: {}", ran.err);
    }
}

#[test]
#[ignore = "needs an Engine"]
fn streams_and_codes() {
    let waiting = Waiting::new();
    let place = &waiting.place;
    for (row, args, input, out, err, code) in [
        (
            "both streams and its code",
            &["exec", "t", "--", "sh", "-c", "echo out; echo err >&2; exit 43"][..],
            "",
            "out\n",
            "err\n",
            43,
        ),
        ("without the dashes", &["exec", "t", "echo", "-n", "x"], "", "x", "", 0),
        ("nothing to read", &["exec", "t", "--", "cat"], "not read", "", "", 0),
        ("what is read", &["exec", "-i", "t", "--", "sh", "-c", "cat; echo end"], "in\nput", "in\nputend\n", "", 0),
        (
            "a terminal without keys",
            &["exec", "-t", "t", "--", "sh", "-c", "test -t 1 && echo tty"],
            "",
            "tty\r\n",
            "",
            0,
        ),
        ("by allocation and task", &["exec", &format!("{}/t", place.name), "--", "true"], "", "", "", 0),
    ] {
        let mut command = place.longshore(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let ran = Ran::of(child.wait_with_output().unwrap());
        assert_eq!((ran.out.as_str(), ran.err.as_str(), ran.code), (out, err, code), "{row}");
    }
    let missing = ran(place, &["exec", "t", "--", "/no/such"]);
    assert!([126, 127].contains(&missing.code), "{missing:?}");
    let big = ran(place, &["exec", "t", "--", "head", "-c", "3000000", "/dev/zero"]);
    assert_eq!((big.code, big.out.len()), (0, 3_000_000));
    waiting.end();
}

#[test]
#[ignore = "needs an Engine"]
fn out_of_time() {
    let waiting = Waiting::new();
    for tty in [&[][..], &["-t"]] {
        let begun = Instant::now();
        let args: Vec<&str> =
            ["exec", "--timeout", "1s"].iter().chain(tty).copied().chain(["t", "--", "sleep", "4321"]).collect();
        let ran = ran(&waiting.place, &args);
        assert_eq!((ran.code, ran.err.lines().count()), (124, 1), "{}", ran.err);
        assert!(ran.err.contains("did not end within 1s; it was killed"), "{}", ran.err);
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
    let left = ran(&waiting.place, &["exec", "t", "--", "sh", "-c", "pgrep -f '[s]leep 4321' | wc -l"]);
    assert_eq!(left.out.trim(), "0", "{}", left.err);
    waiting.end();
}

#[test]
#[ignore = "needs an Engine"]
fn a_task_that_does_not_run() {
    let place = Place::new();
    let file = place.job(&[("t", "exit 4")], "", "");
    assert_eq!(place.run(&file, &["--keep", "--alloc-id", &place.name]).code, 4);
    let ran = ran(&place, &["exec", &place.name, "--", "true"]);
    place.remove_containers();
    assert!(ran.code == 125 && ran.err.contains("not running") && ran.err.lines().count() == 1, "{}", ran.err);
}

/// A program on a terminal of its own.
struct OnTerminal {
    child: Child,
    keys: File,
    shown: Arc<Mutex<String>>,
    /// The program's side: its modes can be asked.
    side: File,
}

impl OnTerminal {
    fn start(place: &Place, args: &[&str]) -> Self {
        let ours = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY).unwrap();
        rustix::pty::grantpt(&ours).unwrap();
        rustix::pty::unlockpt(&ours).unwrap();
        let name = rustix::pty::ptsname(&ours, Vec::new()).unwrap();
        let side = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let size = Winsize { ws_row: 33, ws_col: 111, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&side, size).unwrap();
        let mut command = place.longshore(args);
        let end = || Stdio::from(side.try_clone().unwrap());
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let keys = File::from(ours);
        let (shown, mut from) = (Arc::<Mutex<String>>::default(), keys.try_clone().unwrap());
        let to = shown.clone();
        // Ends with the terminal.
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = from.read(&mut bytes) {
                to.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..n]));
            }
        });
        Self { child, keys, shown, side }
    }

    fn is_raw(&self) -> bool {
        !tcgetattr(&self.side).unwrap().local_modes.contains(rustix::termios::LocalModes::ICANON)
    }

    #[track_caller]
    fn wait_for(&self, text: &str) {
        let begun = Instant::now();
        while !self.shown.lock().unwrap().contains(text) {
            assert!(begun.elapsed() < PATIENCE, "no {text:?} in {:?}", self.shown.lock().unwrap());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[track_caller]
    fn end(&mut self) -> i32 {
        eventually(PATIENCE, "it ends", || self.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap().code().unwrap_or(-1)
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }
}

#[test]
#[ignore = "needs an Engine"]
fn a_terminal_is_the_commands_and_comes_back() {
    let waiting = Waiting::new();
    let place = &waiting.place;
    // Its keys, its size, its code.
    let mut terminal = OnTerminal::start(place, &["exec", "-it", "t", "--", "sh"]);
    eventually(PATIENCE, "it is raw", || terminal.is_raw());
    terminal.keys.write_all(b"sleep 1; stty size; echo o''k\n").unwrap();
    terminal.wait_for("33 111");
    terminal.wait_for("ok");
    tcsetwinsize(&terminal.side, Winsize { ws_row: 44, ws_col: 122, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    // The kernel tells it only those whose own terminal it is.
    terminal.signal("WINCH");
    terminal.keys.write_all(b"until stty size | grep '44 122'; do usleep 50000; done\n").unwrap();
    terminal.wait_for("\r\n44 122");
    // Within one that dies of it at any moment: what a shell has forked, and that has not begun yet, may not.
    terminal.keys.write_all(b"sh -c \"echo sle''eps; exec sleep 1000\"\n").unwrap();
    terminal.wait_for("sleeps");
    // It throws away what was typed before it.
    terminal.keys.write_all(b"\x03").unwrap();
    terminal.wait_for("^C");
    terminal.keys.write_all(b"exit 7\n").unwrap();
    assert_eq!(terminal.end(), 7, "Ctrl-C was the command's");
    assert!(!terminal.is_raw());

    for (row, signal, code) in [("a signal", "TERM", 143), ("another", "HUP", 129)] {
        let mut terminal = OnTerminal::start(place, &["exec", "-it", "t", "--", "sh"]);
        eventually(PATIENCE, "it is raw", || terminal.is_raw());
        terminal.signal(signal);
        assert_eq!(terminal.end(), code, "{row}");
        assert!(!terminal.is_raw(), "{row}");
    }

    let args = ["exec", "-it", "--timeout", "2s", "t", "--", "sleep", "1000"];
    let mut terminal = OnTerminal::start(place, &args);
    assert_eq!(terminal.end(), 124);
    terminal.wait_for("did not end within 2s");
    assert!(!terminal.is_raw(), "after a timeout");

    let mut terminal = OnTerminal::start(place, &["exec", "-it", "t", "--", "sh"]);
    terminal
        .keys
        .write_all(b"echo $$ > /tmp/left; trap '' HUP; echo rea''dy; sleep 20; echo done > /tmp/left\n")
        .unwrap();
    terminal.wait_for("ready");
    terminal.keys.write_all(b"\x10\x11").unwrap();
    assert_eq!(terminal.end(), 0);
    terminal.wait_for("left; the command goes on");
    assert!(!terminal.is_raw(), "after it was left");
    let goes_on = ran(place, &["exec", "t", "--", "sh", "-c", "kill -0 $(cat /tmp/left) && echo alive"]);
    assert_eq!(goes_on.out, "alive\n", "{}", goes_on.err);

    // By others, or none, the usual keys are the command's.
    for (keys, leave, code) in [("", "", 143), ("ctrl-a,b", "\x01b", 0)] {
        let script = "stty raw -echo; echo rea''dy; head -c 3 | od -An -tx1; sleep 1000";
        let mut terminal =
            OnTerminal::start(place, &["exec", "-it", "--detach-keys", keys, "t", "--", "sh", "-c", script]);
        terminal.wait_for("ready");
        terminal.keys.write_all(b"\x10\x11x").unwrap();
        terminal.wait_for("10 11 78");
        if leave.is_empty() {
            terminal.signal("TERM");
        } else {
            terminal.keys.write_all(leave.as_bytes()).unwrap();
        }
        assert_eq!(terminal.end(), code, "{keys:?}");
    }
    waiting.end();
}

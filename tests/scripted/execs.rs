//! Commands in a task whose Engine, or whose sink, is slow, silent or gone.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use longshore::driver::{DriverConfig, Error, ExecFate, ExecIo, ExecOptions, ExecResult, TerminalSize};
use longshore::engine::Stream;
use longshore::replay::scripted::{self, Answer, PATIENCE, frame};
use serde_json::json;

use crate::world::{World, started};

const CREATE: &str = "POST /containers/*/exec";
const START: &str = "POST /exec/*/start";
const INSPECT: &str = "GET /exec/*/json";
const RESIZE: &str = "POST /exec/*/resize";

/// A world whose commands write what `start` says, and are as `inspect` says.
fn world(start: fn() -> Answer, inspect: fn() -> Answer) -> World {
    let world = World::new();
    world.scripted.always(CREATE, || Answer::json(201, &json!({"Id": "e1"})));
    world.scripted.always(START, start);
    world.scripted.always(INSPECT, inspect);
    world.scripted.always(RESIZE, || Answer::empty(200));
    world
}

fn runs() -> Answer {
    Answer::json(200, &json!({"ID": "e1", "Running": true, "ExitCode": null, "Pid": 0}))
}

fn ended() -> Answer {
    Answer::json(200, &json!({"ID": "e1", "Running": false, "ExitCode": 3, "Pid": 0}))
}

fn options(tty: bool, timeout: Option<Duration>) -> ExecOptions {
    ExecOptions { command: vec!["run".into()], tty, timeout }
}

#[test]
fn an_engine_that_says_nothing_does_not_hold_a_command_beyond_its_time() {
    let silent = || Answer::nothing().hold();
    for (row, create, start, want) in [
        ("to the create", silent as fn() -> Answer, silent as fn() -> Answer, ExecFate::NotBegun),
        ("to the start", || Answer::json(201, &json!({"Id": "e1"})), silent, ExecFate::GoesOn),
        ("after its head", || Answer::json(201, &json!({"Id": "e1"})), || Answer::upgrade().hold(), ExecFate::GoesOn),
    ] {
        let world = world(start, runs);
        world.scripted.always(CREATE, create);
        let driver = world.driver();
        let id = started(&driver, Vec::new());
        let begun = Instant::now();
        let error = driver.exec_task(&id, &options(false, Some(Duration::from_millis(200)))).unwrap_err();
        assert!(matches!(error, Error::ExecTimeout { fate, .. } if fate == want), "{row}: {error}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{row}: {:?}", begun.elapsed());
    }
}

#[test]
fn the_end_of_a_command_is_owed_while_the_engine_cannot_be_asked() {
    let world = world(|| Answer::nothing().hold(), ended);
    let away = Arc::new(AtomicBool::new(true));
    let asked = away.clone();
    world.scripted.on(INSPECT, move |_| asked.load(Ordering::SeqCst).then(|| Answer::error(500, "no luck")));
    let driver = world.driver();
    let id = started(&driver, Vec::new());
    let error = driver.exec_task(&id, &options(false, Some(Duration::from_millis(100)))).unwrap_err();
    assert!(matches!(error, Error::ExecTimeout { fate: ExecFate::Unknown, .. }), "{error}");
    let before = world.scripted.count(INSPECT);
    world.scripted.wait_for("it is asked again", |state| state.count(INSPECT) > before + 1);
    away.store(false, Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(1500)); // Longer than its next pause, shorter than two.
    let last = world.scripted.count(INSPECT);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(world.scripted.count(INSPECT), last, "then it is done");
}

#[test]
fn what_an_engine_may_answer() {
    let said = || [frame(Stream::Stdout, "out"), frame(Stream::Stderr, "err")].concat();
    let plain = || Answer::raw("HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n");
    for (row, answer) in [
        ("101, all at once", Answer::upgrade().send(said()).close()),
        ("101, byte by byte", Answer::upgrade().send(said()).close().in_pieces(1, Duration::ZERO)),
        ("200, all at once", plain().send(said()).close()),
        ("200, byte by byte", plain().send(said()).close().in_pieces(1, Duration::ZERO)),
    ] {
        let world = world(Answer::nothing, ended);
        world.scripted.answers(START, [answer]);
        let driver = world.driver();
        let id = started(&driver, Vec::new());
        let result = driver.exec_task(&id, &options(false, None)).unwrap();
        assert_eq!((&*result.output.stdout, &*result.output.stderr), (&b"out"[..], &b"err"[..]), "{row}");
        assert_eq!(result.exit_result.exit_code, 3, "{row}");
    }
    // What is no code is not made one.
    for (row, inspect, kind) in [
        ("forgotten", Answer::error(404, "no such exec"), "exec"),
        ("no JSON", Answer::body(200, "yes"), "exec"),
        ("runs on", runs(), "exec_timeout"),
    ] {
        let world = world(|| Answer::upgrade().close(), runs);
        world.scripted.answers(INSPECT, [inspect]);
        let driver = world.driver();
        let id = started(&driver, Vec::new());
        let error = driver.exec_task(&id, &options(false, Some(Duration::from_millis(300)))).unwrap_err();
        assert_eq!(error.kind(), kind, "{row}: {error}");
    }
}

#[test]
fn words_in_the_place_of_frames_are_shown() {
    let html = "<html>Bad Gateway</html>";
    let code = |code: i64| Answer::json(200, &json!({"ID": "e1", "Running": false, "ExitCode": code}));
    let plain = || Answer::raw("HTTP/1.1 200 OK\r\n\r\n");
    for (row, answer, words, want) in [
        ("101", Answer::upgrade().send("exec failed: no such file"), "exec failed: no such file", 127),
        ("101, byte by byte", Answer::upgrade().send("exec failed").in_pieces(1, Duration::ZERO), "exec failed", 126),
        ("101, a short one", Answer::upgrade().send("no\r\n"), "no\r\n", 126),
        ("200, until it closes", plain().send("exec failed").close(), "exec failed", 126),
        ("200, a proxy's page", Answer::body(200, html).header("Content-Type", "text/html"), html, 127),
        ("200, a chunk", Answer::chunked(200).chunk(html).end(), html, 127),
    ] {
        let world = world(Answer::nothing, ended);
        world.scripted.answers(START, [answer]);
        world.scripted.answers(INSPECT, [code(want)]);
        let driver = world.driver();
        let id = started(&driver, Vec::new());
        let result = driver.exec_task(&id, &options(false, None)).unwrap();
        let (out, err) = (String::from_utf8(result.output.stdout), String::from_utf8(result.output.stderr));
        let line = format!("{}\n", words.trim_end());
        assert_eq!((out.unwrap(), err.unwrap()), (String::new(), line), "{row}");
        assert_eq!(result.exit_result.exit_code, want, "{row}");
    }
    // Output that gets out of step is not the Engine's words, and no success.
    for (row, sent) in [
        ("text after a frame", [frame(Stream::Stdout, "out"), b"text in the midst".to_vec()].concat()),
        ("no words", b"\x07\x08\x09\0\0\0\0\0".to_vec()),
    ] {
        let world = world(Answer::nothing, ended);
        world.scripted.answers(START, [Answer::upgrade().send(sent)]);
        let driver = world.driver();
        let id = started(&driver, Vec::new());
        let error = driver.exec_task(&id, &options(false, None)).unwrap_err();
        assert_eq!(error.kind(), "exec", "{row}: {error}");
    }
}

#[test]
fn a_command_without_a_code_is_an_error_after_a_few_looks() {
    for (row, inspect) in [
        ("null", json!({"ID": "e1", "Running": false, "ExitCode": null})),
        ("missing", json!({"ID": "e1", "Running": false})),
        ("nothing", json!({})),
        ("a code, and whether it runs is not said", json!({"ID": "e1", "ExitCode": 0})),
        ("the same by null", json!({"ID": "e1", "Running": null, "ExitCode": 0})),
    ] {
        let world = world(|| Answer::upgrade().close(), runs);
        let told = inspect.clone();
        world.scripted.always(INSPECT, move || Answer::json(200, &told));
        let driver = world.driver();
        let id = started(&driver, Vec::new());
        let begun = Instant::now();
        let error = driver.exec_task(&id, &options(false, None)).unwrap_err();
        assert_eq!((error.kind(), error.is_recoverable()), ("exec_no_code", false), "{row}: {error}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{row}: {:?}", begun.elapsed());
        // One that comes a little late is one.
        world.scripted.always(INSPECT, ended);
        world.scripted.answers(INSPECT, [Answer::json(200, &inspect), Answer::json(200, &inspect)]);
        assert_eq!(driver.exec_task(&id, &options(false, None)).unwrap().exit_result.exit_code, 3, "{row}");
    }
}

#[test]
fn a_command_that_outlives_its_connection_is_no_success() {
    for (row, codes, lasts, cut) in [
        ("for a moment", 0, Duration::from_millis(300), false),
        ("for long", 0, Duration::from_millis(1500), true),
        ("for long, and fails", 3, Duration::from_millis(1500), true),
    ] {
        let world = world(|| Answer::upgrade().send(frame(Stream::Stdout, "half of it")).close(), runs);
        let begun = Instant::now();
        world.scripted.on(INSPECT, move |_| {
            let done = begun.elapsed() >= lasts;
            done.then(|| Answer::json(200, &json!({"ID": "e1", "Running": false, "ExitCode": codes})))
        });
        let driver = world.driver();
        let id = started(&driver, Vec::new());
        let ExecResult { output, exit_result } = driver.exec_task(&id, &options(false, None)).unwrap();
        assert_eq!((&*output.stdout, exit_result.exit_code), (&b"half of it"[..], codes), "{row}");
        assert_eq!(exit_result.err.is_some_and(|err| err.contains("lost")), cut, "{row}");
    }
}

#[test]
fn the_engines_own_words_are_escaped_and_on_lines_of_their_own() {
    let odd = "\x1b[2Jerror\r\nlongshore: \u{9b}2J";
    let words = "\\u{1b}[2Jerror\nlongshore: \\u{9b}2J\n";
    let out = "\x1b[31mits own, as it is";
    for (row, sent, stdout, stderr) in [
        ("in the place of frames", odd.as_bytes().to_vec(), "", words.to_owned()),
        ("a frame", frame(Stream::System, odd), "", words.to_owned()),
        (
            "after output",
            [frame(Stream::Stderr, out), frame(Stream::System, odd)].concat(),
            "",
            format!("{out}\n{words}"),
        ),
        (
            "between output, in two pieces",
            [
                frame(Stream::System, "one "),
                frame(Stream::System, "line"),
                frame(Stream::Stdout, out),
                frame(Stream::Stderr, "more"),
            ]
            .concat(),
            out,
            "one line\nmore".to_owned(),
        ),
    ] {
        let world = world(Answer::nothing, ended);
        let again = sent.clone();
        world.scripted.answers(START, [Answer::upgrade().send(sent), Answer::upgrade().send(again)]);
        let driver = world.driver();
        let id = started(&driver, Vec::new());
        let kept = driver.exec_task(&id, &options(false, None)).unwrap().output;
        let kept = [kept.stdout, kept.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(kept, [stdout.to_owned(), stderr.clone()], "{row}");
        let passed = [Arc::<Mutex<Vec<u8>>>::default(), Arc::default()];
        let [to, errors] = passed.clone().map(|kept| Box::new(Into(kept)));
        let io = ExecIo { stdin: None, stdout: to, stderr: errors, resize: None };
        driver.exec_task_streaming(&id, &options(false, None), io).unwrap();
        let passed = passed.map(|bytes| String::from_utf8(bytes.lock().unwrap().clone()).unwrap());
        assert_eq!(passed, [stdout.to_owned(), stderr], "{row}, passed through");
    }
}

/// A sink that keeps all.
struct Into(Arc<Mutex<Vec<u8>>>);

impl Write for Into {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_became_of_a_start_without_an_answer_is_said_soon_and_not_guessed() {
    let not_begun = || Answer::json(200, &json!({"ID": "e1", "Running": false, "ExitCode": null, "Pid": 0}));
    for (row, inspect, want) in [
        ("it has not begun, so far", not_begun as fn() -> Answer, ExecFate::MayGoOn),
        ("it is not known", || Answer::json(200, &json!({})), ExecFate::MayGoOn),
        ("it runs", runs, ExecFate::GoesOn),
        ("nothing is said at all", || Answer::nothing().hold(), ExecFate::Unknown),
    ] {
        let world = world(|| Answer::nothing().hold(), inspect);
        let driver = world.driver_with(DriverConfig::default());
        let id = started(&driver, Vec::new());
        let begun = Instant::now();
        let error = driver.exec_task(&id, &options(false, Some(Duration::from_millis(200)))).unwrap_err();
        assert!(matches!(error, Error::ExecTimeout { fate, .. } if fate == want), "{row}: {error}");
        assert!(begun.elapsed() < Duration::from_millis(3500), "{row}: {:?}", begun.elapsed());
    }
}

/// A sink that takes a piece when it is told to.
struct Gate(Receiver<()>, Sender<()>, Arc<Mutex<Vec<u8>>>);

impl Write for Gate {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let _ = self.1.send(());
        let _ = self.0.recv_timeout(PATIENCE);
        self.2.lock().unwrap().extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn output_that_was_cut_is_no_success() {
    let more = || vec![b'x'; 8 * 1024 * 1024];
    for tty in [false, true] {
        let world = world(Answer::nothing, ended);
        let sent = if tty { more() } else { frame(Stream::Stdout, more()) };
        world.scripted.answers(START, [Answer::upgrade().send(sent).close()]);
        let driver = world.driver();
        let id = started(&driver, Vec::new());
        let ((open, gate), (at, arrives), kept) = (unbounded(), unbounded(), Arc::<Mutex<Vec<u8>>>::default());
        let io = ExecIo {
            stdin: None,
            stdout: Box::new(Gate(gate, at, kept.clone())),
            stderr: Box::new(io::sink()),
            resize: None,
        };
        let (other, timeout) = (driver.clone(), Duration::from_millis(300));
        let exec = std::thread::spawn(move || other.exec_task_streaming(&id, &options(tty, Some(timeout)), io));
        arrives.recv_timeout(PATIENCE).unwrap();
        // Until its time is over, and what became of it was asked.
        world.scripted.wait_for("it is asked for", |state| state.count(INSPECT) >= 1);
        std::thread::sleep(timeout);
        drop(open);
        let error = exec.join().unwrap().unwrap_err();
        assert!(matches!(error, Error::ExecTimeout { fate: ExecFate::Ended, .. }), "tty {tty}: {error}");
        assert!(kept.lock().unwrap().len() < more().len(), "tty {tty}");
    }
}

#[test]
fn a_slow_sink_gets_all_that_a_terminals_command_wrote() {
    struct Slow(Arc<Mutex<usize>>);
    impl Write for Slow {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            std::thread::sleep(Duration::from_millis(4));
            *self.0.lock().unwrap() += buf.len();
            Ok(buf.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    // The command has ended at once, and what it wrote is on its way for long after; what it left behind stays.
    let world = world(|| Answer::upgrade().send(vec![b'x'; 8 * 1024 * 1024]).hold(), ended);
    let driver = world.driver();
    let id = started(&driver, Vec::new());
    let kept = Arc::<Mutex<usize>>::default();
    let io = ExecIo { stdin: None, stdout: Box::new(Slow(kept.clone())), stderr: Box::new(io::sink()), resize: None };
    let result = driver.exec_task_streaming(&id, &options(true, None), io).unwrap();
    assert_eq!((result.exit_code, *kept.lock().unwrap()), (3, 8 * 1024 * 1024));
}

#[test]
fn a_source_that_panics_is_an_end() {
    struct Panics;
    impl io::Read for Panics {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic!("no luck")
        }
    }
    let world = world(|| Answer::upgrade().read_to_end(|_| Answer::nothing().close()), ended);
    let driver = world.driver();
    let id = started(&driver, Vec::new());
    let io = ExecIo {
        stdin: Some(Box::new(Panics)),
        stdout: Box::new(io::sink()),
        stderr: Box::new(io::sink()),
        resize: None,
    };
    let begun = Instant::now();
    let result = driver.exec_task_streaming(&id, &options(false, Some(PATIENCE)), io);
    assert_eq!(result.unwrap().exit_code, 3);
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
}

#[test]
fn a_terminals_first_size_is_there_as_early_as_the_engine_allows() {
    let size = TerminalSize { height: 33, width: 111 };
    for (row, version, tty, known, want) in [
        ("old", "1.41", true, true, None),
        ("the first that takes it", "1.42", true, true, Some(json!([33, 111]))),
        ("new", "1.51", true, true, Some(json!([33, 111]))),
        ("no terminal", "1.51", false, true, None),
        ("not known", "1.51", true, false, None),
    ] {
        let world = world(Answer::nothing, ended);
        world.scripted.always("GET /_ping", move || Answer::ping(version));
        world.scripted.always("HEAD /_ping", move || Answer::ping(version));
        // It is asked for before the start is answered; an Engine that has no terminal yet may refuse it.
        let resized = Arc::new(Mutex::new(0));
        let counted = resized.clone();
        world.scripted.always(RESIZE, move || {
            *counted.lock().unwrap() += 1;
            Answer::empty(if *counted.lock().unwrap() < 3 { 500 } else { 200 })
        });
        let waits = tty && known;
        world.scripted.always(START, move || {
            let resized = resized.clone();
            Answer::nothing().until(move || !waits || *resized.lock().unwrap() >= 3).and(Answer::upgrade().close())
        });
        let driver = world.driver();
        let id = started(&driver, Vec::new());
        let (sizes, resize) = bounded(2);
        if known {
            sizes.send(TerminalSize { height: 1, width: 1 }).unwrap();
            sizes.send(size).unwrap();
        }
        let io =
            ExecIo { stdin: None, stdout: Box::new(io::sink()), stderr: Box::new(io::sink()), resize: Some(resize) };
        assert_eq!(driver.exec_task_streaming(&id, &options(tty, None), io).unwrap().exit_code, 3, "{row}");
        for pattern in [CREATE, START] {
            let body: serde_json::Value = world.scripted.requests(pattern)[0].json().unwrap();
            assert_eq!(body.get("ConsoleSize").filter(|size| !size.is_null()), want.as_ref(), "{row}: {body}");
        }
        let resizes = world.scripted.requests(RESIZE);
        assert_eq!(!resizes.is_empty(), waits, "{row}");
        let newest = |asked: &scripted::Request| {
            (asked.parameter("h").as_deref(), asked.parameter("w").as_deref()) == (Some("33"), Some("111"))
        };
        assert!(resizes.iter().all(newest), "{row}");
    }
}

#[test]
fn sizes_without_end_do_not_hold_a_command() {
    let world = world(|| Answer::upgrade().hold(), ended);
    let driver = world.driver();
    let id = started(&driver, Vec::new());
    let (sizes, resize) = bounded(64);
    let storm = std::thread::spawn(move || while sizes.send(TerminalSize { height: 1, width: 1 }).is_ok() {});
    let io = ExecIo { stdin: None, stdout: Box::new(io::sink()), stderr: Box::new(io::sink()), resize: Some(resize) };
    let begun = Instant::now();
    assert_eq!(driver.exec_task_streaming(&id, &options(true, None), io).unwrap().exit_code, 3);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    storm.join().unwrap();
}

#[test]
fn a_shutdown_ends_a_command() {
    for (row, start) in [
        ("that is begun", (|| Answer::nothing().hold()) as fn() -> Answer),
        ("that runs", || Answer::upgrade().hold()),
        ("that has ended, it seems", || Answer::upgrade().close()),
    ] {
        for timeout in [None, Some(Duration::from_secs(3600)), Some(Duration::MAX)] {
            let world = world(start, runs);
            let driver = world.driver();
            let id = started(&driver, Vec::new());
            let other = driver.clone();
            let exec = std::thread::spawn(move || other.exec_task(&id, &options(false, timeout)));
            world.scripted.wait_for("it is begun", |state| state.count(START) == 1);
            let begun = Instant::now();
            driver.shutdown();
            let error = exec.join().unwrap().unwrap_err();
            assert!(matches!(error, Error::ShutDown), "{row}: {error}");
            assert!(begun.elapsed() < Duration::from_secs(2), "{row}: {:?}", begun.elapsed());
        }
    }
}

//! Commands in a task: driver-spec 17.5, and what a command may do that is in no table.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use longshore::driver::{Error, ExecFate, ExecIo, ExecOptions, ExitResult, TaskId, TerminalSize};

use crate::cases::bench::{Bench, PATIENCE};
use crate::support::eventually;

/// A sink that a test looks into.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Written {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Name, script, whether with a terminal, what it reads; standard output, standard error, code.
type Row = (&'static str, &'static str, bool, Option<&'static str>, &'static str, &'static str, i64);

fn sh(script: &str, tty: bool) -> ExecOptions {
    let command = ["/bin/sh", "-c", script].map(str::to_owned).into();
    ExecOptions { command, tty, timeout: Some(Duration::from_secs(30)) }
}

/// Runs a script; gives standard output, standard error, the code.
fn exec(
    bench: &Bench,
    id: &TaskId,
    script: &str,
    tty: bool,
    stdin: Option<&'static str>,
) -> (String, String, ExitResult) {
    let (out, err) = (Written::default(), Written::default());
    let (sizes, resize) = crossbeam_channel::unbounded();
    if tty {
        sizes.send(TerminalSize { height: 50, width: 40 }).unwrap();
        sizes.send(TerminalSize { height: 100, width: 100 }).unwrap();
    }
    let io = ExecIo {
        stdin: stdin.map(|text| Box::new(text.as_bytes()) as Box<dyn Read + Send>),
        stdout: Box::new(out.clone()),
        stderr: Box::new(err.clone()),
        resize: tty.then_some(resize),
    };
    let result = bench.driver.exec_task_streaming(id, &sh(script, tty), io).unwrap();
    (out.text(), err.text(), result)
}

#[test]
#[ignore = "needs an Engine"]
fn the_conformance_table() {
    let bench = Bench::new();
    let (id, _) = bench.start(bench.task("sleep 1000"));
    #[rustfmt::skip]
    let rows: &[Row] = &[
        ("both, no tty", "echo hello stdout; echo hello stderr >&2; exit 43", false, None, "hello stdout\n", "hello stderr\n", 43),
        ("streaming, no tty", "for n in 1 2 3; do echo $n; sleep 0.3; done", false, None, "1\n2\n3\n", "", 0),
        ("stdin, no tty", "echo hello; head -n1", false, Some("hello from stdin\n"), "hello\nhello from stdin\n", "", 0),
        ("both, tty", "echo hello stdout; echo hello stderr >&2; exit 43", true, None, "hello stdout\r\nhello stderr\r\n", "", 43),
        ("streaming, tty", "for n in 1 2 3; do echo $n; sleep 0.3; done", true, None, "1\r\n2\r\n3\r\n", "", 0),
        ("sizes, tty", "sleep 1; stty size", true, None, "100 100\r\n", "", 0),
        ("stdin, tty", "head -n1", true, Some("hello from stdin\n"), "hello from stdin\r\nhello from stdin\r\n", "", 0),
        ("a child stays, tty", "(sleep 20; echo late) & echo from main; exec true", true, None, "from main\r\n", "", 0),
    ];
    for (row, script, tty, stdin, out, err, code) in rows {
        let begun = Instant::now();
        let found = exec(&bench, &id, script, *tty, *stdin);
        assert_eq!((found.0.as_str(), found.1.as_str(), found.2.exit_code), (*out, *err, *code), "{row}");
        assert!(begun.elapsed() < Duration::from_secs(15), "{row}: {:?}", begun.elapsed());
    }
    let (out, err, result) = exec(&bench, &id, "stty size", false, None);
    assert!(out.is_empty() && err.to_lowercase().contains("inappropriate ioctl") && result.exit_code == 1, "{err}");
    exec(&bench, &id, "echo mine >/tmp/longshore-exec-test", false, None);
    assert_eq!(exec(&bench, &id, "cat /tmp/longshore-exec-test", false, None).0, "mine\n");
    assert!(!std::path::Path::new("/tmp/longshore-exec-test").exists(), "not on the host");
    bench.driver.destroy_task(&id, true).unwrap();
}

#[test]
#[ignore = "needs an Engine"]
fn a_collected_command() {
    let bench = Bench::new();
    let (id, _) = bench.start(bench.task("sleep 1000"));
    let result = bench.driver.exec_task(&id, &sh("echo out; echo err >&2; exit 7", false)).unwrap();
    assert_eq!((result.output.stdout.as_slice(), result.output.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
    assert_eq!((result.exit_result.exit_code, result.output.stdout_dropped), (7, 0));
    // 50 MB come whole; the end of them is kept.
    let big = bench.driver.exec_task(&id, &sh("yes 123456789 | head -n 5000000; echo the end", false)).unwrap();
    assert_eq!(big.output.stdout_dropped + big.output.stdout.len() as u64, 50_000_008);
    assert!(big.output.stdout.ends_with(b"123456789\nthe end\n") && big.output.stdout.len() == 64 * 1024);
    for command in [vec![], vec![String::new()]] {
        let error = bench.driver.exec_task(&id, &ExecOptions { command, ..ExecOptions::default() }).unwrap_err();
        assert!(matches!(error, Error::NoCommand), "{error}");
    }
    let missing =
        bench.driver.exec_task(&id, &ExecOptions { command: vec!["/no/such".into()], ..ExecOptions::default() });
    assert!(matches!(missing.unwrap().exit_result.exit_code, 126 | 127));
    bench.driver.destroy_task(&id, true).unwrap();
    let gone = bench.driver.exec_task(&id, &sh("true", false)).unwrap_err();
    assert!(matches!(gone, Error::TaskNotFound { .. }), "{gone}");
}

#[test]
#[ignore = "needs an Engine"]
fn a_command_out_of_time_is_ended() {
    let bench = Bench::new();
    let (id, _) = bench.start(bench.task("sleep 1000"));
    for tty in [false, true] {
        let options =
            ExecOptions { timeout: Some(Duration::from_millis(500)), ..sh("echo begun; exec sleep 987", tty) };
        let begun = Instant::now();
        let error = bench.driver.exec_task(&id, &options).unwrap_err();
        let Error::ExecTimeout { fate, output, .. } = &error else { panic!("{error}") };
        assert_eq!(*fate, ExecFate::Killed, "{error}");
        assert!(output.stdout.starts_with(b"begun"), "what it had written by then");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        eventually(PATIENCE, "it is gone", || {
            let ps = bench.driver.exec_task(&id, &sh("ps", false)).unwrap();
            !String::from_utf8_lossy(&ps.output.stdout).contains("sleep 987")
        });
    }
    bench.driver.destroy_task(&id, true).unwrap();
}

#[test]
#[ignore = "needs an Engine"]
fn a_command_whose_output_nobody_takes_is_ended() {
    struct Left;
    impl Write for Left {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let bench = Bench::new();
    let (id, _) = bench.start(bench.task("sleep 1000"));
    let io = ExecIo { stdin: None, stdout: Box::new(Left), stderr: Box::new(Left), resize: None };
    let error = bench.driver.exec_task_streaming(&id, &sh("exec yes 986", false), io).unwrap_err();
    assert!(matches!(error, Error::ExecIo(_)), "{error}");
    eventually(PATIENCE, "it is gone", || {
        let ps = bench.driver.exec_task(&id, &sh("ps", false)).unwrap();
        !String::from_utf8_lossy(&ps.output.stdout).contains("yes 986")
    });
    bench.driver.destroy_task(&id, true).unwrap();
}

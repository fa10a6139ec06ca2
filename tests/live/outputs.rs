//! A task's output where the Engine rotates it, keeps none of it, or hands it to others, and where a reader goes away.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use longshore::Hangup;
use longshore::driver::{LogTarget, Record, Sink, TaskState};
use longshore::engine::{Engine, LogsQuery};
use longshore::logs::Stamp;
use serde_json::json;

use crate::cases::bench::{Bench, Output, PATIENCE};
use crate::support::{IMAGE, eventually, rounds, unique};

/// What a sink was given, in its order.
#[derive(Debug, Clone, PartialEq)]
enum Given {
    Line(u32, Stamp),
    Notice(String),
}

/// Remembers the numbers that lines begin with.
#[derive(Clone, Default)]
struct Numbers {
    given: Arc<Mutex<Vec<Given>>>,
    /// A line that has not come whole.
    line: Vec<u8>,
}

impl Sink for Numbers {
    fn record(&mut self, record: &Record<'_>) -> io::Result<()> {
        self.line.extend_from_slice(record.bytes);
        if self.line.ends_with(b"\n") {
            self.given.lock().unwrap().push(Given::Line(number(&self.line), record.stamp));
            self.line.clear();
        }
        Ok(())
    }

    fn notice(&mut self, text: &str) -> io::Result<()> {
        self.given.lock().unwrap().push(Given::Notice(text.into()));
        Ok(())
    }
}

/// The number that a line begins with.
fn number(line: &[u8]) -> u32 {
    let text = str::from_utf8(line).unwrap();
    text.split(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("no number: {text:?}"))
}

/// The numbers that the Engine still holds.
fn held(engine: &Engine, container: &str) -> Vec<u32> {
    let query = LogsQuery { stdout: true, ..LogsQuery::default() };
    let mut logs = engine.container_logs(container, &query, &Hangup::new()).unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = logs.next_piece().unwrap() {
        bytes.extend_from_slice(piece.bytes);
    }
    bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()).map(number).collect()
}

#[test]
#[ignore = "needs an Engine"]
fn lines_that_the_engine_dropped_are_told() {
    let bench = Bench::new();
    for (size, lines) in [("10k", 60_000), ("100k", 60_000), ("1m", 200_000), ("20m", rounds(1, 4_000_000))] {
        for (driver, compress) in [("json-file", "false"), ("local", "true")] {
            rotated(&bench, driver, compress, size, lines);
        }
    }
}

fn rotated(bench: &Bench, log_driver: &str, compress: &str, size: &str, lines: u32) {
    let row = format!("{log_driver}, {size}, {lines} lines");
    // Bursts of up to 3000 lines, and pauses of up to 60 ms.
    let script = format!(
        r#"awk 'BEGIN {{ srand({lines}); for (i = 1; i <= {lines}; i++) {{
            print i " abcdefghijklmnopqrstuvwxyz";
            if (--left <= 0) {{ fflush(); left = int(rand() * rand() * 3000) + 1; system("usleep " int(rand() * 60000)) }}
        }} }}'"#
    );
    let task = bench.with(json!({
        "image": IMAGE, "command": "sh", "args": ["-c", script],
        "logging": {"type": log_driver, "config": {"max-size": size, "max-file": "5", "compress": compress}},
    }));
    let (id, numbers) = (task.id.clone(), Numbers::default());
    let handle = bench.driver.start_task_with(task, vec![Box::new(numbers.clone())]).unwrap().0;
    let exit = bench.driver.wait_task(&id).unwrap().recv_timeout(Duration::from_secs(600)).unwrap();
    assert_eq!(exit.exit_code, 0, "{row}");
    assert!(bench.driver.drain_task(&id, &crossbeam_channel::never()).unwrap(), "{row}");
    let held = held(&bench.engine, &handle.container_id);
    bench.driver.destroy_task(&id, false).unwrap();

    let given = numbers.given.lock().unwrap().clone();
    let (mut last, mut told, mut collected) = (None, None, Vec::new());
    let (mut gaps, mut notices) = (0, 0);
    for given in given {
        match given {
            Given::Notice(text) => {
                notices += 1;
                told = Some(text);
            }
            Given::Line(number, stamp) => {
                let (before, after) = last.unwrap_or((0, stamp));
                let again = || if collected.contains(&number) { "again" } else { "late" };
                assert!(number > before, "{row}: {number} comes {}, after {before}; told: {told:?}", again());
                if number != before + 1 {
                    gaps += 1;
                    // Of a beginning that it was not there for nobody can know.
                    let is_told = told.as_ref().is_some_and(|told| told.ends_with(&format!("after {after}")));
                    assert!(
                        is_told || before == 0,
                        "{row}: {before}, {number}: lines are missing after {after}: {told:?}"
                    );
                }
                (last, told) = (Some((number, stamp)), None);
                collected.push(number);
            }
        }
    }
    assert!(collected.ends_with(&held), "{row}: what the Engine holds in the end, {} lines, is not there", held.len());
    println!("{row}: {} collected, {} held in the end, {gaps} gaps, {notices} notices", collected.len(), held.len());
}

#[test]
#[ignore = "needs an Engine"]
fn log_drivers_that_keep_nothing() {
    let bench = Bench::new();
    let uncached = |kind: &str, address: &str| json!({"type": kind, "config": {format!("{kind}-address"): address, "cache-disabled": "true"}});
    for (logging, is_read) in [
        (json!({"type": "none"}), false),
        (uncached("syslog", "udp://127.0.0.1:9514"), false),
        (uncached("gelf", "udp://127.0.0.1:9514"), false),
        // Docker keeps a copy of its own of what such a driver gets; 20.10 closes it a little early.
        (json!({"type": "gelf", "config": {"gelf-address": "udp://127.0.0.1:9514"}}), true),
        (json!({"type": "local"}), true),
    ] {
        let events = bench.driver.task_events();
        let task = bench.with(json!({
            "image": IMAGE, "command": "sh",
            "args": ["-c", "echo line; while [ ! -e /tmp/end ]; do sleep 0.1; done; echo last; exit 7"],
            "logging": logging,
        }));
        let (id, output) = (task.id.clone(), Output::default());
        let handle = bench.driver.start_task_with(task, vec![Box::new(output.clone())]).unwrap().0;
        if is_read {
            eventually(PATIENCE, "a line", || output.out() == "line\n");
        }
        let notices = || {
            events.try_iter().filter(|e| e.annotations.get("kind").is_some_and(|kind| kind == "logs_notice")).count()
        };
        let mut told = 0;
        if !is_read {
            eventually(PATIENCE, "a notice", || {
                told += notices();
                told > 0
            });
        }
        assert_eq!(bench.driver.inspect_task(&id).unwrap().state, TaskState::Running, "{logging}");
        bench.docker(&["exec", &handle.container_id, "touch", "/tmp/end"]);
        assert_eq!(bench.wait(&id).exit_code, 7, "{logging}");
        let begun = Instant::now();
        bench.driver.destroy_task(&id, false).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(5), "{logging}: {:?}", begun.elapsed());
        match is_read {
            true if logging["type"] == "gelf" => assert!("line\nlast\n".starts_with(&output.out()), "{logging}"),
            true => assert_eq!(output.out(), "line\nlast\n", "{logging}"),
            false => assert_eq!(output.out(), "", "{logging}"),
        }
        assert_eq!(told + notices(), usize::from(!is_read), "{logging}: told once");
    }
}

#[test]
#[ignore = "needs an Engine"]
fn a_fifos_reader_goes_away_and_comes_back() {
    let bench = Bench::new();
    let folder = std::env::temp_dir().join(unique("fifo"));
    fs::create_dir(&folder).unwrap();
    let path = folder.join("fifo");
    let away = Duration::from_secs(rounds(2, 30).into());
    let lines = rounds(30_000, 300_000);
    let script = format!(
        "awk 'BEGIN {{ for (i = 1; i <= {lines}; i++) {{ print i; if (i % 5000 == 0) {{ fflush(); system(\"sleep 0.3\") }} }} }}'"
    );
    let mut task = bench.task(&script);
    task.logs.stdout = LogTarget::Fifo(path.clone());
    let id = task.id.clone();
    bench.driver.start_task(task).unwrap();
    let open = || fs::OpenOptions::new().read(true).custom_flags(0o4000).open(&path).unwrap();
    let mut got = Vec::new();
    let read = |fifo: &mut fs::File, got: &mut Vec<u8>, enough: usize| {
        let mut buf = [0; 64 * 1024];
        eventually(PATIENCE, "the FIFO's bytes", || {
            while got.len() < enough {
                match fifo.read(&mut buf) {
                    Ok(n @ 1..) => got.extend_from_slice(&buf[..n]),
                    _ => return false,
                }
            }
            true
        });
    };
    let want: String = (1..=lines).map(|n| format!("{n}\n")).collect();
    let mut fifo = open();
    read(&mut fifo, &mut got, 20_000);
    drop(fifo);
    std::thread::sleep(away);
    let mut fifo = open();
    read(&mut fifo, &mut got, want.len());
    assert_eq!(bench.wait(&id).exit_code, 0);
    bench.driver.destroy_task(&id, false).unwrap();
    let mut more = [0; 10];
    assert_eq!(fifo.read(&mut more).unwrap_or(0), 0, "nothing comes twice");
    fs::remove_dir_all(&folder).unwrap();
    assert!(got == want.as_bytes(), "{} bytes instead of {}", got.len(), want.len());
}

#[test]
#[ignore = "needs an Engine"]
fn a_fifo_without_a_reader_costs_no_time() {
    let bench = Bench::new();
    let folder = std::env::temp_dir().join(unique("fifo"));
    fs::create_dir(&folder).unwrap();
    let path = folder.join("fifo");
    let begun = Instant::now();
    // For both streams, and named as a file: opened as one, it would wait.
    let mut task = bench.task("echo out; echo err >&2; sleep 100");
    task.logs.stdout = LogTarget::Fifo(path.clone());
    let id = task.id.clone();
    bench.driver.start_task(task).unwrap();
    bench.driver.stop_task(&id, Duration::ZERO, None).unwrap();
    assert!(bench.wait(&id).exit_code != 0);
    bench.driver.destroy_task(&id, false).unwrap();
    let took = begun.elapsed();
    let mut task = bench.task("echo out; echo err >&2; sleep 100");
    (task.logs.stdout, task.logs.stderr) = (LogTarget::File(path.clone()), LogTarget::File(path.clone()));
    let id = task.id.clone();
    bench.driver.start_task(task).unwrap();
    bench.driver.destroy_task(&id, true).unwrap();
    assert!(
        took < Duration::from_secs(5) && begun.elapsed() < Duration::from_secs(10),
        "{took:?}, {:?}",
        begun.elapsed()
    );
    fs::remove_dir_all(&folder).unwrap();
}

/// A small disk of its own, unmounted when the test ends.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(unique("disk"));
        fs::create_dir(&dir).unwrap();
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m", "longshore-test"])
            .arg(&dir)
            .status();
        assert!(mount.unwrap().success());
        Self(dir)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
#[ignore = "needs an Engine, and root"]
fn a_full_disk_loses_nothing() {
    let bench = Bench::new();
    let disk = SmallDisk::new();
    let filler = disk.0.join("filler");
    let script = "awk 'BEGIN { for (i = 1; i <= 60000; i++) { print i; if (i % 2000 == 0) { fflush(); system(\"usleep 50000\") } } }'";
    let mut task = bench.task(script);
    let rotating = LogTarget::Rotating { path: disk.0.join("t.stdout"), max_files: 100, max_file_size: 50_000 };
    task.logs.stdout = rotating;
    let id = task.id.clone();
    bench.driver.start_task(task).unwrap();
    eventually(PATIENCE, "it is collected", || {
        disk.0.join("t.stdout.0").metadata().is_ok_and(|file| file.len() > 1000)
    });
    // Full, in the midst of it; so full that not even a cursor fits.
    let mut file = fs::File::create(&filler).unwrap();
    while io::Write::write_all(&mut file, &[0; 512]).is_ok() {}
    drop(file);
    assert_eq!(bench.wait(&id).exit_code, 0, "the task does not mind");
    fs::remove_file(&filler).unwrap();
    assert!(
        bench.driver.drain_task(&id, &crossbeam_channel::never()).unwrap() || {
            // It was not waited for while nobody could take anything; it goes on by itself.
            let numbers = || -> usize {
                (0..)
                    .map_while(|n| fs::read_to_string(disk.0.join(format!("t.stdout.{n}"))).ok())
                    .map(|t| t.lines().count())
                    .sum()
            };
            eventually(PATIENCE, "the rest is collected", || numbers() == 60_000);
            true
        }
    );
    bench.driver.destroy_task(&id, false).unwrap();
    let got: String = (0..).map_while(|n| fs::read_to_string(disk.0.join(format!("t.stdout.{n}"))).ok()).collect();
    let want: String = (1..=60_000).map(|n| format!("{n}\n")).collect();
    assert!(got == want, "{} bytes instead of {}", got.len(), want.len());
}

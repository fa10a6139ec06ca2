//! A task's output over breaks at every byte, repeats, a clock that goes back, and an Engine's own words in its midst.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use longshore::driver::{Driver, Record, Sink, Stamp, Stream};
use serde_json::json;

use crate::engine::{Answer, Request, Scripted};
use crate::tasks::{config, exited, running, task, well};

#[derive(Debug, Clone, Default)]
struct Got(Arc<Mutex<[Vec<u8>; 2]>>, Arc<Mutex<Vec<String>>>);

impl Sink for Got {
    fn record(&mut self, record: &Record<'_>) -> std::io::Result<()> {
        self.0.lock().unwrap()[usize::from(record.stream == Stream::Stderr)].extend_from_slice(record.bytes);
        Ok(())
    }

    fn notice(&mut self, text: &str) -> std::io::Result<()> {
        self.1.lock().unwrap().push(text.into());
        Ok(())
    }
}

impl Got {
    fn text(&self) -> [String; 2] {
        self.0.lock().unwrap().clone().map(|bytes| String::from_utf8(bytes).unwrap())
    }
}

/// A moment near now, by its number: 10 ms apart. Records that are older than that make the collector read, not follow.
fn moment(number: u32) -> Stamp {
    static BASE: OnceLock<i64> = OnceLock::new();
    let base = BASE.get_or_init(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        // Ahead by more than this program runs.
        (now.as_secs() as i64 + 600) * 1_000_000_000
    });
    Stamp::from_nanos(base + i64::from(number) * 10_000_000)
}

fn frame(stream: u8, number: u32, text: &str) -> Vec<u8> {
    let payload = format!("{} {text}", moment(number));
    let mut frame = vec![stream, 0, 0, 0];
    frame.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    frame.extend_from_slice(payload.as_bytes());
    frame
}

/// An Engine whose container runs until its logs are followed for the `follows`th time; `logs` answers for them.
fn engine(tty: bool, follows: usize, logs: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) -> Scripted {
    let (ended, followed) = (AtomicBool::new(false), std::sync::atomic::AtomicUsize::new(0));
    Scripted::new(move |request| match request.line().as_str() {
        "GET /containers/c1/json" => {
            let mut inspect = if ended.load(Ordering::SeqCst) { exited(0) } else { running() };
            inspect["Config"] = json!({"Tty": tty});
            Answer::json(&inspect)
        }
        // As long as a test of this module takes, at the most; then as if it ran on.
        "POST /containers/c1/wait" => match (0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(1));
            ended.load(Ordering::SeqCst)
        }) {
            true => Answer::json(&json!({"StatusCode": 0})),
            false => Answer::never(),
        },
        "GET /containers/c1/logs" => {
            let follow = request.query.contains("follow=1");
            let number = if follow { followed.fetch_add(1, Ordering::SeqCst) + 1 } else { 0 };
            if number >= follows {
                ended.store(true, Ordering::SeqCst);
            }
            logs(request, number)
        }
        _ => well(request),
    })
}

/// What a task's sink has got when its output has ended, and the notices.
fn collected(scripted: &Scripted) -> ([String; 2], Vec<String>) {
    let driver = Driver::new(scripted.engine(), config());
    let got = Got::default();
    driver.start_task_with(task(), vec![Box::new(got.clone())]).unwrap();
    // Not before its end: a destroy waits for the collector.
    crate::engine::eventually("it has ended", || {
        driver.inspect_task(&"t1".into()).unwrap().state == longshore::driver::TaskState::Exited
    });
    driver.destroy_task(&"t1".into(), true).unwrap();
    let notices = got.1.lock().unwrap().clone();
    (got.text(), notices)
}

/// Both streams, equal stamps, equal lines, a line in two records, an empty one, one without its newline.
fn recorded() -> Vec<u8> {
    [
        frame(1, 1, "a\n"),
        frame(2, 1, "A\n"),
        frame(1, 1, "a\n"),
        frame(1, 2, "long"),
        frame(1, 2, " line\n"),
        frame(2, 2, "B\n"),
        frame(1, 3, "\n"),
        frame(2, 3, ""),
        frame(1, 4, "end"),
    ]
    .concat()
}

const OUT: &str = "a\na\nlong line\n\nend";
const ERR: &str = "A\nB\n";

/// The records from a moment on, as an Engine gives them.
fn since(request: &Request, all: &[u8]) -> Vec<u8> {
    let since = request.query.split('&').find_map(|p| p.strip_prefix("since=")).unwrap_or("0.0");
    let (seconds, nanos) = since.split_once('.').unwrap();
    let since =
        Stamp::from_nanos(seconds.parse::<i64>().unwrap() * 1_000_000_000 + nanos.parse::<i64>().unwrap()).to_string();
    let (mut at, mut kept) = (0, Vec::new());
    while at < all.len() {
        let length = u32::from_be_bytes(all[at + 4..at + 8].try_into().unwrap()) as usize;
        let frame = &all[at..at + 8 + length];
        if &frame[8..38] >= since.as_bytes() {
            kept.extend_from_slice(frame);
        }
        at += 8 + length;
    }
    kept
}

#[test]
fn a_cut_at_any_byte_loses_and_doubles_nothing() {
    let all = recorded();
    for cut in 0..=all.len() {
        let all = all.clone();
        let scripted = engine(false, 2, move |request, follow| match follow {
            // Nothing yet when it is read first; then all of it, cut.
            0 if request.before == 0 => Answer::chunk(b"", true),
            1 => Answer::chunk(&all[..cut], false),
            _ => Answer::chunk(&since(request, &all), true),
        });
        let (text, notices) = collected(&scripted);
        assert_eq!(text, [OUT, ERR], "cut at {cut}");
        assert_eq!(notices, Vec::<String>::new(), "cut at {cut}");
    }
}

#[test]
fn what_an_engine_repeats_in_one_follow_is_passed_over() {
    // As Docker 20.10 does when it rotates: the last records once more, and then what is new.
    let all = [recorded(), recorded().split_off(frame(1, 1, "a\n").len()), frame(1, 5, " of it\n")].concat();
    let scripted = engine(false, 1, move |request, follow| match follow {
        0 if request.before == 0 => Answer::chunk(b"", true),
        1 => Answer::chunk(&all, true),
        _ => Answer::chunk(&since(request, &[recorded(), frame(1, 5, " of it\n")].concat()), true),
    });
    assert_eq!(collected(&scripted).0, [format!("{OUT} of it\n"), ERR.into()]);
}

#[test]
fn a_clock_that_goes_back_within_a_follow_loses_and_doubles_nothing() {
    let all = [frame(1, 40, "a\n"), frame(1, 41, "b\n"), frame(1, 20, "c\n"), frame(1, 21, "d\n")].concat();
    let scripted = engine(false, 1, move |request, follow| match follow {
        0 if request.before == 0 => Answer::chunk(b"", true),
        1 => Answer::chunk(&all, true),
        _ => Answer::chunk(&since(request, &all), true),
    });
    assert_eq!(collected(&scripted).0, ["a\nb\nc\nd\n", ""]);
}

#[test]
fn logs_that_cannot_be_read_are_told_once() {
    let scripted = engine(false, 1, |_, _| Answer::error(500, "configured logging driver does not support reading"));
    let driver = Driver::new(scripted.engine(), config());
    let got = Got::default();
    driver.start_task_with(task(), vec![Box::new(got.clone())]).unwrap();
    crate::engine::eventually("it is told", || !got.1.lock().unwrap().is_empty());
    std::thread::sleep(Duration::from_millis(100)); // Were it tried again, it would be by now.
    assert_eq!(scripted.count("GET /containers/c1/logs"), 1);
    assert_eq!(got.1.lock().unwrap().len(), 1);
    driver.destroy_task(&"t1".into(), true).unwrap();
}

#[test]
fn the_engines_own_words_are_a_notice_with_a_stamp() {
    let mut words = vec![3, 0, 0, 0, 0, 0, 0, 8];
    words.extend_from_slice(b"bad log\n");
    let all = [frame(1, 1, "a\n"), words.clone(), frame(1, 2, "b\n")].concat();
    let scripted = engine(false, 2, move |request, follow| match follow {
        0 if request.before == 0 => Answer::chunk(b"", true),
        1 => Answer::chunk(&all, true),
        _ => Answer::chunk(&[frame(1, 1, "a\n"), frame(1, 2, "b\n")].concat(), true),
    });
    let (text, notices) = collected(&scripted);
    assert_eq!(text[0], "a\nb\n");
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(notices[0].contains("bad log") && notices[0].contains(&format!("after {}", moment(1))), "{notices:?}");
}

#[test]
fn a_terminals_long_lines_come_in_pieces_of_16_kib() {
    let long = "x".repeat(16 * 1024);
    let stamp = moment(1);
    let raw = format!("{stamp} a\r\n{stamp} {long}{stamp} {long}{stamp} end\r\n");
    let want = format!("a\r\n{long}{long}end\r\n");
    for cut in [1, 30, 31, 40, 100, 16_000, 16_450, raw.len() - 1] {
        let raw = raw.clone();
        let scripted = engine(true, 2, move |request, follow| match follow {
            0 if request.before == 0 => Answer::chunk(b"", true),
            1 => Answer::chunk(&raw.as_bytes()[..cut], false),
            _ => Answer::chunk(raw.as_bytes(), true),
        });
        assert!(collected(&scripted).0[0] == want, "cut at {cut}");
    }
}

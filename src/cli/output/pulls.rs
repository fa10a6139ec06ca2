//! Pulls as a person, or a program, sees them: a line an image that moves on a terminal, plain lines elsewhere, events with `--json`.
//! It shows what it is given and asks nobody; that a pull failed is told with the task whose image it is.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::env;
use std::io::{self, IsTerminal, Write};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender, at, bounded, never, select};
use indicatif::ProgressDrawTarget;
use rustix::termios::tcgetwinsize;
use serde::Serialize;

use crate::images::{PullProgress, PullState};
use crate::runner::rfc3339;
use crate::threads::{Hangup, Worker};
use crate::values::{duration, printable, printable_ascii, size};

use crate::cli::commands::faults::Faults;
use crate::cli::eprint;
use crate::cli::output::screen::{self, REDRAW, SCREEN, Screen};
use crate::cli::output::{json, table};

/// How often a pull is told of in lines.
const EVERY: Duration = Duration::from_secs(10);
/// As wide as a terminal is taken for that does not say it.
const WIDTH: usize = 80;
/// How many characters a bar has.
const BAR: RangeInclusive<usize> = 10..=30;
/// How many characters of an image's name are shown at least.
const LEAST_NAME: usize = 12;

/// How pulls are shown.
#[derive(Debug)]
pub(in crate::cli) enum Mode {
    /// On standard error, which is a terminal: a line an image, drawn again and again; one that stays once it is pulled.
    Bars,
    /// On standard error: a line when a pull begins, every ten seconds, and when the image is there.
    Lines,
    /// On standard output: the same as events, and one when it failed.
    Json(Faults),
}

impl Mode {
    /// What suits a person. Colours do not matter: there are none.
    pub(in crate::cli) fn of_standard_error() -> Self {
        let is_dumb = env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
        match io::stderr().is_terminal() && !is_dumb {
            true => Self::Bars,
            false => Self::Lines,
        }
    }
}

/// Shows pulls in a thread of its own until their channel disconnects; dropped, it shows what the channel still holds, and ends.
#[derive(Debug)]
pub(in crate::cli) struct Pulls {
    /// Disconnects when the thread is to end.
    _alive: Sender<Infallible>,
    _thread: Worker,
}

impl Pulls {
    /// Shows what comes from `progress`: snapshots of several pulls, each pull's last with how it ended.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(in crate::cli) fn start(progress: Receiver<PullProgress>, mode: Mode) -> io::Result<Self> {
        let view: Box<dyn View + Send> = match mode {
            Mode::Bars => {
                SCREEN.open(ProgressDrawTarget::stderr());
                Box::new(Bars { screen: &SCREEN, to: Box::new(screen::stderr()), width })
            }
            Mode::Lines => Box::new(Lines::new(line, eprint)),
            Mode::Json(faults) => Box::new(Lines::new(event, move |line| json::show(&faults, line))),
        };
        Self::with(progress, view)
    }

    fn with(progress: Receiver<PullProgress>, mut view: Box<dyn View + Send>) -> io::Result<Self> {
        let (alive, ended) = bounded(0);
        // No latch is needed: the thread waits for nothing but channels.
        let thread = Worker::spawn("pulls", Hangup::new(), move || show(&progress, &ended, &mut *view), |_| {})?;
        Ok(Self { _alive: alive, _thread: thread })
    }
}

fn show(progress: &Receiver<PullProgress>, ended: &Receiver<Infallible>, view: &mut dyn View) {
    loop {
        let alarm = view.deadline().map_or_else(never, at);
        select! {
            recv(progress) -> snapshot => match snapshot {
                Ok(snapshot) => view.take(snapshot, Instant::now()),
                Err(_) => break,
            },
            recv(ended) -> _ => {
                progress.try_iter().for_each(|snapshot| view.take(snapshot, Instant::now()));
                break;
            }
            recv(alarm) -> now => view.due(now.unwrap_or_else(|_| Instant::now())),
        }
    }
}

/// What snapshots become. Its end is when it is dropped.
trait View {
    fn take(&mut self, progress: PullProgress, now: Instant);
    /// When it wants to be told that it is due.
    fn deadline(&self) -> Option<Instant>;
    fn due(&mut self, now: Instant);
}

/// Lines that stay.
struct Lines<T, W> {
    pace: Pace,
    text: T,
    write: W,
}

impl<T: Fn(&PullProgress) -> Option<String>, W: FnMut(&str)> Lines<T, W> {
    fn new(text: T, write: W) -> Self {
        Self { pace: Pace::default(), text, write }
    }

    fn say(&mut self, progress: &PullProgress) {
        if let Some(line) = (self.text)(progress) {
            (self.write)(&line);
        }
    }
}

impl<T: Fn(&PullProgress) -> Option<String>, W: FnMut(&str)> View for Lines<T, W> {
    fn take(&mut self, progress: PullProgress, now: Instant) {
        if let Some(progress) = self.pace.take(progress, now) {
            self.say(&progress);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.pace.deadline()
    }

    fn due(&mut self, now: Instant) {
        for progress in self.pace.due(now) {
            self.say(&progress);
        }
    }
}

/// Which snapshots are told: of each pull the first, the last, and between them the newest every ten seconds.
#[derive(Debug, Default)]
struct Pace {
    pulls: BTreeMap<String, Told>,
}

#[derive(Debug)]
struct Told {
    at: Instant,
    /// What has come since.
    newest: Option<PullProgress>,
}

impl Pace {
    /// What is told of it now.
    fn take(&mut self, progress: PullProgress, now: Instant) -> Option<PullProgress> {
        if progress.has_ended() {
            self.pulls.remove(&progress.image);
            return Some(progress);
        }
        match self.pulls.get_mut(&progress.image) {
            Some(told) if now < told.at + EVERY => {
                told.newest = Some(progress);
                None
            }
            _ => {
                self.pulls.insert(progress.image.clone(), Told { at: now, newest: None });
                Some(progress)
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.pulls.values().filter(|told| told.newest.is_some()).map(|told| told.at + EVERY).min()
    }

    /// What is told because its time has come.
    fn due(&mut self, now: Instant) -> Vec<PullProgress> {
        let due = self.pulls.values_mut().filter(|told| now >= told.at + EVERY);
        due.filter_map(|told| {
            let newest = told.newest.take()?;
            told.at = now;
            Some(newest)
        })
        .collect()
    }
}

/// Lines that are drawn again and again.
struct Bars {
    screen: &'static Screen,
    to: Box<dyn Write + Send>,
    width: fn() -> usize,
}

impl View for Bars {
    fn take(&mut self, progress: PullProgress, _: Instant) {
        if !progress.has_ended() {
            return self.screen.draw(&progress.image, bar(&progress, (self.width)()));
        }
        self.screen.remove(&progress.image);
        if let Some(line) = line(&progress) {
            let begin = if self.screen.is_within_line() { "\n" } else { "" };
            // Where nobody reads there is nobody to tell.
            let _ = self.to.write_all(format!("{begin}{}\n", printable(&line)).as_bytes());
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.screen.has_lines().then(|| Instant::now() + REDRAW)
    }

    fn due(&mut self, _: Instant) {
        self.screen.refresh();
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.screen.close();
    }
}

/// The terminal's width.
fn width() -> usize {
    tcgetwinsize(io::stderr()).map(|size| usize::from(size.ws_col)).ok().filter(|width| *width > 0).unwrap_or(WIDTH)
}

/// A line that stays. `None`: nothing is to be said.
fn line(progress: &PullProgress) -> Option<String> {
    let image = printable_ascii(&progress.image);
    match &progress.state {
        PullState::Pulling if !progress.answered => Some(format!("longshore: pulling {image}")),
        PullState::Pulling => Some(format!("longshore: pulling {image}: {}", progress.status_text())),
        PullState::Pulled => {
            let bytes = match progress.total_bytes {
                0 => String::new(),
                bytes => format!(": {}", size::binary_compact(bytes)),
            };
            Some(format!("longshore: pulled {image}{bytes} in {}", short(progress.elapsed)))
        }
        PullState::Failed { .. } => None,
    }
}

/// An event.
fn event(progress: &PullProgress) -> Option<String> {
    #[derive(Serialize)]
    struct Event<'a> {
        time: String,
        event: &'static str,
        #[serde(flatten)]
        progress: &'a PullProgress,
    }
    serde_json::to_string(&Event { time: rfc3339(SystemTime::now()), event: "pull_progress", progress }).ok()
}

/// A line that is drawn, of at most `width` characters: the image, a bar, bytes, layers, rate, time left. What has no room is left out,
/// first the bar, then the beginning of the image's name.
fn bar(progress: &PullProgress, width: usize) -> String {
    let image = printable_ascii(&progress.image);
    let figures = figures(progress);
    let room = width.saturating_sub(image.len() + "  [] ".len() + figures.len());
    let text = if progress.total_bytes > 0 && room >= *BAR.start() {
        let cells = room.min(*BAR.end());
        let share = progress.current_bytes as f64 / progress.total_bytes as f64;
        let full = ((share * cells as f64) as usize).min(cells);
        format!("{image}  [{}{}] {figures}", "=".repeat(full), " ".repeat(cells - full))
    } else {
        let room = width.saturating_sub("  ".len() + figures.len()).max(LEAST_NAME);
        let begin = image.len().saturating_sub(room);
        // Of a name that is cut the end says most: its tag.
        let image = if begin == 0 { image } else { format!("…{}", &image[begin + 1..]).into() };
        format!("{image}  {figures}")
    };
    text.chars().take(width).collect()
}

/// How far it is, in short.
fn figures(progress: &PullProgress) -> String {
    if progress.layers == 0 {
        return "starting".into();
    }
    let mut parts = Vec::new();
    if progress.total_bytes > 0 {
        let [current, total] = [progress.current_bytes, progress.total_bytes].map(size::binary_compact);
        parts.push(format!("{current}/{total}"));
    }
    parts.push(format!("{}/{} layers", progress.pulled, progress.layers));
    if progress.pulling > 0 && progress.current_bytes > 0 {
        parts.push(format!("{}/s", size::binary_compact(progress.bytes_per_second)));
        parts.extend(progress.remaining.map(|remaining| format!("{} left", table::age(remaining))));
    } else if progress.extracting > 0 {
        parts.push("extracting".into());
    }
    parts.join("  ")
}

/// A time to a tenth of a second, from a minute on to a second.
fn short(time: Duration) -> String {
    let unit = if time.as_secs() < 60 { 100 } else { 1000 };
    let units = (time.as_millis() + unit / 2) / unit;
    duration::format(Duration::from_millis(u64::try_from(units * unit).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::Shared;
    use crate::runner::Stop;
    use crossbeam_channel::unbounded;
    use std::sync::{Arc, Mutex};

    fn pulling(image: &str) -> PullProgress {
        PullProgress {
            image: image.into(),
            answered: true,
            layers: 3,
            waiting: 1,
            pulling: 1,
            pulled: 1,
            current_bytes: 4_449_071,
            total_bytes: 15_443_505,
            bytes_per_second: 1_500_000,
            remaining: Some(Duration::from_millis(24_701)),
            elapsed: Duration::from_secs(10),
            ..PullProgress::default()
        }
    }

    fn asked(image: &str) -> PullProgress {
        PullProgress { image: image.into(), ..PullProgress::default() }
    }

    fn pulled(image: &str) -> PullProgress {
        PullProgress { state: PullState::Pulled, elapsed: Duration::from_millis(3_149), ..pulling(image) }
    }

    fn failed(image: &str) -> PullProgress {
        PullProgress { state: PullState::Failed { message: "no luck".into() }, ..asked(image) }
    }

    /// What is written of snapshots that come at once.
    fn written(snapshots: Vec<PullProgress>, text: fn(&PullProgress) -> Option<String>) -> String {
        let page = Shared::default();
        let mut to = page.clone();
        let (sender, progress) = unbounded();
        let view = Lines::new(text, move |line: &str| writeln!(to, "{line}").unwrap());
        let pulls = Pulls::with(progress, Box::new(view)).unwrap();
        snapshots.into_iter().for_each(|snapshot| sender.send(snapshot).unwrap());
        // The channel is not disconnected yet: what it holds is shown all the same.
        drop(pulls);
        page.taken()
    }

    #[test]
    fn plain_lines() {
        let status = "Pulled 1/3 (4.243MiB/14.73MiB) layers: 1 waiting/1 pulling - est 24.7s remaining";
        for (row, snapshots, want) in [
            ("the beginning", vec![asked("a:b")], "longshore: pulling a:b\n".to_owned()),
            ("joined later", vec![pulling("a:b")], format!("longshore: pulling a:b: {status}\n")),
            (
                "from beginning to end, in a moment",
                vec![asked("a:b"), pulling("a:b"), pulling("a:b"), pulled("a:b")],
                "longshore: pulling a:b\nlongshore: pulled a:b: 14.73MiB in 3.1s\n".into(),
            ),
            (
                "all was here",
                vec![PullProgress { total_bytes: 0, ..pulled("a:b") }],
                "longshore: pulled a:b in 3.1s\n".into(),
            ),
            ("a failure is told elsewhere", vec![asked("a:b"), failed("a:b")], "longshore: pulling a:b\n".into()),
            (
                "two at once",
                vec![asked("a"), asked("b"), pulling("a"), pulled("b"), pulled("a")],
                "longshore: pulling a\nlongshore: pulling b\nlongshore: pulled b: 14.73MiB in 3.1s\nlongshore: pulled a: 14.73MiB in 3.1s\n"
                    .into(),
            ),
            (
                "a name with more than letters",
                vec![asked("a\x1b[2J\r\nb\u{202e}ä")],
                "longshore: pulling a\\u{1b}[2J\\r\\nb\\u{202e}\\u{e4}\n".into(),
            ),
        ] {
            assert_eq!(written(snapshots, line), want, "{row}");
        }
    }

    #[test]
    fn events() {
        let snapshots = vec![asked("a\x1b"), pulling("a\x1b"), failed("a\x1b")];
        let written = written(snapshots, event);
        let events: Vec<serde_json::Value> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(!written.contains('\x1b'), "{written:?}");
        assert_eq!(events.len(), 2, "{written}");
        for event in &events {
            assert_eq!((&event["event"], &event["image"]), (&"pull_progress".into(), &"a\x1b".into()));
            assert!(event["time"].as_str().unwrap().ends_with('Z'));
        }
        assert_eq!((&events[0]["state"], &events[1]["state"]), (&"pulling".into(), &"failed".into()));
        assert_eq!(events[1]["message"], "no luck");

        let text = event(&pulling("a")).unwrap();
        let (_, rest) = text.split_once("Z\",").unwrap();
        let want = r#""event":"pull_progress","image":"a","state":"pulling","answered":true,"layers":3,"waiting":1,"pulling":1,"pulled":1,"extracting":0,"current_bytes":4449071,"total_bytes":15443505,"bytes_per_second":1500000,"remaining_ms":24701,"elapsed_ms":10000}"#;
        assert_eq!(rest, want);
    }

    #[test]
    fn every_ten_seconds() {
        let start = Instant::now();
        let after = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let mut pace = Pace::default();
        let step = |n: usize| PullProgress { layers: n, ..pulling("a") };
        let layers = |told: Option<PullProgress>| told.map(|told| told.layers);
        assert_eq!(layers(pace.take(step(1), start)), Some(1), "the first");
        assert_eq!(pace.deadline(), None, "nothing is held");
        for (n, second) in [(2, 1.0), (3, 9.9)] {
            assert_eq!(layers(pace.take(step(n), after(second))), None);
        }
        assert_eq!(pace.take(pulling("b"), after(2.0)), Some(pulling("b")), "another");
        assert_eq!(pace.deadline(), Some(after(10.0)));
        assert_eq!(pace.due(after(9.95)), []);
        assert_eq!(pace.due(after(10.0)), [step(3)], "the newest of those that were held");
        assert_eq!((pace.deadline(), pace.due(after(30.0))), (None, vec![]), "nothing new");
        assert_eq!(layers(pace.take(step(4), after(31.0))), Some(4), "late, and told at once");
        assert_eq!(layers(pace.take(step(5), after(32.0))), None);
        assert_eq!(pace.take(pulled("a"), after(33.0)), Some(pulled("a")), "the last");
        assert_eq!(pace.deadline(), None, "nothing is told behind it");
        assert_eq!(layers(pace.take(step(6), after(34.0))), Some(6), "it is pulled anew");
    }

    #[test]
    fn drawn_lines() {
        let image = "registry.example:5000/some/name:1.2";
        let nearly = PullProgress { current_bytes: u64::MAX, total_bytes: u64::MAX, ..pulling("a") };
        let extracting =
            PullProgress { pulling: 0, waiting: 0, pulled: 3, extracting: 2, remaining: None, ..pulling("a") };
        for (row, progress, width, want) in [
            ("nothing said", asked("a"), 80, "a  starting"),
            (
                "all",
                pulling("a"),
                80,
                "a  [======                 ] 4.243MiB/14.73MiB  1/3 layers  1.431MiB/s  24s left",
            ),
            (
                "a wide one",
                pulling("a"),
                500,
                "a  [========                      ] 4.243MiB/14.73MiB  1/3 layers  1.431MiB/s  24s left",
            ),
            ("no room for a bar", pulling("a"), 60, "a  4.243MiB/14.73MiB  1/3 layers  1.431MiB/s  24s left"),
            (
                "the name's end",
                pulling(image),
                70,
                "…00/some/name:1.2  4.243MiB/14.73MiB  1/3 layers  1.431MiB/s  24s left",
            ),
            ("a narrow one", pulling(image), 30, "…me/name:1.2  4.243MiB/14.73Mi"),
            ("none at all", pulling("a"), 0, ""),
            ("sizes unknown", PullProgress { total_bytes: 0, current_bytes: 0, ..pulling("a") }, 80, "a  1/3 layers"),
            ("extracting", extracting, 50, "a  4.243MiB/14.73MiB  3/3 layers  extracting"),
            ("absurd", nearly, 72, "a  [=====================] 16EiB/16EiB  1/3 layers  1.431MiB/s  24s left"),
            ("escapes", asked("a\x1b[31m\tb"), 80, "a\\u{1b}[31m\\tb  starting"),
        ] {
            let line = bar(&progress, width);
            assert!(line.chars().count() <= width, "{row}: {line}");
            assert_eq!(line, want, "{row}");
        }
    }

    #[test]
    fn lengths_of_time() {
        for (millis, want) in [
            (0, "0s"),
            (49, "0s"),
            (50, "100ms"),
            (3_149, "3.1s"),
            (59_949, "59.9s"),
            (59_999, "1m0s"),
            (60_499, "1m0s"),
            (3_725_000, "1h2m5s"),
        ] {
            assert_eq!(short(Duration::from_millis(millis)), want, "{millis} ms");
        }
    }

    #[test]
    fn a_line_stays_of_what_was_drawn() {
        let screen: &'static Screen = Box::leak(Box::new(Screen::new()));
        let page = Shared::default();
        screen.open(ProgressDrawTarget::hidden());
        let mut bars = Bars { screen, to: Box::new(page.clone()), width: || 80 };
        let now = Instant::now();
        assert_eq!(bars.deadline(), None);
        bars.take(asked("a"), now);
        bars.take(pulling("b"), now);
        assert!(bars.deadline().is_some());
        bars.due(now);
        bars.take(pulled("a"), now);
        bars.take(failed("b"), now);
        assert_eq!(bars.deadline(), None);
        drop(bars);
        assert_eq!(page.taken(), "longshore: pulled a: 14.73MiB in 3.1s\n");
    }

    #[test]
    fn it_ends_with_its_channel() {
        let told = Arc::new(Mutex::new(0));
        let (sender, progress) = unbounded();
        let count = told.clone();
        let view = Lines::new(line, move |_: &str| *count.lock().unwrap() += 1);
        let pulls = Pulls::with(progress, Box::new(view)).unwrap();
        sender.send(pulled("a")).unwrap();
        drop(sender);
        let Pulls { _alive, mut _thread } = pulls;
        _thread.join();
        assert_eq!(*told.lock().unwrap(), 1);
        for mode in [Mode::Json(Faults::new(Stop::new())), Mode::Lines, Mode::Bars, Mode::of_standard_error()] {
            drop(Pulls::start(never(), mode).unwrap());
        }
    }
}

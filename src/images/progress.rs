//! How far a pull is: from the messages of an Engine to counts, bytes, a rate and a text (driver-spec 5.6). Pure: whoever calls says
//! what time it is, and looks again every [`TICK`]. What a failed pull means, and whom a slow one is told, is the coordinator's.
//!
//! Two things are not as a reader of a Docker Engine's messages expects. An Engine with containerd's image store repeats its messages on a
//! ticker while nothing arrives, so that a repeated message is no activity. And figures may be absurd (podman and proxies: a total of -1,
//! more bytes than there are): they are taken as far as they make sense, and no sum overflows.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};

use crate::engine::types::Progress;
use crate::values::size;

/// How often a pull is looked at.
pub(super) const TICK: Duration = Duration::from_secs(10);
/// How often a pull that takes long is told of as a task's event.
pub(super) const SLOW_REPORT: Duration = Duration::from_secs(2 * 60);

/// Over how much of the past the rate is taken.
const RATE_WINDOW: Duration = Duration::from_secs(5);
/// The shortest time that a rate is taken over: the first bytes come in one piece.
const RATE_LEAST: Duration = Duration::from_secs(1);
/// Bytes that arrive within this time are one sample of the rate.
const RATE_SAMPLE: Duration = Duration::from_millis(250);
/// How many ids are kept. An image has at most 127 layers, and messages name its configuration and manifests too.
const MOST_IDS: usize = 1024;

/// How far a pull is, or how it ended. Written as JSON with `remaining_ms` and `elapsed_ms`, and the state's fields among the others.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PullProgress {
    /// The image, as it was asked for. Text of a job file: it may hold control characters.
    pub image: String,
    /// Whether it is going on. The last of a pull says that it is not.
    #[serde(flatten)]
    pub state: PullState,
    /// Whether the Engine has said anything yet.
    pub answered: bool,
    /// How many layers the Engine has told of so far; more may come. With podman the image's configuration is one too.
    pub layers: usize,
    /// How many of them wait for their turn.
    pub waiting: usize,
    /// How many of them are being downloaded or verified.
    pub pulling: usize,
    /// How many of them are here: downloaded, being extracted, complete, or here before.
    pub pulled: usize,
    /// How many of these are being extracted.
    pub extracting: usize,
    /// Bytes that have arrived, of the layers whose size is known.
    pub current_bytes: u64,
    /// Bytes in all, of the layers whose size is known: it grows as the Engine begins with more of them.
    pub total_bytes: u64,
    /// Bytes a second, over the last five seconds.
    pub bytes_per_second: u64,
    /// How long the bytes of `total_bytes` that have not arrived will take, at the pace from the beginning until now.
    /// `None`: nothing has arrived yet, or all has.
    #[serde(rename = "remaining_ms", serialize_with = "optional_milliseconds")]
    pub remaining: Option<Duration>,
    /// How long the pull has lasted.
    #[serde(rename = "elapsed_ms", serialize_with = "milliseconds")]
    pub elapsed: Duration,
}

/// Whether a pull is going on, or how it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum PullState {
    /// It is going on.
    #[default]
    Pulling,
    /// The image is here.
    Pulled,
    /// It has failed.
    Failed {
        /// Why, with its causes.
        message: String,
    },
}

impl PullProgress {
    /// How far it is, in the words of a task's event:
    /// `Pulled 1/3 (4.243MiB/14.73MiB) layers: 1 waiting/1 pulling - est 24.7s remaining`. `No progress` before the Engine's first message.
    pub fn status_text(&self) -> String {
        if !self.answered {
            return "No progress".into();
        }
        let Self { pulled, layers, waiting, pulling, .. } = self;
        let (current, total) = (size::binary_compact(self.current_bytes), size::binary_compact(self.total_bytes));
        let mut text =
            format!("Pulled {pulled}/{layers} ({current}/{total}) layers: {waiting} waiting/{pulling} pulling");
        if let Some(remaining) = self.remaining {
            text.push_str(&format!(" - est {:.1}s remaining", remaining.as_secs_f64()));
        }
        text
    }

    /// Whether the pull has ended: nothing more is told of it.
    pub fn has_ended(&self) -> bool {
        self.state != PullState::Pulling
    }
}

/// Follows one pull.
#[derive(Debug)]
pub(super) struct Tracker {
    image: String,
    started: Instant,
    last_activity: Instant,
    last_slow_report: Instant,
    answered: bool,
    /// What was said of each id. Those that are no layers have no state.
    said: BTreeMap<String, Layer>,
    received: Received,
}

/// What is known of an id.
#[derive(Debug, Default)]
struct Layer {
    state: Option<LayerState>,
    current: u64,
    total: u64,
    /// The last message of it.
    last: Option<Words>,
}

/// What makes a message another than the one before it.
#[derive(Debug, PartialEq, Eq)]
struct Words {
    status: String,
    stream: String,
    current: i64,
    total: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LayerState {
    Starting,
    Waiting,
    Downloading,
    Verifying,
    Downloaded,
    Extracting,
    Complete,
    Exists,
}

impl Tracker {
    /// Follows the pull of an image that is asked for now.
    pub(super) fn new(image: impl Into<String>, now: Instant) -> Self {
        Self {
            image: image.into(),
            started: now,
            last_activity: now,
            last_slow_report: now,
            answered: false,
            said: BTreeMap::new(),
            received: Received::default(),
        }
    }

    /// Takes the Engine's next message.
    pub(super) fn message(&mut self, message: &Progress, now: Instant) {
        self.answered = true;
        if !self.said.contains_key(&message.id) && self.said.len() >= MOST_IDS {
            self.last_activity = now;
            return;
        }
        let layer = self.said.entry(message.id.clone()).or_default();
        let words = Some(Words::of(message));
        if layer.last == words {
            return;
        }
        layer.last = words;
        self.last_activity = now;
        let Some(state) = LayerState::of(&message.status) else { return };
        let before = layer.current;
        layer.take(state, message);
        self.received.add(layer.current.saturating_sub(before), now);
    }

    /// Whether nothing has come for more than `limit`. A message that repeats what the last of the same id said is nothing.
    pub(super) fn is_inactive(&self, now: Instant, limit: Duration) -> bool {
        now.saturating_duration_since(self.last_activity) > limit
    }

    /// Whether it is time to tell that the pull takes long: once every [`SLOW_REPORT`]. It counts as told.
    pub(super) fn slow_report_due(&mut self, now: Instant) -> bool {
        let due = now.saturating_duration_since(self.last_slow_report) > SLOW_REPORT;
        if due {
            self.last_slow_report = now;
        }
        due
    }

    /// How far the pull is.
    pub(super) fn snapshot(&self, now: Instant) -> PullProgress {
        self.told(PullState::Pulling, now)
    }

    /// The last that is told of the pull: it succeeded.
    pub(super) fn pulled(&self, now: Instant) -> PullProgress {
        self.told(PullState::Pulled, now)
    }

    /// The last that is told of the pull: it failed, and why.
    pub(super) fn failed(&self, message: impl Into<String>, now: Instant) -> PullProgress {
        self.told(PullState::Failed { message: message.into() }, now)
    }

    fn told(&self, state: PullState, now: Instant) -> PullProgress {
        use LayerState::{Complete, Downloaded, Downloading, Exists, Extracting, Starting, Verifying, Waiting};
        let elapsed = now.saturating_duration_since(self.started);
        let mut told = PullProgress {
            image: self.image.clone(),
            state,
            answered: self.answered,
            bytes_per_second: self.received.rate(now),
            elapsed,
            ..PullProgress::default()
        };
        for layer in self.said.values() {
            let Some(state) = layer.state else { continue };
            told.layers += 1;
            match state {
                Starting | Waiting => told.waiting += 1,
                Downloading | Verifying => told.pulling += 1,
                Downloaded | Extracting | Complete | Exists => told.pulled += 1,
            }
            told.extracting += usize::from(state == Extracting);
            told.current_bytes = told.current_bytes.saturating_add(layer.current);
            told.total_bytes = told.total_bytes.saturating_add(layer.total);
        }
        told.remaining = remaining(elapsed, told.current_bytes, told.total_bytes);
        told
    }
}

impl LayerState {
    /// What a message's status says of its layer; `None`: nothing.
    fn of(status: &str) -> Option<Self> {
        Some(match status {
            "Pulling fs layer" => Self::Starting,
            "Waiting" => Self::Waiting,
            "Downloading" => Self::Downloading,
            "Verifying Checksum" => Self::Verifying,
            "Download complete" => Self::Downloaded,
            "Extracting" => Self::Extracting,
            "Pull complete" => Self::Complete,
            "Already exists" => Self::Exists,
            _ => return None,
        })
    }
}

impl Layer {
    fn take(&mut self, state: LayerState, message: &Progress) {
        self.state = Some(state);
        let detail = &message.progress_detail;
        match state {
            // Docker sends an empty detail where it has no figures.
            LayerState::Downloading if detail.current != 0 || detail.total != 0 => {
                self.current = u64::try_from(detail.current).unwrap_or(0);
                // Unknown (-1), or less than has come already.
                self.total = u64::try_from(detail.total).unwrap_or(0).max(self.current);
            }
            LayerState::Downloaded => self.current = self.total,
            // The figures of an extraction are others: its own bytes, or seconds.
            _ => {}
        }
    }
}

impl Words {
    fn of(message: &Progress) -> Self {
        let Progress { status, stream, progress_detail, .. } = message;
        let (current, total) = (progress_detail.current, progress_detail.total);
        Self { status: status.clone(), stream: stream.clone(), current, total }
    }
}

/// How long the rest takes, in whole nanoseconds a byte, as Nomad counts it; `None`: nobody can know, or nothing is left.
fn remaining(elapsed: Duration, current: u64, total: u64) -> Option<Duration> {
    let elapsed = elapsed.as_nanos();
    let rest = elapsed.checked_div(current.into())?.saturating_mul(total.into()).saturating_sub(elapsed);
    (rest > 0).then(|| Duration::from_nanos(u64::try_from(rest).unwrap_or(u64::MAX)))
}

/// Bytes as they arrive. They only grow, also where a download begins anew.
#[derive(Debug, Default)]
struct Received {
    bytes: u64,
    /// How many had come by when, for the window; the first is older, or of the time when the first bytes came.
    samples: VecDeque<(Instant, u64)>,
}

impl Received {
    fn add(&mut self, bytes: u64, now: Instant) {
        if bytes == 0 {
            return;
        }
        if self.samples.is_empty() {
            self.samples.push_back((now, 0));
        }
        self.bytes = self.bytes.saturating_add(bytes);
        let several = self.samples.len() > 1;
        match self.samples.back_mut() {
            Some((at, sample)) if several && now.saturating_duration_since(*at) < RATE_SAMPLE => *sample = self.bytes,
            _ => self.samples.push_back((now, self.bytes)),
        }
        while self.samples.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= RATE_WINDOW) {
            self.samples.pop_front();
        }
    }

    /// Bytes a second.
    fn rate(&self, now: Instant) -> u64 {
        let age = |at: Instant| now.saturating_duration_since(at);
        let before = self.samples.iter().take_while(|(at, _)| age(*at) >= RATE_WINDOW).last();
        let Some((at, bytes)) = before.or(self.samples.front()) else { return 0 };
        let span = age(*at).clamp(RATE_LEAST, RATE_WINDOW);
        let rate = u128::from(self.bytes.saturating_sub(*bytes)) * 1_000 / span.as_millis();
        u64::try_from(rate).unwrap_or(u64::MAX)
    }
}

fn milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

fn optional_milliseconds<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => milliseconds(duration, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a message as an Engine writes it.
    fn read(line: &str) -> Progress {
        serde_json::from_str(line).unwrap()
    }

    /// A message of its words: status, id, figures.
    fn says(status: &str, id: &str, current: i64, total: i64) -> Progress {
        let mut message = Progress { status: status.into(), id: id.into(), ..Progress::default() };
        (message.progress_detail.current, message.progress_detail.total) = (current, total);
        message
    }

    fn after(start: Instant, seconds: f64) -> Instant {
        start + Duration::from_secs_f64(seconds)
    }

    fn counts(progress: &PullProgress) -> (usize, u64, u64) {
        (progress.layers, progress.current_bytes, progress.total_bytes)
    }

    #[test]
    fn counts_of_the_specification() {
        // driver-spec 5.6, (a) to (d); that lines come in halves is the line decoder's.
        let start = Instant::now();
        let mut tracker = Tracker::new("golang:1.9.5", start);
        assert_eq!(tracker.snapshot(after(start, 3.0)).status_text(), "No progress");
        for (row, lines, want) in [
            (
                "a",
                &[
                    r#"{"status":"Pulling from library/golang","id":"1.9.5"}"#,
                    r#"{"status":"Pulling fs layer","progressDetail":{},"id":"c73ab1c6897b"}"#,
                    r#"{"status":"Pulling fs layer","progressDetail":{},"id":"1ab373b3deae"}"#,
                ][..],
                (2, 0, 0),
            ),
            ("b", &[r#"{"status":"Pulling fs layer","progressDetail":{},"id":"b542772b4177"}"#], (3, 0, 0)),
            (
                "c",
                &[
                    r#"{"status":"Downloading","progressDetail":{"current":45800,"total":4335495},"progress":"[> ]","id":"b542772b4177"}"#,
                    r#"{"status":"Downloading","progressDetail":{"current":113576,"total":11108010},"progress":"[> ]","id":"1ab373b3deae"}"#,
                    r#"{"status":"Downloading","progressDetail":{"current":694257,"total":4335495},"progress":"[> ]","id":"b542772b4177"}"#,
                ],
                (3, 807_833, 15_443_505),
            ),
            (
                "d",
                &[r#"{"status":"Download complete","progressDetail":{},"id":"b542772b4177"}"#],
                (3, 4_449_071, 15_443_505),
            ),
        ] {
            for line in lines {
                tracker.message(&read(line), start);
            }
            assert_eq!(counts(&tracker.snapshot(start)), want, "{row}");
        }
        let progress = tracker.snapshot(after(start, 10.0));
        let want = "Pulled 1/3 (4.243MiB/14.73MiB) layers: 1 waiting/1 pulling - est 24.7s remaining";
        assert_eq!(progress.status_text(), want);
        // (10^10 / 4449071) * 15443505 - 10^10, the division first and cut.
        assert_eq!(progress.remaining, Some(Duration::from_nanos(24_701_555_735)));
    }

    #[test]
    fn what_a_status_does() {
        // driver-spec 5.6: messages of one layer -> (waiting, pulling, pulled, extracting, current, total)
        let downloading = ("Downloading", 3, 9);
        for (row, messages, want) in [
            ("starting", &[("Pulling fs layer", 0, 0)][..], Some((1, 0, 0, 0, 0, 0))),
            ("waiting", &[("Waiting", 0, 0)], Some((1, 0, 0, 0, 0, 0))),
            ("downloading", &[downloading], Some((0, 1, 0, 0, 3, 9))),
            ("without figures", &[downloading, ("Downloading", 0, 0)], Some((0, 1, 0, 0, 3, 9))),
            ("anew", &[downloading, ("Retrying in 1 second", 0, 0), ("Downloading", 1, 9)], Some((0, 1, 0, 0, 1, 9))),
            ("verifying", &[downloading, ("Verifying Checksum", 0, 0)], Some((0, 1, 0, 0, 3, 9))),
            ("downloaded", &[downloading, ("Download complete", 0, 0)], Some((0, 0, 1, 0, 9, 9))),
            ("extracting", &[downloading, ("Extracting", 2, 20)], Some((0, 0, 1, 1, 3, 9))),
            ("complete", &[downloading, ("Pull complete", 0, 0)], Some((0, 0, 1, 0, 3, 9))),
            ("here before", &[("Already exists", 0, 0)], Some((0, 0, 1, 0, 0, 0))),
            ("no state of a layer", &[("Pulling from a/b", 0, 0), ("Retrying in 2 seconds", 1, 2)], None),
            ("in another case", &[("pull complete", 0, 0), ("Download Complete", 0, 0)], None),
        ] {
            let now = Instant::now();
            let mut tracker = Tracker::new("a", now);
            for (status, current, total) in messages {
                tracker.message(&says(status, "1", *current, *total), now);
            }
            let p = tracker.snapshot(now);
            let got = (p.waiting, p.pulling, p.pulled, p.extracting, p.current_bytes, p.total_bytes);
            assert_eq!((p.layers > 0).then_some(got), want, "{row}");
            assert_eq!(p.layers, p.waiting + p.pulling + p.pulled, "{row}");
        }
    }

    #[test]
    fn absurd_figures() {
        // current, total -> current, total
        for (current, total, want) in [
            (5, -1, (5, 5)),
            (5, 0, (5, 5)),
            (5, 3, (5, 5)),
            (-5, 3, (0, 3)),
            (i64::MIN, i64::MIN, (0, 0)),
            (i64::MAX, -1, (i64::MAX as u64, i64::MAX as u64)),
            (1, i64::MAX, (1, i64::MAX as u64)),
        ] {
            let start = Instant::now();
            let mut tracker = Tracker::new("a", start);
            tracker.message(&says("Downloading", "1", current, total), start);
            let progress = tracker.snapshot(after(start, 1e9));
            assert_eq!((progress.current_bytes, progress.total_bytes), want, "{current}/{total}");
            progress.status_text();
        }
        let start = Instant::now();
        let mut tracker = Tracker::new("a", start);
        for id in 0..3 {
            tracker.message(&says("Downloading", &format!("{id}"), i64::MAX, i64::MAX), start);
        }
        let progress = tracker.snapshot(start);
        assert_eq!(progress.total_bytes, u64::MAX, "a sum that does not fit");
        assert_eq!(progress.status_text(), "Pulled 0/3 (16EiB/16EiB) layers: 0 waiting/3 pulling");
        assert_eq!(remaining(Duration::MAX, 1, u64::MAX), Some(Duration::from_nanos(u64::MAX)));
        let earlier = start.checked_sub(Duration::from_secs(1)).unwrap();
        assert_eq!(tracker.snapshot(earlier).elapsed, Duration::ZERO, "a time before the beginning");

        let mut tracker = Tracker::new("a", start);
        for id in 0..MOST_IDS + 10 {
            tracker.message(&says("Waiting", &format!("{id}"), 0, 0), start);
        }
        assert_eq!(tracker.snapshot(start).layers, MOST_IDS, "more ids than any image has");
    }

    #[test]
    fn what_is_left() {
        // driver-spec 5.6: (seconds, current, total) -> nanoseconds
        for (seconds, current, total, want) in [
            (10, 0, 10, None),
            (10, 10, 10, None),
            (10, 5, 10, Some(10_000_000_000)),
            (10, 20_000_000_000, 40_000_000_000, None), // less than a nanosecond a byte
            (0, 5, 10, None),
        ] {
            let got = remaining(Duration::from_secs(seconds), current, total);
            assert_eq!(got, want.map(Duration::from_nanos), "{seconds}s, {current}/{total}");
        }
    }

    #[test]
    fn what_is_activity() {
        let start = Instant::now();
        let limit = Duration::from_secs(120);
        let figures = |current| says("Downloading", "1", current, 100);
        // A message at 100 s: is the pull inactive at 121 s?
        for (row, message, inactive) in [
            ("more bytes", figures(11), false),
            ("the same", figures(10), true),
            ("the same of another layer", says("Downloading", "2", 10, 100), false),
            ("another state", says("Verifying Checksum", "1", 10, 100), false),
            ("an unknown status", says("Retrying in 5 seconds", "1", 0, 0), false),
            ("the same unknown status", says("Pulling from a/b", "latest", 0, 0), true),
            ("another second of extraction", says("Extracting", "3", 8, 0), false),
            ("the same second", says("Extracting", "3", 7, 0), true),
            ("other text", Progress { stream: "y".into(), ..Progress::default() }, false),
            ("the same text", Progress { stream: "x".into(), ..Progress::default() }, true),
        ] {
            let mut tracker = Tracker::new("a", start);
            for message in [
                figures(10),
                says("Pulling from a/b", "latest", 0, 0),
                says("Extracting", "3", 7, 0),
                Progress { stream: "x".into(), ..Progress::default() },
            ] {
                tracker.message(&message, start);
            }
            assert!(!tracker.is_inactive(after(start, 120.0), limit), "{row}");
            tracker.message(&message, after(start, 100.0));
            assert_eq!(tracker.is_inactive(after(start, 121.0), limit), inactive, "{row}");
        }
        assert!(Tracker::new("a", start).is_inactive(after(start, 121.0), limit), "an Engine that says nothing at all");
    }

    /// A pull that docker 28.5.2 with containerd's image store told, its registry stopped from 0.3 s to 2.3 s: the second, the message.
    /// Between 0.4 s and 2.2 s are 19 times the same two.
    const CONTAINERD: &[(f64, &str)] = &[
        (0.02, r#"{"status":"Pulling from big","id":"1"}"#),
        (0.12, r#"{"status":"Pulling fs layer","progressDetail":{},"id":"20bc4695cd4c"}"#),
        (0.12, r#"{"status":"Pulling fs layer","progressDetail":{},"id":"a7816ef0334c"}"#),
        (0.12, r#"{"status":"Pulling fs layer","progressDetail":{},"id":"1331e2c837ef"}"#),
        (0.22, r#"{"status":"Download complete","progressDetail":{"hidecounts":true},"id":"20bc4695cd4c"}"#),
        (
            0.31,
            r#"{"status":"Downloading","progressDetail":{"current":10485760,"total":15002765},"id":"1331e2c837ef"}"#,
        ),
        (0.31, r#"{"status":"Downloading","progressDetail":{"current":9437184,"total":40004369},"id":"a7816ef0334c"}"#),
        (2.22, r#"{"status":"Downloading","progressDetail":{"current":9437184,"total":40004369},"id":"a7816ef0334c"}"#),
        (
            2.22,
            r#"{"status":"Downloading","progressDetail":{"current":10485760,"total":15002765},"id":"1331e2c837ef"}"#,
        ),
        (
            2.32,
            r#"{"status":"Downloading","progressDetail":{"current":24117248,"total":40004369},"id":"a7816ef0334c"}"#,
        ),
        (2.32, r#"{"status":"Download complete","progressDetail":{"hidecounts":true},"id":"1331e2c837ef"}"#),
        (
            2.52,
            r#"{"status":"Downloading","progressDetail":{"current":40004369,"total":40004369},"id":"a7816ef0334c"}"#,
        ),
        (2.61, r#"{"status":"Download complete","progressDetail":{"hidecounts":true},"id":"a7816ef0334c"}"#),
        (
            2.62,
            r#"{"status":"Extracting","progressDetail":{"current":1,"units":"s"},"progress":"1 s","id":"a7816ef0334c"}"#,
        ),
        (2.72, r#"{"status":"Pull complete","progressDetail":{"hidecounts":true},"id":"a7816ef0334c"}"#),
        (2.82, r#"{"status":"Pull complete","progressDetail":{"hidecounts":true},"id":"20bc4695cd4c"}"#),
        (2.82, r#"{"status":"Pull complete","progressDetail":{"hidecounts":true},"id":"1331e2c837ef"}"#),
        (2.82, r#"{"status":"Digest: sha256:7fb70acc7e1cd89d26f7d4f97f9890eb992cfe105f9746abf153e224038029a6"}"#),
        (2.82, r#"{"status":"Status: Downloaded newer image for localhost:5000/big:1"}"#),
    ];

    /// The same image, told by podman 5.4.2, that says nothing for a second between two messages of a download. The last id is the image's.
    const PODMAN: &[(f64, &str)] = &[
        (0.0, r#"{"status":"Pulling fs layer","progressDetail":{},"id":"1331e2c837ef"}"#),
        (0.0, r#"{"status":"Pulling fs layer","progressDetail":{},"id":"20bc4695cd4c"}"#),
        (0.0, r#"{"status":"Download complete","progressDetail":{},"id":"20bc4695cd4c"}"#),
        (0.0, r#"{"status":"Pulling fs layer","progressDetail":{},"id":"a7816ef0334c"}"#),
        (1.66, r#"{"status":"Downloading","progressDetail":{"current":3964928,"total":40004369},"id":"a7816ef0334c"}"#),
        (1.66, r#"{"status":"Downloading","progressDetail":{"current":8151040,"total":15002765},"id":"1331e2c837ef"}"#),
        (1.8, r#"{"status":"Download complete","progressDetail":{},"id":"1331e2c837ef"}"#),
        (2.6, r#"{"status":"Download complete","progressDetail":{},"id":"a7816ef0334c"}"#),
        (2.6, r#"{"status":"Pulling fs layer","progressDetail":{},"id":"1659981b81fe"}"#),
        (2.62, r#"{"status":"Download complete","progressDetail":{},"id":"1659981b81fe"}"#),
        (2.65, r#"{"status":"Download complete","progressDetail":{},"id":"1659981b81fe"}"#),
    ];

    #[test]
    fn pulls_that_engines_told() {
        // Until when -> the text, and whether nothing came for 1.5 s.
        for (row, messages, until, want, inactive) in [
            (
                "containerd, while its registry is stopped",
                CONTAINERD,
                2.3,
                "Pulled 1/3 (19MiB/52.46MiB) layers: 0 waiting/2 pulling - est 4.0s remaining",
                true,
            ),
            (
                "containerd, extracting",
                CONTAINERD,
                2.65,
                "Pulled 3/3 (52.46MiB/52.46MiB) layers: 0 waiting/0 pulling",
                false,
            ),
            (
                "containerd, the end",
                CONTAINERD,
                3.0,
                "Pulled 3/3 (52.46MiB/52.46MiB) layers: 0 waiting/0 pulling",
                false,
            ),
            ("podman, the beginning", PODMAN, 1.6, "Pulled 1/3 (0B/0B) layers: 2 waiting/0 pulling", true),
            (
                "podman, downloading",
                PODMAN,
                1.7,
                "Pulled 1/3 (11.55MiB/52.46MiB) layers: 0 waiting/2 pulling - est 6.0s remaining",
                false,
            ),
            ("podman, the end", PODMAN, 3.0, "Pulled 4/4 (52.46MiB/52.46MiB) layers: 0 waiting/0 pulling", false),
        ] {
            let start = Instant::now();
            let mut tracker = Tracker::new("localhost:5000/big:1", start);
            for (second, line) in messages.iter().filter(|(second, _)| *second <= until) {
                tracker.message(&read(line), after(start, *second));
            }
            let now = after(start, until);
            assert_eq!(tracker.snapshot(now).status_text(), want, "{row}");
            assert_eq!(tracker.is_inactive(now, Duration::from_millis(1500)), inactive, "{row}");
        }
    }

    #[test]
    fn slow_reports() {
        let start = Instant::now();
        let mut tracker = Tracker::new("a", start);
        for (seconds, due) in
            [(0.0, false), (120.0, false), (130.0, true), (140.0, false), (250.0, false), (251.0, true)]
        {
            assert_eq!(tracker.slow_report_due(after(start, seconds)), due, "after {seconds}s");
        }
    }

    #[test]
    fn rates() {
        let start = Instant::now();
        let mut tracker = Tracker::new("a", start);
        assert_eq!(tracker.snapshot(start).bytes_per_second, 0, "nothing yet");
        // 1000 bytes every 100 ms from 4 s to 14 s, then a pause.
        for step in 1..=100_i64 {
            let message = says("Downloading", "1", step * 1000, 1_000_000);
            tracker.message(&message, after(start, 4.0 + step as f64 / 10.0));
        }
        assert!(tracker.received.samples.len() < 30, "{}", tracker.received.samples.len());
        for (seconds, least, most) in [(14.0, 9_500, 10_500), (16.5, 4_500, 5_500), (18.9, 0, 600), (19.1, 0, 0)] {
            let rate = tracker.snapshot(after(start, seconds)).bytes_per_second;
            assert!((least..=most).contains(&rate), "after {seconds}s: {rate}");
        }
        let mut tracker = Tracker::new("a", start);
        tracker.message(&says("Downloading", "1", 5000, 9000), start);
        assert_eq!(tracker.snapshot(start).bytes_per_second, 5000, "all at once");
        tracker.message(&says("Downloading", "1", 10, 9000), start);
        assert_eq!(tracker.snapshot(after(start, 2.0)).bytes_per_second, 2500, "a download that began anew");
    }

    #[test]
    fn ends_and_json() {
        let start = Instant::now();
        let mut tracker = Tracker::new("a:b", start);
        tracker.message(&says("Downloading", "1", 5, 10), start);
        let now = after(start, 1.5);
        assert!(!tracker.snapshot(now).has_ended());
        assert!(tracker.pulled(now).has_ended());
        let json = serde_json::to_string(&tracker.failed("no luck", now)).unwrap();
        let want = r#"{"image":"a:b","state":"failed","message":"no luck","answered":true,"layers":1,"waiting":0,"pulling":1,"pulled":0,"extracting":0,"current_bytes":5,"total_bytes":10,"bytes_per_second":3,"remaining_ms":1500,"elapsed_ms":1500}"#;
        assert_eq!(json, want);
    }
}

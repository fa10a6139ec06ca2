//! The thread that collects one container's logs: it reads what the Engine holds, follows, and reads again.
//!
//! A follow that the Engine's own rotation overtakes skips silently, and a read does not: whenever we lag, we go back to
//! reading. After a break of any kind it goes on from the cursor. It ends when the container has ended and a read
//! brings nothing new, or when the container, or its logs, cannot be had any more.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded, select};

use super::cursor::Cursor;
use super::raw::Cuts;
use super::record::{BadRecord, Part, Record, Splitter, Stamp};
use super::sink::Sink;
use crate::engine::{Engine, Error, LogsQuery, logs_cannot_be_read};
use crate::threads::{Backoff, Hangup, Worker};

/// A record that arrives this late while following says that we lag.
const LAG: Duration = Duration::from_millis(250);
/// How long a collector that was hung up may take to leave its sinks.
const BLOCKED: Duration = Duration::from_secs(1);
/// How often an ended container's logs are tried again while they give nothing but errors.
const LAST_TRIES: u32 = 5;

/// What is collected, and how.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The container's id.
    pub(crate) id: String,
    /// Whether it has a terminal, and how the Engine cuts a terminal's long lines. `None`: it has none.
    pub(crate) terminal: Option<Cuts>,
    /// How many bytes one follow may carry before it is checked by a read: half of what one of the Engine's log files
    /// holds. `None`: the Engine does not rotate.
    pub(crate) follow_bytes: Option<u64>,
    /// Whether the Engine's clock is ours.
    pub(crate) same_clock: bool,
    /// Pauses between tries while the Engine does not answer.
    pub(crate) backoff: (Duration, Duration),
}

/// What the collector has to say beside the output itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Collected {
    /// Words for whoever reads the output.
    Notice(String),
    /// A sink failed, and gets nothing more.
    SinkFailed(String),
    /// The thread panicked.
    Panicked(String),
}

/// A collector's thread, and its end.
#[derive(Debug)]
pub(crate) struct Collector {
    worker: Worker,
    hangup: Hangup,
    progress: Progress,
}

/// How far a collector is, for who waits for its end. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    /// Disconnects with the collector's end.
    ended: Receiver<()>,
    pulse: Arc<Pulse>,
    hangup: Hangup,
}

#[derive(Debug, Default)]
struct Pulse {
    /// Pieces of output that came.
    pieces: AtomicU64,
    /// A sink has been called and has not come back.
    in_sink: AtomicBool,
}

impl Collector {
    /// Starts to collect into `sinks`. What it has to say goes to `report`, in its thread.
    pub(crate) fn spawn(
        engine: &Engine,
        settings: Settings,
        sinks: Vec<Box<dyn Sink>>,
        hangup: Hangup,
        report: impl Fn(Collected) + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let (end, ended) = bounded::<()>(0);
        let name = format!("logs {:.8}", settings.id);
        let on_panic = {
            let report = report.clone();
            move |words: &str| report(Collected::Panicked(words.to_owned()))
        };
        let pulse = Arc::new(Pulse::default());
        let mut collection = Collection {
            engine: engine.with(&hangup),
            backoff: Backoff::new(settings.backoff.0, settings.backoff.1),
            lag: Lag { floor: settings.same_clock.then_some(0) },
            settings,
            hangup: hangup.clone(),
            cursor: Cursor::default(),
            out: Output { sinks, report: Box::new(report), within_line: [false; 2], pulse: pulse.clone() },
        };
        let body = move || {
            let _end = end; // Dropped when the thread ends, however it does.
            collection.run();
        };
        let progress = Progress { ended, pulse, hangup: hangup.clone() };
        Ok(Self { worker: Worker::spawn(name, hangup.clone(), body, on_panic)?, hangup, progress })
    }

    /// How far it is, to be waited for without the collector itself.
    pub(crate) fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Ends the thread, wherever it is, and joins it. One that a sink has blocked is left behind after a while: nothing
    /// can be done about a writer that does not return, and its task must end all the same.
    pub(crate) fn stop(&mut self) {
        self.hangup.hang_up();
        if self.progress.has_ended_within(BLOCKED) { self.worker.stop() } else { self.worker.abandon() }
    }
}

impl Progress {
    /// Waits for the end of the logs, at most `timeout`. Says whether they have ended.
    pub(crate) fn has_ended_within(&self, timeout: Duration) -> bool {
        self.ended.recv_timeout(timeout) == Err(RecvTimeoutError::Disconnected)
    }

    /// Waits for the end of the logs. Says whether they have ended; not, where `give_up` disconnects, the collector is hung
    /// up, or nothing comes of the logs for `patience`. Time that a sink takes does not count: what it has not taken yet
    /// would be lost.
    pub(crate) fn wait(&self, patience: Duration, give_up: &Receiver<Infallible>) -> bool {
        loop {
            let before = self.pulse.pieces.load(Ordering::Relaxed);
            select! {
                recv(self.ended) -> _ => return true,
                recv(give_up) -> _ => return false,
                default(patience) => {}
            }
            let came = self.pulse.pieces.load(Ordering::Relaxed) != before;
            let gets_on = came || self.pulse.in_sink.load(Ordering::Relaxed);
            if self.hangup.is_hung_up() || !gets_on {
                return false;
            }
        }
    }
}

struct Collection {
    engine: Engine,
    settings: Settings,
    hangup: Hangup,
    cursor: Cursor,
    backoff: Backoff,
    lag: Lag,
    out: Output,
}

/// Why reading stopped.
enum Stop {
    /// The logs came to their end, for now.
    End { new: bool },
    /// We lag behind, or a check is due.
    Lag,
    /// Something broke. `new`: after it had brought something.
    Broken { error: Error, new: bool },
    /// The Engine said something in the midst of the stream.
    Words { words: String, new: bool },
}

/// What the container does, as far as its logs are concerned.
enum Container {
    Runs,
    Ended,
    Unknown,
}

impl Collection {
    fn run(&mut self) {
        let mut tries_left = LAST_TRIES;
        // It ran a moment ago; if it has ended, the first follow ends at once.
        let mut assumed = Some(Container::Runs);
        loop {
            // Asked before the read: what it wrote before its end is then read after it.
            let ended = match assumed.take().unwrap_or_else(|| self.container()) {
                Container::Ended => true,
                Container::Runs => false,
                Container::Unknown if self.hangup.is_hung_up() => break,
                Container::Unknown => {
                    if !self.pause() {
                        break;
                    }
                    continue;
                }
            };
            let follow = match self.pass(false) {
                Stop::End { new: true } | Stop::Lag => false,
                Stop::End { new: false } if ended => break,
                Stop::End { new: false } => true,
                stop => {
                    if !self.recover(stop, ended.then_some(&mut tries_left)) {
                        break;
                    }
                    false
                }
            };
            if !follow {
                continue;
            }
            match self.pass(true) {
                Stop::End { new } => {
                    // The container has ended, or the Engine goes down: the next inspect tells. Where it runs on, a
                    // follow that ends at once again and again must not spin.
                    if !new && !matches!(self.container(), Container::Ended) && !self.pause() {
                        break;
                    }
                }
                Stop::Lag => {}
                stop => {
                    if !self.recover(stop, None) {
                        break;
                    }
                }
            }
        }
        self.out.flush();
    }

    fn container(&mut self) -> Container {
        match self.engine.container_state(&self.settings.id) {
            Ok(state) if state.is_running() => Container::Runs,
            // A state that says nothing is not an end.
            Ok(state) if state.status.is_empty() => Container::Unknown,
            Ok(_) => Container::Ended,
            Err(e) if e.is_not_found() => Container::Ended,
            Err(_) => Container::Unknown,
        }
    }

    /// After a break: waits, and says whether to go on. `tries_left`: for a container that has ended.
    fn recover(&mut self, stop: Stop, tries_left: Option<&mut u32>) -> bool {
        let new = match stop {
            Stop::End { .. } | Stop::Lag => return true,
            Stop::Broken { error, .. } if error.is_hung_up() || error.is_not_found() => return false,
            Stop::Broken { error, .. } if logs_cannot_be_read(&error) || error.status() == Some(501) => {
                self.out
                    .notice("the output cannot be collected: the container's log driver keeps none that can be read");
                return false;
            }
            Stop::Broken { error, new } => {
                log::debug!("logs of {}: {error}", self.settings.id);
                new
            }
            Stop::Words { words, new } => {
                self.missing(&format!("the Engine says in the midst of the output: {words}"));
                new
            }
        };
        match tries_left {
            _ if new => self.backoff.reset(),
            None => {}
            Some(0) => {
                self.missing("the end of the output cannot be read");
                return false;
            }
            Some(left) => *left -= 1,
        }
        self.pause()
    }

    fn missing(&mut self, why: &str) {
        let after = self.cursor.upper().map_or("the start".into(), |stamp| stamp.to_string());
        self.out.notice(&format!("{why}; lines may be missing after {after}"));
    }

    fn pause(&mut self) -> bool {
        self.hangup.sleep(self.backoff.next())
    }

    /// One request, from the cursor: all that the Engine holds, or that and what comes.
    fn pass(&mut self, follow: bool) -> Stop {
        let query = LogsQuery {
            follow,
            since: self.cursor.lower().map(Stamp::as_query).unwrap_or_default(),
            timestamps: true,
            tty: self.settings.terminal.is_some(),
            ..LogsQuery::default()
        };
        let mut logs = match self.engine.container_logs(&self.settings.id, &query, &self.hangup) {
            Ok(logs) => logs,
            Err(error) => return Stop::Broken { error, new: false },
        };
        self.cursor.begin();
        let mut splitter = Splitter::new(self.settings.terminal);
        let (mut new, mut late, mut carried) = (false, false, 0);
        loop {
            if !logs.is_buffered() {
                self.out.flush();
            }
            let next = logs.next_piece();
            self.out.pulse.pieces.fetch_add(1, Ordering::Relaxed);
            let (cursor, out, lag) = (&mut self.cursor, &mut self.out, &mut self.lag);
            let mut take = |part: Part<'_>| {
                let bytes = cursor.take(&part);
                if !bytes.is_empty() {
                    out.record(&part, bytes);
                    carried += bytes.len() as u64;
                    new = true;
                    late |= follow && lag.is_late(part.stamp, now());
                }
            };
            let fed = match next {
                Ok(Some(piece)) => splitter.feed(&piece, &mut take),
                Ok(None) => {
                    splitter.finish(&mut take);
                    return Stop::End { new };
                }
                Err(error) => return Stop::Broken { error, new },
            };
            if new {
                self.backoff.reset();
            }
            match fed {
                Ok(()) => {}
                Err(BadRecord::System) => return Stop::Words { words: splitter.words(), new },
                Err(BadRecord::NoStamp) => {
                    return Stop::Words { words: "something that bears no time".into(), new };
                }
            }
            if late || follow && self.settings.follow_bytes.is_some_and(|most| carried > most) {
                return Stop::Lag;
            }
        }
    }
}

/// Whether records come late.
struct Lag {
    /// The least time seen between a record's stamp and its arrival, in ns: what the clocks differ by. `None`: not known yet.
    floor: Option<i64>,
}

impl Lag {
    fn is_late(&mut self, stamp: Stamp, now: Stamp) -> bool {
        let age = now.as_nanos().saturating_sub(stamp.as_nanos());
        let floor = self.floor.map_or(age, |floor| floor.min(age));
        self.floor = Some(floor);
        // podman 4.3 stamps whole seconds.
        let coarse = if stamp.as_nanos() % 1_000_000_000 == 0 { 1_000_000_000 } else { 0 };
        age.saturating_sub(floor) > LAG.as_nanos() as i64 + coarse
    }
}

fn now() -> Stamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Stamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// The sinks, and what is remembered for them.
struct Output {
    sinks: Vec<Box<dyn Sink>>,
    report: Box<dyn Fn(Collected) + Send>,
    /// Per stream whether the last byte handed on was not a newline.
    within_line: [bool; 2],
    pulse: Arc<Pulse>,
}

impl Output {
    fn record(&mut self, part: &Part<'_>, bytes: &[u8]) {
        let within_line = &mut self.within_line[part.stream as usize];
        let record = Record { stream: part.stream, stamp: part.stamp, bytes, continues: *within_line };
        *within_line = bytes.last() != Some(&b'\n');
        self.each(|sink| sink.record(&record));
    }

    fn notice(&mut self, text: &str) {
        (self.report)(Collected::Notice(text.into()));
        self.each(|sink| sink.notice(text));
    }

    fn flush(&mut self) {
        self.each(|sink| sink.flush());
    }

    fn each(&mut self, mut hand: impl FnMut(&mut dyn Sink) -> io::Result<()>) {
        let report = &self.report;
        self.pulse.in_sink.store(true, Ordering::Relaxed);
        self.sinks.retain_mut(|sink| match hand(sink.as_mut()) {
            Ok(()) => true,
            Err(e) => {
                report(Collected::SinkFailed(e.to_string()));
                false
            }
        });
        self.pulse.in_sink.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late() {
        let ms = |ms: i64| Stamp::from_nanos(ms * 1_000_000);
        let mut same = Lag { floor: Some(0) };
        for (stamp, now, want) in
            [(1, 200, false), (1, 252, true), (2000, 1999, false), (3000, 4200, false), (3001, 4200, true)]
        {
            assert_eq!(same.is_late(ms(stamp), ms(now)), want, "written at {stamp}, here at {now}");
        }
        let mut other = Lag { floor: None };
        for (stamp, now, want) in
            [(1, 5001, false), (1001, 6002, false), (1501, 6852, true), (2001, 6901, false), (2501, 7652, true)]
        {
            assert_eq!(other.is_late(ms(stamp), ms(now)), want, "written at {stamp} by another clock, here at {now}");
        }
    }
}

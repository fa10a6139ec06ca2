//! What the Engine holds of a container's output beyond what is collected, for who only looks: nothing is written down, and it
//! comes in the looker's own thread. Each stream has a subscription of its own, for each may be collected to another point.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::{Engine, Error, logs_cannot_be_read};
use crate::logs::checkpoint::tracker::Reached;
use crate::logs::delivery::fanout::Fanout;
use crate::logs::delivery::report::Collected;
use crate::logs::delivery::subscription::Subscription;
use crate::logs::delivery::watchdog::{Watch, Watchdog};
use crate::logs::fetch::collection::LAST_TRIES;
use crate::logs::fetch::request::{Passed, Reading, Stop};
use crate::logs::fetch::source::Source;
use crate::logs::record::{Record, Stream};
use crate::logs::sink::Sink;
use crate::logs::sink::backend::{Gate, SinkBackend};
use crate::threads::{Backoff, Hangup};

/// Pauses between tries while the Engine does not answer.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// One container's output, beyond what is known of it.
#[derive(Debug)]
pub(crate) struct Held {
    engine: Engine,
    id: String,
    source: Source,
    /// The streams that are wanted.
    streams: Vec<KnownStream>,
}

/// What is known of a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KnownStream {
    /// Which one.
    pub(crate) stream: Stream,
    /// How far it is collected.
    pub(crate) reached: Reached,
    /// So many bytes are known that follow the collected ones.
    pub(crate) beyond: u64,
    /// Whether what is collected ends within a line.
    pub(crate) within_line: bool,
}

/// Why it cannot be had.
#[derive(Debug)]
pub(crate) enum HeldError {
    /// The Engine does not give it.
    Engine(Error),
    /// The container's log driver keeps nothing that can be read.
    Unreadable,
    /// The Engine says something in the midst of it.
    Words(String),
    /// Who takes it has failed.
    Sink(io::Error),
}

impl Held {
    /// Of a container, what is not known.
    pub(crate) fn new(engine: &Engine, id: &str, source: &Source, streams: Vec<KnownStream>) -> Self {
        Self { engine: engine.clone(), id: id.to_owned(), source: source.clone(), streams }
    }

    /// Hands all that the Engine holds at present to `sink`. Gives how many bytes of each stream there were beyond what was
    /// collected, known ones too.
    pub(crate) fn read(&self, hangup: &Hangup, sink: &mut dyn Sink) -> Result<[u64; 2], HeldError> {
        self.hand_to(sink, hangup, Arc::default(), read)
    }

    /// The same, and what comes, until the container has ended. An Engine that goes away is waited for.
    pub(crate) fn follow(&self, hangup: &Hangup, sink: &mut dyn Sink) -> Result<[u64; 2], HeldError> {
        let (watchdog, watch) = (Arc::new(Watchdog::patient()), Watch::default());
        if let Err(error) = watch.add(&watchdog) {
            log::warn!("a follow that falls silent will not be noticed: {error}");
        }
        self.hand_to(sink, hangup, watchdog, follow)
    }

    /// The same, with no more patience for a silent follow than who waits for a task's end has.
    #[cfg(test)]
    pub(crate) fn follow_impatiently(&self, hangup: &Hangup, sink: &mut dyn Sink) -> Result<[u64; 2], HeldError> {
        let watchdog = Arc::new(Watchdog::patient());
        std::thread::scope(|scope| {
            let (end, ended) = crossbeam_channel::bounded::<()>(0);
            let watched = watchdog.clone();
            scope.spawn(move || {
                while ended.recv_timeout(Duration::from_millis(20)).is_err_and(|e| e.is_timeout()) {
                    watched.end_mute_follow();
                }
            });
            let done = self.hand_to(sink, hangup, watchdog, follow);
            drop(end);
            done
        })
    }

    fn hand_to(
        &self,
        sink: &mut dyn Sink,
        hangup: &Hangup,
        watchdog: Arc<Watchdog>,
        how: impl FnOnce(&mut Reading<'_>) -> Result<(), HeldError>,
    ) -> Result<[u64; 2], HeldError> {
        let handed = Mutex::new(Handed { sink, bytes: [0; 2], failed: None });
        let subscriptions = self.streams.iter().map(|known| {
            let rest = Rest { handed: &handed, known: known.beyond };
            Subscription::beyond(Box::new(rest), known.stream, known.reached, known.within_line)
        });
        let report = |said| match said {
            // A sink that fails at it takes no output either.
            Collected::Notice(text) => drop(lock(&handed).call(|sink| sink.notice(&text))),
            // Kept where it failed.
            Collected::SinkFailed(_) | Collected::Panicked(_) => {}
        };
        let subscriptions = Fanout::new(subscriptions.collect(), Box::new(report), watchdog);
        let settings = self.source.settings(&self.engine, &self.id, PAUSES);
        let mut reading = Reading::new(&self.engine, settings, hangup, subscriptions);
        let done = how(&mut reading);
        drop(reading);
        let handed = handed.into_inner().unwrap_or_else(PoisonError::into_inner);
        match handed.failed {
            Some(error) => Err(HeldError::Sink(error)),
            None => done.map(|()| handed.bytes),
        }
    }
}

/// Reads until the Engine has told all that it holds.
fn read(reading: &mut Reading<'_>) -> Result<(), HeldError> {
    let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
    loop {
        match reading.pass(false).stop {
            Stop::LeftOut => {}
            Stop::OutOfOrder(_) if reading.hangup.sleep(backoff.next()) => {}
            stop => return end(stop),
        }
    }
}

/// Reads and follows until the container has ended.
fn follow(reading: &mut Reading<'_>) -> Result<(), HeldError> {
    let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
    let mut tries_left = LAST_TRIES;
    // Whether the last follow brought what only a read can tell of.
    let mut rung = false;
    loop {
        if reading.out.is_empty() {
            return Ok(());
        }
        // Asked before the read: what it wrote before its end is then read after it.
        let ended = match reading.engine.container_state(&reading.settings.id) {
            Ok(state) => state.is_idle(),
            Err(error) if error.is_not_found() => true,
            Err(error) => {
                pause(reading, &mut backoff, error)?;
                continue;
            }
        };
        let mut passed = reading.pass(false);
        rung &= matches!(passed, Passed { stop: Stop::End, new: false } | Passed { stop: Stop::LeftOut, .. });
        // While it runs, each further read of a busy task would find something new.
        if matches!(passed.stop, Stop::End) && (!passed.new || !ended && reading.may_follow()) {
            // What rings for nothing, again and again, must not make us spin.
            if ended || std::mem::take(&mut rung) && !reading.hangup.sleep(backoff.next()) {
                return Ok(());
            }
            passed = reading.pass(true);
            rung = matches!(passed.stop, Stop::Rung | Stop::LeftOut | Stop::OutOfOrder(_));
        }
        let Passed { stop, new } = passed;
        if new {
            backoff.reset();
        }
        match stop {
            Stop::OutOfOrder(_) if !reading.hangup.sleep(backoff.next()) => return Ok(()),
            Stop::End if new => reading.rest(),
            // A follow that ends at once again and again must not spin.
            Stop::End if !new && !reading.hangup.sleep(backoff.next()) => return Ok(()),
            Stop::End | Stop::LagDetector | Stop::Rung | Stop::LeftOut | Stop::OutOfOrder(_) | Stop::Interrupted => {}
            Stop::Broken(error) if error.is_not_found() => return Ok(()),
            Stop::Broken(error) if !logs_cannot_be_read(&error) && tries_left > 0 => {
                tries_left -= u32::from(ended);
                pause(reading, &mut backoff, error)?;
            }
            stop => return end(stop),
        }
    }
}

/// Waits for an Engine that has trouble of its own.
fn pause(reading: &Reading<'_>, backoff: &mut Backoff, error: Error) -> Result<(), HeldError> {
    log::debug!("logs of {}: {error}", reading.settings.id);
    let goes_on = error.is_transient() && reading.hangup.sleep(backoff.next());
    if goes_on { Ok(()) } else { Err(HeldError::Engine(error)) }
}

/// What it is to come to such an end. Where it was given up, its sink has failed.
fn end(stop: Stop) -> Result<(), HeldError> {
    match stop {
        Stop::Broken(error) if logs_cannot_be_read(&error) => Err(HeldError::Unreadable),
        Stop::Broken(error) => Err(HeldError::Engine(error)),
        Stop::Words(words) => Err(HeldError::Words(words)),
        Stop::End | Stop::LagDetector | Stop::Rung | Stop::LeftOut | Stop::OutOfOrder(_) | Stop::Interrupted => Ok(()),
    }
}

/// Who takes what is handed on, and what it came to.
struct Handed<'a> {
    sink: &'a mut dyn Sink,
    /// Per stream how many bytes there were.
    bytes: [u64; 2],
    failed: Option<io::Error>,
}

impl Handed<'_> {
    /// Once it has failed, nothing more is done.
    fn call(&mut self, call: impl FnOnce(&mut dyn Sink) -> io::Result<()>) -> io::Result<()> {
        if self.failed.is_none() {
            self.failed = call(self.sink).err();
        }
        self.failed.as_ref().map_or(Ok(()), |error| Err(error.kind().into()))
    }
}

fn lock<'a, 's>(handed: &'a Mutex<Handed<'s>>) -> MutexGuard<'a, Handed<'s>> {
    handed.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One stream, but for what is known of it.
struct Rest<'a, 's> {
    handed: &'a Mutex<Handed<'s>>,
    known: u64,
}

impl SinkBackend for Rest<'_, '_> {
    fn put(&mut self, record: &Record<'_>) -> io::Result<usize> {
        let length = record.bytes.len();
        let known = usize::try_from(self.known).map_or(length, |known| known.min(length));
        self.known -= known as u64;
        let mut handed = lock(self.handed);
        handed.bytes[record.stream as usize] += length as u64;
        if known < length {
            // A newline ends a record: what is known of one is the beginning of its line.
            let continues = record.continues || known > 0;
            let record = Record { bytes: &record.bytes[known..], continues, ..*record };
            handed.call(|sink| sink.record(&record))?;
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<bool> {
        lock(self.handed).call(|sink| sink.flush()).map(|()| true)
    }

    fn gate(&self) -> Gate {
        Gate::Later(Instant::now())
    }
}

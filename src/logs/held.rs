//! What the Engine holds of a container's output beyond what is collected, for who only looks: nothing is written down, and
//! no thread is needed. The streams are told apart by a cursor each, for each may be collected to another point.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::cursor::{Cursor, Reached};
use super::raw::Cuts;
use super::record::{BadRecord, Part, Record, Splitter, Stamp};
use super::sink::Sink;
use crate::engine::{Engine, Error, LogsQuery, logs_cannot_be_read};
use crate::http::Endpoint;
use crate::threads::{Backoff, Hangup};

/// A record that arrives this late while following says that we lag: a follow that the Engine's own rotation overtakes
/// skips silently, and a read does not.
const LAG: Duration = Duration::from_millis(250);
/// Pauses between tries while the Engine does not answer.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// How often an ended container's logs are tried again while they give nothing but errors.
const LAST_TRIES: u32 = 5;

/// One container's output, beyond what is known of it.
#[derive(Debug)]
pub(crate) struct Held {
    engine: Engine,
    id: String,
    /// Whether it has a terminal, and how the Engine cuts a terminal's long lines.
    terminal: Option<Cuts>,
    wanted: [bool; 2],
    cursors: [Cursor; 2],
    /// Whether the next read begins at the start, whatever was seen already.
    from_start: bool,
    /// So many of the next new bytes of each stream are known already.
    known: [u64; 2],
    /// How many new bytes there were of each stream, known ones too.
    new: [u64; 2],
    within_line: [bool; 2],
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

/// Where a request came to its end.
struct Passed {
    /// Whether it brought anything.
    new: bool,
    /// Whether the Engine left out what came last: only a read from the start can tell what else.
    left_out: bool,
}

impl Held {
    /// Of a container, with a terminal or without, the streams that are wanted.
    pub(crate) fn new(engine: &Engine, id: &str, tty: bool, wanted: [bool; 2]) -> Self {
        // One that does not answer now is asked for its logs next.
        let cuts = || match engine.ping().is_ok_and(|ping| !ping.libpod_api_version.is_empty()) {
            true => Cuts::Anywhere,
            false => Cuts::At16Kib,
        };
        Self {
            engine: engine.clone(),
            id: id.to_owned(),
            terminal: tty.then(cuts),
            wanted,
            cursors: [Cursor::new([true, false]), Cursor::new([false, true])],
            from_start: false,
            known: [0; 2],
            new: [0; 2],
            within_line: [false; 2],
        }
    }

    /// Nothing of what was collected of a stream, nor the `known` bytes that follow it. `within_line`: its line has no end yet.
    pub(crate) fn beyond(&mut self, stream: usize, reached: Reached, known: u64, within_line: bool) {
        let (mut wanted, mut both) = ([false; 2], [Reached::default(); 2]);
        (wanted[stream], both[stream]) = (true, reached);
        self.cursors[stream] = Cursor::resume(wanted, both);
        self.known[stream] = known;
        self.within_line[stream] = within_line;
    }

    /// How many bytes of each stream there were beyond what was collected.
    pub(crate) fn new_bytes(&self) -> [u64; 2] {
        self.new
    }

    /// Hands all that the Engine holds at present to `sink`.
    pub(crate) fn read(&mut self, hangup: &Hangup, sink: &mut dyn Sink) -> Result<(), HeldError> {
        while self.pass(false, hangup, sink)?.left_out {}
        Ok(())
    }

    /// The same, and what comes, until the container has ended. An Engine that goes away is waited for.
    pub(crate) fn follow(&mut self, hangup: &Hangup, sink: &mut dyn Sink) -> Result<(), HeldError> {
        let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
        let mut tries_left = LAST_TRIES;
        loop {
            // Asked before the read: what it wrote before its end is then read after it.
            let ended = match self.engine.container_state(&self.id) {
                Ok(state) => !state.is_running(),
                Err(error) if error.is_not_found() => true,
                Err(error) if error.is_transient() => {
                    self.pause(hangup, &mut backoff, error)?;
                    continue;
                }
                Err(error) => return Err(HeldError::Engine(error)),
            };
            let done = match self.pass(false, hangup, sink) {
                Ok(Passed { new: false, left_out: false }) if ended => return Ok(()),
                Ok(Passed { new: false, left_out: false }) => self.pass(true, hangup, sink),
                done => done,
            };
            match done {
                Ok(Passed { new, .. }) => {
                    // A follow that ends at once again and again must not spin.
                    if new {
                        backoff.reset();
                    } else if !hangup.sleep(backoff.next()) {
                        return Ok(());
                    }
                }
                Err(HeldError::Engine(error)) if error.is_not_found() => return Ok(()),
                Err(HeldError::Engine(error)) if error.is_transient() && tries_left > 0 => {
                    tries_left -= u32::from(ended);
                    self.pause(hangup, &mut backoff, error)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The cursors of the streams that are wanted.
    fn wanted(&self) -> impl Iterator<Item = &Cursor> {
        self.cursors.iter().zip(self.wanted).filter(|(_, wanted)| *wanted).map(|(cursor, _)| cursor)
    }

    fn pause(&self, hangup: &Hangup, backoff: &mut Backoff, error: Error) -> Result<(), HeldError> {
        log::debug!("logs of {}: {error}", self.id);
        if hangup.sleep(backoff.next()) { Ok(()) } else { Err(HeldError::Engine(error)) }
    }

    /// One request: all that the Engine holds, or that and what comes.
    fn pass(&mut self, follow: bool, hangup: &Hangup, sink: &mut dyn Sink) -> Result<Passed, HeldError> {
        let from_start = std::mem::take(&mut self.from_start);
        // A stream of which nothing was seen is read from its start.
        let since = self.wanted().map(|cursor| cursor.lower([false; 2])).min().flatten().filter(|_| !from_start);
        let query = LogsQuery {
            follow,
            stdout: self.wanted[0],
            stderr: self.wanted[1],
            since: since.map(Stamp::as_since).unwrap_or_default(),
            timestamps: true,
            tty: self.terminal.is_some(),
            ..LogsQuery::default()
        };
        let mut logs = self.engine.container_logs(&self.id, &query, hangup).map_err(unreadable)?;
        self.cursors.iter_mut().for_each(|cursor| cursor.begin(since));
        let mut splitter = Splitter::new(self.terminal);
        let same_clock = matches!(self.engine.endpoint(), Endpoint::Unix(_));
        let (mut new, mut late, mut left_out, mut failed) = (false, false, false, None);
        loop {
            if !logs.is_buffered() {
                sink.flush().map_err(HeldError::Sink)?;
            }
            let next = logs.next_piece();
            let mut take = |part: Part<'_>| {
                let number = part.stream as usize;
                if !self.wanted[number] || failed.is_some() {
                    return;
                }
                left_out |= since.is_some() && part.first && self.cursors[number].shows_gap(&part);
                if left_out {
                    return;
                }
                let bytes = self.cursors[number].take(&part);
                self.cursors[number].took(&part, bytes.len());
                if bytes.is_empty() {
                    return;
                }
                new = true;
                late |= follow && same_clock && is_late(part.stamp);
                let known = usize::try_from(self.known[number]).map_or(bytes.len(), |known| known.min(bytes.len()));
                self.known[number] -= known as u64;
                self.new[number] += bytes.len() as u64;
                // A newline ends a record: what is known of one is the beginning of its line.
                let continues = self.within_line[number] || known > 0;
                self.within_line[number] = bytes.last() != Some(&b'\n');
                if known < bytes.len() {
                    let bytes = &bytes[known..];
                    let record = Record { stream: part.stream, stamp: part.stamp, bytes, continues };
                    failed = sink.record(&record).err();
                }
            };
            let (fed, at_end) = match next {
                Ok(Some(piece)) => (splitter.feed(&piece, &mut take), false),
                Ok(None) => {
                    splitter.finish(&mut take);
                    (Ok(()), true)
                }
                Err(error) => return Err(unreadable(error)),
            };
            if let Some(error) = failed {
                return Err(HeldError::Sink(error));
            }
            match fed {
                Ok(()) => {}
                Err(BadRecord::System) => return Err(HeldError::Words(splitter.words())),
                Err(BadRecord::NoStamp) => return Err(HeldError::Words("something that bears no time".into())),
            }
            if at_end || late || left_out {
                sink.flush().map_err(HeldError::Sink)?;
                left_out |= at_end && !follow && since.is_some() && !self.wanted().all(Cursor::is_confirmed);
                self.from_start = left_out;
                return Ok(Passed { new, left_out });
            }
        }
    }
}

fn unreadable(error: Error) -> HeldError {
    match logs_cannot_be_read(&error) || error.status() == Some(501) {
        true => HeldError::Unreadable,
        false => HeldError::Engine(error),
    }
}

/// Whether a record comes late, by our clock.
fn is_late(stamp: Stamp) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let age = now.saturating_sub(Duration::from_nanos(u64::try_from(stamp.as_nanos()).unwrap_or(0)));
    // podman 4.3 stamps whole seconds.
    let coarse = if stamp.as_nanos() % 1_000_000_000 == 0 { Duration::from_secs(1) } else { Duration::ZERO };
    age > LAG + coarse
}

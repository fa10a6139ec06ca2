//! The batching of reads: how often a busy stream is read. An Engine sends each record by itself, and wakes whoever reads for each; to be woken, to write
//! and to keep a cursor for one short line costs more than all else that is done for it. Where reads bring little, one after the
//! other, the next waits a moment for more to be there. What was read is passed on before that; a quiet stream is not kept waiting.

use std::time::{Duration, Instant};

use crate::threads::Hangup;

/// Worth a read, in bytes.
const BATCH: u32 = 32 * 1024;
/// Waited for that at most. Linux takes some 270 small writes into a Unix socket before it blocks the writer, and an Engine needs more
/// than this for so many records.
const MOMENT: Duration = Duration::from_micros(500);
/// Less than this is not worth a pause.
const LEAST: Duration = Duration::from_micros(150);

/// The pace of one connection.
#[derive(Debug)]
pub(in crate::logs) struct ReadBatcher {
    /// When the last read was asked for.
    asked: Instant,
    /// How long it waited.
    waited: Duration,
    /// When it came back, and how long that was after the one before it.
    came: Option<Instant>,
    took: Option<Duration>,
    /// What it brought, in bytes.
    bytes: usize,
}

impl ReadBatcher {
    /// Of a connection that begins.
    pub(in crate::logs) fn new() -> Self {
        Self { asked: Instant::now(), waited: Duration::ZERO, came: None, took: None, bytes: 0 }
    }

    /// The next read is due: waits for more to be there, where that pays.
    pub(in crate::logs) fn before_read(&mut self, hangup: &Hangup) {
        if let Some(took) = self.took {
            let pause = pause(self.bytes, took, self.waited);
            if !pause.is_zero() {
                hangup.sleep(pause);
            }
        }
        self.asked = Instant::now();
    }

    /// It has come back.
    pub(in crate::logs) fn after_read(&mut self) {
        let now = Instant::now();
        self.waited = now.duration_since(self.asked);
        self.took = self.came.map(|came| now.duration_since(came));
        (self.came, self.bytes) = (Some(now), 0);
    }

    /// So many bytes were in it.
    pub(in crate::logs) fn brought(&mut self, bytes: usize) {
        self.bytes += bytes;
    }
}

/// How long to leave a stream alone of which the last read brought `bytes`, `took` after the one before it, having `waited` for them.
fn pause(bytes: usize, took: Duration, waited: Duration) -> Duration {
    let Ok(bytes @ 1..BATCH) = u32::try_from(bytes) else { return Duration::ZERO };
    if waited > MOMENT {
        return Duration::ZERO;
    }
    let batch = (took * (BATCH / bytes)).min(MOMENT);
    if batch < LEAST { Duration::ZERO } else { batch }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses() {
        let us = Duration::from_micros;
        for (row, bytes, took, waited, want) in [
            ("a line after a long silence", 150, us(1_000_000), us(1_000_000), us(0)),
            ("one of a hundred a second", 150, us(10_000), us(9_900), us(0)),
            ("a line right after another", 150, us(8), us(7), us(500)),
            ("what a pause brought", 9_000, us(510), us(1), us(500)),
            ("after the last of a burst", 150, us(2_000), us(1_500), us(0)),
            ("16 KiB at 100 MB a second", 16_384, us(160), us(150), us(320)),
            ("the same at 300 MB a second", 16_384, us(55), us(50), us(0)),
            ("two of them in 0.3 ms", 33_000, us(300), us(200), us(0)),
            ("a buffer full of it", 131_072, us(500), us(1), us(0)),
            ("nothing yet", 0, us(0), us(0), us(0)),
        ] {
            assert_eq!(pause(bytes, took, waited), want, "{row}");
        }
    }
}

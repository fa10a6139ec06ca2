//! How long to wait before trying again: twice as long each time, up to a limit (driver-spec 9.2).

use std::time::Duration;

/// A row of growing pauses. No clock and no sleep: the caller waits on its hang-up latch.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    base: Duration,
    limit: Duration,
    tries: u32,
}

impl Backoff {
    /// Pauses of `base`, 2 × `base`, 4 × `base` … `limit`.
    pub(crate) fn new(base: Duration, limit: Duration) -> Self {
        Self { base, limit, tries: 0 }
    }

    /// The next pause.
    pub(crate) fn next(&mut self) -> Duration {
        let pause = pause(self.base, self.limit, self.tries);
        self.tries = self.tries.saturating_add(1);
        pause
    }

    /// Begins again: the thing worked.
    pub(crate) fn reset(&mut self) {
        self.tries = 0;
    }
}

/// `min(limit, base · 2^n)`.
fn pause(base: Duration, limit: Duration, n: u32) -> Duration {
    let factor = 1u32.checked_shl(n);
    factor.and_then(|f| base.checked_mul(f)).map_or(limit, |pause| pause.min(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_limit() {
        let s = Duration::from_secs;
        for (n, want) in
            [(0, 5), (1, 10), (2, 20), (3, 40), (4, 80), (5, 120), (6, 120), (31, 120), (32, 120), (63, 120)]
        {
            assert_eq!(pause(s(5), s(120), n), s(want), "try {n}");
        }
        assert_eq!(pause(Duration::ZERO, s(1), 70), s(1), "beyond any shift");
        assert_eq!(pause(Duration::ZERO, s(1), 3), Duration::ZERO, "no base, no pause");
    }

    #[test]
    fn begins_again_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(60));
        let pauses: Vec<_> = (0..3).map(|_| backoff.next().as_millis()).collect();
        assert_eq!(pauses, [50, 100, 200]);
        backoff.reset();
        assert_eq!(backoff.next().as_millis(), 50);
    }
}

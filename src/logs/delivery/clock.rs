//! Whether this machine's clock was set back. What an Engine on it writes from then on bears lower stamps, and one before Docker 23
//! hides what is stamped before a follow's `since`: without a word, until the clock has passed that.

use std::time::{Duration, Instant, SystemTime};

/// More than there is between two clocks that are read one after the other.
const SKEW: Duration = Duration::from_millis(20);

/// The time of day beside a clock that nobody sets.
#[derive(Debug, Clone, Copy)]
struct Moment {
    wall: SystemTime,
    steady: Instant,
}

impl Moment {
    fn now() -> Self {
        let wall = SystemTime::now();
        #[cfg(test)]
        let wall = wall - BEHIND.get();
        Self { wall, steady: Instant::now() }
    }

    /// Whether the time of day was set back since another moment.
    fn is_back_since(self, before: Self) -> bool {
        let expected = before.wall + self.steady.saturating_duration_since(before.steady);
        expected.duration_since(self.wall).is_ok_and(|back| back > SKEW)
    }
}

#[cfg(test)]
std::thread_local! {
    /// How far a test has set the clock of its thread back.
    pub(crate) static BEHIND: std::cell::Cell<Duration> = const { std::cell::Cell::new(Duration::ZERO) };
}

/// This machine's clock, as it is looked at from time to time.
#[derive(Debug)]
pub(in crate::logs) struct Clock(Moment);

impl Clock {
    pub(in crate::logs) fn new() -> Self {
        Self(Moment::now())
    }

    /// Whether it was set back since this was last asked.
    pub(in crate::logs) fn was_set_back(&mut self) -> bool {
        let before = std::mem::replace(&mut self.0, Moment::now());
        self.0.is_back_since(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_back_or_not() {
        let (ms, now) = (Duration::from_millis, Moment::now());
        for (row, wall, steady, want) in [
            ("at once", 0, 0, false),
            ("a while later", 5_000, 5_000, false),
            ("read at different times", 4_990, 5_000, false),
            ("set back by less than has passed", 4_900, 5_000, true),
            ("set back by an hour", -3_600_000_i64, 5_000, true),
            ("set forward, or asleep", 3_600_000, 5_000, false),
        ] {
            let moved = ms(wall.unsigned_abs());
            let wall = if wall < 0 { now.wall - moved } else { now.wall + moved };
            assert_eq!(Moment { wall, steady: now.steady + ms(steady) }.is_back_since(now), want, "{row}");
        }
        let mut clock = Clock::new();
        assert!(!clock.was_set_back());
        BEHIND.set(ms(100));
        assert!(clock.was_set_back() && !clock.was_set_back(), "it is told once");
        BEHIND.set(Duration::ZERO);
    }
}

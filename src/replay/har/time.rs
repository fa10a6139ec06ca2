//! Moments of a recording: microseconds since 1970, and the form in which HAR writes them.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::values::rfc3339;

/// A moment, in microseconds since 1970 (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(in crate::replay) struct Moment(pub(in crate::replay) i64);

impl Moment {
    pub(in crate::replay) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    /// `2026-11-25T09:25:00.123456Z`.
    pub(in crate::replay) fn to_text(self) -> String {
        rfc3339::to_text(self.0.saturating_mul(1000))
    }

    /// Of RFC 3339, as HAR wants it. What is finer than a microsecond is cut.
    pub(in crate::replay) fn parse(text: &str) -> Option<Self> {
        rfc3339::parse(text).map(|nanos| Self(nanos.div_euclid(1000)))
    }
}

//! Moments as they are typed: RFC 3339, Unix seconds with a fraction, or how long ago.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::logs::Stamp;
use crate::values::{duration, rfc3339};

/// Reads a moment; how long ago is counted from now.
pub(in crate::cli) fn parse(text: &str) -> Result<Stamp, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    moment(text, i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)).map(Stamp::from_nanos)
}

fn moment(text: &str, now: i64) -> Result<i64, String> {
    if let Some(nanos) = rfc3339::parse(text).or_else(|| unix(text)) {
        return Ok(nanos);
    }
    match duration::parse(text) {
        Ok(ago) => Ok(now.saturating_sub(i64::try_from(ago.as_nanos()).unwrap_or(i64::MAX))),
        Err(_) => Err("write a time as 2026-11-25T09:25:00Z, as Unix seconds, or as how long ago, 10m".into()),
    }
}

/// Seconds since 1970, with a fraction or without, in nanoseconds.
fn unix(text: &str) -> Option<i64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(seconds) || !is_number(fraction) {
        return None;
    }
    let nanos: i64 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    seconds.parse::<i64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        for (text, want) in [
            ("1970-01-01T00:00:02Z", Some(2_000_000_000)),
            ("1970-01-01T01:00:02.000000001+01:00", Some(2_000_000_001)),
            ("0", Some(0)),
            ("17", Some(17_000_000_000)),
            ("17.000000003", Some(17_000_000_003)),
            ("17.5", Some(17_500_000_000)),
            ("17.12345678999", Some(17_123_456_789)),
            ("10s", Some(90_000_000_000)),
            ("1m40s", Some(0)),
            ("2m", Some(-20_000_000_000)),
            ("", None),
            ("17.", None),
            (".5", None),
            ("-5", None),
            ("-10s", None),
            ("99999999999", None),
            ("1970-01-01", None),
            ("yesterday", None),
        ] {
            assert_eq!(moment(text, 100_000_000_000).ok(), want, "{text:?}");
        }
    }
}

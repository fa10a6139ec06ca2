//! Durations as Go writes them (driver-spec 1.3): `1h30m`, `1.5s`, `300ms`, `0`. There are no days.
//! Exact to the nanosecond: what lies below one is cut off. A sign is part of the grammar, but a duration below zero is refused, for none of
//! the values that are written this way can be negative.

use std::fmt;
use std::time::Duration;

/// Go holds a duration in 63 bits of nanoseconds; what it cannot hold, no other program of this family reads.
const MOST: u128 = i64::MAX as u128;

/// Reads a duration: an optional sign, then one or more decimals (a fraction is allowed) each with one of the units `ns`, `us`, `µs`, `ms`,
/// `s`, `m`, `h`; or the bare `0`.
///
/// # Errors
///
/// The text is no duration, is below zero, or is longer than 292 years.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let wrong = |kind| DurationError { text: text.into(), kind };
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if digits == "0" {
        return Ok(Duration::ZERO);
    }
    if digits.is_empty() {
        return Err(wrong(DurationErrorKind::Malformed));
    }
    let mut rest = digits;
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let (nanos, after) = term(rest).map_err(wrong)?;
        total += nanos;
        if total > MOST {
            return Err(wrong(DurationErrorKind::TooLong));
        }
        rest = after;
    }
    if negative && total > 0 {
        return Err(wrong(DurationErrorKind::Negative));
    }
    Ok(nanoseconds(total))
}

/// Writes a duration as Go does: `1h0m30s`, `1.5s`, `300ms`, `0s`.
pub fn format(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    match nanos {
        0 => return "0s".into(),
        1..1_000 => return format!("{nanos}ns"),
        1_000..1_000_000 => return format!("{}µs", decimal(nanos, 1_000)),
        1_000_000..1_000_000_000 => return format!("{}ms", decimal(nanos, 1_000_000)),
        _ => {}
    }
    let minutes = duration.as_secs() / 60;
    let seconds = decimal(nanos - u128::from(minutes) * 60_000_000_000, 1_000_000_000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// A text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurationError {
    /// The text as it was given.
    pub text: String,
    /// What is wrong with it.
    pub kind: DurationErrorKind,
}

/// What is wrong with a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DurationErrorKind {
    /// Not of the grammar at all.
    Malformed,
    /// A number without a unit.
    NoUnit,
    /// A unit that there is not (days, for one).
    UnknownUnit,
    /// Below zero.
    Negative,
    /// Longer than 292 years.
    TooLong,
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no duration: ", self.text)?;
        f.write_str(match self.kind {
            DurationErrorKind::Malformed => "write it as \"30s\", \"1h30m\" or \"500ms\"",
            DurationErrorKind::NoUnit => "a number needs a unit: ns, us, ms, s, m or h",
            DurationErrorKind::UnknownUnit => "the units are ns, us, ms, s, m and h",
            DurationErrorKind::Negative => "it is below zero",
            DurationErrorKind::TooLong => "it is longer than 292 years",
        })
    }
}

impl std::error::Error for DurationError {}

/// The first number and unit of a text, in nanoseconds, and what follows.
fn term(text: &str) -> Result<(u128, &str), DurationErrorKind> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), digits);
    if whole.is_empty() && fraction.is_empty() {
        return Err(DurationErrorKind::Malformed);
    }
    let end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
    let unit: u128 = match &rest[..end] {
        "" => return Err(DurationErrorKind::NoUnit),
        "ns" => 1,
        // The micro sign, and the Greek letter that some keyboards give.
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return Err(DurationErrorKind::UnknownUnit),
    };
    let whole = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| DurationErrorKind::TooLong)? };
    if whole > MOST / unit {
        return Err(DurationErrorKind::TooLong);
    }
    // An hour has 13 digits of nanoseconds: what stands behind the 13th of a fraction cannot change the result.
    let fraction = &fraction[..fraction.len().min(13)];
    let scale = 10u128.pow(u32::try_from(fraction.len()).unwrap_or(0));
    let part = fraction.parse::<u128>().unwrap_or(0) * unit / scale;
    Ok((whole * unit + part, &rest[end..]))
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn nanoseconds(total: u128) -> Duration {
    let total = u64::try_from(total).unwrap_or(u64::MAX);
    Duration::from_nanos(total)
}

/// `nanos / unit` with as many decimals as it needs.
fn decimal(nanos: u128, unit: u128) -> String {
    let rest = nanos % unit;
    if rest == 0 {
        return (nanos / unit).to_string();
    }
    let width = unit.ilog10() as usize;
    format!("{}.{}", nanos / unit, format!("{rest:0width$}").trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use DurationErrorKind::*;

    #[test]
    fn what_is_read() {
        // driver-spec 1.3: text -> nanoseconds
        for (text, want) in [
            ("0", Ok(0)),
            ("-0", Ok(0)),
            ("+0", Ok(0)),
            ("0s", Ok(0)),
            ("-0s", Ok(0)),
            ("1ns", Ok(1)),
            ("1us", Ok(1_000)),
            ("1µs", Ok(1_000)),
            ("1μs", Ok(1_000)),
            ("1ms", Ok(1_000_000)),
            ("1s", Ok(1_000_000_000)),
            ("1m", Ok(60_000_000_000)),
            ("1h", Ok(3_600_000_000_000)),
            ("+5s", Ok(5_000_000_000)),
            ("1h30m", Ok(5_400_000_000_000)),
            ("30m1h", Ok(5_400_000_000_000)),
            ("1.5s", Ok(1_500_000_000)),
            (".5s", Ok(500_000_000)),
            ("5.s", Ok(5_000_000_000)),
            ("1.5h2.5ms", Ok(5_400_002_500_000)),
            ("0.9999999999s", Ok(999_999_999)),
            ("0.33333333333333333333h", Ok(1_199_999_999_999)),
            ("9223372036854775807ns", Ok(9_223_372_036_854_775_807)),
            ("2562047h", Ok(9_223_369_200_000_000_000)),
            ("9223372036854775808ns", Err(TooLong)),
            ("2562048h", Err(TooLong)),
            ("99999999999999999999999999999999999999999999h", Err(TooLong)),
            ("-5s", Err(Negative)),
            ("1d", Err(UnknownUnit)),
            ("1w", Err(UnknownUnit)),
            ("1S", Err(UnknownUnit)),
            ("1 s", Err(UnknownUnit)),
            ("1s ", Err(UnknownUnit)),
            ("5", Err(NoUnit)),
            ("1s5", Err(NoUnit)),
            ("00", Err(NoUnit)),
            ("", Err(Malformed)),
            ("-", Err(Malformed)),
            ("s", Err(Malformed)),
            (".s", Err(Malformed)),
            (" 1s", Err(Malformed)),
            ("--1s", Err(Malformed)),
            ("1..5s", Err(NoUnit)),
            ("ten", Err(Malformed)),
        ] {
            let got = parse(text).map(|d| d.as_nanos()).map_err(|e| e.kind);
            assert_eq!(got, want, "text {text:?}");
        }
    }

    #[test]
    fn what_is_written() {
        for (nanos, want) in [
            (0, "0s"),
            (1, "1ns"),
            (999, "999ns"),
            (1_500, "1.5µs"),
            (1_000_000, "1ms"),
            (300_000_001, "300.000001ms"),
            (1_000_000_000, "1s"),
            (1_050_000_000, "1.05s"),
            (60_000_000_000, "1m0s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (86_400_000_000_000, "24h0m0s"),
            (5_400_002_500_000, "1h30m0.0025s"),
            (i64::MAX as u64, "2562047h47m16.854775807s"),
        ] {
            let text = format(Duration::from_nanos(nanos));
            assert_eq!(text, want, "{nanos} ns");
            assert_eq!(parse(&text), Ok(Duration::from_nanos(nanos)), "{text} read again");
        }
    }

    #[test]
    fn an_error_names_the_text() {
        let text = parse("1d").expect_err("no days").to_string();
        assert_eq!(text, "\"1d\" is no duration: the units are ns, us, ms, s, m and h");
    }
}

//! Moments as RFC 3339 writes them: `2026-11-25T09:25:00.123456Z`. Nanoseconds since 1970 (UTC), and no clock.

use super::calendar::{date, days};

/// Of a moment in nanoseconds, with six decimals. A year beyond 9999 is written as the last moment of that one.
pub(crate) fn to_text(nanos: i64) -> String {
    let us = nanos.div_euclid(1000);
    let (days, us) = (us.div_euclid(86_400_000_000), us.rem_euclid(86_400_000_000));
    let (year, month, day) = date(days);
    let seconds = us / 1_000_000;
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{:06}Z", us % 1_000_000)
}

/// In nanoseconds: any number of decimals (what is finer is cut), `Z` or an offset. `None`: it is none, or not within three
/// centuries of 1970.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
    };
    let shape = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if !shape.iter().all(|&(at, byte)| bytes.get(at).is_some_and(|b| b.eq_ignore_ascii_case(&byte))) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (h, m, s) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || h > 23 || m > 59 || s > 60 {
        return None;
    }
    let mut rest = text.get(19..)?;
    let mut nanos = 0;
    if let Some(decimals) = rest.strip_prefix('.') {
        let end = decimals.find(|c: char| !c.is_ascii_digit()).unwrap_or(decimals.len());
        let (digits, after) = decimals.split_at(end);
        nanos = format!("{:0<9}", digits.get(..9).unwrap_or(digits)).parse().ok()?;
        rest = after;
    }
    let offset = match rest.as_bytes() {
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), h1, h2, rest @ ..] => {
            let digits: Vec<u8> = [*h1, *h2].iter().chain(rest.iter().filter(|b| **b != b':')).copied().collect();
            let digits = std::str::from_utf8(&digits).ok().filter(|d| d.len() == 4)?;
            let (hours, minutes): (i64, i64) = (digits[..2].parse().ok()?, digits[2..].parse().ok()?);
            (hours * 60 + minutes) * if *sign == b'+' { 60 } else { -60 }
        }
        _ => return None,
    };
    let seconds = days(year, month, day) * 86_400 + h * 3600 + m * 60 + s - offset;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for (us, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (1_709_210_096_000_001, "2024-02-29T12:34:56.000001Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(to_text(us * 1000), text);
            assert_eq!(parse(text), Some(us * 1000), "{text}");
        }
        for (text, nanos) in [
            ("2024-02-29T12:34:56Z", Some(1_709_210_096_000_000_000)),
            ("2024-02-29T13:34:56.5+01:00", Some(1_709_210_096_500_000_000)),
            ("2024-02-29t07:04:56.1234567891-0530", Some(1_709_210_096_123_456_789)),
            ("0001-01-01T00:00:00Z", None),
            ("9999-01-01T00:00:00Z", None),
            ("2024-02-29 12:34:56Z", None),
            ("2024-13-01T00:00:00Z", None),
            ("2024-02-29T12:34:56", None),
            ("+024-02-29T12:34:56Z", None),
            ("", None),
        ] {
            assert_eq!(parse(text), nanos, "{text}");
        }
    }
}

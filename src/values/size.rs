//! Sizes for people, and the sizes that people write. Three conventions meet in Docker, and they differ: pull progress is in binary units
//! (driver-spec 5.6), image lists are in decimal ones, and a log option's `10k` is decimal too: 10,000 bytes (tests: [`parse_decimal`]), while
//! memory and shared memory are binary: [`parse_binary`].

use std::fmt;

/// In binary units with four significant digits: `4.243 MiB`, `512 B`.
pub fn binary(bytes: u64) -> String {
    written(bytes, 1024.0, ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])
}

/// The same without the blank: `4.243MiB`, `512B` (driver-spec 5.6, of 2026).
pub fn binary_compact(bytes: u64) -> String {
    binary(bytes).replace(' ', "")
}

/// In decimal units with four significant digits: `4.449 MB`, `512 B`.
pub fn decimal(bytes: u64) -> String {
    written(bytes, 1000.0, ["B", "kB", "MB", "GB", "TB", "PB", "EB"])
}

/// Reads a size as Docker's log options mean it: `10k` is 10,000 bytes, `20m` is 20,000,000. Units `k m g t p`, in either case, each also as
/// `kB` or `KiB` without a change of meaning; `b` or no unit: bytes. A fraction is allowed, and a blank before the unit.
///
/// # Errors
///
/// The text is no size, or not one of a signed 64-bit number of bytes.
pub fn parse_decimal(text: &str) -> Result<u64, SizeError> {
    read(text, 1000)
}

/// Reads a size as Docker's memory options mean it: like [`parse_decimal`], but `10k` is 10,240 bytes.
///
/// # Errors
///
/// The text is no size, or not one of a signed 64-bit number of bytes.
pub fn parse_binary(text: &str) -> Result<u64, SizeError> {
    read(text, 1024)
}

/// A text that is no size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeError {
    /// The text as it was given.
    pub text: String,
}

impl fmt::Display for SizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no size: write it as \"10k\", \"20m\" or \"1g\"", self.text)
    }
}

impl std::error::Error for SizeError {}

fn written(bytes: u64, step: f64, units: [&str; 7]) -> String {
    // Seven units of either kind hold all of 64 bits, so the last one is never left upward.
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= step && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    let before_point = if value >= 1000.0 { 4 } else { value.max(1.0).log10() as usize + 1 };
    let text = format!("{value:.*}", 4 - before_point);
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} {}", units[unit])
}

fn read(text: &str, step: u64) -> Result<u64, SizeError> {
    let wrong = || SizeError { text: text.into() };
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    // A unit of several bytes in its first character is none of ours.
    let (letter, ending) = unit.split_at_checked(unit.len().min(1)).ok_or_else(wrong)?;
    if !matches!((letter, ending), ("" | "b", "") | ("k" | "m" | "g" | "t" | "p", "" | "b" | "ib")) {
        return Err(wrong());
    }
    let power = "bkmgtp".find(letter).unwrap_or(0);
    let scale = step.pow(u32::try_from(power).unwrap_or(0));
    let bytes = if number.contains('.') {
        let value = number.parse::<f64>().map_err(|_| wrong())? * scale as f64;
        // Just below 2^63, the last that a float tells apart from it.
        if value >= 9_223_372_036_854_775_000.0 { None } else { Some(value as u64) }
    } else {
        number.parse::<u64>().map_err(|_| wrong())?.checked_mul(scale)
    };
    bytes.filter(|b| *b <= i64::MAX as u64).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_people() {
        // driver-spec 5.6, and the edges between two units: bytes -> (binary, decimal)
        for (bytes, in_binary, in_decimal) in [
            (0, "0 B", "0 B"),
            (1, "1 B", "1 B"),
            (999, "999 B", "999 B"),
            (1_000, "1000 B", "1 kB"),
            (1_023, "1023 B", "1.023 kB"),
            (1_024, "1 KiB", "1.024 kB"),
            (1_536, "1.5 KiB", "1.536 kB"),
            (10_240, "10 KiB", "10.24 kB"),
            (4_449_071, "4.243 MiB", "4.449 MB"),
            (15_443_505, "14.73 MiB", "15.44 MB"),
            (100 << 20, "100 MiB", "104.9 MB"),
            (1 << 30, "1 GiB", "1.074 GB"),
            (u64::MAX, "16 EiB", "18.45 EB"),
        ] {
            assert_eq!(binary(bytes), in_binary, "{bytes} bytes");
            assert_eq!(binary_compact(bytes), in_binary.replace(' ', ""), "{bytes} bytes");
            assert_eq!(decimal(bytes), in_decimal, "{bytes} bytes");
        }
    }

    #[test]
    fn from_people() {
        // text -> (as a log option, as memory)
        for (text, want) in [
            ("0", Some((0, 0))),
            ("10k", Some((10_000, 10_240))),
            ("20m", Some((20_000_000, 20 << 20))),
            ("1g", Some((1_000_000_000, 1 << 30))),
            ("1t", Some((1_000_000_000_000, 1 << 40))),
            ("2P", Some((2_000_000_000_000_000, 2 << 50))),
            ("20MB", Some((20_000_000, 20 << 20))),
            ("20MiB", Some((20_000_000, 20 << 20))),
            ("512b", Some((512, 512))),
            ("1.5k", Some((1_500, 1_536))),
            ("32 mb", Some((32_000_000, 32 << 20))),
            ("1.5", Some((1, 1))),
            ("9223372036854775807", Some((i64::MAX as u64, i64::MAX as u64))),
            ("9223372036854775808", None),
            ("99999999999p", None),
            ("99999999999.5p", None),
            ("", None),
            ("k", None),
            ("-1", None),
            ("-1m", None),
            ("10x", None),
            ("10kk", None),
            ("10kib ", None),
            ("10bb", None),
            ("1.2.3m", None),
            ("1e3", None),
            (".m", None),
            ("10µ", None),
            (" 10k", None),
        ] {
            let got = parse_decimal(text).ok().zip(parse_binary(text).ok());
            assert_eq!(got, want, "text {text:?}");
        }
        let text = parse_decimal("10x").expect_err("no unit").to_string();
        assert_eq!(text, "\"10x\" is no size: write it as \"10k\", \"20m\" or \"1g\"");
    }
}

//! How collected output lies on disk: names of files, and the stamps beside them. Pure.
//!
//! A stream's output is in `<path>.0`, `<path>.1`, …, bytes as the task wrote them. Hidden beside these: `.<name>.<n>.times`, when each
//! line of file n was written, and `.<name>.cursor`, how far the stream is collected. Nomad's names are `<task>.stdout` and `<task>.stderr`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::logs::record::Stamp;

/// A stream's file of this number.
pub(crate) fn file(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// The stamps of the lines of that file.
pub(crate) fn times(path: &Path, number: u32) -> PathBuf {
    hidden(path, &format!(".{number}.times"))
}

/// How far the stream is collected.
pub(crate) fn cursor(path: &Path) -> PathBuf {
    hidden(path, ".cursor")
}

fn hidden(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(end);
    path.with_file_name(name)
}

/// The number of a stream's file, by its name; `None`: it is none of them.
pub(crate) fn number(path: &Path, found: &Path) -> Option<u32> {
    let (name, found) = (path.file_name()?.to_str()?, found.file_name()?.to_str()?);
    let number = found.strip_prefix(name)?.strip_prefix('.')?;
    let is_plain = number == "0" || number.bytes().all(|b| b.is_ascii_digit()) && !number.starts_with('0');
    number.parse().ok().filter(|_| is_plain)
}

/// When the line that begins at an offset of a file was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time {
    pub(crate) offset: u64,
    pub(crate) stamp: Stamp,
}

impl Time {
    /// How long one is on disk, in bytes.
    pub(crate) const LENGTH: usize = 16;

    /// As it lies on disk: offset and nanoseconds since 1970, both little-endian.
    pub(crate) fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..8].copy_from_slice(&self.offset.to_le_bytes());
        bytes[8..].copy_from_slice(&self.stamp.as_nanos().to_le_bytes());
        bytes
    }

    /// The reverse.
    #[cfg(any(feature = "cli", test))]
    pub(crate) fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        let (mut offset, mut stamp) = ([0; 8], [0; 8]);
        offset.copy_from_slice(&bytes[..8]);
        stamp.copy_from_slice(&bytes[8..]);
        Self { offset: u64::from_le_bytes(offset), stamp: Stamp::from_nanos(i64::from_le_bytes(stamp)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let path = Path::new("/logs/web.stdout");
        assert_eq!(file(path, 12), Path::new("/logs/web.stdout.12"));
        assert_eq!(times(path, 0), Path::new("/logs/.web.stdout.0.times"));
        assert_eq!(cursor(path), Path::new("/logs/.web.stdout.cursor"));
        for (found, want) in [
            ("web.stdout.0", Some(0)),
            ("web.stdout.12", Some(12)),
            ("web.stdout.012", None),
            ("web.stdout.", None),
            ("web.stdout", None),
            ("web.stdout.1x", None),
            ("web.stdout.99999999999", None),
            ("web.stderr.1", None),
            (".web.stdout.1.times", None),
        ] {
            assert_eq!(number(path, &Path::new("/logs").join(found)), want, "{found}");
        }
    }

    #[test]
    fn times_are_read_as_written() {
        let time = Time { offset: 1 << 40, stamp: Stamp::from_nanos(-5) };
        assert_eq!(Time::from_bytes(time.to_bytes()), time);
    }
}

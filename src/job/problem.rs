//! What is wrong with a job file, for a person to read: one line each, whatever the file holds.

use std::fmt;

use crate::values::printable;

/// Something wrong with a job file, or worth knowing about it, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Problem {
    /// The file as its caller called it.
    pub file: String,
    /// The line, from 1; 0: not known.
    pub line: usize,
    /// The character within the line, from 1; 0: not known.
    pub column: usize,
    /// What is wrong; one line, no full stop.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

impl std::error::Error for Problem {}

/// A name or a text of the file as it may stand in a message: in backticks, without control characters, and not longer than a line.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 60;
    let (begin, more) = match text.char_indices().nth(MOST) {
        Some((end, _)) => (&text[..end], "…"),
        None => (text, ""),
    };
    format!("`{}{more}`", printable(begin))
}

/// The known name that a person most likely meant: the nearest by letters changed, added, dropped or swapped, if it is near enough.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (name.len() / 3).clamp(1, 3);
    let found = known.into_iter().filter(|k| k.len().abs_diff(name.len()) <= most).map(|k| (distance(name, k), k));
    found.filter(|(d, _)| *d <= most).min_by_key(|(d, _)| *d).map(|(_, k)| k)
}

/// How many letters must be changed, added, dropped or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let best = changed.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                if swapped { best.min(rows[i - 2][j - 2] + 1) } else { best }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names() {
        let known = ["driver", "config", "env", "kill_timeout", "user", "restart", "resources"];
        for (name, want) in [
            ("divers", Some("driver")),
            ("drivre", Some("driver")),
            ("conf", None),
            ("confg", Some("config")),
            ("resource", Some("resources")),
            ("killtimeout", Some("kill_timeout")),
            ("usr", Some("user")),
            ("envs", Some("env")),
            ("zzz", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), want, "name {name:?}");
        }
        assert_eq!(nearest(&"x".repeat(4 << 20), known), None, "a hostile name costs nothing");
    }

    #[test]
    fn shown_on_one_line() {
        for (text, want) in
            [("a", "`a`"), ("a\nb\u{1b}", "`a\\nb\\u{1b}`"), (&"y".repeat(99), &format!("`{}…`", "y".repeat(60)))]
        {
            assert_eq!(shown(text), want, "text {text:?}");
        }
    }
}

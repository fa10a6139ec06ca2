//! How large the answer to a call may be, so that no answer fills this machine's memory.
//!
//! A bound has two parts. Bytes bound what is read. Values bound what becomes of it: `{},` takes three bytes on the wire and,
//! as a container of a list, five hundred here.
//!
//! | answer | bytes | values |
//! |---|---|---|
//! | ping, version, exec, and all that say little | 64 KiB | – |
//! | info, an inspect | 8 MiB | 200,000 |
//! | a list, a prune | 32 MiB | 600,000 |
//! | an odd entry of a list | – | 10,000 |
//! | one message of a stream: an event, a sample, progress | 1 MiB | – |
//! | the answer to a wait, the text of a refusal | 64 KiB | – |
//!
//! Logs, output of commands and saved images have no bound: they are handed on as they come, and never held whole.

use std::fmt;

/// The bound of one call's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bound {
    /// Largest body, in bytes.
    pub(super) bytes: u64,
    /// Most values in it: elements, fields, objects and lists.
    values: usize,
}

impl Bound {
    /// Answers that say little.
    pub(super) const SMALL: Self = Self { bytes: 64 * 1024, values: usize::MAX };
    /// All that is known of one thing: ten times an environment and labels as large as a kernel lets a program have.
    pub(super) const THING: Self = Self { bytes: 8 * 1024 * 1024, values: 200_000 };
    /// A little of many things: ten thousand containers, with sixty values each.
    pub(super) const LIST: Self = Self { bytes: 32 * 1024 * 1024, values: 600_000 };
    /// One entry of a list that is looked at part by part.
    pub(super) const ENTRY: Self = Self { values: 10_000, ..Self::LIST };

    /// Says whether JSON of so many bytes has no more values than it may.
    pub(super) fn check(&self, json: &[u8]) -> Result<(), TooMany> {
        // No value takes less than a byte and a comma.
        let has_few = json.len() / 2 <= self.values || values(json) <= self.values;
        if has_few { Ok(()) } else { Err(TooMany { bound: self.values }) }
    }
}

/// A document has more values than its call's answer can need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany {
    bound: usize,
}

impl fmt::Display for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it has more than {} values", self.bound)
    }
}

impl std::error::Error for TooMany {}

/// How many values JSON has, about: objects and lists, and what commas part in them. Those in texts do not count.
fn values(json: &[u8]) -> usize {
    let (mut count, mut is_text, mut is_escaped) = (0, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b'{' | b'[' | b',' if !is_text => count += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_outside_of_texts() {
        for (json, want) in [
            ("", 0),
            ("7", 0),
            ("[]", 1),
            ("[1,2,3]", 3),
            (r#"{"a":1,"b":{"c":[]}}"#, 4),
            (r#"["a,b","{[,"]"#, 2),
            (r#"["\",,,","\\",1]"#, 3),
            (r#"["unfinished,,,"#, 1),
        ] {
            assert_eq!(values(json.as_bytes()), want, "{json}");
        }
    }

    #[test]
    fn many_values_are_too_many() {
        let bound = Bound { bytes: 1000, values: 10 };
        for (json, want) in [
            (format!("[{}]", "1,".repeat(9)), Ok(())),
            (format!("[{}]", "{},".repeat(9)), Err(TooMany { bound: 10 })),
            (format!("[\"{}\"]", "{},".repeat(99)), Ok(())),
        ] {
            assert_eq!(bound.check(json.as_bytes()), want, "{json}");
        }
    }
}

//! JSON that somebody sent, as a tree, where it is one that may be made: trees are walked by recursion, and the threads
//! that serve connections have small stacks.

use serde_json::Value;

/// Deeper than anything that is said to an Engine. serde_json itself stops at 128, where the stack of a build without
/// optimisation has ended already.
const DEEPEST: usize = 64;

/// The value; `None`: it is no JSON, or too deep.
pub(in crate::replay) fn parse(bytes: &[u8]) -> Option<Value> {
    if is_deep(bytes) { None } else { serde_json::from_slice(bytes).ok() }
}

fn is_deep(bytes: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    bytes.iter().any(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > DEEPEST
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth() {
        for (row, text, is_json) in [
            ("flat", "[1]".into(), true),
            ("no JSON", "[1".into(), false),
            ("many side by side", format!("[{}1]", "[],".repeat(1000)), true),
            ("in a string", format!("[\"{}\\\"[\"]", "[".repeat(1000)), true),
            ("deepest", "[".repeat(64) + &"]".repeat(64), true),
            ("too deep", "[".repeat(65) + &"]".repeat(65), false),
        ] {
            assert_eq!(parse(text.as_bytes()).is_some(), is_json, "{row}");
        }
    }
}

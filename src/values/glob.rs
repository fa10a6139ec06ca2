//! The glob of Nomad's allow lists (driver-spec 4.8): `*` stands for any run of characters, the empty one too; nothing else is special.

/// Whether a text is one that the pattern stands for. Without a `*` they must be equal, so an empty pattern matches only an empty text.
/// Takes time in proportion to both lengths at worst, whatever the pattern.
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    // Each middle piece as early as it comes: a later place can only leave less for those behind it.
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Whether some pattern of a list matches.
pub fn matches_any<S: AsRef<str>>(patterns: &[S], text: &str) -> bool {
    patterns.iter().any(|p| matches(p.as_ref(), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors() {
        // driver-spec 4.8
        for (pattern, text, want) in [
            ("", "", true),
            ("", "x", false),
            ("*", "", true),
            ("*", "anything", true),
            ("host", "host", true),
            ("host", "hosts", false),
            ("host", "Host", false),
            ("container:*", "container:OtherNamedNamespace", true),
            ("container:*desired", "container:093dede90-3d99d", false),
            ("container:*desired", "container:x-desired", true),
            ("task*", "task_group_name", true),
            ("task*", "task", true),
            ("*task", "task", true),
            ("*a*b", "xaxb", true),
            ("*a*b", "xbxa", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("ab*ba", "aba", false),
            ("**", "x", true),
            ("a**b", "ab", true),
            ("?", "x", false),
            ("[ab]", "a", false),
            ("é*", "été", true),
            ("é*é", "éaé", true),
        ] {
            assert_eq!(matches(pattern, text), want, "pattern {pattern:?}, text {text:?}");
        }
        assert!(matches_any(&["job_id", "task*"], "task_name"));
        assert!(!matches_any(&["job_id", "task*"], "alloc_id"));
        assert!(!matches_any::<&str>(&[], ""));
    }
}

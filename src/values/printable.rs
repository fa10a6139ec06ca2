//! Foreign text where people read it: on one line, with nothing in it that a terminal obeys, or that shows other than what stands there.
//! Names, Engine messages, addresses, versions and journals go through here where they leave the program; a task's own output does not.
//! An escaped text is not escaped again: a backslash stays as it is, so what went through here twice has not changed.

use std::borrow::Cow;

/// A text as a person may see it: control characters, line ends of every kind and characters that turn or hide others become
/// `\n`, `\t`, `\r` or `\u{1b}`. Letters of every script stay.
pub fn printable(text: &str) -> Cow<'_, str> {
    replaced(text, is_obeyed, |c, out| out.extend(c.escape_default()))
}

/// A text of which every character takes one column of a terminal: as [`printable`], and all beyond ASCII is escaped.
pub fn printable_ascii(text: &str) -> Cow<'_, str> {
    replaced(text, |c| !matches!(c, ' '..='~'), |c, out| out.extend(c.escape_default()))
}

/// Text of several lines, each [printable]; the newlines stay.
///
/// [printable]: printable()
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    replaced(text, |c| c != '\n' && is_obeyed(c), |c, out| out.extend(c.escape_default()))
}

/// A JSON document that means the same, with nothing in it that a terminal obeys. `serde_json` escapes what JSON must, which
/// leaves DEL, the control characters beyond ASCII, and what turns text around.
pub fn printable_json(json: &str) -> Cow<'_, str> {
    replaced(
        json,
        |c| c != '\n' && is_obeyed(c),
        |c, out| match c {
            // It can only stand between two tokens.
            ..' ' => out.push(' '),
            _ => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
        },
    )
}

/// What a terminal obeys, a reader takes for a line's end, or nobody sees.
fn is_obeyed(c: char) -> bool {
    match c {
        ' '..='~' => false,
        // Marks, embeddings, overrides and isolates of direction; separators of lines; what has no width; tags.
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'
        | '\u{200e}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}' => true,
        c => c.is_control(),
    }
}

fn replaced(text: &str, is_replaced: impl Fn(char) -> bool, replace: impl Fn(char, &mut String)) -> Cow<'_, str> {
    let Some(first) = text.find(&is_replaced) else { return Cow::Borrowed(text) };
    let mut out = String::with_capacity(text.len() + 8);
    out.push_str(&text[..first]);
    for c in text[first..].chars() {
        match is_replaced(c) {
            true => replace(c, &mut out),
            false => out.push(c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &[(&str, &str)] = &[
        ("", ""),
        ("nginx:1.27 'a' \"b\" \\d", "nginx:1.27 'a' \"b\" \\d"),
        ("größe 東京 │ e\u{301} 👩‍🚀", "größe 東京 │ e\u{301} 👩‍🚀"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\u{1b}[31mred\u{1b}]0;title\u{7}", "\\u{1b}[31mred\\u{1b}]0;title\\u{7}"),
        ("\0\u{7f}", "\\u{0}\\u{7f}"),
        // CSI and NEL in one character each.
        ("\u{9b}2J\u{85}", "\\u{9b}2J\\u{85}"),
        ("line\u{2028}paragraph\u{2029}", "line\\u{2028}paragraph\\u{2029}"),
        ("a\u{202e}gpj.exe\u{2066}", "a\\u{202e}gpj.exe\\u{2066}"),
        ("web\u{200b}\u{feff}\u{ad}", "web\\u{200b}\\u{feff}\\u{ad}"),
        ("\u{e0041}", "\\u{e0041}"),
    ];

    #[test]
    fn one_line_that_is_seen_as_it_is() {
        for (text, want) in ROWS {
            assert_eq!(printable(text), *want, "{text:?}");
            assert_eq!(printable(&printable(text)), *want, "{text:?}, twice");
            assert_eq!(printable_lines(text), want.replace("\\n", "\n"), "{text:?}");
            assert!(printable_ascii(text).chars().all(|c| matches!(c, ' '..='~')), "{text:?}");
        }
        assert!(matches!(printable("nginx"), Cow::Borrowed(_)), "what is harmless is not copied");
        assert_eq!(printable_ascii("ä:1\u{1b}"), "\\u{e4}:1\\u{1b}");
    }

    #[test]
    fn json_means_the_same() {
        for (text, _) in ROWS {
            let json = serde_json::json!({"text": text, "more": [text]});
            for written in [json.to_string(), format!("{json:#}"), format!("{{\"text\":\r\t{}}}", json["text"])] {
                let shown = printable_json(&written);
                assert!(!shown.contains(|c| c != '\n' && is_obeyed(c)), "{shown:?}");
                let (shown, before): (serde_json::Value, serde_json::Value) =
                    (serde_json::from_str(&shown).unwrap(), serde_json::from_str(&written).unwrap());
                assert_eq!(shown, before, "{text:?}");
            }
        }
    }
}

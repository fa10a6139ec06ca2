//! Rust source as words and signs: just enough lexing to tell code from comments and literals.
//!
//! A word is an identifier or keyword, `::` is one sign, every other sign is one character. Literals and lifetimes are
//! left out. Unfinished comments and strings end with the text: what does not compile is the compiler's to report.

/// A word or sign, and the line it stands on, from 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    pub(crate) line: usize,
}

pub(crate) fn tokenize(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut at = 0;
    while at < source.len() {
        let rest = &source[at..];
        let (kind, length) = piece(rest);
        if let Kind::Code = kind {
            tokens.push(Token { text: &rest[..length], line });
        }
        line += rest[..length].matches('\n').count();
        at += length;
    }
    tokens
}

enum Kind {
    Code,
    Skipped,
}

/// What the text, which is not empty, begins with, and how many bytes of it.
fn piece(text: &str) -> (Kind, usize) {
    let first = text.chars().next().unwrap_or_default();
    if text.starts_with("//") {
        (Kind::Skipped, text.find('\n').unwrap_or(text.len()))
    } else if text.starts_with("/*") {
        (Kind::Skipped, block_comment(text))
    } else if let Some(length) = string(text) {
        (Kind::Skipped, length)
    } else if first == '\'' {
        (Kind::Skipped, character_or_lifetime(text))
    } else if is_word(first) {
        (Kind::Code, text.find(|c| !is_word(c)).unwrap_or(text.len()))
    } else if text.starts_with("::") {
        (Kind::Code, 2)
    } else if first.is_whitespace() {
        (Kind::Skipped, first.len_utf8())
    } else {
        (Kind::Code, first.len_utf8())
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Block comments nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of the string literal at the start: `"…"`, `b"…"`, `c"…"`, raw ones with any number of `#`.
fn string(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        text.strip_prefix(prefix).is_some_and(|rest| {
            rest.starts_with('"') || (prefix.ends_with('r') && rest.trim_start_matches('#').starts_with('"'))
        })
    })?;
    let body = &text[prefix.len()..];
    let opening = body.find('"')? + 1;
    let start = prefix.len() + opening;
    if prefix.ends_with('r') {
        let closing = format!("\"{}", &body[..opening - 1]);
        return Some(text[start..].find(&closing).map_or(text.len(), |end| start + end + closing.len()));
    }
    Some(escaped(text, start, '"'))
}

/// Where the literal ends whose content begins at `start`: behind the next `quote` that has no backslash.
fn escaped(text: &str, start: usize, quote: char) -> usize {
    let mut characters = text[start..].char_indices();
    while let Some((at, c)) = characters.next() {
        if c == '\\' {
            characters.next();
        } else if c == quote {
            return start + at + 1;
        }
    }
    text.len()
}

/// `'x'`, `'\''` or `'name`.
fn character_or_lifetime(text: &str) -> usize {
    let mut inner = text[1..].chars();
    match (inner.next(), inner.next()) {
        (Some('\\'), _) => escaped(text, 1, '\''),
        (Some(c), Some('\'')) => 2 + c.len_utf8(),
        _ => 1 + text[1..].find(|c| !is_word(c)).unwrap_or(text.len() - 1),
    }
}

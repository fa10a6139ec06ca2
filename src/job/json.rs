//! JSON into values with offsets. `serde_json` gives no positions, so this is a reader of our own: strict RFC 8259, except that of a key that
//! comes twice the last one wins, as in Go. Nesting is bounded as in HCL.

use serde_json::Number;

use super::problem::shown;
use super::tree::{Fault, Key, Kind, Value};

/// `hcl-edit`'s limit, so that what may stand in the one may stand in the other.
const DEEPEST: usize = 64;

/// Reads a file that holds one JSON value.
pub(super) fn read(text: &str) -> Result<Value, Fault> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.blank();
    if reader.at < text.len() {
        return Err(Fault::new(reader.at, "something follows the end of the JSON value"));
    }
    Ok(value)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<Value, Fault> {
        self.blank();
        let at = self.at;
        if depth > DEEPEST {
            return Err(Fault::new(at, "the nesting is deeper than 64"));
        }
        let kind = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Kind::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => self.word()?,
        };
        Ok(Value::new(at, kind))
    }

    fn object(&mut self, depth: usize) -> Result<Kind, Fault> {
        let open = self.at;
        self.at += 1;
        let mut entries: Vec<(Key, Value)> = Vec::new();
        let mut seen = std::collections::HashMap::new();
        loop {
            self.blank();
            if entries.is_empty() && self.take(b'}') {
                return Ok(Kind::Map(entries));
            }
            let at = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.wrong("a key in quotes", open));
            }
            let text = self.string()?;
            self.blank();
            if !self.take(b':') {
                return Err(self.wrong("`:`", open));
            }
            let value = self.value(depth + 1)?;
            match seen.insert(text.clone(), entries.len()) {
                None => entries.push((Key { text, at }, value)),
                Some(earlier) => {
                    entries[earlier] = (Key { text: text.clone(), at }, value);
                    seen.insert(text, earlier);
                }
            }
            self.blank();
            if self.take(b'}') {
                return Ok(Kind::Map(entries));
            }
            if !self.take(b',') {
                return Err(self.wrong("`,` or `}`", open));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Kind, Fault> {
        let open = self.at;
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.blank();
            if items.is_empty() && self.take(b']') {
                return Ok(Kind::List(items));
            }
            items.push(self.value(depth + 1)?);
            self.blank();
            if self.take(b']') {
                return Ok(Kind::List(items));
            }
            if !self.take(b',') {
                return Err(self.wrong("`,` or `]`", open));
            }
        }
    }

    fn string(&mut self) -> Result<String, Fault> {
        let open = self.at;
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.find(|c: char| c == '"' || c == '\\' || c < ' ').unwrap_or(rest.len());
            out.push_str(&rest[..plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(b'\n' | b'\r') | None => {
                    return Err(Fault::new(open, "the quote that opens here is not closed on its line"));
                }
                Some(_) => return Err(Fault::new(self.at, "a control character must be written as `\\u00..`")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Fault> {
        let at = self.at;
        let wrong = |what: &str| Fault::new(at, format!("{what} in a string"));
        let letter = self.text[at + 1..].chars().next();
        self.at += 2;
        Ok(match letter {
            Some(c @ ('"' | '\\' | '/')) => c,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                let first = self.hex().ok_or_else(|| wrong("a `\\u` without four digits"))?;
                let code = if (0xd800..0xdc00).contains(&first) {
                    // The first half of a character beyond 0xffff; the second follows as an escape of its own.
                    let second = self.text[self.at..].starts_with("\\u").then(|| {
                        self.at += 2;
                        self.hex()
                    });
                    let low = second.flatten().filter(|s| (0xdc00..0xe000).contains(s));
                    low.map(|low| 0x10000 + ((first - 0xd800) << 10) + (low - 0xdc00))
                } else {
                    Some(first)
                };
                code.and_then(char::from_u32).ok_or_else(|| wrong("half a surrogate pair"))?
            }
            _ => return Err(wrong("an unknown escape")),
        })
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }

    fn number(&mut self) -> Result<Kind, Fault> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c)).unwrap_or(rest.len());
        let value = serde_json::from_str::<Number>(&rest[..end]);
        let value = value.map_err(|_| Fault::new(self.at, format!("{} is no number", shown(&rest[..end]))))?;
        self.at += end;
        Ok(Kind::Number { value, octal: None })
    }

    fn word(&mut self) -> Result<Kind, Fault> {
        let rest = &self.text[self.at..];
        for (word, kind) in [("null", Kind::Null), ("true", Kind::Bool(true)), ("false", Kind::Bool(false))] {
            if rest.strip_prefix(word).is_some_and(|after| !after.starts_with(|c: char| c.is_ascii_alphanumeric())) {
                self.at += word.len();
                return Ok(kind);
            }
        }
        Err(self.wrong("a value", self.at))
    }

    /// What was expected; at the end of the file it is what was opened that is to be looked at.
    fn wrong(&self, wanted: &str, open: usize) -> Fault {
        match self.text[self.at..].chars().next() {
            None if open < self.at => Fault::new(open, format!("what opens here is not closed: {wanted} is missing")),
            None => Fault::new(self.at, format!("{wanted} is expected, but the file ends")),
            Some(c) => Fault::new(self.at, format!("{wanted} is expected, not {}", shown(&c.to_string()))),
        }
    }

    fn blank(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(value: &Value) -> serde_json::Value {
        match &value.kind {
            Kind::Null => serde_json::Value::Null,
            Kind::Bool(b) => (*b).into(),
            Kind::Number { value, .. } => value.clone().into(),
            Kind::Text(text) => text.clone().into(),
            Kind::List(items) => items.iter().map(plain).collect(),
            Kind::Map(map) => {
                map.iter().map(|(k, v)| (k.text.clone(), plain(v))).collect::<serde_json::Map<_, _>>().into()
            }
            Kind::Failed(faults) => panic!("{faults:?}"),
        }
    }

    #[test]
    fn as_serde_reads_it() {
        for text in [
            "{}",
            "[]",
            " [ 1 , -2.5e3, 0, 18446744073709551615 ] ",
            r#"{"a":{"b":[null,true,false]},"a b":"","":1}"#,
            r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é€""#,
            r#"{"a":1,"b":2,"a":3}"#,
            "1e999",
            "01",
            "-",
            "1.",
            "+1",
            "nul",
            "nulll",
            "truefalse",
            "\"a\nb\"",
            "\"\u{1}\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\ud800\"",
            "\"\\ud800\\u0041\"",
            "\"\\udc00\"",
            "\"\\é\"",
            "\"open",
            "{\"a\" 1}",
            "{\"a\":1,}",
            "{a:1}",
            "[1,]",
            "[1 2]",
            "[1",
            "{\"a\":1",
            "",
            "[] []",
            "// no",
            "\u{a0}1",
        ] {
            let ours = read(text);
            let theirs = serde_json::from_str::<serde_json::Value>(text);
            assert_eq!(ours.as_ref().ok().map(plain), theirs.as_ref().ok().cloned(), "{text:?}: {ours:?}, {theirs:?}");
        }
    }

    #[test]
    fn where_it_went_wrong() {
        // text -> (offset, message)
        for (text, at, message) in [
            ("{\"a\":1,}", 7, "a key in quotes is expected, not `}`"),
            ("{\"a\":[1,\n", 9, "a value is expected, but the file ends"),
            ("{\"a\":[1\n", 5, "what opens here is not closed: `,` or `]` is missing"),
            ("{\"a\": \"x\n}", 6, "the quote that opens here is not closed on its line"),
            ("{\"a\": 1 \"b\": 2}", 8, "`,` or `}` is expected, not `\"`"),
            ("{\"a\": 1x}", 6, "`1x` is no number"),
            ("{} x", 3, "something follows the end of the JSON value"),
        ] {
            assert_eq!(read(text).err(), Some(Fault::new(at, message)), "{text:?}");
        }
    }

    #[test]
    fn hostile() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(read(&nested(64)).is_ok());
        assert_eq!(read(&nested(100_000)).err().map(|e| e.message), Some("the nesting is deeper than 64".into()));
        let twice = format!("{{{}\"k\":1}}", "\"k\":0,".repeat(200_000));
        assert!(read(&twice).is_ok(), "a key that comes often costs no more than others");
    }
}

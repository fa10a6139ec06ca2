//! JSON of strangers as Go's readers of it take it: keys in order, repeated ones too; nothing of a
//! value in an error.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A value. What stands in a boolean or a number matters to nobody here. No `Debug`: a text may be
/// a secret.
pub(super) enum Json {
    Null,
    Bool,
    Number,
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// The first value of a text, whatever follows it; `None`: nothing but white space. An error
    /// says what is wrong, and where.
    pub(super) fn first_of(bytes: &[u8]) -> Result<Option<Self>, String> {
        let text = replaced(bytes);
        if text.chars().all(is_blank) {
            return Ok(None);
        }
        let mut reader = serde_json::Deserializer::from_str(&text);
        Self::deserialize(&mut reader).map(Some).map_err(|error| error.to_string())
    }

    /// The value that a text is.
    pub(super) fn whole(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_str(&replaced(bytes)).map_err(|error| error.to_string())
    }

    /// What kind of value it is, for a message.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// Text with U+FFFD for each byte that is no part of UTF-8.
pub(super) fn replaced(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    Cow::Owned(text)
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

/// Takes every value: an error that quotes one cannot come up.
struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Bool)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = access.next_element()? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Json::Object(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_or_the_whole_text() {
        let kind = |text: &str| Json::first_of(text.as_bytes()).map(|json| json.map_or("nothing", |json| json.kind()));
        for (text, want) in [
            ("", "nothing"),
            (" \r\n\t", "nothing"),
            ("null", "null"),
            ("{} and more", "an object"),
            ("[1, true, 2.5, -3, {\"a\": \"b\"}]{", "a list"),
            ("\"\\u00e9\"", "a text"),
        ] {
            assert_eq!(kind(text).unwrap(), want, "{text}");
        }
        for text in
            ["{", "// c\n{}", "\u{feff}{}", "\u{a0}", "{\"a\": \"hunter2\" \"b\"}", "hunter2", "{\"a\": \"hunter2"]
        {
            let error = kind(text).unwrap_err();
            assert!(error.contains(" at line ") && !error.contains("hunter2"), "{text}: {error}");
            assert!(Json::whole(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Json::whole(b"{} x").is_err() && Json::whole(b"").is_err() && Json::whole(b" {} \n").is_ok());
    }

    #[test]
    fn repeated_keys_are_all_there_in_order() {
        let Ok(Json::Object(entries)) = Json::whole(br#"{"b": 1, "a": 2, "b": 3}"#) else { panic!("no object") };
        assert_eq!(entries.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["b", "a", "b"]);
    }

    #[test]
    fn a_byte_that_is_no_utf8_is_one_replacement_character() {
        assert_eq!(replaced(b"a\xe2\x82b\xff"), "a\u{fffd}\u{fffd}b\u{fffd}");
    }
}

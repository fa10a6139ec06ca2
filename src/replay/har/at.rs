//! A value of a file, and where it stands: what is wrong with it is said with its place.

use std::collections::BTreeMap;
use std::io;

use serde_json::{Map, Value};

/// The longest method, reason or name of a header, in bytes.
pub(in crate::replay) const LONGEST_WORD: usize = 1024;
/// Words in the preface.
pub(in crate::replay) const MOST_WORDS: usize = 10_000;

/// Why an entry cannot be taken.
pub(in crate::replay) enum Wrong {
    /// Which field, and why.
    Field(String, String),
    Io(io::Error),
}

impl From<io::Error> for Wrong {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

/// A value, and where it stands in its entry.
pub(in crate::replay) struct At<'a> {
    pub(in crate::replay) value: &'a Value,
    pub(in crate::replay) path: String,
}

static NULL: Value = Value::Null;

impl<'a> At<'a> {
    pub(in crate::replay) fn root(value: &'a Value) -> Self {
        Self { value, path: String::new() }
    }

    pub(in crate::replay) fn wrong(&self, why: &str) -> Wrong {
        Wrong::Field(self.path.clone(), why.into())
    }

    /// A field, null if it is not there.
    pub(in crate::replay) fn field(&self, name: &str) -> At<'a> {
        let path = if self.path.is_empty() { name.into() } else { format!("{}.{name}", self.path) };
        At { value: self.value.get(name).unwrap_or(&NULL), path }
    }

    pub(in crate::replay) fn get(&self, name: &str) -> Option<At<'a>> {
        Some(self.field(name)).filter(|field| !field.value.is_null())
    }

    pub(in crate::replay) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(in crate::replay) fn need(&self, name: &str) -> Result<At<'a>, Wrong> {
        if !self.value.is_object() {
            return Err(self.wrong(&format!("expected an object, found {}", kind(self.value))));
        }
        self.get(name).ok_or_else(|| self.field(name).wrong("it is missing"))
    }

    pub(in crate::replay) fn text(&self) -> Result<&'a str, Wrong> {
        self.value.as_str().ok_or_else(|| self.wrong(&format!("expected a text, found {}", kind(self.value))))
    }

    /// A text of bounded length that fits in one line.
    pub(in crate::replay) fn word(&self, longest: usize) -> Result<String, Wrong> {
        let text = self.text()?;
        if text.len() > longest {
            return Err(self.wrong("it is too long"));
        }
        Ok(text.into())
    }

    pub(in crate::replay) fn number(&self, most: u64) -> Result<u64, Wrong> {
        let number = self.value.as_u64();
        number
            .filter(|number| *number <= most)
            .ok_or_else(|| self.wrong(&format!("expected a whole number up to {most}, found {}", kind(self.value))))
    }

    pub(in crate::replay) fn items(&self) -> Result<Vec<At<'a>>, Wrong> {
        let items =
            self.value.as_array().ok_or_else(|| self.wrong(&format!("expected a list, found {}", kind(self.value))))?;
        Ok(items.iter().enumerate().map(|(n, value)| At { value, path: format!("{}[{n}]", self.path) }).collect())
    }

    pub(in crate::replay) fn object(&self) -> Result<&'a Map<String, Value>, Wrong> {
        let object = self.value.as_object();
        object
            .filter(|object| object.len() <= MOST_WORDS)
            .ok_or_else(|| self.wrong(&format!("expected an object of few words, found {}", kind(self.value))))
    }

    /// An object of short texts.
    pub(in crate::replay) fn words(&self) -> Result<BTreeMap<String, String>, Wrong> {
        let mut words = BTreeMap::new();
        for name in self.object()?.keys() {
            let word = self.field(name);
            match word.word(LONGEST_WORD)? {
                empty if empty.is_empty() => return Err(word.wrong("it is empty")),
                text => words.insert(name.clone(), text),
            };
        }
        Ok(words)
    }

    pub(in crate::replay) fn count(&self) -> usize {
        self.value.as_array().map_or(0, Vec::len)
    }

    pub(in crate::replay) fn item(&self, n: usize) -> Result<At<'a>, Wrong> {
        match self.value.as_array().and_then(|items| items.get(n)) {
            Some(value) => Ok(At { value, path: format!("{}[{n}]", self.path) }),
            None => Err(self.wrong("expected a list of numbers, with more of them")),
        }
    }
}

pub(in crate::replay) fn kind(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Bool(_) => "true or false".into(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(_) => "a text".into(),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
    }
}

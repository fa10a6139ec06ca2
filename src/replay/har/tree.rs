//! What of a HAR's JSON becomes a tree: the fields that somebody looks at, and of them a bounded number, for a value in
//! a tree takes far more memory than its text. All else is read past.
//!
//! Lists of chunks, of which a long stream has millions, become notes at once; in the tree stands the number of the list.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::replay::har::exchange::{Body, Chunk, Mark};
use crate::replay::http::spool::Spool;

/// More values than an entry with as many headers as may be has, its lists of chunks aside.
const MOST_VALUES: usize = 100_000;
/// The fields of an entry that are looked at, wherever they stand.
const FIELDS: &[&str] = &[
    "request",
    "response",
    "startedDateTime",
    "connection",
    "method",
    "url",
    "headers",
    "name",
    "value",
    "postData",
    "text",
    "encoding",
    "_encoding",
    "_head",
    "_end",
    "status",
    "statusText",
    "content",
    "size",
    "_upgraded",
    "_left_out",
    "_number",
    "closed",
];
const CHUNKS: &str = "_chunks";

/// A list of chunks that was read.
pub(in crate::replay) struct Notes {
    /// The chunks, without their bytes.
    pub(in crate::replay) body: Body,
    /// How many bytes they have in all.
    pub(in crate::replay) total: u64,
    /// The first that is none, and its place; or what stands in the place of the list.
    pub(in crate::replay) wrong: Option<(Option<usize>, Value)>,
    /// They could not be kept.
    pub(in crate::replay) failed: Option<io::Error>,
}

/// The lists of chunks of an entry, each until it is taken.
pub(in crate::replay) type Lists = RefCell<Vec<Option<Notes>>>;

/// Reads a tree.
pub(in crate::replay) struct Tree<'a> {
    left: Cell<usize>,
    /// Where lists of chunks go. `None`: every field is wanted, and none is such a list.
    entry: Option<(&'a Arc<Spool>, &'a Lists)>,
}

impl<'a> Tree<'a> {
    /// Of an entry.
    pub(in crate::replay) fn of_entry(spool: &'a Arc<Spool>, lists: &'a Lists) -> Self {
        lists.borrow_mut().clear();
        Self { left: Cell::new(MOST_VALUES), entry: Some((spool, lists)) }
    }

    /// Of anything else, with all its fields.
    pub(in crate::replay) fn whole() -> Self {
        Self { left: Cell::new(MOST_VALUES), entry: None }
    }

    fn take<E: Error>(&self, value: impl Into<Value>) -> Result<Value, E> {
        let left = self.left.get().checked_sub(1).ok_or_else(|| E::custom("more values than any entry has"))?;
        self.left.set(left);
        Ok(value.into())
    }
}

impl<'de> DeserializeSeed<'de> for &Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.take(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.take(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.take(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.take(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        self.take(value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.take(value)
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        self.take(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(self)? {
            items.push(item);
        }
        self.take(items)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = match self.entry {
                Some((spool, lists)) if name == CHUNKS => {
                    let notes = map.next_value_seed(List(spool))?;
                    lists.borrow_mut().push(Some(notes));
                    self.take(lists.borrow().len() - 1)?
                }
                Some(_) if !FIELDS.contains(&name.as_str()) => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                _ => map.next_value_seed(self)?,
            };
            fields.insert(name, value);
        }
        self.take(fields)
    }
}

/// A list of chunks.
struct List<'a>(&'a Arc<Spool>);

impl List<'_> {
    fn none(self, instead: impl Into<Value>) -> Notes {
        Notes { body: Body::new(self.0), total: 0, wrong: Some((None, instead.into())), failed: None }
    }
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = Notes;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Notes, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = Notes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of chunks")
    }

    fn visit_unit<E: Error>(self) -> Result<Notes, E> {
        Ok(self.none(Value::Null))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Notes, E> {
        Ok(self.none(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Notes, E> {
        Ok(self.none(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Notes, E> {
        Ok(self.none(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Notes, E> {
        Ok(self.none(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Notes, E> {
        Ok(self.none(value))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Notes, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self.none(Map::new()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Notes, A::Error> {
        let mut notes = Notes { body: Body::new(self.0), total: 0, wrong: None, failed: None };
        let mut before = Mark::default();
        for n in 0.. {
            if notes.wrong.is_some() || notes.failed.is_some() {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                break;
            }
            let Some(value) = list.next_element_seed(&Tree::whole())? else { break };
            match chunk(&value, before) {
                Some(chunk) => {
                    before = chunk.mark;
                    notes.total = notes.total.saturating_add(chunk.len);
                    notes.failed = notes.body.note(chunk).err();
                }
                None => notes.wrong = Some((Some(n), value)),
            }
        }
        Ok(notes)
    }
}

/// `[ms, bytes, requests, sent]`; the last two are those of the chunk before where they are left out.
fn chunk(value: &Value, before: Mark) -> Option<Chunk> {
    let numbers = value.as_array()?;
    let number = |n: usize, left_out: u64| numbers.get(n).map_or(Some(left_out), Value::as_u64);
    let at = micros(numbers.first()?.as_f64()?)?;
    let mark = Mark { at, requests: number(2, before.requests)?, sent: number(3, before.sent)? };
    Some(Chunk { mark, len: numbers.get(1)?.as_u64()? })
}

/// Milliseconds as microseconds; `None`: before the beginning.
pub(in crate::replay) fn micros(ms: f64) -> Option<u64> {
    // Where a decimal is no exact binary number it is off by far less than half of one.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    (ms >= 0.0).then_some((ms * 1000.0).round() as u64)
}

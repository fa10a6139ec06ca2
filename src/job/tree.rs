//! What the readers of HCL and of JSON both make of a file: blocks and attributes, every one with its offset, values evaluated.
//! A value that could not be evaluated is in the tree as what went wrong with it, and is reported only if somebody needs it: inside the
//! blocks that have no meaning here nothing is checked. The conversions are Nomad's: a string for a number or a boolean, and the reverse.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Number;

use super::problem::shown;
use crate::values::duration;

/// The inside of a block.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub(super) entries: Vec<Entry>,
}

/// An attribute or a block.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: usize,
    pub(super) content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    Attribute(Value),
    Block { labels: Vec<Key>, body: Body },
}

/// A key of a map, or the label of a block.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) at: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) at: usize,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    /// `octal`: what a literal with a leading zero is in octal, as file modes are meant.
    Number {
        value: Number,
        octal: Option<u64>,
    },
    Text(String),
    List(Vec<Value>),
    Map(Vec<(Key, Value)>),
    Failed(Vec<Fault>),
}

/// Something wrong at a place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) message: String,
    /// Not wrong in itself: longshore cannot do it yet.
    pub(super) not_yet: bool,
}

impl Fault {
    pub(super) fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), not_yet: false }
    }

    pub(super) fn not_yet(at: usize, what: impl std::fmt::Display) -> Self {
        Self { at, message: format!("{what} not supported yet"), not_yet: true }
    }
}

/// What was read, or all that is wrong with it.
pub(super) type Read<T> = Result<T, Vec<Fault>>;

impl Value {
    pub(super) fn new(at: usize, kind: Kind) -> Self {
        Self { at, kind }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }

    /// A text; numbers and booleans become theirs.
    pub(super) fn text(&self) -> Read<String> {
        match &self.kind {
            Kind::Text(text) => Ok(text.clone()),
            Kind::Bool(b) => Ok(b.to_string()),
            Kind::Number { value, .. } => Ok(value.to_string()),
            _ => self.no("a string"),
        }
    }

    /// A whole number.
    pub(super) fn integer(&self) -> Read<i64> {
        let number = match &self.kind {
            Kind::Number { value, .. } => value.as_i64().or_else(|| value.as_f64().and_then(whole)),
            Kind::Text(text) => text.parse().ok().or_else(|| text.parse().ok().and_then(whole)),
            _ => None,
        };
        number.map_or_else(|| self.no("a whole number"), Ok)
    }

    pub(super) fn boolean(&self) -> Read<bool> {
        match &self.kind {
            Kind::Bool(b) => Ok(*b),
            Kind::Text(text) if text == "true" || text == "1" => Ok(true),
            Kind::Text(text) if text == "false" || text == "0" => Ok(false),
            _ => self.no("true or false"),
        }
    }

    /// A duration, as text with a unit; a bare number is in nanoseconds.
    pub(super) fn duration(&self) -> Read<Duration> {
        match &self.kind {
            Kind::Number { value, .. } => match value.as_u64() {
                Some(nanos) if nanos <= i64::MAX as u64 => Ok(Duration::from_nanos(nanos)),
                _ => self.no("a duration, such as \"30s\""),
            },
            Kind::Text(text) => duration::parse(text).map_err(|e| vec![Fault::new(self.at, e.to_string())]),
            _ => self.no("a duration, such as \"30s\""),
        }
    }

    /// A list of texts.
    pub(super) fn texts(&self) -> Read<Vec<String>> {
        match &self.kind {
            Kind::List(items) => all(items.iter().map(Value::text)),
            _ => self.no("a list of strings"),
        }
    }

    /// A map of texts; of a list of maps all together, later ones win. A null is no entry.
    pub(super) fn text_map(&self) -> Read<BTreeMap<String, String>> {
        match &self.kind {
            Kind::Map(entries) => {
                let set = entries.iter().filter(|(_, value)| !value.is_null());
                Ok(all(set.map(|(key, value)| Ok((key.text.clone(), value.text()?))))?.into_iter().collect())
            }
            Kind::List(maps) => Ok(all(maps.iter().map(Value::text_map))?.into_iter().flatten().collect()),
            _ => self.no("a map of strings"),
        }
    }

    /// What a value is not; what failed in it, if something did.
    pub(super) fn no<T>(&self, wanted: &str) -> Read<T> {
        if let Kind::Failed(faults) = &self.kind {
            return Err(faults.clone());
        }
        let is = match &self.kind {
            Kind::Text(text) => shown(&format!("{text:?}")),
            Kind::Number { value, .. } => value.to_string(),
            Kind::Bool(b) => b.to_string(),
            Kind::Null => "null".into(),
            Kind::List(_) => "a list".into(),
            Kind::Map(_) | Kind::Failed(_) => "a map".into(),
        };
        Err(vec![Fault::new(self.at, format!("{wanted} is expected here, not {is}"))])
    }
}

/// Every result, or every fault of all of them.
pub(super) fn all<T>(results: impl Iterator<Item = Read<T>>) -> Read<Vec<T>> {
    let (mut values, mut faults) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(more) => faults.extend(more),
        }
    }
    if faults.is_empty() { Ok(values) } else { Err(faults) }
}

/// A float without a fraction, where an integer can hold it.
fn whole(value: f64) -> Option<i64> {
    const EDGE: f64 = 9_007_199_254_740_992.0; // 2^53: above it a float does not know its last digit
    (value.fract() == 0.0 && value.abs() <= EDGE).then_some(value as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::new(0, Kind::Text(text.into()))
    }

    fn number(text: &str) -> Value {
        Value::new(0, Kind::Number { value: serde_json::from_str(text).expect("a number"), octal: None })
    }

    #[test]
    fn conversions() {
        // value -> (text, integer, boolean), as Nomad's HCL converts
        for (value, want) in [
            (text("500"), (Some("500"), Some(500), None)),
            (text("-1"), (Some("-1"), Some(-1), None)),
            (text("5e2"), (Some("5e2"), Some(500), None)),
            (text("1"), (Some("1"), Some(1), Some(true))),
            (text("true"), (Some("true"), None, Some(true))),
            (text("False"), (Some("False"), None, None)),
            (text(""), (Some(""), None, None)),
            (text("0.5"), (Some("0.5"), None, None)),
            (text("nan"), (Some("nan"), None, None)),
            (text("1e300"), (Some("1e300"), None, None)),
            (number("500"), (Some("500"), Some(500), None)),
            (number("1.5"), (Some("1.5"), None, None)),
            (number("2.0"), (Some("2.0"), Some(2), None)),
            (number("18446744073709551615"), (Some("18446744073709551615"), None, None)),
            (Value::new(0, Kind::Bool(true)), (Some("true"), None, Some(true))),
            (Value::new(0, Kind::Null), (None, None, None)),
            (Value::new(0, Kind::List(vec![])), (None, None, None)),
        ] {
            let got = (value.text().ok(), value.integer().ok(), value.boolean().ok());
            assert_eq!(got, (want.0.map(String::from), want.1, want.2), "{value:?}");
        }
        for (value, want) in [(text("30s"), Some(30_000_000_000)), (text("30"), None), (number("5000"), Some(5000))] {
            assert_eq!(value.duration().ok().map(|d| d.as_nanos()), want, "{value:?}");
        }
        assert!(number("-1").duration().is_err());
        assert!(number("1.5").duration().is_err());
    }

    #[test]
    fn a_failed_value_says_why() {
        let fault = Fault::not_yet(7, "`file(…)`: functions are");
        let failed = || Value::new(7, Kind::Failed(vec![fault.clone()]));
        assert_eq!(failed().integer(), Err(vec![fault.clone()]));
        let list = Value::new(0, Kind::List(vec![failed(), text("x"), failed()]));
        assert_eq!(list.texts(), Err(vec![fault.clone(), fault.clone()]), "every fault, not only the first");
        assert_eq!(fault.message, "`file(…)`: functions are not supported yet");
    }
}

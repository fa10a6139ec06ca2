//! What a JSON value means where a string, number, boolean, list or map is wanted. It knows no option.
//! As generous as Nomad: what reads as the wanted type is taken, in both directions.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Number, Value};

use super::OptionProblem;
use super::nearest::nearest;

/// Reads options by name, and keeps what is wrong with them. What is wrong, missing or null reads as the zero value.
pub(super) struct Reader<'a> {
    given: &'a Map<String, Value>,
    /// The names that were asked for.
    pub(super) asked: BTreeSet<&'static str>,
    /// What was wrong, in the order of asking.
    pub(super) problems: Vec<OptionProblem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(given: &'a Map<String, Value>) -> Self {
        Self { given, asked: BTreeSet::new(), problems: Vec::new() }
    }

    /// A string; a number or a boolean as its text.
    pub(super) fn string(&mut self, name: &'static str) -> String {
        self.read(name, string)
    }

    /// A boolean, also as one of Go's spellings, or 0 or 1.
    pub(super) fn boolean(&mut self, name: &'static str) -> bool {
        self.read(name, boolean)
    }

    /// A whole number, also as text.
    pub(super) fn number(&mut self, name: &'static str) -> i64 {
        self.read(name, number)
    }

    /// A list of strings.
    pub(super) fn list(&mut self, name: &'static str) -> Vec<String> {
        let Some(value) = self.value(name) else { return Vec::new() };
        let Value::Array(items) = value else {
            self.problem(name, &format!("wants a list of strings, and is {}", kind_of(value)));
            return Vec::new();
        };
        let mut list = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match string(item) {
                Ok(text) => list.push(text),
                Err(message) => self.problem(&format!("{name}[{index}]"), &message),
            }
        }
        list
    }

    /// A map of strings, also as a list of maps: all of them in one, later keys win.
    pub(super) fn map(&mut self, name: &'static str) -> BTreeMap<String, String> {
        let mut map = BTreeMap::new();
        match self.value(name) {
            None => {}
            Some(Value::Object(pairs)) => self.pairs(name, pairs, &mut map),
            Some(Value::Array(maps)) => {
                for (index, item) in maps.iter().enumerate() {
                    let path = format!("{name}[{index}]");
                    match item {
                        Value::Object(pairs) => self.pairs(&path, pairs, &mut map),
                        Value::Null => {}
                        other => self.problem(&path, &format!("wants a map, and is {}", kind_of(other))),
                    }
                }
            }
            Some(other) => self.problem(name, &format!("wants a map, and is {}", kind_of(other))),
        }
        map
    }

    /// Whether a map is given, be it an empty one: a list without any map gives none.
    pub(super) fn gives_map(&mut self, name: &'static str) -> bool {
        match self.value(name) {
            Some(Value::Array(maps)) => maps.iter().any(Value::is_object),
            given => given.is_some_and(Value::is_object),
        }
    }

    /// What `read` makes of a block that stands at most once, alone or in a list. A name in it that `read` does not ask for
    /// is a problem.
    pub(super) fn block<T: Default>(&mut self, name: &'static str, read: fn(&mut Reader<'_>) -> T) -> T {
        let mut found = None;
        let items = match self.value(name) {
            None => Vec::new(),
            Some(Value::Array(items)) => {
                items.iter().enumerate().map(|(index, item)| (format!("{name}[{index}]"), item)).collect()
            }
            Some(item) => vec![(name.to_string(), item)],
        };
        for (path, item) in items.into_iter().filter(|(_, item)| !item.is_null()) {
            match item {
                Value::Object(_) if found.is_some() => {
                    self.problem(&path, &format!("a second `{name}`: one is enough"));
                }
                Value::Object(given) => {
                    let mut inner = Reader::new(given);
                    found = Some(read(&mut inner));
                    inner.refuse_strangers(name);
                    self.problems.extend(inner.problems.into_iter().map(|problem| OptionProblem {
                        path: format!("{path}.{}", problem.path),
                        message: problem.message,
                    }));
                }
                other => self.problem(&path, &format!("wants a block, and is {}", kind_of(other))),
            }
        }
        found.unwrap_or_default()
    }

    /// What was not asked for is not known in the block `name`.
    fn refuse_strangers(&mut self, name: &str) {
        for stranger in self.given.keys().filter(|key| !self.asked.contains(key.as_str())) {
            let hint = nearest(stranger, self.asked.iter().copied());
            let hint = hint.map_or(String::new(), |known| format!(": did you mean `{known}`?"));
            let message = format!("`{stranger}` cannot stand in `{name}`{hint}");
            self.problems.push(OptionProblem { path: stranger.clone(), message });
        }
    }

    pub(super) fn problem(&mut self, path: &str, message: &str) {
        self.problems.push(OptionProblem { path: path.into(), message: message.into() });
    }

    pub(super) fn has_problem(&self, path: &str) -> bool {
        self.problems.iter().any(|problem| problem.path == path)
    }

    fn pairs(&mut self, path: &str, pairs: &Map<String, Value>, map: &mut BTreeMap<String, String>) {
        for (key, value) in pairs {
            match string(value) {
                Ok(text) => {
                    map.insert(key.clone(), text);
                }
                Err(message) => self.problem(&format!("{path}.{key}"), &message),
            }
        }
    }

    fn read<T: Default>(&mut self, name: &'static str, convert: fn(&Value) -> Result<T, String>) -> T {
        let Some(value) = self.value(name) else { return T::default() };
        convert(value).unwrap_or_else(|message| {
            self.problem(name, &message);
            T::default()
        })
    }

    /// `None`: not given, or null.
    fn value(&mut self, name: &'static str) -> Option<&'a Value> {
        self.asked.insert(name);
        self.given.get(name).filter(|value| !value.is_null())
    }
}

/// What a value is, for people.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// Whether a value says no more than leaving it out does.
pub(super) fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(pairs) => pairs.is_empty(),
    }
}

fn string(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(flag) => Ok(flag.to_string()),
        // 5.0 is 5 in a job file, which knows one kind of number only.
        Value::Number(number) => Ok(whole(number).map_or_else(|| number.to_string(), |whole| whole.to_string())),
        other => Err(format!("wants a string, and is {}", kind_of(other))),
    }
}

fn boolean(value: &Value) -> Result<bool, String> {
    let text = match value {
        Value::Bool(flag) => return Ok(*flag),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        other => return Err(format!("wants true or false, and is {}", kind_of(other))),
    };
    match text.as_str() {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("wants true or false, and is {value}")),
    }
}

fn number(value: &Value) -> Result<i64, String> {
    let read = match value {
        Value::Number(number) => whole(number),
        Value::String(text) => text.parse().ok().or_else(|| whole_float(text.parse().ok()?)),
        other => return Err(format!("wants a whole number, and is {}", kind_of(other))),
    };
    read.ok_or_else(|| format!("wants a whole number, and is {value}"))
}

fn whole(number: &Number) -> Option<i64> {
    number.as_i64().or_else(|| whole_float(number.as_f64()?))
}

/// A float that is a whole number, and small enough to be exactly that one.
fn whole_float(float: f64) -> Option<i64> {
    const EXACT: f64 = (1_i64 << 53) as f64;
    (float.fract() == 0.0 && float.abs() <= EXACT).then_some(float as i64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_string_is_any_scalar() {
        for (given, want) in [
            (json!("a"), Ok("a")),
            (json!(""), Ok("")),
            (json!(5), Ok("5")),
            (json!(5.0), Ok("5")),
            (json!(-1.5), Ok("-1.5")),
            (json!(18_446_744_073_709_551_615_u64), Ok("18446744073709551615")),
            (json!(true), Ok("true")),
            (json!(null), Err("wants a string, and is null")),
            (json!({}), Err("wants a string, and is a map")),
        ] {
            assert_eq!(string(&given).as_deref().map_err(String::as_str), want, "{given}");
        }
    }

    #[test]
    fn a_boolean_is_written_in_many_ways() {
        for (given, want) in [
            (json!(true), Some(true)),
            (json!("true"), Some(true)),
            (json!("T"), Some(true)),
            (json!("1"), Some(true)),
            (json!(1), Some(true)),
            (json!("False"), Some(false)),
            (json!(0), Some(false)),
            (json!(2), None),
            (json!("yes"), None),
            (json!(""), None),
            (json!([true]), None),
        ] {
            assert_eq!(boolean(&given).ok(), want, "{given}");
        }
    }

    #[test]
    fn a_number_is_whole() {
        for (given, want) in [
            (json!(5), Some(5)),
            (json!(5.0), Some(5)),
            (json!("5"), Some(5)),
            (json!("-5"), Some(-5)),
            (json!("1e3"), Some(1000)),
            (json!(i64::MAX), Some(i64::MAX)),
            (json!("9223372036854775807"), Some(i64::MAX)),
            (json!(u64::MAX), None),
            (json!(1e300), None),
            (json!(1.5), None),
            (json!("1.5"), None),
            (json!("5 "), None),
            (json!("5m"), None),
            (json!("inf"), None),
            (json!("nan"), None),
            (json!(""), None),
            (json!(true), None),
        ] {
            assert_eq!(number(&given).ok(), want, "{given}");
        }
    }

    #[test]
    fn a_map_may_come_in_pieces_and_its_keys_have_dots() {
        for (given, want, wrong) in [
            (json!({"a.b": 1, "c": true}), vec![("a.b", "1"), ("c", "true")], vec![]),
            (json!([{"a": "1", "b": "1"}, null, {"a": "2"}]), vec![("a", "2"), ("b", "1")], vec![]),
            (json!([]), vec![], vec![]),
            (json!("a=b"), vec![], vec!["m"]),
            (json!([{"a": "1"}, "b"]), vec![("a", "1")], vec!["m[1]"]),
            (json!({"a.b": null, "c": []}), vec![], vec!["m.a.b", "m.c"]),
            (json!([{}, {"a": {}}]), vec![], vec!["m[1].a"]),
        ] {
            let given = Map::from_iter([("m".to_string(), given)]);
            let mut reader = Reader::new(&given);
            let map = reader.map("m");
            let got: Vec<_> = map.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            assert_eq!(got, want, "{given:?}");
            let paths: Vec<_> = reader.problems.iter().map(|problem| problem.path.as_str()).collect();
            assert_eq!(paths, wrong, "{given:?}");
        }
    }
}

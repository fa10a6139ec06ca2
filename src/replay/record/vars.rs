//! What changes from run to run in longshore's own conversations, and the words that stand for it in a recording:
//! ids of allocations and tasks, the driver's name, the data directory, the marks of commands.
//!
//! They are found where a driver says them, in its create requests and in the filters of its lists. In JSON a word may be of any length; in a task's
//! output, whose frames say how long they are, only an allocation's id has one, for it is as long as what it stands for.

use std::collections::BTreeMap;

use serde_json::Value;

/// Shorter ones could be anything.
const SHORTEST: usize = 4;
/// More than any recording has tasks.
const MOST: usize = 10_000;

/// Names, what they stand for here, and the words that stand for them.
#[derive(Debug, Clone, Default)]
pub(in crate::replay) struct Vars {
    /// Longest first, so that no part of a value is replaced before the whole.
    known: Vec<Var>,
    count: BTreeMap<String, usize>,
    /// The words of an older recording, and their names.
    older: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Var {
    name: String,
    /// What is looked for.
    value: String,
    /// What is put in its place.
    word: String,
    /// The same without what has to stand beside them.
    plain: (String, String),
}

/// What has to stand before and after a value of a kind. A driver may have the name of an image, and a data directory
/// that of one in a container.
fn contexts(name: &str) -> &'static [(&'static str, &'static str)] {
    match name.split('.').next() {
        Some("instance") => &[("longshore.instance=", ""), ("\"longshore.instance\":\"", "\"")],
        Some("data_dir") => &[("", "/alloc/")],
        Some("exec") => &[("LONGSHORE_EXEC=", "")],
        _ => &[("", "")],
    }
}

impl Vars {
    /// Numbers what is learned after the words of an older recording.
    pub(in crate::replay) fn after(words: &BTreeMap<String, String>) -> Self {
        let mut count = BTreeMap::new();
        for (kind, number) in words.keys().filter_map(|name| name.rsplit_once('.')) {
            let most: &mut usize = count.entry(kind.to_owned()).or_default();
            *most = (*most).max(number.parse().unwrap_or(0));
        }
        let older = words.iter().map(|(name, word)| (word.clone(), name.clone())).collect();
        Self { known: Vec::new(), count, older }
    }

    /// What the words of an older recording stand for in this run.
    pub(in crate::replay) fn bind(&mut self, bindings: &Bindings) {
        for (word, value) in bindings.bound.iter().filter_map(|(word, value)| Some((word, value.as_deref()?))) {
            if let Some(name) = self.older.get(word).cloned()
                && !self.has(value)
            {
                self.put(name, value, word.clone());
            }
        }
    }

    fn has(&self, value: &str) -> bool {
        self.known.iter().any(|var| var.plain.0 == value)
    }

    pub(in crate::replay) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Learns from the body of a create request, of a container or a command; `name` is the container's.
    pub(in crate::replay) fn learn(&mut self, name: &str, body: &Value) {
        let env = || body["Env"].as_array().into_iter().flatten().filter_map(Value::as_str);
        for mark in env().filter_map(|pair| pair.strip_prefix("LONGSHORE_EXEC=")) {
            self.add("exec", mark, |n| format!("~exec.{n}~"));
        }
        let label = |label: &str| body["Labels"][label].as_str().unwrap_or_default();
        let (instance, task_id) = (label("longshore.instance"), label("longshore.task_id"));
        if task_id.is_empty() && instance.is_empty() {
            return;
        }
        let alloc_id = env().filter_map(|pair| pair.strip_prefix("NOMAD_ALLOC_ID=")).next().unwrap_or_default();
        if alloc_id.len() >= 8 {
            let number = self.add("alloc_id", alloc_id, |n| uuid(n, alloc_id.len()));
            if let (Some(number), Some(short)) = (number, alloc_id.get(..8)) {
                self.put(format!("short_alloc_id.{number}"), short, uuid(number, 8));
            }
            let binds = body["HostConfig"]["Binds"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let inside = format!("/alloc/{alloc_id}/");
            for data_dir in binds.filter_map(|bind| bind.split_once(&inside)).map(|(before, _)| before.to_owned()) {
                self.add("data_dir", &data_dir, |n| format!("/~data_dir.{n}~"));
            }
        }
        self.add("instance", instance, |n| format!("~instance.{n}~"));
        self.add("task_id", task_id, |n| format!("~task_id.{n}~"));
        if alloc_id.is_empty() {
            self.add("container_name", name, |n| format!("~container_name.{n}~"));
        }
    }

    /// Learns from the filters of a list, in either of their forms: `{"label":["a=b"]}`, `{"label":{"a=b":true}}`.
    pub(in crate::replay) fn learn_filters(&mut self, filters: &Value) {
        let listed = filters["label"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let keyed = filters["label"].as_object().into_iter().flatten().map(|(label, _)| label.as_str());
        for instance in listed.chain(keyed).filter_map(|label| label.strip_prefix("longshore.instance=")) {
            self.add("instance", instance, |n| format!("~instance.{n}~"));
        }
    }

    /// A new one of a kind. Gives its number, if it is new.
    fn add(&mut self, kind: &'static str, value: &str, word: impl Fn(usize) -> String) -> Option<usize> {
        if value.len() < SHORTEST || self.known.len() >= MOST || self.has(value) {
            return None;
        }
        let number = self.count.entry(kind.into()).or_default();
        *number += 1;
        let number = *number;
        self.put(format!("{kind}.{number}"), value, word(number));
        Some(number)
    }

    fn put(&mut self, name: String, value: &str, word: String) {
        for (before, after) in contexts(&name) {
            self.known.push(Var {
                name: name.clone(),
                value: format!("{before}{value}{after}"),
                word: format!("{before}{word}{after}"),
                plain: (value.into(), word.clone()),
            });
        }
        self.known.sort_by_key(|var| std::cmp::Reverse(var.value.len()));
    }

    /// Names and words, as a recording lists them.
    pub(in crate::replay) fn words(&self) -> BTreeMap<String, String> {
        self.known.iter().map(|var| (var.name.clone(), var.plain.1.clone())).collect()
    }

    /// Puts the words in the place of what they stand for. `only_same_length`: of bytes whose count is told elsewhere.
    pub(in crate::replay) fn hide(&self, bytes: &[u8], only_same_length: bool) -> Option<Replaced> {
        let pairs = self.known.iter().filter(|var| !only_same_length || is_as_long(&var.word));
        replace(bytes, &pairs.map(|var| (var.value.as_str(), var.word.as_str())).collect::<Vec<_>>())
    }
}

/// `a110c001-0000-4000-8000-000000000000`, as long as what it stands for.
fn uuid(number: usize, len: usize) -> String {
    let full = format!("a110c{number:03x}-0000-4000-8000-000000000000");
    full.chars().chain(std::iter::repeat('0')).take(len).collect()
}

/// Bytes in which parts were replaced.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::replay) struct Replaced {
    pub(in crate::replay) bytes: Vec<u8>,
    /// Where parts began and ended before, and where they end now.
    edits: Vec<(usize, usize, usize)>,
}

impl Replaced {
    /// Where a cut at `at` comes to lie. One within a part comes after it.
    pub(in crate::replay) fn moved(&self, at: u64) -> u64 {
        let mut moved = at;
        for &(begin, end, now) in &self.edits {
            if at <= begin as u64 {
                break;
            }
            moved = if at < end as u64 { now as u64 } else { at - end as u64 + now as u64 };
        }
        moved
    }
}

/// Replaces each `from` by its `to`, from left to right, the first of the list first. A part that goes on as a word does
/// is left alone. `None`: there was nothing to replace.
pub(in crate::replay) fn replace(bytes: &[u8], pairs: &[(&str, &str)]) -> Option<Replaced> {
    let mut hits: Vec<(usize, usize, &str)> = Vec::new();
    for (from, to) in pairs.iter().filter(|(from, _)| !from.is_empty()) {
        for at in memchr::memmem::find_iter(bytes, from.as_bytes()) {
            let end = at + from.len();
            let goes_on = |side: Option<&u8>, edge: u8| {
                edge.is_ascii_alphanumeric() && side.is_some_and(u8::is_ascii_alphanumeric)
            };
            let first = from.as_bytes()[0];
            let last = from.as_bytes()[from.len() - 1];
            let before = at.checked_sub(1).and_then(|before| bytes.get(before));
            let taken = hits.iter().any(|(begin, end_of, _)| at < *end_of && *begin < end);
            if !taken && !goes_on(before, first) && !goes_on(bytes.get(end), last) {
                hits.push((at, end, to));
            }
        }
    }
    if hits.is_empty() {
        return None;
    }
    hits.sort_unstable();
    let mut replaced = Replaced { bytes: Vec::with_capacity(bytes.len()), edits: Vec::with_capacity(hits.len()) };
    let mut done = 0;
    for (begin, end, to) in hits {
        replaced.bytes.extend_from_slice(&bytes[done..begin]);
        replaced.bytes.extend_from_slice(to.as_bytes());
        replaced.edits.push((begin, end, replaced.bytes.len()));
        done = end;
    }
    replaced.bytes.extend_from_slice(&bytes[done..]);
    Some(replaced)
}

/// What the words of a recording stand for in the run at hand. Bound one by one, as requests are compared.
#[derive(Debug, Clone, Default)]
pub(in crate::replay) struct Bindings {
    /// Word and value. Longest words first.
    bound: Vec<(String, Option<String>)>,
}

impl Bindings {
    /// Of the words that a recording lists.
    pub(in crate::replay) fn of(words: &BTreeMap<String, String>) -> Self {
        let mut bound: Vec<_> = words.values().map(|word| (word.clone(), None)).collect();
        bound.sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
        bound.dedup();
        Self { bound }
    }

    pub(in crate::replay) fn is_empty(&self) -> bool {
        self.bound.is_empty()
    }

    /// Whether a recorded text has words in it.
    pub(in crate::replay) fn occur_in(&self, recorded: &str) -> bool {
        self.bound.iter().any(|(word, _)| recorded.contains(word.as_str()))
    }

    /// Whether `asked` is what was recorded, if words stand for the right things. Binds those that are not bound yet,
    /// unless it fails.
    pub(in crate::replay) fn agree(&mut self, recorded: &str, asked: &str) -> bool {
        let mut bound = self.bound.clone();
        let agreed = unify(&mut bound, recorded, asked);
        if agreed {
            self.bound = bound;
        }
        agreed
    }

    /// Binds what the texts of two JSON bodies agree in, one by one, where they are not alike as a whole: answers are to speak of
    /// the labels and paths of this run, also where something else was asked otherwise than it was recorded.
    pub(in crate::replay) fn agree_in_parts(&mut self, recorded: &Value, asked: &Value) {
        match (recorded, asked) {
            (Value::String(recorded), Value::String(asked)) => {
                self.agree(recorded, asked);
            }
            (Value::Array(recorded), Value::Array(asked)) => {
                recorded.iter().zip(asked).for_each(|(recorded, asked)| self.agree_in_parts(recorded, asked));
            }
            (Value::Object(recorded), Value::Object(asked)) => {
                for (name, recorded) in recorded {
                    self.agree_in_parts(recorded, asked.get(name).unwrap_or(&Value::Null));
                }
            }
            _ => {}
        }
    }

    /// Puts what words stand for in their place. A word that is not bound stays.
    pub(in crate::replay) fn fill(&self, bytes: &[u8], only_same_length: bool) -> Option<Replaced> {
        let pairs = self.bound.iter().filter_map(|(word, value)| Some((word.as_str(), value.as_deref()?)));
        let pairs = pairs.filter(|(word, _)| !only_same_length || is_as_long(word));
        replace(bytes, &pairs.collect::<Vec<_>>())
    }
}

fn unify(bound: &mut [(String, Option<String>)], recorded: &str, asked: &str) -> bool {
    let (mut recorded, mut asked) = (recorded, asked);
    loop {
        // The first word in what is left; of two at one place the longer.
        let next = bound.iter().enumerate().filter_map(|(n, (word, _))| recorded.find(word.as_str()).map(|at| (at, n)));
        let Some((at, n)) = next.min() else { return recorded == asked };
        let Some(rest) = asked.strip_prefix(&recorded[..at]) else { return false };
        recorded = &recorded[at + bound[n].0.len()..];
        let value = match &bound[n].1 {
            Some(value) => match rest.strip_prefix(value.as_str()) {
                Some(_) => value.len(),
                None => return false,
            },
            None => {
                let word = &bound[n].0;
                let next = bound.iter().filter_map(|(word, _)| recorded.find(word.as_str())).min();
                let literal = &recorded[..next.unwrap_or(recorded.len())];
                let len = value_len(word, rest, literal);
                if len == 0 {
                    return false;
                }
                let value = rest[..len].to_owned();
                // Two words never stand for one thing.
                if bound.iter().any(|(_, other)| other.as_ref() == Some(&value)) {
                    return false;
                }
                bound[n].1 = Some(value);
                len
            }
        };
        asked = &rest[value..];
    }
}

/// Whether a word is as long as what it stands for.
fn is_as_long(word: &str) -> bool {
    !word.contains('~')
}

/// How far a value may go: one that is as long as its word, or up to the first thing that no id or path has, or that
/// the recording has next.
fn value_len(word: &str, rest: &str, literal: &str) -> usize {
    if is_as_long(word) {
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        return if rest.get(..word.len()).is_some_and(plain) { word.len() } else { 0 };
    }
    let stop = rest.find(|c: char| c.is_control() || matches!(c, '"' | '\\' | ' ' | '&' | '?')).unwrap_or(rest.len());
    // Up to what follows in the recording: `/alloc/` after a data directory.
    let literal = &literal[..literal.find('"').unwrap_or(literal.len())];
    match rest[..stop].find(literal) {
        Some(at) if !literal.is_empty() => at,
        _ => stop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ALLOC: &str = "18ad5752-c778-8295-a5c9-338ae9b2a899";

    fn create(alloc: &str, data: &str, instance: &str) -> Value {
        json!({
            "Env": [format!("NOMAD_ALLOC_ID={alloc}"), format!("NOMAD_SHORT_ALLOC_ID={}", &alloc[..8])],
            "HostConfig": {"Binds": [format!("{data}/alloc/{alloc}/alloc:/alloc"), format!("{data}/alloc/{alloc}/t/local:/local")]},
            "Labels": {"longshore.instance": instance, "longshore.task_id": format!("{alloc}/t/6536db07")},
        })
    }

    fn learned() -> Vars {
        let mut vars = Vars::default();
        vars.learn(&format!("t-{ALLOC}"), &create(ALLOC, "/home/me/data", "f00d-1"));
        vars
    }

    #[test]
    fn what_is_hidden() {
        let vars = learned();
        for (text, json, output) in [
            (ALLOC, "a110c001-0000-4000-8000-000000000000", "a110c001-0000-4000-8000-000000000000"),
            (
                "/containers/t-18ad5752-c778-8295-a5c9-338ae9b2a899/json",
                "/containers/t-a110c001-0000-4000-8000-000000000000/json",
                "/containers/t-a110c001-0000-4000-8000-000000000000/json",
            ),
            ("18ad5752", "a110c001", "a110c001"),
            (
                "/home/me/data/alloc/18ad5752-c778-8295-a5c9-338ae9b2a899/t",
                "/~data_dir.1~/alloc/a110c001-0000-4000-8000-000000000000/t",
                "/home/me/data/alloc/a110c001-0000-4000-8000-000000000000/t",
            ),
            ("/home/me/database", "/home/me/database", "/home/me/database"),
            (
                r#"{"longshore.instance":"f00d-1"}"#,
                r#"{"longshore.instance":"~instance.1~"}"#,
                r#"{"longshore.instance":"f00d-1"}"#,
            ),
            ("longshore.instance=f00d-1", "longshore.instance=~instance.1~", "longshore.instance=f00d-1"),
            ("an image of that name: f00d-1", "an image of that name: f00d-1", "an image of that name: f00d-1"),
            ("vol:/home/me/data", "vol:/home/me/data", "vol:/home/me/data"),
            ("af00d-1 f00d-12", "af00d-1 f00d-12", "af00d-1 f00d-12"),
            (
                "18ad5752-c778-8295-a5c9-338ae9b2a899/t/6536db07",
                "~task_id.1~",
                "a110c001-0000-4000-8000-000000000000/t/6536db07",
            ),
        ] {
            let hidden =
                |same| vars.hide(text.as_bytes(), same).map_or(text.into(), |r| String::from_utf8(r.bytes).unwrap());
            assert_eq!((hidden(false), hidden(true)), (json.to_owned(), output.to_owned()), "{text}");
        }
        let mut strangers = Vars::default();
        strangers.learn("web", &json!({"Env": ["NOMAD_ALLOC_ID=18ad5752"], "Labels": {"a": "b"}}));
        assert!(strangers.is_empty(), "not ours");
    }

    #[test]
    fn lists_tell_the_drivers_name() {
        for (filters, word) in [
            (json!({"label": ["longshore.instance=f00d-1", "a=b"]}), Some("~instance.1~")),
            (json!({"label": {"longshore.instance=f00d-1": true}}), Some("~instance.1~")),
            (json!({"label": ["longshore.instance"], "name": ["longshore.instance=f00d-1"]}), None),
            (json!({"label": "longshore.instance=f00d-1"}), None),
            (json!([]), None),
        ] {
            let mut vars = Vars::default();
            vars.learn_filters(&filters);
            assert_eq!(vars.words().get("instance.1").map(String::as_str), word, "{filters}");
        }
    }

    #[test]
    fn cuts_move_with_the_bytes() {
        let replaced = replace(b"..abcd..ef..", &[("abcd", "X"), ("ef", "YYYY")]).unwrap();
        assert_eq!(replaced.bytes, b"..X..YYYY..");
        let moved: Vec<u64> = (0..=12).map(|at| replaced.moved(at)).collect();
        assert_eq!(moved, [0, 1, 2, 3, 3, 3, 3, 4, 5, 9, 9, 10, 11]);
    }

    #[test]
    fn another_run_is_the_same_to_a_player() {
        let vars = learned();
        let recorded = create(ALLOC, "/home/me/data", "f00d-1").to_string();
        let recorded = String::from_utf8(vars.hide(recorded.as_bytes(), false).unwrap().bytes).unwrap();
        let mut bindings = Bindings::of(&vars.words());
        let other = "0a0b0c0d-1111-2222-3333-444455556666";
        // A list by the driver's name comes first.
        assert!(bindings.agree(
            "{\"label\":{\"longshore.instance=~instance.1~\":true}}",
            "{\"label\":{\"longshore.instance=me\":true}}"
        ));
        assert!(!bindings.agree(&recorded, &create(other, "/d", "you").to_string()), "the name is bound by now");
        assert!(bindings.agree(&recorded, &create(other, "/d", "me").to_string()));
        assert!(!bindings.agree(&recorded, &create(ALLOC, "/d", "me").to_string()), "all is bound");
        let filled = |text: &str, same| String::from_utf8(bindings.fill(text.as_bytes(), same).unwrap().bytes).unwrap();
        assert_eq!(
            filled("/~data_dir.1~/alloc/a110c001-0000-4000-8000-000000000000", false),
            format!("/d/alloc/{other}")
        );
        assert_eq!(
            filled("in a110c001-0000-4000-8000-000000000000 /~data_dir.1~", true),
            format!("in {other} /~data_dir.1~")
        );
        assert!(!Bindings::of(&vars.words()).agree("x~instance.1~", "y"));
        // Of bodies that differ what is alike is bound all the same.
        let mut asked = create(other, "/d", "me");
        asked["Env"][1] = json!("ANOTHER=1");
        let mut bindings = Bindings::of(&vars.words());
        assert!(!bindings.agree(&recorded, &asked.to_string()));
        bindings.agree_in_parts(&serde_json::from_str(&recorded).unwrap(), &asked);
        let answered = bindings.fill(br#"{"longshore.instance":"~instance.1~","x":"~task_id.1~"}"#, false).unwrap();
        let want = format!(r#"{{"longshore.instance":"me","x":"{other}/t/6536db07"}}"#);
        assert_eq!(String::from_utf8(answered.bytes).unwrap(), want);
        assert!(!Bindings::default().agree("x", "y") && Bindings::default().agree("x", "x"));
    }
}

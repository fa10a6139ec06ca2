//! The tree into the model: one file per part of a job. What is wrong is collected, not thrown: a person gets every problem of a file at once.
//! A part reads what its list in [`super::names`] calls read; this file deals with all that is the same everywhere.

mod config;
mod group;
mod job;
mod logs;
mod restart;
mod task;

pub(crate) use task::reserved;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::hints;
use super::model::Job;
use super::names::{FILE, Fate, Level, Shape};
use super::position::Source;
use super::problem::{Problem, shown};
use super::tree::{Body, Content, Entry, Fault, Key, Kind, Read, Value};
use crate::values::duration;

/// More problems than anybody reads; what is beyond is only counted.
const MOST: usize = 1000;

/// Reads the one job of a file.
pub(super) fn file(source: &Arc<Source>, body: &Body) -> Result<Job, Vec<Problem>> {
    let mut reading = Reading { source: source.clone(), faults: vec![], notices: vec![], places: BTreeMap::new() };
    let mut job = None;
    for found in reading.walk(&FILE, body) {
        if job.is_some() {
            reading.fault(found.at, "a second job: a file holds one");
        } else if let Some((label, body)) = found.labelled() {
            job = Some(reading.job(label, body, found.at));
        }
    }
    if job.is_none() && reading.faults.is_empty() {
        reading.fault(0, "there is no job in this file: `job \"name\" { … }` is expected");
    }
    reading.finish(job)
}

/// A file being read: what has been found wrong, and what has been found worth saying.
struct Reading {
    source: Arc<Source>,
    faults: Vec<Fault>,
    notices: Vec<(usize, String)>,
    /// What has no effect here, by name and reason: where first, and in how many places.
    places: BTreeMap<(&'static str, &'static str), (usize, usize)>,
}

/// Something of a part's list, where it stands in the file. Its shape has been checked.
struct Found<'t> {
    name: &'static str,
    at: usize,
    content: &'t Content,
}

impl<'t> Found<'t> {
    fn attribute(&self) -> Option<&'t Value> {
        match self.content {
            Content::Attribute(value) => Some(value),
            Content::Block { .. } => None,
        }
    }

    fn block(&self) -> Option<&'t Body> {
        match self.content {
            Content::Block { body, .. } => Some(body),
            Content::Attribute(_) => None,
        }
    }

    fn labelled(&self) -> Option<(&'t Key, &'t Body)> {
        match self.content {
            Content::Block { labels, body } => labels.first().map(|label| (label, body)),
            Content::Attribute(_) => None,
        }
    }
}

impl Reading {
    /// What of a part is to be read, in the order of the file. All the rest has been dealt with.
    fn walk<'t>(&mut self, level: &'static Level, body: &'t Body) -> Vec<Found<'t>> {
        let mut found: Vec<Found<'t>> = Vec::new();
        let mut once = BTreeSet::new();
        for entry in &body.entries {
            let Some(known) = level.find(&entry.key) else {
                self.fault(entry.at, level.unknown(&entry.key));
                continue;
            };
            match known.fate {
                Fate::Accepted => {}
                Fate::Noticed(why) => self.without_effect(known.name, why, entry),
                Fate::NotYet => self.faults.push(Fault::not_yet(entry.at, format!("`{}` is", known.name))),
                Fate::Read => {
                    if known.shape == Shape::Block && !once.insert(known.name) {
                        self.fault(entry.at, format!("a second `{}` in `{}`: one is enough", known.name, level.name));
                    } else if self.fits(known.shape, entry) {
                        found.push(Found { name: known.name, at: entry.at, content: &entry.content });
                    }
                }
            }
        }
        found
    }

    /// Whether an entry has the shape that its name needs; an attribute that is null is as if it were not there.
    fn fits(&mut self, shape: Shape, entry: &Entry) -> bool {
        let key = &entry.key;
        let wrong = match (shape, &entry.content) {
            (_, Content::Attribute(value)) if value.is_null() => return false,
            (Shape::Attribute | Shape::Map, Content::Attribute(_)) => return true,
            (Shape::Attribute, Content::Block { .. }) => format!("`{key}` is no block: write `{key} = …`"),
            (Shape::Block | Shape::Labelled, Content::Attribute(Value { kind: Kind::Failed(faults), .. })) => {
                self.faults.extend(faults.iter().cloned());
                return false;
            }
            (Shape::Block, Content::Attribute(_)) => format!("`{key}` is a block: write `{key} {{ … }}`"),
            (Shape::Labelled, Content::Attribute(_)) => {
                format!("`{key}` is a block with a name: write `{key} \"name\" {{ … }}`")
            }
            (Shape::Block | Shape::Map, Content::Block { labels, .. }) => match labels.first() {
                None => return true,
                Some(label) => {
                    self.fault(label.at, format!("`{key}` takes no name, but here is {}", shown(&label.text)));
                    return false;
                }
            },
            (Shape::Labelled, Content::Block { labels, .. }) => match labels.as_slice() {
                [_] => return true,
                [] => format!("a `{key}` needs a name: write `{key} \"name\" {{ … }}`"),
                // `job "[[ var "name" . ]]"` reads as three names.
                [first, ..] if first.text.contains("[[") => {
                    self.faults.push(hints::template(first.at, "[["));
                    return false;
                }
                [_, second, ..] => {
                    self.fault(second.at, format!("a `{key}` has one name, but here is {} too", shown(&second.text)));
                    return false;
                }
            },
        };
        self.fault(entry.at, wrong);
        false
    }

    /// Takes note of something that has no effect here. Of a service its checks and its sidecars too, for people look for those by name.
    fn without_effect(&mut self, name: &'static str, why: &'static str, entry: &Entry) {
        self.places.entry((name, why)).or_insert((entry.at, 0)).1 += 1;
        let Content::Block { body, .. } = &entry.content else { return };
        for inner in body.entries.iter().filter(|_| name == "service") {
            let name = match inner.key.as_str() {
                "check" | "Check" | "Checks" => "check",
                "connect" | "Connect" => "connect",
                _ => continue,
            };
            let empty = |value: &Value| value.is_null() || matches!(&value.kind, Kind::List(items) if items.is_empty());
            if !matches!(&inner.content, Content::Attribute(value) if empty(value)) {
                self.places.entry((name, why)).or_insert((inner.at, 0)).1 += 1;
            }
        }
    }

    fn fault(&mut self, at: usize, message: impl Into<String>) {
        self.faults.push(Fault::new(at, message));
    }

    fn not_yet(&mut self, at: usize, what: &str) {
        self.faults.push(Fault::not_yet(at, what));
    }

    /// Forgets what longshore cannot do yet, among the faults from `start` on: what they stand in is not run here.
    fn forgive(&mut self, start: usize) {
        let mut index = 0;
        self.faults.retain(|fault| {
            index += 1;
            index <= start || !fault.not_yet
        });
    }

    /// What was read of an attribute; its faults, with the attribute's name, if it could not be.
    fn take<T>(&mut self, name: &str, read: Read<T>) -> Option<T> {
        read.map_err(|faults| {
            for mut fault in faults {
                if !fault.not_yet {
                    fault.message = format!("`{name}`: {}", fault.message);
                }
                self.faults.push(fault);
            }
        })
        .ok()
    }

    fn text(&mut self, name: &str, value: &Value) -> Option<String> {
        self.take(name, value.text())
    }

    /// A number that counts something.
    fn natural(&mut self, name: &str, value: &Value) -> Option<u32> {
        let number = self.take(name, value.integer())?;
        let natural = u32::try_from(number).ok();
        if natural.is_none() {
            let what = if number < 0 { "must not be below zero" } else { "is too large a number" };
            self.fault(value.at, format!("`{name}` {what}"));
        }
        natural
    }

    fn duration(&mut self, name: &str, value: &Value) -> Option<Duration> {
        let read = self.take(name, value.duration())?;
        // Nomad reads a bare number in nanoseconds; who writes `5` means seconds.
        if matches!(value.kind, Kind::Number { .. }) && read > Duration::ZERO && read < Duration::from_millis(1) {
            let read = duration::format(read);
            self.notices.push((value.at, format!("`{name}` is {read}: a number without a unit is in nanoseconds")));
        }
        Some(read)
    }

    /// A block or an attribute with keys of the user's own.
    fn text_map(&mut self, found: &Found<'_>, into: &mut BTreeMap<String, String>) {
        match found.content {
            Content::Attribute(value) => into.extend(self.take(found.name, value.text_map()).unwrap_or_default()),
            Content::Block { body, .. } => {
                for entry in &body.entries {
                    match &entry.content {
                        Content::Attribute(value) if value.is_null() => {}
                        Content::Attribute(value) => {
                            if let Some(text) = self.text(&entry.key, value) {
                                into.insert(entry.key.clone(), text);
                            }
                        }
                        Content::Block { .. } if entry.key == "dynamic" => self.not_yet(entry.at, "`dynamic` is"),
                        Content::Block { .. } => {
                            self.fault(entry.at, format!("no block can stand in `{}`: write `… = …`", found.name));
                        }
                    }
                }
            }
        }
    }

    fn finish(self, job: Option<Job>) -> Result<Job, Vec<Problem>> {
        let Self { source, mut faults, mut notices, places } = self;
        match job {
            Some(mut job) if faults.is_empty() => {
                for ((name, why), (at, count)) in places {
                    let more = if count > 1 { format!(" ({count} places)") } else { String::new() };
                    notices.push((at, format!("`{name}` {why}{more}")));
                }
                notices.sort_by_key(|(at, _)| *at);
                job.notices = notices.into_iter().map(|(at, message)| source.problem(at, message)).collect();
                Ok(job)
            }
            _ => {
                faults.sort_by_key(|fault| fault.at);
                let more = faults.len().saturating_sub(MOST);
                let last = faults.get(MOST).map(|f| source.problem(f.at, format!("… and {more} more problems")));
                let shown = faults.into_iter().take(MOST).map(|f| source.problem(f.at, f.message));
                Err(shown.chain(last).collect())
            }
        }
    }
}

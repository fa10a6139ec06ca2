//! JSON values into blocks and attributes, so that what follows is one path for HCL and JSON. Three shapes are taken: Nomad's API object, bare
//! or in `{"Job": …}` (`nomad job run -output`, `nomad job inspect`), and HCL's own JSON, `{"job": {"name": {…}}}`.
//! In the API's shape names are read in any case and unknown ones skipped, for a server adds many; a null is no entry.

use super::hcl;
use super::names::{FILE, GROUP, JOB, Known, LOGS, Level, RESOURCES, RESTART, Shape, TASK};
use super::tree::{Body, Content, Entry, Fault, Key, Kind, Value};

/// The file's body, with its job block in it.
pub(super) fn file(value: Value) -> Result<Body, Fault> {
    let at = value.at;
    let Kind::Map(members) = value.kind else {
        return Err(Fault::new(at, "a job is expected here: an object"));
    };
    if is_api(&members) {
        return Ok(Body { entries: vec![api_job(at, members)] });
    }
    let Some(index) = members.iter().position(|(key, _)| key.text.eq_ignore_ascii_case("job")) else {
        return Err(Fault::new(at, "no job is in this object: `Job`, or `ID` and `TaskGroups`, are expected"));
    };
    if !matches!(&members[index].1.kind, Kind::Map(job) if is_api(job)) {
        return Ok(hcl_shaped(&FILE, members.into_iter().map(|(key, value)| (key, templates(value))).collect()));
    }
    let mut members = members;
    let (key, value) = members.remove(index);
    let Kind::Map(job) = value.kind else { return Err(Fault::new(value.at, "a job is expected here: an object")) };
    Ok(Body { entries: vec![api_job(key.at, job)] })
}

/// Whether an object is a job of the API, rather than a map from job names to jobs or a file around one.
fn is_api(members: &[(Key, Value)]) -> bool {
    members.iter().any(|(key, value)| {
        let is = |name: &str| key.text.eq_ignore_ascii_case(name);
        is("TaskGroups") || ((is("ID") || is("Name") || is("Type")) && matches!(value.kind, Kind::Text(_)))
    })
}

fn api_job(at: usize, mut members: Vec<(Key, Value)>) -> Entry {
    // The label is the id; a job that has none but a name goes by that.
    let index =
        |name: &str| members.iter().position(|(key, value)| key.text.eq_ignore_ascii_case(name) && !value.is_null());
    let label = match (index("ID"), index("Name")) {
        (Some(id), _) => label(members.remove(id).1),
        (None, Some(name)) => label(members[name].1.clone()),
        (None, None) => Key { text: String::new(), at },
    };
    Entry { key: "job".into(), at, content: Content::Block { labels: vec![label], body: api(&JOB, members) } }
}

fn api(level: &'static Level, members: Vec<(Key, Value)>) -> Body {
    let mut body = Body::default();
    for (key, value) in members {
        let Some(known) = level.find_api(&key.text).filter(|_| !value.is_null()) else { continue };
        match known.shape {
            // No object where one is needed: left as it is, to be reported by whoever reads it.
            Shape::Block | Shape::Labelled if !is_objects(&value) => {
                body.push(known, key.at, Content::Attribute(value));
            }
            Shape::Attribute | Shape::Map => body.push(known, key.at, Content::Attribute(value)),
            Shape::Block => {
                for (at, members) in objects(key.at, value) {
                    body.push(known, at, block(vec![], inner(known, members, api)));
                }
            }
            Shape::Labelled => api_labelled(known, key.at, value, &mut body),
        }
    }
    body
}

/// A list of objects with a `Name` each, or (volumes) a map by name.
fn api_labelled(known: &'static Known, at: usize, value: Value, body: &mut Body) {
    if let Kind::Map(members) = value.kind {
        for (key, value) in members {
            if !is_objects(&value) {
                body.push(known, key.at, Content::Attribute(value));
                continue;
            }
            for (at, members) in objects(key.at, value) {
                let label = Key { text: key.text.clone(), at: key.at };
                body.push(known, at, block(vec![label], inner(known, members, api)));
            }
        }
        return;
    }
    for (at, mut members) in objects(at, value) {
        let name = members.iter().position(|(key, _)| key.text.eq_ignore_ascii_case("Name"));
        let label = name.map_or(Key { text: String::new(), at }, |index| label(members.remove(index).1));
        body.push(known, at, block(vec![label], inner(known, members, api)));
    }
}

/// HCL's own JSON: the names are HCL's, a label is one more object around the body. An unknown name stays, to be reported.
fn hcl_shaped(level: &'static Level, members: Vec<(Key, Value)>) -> Body {
    let mut body = Body::default();
    for (key, value) in members {
        let Key { text, at } = key;
        let Some(known) = level.find(&text) else {
            body.entries.push(Entry { key: text, at, content: Content::Attribute(value) });
            continue;
        };
        match known.shape {
            Shape::Block | Shape::Labelled if !is_objects(&value) => body.push(known, at, Content::Attribute(value)),
            Shape::Attribute | Shape::Map => body.push(known, at, Content::Attribute(value)),
            Shape::Block => {
                for (_, members) in objects(at, value) {
                    body.push(known, at, block(vec![], inner(known, members, hcl_shaped)));
                }
            }
            Shape::Labelled => {
                for (label, value) in objects(at, value).into_iter().flat_map(|(_, labels)| labels) {
                    if !is_objects(&value) {
                        body.push(known, label.at, Content::Attribute(value));
                        continue;
                    }
                    for (_, members) in objects(label.at, value) {
                        let own = Key { text: label.text.clone(), at: label.at };
                        body.push(known, label.at, block(vec![own], inner(known, members, hcl_shaped)));
                    }
                }
            }
        }
    }
    body
}

/// In HCL's JSON every string is a template.
fn templates(value: Value) -> Value {
    let at = value.at;
    let kind = match value.kind {
        Kind::Text(text) => return hcl::template(&text, at),
        Kind::List(items) => Kind::List(items.into_iter().map(templates).collect()),
        Kind::Map(members) => Kind::Map(members.into_iter().map(|(key, value)| (key, templates(value))).collect()),
        other => other,
    };
    Value { at, kind }
}

type Convert = fn(&'static Level, Vec<(Key, Value)>) -> Body;

/// The body of a block: of one with a list of its own by that list, of any other as it is, for nobody reads it by name.
fn inner(known: &Known, members: Vec<(Key, Value)>, convert: Convert) -> Body {
    match known.name {
        "job" => convert(&JOB, members),
        "group" => convert(&GROUP, members),
        "task" => convert(&TASK, members),
        "resources" => convert(&RESOURCES, members),
        "restart" => convert(&RESTART, members),
        "logs" => convert(&LOGS, members),
        _ => {
            let entry =
                |(key, value): (Key, Value)| Entry { key: key.text, at: key.at, content: Content::Attribute(value) };
            Body { entries: members.into_iter().map(entry).collect() }
        }
    }
}

/// A name as a label. One that is no text is as good as none.
fn label(value: Value) -> Key {
    Key { text: value.text().unwrap_or_default(), at: value.at }
}

fn block(labels: Vec<Key>, body: Body) -> Content {
    Content::Block { labels, body }
}

/// Whether a value is an object, or a list of nothing else.
fn is_objects(value: &Value) -> bool {
    let object = |value: &Value| matches!(value.kind, Kind::Map(_) | Kind::Null);
    object(value) || matches!(&value.kind, Kind::List(items) if items.iter().all(object))
}

/// The objects of a value that [`is_objects`]: itself, or those of its list.
fn objects(at: usize, value: Value) -> Vec<(usize, Vec<(Key, Value)>)> {
    match value.kind {
        Kind::Map(members) => vec![(at, members)],
        Kind::List(items) => items.into_iter().flat_map(|item| objects(item.at, item)).collect(),
        _ => vec![],
    }
}

impl Body {
    fn push(&mut self, known: &Known, at: usize, content: Content) {
        self.entries.push(Entry { key: known.name.into(), at, content });
    }
}

//! The driver's options as JSON, and where each of them stands. Which options there are is the driver's to know: here everything is taken.
//! A block that stands there once is an object, one that is repeated an array of objects.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use super::super::position::Place;
use super::super::problem::shown;
use super::super::tree::{Body, Content, Kind, Value};
use super::{Found, Reading};

impl Reading {
    pub(super) fn config(&mut self, found: &Found<'_>) -> (Json, Place) {
        match found.content {
            Content::Block { body, .. } => self.options(body, found.at),
            Content::Attribute(value) => {
                let (json, mut place) = self.option("config", value, found.at);
                match json {
                    Json::Object(_) => (json, place),
                    // HCL's JSON may have any block in a list.
                    Json::Array(mut items) if items.len() == 1 && items[0].is_object() => {
                        (items.remove(0), place.items.remove(0))
                    }
                    _ => {
                        // A failed value is reported already.
                        if !matches!(value.kind, Kind::Failed(_)) {
                            let _: Option<()> = self.take("config", value.no("a map of options"));
                        }
                        (Json::Object(Map::new()), place)
                    }
                }
            }
        }
    }

    fn options(&mut self, body: &Body, at: usize) -> (Json, Place) {
        let mut map = Map::new();
        let mut place = Place { at, ..Place::default() };
        let mut attributes = BTreeSet::new();
        for entry in &body.entries {
            let key = &entry.key;
            let is_block = matches!(entry.content, Content::Block { .. });
            let (json, inside) = match &entry.content {
                Content::Attribute(value) => self.option(key, value, entry.at),
                Content::Block { .. } if key == "dynamic" => {
                    self.not_yet(entry.at, "`dynamic` is");
                    continue;
                }
                Content::Block { labels, body } => {
                    if let Some(label) = labels.first() {
                        let name = shown(&label.text);
                        self.fault(label.at, format!("a block of `config` takes no name, but here is {name}"));
                    }
                    self.options(body, entry.at)
                }
            };
            match (map.get_mut(key), place.keys.get_mut(key)) {
                (Some(earlier), Some(earlier_place)) => {
                    if !is_block || attributes.contains(key) {
                        self.fault(entry.at, format!("`{key}` stands here both as a block and as an attribute"));
                        continue;
                    }
                    if !earlier.is_array() {
                        let first = std::mem::take(earlier);
                        *earlier = Json::Array(vec![first]);
                        let first = std::mem::take(earlier_place);
                        *earlier_place = Place { at: first.at, items: vec![first], ..Place::default() };
                    }
                    if let Json::Array(items) = earlier {
                        items.push(json);
                        earlier_place.items.push(inside);
                    }
                }
                _ => {
                    if !is_block {
                        attributes.insert(key);
                    }
                    map.insert(key.clone(), json);
                    place.keys.insert(key.clone(), inside);
                }
            }
        }
        (Json::Object(map), place)
    }

    /// The value of an option that is called `name`, of one within it too.
    fn option(&mut self, name: &str, value: &Value, at: usize) -> (Json, Place) {
        let mut place = Place { at, ..Place::default() };
        let json = match &value.kind {
            Kind::Null => Json::Null,
            Kind::Bool(b) => Json::Bool(*b),
            Kind::Text(text) => Json::String(text.clone()),
            // A file mode is octal to everybody who writes a zero before it (driver-spec 3).
            Kind::Number { octal: Some(mode), .. } if name == "mode" => Json::from(*mode),
            Kind::Number { value, .. } => Json::Number(value.clone()),
            Kind::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    let (json, inside) = self.option(name, item, item.at);
                    list.push(json);
                    place.items.push(inside);
                }
                Json::Array(list)
            }
            Kind::Map(entries) => {
                let mut map = Map::new();
                for (key, value) in entries {
                    let (json, inside) = self.option(&key.text, value, key.at);
                    map.insert(key.text.clone(), json);
                    place.keys.insert(key.text.clone(), inside);
                }
                Json::Object(map)
            }
            Kind::Failed(faults) => {
                self.faults.extend(faults.iter().cloned());
                Json::Null
            }
        };
        (json, place)
    }
}

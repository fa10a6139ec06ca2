//! Lists with odd entries: what of an entry can be read is kept, what cannot is left out, and the others are as they were.
//! Pure. No Engine is known to send such; it must not cost the whole list if one does.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::bounds::Bound;

/// The entries of a list, each without what of it cannot be read. `None`: the text is no list.
///
/// An entry keeps all but its odd values, however deep they are: of `{"Labels":{"a":1,"b":"c"}}` the label `b`. One that is no
/// object at all is left out.
pub(super) fn entries<T: DeserializeOwned>(json: &[u8]) -> Option<Vec<T>> {
    let list: Vec<&RawValue> = serde_json::from_slice(json).ok()?;
    Some(list.into_iter().filter_map(entry).collect())
}

/// One entry. Its values are made one entry at a time: of a whole list they would be a hundred times as large as its text.
fn entry<T: DeserializeOwned>(text: &RawValue) -> Option<T> {
    Bound::ENTRY.check(text.get().as_bytes()).ok()?;
    let value = serde_json::from_str(text.get()).ok().filter(Value::is_object)?;
    serde_json::from_value(mended(value, &|value| serde_json::from_value::<T>(value).is_ok())?).ok()
}

/// A value without the parts at which `reads` fails. `None`: nothing of it is left.
fn mended(value: Value, reads: &dyn Fn(Value) -> bool) -> Option<Value> {
    if reads(value.clone()) {
        return Some(value);
    }
    let whole = match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().filter_map(|(name, value)| {
                let with = |value| Map::from_iter([(name.clone(), value)]).into();
                let value = mended(value, &|value| reads(with(value)))?;
                Some((name, value))
            });
            Value::Object(fields.collect())
        }
        Value::Array(elements) => {
            let elements = elements.into_iter().filter_map(|value| mended(value, &|value| reads(vec![value].into())));
            Value::Array(elements.collect())
        }
        _ => return None,
    };
    reads(whole.clone()).then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::types::ContainerSummary;

    fn read(json: &str) -> Option<Vec<ContainerSummary>> {
        entries(json.as_bytes())
    }

    #[test]
    fn an_entry_keeps_all_but_what_is_odd() {
        let odd = r#"[
            {"Id": "a", "Labels": {"x": 1, "y": "z"}, "State": "running"},
            {"Id": "b", "Ports": [{"PrivatePort": 70000, "Type": "tcp"}, {"PrivatePort": 80, "Type": "tcp"}, 7]},
            {"Id": "c", "Names": "c", "Created": 1.5, "State": {"Status": "exited"}},
            {"Id": 7, "State": "exited"},
            7, "d", [], ["e"],
            {"Id": "f", "NetworkSettings": {"Networks": {"n": {"IPPrefixLen": "16", "Gateway": "g"}, "m": []}}}
        ]"#;
        let list = read(odd).unwrap();
        let ids: Vec<&str> = list.iter().map(|entry| entry.id.as_str()).collect();
        assert_eq!(ids, ["a", "b", "c", "", "f"]);
        assert_eq!((&*list[0].state, list[0].labels.len(), &*list[0].labels["y"]), ("running", 1, "z"));
        let ports: Vec<_> = list[1].ports.iter().map(|port| (port.private_port, port.kind.as_str())).collect();
        assert_eq!(ports, [(0, "tcp"), (80, "tcp")]);
        assert_eq!((list[2].names.len(), list[2].created, &*list[2].state), (0, 0, ""));
        assert_eq!(list[4].network_settings.networks["n"].gateway, "g");
    }

    #[test]
    fn what_is_no_list() {
        for json in ["", "{}", "null", "7", r#"[{"Id":"a"}"#, r#"{"message":"no"}"#] {
            assert_eq!(read(json), None, "{json}");
        }
        assert_eq!(read("[]"), Some(Vec::new()));
    }
}

//! The block `logging`: which log driver keeps a container's output, and with which options. Which one it is where a task says
//! nothing is decided in `create`.

use super::value::Reader;
use crate::engine::types::SecretMap;

/// What a task says of its log driver. Where it says nothing (no driver, no options) the driver's own holds, whole.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LoggingOptions {
    /// The log driver: `type`, or else `driver`. Empty: not said, which with options means the Engine's default.
    pub kind: String,
    /// Its options. `None`: not said; none at all is something to say. Shown by name only, for values may be secrets.
    pub config: Option<SecretMap>,
}

pub(super) fn read(reader: &mut Reader<'_>) -> LoggingOptions {
    let (kind, driver) = (reader.string("type"), reader.string("driver"));
    let config = reader.gives_map("config");
    let options = reader.map("config");
    LoggingOptions { kind: if kind.is_empty() { driver } else { kind }, config: config.then(|| options.into()) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::decode;
    use super::*;

    fn said(logging: &Value) -> Result<LoggingOptions, Vec<String>> {
        decode(&json!({"image": "a", "logging": logging}))
            .map(|options| options.logging)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_is_said_and_what_is_not() {
        for (given, kind, config) in [
            (json!(null), "", None),
            (json!({}), "", None),
            (json!([]), "", None),
            (json!([{}]), "", None),
            (json!({"type": null, "driver": null, "config": null}), "", None),
            (json!({"type": "fluentd"}), "fluentd", None),
            (json!({"driver": "fluentd"}), "fluentd", None),
            (json!({"type": "json-file", "driver": "fluentd"}), "json-file", None),
            (json!({"type": "", "driver": "local"}), "local", None),
            (
                json!([{"type": "local", "config": [{"max-file": 3, "a.b": true}]}]),
                "local",
                Some(&["a.b=true", "max-file=3"][..]),
            ),
            (json!([null, {"type": "local"}]), "local", None),
            (json!({"config": {"a": "1"}}), "", Some(&["a=1"])),
            (json!({"config": [{"a": "1"}, null, {"a": "2", "b": "3"}]}), "", Some(&["a=2", "b=3"])),
            (json!({"config": {}}), "", Some(&[])),
            (json!({"config": [{}]}), "", Some(&[])),
            (json!({"config": []}), "", None),
            (json!({"config": [null]}), "", None),
        ] {
            let got = said(&given).unwrap_or_else(|problems| panic!("{given}: {problems:?}"));
            let pairs =
                |map: &SecretMap| map.0.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
            assert_eq!(got.kind, kind, "{given}");
            assert_eq!(
                got.config.as_ref().map(pairs),
                config.map(|pairs| pairs.iter().map(ToString::to_string).collect()),
                "{given}"
            );
        }
    }

    #[test]
    fn what_is_wrong_says_where() {
        for (given, want) in [
            (json!("json-file"), vec!["logging: wants a block, and is a string"]),
            (json!({"typ": "local"}), vec!["logging.typ: `typ` cannot stand in `logging`: did you mean `type`?"]),
            (json!({"zebra": 1}), vec!["logging.zebra: `zebra` cannot stand in `logging`"]),
            (
                json!({"type": [], "config": "x"}),
                vec!["logging.type: wants a string, and is a list", "logging.config: wants a map, and is a string"],
            ),
            (json!([{"config": {"a": {}}}]), vec!["logging[0].config.a: wants a string, and is a map"]),
            (json!([{"type": "local"}, {"type": "none"}]), vec!["logging[1]: a second `logging`: one is enough"]),
            (json!([5]), vec!["logging[0]: wants a block, and is a number"]),
        ] {
            assert_eq!(said(&given), Err(want.into_iter().map(Into::into).collect()), "{given}");
        }
    }

    #[test]
    fn values_are_not_shown() {
        let shown = format!("{:?}", said(&json!({"type": "splunk", "config": {"splunk-token": "hunter2"}})));
        assert!(shown.contains("splunk-token") && !shown.contains("hunter2"), "{shown}");
    }
}

//! The name of an Engine's machine, in the Engine's own words about itself: a recording, which may be shown to anybody, has
//! another in its place. Nowhere else is it looked for: a name may be any word, `docker` too.

use serde_json::Value;

use crate::replay::http::target::Target;
use crate::replay::record::vars::{Replaced, replace};

/// What a recording calls every machine.
const NAME: &str = "recorded";

/// Whether the answer to this request tells the machine's name.
pub(in crate::replay) fn tells_name(method: &str, target: &str) -> bool {
    method == "GET" && matches!(Target::of(target).path.as_str(), "/info" | "/libpod/info")
}

/// Such an answer's body without it. `None`: it does not say it.
pub(in crate::replay) fn unnamed(body: &[u8]) -> Option<Replaced> {
    let info: Value = serde_json::from_slice(body).ok()?;
    // Docker's, and podman's own.
    let name = [("Name", &info["Name"]), ("hostname", &info["host"]["hostname"])];
    let (key, name) = name.into_iter().find_map(|(key, name)| Some((key, name.as_str()?)))?;
    let (key, name, other) = (Value::from(key), Value::from(name), Value::from(NAME));
    let [tight, loose] = [":", ": "].map(|colon| (format!("{key}{colon}{name}"), format!("{key}{colon}{other}")));
    replace(body, &[(&tight.0, &tight.1), (&loose.0, &loose.1)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (body, want) in [
            (r#"{"ID":"x","Name":"vm","Labels":[]}"#, r#"{"ID":"x","Name":"recorded","Labels":[]}"#),
            (r#"{"Name": "a\"b", "OperatingSystem": "a"}"#, r#"{"Name": "recorded", "OperatingSystem": "a"}"#),
            (r#"{"host":{"hostname":"vm","os":"vm"}}"#, r#"{"host":{"hostname":"recorded","os":"vm"}}"#),
            (r#"{"Name":"","ID":"x"}"#, r#"{"Name":"recorded","ID":"x"}"#),
            (r#"{"Name":7}"#, r#"{"Name":7}"#),
            ("no JSON", "no JSON"),
        ] {
            let got =
                unnamed(body.as_bytes()).map_or(body.into(), |replaced| String::from_utf8(replaced.bytes).unwrap());
            assert_eq!(got, want);
        }
        for (method, target, tells) in [
            ("GET", "/v1.41/info", true),
            ("GET", "/info?x=y", true),
            ("GET", "/v5.4.0/libpod/info", true),
            ("POST", "/info", false),
            ("GET", "/containers/info", false),
        ] {
            assert_eq!(tells_name(method, target), tells, "{method} {target}");
        }
    }
}

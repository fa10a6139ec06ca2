//! The runtime pass: `${…}` in a job's strings, when the task is placed. One pass, left to right; what a value brings in is not looked at again.
//! It knows no names itself: the caller's `lookup` does.

use serde_json::Value;

/// Puts values in the place of names.
///
/// `${name}` asks `lookup` for the name: `NOMAD_TASK_NAME`, `attr.cpu.arch`, `meta.owner`, a variable of the task. `${env["X"]}` asks for `X`,
/// and `${attr["a.b"]}` for `attr.a.b`. `$${` is a literal `${`. What is no name (`${FOO:-x}`, an unclosed `${`) stays as it is.
///
/// Gives the text, and the names that `lookup` does not know, each once, in order: they stay in the text as they were written.
pub fn interpolate(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> (String, Vec<String>) {
    let mut unknown = Vec::new();
    let text = pass(text, lookup, &mut unknown);
    (text, unknown)
}

/// The same for every string of a JSON value, the keys of its objects too. Numbers and booleans stay.
pub fn interpolate_json(value: &Value, lookup: &dyn Fn(&str) -> Option<String>) -> (Value, Vec<String>) {
    let mut unknown = Vec::new();
    let value = json(value, lookup, &mut unknown);
    (value, unknown)
}

fn json(value: &Value, lookup: &dyn Fn(&str) -> Option<String>, unknown: &mut Vec<String>) -> Value {
    match value {
        Value::String(text) => Value::String(pass(text, lookup, unknown)),
        Value::Array(items) => items.iter().map(|item| json(item, lookup, unknown)).collect(),
        Value::Object(map) => {
            let mut out = serde_json::Map::new();
            for (key, value) in map {
                out.insert(pass(key, lookup, unknown), json(value, lookup, unknown));
            }
            Value::Object(out)
        }
        other => other.clone(),
    }
}

fn pass(text: &str, lookup: &dyn Fn(&str) -> Option<String>, unknown: &mut Vec<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$${") {
            out.push_str("${");
            rest = after;
            continue;
        }
        let Some((written, name, after)) = reference(rest) else {
            out.push('$');
            rest = &rest[1..];
            continue;
        };
        match lookup(&name) {
            Some(value) => out.push_str(&value),
            None => {
                out.push_str(&rest[..rest.len() - after.len()]);
                if !unknown.iter().any(|u| u == written) {
                    unknown.push(written.into());
                }
            }
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The reference that a text begins with: as written, its name, and what follows it.
fn reference(text: &str) -> Option<(&str, String, &str)> {
    let inside = text.strip_prefix("${")?;
    // No name has a `$` in it: not to look beyond the next one keeps this linear, whatever the text.
    let end = inside.find(['}', '$']).filter(|end| inside[*end..].starts_with('}'))?;
    let written = inside[..end].trim();
    Some((written, name(written)?, &inside[end + 1..]))
}

/// The name that stands between `${` and `}`, if it is one.
fn name(written: &str) -> Option<String> {
    let plain = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
    };
    if plain(written) {
        return Some(written.into());
    }
    let (root, key) = written.strip_suffix("\"]")?.split_once("[\"")?;
    if !plain(root) || key.is_empty() || key.contains(['"', '$', '{']) {
        return None;
    }
    Some(if root == "env" { key.into() } else { format!("{root}.{key}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        let value = match name {
            "NOMAD_TASK_NAME" => "web",
            "attr.cpu.arch" => "amd64",
            "attr.driver.docker.bridge_ip" => "172.17.0.1",
            "meta.my-key" => "mine",
            "HOME" => "/root",
            "DOLLARS" => "${HOME} $${HOME}",
            "EMPTY" => "",
            _ => return None,
        };
        Some(value.into())
    }

    #[test]
    fn strings() {
        // text -> (text, names without a value)
        for (text, want, unknown) in [
            ("", "", &[][..]),
            ("plain $5 100% {x}", "plain $5 100% {x}", &[]),
            ("${NOMAD_TASK_NAME}", "web", &[]),
            ("a-${NOMAD_TASK_NAME}-${attr.cpu.arch}", "a-web-amd64", &[]),
            ("${ NOMAD_TASK_NAME }", "web", &[]),
            ("${attr.driver.docker.bridge_ip}:53", "172.17.0.1:53", &[]),
            ("${env[\"HOME\"]}/x", "/root/x", &[]),
            ("${meta[\"my-key\"]} ${meta.my-key}", "mine mine", &[]),
            ("${EMPTY}", "", &[]),
            ("$${HOME}", "${HOME}", &[]),
            ("$$${HOME}", "$${HOME}", &[]),
            ("$$$${HOME}", "$$${HOME}", &[]),
            ("$${HOME} ${HOME}", "${HOME} /root", &[]),
            ("${DOLLARS}", "${HOME} $${HOME}", &[]),
            ("${NOPE}", "${NOPE}", &["NOPE"]),
            ("${ NOPE }${NOPE}${meta.none}", "${ NOPE }${NOPE}${meta.none}", &["NOPE", "meta.none"]),
            ("${env[\"NOPE\"]}", "${env[\"NOPE\"]}", &["env[\"NOPE\"]"]),
            ("${FOO:-x}", "${FOO:-x}", &[]),
            ("${FOO:-${HOME}}", "${FOO:-/root}", &[]),
            ("${NOMAD_TASK_NAME", "${NOMAD_TASK_NAME", &[]),
            ("${}", "${}", &[]),
            ("${9x}", "${9x}", &[]),
            ("${env[HOME]}", "${env[HOME]}", &[]),
            ("${env[\"\"]}", "${env[\"\"]}", &[]),
            ("$", "$", &[]),
            ("${", "${", &[]),
            ("é${HOME}é", "é/rooté", &[]),
        ] {
            let (got, names) = interpolate(text, &lookup);
            assert_eq!(got, want, "{text:?}");
            assert_eq!(names, unknown, "{text:?}");
        }
    }

    #[test]
    fn documents() {
        let value =
            serde_json::json!({"${NOMAD_TASK_NAME}": ["${NOPE}", 1, {"a": "${HOME}", "b": "${NOPE}"}], "n": null});
        let want = serde_json::json!({"web": ["${NOPE}", 1, {"a": "/root", "b": "${NOPE}"}], "n": null});
        assert_eq!(interpolate_json(&value, &lookup), (want, vec!["NOPE".to_owned()]));
    }
}

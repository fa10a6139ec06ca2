//! A request's target taken apart: version, path, query.

/// A target in the form in which targets are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::replay) struct Target {
    /// Decoded, without the API version.
    pub(in crate::replay) path: String,
    /// Decoded, sorted.
    pub(in crate::replay) query: Vec<(String, String)>,
}

impl Target {
    pub(in crate::replay) fn of(target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let mut query: Vec<_> = pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (decode(name), decode(value))
            })
            .collect();
        query.sort();
        Self { path: decode_path(without_version(path)), query }
    }
}

/// A path without the API version before it.
pub(in crate::replay) fn without_version(path: &str) -> &str {
    let Some(rest) = path.strip_prefix("/v") else { return path };
    let Some((version, _)) = rest.split_once('/') else { return path };
    let is_version = version.split_once('.').is_some_and(|(major, minor)| {
        [major, minor].iter().all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
    });
    if is_version { &rest[version.len()..] } else { path }
}

/// What `%xx` and `+` stand for. What is none is left as it is, and so is what would be no UTF-8.
pub(in crate::replay) fn decode(text: &str) -> String {
    decoded(text, true)
}

/// A part of a path or a query, with `%xx` for all that could mean something else there.
pub(in crate::replay) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

fn decode_path(text: &str) -> String {
    decoded(text, false)
}

fn decoded(text: &str, plus: bool) -> String {
    if !text.contains(['%', '+']) {
        return text.into();
    }
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'+', _) if plus => bytes.push(b' '),
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high << 4 | low);
                    rest = after;
                }
                _ => bytes.push(byte),
            },
            _ => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.into())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect()
        };
        for (target, path, query) in [
            ("/v1.41/containers/json?b=2&a=1", "/containers/json", pairs(&[("a", "1"), ("b", "2")])),
            ("/v5.8.6/libpod/info", "/libpod/info", pairs(&[])),
            ("/_ping", "/_ping", pairs(&[])),
            ("/volumes/v1.5", "/volumes/v1.5", pairs(&[])),
            ("/v1.41", "/v1.41", pairs(&[])),
            ("/vx/y", "/vx/y", pairs(&[])),
            (
                "/images/a%2Fb+c/json?filters=%7B%22a%22%3A1%7D&x=a+b&y&=",
                "/images/a/b+c/json",
                pairs(&[("", ""), ("filters", "{\"a\":1}"), ("x", "a b"), ("y", "")]),
            ),
            ("/x?bad=%zz%4&cut=%", "/x", pairs(&[("bad", "%zz%4"), ("cut", "%")])),
            ("/x?latin=%e9", "/x", pairs(&[("latin", "%e9")])),
        ] {
            assert_eq!(Target::of(target), Target { path: path.into(), query }, "{target}");
        }
    }
}

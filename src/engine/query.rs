//! The query string of a call, and the percent-encoding of paths. Pure.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Filters of a list: `label` → `["a=b"]`. What Docker calls `filters` everywhere.
pub(super) type Filters = BTreeMap<String, Vec<String>>;

/// What a call asks beside its path.
pub(crate) trait Query {
    /// Writes the parameters that are set.
    fn write(&self, to: &mut QueryString);
}

/// No parameters.
impl Query for () {
    fn write(&self, _: &mut QueryString) {}
}

/// A query string in the making.
#[derive(Debug, Default)]
pub(crate) struct QueryString(String);

impl QueryString {
    /// The text, encoded.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// A parameter with a value.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(name);
        self.0.push('=');
        encode(&mut self.0, value, b"");
    }

    /// A parameter that is left out while it is empty.
    pub(super) fn some_text(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.text(name, value);
        }
    }

    /// A switch that is left out while it is off.
    pub(super) fn flag(&mut self, name: &str, on: bool) {
        if on {
            self.text(name, "1");
        }
    }

    /// A parameter that is left out where there is none.
    pub(super) fn option(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.text(name, &value.to_string());
        }
    }

    /// Filters, as the JSON that Engines take; left out while there are none.
    pub(super) fn filters(&mut self, filters: &Filters) {
        if !filters.is_empty() {
            // A map of strings to lists of strings has nothing that JSON cannot hold.
            self.text("filters", &serde_json::to_string(filters).unwrap_or_default());
        }
    }
}

/// Appends `text`, percent-encoded but for unreserved characters and those in `also`.
pub(super) fn encode(to: &mut String, text: &str, also: &[u8]) {
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || also.contains(&byte) {
            to.push(byte as char);
        } else {
            // Writing to a String does not fail.
            let _ = write!(to, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters() {
        let mut query = QueryString::default();
        query.flag("all", true);
        query.flag("size", false);
        query.some_text("name", "");
        query.option("limit", Some(3));
        query.option("t", None::<u64>);
        query.filters(&Filters::new());
        query.filters(&Filters::from([("label".into(), vec!["a=b&c".into()])]));
        assert_eq!(query.as_str(), "all=1&limit=3&filters=%7B%22label%22%3A%5B%22a%3Db%26c%22%5D%7D");
    }

    #[test]
    fn encoding() {
        for (text, also, want) in [("a/b:c", "", "a%2Fb%3Ac"), ("a/b:c", "/:", "a/b:c"), ("é ?", "", "%C3%A9%20%3F")] {
            let mut to = String::new();
            encode(&mut to, text, also.as_bytes());
            assert_eq!(to, want, "{text}");
        }
    }
}

//! Short texts: references, addresses, values, and any text that is shown.

use longshore::Endpoint;
use longshore::driver::Signal;
use longshore::engine::ApiVersion;
use longshore::images::Reference;
use longshore::replay::Fault;
use longshore::values::{duration, glob, printable, printable_ascii, printable_json, printable_lines, size};

use crate::harness::fuzz;

#[test]
fn references() {
    fuzz("references", |input| {
        let text = String::from_utf8_lossy(input);
        match text.parse::<Reference>() {
            Ok(reference) => {
                let _ =
                    (reference.repo(), reference.tag().len(), reference.image_ref(), reference.is_checked_locally());
                let _ = (reference.index().is_ok(), reference.pull_name().is_ok());
                if let Ok(named) = reference.named() {
                    let again = named.canonical_name().parse::<Reference>().unwrap().named().unwrap();
                    assert_eq!(again.canonical_name(), named.canonical_name(), "a canonical name is its own");
                }
            }
            Err(error) => assert!(!error.to_string().contains(char::is_control), "{error}"),
        }
    });
}

#[test]
fn values() {
    fuzz("values", |input| {
        let text = &*String::from_utf8_lossy(input);
        if let Ok(endpoint) = text.parse::<Endpoint>() {
            let _ = endpoint.to_string();
        }
        let _ = (text.parse::<Signal>().is_ok(), text.parse::<ApiVersion>().is_ok(), text.parse::<Fault>().is_ok());
        if let Ok(read) = duration::parse(text) {
            assert_eq!(duration::parse(&duration::format(read)).ok(), Some(read), "{text:?}");
        }
        let _ = (size::parse_decimal(text).is_ok(), size::parse_binary(text).is_ok());
        let (pattern, name) = text.split_at(text.floor_char_boundary(text.len().min(40) / 2));
        let _ = glob::matches(pattern, name);

        let shown = printable(text);
        assert!(!shown.contains(char::is_control), "{shown:?}");
        assert_eq!(printable(&shown), shown, "twice");
        assert!(printable_ascii(text).is_ascii());
        assert_eq!(printable_lines(text).matches('\n').count(), text.matches('\n').count());
        let json = serde_json::json!([text]);
        let read: serde_json::Value = serde_json::from_str(&printable_json(&json.to_string())).unwrap();
        assert_eq!(read, json);
    });
}

//! The text of an error answer: every Engine, and every proxy before one, has its own form. What the error means is decided by its status.

use std::borrow::Cow;

use serde_json::Value;

/// How many bytes of a text are kept.
const LONGEST: usize = 2_000;

/// The text of an error answer, for people: `message` of Docker's and podman's JSON, else its `error` or `cause`, else the body as text; of
/// each the first 2,000 bytes. `content_type` may be missing or wrong: it only keeps a plain text from being read as JSON. Never empty.
pub fn error_message(body: &[u8], content_type: Option<&str>) -> String {
    let plain = content_type.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/"));
    let json = if plain { None } else { serde_json::from_slice::<Value>(body).ok() };
    let text = json.as_ref().and_then(said).map_or_else(|| shortened(body), |text| cut(text.trim()).into());
    if text.is_empty() { "no reason given".into() } else { text }
}

/// What Docker (20.10 to 28.5) says of a path that it does not know, instead of a thing.
const NO_SUCH_PATH: &str = "page not found";

/// Whether the body of an error answer has the form of an Engine's own: a JSON object with a `message`, as Docker and podman write it.
/// What is no more than a text, or a page, may be a proxy's; that a path is not known says nothing of what it names.
pub(crate) fn is_engines_error(body: &[u8], content_type: Option<&str>) -> bool {
    let plain = content_type.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/"));
    !plain
        && serde_json::from_slice::<Value>(body).is_ok_and(|error| {
            error.get("message").and_then(Value::as_str).is_some_and(|message| message != NO_SUCH_PATH)
        })
}

/// What a JSON error says.
fn said(error: &Value) -> Option<&str> {
    let text = |value: &'_ Value| value.as_str().is_some_and(|text| !text.trim().is_empty());
    match error {
        Value::String(text) => Some(text),
        // A registry's own form, which some Engines hand on: {"errors": [{"code", "message"}]}
        Value::Array(errors) => errors.iter().find_map(said),
        Value::Object(_) => ["message", "error", "errorDetail", "errors", "cause"].into_iter().find_map(|name| {
            let value = error.get(name)?;
            if value.is_string() { text(value).then(|| value.as_str()).flatten() } else { said(value) }
        }),
        _ => None,
    }
}

/// The body as text, cut where it gets too long.
fn shortened(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(LONGEST)]);
    let text = text.trim();
    if body.len() > LONGEST { format!("{text} …") } else { text.into() }
}

/// A text for people, cut where it gets too long.
pub(crate) fn cut(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST {
        return text.into();
    }
    let end = (0..=LONGEST).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    format!("{} …", text[..end].trim_end()).into()
}

#[cfg(test)]
mod tests {
    use super::{error_message, is_engines_error};

    #[test]
    fn says_what_the_engine_says() {
        let json = Some("application/json");
        for (body, kind, want) in [
            (r#"{"message":"No such image: x:1"}"#, json, "No such image: x:1"),
            (r#"{"message":"no type\n"}"#, None, "no type"),
            (
                r#"{"cause":"no such container","message":"no container \"x\"","response":404}"#,
                json,
                "no container \"x\"",
            ),
            (r#"{"cause":"that name is in use","message":"","response":500}"#, json, "that name is in use"),
            (r#"{"cause":null,"message":null,"error":"denied"}"#, json, "denied"),
            (r#"{"error":{"message":"inner"}}"#, json, "inner"),
            (r#"{"errorDetail":{"message":"in the stream"},"error":""}"#, json, "in the stream"),
            (r#"{"errors":[{"code":"DENIED","message":"not yours"}]}"#, json, "not yours"),
            (r#""only a text""#, json, "only a text"),
            ("Not Found\n", Some("text/plain; charset=utf-8"), "Not Found"),
            ("No such container: x\r\n", Some("application/vnd.docker.raw-stream"), "No such container: x"),
            ("404 is a number too", json, "404 is a number too"),
            (r#"{"message":"cut of"#, json, r#"{"message":"cut of"#),
            (r#"{"message":"not json"}"#, Some("text/plain"), r#"{"message":"not json"}"#),
            (r#"{"code":7}"#, json, r#"{"code":7}"#),
            ("", json, "no reason given"),
            ("", None, "no reason given"),
            (" \n", Some("text/plain"), "no reason given"),
            (r#"{"message":" "}"#, json, r#"{"message":" "}"#),
        ] {
            assert_eq!(error_message(body.as_bytes(), kind), want, "{body}");
        }
    }

    #[test]
    fn whose_error_it_is() {
        let json = Some("application/json");
        for (body, kind, want) in [
            (r#"{"message":"No such container: x"}"#, json, true),
            (r#"{"message":"No such container: x"}"#, None, true),
            (r#"{"cause":"no such container","message":"","response":404}"#, json, true),
            (r#"{"message":"not json"}"#, Some("text/html"), false),
            ("<html>404 Not Found</html>", Some("text/html"), false),
            ("404 page not found", Some("text/plain"), false),
            ("<html>404 Not Found</html>", None, false),
            (r#"{"message":"page not found"}"#, json, false),
            (r#"{"error":"not found"}"#, json, false),
            (r#"{"message":null}"#, json, false),
            (r#"{"message":{"text":"x"}}"#, json, false),
            (r#"["message"]"#, json, false),
            (r#""message""#, json, false),
            (r#"{"message":"cut of"#, json, false),
            ("", None, false),
        ] {
            assert_eq!(is_engines_error(body.as_bytes(), kind), want, "{body}");
        }
    }

    #[test]
    fn takes_any_bytes() {
        assert_eq!(error_message(b"caf\xe9", None), "caf\u{fffd}");
        assert_eq!(
            error_message(b"{\"message\":\"caf\xe9\"}", Some("application/json")),
            "{\"message\":\"caf\u{fffd}\"}"
        );
        for said in ["x".repeat(50_000), "é".repeat(50_000), "x".repeat(1_999) + &"é".repeat(100)] {
            let text = error_message(format!(r#"{{"message":"{said}"}}"#).as_bytes(), None);
            assert!(text.len() >= 1_999 && text.len() <= 2_000 + " …".len() && text.ends_with(" …"), "{}", text.len());
        }
        let page = "<p>".repeat(5_000);
        assert_eq!(error_message(page.as_bytes(), Some("text/html")).len(), 2_000 + " …".len());
        let deep = "[".repeat(100_000);
        assert!(error_message(deep.as_bytes(), None).starts_with("[["));
    }
}

//! Headers: which values are replaced, and what credentials they teach.

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

use super::learned::{From, Learned};
use super::names::{is_credential_header, teaches};
use super::text::Place;
use super::{REDACTED, Redactor, mask};

/// How deep credentials may lie in a header: a map of registries, each with its own.
const DEEPEST: usize = 4;

/// Without padding, and not strict about the last bits: what a client sends is not ours to judge.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone),
);

impl Redactor {
    /// The value to record for a header: `redacted` for a secret one, which is learned; masked as a text for any other.
    pub(crate) fn header(&self, name: &str, value: &str) -> String {
        let learned = &self.rules.learned;
        let listed = is_credential_header(name);
        if !listed && !self.rules.names.is_secret(name) {
            return String::from_utf8_lossy(&mask::text(&self.rules, Place::Output, value.as_bytes())).into_owned();
        }
        if value.trim().is_empty() {
            return value.to_owned();
        }
        match name.to_ascii_lowercase().as_str() {
            "x-registry-auth" | "x-registry-config" => learn_registry(learned, value),
            "authorization" | "proxy-authorization" | "x-meta-authorization" => learn_authorization(learned, value),
            "cookie" | "set-cookie" => learn_cookies(learned, value),
            _ if listed => learned.learn(value.as_bytes(), From::Credentials),
            _ if teaches(name, value.as_bytes()) => learned.learn(value.as_bytes(), From::Name),
            _ => {}
        }
        REDACTED.to_owned()
    }
}

/// `X-Registry-Auth`, `X-Registry-Config`: credentials as JSON as base64. The value itself is learned too, unless there is no secret
/// in it: `e30=` is what a client without credentials sends.
fn learn_registry(learned: &Learned, value: &str) {
    let json = decode_base64(value.as_bytes()).and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    if json.is_none_or(|json| learn_credentials(learned, &json, DEEPEST)) {
        learned.learn(value.trim().trim_end_matches('=').as_bytes(), From::Credentials);
    }
}

/// The credentials of one registry, or a map of such. Whether there were any.
fn learn_credentials(learned: &Learned, json: &Value, deepest: usize) -> bool {
    let Some(members) = json.as_object().filter(|_| deepest > 0) else { return false };
    let text = |wanted: &str| {
        let member = members.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        member.and_then(|(_, value)| value.as_str()).filter(|text| !text.is_empty())
    };
    let mut any = false;
    for secret in [text("password"), text("identitytoken"), text("registrytoken")].into_iter().flatten() {
        learned.learn(secret.as_bytes(), From::Credentials);
        any = true;
    }
    if let Some(auth) = text("auth") {
        learned.learn(auth.as_bytes(), From::Credentials);
        learn_auth(learned, auth.as_bytes());
        any = true;
    }
    if let Some(password) = text("password") {
        let pair = format!("{}:{password}", text("username").unwrap_or(""));
        learned.learn(pair.as_bytes(), From::Credentials);
    }
    for value in members.values() {
        any |= learn_credentials(learned, value, deepest - 1);
    }
    any
}

/// The `auth` of a registry: base64 of `user:password`.
pub(super) fn learn_auth(learned: &Learned, auth: &[u8]) {
    let Some(pair) = decode_base64(auth) else { return };
    let Some(colon) = pair.iter().position(|&b| b == b':') else { return };
    // What decodes by chance has other than text in it.
    if std::str::from_utf8(&pair).is_ok() {
        learned.learn(&pair[colon + 1..], From::Credentials);
        learned.learn(&pair, From::Credentials);
    }
}

/// `Basic`, `Bearer` and others: what is behind the scheme's name.
fn learn_authorization(learned: &Learned, value: &str) {
    let (scheme, secret) = value.trim().split_once(' ').unwrap_or(("", value.trim()));
    learned.learn(secret.trim().trim_end_matches('=').as_bytes(), From::Credentials);
    if scheme.eq_ignore_ascii_case("basic") {
        learn_auth(learned, secret.trim().as_bytes());
    }
}

/// The values of cookies. Their attributes (`Path=/`) are weak enough to be passed over.
fn learn_cookies(learned: &Learned, value: &str) {
    for cookie in value.split(';') {
        if let Some((name, value)) = cookie.split_once('=')
            && !["path", "domain", "expires", "max-age", "samesite"].iter().any(|a| a.eq_ignore_ascii_case(name.trim()))
        {
            learned.learn(value.trim().as_bytes(), From::Name);
        }
    }
}

/// Either alphabet, with or without padding.
pub(super) fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.trim_ascii();
    let text = &text[..text.len() - text.iter().rev().take(2).take_while(|&&b| b == b'=').count()];
    let standard: Vec<u8> = text
        .iter()
        .map(|&b| match b {
            b'-' => b'+',
            b'_' => b'/',
            b => b,
        })
        .collect();
    LENIENT.decode(standard).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

    use super::*;
    use crate::replay::redact::Kind;

    const PASSWORD: &str = "pa?s>word";

    fn masked(redactor: &Arc<Redactor>, text: &str) -> String {
        let (mut masker, mut out) = (redactor.masker(Kind::Text), Vec::new());
        masker.feed(text.as_bytes(), &mut out);
        masker.end(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn credentials_are_learned_in_every_shape() {
        let auth = STANDARD.encode(format!("me:{PASSWORD}"));
        let one = format!(r#"{{"username":"me","password":"{PASSWORD}","serveraddress":"r.example"}}"#);
        let map = format!(r#"{{"https://r.example/v1/":{one}}}"#);
        let as_auth = format!(r#"{{"auth":"{auth}"}}"#);
        let engines = [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD];
        let mut rows = Vec::new();
        for (name, json) in [
            ("X-Registry-Auth", &one),
            ("x-registry-auth", &as_auth),
            ("X-REGISTRY-CONFIG", &map),
            ("X-Registry-Config", &as_auth),
        ] {
            rows.extend(engines.iter().map(|engine| (name, engine.encode(json))));
        }
        rows.push(("Authorization", format!("Basic {auth}")));
        rows.push(("proxy-authorization", format!("basic {}", auth.trim_end_matches('='))));
        for (name, value) in rows {
            let redactor = Arc::new(Redactor::new(&[]));
            assert_eq!(redactor.header(name, &value), "redacted", "{name}");
            let mut seen =
                vec![PASSWORD.to_owned(), value.trim_start_matches("Basic ").trim_start_matches("basic ").to_owned()];
            for engine in engines {
                seen.push(engine.encode(PASSWORD));
                seen.push(engine.encode(format!("me:{PASSWORD}")));
            }
            for secret in seen {
                let text = masked(&redactor, &format!("it was {secret} all along"));
                let bare = secret.trim_end_matches('=');
                assert!(!text.contains(bare), "{name}: {value}: {secret} in {text}");
                assert!(text.starts_with("it was *") && text.ends_with(" all along"), "{name}: {text}");
            }
        }
    }

    #[test]
    fn other_headers() {
        for (row, name, value, want, learns) in [
            ("no secret", "Content-Type", "application/json", "application/json", false),
            ("nobody", "X-Registry-Auth", "e30=", "redacted", false),
            ("no JSON", "X-Registry-Auth", "what is this", "redacted", true),
            ("empty", "X-Registry-Auth", "", "", false),
            ("a token", "Authorization", "Bearer abc.def", "redacted", true),
            ("no scheme", "authorization", "abcdef", "redacted", true),
            ("cookies", "Cookie", "a=1; session=AbC123xyz", "redacted", true),
            ("one cookie", "Set-Cookie", "session=AbC123xyz; Path=/; HttpOnly", "redacted", true),
            ("by its name", "X-Auth-Token", "AbC123xyz", "redacted", true),
            ("weak", "X-Auth-Token", "guest", "redacted", false),
            ("by a pattern", "x-Mine", "AbC123xyz", "redacted", true),
            ("a URL", "Location", "https://me:pw@host/x", "https://me:**@host/x", false),
            ("a token in a URL", "Location", "/x?token=abc", "/x?token=***", false),
        ] {
            let redactor = Redactor::new(&["X-MINE".into()]);
            assert_eq!(redactor.header(name, value), want, "{row}");
            assert_eq!(redactor.has_learned() > 0, learns, "{row}");
        }
    }

    #[test]
    fn base64_in_any_shape() {
        for (text, want) in [
            ("aGk", Some("hi")),
            ("aGk=", Some("hi")),
            (" aGk=\n", Some("hi")),
            ("Pz8_", Some("???")),
            ("Pz8/", Some("???")),
            ("", Some("")),
            ("a", None),
            ("a b", None),
        ] {
            assert_eq!(decode_base64(text.as_bytes()).as_deref(), want.map(str::as_bytes), "{text:?}");
        }
    }
}

//! A body as people see it: secrets masked by the rules of a recording, and no longer the length of what they hide.

use serde_json::Value;

use super::Redactor;

/// Masks the secrets of a request's body for people, by the rules of a recording. Values of environment variables that are
/// listed in `but` stay. How long a secret is, is not shown either.
pub(crate) fn mask_secrets(body: &mut Value, but: &[&str]) {
    if let Some(masked) = Redactor::new(&[]).masked(body) {
        show(body, &masked, but);
    }
}

/// What people see in the place of a secret.
const SHOWN: &str = "********";

/// Takes from `masked` what differs, each row of `*` as long as every other.
fn show(body: &mut Value, masked: &Value, but: &[&str]) {
    match (body, masked) {
        (Value::String(text), Value::String(masked)) if text != masked => {
            let is_ours = |text: &str| text.split_once('=').is_some_and(|(name, _)| but.contains(&name));
            if !is_ours(text) {
                let mut shown = String::new();
                let mut rest = masked.as_str();
                while let Some(at) = rest.find('*') {
                    shown.push_str(&rest[..at]);
                    shown.push_str(SHOWN);
                    rest = rest[at..].trim_start_matches('*');
                }
                shown.push_str(rest);
                *text = shown;
            }
        }
        (Value::Array(items), Value::Array(masked)) => {
            items.iter_mut().zip(masked).for_each(|(item, masked)| show(item, masked, but));
        }
        (Value::Object(members), Value::Object(masked)) => {
            for (name, member) in members {
                if let Some(masked) = masked.get(name) {
                    show(member, masked, but);
                }
            }
        }
        _ => {}
    }
}

//! The block `auth`: a task's own credentials for the registry of its image (driver-spec 6.2).

use super::value::Reader;
use crate::engine::types::AuthConfig;

/// `None`: user, password and address are all empty, which says nothing.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<AuthConfig> {
    // Docker has no use for an address of mail any more.
    reader.string("email");
    let auth = AuthConfig {
        username: reader.string("username"),
        password: reader.string("password"),
        server_address: reader.string("server_address"),
        ..AuthConfig::default()
    };
    (auth != AuthConfig::default()).then_some(auth)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::decode;
    use super::*;

    #[test]
    fn what_counts() {
        let auth = |user: &str, password: &str, address: &str| {
            Some(AuthConfig {
                username: user.into(),
                password: password.into(),
                server_address: address.into(),
                ..AuthConfig::default()
            })
        };
        for (given, want) in [
            (json!(null), None),
            (json!({}), None),
            (json!({"email": "e"}), None),
            (json!({"username": "u"}), auth("u", "", "")),
            (json!([{"password": "p", "email": "e"}]), auth("", "p", "")),
            (json!({"server_address": "s"}), auth("", "", "s")),
            (json!({"username": "u", "password": 5}), auth("u", "5", "")),
        ] {
            let options = decode(&json!({"image": "a", "auth": given})).expect("valid");
            assert_eq!(options.auth, want, "{given}");
        }
        let problems = decode(&json!({"image": "a", "auth": {"user": "u", "password": ["hunter2"]}})).unwrap_err();
        let told = format!("{problems:?}");
        assert!(told.contains("`user` cannot stand") && !told.contains("hunter2"), "{told}");
        let options = decode(&json!({"image": "a", "auth": {"password": "hunter2"}})).unwrap();
        assert!(!format!("{options:?}").contains("hunter2"));
    }
}

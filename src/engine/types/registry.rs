//! What an Engine is told of a registry, the credentials that a pull or a push is made with, and what it asks one.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::wire::wire;

/// Credentials for a registry, as the header `X-Registry-Auth` carries them. Empty fields are not set and are not sent.
/// `Debug` shows the user and the registry's address only.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub struct AuthConfig {
    /// The user's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// The user's password, or an access token in its place.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub password: String,
    /// The registry that the credentials are for.
    #[serde(rename = "serveraddress", skip_serializing_if = "String::is_empty")]
    pub server_address: String,
    /// A token that the registry's own login service exchanges for access tokens.
    #[serde(rename = "identitytoken", skip_serializing_if = "String::is_empty")]
    pub identity_token: String,
    /// A token that is sent to the registry as it is.
    #[serde(rename = "registrytoken", skip_serializing_if = "String::is_empty")]
    pub registry_token: String,
}

impl AuthConfig {
    /// Whether nothing in it proves who asks: a server address alone is no credentials.
    pub fn is_empty(&self) -> bool {
        let Self { username, password, server_address: _, identity_token, registry_token } = self;
        [username, password, identity_token, registry_token].iter().all(|field| field.is_empty())
    }
}

impl fmt::Debug for AuthConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { username, password: _, server_address, identity_token: _, registry_token: _ } = self;
        f.debug_struct("AuthConfig")
            .field("username", username)
            .field("server_address", server_address)
            .finish_non_exhaustive()
    }
}

wire! {
    /// The answer of `GET /distribution/{name}/json`: what a registry has under a name.
    pub struct DistributionInspect {
        /// The manifest, or the list of manifests.
        descriptor: OciDescriptor,
        /// The platforms that it is for.
        platforms: Vec<OciPlatform>,
    }
}

wire! {
    case "camelCase";

    /// What content is, and how it is found, in the OCI's words.
    pub struct OciDescriptor {
        /// Its type: `application/vnd.oci.image.index.v1+json`.
        media_type: String,
        /// Its digest: `sha256:…`.
        digest: String,
        /// Its length in bytes.
        size: i64,
        /// Where else it can be had.
        urls: Vec<String>,
        /// What its maker noted.
        annotations: BTreeMap<String, String>,
    }

    /// What an image runs on, in the OCI's words.
    pub struct OciPlatform {
        /// The architecture, in Go's word: `amd64`.
        architecture: String,
        /// The operating system: `linux`.
        os: String,
        /// The operating system's version (Windows).
        #[serde(rename = "os.version")]
        os_version: String,
        /// What the operating system must have (Windows).
        #[serde(rename = "os.features")]
        os_features: Vec<String>,
        /// The architecture's variant: `v7`.
        variant: String,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_sent_and_not_shown() {
        let auth = AuthConfig {
            username: "ann".into(),
            password: "p4ss".into(),
            server_address: "r.example".into(),
            identity_token: "t0ken".into(),
            registry_token: "r0ken".into(),
        };
        let shown = format!("{auth:?}");
        for secret in ["p4ss", "t0ken", "r0ken"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert_eq!(
            serde_json::to_value(&auth).unwrap(),
            serde_json::json!({"username": "ann", "password": "p4ss", "serveraddress": "r.example",
                "identitytoken": "t0ken", "registrytoken": "r0ken"})
        );
        assert_eq!(serde_json::to_string(&AuthConfig::default()).unwrap(), "{}");
        assert!(AuthConfig { server_address: "r.example".into(), ..AuthConfig::default() }.is_empty());
    }
}

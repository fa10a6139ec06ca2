//! What a helper sees of this process's environment: the list of what helpers are known to need,
//! and nothing else, for the environment of a driver holds what is no business of theirs.

use std::env;
use std::ffi::OsString;

/// Names. `PATH` is not among them: it is the one that the helper was found on.
const NAMES: &[&str] = &[
    // Who runs it, where, in which language.
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "DOCKER_CONFIG",
    // Keyrings of a desktop session (secretservice), and what asks for their passphrase.
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    // GnuPG and agents (pass).
    "GNUPGHOME",
    "GPG_TTY",
    "SSH_AUTH_SOCK",
    // The way to a cloud's service.
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    // Google Cloud (gcloud, gcr), beside `CLOUDSDK_`.
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GCE_METADATA_HOST",
    // Azure's managed identities (acr-env), beside `AZURE_`.
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "MSI_ENDPOINT",
    "MSI_SECRET",
];

/// Beginnings of names: locale, XDG's folders, pass, and the clouds' own programs.
const PREFIXES: &[&str] = &["LC_", "XDG_", "PASSWORD_STORE_", "AWS_", "CLOUDSDK_", "AZURE_"];

/// The variables of this process that a helper gets.
pub(super) fn passed_on() -> impl Iterator<Item = (OsString, OsString)> {
    env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_passed_on))
}

fn is_passed_on(name: &str) -> bool {
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_listed_is_not_passed_on() {
        for name in ["HOME", "LC_ALL", "XDG_RUNTIME_DIR", "AWS_PROFILE", "AZURE_CLIENT_ID", "no_proxy", "NO_PROXY"] {
            assert!(is_passed_on(name), "{name}");
        }
        for name in ["PATH", "LD_PRELOAD", "VAULT_TOKEN", "DOCKER_AUTH_CONFIG", "HOMEX", "home", "", "MY_AWS_KEY"] {
            assert!(!is_passed_on(name), "{name}");
        }
    }
}

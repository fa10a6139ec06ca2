//! Where the credentials for a registry come from (driver-spec 6): the task, Docker's config file,
//! helper programs.
//!
//! Owns the order of the sources and the bounds on each: a file is regular and of limited size, a
//! helper has a deadline, limited output and a chosen environment. What the Engine is sent of them,
//! and how, is the engine's business. No secret is in a message, in `Debug`, or in a program's
//! arguments.

mod config_file;
mod environment;
mod error;
mod helper;
mod json;
mod process;
#[cfg(test)]
mod testing;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use self::config_file::ConfigFile;
use super::{Index, ReferenceError};
use crate::engine::types::AuthConfig;
use crate::threads::Hangup;

pub use error::{CredentialsError, HelperFault};

/// Where credentials are looked for beside the task: the driver's `auth` block. By default nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialSources {
    /// A file in the form of Docker's `config.json`, read anew for each image. It may name helpers
    /// of its own.
    pub config: Option<PathBuf>,
    /// Whether a config file that is not what Docker writes counts for nothing, with a warning, as with
    /// `docker`; a file that cannot be read is an error in any case. Defaults to no: it is an error.
    pub pass_over_malformed_config: bool,
    /// A helper that is asked for every registry, when nothing else has credentials: `x` is the
    /// program `docker-credential-x`. Empty: none.
    pub helper: String,
    /// How long a helper may take; then it is killed, with its process group. Defaults to 30 s.
    pub helper_timeout: Duration,
    /// Where helpers are looked for, and their own `PATH`: absolute folders, separated by `:`.
    /// `None`: this process's `PATH`.
    pub helper_path: Option<OsString>,
}

impl Default for CredentialSources {
    fn default() -> Self {
        Self {
            config: None,
            pass_over_malformed_config: false,
            helper: String::new(),
            helper_timeout: Duration::from_secs(30),
            helper_path: None,
        }
    }
}

/// Finds the credentials for pulling an image from the registry `index`; `None`: pull without any.
///
/// The first source that has some ends the search, and so does an error: the task's `auth` block
/// (any field counts, and then no file is read and `index` may be an error), the config file's
/// entry, the helpers that it names (`credHelpers`, then `credsStore`), the driver's helper. An
/// entry without a secret is passed over, and so is a helper that says that it has no credentials.
/// A server address that no source gives is the registry's: an Engine with containerd's image store
/// takes credentials without one to be for Docker Hub.
///
/// Blocks while a helper runs, at most its deadline; `hangup` ends it at once. A helper runs in a
/// process group of its own, of which nothing is left afterwards. Of this process's environment it
/// sees what credential helpers are known to need: `PATH`, home, user, language, the session's
/// D-Bus and display, proxies, certificates, and the variables of GnuPG, pass, AWS, Google Cloud
/// and Azure.
///
/// # Errors
/// [`CredentialsError`]: a source is broken; the registry is needed and `index` is an error; or
/// hung up.
pub fn resolve_credentials(
    task: Option<&AuthConfig>,
    sources: &CredentialSources,
    index: Result<Index, ReferenceError>,
    hangup: &Hangup,
) -> Result<Option<AuthConfig>, CredentialsError> {
    let found = match task {
        Some(task) if *task != AuthConfig::default() => Some(task.clone()),
        _ if sources.config.is_none() && sources.helper.is_empty() => None,
        _ => look_up(sources, index.as_ref().map_err(|e| CredentialsError::Reference(e.clone()))?, hangup)?,
    };
    Ok(found.map(|mut auth| {
        if let (true, Ok(index)) = (auth.server_address.is_empty(), &index) {
            index.key().clone_into(&mut auth.server_address);
        }
        auth
    }))
}

fn look_up(
    sources: &CredentialSources,
    index: &Index,
    hangup: &Hangup,
) -> Result<Option<AuthConfig>, CredentialsError> {
    let mut helpers = Vec::new();
    if let Some(path) = &sources.config {
        let mut file = match ConfigFile::read(path) {
            Err(error @ CredentialsError::Parse { .. }) if sources.pass_over_malformed_config => {
                log::warn!("{error}; no credentials are taken from it");
                ConfigFile::default()
            }
            file => file?,
        };
        if let Some(auth) = file.take_entry(index) {
            return Ok(Some(auth));
        }
        helpers.extend(file.helpers.remove(index.key()));
        helpers.push(file.store);
    }
    helpers.push(sources.helper.clone());
    for name in helpers.iter().filter(|name| !name.is_empty()) {
        if let Some(auth) = helper::ask(name, &index.name, sources, hangup)? {
            return Ok(Some(auth));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::testing::{Bin, index};
    use super::*;
    use crate::images::Reference;

    fn auth(username: &str, password: &str) -> AuthConfig {
        AuthConfig { username: username.into(), password: password.into(), ..AuthConfig::default() }
    }

    fn get(sources: &CredentialSources, registry: &str) -> Option<AuthConfig> {
        resolve_credentials(None, sources, Ok(index(registry)), &Hangup::new()).unwrap()
    }

    #[test]
    fn a_task_goes_before_everything_and_needs_no_registry() {
        let broken = CredentialSources { config: Some("/nowhere.json".into()), ..CredentialSources::default() };
        let no_index = || Err("an image".parse::<Reference>().unwrap_err());
        let task = auth("ann", "secret");
        let found = resolve_credentials(Some(&task), &broken, no_index(), &Hangup::new()).unwrap();
        assert_eq!(found, Some(task));
        let empty = AuthConfig::default();
        assert!(resolve_credentials(Some(&empty), &broken, Ok(index("r.example")), &Hangup::new()).is_err());
        let none = CredentialSources::default();
        assert_eq!(resolve_credentials(Some(&empty), &none, no_index(), &Hangup::new()).unwrap(), None);
    }

    #[test]
    fn whoever_gives_no_address_gets_the_registrys() {
        let task = auth("ann", "secret");
        for (registry, address) in [("docker.io", "https://index.docker.io/v1/"), ("r.example:5000", "r.example:5000")]
        {
            let found =
                resolve_credentials(Some(&task), &CredentialSources::default(), Ok(index(registry)), &Hangup::new());
            assert_eq!(found.unwrap().unwrap().server_address, address);
        }
        let bin = Bin::new();
        bin.helper("h", "echo '{\"Username\": \"u\", \"Secret\": \"s\"}'");
        let found = get(&CredentialSources { helper: "h".into(), ..bin.sources() }, "r.example:5000");
        assert_eq!(found, Some(AuthConfig { server_address: "r.example:5000".into(), ..auth("u", "s") }));
    }

    #[test]
    fn a_malformed_file_counts_for_nothing_where_that_is_wanted() {
        let bin = Bin::new();
        bin.helper("last", "echo '{\"Username\": \"u\", \"Secret\": \"s\"}'");
        for (text, is_malformed) in [
            ("", false),
            ("\n", false),
            ("null", false),
            (r#"{"auths": null}"#, false),
            ("{", true),
            ("[]", true),
            (r#"{"psFormat": 7}"#, true),
            (r#"{"auths": {"r.example": {"auth": "?"}}}"#, true),
        ] {
            let config = Some(bin.file("config.json", text));
            let strict = CredentialSources { config, helper: "last".into(), ..bin.sources() };
            let found = resolve_credentials(None, &strict, Ok(index("r.example")), &Hangup::new());
            assert_eq!(found.is_err(), is_malformed, "{text}");
            let lax = CredentialSources { pass_over_malformed_config: true, ..strict };
            assert_eq!(get(&lax, "r.example").map(|auth| auth.username).as_deref(), Some("u"), "{text}");
        }
        let sources = CredentialSources {
            config: Some("/dev/zero".into()),
            pass_over_malformed_config: true,
            ..CredentialSources::default()
        };
        let found = resolve_credentials(None, &sources, Ok(index("r.example")), &Hangup::new());
        assert!(matches!(found, Err(CredentialsError::Read { .. })), "{found:?}");
    }

    #[test]
    fn each_source_is_asked_when_the_one_before_has_nothing() {
        let bin = Bin::new();
        let config = bin.file(
            "config.json",
            r#"{"auths": {"r.example": {}}, "credHelpers": {"r.example": "own"}, "credsStore": "store"}"#,
        );
        let not_found = "echo 'credentials not found in native keychain'; exit 1";
        bin.helper("own", not_found);
        bin.helper("store", not_found);
        let sources = CredentialSources { config: Some(config), helper: "last".into(), ..bin.sources() };
        bin.helper("last", "echo '{}'");
        assert_eq!(get(&sources, "r.example"), None);
        for name in ["last", "store", "own"] {
            bin.helper(name, &format!("echo '{{\"Username\": \"{name}\", \"Secret\": \"s\"}}'"));
            assert_eq!(get(&sources, "r.example").unwrap().username, name);
        }
        assert_eq!(get(&sources, "other.example").unwrap().username, "store", "each for its own registries");
    }
}

//! Docker's `config.json`, as far as it is about credentials (driver-spec 6.3).
//!
//! Docker's own reader of 2026 is followed, also in what it refuses: one setting of the wrong type,
//! or one entry that cannot be decoded, and the whole file counts for nothing. One difference: an
//! entry without a secret is passed over.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};

use super::CredentialsError;
use super::json::{Json, replaced};
use crate::engine::types::AuthConfig;
use crate::files;
use crate::images::Index;

/// Docker writes a few kB.
const LIMIT: u64 = 16 * 1024 * 1024;

/// The standard alphabet with its padding. Bits beyond the last byte may be anything, as with Go's.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// What the file says of credentials. No `Debug`: it holds secrets.
#[derive(Default)]
pub(super) struct ConfigFile {
    /// By address, each with its address; those without a secret are left out.
    auths: BTreeMap<String, AuthConfig>,
    /// Names of helpers by registry.
    pub(super) helpers: BTreeMap<String, String>,
    /// The helper for every registry. Empty: none.
    pub(super) store: String,
}

impl ConfigFile {
    /// Reads a regular file. Does not wait for anything else: a FIFO or a device is an error.
    pub(super) fn read(path: &Path) -> Result<Self, CredentialsError> {
        let text =
            files::read_regular(path, LIMIT).map_err(|source| CredentialsError::Read { path: path.into(), source })?;
        Self::parse(&text).map_err(|problem| CredentialsError::Parse { path: path.into(), problem })
    }

    fn parse(text: &[u8]) -> Result<Self, String> {
        let mut settings = Settings::default();
        match Json::first_of(text)? {
            None | Some(Json::Null) => {}
            Some(Json::Object(entries)) => settings.take(entries).map_err(|misfit| misfit.to_string())?,
            Some(other) => return Err(format!("it is {}, and should be an object", other.kind())),
        }
        let mut auths = BTreeMap::new();
        for (address, entry) in settings.auths {
            let auth = entry.auth(&address)?;
            if !auth.is_empty() {
                auths.insert(address.clone(), AuthConfig { server_address: address, ..auth });
            }
        }
        Ok(Self { auths, helpers: settings.helpers, store: settings.store })
    }

    /// The entry for a registry: under its key, else under an address with its host. Docker Hub has
    /// one spelling. Of several such addresses the first in the order of their bytes is taken.
    pub(super) fn take_entry(&mut self, index: &Index) -> Option<AuthConfig> {
        if let Some(auth) = self.auths.remove(index.key()) {
            return Some(auth);
        }
        if index.official {
            return None;
        }
        let address = self.auths.keys().find(|address| host_of(address) == index.key())?.clone();
        self.auths.remove(&address)
    }
}

/// The host, with its port, of an address that may be a URL.
fn host_of(address: &str) -> &str {
    let rest = address.strip_prefix("http://").or_else(|| address.strip_prefix("https://")).unwrap_or(address);
    rest.split('/').next().unwrap_or_default()
}

/// The file's settings as they are read.
#[derive(Default)]
struct Settings {
    auths: BTreeMap<String, Entry>,
    helpers: BTreeMap<String, String>,
    store: String,
}

impl Settings {
    /// Several objects under one key are merged; a null leaves a text alone and empties an object.
    fn take(&mut self, entries: Vec<(String, Json)>) -> Result<(), Misfit> {
        for (key, value) in entries {
            let Some((name, form)) = SETTINGS.iter().find(|(name, _)| is_same_key(name, &key)) else { continue };
            let taken = match *name {
                "auths" => match members(value) {
                    Ok(None) => {
                        self.auths.clear();
                        Ok(())
                    }
                    Ok(Some(list)) => list.into_iter().try_for_each(|(address, value)| {
                        let entry = Entry::from_json(value).map_err(|misfit| misfit.under(&address))?;
                        self.auths.insert(address, entry);
                        Ok(())
                    }),
                    Err(misfit) => Err(misfit),
                },
                "credHelpers" => match members(value) {
                    Ok(None) => {
                        self.helpers.clear();
                        Ok(())
                    }
                    Ok(Some(list)) => list.into_iter().try_for_each(|(registry, value)| {
                        let helper = text(value).map_err(|misfit| misfit.under(&registry))?;
                        self.helpers.insert(registry, helper.unwrap_or_default());
                        Ok(())
                    }),
                    Err(misfit) => Err(misfit),
                },
                "credsStore" => text(value).map(|store| self.store = store.unwrap_or(std::mem::take(&mut self.store))),
                _ => form.check(value),
            };
            taken.map_err(|misfit| misfit.under(name))?;
        }
        Ok(())
    }
}

/// An entry of `auths`.
#[derive(Default)]
struct Entry {
    /// `user:password` in base64. Where it is not empty, it goes before a user and a password of
    /// their own.
    auth: String,
    config: AuthConfig,
}

impl Entry {
    fn from_json(value: Json) -> Result<Self, Misfit> {
        let mut entry = Self::default();
        // What an entry says of its own address does not count, and of an email nobody asks.
        let (mut address, mut email) = (String::new(), String::new());
        let Some(list) = members(value)? else { return Ok(entry) };
        for (key, value) in list {
            let fields = [
                ("username", &mut entry.config.username),
                ("password", &mut entry.config.password),
                ("auth", &mut entry.auth),
                ("email", &mut email),
                ("serveraddress", &mut address),
                ("identitytoken", &mut entry.config.identity_token),
                ("registrytoken", &mut entry.config.registry_token),
            ];
            let Some((name, field)) = fields.into_iter().find(|(name, _)| is_same_key(name, &key)) else { continue };
            if let Some(text) = text(value).map_err(|misfit| misfit.under(name))? {
                *field = text;
            }
        }
        Ok(entry)
    }

    fn auth(self, address: &str) -> Result<AuthConfig, String> {
        let Self { auth, mut config } = self;
        if !auth.is_empty() {
            let wrong = |what| format!("{} is {what}", place(["auths", address, "auth"]));
            // Docker breaks long lines, or those before it did.
            let unbroken: Vec<u8> = auth.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
            let decoded = BASE64.decode(unbroken).map_err(|_| wrong("no base64"))?;
            let colon = decoded.iter().position(|&byte| byte == b':').filter(|&colon| colon > 0);
            let (user, password) = decoded.split_at(colon.ok_or_else(|| wrong("not the base64 of `user:password`"))?);
            config.username = replaced(user).into_owned();
            config.password = replaced(&password[1..]).trim_matches('\0').to_owned();
        }
        Ok(config)
    }
}

/// What a setting has to be. A null is right everywhere.
enum Form {
    Text,
    Texts,
    /// An object of such values.
    Of(&'static Form),
    /// An object that may have texts of these names, and anything else.
    With(&'static [&'static str]),
    /// Read above.
    Own,
}

/// All settings that Docker knows, for one of a wrong type fails the file.
const SETTINGS: &[(&str, Form)] = &[
    ("auths", Form::Own),
    ("HttpHeaders", Form::Of(&Form::Text)),
    ("psFormat", Form::Text),
    ("imagesFormat", Form::Text),
    ("networksFormat", Form::Text),
    ("pluginsFormat", Form::Text),
    ("volumesFormat", Form::Text),
    ("statsFormat", Form::Text),
    ("detachKeys", Form::Text),
    ("credsStore", Form::Own),
    ("credHelpers", Form::Own),
    ("serviceInspectFormat", Form::Text),
    ("servicesFormat", Form::Text),
    ("tasksFormat", Form::Text),
    ("secretFormat", Form::Text),
    ("configFormat", Form::Text),
    ("nodesFormat", Form::Text),
    ("pruneFilters", Form::Texts),
    ("proxies", Form::Of(&Form::With(&["httpProxy", "httpsProxy", "noProxy", "ftpProxy", "allProxy"]))),
    ("currentContext", Form::Text),
    ("cliPluginsExtraDirs", Form::Texts),
    ("plugins", Form::Of(&Form::Of(&Form::Text))),
    ("aliases", Form::Of(&Form::Text)),
    ("features", Form::Of(&Form::Text)),
    ("experimental", Form::Text),
];

impl Form {
    fn check(&self, value: Json) -> Result<(), Misfit> {
        match self {
            Self::Text => text(value).map(drop),
            Self::Texts => match value {
                Json::Null => Ok(()),
                Json::List(list) => list.into_iter().try_for_each(|value| text(value).map(drop)),
                other => Err(Misfit::new(&other, "a list")),
            },
            Self::Of(form) => members(value)?
                .into_iter()
                .flatten()
                .try_for_each(|(key, value)| form.check(value).map_err(|misfit| misfit.under(&key))),
            Self::With(names) => members(value)?.into_iter().flatten().try_for_each(|(key, value)| {
                let name = names.iter().find(|name| is_same_key(name, &key));
                name.map_or(Ok(()), |name| text(value).map(drop).map_err(|misfit| misfit.under(name)))
            }),
            Self::Own => Ok(()),
        }
    }
}

/// Whether a key is that name, in any case. Go counts two letters beyond ASCII among the cases of
/// `s` and `k`.
fn is_same_key(name: &str, key: &str) -> bool {
    let folded = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    name.chars().map(folded).eq(key.chars().map(folded))
}

/// A text; `None`: not set.
fn text(value: Json) -> Result<Option<String>, Misfit> {
    match value {
        Json::Null => Ok(None),
        Json::Text(text) => Ok(Some(text)),
        other => Err(Misfit::new(&other, "a text")),
    }
}

/// What is in an object; `None`: not set.
fn members(value: Json) -> Result<Option<Vec<(String, Json)>>, Misfit> {
    match value {
        Json::Null => Ok(None),
        Json::Object(list) => Ok(Some(list)),
        other => Err(Misfit::new(&other, "an object")),
    }
}

/// A value of the wrong type.
struct Misfit {
    /// From the value outwards.
    keys: Vec<String>,
    is: &'static str,
    wanted: &'static str,
}

impl Misfit {
    fn new(value: &Json, wanted: &'static str) -> Self {
        Self { keys: Vec::new(), is: value.kind(), wanted }
    }

    fn under(mut self, key: &str) -> Self {
        self.keys.push(key.to_owned());
        self
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.keys.iter().rev().map(String::as_str);
        write!(f, "{} is {}, and should be {}", place(keys), self.is, self.wanted)
    }
}

/// A place in the file: `` `auths["registry.example"].auth` ``. What stands before an `@` in a key
/// may be a password.
fn place<'a>(keys: impl IntoIterator<Item = &'a str>) -> String {
    let mut place = String::from("`");
    for key in keys {
        if key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            place.push_str(if place.len() > 1 { "." } else { "" });
            place.push_str(key);
        } else {
            let key: String = key.rsplit('@').next().unwrap_or_default().chars().take(100).collect();
            place.push_str(&format!("[{key:?}]"));
        }
    }
    place.push('`');
    place
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bin, index};
    use super::*;
    use std::fs::OpenOptions;
    use std::time::{Duration, Instant};

    fn parse(text: &str) -> Result<ConfigFile, String> {
        ConfigFile::parse(text.as_bytes())
    }

    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting() {
        let bin = Bin::new();
        let fifo = bin.path("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let begun = Instant::now();
        for path in [fifo.as_path(), Path::new("/dev/zero"), Path::new("/"), Path::new("/nowhere.json")] {
            let Err(error) = ConfigFile::read(path) else { panic!("{} was read", path.display()) };
            assert!(matches!(error, CredentialsError::Read { .. }), "{error:?}");
            assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        }
        assert!(begun.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_file_without_end_is_refused() {
        let bin = Bin::new();
        let file = bin.file("big.json", "{}");
        OpenOptions::new().write(true).open(&file).unwrap().set_len(LIMIT + 1).unwrap();
        assert!(matches!(ConfigFile::read(&file), Err(CredentialsError::Read { .. })));
    }

    #[test]
    fn a_key_or_an_address_with_the_host() {
        let text = r#"{"auths": {"https://r.example/v2/": {"password": "long"}, "r.example": {"password": "short"},
            "http://b.example": {"password": "http"}, "https://b.example": {"password": "https"},
            "docker.io": {"password": "no"},
            "empty.example": {"email": "e"}, "https://empty.example": {"password": "p"}}}"#;
        let password = |name| parse(text).unwrap().take_entry(&index(name)).map(|auth| auth.password);
        for (name, want) in [
            ("r.example", Some("short")),
            ("b.example", Some("http")),
            ("docker.io", None),
            ("empty.example", Some("p")),
            ("r.example:443", None),
        ] {
            assert_eq!(password(name).as_deref(), want, "{name}");
        }
    }

    #[test]
    fn settings_of_the_wrong_type_are_named_and_not_quoted() {
        for (text, place) in [
            (r#"{"auths": "hunter2"}"#, "`auths` is a text, and should be an object"),
            (r#"{"auths": {"r.example": "hunter2"}}"#, "`auths[\"r.example\"]`"),
            (r#"{"auths": {"r.example": {"AUTH": ["hunter2"]}}}"#, "`auths[\"r.example\"].auth`"),
            (r#"{"auths": {"https://ann:hunter2@r.example": {"email": 5}}}"#, "`auths[\"r.example\"].email`"),
            (
                r#"{"auths": {"r\u001b.example": {"auth": "hunter2"}}}"#,
                "`auths[\"r\\u{1b}.example\"].auth` is no base64",
            ),
            (r#"{"auths": {"localhost": {"auth": "aHVudGVyMg=="}}}"#, "`auths.localhost.auth` is not the base64"),
            (r#"{"credHelpers": {"r.example": 5}}"#, "`credHelpers[\"r.example\"]`"),
            (r#"{"credsSTORE": {}}"#, "`credsStore`"),
            (r#"{"psFormat": true}"#, "`psFormat` is a boolean"),
            (r#"{"proxies": {"default": {"httpproxy": ["hunter2"]}}}"#, "`proxies.default.httpProxy`"),
            (r#"{"plugins": {"a": {"b": 1.5}}}"#, "`plugins.a.b`"),
            (r#"{"pruneFilters": ["a", 1]}"#, "`pruneFilters`"),
            (r#"{"HttpHeaders": ["hunter2"]}"#, "`HttpHeaders` is a list"),
            (r#"["hunter2"]"#, "it is a list"),
            ("{\n\"auths\": hunter2}", "line 2 column 10"),
        ] {
            let Err(error) = parse(text) else { panic!("{text} is taken") };
            assert!(error.contains(place), "{text}\n{error}");
            assert!(!error.contains("hunter2") && !error.contains("aHVudGVyMg"), "{text}\n{error}");
        }
    }

    #[test]
    fn nulls_and_repeated_keys() {
        let file = parse(
            r#"{"auths": {"a": {"password": "1"}}, "Auths": {"b": {"password": "2", "Password": null}},
                "credsStore": "s", "credsStore": null, "credHelpers": {"x": "y"}, "credHelpers": null,
                "proxies": {"default": null}, "pruneFilters": [null], "plugins": null, "aliases": {"a": null}}"#,
        )
        .unwrap();
        assert_eq!(file.auths.values().map(|auth| auth.password.as_str()).collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!((file.store.as_str(), file.helpers.len()), ("s", 0));
        assert!(parse(r#"{"auths": {"a": {"password": "1"}}, "auths": null}"#).unwrap().auths.is_empty());
        // A second entry takes the place of the first, also of one that could not be decoded.
        let file = parse(r#"{"auths": {"a": {"auth": "!!"}, "a": {"username": "u"}}}"#).unwrap();
        assert_eq!(file.auths["a"].username, "u");
        assert_eq!(parse("{\"cred\u{17f}\u{17f}tore\": \"no\", \"cred\u{17f}Store\": \"yes\"}").unwrap().store, "yes");
    }

    #[test]
    fn what_auth_may_be() {
        let auth = |auth: &str| {
            let file = parse(&serde_json::json!({"auths": {"a": {"auth": auth, "username": "x"}}}).to_string())?;
            Ok::<_, String>((file.auths["a"].username.clone(), file.auths["a"].password.clone()))
        };
        for (text, user, password) in [
            ("YW5uOnNlY3JldA==", "ann", "secret"),
            ("YW5uOnNlY3JldB==", "ann", "secret"),
            ("YW5uOn\r\nNlY3JldA=\n=\n", "ann", "secret"),
            ("YW5uOvv//n5+fj8/Pw==", "ann", "\u{fffd}\u{fffd}\u{fffd}~~~???"),
            ("", "x", ""),
        ] {
            assert_eq!(auth(text).unwrap(), (user.to_owned(), password.to_owned()), "{text}");
        }
        for text in ["\n", "YW5uOnNlY3JldA", "YW5uOnNlY3JldA==YQ==", "OnNlY3JldA==", "YW5u", "YW5uOnNlY3JldA= ="] {
            assert!(auth(text).is_err(), "{text}");
        }
    }
}

//! Values that several wire types hold, each because a std type would do the wrong thing: show a secret, write a set as a list, refuse a null.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny};
use serde::{Serialize, ser::Serializer};

use super::wire::{nullable, wire_value};

/// An environment: `NAME=value` each; a `NAME` alone removes what the image sets. `Debug` shows the names only, for values may be secrets.
#[derive(Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Env(pub Vec<String>);

/// Options with values that may be secrets (a log driver's token, a share's password), so that `Debug` shows the names only.
#[derive(Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct SecretMap(pub BTreeMap<String, String>);

/// A set of names that Docker writes as an object: `{"80/tcp": {}}`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NameSet(pub BTreeSet<String>);

/// An answer that is a list. Where there is nothing, some Engines answer with null instead of `[]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct List<T>(pub Vec<T>);

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |entry: &String| entry.split_once('=').map_or(entry.clone(), |(name, _)| name.into());
        f.debug_list().entries(self.0.iter().map(name)).finish()
    }
}

impl From<Vec<String>> for Env {
    fn from(entries: Vec<String>) -> Self {
        Self(entries)
    }
}

impl FromIterator<String> for Env {
    fn from_iter<I: IntoIterator<Item = String>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl fmt::Debug for SecretMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl From<BTreeMap<String, String>> for SecretMap {
    fn from(map: BTreeMap<String, String>) -> Self {
        Self(map)
    }
}

impl FromIterator<(String, String)> for SecretMap {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl FromIterator<String> for NameSet {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        Self(names.into_iter().collect())
    }
}

impl Serialize for NameSet {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let empty = BTreeMap::<(), ()>::new();
        to.collect_map(self.0.iter().map(|name| (name, &empty)))
    }
}

impl<'de> Deserialize<'de> for Env {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        nullable(from).map(Self)
    }
}

impl<'de> Deserialize<'de> for SecretMap {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        nullable(from).map(Self)
    }
}

impl<'de> Deserialize<'de> for NameSet {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self(BTreeMap::<String, IgnoredAny>::deserialize(from)?.into_keys().collect()))
    }
}

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let list = Option::<Vec<Option<T>>>::deserialize(from)?.unwrap_or_default();
        Ok(Self(list.into_iter().map(Option::unwrap_or_default).collect()))
    }
}

wire_value!(Env, SecretMap, NameSet);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_null_list_is_empty() {
        for (body, want) in [("null", vec![]), ("[]", vec![]), (r#"["a",null]"#, vec!["a".to_owned(), String::new()])] {
            assert_eq!(serde_json::from_str::<List<String>>(body).unwrap().0, want, "{body}");
        }
        assert!(serde_json::from_str::<List<String>>("{}").is_err(), "an object is no list");
    }
}

//! What every wire type has in common: how it is derived, what a null means, what is left out of a request.
//! It knows no endpoint and no field.
//!
//! Engines swap null, `[]`, `{}` and a missing field freely, so all of them are the default, at every depth:
//! a null among a list's elements or a map's values too.

use std::collections::BTreeMap;

use serde::de::{Deserialize, Deserializer};

/// Declares wire types. Their fields are public, bear Docker's names (by the case; `rename` where Docker has it otherwise), are read by
/// [`nullable`], and are not written while they hold their default.
macro_rules! wire {
    (case $case:literal; $($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $kind:ty,)* })*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, rename_all = $case)]
        pub struct $name {$(
            $(#[$field_meta])*
            #[serde(deserialize_with = "crate::engine::types::wire::nullable")]
            #[serde(skip_serializing_if = "crate::engine::types::wire::is_default")]
            pub $field: $kind,
        )*}

        $crate::engine::types::wire::wire_value!($name);
    )*};
    ($($all:tt)*) => { $crate::engine::types::wire::wire! { case "PascalCase"; $($all)* } };
}

/// Says of types that they are read as serde reads them, and that null is their default.
macro_rules! wire_value {
    ($($name:ty),+ $(,)?) => {$(
        impl $crate::engine::types::wire::Wire for $name {
            fn read<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                Ok(<Option<Self> as serde::Deserialize>::deserialize(from)?.unwrap_or_default())
            }
        }
    )+};
}

pub(crate) use {wire, wire_value};

/// What can be read from an Engine's answer: a null is the default.
pub(crate) trait Wire: Sized {
    /// Reads a value.
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error>;
}

/// Reads a field: a null, at any depth, is the default.
pub(crate) fn nullable<'de, D: Deserializer<'de>, T: Wire>(from: D) -> Result<T, D::Error> {
    T::read(from)
}

/// Whether a field may stay out of a request.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Lets serde read a [`Wire`] where it wants a `Deserialize`: in lists and maps.
struct Nullable<T>(T);

impl<'de, T: Wire> Deserialize<'de> for Nullable<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::read(from).map(Self)
    }
}

wire_value!(bool, u16, u32, u64, i32, i64, f64, String, [u32; 2], serde_json::Value);

impl<T: Wire> Wire for Option<T> {
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Option::<Nullable<T>>::deserialize(from)?.map(|value| value.0))
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let list = Option::<Vec<Nullable<T>>>::deserialize(from)?.unwrap_or_default();
        Ok(list.into_iter().map(|value| value.0).collect())
    }
}

impl<T: Wire> Wire for BTreeMap<String, T> {
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let map = Option::<BTreeMap<String, Nullable<T>>>::deserialize(from)?.unwrap_or_default();
        Ok(map.into_iter().map(|(name, value)| (name, value.0)).collect())
    }
}

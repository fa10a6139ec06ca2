//! A recording as a HAR file: its entries, how they are read, with bounds and places, and written.

pub(in crate::replay) mod at;
pub(in crate::replay) mod cassette;
pub(in crate::replay) mod entry;
pub(in crate::replay) mod exchange;
pub(in crate::replay) mod json;
pub(in crate::replay) mod read;
pub(in crate::replay) mod time;
pub(in crate::replay) mod tree;
pub(in crate::replay) mod write;

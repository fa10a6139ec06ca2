//! TODO

pub(in crate::replay) mod coding;
pub(in crate::replay) mod inflate;
pub(in crate::replay) mod server;
pub(in crate::replay) mod spool;
pub(in crate::replay) mod target;
pub(in crate::replay) mod wire;

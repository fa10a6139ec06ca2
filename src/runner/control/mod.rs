//! TODO

pub(in crate::runner) mod acquire;
pub(in crate::runner) mod lookup;
pub(in crate::runner) mod outside;
pub(in crate::runner) mod status;

//! TODO

pub(in crate::runner) mod event;
pub(in crate::runner) mod reader;
pub(in crate::runner) mod writer;

//! The events of an allocation: what they are, how their owner writes them down, and how others read them.

pub(in crate::runner) mod event;
pub(in crate::runner) mod reader;
pub(in crate::runner) mod writer;

//! TODO

pub(in crate::runner) mod desired;
pub(in crate::runner) mod dirs;
pub(in crate::runner) mod lock;
pub(in crate::runner) mod store;

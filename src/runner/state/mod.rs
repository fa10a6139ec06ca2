//! What outlives the process: the data directory, the saved state of each allocation, the lock of its owner, and the state that
//! others desire of it.

pub(in crate::runner) mod desired;
pub(in crate::runner) mod dirs;
pub(in crate::runner) mod lock;
pub(in crate::runner) mod store;

//! From a job to what runs here: allocations and their tasks, their ids, environment and restart policy. Pure.

pub(in crate::runner) mod alloc;
pub(in crate::runner) mod env;
pub(in crate::runner) mod ids;
pub(in crate::runner) mod machine;
pub(in crate::runner) mod restart;

//! Before and beside supervision: acquiring allocations, finding tasks, looking at them, and acting on them without owning them.

pub(in crate::runner) mod acquire;
pub(in crate::runner) mod lookup;
pub(in crate::runner) mod outside;
pub(in crate::runner) mod status;

//! What a container's output is for who only looks: what is collected, and what the Engine holds beyond that.

pub(in crate::logs) mod held;

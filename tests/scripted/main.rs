//! Tests on an Engine that does what no real one can be made to do: it answers wrongly, late, in bits, or not at all.
#![allow(clippy::unwrap_used)]

mod calls;
mod engine;
mod logs;
mod tasks;
mod versions;

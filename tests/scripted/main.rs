//! Tests on a scripted Engine that misbehaves: they need none.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod kit;
mod world;

mod answers;
mod bodies;
mod connections;
mod coordination;
mod errors;
mod execs;
mod hangups;
mod images;
mod lives;
mod outputs;
mod sinks;
mod starts;
mod versions;
mod waits;

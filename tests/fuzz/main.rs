//! Every reader of what others wrote, with broken inputs: it gives an answer or an error, soon, and never panics.
//!
//! A target is a test of its own; its good inputs are in `fixtures/fuzz/<target>`. `make test` tries each for a second,
//! `make fuzz` for a minute. What fails is a file, which joins those inputs once it is mended.
#![allow(clippy::unwrap_used)]

mod answers;
mod driver;
mod files;
mod harness;
#[allow(dead_code, reason = "what the scripted Engine with containers needs of it")]
#[path = "../scripted/kit.rs"]
mod kit;
mod mutate;
#[path = "../support/mod.rs"]
mod support;
mod texts;
#[allow(dead_code, reason = "a part of it is used here")]
#[path = "../scripted/world.rs"]
mod world;

//! Tests on what Engines have said: they need none.
#![allow(clippy::unwrap_used)]

mod answers;

#[path = "../support/mod.rs"]
mod support;

mod hostile;
mod players;
mod sessions;
mod tapes;

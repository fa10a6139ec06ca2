//! Tests on what Engines have said: they need none.
#![allow(clippy::unwrap_used)]

#[macro_use]
#[path = "../cases/mod.rs"]
mod cases;
#[path = "../support/mod.rs"]
mod support;

mod answers;
mod clients;
mod docker_run;
mod hostile;
mod journals;
mod order;
mod players;
mod recorded;
mod recordings;
mod sessions;
mod tapes;

//! Tests on what a real Nomad answers: every row of `fixtures/golden`, by value.
#![allow(clippy::unwrap_used)]

mod credentials;
mod references;

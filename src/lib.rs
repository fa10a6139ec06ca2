//! Runs Docker tasks from plain synchronous Rust.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod driver;
pub mod engine;
mod host;
#[cfg(feature = "cli")]
pub mod job;
pub mod values;

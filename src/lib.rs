//! Runs Docker tasks from plain synchronous Rust.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod driver;
#[cfg(feature = "cli")]
pub mod job;
pub mod values;

//! Runs Docker tasks from plain synchronous Rust.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod driver;
pub mod values;

//! Runs Docker tasks from plain synchronous Rust.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod driver;
pub mod engine;
mod host;
mod http;
pub mod logs;
mod threads;
pub mod values;

pub use http::{Endpoint, EndpointError};
pub use threads::Hangup;

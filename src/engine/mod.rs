//! The Engine API.
pub mod types;

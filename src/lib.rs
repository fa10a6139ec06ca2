//! Runs Docker tasks from plain synchronous Rust.
//!
//! Three things in one crate, each usable without the next:
//!
//! 1. [`engine`]: a blocking client of the Docker Engine API, over sockets of std.
//! 2. [`driver`]: a task driver: start, wait, stop, destroy, inspect; a task's output, each line once ([`logs`]).
//! 3. The `longshore` program (feature `cli`, on by default): runs the docker tasks of a Nomad job file on one machine,
//!    without Nomad. The modules that read such files and run them are the program's own, and change with it.
//!
//! Beside them, [`replay`] records what an Engine says and plays it back, for tests without Docker.
//!
//! There is no async runtime in any of it. What waits blocks in a system call or on a channel, and a [`Hangup`] ends it.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[cfg(feature = "cli")]
pub mod cli;
pub mod driver;
pub mod engine;
mod files;
mod host;
mod http;
pub mod images;
#[cfg(feature = "cli")]
#[doc(hidden)] // The program's own; public for its tests.
pub mod job;
mod limits;
pub mod logs;
pub mod replay;
#[cfg(feature = "cli")]
#[doc(hidden)] // The program's own; public for its tests.
pub mod runner;
mod stats;
mod threads;
pub mod values;

pub use http::{Endpoint, EndpointError};
pub use threads::Hangup;

/// The examples of README and docs are compiled with the documentation's tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../docs/recordings.md")]
struct Readme;

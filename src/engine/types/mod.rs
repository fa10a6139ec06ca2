//! The Engine's bodies, requests and answers, with Docker's names in Rust's spelling: API 1.41 to 1.51, and what podman makes of it.
//! Data only: no I/O, no version checks, no meaning beyond what a field is. One type serves a request and an answer where Docker's does.
//!
//! Reading is lenient: a missing field and a null are the default, an unknown field is ignored. Writing leaves out whatever holds its
//! default; a field is an `Option` where "not set" and "zero" are two different things to the Engine.

mod container;
mod create;
mod error_message;
mod event;
mod exec;
mod host_config;
mod image;
mod network;
mod registry;
mod stats;
mod system;
mod values;
mod volume;
mod wire;

pub use container::*;
pub use create::*;
pub(crate) use error_message::cut;
pub use error_message::error_message;
pub(crate) use error_message::is_engines_error;
pub use event::*;
pub use exec::*;
pub use host_config::*;
pub use image::*;
pub use network::*;
pub use registry::*;
pub use stats::*;
pub use system::*;
pub use values::*;
pub use volume::*;

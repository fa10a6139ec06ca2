//! An Engine in a file: recordings of what an Engine said, and their players, for tests without Docker.

mod cassette;
mod error;
mod exchange;
mod read;
mod server;
mod spool;
mod target;
mod time;
mod vars;
mod wire;
mod write;

pub use cassette::{Cassette, Entry};
pub use error::Error;

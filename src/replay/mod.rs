//! An Engine in a file: recordings of what an Engine said, and their players, for tests without Docker.

pub mod scripted;
mod server;
mod wire;

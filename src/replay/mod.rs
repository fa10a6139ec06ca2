//! An Engine in a file: recordings of what an Engine said, and their players, for tests without Docker.

mod server;
mod wire;

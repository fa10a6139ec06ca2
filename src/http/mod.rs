//! Bytes: endpoints, sockets, one HTTP exchange, a stream. Knows HTTP, and nothing of Docker.

mod chunks;
mod duplex;
mod endpoint;
mod error;
mod exchange;
mod socket;
mod stream;
mod transport;

pub(crate) use duplex::{Duplex, Sender};
pub use endpoint::{Endpoint, EndpointError};
pub(crate) use error::{Error, TooLarge};
pub(crate) use exchange::{Body, Client, Method, Reply, Request, Timeouts};
pub(crate) use socket::{Connect, Socket};
pub(crate) use stream::Stream;
pub(crate) use transport::Buffers;

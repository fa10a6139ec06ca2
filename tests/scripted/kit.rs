//! What the tests add to the scripted Engine.

use std::time::Duration;

use longshore::engine::{Engine, EngineConfig, Stream};
use longshore::replay::scripted::{self, Answer, Scripted};

/// An answer with its name, for tables: made each time anew.
pub(crate) type Named = (&'static str, fn() -> Answer);

/// A client that waits for an ordinary call so long.
pub(crate) fn engine_within(scripted: &Scripted, call_timeout: Duration) -> Engine {
    scripted.engine_with(EngineConfig { call_timeout, ..EngineConfig::default() })
}

/// A frame by its stream's number: 1 is standard output, 2 standard error, 3 the Engine itself.
pub(crate) fn frame(stream: u8, bytes: &[u8]) -> Vec<u8> {
    let stream = match stream {
        1 => Stream::Stdout,
        2 => Stream::Stderr,
        3 => Stream::System,
        other => panic!("no stream {other}"),
    };
    scripted::frame(stream, bytes)
}

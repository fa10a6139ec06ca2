//! What tasks write: each record that the Engine hands out, exactly once, to sinks.
//!
//! `record` and `raw` cut what comes into stamped records, `cursor` tells new ones from seen ones, `sink` is where they go, and
//! `collector` is the thread that reads, follows and reads again. Nothing here knows of tasks.

mod collector;
mod cursor;
mod raw;
mod record;
mod sink;

pub(crate) use collector::{Collected, Collector, Settings};
pub(crate) use raw::Cuts;
pub use record::{Record, Stamp, Stream};
pub(crate) use sink::FileSink;
pub use sink::{Sink, WriteSink};

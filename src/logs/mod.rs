//! What tasks write: each record that the Engine hands out, exactly once, to sinks.
//!
//! `record` and `raw` cut what comes into stamped records, `cursor` tells new ones from seen ones, `kept` lays that down beside the
//! sinks, `file`, `fifo` and `sink` are where they go, each in a `lane` of its own (`lanes`: all of a container's),
//! `collection` reads, follows and reads again, at a `pace`, and `collector` is its thread. Nothing here knows of tasks.

mod collection;
mod collector;
mod cursor;
mod digest;
mod fifo;
mod file;
#[cfg(feature = "cli")]
mod held;
pub(crate) mod kept;
mod lane;
mod lanes;
pub(crate) mod layout;
mod outlet;
mod pace;
mod pulse;
mod raw;
mod record;
mod sink;
#[cfg(test)]
mod testing;

pub(crate) use collector::{Collected, Collector, Settings};
#[cfg(feature = "cli")]
pub(crate) use cursor::Reached;
pub(crate) use file::Rotation;
#[cfg(feature = "cli")]
pub(crate) use held::{Held, HeldError};
pub(crate) use lane::{Lane, Target};
pub(crate) use pulse::Watch;
pub(crate) use raw::Cuts;
pub use record::{Record, Stamp, Stream};
pub use sink::{ChannelSink, OwnedRecord, Sink, WriteSink};

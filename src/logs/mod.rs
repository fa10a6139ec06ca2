//! What tasks write: each record that the Engine hands out, exactly once, to sinks.
//!
//! `record` and `raw` cut what comes into stamped records, `cursor` tells new ones from seen ones, `kept` lays that down beside the
//! sinks, `file`, `fifo` and `sink` are where they go, each in a `lane` of its own (`lanes`: all of a container's),
//! `source` says what an Engine keeps, a `reading` is one request for it, at a `pace`; `collection` reads, follows and reads again,
//! and `collector` is its thread. `held` is for who only looks. Nothing here knows of tasks.

pub(crate) mod clock;
mod collection;
mod collector;
mod cursor;
mod digest;
mod fifo;
mod file;
#[cfg(feature = "cli")]
mod held;
pub(crate) mod kept;
mod lag;
mod lane;
mod lanes;
pub(crate) mod layout;
mod order;
mod outlet;
mod pace;
mod pulse;
mod raw;
mod reading;
mod record;
mod sink;
mod source;
#[cfg(test)]
mod testing;

pub(crate) use collector::{Collected, Collector};
#[cfg(feature = "cli")]
pub(crate) use cursor::Reached;
pub(crate) use file::Rotation;
#[cfg(feature = "cli")]
pub(crate) use held::{Held, HeldError, KnownStream};
pub(crate) use lane::{Lane, Target};
pub(crate) use pulse::Watch;
pub use record::{Record, Stamp, Stream};
pub use sink::{ChannelSink, OwnedRecord, Sink, WriteSink};
pub(crate) use source::Source;

//! What tasks write: each record that the Engine hands out, exactly once, to sinks.
//!
//! Bytes take one way: `fetch` asks the Engine, `record` cuts what comes into stamped records, `delivery` passes them on to each `sink`
//! whose `checkpoint` says that they are new. `collector` is the thread of it, and `stored` is for who only looks. Nothing
//! here knows of tasks.

pub(crate) mod checkpoint;
mod collector;
pub(crate) mod delivery;
mod fetch;
mod record;
pub(crate) mod sink;
#[cfg(feature = "cli")]
pub(crate) mod stored;
#[cfg(test)]
mod testing;

#[cfg(feature = "cli")]
pub(crate) use checkpoint::tracker::Reached;
pub(crate) use collector::Collector;
pub(crate) use delivery::report::Collected;
pub(crate) use delivery::subscription::{Subscription, Target};
pub(crate) use delivery::watchdog::Watch;
pub(crate) use fetch::source::Source;
pub use record::{Record, Stamp, Stream};
pub(crate) use sink::rotating::Rotation;
pub use sink::{ChannelSink, OwnedRecord, Sink, WriteSink};
#[cfg(feature = "cli")]
pub(crate) use stored::held::{Held, HeldError, KnownStream};

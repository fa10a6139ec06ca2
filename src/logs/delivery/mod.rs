//! From records to sinks: a `subscription` is one sink with its checkpoint, the `fanout` is all of a container's, and the `watchdog` is the
//! thread that looks after sinks that take nothing and streams that are silent.

pub(crate) mod clock;
pub(in crate::logs) mod fanout;
pub(in crate::logs) mod report;
pub(in crate::logs) mod subscription;
pub(in crate::logs) mod watchdog;

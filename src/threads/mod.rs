//! Threads with an owner, and how they are ended: no flags, no polling.

mod backoff;
mod hangup;
mod worker;

pub(crate) use backoff::Backoff;
pub use hangup::Hangup;
pub(crate) use hangup::{Cut, HungUp, Registration};
pub(crate) use worker::Worker;

/// How often something is looked at that nobody tells of: a person does not see the difference.
pub(crate) const POLL_INTERVAL: std::time::Duration = std::time::Duration::from_millis(200);

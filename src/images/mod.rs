//! Images: what a reference means, where credentials for a registry come from, how far a pull is, and the coordinator
//! that pulls each image once, counts who uses it, and removes it when nobody does (driver-spec 5, 6, 15.1).

mod progress;
mod reference;

pub use progress::{PullProgress, PullState, SLOW_REPORT, TICK, Tracker};
pub use reference::{Index, Reference, ReferenceError};

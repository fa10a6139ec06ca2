//! Runs the allocations of a job on this machine: their directories, their environment, restarts by policy, the state that
//! outlives this process. What a job file says is the concern of `job`, what a task is that of `driver`; what a person
//! sees of it, and where the output goes, is decided by a [`Watcher`].

mod control;
mod error;
mod journal;
mod place;
mod state;
mod supervise;
#[cfg(test)]
mod testing;

pub use control::acquire::{Begun, Site, begin, begin_or_take_up, take_up};
pub use control::lookup::{Found, find, find_alloc, find_ended_too, short};
pub use control::outside::Outside;
pub use control::status::{Seen, TaskView, View, look_at};
pub use error::{Error, chain};
pub use journal::event::{Event, Happened, rfc3339};
pub use journal::reader::{Follower, last_events};
pub use place::alloc::{Allocation, PlacedTask, Placement, Selection, place};
pub use place::ids::{random_uuid, uuid_of};
pub use place::machine::Machine;
pub use place::restart::{Decision, Ending, History, Policy, StopReason, decide};
pub use state::desired::{Desired, DesiredStates};
pub use state::dirs::DataDir;
pub use state::lock::{Owned, Ownership};
pub use state::store::{AllocState, Head, Store, TaskRecord};
pub use supervise::detach::{Detached, Healthy};
pub use supervise::outcome::{End, FAILED, TaskOutcome, exit_code};
pub use supervise::run::{Runner, Watcher};
pub use supervise::stop::Stop;

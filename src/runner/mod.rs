//! Runs the allocations of a job on this machine: their directories, their environment, restarts by policy, the state that
//! outlives this process. What a job file says is the concern of `job`, what a task is that of `driver`; what a person
//! sees of it, and where the output goes, is decided by a [`Watcher`].

mod alloc;
mod begin;
pub(crate) mod collected;
mod detach;
mod dirs;
mod env;
mod error;
mod events;
mod find;
mod ids;
mod journal;
mod lifecycle;
mod machine;
mod news;
mod outcome;
mod outside;
mod owner;
mod restart;
mod state;
mod stop;
mod take_up;
mod task_thread;
#[cfg(test)]
mod testing;
mod view;
mod wish;

pub use alloc::{Allocation, PlacedTask, Placement, Selection, place};
pub use begin::{Begun, Site, begin, begin_or_take_up, take_up};
pub use detach::{Detached, Healthy};
pub use dirs::DataDir;
pub use error::{Error, chain};
pub use events::{Event, Happened, rfc3339};
pub use find::{Found, find, find_alloc, find_ended_too, short};
pub use ids::{random_uuid, uuid_of};
pub use lifecycle::{Runner, Watcher};
pub use machine::Machine;
pub use news::{Follower, last_events};
pub use outcome::{End, FAILED, TaskOutcome, exit_code};
pub use outside::Outside;
pub use owner::{Owned, Ownership};
pub use restart::{Decision, Ending, History, Policy, StopReason, decide};
pub use state::{AllocState, Head, Store, TaskRecord};
pub use stop::Stop;
pub use view::{Seen, TaskView, View, look_at};
pub use wish::{Wanted, Wish};

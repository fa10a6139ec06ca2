//! The task driver.
mod events;
mod task;

pub use events::TaskEvent;
pub use task::*;

//! The owner at work: a thread for each allocation and task, from its start or recovery to the exit code.

mod clear;
pub(in crate::runner) mod detach;
pub(in crate::runner) mod outcome;
pub(in crate::runner) mod recover;
pub(in crate::runner) mod run;
pub(in crate::runner) mod stop;
pub(in crate::runner) mod task;

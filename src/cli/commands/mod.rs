//! What can be typed: one file a command.

pub(in crate::cli) mod detach_keys;
pub(in crate::cli) mod events;
pub(in crate::cli) mod exec;
pub(in crate::cli) mod faults;
pub(in crate::cli) mod gc;
pub(in crate::cli) mod images;
pub(in crate::cli) mod job_file;
pub(in crate::cli) mod logs;
pub(in crate::cli) mod ping;
pub(in crate::cli) mod plan;
pub(in crate::cli) mod ps;
pub(in crate::cli) mod pull;
pub(in crate::cli) mod record;
pub(in crate::cli) mod recover;
pub(in crate::cli) mod replay;
pub(in crate::cli) mod run;
pub(in crate::cli) mod signal;
pub(in crate::cli) mod stats;
pub(in crate::cli) mod status;
pub(in crate::cli) mod stop;
pub(in crate::cli) mod supervise;
pub(in crate::cli) mod validate;

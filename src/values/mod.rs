//! Pure grammars that several layers share (driver-spec 15): signals, durations, sizes, globs, paths.
//! Text in, values out; no I/O, nothing of the Engine, nothing of this machine.

pub(crate) mod calendar;
pub mod duration;
pub mod glob;
pub mod path;
mod printable;
pub(crate) mod rfc3339;
mod signal;
pub mod size;

pub use duration::DurationError;
pub use printable::{printable, printable_ascii, printable_json, printable_lines};
pub use signal::{Signal, SignalError};
pub use size::SizeError;

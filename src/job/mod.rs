//! Job files: Nomad's HCL, and JSON in the API's shape or in HCL's, into a [`Job`]. Text in, a model out: no file is read here, no value of this
//! machine is known, and which options the driver has is the driver's business ([`crate::driver`]).
//!
//! What longshore cannot do yet is refused by name and place, never ignored; what has no meaning on one machine is accepted, with a notice
//! ([`Job::notices`]) where a person might miss it. All problems of a file come at once, but a text that cannot be parsed has one.
//!
//! The way of a file: `hcl` or `json` and `shape` make a tree of blocks and values, each with its offset; `names` says what may stand where and
//! what becomes of it; `decode` makes the model of it. [`interpolate`] is another time: when a task is placed.

mod decode;
mod hcl;
mod hints;
pub mod interpolate;
mod json;
mod model;
mod names;
mod position;
mod problem;
mod scan;
mod shape;
mod tree;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub(crate) use decode::reserved;
pub use model::{Group, Job, JobType, RestartMode, RestartPolicy, Task, TaskLogs, TaskResources};
pub use position::{Position, Positions};
pub use problem::Problem;

use position::Source;
use tree::Fault;

/// The largest job file, in bytes. Nomad's own limit for a job's source is 1 MB.
pub const LARGEST: usize = 4 << 20;

/// Reads a job file. `name` is what its problems call it.
///
/// It is JSON if its first character that is no white space is `{`, else HCL; a byte order mark is skipped.
///
/// # Errors
///
/// Every problem of the file, in the order of their places; one alone where it cannot be parsed.
pub fn parse(name: &str, text: &str) -> Result<Job, Vec<Problem>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.len() > LARGEST {
        let message = format!("the file is larger than {} MiB", LARGEST >> 20);
        return Err(vec![Problem { file: name.into(), line: 1, column: 1, message }]);
    }
    let source = Arc::new(Source::new(name, text));
    let refused = |fault: Fault| vec![source.problem(fault.at, fault.message)];
    if let Some(at) = text.find('\0') {
        return Err(refused(Fault::new(at, "a NUL byte: this is no text")));
    }
    let body = if is_json(text) { json::read(text).and_then(shape::file) } else { hcl::read(text) };
    decode::file(&source, &body.map_err(refused)?)
}

/// Reads a job file that may not be text at all.
///
/// # Errors
///
/// As [`parse`]; and the place of the first byte that is not UTF-8.
pub fn parse_bytes(name: &str, bytes: &[u8]) -> Result<Job, Vec<Problem>> {
    match std::str::from_utf8(bytes) {
        Ok(text) => parse(name, text),
        Err(e) => {
            let text = String::from_utf8_lossy(&bytes[..e.valid_up_to()]);
            Err(vec![Source::new(name, &text).problem(text.len(), "a byte that is not UTF-8: this is no text")])
        }
    }
}

/// Whether a text is JSON: by its first character, unless that begins a template's `{{` or `{%`.
fn is_json(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with('{') && !text.starts_with("{{") && !text.starts_with("{%")
}

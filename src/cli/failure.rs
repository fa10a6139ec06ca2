//! Why a command failed, as it is told: lines for people, an object for programs, an exit code for scripts.

use std::error::Error;

use serde_json::json;

use crate::http::Endpoint;
use crate::job::Problem;
use crate::runner::{self, FAILED, chain};
use crate::{driver, engine, replay};

/// Wrong usage.
const USAGE: u8 = 2;

/// Why a command failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// For people, without the program's name; more than one only for the problems of a file.
    pub(super) lines: Vec<String>,
    kind: &'static str,
    recoverable: bool,
    pub(super) code: u8,
}

impl Failure {
    pub(super) fn new(kind: &'static str, line: String) -> Self {
        Self { lines: vec![line], kind, recoverable: false, code: FAILED }
    }

    pub(super) fn usage(line: String) -> Self {
        Self { code: USAGE, ..Self::new("usage", line) }
    }

    /// A job file with problems.
    pub(super) fn problems(problems: &[Problem]) -> Self {
        let lines = problems.iter().map(Problem::to_string).collect();
        Self { lines, kind: "job_file", recoverable: false, code: FAILED }
    }

    /// What the Engine at `endpoint` did not do. The address is always told.
    pub(super) fn engine(endpoint: &Endpoint, error: &engine::Error) -> Self {
        let place = match error {
            // They name it themselves.
            engine::Error::Connect { .. }
            | engine::Error::Version { .. }
            | engine::Error::VersionRange { .. }
            | engine::Error::NoEngine { .. } => String::new(),
            _ => format!("the Engine at {endpoint}: "),
        };
        let way_out = match error {
            engine::Error::Connect { .. } => ": start Docker, or name another Engine with -H",
            engine::Error::VersionRange { .. } => ": set DOCKER_API_VERSION to one of them, or not at all",
            engine::Error::NoEngine { .. } => ": name another address with -H",
            _ if error.is_unreachable() => ": is the Engine well? Another one can be named with -H",
            _ => "",
        };
        let line = format!("{place}{}{way_out}", chain(error));
        Self { recoverable: error.is_transient(), ..Self::new("engine", line) }
    }

    /// What the driver did not do.
    pub(super) fn driver(error: &driver::Error) -> Self {
        Self { recoverable: error.is_recoverable(), ..Self::new(error.kind(), chain(error)) }
    }

    /// Why it cannot be told where the Engine is, or what is to be spoken with it.
    pub(super) fn context(error: &engine::ContextError) -> Self {
        let line = match error {
            engine::ContextError::ApiVersion(_) => format!("DOCKER_API_VERSION: {}", chain(error)),
            _ => format!("cannot tell where the Engine is: {}: start Docker, or name an Engine with -H", chain(error)),
        };
        Self::new("engine", line)
    }

    pub(super) fn to_json(&self) -> String {
        let message = self.lines.join("\n");
        json!({"error": {"message": message, "kind": self.kind, "recoverable": self.recoverable}}).to_string()
    }
}

impl From<runner::Error> for Failure {
    fn from(error: runner::Error) -> Self {
        match &error {
            runner::Error::Choice { .. } => Self::usage(chain(&error)),
            _ => Self { recoverable: error.is_recoverable(), ..Self::new(error.kind(), chain(&error)) },
        }
    }
}

impl From<replay::Error> for Failure {
    fn from(error: replay::Error) -> Self {
        Self::new("recording", chain(&error))
    }
}

impl From<driver::create::CreateError> for Failure {
    fn from(error: driver::create::CreateError) -> Self {
        Self::new("plan", chain(&error as &(dyn Error + 'static)))
    }
}

//! Why a task's container cannot be asked for. None of it gets better by trying again.

use std::fmt;

use crate::values::printable;

/// Why a task's container cannot be asked for: each names the option and the value.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum CreateError {
    /// The task has no resources.
    NoResources,
    /// The task asks for something that is not built yet.
    NotSupported {
        /// What it asks for.
        what: &'static str,
    },
    /// The container's name is none to Docker.
    Name {
        /// The name.
        name: String,
        /// The character that must not stand there. `None`: the name is too short.
        character: Option<char>,
    },
    /// The environment has a name that no environment can hold. Its value is not told: it may be a secret.
    EnvName {
        /// The name.
        name: String,
    },
    /// A value of the environment holds a NUL.
    EnvValue {
        /// Its name.
        name: String,
    },
    /// A size in MB that is negative, or too large to count in bytes.
    MemoryRange {
        /// Whose value it is: `memory`, `memory_max`, `memory_hard_limit`.
        option: &'static str,
        /// The value, in MB.
        value: i64,
    },
    /// The memory limit is below the memory that the task reserves.
    MemoryLimit {
        /// The limit, in MB: the greater of `memory_hard_limit` and `memory_max`.
        limit: i64,
        /// The task's `memory`, in MB.
        memory: i64,
    },
    /// A path cannot stand in a bind.
    BindPath {
        /// The path.
        path: String,
        /// Why not.
        why: &'static str,
    },
    /// The task wants more processes than the driver allows.
    PidsLimit {
        /// The task's `pids_limit`.
        task: i64,
        /// The driver's `pids_limit`.
        driver: i64,
    },
    /// `cpu_cfs_period` is out of range.
    CpuPeriod {
        /// The value, in µs.
        value: i64,
    },
    /// `cpu_hard_limit` gives the task less than the kernel can count.
    CpuQuota {
        /// The quota, in µs of each period.
        quota: i64,
        /// The period, in µs.
        period: i64,
    },
    /// `cpu_hard_limit` needs a fact of this machine that could not be found out.
    CpuUnknown {
        /// The fact.
        fact: &'static str,
    },
    /// `command` holds nothing but white space.
    CommandBlank,
    /// `command` begins or ends with white space.
    CommandSpace {
        /// The value.
        command: String,
    },
}

impl fmt::Display for CreateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoResources => f.write_str("the task has no resources"),
            Self::NotSupported { what } => write!(f, "{what} is not supported yet"),
            Self::Name { name, character: Some(character) } => write!(
                f,
                "the container would be named `{}`, and {character:?} must not stand there: Docker allows letters, digits, `_`, `.` and \
                 `-`, and first a letter or a digit",
                printable(name)
            ),
            Self::Name { name, character: None } => {
                write!(f, "the container would be named `{name}`, and Docker wants at least two characters")
            }
            Self::EnvName { name } if name.is_empty() => f.write_str("the environment has a variable without a name"),
            Self::EnvName { name } => {
                write!(f, "the environment has a variable named {name:?}, and a name holds neither `=` nor NUL")
            }
            Self::EnvValue { name } => write!(f, "the value of the environment variable {name:?} holds a NUL"),
            Self::MemoryRange { option, value } => write!(f, "`{option}` is {value} MB, which is no size of memory"),
            Self::MemoryLimit { limit, memory } => write!(
                f,
                "the limit of {limit} MB (the greater of `memory_hard_limit` and `memory_max`) is below the task's `memory` of {memory} MB"
            ),
            Self::BindPath { path, why } => write!(f, "the path {path:?} cannot be bound into the container: {why}"),
            Self::PidsLimit { task, driver } => {
                write!(f, "`pids_limit` is {task}, and must not be above the driver's `pids_limit` of {driver}")
            }
            Self::CpuPeriod { value } => write!(f, "`cpu_cfs_period` is {value} µs, and must be 1000 to 1000000, or 0"),
            Self::CpuQuota { quota, period } => write!(
                f,
                "`cpu_hard_limit` gives the task {quota} µs of each {period} µs, and the kernel's least is 1000: \
                 it needs more `cpu` or a longer `cpu_cfs_period`"
            ),
            Self::CpuUnknown { fact } => write!(f, "`cpu_hard_limit` cannot be counted: {fact} is not known"),
            Self::CommandBlank => f.write_str("`command` is nothing but white space"),
            Self::CommandSpace { command } => {
                write!(f, "`command` is {command:?}, and must not begin or end with white space")
            }
        }
    }
}

impl std::error::Error for CreateError {}

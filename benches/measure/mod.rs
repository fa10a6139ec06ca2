//! One round of calls on a stopwatch: what each took, and what CPU all threads of this process used meanwhile.
//! Shared by the bench and its peers, so that all are measured by the same code. Knows nothing of Docker.
//!
//! A thread that ends within a round takes its CPU time along: a round must end while all its threads live.

use std::time::Duration;
use std::{fs, io};

use serde::{Deserialize, Serialize};

/// What a round came to. One line of JSON on the way from a peer to the bench.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Median time of a call, in nanoseconds.
    pub(crate) p50_ns: u64,
    /// The time within which 99 of 100 calls were answered, in nanoseconds.
    pub(crate) p99_ns: u64,
    /// CPU time per call, user and kernel, of all threads of the process, in nanoseconds.
    pub(crate) cpu_ns: u64,
}

/// A round that goes on.
pub(crate) struct Round {
    samples: Vec<u64>,
    cpu_before: u64,
}

impl Round {
    /// Begins a round of about `calls` calls.
    ///
    /// # Errors
    /// The kernel does not tell CPU times.
    pub(crate) fn begin(calls: usize) -> io::Result<Self> {
        Ok(Self { samples: Vec::with_capacity(calls), cpu_before: cpu_ns()? })
    }

    /// Counts a call that took so long.
    pub(crate) fn took(&mut self, time: Duration) {
        self.samples.push(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Ends the round.
    ///
    /// # Errors
    /// The kernel does not tell CPU times; there was no call.
    pub(crate) fn end(mut self) -> io::Result<Figures> {
        let cpu = cpu_ns()?.saturating_sub(self.cpu_before);
        self.samples.sort_unstable();
        let calls = self.samples.len();
        // The smallest sample that so many of a hundred do not exceed.
        let rank = |percent: usize| self.samples.get((calls * percent).div_ceil(100).saturating_sub(1)).copied();
        match (rank(50), rank(99)) {
            (Some(p50_ns), Some(p99_ns)) => Ok(Figures { p50_ns, p99_ns, cpu_ns: cpu / calls as u64 }),
            _ => Err(io::Error::other("a round without a call")),
        }
    }
}

/// Time that this process's living threads have been on a CPU, in nanoseconds. The kernel brings a running thread's
/// figure up to date at each switch and each tick: one that waits for an answer in each call is a call behind at most.
fn cpu_ns() -> io::Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir("/proc/self/task")? {
        let path = task?.path().join("schedstat");
        let text = fs::read_to_string(&path)?;
        let field = text.split_whitespace().next().and_then(|field| field.parse::<u64>().ok());
        sum += field.ok_or_else(|| io::Error::other(format!("{} has no time: `{}`", path.display(), text.trim())))?;
    }
    Ok(sum)
}

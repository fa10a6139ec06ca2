//! What a plan needs to know beside the task. Gathered before, so that planning is pure, and can be done without an Engine.

use crate::host::Host;

/// What a plan needs to know beside the task. `Default`: nothing is known, as of an Engine elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Facts {
    /// The machine that the Engine runs on.
    pub host: Host,
}

impl Facts {
    /// Facts of a machine that is known already.
    pub fn new(host: Host) -> Self {
        Self { host }
    }

    /// Facts of this machine, read now.
    pub fn of_this_machine() -> Self {
        Self::new(Host::of_this_machine())
    }

    /// The same with another total of CPU, in MHz: so that a plan is the same on every machine, or a machine is counted otherwise.
    #[must_use]
    pub fn with_total_compute(mut self, mhz: u64) -> Self {
        self.host.total_compute_mhz = Some(mhz);
        self
    }
}

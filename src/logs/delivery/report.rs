//! The reports of a collection: what its owner is told beside the output.

/// What the collector has to say beside the output itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Collected {
    /// Words for whoever reads the output.
    Notice(String),
    /// A sink failed, and gets nothing more.
    SinkFailed(String),
    /// The thread panicked.
    Panicked(String),
}

//! The ledger in use: in memory, or in a file that other processes use too.

use super::ledger::{Ledger, LedgerFile};

/// A ledger, and the file that it is kept in, if there is one.
#[derive(Debug, Default)]
pub(super) struct Books {
    memory: Ledger,
    file: Option<LedgerFile>,
    /// Whether it was said that the file cannot be used.
    complained: bool,
}

impl Books {
    pub(super) fn new(file: Option<LedgerFile>) -> Self {
        Self { file, ..Self::default() }
    }

    /// Does `change` to the ledger. A file that cannot be used is said once and does without: a lost reference costs a
    /// pull, and no task.
    pub(super) fn update<R>(&mut self, mut change: impl FnMut(&mut Ledger) -> R) -> R {
        let Some(file) = &self.file else { return change(&mut self.memory) };
        match file.update(&mut self.memory, &mut change) {
            Ok(result) => {
                self.complained = false;
                result
            }
            Err(error) => {
                if !std::mem::replace(&mut self.complained, true) {
                    log::warn!("cannot keep account of images in {}: {error}", file.path.display());
                }
                change(&mut self.memory)
            }
        }
    }
}

//! The ledger in use: in memory, or in a file that other processes use too.

use std::io;

use super::ledger::{Ledger, LedgerFile};
use crate::limits;

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
                self.complain(&error);
                change(&mut self.memory)
            }
        }
    }

    /// The ledger as it is now.
    pub(super) fn read(&mut self) -> &Ledger {
        if let Some(file) = &self.file {
            match file.load(&self.memory) {
                Ok(ledger) => self.memory = ledger,
                Err(error) => self.complain(&error),
            }
        }
        &self.memory
    }

    fn complain(&mut self, error: &io::Error) {
        let Some(file) = &self.file else { return };
        if !std::mem::replace(&mut self.complained, true) {
            log::warn!("{}", complaint(file, error));
        }
    }
}

fn complaint(file: &LedgerFile, error: &io::Error) -> String {
    let why = limits::advice(error).unwrap_or_else(|| error.to_string());
    format!("cannot keep account of images in {}, and so they stay: {why}", file.path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn what_is_exhausted_comes_with_advice() {
        let file = LedgerFile { path: "/d/images.json".into(), engine: "e".into() };
        for (errno, want) in [(Errno::MFILE, "raise the limit to "), (Errno::ACCESS, "Permission denied")] {
            let told = complaint(&file, &errno.into());
            assert!(told.contains("in /d/images.json, and so they stay: ") && told.contains(want), "{told}");
        }
    }
}

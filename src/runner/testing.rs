//! What the runner's own tests share.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Allocation, PlacedTask};
use crate::driver::TaskConfig;
use crate::runner::place::ids;
use crate::runner::place::restart::Policy;
use crate::runner::state::store::AllocState;

/// The state of an allocation of tasks that were never started.
pub(super) fn state(alloc_id: &str, tasks: &[&str]) -> AllocState {
    let restart = Policy {
        attempts: 0,
        interval: std::time::Duration::ZERO,
        delay: std::time::Duration::ZERO,
        waits: false,
        on_success: false,
    };
    let task = |(number, name): (usize, &&str)| PlacedTask {
        config: TaskConfig {
            id: ids::task_id(alloc_id, name).into(),
            name: (*name).to_owned(),
            alloc_id: alloc_id.to_owned(),
            ..TaskConfig::default()
        },
        order: (0, number),
        kill_signal: None,
        kill_timeout: std::time::Duration::from_secs(5),
        restart,
    };
    let alloc = Allocation {
        id: alloc_id.to_owned(),
        job_id: "j".into(),
        group: "g".into(),
        index: 0,
        tasks: tasks.iter().enumerate().map(task).collect(),
    };
    AllocState::new(&alloc, "unix:///s", "e", false, |task| format!("{}-{alloc_id}", task.name))
}

/// A directory for one test, gone at its end.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("longshore-test-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Lays a FIFO in the place of a file.
    pub(super) fn lay_fifo(&self, path: &Path) {
        let _ = fs::remove_file(path);
        rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RWXU).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

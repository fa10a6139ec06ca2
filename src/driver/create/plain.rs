//! What goes into one Engine field as it is (driver-spec section 3), and the task's grace.

use std::time::Duration;

use crate::driver::{TaskConfig, TaskOptions};
use crate::engine::types::ContainerCreate;

pub(super) fn apply(body: &mut ContainerCreate, task: &TaskConfig, options: &TaskOptions) {
    let config = &mut body.config;
    config.image = options.image.clone();
    config.user = task.user.clone();
    config.working_dir = options.work_dir.clone();
    config.hostname = options.hostname.clone();
    config.tty = options.tty;
    config.open_stdin = options.interactive;
    config.stop_timeout = task.kill_timeout.map(stop_timeout);

    let host = &mut body.host_config;
    host.init = options.init.then_some(true);
    host.readonly_rootfs = options.readonly_rootfs;
    host.shm_size = options.shm_size;
    host.oom_score_adj = options.oom_score_adj;
    host.group_add = options.group_add.clone();
}

/// Whole seconds, for the Engine has no others: rounded up, so that no task gets less than it was promised. Not so many that
/// the Engine's own count of nanoseconds would overflow.
fn stop_timeout(grace: Duration) -> i64 {
    let seconds = grace.as_secs().saturating_add(u64::from(grace.subsec_nanos() > 0));
    i64::from(i32::try_from(seconds).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grace_is_whole_seconds() {
        for (grace, want) in [
            (Duration::ZERO, 0),
            (Duration::from_nanos(1), 1),
            (Duration::from_secs(5), 5),
            (Duration::from_millis(5001), 6),
            (Duration::MAX, 2_147_483_647),
        ] {
            assert_eq!(stop_timeout(grace), want, "{grace:?}");
        }
    }
}

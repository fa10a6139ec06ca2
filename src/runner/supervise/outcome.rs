//! What a run's exit code is: that of the first task that was not successful, in the order of the file, then of the index.
//! Pure.

use crate::driver::ExitResult;

/// longshore or the Engine failed.
pub const FAILED: u8 = 125;
/// What a shell says of a process that an interrupt ended: a task that was to be stopped before it ever started.
const INTERRUPTED: u8 = 130;
/// What a shell says of a killed process, and Docker of one that ran out of memory.
const KILLED: u8 = 137;

/// How a task ended for good, by its last try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It ran and ended.
    Exited(ExitResult),
    /// It could not be started, or something around it failed.
    Failed,
    /// It was to stop before it was started at all.
    NeverStarted,
}

/// The end of one of a run's tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskOutcome {
    /// The number of its group in the file, and its own in the group.
    pub order: (usize, usize),
    /// The allocation's number in the group.
    pub index: u32,
    /// How it ended.
    pub end: End,
    /// Whether something of it could not be cleared away.
    pub left_behind: bool,
    /// Whether some of its output is lost that was to be collected.
    pub output_lost: bool,
}

impl End {
    /// The task's own exit code. 0 where it was successful, and only there.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Failed => FAILED,
            Self::NeverStarted => INTERRUPTED,
            Self::Exited(result) => match result.exit_code {
                0 if result.oom_killed => KILLED,
                // Something went wrong that has no code, for instance the code is not known.
                0 if !result.is_successful() => FAILED,
                // An exit code is a byte; the Engine says nothing else of a task that ran.
                code => u8::try_from(code).unwrap_or(FAILED),
            },
        }
    }
}

/// The exit code of a run. A run of nothing is done. Where every task was successful and something could not be cleared
/// away, or output was lost, longshore failed.
pub fn exit_code(tasks: &[TaskOutcome]) -> u8 {
    let mut in_order: Vec<_> = tasks.iter().collect();
    in_order.sort_by_key(|task| (task.order, task.index));
    let first = in_order.iter().map(|task| task.end.exit_code()).find(|code| *code != 0);
    first.unwrap_or(if tasks.iter().any(|task| task.left_behind || task.output_lost) { FAILED } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exited(exit_code: i64) -> End {
        End::Exited(ExitResult { exit_code, ..ExitResult::default() })
    }

    fn with(exit_code: i64, oom_killed: bool, err: Option<&str>) -> End {
        End::Exited(ExitResult { exit_code, oom_killed, err: err.map(str::to_owned), ..ExitResult::default() })
    }

    #[test]
    fn codes_of_a_task() {
        for (row, end, want) in [
            ("success", exited(0), 0),
            ("its own", exited(7), 7),
            ("the largest", exited(255), 255),
            ("killed", exited(137), 137),
            ("out of memory, and code 0 all the same", with(0, true, Some("OOM Killed")), 137),
            ("out of memory with its code", with(3, true, Some("OOM Killed")), 3),
            ("a code that is not known", with(0, false, Some("the container is gone")), 125),
            ("no byte", exited(-1), 125),
            ("too much", exited(256), 125),
            ("no start", End::Failed, 125),
            ("stopped before its start", End::NeverStarted, 130),
        ] {
            assert_eq!(end.exit_code(), want, "{row}");
        }
    }

    #[test]
    fn codes_of_a_run() {
        let task = |order, index, end| TaskOutcome { order, index, end, left_behind: false, output_lost: false };
        for (row, tasks, want) in [
            ("nothing ran", vec![], 0),
            ("all successful", vec![task((0, 0), 0, exited(0)), task((0, 1), 0, exited(0))], 0),
            ("the one that was not", vec![task((0, 0), 0, exited(0)), task((0, 1), 0, exited(4))], 4),
            ("by the file, not by time", vec![task((1, 0), 0, exited(3)), task((0, 1), 0, exited(4))], 4),
            ("tasks of a group in order", vec![task((0, 1), 0, exited(4)), task((0, 0), 0, exited(3))], 3),
            (
                "the index last",
                vec![task((0, 0), 1, exited(5)), task((0, 1), 0, exited(4)), task((0, 0), 2, exited(6))],
                5,
            ),
            ("no start", vec![task((0, 0), 0, End::Failed), task((0, 1), 0, exited(4))], 125),
        ] {
            assert_eq!(exit_code(&tasks), want, "{row}");
        }
        let left = |end| vec![TaskOutcome { left_behind: true, ..task((0, 0), 0, end) }];
        assert_eq!(exit_code(&left(exited(0))), 125, "a container is left");
        let lost = |end| vec![TaskOutcome { output_lost: true, ..task((0, 0), 0, end) }];
        assert_eq!((exit_code(&lost(exited(0))), exit_code(&lost(exited(7)))), (125, 7), "output is lost");
        assert_eq!(exit_code(&left(exited(7))), 7, "the task's own code counts more");
    }
}

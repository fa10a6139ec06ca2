//! How many processes a task may have (driver-spec 4.5).

use super::CreateError;

/// The Engine's limit; -1: none. Said always, for podman has a limit of its own where nothing is said.
pub(super) fn limit(task: i64, driver: i64) -> Result<i64, CreateError> {
    match (task, driver) {
        (task, driver) if driver > 0 && task > driver => Err(CreateError::PidsLimit { task, driver }),
        (task, _) if task > 0 => Ok(task),
        (_, driver) if driver > 0 => Ok(driver),
        _ => Ok(-1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_limit_wins() {
        for (task, driver, want) in [
            (0, 0, Ok(-1)),
            (-1, 0, Ok(-1)),
            (7, 0, Ok(7)),
            (0, 9, Ok(9)),
            (-1, 9, Ok(9)),
            (9, 9, Ok(9)),
            (7, 9, Ok(7)),
            (10, 9, Err(CreateError::PidsLimit { task: 10, driver: 9 })),
        ] {
            assert_eq!(limit(task, driver), want, "task {task}, driver {driver}");
        }
    }
}

//! What happens to the tasks of an allocation, as its owner sees it: for the person, for `run --json` and for the journal.
//! Data only. Keys are those of driver-spec 1.0 in snake case.

use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use crate::driver::{ExitResult, TaskId};
use crate::values::calendar;

/// Something that happened to a task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// When.
    #[serde(serialize_with = "rfc3339_field")]
    pub time: SystemTime,
    /// The allocation's id.
    pub alloc_id: String,
    /// The task's name.
    pub task_name: String,
    /// The task's id.
    pub task_id: TaskId,
    /// What.
    #[serde(flatten)]
    pub happened: Happened,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Happened {
    /// Its container runs.
    Started {
        /// The container's id.
        container_id: String,
        /// The container's name.
        container_name: String,
        /// The id of the image that it runs.
        image_id: String,
    },
    /// It was taken up again as its last owner left it.
    Recovered {
        /// The container's id.
        container_id: String,
        /// The container's name.
        container_name: String,
    },
    /// Its owner left it to itself, for another to take up.
    Detached,
    /// It could not be started.
    StartFailed {
        /// Why, with its causes.
        message: String,
        /// What kind of error it is.
        kind: String,
        /// Whether the same start may succeed later.
        recoverable: bool,
    },
    /// It is being stopped, for somebody asked for it.
    Stopping {
        /// The signal that it gets first; `None`: the image's own.
        signal: Option<String>,
        /// How long it then has.
        #[serde(rename = "timeout_ms", serialize_with = "milliseconds")]
        timeout: Duration,
    },
    /// It ended.
    Exited {
        /// How.
        #[serde(flatten)]
        result: ExitResult,
    },
    /// It will be started again.
    Restarting {
        /// After this pause.
        #[serde(rename = "after_ms", serialize_with = "milliseconds")]
        after: Duration,
        /// Restarts within its policy's interval so far, this one not included.
        restarts: u32,
        /// How many are allowed there.
        attempts: u32,
    },
    /// It will not be started again.
    Finished {
        /// Why, in one word.
        reason: &'static str,
        /// Why, for people.
        message: String,
        /// Its part of the exit code.
        exit_code: u8,
    },
    /// Its image is being pulled, or still is.
    ImagePull {
        /// Which.
        image: String,
        /// What the driver says of it.
        message: String,
    },
    /// Something that a person should know.
    Notice {
        /// What.
        message: String,
    },
    /// Something could not be done; the task goes on or has ended.
    Error {
        /// What, with its causes.
        message: String,
        /// What kind of error it is.
        kind: String,
        /// Whether the same may succeed later.
        recoverable: bool,
    },
}

impl Event {
    /// The event as one line of JSON, without its end.
    pub fn to_json(&self) -> String {
        // Text and numbers only: there is nothing in it that JSON could not say.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A time as RFC 3339 in UTC, to the millisecond. Before 1970: as 1970.
pub fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = calendar::date(days.cast_signed());
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis())
}

fn rfc3339_field<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*time))
}

fn milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (millis, want) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_735_689_599_001, "2024-12-31T23:59:59.001Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(SystemTime::UNIX_EPOCH + Duration::from_millis(millis)), want, "{millis}");
        }
    }

    #[test]
    fn as_json() {
        let event = |happened| {
            Event {
                time: SystemTime::UNIX_EPOCH,
                alloc_id: "a".into(),
                task_name: "t".into(),
                task_id: "a/t/1".into(),
                happened,
            }
            .to_json()
        };
        let head = r#"{"time":"1970-01-01T00:00:00.000Z","alloc_id":"a","task_name":"t","task_id":"a/t/1","#;
        for (happened, want) in [
            (
                Happened::Exited { result: ExitResult { exit_code: 137, oom_killed: true, ..ExitResult::default() } },
                r#""event":"exited","exit_code":137,"signal":0,"oom_killed":true,"err":null}"#,
            ),
            (
                Happened::Restarting { after: Duration::from_millis(1500), restarts: 0, attempts: 2 },
                r#""event":"restarting","after_ms":1500,"restarts":0,"attempts":2}"#,
            ),
            (
                Happened::Stopping { signal: None, timeout: Duration::from_secs(5) },
                r#""event":"stopping","signal":null,"timeout_ms":5000}"#,
            ),
        ] {
            assert_eq!(event(happened), format!("{head}{want}"));
        }
    }
}

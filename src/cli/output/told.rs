//! Events of a journal as a person reads them. Pure.

use serde_json::Value;

use crate::runner::short;
use crate::values::{duration, printable};

/// An event in a line: when, of which task, what.
pub(in crate::cli) fn line(event: &Value) -> String {
    let text = |key: &str| event[key].as_str().unwrap_or_default();
    let line = format!("{}  {}/{}  {}", text("time"), short(text("alloc_id")), text("task_name"), words(event));
    printable(&line).into_owned()
}

/// What happened, in words.
pub(in crate::cli) fn words(event: &Value) -> String {
    let text = |key: &str| event[key].as_str().unwrap_or_default();
    let number = |key: &str| event[key].as_i64().unwrap_or_default();
    let pause = |key: &str| duration::format(std::time::Duration::from_millis(event[key].as_u64().unwrap_or_default()));
    match text("event") {
        kind @ ("started" | "recovered") => {
            let id = text("container_id");
            format!("{kind} as {} ({})", text("container_name"), id.get(..12).unwrap_or(id))
        }
        "start_failed" => format!("did not start: {}", text("message")),
        "stopping" => match text("signal") {
            "" => format!("is being stopped, within {}", pause("timeout_ms")),
            signal => format!("is being stopped by {signal}, within {}", pause("timeout_ms")),
        },
        "exited" => {
            let code = number("exit_code");
            match (event["oom_killed"] == true, text("err")) {
                (true, _) => format!("exited with code {code}: out of memory"),
                (false, "") => format!("exited with code {code}"),
                (false, why) => format!("exited with code {code}: {why}"),
            }
        }
        "restarting" => {
            let (restart, attempts) = (number("restarts") + 1, number("attempts"));
            format!("starts again in {} (restart {restart} of {attempts})", pause("after_ms"))
        }
        "finished" => format!("has ended for good: {}", text("message")),
        "image_pull" => format!("{}: {}", text("image"), text("message")),
        "detached" => "runs on without an owner".into(),
        _ => match text("message") {
            "" => text("event").to_owned(),
            message => message.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn in_words() {
        for (event, want) in [
            (
                json!({"event": "started", "container_id": "0123456789abcdef", "container_name": "t-a"}),
                "started as t-a (0123456789ab)",
            ),
            (json!({"event": "recovered", "container_id": "01", "container_name": "t-a"}), "recovered as t-a (01)"),
            (json!({"event": "exited", "exit_code": 3, "err": null}), "exited with code 3"),
            (
                json!({"event": "exited", "exit_code": 137, "oom_killed": true, "err": "OOM killed"}),
                "exited with code 137: out of memory",
            ),
            (json!({"event": "exited", "exit_code": -1, "err": "gone"}), "exited with code -1: gone"),
            (json!({"event": "stopping", "signal": null, "timeout_ms": 5000}), "is being stopped, within 5s"),
            (
                json!({"event": "stopping", "signal": "SIGINT", "timeout_ms": 500}),
                "is being stopped by SIGINT, within 500ms",
            ),
            (
                json!({"event": "restarting", "after_ms": 1500, "restarts": 0, "attempts": 2}),
                "starts again in 1.5s (restart 1 of 2)",
            ),
            (json!({"event": "notice", "message": "The Engine answers again"}), "The Engine answers again"),
            (json!({"event": "of a later version"}), "of a later version"),
        ] {
            assert_eq!(words(&event), want, "{event}");
        }
        let event = json!({"time": "T", "alloc_id": "8f9a1f5e-0000-4000-8000-000000000001", "task_name": "web", "event": "detached"});
        assert_eq!(line(&event), "T  8f9a1f5e/web  runs on without an owner");
        let event = json!({"time": "T\n", "alloc_id": "a", "task_name": "\u{9b}2J", "event": "notice", "message": "x\nT  a/b  y"});
        assert_eq!(line(&event), "T\\n  a/\\u{9b}2J  x\\nT  a/b  y", "one line");
    }
}

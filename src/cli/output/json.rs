//! `run --json`: everything that happens, a JSON object a line on standard output, the tasks' output among it.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::driver::TaskConfig;
use crate::logs::{Record, Sink, Stream};
use crate::runner::{Event, Watcher};
use crate::values::printable_json;

use crate::cli::commands::faults::Faults;
use crate::cli::output::terminal::shown_cursor;

/// Writes events as lines of JSON.
pub(in crate::cli) struct Json {
    faults: Faults,
}

impl Json {
    pub(in crate::cli) fn new(faults: Faults) -> Self {
        Self { faults }
    }
}

impl Watcher for Json {
    fn sinks(&self, task: &TaskConfig) -> Vec<Box<dyn Sink>> {
        vec![Box::new(TaskOutput { task: task.clone(), faults: self.faults.clone(), cursor: shown_cursor(task) })]
    }

    fn event(&self, event: &Event) {
        show(&self.faults, &event.to_json());
    }
}

/// Writes a line. Once that has failed nothing more is tried.
pub(in crate::cli) fn show(faults: &Faults, text: &str) {
    if faults.reader_left() || faults.lost() {
        return;
    }
    let mut stdout = io::stdout().lock();
    let done = writeln!(stdout, "{}", printable_json(text)).and_then(|()| stdout.flush());
    faults.note("standard output", done);
}

struct TaskOutput {
    task: TaskConfig,
    faults: Faults,
    cursor: Option<PathBuf>,
}

impl Sink for TaskOutput {
    fn record(&mut self, record: &Record<'_>) -> io::Result<()> {
        show(&self.faults, &output(&self.task, record).to_string());
        Ok(())
    }

    fn cursor(&self) -> Option<&Path> {
        self.cursor.as_deref()
    }
}

/// A record as an event. A long line comes in several, as it came from the Engine.
fn output(task: &TaskConfig, record: &Record<'_>) -> Value {
    let text = String::from_utf8_lossy(record.bytes);
    let mut event = json!({
        "time": record.stamp.to_string(),
        "alloc_id": task.alloc_id,
        "task_name": task.name,
        "task_id": task.id,
        "event": "output",
        "stream": if record.stream == Stream::Stdout { "stdout" } else { "stderr" },
        "text": text,
    });
    if matches!(text, Cow::Owned(_)) {
        // It was not UTF-8: what could not be kept is U+FFFD.
        event["lossy"] = true.into();
    }
    if record.continues {
        event["continues"] = true.into();
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records() {
        let task = TaskConfig { id: "a/t/1".into(), name: "t".into(), alloc_id: "a".into(), ..TaskConfig::default() };
        for (bytes, continues, want) in [
            (&b"x\n"[..], false, json!({"text": "x\n"})),
            (b"x", true, json!({"text": "x", "continues": true})),
            (b"\xff\n", false, json!({"text": "\u{fffd}\n", "lossy": true})),
        ] {
            let stamp = crate::driver::Stamp::from_nanos(0);
            let event = output(&task, &Record { stream: Stream::Stderr, stamp, bytes, continues });
            let mut whole = json!({
                "time": stamp.to_string(), "alloc_id": "a", "task_name": "t", "task_id": "a/t/1", "event": "output",
                "stream": "stderr",
            });
            for (key, value) in want.as_object().unwrap() {
                whole[key] = value.clone();
            }
            assert_eq!(event, whole);
        }
    }
}

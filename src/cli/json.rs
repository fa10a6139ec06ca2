//! `run --json`: everything that happens, a JSON object a line on standard output, the tasks' output among it.

use std::io::{self, Write};

use serde_json::json;

use crate::driver::TaskConfig;
use crate::logs::{Record, Sink, Stream};
use crate::runner::{Event, Stop, Watcher};

/// Writes events as lines of JSON.
pub(super) struct Json {
    stop: Stop,
}

impl Json {
    pub(super) fn new(stop: Stop) -> Self {
        Self { stop }
    }
}

impl Watcher for Json {
    fn sinks(&self, task: &TaskConfig) -> Vec<Box<dyn Sink>> {
        vec![Box::new(TaskOutput { task: task.clone(), stop: self.stop.clone() })]
    }

    fn event(&self, event: &Event) {
        // Where nobody reads it any more, the sinks see that too.
        let _ = line(&event.to_json());
    }
}

fn line(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

struct TaskOutput {
    task: TaskConfig,
    stop: Stop,
}

impl Sink for TaskOutput {
    fn record(&mut self, record: &Record<'_>) -> io::Result<()> {
        let text = String::from_utf8_lossy(record.bytes);
        let mut event = json!({
            "time": record.stamp.to_string(),
            "alloc_id": self.task.alloc_id,
            "task_name": self.task.name,
            "task_id": self.task.id,
            "event": "output",
            "stream": if record.stream == Stream::Stdout { "stdout" } else { "stderr" },
            "text": text,
        });
        if matches!(text, std::borrow::Cow::Owned(_)) {
            // It was not UTF-8: what could not be kept is U+FFFD.
            event["lossy"] = true.into();
        }
        if record.continues {
            event["continues"] = true.into();
        }
        line(&event.to_string()).inspect_err(|error| {
            if error.kind() == io::ErrorKind::BrokenPipe {
                self.stop.ask();
            }
        })
    }
}

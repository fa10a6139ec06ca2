//! What a person sees of a run: the tasks' output on the stream it was written to, news on standard error.
//!
//! One task alone is passed through as it is. Of several, each line begins with its task's name, and a line is never
//! broken by another task's: what has no newline yet is held back until it has one, up to a bound.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, IsTerminal, Stderr, Stdout, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::driver::TaskConfig;
use crate::logs::{Record, Sink, Stream};
use crate::runner::{Event, Happened, Stop, Watcher};
use crate::values::duration;

use super::args::Color;
use super::eprint;

const BUFFER: usize = 64 * 1024;
/// So much of a line is held back for its end.
const LONGEST_HELD: usize = 256 * 1024;
/// The colours of tasks, in turn: none that is hard to read on either ground.
const COLOURS: [u8; 6] = [36, 33, 32, 35, 34, 31];

/// How output looks.
#[derive(Debug, Clone)]
pub(super) struct Look {
    timestamps: bool,
    /// What each task's lines begin with: per stream, with colour or without. Empty: one task alone.
    prefixes: BTreeMap<String, [String; 2]>,
}

impl Look {
    pub(super) fn new(color: Color, timestamps: bool, tasks: &[&str]) -> Self {
        let colour = |is_terminal: bool| match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        let colours = [colour(io::stdout().is_terminal()), colour(io::stderr().is_terminal())];
        Self { timestamps, prefixes: prefixes(tasks, colours) }
    }
}

fn prefixes(tasks: &[&str], colours: [bool; 2]) -> BTreeMap<String, [String; 2]> {
    if tasks.len() < 2 {
        return BTreeMap::new();
    }
    let width = tasks.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let mut prefixes = BTreeMap::new();
    for (number, name) in tasks.iter().enumerate() {
        let prefix = colours.map(|colour| match colour {
            true => format!("\x1b[{}m{name:width$} │\x1b[0m ", COLOURS[number % COLOURS.len()]),
            false => format!("{name:width$} │ "),
        });
        prefixes.entry((*name).to_string()).or_insert(prefix);
    }
    prefixes
}

/// The terminal, or whatever standard output and standard error are.
pub(super) struct Terminal {
    look: Look,
    streams: Arc<Mutex<Streams>>,
    stop: Stop,
}

struct Streams {
    stdout: BufWriter<Stdout>,
    stderr: BufWriter<Stderr>,
}

impl Streams {
    /// The writer of a stream. What the other holds goes first, for both may be one terminal.
    fn writer(&mut self, stream: Stream) -> io::Result<&mut dyn Write> {
        Ok(match stream {
            Stream::Stdout => {
                self.stderr.flush()?;
                &mut self.stdout
            }
            Stream::Stderr => {
                self.stdout.flush()?;
                &mut self.stderr
            }
        })
    }
}

impl Terminal {
    pub(super) fn new(look: Look, stop: Stop) -> Self {
        let stdout = BufWriter::with_capacity(BUFFER, io::stdout());
        let stderr = BufWriter::with_capacity(BUFFER, io::stderr());
        Self { look, streams: Arc::new(Mutex::new(Streams { stdout, stderr })), stop }
    }

    fn say(&self, task: &str, text: &str) {
        // Behind what the task itself has written.
        let mut streams = lock(&self.streams);
        let _ = streams.stdout.flush().and_then(|()| streams.stderr.flush());
        eprint(&format!("longshore: task {task}: {text}"));
    }
}

fn lock(streams: &Mutex<Streams>) -> MutexGuard<'_, Streams> {
    streams.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watcher for Terminal {
    fn sinks(&self, task: &TaskConfig) -> Vec<Box<dyn Sink>> {
        let prefix = self.look.prefixes.get(&task.name).cloned();
        vec![Box::new(TaskOutput {
            streams: self.streams.clone(),
            stop: self.stop.clone(),
            task: task.name.clone(),
            timestamps: self.look.timestamps,
            plain: prefix.is_none() && !self.look.timestamps,
            prefix: prefix.unwrap_or_default(),
            held: Default::default(),
            broken: [false; 2],
        })]
    }

    fn event(&self, event: &Event) {
        let task = &event.task_name;
        match &event.happened {
            Happened::StartFailed { message, .. } | Happened::Error { message, .. } | Happened::Notice { message } => {
                self.say(task, message);
            }
            Happened::Exited { result } if result.oom_killed => {
                self.say(task, &format!("exited with code {}: out of memory", result.exit_code));
            }
            Happened::Exited { result } if !result.is_successful() => match &result.err {
                Some(why) => self.say(task, &format!("exited with code {}: {why}", result.exit_code)),
                None => self.say(task, &format!("exited with code {}", result.exit_code)),
            },
            Happened::Restarting { after, restarts, attempts } => {
                let after = duration::format(*after);
                self.say(task, &format!("starts again in {after} (restart {} of {attempts})", restarts + 1));
            }
            Happened::Finished { message, exit_code, .. } if *exit_code != 0 => self.say(task, message),
            _ => {}
        }
    }
}

/// Where one start of one task writes to.
struct TaskOutput {
    streams: Arc<Mutex<Streams>>,
    stop: Stop,
    task: String,
    timestamps: bool,
    /// Nothing is put before its lines.
    plain: bool,
    prefix: [String; 2],
    /// Per stream a line that has no end yet, with what stands before it.
    held: [Vec<u8>; 2],
    /// Per stream whether the beginning of such a line had to be written without its end.
    broken: [bool; 2],
}

impl TaskOutput {
    fn take(&mut self, record: &Record<'_>) -> io::Result<()> {
        if self.plain {
            return lock(&self.streams).writer(record.stream)?.write_all(record.bytes);
        }
        let number = record.stream as usize;
        for line in record.bytes.split_inclusive(|&b| b == b'\n') {
            let held = &mut self.held[number];
            if held.is_empty() && !self.broken[number] {
                held.extend_from_slice(self.prefix[number].as_bytes());
                if self.timestamps {
                    write!(held, "{} ", record.stamp)?;
                }
            }
            held.extend_from_slice(line);
            let ended = line.ends_with(b"\n");
            if ended || held.len() > LONGEST_HELD {
                lock(&self.streams).writer(record.stream)?.write_all(held)?;
                held.clear();
                self.broken[number] = !ended;
            }
        }
        Ok(())
    }

    /// What was held back at the end. With several tasks it gets the newline that it lacks.
    fn finish(&mut self) -> io::Result<()> {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let number = stream as usize;
            let (held, broken) = (std::mem::take(&mut self.held[number]), std::mem::take(&mut self.broken[number]));
            if held.is_empty() && !broken {
                continue;
            }
            let mut streams = lock(&self.streams);
            let writer = streams.writer(stream)?;
            writer.write_all(&held)?;
            if !self.prefix[number].is_empty() {
                writer.write_all(b"\n")?;
            }
        }
        self.flush()
    }

    /// Nobody reads standard output any more, as after `| head`: there is nothing left to run for.
    fn checked(&self, done: io::Result<()>) -> io::Result<()> {
        done.inspect_err(|error| {
            if error.kind() == io::ErrorKind::BrokenPipe {
                self.stop.ask();
            }
        })
    }
}

impl Sink for TaskOutput {
    fn record(&mut self, record: &Record<'_>) -> io::Result<()> {
        let done = self.take(record);
        self.checked(done)
    }

    fn notice(&mut self, text: &str) -> io::Result<()> {
        // The driver tells it as an event, too, and that is what is shown.
        log::debug!("task {}: {text}", self.task);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let done = {
            let mut streams = lock(&self.streams);
            streams.stdout.flush().and_then(|()| streams.stderr.flush())
        };
        self.checked(done)
    }
}

impl Drop for TaskOutput {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_task_alone_has_no_prefix() {
        assert!(prefixes(&["a"], [true, true]).is_empty());
        let two = prefixes(&["web", "x"], [false, true]);
        assert_eq!(two["web"], ["web │ ".to_string(), "\x1b[36mweb │\x1b[0m ".into()]);
        assert_eq!(two["x"][0], "x   │ ");
    }
}

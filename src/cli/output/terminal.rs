//! What a person sees of a run: the tasks' output on the stream it was written to, news on standard error.
//!
//! One task alone is passed through as it is. Of several, each line begins with its task's name, and a line is never
//! broken by another task's: what has no newline yet is held back until it has one, up to a bound.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::driver::{TaskConfig, TaskId};
use crate::logs::{Record, Sink, Stream};
use crate::runner::{Event, Happened, Watcher};
use crate::values::duration;

use crate::cli::commands::faults::Faults;
use crate::cli::eprint;
use crate::cli::output::label::{Label, Look};
use crate::cli::output::screen;

const BUFFER: usize = 64 * 1024;
/// So much of a line is held back for its end. Only a line that is as long takes as much memory.
const LONGEST_HELD: usize = 8 * 1024 * 1024;

/// The terminal, or whatever standard output and standard error are.
pub(in crate::cli) struct Terminal {
    look: Look,
    streams: Arc<Mutex<Streams>>,
    faults: Faults,
    /// Of each task's last start.
    later: Mutex<BTreeMap<TaskId, Arc<Mutex<Later>>>>,
}

/// What is to be said of a task once all that it wrote has been shown: its end is known before.
#[derive(Debug, Default)]
struct Later {
    /// All has been shown.
    shown: bool,
    lines: Vec<String>,
}

/// Standard output and standard error, in this order.
struct Streams {
    writers: [Box<dyn Write + Send>; 2],
    /// Where nothing can be written any more.
    dead: [bool; 2],
    /// Whether the last line has no end yet.
    within_line: [bool; 2],
    /// Whether a person sees both in one place.
    one_place: bool,
    faults: Faults,
}

impl Streams {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let number = stream as usize;
        // What the other holds goes first, for both may be one terminal.
        self.flush_one(1 - number);
        if self.dead[number] || bytes.is_empty() {
            return;
        }
        let done = self.writers[number].write_all(bytes);
        self.noted(number, done);
        self.within_line[number] = bytes.last() != Some(&b'\n');
    }

    fn flush(&mut self) {
        self.flush_one(0);
        self.flush_one(1);
    }

    fn flush_one(&mut self, number: usize) {
        if !self.dead[number] {
            let done = self.writers[number].flush();
            self.noted(number, done);
        }
    }

    fn noted(&mut self, number: usize, done: io::Result<()>) {
        self.dead[number] = !self.faults.note(["standard output", "standard error"][number], done);
    }

    /// Makes room for a line of ours on standard error, behind what tasks have written.
    fn begin_line(&mut self) {
        self.flush();
        let [out, err] = self.within_line;
        if err || out && self.one_place {
            self.write(Stream::Stderr, b"\n");
            self.within_line[0] &= !self.one_place;
            self.flush();
        }
    }
}

impl Terminal {
    pub(in crate::cli) fn new(look: Look, faults: Faults) -> Self {
        let streams = Streams {
            writers: [
                Box::new(BufWriter::with_capacity(BUFFER, screen::stdout())),
                Box::new(BufWriter::with_capacity(BUFFER, screen::stderr())),
            ],
            dead: [false; 2],
            within_line: [false; 2],
            one_place: io::stdout().is_terminal() && io::stderr().is_terminal(),
            faults: faults.clone(),
        };
        Self { look, streams: Arc::new(Mutex::new(streams)), faults, later: Mutex::default() }
    }

    fn say(&self, event: &Event, text: &str) {
        say(&self.streams, &self.line(event, text));
    }

    /// Says it behind what the task has written.
    fn say_at_the_end(&self, event: &Event, text: &str) {
        let later = lock(&self.later).get(&event.task_id).cloned();
        match later.as_deref().map(lock) {
            Some(mut later) if !later.shown => later.lines.push(self.line(event, text)),
            _ => self.say(event, text),
        }
    }

    fn line(&self, event: &Event, text: &str) -> String {
        format!("longshore: task {}: {text}", self.look.of(&event.task_id).name)
    }
}

fn say(streams: &Mutex<Streams>, line: &str) {
    // Behind what tasks have written, unless that is blocked by a reader that does not read.
    let mut streams = streams.try_lock();
    if let Ok(streams) = &mut streams {
        streams.begin_line();
    }
    eprint(line);
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watcher for Terminal {
    fn sinks(&self, task: &TaskConfig) -> Vec<Box<dyn Sink>> {
        let lines = Lines::new(self.look.of(&task.id), self.look.timestamps);
        let later = Arc::<Mutex<Later>>::default();
        lock(&self.later).insert(task.id.clone(), later.clone());
        let (streams, cursor) = (self.streams.clone(), shown_cursor(task));
        vec![Box::new(TaskOutput { streams, later, task: task.name.clone(), lines, cursor })]
    }

    fn event(&self, event: &Event) {
        match &event.happened {
            Happened::StartFailed { message, .. } | Happened::Error { message, .. } | Happened::Notice { message } => {
                self.say(event, message);
            }
            // We ended it ourselves, for nobody reads what it writes; nobody need hear how it ended.
            Happened::Exited { .. } if self.faults.reader_left() => {}
            Happened::Exited { result } if result.oom_killed => {
                self.say_at_the_end(event, &format!("exited with code {}: out of memory", result.exit_code));
            }
            Happened::Exited { result } if !result.is_successful() => match &result.err {
                Some(why) => self.say_at_the_end(event, &format!("exited with code {}: {why}", result.exit_code)),
                None => self.say_at_the_end(event, &format!("exited with code {}", result.exit_code)),
            },
            Happened::Restarting { after, restarts, attempts } => {
                let after = duration::format(*after);
                self.say_at_the_end(
                    event,
                    &format!("starts again in {after} (restart {} of {attempts})", restarts + 1),
                );
            }
            // The others are plain from what came before.
            Happened::Finished { reason: "exhausted" | "wished", message, .. } => self.say(event, message),
            _ => {}
        }
    }
}

/// Where is kept how much of a task's output was shown: who takes the task up goes on from there.
pub(in crate::cli) fn shown_cursor(task: &TaskConfig) -> Option<PathBuf> {
    let logs = task.alloc_dir.as_ref()?.join("alloc/logs");
    logs.is_dir().then(|| logs.join(format!(".{}.shown.cursor", task.name)))
}

/// Where one start of one task writes to.
struct TaskOutput {
    streams: Arc<Mutex<Streams>>,
    later: Arc<Mutex<Later>>,
    task: String,
    lines: Lines,
    cursor: Option<PathBuf>,
}

impl Sink for TaskOutput {
    fn record(&mut self, record: &Record<'_>) -> io::Result<()> {
        let streams = &self.streams;
        self.lines.take(record, |bytes| lock(streams).write(record.stream, bytes));
        Ok(())
    }

    fn notice(&mut self, text: &str) -> io::Result<()> {
        // The driver tells it as an event, too, and that is what is shown.
        log::debug!("task {}: {text}", self.task);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        lock(&self.streams).flush();
        Ok(())
    }

    fn cursor(&self) -> Option<&Path> {
        self.cursor.as_deref()
    }
}

impl Drop for TaskOutput {
    fn drop(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let rest = self.lines.finish(stream);
            lock(&self.streams).write(stream, &rest);
        }
        lock(&self.streams).flush();
        let mut later = lock(&self.later);
        later.shown = true;
        for line in later.lines.drain(..) {
            say(&self.streams, &line);
        }
    }
}

/// From records to the bytes that are shown: whole lines with what stands before them, or everything as it is.
struct Lines {
    timestamps: bool,
    prefix: [String; 2],
    /// Per stream a line that has no end yet, with what stands before it.
    held: [Vec<u8>; 2],
    /// Per stream whether the beginning of such a line had to be written without its end.
    broken: [bool; 2],
}

impl Lines {
    fn new(label: Label, timestamps: bool) -> Self {
        Self { timestamps, prefix: label.prefix, held: Default::default(), broken: [false; 2] }
    }

    fn take(&mut self, record: &Record<'_>, mut show: impl FnMut(&[u8])) {
        let number = record.stream as usize;
        let alone = self.prefix[number].is_empty();
        if alone && !self.timestamps {
            return show(record.bytes);
        }
        for line in record.bytes.split_inclusive(|&b| b == b'\n') {
            let held = &mut self.held[number];
            if held.is_empty() && !self.broken[number] {
                held.extend_from_slice(self.prefix[number].as_bytes());
                if self.timestamps {
                    held.extend_from_slice(format!("{} ", record.stamp).as_bytes());
                }
            }
            held.extend_from_slice(line);
            let ended = line.ends_with(b"\n");
            // One task alone is in nobody's way: a question without a newline is seen at once.
            if ended || alone || held.len() > LONGEST_HELD {
                show(held);
                held.clear();
                self.broken[number] = !ended;
            }
        }
    }

    /// What was held back at the end. With several tasks it gets the newline that it lacks.
    fn finish(&mut self, stream: Stream) -> Vec<u8> {
        let number = stream as usize;
        let (mut held, broken) = (std::mem::take(&mut self.held[number]), std::mem::take(&mut self.broken[number]));
        if !self.prefix[number].is_empty() && (broken || !held.is_empty()) {
            held.push(b'\n');
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::Stop;

    fn shown(prefix: &str, timestamps: bool, pieces: &[(Stream, &str)]) -> String {
        let label = Label { name: String::new(), prefix: [prefix.to_owned(), prefix.to_owned()] };
        let mut lines = Lines::new(label, timestamps);
        let mut all = String::new();
        for (stream, bytes) in pieces {
            let record = Record {
                stream: *stream,
                stamp: crate::driver::Stamp::from_nanos(0),
                bytes: bytes.as_bytes(),
                continues: false,
            };
            lines.take(&record, |bytes| all.push_str(&format!("<{}>", String::from_utf8_lossy(bytes))));
        }
        for stream in [Stream::Stdout, Stream::Stderr] {
            all.push_str(&format!("({})", String::from_utf8_lossy(&lines.finish(stream))));
        }
        all
    }

    #[test]
    fn lines_are_whole() {
        use Stream::{Stderr, Stdout};
        let stamp = crate::driver::Stamp::from_nanos(0).to_string();
        for (row, prefix, timestamps, pieces, want) in [
            ("alone, as it is", "", false, &[(Stdout, "a"), (Stdout, "b\nc")][..], "<a><b\nc>()()".to_owned()),
            ("held until its end", "t │ ", false, &[(Stdout, "a"), (Stdout, "b\n")], "<t │ ab\n>()()".into()),
            ("several in one", "t │ ", false, &[(Stdout, "a\nb\n")], "<t │ a\n><t │ b\n>()()".into()),
            (
                "streams apart",
                "t │ ",
                false,
                &[(Stdout, "a"), (Stderr, "x\n"), (Stdout, "b\n")],
                "<t │ x\n><t │ ab\n>()()".into(),
            ),
            ("no newline at the end", "t │ ", false, &[(Stderr, "a")], "()(t │ a\n)".into()),
            ("stamped once", "", true, &[(Stdout, "a"), (Stdout, "b\n")], format!("<{stamp} a><b\n>()()")),
            ("stamp behind the name", "t │ ", true, &[(Stdout, "a\n")], format!("<t │ {stamp} a\n>()()")),
        ] {
            assert_eq!(shown(prefix, timestamps, pieces), want, "{row}");
        }
        let long = "x".repeat(LONGEST_HELD + 1);
        let want = format!("<t │ {long}><y\n>()()");
        assert_eq!(
            shown("t │ ", false, &[(Stdout, &long), (Stdout, "y\n")]),
            want,
            "the bound, and one name all the same"
        );
    }

    /// A writer that a test can read.
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn our_lines_begin_at_the_left() {
        for (row, one_place, out, err, want) in [
            ("nothing before", true, "", "", ""),
            ("whole lines before", true, "a\n", "b\n", "b\n"),
            ("standard error within a line", false, "", "b", "b\n"),
            ("standard output within a line, on the terminal", true, "a", "", "\n"),
            ("the same, elsewhere", false, "a", "", ""),
        ] {
            let page = Page::default();
            let mut streams = Streams {
                writers: [Box::new(io::sink()), Box::new(page.clone())],
                dead: [false; 2],
                within_line: [false; 2],
                one_place,
                faults: Faults::new(Stop::new()),
            };
            streams.write(Stream::Stdout, out.as_bytes());
            streams.write(Stream::Stderr, err.as_bytes());
            streams.begin_line();
            streams.begin_line();
            assert_eq!(String::from_utf8_lossy(&page.0.lock().unwrap()), want, "{row}");
        }
    }

    #[test]
    fn a_reader_that_left_ends_the_run_and_a_full_disk_does_not() {
        struct Fails(io::ErrorKind);
        impl Write for Fails {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(self.0.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        for (kind, stops, loses) in
            [(io::ErrorKind::BrokenPipe, true, false), (io::ErrorKind::StorageFull, false, true)]
        {
            let (stop, page) = (Stop::new(), Page::default());
            let faults = Faults::new(stop.clone());
            let mut streams = Streams {
                writers: [Box::new(Fails(kind)), Box::new(page.clone())],
                dead: [false; 2],
                within_line: [false; 2],
                one_place: false,
                faults: faults.clone(),
            };
            streams.write(Stream::Stdout, b"a\n");
            streams.write(Stream::Stdout, b"b\n");
            streams.write(Stream::Stderr, b"c\n");
            assert_eq!((stop.is_asked(), faults.reader_left(), faults.lost()), (stops, stops, loses), "{kind}");
            assert_eq!(*page.0.lock().unwrap(), b"c\n", "{kind}: the other stream goes on");
        }
    }
}

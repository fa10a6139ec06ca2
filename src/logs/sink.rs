//! Where a task's output goes.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use super::record::{Record, Stream};

/// Takes what a task writes, in the order in which the Engine hands it out, each record once (once more after a crash of
/// ours). It is called from one thread. While it blocks, nothing more of the task's output is read.
///
/// After an error it is not called again; the others of the same task go on.
pub trait Sink: Send {
    /// Takes a line, or a piece of one.
    ///
    /// # Errors
    /// The record cannot be taken, nor any further one.
    fn record(&mut self, record: &Record<'_>) -> io::Result<()>;

    /// Takes words about the output that are not part of it, such as that lines may be missing.
    ///
    /// # Errors
    /// As for [`Sink::record`].
    fn notice(&mut self, text: &str) -> io::Result<()> {
        let _ = text;
        Ok(())
    }

    /// Called when nothing more is there at present.
    ///
    /// # Errors
    /// As for [`Sink::record`].
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes one stream's bytes, or both streams' to a writer each.
///
/// ```
/// use longshore::logs::{Sink, WriteSink};
/// let sink: Box<dyn Sink> = Box::new(WriteSink::new(std::io::stdout(), std::io::stderr()));
/// # let _ = sink;
/// ```
#[derive(Debug)]
pub struct WriteSink<O, E> {
    stdout: O,
    stderr: E,
}

impl<O: Write + Send, E: Write + Send> WriteSink<O, E> {
    /// Standard output to `stdout`, standard error to `stderr`.
    pub fn new(stdout: O, stderr: E) -> Self {
        Self { stdout, stderr }
    }
}

impl<O: Write + Send, E: Write + Send> Sink for WriteSink<O, E> {
    fn record(&mut self, record: &Record<'_>) -> io::Result<()> {
        match record.stream {
            Stream::Stdout => self.stdout.write_all(record.bytes),
            Stream::Stderr => self.stderr.write_all(record.bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stdout.flush()?;
        self.stderr.flush()
    }
}

/// Appends one stream to a file.
#[derive(Debug)]
pub(crate) struct FileSink {
    stream: Stream,
    file: File,
}

impl FileSink {
    /// Opens the file, made where it is missing.
    pub(crate) fn open(path: &Path, stream: Stream) -> io::Result<Self> {
        Ok(Self { stream, file: OpenOptions::new().create(true).append(true).open(path)? })
    }
}

impl Sink for FileSink {
    fn record(&mut self, record: &Record<'_>) -> io::Result<()> {
        if record.stream == self.stream { self.file.write_all(record.bytes) } else { Ok(()) }
    }
}

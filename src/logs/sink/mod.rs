//! What a user of the library gives for output to go to.

pub(in crate::logs) mod backend;
pub(in crate::logs) mod door;
pub(in crate::logs) mod fifo;
pub(crate) mod layout;
pub(in crate::logs) mod rotating;

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crossbeam_channel::{SendTimeoutError, Sender};

use crate::logs::record::{Record, Stamp, Stream};
use crate::logs::sink::backend::{Gate, SinkBackend};

/// How long a sink that takes nothing now is left alone.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a full channel is waited at before the Engine's connection is given up.
const FULL: Duration = Duration::from_millis(200);

/// Takes what a task writes, in the order in which the Engine hands it out, each record once (once more after a crash of
/// ours). It is called from one thread. While it blocks, nothing more of the task's output is read; when it blocks for
/// some seconds, the Engine's connection is given up, and taken up again where it was.
///
/// After an error it is not called again; the others of the same task go on.
pub trait Sink: Send {
    /// Takes a line, or a piece of one.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock): it takes nothing of it at present, and is to be offered it again. Any other: the
    /// record cannot be taken, nor any further one.
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

    /// A file in which is kept how far this sink has got, so that it is not given everything again when its task is taken up
    /// after a crash. `None`, the default: it gets all that the Engine still holds then.
    fn cursor(&self) -> Option<&Path> {
        None
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
    /// Per stream, how much was written of what comes next: of a record that a writer took only a part of.
    ahead: [usize; 2],
}

impl<O: Write + Send, E: Write + Send> WriteSink<O, E> {
    /// Standard output to `stdout`, standard error to `stderr`.
    pub fn new(stdout: O, stderr: E) -> Self {
        Self { stdout, stderr, ahead: [0; 2] }
    }
}

impl<O: Write + Send, E: Write + Send> Sink for WriteSink<O, E> {
    fn record(&mut self, record: &Record<'_>) -> io::Result<()> {
        match record.stream {
            Stream::Stdout => write(&mut self.stdout, record.bytes, &mut self.ahead[0]),
            Stream::Stderr => write(&mut self.stderr, record.bytes, &mut self.ahead[1]),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stdout.flush()?;
        self.stderr.flush()
    }
}

/// Writes all bytes but the first `ahead`, and counts on: a writer that would block keeps what it took, and is offered the whole
/// again, cut as it may be.
fn write(to: &mut impl Write, bytes: &[u8], ahead: &mut usize) -> io::Result<()> {
    while let Some(rest) = bytes.get(*ahead..).filter(|rest| !rest.is_empty()) {
        match to.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => *ahead += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    *ahead -= bytes.len();
    Ok(())
}

/// A piece of what a task wrote, as [`ChannelSink`] sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedRecord {
    /// Which stream it was written to.
    pub stream: Stream,
    /// When, by the Engine's clock.
    pub stamp: Stamp,
    /// The bytes: a line with its newline, or a piece of one.
    pub bytes: Vec<u8>,
    /// Whether these bytes go on with a line of which earlier ones of the stream were the beginning.
    pub continues: bool,
}

/// Sends each record into a bounded channel. A receiver that is slow loses nothing that the Engine still holds; one that has gone
/// ends the sink.
///
/// ```
/// use longshore::logs::{ChannelSink, Sink};
/// let (sender, records) = crossbeam_channel::bounded(100);
/// let sink: Box<dyn Sink> = Box::new(ChannelSink::new(sender));
/// # let _ = (sink, records);
/// ```
#[derive(Debug)]
pub struct ChannelSink {
    to: Sender<OwnedRecord>,
}

impl ChannelSink {
    /// Sends to `to`.
    pub fn new(to: Sender<OwnedRecord>) -> Self {
        Self { to }
    }
}

impl Sink for ChannelSink {
    fn record(&mut self, record: &Record<'_>) -> io::Result<()> {
        let Record { stream, stamp, bytes, continues } = *record;
        let record = OwnedRecord { stream, stamp, bytes: bytes.to_vec(), continues };
        self.to.send_timeout(record, FULL).map_err(|e| match e {
            SendTimeoutError::Timeout(_) => io::ErrorKind::WouldBlock.into(),
            SendTimeoutError::Disconnected(_) => {
                io::Error::new(io::ErrorKind::BrokenPipe, "the channel has no receiver")
            }
        })
    }
}

/// A user's sink, as the collector sees it.
pub(in crate::logs) struct Live {
    sink: Box<dyn Sink>,
    again: Instant,
}

impl Live {
    pub(in crate::logs) fn new(sink: Box<dyn Sink>) -> Self {
        Self { sink, again: Instant::now() }
    }

    /// `None`: not now.
    fn unless_full(&mut self, done: io::Result<()>) -> io::Result<Option<()>> {
        match done {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                self.again = Instant::now() + PAUSE;
                Ok(None)
            }
            done => done.map(Some),
        }
    }
}

impl SinkBackend for Live {
    fn put(&mut self, record: &Record<'_>) -> io::Result<usize> {
        let done = self.sink.record(record);
        Ok(self.unless_full(done)?.map_or(0, |()| record.bytes.len()))
    }

    fn notice(&mut self, text: &str) -> io::Result<()> {
        let done = self.sink.notice(text);
        self.unless_full(done).map(|_| ())
    }

    fn flush(&mut self) -> io::Result<bool> {
        let done = self.sink.flush();
        Ok(self.unless_full(done)?.is_some())
    }

    fn gate(&self) -> Gate {
        Gate::Later(self.again)
    }
}

//! What a scripted Engine does with one request: steps, in order. Bytes, pauses, waits for a condition, an early end.

use std::time::Duration;

use serde_json::Value;

/// One thing that a scripted Engine does.
pub(crate) enum Step {
    /// Sends bytes.
    Send(Vec<u8>),
    /// Does nothing for a while.
    Pause(Duration),
    /// Does nothing until the condition holds. It is asked whenever something changes at the Engine.
    Until(Box<dyn FnMut() -> bool + Send>),
    /// Goes on with steps that are known only now.
    Then(Box<dyn FnOnce() -> Vec<Step> + Send>),
    /// Says nothing more, and keeps the connection until the client leaves.
    Hold,
    /// Closes the connection.
    Close,
}

/// The answer to one request. Its connection is kept for the next one, unless a step closes it.
pub(crate) struct Answer {
    pub(crate) steps: Vec<Step>,
}

/// An answer with its name, for tables: made each time anew.
pub(crate) type Named = (&'static str, fn() -> Answer);

impl Answer {
    /// Nothing at all, yet.
    pub(crate) fn nothing() -> Self {
        Self { steps: Vec::new() }
    }

    /// Bytes as they stand.
    pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { steps: vec![Step::Send(bytes.into())] }
    }

    /// A body of a length that the head tells.
    pub(crate) fn body(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut bytes = format!("HTTP/1.1 {status} x\r\n{headers}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
        bytes.extend_from_slice(body);
        Self::raw(bytes)
    }

    /// JSON.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::body(status, "Content-Type: application/json\r\n", body.to_string())
    }

    /// An error in Docker's form.
    pub(crate) fn error(status: u16, message: &str) -> Self {
        Self::json(status, &serde_json::json!({ "message": message }))
    }

    /// A status that has no body.
    pub(crate) fn empty(status: u16) -> Self {
        Self::raw(format!("HTTP/1.1 {status} x\r\n\r\n"))
    }

    /// The answer to a ping, with a version or without one.
    pub(crate) fn ping(version: &str) -> Self {
        let header = if version.is_empty() { String::new() } else { format!("Api-Version: {version}\r\n") };
        Self::body(200, &header, "OK")
    }

    /// A head after which chunks come.
    pub(crate) fn chunked() -> Self {
        Self::raw("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    }

    /// A chunk.
    pub(crate) fn chunk(self, bytes: impl AsRef<[u8]>) -> Self {
        self.send(chunk(bytes.as_ref()))
    }

    /// The end of chunks.
    pub(crate) fn end(self) -> Self {
        self.send("0\r\n\r\n")
    }

    /// More bytes.
    pub(crate) fn send(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.step(Step::Send(bytes.into()))
    }

    /// A pause.
    pub(crate) fn pause(self, pause: Duration) -> Self {
        self.step(Step::Pause(pause))
    }

    /// Waits for a condition.
    pub(crate) fn until(self, condition: impl FnMut() -> bool + Send + 'static) -> Self {
        self.step(Step::Until(Box::new(condition)))
    }

    /// Goes on with an answer that is known only then.
    pub(crate) fn then(self, go_on: impl FnOnce() -> Answer + Send + 'static) -> Self {
        self.step(Step::Then(Box::new(|| go_on().steps)))
    }

    /// Goes on with another answer's steps.
    pub(crate) fn and(mut self, other: Answer) -> Self {
        self.steps.extend(other.steps);
        self
    }

    /// Never a word more.
    pub(crate) fn hold(self) -> Self {
        self.step(Step::Hold)
    }

    /// Closes the connection.
    pub(crate) fn close(self) -> Self {
        self.step(Step::Close)
    }

    /// Sends so many bytes at a time, with a pause after each.
    pub(crate) fn in_pieces(self, size: usize, pause: Duration) -> Self {
        let mut steps = Vec::new();
        for step in self.steps {
            let Step::Send(bytes) = step else {
                steps.push(step);
                continue;
            };
            for piece in bytes.chunks(size) {
                steps.push(Step::Send(piece.to_vec()));
                if !pause.is_zero() {
                    steps.push(Step::Pause(pause));
                }
            }
        }
        Self { steps }
    }

    /// Closes the connection after so many bytes.
    pub(crate) fn cut(self, mut left: usize) -> Self {
        let mut steps = Vec::new();
        for step in self.steps {
            match step {
                Step::Send(mut bytes) => {
                    bytes.truncate(left);
                    left -= bytes.len();
                    steps.push(Step::Send(bytes));
                }
                other => steps.push(other),
            }
        }
        Self { steps }.close()
    }

    /// How many bytes it sends in all.
    pub(crate) fn len(&self) -> usize {
        self.steps.iter().map(|step| if let Step::Send(bytes) = step { bytes.len() } else { 0 }).sum()
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

/// A chunk of a chunked body.
pub(crate) fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

/// A frame of a multiplexed stream: 1 is standard output, 2 standard error, 3 the Engine itself.
pub(crate) fn frame(stream: u8, bytes: &[u8]) -> Vec<u8> {
    let mut frame = vec![stream, 0, 0, 0];
    frame.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(bytes);
    frame
}

//! What a scripted Engine does with one request: steps, in order. No I/O: the connection does them.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::engine::Stream;

/// The answer to one request, as steps: bytes, pauses, waits, an early end. Its connection is kept for the next request,
/// unless a step closes it, or the client asked for that.
///
/// An answer begins with one of the functions without `self`; the others add to it.
///
/// ```
/// use longshore::replay::scripted::Answer;
/// use std::time::Duration;
/// let slow = Answer::body(200, "hello").header("Content-Type", "text/plain").in_pieces(1, Duration::from_millis(5));
/// let cut = Answer::json(200, &["a", "b"]).cut(50);
/// let half_a_head = Answer::raw("HTTP/1.1 200 O").close();
/// let never = Answer::nothing().hold();
/// let endless = Answer::chunked(200).chunk("{").hold();
/// ```
#[must_use]
pub struct Answer {
    pub(super) steps: Vec<Step>,
}

/// How it goes on after the client's bytes.
type GoOn = Box<dyn FnOnce(&[u8]) -> Answer + Send>;

/// One thing that a scripted Engine does.
pub(super) enum Step {
    /// Sends a head.
    Head(Head),
    /// Sends bytes of a body: not where the request was a HEAD.
    Body(Vec<u8>),
    /// Sends bytes as they stand.
    Send(Vec<u8>),
    Pause(Duration),
    Until(Box<dyn FnMut() -> bool + Send>),
    Then(Box<dyn FnOnce() -> Answer + Send>),
    /// Reads as many of the client's bytes, or (`None`) all of them.
    Read(Option<usize>, GoOn),
    Echo,
    EndWriting,
    Hold,
    Close,
    Reset,
    /// The connection is no longer HTTP: it is closed with the last step.
    Upgraded,
}

/// Makes a step of a part of another one's bytes.
type Again = fn(Vec<u8>) -> Step;

impl Step {
    /// What it sends, and what makes a step of a part of that. A step that sends nothing is given back.
    fn bytes(self) -> Result<(Vec<u8>, Again), Self> {
        match self {
            Self::Head(head) => Ok((head.bytes(), Self::Send)),
            Self::Send(bytes) => Ok((bytes, Self::Send)),
            Self::Body(bytes) => Ok((bytes, Self::Body)),
            other => Err(other),
        }
    }
}

/// The first lines of an answer.
pub(super) struct Head {
    status: u16,
    headers: Vec<(String, String)>,
}

impl Head {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            text.extend([name, ": ", value, "\r\n"]);
        }
        text.push_str("\r\n");
        text.into_bytes()
    }
}

/// How an answer begins.
impl Answer {
    /// Nothing at all, yet. The client is left without a word if nothing is added.
    pub fn nothing() -> Self {
        Self { steps: Vec::new() }
    }

    /// Bytes as they stand, whether they are HTTP or not.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self::nothing().send(bytes)
    }

    /// A head, and no body. It says `Content-Length: 0`, except where a status (1xx, 204, 304) has no body anyway.
    pub fn empty(status: u16) -> Self {
        match status {
            100..=199 | 204 | 304 => Self::head(status),
            _ => Self::head(status).header("Content-Length", "0"),
        }
    }

    /// A body of a length that the head tells. To a HEAD, the head alone is sent.
    pub fn body(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let head = Self::head(status).header("Content-Length", &body.len().to_string());
        head.step(Step::Body(body))
    }

    /// The same, of JSON.
    ///
    /// # Panics
    /// Where the value has no form in JSON: a map whose keys are no texts.
    #[track_caller]
    pub fn json(status: u16, value: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self::body(status, body).header("Content-Type", "application/json"),
            Err(e) => panic!("this has no form in JSON: {e}"),
        }
    }

    /// An Engine's no, in its form: `{"message": …}`.
    pub fn error(status: u16, message: &str) -> Self {
        Self::json(status, &serde_json::json!({ "message": message }))
    }

    /// The answer to a ping by an Engine that speaks so high a version (such as `1.41`). Empty: it does not say.
    pub fn ping(version: &str) -> Self {
        let answer = Self::body(200, "OK");
        if version.is_empty() { answer } else { answer.header("Api-Version", version) }
    }

    /// A head after which chunks come: see [`Answer::chunk`], [`Answer::frame`], and at last [`Answer::end`].
    pub fn chunked(status: u16) -> Self {
        Self::head(status).header("Transfer-Encoding", "chunked")
    }

    /// A head (101) after which the connection belongs to both sides, as for `attach` and `exec`: what is
    /// [sent](Answer::send) and [read](Answer::read) is raw. With its last step the connection is closed.
    pub fn upgrade() -> Self {
        let head = Self::head(101).header("Content-Type", "application/vnd.docker.raw-stream");
        head.header("Connection", "Upgrade").header("Upgrade", "tcp").step(Step::Upgraded)
    }

    fn head(status: u16) -> Self {
        Self::nothing().step(Step::Head(Head { status, headers: Vec::new() }))
    }
}

/// What is sent.
impl Answer {
    /// One more header, as it stands.
    ///
    /// # Panics
    /// Where the answer has no head of ours to add it to: it is raw, in pieces or cut already.
    #[track_caller]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let heads = self.steps.iter_mut().rev();
        let head = heads.filter_map(|step| if let Step::Head(head) = step { Some(head) } else { None }).next();
        let Some(head) = head else { panic!("no head to add `{name}` to") };
        head.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// More bytes, as they stand.
    pub fn send(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.step(Step::Send(bytes.into()))
    }

    /// A chunk. An empty one would be the last, and is left out.
    pub fn chunk(self, bytes: impl AsRef<[u8]>) -> Self {
        match bytes.as_ref() {
            [] => self,
            bytes => self.step(Step::Body(chunk(bytes))),
        }
    }

    /// A chunk that holds one [`frame`] of a multiplexed stream.
    ///
    /// # Panics
    /// Where the bytes are 4 GiB or more.
    #[track_caller]
    pub fn frame(self, stream: Stream, bytes: impl AsRef<[u8]>) -> Self {
        self.chunk(frame(stream, bytes))
    }

    /// The end of the chunks.
    pub fn end(self) -> Self {
        self.step(Step::Body(b"0\r\n\r\n".to_vec()))
    }

    /// What was added so far is sent so many bytes at a time (at least 1), with a pause after each piece.
    pub fn in_pieces(self, size: usize, pause: Duration) -> Self {
        let mut steps = Vec::new();
        for step in self.steps {
            let (bytes, again) = match step.bytes() {
                Ok(bytes) => bytes,
                Err(other) => {
                    steps.push(other);
                    continue;
                }
            };
            for piece in bytes.chunks(size.max(1)) {
                steps.push(again(piece.to_vec()));
                if !pause.is_zero() {
                    steps.push(Step::Pause(pause));
                }
            }
        }
        Self { steps }
    }

    /// Closes the connection after so many bytes, counted from the head's first, or after what was added so far.
    pub fn cut(self, mut left: usize) -> Self {
        let mut steps = Vec::new();
        for step in self.steps {
            let (mut bytes, again) = match step.bytes() {
                Ok(bytes) => bytes,
                Err(other) => {
                    steps.push(other);
                    continue;
                }
            };
            bytes.truncate(left);
            left -= bytes.len();
            steps.push(again(bytes));
            if left == 0 {
                break;
            }
        }
        Self { steps }.close()
    }

    /// How many bytes it sends in all, as far as that is known before it is given.
    pub fn size(&self) -> usize {
        let sizes = self.steps.iter().map(|step| match step {
            Step::Head(head) => head.bytes().len(),
            Step::Send(bytes) | Step::Body(bytes) => bytes.len(),
            _ => 0,
        });
        sizes.sum()
    }
}

/// When, and how it goes on. Each of these waits ends at once when the Engine is dropped or goes away.
impl Answer {
    /// Says nothing for so long.
    pub fn pause(self, pause: Duration) -> Self {
        self.step(Step::Pause(pause))
    }

    /// Waits until the condition holds. It is asked at once, and again whenever something happens at the Engine or
    /// somebody [pokes](super::Poker) it; that the client leaves is not noticed meanwhile.
    pub fn until(self, condition: impl FnMut() -> bool + Send + 'static) -> Self {
        self.step(Step::Until(Box::new(condition)))
    }

    /// Goes on with an answer that is made only then.
    pub fn then(self, go_on: impl FnOnce() -> Answer + Send + 'static) -> Self {
        self.step(Step::Then(Box::new(go_on)))
    }

    /// Goes on with another answer's steps.
    pub fn and(mut self, other: Answer) -> Self {
        self.steps.extend(other.steps);
        self
    }

    /// Reads so many bytes of what the client sends after its request, and goes on with what is made of them. They are
    /// fewer only where the client ended its side before. No more than 64 MiB: then the connection is closed.
    pub fn read(self, count: usize, go_on: impl FnOnce(&[u8]) -> Answer + Send + 'static) -> Self {
        self.step(Step::Read(Some(count), Box::new(go_on)))
    }

    /// Reads what the client sends after its request until it ends its side, and goes on with what is made of it.
    /// No more than 64 MiB: then the connection is closed.
    pub fn read_to_end(self, go_on: impl FnOnce(&[u8]) -> Answer + Send + 'static) -> Self {
        self.step(Step::Read(None, Box::new(go_on)))
    }

    /// Sends back what the client sends, as it comes, until the client ends its side.
    pub fn echo(self) -> Self {
        self.step(Step::Echo)
    }
}

/// How it ends. What is added after one of these is not done, except after [`Answer::end_writing`].
impl Answer {
    /// Ends our side of the connection; the client's stays open, and can be read.
    pub fn end_writing(self) -> Self {
        self.step(Step::EndWriting)
    }

    /// Never a word more: keeps the connection until the client ends its side.
    pub fn hold(self) -> Self {
        self.step(Step::Hold)
    }

    /// Closes the connection.
    pub fn close(self) -> Self {
        self.step(Step::Close)
    }

    /// Resets the connection, as a crash or a firewall does: the client's next read fails. Only a port's connections
    /// can be reset; others are closed.
    pub fn reset(self) -> Self {
        self.step(Step::Reset)
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.steps).finish()
    }
}

/// How many bytes, not which.
impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(head) => write!(f, "Head({})", head.status),
            Self::Body(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            Self::Send(bytes) => write!(f, "Send({} bytes)", bytes.len()),
            Self::Pause(pause) => write!(f, "Pause({pause:?})"),
            Self::Until(_) => f.write_str("Until"),
            Self::Then(_) => f.write_str("Then"),
            Self::Read(Some(count), _) => write!(f, "Read({count} bytes)"),
            Self::Read(None, _) => f.write_str("ReadToEnd"),
            Self::Echo => f.write_str("Echo"),
            Self::EndWriting => f.write_str("EndWriting"),
            Self::Hold => f.write_str("Hold"),
            Self::Close => f.write_str("Close"),
            Self::Reset => f.write_str("Reset"),
            Self::Upgraded => f.write_str("Upgraded"),
        }
    }
}

/// A chunk of a chunked body, with its length before it. An empty one is the last.
pub fn chunk(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// A frame of a multiplexed stream: how an Engine sends two streams over one connection.
///
/// # Panics
/// Where the bytes are 4 GiB or more: a frame's length has 32 bits.
#[track_caller]
pub fn frame(stream: Stream, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let number = match stream {
        Stream::Stdout => 1,
        Stream::Stderr => 2,
        Stream::System => 3,
    };
    let Ok(length) = u32::try_from(bytes.len()) else { panic!("{} bytes are too many for a frame", bytes.len()) };
    [&[number, 0, 0, 0], &length.to_be_bytes()[..], bytes].concat()
}

/// The words after a status. Nobody reads them, but people.
fn reason(status: u16) -> &'static str {
    match status {
        101 => "UPGRADED",
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        413 => "Content Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Scripted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that is sent.
    fn sent(answer: &Answer) -> String {
        let bytes = answer.steps.iter().map(|step| match step {
            Step::Head(head) => head.bytes(),
            Step::Send(bytes) | Step::Body(bytes) => bytes.clone(),
            _ => Vec::new(),
        });
        String::from_utf8(bytes.collect::<Vec<_>>().concat()).unwrap()
    }

    #[test]
    fn what_is_sent() {
        let json = "HTTP/1.1 404 Not Found\r\nContent-Length: 16\r\nContent-Type: application/json\r\n\r\n";
        for (row, answer, want) in [
            ("nothing", Answer::nothing(), "".to_owned()),
            ("no body", Answer::empty(204), "HTTP/1.1 204 No Content\r\n\r\n".into()),
            ("an empty body", Answer::empty(200), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into()),
            ("an error", Answer::error(404, "no"), format!("{json}{{\"message\":\"no\"}}")),
            (
                "a ping",
                Answer::ping("1.41"),
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nApi-Version: 1.41\r\n\r\nOK".into(),
            ),
            ("a silent ping", Answer::ping(""), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK".into()),
            (
                "chunks",
                Answer::chunked(200).chunk("0123456789").chunk("").end(),
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n".into(),
            ),
            ("a frame", Answer::nothing().frame(Stream::Stderr, "no"), "a\r\n\u{2}\0\0\0\0\0\0\u{2}no\r\n".into()),
            ("raw", Answer::raw("a").and(Answer::raw("b")).send("c"), "abc".into()),
        ] {
            assert_eq!(sent(&answer), want, "{row}");
            assert_eq!(answer.size(), want.len(), "{row}");
            assert_eq!(sent(&answer.in_pieces(3, Duration::ZERO)), want, "{row}, in pieces");
        }
    }

    #[test]
    fn pieces_and_their_pauses() {
        let answer = Answer::raw("abcde").hold().in_pieces(2, Duration::from_millis(1));
        let pause = "Pause(1ms)";
        let want = format!("[Send(2 bytes), {pause}, Send(2 bytes), {pause}, Send(1 bytes), {pause}, Hold]");
        assert_eq!(format!("{answer:?}"), want);
        assert_eq!(Answer::raw("ab").in_pieces(0, Duration::ZERO).steps.len(), 2, "at least one byte each");
    }

    #[test]
    fn a_cut_is_the_end() {
        let whole = sent(&Answer::body(200, "hello"));
        for at in 0..whole.len() {
            let cut = Answer::body(200, "hello").pause(Duration::MAX).hold().cut(at);
            assert_eq!(sent(&cut), whole[..at], "at {at}");
            assert!(matches!(cut.steps.last(), Some(Step::Close)), "at {at}");
            assert!(!cut.steps.iter().any(|step| matches!(step, Step::Pause(_))), "at {at}: nothing comes after");
        }
        let later = Answer::raw("a").pause(Duration::from_secs(1)).send("b").cut(9);
        assert_eq!(format!("{later:?}"), "[Send(1 bytes), Pause(1s), Send(1 bytes), Close]");
    }

    #[test]
    #[should_panic(expected = "no head to add `X` to")]
    fn a_header_without_a_head() {
        let _ = Answer::raw("HTTP/1.1 200 OK\r\n\r\n").header("X", "y");
    }
}

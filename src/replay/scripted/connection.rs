//! One connection of a scripted Engine: reads requests off it, whole, one after the other, and does what is answered.
//! Which answer that is, is not decided here.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::answer::Step;
use super::state::Shared;
use super::{Answer, LONGEST_BODY, Request};
use crate::http::Socket;
use crate::replay::http::server::end_writing;
use crate::replay::http::wire::{Bad, BodyDecoder, Framing, Head, HeadDecoder, Piece, has_word};
use crate::threads::{Cut, Hangup};

/// How much is read at once, in bytes.
const PIECE: usize = 16 * 1024;

/// Serves a connection until one side ends it, or the latch closes.
pub(super) fn serve(shared: &Arc<Shared>, socket: &Socket, latch: &Hangup) {
    let number = shared.opened();
    let served = catch_unwind(AssertUnwindSafe(|| {
        let input = Input::new(socket);
        // However the client leaves is its own affair.
        let _ = Connection { shared, socket, latch, number, input }.run();
    }));
    if let Err(panic) = served {
        let _ = shared.panicked(panic.as_ref());
    }
    // Closed before it counts as closed.
    socket.cut();
    shared.closed();
}

struct Connection<'a> {
    shared: &'a Arc<Shared>,
    socket: &'a Socket,
    latch: &'a Hangup,
    number: usize,
    input: Input<'a>,
}

/// A request, and whether its connection takes no more of them.
struct Asked {
    request: Request,
    is_last: bool,
}

/// What is done with the connection after an answer.
#[derive(PartialEq, Eq)]
enum After {
    Keep,
    Close,
}

/// Why there is no next request.
enum No {
    /// The client has left.
    Left(io::Error),
    /// What came is answered with a no: the status, why, and what was asked as far as that is known.
    Refused { status: u16, why: &'static str, what: String },
}

impl From<io::Error> for No {
    fn from(e: io::Error) -> Self {
        Self::Left(e)
    }
}

impl Connection<'_> {
    fn run(&mut self) -> io::Result<()> {
        loop {
            let Asked { request, is_last } = match self.next_request() {
                Ok(Some(asked)) => asked,
                Ok(None) => return Ok(()),
                Err(No::Left(e)) => return Err(e),
                Err(No::Refused { status, why, what }) => return self.refuse(status, why, &what),
            };
            let is_head = request.method == "HEAD";
            let answer = self.shared.answer(request);
            if self.perform(answer, is_head)? == After::Close || is_last {
                return Ok(());
            }
        }
    }

    /// Reads the next request. `None`: the client has left between two.
    fn next_request(&mut self) -> Result<Option<Asked>, No> {
        let Some(head) = self.next_head()? else { return Ok(None) };
        // Not the query, which may hold what is secret; nor all of what may be anything.
        let what = || head.start.split('?').next().unwrap_or_default().chars().take(200).collect::<String>();
        let refused = |bad: Bad| No::Refused { status: 400, why: bad.0, what: what() };
        let (method, target) = head.request_line().map_err(refused)?;
        let framing = Framing::of_request(&head).map_err(refused)?;
        let too_long = || No::Refused { status: 413, why: "the body is longer than 64 MiB", what: what() };
        if matches!(framing, Framing::Length(length) if length > LONGEST_BODY as u64) {
            return Err(too_long());
        }
        if framing != Framing::Empty && has_word(&head.headers, "expect", "100-continue") {
            (&mut &*self.socket).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let (mut decoder, mut body) = (BodyDecoder::new(framing), Vec::new());
        'whole: loop {
            let mut unread = self.input.unread();
            let before = unread.len();
            while let Some(piece) = decoder.next(&mut unread).map_err(refused)? {
                match piece {
                    Piece::Data(bytes) if body.len() + bytes.len() > LONGEST_BODY => return Err(too_long()),
                    Piece::Data(bytes) => body.extend_from_slice(bytes),
                    Piece::ChunkEnd => {}
                    Piece::End => {
                        let used = before - unread.len();
                        self.input.take(used);
                        break 'whole;
                    }
                }
            }
            let used = before - unread.len();
            self.input.take(used);
            self.input.need_more()?;
        }
        // A client of HTTP/1.0, or one that says so, waits for the connection's end.
        let is_last = head.start.ends_with("HTTP/1.0") || has_word(&head.headers, "connection", "close");
        Ok(Some(Asked { request: Request::new(method, target, &head, body, self.number), is_last }))
    }

    fn next_head(&mut self) -> Result<Option<Head>, No> {
        let mut decoder = HeadDecoder::default();
        loop {
            let mut unread = self.input.unread();
            let before = unread.len();
            let head = decoder.next(&mut unread);
            let used = before - unread.len();
            self.input.take(used);
            match head {
                Err(bad) => return Err(No::Refused { status: 400, why: bad.0, what: "no HTTP".to_owned() }),
                Ok(Some(head)) => return Ok(Some(head)),
                Ok(None) if decoder.has_begun() => self.input.need_more()?,
                Ok(None) if self.input.more()? => {}
                Ok(None) => return Ok(None),
            }
        }
    }

    /// Says no, in a way that reaches a client which is still sending.
    fn refuse(&mut self, status: u16, why: &str, what: &str) -> io::Result<()> {
        self.shared.unwanted(format!("{what}: {why}"));
        let answer = Answer::error(status, why).header("Connection", "close");
        // A connection that is closed with bytes unread is reset, and its answer lost.
        self.perform(answer.end_writing().hold(), false)?;
        Ok(())
    }

    /// Does an answer's steps.
    fn perform(&mut self, answer: Answer, is_head: bool) -> io::Result<After> {
        let mut steps = VecDeque::from(answer.steps);
        let mut upgraded = false;
        // Not by recursion: an answer may go on and on.
        let go_on = |steps: &mut VecDeque<Step>, answer: Answer| {
            for step in answer.steps.into_iter().rev() {
                steps.push_front(step);
            }
        };
        while let Some(step) = steps.pop_front() {
            match step {
                Step::Head(head) => self.send(&head.bytes())?,
                Step::Body(_) if is_head => {}
                Step::Body(bytes) | Step::Send(bytes) => self.send(&bytes)?,
                Step::Pause(pause) => {
                    if !self.latch.sleep(pause) {
                        return Ok(After::Close);
                    }
                }
                Step::Until(condition) => {
                    if !self.shared.wait(Some(self.latch), None, condition) {
                        return Ok(After::Close);
                    }
                }
                Step::Then(make) => go_on(&mut steps, make()),
                Step::Read(count, make) => {
                    let bytes = self.input.read(count)?;
                    go_on(&mut steps, make(&bytes));
                }
                Step::Echo => self.echo()?,
                Step::EndWriting => end_writing(self.socket),
                Step::Hold => {
                    self.input.drain()?;
                    return Ok(After::Close);
                }
                Step::Close => return Ok(After::Close),
                Step::Reset => {
                    if let Socket::Tcp(stream) = self.socket {
                        // Leaves the peer at once; a close would end the connection in good order first.
                        rustix::net::connect_unspec(stream)?;
                    }
                    return Ok(After::Close);
                }
                Step::Upgraded => upgraded = true,
            }
        }
        Ok(if upgraded { After::Close } else { After::Keep })
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        (&mut &*self.socket).write_all(bytes)
    }

    fn echo(&mut self) -> io::Result<()> {
        loop {
            let unread = self.input.unread();
            (&mut &*self.socket).write_all(unread)?;
            let used = unread.len();
            self.input.take(used);
            if !self.input.more()? {
                return Ok(());
            }
        }
    }
}

/// What the client sent and nobody has looked at yet.
struct Input<'a> {
    socket: &'a Socket,
    buffer: Vec<u8>,
    unread: Range<usize>,
}

impl<'a> Input<'a> {
    fn new(socket: &'a Socket) -> Self {
        Self { socket, buffer: vec![0; PIECE], unread: 0..0 }
    }

    fn unread(&self) -> &[u8] {
        &self.buffer[self.unread.clone()]
    }

    fn take(&mut self, count: usize) {
        self.unread.start += count;
    }

    /// Reads what has come, once all that came before was taken. False: the client has ended its side.
    fn more(&mut self) -> io::Result<bool> {
        debug_assert!(self.unread.is_empty(), "what is unread would be lost");
        loop {
            match (&mut &*self.socket).read(&mut self.buffer) {
                Ok(count) => {
                    self.unread = 0..count;
                    return Ok(count > 0);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// The same, where an end is none in good order.
    fn need_more(&mut self) -> io::Result<()> {
        if self.more()? { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// So many bytes, or (`None`) all until the client ends its side.
    fn read(&mut self, count: Option<usize>) -> io::Result<Vec<u8>> {
        let (mut bytes, count) = (Vec::new(), count.unwrap_or(usize::MAX));
        loop {
            let unread = self.unread();
            let taken = unread.len().min(count - bytes.len());
            bytes.extend_from_slice(&unread[..taken]);
            self.take(taken);
            if bytes.len() > LONGEST_BODY {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            if bytes.len() == count || !self.more()? {
                return Ok(bytes);
            }
        }
    }

    /// Reads on for nobody until the client ends its side.
    fn drain(&mut self) -> io::Result<()> {
        io::copy(&mut &*self.socket, &mut io::sink()).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::scripted::Scripted;
    use std::net::{Shutdown, TcpStream};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    fn connect(scripted: &Scripted) -> UnixStream {
        let crate::http::Endpoint::Unix(path) = scripted.endpoint() else { panic!("{scripted:?}") };
        UnixStream::connect(path).unwrap()
    }

    /// Sends all, ends its side, and hears all.
    fn say(scripted: &Scripted, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = connect(scripted);
        stream.write_all(bytes.as_ref()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        hear(stream)
    }

    fn hear(mut stream: impl Read) -> String {
        let mut heard = String::new();
        stream.read_to_string(&mut heard).unwrap();
        heard
    }

    /// Reads as many bytes as `want` has.
    #[track_caller]
    fn expect(mut stream: impl Read, want: &str) {
        let mut heard = vec![0; want.len()];
        stream.read_exact(&mut heard).unwrap();
        assert_eq!(String::from_utf8_lossy(&heard), want);
    }

    #[test]
    fn requests_in_any_form_one_after_the_other() {
        let all = concat!(
            "GET /a?x=1 HTTP/1.1\r\nHost: docker\r\n\r\n",
            "\r\nPOST /v1.41/b HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
            "POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n",
            "HEAD /d HTTP/1.1\r\n\r\n",
            "GET /e HTTP/1.1\n\n",
        );
        for size in [1, 7, all.len()] {
            let scripted = Scripted::unix().unwrap();
            scripted.always("* /*", || Answer::body(200, "."));
            let mut stream = connect(&scripted);
            for piece in all.as_bytes().chunks(size) {
                stream.write_all(piece).unwrap();
            }
            stream.shutdown(Shutdown::Write).unwrap();
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n";
            assert_eq!(hear(stream), format!("{head}.{head}.{head}.{head}{head}."), "{size} at a time");
            let asked: Vec<_> = scripted.requests("* /*").into_iter().map(|r| (r.to_string(), r.body)).collect();
            let want = [("GET /a", ""), ("POST /b", "hello"), ("POST /c", "hello"), ("HEAD /d", ""), ("GET /e", "")];
            assert_eq!(
                asked,
                want.map(|(asked, body)| (asked.to_owned(), body.as_bytes().to_vec())),
                "{size} at a time"
            );
            assert_eq!(scripted.state().connections(), 1);
        }
    }

    #[test]
    fn the_last_request_of_a_connection() {
        let scripted = Scripted::unix().unwrap();
        for head in ["GET /_ping HTTP/1.0\r\n\r\n", "GET /_ping HTTP/1.1\r\nConnection: Close\r\n\r\n"] {
            let mut stream = connect(&scripted);
            stream.write_all(head.as_bytes()).unwrap();
            assert!(hear(stream).ends_with("\r\n\r\nOK"), "{head}: it is closed from there");
        }
    }

    #[test]
    fn a_client_that_expects_is_asked() {
        let scripted = Scripted::unix().unwrap();
        scripted.on("POST /*", |request| Some(Answer::body(200, request.body.clone())));
        let mut stream = connect(&scripted);
        stream.write_all(b"POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").unwrap();
        expect(&stream, "HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(b"hi").unwrap();
        expect(&stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    }

    #[test]
    fn what_is_refused_is_remembered() {
        let scripted = Scripted::unix().unwrap().forgiving();
        let long = format!("POST /long HTTP/1.1\r\nContent-Length: {}\r\n\r\nx", LONGEST_BODY + 1);
        let chunk = super::super::chunk(vec![b'x'; 1024 * 1024]);
        let chunks = [&b"PUT /chunks?x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"[..], &chunk.repeat(65)].concat();
        for (bytes, status, what) in [
            (&b"SSH-2.0-OpenSSH_9.2\r\n\r\n"[..], 400, "SSH-2.0-OpenSSH_9.2: "),
            (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, "no HTTP: a header has no colon"),
            (b"GET /?secret HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400, "GET /: "),
            (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400, "GET / HTTP/1.1: "),
            (b"GET /nobody?secret HTTP/1.1\r\n\r\n", 501, "GET /nobody"),
            (long.as_bytes(), 413, "POST /long HTTP/1.1: the body is longer"),
            (&chunks, 413, "PUT /chunks: the body is longer"),
        ] {
            let before = scripted.unwanted().len();
            let heard = say(&scripted, bytes);
            assert!(heard.starts_with(&format!("HTTP/1.1 {status} ")), "{what}: {heard}");
            let unwanted = scripted.unwanted();
            assert_eq!(unwanted.len(), before + 1, "{what}: {unwanted:?}");
            assert!(unwanted[before].starts_with(what), "{what}: {unwanted:?}");
        }
    }

    #[test]
    fn a_client_that_leaves_asked_nothing() {
        let scripted = Scripted::unix().unwrap();
        for bytes in ["", "GET /", "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf"] {
            assert_eq!(say(&scripted, bytes), "", "{bytes}");
        }
        assert_eq!(scripted.state().requests().count(), 0);
        assert!(scripted.unwanted().is_empty());
    }

    #[test]
    fn both_ways_after_an_upgrade() {
        let scripted = Scripted::unix().unwrap();
        let head = String::from_utf8(match &Answer::upgrade().steps[0] {
            Step::Head(head) => head.bytes(),
            other => panic!("{other:?}"),
        });
        let head = head.unwrap();
        fn upper(bytes: &[u8]) -> Answer {
            Answer::raw(bytes.to_ascii_uppercase())
        }
        type Row = (&'static str, fn() -> Answer, &'static str);
        let rows: [Row; 4] = [
            ("read", || Answer::upgrade().read(3, upper).read(2, upper), "ABCDE"),
            ("read to end", || Answer::upgrade().send("> ").read_to_end(upper), "> ABCDEFG"),
            ("echo", || Answer::upgrade().echo().send("bye"), "abcdefgbye"),
            ("half", || Answer::upgrade().end_writing().read_to_end(|_| Answer::nothing()), ""),
        ];
        for (row, answer, want) in rows {
            // What came with the request counts, too.
            for together in [false, true] {
                scripted.answers("POST /raw", [answer()]);
                let mut stream = connect(&scripted);
                let request = "POST /raw HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
                if together {
                    stream.write_all(format!("{request}abcdefg").as_bytes()).unwrap();
                } else {
                    stream.write_all(request.as_bytes()).unwrap();
                    expect(&stream, &head);
                    stream.write_all(b"abcdefg").unwrap();
                }
                stream.shutdown(Shutdown::Write).unwrap();
                let heard = hear(stream);
                let heard = heard.strip_prefix(&head).unwrap_or(&heard);
                assert_eq!(heard, want, "{row}, together: {together}");
            }
        }
    }

    #[test]
    fn an_answer_that_goes_on_and_on() {
        fn count(left: u32) -> Answer {
            if left == 0 { Answer::raw("end") } else { Answer::nothing().then(move || count(left - 1)) }
        }
        let scripted = Scripted::unix().unwrap();
        scripted.always("GET /", || count(100_000).close());
        assert_eq!(say(&scripted, "GET / HTTP/1.1\r\n\r\n"), "end");
    }

    #[test]
    fn a_reset_is_no_end() {
        let scripted = Scripted::tcp().unwrap();
        scripted.always("GET /", || Answer::raw("half").close());
        scripted.answers("GET /", [Answer::raw("half").reset()]);
        let crate::http::Endpoint::Tcp { port, .. } = *scripted.endpoint() else { panic!("{scripted:?}") };
        let ask = || {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
            let mut heard = String::new();
            stream.read_to_string(&mut heard).map(|_| heard).map_err(|e| e.kind())
        };
        assert_eq!(ask(), Err(io::ErrorKind::ConnectionReset));
        assert_eq!(ask().as_deref(), Ok("half"), "a close is one");
    }

    #[test]
    fn a_step_that_panics_closes_its_connection_alone() {
        let scripted = Scripted::unix().unwrap();
        scripted.answers("GET /then", [Answer::raw("begun").then(|| panic!("no luck"))]);
        assert_eq!(say(&scripted, "GET /then HTTP/1.1\r\n\r\n"), "begun");
        assert!(say(&scripted, "GET /_ping HTTP/1.1\r\n\r\n").ends_with("OK"));
        assert_eq!(scripted.state().panics(), ["no luck"]);
        assert!(catch_unwind(AssertUnwindSafe(|| drop(scripted))).is_err(), "and fails the test");
    }
}

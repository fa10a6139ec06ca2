//! HTTP/1.1 as it stands on the wire: heads, and how far each body goes. Decoders take bytes as they come, in any
//! pieces, and lend what they found; nothing here reads or writes.
//!
//! What passes through a proxy is looked at, not judged: only what leaves the end of a message in doubt is an error.

use std::fmt;

/// The longest head that is taken, in bytes. Go's servers, and so Docker's, take no longer one.
pub(in crate::replay) const LONGEST_HEAD: usize = 1024 * 1024;
/// The longest line between two chunks, in bytes: a length, and extensions that nobody uses.
const LONGEST_CHUNK_LINE: usize = 8 * 1024;

/// The first lines of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::replay) struct Head {
    /// The request line or the status line.
    pub(in crate::replay) start: String,
    /// Names as they were sent.
    pub(in crate::replay) headers: Vec<(String, String)>,
}

/// Not HTTP as we know it: what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::replay) struct Bad(pub(in crate::replay) &'static str);

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Bad {}

impl Head {
    /// A header's value; the first of several.
    pub(in crate::replay) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// Method and target of a request line.
    pub(in crate::replay) fn request_line(&self) -> Result<(&str, &str), Bad> {
        let mut words = self.start.split(' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some(method), Some(target), Some(version), None)
                if !method.is_empty() && !target.is_empty() && version.starts_with("HTTP/1.") =>
            {
                Ok((method, target))
            }
            _ => Err(Bad("the first line is no HTTP/1 request line")),
        }
    }

    /// Status and reason of a status line.
    pub(in crate::replay) fn status_line(&self) -> Result<(u16, &str), Bad> {
        let bad = Bad("the first line is no HTTP/1 status line");
        let (version, rest) = self.start.split_once(' ').ok_or(bad)?;
        let (status, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        match status.parse() {
            Ok(status @ 100..=999) if version.starts_with("HTTP/1.") => Ok((status, reason)),
            _ => Err(bad),
        }
    }

    /// The head of `bytes`, without its blank line.
    fn parse(bytes: &[u8]) -> Result<Self, Bad> {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        let start = lines.next().unwrap_or_default().to_owned();
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines.filter(|line| !line.is_empty()) {
            match (line.starts_with([' ', '\t']), headers.last_mut()) {
                (true, Some((_, value))) => {
                    value.push(' ');
                    value.push_str(line.trim());
                }
                _ => {
                    let (name, value) = line.split_once(':').ok_or(Bad("a header has no colon"))?;
                    headers.push((name.to_owned(), value.trim().to_owned()));
                }
            }
        }
        Ok(Self { start, headers })
    }
}

/// A header's value, by its name in any case; the first of several.
pub(in crate::replay) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Whether a header of comma-separated words holds one, in any case.
pub(in crate::replay) fn has_word(headers: &[(String, String)], name: &str, word: &str) -> bool {
    let values = headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    values.flat_map(|value| value.split(',')).any(|w| w.trim().eq_ignore_ascii_case(word))
}

/// Collects a head as its bytes come.
#[derive(Debug, Default)]
pub(in crate::replay) struct HeadDecoder {
    bytes: Vec<u8>,
}

impl HeadDecoder {
    /// Takes a head off the front of `input`; `None`: feed more.
    pub(in crate::replay) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Head>, Bad> {
        if self.bytes.is_empty() {
            // Blank lines before a request line are to be forgiven (RFC 9112, 2.2).
            let blank = input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            *input = &input[blank..];
        }
        while let Some(end) = memchr::memchr(b'\n', input) {
            let (line, rest) = input.split_at(end + 1);
            *input = rest;
            let last = matches!(line, b"\n" | b"\r\n") && self.bytes.last() == Some(&b'\n')
                || line == b"\n" && self.bytes.ends_with(b"\n\r");
            if last {
                return Head::parse(&std::mem::take(&mut self.bytes)).map(Some);
            }
            self.keep(line)?;
        }
        let rest = std::mem::take(input);
        self.keep(rest)?;
        Ok(None)
    }

    /// Whether a head has begun.
    pub(in crate::replay) fn has_begun(&self) -> bool {
        !self.bytes.is_empty()
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), Bad> {
        if self.bytes.len() + bytes.len() > LONGEST_HEAD {
            return Err(Bad("the head is too long"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

/// How far a body goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::replay) enum Framing {
    /// There is none.
    Empty,
    /// So many bytes.
    Length(u64),
    /// Chunks, up to an empty one.
    Chunked,
    /// As far as the connection.
    Close,
}

impl Framing {
    /// Of a request's body.
    pub(in crate::replay) fn of_request(head: &Head) -> Result<Self, Bad> {
        Ok(Self::said(head)?.unwrap_or(Self::Empty))
    }

    /// Of the body of an answer to a request of that method.
    pub(in crate::replay) fn of_answer(head: &Head, status: u16, method: &str) -> Result<Self, Bad> {
        if method == "HEAD" || matches!(status, 100..=199 | 204 | 304) {
            return Ok(Self::Empty);
        }
        Ok(Self::said(head)?.unwrap_or(Self::Close))
    }

    fn said(head: &Head) -> Result<Option<Self>, Bad> {
        if let Some(encoding) = head.header("transfer-encoding") {
            return match encoding.rsplit(',').next().map(str::trim) {
                Some(last) if last.eq_ignore_ascii_case("chunked") => Ok(Some(Self::Chunked)),
                Some(last) if last.eq_ignore_ascii_case("identity") => Ok(None),
                _ => Err(Bad("the body's transfer encoding is not known")),
            };
        }
        match head.header("content-length") {
            None => Ok(None),
            Some(length) if length.bytes().all(|byte| byte.is_ascii_digit()) => length
                .parse()
                .map(|length| Some(Self::Length(length)))
                .map_err(|_| Bad("the body's length is no length")),
            Some(_) => Err(Bad("the body's length is no length")),
        }
    }
}

/// What a [`BodyDecoder`] finds.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::replay) enum Piece<'a> {
    /// Bytes of the body.
    Data(&'a [u8]),
    /// A chunk is complete.
    ChunkEnd,
    /// The body is complete.
    End,
}

/// Takes a body apart as its bytes come.
#[derive(Debug)]
pub(in crate::replay) struct BodyDecoder {
    state: State,
}

#[derive(Debug)]
enum State {
    Length(u64),
    Close,
    /// The line before a chunk.
    Size(Vec<u8>),
    Chunk(u64),
    /// The line end after a chunk.
    AfterChunk,
    /// The lines after the empty chunk: whether the one at hand has anything in it, and how much they were so far.
    Trailer {
        blank: bool,
        taken: usize,
    },
    Done,
}

impl BodyDecoder {
    pub(in crate::replay) fn new(framing: Framing) -> Self {
        Self {
            state: match framing {
                Framing::Empty => State::Length(0),
                Framing::Length(length) => State::Length(length),
                Framing::Chunked => State::Size(Vec::new()),
                Framing::Close => State::Close,
            },
        }
    }

    /// Whether nothing but the end of the connection ends it.
    pub(in crate::replay) fn is_endless(&self) -> bool {
        matches!(self.state, State::Close)
    }

    /// Whether its sender cut it into chunks.
    pub(in crate::replay) fn is_chunked(&self) -> bool {
        !matches!(self.state, State::Length(_) | State::Close)
    }

    /// Takes the next piece off the front of `input`; `None`: feed more. `End` comes once, and takes no byte by itself.
    pub(in crate::replay) fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Piece<'a>>, Bad> {
        loop {
            match &mut self.state {
                State::Length(0) => {
                    self.state = State::Done;
                    return Ok(Some(Piece::End));
                }
                State::Chunk(0) => {
                    self.state = State::AfterChunk;
                    return Ok(Some(Piece::ChunkEnd));
                }
                State::Done => return Ok(None),
                _ if input.is_empty() => return Ok(None),
                State::Length(left) => return Ok(Some(Piece::Data(take(input, left)))),
                State::Close => return Ok(Some(Piece::Data(std::mem::take(input)))),
                State::Size(line) => {
                    let end = memchr::memchr(b'\n', input);
                    let (part, rest) = input.split_at(end.map_or(input.len(), |end| end + 1));
                    *input = rest;
                    if line.len() + part.len() > LONGEST_CHUNK_LINE {
                        return Err(Bad("the line before a chunk is too long"));
                    }
                    line.extend_from_slice(part);
                    if end.is_none() {
                        return Ok(None);
                    }
                    self.state = match chunk_length(line)? {
                        0 => State::Trailer { blank: true, taken: 0 },
                        length => State::Chunk(length),
                    };
                }
                State::Chunk(left) => return Ok(Some(Piece::Data(take(input, left)))),
                State::AfterChunk => match take_byte(input) {
                    b'\r' => {}
                    b'\n' => self.state = State::Size(Vec::new()),
                    _ => return Err(Bad("a chunk is longer than it says")),
                },
                State::Trailer { blank, taken } => {
                    *taken += 1;
                    if *taken > LONGEST_CHUNK_LINE {
                        return Err(Bad("what follows the last chunk is too long"));
                    }
                    match take_byte(input) {
                        b'\r' => {}
                        b'\n' if *blank => {
                            self.state = State::Done;
                            return Ok(Some(Piece::End));
                        }
                        b'\n' => *blank = true,
                        _ => *blank = false,
                    }
                }
            }
        }
    }
}

fn take<'a>(input: &mut &'a [u8], left: &mut u64) -> &'a [u8] {
    let n = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    let (taken, rest) = input.split_at(n);
    *input = rest;
    *left -= n as u64;
    taken
}

/// Of an input that is not empty.
fn take_byte(input: &mut &[u8]) -> u8 {
    let byte = input[0];
    *input = &input[1..];
    byte
}

fn chunk_length(line: &[u8]) -> Result<u64, Bad> {
    let bad = Bad("a chunk's length is no length");
    let text = std::str::from_utf8(line).map_err(|_| bad)?;
    let digits = text.split(';').next().unwrap_or_default().trim();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(bad);
    }
    u64::from_str_radix(digits, 16).map_err(|_| bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `bytes` so many at a time.
    fn head_of(bytes: &[u8], size: usize) -> (Option<Head>, Vec<u8>) {
        let (mut decoder, mut left) = (HeadDecoder::default(), bytes);
        while !left.is_empty() {
            let (mut piece, rest) = left.split_at(size.min(left.len()));
            let head = decoder.next(&mut piece).unwrap();
            if head.is_some() {
                return (head, [piece, rest].concat());
            }
            left = rest;
        }
        (None, Vec::new())
    }

    #[test]
    fn heads() {
        let bytes = b"\r\nPOST /v1.41/x?y=1 HTTP/1.1\r\nHost: docker\r\nX-Long: a\r\n  b\r\nempty:\r\n\r\nbody";
        for size in 1..=bytes.len() {
            let (head, rest) = head_of(bytes, size);
            let head = head.unwrap();
            assert_eq!(head.request_line(), Ok(("POST", "/v1.41/x?y=1")), "{size} at a time");
            assert_eq!(
                (head.header("HOST"), head.header("x-long"), head.header("Empty")),
                (Some("docker"), Some("a b"), Some(""))
            );
            assert_eq!(rest, b"body", "{size} at a time");
        }
        for (bytes, want) in [
            (&b"HTTP/1.1 200 OK\n\nrest"[..], Ok((200, "OK"))),
            (b"HTTP/1.0 404\r\n\r\n", Ok((404, ""))),
            (b"HTTP/1.1 101 UPGRADED\r\nA: b\r\n\r\n", Ok((101, "UPGRADED"))),
            (b"HTTP/2 200 OK\r\n\r\n", Err(())),
            (b"HTTP/1.1 20 OK\r\n\r\n", Err(())),
            (b"garbage\r\n\r\n", Err(())),
        ] {
            let head = head_of(bytes, 3).0.unwrap();
            assert_eq!(head.status_line().map_err(|_| ()), want, "{:?}", head.start);
        }
        assert_eq!(
            HeadDecoder::default().next(&mut &b"GET / HTTP/1.1\r\nno colon\r\n\r\n"[..]),
            Err(Bad("a header has no colon"))
        );
        assert!(HeadDecoder::default().next(&mut &vec![b'x'; LONGEST_HEAD + 1][..]).is_err());
    }

    #[test]
    fn framings() {
        for (method, status, headers, want) in [
            ("GET", 200, "", Ok(Framing::Close)),
            ("GET", 200, "content-length: 7\r\n", Ok(Framing::Length(7))),
            ("GET", 200, "Content-Length: 7\r\nTransfer-Encoding: Chunked\r\n", Ok(Framing::Chunked)),
            ("GET", 200, "Transfer-Encoding: gzip\r\n", Err(())),
            ("GET", 200, "Content-Length: -1\r\n", Err(())),
            ("GET", 200, "Content-Length: +1\r\n", Err(())),
            ("GET", 200, "Content-Length: 99999999999999999999\r\n", Err(())),
            ("HEAD", 200, "Content-Length: 7\r\n", Ok(Framing::Empty)),
            ("GET", 204, "", Ok(Framing::Empty)),
            ("GET", 304, "Content-Length: 7\r\n", Ok(Framing::Empty)),
            ("POST", 101, "", Ok(Framing::Empty)),
        ] {
            let head = head_of(format!("HTTP/1.1 200 OK\r\n{headers}\r\n").as_bytes(), 100).0.unwrap();
            assert_eq!(Framing::of_answer(&head, status, method).map_err(|_| ()), want, "{method} {status} {headers}");
        }
    }

    /// Each chunk (or the whole body) as a text, then what is left over.
    fn decoded(framing: Framing, bytes: &[u8], size: usize) -> Result<(Vec<String>, bool, String), Bad> {
        let (mut decoder, mut chunks, mut open, mut left) = (BodyDecoder::new(framing), vec![], String::new(), bytes);
        loop {
            let (mut piece, rest) = left.split_at(size.min(left.len()));
            left = rest;
            while let Some(found) = decoder.next(&mut piece)? {
                match found {
                    Piece::Data(data) => open.push_str(std::str::from_utf8(data).unwrap()),
                    Piece::ChunkEnd => chunks.push(std::mem::take(&mut open)),
                    Piece::End => {
                        chunks.extend(Some(open).filter(|open| !open.is_empty()));
                        let rest = [piece, left].concat();
                        return Ok((chunks, true, String::from_utf8(rest).unwrap()));
                    }
                }
            }
            if left.is_empty() {
                chunks.extend(Some(open).filter(|open| !open.is_empty()));
                return Ok((chunks, false, String::new()));
            }
        }
    }

    #[test]
    fn bodies() {
        for (row, framing, bytes, chunks, whole, rest) in [
            ("none", Framing::Empty, "GET /", &[][..], true, "GET /"),
            ("length", Framing::Length(3), "abcd", &["abc"], true, "d"),
            ("cut", Framing::Length(9), "abcd", &["abcd"], false, ""),
            ("chunks", Framing::Chunked, "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\nx", &["abc", "d"], true, "x"),
            ("extension", Framing::Chunked, "3;a=b\r\nabc\r\n0;z\r\n\r\n", &["abc"], true, ""),
            ("upper case", Framing::Chunked, "A\r\n0123456789\r\n0\r\n\r\n", &["0123456789"], true, ""),
            ("trailer", Framing::Chunked, "1\r\na\r\n0\r\nX: y\r\n\r\nz", &["a"], true, "z"),
            ("bare line ends", Framing::Chunked, "1\na\n0\n\nz", &["a"], true, "z"),
            ("cut in a chunk", Framing::Chunked, "3\r\nab", &["ab"], false, ""),
            ("until the end", Framing::Close, "abc", &["abc"], false, ""),
        ] {
            for size in 1..=bytes.len() {
                let found = decoded(framing, bytes.as_bytes(), size);
                let want = (chunks.iter().map(|chunk| (*chunk).to_owned()).collect(), whole, rest.to_owned());
                assert_eq!(found, Ok(want), "{row}, {size} at a time");
            }
        }
        for (row, bytes) in [
            ("no digit", "x\r\n"),
            ("no length", "\r\n"),
            ("sign", "+3\r\nabc\r\n"),
            ("longer than said", "1\r\nab\r\n"),
            ("more than 64 bits", "11111111111111111\r\n"),
        ] {
            assert!(decoded(Framing::Chunked, bytes.as_bytes(), 1).is_err(), "{row}");
        }
    }
}

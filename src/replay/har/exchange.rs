//! One request and its answer, as a recording holds them. No JSON and no socket here.

use std::io::{self, Read};
use std::sync::Arc;

use crate::replay::har::time::Moment;
use crate::replay::http::spool::{Log, Spool};

/// A request and its answer.
#[derive(Debug, Clone)]
pub(in crate::replay) struct Exchange {
    /// When its request had come.
    pub(in crate::replay) started: Moment,
    /// Which connection it was on.
    pub(in crate::replay) connection: u64,
    pub(in crate::replay) request: Request,
    /// `None`: there was none.
    pub(in crate::replay) answer: Option<Answer>,
    /// How it ended.
    pub(in crate::replay) end: End,
    /// What the client sent once the connection was no longer HTTP, and whether it said that this was all.
    pub(in crate::replay) sent: Option<Sent>,
}

#[derive(Debug, Clone)]
pub(in crate::replay) struct Request {
    pub(in crate::replay) method: String,
    /// Path and query, as they were sent.
    pub(in crate::replay) target: String,
    pub(in crate::replay) headers: Vec<(String, String)>,
    pub(in crate::replay) body: Body,
}

#[derive(Debug, Clone)]
pub(in crate::replay) struct Answer {
    pub(in crate::replay) status: u16,
    pub(in crate::replay) reason: String,
    pub(in crate::replay) headers: Vec<(String, String)>,
    /// When its head had come.
    pub(in crate::replay) head: Mark,
    pub(in crate::replay) body: Body,
}

/// What a client sent on a connection that was no longer HTTP.
#[derive(Debug, Clone)]
pub(in crate::replay) struct Sent {
    pub(in crate::replay) body: Body,
    /// Whether it ended its direction while it still listened.
    pub(in crate::replay) closed: bool,
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::replay) enum End {
    /// With the answer's end.
    Whole,
    /// The Engine closed the connection before that.
    Cut,
    /// The client closed it before that.
    Left,
    /// Not within the recording.
    Open,
}

impl Exchange {
    /// Counts anew how many requests had come: only those of these numbers, in order, are there.
    pub(in crate::replay) fn renumber(&mut self, present: &[u64], spool: &Arc<Spool>) -> io::Result<()> {
        let count = |requests: u64| present.partition_point(|number| *number < requests) as u64;
        if let Some(answer) = &mut self.answer {
            answer.head.requests = count(answer.head.requests);
        }
        for body in self.bodies_mut() {
            let mut other = Body::new(spool);
            for chunk in body.chunks() {
                let mut chunk = chunk?;
                chunk.mark.requests = count(chunk.mark.requests);
                other.note(chunk)?;
            }
            (body.chunks, body.last) = (other.chunks, other.last);
        }
        Ok(())
    }

    /// Its bodies, as many as it has.
    pub(in crate::replay) fn bodies(&self) -> impl Iterator<Item = &Body> {
        let answer = self.answer.as_ref().map(|answer| &answer.body);
        let sent = self.sent.as_ref().map(|sent| &sent.body);
        std::iter::once(&self.request.body).chain(answer).chain(sent)
    }

    /// The same, to be changed.
    pub(in crate::replay) fn bodies_mut(&mut self) -> impl Iterator<Item = &mut Body> {
        let answer = self.answer.as_mut().map(|answer| &mut answer.body);
        let sent = self.sent.as_mut().map(|sent| &mut sent.body);
        std::iter::once(&mut self.request.body).chain(answer).chain(sent)
    }
}

/// A moment of an exchange, in its own time and in that of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::replay) struct Mark {
    /// Microseconds since the exchange's start.
    pub(in crate::replay) at: u64,
    /// How many requests had come, of all connections, in the order of the recording.
    pub(in crate::replay) requests: u64,
    /// How many bytes the client had sent after the request's head.
    pub(in crate::replay) sent: u64,
}

/// A part of a body as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::replay) struct Chunk {
    pub(in crate::replay) mark: Mark,
    /// How many bytes it has.
    pub(in crate::replay) len: u64,
}

/// Bytes, and the chunks in which they came.
#[derive(Debug, Clone)]
pub(in crate::replay) struct Body {
    pub(in crate::replay) bytes: Log,
    chunks: Log,
    last: Mark,
    count: u64,
    /// Why its bytes were not kept, where they were not.
    pub(in crate::replay) left_out: Option<String>,
}

impl Body {
    pub(in crate::replay) fn new(spool: &Arc<Spool>) -> Self {
        Self { bytes: Log::new(spool), chunks: Log::new(spool), last: Mark::default(), count: 0, left_out: None }
    }

    /// Notes a chunk; its bytes are pushed to `bytes`, now or later. What came is never before what came earlier.
    pub(in crate::replay) fn note(&mut self, chunk: Chunk) -> io::Result<()> {
        let mut entry = [0; 40];
        let mut len = 0;
        let Mark { at, requests, sent } = chunk.mark;
        for number in [
            at.saturating_sub(self.last.at),
            requests.saturating_sub(self.last.requests),
            sent.saturating_sub(self.last.sent),
            chunk.len,
        ] {
            len += put_number(number, &mut entry[len..]);
        }
        self.last = Mark {
            at: at.max(self.last.at),
            requests: requests.max(self.last.requests),
            sent: sent.max(self.last.sent),
        };
        self.count += 1;
        self.chunks.push(&entry[..len])
    }

    /// When the last chunk came.
    pub(in crate::replay) fn last_mark(&self) -> Option<Mark> {
        (self.count > 0).then_some(self.last)
    }

    /// How many chunks there are.
    pub(in crate::replay) fn count(&self) -> u64 {
        self.count
    }

    /// The chunks, in order.
    pub(in crate::replay) fn chunks(&self) -> Chunks<'_> {
        Chunks {
            bytes: io::BufReader::with_capacity(4096, self.chunks.reader()),
            last: Mark::default(),
            left: self.count,
        }
    }

    /// Moves all of it out of memory.
    pub(in crate::replay) fn put_away(&mut self) -> io::Result<()> {
        self.bytes.put_away()?;
        self.chunks.put_away()
    }
}

/// The chunks of a body.
#[derive(Debug)]
pub(in crate::replay) struct Chunks<'a> {
    bytes: io::BufReader<crate::replay::http::spool::LogReader<'a>>,
    last: Mark,
    left: u64,
}

impl Iterator for Chunks<'_> {
    type Item = io::Result<Chunk>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let mut number = || take_number(&mut self.bytes);
        let mut read = || -> io::Result<Chunk> {
            let mark = Mark {
                at: self.last.at + number()?,
                requests: self.last.requests + number()?,
                sent: self.last.sent + number()?,
            };
            Ok(Chunk { mark, len: number()? })
        };
        let chunk = read();
        if let Ok(chunk) = &chunk {
            self.last = chunk.mark;
        }
        Some(chunk)
    }
}

/// Seven bits a byte, the lowest first. Gives how many bytes it took: ten at most.
fn put_number(mut number: u64, to: &mut [u8]) -> usize {
    let mut len = 0;
    loop {
        to[len] = (number & 0x7f) as u8 | if number > 0x7f { 0x80 } else { 0 };
        len += 1;
        number >>= 7;
        if number == 0 {
            return len;
        }
    }
}

fn take_number(from: &mut impl Read) -> io::Result<u64> {
    let (mut number, mut shift) = (0, 0);
    loop {
        let mut byte = [0];
        from.read_exact(&mut byte)?;
        number |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            return Ok(number);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_kept() {
        let dir = crate::replay::http::server::Place::new("longshore-exchange").unwrap();
        let spool = Spool::new(dir.path()).unwrap();
        let mut body = Body::new(&spool);
        let chunk = |n: u64| Chunk { mark: Mark { at: n * n, requests: n / 3, sent: n * 1000 }, len: n << (n % 50) };
        for n in 0..20_000 {
            body.note(chunk(n)).unwrap();
        }
        let last = Chunk { mark: Mark { at: u64::MAX, requests: u64::MAX, sent: u64::MAX }, len: u64::MAX };
        body.note(last).unwrap();
        let found: Vec<_> = body.chunks().map(Result::unwrap).collect();
        assert_eq!(found.len(), 20_001);
        assert!(found.iter().zip(0..20_000).all(|(found, n)| *found == chunk(n)));
        assert_eq!(found[20_000], last);
    }
}

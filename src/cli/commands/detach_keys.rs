//! The keys by which a person leaves a command without ending it, as Docker writes them: `ctrl-p,ctrl-q`. Pure but for the
//! keyboard that it wraps.
//!
//! The first of them is a key of shells and editors, too: it is held back for a moment only, and then the command has it. The
//! row is not broken by that: whoever goes on slowly leaves all the same.

use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How long a key is held back that may be the beginning of the row: a hand has struck the next one by then.
const MOMENT: Duration = Duration::from_millis(500);

/// A row of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct DetachKeys(Vec<u8>);

/// Reads keys: `ctrl-` and a letter, `@`, `[`, `\\`, `]`, `^` or `_`, or a character, with commas between them. Empty: none.
pub(in crate::cli) fn parse(text: &str) -> Result<DetachKeys, String> {
    let key = |key: &str| match key.as_bytes() {
        [byte] => Ok(*byte),
        [b'c', b't', b'r', b'l', b'-', byte @ (b'a'..=b'z' | b'A'..=b'Z' | b'@' | b'['..=b'_')] => {
            Ok(byte.to_ascii_uppercase() & 0x1f)
        }
        _ => Err(format!("`{key}` is no key: write `ctrl-p`, or a character, with commas between them")),
    };
    if text.is_empty() {
        return Ok(DetachKeys(Vec::new()));
    }
    text.split(',').map(key).collect::<Result<_, _>>().map(DetachKeys)
}

/// Where keys come from.
pub(in crate::cli) trait Keyboard: Read {
    /// Whether there is something to be read, or the end, within so long. A read may take from nowhere else.
    fn has_more_within(&self, time: Duration) -> io::Result<bool>;
}

/// Not a buffered one, which may hold more than the poll knows of.
impl Keyboard for File {
    fn has_more_within(&self, time: Duration) -> io::Result<bool> {
        let mut fds = [PollFd::new(self, PollFlags::IN)];
        let time = Timespec::try_from(time).map_err(io::Error::other)?;
        Ok(rustix::io::retry_on_intr(|| poll(&mut fds, Some(&time)))? > 0)
    }
}

/// Reads on until the keys come, in a row; then it calls, once, and ends.
pub(in crate::cli) struct Watched<R> {
    from: R,
    keys: DetachKeys,
    /// How many of the keys have come; they are held back, for they may be the beginning of the row.
    held: usize,
    /// How many of these were handed on all the same, for nothing followed.
    passed: usize,
    left: Option<Box<dyn FnOnce() + Send>>,
    /// Read, and not yet handed on.
    ready: Vec<u8>,
}

impl<R: Keyboard> Watched<R> {
    pub(in crate::cli) fn new(from: R, keys: DetachKeys, left: impl FnOnce() + Send + 'static) -> Self {
        Self { from, keys, held: 0, passed: 0, left: Some(Box::new(left)), ready: Vec::new() }
    }

    /// Puts what may be handed on into `ready`. True: the keys have come.
    fn take(&mut self, bytes: &[u8]) -> bool {
        let DetachKeys(keys) = &self.keys;
        if keys.is_empty() {
            self.ready.extend_from_slice(bytes);
            return false;
        }
        for &byte in bytes {
            // What was held back was no beginning: its own tail may be one still.
            while self.held > 0 && byte != keys[self.held] {
                let shorter = (0..self.held).rev().find(|&n| keys[..n] == keys[self.held - n..self.held]).unwrap_or(0);
                let over = self.held - shorter;
                self.ready.extend_from_slice(&keys[self.passed.min(over)..over]);
                self.passed = self.passed.saturating_sub(over);
                self.held = shorter;
            }
            if byte == keys[self.held] {
                self.held += 1;
                if self.held == keys.len() {
                    return true;
                }
            } else {
                self.ready.push(byte);
            }
        }
        false
    }
}

impl<R: Keyboard> Read for Watched<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.ready.is_empty() && !buf.is_empty() {
            if self.left.is_none() {
                return Ok(0);
            }
            if self.passed < self.held && !self.from.has_more_within(MOMENT)? {
                self.ready.extend_from_slice(&self.keys.0[self.passed..self.held]);
                self.passed = self.held;
                break;
            }
            let mut bytes = [0; 4096];
            let n = self.from.read(&mut bytes)?;
            if n == 0 {
                self.ready.extend_from_slice(&self.keys.0[self.passed..self.held]);
                self.left = None;
            } else if self.take(&bytes[..n])
                && let Some(left) = self.left.take()
            {
                left();
            }
        }
        let n = buf.len().min(self.ready.len());
        buf[..n].copy_from_slice(&self.ready[..n]);
        self.ready.drain(..n);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::io::Write;
    use std::iter;
    use std::os::fd::OwnedFd;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Instant;

    #[test]
    fn keys() {
        for (text, want) in [
            ("ctrl-p,ctrl-q", Some(&[0x10, 0x11][..])),
            ("ctrl-P", Some(&[0x10])),
            ("ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", Some(&[0, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f])),
            ("a,~", Some(b"a~")),
            ("", Some(&[])),
            ("ctrl-1", None),
            ("ctrl-", None),
            ("a,,b", None),
            ("ab", None),
        ] {
            assert_eq!(parse(text).ok(), want.map(|keys| DetachKeys(keys.to_vec())), "{text:?}");
        }
    }

    /// Gives its pieces one by one; an empty one is a moment in which nothing comes.
    struct Pieces(RefCell<VecDeque<&'static [u8]>>);

    impl Keyboard for Pieces {
        fn has_more_within(&self, _: Duration) -> io::Result<bool> {
            let mut pieces = self.0.borrow_mut();
            let pauses = pieces.front().is_some_and(|piece| piece.is_empty());
            if pauses {
                pieces.pop_front();
            }
            Ok(!pauses)
        }
    }

    impl Read for Pieces {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            // A pause makes a read longer, and no more.
            let next = iter::from_fn(|| self.0.get_mut().pop_front()).find(|piece| !piece.is_empty());
            let piece = next.unwrap_or_default();
            buf[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    #[test]
    fn what_is_handed_on() {
        for (row, keys, pieces, want, left) in [
            ("none come", "a,b", vec![&b"xyz"[..]], &b"xyz"[..], false),
            ("they come", "a,b", vec![b"x", b"ab", b"later"], b"x", true),
            ("in pieces", "a,b", vec![b"xa", b"b"], b"x", true),
            ("half of them", "a,b", vec![b"xa", b"y"], b"xay", false),
            ("half of them at the end", "a,b", vec![b"xa"], b"xa", false),
            ("half, then whole", "a,b", vec![b"aab"], b"a", true),
            ("a tail that begins anew", "a,a,b", vec![b"aaab"], b"a", true),
            ("an inner tail", "a,b,a,c", vec![b"ababac"], b"ab", true),
            ("no keys at all", "", vec![b"a", b"b"], b"ab", false),
            ("after them nothing", "a", vec![b"1a2"], b"1", true),
            ("one alone", "a,b", vec![b"a", b"", b"c"], b"ac", false),
            ("one alone, twice", "a,b", vec![b"a", b"", b"a", b"", b"c"], b"aac", false),
            ("one alone at the end", "a,b", vec![b"xa", b""], b"xa", false),
            ("slowly", "a,b", vec![b"xa", b"", b"b", b"later"], b"xa", true),
            ("slowly, of three", "a,b,c", vec![b"a", b"", b"b", b"", b"c"], b"ab", true),
            ("slowly, then quickly", "a,b,c", vec![b"a", b"", b"bx", b"abc"], b"abx", true),
            ("slowly, a tail that begins anew", "a,a,b", vec![b"aa", b"", b"a", b"b"], b"aa", true),
        ] {
            let called = Arc::new(AtomicBool::new(false));
            let note = called.clone();
            let mut watched = Watched::new(Pieces(RefCell::new(pieces.into())), parse(keys).unwrap(), move || {
                note.store(true, Ordering::SeqCst)
            });
            let mut got = Vec::new();
            watched.read_to_end(&mut got).unwrap();
            assert_eq!((got.as_slice(), called.load(Ordering::SeqCst)), (want, left), "{row}");
        }
    }

    #[test]
    fn a_key_alone_reaches_the_command_after_a_moment() {
        let (from, mut to) = io::pipe().unwrap();
        let mut watched = Watched::new(File::from(OwnedFd::from(from)), parse("ctrl-p,ctrl-q").unwrap(), || ());
        let begun = Instant::now();
        to.write_all(b"\x10").unwrap();
        let mut buf = [0; 8];
        assert_eq!((watched.read(&mut buf).unwrap(), buf[0]), (1, 0x10));
        assert!(begun.elapsed() >= MOMENT && begun.elapsed() < 20 * MOMENT, "{:?}", begun.elapsed());
        to.write_all(b"x").unwrap();
        assert_eq!((watched.read(&mut buf).unwrap(), buf[0]), (1, b'x'));
        to.write_all(b"\x10\x11").unwrap();
        assert_eq!(watched.read(&mut buf).unwrap(), 0, "a row is a row");
    }
}

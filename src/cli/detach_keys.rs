//! The keys by which a person leaves a command without ending it, as Docker writes them: `ctrl-p,ctrl-q`. Pure but for the
//! reader that it wraps.

use std::io::{self, Read};

/// A row of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DetachKeys(Vec<u8>);

/// Reads keys: `ctrl-` and a letter, `@`, `[`, `\\`, `]`, `^` or `_`, or a character, with commas between them. Empty: none.
pub(super) fn parse(text: &str) -> Result<DetachKeys, String> {
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

/// Reads on until the keys come, in a row; then it calls, once, and ends.
pub(super) struct Watched<R> {
    from: R,
    keys: DetachKeys,
    /// How many of the keys have come; they are held back, for they may be the beginning of the row.
    held: usize,
    left: Option<Box<dyn FnOnce() + Send>>,
    /// Read, and not yet handed on.
    ready: Vec<u8>,
}

impl<R: Read> Watched<R> {
    pub(super) fn new(from: R, keys: DetachKeys, left: impl FnOnce() + Send + 'static) -> Self {
        Self { from, keys, held: 0, left: Some(Box::new(left)), ready: Vec::new() }
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
                self.ready.extend_from_slice(&keys[..self.held - shorter]);
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

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.ready.is_empty() && !buf.is_empty() {
            if self.left.is_none() {
                return Ok(0);
            }
            let mut bytes = [0; 4096];
            let n = self.from.read(&mut bytes)?;
            if n == 0 {
                self.ready.extend_from_slice(&self.keys.0[..self.held]);
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
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

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

    /// Gives its pieces one by one.
    struct Pieces(Vec<&'static [u8]>);

    impl Read for Pieces {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let piece = self.0.remove(0);
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
        ] {
            let called = Arc::new(AtomicBool::new(false));
            let note = called.clone();
            let mut watched =
                Watched::new(Pieces(pieces), parse(keys).unwrap(), move || note.store(true, Ordering::SeqCst));
            let mut got = Vec::new();
            watched.read_to_end(&mut got).unwrap();
            assert_eq!((got.as_slice(), called.load(Ordering::SeqCst)), (want, left), "{row}");
        }
    }
}

//! Bytes that wait to be written or played, in a file that has no name: many streams at once, a block of memory each.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::files;

/// How much of a stream is held in memory, in bytes.
pub(in crate::replay) const BLOCK: usize = 64 * 1024;

/// A file without a name. It is gone when its last user is, however that ends.
#[derive(Debug)]
pub(in crate::replay) struct Spool {
    file: File,
    end: AtomicU64,
}

impl Spool {
    /// In `dir`, which must have the room.
    pub(in crate::replay) fn new(dir: &Path) -> io::Result<Arc<Self>> {
        let file = files::unnamed(dir)?;
        Ok(Arc::new(Self { file, end: AtomicU64::new(0) }))
    }

    /// Puts bytes at the end; where that is.
    pub(in crate::replay) fn append(&self, bytes: &[u8]) -> io::Result<u64> {
        let at = self.end.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.file.write_all_at(bytes, at)?;
        Ok(at)
    }
}

/// A row of bytes that grows at its end.
#[derive(Debug, Clone)]
pub(in crate::replay) struct Log {
    spool: Arc<Spool>,
    /// What is in the file: where, how much.
    blocks: Vec<(u64, u32)>,
    tail: Vec<u8>,
    len: u64,
}

impl Log {
    pub(in crate::replay) fn new(spool: &Arc<Spool>) -> Self {
        Self { spool: spool.clone(), blocks: Vec::new(), tail: Vec::new(), len: 0 }
    }

    /// How many bytes it has.
    pub(in crate::replay) fn len(&self) -> u64 {
        self.len
    }

    /// Adds bytes at the end.
    pub(in crate::replay) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.len += bytes.len() as u64;
        self.tail.extend_from_slice(bytes);
        if self.tail.len() >= BLOCK { self.put_away() } else { Ok(()) }
    }

    /// Moves what is in memory to the file: nothing more will come for a while.
    pub(in crate::replay) fn put_away(&mut self) -> io::Result<()> {
        if self.tail.is_empty() {
            return Ok(());
        }
        for part in self.tail.chunks(u32::MAX as usize) {
            let at = self.spool.append(part)?;
            match self.blocks.last_mut() {
                // Its neighbour in the file: one block with it.
                Some((start, len))
                    if *start + u64::from(*len) == at && len.checked_add(part.len() as u32).is_some() =>
                {
                    *len += part.len() as u32;
                }
                _ => self.blocks.push((at, part.len() as u32)),
            }
        }
        self.tail = Vec::new();
        Ok(())
    }

    /// Reads it from its beginning.
    pub(in crate::replay) fn reader(&self) -> LogReader<'_> {
        LogReader { log: self, at: 0, block: 0, within: 0 }
    }

    /// All of it, where that is at most `limit` bytes.
    pub(in crate::replay) fn whole(&self, limit: u64) -> io::Result<Option<Vec<u8>>> {
        if self.len > limit {
            return Ok(None);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(self.len).unwrap_or(0));
        self.reader().read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }
}

/// Reads a [`Log`].
#[derive(Debug)]
pub(in crate::replay) struct LogReader<'a> {
    log: &'a Log,
    /// How many bytes were read in all.
    at: u64,
    block: usize,
    within: u32,
}

impl Read for LogReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while let Some(&(start, len)) = self.log.blocks.get(self.block) {
            if self.within == len {
                (self.block, self.within) = (self.block + 1, 0);
                continue;
            }
            let want = buf.len().min((len - self.within) as usize);
            let n = self.log.spool.file.read_at(&mut buf[..want], start + u64::from(self.within))?;
            if n == 0 && want > 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.within += n as u32;
            self.at += n as u64;
            return Ok(n);
        }
        let in_file = self.log.len - self.log.tail.len() as u64;
        let from = usize::try_from(self.at - in_file).unwrap_or(usize::MAX).min(self.log.tail.len());
        let rest = &self.log.tail[from..];
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        self.at += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_side_by_side() {
        let dir = crate::replay::http::server::Place::new("longshore-spool").unwrap();
        let spool = Spool::new(dir.path()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "it has no name");
        let mut logs: Vec<_> = (0..5).map(|_| (Log::new(&spool), Vec::new())).collect();
        for round in 0..400u32 {
            let (log, want) = &mut logs[(round % 5) as usize];
            let piece: Vec<u8> = (0..round * 7 % 3000).map(|n| (n * round % 251) as u8).collect();
            log.push(&piece).unwrap();
            want.extend_from_slice(&piece);
            if round % 31 == 0 {
                log.put_away().unwrap();
            }
        }
        for (log, want) in &logs {
            assert_eq!(log.len(), want.len() as u64);
            assert_eq!(log.whole(u64::MAX).unwrap().as_ref(), Some(want));
            assert_eq!(log.whole(1).unwrap(), None);
            let mut few = Vec::new();
            let mut reader = log.reader();
            let mut buf = [0; 7];
            loop {
                match reader.read(&mut buf).unwrap() {
                    0 => break,
                    n => few.extend_from_slice(&buf[..n]),
                }
            }
            assert_eq!(&few, want, "a little at a time");
        }
    }
}

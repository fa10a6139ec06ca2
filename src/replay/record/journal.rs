//! What a recording holds so far, on disk beside the file that it will be: an entry a line as each ends, so that a
//! crash, a kill or a full disk leave what was recorded before. It is a recording's beginning, in the order in which
//! exchanges ended, and is read as one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::replay::har::exchange::Exchange;
use crate::replay::har::write::{self, Preface};
use crate::replay::http::server::lock;

/// How many journals of one file there may be: those of crashes stay until somebody removes them.
const MOST: u32 = 1_000;

/// A journal. Made with its first entry, gone when it is dropped, unless it is to stay.
pub(in crate::replay) struct Journal {
    path: PathBuf,
    state: Mutex<Option<Open>>,
}

struct Open {
    file: File,
    path: PathBuf,
    /// Up to where it is whole.
    end: u64,
    entries: u64,
    stays: bool,
}

impl Journal {
    /// Of a recording that will be written to `path`.
    pub(in crate::replay) fn of(path: &Path) -> Self {
        Self { path: path.into(), state: Mutex::new(None) }
    }

    /// Adds an entry. Gives where its line is, without what only a journal has. What cannot be written whole is taken
    /// back.
    pub(in crate::replay) fn append(
        &self,
        preface: &Preface,
        number: u64,
        exchange: &Exchange,
    ) -> io::Result<(u64, usize)> {
        let mut state = lock(&self.state);
        if state.is_none() {
            *state = Some(create(&self.path, preface)?);
        }
        let Some(open) = &mut *state else { return Err(io::ErrorKind::NotFound.into()) };
        let mut to = BufWriter::with_capacity(64 * 1024, At { file: &open.file, at: open.end });
        let mut from = 0;
        let done = write::separate(open.entries == 0, &mut to)
            .and_then(|()| write::number(number, &mut to))
            .and_then(|()| {
                to.flush()?;
                from = to.get_ref().at;
                write::fields(exchange, &mut to)
            })
            .and_then(|()| to.flush());
        let end = to.get_ref().at;
        // What is still held must not be written on the way out.
        let _ = to.into_parts();
        if let Err(e) = done {
            let _ = open.file.set_len(open.end);
            return Err(e);
        }
        open.end = end;
        open.entries += 1;
        Ok((from, usize::try_from(end - from).unwrap_or(usize::MAX)))
    }

    /// A line that was added.
    pub(in crate::replay) fn get(&self, at: u64, len: usize) -> io::Result<Vec<u8>> {
        let state = lock(&self.state);
        let open = state.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let mut line = vec![0; len + 1];
        line[0] = b'{';
        open.file.read_exact_at(&mut line[1..], at)?;
        Ok(line)
    }

    /// Removes it: nobody needs it any more.
    pub(in crate::replay) fn remove(&self) {
        drop(lock(&self.state).take());
    }

    /// Leaves it where it is, and says where that is, if there is one.
    pub(in crate::replay) fn stays(&self) -> Option<PathBuf> {
        let mut state = lock(&self.state);
        let open = state.as_mut()?;
        open.stays = true;
        Some(open.path.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.stays {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A new file of a name that nothing has, for its owner alone.
fn create(path: &Path, preface: &Preface) -> io::Result<Open> {
    for n in 1..MOST {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(if n == 1 { ".journal".into() } else { format!(".journal.{n}") });
        let path = path.with_file_name(name);
        match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => {
                let mut open = Open { file, path, end: 0, entries: 0, stays: false };
                let mut start = Vec::new();
                write::begin_journal(preface, &mut start)?;
                open.file.write_all_at(&start, 0)?;
                open.end = start.len() as u64;
                return Ok(open);
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "there are too many journals of it"))
}

/// A place in a file.
struct At<'a> {
    file: &'a File,
    at: u64,
}

impl Write for At<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write_at(bytes, self.at)?;
        self.at += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

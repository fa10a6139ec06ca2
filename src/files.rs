//! Small files that are read and written whole: bounded reading of regular files, replacement that a crash cannot halve; and
//! (`folder`) files in directories where others may write. It knows no format and no path of ours.

mod folder;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

pub(crate) use folder::{Entry, Folder, Held};

/// How many names that nobody can guess are tried: that one is taken is chance already.
const TRIES: u32 = 16;
/// Between two tries of a lock.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Reads a regular file of at most `limit` bytes. A FIFO or a device is refused, and not waited for.
///
/// # Errors
/// Those of [`open_regular`] and of reading; [`io::ErrorKind::FileTooLarge`] where it is longer.
pub(crate) fn read_regular(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_at_most(open_regular(path, OpenOptions::new().read(true))?, limit)
}

/// Opens what must be a regular file, or become one. A FIFO or a device is refused, and not waited for. Custom flags of
/// `options` are replaced.
///
/// # Errors
/// Those of opening; [`io::ErrorKind::InvalidInput`] where it is no regular file.
pub(crate) fn open_regular(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    // Opening a FIFO would wait for its other side; opening a terminal could make it ours.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = match options.custom_flags(flags).open(path) {
        // To be written, a FIFO that nobody reads, or a socket.
        Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => return Err(not_regular()),
        opened => opened?,
    };
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_regular()) }
}

/// Reads what there is, if it has at most `limit` bytes.
///
/// # Errors
/// Those of reading; [`io::ErrorKind::FileTooLarge`] where there is more.
pub(crate) fn read_at_most(from: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(too_large(limit));
    }
    Ok(bytes)
}

/// More bytes than are read of such a file.
pub(crate) fn too_large(limit: u64) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {limit} bytes"))
}

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

/// Makes a new file of this mode, whatever the umask says.
pub(crate) fn create(path: &Path, mode: u32) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    Ok(file)
}

/// Takes the lock of a file by `try_lock`, alone or shared. A process that was stopped while it has the lock may never give
/// it back: after `patience` it is given up. One that is free is had at once, whatever `patience` says.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`]; those of locking.
pub(crate) fn lock_within(try_lock: impl Fn() -> Result<(), TryLockError>, patience: Duration) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        match try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if begun.elapsed() >= patience => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "another longshore holds it"));
            }
            // Nothing tells when a file's lock is given back in time.
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
        }
    }
}

/// Makes something new in `dir`, of a name that begins with `prefix` and that nobody can guess: where others may write too,
/// they cannot be there first.
///
/// # Errors
/// Those of `make`, but that the name is taken; the kernel's random bytes cannot be read.
pub(crate) fn make_unguessed<T>(
    dir: &Path,
    prefix: &str,
    make: impl Fn(&Path) -> io::Result<T>,
) -> io::Result<(T, PathBuf)> {
    for _ in 0..TRIES {
        let mut random = [0; 8];
        File::open("/dev/urandom")?.read_exact(&mut random)?;
        let path = dir.join(format!("{prefix}{:016x}", u64::from_ne_bytes(random)));
        match make(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|made| (made, path)),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// A file without a name, to write and to read again: it is gone when it is closed, however that comes.
///
/// # Errors
/// Those of making a file in `dir`.
pub(crate) fn unnamed(dir: &Path) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
    if let Ok(file) = rustix::fs::open(dir, flags, Mode::RUSR | Mode::WUSR) {
        return Ok(file.into());
    }
    // Not every file system can do that.
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    let (file, path) = make_unguessed(dir, ".longshore-", |path| options.open(path))?;
    fs::remove_file(path)?;
    Ok(file)
}

/// Puts `bytes` in the place of the file at `path`: all of them, or the old content stays. Mode 0600.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = aside(path);
    // A leftover of a crash.
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = create(&aside, 0o600)?;
    let done = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&aside, path));
    if let Err(error) = done {
        // Half of it helps nobody, and a full disk least of all.
        let _ = fs::remove_file(&aside);
        return Err(error);
    }
    let Some(dir) = path.parent() else { return Ok(()) };
    // The new name is on the disk only when the directory is.
    File::open(dir).and_then(|dir| dir.sync_all())
}

/// `x.json.new` for `x.json`.
fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_or_not_at_all() {
        let dir = std::env::temp_dir().join(format!("longshore-files-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("a.json");
        fs::write(dir.join("a.json.new"), "left by a crash").unwrap();
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(read_regular(&path, 3).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "nothing is left beside it");
        assert_eq!(read_regular(&path, 2).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read_regular(&dir, 9).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(read_regular(&dir.join("b"), 9).unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_lock_is_waited_for_within_its_time() {
        let dir = std::env::temp_dir().join(format!("longshore-files-lock-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let open = || File::create(dir.join("lock")).unwrap();
        let (held, second, third) = (open(), open(), open());
        lock_within(|| held.try_lock_shared(), Duration::ZERO).unwrap();
        lock_within(|| second.try_lock_shared(), Duration::ZERO).unwrap();
        let begun = Instant::now();
        let error = lock_within(|| third.try_lock(), Duration::from_millis(50)).unwrap_err();
        assert!(error.kind() == io::ErrorKind::TimedOut && begun.elapsed() >= Duration::from_millis(50), "{error}");
        drop((held, second));
        lock_within(|| third.try_lock(), Duration::ZERO).unwrap();
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_name_that_is_taken_is_not_the_end() {
        let dir = std::env::temp_dir().join(format!("longshore-files-new-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let tried = std::cell::Cell::new(0);
        let (_, path) = make_unguessed(&dir, "x-", |path| {
            tried.set(tried.get() + 1);
            if tried.get() < 3 { Err(io::ErrorKind::AlreadyExists.into()) } else { fs::create_dir(path) }
        })
        .unwrap();
        assert!(path.is_dir() && path.starts_with(&dir) && tried.get() == 3);
        let always = make_unguessed(&dir, "x-", |_| Err::<(), _>(io::ErrorKind::AlreadyExists.into()));
        assert_eq!(always.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        fs::remove_dir(path).unwrap();
        let mut file = unnamed(&dir).unwrap();
        file.write_all(b"x").unwrap();
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "it has no name");
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting() {
        let dir = std::env::temp_dir().join(format!("longshore-files-odd-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (fifo, socket) = (dir.join("fifo"), dir.join("socket"));
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for path in [fifo.as_path(), &socket, Path::new("/dev/zero"), Path::new("/dev/null")] {
            let mut ways = [OpenOptions::new(), OpenOptions::new(), OpenOptions::new()];
            ways[0].read(true);
            ways[1].append(true).create(true);
            ways[2].read(true).write(true);
            for way in &mut ways {
                let error = open_regular(path, way).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{} by {way:?}", path.display());
            }
        }
        fs::remove_dir_all(&dir).unwrap();
    }
}

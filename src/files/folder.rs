//! Directories in which others may write too, and what lies in them: files are opened, listed, renamed and removed by the
//! directory's descriptor, and no link is followed on the way there.
//!
//! A folder has an anchor: the directory that only its owner can exchange, an allocation's for instance. The path to the
//! anchor is its user's, and links in it are followed; what lies below is walked through one component after the other. The
//! descriptor is held for as long as something is done, so that hundreds of tasks that are quiet hold none.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat, unlinkat};
use rustix::io::Errno;

/// A directory that is only passed.
const PASSED: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// A file at the end of the way: no link is followed, no FIFO waited for, no terminal becomes ours.
const FILE: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// A directory, by the way to it.
#[derive(Debug)]
pub(crate) struct Folder {
    anchor: PathBuf,
    /// From the anchor on.
    below: PathBuf,
}

/// The same directory, held by its descriptor.
#[derive(Debug)]
pub(crate) struct Held(OwnedFd);

impl Folder {
    /// The directory at `dir`. Where that lies below `anchor`, no link is followed from there on; else `dir` is its own anchor.
    pub(crate) fn new(dir: &Path, anchor: Option<&Path>) -> Self {
        let anchored = anchor.and_then(|anchor| Some((anchor, dir.strip_prefix(anchor).ok()?)));
        let (anchor, below) = anchored.unwrap_or((dir, Path::new("")));
        Self { anchor: anchor.to_owned(), below: below.to_owned() }
    }

    /// Opens the directory.
    ///
    /// # Errors
    /// Those of opening; [`io::ErrorKind::InvalidInput`] where the way leads through a link, through no directory, or out.
    pub(crate) fn hold(&self) -> io::Result<Held> {
        let anchor = if self.anchor.as_os_str().is_empty() { Path::new(".") } else { &self.anchor };
        let anchor = openat(CWD, anchor, PASSED, Mode::empty())?;
        Held(anchor).folder(&self.below)
    }
}

impl Held {
    /// The directory that lies `below` this one.
    fn folder(self, below: &Path) -> io::Result<Self> {
        let mut held = self.0;
        for component in below.components() {
            let name = match component {
                Component::Normal(name) => name,
                Component::CurDir => continue,
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(leads_out()),
            };
            held = openat(&held, name, PASSED | OFlags::NOFOLLOW, Mode::empty()).map_err(refused)?;
        }
        Ok(Self(held))
    }

    /// Opens the regular file at `below`, a path within this directory, for reading.
    ///
    /// # Errors
    /// Those of opening; [`io::ErrorKind::InvalidInput`] where it is absolute or has `..`, where a link is on the way or at
    /// its end, and for what is no regular file.
    pub(crate) fn file_below(self, below: &Path) -> io::Result<File> {
        // `join` and `parent` would make other paths of these.
        if !below.components().all(|component| matches!(component, Component::Normal(_) | Component::CurDir)) {
            return Err(leads_out());
        }
        let folder = self.folder(below.parent().unwrap_or(Path::new("")))?;
        folder.open(below, OFlags::RDONLY, 0)
    }

    /// Opens the regular file in this directory that has the last name of `path`.
    ///
    /// # Errors
    /// As [`Held::file_below`].
    pub(crate) fn open(&self, path: &Path, flags: OFlags, mode: u32) -> io::Result<File> {
        let opened = openat(&self.0, name(path)?, flags | FILE, Mode::from_raw_mode(mode)).map_err(refused)?;
        regular(File::from(opened))
    }

    /// How long the file is that has the last name of `path`; 0: there is no regular file.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub(crate) fn length(&self, path: &Path) -> io::Result<u64> {
        match statat(&self.0, name(path)?, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) if FileType::from_raw_mode(found.st_mode).is_file() => Ok(found.st_size.try_into().unwrap_or(0)),
            Ok(_) | Err(Errno::NOENT) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes what has the last name of `path`, a link itself and not what it leads to; false: there was nothing.
    ///
    /// # Errors
    /// It cannot be removed.
    pub(crate) fn remove(&self, path: &Path) -> io::Result<bool> {
        match unlinkat(&self.0, name(path)?, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives what has the last name of `from` that of `to`.
    ///
    /// # Errors
    /// It cannot be renamed.
    #[cfg(feature = "cli")]
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, name(from)?, &self.0, name(to)?)?)
    }

    /// The names of all that is there, in no order.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(crate) fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        // A directory that is only passed cannot be read.
        let dir = openat(&self.0, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        for entry in Dir::new(dir)? {
            names.push(OsString::from_vec(entry?.file_name().to_bytes().to_vec()));
        }
        Ok(names)
    }
}

/// A file's place: its path, and the folder by which it is opened. What lies beside it is in the same folder.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    folder: Arc<Folder>,
    path: PathBuf,
}

impl Entry {
    /// The place at `path`, in its parent directory; `anchor` as for [`Folder::new`].
    pub(crate) fn new(path: &Path, anchor: Option<&Path>) -> Self {
        let folder = Folder::new(path.parent().unwrap_or(Path::new("")), anchor);
        Self { folder: Arc::new(folder), path: path.to_owned() }
    }

    /// Its path, for names and for people: not to be opened.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The place beside it that has the last name of `path`.
    pub(crate) fn beside(&self, path: PathBuf) -> Self {
        Self { folder: self.folder.clone(), path }
    }

    /// Opens its folder.
    ///
    /// # Errors
    /// As [`Folder::hold`].
    pub(crate) fn hold(&self) -> io::Result<Held> {
        self.folder.hold()
    }

    /// Opens the regular file that is there.
    ///
    /// # Errors
    /// As [`Held::open`].
    pub(crate) fn open(&self, flags: OFlags, mode: u32) -> io::Result<File> {
        self.hold()?.open(&self.path, flags, mode)
    }
}

#[cfg(test)]
impl AsRef<Path> for Entry {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

/// The file, if it is a regular one.
pub(super) fn regular(file: File) -> io::Result<File> {
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

fn name(path: &Path) -> io::Result<&OsStr> {
    path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it names no file"))
}

/// What the kernel says of a link that it was told not to follow, in words.
fn refused(error: Errno) -> io::Error {
    match error {
        Errno::LOOP | Errno::NOTDIR => {
            io::Error::new(io::ErrorKind::InvalidInput, "a link, which is not followed here, or no directory")
        }
        // A FIFO or a socket.
        Errno::NXIO => io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"),
        error => error.into(),
    }
}

fn leads_out() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "it must be a path within the directory: not absolute, and without `..`",
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A directory of its own, removed with the test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("longshore-folder-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir_all(&dir).unwrap();
            Self(dir)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn only_regular_files_within_it_are_opened() {
        let scratch = Scratch::new("below");
        let local = scratch.0.join("t/local");
        fs::create_dir_all(local.join("sub/deep")).unwrap();
        for path in ["t/local/a.tar", "t/local/sub/deep/b.tar", "outside.tar"] {
            fs::write(scratch.0.join(path), path).unwrap();
        }
        symlink("a.tar", local.join("near")).unwrap();
        symlink("/dev/zero", local.join("zero")).unwrap();
        symlink("sub", local.join("link")).unwrap();
        symlink("../..", local.join("up")).unwrap();
        symlink("self", local.join("self")).unwrap();
        rustix::fs::mkfifoat(CWD, local.join("fifo"), Mode::RWXU).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(local.join("socket")).unwrap();
        let outside = scratch.0.join("outside.tar").display().to_string();
        let folder = Folder::new(&local, Some(&scratch.0));
        for (below, opens) in [
            ("a.tar", true),
            ("./a.tar", true),
            ("sub/deep/b.tar", true),
            ("sub//deep/./b.tar", true),
            (&*outside, false),
            ("/a.tar", false),
            ("../../outside.tar", false),
            ("sub/../a.tar", false),
            ("..", false),
            (".", false),
            ("", false),
            ("near", false),
            ("link/deep/b.tar", false),
            ("up/outside.tar", false),
            ("self", false),
            ("zero", false),
            ("fifo", false),
            ("socket", false),
            ("sub", false),
            ("a.tar/x", false),
        ] {
            let opened = folder.hold().unwrap().file_below(Path::new(below));
            match opened {
                Ok(_) => assert!(opens, "{below:?} was opened"),
                Err(error) => {
                    assert!(!opens, "{below:?}: {error}");
                    assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{below:?}: {error}");
                }
            }
        }
        let missing = folder.hold().unwrap().file_below(Path::new("sub/none")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        // Rights to write change nothing.
        let held = folder.hold().unwrap();
        for link in ["near", "fifo", "socket"] {
            assert!(held.open(Path::new(link), OFlags::WRONLY | OFlags::APPEND, 0).is_err(), "{link}");
        }
    }

    #[test]
    fn a_link_on_the_way_is_not_followed_below_the_anchor() {
        let scratch = Scratch::new("way");
        let (real, linked) = (scratch.0.join("real"), scratch.0.join("linked"));
        fs::create_dir_all(real.join("alloc/logs")).unwrap();
        fs::create_dir_all(scratch.0.join("elsewhere/logs")).unwrap();
        fs::write(scratch.0.join("elsewhere/logs/t.0"), "").unwrap();
        // The way to the anchor is its user's.
        symlink(&real, &linked).unwrap();
        let entry = Entry::new(&linked.join("alloc/logs/t.0"), Some(&linked));
        entry.open(OFlags::WRONLY | OFlags::CREATE, 0o644).unwrap();
        assert!(real.join("alloc/logs/t.0").is_file());
        assert!(entry.hold().unwrap().names().unwrap().contains(&"t.0".into()));
        for swapped in ["alloc", "alloc/logs"] {
            fs::remove_dir_all(real.join(swapped)).unwrap();
            symlink(scratch.0.join("elsewhere").join(swapped[5..].trim_start_matches('/')), real.join(swapped))
                .unwrap();
            let error = entry.open(OFlags::WRONLY | OFlags::CREATE, 0o644).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{swapped}: {error}");
            fs::remove_file(real.join(swapped)).unwrap();
            fs::create_dir_all(real.join("alloc/logs")).unwrap();
        }
        // A link that is there to be removed is removed itself.
        symlink(scratch.0.join("elsewhere/logs/t.0"), real.join("alloc/logs/t.1")).unwrap();
        let held = entry.hold().unwrap();
        assert_eq!(held.length(Path::new("t.1")).unwrap(), 0);
        assert!(held.remove(Path::new("t.1")).unwrap() && !held.remove(Path::new("t.1")).unwrap());
        assert!(scratch.0.join("elsewhere/logs/t.0").is_file());
    }
}

//! Where everything lies below a data directory, and how the directories of an allocation are made.
//!
//! `alloc/<id>/` holds `alloc/{data,logs,tmp}` and per task `<task>/{local,secrets,tmp}`; `state/` what is known of
//! allocations; `instance` this directory's own id. The shared directories (but `logs`), `local` and `tmp` are writable by everyone,
//! as in Nomad: they are bound into containers, whose processes run as whatever user the image names, and nobody can say
//! beforehand as which number. Other users of the machine do not get there: `alloc/` and `alloc/<id>/` above them are their
//! owner's alone, for a task may leave a setuid file, and an allocation's id is no secret. Containers enter by bind mounts,
//! which the Engine makes. `<id>/alloc` and the tasks' directories are sticky, so that no task exchanges what lies in them,
//! and a directory in which longshore itself writes is refused where it is somebody else's. What is bound (`data`, `local`,
//! `secrets`, `tmp`) is the tasks' own: a database may give it to its user.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags};

use crate::{files, job};

use crate::runner::Error;
use crate::runner::place::ids;

/// For directories that are bound into containers, whose user may be any; on this machine nobody else comes to them.
const SHARED: u32 = 0o777;
/// For those in which directories of ours lie: everyone may add to them, and exchange nothing.
const STICKY: u32 = 0o1777;
/// For logs: only who collects them writes there.
const READABLE: u32 = 0o755;
/// For what only longshore enters: states, and the way to what is bound. One that is there is closed, too.
const CLOSED: u32 = 0o700;
/// For the data directory: can be passed by who knows a name in it.
const PASSAGE: u32 = 0o711;

/// A data directory. Making one does nothing; its parts are made when they are needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDir {
    root: PathBuf,
}

impl DataDir {
    /// The data directory at `root`, which need not exist. A relative path is meant from the working directory.
    ///
    /// # Errors
    /// The working directory is needed and not known.
    pub fn new(root: impl AsRef<Path>) -> Result<Self, Error> {
        let root = root.as_ref();
        // Binds must be absolute for the Engine.
        let root = std::path::absolute(root).map_err(Error::io("find", root))?;
        // Without a slash at its end, behind which a link would not be seen as one.
        Ok(Self { root: root.components().collect() })
    }

    /// Where data goes unless somebody says otherwise, by the variables that `var` looks up: `LONGSHORE_DATA_DIR`, else
    /// `XDG_STATE_HOME/longshore`, else `HOME/.local/state/longshore`. `None`: none of them is set.
    pub fn default_root(var: impl Fn(&str) -> Option<std::ffi::OsString>) -> Option<PathBuf> {
        let set = |name: &str| var(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        set("LONGSHORE_DATA_DIR")
            // By its own rules a relative one is to be ignored.
            .or_else(|| set("XDG_STATE_HOME").filter(|dir| dir.is_absolute()).map(|dir| dir.join("longshore")))
            .or_else(|| set("HOME").map(|home| home.join(".local/state/longshore")))
    }

    /// The data directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of an allocation.
    pub fn alloc(&self, alloc_id: &str) -> PathBuf {
        self.root.join("alloc").join(alloc_id)
    }

    /// Where the collected output of an allocation's tasks is. The tasks can read it, not write there.
    pub fn logs(&self, alloc_id: &str) -> PathBuf {
        self.alloc(alloc_id).join("alloc/logs")
    }

    /// Where the states of allocations are.
    pub fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    /// Makes the directories of an allocation with these tasks. Those that exist must be ours where longshore writes in them,
    /// and stay as they are, unless others could exchange what is in them.
    ///
    /// # Errors
    /// Names the directory that could not be made or is not ours, or a task whose name cannot be one.
    pub fn make_alloc<'a>(&self, alloc_id: &str, tasks: impl IntoIterator<Item = &'a str>) -> Result<(), Error> {
        let root = self.alloc(alloc_id);
        self.make_root()?;
        close(&self.root.join("alloc"))?;
        close(&root)?;
        let shared = root.join("alloc");
        make_with(&shared, STICKY, || {
            make(&shared.join("logs"), READABLE)?;
            lend(&shared, &[("data", SHARED), ("tmp", SHARED)])
        })?;
        for task in tasks {
            check_task_name(task)?;
            let own = root.join(task);
            make_with(&own, STICKY, || lend(&own, &[("local", SHARED), ("secrets", SHARED), ("tmp", STICKY)]))?;
        }
        Ok(())
    }

    /// Whether it, and the states in it, are ours to believe; it need not exist.
    ///
    /// # Errors
    /// It, or its directory for states, is somebody else's, or others may write there.
    pub fn check(&self) -> Result<(), Error> {
        self.known_state().map(drop)
    }

    /// Makes the directory for states, which is its owner's alone.
    ///
    /// # Errors
    /// Names the directory that could not be made, or is not ours to believe.
    pub fn make_state(&self) -> Result<PathBuf, Error> {
        self.make_root()?;
        let state = self.state();
        // What others could write into states is not to be believed, even if they no longer can.
        check_ours(&state)?;
        close(&state)?;
        Ok(state)
    }

    /// This data directory's own id, made once; containers carry it as a label, which tells them from those of others.
    ///
    /// # Errors
    /// The file cannot be read or made, or holds no id.
    pub fn instance(&self) -> Result<String, Error> {
        self.make_root()?;
        let path = self.root.join("instance");
        if let Some(id) = read_instance(&path)? {
            return Ok(id);
        }
        let id = ids::random_uuid().map_err(Error::io("read", "/dev/urandom"))?;
        // Written aside and linked into place: of two processes one wins, and nobody sees half an id.
        let aside = self.root.join(format!("instance.{id}"));
        let mut file = files::create(&aside, 0o644).map_err(Error::io("make", &aside))?;
        let written = file.write_all(format!("{id}\n").as_bytes()).and_then(|()| file.sync_all());
        let linked = written.and_then(|()| fs::hard_link(&aside, &path));
        let _ = fs::remove_file(&aside);
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(Error::io("write", &path)(error)),
            _ => read_instance(&path)?.ok_or_else(|| Error::Corrupt { path, why: "it is gone again".into() }),
        }
    }

    /// The same where it was made already; nothing is made.
    ///
    /// # Errors
    /// The file cannot be read, or holds no id; the data directory is not ours.
    pub fn known_instance(&self) -> Result<Option<String>, Error> {
        check_ours(&self.root)?;
        read_instance(&self.root.join("instance"))
    }

    /// Where the states of allocations are, if they can be believed; nothing is made.
    ///
    /// # Errors
    /// The data directory, or that for states, is somebody else's, or others may write there.
    pub(in crate::runner) fn known_state(&self) -> Result<PathBuf, Error> {
        check_ours(&self.root)?;
        let state = self.state();
        check_ours(&state)?;
        Ok(state)
    }

    fn make_root(&self) -> Result<(), Error> {
        if !self.root.is_dir() {
            let made = DirBuilder::new().recursive(true).mode(PASSAGE).create(&self.root);
            made.map_err(Error::io("make directory", &self.root))?;
        }
        check_ours(&self.root)
    }
}

/// Whether what lies in a directory is ours to believe: states say what runs as root. One that is not there is no error.
fn check_ours(path: &Path) -> Result<(), Error> {
    let check = || {
        let link = fs::symlink_metadata(path)?;
        if link.is_symlink() && link.uid() != 0 {
            must_be_ours(link.uid())?;
        }
        let found = fs::metadata(path)?;
        must_be_ours(found.uid())?;
        // A sticky bit keeps them from what is there, not from adding a state.
        if found.mode() & 0o022 != 0 {
            let why = "others may write in it: take that from them (chmod go-w)";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        Ok(())
    };
    match check() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        checked => checked.map_err(Error::io("use directory", path)),
    }
}

fn must_be_ours(owner: u32) -> io::Result<()> {
    if owner == we() {
        return Ok(());
    }
    let why = format!("it belongs to user {owner}, and we are user {}", we());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

/// Whether others can exchange what is in a directory of this mode.
fn is_open(mode: u32) -> bool {
    mode & 0o022 != 0 && mode & 0o1000 == 0
}

/// Whether a task of this name can have a directory of its own.
///
/// # Errors
/// It cannot.
pub(crate) fn check_task_name(task: &str) -> Result<(), Error> {
    let place = |why: &str| Err(Error::Place { object: format!("task `{task}`"), why: why.into() });
    if let Some(what) = job::reserved(task) {
        return place(&format!("this name is that of {what}; call the task otherwise"));
    }
    if task.is_empty() || task == "." || task == ".." || task.contains(['/', '\0']) {
        return place("this cannot be a directory's name; call the task otherwise");
    }
    Ok(())
}

/// Makes a directory of this mode, whatever the umask says; one that exists must be ours.
fn make(path: &Path, mode: u32) -> Result<(), Error> {
    Made::new(path)?.open_up(mode)
}

/// Makes a directory for its owner alone, or closes one that is ours to all others.
fn close(path: &Path) -> Result<(), Error> {
    let made = Made::new(path)?;
    if made.mode & 0o077 == 0 { Ok(()) } else { made.set_mode(CLOSED) }
}

/// Makes a directory of this mode with what `fill` makes in it, which is there before anybody else can add to it.
fn make_with(path: &Path, mode: u32, fill: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
    let made = Made::new(path)?;
    fill()?;
    made.open_up(mode)
}

/// Makes directories that are bound into containers. A task may have given one to its user: then it stays as it is.
fn lend(within: &Path, parts: &[(&str, u32)]) -> Result<(), Error> {
    for (part, mode) in parts {
        let path = within.join(part);
        let found = fs::symlink_metadata(&path);
        if found.is_ok_and(|found| found.is_dir() && found.uid() != we()) {
            continue;
        }
        make(&path, *mode)?;
    }
    Ok(())
}

fn we() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// A directory that is ours, held by its descriptor.
struct Made<'a> {
    path: &'a Path,
    dir: OwnedFd,
    mode: u32,
    is_new: bool,
}

impl<'a> Made<'a> {
    /// Makes the directory for its owner alone, or finds it.
    fn new(path: &'a Path) -> Result<Self, Error> {
        let is_new = match DirBuilder::new().mode(CLOSED).create(path) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(Error::io("make directory", path)(error)),
        };
        let open = || {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let dir = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
            let found = rustix::fs::fstat(&dir)?;
            must_be_ours(found.st_uid)?;
            Ok((dir, found.st_mode & 0o7777))
        };
        let (dir, mode) = open().map_err(Error::io("use directory", path))?;
        Ok(Self { path, dir, mode, is_new })
    }

    /// Gives it its mode. One that was there before keeps its own, unless others can exchange what is in it and should not.
    fn open_up(self, mode: u32) -> Result<(), Error> {
        if self.is_new || is_open(self.mode) && !is_open(mode) { self.set_mode(mode) } else { Ok(()) }
    }

    fn set_mode(&self, mode: u32) -> Result<(), Error> {
        let done = rustix::fs::fchmod(&self.dir, Mode::from_raw_mode(mode));
        done.map_err(|error| Error::io("set the mode of", self.path)(error.into()))
    }
}

/// Reads a file of the data directory, of at most `limit` bytes; `None`: there is none.
///
/// # Errors
/// [`Error::Corrupt`] where it is no regular file, or longer; it cannot be read.
pub(in crate::runner) fn read_own(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    match files::read_regular(path, limit) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound => Ok(None),
            io::ErrorKind::InvalidInput => Err(Error::Corrupt { path: path.to_owned(), why: format!("it is {error}") }),
            io::ErrorKind::FileTooLarge => {
                Err(Error::Corrupt { path: path.to_owned(), why: format!("it has {error}") })
            }
            _ => Err(Error::io("read", path)(error)),
        },
    }
}

fn read_instance(path: &Path) -> Result<Option<String>, Error> {
    let Some(bytes) = read_own(path, 4096)? else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes);
    let id = text.trim();
    if !ids::is_alloc_id(id) {
        return Err(Error::Corrupt {
            path: path.to_owned(),
            why: "it holds no id; put back the one that containers of this directory have (the label `longshore.instance`), or, \
                  if there are none, remove the file"
                .into(),
        });
    }
    Ok(Some(id.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::testing::Scratch;
    use std::ffi::OsString;
    use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn directories_and_their_modes() {
        let scratch = Scratch::new("dirs");
        let data = DataDir::new(scratch.path().join("data")).unwrap();
        data.make_alloc("a1", ["web", "db"]).unwrap();
        data.make_alloc("a1", ["web"]).unwrap();
        data.make_state().unwrap();
        let alloc = data.alloc("a1");
        for (path, want) in [
            ("..", CLOSED),
            ("", CLOSED),
            ("alloc", STICKY),
            ("web", STICKY),
            ("alloc/data", SHARED),
            ("alloc/logs", READABLE),
            ("alloc/tmp", SHARED),
            ("web/local", SHARED),
            ("web/secrets", SHARED),
            ("web/tmp", STICKY),
            ("db/secrets", SHARED),
        ] {
            assert_eq!(mode(&alloc.join(path)), want, "{path}");
        }
        assert_eq!(mode(&data.state()), CLOSED);
    }

    #[test]
    fn what_is_there_must_be_ours() {
        let scratch = Scratch::new("dirs-owner");
        let data = DataDir::new(scratch.path()).unwrap();
        data.make_alloc("a1", ["web"]).unwrap();
        data.make_state().unwrap();
        let alloc = data.alloc("a1");
        // As an older longshore, or a person, left them.
        for (path, was, want) in [
            ("..", 0o711, CLOSED),
            ("", 0o711, CLOSED),
            ("../../state", 0o755, CLOSED),
            ("alloc", 0o777, STICKY),
            ("web", 0o777, STICKY),
            ("alloc/logs", 0o775, READABLE),
            ("alloc/data", 0o770, 0o770),
            ("web/local", 0o750, 0o750),
        ] {
            fs::set_permissions(alloc.join(path), fs::Permissions::from_mode(was)).unwrap();
            data.make_alloc("a1", ["web"]).unwrap();
            data.make_state().unwrap();
            assert_eq!(mode(&alloc.join(path)), want, "{path}");
        }
        let elsewhere = scratch.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        for path in ["alloc/logs", "alloc/data", "web/local", "web/secrets", "web", "alloc"] {
            let _ = fs::remove_dir_all(alloc.join(path));
            symlink(&elsewhere, alloc.join(path)).unwrap();
            let error = data.make_alloc("a1", ["web"]).unwrap_err();
            assert!(error.to_string().contains(&*alloc.join(path).to_string_lossy()), "{error}");
            fs::remove_file(alloc.join(path)).unwrap();
            data.make_alloc("a1", ["web"]).unwrap();
        }
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    }

    #[test]
    fn a_task_may_give_what_is_bound_to_its_user() {
        let scratch = Scratch::new("dirs-given");
        let data = DataDir::new(scratch.path()).unwrap();
        data.make_alloc("a1", ["web"]).unwrap();
        let alloc = data.alloc("a1");
        // Only root can make one that is somebody else's.
        if we() != 0 {
            return;
        }
        for path in ["alloc/data", "alloc/tmp", "web/local", "web/secrets", "web/tmp"] {
            chown(alloc.join(path), Some(12345), None).unwrap();
            fs::set_permissions(alloc.join(path), fs::Permissions::from_mode(0o700)).unwrap();
            data.make_alloc("a1", ["web"]).unwrap();
            assert_eq!(mode(&alloc.join(path)), 0o700, "{path}: it stays as the task wants it");
        }
        for path in ["alloc/logs", "alloc", "web", "", ".."] {
            let path = alloc.join(path);
            chown(&path, Some(12345), None).unwrap();
            let error = crate::runner::chain(&data.make_alloc("a1", ["web"]).unwrap_err());
            assert!(error.contains("12345"), "{}: {error}", path.display());
            chown(&path, Some(0), None).unwrap();
        }
    }

    #[test]
    fn the_data_directory_must_be_ours() {
        let scratch = Scratch::new("dirs-foreign");
        let data = DataDir::new(scratch.path().join("data")).unwrap();
        data.known_state().unwrap();
        assert_eq!(data.known_instance().unwrap(), None, "it is not there");
        data.make_state().unwrap();
        data.instance().unwrap();
        let (root, state) = (data.root().to_owned(), data.state());
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        for (path, mode, fits) in [
            (&root, 0o755, true),
            (&root, 0o777, false),
            (&root, 0o775, false),
            (&root, 0o1777, false),
            (&root, 0o700, true),
            (&state, 0o777, false),
            (&state, 0o1777, false),
            (&state, 0o700, true),
        ] {
            set(path, mode);
            let row = format!("{} {mode:o}", path.display());
            let known = data.known_state();
            assert_eq!(known.is_ok(), fits, "{row}");
            if let Err(error) = known {
                let told = crate::runner::chain(&error);
                assert!(told.contains(&*path.to_string_lossy()) && told.contains("chmod go-w"), "{row}: {told}");
            }
            assert_eq!(data.make_state().is_ok(), fits, "{row}");
            if path == &root {
                assert_eq!((data.check().is_ok(), data.make_alloc("a", ["t"]).is_ok()), (fits, fits), "{row}");
                assert_eq!((data.instance().is_ok(), data.known_instance().is_ok()), (fits, fits), "{row}");
            }
        }
        // Only root can make one that is somebody else's.
        if we() != 0 {
            return;
        }
        let link = DataDir::new(scratch.path().join("link")).unwrap();
        symlink(&root, link.root()).unwrap();
        link.known_state().unwrap();
        lchown(link.root(), Some(12345), None).unwrap();
        assert!(link.known_state().is_err() && link.make_state().is_err(), "who has the link says where it leads");
        let with_slash = DataDir::new(scratch.path().join("link/")).unwrap();
        assert!(with_slash.known_state().is_err(), "with a slash at its end too");
        for path in [&root, &state] {
            chown(path, Some(12345), None).unwrap();
            for done in [data.known_state(), data.make_state()] {
                let told = crate::runner::chain(&done.unwrap_err());
                assert!(told.contains(&*path.to_string_lossy()) && told.contains("user 12345"), "{told}");
            }
            chown(path, Some(0), None).unwrap();
        }
    }

    #[test]
    fn an_error_names_the_path() {
        let scratch = Scratch::new("dirs-error");
        let data = DataDir::new(scratch.path()).unwrap();
        fs::write(scratch.path().join("alloc"), "a file").unwrap();
        let error = data.make_alloc("a1", ["web"]).unwrap_err();
        assert!(error.to_string().contains(&*scratch.path().join("alloc").to_string_lossy()), "{error}");
    }

    #[test]
    fn names_that_cannot_be_directories() {
        for (name, fits) in [
            ("web", true),
            ("a b", true),
            ("alloc", false),
            ("events.jsonl", false),
            ("events.jsonl.1", false),
            ("events.jsonl.23", false),
            ("events.jsonl.", true),
            ("events.jsonl.x", true),
            ("events", true),
            ("..", false),
            ("a/b", false),
            ("", false),
        ] {
            assert_eq!(check_task_name(name).is_ok(), fits, "{name:?}");
        }
    }

    #[test]
    fn the_instance_is_made_once() {
        let scratch = Scratch::new("instance");
        let data = DataDir::new(scratch.path().join("new")).unwrap();
        let id = data.instance().unwrap();
        assert_eq!(data.instance().unwrap(), id);
        assert_eq!(fs::read_dir(data.root()).unwrap().count(), 1, "nothing is left beside it");
        fs::write(data.root().join("instance"), "not an id!").unwrap();
        assert!(matches!(data.instance(), Err(Error::Corrupt { .. })));
        fs::write(data.root().join("instance"), format!("{id}{}", " ".repeat(4096))).unwrap();
        assert!(matches!(data.instance(), Err(Error::Corrupt { .. })), "too long");
        scratch.lay_fifo(&data.root().join("instance"));
        assert!(matches!(data.instance(), Err(Error::Corrupt { .. })), "a FIFO");
    }

    #[test]
    fn where_data_goes() {
        for (row, vars, want) in [
            ("ours first", &[("LONGSHORE_DATA_DIR", "/d"), ("XDG_STATE_HOME", "/x"), ("HOME", "/h")][..], Some("/d")),
            ("then the desktop's", &[("XDG_STATE_HOME", "/x"), ("HOME", "/h")], Some("/x/longshore")),
            ("unless it is relative", &[("XDG_STATE_HOME", "x"), ("HOME", "/h")], Some("/h/.local/state/longshore")),
            ("empty is unset", &[("LONGSHORE_DATA_DIR", ""), ("HOME", "/h")], Some("/h/.local/state/longshore")),
            ("nowhere", &[], None),
        ] {
            let var = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v));
            assert_eq!(DataDir::default_root(var), want.map(PathBuf::from), "{row}");
        }
    }
}

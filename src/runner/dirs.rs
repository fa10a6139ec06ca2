//! Where everything lies below a data directory, and how the directories of an allocation are made.
//!
//! `alloc/<id>/` holds `alloc/{data,logs,tmp}` and per task `<task>/{local,secrets,tmp}`; `state/` what is known of
//! allocations; `instance` this directory's own id. The shared directories (but `logs`), `local` and `tmp` are writable by everyone,
//! as in Nomad: they are bound into containers, whose processes run as whatever user the image names, and nobody can say
//! beforehand as which number. What keeps other users of the machine out is the way there: the directories above can be
//! passed, not listed, and the allocation's id is random.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::files;

use super::{Error, ids};

/// For directories that are bound into containers.
const SHARED: u32 = 0o777;
/// For logs: only who collects them writes there.
const READABLE: u32 = 0o755;
/// For secrets: their owner's alone.
const SECRET: u32 = 0o700;
/// For what is above: can be passed by who knows the name.
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
        Ok(Self { root })
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

    /// Makes the directories of an allocation with these tasks. Those that exist stay as they are.
    ///
    /// # Errors
    /// Names the directory that could not be made, or a task whose name cannot be one.
    pub fn make_alloc<'a>(&self, alloc_id: &str, tasks: impl IntoIterator<Item = &'a str>) -> Result<(), Error> {
        let root = self.alloc(alloc_id);
        self.make_root()?;
        make(&self.root.join("alloc"), PASSAGE)?;
        make(&root, PASSAGE)?;
        for part in ["alloc", "alloc/data", "alloc/tmp"] {
            make(&root.join(part), SHARED)?;
        }
        make(&self.logs(alloc_id), READABLE)?;
        for task in tasks {
            check_task_name(task)?;
            make(&root.join(task), SHARED)?;
            make(&root.join(task).join("local"), SHARED)?;
            make(&root.join(task).join("secrets"), SECRET)?;
            make(&root.join(task).join("tmp"), SHARED)?;
        }
        Ok(())
    }

    /// Makes the directory for states, which is its owner's alone.
    ///
    /// # Errors
    /// Names the directory that could not be made.
    pub fn make_state(&self) -> Result<PathBuf, Error> {
        self.make_root()?;
        let state = self.state();
        make(&state, SECRET)?;
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
    /// The file cannot be read, or holds no id.
    pub fn known_instance(&self) -> Result<Option<String>, Error> {
        read_instance(&self.root.join("instance"))
    }

    fn make_root(&self) -> Result<(), Error> {
        if self.root.is_dir() {
            return Ok(());
        }
        DirBuilder::new()
            .recursive(true)
            .mode(PASSAGE)
            .create(&self.root)
            .map_err(Error::io("make directory", &self.root))
    }
}

/// Whether a task of this name can have a directory of its own.
///
/// # Errors
/// It cannot.
pub(crate) fn check_task_name(task: &str) -> Result<(), Error> {
    let place = |why: &str| Err(Error::Place { object: format!("task `{task}`"), why: why.into() });
    if task == "alloc" {
        return place("this name is the shared directory's; call the task otherwise");
    }
    if task.is_empty() || task == "." || task == ".." || task.contains(['/', '\0']) {
        return place("this cannot be a directory's name; call the task otherwise");
    }
    Ok(())
}

/// Makes a directory of this mode, whatever the umask says; one that exists stays as it is.
fn make(path: &Path, mode: u32) -> Result<(), Error> {
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(Error::io("set the mode of", path))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(Error::io("make directory", path)(error)),
    }
}

/// Reads a file of the data directory, of at most `limit` bytes; `None`: there is none.
///
/// # Errors
/// [`Error::Corrupt`] where it is no regular file, or longer; it cannot be read.
pub(super) fn read_own(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Error> {
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
            why: "it holds no id; remove it, and a new one is made".into(),
        });
    }
    Ok(Some(id.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::testing::Scratch;
    use std::ffi::OsString;

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
            ("", PASSAGE),
            ("alloc", SHARED),
            ("alloc/data", SHARED),
            ("alloc/logs", READABLE),
            ("alloc/tmp", SHARED),
            ("web/local", SHARED),
            ("web/secrets", SECRET),
            ("web/tmp", SHARED),
            ("db/secrets", SECRET),
        ] {
            assert_eq!(mode(&alloc.join(path)), want, "{path}");
        }
        assert_eq!(mode(&data.state()), SECRET);
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
        for (name, fits) in [("web", true), ("a b", true), ("alloc", false), ("..", false), ("a/b", false), ("", false)]
        {
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

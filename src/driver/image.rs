//! The image of a task: found on the Engine, loaded from its archive, or pulled, and counted as used from then on
//! (driver-spec 1.4.1, 1.4.4).

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::events::EventKind;
use super::options::{TaskOptions, without_scheme};
use super::task::{TaskConfig, TaskId};
use super::{Error, Inner};
use crate::engine::types::AuthConfig;
use crate::engine::{Engine, ImageListQuery, LoadQuery, loaded_images};
use crate::files::{Folder, open_regular};
use crate::images::{Origin, PullRequest, PulledImage, Reference, resolve_credentials};
use crate::threads::Hangup;

/// How often an image is looked for again that is just being removed.
const LOOKS: u32 = 5;

/// What a task says of its image, and what it is asked with.
pub(super) struct TaskImage<'a> {
    pub(super) inner: &'a Inner,
    pub(super) engine: &'a Engine,
    pub(super) hangup: &'a Hangup,
    pub(super) task: &'a TaskConfig,
    pub(super) options: &'a TaskOptions,
}

/// Counts a task's images as used. Dropping it takes the task away from them, unless it is kept.
pub(super) struct HeldImage<'a> {
    inner: &'a Inner,
    owner: TaskId,
    kept: bool,
}

impl<'a> HeldImage<'a> {
    pub(super) fn new(inner: &'a Inner, owner: &TaskId) -> Self {
        Self { inner, owner: owner.clone(), kept: false }
    }

    /// The task runs: whoever destroys it takes it away.
    pub(super) fn keep(&mut self) {
        self.kept = true;
    }
}

impl Drop for HeldImage<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.inner.images.release(self.owner.as_str());
        }
    }
}

impl TaskImage<'_> {
    /// Makes sure that the Engine has the image, counts it as used, and gives its id. `anew`: the Engine has just said that
    /// it is not there, so no look is taken before it is pulled or loaded.
    pub(super) fn obtain(&self, mut anew: bool) -> Result<String, Error> {
        let reference = parse(&self.options.image)?;
        let mut brought = None;
        for _ in 0..LOOKS {
            let (id, mut origin) = self.find(&reference, anew)?;
            if brought.as_ref() == Some(&id) {
                origin = Origin::Brought;
            }
            let owner = self.task.id.as_str();
            let added = self.inner.images.add(&id, &self.options.image, owner, origin, self.hangup);
            if added.map_err(|_| Error::ShutDown)? {
                return Ok(id);
            }
            // It was being removed; what the pull brought may be there all the same.
            if origin == Origin::Brought {
                brought = Some(id);
            }
            anew = false;
        }
        Err(Error::ImageMissing { image: self.options.image.clone() })
    }

    fn find(&self, reference: &Reference, anew: bool) -> Result<(String, Origin), Error> {
        let may_be_here = !anew && !self.options.force_pull && reference.is_checked_locally();
        if may_be_here && let Some(id) = self.inspect()? {
            return Ok((id, Origin::Found));
        }
        let before = Before::look(self.inner, self.engine);
        let id = match self.options.load.as_str() {
            "" => self.pull(reference)?.id,
            archive => self.load(reference, archive)?,
        };
        let origin = before.origin_of(&id);
        Ok((id, origin))
    }

    fn inspect(&self) -> Result<Option<String>, Error> {
        let image = &self.options.image;
        match self.engine.image_inspect(image) {
            Ok(inspect) => Ok(Some(inspect.id)),
            Err(e) if e.is_not_found() => Ok(None),
            Err(source) => Err(Error::Image { image: image.clone(), source }),
        }
    }

    /// Loads the archive (driver-spec 7). The image must be in it, whatever the Engine has had before.
    fn load(&self, reference: &Reference, archive: &str) -> Result<String, Error> {
        let (path, file) = open_archive(self.task, archive);
        let file = file.map_err(|source| Error::Archive { path: path.clone(), source })?;
        let query = LoadQuery { quiet: true, ..LoadQuery::default() };
        let archive = UntilHungUp { source: file, hangup: self.hangup };
        let said = self
            .engine
            .image_load(archive, &query, self.hangup)
            .map_err(|source| Error::Load { path: path.clone(), source })?;
        let holds = loaded_images(&said);
        let absent =
            || Error::NotInArchive { image: self.options.image.clone(), path: path.clone(), holds: holds.clone() };
        // An Engine that names none leaves it to the look below.
        if !holds.is_empty() && !holds.iter().any(|name| is_same(reference, name)) {
            return Err(absent());
        }
        self.inspect()?.ok_or_else(absent)
    }

    fn pull(&self, reference: &Reference) -> Result<PulledImage, Error> {
        let image = &self.options.image;
        let auth = match credentials_for(self.inner, reference, self.options.auth.as_ref(), self.hangup) {
            Err(Error::Credentials { source, .. }) if self.options.auth_soft_fail => {
                log::warn!("image {image}: it is pulled without credentials: {source}");
                None
            }
            auth => auth?,
        };
        let events = self.inner.events.clone();
        events.emit_pull(self.task, EventKind::ImagePull, &reference.image_ref(), "Downloading image");
        let (task, name) = (self.task.clone(), image.clone());
        let request = PullRequest {
            image: reference.clone(),
            auth,
            timeout: self.options.image_pull_timeout.unwrap_or(self.inner.config.image_pull_timeout),
            slow: Box::new(move |progress| {
                let message = format!("Docker image pull progress: {}", progress.status_text());
                events.emit_pull(&task, EventKind::ImagePullProgress, &name, message);
            }),
        };
        let pulled = self.inner.images.pull(request, self.hangup);
        pulled.map_err(|source| Error::Pull { image: image.clone(), source })
    }
}

/// Which images the Engine had before one was pulled or loaded. Only the account of several processes asks for it.
struct Before<'a> {
    inner: &'a Inner,
    theirs: Theirs,
}

enum Theirs {
    /// Nobody asks.
    NotAsked,
    /// The Engine did not say.
    Unknown,
    These(BTreeSet<String>),
}

impl<'a> Before<'a> {
    fn look(inner: &'a Inner, engine: &Engine) -> Self {
        if inner.config.image_ledger.is_none() {
            return Self { inner, theirs: Theirs::NotAsked };
        }
        let theirs = match engine.image_list(&ImageListQuery { all: true, ..ImageListQuery::default() }) {
            // Before the pull, for one of ours may be removed while it goes on, and come back by it.
            Ok(list) => {
                Theirs::These(list.into_iter().map(|image| image.id).filter(|id| !inner.images.is_ours(id)).collect())
            }
            Err(error) => {
                log::warn!("an image that comes now is kept, for nobody knows whether it was there before: {error}");
                Theirs::Unknown
            }
        };
        Self { inner, theirs }
    }

    fn origin_of(&self, id: &str) -> Origin {
        match &self.theirs {
            Theirs::NotAsked => Origin::Brought,
            _ if self.inner.images.is_ours(id) => Origin::Brought,
            Theirs::These(theirs) if !theirs.contains(id) => Origin::Brought,
            Theirs::These(_) | Theirs::Unknown => Origin::Found,
        }
    }
}

/// A source that ends with a latch, between two reads: one without end must not keep its start alive.
struct UntilHungUp<'a, R> {
    source: R,
    hangup: &'a Hangup,
}

impl<R: Read> Read for UntilHungUp<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.hangup.is_hung_up() {
            true => Err(io::ErrorKind::ConnectionAborted.into()),
            false => self.source.read(buf),
        }
    }
}

/// Pulls an image for nobody's task (the program's `pull`).
pub(super) fn pull(inner: &Inner, image: &str) -> Result<PulledImage, Error> {
    let image = without_scheme(image);
    let (reference, hangup) = (parse(image)?, inner.hangup.child());
    for _ in 0..LOOKS {
        let before = Before::look(inner, &inner.engine.with(&hangup));
        let request = PullRequest {
            auth: credentials_for(inner, &reference, None, &hangup)?,
            image: reference.clone(),
            timeout: inner.config.image_pull_timeout,
            slow: Box::new(|_| {}),
        };
        let pulled = inner.images.pull(request, &hangup);
        let pulled = pulled.map_err(|source| Error::Pull { image: image.to_owned(), source })?;
        let noted = inner.images.request(&pulled.id, image, before.origin_of(&pulled.id), &hangup);
        if noted.map_err(|_| Error::ShutDown)? {
            return Ok(pulled);
        }
    }
    Err(Error::ImageMissing { image: image.to_owned() })
}

fn parse(image: &str) -> Result<Reference, Error> {
    image.parse().map_err(Error::Reference)
}

fn credentials_for(
    inner: &Inner,
    reference: &Reference,
    task: Option<&AuthConfig>,
    hangup: &Hangup,
) -> Result<Option<AuthConfig>, Error> {
    let found = resolve_credentials(task, &inner.config.auth, reference.index(), hangup);
    found.map_err(|source| Error::Credentials { image: reference.to_string(), source })
}

/// Whether an archive's own word for an image means the one that is wanted.
fn is_same(wanted: &Reference, name: &str) -> bool {
    if wanted.to_string() == name {
        return true;
    }
    let Ok(other) = name.parse::<Reference>() else { return false };
    wanted.image_ref() == other.image_ref()
        || matches!((wanted.pull_name(), other.pull_name()), (Ok(wanted), Ok(other)) if wanted == other)
}

/// Opens the archive that `load` names, always a regular file: the one that who runs the task has found for it; else, where
/// the task has an allocation, a path within its `local`, where the task may have laid anything and no link is followed;
/// else a path of the library's user.
fn open_archive(task: &TaskConfig, load: &str) -> (PathBuf, io::Result<File>) {
    match (&task.image_archive, &task.alloc_dir) {
        (Some(found), _) => (found.clone(), open_regular(found, File::options().read(true))),
        (None, Some(alloc_dir)) => {
            let local = alloc_dir.join(&task.name).join("local");
            let opened =
                Folder::new(&local, Some(alloc_dir)).hold().and_then(|local| local.file_below(Path::new(load)));
            (local.join(load), opened)
        }
        (None, None) => (load.into(), open_regular(Path::new(load), File::options().read(true))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn an_archive_is_a_regular_file_within_local() {
        let dir = std::env::temp_dir().join(format!("longshore-load-{}", std::process::id()));
        let local = dir.join("a1/t/local");
        fs::create_dir_all(local.join("sub")).unwrap();
        for path in ["secret.tar", "a1/t/local/i.tar", "a1/t/local/sub/j.tar", "beside.tar"] {
            fs::write(dir.join(path), path).unwrap();
        }
        symlink(dir.join("secret.tar"), local.join("link.tar")).unwrap();
        symlink(&dir, local.join("up")).unwrap();
        let task = |alloc: bool, found: Option<&str>| TaskConfig {
            name: "t".into(),
            alloc_dir: alloc.then(|| dir.join("a1")),
            image_archive: found.map(|found| dir.join(found)),
            ..TaskConfig::default()
        };
        let absolute = |path: &str| dir.join(path).display().to_string();
        for (row, task, load, want) in [
            ("in local", task(true, None), "i.tar".to_owned(), true),
            ("deeper", task(true, None), "sub/j.tar".to_owned(), true),
            ("absolute", task(true, None), absolute("secret.tar"), false),
            ("absolute, though within", task(true, None), absolute("a1/t/local/i.tar"), false),
            ("upwards", task(true, None), "../../../secret.tar".to_owned(), false),
            ("a link", task(true, None), "link.tar".to_owned(), false),
            ("a link on the way", task(true, None), "up/secret.tar".to_owned(), false),
            ("a device", task(true, None), "/dev/zero".to_owned(), false),
            ("a directory", task(true, None), "sub".to_owned(), false),
            ("found beside the job file", task(true, Some("beside.tar")), "beside.tar".to_owned(), true),
            ("found, and a device", task(true, Some("/dev/zero")), "zero".to_owned(), false),
            ("without an allocation", task(false, None), absolute("secret.tar"), true),
            ("without one, through the user's link", task(false, None), absolute("a1/t/local/link.tar"), true),
            ("without one, a device", task(false, None), "/dev/zero".to_owned(), false),
        ] {
            let (path, opened) = open_archive(&task, &load);
            match opened {
                Ok(_) => assert!(want, "{row}: {} was opened", path.display()),
                Err(error) => {
                    assert!(!want, "{row}: {error}");
                    assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{row}: {error}");
                }
            }
        }
        fs::remove_dir_all(&dir).unwrap();
    }
}

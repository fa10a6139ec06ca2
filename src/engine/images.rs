//! The API's section "Images": pull, import, load, list, inspect, remove.

use std::io::Read;

use serde_json::Value;

use super::call::Part::{Fixed, Image};
use super::query::{Filters, Query, QueryString};
use super::types::{AuthConfig, ImageInspect, ImageRemoved, ImageSummary, List, Progress};
use super::{Engine, Error, ProgressStream};
use crate::http::Buffers;
use crate::threads::Hangup;

impl Engine {
    /// Pulls an image (`POST /images/create?fromImage=`), on a connection of its own that `hangup` ends, however long it
    /// takes. Returns with the answer's head, which some Engines hold back until they have spoken with the registry; the
    /// pull goes on while its messages are read, is done at their end, and is given up where they are dropped before.
    /// `auth` is sent (`X-Registry-Auth`) where there is something in it.
    ///
    /// ```no_run
    /// # use longshore::{Hangup, engine::{Engine, PullQuery, types::AuthConfig}};
    /// # let engine = Engine::from_env()?;
    /// let auth = AuthConfig { username: "ann".into(), password: "secret".into(), ..AuthConfig::default() };
    /// let query = PullQuery::new("registry.example:5000/web", "1.2");
    /// for message in engine.image_create(&query, Some(&auth), &Hangup::new())? {
    ///     println!("{}", message?.status);
    /// }
    /// # Ok::<(), longshore::engine::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::is_not_found`], or 500, where the registry does not have it, refuses, or does not answer; podman 4.3 says
    /// all of that in the messages. See [`ProgressStream::next_message`].
    pub fn image_create(
        &self,
        query: &PullQuery,
        auth: Option<&AuthConfig>,
        hangup: &Hangup,
    ) -> Result<ProgressStream, Error> {
        let request = self.post("image_create", &[Fixed("images"), Fixed("create")]).query(query).credentials(auth)?;
        // Without an image's name it would be an import.
        let request = request.refuse(query.from_image.is_empty(), "the image's name is empty");
        Ok(ProgressStream::new(request.stream(Buffers::CALL, hangup)?))
    }

    /// The Engine's images (`GET /images/json`).
    ///
    /// # Errors
    /// 400 (podman: 500) for a filter that the Engine does not know.
    pub fn image_list(&self, query: &ImageListQuery) -> Result<Vec<ImageSummary>, Error> {
        let answer = self.get("image_list", &[Fixed("images"), Fixed("json")]).query(query).send()?;
        Ok(answer.json::<List<ImageSummary>>()?.0)
    }

    /// All that the Engine knows of an image (`GET /images/{name}/json`). `name`: a reference, an id, or a prefix of one.
    ///
    /// # Errors
    /// [`Error::is_not_found`].
    pub fn image_inspect(&self, name: &str) -> Result<ImageInspect, Error> {
        self.image_inspect_with(name, &ImageInspectQuery::default())
    }

    /// The same of one platform's image, or with the manifests of all.
    ///
    /// # Errors
    /// [`Error::is_not_found`].
    pub fn image_inspect_with(&self, name: &str, query: &ImageInspectQuery) -> Result<ImageInspect, Error> {
        self.get("image_inspect", &[Fixed("images"), Image(name), Fixed("json")]).query(query).send()?.json()
    }

    /// Loads the images of an archive that `docker save` made (`POST /images/load`). Gives what the Engine says of it,
    /// such as `Loaded image: a:b`, after all of it has been read.
    ///
    /// # Errors
    /// [`Error::Source`] where `archive` cannot be read; [`Error::Stream`] (podman: 500) where it is no such archive.
    pub fn image_load(&self, archive: impl Read, query: &LoadQuery, hangup: &Hangup) -> Result<Vec<String>, Error> {
        let mut archive = archive;
        let answer =
            self.post("image_load", &[Fixed("images"), Fixed("load")]).query(query).upload(&mut archive, hangup)?;
        let mut said = Vec::new();
        ProgressStream::new(answer).for_each(|message| said.extend(line(&message)))?;
        Ok(said)
    }

    /// Makes an image of one archive of a root file system (`POST /images/create?fromSrc=-`). Gives the image's id.
    ///
    /// # Errors
    /// [`Error::Source`] where `archive` cannot be read; [`Error::Stream`] or 500 where it is no archive.
    pub fn image_import(&self, archive: impl Read, query: &ImportQuery, hangup: &Hangup) -> Result<String, Error> {
        let mut archive = archive;
        let answer = self.post("image_create", &[Fixed("images"), Fixed("create")]).query(query);
        let answer = answer.upload(&mut archive, hangup)?;
        let mut id = String::new();
        ProgressStream::new(answer).for_each(|message| id = message.status.trim().to_owned())?;
        Ok(id)
    }

    /// Removes an image, or a name of one (`DELETE /images/{name}`). Gives what was untagged and deleted.
    ///
    /// # Errors
    /// [`Error::is_not_found`]; [`Error::is_conflict`] while a container uses it.
    pub fn image_remove(&self, name: &str, query: &ImageRemoveQuery) -> Result<Vec<ImageRemoved>, Error> {
        let answer = self.delete("image_remove", &[Fixed("images"), Image(name)]).query(query).send()?;
        Ok(answer.json::<List<ImageRemoved>>()?.0)
    }
}

fn line(message: &Progress) -> Option<String> {
    Some(message.stream.trim()).filter(|text| !text.is_empty()).map(Into::into)
}

/// What is pulled. By default for the Engine's own platform.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PullQuery {
    /// The repository: `busybox`, `registry.example:5000/a/b`.
    pub from_image: String,
    /// A tag or a digest (`sha256:…`). Empty: what `from_image` says after its name; Docker pulls all tags of the
    /// repository where that says none.
    pub tag: String,
    /// Another platform (from API 1.32 on): `linux/arm64`. Empty: the Engine's own.
    pub platform: String,
}

impl PullQuery {
    /// One image: a repository and a tag, or a digest.
    pub fn new(from_image: impl Into<String>, tag: impl Into<String>) -> Self {
        Self { from_image: from_image.into(), tag: tag.into(), platform: String::new() }
    }

    /// Another platform: `linux/arm64`.
    #[must_use]
    pub fn platform(mut self, platform: impl Into<String>) -> Self {
        self.platform = platform.into();
        self
    }
}

impl Query for PullQuery {
    fn write(&self, to: &mut QueryString) {
        to.text("fromImage", &self.from_image);
        to.some_text("tag", &self.tag);
        to.some_text("platform", &self.platform);
    }
}

/// Which images are listed. By default those that have a name or are nobody's layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageListQuery {
    /// Those in between, too.
    pub all: bool,
    /// Whether their digests are told.
    pub digests: bool,
    /// Whether the size that images share is counted (from API 1.42 on).
    pub shared_size: bool,
    /// Whether the manifests of images for several platforms are told (from API 1.47 on).
    pub manifests: bool,
    /// Filters, as Docker has them: `reference` → `busybox*`, `label`, `dangling`, …
    pub filters: Filters,
}

impl Query for ImageListQuery {
    fn write(&self, to: &mut QueryString) {
        to.flag("all", self.all);
        to.flag("digests", self.digests);
        to.flag("shared-size", self.shared_size);
        to.flag("manifests", self.manifests);
        to.filters(&self.filters);
    }
}

/// What is told of an image. By default what holds for the Engine's own platform.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageInspectQuery {
    /// Whether the manifests of an image for several platforms are told (from API 1.48 on).
    pub manifests: bool,
    /// Another platform (from API 1.49 on), as the OCI's JSON: `{"os": "linux", "architecture": "arm64"}`.
    pub platform: Option<Value>,
}

impl Query for ImageInspectQuery {
    fn write(&self, to: &mut QueryString) {
        to.flag("manifests", self.manifests);
        to.option("platform", self.platform.as_ref());
    }
}

/// How an archive is loaded. By default all of it, with progress.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadQuery {
    /// Whether progress is left out.
    pub quiet: bool,
    /// The one platform to load (from API 1.48 on), as the OCI's JSON: `{"os": "linux", "architecture": "arm64"}`.
    pub platform: Option<Value>,
}

impl Query for LoadQuery {
    fn write(&self, to: &mut QueryString) {
        to.flag("quiet", self.quiet);
        to.option("platform", self.platform.as_ref());
    }
}

/// How an archive becomes an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportQuery {
    /// What it is called: `name`, or `name:tag`. Empty: it gets no name.
    pub repo: String,
    /// Its tag, where `repo` has none. podman 4.3 does not look at it.
    pub tag: String,
    /// What its history says.
    pub message: String,
    /// Dockerfile instructions that hold for it, such as `CMD ["sh"]`.
    pub changes: Vec<String>,
    /// Its platform, such as `linux/arm64`. Empty: the Engine's own.
    pub platform: String,
}

impl ImportQuery {
    /// An image without a name.
    pub fn new() -> Self {
        Self::default()
    }

    /// What it is called.
    #[must_use]
    pub fn repo(mut self, repo: impl Into<String>) -> Self {
        self.repo = repo.into();
        self
    }

    /// What its history says.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// One more Dockerfile instruction that holds for it.
    #[must_use]
    pub fn change(mut self, instruction: impl Into<String>) -> Self {
        self.changes.push(instruction.into());
        self
    }
}

impl Query for ImportQuery {
    fn write(&self, to: &mut QueryString) {
        to.text("fromSrc", "-");
        to.some_text("repo", &self.repo);
        to.some_text("tag", &self.tag);
        to.some_text("message", &self.message);
        for change in &self.changes {
            to.text("changes", change);
        }
        to.some_text("platform", &self.platform);
    }
}

/// How an image is removed. By default only where nothing uses it, with the untagged images below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageRemoveQuery {
    /// Whether it goes even where it has several names, or a stopped container is made of it.
    pub force: bool,
    /// Whether untagged images below it stay.
    pub no_prune: bool,
    /// The platforms to remove (from API 1.50 on), each as the OCI's JSON. Empty: all.
    pub platforms: Vec<Value>,
}

impl Query for ImageRemoveQuery {
    fn write(&self, to: &mut QueryString) {
        to.flag("force", self.force);
        to.flag("noprune", self.no_prune);
        for platform in &self.platforms {
            to.text("platforms", &platform.to_string());
        }
    }
}

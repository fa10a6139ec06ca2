//! The API's section "Images". Here is what concerns the images that an Engine holds, and the search for others; pull and
//! push are in `transfer`, load, import and save in `archives`. Where an image is named, it is by a reference
//! (`busybox:1.36`, `busybox@sha256:…`), an id, or a prefix of one.

mod archives;
mod transfer;

use serde_json::Value;

use super::bounds::Bound;
use super::call::Part::{Fixed, Image};
use super::query::{Filters, Query, QueryString};
use super::types::{ImageHistoryItem, ImageInspect, ImageRemoved, ImageSearchResult, ImageSummary, ImagesPruned};
use super::{Engine, Error};

pub use archives::{ImportQuery, LoadQuery, SaveQuery};
pub use transfer::{PullQuery, PushQuery};

impl Engine {
    /// The Engine's images (`GET /images/json`).
    ///
    /// ```no_run
    /// # use longshore::engine::{Engine, ImageListQuery};
    /// # let engine = Engine::from_env()?;
    /// for image in engine.image_list(&ImageListQuery::new().filter("reference", "busybox"))? {
    ///     println!("{} {:?} {} bytes", image.id, image.repo_tags, image.size);
    /// }
    /// # Ok::<(), longshore::engine::Error>(())
    /// ```
    ///
    /// # Errors
    /// 400 (podman: 500) for a filter that the Engine does not know.
    pub fn image_list(&self, query: &ImageListQuery) -> Result<Vec<ImageSummary>, Error> {
        let request = self.get("image_list", &[Fixed("images"), Fixed("json")]).query(query);
        let mut list = request.bound(Bound::LIST).send()?.list::<ImageSummary>()?;
        list.retain(|image| !image.id.is_empty());
        Ok(list)
    }

    /// All that the Engine knows of an image (`GET /images/{name}/json`).
    ///
    /// ```no_run
    /// # use longshore::engine::Engine;
    /// # let engine = Engine::from_env()?;
    /// match engine.image_inspect("busybox:1.36") {
    ///     Ok(image) => println!("{} of {}", image.id, image.created),
    ///     Err(e) if e.is_not_found() => println!("it is not here"),
    ///     Err(e) => return Err(e),
    /// }
    /// # Ok::<(), longshore::engine::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::is_not_found`]; [`Error::Decode`] for an answer without an id.
    pub fn image_inspect(&self, name: &str) -> Result<ImageInspect, Error> {
        self.image_inspect_with(name, &ImageInspectQuery::default())
    }

    /// As [`image_inspect`](Self::image_inspect), of one platform's image.
    ///
    /// # Errors
    /// [`Error::is_not_found`]; [`Error::Decode`] for an answer without an id.
    pub fn image_inspect_with(&self, name: &str, query: &ImageInspectQuery) -> Result<ImageInspect, Error> {
        let request = self.get("image_inspect", &[Fixed("images"), Image(name), Fixed("json")]);
        request.query(query).bound(Bound::THING).send()?.identified(|inspect: &ImageInspect| &inspect.id)
    }

    /// How an image came about, the newest step first (`GET /images/{name}/history`).
    ///
    /// ```no_run
    /// # use longshore::engine::Engine;
    /// # let engine = Engine::from_env()?;
    /// for step in engine.image_history("busybox:1.36")? {
    ///     println!("{:>10} bytes  {}", step.size, step.created_by);
    /// }
    /// # Ok::<(), longshore::engine::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::is_not_found`].
    pub fn image_history(&self, name: &str) -> Result<Vec<ImageHistoryItem>, Error> {
        let request = self.get("image_history", &[Fixed("images"), Image(name), Fixed("history")]);
        request.bound(Bound::LIST).send()?.list::<ImageHistoryItem>()
    }

    /// Gives an image one more name, `repo:tag` (`POST /images/{name}/tag`); takes it from whichever image had it before.
    /// An empty `tag` is `latest`.
    ///
    /// ```no_run
    /// # use longshore::engine::Engine;
    /// # let engine = Engine::from_env()?;
    /// engine.image_tag("busybox:1.36", "registry.example:5000/busybox", "mine")?;
    /// # Ok::<(), longshore::engine::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::is_not_found`]; 400 or 500 for a name that is none.
    pub fn image_tag(&self, name: &str, repo: &str, tag: &str) -> Result<(), Error> {
        let request = self.post("image_tag", &[Fixed("images"), Image(name), Fixed("tag")]);
        let request = request.query(&Name { repo, tag }).refuse(repo.is_empty(), "the image's new name is empty");
        request.send()?.done()
    }

    /// Removes an image, or a name of one (`DELETE /images/{name}`). Gives what was untagged and deleted.
    ///
    /// ```no_run
    /// # use longshore::engine::{Engine, ImageRemoveQuery};
    /// # let engine = Engine::from_env()?;
    /// engine.image_remove("busybox:1.36", &ImageRemoveQuery::default())?;
    /// # Ok::<(), longshore::engine::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::is_not_found`]; [`Error::is_conflict`] while a container uses it.
    pub fn image_remove(&self, name: &str, query: &ImageRemoveQuery) -> Result<Vec<ImageRemoved>, Error> {
        let request = self.delete("image_remove", &[Fixed("images"), Image(name)]).query(query);
        request.bound(Bound::LIST).send()?.list::<ImageRemoved>()
    }

    /// Removes images that no container uses (`POST /images/prune`): those without a name, or as `query` says. Gives what
    /// was untagged and deleted, and how many bytes that freed. It has an ordinary call's deadline, and may need more:
    /// [`Engine::within`].
    ///
    /// ```no_run
    /// # use longshore::engine::{Engine, ImagePruneQuery};
    /// # let engine = Engine::from_env()?;
    /// let pruned = engine.image_prune(&ImagePruneQuery::new().filter("until", "24h"))?;
    /// println!("{} bytes freed", pruned.space_reclaimed);
    /// # Ok::<(), longshore::engine::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::is_conflict`] while another prune runs; 400 (podman: 500) for a filter that the Engine does not know.
    pub fn image_prune(&self, query: &ImagePruneQuery) -> Result<ImagesPruned, Error> {
        let request = self.post("image_prune", &[Fixed("images"), Fixed("prune")]).query(query);
        request.bound(Bound::LIST).send()?.json()
    }

    /// Searches for images by name (`GET /images/search`): Docker Hub, or the registry that `term` begins with.
    ///
    /// ```no_run
    /// # use longshore::engine::{Engine, ImageSearchQuery};
    /// # let engine = Engine::from_env()?;
    /// for found in engine.image_search("busybox", &ImageSearchQuery::new().filter("is-official", "true"))? {
    ///     println!("{}: {}", found.name, found.description);
    /// }
    /// # Ok::<(), longshore::engine::Error>(())
    /// ```
    ///
    /// # Errors
    /// 500 where the registry does not answer (podman: [`Error::is_not_found`]).
    pub fn image_search(&self, term: &str, query: &ImageSearchQuery) -> Result<Vec<ImageSearchResult>, Error> {
        let request = self.get("image_search", &[Fixed("images"), Fixed("search")]).query(&Term(term)).query(query);
        let request = request.refuse(term.is_empty(), "there is nothing to search for");
        request.bound(Bound::LIST).send()?.list::<ImageSearchResult>()
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

impl ImageListQuery {
    /// Those that have a name or are nobody's layer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only those that a filter lets through.
    #[must_use]
    pub fn filter(mut self, name: &str, value: impl Into<String>) -> Self {
        self.filters.entry(name.into()).or_default().push(value.into());
        self
    }
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

/// A name for an image.
struct Name<'a> {
    repo: &'a str,
    tag: &'a str,
}

impl Query for Name<'_> {
    fn write(&self, to: &mut QueryString) {
        to.text("repo", self.repo);
        to.some_text("tag", self.tag);
    }
}

/// Which images are pruned. By default those that have no name and that nothing uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImagePruneQuery {
    /// Filters, as Docker has them: `dangling` → `false` (all that nothing uses), `until` → `24h`, `label`, `label!`.
    pub filters: Filters,
}

impl ImagePruneQuery {
    /// Those without a name.
    pub fn new() -> Self {
        Self::default()
    }

    /// Those that have a name, too.
    #[must_use]
    pub fn all(self) -> Self {
        self.filter("dangling", "false")
    }

    /// Only those that a filter lets through.
    #[must_use]
    pub fn filter(mut self, name: &str, value: impl Into<String>) -> Self {
        self.filters.entry(name.into()).or_default().push(value.into());
        self
    }
}

impl Query for ImagePruneQuery {
    fn write(&self, to: &mut QueryString) {
        to.filters(&self.filters);
    }
}

/// Which images a search finds. By default the first 25.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageSearchQuery {
    /// How many at most: 1 to 100. `None`: 25.
    pub limit: Option<u32>,
    /// Filters, as Docker has them: `is-official` → `true`, `stars` → `3`.
    pub filters: Filters,
}

impl ImageSearchQuery {
    /// The first 25.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many at most: 1 to 100.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Only those that a filter lets through.
    #[must_use]
    pub fn filter(mut self, name: &str, value: impl Into<String>) -> Self {
        self.filters.entry(name.into()).or_default().push(value.into());
        self
    }
}

impl Query for ImageSearchQuery {
    fn write(&self, to: &mut QueryString) {
        to.option("limit", self.limit);
        to.filters(&self.filters);
    }
}

/// What is searched for.
struct Term<'a>(&'a str);

impl Query for Term<'_> {
    fn write(&self, to: &mut QueryString) {
        to.text("term", self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(query: &impl Query) -> String {
        let mut text = QueryString::default();
        query.write(&mut text);
        text.as_str().into()
    }

    #[test]
    fn queries() {
        let digest = "sha256:9f5a";
        let arm = serde_json::json!({"os": "linux"});
        for (query, want) in [
            (text(&PullQuery::new("a:5000/b", "1")), "fromImage=a%3A5000%2Fb&tag=1"),
            (text(&PullQuery::new("b", digest)), "fromImage=b&tag=sha256%3A9f5a"),
            (text(&PullQuery::new("b:1", "").platform("linux/arm64")), "fromImage=b%3A1&platform=linux%2Farm64"),
            (text(&PushQuery::default()), ""),
            (text(&LoadQuery::default()), "quiet=0"),
            (text(&LoadQuery { quiet: true, platform: None }), "quiet=1"),
            (
                text(&PushQuery { platform: Some(arm.clone()), ..PushQuery::new("1") }),
                "tag=1&platform=%7B%22os%22%3A%22linux%22%7D",
            ),
            (text(&SaveQuery { platform: Some(arm) }), "platform=%7B%22os%22%3A%22linux%22%7D"),
            (text(&Name { repo: "h:1/a", tag: "" }), "repo=h%3A1%2Fa"),
            (text(&ImagePruneQuery::new()), ""),
            (text(&ImagePruneQuery::new().all()), "filters=%7B%22dangling%22%3A%5B%22false%22%5D%7D"),
            (text(&ImageSearchQuery::new().limit(5)), "limit=5"),
            (text(&ImageListQuery::new().filter("label", "a")), "filters=%7B%22label%22%3A%5B%22a%22%5D%7D"),
            (
                text(&ImageRemoveQuery { force: true, no_prune: true, ..ImageRemoveQuery::default() }),
                "force=1&noprune=1",
            ),
        ] {
            assert_eq!(query, want);
        }
    }
}

//! Pull and push: what moves between an Engine and a registry.

use serde_json::Value;

use crate::engine::call::Part::{Fixed, Image};
use crate::engine::query::{Query, QueryString};
use crate::engine::types::AuthConfig;
use crate::engine::{Engine, Error, ProgressStream};
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

    /// Pushes an image to the registry that its name begins with (`POST /images/{name}/push`), on a connection of its own
    /// that `hangup` ends, however long it takes. `name` has no tag: that is in `query`. As for a pull, it goes on while its
    /// messages are read, and what fails after the answer's head, nearly all, is told in them. `X-Registry-Auth` is sent
    /// always, for Engines want one: without `auth` it says that there are no credentials.
    ///
    /// ```no_run
    /// # use longshore::{Hangup, engine::{Engine, PushQuery}};
    /// # let engine = Engine::from_env()?;
    /// engine.image_tag("web:dev", "registry.example:5000/web", "1.2")?;
    /// let query = PushQuery::new("1.2");
    /// for message in engine.image_push("registry.example:5000/web", &query, None, &Hangup::new())? {
    ///     println!("{}", message?.status);
    /// }
    /// # Ok::<(), longshore::engine::Error>(())
    /// ```
    ///
    /// # Errors
    /// podman: [`Error::is_not_found`] for an image that is not there, from 5 on 401 or 500 where the registry refuses.
    /// Docker says all of that in the messages. See [`ProgressStream::next_message`].
    pub fn image_push(
        &self,
        name: &str,
        query: &PushQuery,
        auth: Option<&AuthConfig>,
        hangup: &Hangup,
    ) -> Result<ProgressStream, Error> {
        let nobody = AuthConfig::default();
        let request = self.post("image_push", &[Fixed("images"), Image(name), Fixed("push")]).query(query);
        let request = request.registry_auth(auth.unwrap_or(&nobody))?;
        Ok(ProgressStream::new(request.stream(Buffers::CALL, hangup)?))
    }
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

/// What is pushed. By default all tags of the name, for all platforms that are there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PushQuery {
    /// The tag. Empty: all that the image's name has here.
    pub tag: String,
    /// The one platform to push (from API 1.46 on), as the OCI's JSON: `{"os": "linux", "architecture": "arm64"}`.
    pub platform: Option<Value>,
}

impl PushQuery {
    /// One tag.
    pub fn new(tag: impl Into<String>) -> Self {
        Self { tag: tag.into(), platform: None }
    }
}

impl Query for PushQuery {
    fn write(&self, to: &mut QueryString) {
        to.some_text("tag", &self.tag);
        to.option("platform", self.platform.as_ref());
    }
}

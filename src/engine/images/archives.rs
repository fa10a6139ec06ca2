//! Load, import and save: images as archives (tar) that go to an Engine, or come from it.

use std::fmt;
use std::io::{Read, Write};

use serde_json::Value;

use crate::engine::call::Part::{Fixed, Image};
use crate::engine::query::{Query, QueryString};
use crate::engine::types::{Progress, error_message};
use crate::engine::{Engine, Error, ProgressStream};
use crate::http::Buffers;
use crate::threads::Hangup;

/// Read at a time, of an archive that an Engine sends, in bytes.
const CHUNK: usize = 64 * 1024;

impl Engine {
    /// Loads the images of an archive that `docker save` made (`POST /images/load`). Gives what the Engine says of it,
    /// such as `Loaded image: a:b`, after all of it has been read.
    ///
    /// ```no_run
    /// # use longshore::{Hangup, engine::{Engine, LoadQuery}};
    /// # let engine = Engine::from_env()?;
    /// let archive = std::fs::File::open("images.tar")?;
    /// for line in engine.image_load(archive, &LoadQuery::default(), &Hangup::new())? {
    ///     println!("{line}");
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Source`] where `archive` cannot be read; [`Error::Stream`] (podman: 500) where it is no such archive.
    pub fn image_load(&self, archive: impl Read, query: &LoadQuery, hangup: &Hangup) -> Result<Vec<String>, Error> {
        let mut said = Vec::new();
        for message in self.image_load_messages(archive, query, hangup)? {
            said.extend(line(&message?));
        }
        Ok(said)
    }

    /// As [`image_load`](Self::image_load), message by message: how far each layer is, unless `query.quiet` is set.
    /// Returns when all of `archive` has been sent; it is loaded when the messages end.
    ///
    /// # Errors
    /// [`Error::Source`] where `archive` cannot be read; podman: 500. See [`ProgressStream::next_message`].
    pub fn image_load_messages(
        &self,
        mut archive: impl Read,
        query: &LoadQuery,
        hangup: &Hangup,
    ) -> Result<ProgressStream, Error> {
        let request = self.post("image_load", &[Fixed("images"), Fixed("load")]).query(query);
        Ok(ProgressStream::new(request.upload(&mut archive, hangup)?))
    }

    /// Makes an image of one archive of a root file system (`POST /images/create?fromSrc=-`). Gives the image's id.
    ///
    /// ```no_run
    /// # use longshore::{Hangup, engine::{Engine, ImportQuery}};
    /// # let engine = Engine::from_env()?;
    /// let archive = std::fs::File::open("rootfs.tar")?;
    /// let query = ImportQuery::new().repo("base:1").change(r#"CMD ["sh"]"#);
    /// println!("{}", engine.image_import(archive, &query, &Hangup::new())?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Source`] where `archive` cannot be read; [`Error::Stream`] or 500 where it is no archive;
    /// [`Error::Decode`] where the Engine tells no id.
    pub fn image_import(&self, mut archive: impl Read, query: &ImportQuery, hangup: &Hangup) -> Result<String, Error> {
        let request = self.post("image_import", &[Fixed("images"), Fixed("create")]).query(query);
        let mut messages = ProgressStream::new(request.upload(&mut archive, hangup)?);
        let mut imported = None;
        while let Some(message) = messages.next_message()? {
            imported = image_id(&message).map(Into::into).or(imported);
        }
        imported.ok_or_else(|| messages.without("status"))
    }

    /// Writes images to `to` as one archive, which [`image_load`](Self::image_load) takes: `GET /images/{name}/get`, or
    /// `GET /images/get?names=` for several. A name without a tag stands for all its tags; an id, for an image without a
    /// name. Gives the archive's length in bytes, once all of it is written and flushed; holds 64 KiB of it at a time.
    /// `hangup` ends it, but not while `to` blocks; there is no deadline.
    ///
    /// ```no_run
    /// # use longshore::{Hangup, engine::{Engine, SaveQuery}};
    /// # let engine = Engine::from_env()?;
    /// let mut file = std::fs::File::create("images.tar")?;
    /// engine.image_save(&["web:1.2", "busybox:1.36"], &SaveQuery::default(), &mut file, &Hangup::new())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::is_not_found`] (podman, of several: 500); [`Error::Write`] where `to` cannot be written to;
    /// [`Error::Stream`] where the Engine fails in the midst, and [`Error::Protocol`] where the archive has no end. What was
    /// written before an error is no archive.
    pub fn image_save(
        &self,
        names: &[impl AsRef<str>],
        query: &SaveQuery,
        to: &mut dyn Write,
        hangup: &Hangup,
    ) -> Result<u64, Error> {
        let request = match names {
            [name] => self.get("image_save", &[Fixed("images"), Image(name.as_ref()), Fixed("get")]),
            _ => self.get("image_save", &[Fixed("images"), Fixed("get")]).query(&Names(names)),
        };
        let nameless = names.is_empty() || names.iter().any(|name| name.as_ref().is_empty());
        let request = request.query(query).refuse(nameless, "an image has no name");
        let mut answer = request.stream(Buffers::LOGS, hangup)?;
        let call = answer.call().clone();
        let unwritten = |source| Error::Write { call: Box::new(call.clone()), source };
        let (mut chunk, mut length, mut tail) = (vec![0; CHUNK], 0, Tail::default());
        loop {
            match answer.read(&mut chunk)? {
                0 => break,
                read => {
                    to.write_all(&chunk[..read]).map_err(unwritten)?;
                    tail.pass(&chunk[..read]);
                    length += read as u64;
                }
            }
        }
        tail.check().map_err(|bad| match bad {
            BadArchive::Failed(message) => Error::Stream { call: Box::new(call.clone()), message },
            bad => Error::Protocol { call: Box::new(call.clone()), source: Box::new(bad) },
        })?;
        to.flush().map_err(unwritten)?;
        Ok(length)
    }
}

fn line(message: &Progress) -> Option<String> {
    Some(message.stream.trim()).filter(|text| !text.is_empty()).map(Into::into)
}

/// The image's id (`sha256:…`), in a message whose whole status it is.
fn image_id(message: &Progress) -> Option<&str> {
    let text = message.status.trim();
    let (algorithm, digits) = text.split_once(':').unwrap_or(("", text));
    let is_id = algorithm.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && digits.len() >= 32
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then_some(text)
}

/// The end of an archive that passes by. An Engine that fails in the midst of one writes its error after the bytes that it
/// has sent, and ends its answer as if all were well.
#[derive(Default)]
struct Tail(Vec<u8>);

/// Why the bytes of an archive are none.
#[derive(Debug, PartialEq, Eq)]
enum BadArchive {
    /// The Engine says why.
    Failed(String),
    Endless,
}

impl Tail {
    /// Kept of the archive, in bytes: as much as an Engine's error may be long.
    const KEPT: usize = 8 * 1024;
    /// An archive ends with two blocks of zeros.
    const END: [u8; 1024] = [0; 1024];

    fn pass(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(Self::KEPT)..];
        self.0.drain(..(self.0.len() + bytes.len()).saturating_sub(Self::KEPT));
        self.0.extend_from_slice(bytes);
    }

    fn check(&self) -> Result<(), BadArchive> {
        if self.0.ends_with(&Self::END) {
            return Ok(());
        }
        let starts = memchr::memmem::find_iter(&self.0, "{\"").map(|at| &self.0[at..]);
        Err(starts.filter_map(failure).next().map_or(BadArchive::Endless, BadArchive::Failed))
    }
}

/// What an Engine's error says, if that is all that `text` is.
fn failure(text: &[u8]) -> Option<String> {
    let Value::Object(told) = serde_json::from_slice(text).ok()? else { return None };
    let says_so = ["errorDetail", "error", "message"].iter().any(|name| told.contains_key(*name));
    says_so.then(|| error_message(text, None))
}

impl fmt::Display for BadArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(message) => f.write_str(message),
            Self::Endless => f.write_str("the archive has no end"),
        }
    }
}

impl std::error::Error for BadArchive {}

/// The names of several images.
struct Names<'a, T>(&'a [T]);

impl<T: AsRef<str>> Query for Names<'_, T> {
    fn write(&self, to: &mut QueryString) {
        for name in self.0 {
            to.text("names", name.as_ref());
        }
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
        // Said either way: Docker is quiet where nothing is said.
        to.text("quiet", if self.quiet { "1" } else { "0" });
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

/// What is saved of an image. By default all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SaveQuery {
    /// The one platform to save (from API 1.48 on), as the OCI's JSON: `{"os": "linux", "architecture": "arm64"}`.
    pub platform: Option<Value>,
}

impl Query for SaveQuery {
    fn write(&self, to: &mut QueryString) {
        to.option("platform", self.platform.as_ref());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_told_in_one_message() {
        let id = "e76d336a9338bee4ee87f3331f2dd9bb82e58904c10757ab96badcab155a0343";
        for (status, want) in [
            (format!("sha256:{id}"), true),
            (format!("sha256:{id}\r\n"), true),
            (id.to_owned(), true),
            (format!("sha512:{id}{id}"), true),
            ("Importing".into(), false),
            ("sha256:".into(), false),
            (format!("Loaded sha256:{id}"), false),
            (String::new(), false),
        ] {
            let message = Progress { status: status.clone(), ..Progress::default() };
            assert_eq!(image_id(&message), want.then(|| status.trim()), "{status}");
        }
    }

    #[test]
    fn an_archive_has_an_end() {
        let end = [0; 1024];
        let docker = br#"{"errorDetail":{"message":"no space left"},"error":"no space left"}"#;
        let failed = || Err(BadArchive::Failed("no space left".into()));
        for (row, pieces, want) in [
            ("an end", vec![&b"files"[..], &end], Ok(())),
            ("an end in two", vec![b"files", &end[..1000], &end[1000..]], Ok(())),
            ("an end of many blocks", vec![b"files", &[0; 10240]], Ok(())),
            ("an end far behind", vec![&[b'x'; 100_000], &end], Ok(())),
            ("nothing", vec![], Err(BadArchive::Endless)),
            ("one block", vec![b"files", &end[..512]], Err(BadArchive::Endless)),
            ("a file that looks like an error", vec![b"{\"a\":1}", b"{\"error\":1}", &end], Ok(())),
            ("a file's JSON", vec![b"{\"config\":{\"a\":1}}"], Err(BadArchive::Endless)),
            ("docker, in a file", vec![&[b'x'; 700], docker, b"\r\n"], failed()),
            ("docker, after the end", vec![b"files", &end, docker, b"\r\n"], failed()),
            ("docker, far behind", vec![&[b'{'; 100_000], b"\"", docker], failed()),
            ("podman", vec![b"files", br#"{"cause":"x","message":"no space left","response":500}"#, b"\n"], failed()),
            ("an error in two", vec![b"files", &docker[..20], &docker[20..]], failed()),
        ] {
            let mut tail = Tail::default();
            pieces.into_iter().for_each(|piece| tail.pass(piece));
            assert_eq!(tail.check(), want, "{row}");
            assert!(tail.0.len() <= Tail::KEPT, "{row}");
        }
    }
}

//! An image registry of a test's own: Debian's `docker-registry` on a free port of loopback, in a folder that goes with it.
//!
//! Docker speaks plain HTTP to registries in 127.0.0.0/8, or TLS without a look at the certificate. One that it is to trust
//! has to be elsewhere: see [`Options::tls`].
//!
//! The process is the child of a thread, and the kernel ends it with that thread (`setpriv --pdeathsig`), even where the
//! test was killed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use longshore::engine::{Engine, ImageListQuery, ImageRemoveQuery};

use super::dockerd::Dockerd;
use super::image::{ImageSpec, Storage, StoredImage};
use super::network::Network;
use super::{eventually, unique};

/// Who may pull where a password is asked for.
pub(crate) const USER: &str = "ann";
/// With it, base64 of the credentials' JSON has a `+` and a `/`, wherever it stands in there.
pub(crate) const PASSWORD: &str = "s3cret>>>???";
/// Both, as `htpasswd -nbB -C 4` writes them.
const HTPASSWD: &str = "ann:$2y$04$b8kz45nGR95WA1KQrMtDnObg..B.ckBbETsI8rNIhCbLby9M8w8M6\n";

/// What a client has to trust for [`Options::tls`], for the variable `SSL_CERT_FILE` of a private dockerd.
pub(crate) const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/registry/cert.pem");
const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/registry/key.pem");

/// Where a registry in a private dockerd's network may be, for Docker to ask for TLS that it trusts.
pub(crate) const OUTSIDE: &str = "192.0.2.1:5000";

const DEADLINE: Duration = Duration::from_secs(60);

/// What kind of registry. By default one that everybody may pull from, over plain HTTP.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options {
    /// Only [`USER`] may, with [`PASSWORD`].
    pub(crate) password: bool,
    /// Over TLS, with a certificate of its own for 127.0.0.1, localhost and [`OUTSIDE`].
    pub(crate) tls: bool,
    /// An address of its own, `IP:PORT`. Only sure to be free in a private dockerd's network.
    pub(crate) address: Option<&'static str>,
}

/// A registry. Dropping it ends it and removes all that it left.
pub(crate) struct Registry {
    dir: PathBuf,
    storage: Storage,
    host: String,
    /// Closing it ends the process.
    hangup: Option<Sender<()>>,
    keeper: Option<JoinHandle<()>>,
}

impl Registry {
    /// Starts one for the machine's Engine, and returns when it takes connections. Where `LONGSHORE_TEST_REGISTRY` says
    /// `localhost:PORT` it is there and called so, for podman, which speaks plain HTTP only with those that it was told of.
    pub(crate) fn start(options: Options) -> Self {
        let Ok(name) = std::env::var("LONGSHORE_TEST_REGISTRY") else { return Self::start_at(options, None) };
        let address: &'static str = name.replace("localhost", "127.0.0.1").leak();
        let mut registry = Self::start_at(Options { address: Some(address), ..options }, None);
        registry.host = name;
        registry
    }

    /// Starts one in the network of a private dockerd.
    pub(crate) fn start_in(dockerd: &Dockerd, options: Options) -> Self {
        Self::start_at(options, Some(dockerd.network()))
    }

    fn start_at(options: Options, network: Option<Network>) -> Self {
        let dir = loop {
            let dir = std::env::temp_dir().join(unique("longshore-registry"));
            match fs::create_dir(&dir) {
                Ok(()) => break dir,
                // Left by a test program that was killed, and had our process id.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => panic!("create {}: {e}", dir.display()),
            }
        };
        let storage = Storage::new(dir.join("storage"));
        let (hangup, hung_up) = channel();
        // From here on Drop cleans up, also when a step below panics.
        let mut registry = Self { dir, storage, host: String::new(), hangup: Some(hangup), keeper: None };
        write(&registry.dir.join("htpasswd"), HTPASSWD);
        write(&registry.dir.join("config.yml"), &registry.config(options));

        let (started, start) = channel();
        let dir = registry.dir.clone();
        let keeper = thread::Builder::new().name("registry".into());
        let keeper = keeper.spawn(move || keep(&dir, network, &started, &hung_up)).expect("start a thread");
        registry.keeper = Some(keeper);
        start.recv().expect("the thread answers").unwrap_or_else(|e| panic!("start docker-registry: {e}"));
        eventually(DEADLINE, "docker-registry takes connections", || {
            let log = registry.log();
            assert!(!log.contains(r#""level":"fatal""#), "docker-registry has ended:\n{log}");
            registry.host = log.split_once("listening on ").map(|(_, rest)| address(rest)).unwrap_or_default();
            !registry.host.is_empty()
        });
        registry
    }

    fn config(&self, options: Options) -> String {
        let dir = self.dir.display();
        // JSON, for the address that it got to be found. Port 0 is one that is free.
        let mut config = format!(
            "version: 0.1\nlog: {{formatter: json}}\n\
             storage: {{filesystem: {{rootdirectory: {dir}/storage}}, delete: {{enabled: true}}}}\n\
             http:\n  addr: {}\n  secret: tests\n  relativeurls: true\n",
            options.address.unwrap_or("127.0.0.1:0"),
        );
        if options.tls {
            config += &format!("  tls: {{certificate: {CERTIFICATE}, key: {KEY}}}\n");
        }
        if options.password {
            config += &format!("auth: {{htpasswd: {{realm: tests, path: {dir}/htpasswd}}}}\n");
        }
        config
    }

    /// `IP:PORT`, as a reference begins.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Makes an image, named `HOST/repo:tag`.
    pub(crate) fn put_image(&self, repo: &str, tag: &str, spec: ImageSpec<'_>) -> StoredImage {
        self.storage.put_image(repo, tag, spec)
    }

    /// Lets a tag name another image of its repository, or a new tag name an image.
    pub(crate) fn move_tag(&self, repo: &str, tag: &str, image: &StoredImage) {
        self.storage.move_tag(repo, tag, image);
    }

    pub(crate) fn delete_tag(&self, repo: &str, tag: &str) {
        self.storage.delete_tag(repo, tag);
    }

    /// Loses a layer, a config or a manifest, which images still refer to.
    pub(crate) fn delete_blob(&self, digest: &str) {
        self.storage.delete_blob(digest);
    }

    /// What it was asked so far, in the order in which it answered.
    ///
    /// It writes a request down after the last byte went out, so a client may have its blob a moment earlier: this waits
    /// until nothing more is written for 50 ms.
    pub(crate) fn requests(&self) -> Vec<Request> {
        let read = || fs::read_to_string(self.dir.join("access.log")).expect("read the access log");
        let mut log = read();
        loop {
            thread::sleep(Duration::from_millis(50));
            let now = read();
            if now == log {
                break;
            }
            log = now;
        }
        log.lines().map(|line| Request::parse(line).unwrap_or_else(|| panic!("no line of a log: {line:?}"))).collect()
    }

    /// How often it was asked, with success, what `repo:tag` is (or `repo@digest`): once a pull. Docker asks for the tag with
    /// HEAD and goes on with the digest, podman asks with GET.
    pub(crate) fn manifests_served(&self, repo: &str, reference: &str) -> usize {
        let path = format!("/v2/{repo}/manifests/{reference}");
        self.requests().iter().filter(|request| request.status == 200 && request.path == path).count()
    }

    /// How many downloads of layers and configs of `repo` were begun. One that was cut and taken up again counts twice.
    pub(crate) fn blobs_served(&self, repo: &str) -> usize {
        let path = format!("/v2/{repo}/blobs/");
        let is_one =
            |request: &&Request| request.method == "GET" && request.status < 300 && request.path.starts_with(&path);
        self.requests().iter().filter(is_one).count()
    }

    /// What it says of itself.
    fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.join("log")).unwrap_or_default()).into_owned()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.hangup = None;
        if self.keeper.take().is_some_and(|keeper| keeper.join().is_err()) {
            eprintln!("the thread of the registry panicked");
        }
        if thread::panicking() {
            let access = fs::read(self.dir.join("access.log")).unwrap_or_default();
            eprintln!("the registry was asked:\n{}", String::from_utf8_lossy(&access));
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Starts the process, says so, and ends it when nobody wants it any more.
fn keep(dir: &Path, network: Option<Network>, started: &Sender<io::Result<()>>, hung_up: &Receiver<()>) {
    let start = || -> io::Result<Child> {
        if let Some(network) = network {
            network.enter()?;
        }
        Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "docker-registry", "serve"])
            .arg(dir.join("config.yml"))
            .stdin(Stdio::null())
            .stdout(File::create(dir.join("access.log"))?)
            .stderr(File::create(dir.join("log"))?)
            .spawn()
    };
    match start() {
        Ok(mut child) => {
            let _ = started.send(Ok(()));
            let _ = hung_up.recv();
            let _ = child.kill();
            let _ = child.wait();
        }
        Err(e) => _ = started.send(Err(e)),
    }
}

/// What the log says after "listening on": `127.0.0.1:41669"` or `127.0.0.1:41669, tls"`, or less while it is being written.
fn address(rest: &str) -> String {
    rest.find(['"', ',']).map(|end| rest[..end].to_owned()).unwrap_or_default()
}

fn write(file: &Path, content: &str) {
    fs::write(file, content).unwrap_or_else(|e| panic!("write {}: {e}", file.display()));
}

/// A line of the registry's access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// `/v2/app/manifests/1`, with a query where there was one.
    pub(crate) path: String,
    /// 401: credentials were missing or wrong.
    pub(crate) status: u16,
    /// Of the answer's body.
    pub(crate) bytes: u64,
    /// `docker/20.10.24 go/…`.
    pub(crate) agent: String,
}

impl Request {
    /// `127.0.0.1 - - [01/Dec/2026:10:33:18 +0000] "GET /v2/ HTTP/1.1" 200 2 "" "curl/7.88.1"`
    fn parse(line: &str) -> Option<Self> {
        let mut parts = line.split('"').skip(1);
        let (mut request, mut answer) = (parts.next()?.split(' '), parts.next()?.trim().split(' '));
        Some(Self {
            method: request.next()?.to_owned(),
            path: request.next()?.to_owned(),
            status: answer.next()?.parse().ok()?,
            bytes: answer.next()?.parse().ok()?,
            agent: parts.nth(2)?.to_owned(),
        })
    }
}

/// Removes from an Engine, when it is dropped, every image whose name begins with `HOST/`.
pub(crate) struct Sweep {
    engine: Engine,
    prefix: String,
}

impl Sweep {
    pub(crate) fn new(engine: &Engine, host: &str) -> Self {
        Self { engine: engine.clone(), prefix: format!("{host}/") }
    }
}

impl Drop for Sweep {
    fn drop(&mut self) {
        // Not with `digests`: Docker tells them anyhow, and podman 5.8 would answer with nothing.
        let images = match self.engine.image_list(&ImageListQuery::default()) {
            Ok(images) => images,
            Err(e) => return eprintln!("images of {} may be left: {e}", self.prefix),
        };
        for image in images {
            // The last tag takes the digests along.
            for name in image.repo_tags.iter().chain(&image.repo_digests).filter(|name| name.starts_with(&self.prefix))
            {
                let force = ImageRemoveQuery { force: true, ..ImageRemoveQuery::default() };
                match self.engine.image_remove(name, &force) {
                    Err(e) if !e.is_not_found() => eprintln!("{name} is left: {e}"),
                    _ => {}
                }
            }
        }
    }
}

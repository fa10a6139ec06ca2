//! Images for a registry, made as files in its storage folder.
//!
//! Written there rather than pushed: a registry that asks for a password, speaks TLS or lives in another network is filled
//! like any other, and its access log holds nothing but what the Engine under test asked. The layout is the one that the
//! registry documents in its `registry/storage/paths.go`; it is the same in versions 2 and 3.
//!
//! Layers are plain tars, so that a layer's digest is also its "diff id", and random, so that their size is what travels.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::unique;

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// What is in an image beside the busybox of the test image, which is a layer of 2 MB. No two images are the same or have a
/// layer in common, even of equal specs: no other test has this one's id.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ImageSpec<'a> {
    /// What a container finds in the file `/marker`.
    pub(crate) marker: &'a str,
    /// For each a layer of so many random bytes more, in the file `/random0` and so on.
    pub(crate) layers: &'a [usize],
}

/// An image in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredImage {
    /// What `NAME@sha256:…` names.
    pub(crate) manifest_digest: String,
    /// The image's id in an Engine's classic store.
    pub(crate) config_digest: String,
    /// The digests of its layers, lowest first: busybox with the marker, then the random ones.
    pub(crate) layers: Vec<String>,
}

/// The folder that a registry serves.
pub(crate) struct Storage {
    root: PathBuf,
}

impl Storage {
    pub(crate) fn new(root: PathBuf) -> Self {
        fs::create_dir_all(root.join("incoming")).unwrap_or_else(|e| panic!("create {}: {e}", root.display()));
        Self { root }
    }

    /// Makes an image and gives it a name.
    pub(crate) fn put_image(&self, repo: &str, tag: &str, spec: ImageSpec<'_>) -> StoredImage {
        // An Engine that has a layer does not fetch it, and pulls of one layer share one download: no layer is like another.
        let mut base = tar_entry("marker", spec.marker.as_bytes());
        base.extend(tar_entry("unique", &random(16)));
        base.extend_from_slice(rootfs());
        let mut layers = vec![base];
        for (n, size) in spec.layers.iter().enumerate() {
            let mut layer = tar_entry(&format!("random{n}"), &random(*size));
            layer.resize(layer.len() + 1024, 0); // the end of a tar
            layers.push(layer);
        }
        let layers: Vec<Blob> = layers.iter().map(|layer| self.put_blob(repo, layer)).collect();

        let digests: Vec<String> = layers.iter().map(|layer| layer.digest.clone()).collect();
        let made = "2024-01-01T00:00:00Z";
        let config = json!({
            "architecture": match std::env::consts::ARCH { "x86_64" => "amd64", "aarch64" => "arm64", other => other },
            "os": "linux",
            "created": made,
            "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": digests},
            "history": layers.iter().map(|_| json!({"created": made, "created_by": "tests"})).collect::<Vec<_>>(),
        });
        let config = self.put_blob(repo, config.to_string().as_bytes());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config.described(CONFIG),
            "layers": layers.iter().map(|layer| layer.described(LAYER)).collect::<Vec<_>>(),
        });
        let manifest = self.put_file(manifest.to_string().as_bytes());
        self.link(&self.repository(repo).join("_manifests/revisions").join(hashed(&manifest.digest)), &manifest.digest);

        let image = StoredImage { manifest_digest: manifest.digest, config_digest: config.digest, layers: digests };
        self.move_tag(repo, tag, &image);
        image
    }

    /// Lets a tag name another image of its repository, or a new tag name an image.
    pub(crate) fn move_tag(&self, repo: &str, tag: &str, image: &StoredImage) {
        let tag = self.tag(repo, tag);
        self.link(&tag.join("index").join(hashed(&image.manifest_digest)), &image.manifest_digest);
        self.link(&tag.join("current"), &image.manifest_digest);
    }

    pub(crate) fn delete_tag(&self, repo: &str, tag: &str) {
        let tag = self.tag(repo, tag);
        fs::remove_dir_all(&tag).unwrap_or_else(|e| panic!("remove {}: {e}", tag.display()));
    }

    /// Loses a layer, a config or a manifest, which images still refer to: it is answered with 404.
    pub(crate) fn delete_blob(&self, digest: &str) {
        let blob = self.blob(digest);
        fs::remove_dir_all(&blob).unwrap_or_else(|e| panic!("remove {}: {e}", blob.display()));
    }

    fn put_blob(&self, repo: &str, content: &[u8]) -> Blob {
        let blob = self.put_file(content);
        self.link(&self.repository(repo).join("_layers").join(hashed(&blob.digest)), &blob.digest);
        blob
    }

    fn put_file(&self, content: &[u8]) -> Blob {
        let file = self.incoming(content);
        let digest = sha256(&file);
        self.move_in(&file, &self.blob(&digest).join("data"));
        Blob { digest, size: content.len() }
    }

    /// Lets the file `link` of a folder name a digest.
    fn link(&self, folder: &Path, digest: &str) {
        self.move_in(&self.incoming(digest.as_bytes()), &folder.join("link"));
    }

    fn incoming(&self, content: &[u8]) -> PathBuf {
        let file = self.root.join("incoming").join(unique("file"));
        fs::write(&file, content).unwrap_or_else(|e| panic!("write {}: {e}", file.display()));
        file
    }

    /// The registry may be reading: a file is there whole, or the one before.
    fn move_in(&self, file: &Path, to: &Path) {
        let folder = to.parent().expect("a file in a folder");
        fs::create_dir_all(folder).unwrap_or_else(|e| panic!("create {}: {e}", folder.display()));
        fs::rename(file, to).unwrap_or_else(|e| panic!("rename to {}: {e}", to.display()));
    }

    fn repository(&self, repo: &str) -> PathBuf {
        self.root.join("docker/registry/v2/repositories").join(repo)
    }

    fn tag(&self, repo: &str, tag: &str) -> PathBuf {
        self.repository(repo).join("_manifests/tags").join(tag)
    }

    fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.trim_start_matches("sha256:");
        self.root.join("docker/registry/v2/blobs/sha256").join(&hex[..2]).join(hex)
    }
}

struct Blob {
    digest: String,
    size: usize,
}

impl Blob {
    fn described(&self, media_type: &str) -> Value {
        json!({"mediaType": media_type, "size": self.size, "digest": self.digest})
    }
}

/// `sha256:HEX` as a path: `sha256/HEX`.
fn hashed(digest: &str) -> String {
    digest.replacen(':', "/", 1)
}

/// The digest of a file, as coreutils tell it.
fn sha256(file: &Path) -> String {
    let told = Command::new("sha256sum").arg(file).output().unwrap_or_else(|e| panic!("sha256sum: {e}"));
    let told = String::from_utf8(told.stdout).expect("sha256sum writes text");
    // A backslash before it would say that the file's name is quoted.
    let hex = told.split_whitespace().next().filter(|hex| hex.len() == 64);
    format!("sha256:{}", hex.unwrap_or_else(|| panic!("sha256sum {} wrote {told:?}", file.display())))
}

fn random(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    let read = File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes));
    read.unwrap_or_else(|e| panic!("read /dev/urandom: {e}"));
    bytes
}

/// The root file system of the test image, as a tar.
pub(crate) fn rootfs() -> &'static [u8] {
    static ROOTFS: OnceLock<Vec<u8>> = OnceLock::new();
    ROOTFS.get_or_init(|| {
        match Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/image/rootfs.sh")).output() {
            Ok(made) if made.status.success() => made.stdout,
            Ok(made) => panic!("fixtures/image/rootfs.sh: {}", String::from_utf8_lossy(&made.stderr)),
            Err(e) => panic!("fixtures/image/rootfs.sh: {e}"),
        }
    })
}

/// A file as a tar has it (ustar), which everybody may read.
fn tar_entry(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0u8; 512];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", content.len()));
    put(136, "00000000000\0");
    put(156, "0");
    put(257, "ustar\x0000");
    // The sum counts its own field as blanks.
    put(148, "        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut entry = [&header[..], content].concat();
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}

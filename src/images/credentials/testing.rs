//! What the tests of this module share: a folder of helpers, an index.

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::CredentialSources;
use crate::images::Index;

/// A folder of its own, removed at the end.
pub(super) struct Bin(PathBuf);

impl Bin {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("longshore-credentials-{}-{number}", process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Sources without any source, whose helpers are looked for here, and then where shells and
    /// their kin are.
    pub(super) fn sources(&self) -> CredentialSources {
        let mut folders = vec![self.0.clone()];
        folders.extend(env::split_paths(&env::var_os("PATH").unwrap()));
        CredentialSources { helper_path: Some(env::join_paths(folders).unwrap()), ..CredentialSources::default() }
    }

    pub(super) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Writes the helper `docker-credential-<name>`, a shell script with this folder for `@DIR@`.
    pub(super) fn helper(&self, name: &str, script: &str) {
        self.program(&format!("docker-credential-{name}"), &format!("#!/bin/sh\n{script}\n"));
    }

    /// Writes a program. A shell does it: a file that is open for writing cannot be run, and were
    /// it open in this process, what a test beside this one just starts could have it too.
    pub(super) fn program(&self, name: &str, text: &str) {
        let script = "cat > \"$0.new\" && chmod 755 \"$0.new\" && mv \"$0.new\" \"$0\"";
        let mut shell = Command::new("sh");
        let mut shell = shell.args(["-c", script]).arg(self.path(name)).stdin(Stdio::piped()).spawn().unwrap();
        let text = text.replace("@DIR@", self.0.to_str().unwrap());
        shell.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(shell.wait().unwrap().success());
    }

    /// What a helper has written to a file here, without the line's end; empty where there is none.
    pub(super) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default().trim_end().to_owned()
    }
}

impl Drop for Bin {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The index of that name.
pub(super) fn index(name: &str) -> Index {
    Index { name: name.into(), official: name == "docker.io" }
}

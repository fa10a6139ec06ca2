//! Paths by their text alone (driver-spec 15.2): no file is looked at, so a symbolic link counts as what it is called.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// A path as seen from `base`: an absolute one stays, any other is below `base`; cleaned either way. `..` may lead out of `base`.
pub fn expand(base: &Path, path: &Path) -> PathBuf {
    // `join` drops the base where the path is absolute.
    clean(&base.join(path))
}

/// A path without `.`, `//` and, as far as it goes, `..`: `/a/../..` is `/`, `a/../..` is `..`, and the empty path is `.`.
pub fn clean(path: &Path) -> PathBuf {
    let mut kept: Vec<Component<'_>> = Vec::new();
    for part in path.components() {
        match (part, kept.last()) {
            (Component::CurDir, _) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => {
                kept.pop();
            }
            (Component::ParentDir, Some(Component::RootDir | Component::Prefix(_))) => {}
            (part, _) => kept.push(part),
        }
    }
    if kept.is_empty() { PathBuf::from(OsString::from(".")) } else { kept.iter().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expanded() {
        // driver-spec 15.2, base /tmp/alloc/task
        for (path, want) in [
            ("/home/user", "/home/user"),
            ("/home/user/..", "/home"),
            (".", "/tmp/alloc/task"),
            ("..", "/tmp/alloc"),
            ("d1/d2", "/tmp/alloc/task/d1/d2"),
            ("../d1/d2", "/tmp/alloc/d1/d2"),
            ("../../d1/d2", "/tmp/d1/d2"),
            ("", "/tmp/alloc/task"),
            ("local//x/", "/tmp/alloc/task/local/x"),
            ("../../../../../etc", "/etc"),
        ] {
            assert_eq!(expand(Path::new("/tmp/alloc/task"), Path::new(path)), Path::new(want), "path {path:?}");
        }
    }

    #[test]
    fn cleaned() {
        for (path, want) in [
            ("", "."),
            (".", "."),
            ("a/..", "."),
            ("a/../..", ".."),
            ("../a/../..", "../.."),
            ("/", "/"),
            ("/..", "/"),
            ("//a//b/./c/", "/a/b/c"),
            ("./a", "a"),
            ("..a/b", "..a/b"),
        ] {
            assert_eq!(clean(Path::new(path)).as_os_str(), want, "path {path:?}");
        }
    }
}

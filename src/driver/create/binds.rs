//! Binds (driver-spec 4.6): so far the built-in ones, which give a task its directories.

use std::path::{Component, Path};

use super::CreateError;
use crate::driver::TaskConfig;

/// The allocation's directory, the task's own two, and over the first one its logs, which a task may only read. None where the
/// allocation has no directory. `label`: an SELinux label for each.
pub(super) fn built_in(task: &TaskConfig, label: &str) -> Result<Vec<String>, CreateError> {
    let Some(alloc_dir) = &task.alloc_dir else { return Ok(Vec::new()) };
    let alloc_dir = text(alloc_dir)?;
    if !alloc_dir.starts_with('/') {
        // The Engine would take it for the name of a volume.
        return Err(refused(alloc_dir, "it is not absolute"));
    }
    if Path::new(&task.name).components().any(|part| !matches!(part, Component::Normal(_))) {
        return Err(refused(&task.name, "a task's directory lies within that of its allocation"));
    }
    let target = |variable: &str, usual: &str| {
        let target = task.env.get(variable).filter(|path| !path.is_empty()).map_or(usual, String::as_str);
        if !target.starts_with('/') {
            return Err(refused(target, "it is not absolute"));
        }
        Ok(target.to_string())
    };
    let targets = [
        target("NOMAD_ALLOC_DIR", "/alloc")?,
        target("NOMAD_TASK_DIR", "/local")?,
        target("NOMAD_SECRETS_DIR", "/secrets")?,
    ];
    for path in [alloc_dir, &task.name].into_iter().chain(targets.iter().map(String::as_str)) {
        if path.contains([':', '\0']) {
            return Err(refused(path, "it holds a `:`, at which Docker splits, or a NUL"));
        }
    }
    Ok(format(alloc_dir, &task.name, &targets, label))
}

fn format(alloc_dir: &str, task: &str, [alloc, local, secrets]: &[String; 3], label: &str) -> Vec<String> {
    let alloc_dir = alloc_dir.trim_end_matches('/');
    [
        (format!("{alloc_dir}/alloc:{alloc}"), ""),
        (format!("{alloc_dir}/{task}/local:{local}"), ""),
        (format!("{alloc_dir}/{task}/secrets:{secrets}"), ""),
        (format!("{alloc_dir}/alloc/logs:{}/logs", alloc.trim_end_matches('/')), "ro"),
    ]
    .into_iter()
    .map(|(bind, mode)| with_options(bind, &[mode, label]))
    .collect()
}

/// A bind with its options: Docker takes them joined by commas, after one more colon.
fn with_options(bind: String, options: &[&str]) -> String {
    let options: Vec<&str> = options.iter().copied().filter(|option| !option.is_empty()).collect();
    if options.is_empty() { bind } else { format!("{bind}:{}", options.join(",")) }
}

fn text(path: &Path) -> Result<&str, CreateError> {
    path.to_str().ok_or_else(|| refused(&path.to_string_lossy(), "it is not UTF-8"))
}

fn refused(path: &str, why: &'static str) -> CreateError {
    CreateError::BindPath { path: path.into(), why }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::path::PathBuf;

    use super::*;

    fn task(alloc_dir: &str, name: &str, env: &[(&str, &str)]) -> TaskConfig {
        TaskConfig {
            alloc_dir: Some(alloc_dir.into()),
            name: name.into(),
            env: env.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
            ..TaskConfig::default()
        }
    }

    #[test]
    fn the_directories_of_a_task() {
        // driver-spec 4.6.
        let targets = [("NOMAD_ALLOC_DIR", "/x/"), ("NOMAD_TASK_DIR", "/y"), ("NOMAD_SECRETS_DIR", "/z")];
        for (name, task, label, want) in [
            (
                "label",
                task("/", "redis-demo", &[]),
                "z",
                [
                    "/alloc:/alloc:z",
                    "/redis-demo/local:/local:z",
                    "/redis-demo/secrets:/secrets:z",
                    "/alloc/logs:/alloc/logs:ro,z",
                ],
            ),
            (
                "no label",
                task("/d/a", "t", &[("NOMAD_TASK_DIR", "")]),
                "",
                [
                    "/d/a/alloc:/alloc",
                    "/d/a/t/local:/local",
                    "/d/a/t/secrets:/secrets",
                    "/d/a/alloc/logs:/alloc/logs:ro",
                ],
            ),
            (
                "other targets",
                task("/d/a/", "t/u", &targets),
                "",
                ["/d/a/alloc:/x/", "/d/a/t/u/local:/y", "/d/a/t/u/secrets:/z", "/d/a/alloc/logs:/x/logs:ro"],
            ),
        ] {
            assert_eq!(built_in(&task, label), Ok(want.map(String::from).into()), "{name}");
        }
        let homeless = TaskConfig { alloc_dir: None, ..task("", "t", &[]) };
        assert_eq!(built_in(&homeless, "z"), Ok(Vec::new()));
    }

    #[test]
    fn paths_that_cannot_be_bound() {
        let odd = PathBuf::from(OsStr::from_bytes(b"/a/\xff"));
        for (name, task, path) in [
            ("relative", task("a/b", "t", &[]), "a/b"),
            ("empty", task("", "t", &[]), ""),
            ("colon", task("/a:b", "t", &[]), "/a:b"),
            ("colon in the task", task("/a", "t:u", &[]), "t:u"),
            ("parent", task("/a", "t/../..", &[]), "t/../.."),
            ("absolute task", task("/a", "/t", &[]), "/t"),
            ("relative target", task("/a", "t", &[("NOMAD_TASK_DIR", "local")]), "local"),
            ("colon in a target", task("/a", "t", &[("NOMAD_ALLOC_DIR", "/a:ro")]), "/a:ro"),
            ("not UTF-8", TaskConfig { alloc_dir: Some(odd), ..task("", "t", &[]) }, "/a/\u{fffd}"),
        ] {
            match built_in(&task, "") {
                Err(CreateError::BindPath { path: got, .. }) => assert_eq!(got, path, "{name}"),
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}

//! Proves from the source text that modules use only what stands below them.
//!
//! Owns the table of layers and a few rules of the same kind (who may name which crate). It reads paths, not types: what
//! a module reaches through a value it was given is not its business. Comments, strings and literals are skipped, groups
//! (`use crate::{a, b::c}`) and `super::` are resolved. A `crate::` path must begin with a module of the table, so that
//! a re-export at the root is no way around it, and a new module has to be given its place here.

mod circles;
mod docs;
mod paths;
mod tokens;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tokens::{Token, tokenize};

/// Top to bottom. Each module may use those of later rows: not those above, not those beside it in its row.
const LAYERS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    // Used by the program and by tests only; stands on `engine`.
    &["replay"],
    &["runner"],
    &["job"],
    &["driver"],
    &["images", "logs", "stats"],
    &["engine"],
    &["http"],
    &["threads", "host", "values", "files", "limits"],
];

/// What a place in the table alone would allow, and is still wrong.
const FORBIDDEN: &[(&str, &str)] = &[
    ("replay", "runner"),
    ("replay", "job"),
    ("replay", "driver"),
    ("replay", "images"),
    ("replay", "logs"),
    ("replay", "stats"),
    // The program is a crate of its own: it sees what anybody sees.
    ("main", "http"),
];

/// Circles that stay, each with its reason.
const CIRCLES: &[(&[&str], &str)] = &[
    (
        &["cli::args", "cli::commands::signal", "cli::context", "cli::session"],
        "arguments are read by who knows their form, a signal's among them",
    ),
    (
        &[
            "driver::end_exec",
            "driver::error",
            "driver::exec",
            "driver::exec_watch",
            "driver::holder",
            "driver::inspect",
            "driver::owed",
            "driver::wait",
        ],
        "an error tells what became of a command, and what is owed may be a command",
    ),
    (
        &["engine::call", "engine::context", "engine::error", "engine::phrases", "engine::version"],
        "an error names its call, and a call asks what an error's words mean",
    ),
    (
        &["http::duplex", "http::exchange", "http::stream"],
        "an exchange may end in a stream, and both sort errors as it does",
    ),
    (
        &["replay::play::connection", "replay::play::respond", "replay::play::schedule"],
        "three parts of one connection's state",
    ),
    (
        &[
            "replay::redact::header",
            "replay::redact::json",
            "replay::redact::learned",
            "replay::redact::mask",
            "replay::redact::target",
            "replay::redact::text",
        ],
        "JSON holds texts, headers and targets, and each of these may hold JSON",
    ),
    (
        &["runner::state::desired", "runner::state::lock", "runner::state::store"],
        "a store tells who owns an allocation, and an owner reads and writes the store",
    ),
    (
        &["runner::supervise::run", "runner::supervise::task"],
        "a run starts the tasks' threads, and each of them uses what the run was given",
    ),
];

/// One source file: where it is, from `src/`, and what it says.
struct Source {
    file: PathBuf,
    text: String,
}

/// Every problem in one file, each with its line.
fn problems(source: &Source) -> Vec<String> {
    let tokens = tokenize(&source.text);
    let mut found = Vec::new();
    let mut report = |line: usize, what: String| found.push(format!("src/{}:{line}: {what}", source.file.display()));
    let module = paths::module_of(&source.file);
    check_uses(&module, &tokens, &mut report);
    check_names(&source.file, &tokens, &mut report);
    check_phrases(&source.file, &tokens, &mut report);
    found
}

/// The layers. `lib.rs` stands outside: it lists what is public.
fn check_uses(module: &[String], tokens: &[Token<'_>], report: &mut impl FnMut(usize, String)) {
    let Some(own) = module.first() else { return };
    let Some(own_row) = row(own) else {
        return report(1, format!("module `{own}` has no place in the table of layers"));
    };
    for used in paths::used(module, tokens) {
        let Some(other) = used.path.first() else { continue };
        if other == own {
            continue;
        }
        match row(other) {
            None => report(used.line, format!("`{other}` is no module of the table of layers")),
            Some(other_row) if other_row < own_row => report(used.line, format!("`{own}` uses `{other}` above it")),
            Some(other_row) if other_row == own_row => report(used.line, format!("`{own}` uses `{other}` beside it")),
            Some(_) if FORBIDDEN.contains(&(own, other)) => {
                report(used.line, format!("`{own}` must not use `{other}`"))
            }
            Some(_) => {}
        }
    }
}

fn row(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
}

/// Words that only some files may say.
fn check_names(file: &Path, tokens: &[Token<'_>], report: &mut impl FnMut(usize, String)) {
    for (i, token) in tokens.iter().enumerate() {
        match token.text {
            "ureq" if !file.starts_with("http") => report(token.line, "only src/http names `ureq`".into()),
            "unversioned" if file != Path::new("http/transport.rs") => {
                report(token.line, "only src/http/transport.rs names `ureq::unversioned`".into());
            }
            "async" | "await" => report(token.line, format!("`{}`: nothing here is async", token.text)),
            "http" if file == Path::new("lib.rs") && i >= 2 && tokens[i - 1].text == "mod" => {
                let visible = matches!(tokens[i - 2].text, "pub" | ")");
                if visible {
                    report(token.line, "`http` is private".into());
                }
            }
            _ => {}
        }
    }
}

/// An error's text is for people. The few facts that the Engine gives only as text are predicates of one file.
fn check_phrases(file: &Path, tokens: &[Token<'_>], report: &mut impl FnMut(usize, String)) {
    const MATCHERS: &[&str] = &[
        "contains",
        "starts_with",
        "ends_with",
        "find",
        "rfind",
        "matches",
        "strip_prefix",
        "strip_suffix",
        "split_once",
    ];
    // A file of tests looks at our own messages.
    if file == Path::new("engine/phrases.rs") || file.components().any(|part| part.as_os_str() == "tests") {
        return;
    }
    for i in paths::outside_tests(tokens) {
        let text = |n: usize| tokens.get(i + n).map_or("", |token| token.text);
        let after = match text(0) {
            "message" | "to_string" if text(1) == "(" && text(2) == ")" => 3,
            "message" => 1,
            _ => continue,
        };
        if text(after) == "." && MATCHERS.contains(&text(after + 1)) {
            report(
                tokens[i].line,
                format!("`{}().{}`: only engine/phrases.rs reads messages", text(0), text(after + 1)),
            );
        }
    }
}

/// Every `.rs` file under `dir`, by name.
fn sources(dir: &Path) -> Vec<Source> {
    fn collect(dir: &Path, folder: &Path, found: &mut Vec<Source>) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                collect(dir, &path, found)?;
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let file = path.strip_prefix(dir).map_or_else(|_| path.clone(), Path::to_path_buf);
                found.push(Source { file, text: fs::read_to_string(&path)? });
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    collect(dir, dir, &mut found).unwrap_or_else(|e| panic!("cannot read {}: {e}", dir.display()));
    found.sort_by(|a, b| a.file.cmp(&b.file));
    found
}

#[test]
fn modules_use_only_what_stands_below() {
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(sources.iter().any(|source| source.file == Path::new("lib.rs")), "no src/lib.rs was read");
    let problems: Vec<String> = sources.iter().flat_map(problems).collect();
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn no_two_files_import_each_other() {
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let found = circles::circles(&sources);
    let named: Vec<Vec<String>> =
        CIRCLES.iter().map(|(files, _)| files.iter().map(|file| (*file).to_owned()).collect()).collect();
    let unnamed: Vec<String> = found.iter().filter(|circle| !named.contains(circle)).map(|c| c.join(", ")).collect();
    assert!(unnamed.is_empty(), "these import each other in a circle:\n{}", unnamed.join("\n"));
    let gone: Vec<String> = named.iter().filter(|circle| !found.contains(circle)).map(|c| c.join(", ")).collect();
    assert!(gone.is_empty(), "these are no circles any more:\n{}", gone.join("\n"));
}

/// The checker itself: what it must find, and what it must leave alone.
#[test]
fn the_checker_finds_what_is_wrong() {
    #[rustfmt::skip]
    let rows: &[(&str, &str, &[&str])] = &[
        // file, text, a part of each problem in order
        ("engine/mod.rs", "use crate::driver::Driver;", &[":1: `engine` uses `driver` above it"]),
        ("engine/types/image.rs", "\nfn f() -> crate::cli::Args {}", &[":2: `engine` uses `cli` above it"]),
        ("logs/cursor.rs", "use crate::{engine, images::{self, reference}};", &["`logs` uses `images` beside it"; 2]),
        ("stats.rs", "use super::{engine::Engine, driver};", &["`stats` uses `driver` above it"]),
        ("driver/create/mod.rs", "use super::super::job;", &["`driver` uses `job` above it"]),
        ("driver/wait.rs", "mod inner { use super::super::super::runner::Alloc; }", &["`driver` uses `runner` above it"]),
        ("host.rs", "mod tests { use super::*; use super::super::values; }", &["`host` uses `values` beside it"]),
        ("driver/wait.rs", "use self::super::super::job::Job;", &["`driver` uses `job` above it"]),
        ("replay/play.rs", "use crate::driver::Driver;", &["`replay` must not use `driver`"]),
        ("main.rs", "fn main() { longshore::http::Stream }", &["`main` must not use `http`"]),
        ("engine/mod.rs", "use crate::Endpoint;", &["`Endpoint` is no module of the table"]),
        ("engine/mod.rs", "use crate::*;", &["`*` is no module of the table"]),
        ("extra/mod.rs", "", &["module `extra` has no place"]),
        ("engine/mod.rs", "use ureq::Agent;", &["only src/http names `ureq`"]),
        ("http/exchange.rs", "use ureq::{unversioned::transport};", &["only src/http/transport.rs"]),
        ("lib.rs", "pub mod http;", &["`http` is private"]),
        ("lib.rs", "pub(crate) mod http;", &["`http` is private"]),
        ("driver/start.rs", "async fn f() { g().await }", &["`async`: nothing", "`await`: nothing"]),
        ("driver/start.rs", "if e.message().contains(\"no such\") {}", &["only engine/phrases.rs reads messages"]),
        ("driver/start.rs", "if e.to_string().starts_with(x) {}", &["only engine/phrases.rs reads messages"]),
        ("engine/error.rs", "match message.find(x) {}", &["only engine/phrases.rs reads messages"]),
        // and what is right
        ("driver/mod.rs", "use crate::engine::Engine; use crate::logs; use super::values::Signal;", &[]),
        ("driver/start.rs", "use super::task::TaskConfig; use crate::driver::events; use super::super::engine;", &[]),
        ("engine/mod.rs", "// crate::driver\n/* /* */ crate::driver */ //! [`crate::cli`]\n\"crate::cli\" r#\"\"crate::cli\"#", &[]),
        ("engine/mod.rs", "fn f<'a>(c: &'a str) { match c { 'c' => '\"', _ => '\\'' } } b\"crate::cli\" b'\"'", &[]),
        ("engine/mod.rs", "pub(crate) fn f() {} macro_rules! m { () => { $crate::http::x } }", &[]),
        ("values/path.rs", "mod tests { use super::*; use super::super::size; }", &[]),
        ("cli/mod.rs", "use crate::{driver::Driver, replay, runner, job, http};", &[]),
        ("main.rs", "fn main() -> std::process::ExitCode { longshore::cli::main() }", &[]),
        ("lib.rs", "mod http; pub use http::Endpoint;", &[]),
        ("http/transport.rs", "use ureq::unversioned::transport::Transport;", &[]),
        ("engine/phrases.rs", "if message.contains(x) {}", &[]),
        ("engine/error.rs", "#[cfg(test)] mod tests { fn f() { assert!(e.message().contains(x)) } }", &[]),
    ];
    for (file, text, want) in rows {
        let found = problems(&Source { file: file.into(), text: (*text).into() });
        assert_eq!(found.len(), want.len(), "{file}: {text}\n{}", found.join("\n"));
        for (found, want) in found.iter().zip(*want) {
            assert!(found.contains(want), "{file}: {text}\nfound {found}\nwant  {want}");
        }
    }
}

#[test]
fn circles_are_found() {
    let source = |file: &str, text: &str| Source { file: file.into(), text: text.into() };
    let sources = [
        source("a/mod.rs", "mod x; mod y; mod z; pub use y::Y; pub struct Shared;"),
        // `Y` is `y`'s, wherever it is taken from; what stands in the folder's own file is shared.
        source("a/x.rs", "use super::{Shared, Y}; mod tests { use super::super::z::Z; }"),
        source("a/y.rs", "use crate::a::x::X; use super::Shared;"),
        source("a/z.rs", "use super::x::X;"),
        source("b.rs", "use crate::a::Y;"),
    ];
    assert_eq!(circles::circles(&sources), [["a::x", "a::y"]]);
}

//! Which modules of its crate a file's code names: `crate::`, `super::`, `self::super::`, and `longshore::` in the program.

use std::path::Path;

use crate::tokens::Token;

/// A path of modules from the crate's root, as far as it was written, and its line.
#[derive(Debug)]
pub(crate) struct Used {
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
}

/// The module that a file holds: `driver/create/mod.rs` is `driver::create`, `lib.rs` the root, `main.rs` is called `main`.
pub(crate) fn module_of(file: &Path) -> Vec<String> {
    let mut module: Vec<String> =
        file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if module.last().is_some_and(|last| last == "mod" || last == "lib") {
        module.pop();
    }
    module
}

/// Every path in the code of `module` that leads through the crate's root or a parent.
pub(crate) fn used(module: &[String], tokens: &[Token<'_>]) -> Vec<Used> {
    let mut found = Vec::new();
    for (at, inline) in inline_modules(tokens).into_iter().enumerate() {
        let here: Vec<String> = module.iter().cloned().chain(inline.iter().map(|name| (*name).to_string())).collect();
        let text = |n: usize| tokens.get(at + n).map_or("", |token| token.text);
        let before = if at == 0 { "" } else { tokens[at - 1].text };
        if text(1) != "::" || before == "::" {
            continue; // not the beginning of a path
        }
        let root = match text(0) {
            // `$crate` in a macro of ours is the same crate.
            "crate" => Vec::new(),
            "longshore" if module == ["main"] => Vec::new(),
            "super" => parent(&here),
            "self" => here,
            _ => continue,
        };
        tree(tokens, at + 2, &root, &mut found);
    }
    found
}

/// Every name that `module` hands on (`pub use a::b;`), with the path that it has, from the crate's root.
pub(crate) fn handed_on(module: &[String], tokens: &[Token<'_>]) -> Vec<Used> {
    let mut found = Vec::new();
    for at in 1..tokens.len() {
        // `pub use`, or `pub(crate) use`.
        if tokens[at].text == "use" && matches!(tokens[at - 1].text, "pub" | ")") {
            let first = tokens.get(at + 1).map_or("", |token| token.text);
            let (root, skipped) = match first {
                "crate" => (Vec::new(), 3),
                "super" => (parent(module), 3),
                "self" => (module.to_vec(), 3),
                _ => (module.to_vec(), 1),
            };
            tree(tokens, at + skipped, &root, &mut found);
        }
    }
    found
}

/// The indices of the tokens that are in no inline module called `tests`.
pub(crate) fn outside_tests(tokens: &[Token<'_>]) -> Vec<usize> {
    let modules = inline_modules(tokens);
    (0..tokens.len()).filter(|&at| !modules[at].contains(&"tests")).collect()
}

/// For each token, the inline modules (`mod name { … }`) that it stands in.
fn inline_modules<'a>(tokens: &[Token<'a>]) -> Vec<Vec<&'a str>> {
    let mut open: Vec<(usize, &str)> = Vec::new(); // the depth of its brace, and its name
    let mut depth = 0;
    let mut found = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.iter().enumerate() {
        match token.text {
            "{" => {
                depth += 1;
                if at >= 2 && tokens[at - 2].text == "mod" {
                    open.push((depth, tokens[at - 1].text));
                }
            }
            "}" => {
                open.pop_if(|(brace, _)| *brace == depth);
                depth = usize::saturating_sub(depth, 1);
            }
            _ => {}
        }
        found.push(open.iter().map(|(_, name)| *name).collect());
    }
    found
}

fn parent(module: &[String]) -> Vec<String> {
    module.split_last().map_or_else(Vec::new, |(_, parent)| parent.to_vec())
}

/// Follows the path that goes on at `at` under `prefix`, with every branch of its groups; returns where it ends.
fn tree(tokens: &[Token<'_>], mut at: usize, prefix: &[String], found: &mut Vec<Used>) -> usize {
    let mut path = prefix.to_vec();
    let line = tokens.get(at).map_or(0, |token| token.line);
    while let Some(token) = tokens.get(at) {
        match token.text {
            "super" => path = parent(&path),
            "self" => {}
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token.text != "}") {
                    let end = tree(tokens, at, &path, found);
                    at = end.max(at + usize::from(end == at)); // a comma, or what no path begins with
                }
                return at + 1;
            }
            // `size_of::<crate::x::Y>()`: what is inside begins a path of its own.
            word if word == "*" || word.starts_with(|c: char| c.is_alphabetic() || c == '_') => {
                path.push(word.to_string())
            }
            _ => return at,
        }
        at += 1;
        if tokens.get(at).is_none_or(|token| token.text != "::") {
            break;
        }
        at += 1;
    }
    found.push(Used { path, line });
    // `use a::b as c`
    if tokens.get(at).is_some_and(|token| token.text == "as") { at + 2 } else { at }
}

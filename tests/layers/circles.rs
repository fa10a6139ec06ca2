//! Finds files that import each other in a circle.
//!
//! What a file takes from the `mod.rs` (or `x.rs` beside `x/`) of a folder that it lies in does not count: a folder's own file
//! holds what its parts share, and names the parts. A name that a module only hands on counts for the file that has it.

use std::collections::{BTreeMap, BTreeSet};

use crate::Source;
use crate::paths::{self, Used};
use crate::tokens::tokenize;

/// A module, as a path from the crate's root.
type Module = Vec<String>;

/// Every circle: the files in it, by name. Each file is in one at most.
pub(crate) fn circles(sources: &[Source]) -> Vec<Vec<String>> {
    let imports = imports(sources);
    let reachable: BTreeMap<&Module, BTreeSet<&Module>> =
        imports.keys().map(|from| (from, reachable(&imports, from))).collect();
    let mut found = BTreeSet::new();
    for (from, reached) in &reachable {
        let circle: BTreeSet<&Module> = reached.iter().copied().filter(|to| reachable[to].contains(*from)).collect();
        if !circle.is_empty() {
            found.insert(circle);
        }
    }
    found.into_iter().map(|circle| circle.into_iter().map(|module| module.join("::")).collect()).collect()
}

/// Which modules each file's module imports from.
fn imports(sources: &[Source]) -> BTreeMap<Module, BTreeSet<Module>> {
    let modules: BTreeSet<Module> = sources.iter().map(|source| paths::module_of(&source.file)).collect();
    let mut used_by: BTreeMap<Module, Vec<Used>> = BTreeMap::new();
    let mut handed_on: BTreeMap<Module, BTreeMap<String, Module>> = BTreeMap::new();
    for source in sources.iter().filter(|source| !is_test(source)) {
        let (module, tokens) = (paths::module_of(&source.file), tokenize(&source.text));
        let tokens: Vec<_> = paths::outside_tests(&tokens).into_iter().map(|at| tokens[at]).collect();
        for used in paths::handed_on(&module, &tokens) {
            if let Some(name) = used.path.last() {
                handed_on.entry(module.clone()).or_default().insert(name.clone(), used.path.clone());
            }
        }
        used_by.insert(module.clone(), paths::used(&module, &tokens));
    }
    let home = |path: &[String]| home(path, &modules, &handed_on);
    let of = |(module, used): (&Module, &Vec<Used>)| {
        let homes = used.iter().filter_map(|used| home(&used.path));
        (module.clone(), homes.filter(|home| !module.starts_with(home)).collect())
    };
    used_by.iter().map(of).collect()
}

/// The module that has what a path names.
fn home(
    path: &[String],
    modules: &BTreeSet<Module>,
    handed_on: &BTreeMap<Module, BTreeMap<String, Module>>,
) -> Option<Module> {
    let mut path = path.to_vec();
    // A name is handed on a few times at most; more would be a circle of its own.
    for _ in 0..8 {
        let length = (1..=path.len()).rev().find(|length| modules.contains(&path[..*length]))?;
        let (module, rest) = path.split_at(length);
        let Some(next) = rest.first().and_then(|name| handed_on.get(module)?.get(name)) else {
            return Some(module.to_vec());
        };
        path = next.iter().chain(&rest[1..]).cloned().collect();
    }
    None
}

fn reachable<'a>(imports: &'a BTreeMap<Module, BTreeSet<Module>>, from: &'a Module) -> BTreeSet<&'a Module> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(module) = open.pop() {
        open.extend(imports.get(module).into_iter().flatten().filter(|next| seen.insert(*next)));
    }
    seen
}

/// Tests look at everything.
fn is_test(source: &Source) -> bool {
    let tests = ["tests", "tests.rs", "testing.rs"];
    source.file.iter().any(|part| tests.iter().any(|name| part == *name))
}

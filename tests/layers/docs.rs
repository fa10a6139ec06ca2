//! Proves that what the docs name is there.

use std::fs;
use std::path::Path;

/// Every test that the docs name for a promise.
#[test]
fn promises_have_their_tests() {
    for (docs, at_least) in [("docs/reliability.md", 20), ("docs/logs.md", 15)] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(root.join(docs)).unwrap_or_else(|e| panic!("{docs}: {e}"));
        let mut count = 0;
        for row in text.lines().filter(|line| line.starts_with("| ") && line.contains("::") && line.ends_with("` |")) {
            let name = row.rsplit('`').nth(1).unwrap_or_default();
            let Some((file, test)) = name.split_once("::").filter(|(file, _)| file.contains('/')) else { continue };
            let path = root.join("tests").join(file).with_extension("rs");
            let source = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{name}: {}: {e}", path.display()));
            assert!(source.contains(&format!("fn {test}(")), "{}: there is no test {test}", path.display());
            count += 1;
        }
        assert!(count >= at_least, "{docs}: {count} rows");
    }
}

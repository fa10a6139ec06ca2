//! Proves that what the docs name is there.

use std::fs;
use std::path::Path;

/// Every test that docs/reliability.md names for a promise.
#[test]
fn promises_have_their_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs =
        fs::read_to_string(root.join("docs/reliability.md")).unwrap_or_else(|e| panic!("docs/reliability.md: {e}"));
    let mut count = 0;
    for row in docs.lines().filter(|line| line.starts_with("| ") && line.contains("::")) {
        let name = row.rsplit('`').nth(1).unwrap_or_default();
        let (file, test) = name.split_once("::").unwrap_or_else(|| panic!("no test is named: {row}"));
        let path = root.join("tests").join(file).with_extension("rs");
        let source = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{name}: {}: {e}", path.display()));
        assert!(source.contains(&format!("fn {test}(")), "{}: there is no test {test}", path.display());
        count += 1;
    }
    assert!(count > 20, "{count} rows");
}

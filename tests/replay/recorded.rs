//! The cases of `tests/cases`, each on its recording, and the list of recordings.
//!
//! `LONGSHORE_RECORD=all` makes the recordings anew, on the Engine that answers: `make cassettes`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use longshore::replay::{Mode, Session};

use crate::cases::bench::Bench;

macro_rules! on_its_recording {
    ($($module:ident { $($case:ident)* })*) => { $(
        mod $module {
            $(
                #[test]
                fn $case() {
                    super::play(
                        concat!(stringify!($module), "-", stringify!($case)),
                        crate::cases::$module::$case,
                    );
                }
            )*
        }
    )* };
}

for_every_case!(on_its_recording);

/// Where the recordings are.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/cassettes")
}

/// Runs a case on the recording of its name.
fn play(name: &str, case: fn(&Bench)) {
    let session = Session::open(folder().join(name).with_extension("har"), Mode::None).unwrap();
    let misses = Misses(&session);
    let bench = Bench::recorded(session.engine());
    case(&bench);
    // Its driver is shut down, and its containers are looked for, within the recording.
    drop(bench);
    drop(misses);
    session.finish().unwrap();
}

/// The names that the first column of the tables has in the recordings' README.
fn listed() -> BTreeSet<String> {
    let readme = fs::read_to_string(folder().join("README.md")).unwrap();
    let cells = readme.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    cells.map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn each_recording_is_small_and_listed_and_so_is_each_live_test_without_one() {
    const MOST: u64 = 150 * 1024;
    let listed = listed();
    let mut names = BTreeSet::new();
    for file in fs::read_dir(folder()).unwrap().map(|file| file.unwrap()) {
        let path = file.path();
        if path.extension().is_none_or(|extension| extension != "har") {
            continue;
        }
        let size = file.metadata().unwrap().len();
        assert!(size <= MOST, "{}: {size} bytes", path.display());
        names.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
        let text = fs::read_to_string(&path).unwrap();
        for place in ["/tmp/", "/home/", "/root/"] {
            assert!(!text.contains(place), "{}: a place of somebody's machine, below {place}", path.display());
        }
    }
    let live = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live");
    for file in fs::read_dir(live).unwrap().map(|file| file.unwrap().path()) {
        let module = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&file).unwrap();
        let tests = text.lines().zip(text.lines().skip(1)).filter(|(line, _)| line.starts_with("#[ignore"));
        let tests = tests.filter_map(|(_, line)| line.strip_prefix("fn ")?.strip_suffix("() {"));
        // One row may speak for a whole module.
        let all = format!("{module}::…");
        let listed_as = |test: &str| if listed.contains(&all) { all.clone() } else { format!("{module}::{test}") };
        names.extend(tests.map(listed_as));
    }
    assert_eq!(names, listed);
}

/// Says what was not recorded where a case fails: that may be why.
struct Misses<'a>(&'a Session);

impl Drop for Misses<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.misses().iter().for_each(|miss| eprintln!("{miss}"));
        }
    }
}

//! The cases of `tests/cases`, each on its recording, and the list of recordings.
//!
//! `LONGSHORE_RECORD=all` makes the recordings anew, on the Engine that answers.

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

fn folder() -> PathBuf {
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

/// Says what was not recorded where a case fails: that may be why.
struct Misses<'a>(&'a Session);

impl Drop for Misses<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.misses().iter().for_each(|miss| eprintln!("{miss}"));
        }
    }
}

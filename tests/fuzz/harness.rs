//! Tries inputs on a reader for a while. What panics, or takes longer than any reader may, leaves its input as a file.

use std::cell::Cell;
use std::fs;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::mutate::{Rng, mutate};

/// No input may take longer, on a loaded machine either: the slowest takes milliseconds.
const LONGEST: Duration = Duration::from_secs(30);

/// Panics of threads that readers made: those reach no caller, and so nobody knows whose they are.
static PANICS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Whether this thread tries inputs: its panics are told by itself.
    static TRIES: Cell<bool> = const { Cell::new(false) };
}

/// Tries what stands in `fixtures/fuzz/<target>`, then what becomes of it by mutation, for `LONGSHORE_FUZZ_SECONDS` (1). The
/// seed is `LONGSHORE_FUZZ_SEED`; else always the same in a short run, and the time in a longer one. `LONGSHORE_FUZZ_INPUT`
/// is a file that is tried alone.
///
/// # Panics
/// With the file of the input at which `check` or any thread panicked. An input that takes too long ends the process.
pub(crate) fn fuzz(target: &str, mut check: impl FnMut(&[u8])) {
    count_panics();
    TRIES.set(true);
    let corpus = corpus(target);
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let seconds = number("LONGSHORE_FUZZ_SECONDS").unwrap_or(1);
    let seed = number("LONGSHORE_FUZZ_SEED").unwrap_or_else(|| match seconds {
        0..=1 => target.bytes().fold(0, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(byte.into())),
        _ => SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs(),
    });
    let alone = std::env::var_os("LONGSHORE_FUZZ_INPUT").map(|file| fs::read(file).unwrap());
    let watch = Watch::start(target, seed);
    let mut rng = Rng::new(seed);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut count = 0;
    loop {
        let input = match (&alone, corpus.get(count)) {
            (Some(_), _) if count > 0 => break,
            (Some(input), _) => input.clone(),
            (None, Some(input)) => input.clone(),
            (None, None) if Instant::now() >= end => break,
            (None, None) => mutate(&mut rng, &corpus),
        };
        watch.begins(&input);
        let before = PANICS.load(Ordering::SeqCst);
        let done = catch_unwind(AssertUnwindSafe(|| check(&input)));
        watch.ends();
        let elsewhere = PANICS.load(Ordering::SeqCst) != before;
        if done.is_err() || elsewhere {
            let file = keep(target, &input);
            let whose = if elsewhere { ", in another thread, unless that is another target's" } else { "" };
            panic!("{target}: input {count} of seed {seed} panics{whose}: {file}");
        }
        count += 1;
    }
    println!("{target}: {count} inputs, seed {seed}");
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/fuzz").join(target);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{}: no inputs", folder.display());
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Keeps an input. Its name is that of its bytes: what fails twice is one file.
fn keep(target: &str, input: &[u8]) -> String {
    let digest = input
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{target}-{digest:016x}"));
    match fs::write(&file, input) {
        Ok(()) => format!("LONGSHORE_FUZZ_INPUT={}", file.display()),
        Err(error) => format!("{}: {error}: {input:?}", file.display()),
    }
}

fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !TRIES.get() {
                PANICS.fetch_add(1, Ordering::SeqCst);
            }
            before(info);
        }));
    });
}

/// An input, and since when it is tried.
type Tried = (Instant, Vec<u8>);

/// Ends the process when an input takes too long: a thread that hangs cannot be ended otherwise.
struct Watch {
    now: Arc<Mutex<Option<Tried>>>,
    alive: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    fn start(target: &str, seed: u64) -> Self {
        let now = Arc::<Mutex<Option<Tried>>>::default();
        let (alive, ended) = channel();
        let (watched, target) = (now.clone(), target.to_owned());
        let thread = thread::spawn(move || {
            while ended.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
                let watched = watched.lock().unwrap_or_else(PoisonError::into_inner);
                let Some((begun, input)) = watched.as_ref() else { continue };
                if begun.elapsed() > LONGEST {
                    let file = keep(&target, input);
                    // Not through the tests' capture, which is lost with the process.
                    let _ = writeln!(
                        std::io::stderr(),
                        "{target}: an input of seed {seed} takes longer than {LONGEST:?}: {file}"
                    );
                    process::abort();
                }
            }
        });
        Self { now, alive: Some(alive), thread: Some(thread) }
    }

    fn begins(&self, input: &[u8]) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), input.to_vec()));
    }

    fn ends(&self) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.alive.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A folder of one target's, gone at its end.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(target: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("longshore-fuzz-{target}-{}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes an input as a file of this name.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let file = self.0.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, bytes).unwrap();
        file
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_panics_is_kept() {
    let failed = catch_unwind(|| fuzz("lines", |input| assert!(input.len() < 20, "on purpose"))).unwrap_err();
    let told = failed.downcast_ref::<String>().unwrap();
    let (_, file) = told.split_once("LONGSHORE_FUZZ_INPUT=").unwrap();
    assert!(told.starts_with("lines: input ") && fs::read(file).unwrap().len() >= 20, "{told}");
    fs::remove_file(file).unwrap();
}

//! Whether collecting a task's output allocates anything for each frame: a driver collects what a playback sends, into a file
//! and into files in turn, and every allocation of the process between the first fifth of it and the fourth is counted. Fails
//! where there is more than one for 1000 frames.

#[path = "../../logs/playback.rs"]
#[allow(dead_code, reason = "made for more")]
mod playback;

use std::alloc::{GlobalAlloc, Layout, System};
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{env, fs, thread};

use longshore::Endpoint;
use longshore::driver::{Driver, DriverConfig, LogTarget, LogTargets, TaskConfig, TaskHandle, TaskId};
use longshore::engine::Engine;

use playback::{Output, Pace, Playback};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What is allowed: a thread that looks around. (A new file in turn takes about twenty, for paths; none begins meanwhile.)
const MOST_PER_1000: f64 = 1.0;
const ID: &str = "0123456789abcdef";

/// The system's allocator, and how often it was asked.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: all is the system allocator's, which keeps the contract; counting touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn main() -> ExitCode {
    let folder = env::temp_dir().join(format!("longshore-allocations-{}", std::process::id()));
    let done = fs::create_dir(&folder).map_err(Into::into).and_then(|()| all(&folder));
    if let Err(error) = fs::remove_dir_all(&folder) {
        eprintln!("allocations: {} is left: {error}", folder.display());
    }
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("allocations: {error}");
            ExitCode::FAILURE
        }
    }
}

fn all(folder: &Path) -> Result<()> {
    for (line, lines) in [(100, 1_000_000), (16 * 1024, 10_000)] {
        let file = LogTarget::File(folder.join(format!("{line}")));
        let rotating = LogTarget::Rotating {
            path: folder.join(format!("{line}.turns")),
            max_files: 2,
            max_file_size: 1_000_000_000,
        };
        for (name, target) in [("a file", file), ("files in turn", rotating)] {
            let output = Output { line, lines };
            let per_1000 = measure(&folder.join(format!("{line}-{name}.sock")), output, target)?;
            println!("{per_1000:.2} allocations for 1000 frames of {line} bytes, into {name}");
            if per_1000 > MOST_PER_1000 {
                return Err(format!("that is more than {MOST_PER_1000}").into());
            }
        }
    }
    Ok(())
}

fn measure(socket: &Path, output: Output, target: LogTarget) -> Result<f64> {
    let playback = Playback::start(socket, Pace::Whole(output))?;
    let engine = Engine::connect(Endpoint::Unix(socket.to_owned()));
    let driver = Driver::new(engine, DriverConfig { instance: "bench".into(), ..DriverConfig::default() });
    let id = TaskId::new(ID);
    let logs = LogTargets { stdout: target, stderr: LogTarget::Null };
    let config = TaskConfig { id: id.clone(), name: "allocations".into(), logs, ..TaskConfig::default() };
    driver.recover_task(&TaskHandle { version: 1, config, container_id: ID.into(), ..TaskHandle::default() })?;
    let ended = driver.wait_task(&id)?;
    let at = |part: f64| -> Result<(f64, u64)> {
        while playback.progress() < part {
            if ended.recv_timeout(Duration::from_millis(1)).is_ok() {
                return Err("it ended before it was measured".into());
            }
        }
        Ok((playback.progress(), ALLOCATIONS.load(Ordering::Relaxed)))
    };
    let (from, before) = at(0.2)?;
    let (to, after) = at(0.8)?;
    ended.recv()?;
    if !driver.drain_task(&id, &crossbeam_channel::never())? {
        return Err("not all was collected".into());
    }
    driver.shutdown();
    thread::yield_now();
    Ok((after - before) as f64 / ((to - from) * output.frames() as f64 / 1000.0))
}

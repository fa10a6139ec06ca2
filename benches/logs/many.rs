//! 200 tasks that write 100 lines a second each: what collecting them costs one process of longshore, and 200 of `docker logs -f`.
//!
//! From a playback: an Engine that carries 200 such containers takes more of this machine than all that is measured. Only the
//! time in which all follow counts, not the starts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use super::machine::{self, Memory};
use super::playback::{Pace, Playback};
use super::{Programs, Result, Subject};

/// Each task's pause between two lines.
const PAUSE: Duration = Duration::from_millis(10);
/// What a line is long, with its newline.
const LINE: u64 = 100;
/// How long they may take to begin.
const PATIENCE: Duration = Duration::from_secs(120);

/// Measures both, one after the other.
pub(super) fn compare(programs: &Programs, folder: &Path, watched: Duration, tasks: usize) -> Result<()> {
    println!(
        "| {tasks} tasks, 100 lines a second each, {} s | processes | CPU of one core | resident | its share of shared pages |",
        watched.as_secs()
    );
    println!("|---|---:|---:|---:|---:|");
    measure("longshore", true, programs, folder, watched, tasks)?;
    if programs.docker {
        measure("docker logs -f", false, programs, folder, watched, tasks)?;
    }
    Ok(())
}

fn measure(
    name: &str,
    longshore: bool,
    programs: &Programs,
    folder: &Path,
    watched: Duration,
    tasks: usize,
) -> Result<()> {
    let folder = folder.join(name.replace(' ', "-"));
    fs::create_dir(&folder)?;
    let playback = Playback::start(&folder.join("engine.sock"), Pace::Slow)?;
    let mut children = Children(Vec::new());
    if longshore {
        let mut command = std::process::Command::new(&programs.own);
        command.arg("--collect-many").arg(playback.socket()).arg(tasks.to_string()).arg(&folder);
        children.0.push(command.spawn()?);
    } else {
        for task in 0..tasks {
            let file = folder.join(format!("{task}.log"));
            let mut command = programs.command(Subject::Docker, playback.socket(), &id(task), &file)?;
            children.0.push(command.spawn()?);
        }
    }
    let begun = Instant::now();
    while playback.followers() < tasks {
        if begun.elapsed() > PATIENCE {
            return Err(format!("{name}: only {} of {tasks} follow", playback.followers()).into());
        }
        thread::sleep(PAUSE);
    }
    // Warms up.
    let mut lines = write_lines(&playback, longshore, Duration::from_secs(1).min(watched))?;
    let (cpu, begun) = (children.cpu()?, Instant::now());
    lines += write_lines(&playback, longshore, watched)?;
    let (cpu, took, memory) = (children.cpu()? - cpu, begun.elapsed(), children.memory()?);
    playback.end()?;
    for child in &mut children.0 {
        let status = child.wait()?;
        if !status.success() {
            return Err(format!("{name}: {status}").into());
        }
    }
    for task in 0..tasks {
        let found = folder.join(format!("{task}.log")).metadata()?.len();
        if found != lines * LINE {
            return Err(format!("{name}: {found} bytes of task {task} instead of {}", lines * LINE).into());
        }
    }
    let rate = lines as f64 / (took + Duration::from_secs(1).min(watched)).as_secs_f64();
    println!(
        "| {name} ({rate:.0} lines a second) | {} | {:.1} % | {} MiB | {} MiB |",
        children.0.len(),
        100.0 * cpu / took.as_secs_f64(),
        memory.resident_kib / 1024,
        memory.proportional_kib / 1024,
    );
    children.0.clear();
    fs::remove_dir_all(&folder)?;
    Ok(())
}

/// A line to each task at each tick; gives how many each got.
fn write_lines(playback: &Playback, stamped: bool, watched: Duration) -> Result<u64> {
    let (begun, mut lines) = (Instant::now(), 0);
    loop {
        let due = PAUSE * lines as u32;
        if due >= watched {
            return Ok(lines);
        }
        thread::sleep(due.saturating_sub(begun.elapsed()));
        playback.line_to_each(stamped)?;
        lines += 1;
    }
}

/// The process of longshore.
pub(super) fn collect_all(socket: &str, count: &str, folder: &str) -> Result<()> {
    let named: Vec<(String, PathBuf)> =
        (0..count.parse()?).map(|task| (id(task), Path::new(folder).join(format!("{task}.log")))).collect();
    let named: Vec<(&str, &Path)> = named.iter().map(|(id, file)| (id.as_str(), file.as_path())).collect();
    super::collect(Path::new(socket), &named)
}

fn id(task: usize) -> String {
    format!("{task:064x}")
}

/// Processes that end with us.
struct Children(Vec<Child>);

impl Children {
    fn cpu(&self) -> Result<f64> {
        self.0.iter().try_fold(0.0, |sum, child| Ok(sum + machine::cpu_of(child.id())?))
    }

    fn memory(&self) -> Result<Memory> {
        self.0.iter().try_fold(Memory::default(), |sum, child| {
            let one = machine::memory_of(child.id())?;
            Ok(Memory {
                resident_kib: sum.resident_kib + one.resident_kib,
                proportional_kib: sum.proportional_kib + one.proportional_kib,
            })
        })
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // One that has ended is not there to be killed.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

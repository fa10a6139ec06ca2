//! What benches ask of the machine: its name, processes' CPU time and memory; and the peers' program. Knows nothing of Docker.
#![allow(dead_code, reason = "each bench asks for something else")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// CPU ticks a second, on every Linux.
const TICKS: f64 = 100.0;

/// The processor's name, where the kernel tells one.
pub(crate) fn cpu_model() -> io::Result<String> {
    let text = fs::read_to_string("/proc/cpuinfo")?;
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    Ok(model.map_or_else(|| env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned()))
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// User and kernel time of the children that have ended and were waited for, in seconds.
pub(crate) fn childrens_cpu() -> io::Result<f64> {
    seconds("/proc/self/stat", [13, 14])
}

/// User and kernel time of a process, in seconds.
pub(crate) fn cpu_of(process: u32) -> io::Result<f64> {
    seconds(&format!("/proc/{process}/stat"), [11, 12])
}

/// The sum of two of the fields behind the name of a process.
fn seconds(path: &str, fields: [usize; 2]) -> io::Result<f64> {
    let stat = fs::read_to_string(path)?;
    let behind: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = fields.iter().map(|n| behind.get(*n).and_then(|field| field.parse::<f64>().ok()));
    let sum = ticks.sum::<Option<f64>>().ok_or_else(|| io::Error::other(format!("no times in {path}")))?;
    Ok(sum / TICKS)
}

/// What a process holds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    /// Pages that it sees.
    pub(crate) resident_kib: u64,
    /// The same, each page divided by how many processes see it.
    pub(crate) proportional_kib: u64,
}

/// What a process holds now.
pub(crate) fn memory_of(process: u32) -> io::Result<Memory> {
    let path = format!("/proc/{process}/smaps_rollup");
    let text = fs::read_to_string(&path)?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.ok_or_else(|| io::Error::other(format!("no {name} in {path}")))
    };
    Ok(Memory { resident_kib: field("Rss:")?, proportional_kib: field("Pss:")? })
}

/// Where the peers' crate is.
pub(crate) fn peers_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers")
}

/// Builds the peers, into a directory of their own whatever the environment says, and says where the program is.
pub(crate) fn build_peers() -> Result<PathBuf, String> {
    let target = peers_dir().join("target");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--locked", "--manifest-path"]).arg(peers_dir().join("Cargo.toml"));
    cargo.arg("--target-dir").arg(&target).env_remove("CARGO_BUILD_TARGET");
    let status = cargo.status().map_err(|error| format!("cannot run cargo: {error}"))?;
    if !status.success() {
        return Err(format!("the peers were not built ({status}), so there is nothing to compare with"));
    }
    Ok(target.join("release/peers"))
}

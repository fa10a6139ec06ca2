//! `longshore stats`: what tasks use, as a table that is written anew with each sample, or as lines of JSON.
//!
//! Tasks that are started while it runs appear, those that end go; one that is started again has a new container, and its
//! history goes on.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use serde_json::Value;

use crate::driver::{ResourceUsage, TaskId};
use crate::runner::{AllocState, Found, Seen, look_at, short};
use crate::values::size;

use crate::cli::args::{Args, Stats};
use crate::cli::failure::Failure;
use crate::cli::output::table::table;
use crate::cli::session::{Known, Reached};
use crate::cli::{print_json_on, write};

const HEADINGS: [&str; 14] = [
    "ALLOC",
    "TASK",
    "CPU %",
    "TICKS",
    "THROTTLED",
    "RSS",
    "CACHE",
    "SWAP",
    "USAGE / LIMIT",
    "MEM %",
    "NET I/O",
    "BLOCK I/O",
    "PIDS",
    "CPU HISTORY",
];
/// How many samples the small graph shows.
const HISTORY: usize = 12;
/// The Engine needs a second for a sample, a busy one longer; a single one is waited for so long.
const PATIENCE: Duration = Duration::from_secs(15);
/// A table that is written more often cannot be read.
const LEAST: Duration = Duration::from_millis(100);
/// To the left and the top, and nothing after.
const HOME: &str = "\x1b[H\x1b[J";

/// A task that is watched.
struct Watched {
    container: String,
    samples: Receiver<ResourceUsage>,
    last: Option<ResourceUsage>,
    /// CPU in percent, oldest first.
    history: Vec<f64>,
}

pub(in crate::cli) fn stats(global: &Args, args: &Stats) -> Result<u8, Failure> {
    let mut known = Known::read(global)?;
    let wanted: Option<Vec<TaskId>> = match args.tasks.is_empty() {
        true => None,
        false => Some(known.find_all(&args.tasks)?.iter().map(|found| found.task.config.id.clone()).collect()),
    };
    let reached = known.reach(global)?;
    if let Some(ids) = &wanted {
        // A task that was named must be there.
        for found in known.tasks(true).filter(|found| ids.contains(&found.task.config.id)) {
            reached.attach(&known, &found)?;
        }
    }
    // A single sample is wanted at once.
    let pace = args.interval.max(LEAST);
    let interval = if args.no_stream { Duration::ZERO } else { pace };
    let mut watched = BTreeMap::new();
    let on_terminal = !args.json && !args.no_stream && io::stdout().is_terminal();
    loop {
        watch(&known, &reached, wanted.as_deref(), interval, &mut watched);
        let fresh = match args.no_stream {
            true => first_of_each(&mut watched),
            false => next(&mut watched, pace),
        };
        let tasks: Vec<Found<'_>> = known.tasks(true).collect();
        let is_read = match args.json {
            true => print_json_on(&lines(&tasks, &watched, &fresh))?,
            // Both at once: a terminal that is empty in between flickers.
            false => write(&format!("{}{}", if on_terminal { HOME } else { "" }, for_people(&tasks, &watched)))?,
        };
        if !is_read {
            return Ok(0);
        }
        if args.no_stream && fresh.len() < watched.len() {
            let silent = watched.keys().filter(|id| !fresh.contains(id)).count();
            return Err(Failure::new(
                "stats",
                format!("no sample came of {silent} of {} tasks that run", watched.len()),
            ));
        }
        let all_ended = wanted.as_ref().is_some_and(|_| watched.is_empty());
        if args.no_stream || all_ended {
            return Ok(0);
        }
        known.refresh();
    }
}

/// Watches what runs and is not watched yet, and forgets what does not run any more.
fn watch(
    known: &Known,
    reached: &Reached,
    wanted: Option<&[TaskId]>,
    interval: Duration,
    watched: &mut BTreeMap<TaskId, Watched>,
) {
    for found in known.tasks(wanted.is_some()) {
        let id = &found.task.config.id;
        if wanted.is_some_and(|ids| !ids.contains(id)) {
            continue;
        }
        let container = found.task.handle.as_ref().map(|handle| handle.container_id.as_str());
        if watched.get(id).is_some_and(|task| Some(task.container.as_str()) == container) {
            continue;
        }
        let runs = look_at(&reached.site(known), &found);
        let Ok(Seen::Container(inspect)) = runs else { continue };
        if !inspect.state.is_running() || reached.attach(known, &found).is_err() {
            continue;
        }
        match reached.driver.task_stats(id, interval) {
            Ok(samples) => {
                let history = watched.remove(id).map(|task| task.history).unwrap_or_default();
                watched.insert(id.clone(), Watched { container: inspect.id.clone(), samples, last: None, history });
            }
            Err(error) => log::warn!("task {id}: {error}"),
        }
    }
}

/// A sample of each task. One that ends meanwhile has none.
fn first_of_each(watched: &mut BTreeMap<TaskId, Watched>) -> Vec<TaskId> {
    let deadline = Instant::now() + PATIENCE;
    let mut fresh = Vec::new();
    for (id, task) in watched {
        if let Ok(usage) = task.samples.recv_deadline(deadline) {
            task.take(usage);
            fresh.push(id.clone());
        }
    }
    fresh
}

/// What has come of the tasks once the interval is over. Tasks that have ended are forgotten.
fn next(watched: &mut BTreeMap<TaskId, Watched>, interval: Duration) -> Vec<TaskId> {
    let deadline = Instant::now() + interval;
    let mut fresh = Vec::new();
    watched.retain(|id, task| match task.samples.recv_deadline(deadline) {
        Ok(usage) => {
            task.take(usage);
            fresh.push(id.clone());
            true
        }
        Err(RecvTimeoutError::Timeout) => true,
        Err(RecvTimeoutError::Disconnected) => false,
    });
    // Where all have ended, or come early, the pace stays.
    std::thread::sleep(deadline.saturating_duration_since(Instant::now()));
    fresh
}

impl Watched {
    fn take(&mut self, usage: ResourceUsage) {
        self.history.push(usage.cpu_stats.percent);
        let over = self.history.len().saturating_sub(HISTORY);
        self.history.drain(..over);
        self.last = Some(usage);
    }
}

fn for_people(tasks: &[Found<'_>], watched: &BTreeMap<TaskId, Watched>) -> String {
    let rows: Vec<Vec<String>> = tasks
        .iter()
        .filter_map(|found| Some((found, watched.get(&found.task.config.id)?)))
        .map(|(found, task)| row(found.alloc, &found.task.config.name, task.last.as_ref(), &task.history))
        .collect();
    table(&HEADINGS, &rows)
}

fn row(alloc: &AllocState, name: &str, usage: Option<&ResourceUsage>, history: &[f64]) -> Vec<String> {
    let mut row = vec![short(&alloc.alloc_id).to_owned(), name.to_owned()];
    let Some(usage) = usage else {
        row.extend(std::iter::repeat_n("--".to_owned(), 11));
        return row;
    };
    let (memory, cpu) = (&usage.memory_stats, &usage.cpu_stats);
    let (net, block) = (&usage.network_stats, &usage.blkio_stats);
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let share = if memory.limit == 0 { 0.0 } else { memory.usage as f64 / memory.limit as f64 * 100.0 };
    row.extend([
        format!("{:.2}%", cpu.percent),
        format!("{:.0} MHz", cpu.total_ticks),
        format!("{} ({:.1}s)", cpu.throttled_periods, Duration::from_nanos(cpu.throttled_time).as_secs_f64()),
        size::binary(memory.rss),
        size::binary(memory.cache),
        size::binary(memory.swap),
        format!("{} / {}", size::binary(memory.usage), size::binary(memory.limit)),
        format!("{share:.2}%"),
        format!("{} / {}", size::decimal(net.rx_bytes), size::decimal(net.tx_bytes)),
        format!("{} / {}", size::decimal(block.read_bytes), size::decimal(block.write_bytes)),
        usage.pids.to_string(),
        graph(history),
    ]);
    row
}

/// A bar per sample, the highest of all as high as can be; one percent is the least that a full bar means.
fn graph(history: &[f64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = history.iter().copied().fold(1.0, f64::max);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 7")]
    history.iter().map(|value| BARS[((value / most * 7.0).round() as usize).min(7)]).collect()
}

/// An object a line for each sample that is new.
fn lines(tasks: &[Found<'_>], watched: &BTreeMap<TaskId, Watched>, fresh: &[TaskId]) -> String {
    let mut text = String::new();
    for found in tasks.iter().filter(|found| fresh.contains(&found.task.config.id)) {
        let config = &found.task.config;
        let Some(task) = watched.get(&config.id) else { continue };
        // Text and numbers only: there is nothing in it that JSON could not say.
        let mut object = serde_json::to_value(&task.last).unwrap_or_default();
        for (key, value) in [
            ("alloc_id", config.alloc_id.as_str()),
            ("task_name", &config.name),
            ("task_id", config.id.as_str()),
            ("container_id", &task.container),
        ] {
            object[key] = Value::from(value);
        }
        text.push_str(&format!("{object}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graphs() {
        for (history, want) in
            [(&[][..], ""), (&[0.0, 0.0], "▁▁"), (&[0.0, 50.0, 100.0], "▁▅█"), (&[200.0, 100.0], "█▅"), (&[0.5], "▅")]
        {
            assert_eq!(graph(history), want, "{history:?}");
        }
    }

    #[test]
    fn the_history_is_bounded() {
        let (_to, samples) = crossbeam_channel::bounded(1);
        let mut task = Watched { container: String::new(), samples, last: None, history: Vec::new() };
        for _ in 0..100 {
            task.take(ResourceUsage::default());
        }
        assert_eq!(task.history.len(), HISTORY);
    }
}

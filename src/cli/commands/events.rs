//! `longshore events`: what happens to tasks, as their owners write it down. The Engine is not asked: the files are read, and
//! new allocations looked for, at a steady pace.

use std::collections::BTreeMap;
use std::io;

use serde_json::Value;

use crate::runner::{AllocState, Follower};
use crate::threads::{Hangup, POLL_INTERVAL};

use crate::cli::args::{Args, Events};
use crate::cli::failure::Failure;
use crate::cli::output::reader::Reader;
use crate::cli::output::told;
use crate::cli::session::Known;
use crate::cli::{print_json_on, print_on};

/// Once in so many looks, new allocations are looked for.
const RESCAN: u32 = 5;

pub(in crate::cli) fn events(global: &Args, args: &Events) -> Result<u8, Failure> {
    let known = Known::read(global)?;
    // What a task is called may change its meaning later: it is the task that is meant now.
    let wanted = Wanted(match args.tasks.is_empty() {
        true => None,
        false => Some(known.find_all(&args.tasks)?.iter().map(|found| found.task.config.id.to_string()).collect()),
    });
    let mut followed: BTreeMap<String, Follower> = BTreeMap::new();
    for alloc in known.states.iter().filter(|alloc| !alloc.ended || wanted.has(alloc)) {
        let follower =
            Follower::from_now(&known.data.alloc(&alloc.alloc_id)).map_err(|error| unreadable(alloc, &error))?;
        followed.insert(alloc.alloc_id.clone(), follower);
    }
    let left = Hangup::new();
    let _reader = Reader::of_standard_output(&left);
    for look in 1u32.. {
        for (alloc_id, follower) in &mut followed {
            let lines = follower.lines().unwrap_or_else(|error| {
                log::warn!("events of allocation {alloc_id}: {error}");
                Vec::new()
            });
            for line in lines {
                let Some(text) = wanted.shown(&line, args.json) else { continue };
                let print_on = if args.json { print_json_on } else { print_on };
                if !print_on(&format!("{text}\n"))? {
                    return Ok(0);
                }
            }
        }
        // There is nothing to wait on but the time; whoever has seen enough ends the program, or leaves.
        if !left.sleep(POLL_INTERVAL) {
            return Ok(0);
        }
        if wanted.0.is_none() && look % RESCAN == 0 {
            for head in known.store.heads().unwrap_or_default().into_iter().filter(|head| !head.ended) {
                let begin = || Follower::from_start(&known.data.alloc(&head.alloc_id));
                followed.entry(head.alloc_id.clone()).or_insert_with(begin);
            }
        }
    }
    Ok(0)
}

/// The tasks whose events are shown, by id. `None`: all.
struct Wanted(Option<Vec<String>>);

impl Wanted {
    fn has(&self, alloc: &AllocState) -> bool {
        self.0
            .as_ref()
            .is_some_and(|ids| alloc.tasks.iter().any(|task| ids.iter().any(|id| id == task.config.id.as_str())))
    }

    /// A line as it is shown. `None`: it is another task's, or damaged.
    fn shown(&self, line: &str, json: bool) -> Option<String> {
        let event: Value = serde_json::from_str(line).ok()?;
        let is_wanted = self.0.as_ref().is_none_or(|ids| ids.iter().any(|id| event["task_id"] == id.as_str()));
        is_wanted.then(|| if json { line.to_owned() } else { told::line(&event) })
    }
}

fn unreadable(alloc: &AllocState, error: &io::Error) -> Failure {
    Failure::new("io", format!("cannot read the events of allocation {}: {error}", alloc.alloc_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_events() {
        let line = r#"{"time":"T","task_id":"a/t/1","task_name":"t","alloc_id":"a","event":"detached"}"#;
        for (row, wanted, line, json, want) in [
            ("all", None, line, false, Some("T  a/t  runs on without an owner")),
            ("as it is", None, line, true, Some(line)),
            ("this task's", Some(vec!["b/x/2", "a/t/1"]), line, true, Some(line)),
            ("another's", Some(vec!["a/t/2"]), line, true, None),
            ("half a line", None, "{\"time\"", true, None),
        ] {
            let wanted = Wanted(wanted.map(|ids| ids.into_iter().map(str::to_owned).collect()));
            assert_eq!(wanted.shown(line, json).as_deref(), want, "{row}");
        }
    }
}

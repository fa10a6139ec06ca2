//! How the output of several tasks is told apart: what each is called, and in which colour. Pure but for the question
//! whether a stream is a terminal.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};

use crate::driver::TaskId;
use crate::runner::Allocation;
use crate::values::printable;

use crate::cli::args::Color;

/// The colours of tasks, in turn: none that is hard to read on either ground.
const COLOURS: [u8; 6] = [36, 33, 32, 35, 34, 31];

/// How output looks.
#[derive(Debug)]
pub(in crate::cli) struct Look {
    /// Whether each line begins with its time.
    pub(in crate::cli) timestamps: bool,
    tasks: BTreeMap<TaskId, Label>,
}

/// How one task's lines look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::cli) struct Label {
    /// What the task is called; as its name, unless another has the same.
    pub(in crate::cli) name: String,
    /// What its lines begin with, per stream; empty where it runs alone.
    pub(in crate::cli) prefix: [String; 2],
}

impl Look {
    pub(in crate::cli) fn new(color: Color, timestamps: bool, allocs: &[Allocation]) -> Self {
        let colour = |is_terminal: bool| match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        let colours = [colour(io::stdout().is_terminal()), colour(io::stderr().is_terminal())];
        let tasks = allocs.iter().flat_map(|alloc| alloc.tasks.iter().map(move |task| (alloc, &task.config)));
        let several_jobs = allocs.iter().any(|alloc| alloc.job_id != allocs[0].job_id);
        let group = |alloc: &Allocation| match several_jobs {
            true => format!("{}/{}", alloc.job_id, alloc.group),
            false => alloc.group.clone(),
        };
        let (ids, places): (Vec<_>, Vec<_>) =
            tasks.map(|(alloc, task)| (task.id.clone(), (group(alloc), task.name.as_str(), alloc.index))).unzip();
        let names: Vec<_> = places.iter().map(|(group, name, index)| (group.as_str(), *name, *index)).collect();
        Self { timestamps, tasks: ids.into_iter().zip(labels(&names, colours)).collect() }
    }

    /// How a task's lines look.
    pub(in crate::cli) fn of(&self, task: &TaskId) -> Label {
        self.tasks.get(task).cloned().unwrap_or_default()
    }
}

/// Labels of tasks by group, name and index of the allocation. A name that several have says which of them is meant:
/// with the group where groups share it, with the index where a group has several allocations.
fn labels(tasks: &[(&str, &str, u32)], colours: [bool; 2]) -> Vec<Label> {
    let name = |&(group, name, index): &(&str, &str, u32)| {
        let same = || tasks.iter().filter(move |other| other.1 == name);
        let mut label = name.to_owned();
        if same().any(|other| other.0 != group) {
            label = format!("{group}/{label}");
        }
        if same().any(|other| other.0 == group && other.2 != index) {
            label = format!("{label}[{index}]");
        }
        label
    };
    let names: Vec<String> = tasks.iter().map(name).map(|name| printable(&name).into_owned()).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let alone = names.len() < 2;
    let label = |(number, name): (usize, String)| {
        let prefix = colours.map(|colour| match colour {
            _ if alone => String::new(),
            true => format!("\x1b[{}m{name:width$} │\x1b[0m ", COLOURS[number % COLOURS.len()]),
            false => format!("{name:width$} │ "),
        });
        Label { name, prefix }
    };
    names.into_iter().enumerate().map(label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (row, tasks, want) in [
            ("one alone", &[("g", "web", 0)][..], &["web"][..]),
            ("several", &[("g", "web", 0), ("g", "db", 0)], &["web", "db"]),
            ("a count", &[("g", "web", 0), ("g", "web", 1)], &["web[0]", "web[1]"]),
            ("two groups", &[("g", "web", 0), ("h", "web", 0), ("h", "db", 0)], &["g/web", "h/web", "db"]),
            ("from a state that somebody wrote", &[("g", "a\u{9b}2J\nb", 0)], &["a\\u{9b}2J\\nb"]),
            ("both", &[("g", "web", 0), ("h", "web", 0), ("h", "web", 1)], &["g/web", "h/web[0]", "h/web[1]"]),
        ] {
            let names: Vec<String> = labels(tasks, [false; 2]).into_iter().map(|label| label.name).collect();
            assert_eq!(names, want, "{row}");
        }
    }

    #[test]
    fn prefixes() {
        assert_eq!(labels(&[("g", "a", 0)], [true; 2])[0].prefix, ["", ""], "one task alone has none");
        let two = labels(&[("g", "web", 0), ("g", "x", 0)], [false, true]);
        assert_eq!(two[0].prefix, ["web │ ", "\x1b[36mweb │\x1b[0m "]);
        assert_eq!(two[1].prefix, ["x   │ ", "\x1b[33mx   │\x1b[0m "]);
    }
}

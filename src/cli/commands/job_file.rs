//! A job file on its way to what runs: read, parsed, placed, its options checked, each problem at its place.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::driver::options;
use crate::files;
use crate::job::{self, Job, Problem};
use crate::runner::{DataDir, Machine, Placement, Selection, place};

use crate::cli::args::JobArgs;
use crate::cli::failure::Failure;

/// A job file that was read.
pub(in crate::cli) struct JobFile {
    pub(in crate::cli) job: Job,
    /// Where it is: paths in it may be relative to that.
    pub(in crate::cli) folder: PathBuf,
}

/// Why there is no job.
pub(in crate::cli) enum Refused {
    /// The file cannot be read.
    Unreadable(Failure),
    /// What it says is wrong.
    Problems(Vec<Problem>),
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unreadable(failure) => failure,
            Refused::Problems(problems) => Self::problems(&problems),
        }
    }
}

/// Reads and parses a job file; `-` is standard input.
pub(in crate::cli) fn read(file: &str) -> Result<JobFile, Refused> {
    let (name, folder) = match file {
        "-" => ("standard input", PathBuf::from(".")),
        path => (path, Path::new(path).parent().unwrap_or(Path::new("")).to_owned()),
    };
    let unreadable = |error: io::Error| {
        let way_out = match error.kind() {
            io::ErrorKind::InvalidInput => "; what comes by a pipe is read as `-`",
            _ => "",
        };
        Refused::Unreadable(Failure::new("job_file", format!("cannot read {name}: {error}{way_out}")))
    };
    let mut bytes = Vec::new();
    // One byte more than is allowed is enough to be told so.
    let limit = job::LARGEST as u64 + 1;
    let read = match file {
        "-" => io::stdin().lock().take(limit).read_to_end(&mut bytes),
        path => files::open_regular(Path::new(path), OpenOptions::new().read(true))
            .and_then(|file| file.take(limit).read_to_end(&mut bytes)),
    };
    read.map_err(unreadable)?;
    let job = job::parse_bytes(name, &bytes).map_err(Refused::Problems)?;
    Ok(JobFile { job, folder })
}

impl JobFile {
    /// Places what `args` choose of the job.
    pub(in crate::cli) fn place(
        &self,
        args: &JobArgs,
        machine: &Machine,
        data: &DataDir,
        new_id: &mut dyn FnMut(&str, u32) -> io::Result<String>,
    ) -> Result<Placement, Failure> {
        let selection =
            Selection { groups: args.group.clone(), tasks: args.task.clone(), alloc_id: args.alloc_id.clone() };
        let placement = place(&self.job, &selection, machine, data, new_id)?;
        let problems = self.option_problems(&placement);
        if problems.is_empty() { Ok(placement) } else { Err(Failure::problems(&problems)) }
    }

    /// What is wrong with the options of placed tasks, each once: every allocation of a group would say the same.
    pub(in crate::cli) fn option_problems(&self, placement: &Placement) -> Vec<Problem> {
        let mut problems: Vec<Problem> = Vec::new();
        for placed in placement.allocs.iter().flat_map(|alloc| &alloc.tasks) {
            let (group, task) = placed.order;
            let positions = &self.job.groups[group].tasks[task].positions;
            for problem in options::decode(&placed.config.options).err().into_iter().flatten() {
                let problem = positions.problem(&problem.path, problem.to_string());
                if !problems.contains(&problem) {
                    problems.push(problem);
                }
            }
        }
        problems.sort();
        problems
    }

    /// What the file says that has no effect here, and what a placement adds to it.
    pub(in crate::cli) fn notices(&self, placement: &Placement) -> Vec<String> {
        self.job.notices.iter().map(Problem::to_string).chain(placement.notices.iter().cloned()).collect()
    }
}

//! `longshore validate`: what is wrong with a job file, without an Engine.

use crate::driver::create::{self, Facts};
use crate::driver::{DriverConfig, Host, options};
use crate::job::Problem;
use crate::runner::{DataDir, Machine, Selection, chain, place, uuid_of};
use crate::values::printable;

use crate::cli::args::{Args, Validate};
use crate::cli::commands::job_file;
use crate::cli::failure::Failure;
use crate::cli::{eprint, print};

/// What `validate` says of a file that it refuses.
const REFUSED: u8 = 1;

pub(in crate::cli) fn validate(_: &Args, args: &Validate) -> Result<u8, Failure> {
    match problems(&args.file) {
        Ok(notices) => {
            for notice in notices {
                eprint(&notice);
            }
            print(&format!("{}: valid\n", printable(&args.file)))?;
            Ok(0)
        }
        Err(lines) => {
            for line in lines {
                eprint(&line);
            }
            Ok(REFUSED)
        }
    }
}

/// The notices of a file that is valid; else its problems.
fn problems(file: &str) -> Result<Vec<String>, Vec<String>> {
    let lines = |problems: Vec<Problem>| problems.iter().map(Problem::to_string).collect::<Vec<_>>();
    let read = job_file::read(file).map_err(|refused| match refused {
        job_file::Refused::Unreadable(failure) => failure.lines,
        job_file::Refused::Problems(problems) => lines(problems),
    })?;
    // Where it will run is not known here, and does not matter.
    let data = DataDir::new("/").map_err(|error| vec![chain(&error)])?;
    let host = Host::of_this_machine();
    let facts = Facts::new(host.clone());
    let mut new_id = |group: &str, index: u32| Ok(uuid_of(&[&read.job.id, group, &index.to_string()]));
    let placement = place(&read.job, &Selection::default(), &Machine::of(host, ""), &data, &mut new_id)
        .map_err(|error| vec![format!("{file}: {}", chain(&error))])?;
    let mut found = lines(read.option_problems(&placement));
    for task in placement.allocs.iter().flat_map(|alloc| &alloc.tasks) {
        let Ok(options) = options::decode(&task.config.options) else { continue };
        if let Err(error) = create::build(&task.config, &options, &DriverConfig::default(), &facts) {
            let (group, number) = task.order;
            let positions = &read.job.groups[group].tasks[number].positions;
            let line = positions.problem("", format!("task `{}`: {}", task.config.name, chain(&error))).to_string();
            if !found.contains(&line) {
                found.push(line);
            }
        }
    }
    if found.is_empty() { Ok(read.notices(&placement)) } else { Err(found) }
}

//! `longshore stop` and `longshore destroy`: tasks that this process need not own. Each task has a thread, for each may take
//! its whole grace.

use std::thread;

use crate::runner::{Error, FAILED, Found, Outside};
use crate::values::printable;

use crate::cli::args::{Args, Destroy, Stop};
use crate::cli::failure::Failure;
use crate::cli::session::Known;
use crate::cli::{print, report};

pub(in crate::cli) fn stop(global: &Args, args: &Stop) -> Result<u8, Failure> {
    each(global, &args.tasks, |outside, found| outside.stop(found, args.signal, args.timeout))
}

pub(in crate::cli) fn destroy(global: &Args, args: &Destroy) -> Result<u8, Failure> {
    each(global, &args.tasks, |outside, found| outside.destroy(found, args.force))
}

/// Does it with each task at once, and says with which it was done.
fn each(
    global: &Args,
    names: &[String],
    act: impl Fn(&Outside<'_>, &Found<'_>) -> Result<(), Error> + Sync,
) -> Result<u8, Failure> {
    let known = Known::read(global)?;
    let tasks = known.find_all(names)?;
    let reached = known.reach(global)?;
    let outside = reached.outside(&known);
    let done = thread::scope(|scope| {
        let threads: Vec<_> = tasks.iter().map(|found| scope.spawn(|| act(&outside, found))).collect();
        threads.into_iter().map(thread::ScopedJoinHandle::join).collect::<Vec<_>>()
    });
    let mut code = 0;
    for (found, done) in tasks.iter().zip(done) {
        match done {
            Ok(Ok(())) => print(&format!("{}\n", printable(&found.name())))?,
            Ok(Err(error)) => code = report(&Failure::from(error), false),
            // It has told its words.
            Err(_) => code = FAILED,
        }
    }
    Ok(code)
}

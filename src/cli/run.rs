//! `longshore run`: a job from its file to its exit code.

use crate::driver::{Driver, DriverConfig, Host};
use crate::engine::Engine;
use crate::http::Endpoint;
use crate::runner::{FAILED, Machine, Runner, Site, Stop, Watcher, begin, exit_code, random_uuid};

use super::args::{Args, Run};
use super::failure::Failure;
use super::faults::Faults;
use super::json::Json;
use super::look::Look;
use super::signals::{FORCED, Listener};
use super::terminal::Terminal;
use super::{context, eprint, job_file};

pub(super) fn run(global: &Args, args: &Run) -> Result<u8, Failure> {
    let file = job_file::read(&args.job.file)?;
    let data = context::data_dir(global)?;
    let instance = data.instance()?;
    let engine = context::silent_engine(global)?;
    let machine = Machine::of(machine(&engine), &instance);
    let mut placement = file.place(&args.job, &machine, &data, &mut |_, _| random_uuid())?;
    for notice in file.notices(&placement) {
        eprint(&format!("longshore: {notice}"));
    }
    context::check(&engine)?;
    let engine_id = context::engine_id(&engine)?;

    // From here on a signal must find somebody who listens.
    let stop = Stop::new();
    let signals = Listener::new(stop.clone())
        .map_err(|error| Failure::new("signals", format!("cannot listen for signals: {error}")))?;
    let site = Site { engine: &engine, engine_id: &engine_id, data: &data };
    let (owned, notices) = begin(&site, &placement.allocs, args.keep)?;
    for notice in notices {
        eprint(&format!("longshore: {notice}"));
    }
    for alloc in &mut placement.allocs {
        alloc.find_archives(&file.folder);
    }

    let look = Look::new(global.color, args.timestamps, &placement.allocs);
    let faults = Faults::new(stop.clone());
    let watcher: Box<dyn Watcher> = match args.json {
        true => Box::new(Json::new(faults.clone())),
        false => Box::new(Terminal::new(look, faults.clone())),
    };
    let driver = Driver::new(engine, DriverConfig { instance, ..DriverConfig::default() });
    let runner = Runner { driver: &driver, watcher: watcher.as_ref(), stop: &stop };
    let outcomes = runner.run(&placement.allocs, owned);
    driver.shutdown();
    Ok(match exit_code(&outcomes) {
        _ if signals.forced() => FORCED,
        0 if faults.lost() => FAILED,
        code => code,
    })
}

/// The machine that a job is planned for: this one, or the one that a recording was made on.
fn machine(engine: &Engine) -> Host {
    match engine.endpoint() {
        Endpoint::Replay(_) => engine.host(),
        _ => Host::of_this_machine(),
    }
}

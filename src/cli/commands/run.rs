//! `longshore run`: a job from its file to its exit code.

use std::time::Instant;

use crate::driver::Host;
use crate::engine::Engine;
use crate::http::Endpoint;
use crate::runner::{Begun, Machine, Site, Stop, begin, begin_or_take_up, random_uuid};

use crate::cli::args::{Args, Run};
use crate::cli::commands::job_file;
use crate::cli::commands::supervise::Supervisor;
use crate::cli::failure::Failure;
use crate::cli::signals::Listener;
use crate::cli::{context, eprint};

pub(in crate::cli) fn run(global: &Args, args: &Run) -> Result<u8, Failure> {
    let file = job_file::read(&args.job.file)?;
    let data = context::data_dir(global)?;
    let instance = data.instance()?;
    context::check_content_trust()?;
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
    // What is asked before the first start ends with the first Ctrl-C.
    let asks = engine.with(stop.starts());
    let site = Site { engine: &asks, engine_id: &engine_id, data: &data };
    let deadline = args.wait_timeout.map(|timeout| Instant::now().checked_add(timeout));
    for alloc in &mut placement.allocs {
        // Before its state is written: what is started again needs them, too.
        alloc.find_archives(&file.folder);
    }
    let Begun { allocs, owned, notices } = if args.recover {
        begin_or_take_up(&site, placement.allocs, args.keep)?
    } else {
        let (owned, notices) = begin(&site, &placement.allocs, args.keep)?;
        Begun { allocs: placement.allocs, owned, notices }
    };
    for notice in notices {
        eprint(&format!("longshore: {notice}"));
    }
    let supervisor = Supervisor {
        engine: engine.clone(),
        config: context::driver_config(&data, &engine, &engine_id, instance),
        stop,
        signals: &signals,
        color: global.color,
        timestamps: args.timestamps,
        json: args.json,
    };
    match args.detach {
        true => supervisor.detach(&allocs, owned, args.wait.then_some(deadline.flatten())),
        false => Ok(supervisor.run(&allocs, owned)),
    }
}

/// The machine that a job is planned for: this one, or the one that a recording was made on.
fn machine(engine: &Engine) -> Host {
    match engine.endpoint() {
        Endpoint::Replay(_) => engine.host(),
        _ => Host::of_this_machine(),
    }
}

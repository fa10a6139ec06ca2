//! `longshore recover`: allocations without an owner get one again, and are run to their end.

use crate::runner::{Error, FAILED, Stop, chain, find_alloc, take_up};

use crate::cli::args::{Args, Recover};
use crate::cli::commands::supervise::Supervisor;
use crate::cli::failure::Failure;
use crate::cli::session::Known;
use crate::cli::signals::Listener;
use crate::cli::{context, eprint};

pub(in crate::cli) fn recover(global: &Args, args: &Recover) -> Result<u8, Failure> {
    let known = Known::read(global)?;
    let mut ids: Vec<&str> = Vec::new();
    if args.all {
        ids.extend(known.states.iter().filter(|alloc| !alloc.ended).map(|alloc| alloc.alloc_id.as_str()));
    }
    for name in &args.tasks {
        let id = find_alloc(&known.states, name)?.alloc_id.as_str();
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let incomplete = if known.incomplete { FAILED } else { 0 };
    if ids.is_empty() {
        eprint("longshore: there is nothing to take up");
        return Ok(incomplete);
    }
    // What is started again may need its image.
    context::check_content_trust()?;
    let reached = known.reach(global)?;
    // From here on a signal must find somebody who listens.
    let stop = Stop::new();
    let signals = Listener::new(stop.clone())
        .map_err(|error| Failure::new("signals", format!("cannot listen for signals: {error}")))?;
    let (mut allocs, mut owned) = (Vec::new(), Vec::new());
    for id in ids {
        match take_up(&reached.site(&known), id) {
            Ok((alloc, own)) => {
                allocs.push(alloc);
                owned.push(own);
            }
            // Of all there are: those that are looked after, and those that are not ours to look after, are no failure.
            Err(error @ (Error::Owned { .. } | Error::Elsewhere { .. })) if args.all => {
                eprint(&format!("longshore: left as it is: {}", chain(&error)));
            }
            Err(Error::HasEnded { .. }) if args.all => {}
            Err(error) => return Err(error.into()),
        }
    }
    let instance = known.data.instance()?;
    let supervisor = Supervisor {
        engine: reached.engine.clone(),
        config: context::driver_config(&known.data, &reached.engine, &reached.engine_id, instance),
        stop,
        signals: &signals,
        color: global.color,
        timestamps: args.timestamps,
        json: args.json,
    };
    Ok(match supervisor.run(&allocs, owned) {
        0 => incomplete,
        code => code,
    })
}

//! `longshore record`: a proxy before the Engine that records every Docker client that goes through it.

use std::fs;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::http::Endpoint;
use crate::replay::Recording;

use super::args::{Args, Record};
use super::failure::Failure;
use super::{context, eprint};

pub(super) fn record(global: &Args, args: &Record) -> Result<u8, Failure> {
    let at = listening_at(&args.listen)?;
    let endpoint = context::endpoint(global)?;
    if matches!(endpoint, Endpoint::Replay(_)) {
        return Err(Failure::usage("a recording of a recording is itself: name an Engine with -H".into()));
    }
    if let (Endpoint::Unix(a), Endpoint::Unix(b)) = (&at, &endpoint)
        && fs::canonicalize(a).ok().is_some_and(|a| fs::canonicalize(b).is_ok_and(|b| a == b))
    {
        return Err(Failure::usage(format!("--listen {at} is where the Engine is")));
    }
    // Before anybody can connect: from here on a signal ends the recording, and not the program.
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])
        .map_err(|error| Failure::new("signals", format!("cannot listen for signals: {error}")))?;
    let recording = Recording::of(endpoint.clone(), &args.out, &args.redact)?;
    let at = recording.listen(&at)?;
    eprint(&format!(
        "longshore: recording {endpoint} into {}: use DOCKER_HOST={at}; Ctrl-C or SIGTERM writes the file",
        args.out.display()
    ));
    signals.forever().next();
    let recorded = recording.finish()?;
    let beside = match recorded.not_understood {
        0 => String::new(),
        n => format!("; on {n} of them something passed that is no HTTP, and was not recorded further"),
    };
    eprint(&format!(
        "longshore: {}: {} requests on {} connections{beside}",
        args.out.display(),
        recorded.requests,
        recorded.connections
    ));
    Ok(0)
}

/// Where to listen: a Unix socket, or a port, 0 for one that is free.
pub(super) fn listening_at(text: &str) -> Result<Endpoint, Failure> {
    let wrong = |why: &dyn std::fmt::Display| Failure::usage(format!("--listen: {why}"));
    // No Engine is at port 0, and so no address of one has it.
    let (text, any) = match text.strip_suffix(":0") {
        Some(host) => (format!("{host}:1"), true),
        None => (text.into(), false),
    };
    match text.parse::<Endpoint>().map_err(|e| wrong(&e))? {
        Endpoint::Tcp { host, port } => Ok(Endpoint::Tcp { host, port: if any { 0 } else { port } }),
        Endpoint::Unix(path) => Ok(Endpoint::Unix(path)),
        other => Err(wrong(&format!("{other}: a Unix socket (unix://PATH) or a port (tcp://HOST:PORT)"))),
    }
}

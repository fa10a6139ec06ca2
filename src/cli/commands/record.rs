//! `longshore record`: a proxy before the Engine that records every Docker client that goes through it.

use std::fs;
use std::net::ToSocketAddrs;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::http::Endpoint;
use crate::replay::Recording;

use crate::cli::args::{Args, Record};
use crate::cli::failure::Failure;
use crate::cli::{context, eprint};

pub(in crate::cli) fn record(global: &Args, args: &Record) -> Result<u8, Failure> {
    let at = listening_at(&args.listen)?;
    let opens = is_network(&at);
    if opens && !args.allow_network {
        return Err(Failure::usage(format!(
            "--listen {}: whoever reaches that port may do anything on the Engine's machine; --allow-network allows it",
            args.listen
        )));
    }
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
    if opens {
        eprint(&format!(
            "longshore: {at} opens the Engine at {endpoint} to the network: whoever reaches it may do anything there, unasked"
        ));
    }
    signals.forever().next();
    let recorded = recording.finish()?;
    let beside = match recorded.not_understood {
        0 => String::new(),
        n => format!("; on {n} of them something passed that is no HTTP, and was not recorded further"),
    };
    let left_out = match recorded.left_out {
        0 => String::new(),
        n => format!("; {n} more are left out: no player would read them"),
    };
    eprint(&format!(
        "longshore: {}: {} requests on {} connections{beside}{left_out}",
        args.out.display(),
        recorded.requests,
        recorded.connections
    ));
    Ok(0)
}

/// Whether other machines may reach what listens there. A name that cannot be resolved may be any.
fn is_network(at: &Endpoint) -> bool {
    let Endpoint::Tcp { host, port } = at else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (host, *port)
        .to_socket_addrs()
        .map_or(true, |mut addresses| !addresses.all(|a| a.ip().to_canonical().is_loopback()))
}

/// Where to listen: a Unix socket, or a port, 0 for one that is free.
pub(in crate::cli) fn listening_at(text: &str) -> Result<Endpoint, Failure> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_machines_may_reach() {
        for (listen, network) in [
            ("unix:///tmp/x.sock", false),
            ("tcp://127.0.0.1:0", false),
            ("tcp://127.8.0.1:1", false),
            ("tcp://localhost:1", false),
            ("tcp://[::1]:1", false),
            ("tcp://0.0.0.0:0", true),
            ("tcp://[::]:1", true),
            ("tcp://10.0.0.1:1", true),
            ("tcp://no-such-name.invalid:1", true),
        ] {
            let at = listening_at(listen).unwrap_or_else(|e| panic!("{listen}: {:?}", e.lines));
            assert_eq!(is_network(&at), network, "{listen}");
        }
    }
}

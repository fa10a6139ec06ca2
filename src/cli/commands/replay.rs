//! `longshore replay`: a recording serves as an Engine, for any Docker client.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::replay::{Cassette, Fault, PlayOptions, Player};

use crate::cli::args::{Args, Replay};
use crate::cli::commands::record::listening_at;
use crate::cli::failure::Failure;
use crate::cli::{Level, eprint};

pub(in crate::cli) fn replay(_: &Args, args: &Replay) -> Result<u8, Failure> {
    let at = listening_at(&args.listen)?;
    let faults = args.fault.iter().map(|fault| fault.parse::<Fault>());
    let faults = faults.collect::<Result<_, _>>().map_err(|error| Failure::usage(format!("--fault: {error}")))?;
    if args.speed.is_some_and(|speed| !speed.is_finite() || speed <= 0.0) {
        return Err(Failure::usage("--speed: expected a number above 0".into()));
    }
    let cassette = Cassette::read(&args.file)?;
    for skipped in cassette.skipped() {
        log::log!(Level::Info, "{}: {skipped}", args.file.display());
    }
    let player = Player::of(&cassette, PlayOptions { speed: args.speed, faults })?;
    drop(cassette);
    // Who plays by hand, or runs tests against one that stands by, comes more than once.
    player.repeat();
    // Not before: a file that is slow to read is given up as any other program's would be.
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])
        .map_err(|error| Failure::new("signals", format!("cannot listen for signals: {error}")))?;
    let at = player.listen(&at)?;
    eprint(&format!(
        "longshore: playing {} ({}): use DOCKER_HOST={at}; Ctrl-C or SIGTERM ends it",
        args.file.display(),
        player.about()
    ));
    signals.forever().next();
    let misses = player.misses().len();
    if misses > 0 {
        eprint(&format!("longshore: {misses} requests were not recorded, and answered 501"));
    }
    Ok(0)
}

//! Where output comes from: a container, and what its Engine keeps of it. By that it is known how far an answer can be trusted.

use std::time::Duration;

use crate::engine::Engine;
use crate::engine::types::{ContainerInspect, LogConfig};
use crate::http::Endpoint;
use crate::logs::record::tty::Cuts;
use crate::values::size;

/// When Docker's driver `local` rotates where nothing is said, in bytes.
const LOCAL_SIZE: u64 = 20 * 1024 * 1024;

/// An Engine's log file that a burst of a task fills within milliseconds, in bytes. To read so little is quick.
const SMALL_FILE: u64 = 256 * 1024;

/// What the Engine keeps of a container's output.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Whether it has a terminal.
    pub(crate) tty: bool,
    /// Its log driver.
    pub(crate) log_config: LogConfig,
    /// Whether it is known to run.
    pub(crate) runs: bool,
}

/// What is read, and how.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The container's id.
    pub(in crate::logs) id: String,
    /// Whether it has a terminal, and how the Engine cuts a terminal's long lines. `None`: it has none.
    pub(in crate::logs) terminal: Option<Cuts>,
    /// How many bytes one follow may carry before it is checked by a read: half of what one of the Engine's log files
    /// holds. 0: none, it only tells that there is something to read. `None`: the Engine does not rotate.
    pub(in crate::logs) follow_bytes: Option<u64>,
    /// Whether an answer since a time may leave rotated files out.
    pub(in crate::logs) leaves_out: bool,
    /// Whether it is known to run.
    pub(in crate::logs) runs: bool,
    /// Whether the Engine's clock is ours.
    pub(in crate::logs) same_clock: bool,
    /// Pauses between tries while the Engine does not answer: the first, and the longest.
    pub(in crate::logs) backoff: (Duration, Duration),
}

impl Settings {
    /// Whether a follow only tells that there is something to read.
    pub(in crate::logs) fn rings(&self) -> bool {
        self.follow_bytes == Some(0)
    }
}

impl Source {
    /// By the Engine's word; podman shows no log options, so what we `asked` for must do there.
    pub(crate) fn of(inspect: &ContainerInspect, asked: impl FnOnce() -> LogConfig) -> Self {
        let told = &inspect.host_config.log_config;
        let log_config = if told.config.0.is_empty() && told.kind != "local" { asked() } else { told.clone() };
        Self { tty: inspect.config.tty, log_config, runs: inspect.state.is_running() }
    }

    /// How the output of the container `id` is read on an Engine.
    pub(crate) fn settings(&self, engine: &Engine, id: &str, backoff: (Duration, Duration)) -> Settings {
        Settings {
            id: id.to_owned(),
            terminal: self.tty.then(|| cuts(engine)),
            follow_bytes: self.follow_bytes(),
            leaves_out: self.leaves_out(),
            runs: self.runs,
            same_clock: matches!(engine.endpoint(), Endpoint::Unix(_)),
            backoff,
        }
    }

    /// How much one follow may carry before a read has to check it: half of what the Engine puts in one file, nothing of small
    /// ones. `None`: it does not rotate.
    fn follow_bytes(&self) -> Option<u64> {
        let said = self.log_config.config.0.get("max-size").and_then(|size| size::parse_decimal(size).ok());
        said.or((self.log_config.kind == "local").then_some(LOCAL_SIZE))
            .map(|size| if size < SMALL_FILE { 0 } else { size / 2 })
    }

    /// Whether the Engine may leave rotated files out of an answer since a time: Docker 20.10 does, where it compresses them.
    fn leaves_out(&self) -> bool {
        match self.log_config.config.0.get("compress") {
            Some(said) => said != "false",
            None => self.log_config.kind == "local",
        }
    }
}

/// How an Engine cuts a terminal's long lines.
fn cuts(engine: &Engine) -> Cuts {
    // One that does not answer now is asked for its logs next, and does not answer then.
    match engine.ping().is_ok_and(|ping| !ping.libpod_api_version.is_empty()) {
        true => Cuts::Anywhere,
        false => Cuts::At16Kib,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_log_options_say() {
        let none = &[][..];
        for (kind, options, follow_bytes, leaves_out) in [
            ("json-file", none, None, false),
            ("local", none, Some(10 * 1024 * 1024), true),
            ("json-file", &[("max-size", "2m"), ("max-file", "2")], Some(1_000_000), false),
            ("json-file", &[("max-size", "2m"), ("compress", "true")], Some(1_000_000), true),
            ("local", &[("max-size", "2m"), ("compress", "false")], Some(1_000_000), false),
            ("json-file", &[("max-size", "10k")], Some(0), false),
            ("json-file", &[("max-size", "-1")], None, false),
        ] {
            let config = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let source = Source { tty: false, log_config: LogConfig { kind: kind.into(), config }, runs: true };
            let told = (source.follow_bytes(), source.leaves_out());
            assert_eq!(told, (follow_bytes, leaves_out), "{kind} {options:?}");
        }
    }
}

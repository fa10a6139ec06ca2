//! What can be typed. Only what is built is here; `--help` is made from it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use log::LevelFilter;

use crate::driver::Signal;
use crate::logs::Stamp;
use crate::values::duration;

use crate::cli::commands::detach_keys::{self, DetachKeys};
use crate::cli::commands::signal;
use crate::cli::output::time;

/// Runs the docker tasks of Nomad job files on this machine, without Nomad.
#[derive(Debug, Parser)]
#[command(name = "longshore", version, disable_help_subcommand = true)]
pub(super) struct Args {
    /// Where the Engine is: unix://PATH, tcp://HOST[:PORT], or replay:FILE, a recording in its place [default: DOCKER_HOST, the current Docker context, the usual sockets]
    #[arg(short = 'H', long, global = true, value_name = "URL")]
    pub(super) host: Option<String>,
    /// Allocation directories and saved state [default: LONGSHORE_DATA_DIR, XDG_STATE_HOME/longshore, ~/.local/state/longshore]
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// What is logged to standard error: off, error, warn, info, debug, trace [default: RUST_LOG, or warn]
    #[arg(long, global = true, value_name = "LEVEL")]
    pub(super) log_level: Option<LevelFilter>,
    /// When to use colour; NO_COLOR is obeyed too
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub(super) color: Color,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a job's docker tasks, follow their output, and exit with their code
    ///
    /// Ctrl-C (or SIGTERM) stops every task with its kill signal and its grace; a second one kills them, and where the
    /// Engine does not answer it leaves them, by name. When all tasks have ended their containers are removed. Exit code: that
    /// of the first task that was not successful; 125 where longshore or the Engine failed; 130 after a second Ctrl-C.
    ///
    /// With --detach it returns once all tasks run, writes each with its container, and leaves them: nobody restarts them, and
    /// their output waits in the Engine, until `recover`, or `run --recover`, takes them up.
    Run(Run),
    /// Check a job file: each problem with file, line and column; exit code 0 or 1
    Validate(Validate),
    /// Show what would be asked of the Engine, without asking it
    ///
    /// Secrets are masked, as a recording masks them: the values of environment variables, labels and options whose names say so,
    /// and what follows `--token` and the like. --show-secrets shows them.
    Plan(Plan),
    /// Record what Docker clients and the Engine say to each other, as a proxy between them
    ///
    /// Every client that has DOCKER_HOST set to the URL goes through to the Engine, and into the file: a HAR 1.2 file, which
    /// `longshore replay`, and `-H replay:FILE` of every command, play in the Engine's place. Ctrl-C or SIGTERM ends it and writes
    /// the file; until then an older file stays as it is, and what was recorded is in FILE.journal, which plays too. Secrets are masked before anything reaches the disk: headers with
    /// credentials, the values of environment variables, JSON fields and parameters whose names say so, and what was seen to
    /// be a secret, wherever it stands later.
    Record(Record),
    /// Play a recording in an Engine's place, for any Docker client
    ///
    /// What was not recorded is answered 501, with the nearest entries and what differs. Nothing waits, but for the requests that
    /// preceded it in the recording; --speed 1 keeps the recorded times.
    Replay(Replay),
    /// Take up allocations that have no owner, after a crash or `run --detach`, and run them to their end as `run` does
    ///
    /// Their output is collected and shown from where it was; those that ended meanwhile are judged by their restart
    /// policies. An allocation that has an owner is refused, with its process; --all leaves it as it is. Exit code: as of `run`.
    Recover(Recover),
    /// List the tasks of this data directory: allocation, task, image, state, health, exit, ports, age, owner
    ///
    /// A task whose owner is `nobody` runs on without one, as after `run --detach`: `longshore recover` takes it up.
    Ps(Ps),
    /// Show all that is known of one task: state, exit, image, container, network, owner, resource use, last events
    Status(Status),
    /// Show what a task has written: what is collected of it, and what the Engine still holds beyond that
    ///
    /// Its standard output goes to ours, its standard error to ours. It may run, whoever runs it, or have ended, and its
    /// allocation too. Exit code: 125 where not all could be had, after all that could.
    ///
    /// With -f it goes on until the task has ended for good, or nobody runs it and its container has ended. Exit code: 130
    /// after Ctrl-C.
    Logs(Logs),
    /// Show what tasks use, again and again: CPU, memory, network, disk, processes, and the CPU of the last samples
    Stats(Stats),
    /// Show what happens to tasks, as it happens
    ///
    /// It is what those who run them write down; a task that nobody owns has no events but of those who take it up. `status` shows
    /// the last ones.
    Events(Events),
    /// Run a command in a task's container: its streams, its exit code, the terminal's size follows
    ///
    /// Where this program is ended before the command, by Ctrl-C without -it for one, the command goes on in the container.
    ///
    /// Exit code: the command's own; 124 where it did not end in time, with words about what became of it; 125 where longshore
    /// or the Engine failed.
    Exec(Exec),
    /// Stop tasks for good: their kill signal, then, after their grace, SIGKILL
    ///
    /// Whoever runs them does not start them again, and ends as after an exit. What they wrote and their containers stay until
    /// `destroy`, or until who runs them has cleared them away. The names of those that are stopped are written.
    Stop(Stop),
    /// Remove the containers of tasks that have ended; with --force of those that run, too
    ///
    /// What the Engine still held of their output is gone with them, but for what a process that runs them collects first.
    Destroy(Destroy),
    /// Send a task a signal
    ///
    /// A task that ends by it is started again by its policy; `stop` ends one for good.
    Signal(SendSignal),
    /// Pull images, with the credentials that a run would use
    ///
    /// Writes each image with its id. They stay until `gc` removes them, or somebody else.
    Pull(Pull),
    /// List the images that tasks use or that longshore brought: id, tags, users, since when, size, when it goes
    ///
    /// An image that was pulled or loaded for a task goes three minutes after its last task; `longshore`, whatever it is asked to
    /// do then, removes what is due. Images that were there before are never removed.
    Images(Images),
    /// Remove the images that longshore brought and that no task uses, due or not
    ///
    /// One that a container uses stays.
    Gc(Gc),
    /// Ask the Engine what it is, and how quickly it answers
    Ping(Ping),
}

/// What is chosen of a job.
#[derive(Debug, clap::Args)]
pub(super) struct JobArgs {
    /// The job file, HCL or JSON; `-`: standard input
    #[arg(value_name = "FILE")]
    pub(super) file: String,
    /// Only this group (may be repeated)
    #[arg(long, value_name = "GROUP")]
    pub(super) group: Vec<String>,
    /// Only this task (may be repeated)
    #[arg(long, value_name = "TASK")]
    pub(super) task: Vec<String>,
    /// The id of the allocation, where the job has only one [default: a new UUID]
    #[arg(long, value_name = "ID")]
    pub(super) alloc_id: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Run {
    #[command(flatten)]
    pub(super) job: JobArgs,
    /// Keep the containers when the tasks have ended
    #[arg(long)]
    pub(super) keep: bool,
    /// Take up what of the job still runs, or has ended unseen, and start what does not
    #[arg(long)]
    pub(super) recover: bool,
    /// Leave the tasks once all of them run
    #[arg(short, long)]
    pub(super) detach: bool,
    /// With --detach: leave them once they are healthy, too, those whose image has a health check
    #[arg(long, requires = "detach")]
    pub(super) wait: bool,
    /// With --wait: at most so long; then they are left, and the exit code is 124
    #[arg(long, value_name = "D", value_parser = duration::parse, requires = "wait")]
    pub(super) wait_timeout: Option<Duration>,
    /// Begin each line of output with the time at which it was written, by the Engine's clock
    #[arg(long)]
    pub(super) timestamps: bool,
    /// Write everything as JSON to standard output, an event a line
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Validate {
    /// The job file, HCL or JSON; `-`: standard input
    #[arg(value_name = "FILE")]
    pub(super) file: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct Plan {
    #[command(flatten)]
    pub(super) job: JobArgs,
    /// The machine's CPU in MHz [default: this machine's]
    #[arg(long, value_name = "MHZ")]
    pub(super) cpu_total: Option<u64>,
    /// Write JSON: for each task the body of the create request, the exact one with --show-secrets
    #[arg(long)]
    pub(super) json: bool,
    /// Show what is masked otherwise
    #[arg(long)]
    pub(super) show_secrets: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Record {
    /// Where to take connections: unix://PATH or tcp://HOST:PORT
    #[arg(long, value_name = "URL")]
    pub(super) listen: String,
    /// Take connections from other machines: whoever reaches the port may do anything on the Engine's machine
    #[arg(long)]
    pub(super) allow_network: bool,
    /// The file to write; its folder is made where there is none
    #[arg(long, value_name = "FILE")]
    pub(super) out: PathBuf,
    /// More names whose values are secret, `*` for any characters, in any case (may be repeated)
    #[arg(long, value_name = "PATTERN")]
    pub(super) redact: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Replay {
    /// The recording: a HAR file
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Where to take connections: unix://PATH or tcp://HOST:PORT
    #[arg(long, value_name = "URL")]
    pub(super) listen: String,
    /// Keep the recorded times, divided by N
    #[arg(long, value_name = "N")]
    pub(super) speed: Option<f64>,
    /// Do something wrong on purpose: cut:BYTES, delay:DURATION, reset, garbage or 500; `once:` before it, `@METHOD /path` after it (may be repeated)
    #[arg(long, value_name = "KIND")]
    pub(super) fault: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Pull {
    /// An image: a name with tag or digest
    #[arg(value_name = "IMAGE", required = true)]
    pub(super) images: Vec<String>,
    /// Write JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Images {
    /// Write JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Gc {
    /// Only say what would be removed, and when it goes by itself
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Write JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Ping {
    /// Write JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Ps {
    /// Tasks of ended allocations too
    #[arg(short, long)]
    pub(super) all: bool,
    /// Write JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Status {
    /// A task's name, ALLOC/TASK, or the beginning of an allocation's or a container's id
    #[arg(value_name = "TASK")]
    pub(super) task: String,
    /// Write JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Logs {
    /// A task's name, ALLOC/TASK, or the beginning of an allocation's or a container's id
    #[arg(value_name = "TASK")]
    pub(super) task: String,
    /// Show what comes, too
    #[arg(short, long)]
    pub(super) follow: bool,
    /// Only the last N lines, of both streams together, of those that --since and --until leave
    #[arg(short = 'n', long, value_name = "N")]
    pub(super) tail: Option<u64>,
    /// Only lines written at T or later, by the Engine's clock: RFC 3339, Unix seconds, or so long ago (10m)
    #[arg(long, value_name = "T", value_parser = time::parse)]
    pub(super) since: Option<Stamp>,
    /// Only lines written at T or earlier
    #[arg(long, value_name = "T", value_parser = time::parse, conflicts_with = "follow")]
    pub(super) until: Option<Stamp>,
    /// Only standard output, unless --stderr is there too
    #[arg(long)]
    pub(super) stdout: bool,
    /// Only standard error, unless --stdout is there too
    #[arg(long)]
    pub(super) stderr: bool,
    /// Begin each line with the time at which it was written, by the Engine's clock
    #[arg(long)]
    pub(super) timestamps: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Stop {
    /// Instead of the job's own: SIGINT, INT or 2 [default: the task's kill_signal, else the image's]
    #[arg(long, value_name = "SIGNAL", value_parser = signal::parse)]
    pub(super) signal: Option<Signal>,
    /// How long they have between the signal and SIGKILL [default: the task's kill_timeout]
    #[arg(long, value_name = "D", value_parser = duration::parse)]
    pub(super) timeout: Option<Duration>,
    /// Tasks, each by its name, as ALLOC/TASK, or by the beginning of an allocation's or a container's id
    #[arg(value_name = "TASK", required = true)]
    pub(super) tasks: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Destroy {
    /// Kill those that run
    #[arg(long)]
    pub(super) force: bool,
    /// Tasks, each by its name, as ALLOC/TASK, or by the beginning of an allocation's or a container's id
    #[arg(value_name = "TASK", required = true)]
    pub(super) tasks: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct SendSignal {
    /// Which: SIGHUP, HUP or 1
    #[arg(short, long, value_name = "SIGNAL", value_parser = signal::parse)]
    pub(super) signal: Signal,
    /// A task's name, ALLOC/TASK, or the beginning of an allocation's or a container's id
    #[arg(value_name = "TASK")]
    pub(super) task: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct Exec {
    /// Pass standard input on
    #[arg(short, long)]
    pub(super) interactive: bool,
    /// Give the command a terminal
    #[arg(short, long)]
    pub(super) tty: bool,
    /// How long it may take; then it is ended, where that can be done
    #[arg(long, value_name = "D", value_parser = duration::parse)]
    pub(super) timeout: Option<Duration>,
    /// With -it: the keys that leave the command and let it go on; empty: none. The first ones alone reach the command after half a second
    #[arg(long, value_name = "KEYS", value_parser = detach_keys::parse, default_value = "ctrl-p,ctrl-q")]
    pub(super) detach_keys: DetachKeys,
    /// A task's name, ALLOC/TASK, or the beginning of an allocation's or a container's id
    #[arg(value_name = "TASK")]
    pub(super) task: String,
    /// The command and its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub(super) command: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Recover {
    /// All that have no owner
    #[arg(long, conflicts_with = "tasks", required_unless_present = "tasks")]
    pub(super) all: bool,
    /// The allocations of these tasks, each by its name, as ALLOC/TASK, or by the beginning of an allocation's or a container's id
    #[arg(value_name = "TASK")]
    pub(super) tasks: Vec<String>,
    /// Begin each line of output with the time at which it was written, by the Engine's clock
    #[arg(long)]
    pub(super) timestamps: bool,
    /// Write everything as JSON to standard output, an event a line
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Stats {
    /// Tasks, each by its name, as ALLOC/TASK, or by the beginning of an allocation's or a container's id [default: all that run]
    #[arg(value_name = "TASK")]
    pub(super) tasks: Vec<String>,
    /// One sample of each, and end
    #[arg(long)]
    pub(super) no_stream: bool,
    /// The time between two samples; the Engine needs about a second for one
    #[arg(long, value_name = "D", value_parser = duration::parse, default_value = "1s", conflicts_with = "no_stream")]
    pub(super) interval: Duration,
    /// Write JSON, a sample a line
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Events {
    /// Tasks, each by its name, as ALLOC/TASK, or by the beginning of an allocation's or a container's id [default: all, new ones too]
    #[arg(value_name = "TASK")]
    pub(super) tasks: Vec<String>,
    /// Write JSON, an event a line
    #[arg(long)]
    pub(super) json: bool,
}

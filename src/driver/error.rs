//! Why the driver could not do a thing, and whether the same task may be tried again: one match decides it.

use std::error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::create::CreateError;
use super::exec::{ExecFate, ExecOutput};
use super::handle::HANDLE_VERSION;
use super::options::OptionProblem;
use super::task::TaskId;
use crate::engine;
use crate::images::{CredentialsError, PullError, ReferenceError};
use crate::limits;

/// Why the driver could not do a thing.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A task of that id is started already, or is being started.
    AlreadyStarted {
        /// Which.
        task: TaskId,
    },
    /// The driver has no task of that id.
    TaskNotFound {
        /// Which.
        task: TaskId,
    },
    /// The driver was shut down.
    ShutDown,
    /// The caller gave the call up, by its [`Hangup`](crate::Hangup).
    GivenUp,
    /// A start failed, and its container may be left: the Engine could not be asked to remove it. The driver goes on asking
    /// until it is shut down; the next start of the task, and [`Driver::remove_leftover`](super::Driver::remove_leftover), do too.
    LeftBehind {
        /// The container's name.
        container: String,
        /// Why the start failed.
        source: Box<Error>,
    },
    /// Options of the task are wrong, or not built yet.
    Options {
        /// All of them.
        problems: Vec<OptionProblem>,
    },
    /// The container cannot be asked for.
    Plan(CreateError),
    /// A file that the container needs cannot be written.
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A text that names no image.
    Reference(ReferenceError),
    /// Credentials for an image's registry could not be found out.
    Credentials {
        /// The image, as the task names it.
        image: String,
        /// Why not.
        source: CredentialsError,
    },
    /// The image could not be pulled. Others that waited for the same pull have the same error.
    Pull {
        /// The image, as the task names it.
        image: String,
        /// Why not.
        source: Arc<PullError>,
    },
    /// The image was there, and removed again and again before it could be used.
    ImageMissing {
        /// The image, as the task names it.
        image: String,
    },
    /// The Engine could not say whether it has the image.
    Image {
        /// The image, as the task names it.
        image: String,
        /// Why not.
        source: engine::Error,
    },
    /// The image's archive cannot be read.
    Archive {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The image's archive could not be loaded.
    Load {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: engine::Error,
    },
    /// The archive was loaded, and the image was not in it.
    NotInArchive {
        /// The image, as the task names it.
        image: String,
        /// The archive.
        path: PathBuf,
        /// What the Engine found in it.
        holds: Vec<String>,
    },
    /// A container that is not ours has the task's name. It was not touched.
    NameTaken {
        /// The name.
        name: String,
        /// The container's id.
        container: String,
    },
    /// The container could not be created.
    Create {
        /// Its name.
        name: String,
        /// Why not.
        source: engine::Error,
    },
    /// The container was created, and could not be started. It was removed again.
    Start {
        /// Its name.
        name: String,
        /// Why not.
        source: engine::Error,
    },
    /// The Engine could not say how a container is.
    Inspect {
        /// Its id or name.
        container: String,
        /// Why not.
        source: engine::Error,
    },
    /// The task's output cannot be collected. Its container was removed again.
    Logs {
        /// What failed: a file's path, or the thread.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// A thread could not be started.
    Thread(io::Error),
    /// A signal could not be sent.
    Signal {
        /// To which container.
        container: String,
        /// Which signal.
        signal: String,
        /// Why not.
        source: engine::Error,
    },
    /// A container could not be stopped.
    Stop {
        /// Which.
        container: String,
        /// Why not.
        source: engine::Error,
    },
    /// A handle cannot be used: it was written by a newer driver, or says nothing.
    Handle {
        /// Whose.
        task: TaskId,
        /// The version of its data.
        version: u32,
    },
    /// The container of a task's handle is not that task's. It was not touched.
    NotOurs {
        /// The task.
        task: TaskId,
        /// The container's id.
        container: String,
    },
    /// A task's container is no longer there.
    Gone {
        /// Whose.
        task: TaskId,
        /// The container's id.
        container: String,
    },
    /// A command could not be run in a task.
    Exec {
        /// In which container.
        container: String,
        /// Why not.
        source: engine::Error,
    },
    /// A command makes no sense: there is none.
    NoCommand,
    /// The Engine says that it has stopped a container, and that it runs.
    NotStopped {
        /// The container.
        container: String,
    },
    /// The Engine gave one id for the container that it made, and another one, or one without the task's labels, when it was
    /// asked for that.
    OtherId {
        /// The container's name.
        name: String,
        /// The id that the create gave.
        created: String,
        /// The other one.
        inspected: String,
    },
    /// The output of a command has ended, and the Engine does not tell whether the command has, or its exit code.
    ExecNoCode {
        /// In which container.
        container: String,
    },
    /// A command did not end in time.
    ExecTimeout {
        /// How long it was waited for.
        after: Duration,
        /// What became of it.
        fate: ExecFate,
        /// What it had written by then.
        output: Box<ExecOutput>,
    },
    /// What a command wrote could not be passed on: a sink took no more, or there was no thread for it. It is not ended.
    ExecIo(io::Error),
    /// The task runs, and was not to be forced.
    StillRunning {
        /// Which.
        task: TaskId,
    },
    /// A container could not be removed.
    Remove {
        /// Which.
        container: String,
        /// Why not.
        source: engine::Error,
    },
    /// A container is being removed by the Engine, and has not gone in time.
    RemovalStuck {
        /// Which.
        container: String,
        /// How long it was waited for.
        after: Duration,
    },
}

impl Error {
    /// Whether the same task may well start, or the same call succeed, when it is tried again (driver-spec 1.4).
    pub fn is_recoverable(&self) -> bool {
        match self {
            Self::Create { source, .. } => source.is_not_found() || source.is_conflict() || source.is_transient(),
            Self::Inspect { .. } => true,
            Self::LeftBehind { source, .. } => source.is_recoverable(),
            Self::Pull { source, .. } => source.is_recoverable(),
            Self::Image { source, .. }
            | Self::Load { source, .. }
            | Self::Start { source, .. }
            | Self::Signal { source, .. }
            | Self::Stop { source, .. }
            | Self::Exec { source, .. }
            | Self::Remove { source, .. } => source.is_transient(),
            Self::Thread(_) | Self::RemovalStuck { .. } | Self::NotStopped { .. } | Self::ImageMissing { .. } => true,
            // What this process has no more of at present it may have later.
            Self::File { source, .. } | Self::Archive { source, .. } | Self::Logs { source, .. } => {
                limits::is_exhausted(source)
            }
            Self::ExecIo(source) => limits::is_exhausted(source),
            Self::AlreadyStarted { .. }
            | Self::TaskNotFound { .. }
            | Self::ShutDown
            | Self::GivenUp
            | Self::Options { .. }
            | Self::Plan(_)
            | Self::Reference(_)
            | Self::Credentials { .. }
            | Self::NotInArchive { .. }
            | Self::NameTaken { .. }
            | Self::OtherId { .. }
            | Self::Handle { .. }
            | Self::Gone { .. }
            | Self::NotOurs { .. }
            | Self::NoCommand
            | Self::ExecNoCode { .. }
            | Self::ExecTimeout { .. }
            | Self::StillRunning { .. } => false,
        }
    }

    /// The container that a failed start may have left, by its name.
    pub fn left_behind(&self) -> Option<&str> {
        match self {
            Self::LeftBehind { container, .. } => Some(container),
            _ => None,
        }
    }

    /// A word for programs: `image_missing`, `start`, …
    pub fn kind(&self) -> &'static str {
        match self {
            Self::AlreadyStarted { .. } => "already_started",
            Self::TaskNotFound { .. } => "task_not_found",
            Self::ShutDown => "shut_down",
            Self::GivenUp => "given_up",
            Self::LeftBehind { source, .. } => source.kind(),
            Self::Options { .. } => "options",
            Self::Plan(_) => "plan",
            Self::File { .. } => "file",
            Self::Reference(_) => "reference",
            Self::Credentials { .. } => "credentials",
            Self::Pull { .. } => "pull",
            Self::ImageMissing { .. } => "image_missing",
            Self::Image { .. } => "image",
            Self::Archive { .. } => "archive",
            Self::Load { .. } => "load",
            Self::NotInArchive { .. } => "not_in_archive",
            Self::NameTaken { .. } => "name_taken",
            Self::Create { .. } => "create",
            Self::Start { .. } => "start",
            Self::Inspect { .. } => "inspect",
            Self::Logs { .. } => "logs",
            Self::Thread(_) => "thread",
            Self::Signal { .. } => "signal",
            Self::Stop { .. } => "stop",
            Self::Handle { .. } => "handle",
            Self::Gone { .. } => "gone",
            Self::NotOurs { .. } => "not_ours",
            Self::Exec { .. } => "exec",
            Self::NoCommand => "no_command",
            Self::NotStopped { .. } => "not_stopped",
            Self::OtherId { .. } => "other_id",
            Self::ExecNoCode { .. } => "exec_no_code",
            Self::ExecTimeout { .. } => "exec_timeout",
            Self::ExecIo(_) => "exec_io",
            Self::StillRunning { .. } => "still_running",
            Self::Remove { .. } => "remove",
            Self::RemovalStuck { .. } => "removal_stuck",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyStarted { task } => write!(f, "task {task} is started already"),
            Self::TaskNotFound { task } => write!(f, "there is no task {task}"),
            Self::ShutDown => f.write_str("the driver is shut down"),
            Self::GivenUp => f.write_str("it was given up"),
            Self::LeftBehind { container, .. } => {
                write!(f, "the start failed, and its container {container} may be left")
            }
            Self::Options { problems } => {
                for (i, problem) in problems.iter().enumerate() {
                    write!(f, "{}{problem}", if i == 0 { "" } else { "; " })?;
                }
                Ok(())
            }
            Self::Plan(_) => f.write_str("the container cannot be asked for"),
            Self::File { path, .. } => write!(f, "cannot write {}", path.display()),
            // It names the text and the place.
            Self::Reference(source) => source.fmt(f),
            Self::Credentials { image, .. } => write!(f, "cannot find the credentials for {image}"),
            Self::Pull { image, .. } => write!(f, "cannot pull the image {image}"),
            Self::ImageMissing { image } => write!(f, "the image {image} is removed again and again"),
            Self::Image { image, .. } => write!(f, "cannot look for the image {image}"),
            Self::Archive { path, .. } => write!(f, "cannot read the image archive {}", path.display()),
            Self::Load { path, .. } => write!(f, "cannot load the image archive {}", path.display()),
            Self::NotInArchive { image, path, holds } => {
                write!(f, "the image archive {} holds no image {image}", path.display())?;
                if holds.is_empty() { Ok(()) } else { write!(f, ", but {}", holds.join(", ")) }
            }
            Self::NameTaken { name, container } => write!(
                f,
                "the name {name} is taken by the container {container:.12}, which is not this task's: remove or rename it"
            ),
            Self::Create { name, .. } => write!(f, "cannot create the container {name}"),
            Self::Start { name, .. } => write!(f, "cannot start the container {name}"),
            Self::Inspect { container, .. } => write!(f, "cannot tell how the container {container:.12} is"),
            Self::Logs { what, .. } => write!(f, "cannot collect the task's output: {what}"),
            Self::Thread(_) => {
                f.write_str("cannot start a thread (its limits are those of ulimit -u, and of the service)")
            }
            Self::Signal { container, signal, .. } => {
                write!(f, "cannot send {signal} to the container {container:.12}")
            }
            Self::Stop { container, .. } => write!(f, "cannot stop the container {container:.12}"),
            Self::Handle { task, version: 0..=HANDLE_VERSION } => {
                write!(f, "the handle of task {task} names no container")
            }
            Self::Handle { task, version } => write!(
                f,
                "the handle of task {task} has version {version}, and {HANDLE_VERSION} is the newest known here: a newer longshore wrote it"
            ),
            Self::NotOurs { task, container } => write!(
                f,
                "the container {container:.12} is not task {task}'s, for it has not its labels: it is left alone; \
                 `docker rm -f` removes it"
            ),
            Self::Gone { task, container } => write!(f, "the container {container:.12} of task {task} is gone"),
            Self::Exec { container, .. } => write!(f, "cannot run a command in the container {container:.12}"),
            Self::NoCommand => f.write_str("there is no command to run"),
            Self::ExecNoCode { container } => write!(
                f,
                "the output of a command in the container {container:.12} has ended, and the Engine does not tell its exit code"
            ),
            Self::NotStopped { container } => {
                write!(f, "the Engine says that it has stopped the container {container:.12}, which still runs")
            }
            Self::OtherId { name, created, inspected } => write!(
                f,
                "the Engine made the container {name} as {created:.12}, and shows {inspected:.12}, without the task's labels or under another id, when asked: it is not used"
            ),
            Self::ExecTimeout { after, fate, .. } => write!(f, "the command did not end within {after:?}; {fate}"),
            Self::ExecIo(_) => f.write_str("what the command reads or writes could not be passed on"),
            Self::StillRunning { task } => write!(f, "task {task} runs: stop it first, or force it"),
            Self::Remove { container, .. } => write!(f, "cannot remove the container {container:.12}"),
            Self::RemovalStuck { container, after } => {
                write!(f, "the Engine has been removing the container {container:.12} for {after:?}")
            }
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::LeftBehind { source, .. } => Some(source.as_ref()),
            Self::Plan(source) => Some(source),
            Self::Credentials { source, .. } => Some(source),
            Self::Pull { source, .. } => Some(source.as_ref()),
            Self::File { source, .. } | Self::Archive { source, .. } | Self::Logs { source, .. } => Some(source),
            Self::Thread(source) | Self::ExecIo(source) => Some(source),
            Self::Image { source, .. }
            | Self::Load { source, .. }
            | Self::Create { source, .. }
            | Self::Start { source, .. }
            | Self::Inspect { source, .. }
            | Self::Signal { source, .. }
            | Self::Stop { source, .. }
            | Self::Exec { source, .. }
            | Self::Remove { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<CreateError> for Error {
    fn from(source: CreateError) -> Self {
        Self::Plan(source)
    }
}

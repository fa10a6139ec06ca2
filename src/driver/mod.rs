//! The task driver: [`Driver`] and its operations, each a few lines here and told in its own file.
//!
//! `options` decodes what a task asks for, `create` plans its container, both pure; `start`, `wait`, `stop`, `destroy` and
//! `inspect` talk to the Engine.

mod attach;
pub mod config;
pub mod create;
mod destroy;
mod end_exec;
mod error;
mod events;
mod exec;
mod exec_watch;
mod handle;
mod holder;
mod image;
mod inspect;
pub mod options;
mod output;
mod owed;
mod recover;
mod signal;
mod start;
mod stats;
mod stop;
mod sweep;
mod task;
mod tasks;
mod wait;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use crossbeam_channel::Receiver;

pub use crate::engine::types::{AuthConfig, ContainerCreate, LogConfig, SecretMap};
pub use crate::host::{CgroupVersion, Host};
pub use crate::images::{
    CredentialSources, ImageRecord, ImageRemoval, LedgerFile, Origin, PullError, PullProgress, PulledImage,
};
pub use crate::logs::{Record, Sink, Stamp, Stream};
pub use crate::stats::{BlkioUsage, CpuUsage, MemoryUsage, NetworkUsage, ResourceUsage};
pub use crate::values::Signal;
pub use attach::Leftover;
pub use config::{DriverConfig, GcConfig, VolumesConfig};
pub use error::Error;
pub use events::{EventKind, TaskEvent};
pub use exec::{ExecFate, ExecIo, ExecOptions, ExecOutput, ExecResult, TerminalSize};
pub use handle::TaskHandle;
#[cfg(feature = "cli")]
pub(crate) use holder::is_ours;
pub use options::{LoggingOptions, TaskOptions};
pub use task::{
    DeviceConfig, DnsConfig, DriverNetwork, ExitResult, HostsConfig, LinuxResources, LogTarget, LogTargets,
    MountConfig, NetworkIsolationSpec, NetworkResource, NomadResources, Port, PortMapping, Resources, TaskConfig,
    TaskId, TaskState, TaskStatus,
};

use crate::engine::Engine;
use crate::images::{Coordinator, CoordinatorConfig};
use crate::logs::Watch;
use crate::threads::{Hangup, Worker};
use create::Facts;
use events::Events;
use owed::Owed;
use tasks::Tasks;

/// Runs tasks on one Engine. Clones are the same driver; the last one that is dropped shuts it down.
///
/// ```no_run
/// use longshore::driver::{Driver, DriverConfig, NomadResources, Resources, TaskConfig};
/// use longshore::engine::Engine;
///
/// let driver = Driver::new(Engine::from_env()?, DriverConfig::default());
/// let task = TaskConfig {
///     id: "hello".into(),
///     name: "hello".into(),
///     options: serde_json::json!({"image": "busybox:1", "command": "echo", "args": ["hello"]}),
///     resources: Some(Resources { nomad: NomadResources { memory_mb: 64, ..Default::default() }, ..Default::default() }),
///     ..TaskConfig::default()
/// };
/// let id = task.id.clone();
/// driver.start_task(task)?;
/// let exit = driver.wait_task(&id)?.recv()?;
/// driver.destroy_task(&id, false)?;
/// assert!(exit.is_successful());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Driver {
    owner: Arc<Owner>,
}

/// Shuts the driver down when the last clone goes. The threads share what is within, and so do not keep it alive.
#[derive(Debug)]
struct Owner {
    inner: Arc<Inner>,
}

/// What a driver's operations and its threads share.
#[derive(Debug)]
struct Inner {
    engine: Engine,
    config: DriverConfig,
    facts: OnceLock<Facts>,
    events: Arc<Events>,
    tasks: Tasks,
    /// What failed starts have left.
    owed: Owed,
    images: Coordinator,
    /// Ends every thread's calls, and every start that is under way.
    hangup: Hangup,
    sweep: Mutex<Option<Worker>>,
    /// Looks after those who collect output.
    watch: Watch,
}

impl Driver {
    /// A driver for tasks on `engine`. It starts no thread yet, and sends nothing.
    pub fn new(engine: Engine, config: DriverConfig) -> Self {
        let hangup = Hangup::new();
        let images = CoordinatorConfig {
            remove: config.gc.image,
            delay: config.gc.image_delay,
            activity_timeout: config.pull_activity_timeout,
            retry: config.image_removal_retry,
            ledger: config.image_ledger.clone(),
        };
        let inner = Inner {
            images: Coordinator::new(engine.clone(), images, hangup.child()),
            engine,
            config,
            facts: OnceLock::new(),
            events: Arc::default(),
            tasks: Tasks::default(),
            owed: Owed::default(),
            hangup,
            sweep: Mutex::default(),
            watch: Watch::default(),
        };
        Self { owner: Arc::new(Owner { inner: Arc::new(inner) }) }
    }

    /// Creates and starts a task's container, and the threads that wait for it and collect its output (driver-spec 1.4).
    /// What a failed start created is removed again; where the Engine could not be asked to, the error is
    /// [`Error::LeftBehind`], and the removal is tried again until it is done, or the driver is shut down; so where a create
    /// got no answer, and may still make its container.
    ///
    /// # Errors
    /// [`Error`], all of it; [`Error::is_recoverable`] says whether trying again may help.
    pub fn start_task(&self, task: TaskConfig) -> Result<(TaskHandle, Option<DriverNetwork>), Error> {
        self.start_task_with(task, Vec::new())
    }

    /// The same, with sinks that get the task's output as it comes, beside those of [`TaskConfig::logs`].
    ///
    /// # Errors
    /// As [`Driver::start_task`].
    pub fn start_task_with(
        &self,
        task: TaskConfig,
        sinks: Vec<Box<dyn Sink>>,
    ) -> Result<(TaskHandle, Option<DriverNetwork>), Error> {
        self.start_task_under(task, sinks, &Hangup::new())
    }

    /// The same, but `hangup` gives the start up, whatever it waits for: within a second it has failed
    /// ([`Error::GivenUp`]), what it created removed as ever. A task that has started is not touched.
    ///
    /// # Errors
    /// As [`Driver::start_task`]; [`Error::GivenUp`].
    pub fn start_task_under(
        &self,
        task: TaskConfig,
        sinks: Vec<Box<dyn Sink>>,
        hangup: &Hangup,
    ) -> Result<(TaskHandle, Option<DriverNetwork>), Error> {
        let inner = &self.owner.inner;
        sweep::ensure(inner)?;
        let started = start::start(inner, task, sinks, hangup);
        // Not before: what is due may be what this task needs.
        inner.images.remove_when_due();
        let handle = started?;
        let network = handle.network.clone();
        Ok((handle, network))
    }

    /// Gives a channel that delivers the task's exit result, once, as soon as there is one: at once, where it has ended
    /// already. It holds one. It disconnects without a result where the driver is shut down, or the task destroyed, before.
    ///
    /// # Errors
    /// [`Error::TaskNotFound`].
    pub fn wait_task(&self, id: &TaskId) -> Result<Receiver<ExitResult>, Error> {
        Ok(self.owner.inner.tasks.find(id)?.exit.subscribe())
    }

    /// Stops a task: `signal`, or its container's own stop signal, then, after `timeout` (whole seconds where there is no
    /// `signal`), SIGKILL. Blocks until it has stopped. One that has ended, or is gone, is stopped (driver-spec 1.7, 8.4).
    ///
    /// # Errors
    /// [`Error::TaskNotFound`], [`Error::Signal`], [`Error::Stop`], [`Error::ShutDown`] while waiting for the end.
    pub fn stop_task(&self, id: &TaskId, timeout: Duration, signal: Option<Signal>) -> Result<(), Error> {
        self.stop_task_under(id, timeout, signal, &Hangup::new())
    }

    /// The same, but `hangup` gives it up: what the Engine then does with what it was asked is not known.
    ///
    /// # Errors
    /// As [`Driver::stop_task`]; [`Error::GivenUp`].
    pub fn stop_task_under(
        &self,
        id: &TaskId,
        timeout: Duration,
        signal: Option<Signal>,
        hangup: &Hangup,
    ) -> Result<(), Error> {
        stop::stop(&self.owner.inner, id, timeout, signal, hangup)
    }

    /// Forgets a task that has ended, and removes its container and that one's anonymous volumes; before, it waits until
    /// the task's output is collected, at most [`DriverConfig::log_drain`]. With `force` a task that runs is killed first.
    /// A container that is gone already is no error (driver-spec 1.8).
    ///
    /// # Errors
    /// [`Error::TaskNotFound`], [`Error::StillRunning`], and where the Engine does not do it; the task stays then.
    pub fn destroy_task(&self, id: &TaskId, force: bool) -> Result<(), Error> {
        self.destroy_task_under(id, force, &Hangup::new())
    }

    /// The same, but `hangup` gives it up; the task stays then.
    ///
    /// # Errors
    /// As [`Driver::destroy_task`]; [`Error::GivenUp`].
    pub fn destroy_task_under(&self, id: &TaskId, force: bool, hangup: &Hangup) -> Result<(), Error> {
        destroy::destroy(&self.owner.inner, id, force, hangup)
    }

    /// Removes whatever container a task has that this driver does not run, as a start that failed leaves it
    /// ([`Error::LeftBehind`]): found by its name and our labels, killed where it runs. Harmless where there is none.
    /// `hangup` gives it up.
    ///
    /// # Errors
    /// [`Error::AlreadyStarted`]; [`Error::Plan`]: the task can have no container; [`Error::Inspect`], [`Error::Remove`],
    /// [`Error::RemovalStuck`]; [`Error::GivenUp`].
    pub fn remove_leftover(&self, task: &TaskConfig, hangup: &Hangup) -> Result<Leftover, Error> {
        attach::remove_leftover(&self.owner.inner, task, hangup)
    }

    /// Until when a create of the task that got no answer may still make a container ([`DriverConfig::create_grace`]): after
    /// a start that failed, or one that was tried again and did not. `None`: there is no such create, or its time is over.
    pub fn leftover_may_come_until(&self, task: &TaskId) -> Option<SystemTime> {
        attach::may_come(&self.owner.inner, task)
    }

    /// The names of the containers that failed starts may have left, and whose removal is being tried.
    pub fn leftovers(&self) -> Vec<String> {
        self.owner.inner.owed.names()
    }

    /// Whether the Engine answers a ping within a time.
    pub fn engine_answers(&self, within: Duration) -> bool {
        let latch = self.owner.inner.hangup.child();
        let Ok(_timer) = Worker::timer("ping time", &latch, within) else { return false };
        self.owner.inner.engine.with(&latch).ping().is_ok()
    }

    /// Waits until all that an ended task has written is handed to its sinks, however long these take: a destroy waits for
    /// a while only. Says whether it is; not, where `give_up` disconnects first, or nothing comes of the output for
    /// [`DriverConfig::log_drain`].
    ///
    /// # Errors
    /// [`Error::TaskNotFound`].
    pub fn drain_task(&self, id: &TaskId, give_up: &Receiver<Infallible>) -> Result<bool, Error> {
        destroy::drain(&self.owner.inner, id, give_up)
    }

    /// Forgets a task that has ended, as [`Driver::destroy_task`] does, and leaves its container as it is.
    ///
    /// # Errors
    /// [`Error::TaskNotFound`], [`Error::StillRunning`].
    pub fn release_task(&self, id: &TaskId) -> Result<(), Error> {
        destroy::release(&self.owner.inner, id)
    }

    /// How a task is, by the Engine's word at this moment (driver-spec 1.9).
    ///
    /// # Errors
    /// [`Error::TaskNotFound`], [`Error::Inspect`].
    pub fn inspect_task(&self, id: &TaskId) -> Result<TaskStatus, Error> {
        inspect::inspect(&self.owner.inner, id)
    }

    /// Takes a task up again that was started before, by its handle: collects what it writes to the targets of its
    /// [`TaskConfig::logs`], and waits for its end. One that ended meanwhile has its exit result at once. Where the Engine
    /// does not answer now, the task is taken to run on, and an event says so. One that is taken up already is no error
    /// (driver-spec 1.5, 13.2).
    ///
    /// # Errors
    /// [`Error::Handle`]: a newer driver wrote the handle, or it names no container. [`Error::Gone`]: its container was
    /// removed. [`Error::Logs`], [`Error::Thread`], [`Error::ShutDown`].
    pub fn recover_task(&self, handle: &TaskHandle) -> Result<(), Error> {
        self.recover_task_with(handle, Vec::new())
    }

    /// The same, with sinks that get what the task has written from its start, and writes from now on.
    ///
    /// # Errors
    /// As [`Driver::recover_task`].
    pub fn recover_task_with(&self, handle: &TaskHandle, sinks: Vec<Box<dyn Sink>>) -> Result<(), Error> {
        let inner = &self.owner.inner;
        sweep::ensure(inner)?;
        let recovered = recover::recover(inner, handle, sinks);
        inner.images.remove_when_due();
        recovered
    }

    /// Looks at a task that another driver runs, or none at present, by its handle: after this it can be inspected, stopped,
    /// destroyed and signalled, commands can be run in it, and its resource use be sampled. There is no thread that waits for
    /// its end or collects its output: [`Driver::wait_task`] gives a channel without a result. Whoever owns the task is not
    /// disturbed, and letting go of it touches nothing. Attaching again is no error: the newest handle counts.
    ///
    /// # Errors
    /// [`Error::Handle`], [`Error::Gone`], [`Error::Inspect`]; [`Error::AlreadyStarted`]: this driver runs it itself.
    pub fn attach_task(&self, handle: &TaskHandle) -> Result<(), Error> {
        attach::attach(&self.owner.inner, handle)
    }

    /// Finds the container of a task whose handle was lost, by its name and our labels. `None`: there is none, it was never
    /// started, or it is not this task's.
    ///
    /// # Errors
    /// [`Error::Plan`]: the task can have no container; [`Error::Inspect`].
    pub fn find_task(&self, task: &TaskConfig) -> Result<Option<TaskHandle>, Error> {
        attach::find(&self.owner.inner, task)
    }

    /// Removes the container of a task that was created and never started, as the end of a process between the two leaves it:
    /// found as by [`Driver::find_task`], which passes it over. Says whether there was one. Not while somebody starts the task.
    ///
    /// # Errors
    /// [`Error::Plan`]: the task can have no container; [`Error::Inspect`]; [`Error::Remove`], [`Error::RemovalStuck`].
    pub fn remove_unstarted(&self, task: &TaskConfig) -> Result<bool, Error> {
        attach::remove_unstarted(&self.owner.inner, task)
    }

    /// Sends a task a signal (driver-spec 1.12).
    ///
    /// # Errors
    /// [`Error::TaskNotFound`]; [`Error::Signal`]: also where the task does not run.
    pub fn signal_task(&self, id: &TaskId, signal: Signal) -> Result<(), Error> {
        signal::signal(&self.owner.inner, id, signal)
    }

    /// Runs a command in a task's container to its end, at most for [`ExecOptions::timeout`], and keeps the last 64 KiB of
    /// each of its streams (driver-spec 1.13, 8.5). It reads nothing. A code other than 0 is a result, no error.
    ///
    /// # Errors
    /// [`Error::TaskNotFound`], [`Error::NoCommand`], [`Error::Exec`], [`Error::ShutDown`]; [`Error::ExecTimeout`], with what
    /// became of the command and what it had written.
    pub fn exec_task(&self, id: &TaskId, options: &ExecOptions) -> Result<ExecResult, Error> {
        exec::collect(&self.owner.inner, id, options)
    }

    /// Runs a command in a task's container, and passes through what it reads and writes (driver-spec 1.14, 17.5). Blocks until
    /// it has ended and its output is passed on; with a terminal, what it left behind there is not waited for.
    ///
    /// # Errors
    /// Those of [`Driver::exec_task`]; [`Error::ExecIo`]: a sink of `io` took no more; the command is
    /// ended then, where that can be done.
    pub fn exec_task_streaming(&self, id: &TaskId, options: &ExecOptions, io: ExecIo) -> Result<ExitResult, Error> {
        exec::stream(&self.owner.inner, id, options, io)
    }

    /// Gives a channel of a task's resource use: a sample every `interval` (no shorter than about a second: so long the Engine
    /// takes for one). It holds one: while its receiver is slow the new sample is dropped. It disconnects when the task
    /// has ended, within an interval (driver-spec 1.10, 9.2).
    ///
    /// # Errors
    /// [`Error::TaskNotFound`], [`Error::Thread`].
    pub fn task_stats(&self, id: &TaskId, interval: Duration) -> Result<Receiver<ResourceUsage>, Error> {
        stats::subscribe(&self.owner.inner, id, interval)
    }

    /// Gives a channel of all tasks' events from now on. It holds 256; while its receiver is slow it alone loses events,
    /// and is told how many. It disconnects when the driver is shut down (driver-spec 1.11).
    pub fn task_events(&self) -> Receiver<TaskEvent> {
        self.owner.inner.events.subscribe()
    }

    /// Pulls an image, with the driver's credentials and time limits, for no task: it stays until somebody removes it. One
    /// that is being pulled is waited for (driver-spec 1.4.4, 5).
    ///
    /// # Errors
    /// [`Error::Reference`], [`Error::Credentials`], [`Error::Pull`].
    pub fn pull_image(&self, image: &str) -> Result<PulledImage, Error> {
        image::pull(&self.owner.inner, image)
    }

    /// Gives a channel of how far all pulls are, from now on, a few reports a second for each. It holds 256; while its
    /// receiver is slow new reports are dropped. It disconnects when the driver is shut down.
    pub fn pull_progress(&self) -> Receiver<PullProgress> {
        self.owner.inner.images.progress()
    }

    /// What is known of images, by id: which tasks use them, and when those that nobody uses are due to be removed
    /// (driver-spec 5.3 to 5.5). With [`DriverConfig::image_ledger`] those of other processes too. Empty without
    /// [`GcConfig::image`].
    pub fn images(&self) -> BTreeMap<String, ImageRecord> {
        self.owner.inner.images.images()
    }

    /// Removes images that nobody uses and that are due, or (`only_due` off) all that came here through this driver or its
    /// ledger. Gives what became of each. One that a container uses stays.
    pub fn remove_images(&self, only_due: bool) -> Vec<(String, ImageRecord, ImageRemoval)> {
        self.owner.inner.images.remove_now(only_due)
    }

    /// Takes those users off all images that `keep` does not know: tasks that ended without a destroy, for their process
    /// was killed.
    pub fn retain_image_users(&self, keep: impl Fn(&TaskId) -> bool) {
        self.owner.inner.images.retain_owners(|owner| keep(&TaskId::from(owner)));
    }

    /// Ends and joins every thread of the driver, and every start that is under way. Containers stay as they are.
    /// Harmless when it is done twice.
    pub fn shutdown(&self) {
        self.owner.inner.shutdown();
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.inner.shutdown();
    }
}

impl Inner {
    fn shutdown(&self) {
        self.hangup.hang_up();
        let sweep = self.sweep.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut sweep) = sweep {
            sweep.stop();
        }
        for task in self.tasks.close() {
            task.end_threads();
        }
        self.owed.stop();
        self.images.shutdown();
        self.watch.stop();
        self.events.close();
    }

    /// Facts of the Engine's machine: known where it is ours.
    fn facts(&self) -> &Facts {
        self.facts.get_or_init(|| Facts::new(self.engine.host()))
    }
}

//! A collector as its owner has it: what is collected and how, its thread, and how its end is waited for. What the thread does
//! is [`super::fetch::collection`]'s.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, never, select};

use crate::engine::Engine;
use crate::logs::delivery::fanout::Fanout;
use crate::logs::delivery::report::Collected;
use crate::logs::delivery::subscription::Subscription;
use crate::logs::delivery::watchdog::{Watch, Watchdog};
use crate::logs::fetch::collection::Collection;
use crate::logs::fetch::source::Settings;
use crate::threads::{Hangup, POLL_INTERVAL, Worker};

/// How long a collector that was hung up may take to leave its sinks.
const BLOCKED: Duration = Duration::from_secs(1);

/// A collector's thread, and its end.
#[derive(Debug)]
pub(crate) struct Collector {
    worker: Worker,
    hangup: Hangup,
    progress: Progress,
}

/// How far a collector is, for who waits for its end. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    /// Disconnects with the collector's end.
    ended: Receiver<Infallible>,
    /// Disconnects when all has come that will come, and only sinks are behind.
    complete: Receiver<Infallible>,
    watchdog: Arc<Watchdog>,
    hangup: Hangup,
}

impl Collector {
    /// Starts to collect into `subscriptions`. What it has to say goes to `report`, in its thread.
    pub(crate) fn spawn(
        engine: &Engine,
        settings: Settings,
        subscriptions: Vec<Subscription<'static>>,
        watch: &Watch,
        hangup: Hangup,
        report: impl Fn(Collected) + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let (end, ended) = bounded(0);
        let (completed, complete) = bounded(0);
        let name = format!("logs {:.8}", settings.id);
        let on_panic = {
            let report = report.clone();
            move |words: &str| report(Collected::Panicked(words.to_owned()))
        };
        let watchdog = Arc::new(Watchdog::default());
        watch.add(&watchdog)?;
        let out = Fanout::new(subscriptions, Box::new(report), watchdog.clone());
        let mut collection = Collection::new(engine, settings, &hangup, completed, out);
        let body = move || {
            let _end: Sender<Infallible> = end; // Dropped when the thread ends, however it does.
            collection.run();
        };
        let progress = Progress { ended, complete, watchdog, hangup: hangup.clone() };
        Ok(Self { worker: Worker::spawn(name, hangup.clone(), body, on_panic)?, hangup, progress })
    }

    /// How far it is, to be waited for without the collector itself.
    pub(crate) fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Ends the thread, wherever it is, and joins it. One that a sink has blocked is left behind after a while: nothing
    /// can be done about a writer that does not return, and its task must end all the same.
    pub(crate) fn stop(&mut self) {
        self.hangup.hang_up();
        if self.progress.ends_within(BLOCKED) { self.worker.stop() } else { self.worker.abandon() }
    }
}

impl Progress {
    fn ends_within(&self, timeout: Duration) -> bool {
        self.ended.recv_timeout(timeout).is_err_and(|e| e.is_disconnected())
    }

    /// Waits for the end of the logs, at most `timeout`. Says whether all of them were taken; what was not, [`Progress::behind`]
    /// tells. A sink that nobody takes from is not waited for.
    pub(crate) fn settle(&self, timeout: Duration) -> bool {
        let over = crossbeam_channel::after(timeout);
        loop {
            if self.watchdog.is_left_alone(self.is_complete()) {
                return false;
            }
            select! {
                recv(self.ended) -> _ => return self.behind().is_empty(),
                recv(over) -> _ => return false,
                default(POLL_INTERVAL) => {}
            }
            self.watchdog.end_mute_follow();
        }
    }

    /// Whether all has come that will come.
    fn is_complete(&self) -> bool {
        self.complete.try_recv().is_err_and(|e| e.is_disconnected())
    }

    /// What was not taken by whom, in words.
    pub(crate) fn behind(&self) -> Vec<String> {
        self.watchdog.behind()
    }

    /// Waits for the end of the logs. Says whether they have ended; not, where `give_up` disconnects, the collector is hung
    /// up, or nothing comes of the logs for `patience`. Time that a sink takes does not count: what it has not taken yet
    /// would be lost. One that is behind, and that nobody takes from, is not waited for.
    pub(crate) fn wait(&self, patience: Duration, give_up: &Receiver<Infallible>) -> bool {
        let (mut pieces, mut since) = (self.watchdog.pieces(), Instant::now());
        loop {
            let is_complete = self.is_complete();
            if self.hangup.is_hung_up() || self.watchdog.is_left_alone(is_complete) {
                return false;
            }
            let completed = if is_complete { &never() } else { &self.complete };
            select! {
                recv(self.ended) -> _ => return self.behind().is_empty(),
                recv(give_up) -> _ => return false,
                recv(completed) -> _ => {}
                default(POLL_INTERVAL) => {}
            }
            self.watchdog.end_mute_follow();
            let now = self.watchdog.pieces();
            if now != pieces || self.watchdog.in_sink() {
                (pieces, since) = (now, Instant::now());
            } else if since.elapsed() >= patience {
                return false;
            }
        }
    }
}

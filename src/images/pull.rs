//! One pull: a thread that reads what the Engine says, and one that keeps its deadline and its limit of inactivity and says
//! how far it is (driver-spec 5.2, 5.6).

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::progress::{PullProgress, TICK, Tracker};
use super::{PullError, Reference};
use crate::engine::types::{AuthConfig, Progress};
use crate::engine::{self, Engine, PullQuery};
use crate::threads::{Hangup, Worker};

/// How often at most it is said how far a pull is.
const REPORT_INTERVAL: Duration = Duration::from_millis(200);
/// Messages that the reader may be ahead.
const AHEAD: usize = 64;

/// What a pull needs.
pub(super) struct Job {
    pub(super) engine: Engine,
    pub(super) image: Reference,
    pub(super) auth: Option<AuthConfig>,
    /// How long it may take in all.
    pub(super) timeout: Duration,
    /// How long nothing may come of it.
    pub(super) activity_timeout: Duration,
    /// Ends it.
    pub(super) hangup: Hangup,
}

/// An image that was pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PulledImage {
    /// The image's id.
    pub id: String,
    /// The user that the image's command runs as; empty: root.
    pub user: String,
}

/// What is told of a pull.
pub(super) enum Report<'a> {
    /// How far it is: a few times a second.
    Now(&'a PullProgress),
    /// How far it is, for those who are told of slow pulls only: every two minutes.
    Slow(&'a PullProgress),
}

enum Message {
    Progress(Progress),
    End(Result<(), engine::Error>),
}

impl Job {
    /// Pulls the image. The last report says how it ended.
    pub(super) fn run(&self, report: impl Fn(Report<'_>)) -> Result<PulledImage, PullError> {
        let mut tracker = Tracker::new(self.image.to_string(), Instant::now());
        let pulled = self.pull(&mut tracker, &report).and_then(|()| self.inspect());
        let pulled = pulled.map_err(|error| if self.hangup.is_hung_up() { PullError::ShutDown } else { error });
        report(Report::Now(&match &pulled {
            Ok(_) => tracker.pulled(Instant::now()),
            Err(error) => tracker.failed(error.whole(), Instant::now()),
        }));
        pulled
    }

    fn pull(&self, tracker: &mut Tracker, report: &impl Fn(Report<'_>)) -> Result<(), PullError> {
        let (name, tag) = self.image.pull_name().map_err(PullError::Reference)?;
        report(Report::Now(&tracker.snapshot(Instant::now())));
        // Its own latch: a deadline ends the reader, and not what its owner does next.
        let hangup = self.hangup.child();
        let (sender, messages) = bounded(AHEAD);
        let (engine, auth, reads) = (self.engine.clone(), self.auth.clone(), hangup.clone());
        let body = move || read(&engine, &PullQuery::new(name, tag), auth.as_ref(), &reads, &sender);
        let mut reader = Worker::spawn("pull read", hangup, body, |_| {}).map_err(PullError::Thread)?;
        let done = self.follow(&messages, tracker, report);
        // A full channel would keep the reader from its end.
        drop(messages);
        reader.stop();
        done
    }

    fn follow(
        &self,
        messages: &Receiver<Message>,
        tracker: &mut Tracker,
        report: &impl Fn(Report<'_>),
    ) -> Result<(), PullError> {
        let begun = Instant::now();
        let deadline = begun.checked_add(self.timeout);
        let (mut tick, mut reported) = (begun + TICK.min(self.activity_timeout), begun);
        loop {
            let until = deadline.map_or(tick, |deadline| deadline.min(tick));
            let message = messages.recv_deadline(until);
            let now = Instant::now();
            match message {
                Ok(Message::Progress(progress)) => {
                    tracker.message(&progress, now);
                    if now - reported >= REPORT_INTERVAL {
                        reported = now;
                        report(Report::Now(&tracker.snapshot(now)));
                    }
                }
                Ok(Message::End(end)) => return end.map_err(PullError::Pull),
                Err(RecvTimeoutError::Timeout) => {}
                // Its reader panicked, which is in the log.
                Err(RecvTimeoutError::Disconnected) => return Err(PullError::ShutDown),
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Err(PullError::Timeout { after: self.timeout });
            }
            if tick <= now {
                tick = now + TICK.min(self.activity_timeout);
                if tracker.is_inactive(now, self.activity_timeout) {
                    log::error!("image {}: nothing came of the pull for {:?}", self.image, self.activity_timeout);
                    return Err(PullError::Inactive { after: self.activity_timeout });
                }
                let progress = tracker.snapshot(now);
                report(Report::Now(&progress));
                if tracker.slow_report_due(now) {
                    report(Report::Slow(&progress));
                }
                log::debug!("image {}: {}", self.image, progress.status_text());
            }
        }
    }

    fn inspect(&self) -> Result<PulledImage, PullError> {
        let engine = self.engine.with(&self.hangup);
        let image = engine.image_inspect(&self.image.to_string()).map_err(PullError::Inspect)?;
        Ok(PulledImage { id: image.id, user: image.config.user })
    }
}

/// Reads a pull's answer to its end, and hands each message on. Ends early where nobody takes them.
fn read(engine: &Engine, query: &PullQuery, auth: Option<&AuthConfig>, hangup: &Hangup, messages: &Sender<Message>) {
    let end = engine.image_create(query, auth, hangup).and_then(|mut progress| {
        while let Some(message) = progress.next_message()? {
            if messages.send(Message::Progress(message)).is_err() {
                break;
            }
        }
        Ok(())
    });
    let _ = messages.send(Message::End(end));
}

/// A pull that goes on, or has ended, as those who wait for it share it.
pub(super) type Outcome = Result<PulledImage, Arc<PullError>>;

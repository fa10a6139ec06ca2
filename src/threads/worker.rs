//! A thread as a value: it has an owner, a name, and a latch that unblocks it; the owner hangs up and joins.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Hangup;

/// Enough for a call to the Engine and its JSON; a thousand threads at the default of 2 MiB would be 2 GiB of addresses.
const STACK: usize = 256 * 1024;

/// A thread that ends when its owner says so, at the latest when its owner is dropped.
#[derive(Debug)]
pub(crate) struct Worker {
    name: String,
    hangup: Hangup,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts a thread that runs `body`. Whatever `body` blocks on must be under `hangup`.
    /// Where it panics, `on_panic` gets the words at once, in that thread, and nothing else is taken down.
    pub(crate) fn spawn(
        name: impl Into<String>,
        hangup: Hangup,
        body: impl FnOnce() + Send + 'static,
        on_panic: impl FnOnce(&str) + Send + 'static,
    ) -> io::Result<Self> {
        let name = name.into();
        let thread_name = name.clone();
        let thread = thread::Builder::new().name(name.clone()).stack_size(STACK).spawn(move || {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(body)) {
                let words = panic_words(panic.as_ref());
                log::error!("thread `{thread_name}` panicked: {words}");
                // A reporter that panics too has had its say in the log.
                let _ = catch_unwind(AssertUnwindSafe(|| on_panic(words)));
            }
        })?;
        Ok(Self { name, hangup, thread: Some(thread) })
    }

    /// A thread that closes `latch` after `time`, unless it is dropped before.
    pub(crate) fn timer(name: &'static str, latch: &Hangup, time: Duration) -> io::Result<Self> {
        let own = latch.child();
        let (sleeper, ends) = (own.clone(), latch.clone());
        let body = move || {
            if sleeper.sleep(time) {
                ends.hang_up();
            }
        };
        Self::spawn(name, own, body, |_| {})
    }

    /// Hangs the thread up and waits for its end. Harmless when it has ended already.
    pub(crate) fn stop(&mut self) {
        self.hangup.hang_up();
        self.join();
    }

    /// Hangs the thread up and lets go of it: it is blocked in something of its user's that no latch can end.
    pub(crate) fn abandon(&mut self) {
        self.hangup.hang_up();
        if self.thread.take().is_some() {
            log::error!("thread `{}` is blocked outside of longshore, and left behind", self.name);
        }
    }

    /// Whether the thread has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits until the thread ends by itself.
    pub(crate) fn join(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        if thread.thread().id() == thread::current().id() {
            // The last owner went in the worker itself. It cannot wait for itself; it ends with its `body`.
            return;
        }
        if thread.join().is_err() {
            log::error!("thread `{}` ended in a panic", self.name);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
    }
}

fn panic_words(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no words")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::bounded;

    #[test]
    fn its_owner_unblocks_and_joins_it() {
        let hangup = Hangup::new();
        let (ended, sees_end) = bounded(1);
        let inner = hangup.clone();
        let body = move || {
            inner.sleep(Duration::MAX);
            ended.send(()).unwrap();
        };
        drop(Worker::spawn("sleeper", hangup, body, |_| {}).unwrap());
        assert!(sees_end.try_recv().is_ok(), "dropping the worker waited for its end");
    }

    #[test]
    fn a_timer_closes_its_latch_unless_it_is_dropped_before() {
        let (early, late) = (Hangup::new(), Hangup::new());
        drop(Worker::timer("late", &late, Duration::from_secs(3600)).unwrap());
        Worker::timer("early", &early, Duration::from_millis(1)).unwrap().join();
        assert!(early.is_hung_up() && !late.is_hung_up());
    }

    #[test]
    fn a_panic_is_reported_and_takes_nothing_down() {
        let (report, reported) = bounded(1);
        let mut worker = Worker::spawn(
            "broken",
            Hangup::new(),
            || panic!("no {}", "luck"),
            move |words| {
                report.send(words.to_owned()).unwrap();
            },
        )
        .unwrap();
        worker.join();
        assert_eq!(reported.recv().unwrap(), "no luck");
        worker.stop();
    }
}

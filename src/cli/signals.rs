//! Ctrl-C and its kin: the first stops the tasks, the second kills them, a third ends the program as it stands.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use crate::runner::Stop;

use super::eprint;

/// The exit code of a run that was forced to its end.
pub(super) const FORCED: u8 = 130;

/// Listens for signals until it is dropped.
pub(super) struct Listener {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
    count: Arc<AtomicUsize>,
}

impl Listener {
    /// Takes SIGINT, SIGTERM and SIGHUP over, for `stop`.
    pub(super) fn new(stop: Stop) -> io::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let (handle, count) = (signals.handle(), Arc::new(AtomicUsize::new(0)));
        let counted = count.clone();
        let thread = thread::Builder::new().name("signals".into()).spawn(move || {
            for _ in signals.forever() {
                match counted.fetch_add(1, Ordering::SeqCst) {
                    0 => {
                        eprint("longshore: stopping the tasks; once more kills them");
                        stop.ask();
                    }
                    1 => {
                        eprint("longshore: killing the tasks");
                        stop.kill();
                    }
                    _ => {
                        eprint("longshore: ended at once; containers may be left");
                        std::process::exit(FORCED.into());
                    }
                }
            }
        })?;
        Ok(Self { handle, thread: Some(thread), count })
    }

    /// Whether the tasks were killed by a second signal.
    pub(super) fn forced(&self) -> bool {
        self.count.load(Ordering::SeqCst) > 1
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the thread that listens for signals panicked");
        }
    }
}

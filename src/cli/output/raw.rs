//! Our terminal while a command in a container has it: raw, so that each key is the command's, and given back as it was on
//! every way out: when this is dropped, on a panic too, and before a signal ends the program.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH};
use signal_hook::iterator::{Handle, Signals};

use crate::driver::TerminalSize;

/// What a shell adds to the number of a signal that ended a program.
const BY_SIGNAL: i32 = 128;

/// The terminal on standard input, until it is dropped.
pub(in crate::cli) struct Raw {
    before: Arc<Before>,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
    sizes: Receiver<TerminalSize>,
}

/// How the terminal was.
struct Before {
    /// `None`: it was not touched.
    modes: Option<Termios>,
    restored: AtomicBool,
}

impl Raw {
    /// Watches the size of the terminal, and, with `keys`, takes it over.
    pub(in crate::cli) fn new(keys: bool) -> io::Result<Self> {
        let taken: &[i32] = if keys { &[SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH] } else { &[SIGWINCH] };
        // Before the terminal is changed: from here on no signal ends the program without the next lines' knowledge.
        let mut signals = Signals::new(taken)?;
        let stdin = io::stdin();
        let modes = if keys && stdin.is_terminal() { Some(tcgetattr(&stdin)?) } else { None };
        let before = Arc::new(Before { modes, restored: AtomicBool::new(false) });
        if let Some(modes) = &before.modes {
            let mut raw = modes.clone();
            raw.make_raw();
            tcsetattr(&stdin, OptionalActions::Now, &raw)?;
        }
        // Holds one: an older size is of no use.
        let (to, sizes) = bounded(1);
        send_size(&to, &sizes);
        let (handle, restore, stale) = (signals.handle(), before.clone(), sizes.clone());
        let thread = thread::Builder::new().name("terminal".into()).spawn(move || {
            for signal in signals.forever() {
                match signal {
                    SIGWINCH => send_size(&to, &stale),
                    signal => {
                        restore.restore();
                        std::process::exit(BY_SIGNAL + signal);
                    }
                }
            }
        });
        match thread {
            Ok(thread) => Ok(Self { before, handle, thread: Some(thread), sizes }),
            Err(error) => {
                before.restore();
                Err(error)
            }
        }
    }

    /// Its size, and each new one.
    pub(in crate::cli) fn sizes(&self) -> Receiver<TerminalSize> {
        self.sizes.clone()
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.before.restore();
        self.handle.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the thread that watches the terminal panicked");
        }
    }
}

impl Before {
    /// Gives the terminal back, once.
    fn restore(&self) {
        if let Some(modes) = &self.modes
            && !self.restored.swap(true, Ordering::SeqCst)
        {
            // One that is gone needs nothing.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, modes);
        }
    }
}

/// Puts the present size in the place of one that nobody has taken. Without a terminal there is none.
fn send_size(to: &Sender<TerminalSize>, stale: &Receiver<TerminalSize>) {
    let Ok(size) = tcgetwinsize(io::stdin()).or_else(|_| tcgetwinsize(io::stdout())) else { return };
    if size.ws_row == 0 || size.ws_col == 0 {
        return;
    }
    let size = TerminalSize { height: size.ws_row, width: size.ws_col };
    if let Err(TrySendError::Full(size)) = to.try_send(size) {
        let _ = stale.try_recv();
        let _ = to.try_send(size);
    }
}

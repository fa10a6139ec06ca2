//! What the connections of a player have in common: the script, what was missed, and who waits for something to happen.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Instant;

use crate::replay::http::server::lock;
use crate::replay::http::spool::Spool;
use crate::replay::play::fault::{Fault, FaultKind};
use crate::replay::play::matching::Form;
use crate::replay::play::pass_through::Onward;
use crate::replay::play::script::Script;
use crate::replay::redact::Redactor;

/// So many misses are told one by one: a client may ask for ever what it does not get.
const MOST_MISSES: usize = 1_000;

/// What the connections of a player have in common.
pub(in crate::replay) struct Core {
    script: Mutex<Script>,
    pub(in crate::replay) redactor: Arc<Redactor>,
    pub(in crate::replay) spool: Arc<Spool>,
    /// What is answered to a ping and to a question for the version, where the recording lacks them.
    pub(in crate::replay) own: Own,
    pub(in crate::replay) speed: Option<f64>,
    faults: Vec<(Fault, AtomicUsize)>,
    pub(in crate::replay) onward: Option<Onward>,
    pub(in crate::replay) waiting: Mutex<Waiting>,
    misses: Mutex<Misses>,
}

/// What was asked and not recorded.
#[derive(Default)]
struct Misses {
    told: Vec<String>,
    more: u64,
}

/// Answers that a recording need not have.
#[derive(Debug, Clone, Default)]
pub(in crate::replay) struct Own {
    pub(in crate::replay) name: String,
    pub(in crate::replay) version: String,
    pub(in crate::replay) api_version: String,
    pub(in crate::replay) min_api_version: String,
}

pub(in crate::replay) struct Waiting {
    /// Woken when something happens.
    pub(in crate::replay) bells: Vec<Weak<OwnedFd>>,
    /// When the last new request came.
    pub(in crate::replay) last: Instant,
}

impl Core {
    pub(in crate::replay) fn new(
        script: Script,
        redactor: Arc<Redactor>,
        spool: Arc<Spool>,
        own: Own,
        speed: Option<f64>,
        faults: Vec<Fault>,
        onward: Option<Onward>,
    ) -> Self {
        Self {
            script: Mutex::new(script),
            redactor,
            spool,
            own,
            speed,
            faults: faults.into_iter().map(|fault| (fault, AtomicUsize::new(0))).collect(),
            onward,
            waiting: Mutex::new(Waiting { bells: Vec::new(), last: Instant::now() }),
            misses: Mutex::default(),
        }
    }

    pub(in crate::replay) fn script(&self) -> MutexGuard<'_, Script> {
        lock(&self.script)
    }

    pub(in crate::replay) fn misses(&self) -> Vec<String> {
        let misses = lock(&self.misses);
        let more = (misses.more > 0).then(|| format!("and {} more", misses.more));
        misses.told.iter().cloned().chain(more).collect()
    }

    pub(in crate::replay) fn onward(&self) -> Option<&Onward> {
        self.onward.as_ref()
    }

    /// Something has happened that an answer may have waited for. `new`: a request that had not come yet.
    pub(in crate::replay) fn ring(&self, new: bool) {
        let mut waiting = lock(&self.waiting);
        if new {
            waiting.last = Instant::now();
        }
        waiting.bells.retain(|bell| {
            let Some(bell) = bell.upgrade() else { return false };
            // A full counter is one that rings already.
            let _ = rustix::io::write(&*bell, &1u64.to_ne_bytes());
            true
        });
    }

    /// The rest of an answer is on its way, for which others may wait.
    pub(in crate::replay) fn given(&self, n: usize) {
        self.script().given(n);
        self.ring(false);
    }

    pub(in crate::replay) fn fault(&self, form: &Form) -> Option<FaultKind> {
        let concerned = self.faults.iter().find(|(fault, count)| {
            fault.concerns(&form.method, &form.target.path)
                && (count.fetch_add(1, Ordering::SeqCst) == 0 || !fault.once)
        });
        concerned.map(|(fault, _)| fault.kind)
    }

    pub(in crate::replay) fn miss(&self, form: &Form, nearest: &str) -> String {
        let miss = format!("nothing was recorded for {}{nearest}", form.named());
        self.note(miss.clone());
        miss
    }

    /// Remembers what a run and its recording do not agree on.
    pub(in crate::replay) fn note(&self, miss: String) {
        log::warn!("{miss}");
        let misses = &mut *lock(&self.misses);
        if misses.told.len() < MOST_MISSES {
            misses.told.push(miss);
        } else {
            misses.more += 1;
        }
    }
}

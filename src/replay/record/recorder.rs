//! A recording in the making: what the connections of a proxy have in common, and how it becomes a file.
//!
//! Exchanges that are over wait in a journal, in the order in which they ended; of long ones the bodies wait in a file
//! without a name, too. At the end they are put in the order in which they began, what changes from run to run gets its
//! words, what was learned to be a secret too late is masked, and the file is given its name: never before, so that a
//! crash leaves an older recording as it was, and the journal. What no player would read is left out, and is named.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use serde_json::Value;

use crate::replay::Error;
use crate::replay::har::at::{LONGEST_WORD, MOST_WORDS};
use crate::replay::har::cassette::Cassette;
use crate::replay::har::entry::unreadable;
use crate::replay::har::exchange::{Answer, Body, Chunk, Exchange, Sent};
use crate::replay::har::json;
use crate::replay::har::read::{LONGEST_ENTRY, MOST_ENTRIES};
use crate::replay::har::write::{self, Preface};
use crate::replay::http::kinds::{kind_of_answer, kind_of_request};
use crate::replay::http::server::{lock, make_folder};
use crate::replay::http::spool::Spool;
use crate::replay::http::target::{self, Target};
use crate::replay::http::wire;
use crate::replay::record::journal::Journal;
use crate::replay::record::unnamed::{tells_name, unnamed};
use crate::replay::record::vars::{Bindings, Replaced, Vars};
use crate::replay::redact::{Kind, Redactor};

/// An exchange up to this size, in bytes of its line, waits as that line. A longer one waits as it is.
const LONGEST_LINE: u64 = 64 * 1024;
/// Where a process finds what it has open.
const OWN_FILES: &str = "/proc/self/fd";
/// Up to this size words may change the length of a JSON body, in bytes.
const LONGEST_JSON: u64 = 8 * 1024 * 1024;
/// How much of a request that is left out is named, in characters.
const LONGEST_NAMED: usize = 120;

/// A recording in the making.
pub(in crate::replay) struct Recorder {
    path: PathBuf,
    spool: Arc<Spool>,
    redactor: Arc<Redactor>,
    /// How many requests have come.
    begun: AtomicU64,
    /// How many of them were in an older recording.
    older: AtomicU64,
    connections: AtomicU64,
    not_understood: AtomicU64,
    left_out: AtomicU64,
    journal: Journal,
    discarded: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    preface: Preface,
    vars: Vars,
    /// By the order of their requests.
    kept: BTreeMap<u64, Kept>,
    failed: Option<io::Error>,
}

enum Kept {
    /// Its line, in the journal.
    Line {
        at: u64,
        len: usize,
    },
    Whole(Box<Exchange>),
}

/// What was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recorded {
    /// How many requests.
    pub requests: u64,
    /// On how many connections.
    pub connections: u64,
    /// On how many of them something passed that was not understood, and was not recorded.
    pub not_understood: u64,
    /// How many requests are not in the file: no player would take them, for a header with a NUL in it or the like.
    pub left_out: u64,
}

impl Recorder {
    /// A recording that will be written to `path`. `redact`: more names whose values are secret.
    pub(in crate::replay) fn new(path: &Path, redact: &[String]) -> Result<Arc<Self>, Error> {
        if let Some(long) = redact.iter().find(|pattern| pattern.len() > LONGEST_WORD || pattern.is_empty()) {
            let e = io::Error::new(io::ErrorKind::InvalidInput, "it is empty or too long");
            return Err(Error::io("mask by the pattern", long.chars().take(40).collect::<String>(), e));
        }
        if redact.len() > MOST_WORDS {
            let e = io::Error::new(io::ErrorKind::InvalidInput, "there are too many");
            return Err(Error::io("mask by", format!("{} patterns", redact.len()), e));
        }
        make_folder(path).map_err(|e| Error::io("make the folder of", path.display(), e))?;
        let dir = folder(path);
        // What is there and is no file must not be lost to the rename, nor the recording to its failure.
        if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            let e = io::Error::new(io::ErrorKind::AlreadyExists, "it is there, and no file");
            return Err(Error::io("write a recording to", path.display(), e));
        }
        let spool = Spool::new(dir).map_err(|e| Error::io("write a recording in", dir.display(), e))?;
        let preface = Preface { redact: redact.to_vec(), ..Preface::default() };
        Ok(Arc::new(Self {
            path: path.into(),
            spool,
            redactor: Arc::new(Redactor::new(redact)),
            begun: AtomicU64::new(0),
            older: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            not_understood: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
            journal: Journal::of(path),
            discarded: AtomicBool::new(false),
            state: Mutex::new(State { preface, ..State::default() }),
        }))
    }

    pub(in crate::replay) fn spool(&self) -> &Arc<Spool> {
        &self.spool
    }

    pub(in crate::replay) fn redactor(&self) -> &Arc<Redactor> {
        &self.redactor
    }

    /// A number for a new connection.
    pub(in crate::replay) fn connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }

    /// A request has come: its place among all.
    pub(in crate::replay) fn begin(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::SeqCst)
    }

    /// How many requests have come.
    pub(in crate::replay) fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    /// Takes what an older recording holds, before anything is recorded.
    pub(in crate::replay) fn continue_from(&self, cassette: &Cassette) {
        let preface = &cassette.contents.preface;
        {
            let state = &mut *lock(&self.state);
            state.vars = Vars::after(&preface.vars);
            let own = &mut state.preface;
            own.vars = preface.vars.clone();
            own.peer = preface.peer.clone();
            own.host = preface.host.clone();
        }
        for exchange in &cassette.contents.exchanges {
            let (number, mut exchange) = (self.begin(), exchange.clone());
            // It is in the older file, and in no need of a journal.
            let put = exchange.bodies_mut().try_for_each(Body::put_away);
            match put {
                Ok(()) => drop(lock(&self.state).kept.insert(number, Kept::Whole(Box::new(exchange)))),
                Err(e) => self.fail(e),
            }
        }
        self.older.store(self.begun(), Ordering::SeqCst);
    }

    /// Whether anything was recorded beside what an older recording held.
    pub(in crate::replay) fn has_new(&self) -> bool {
        self.begun() > self.older.load(Ordering::SeqCst)
    }

    /// Something passed that was not understood.
    pub(in crate::replay) fn not_understood(&self) {
        self.not_understood.fetch_add(1, Ordering::Relaxed);
    }

    /// The recording cannot be kept. The first cause counts.
    pub(in crate::replay) fn fail(&self, e: io::Error) {
        let failed = &mut lock(&self.state).failed;
        if failed.is_none() {
            log::error!("{}: what passes is no longer recorded: {e}", self.path.display());
            *failed = Some(e);
        }
    }

    /// What an answer's headers say of the Engine.
    pub(in crate::replay) fn peer(&self, headers: &[(String, String)]) {
        let peer = &mut lock(&self.state).preface.peer;
        if peer.contains_key("version") && peer.contains_key("api_version") {
            return;
        }
        if let Some((name, version)) = wire::header(headers, "server").and_then(|server| server.split_once('/')) {
            let version = version.split(' ').next().unwrap_or_default();
            if is_word(name) && is_word(version) {
                peer.entry("name".into()).or_insert_with(|| name.into());
                peer.entry("version".into()).or_insert_with(|| version.into());
            }
        }
        if let Some(version) = wire::header(headers, "api-version").filter(|version| is_word(version)) {
            peer.entry("api_version".into()).or_insert_with(|| version.into());
        }
    }

    /// What is known of the Engine, and of the machine, beside what passes.
    pub(in crate::replay) fn know(
        &self,
        peer: impl IntoIterator<Item = (&'static str, String)>,
        host: BTreeMap<String, Value>,
    ) {
        let preface = &mut lock(&self.state).preface;
        let known = peer.into_iter().filter(|(_, value)| is_word(value));
        preface.peer.extend(known.map(|(name, value)| (name.to_owned(), value)));
        preface.host = host;
    }

    /// Learns from a create request what changes from run to run.
    pub(in crate::replay) fn learn(&self, target: &str, body: &[u8]) {
        let Some(body) = json::parse(body) else { return };
        let query = Target::of(target).query;
        let name = query.iter().find(|(key, _)| key == "name").map_or("", |(_, value)| value.as_str());
        lock(&self.state).vars.learn(name, &body);
    }

    /// Learns the same from a request for a list: a driver that has created nothing asks by its name, too.
    pub(in crate::replay) fn learn_list(&self, target: &str) {
        let query = Target::of(target).query;
        let filters = query.iter().find(|(key, _)| key == "filters").map_or("", |(_, value)| value.as_str());
        if let Ok(filters) = serde_json::from_str::<Value>(filters) {
            lock(&self.state).vars.learn_filters(&filters);
        }
    }

    /// Takes over what the words of an older recording stand for in this run, so that they stand for it in the new part
    /// too.
    pub(in crate::replay) fn bind(&self, bindings: &Bindings) {
        if !bindings.is_empty() {
            lock(&self.state).vars.bind(bindings);
        }
    }

    /// Keeps an exchange that is over.
    pub(in crate::replay) fn keep(&self, number: u64, mut exchange: Exchange) {
        if lock(&self.state).failed.is_some() {
            return;
        }
        if let Some(why) = self.unkept(&exchange) {
            return self.leave_out(&exchange, why);
        }
        let put = self.unname(&mut exchange).and_then(|()| self.put(number, &mut exchange));
        match put {
            Ok(Some((at, len))) => drop(lock(&self.state).kept.insert(number, Kept::Line { at, len })),
            Ok(None) => drop(lock(&self.state).kept.insert(number, Kept::Whole(Box::new(exchange)))),
            Err(e) => self.fail(e),
        }
    }

    fn unkept(&self, exchange: &Exchange) -> Option<&'static str> {
        if lock(&self.state).kept.len() >= MOST_ENTRIES {
            return Some("there are a million before it");
        }
        // As JSON, with escapes, or as base64, it may take more than twice the room.
        if exchange.bodies().map(|body| body.bytes.len()).sum::<u64>() > LONGEST_ENTRY / 3 {
            return Some("its bodies are too long");
        }
        unreadable(exchange)
    }

    /// An exchange that no player would read is left out, so that it does not cost the others.
    fn leave_out(&self, exchange: &Exchange, why: &str) {
        self.left_out.fetch_add(1, Ordering::Relaxed);
        let Exchange { request, .. } = exchange;
        let short: String = request.target.chars().take(LONGEST_NAMED).collect();
        let method: String = request.method.chars().take(LONGEST_NAMED).collect();
        log::warn!("{} {} is left out of the recording: {why}", method.escape_default(), short.escape_default());
    }

    fn unname(&self, exchange: &mut Exchange) -> io::Result<()> {
        let Exchange { request, answer: Some(answer), .. } = exchange else { return Ok(()) };
        if tells_name(&request.method, &request.target)
            && let Some(body) = answer.body.bytes.whole(LONGEST_JSON)?
            && let Some(replaced) = unnamed(&body)
        {
            answer.body = rechunked(&answer.body, &replaced, &self.spool)?;
            said_length(answer);
        }
        Ok(())
    }

    /// Writes it down. Gives where, if it needs no other place.
    fn put(&self, number: u64, exchange: &mut Exchange) -> io::Result<Option<(u64, usize)>> {
        let long = exchange.bodies().map(|body| body.bytes.len()).sum::<u64>() > LONGEST_LINE;
        if long {
            exchange.bodies_mut().try_for_each(Body::put_away)?;
        }
        let preface = lock(&self.state).preface.clone();
        let place = self.journal.append(&preface, number, exchange)?;
        Ok((!long).then_some(place))
    }

    /// Leaves no file: what was recorded is of no use.
    pub(in crate::replay) fn discard(&self) {
        self.discarded.store(true, Ordering::SeqCst);
        self.journal.remove();
    }

    /// Writes the file, once every connection has ended.
    pub(in crate::replay) fn finish(&self) -> Result<Recorded, Error> {
        let left_out = self.left_out.load(Ordering::Relaxed);
        let recorded = Recorded {
            requests: self.begun().saturating_sub(left_out),
            left_out,
            connections: self.connections.load(Ordering::Relaxed),
            not_understood: self.not_understood.load(Ordering::Relaxed),
        };
        if self.discarded.swap(true, Ordering::SeqCst) {
            return Ok(recorded);
        }
        let failed = |e| {
            let rest = self.journal.stays().map(|at| format!("; what was recorded until then is in {}", at.display()));
            Error::io("write", format!("{}{}", self.path.display(), rest.unwrap_or_default()), e)
        };
        let mut state = std::mem::take(&mut *lock(&self.state));
        if let Some(e) = state.failed.take() {
            return Err(failed(e));
        }
        self.write(state).map_err(failed)?;
        self.journal.remove();
        Ok(recorded)
    }

    fn write(&self, state: State) -> io::Result<()> {
        let (file, temporary) = match nameless(folder(&self.path)) {
            Ok(file) => (file, None),
            // Not every file system can do that.
            Err(_) => Temporary::beside(&self.path, create).map(|(file, temporary)| (file, Some(temporary)))?,
        };
        let mut to = BufWriter::with_capacity(64 * 1024, file);
        let State { mut preface, vars, kept, .. } = state;
        preface.vars.extend(vars.words());
        write::begin(&preface, &mut to)?;
        let present: Vec<u64> = kept.keys().copied().collect();
        let gaps =
            present.last().is_some_and(|last| *last >= present.len() as u64) || present.len() as u64 != self.begun();
        let pass = Pass { recorder: self, vars: &vars, present: gaps.then_some(&present) };
        for (n, kept) in kept.into_values().enumerate() {
            write::separate(n == 0, &mut to)?;
            pass.write(kept, &mut to)?;
        }
        write::end(&mut to)?;
        let file: File = to.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        let temporary = match temporary {
            Some(temporary) => temporary,
            // What has a name already cannot be replaced by what has none.
            None => Temporary::beside(&self.path, |name| christen(&file, name))?.1,
        };
        fs::rename(&temporary.0, &self.path)
    }
}

/// Whether a recording may say that of its Engine.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST_WORD
}

/// The folder that a file is in.
fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

/// A file in a folder that has no name: not even a kill leaves a part of a recording behind. Whoever may read the file of
/// a recording may read what containers said and were told.
fn nameless(folder: &Path) -> io::Result<File> {
    // It gets its name by way of what this names; better to know before anything is written.
    fs::metadata(OWN_FILES)?;
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR)?.into())
}

/// Gives such a file a name that nothing has yet.
fn christen(file: &File, name: &Path) -> io::Result<()> {
    let own = format!("{OWN_FILES}/{}", file.as_raw_fd());
    Ok(rustix::fs::linkat(CWD, own, CWD, name, AtFlags::SYMLINK_FOLLOW)?)
}

fn create(name: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(name)
}

/// A file that is gone if it was not renamed.
struct Temporary(PathBuf);

impl Temporary {
    /// Makes something in the folder of `path`, of a name that no other recording has: another one of this process may be
    /// for the same file, and a crash may have left one behind.
    fn beside<T>(path: &Path, make: impl Fn(&Path) -> io::Result<T>) -> io::Result<(T, Self)> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        loop {
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(format!(".{}-{}.tmp", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
            let temporary = folder(path).join(name);
            match make(&temporary) {
                Ok(made) => return Ok((made, Self(temporary))),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What is changed in each exchange on its way into the file.
struct Pass<'a> {
    recorder: &'a Recorder,
    vars: &'a Vars,
    /// The numbers of those that are there, where some are left out.
    present: Option<&'a Vec<u64>>,
}

impl Pass<'_> {
    fn write(&self, kept: Kept, to: &mut impl Write) -> io::Result<()> {
        let changes = !self.vars.is_empty() || self.recorder.redactor.has_learned() > 0 || self.present.is_some();
        let exchange = match kept {
            Kept::Line { at, len } => {
                let line = self.recorder.journal.get(at, len)?;
                if !changes {
                    return to.write_all(&line);
                }
                // Our own line, read as any other.
                crate::replay::har::entry::of_line(&line, &self.recorder.spool)?
            }
            Kept::Whole(exchange) if !changes => return write::entry(&exchange, to),
            Kept::Whole(exchange) => *exchange,
        };
        write::entry(&self.changed(exchange)?, to)
    }

    fn changed(&self, mut exchange: Exchange) -> io::Result<Exchange> {
        if let Some(present) = self.present {
            exchange.renumber(present, &self.recorder.spool)?;
        }
        exchange.request.target = self.target(&exchange.request.target);
        let request = &exchange.request;
        let kind = kind_of_request(&request.method, &request.target, &request.headers);
        exchange.request.body = self.body(&exchange.request.body, kind)?;
        if let Some(answer) = &mut exchange.answer {
            let kind = kind_of_answer(&exchange.request, &answer.headers);
            answer.body = self.body(&answer.body, kind)?;
            said_length(answer);
        }
        if let Some(Sent { body, .. }) = &mut exchange.sent {
            *body = self.body(body, Kind::Text)?;
        }
        Ok(exchange)
    }

    fn target(&self, target: &str) -> String {
        let target = self.recorder.redactor.target(target);
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let hide = |text: &str| {
            let hidden = self.vars.hide(target::decode(text).as_bytes(), false)?;
            Some(target::encode(&String::from_utf8(hidden.bytes).ok()?))
        };
        let path = path.split('/').map(|part| hide(part).unwrap_or_else(|| part.into())).collect::<Vec<_>>().join("/");
        let pairs = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, value)) => match hide(value) {
                Some(value) => format!("{name}={value}"),
                None => pair.into(),
            },
            None => pair.into(),
        });
        let query = pairs.collect::<Vec<String>>().join("&");
        if query.is_empty() { path } else { format!("{path}?{query}") }
    }

    fn body(&self, body: &Body, kind: Kind) -> io::Result<Body> {
        let masked = self.masked(body, kind)?;
        // Words may change the length of JSON, where all of it is at hand.
        let whole = if kind == Kind::Json { masked.bytes.whole(LONGEST_JSON)? } else { None };
        match whole {
            Some(bytes) => match self.vars.hide(&bytes, false) {
                Some(replaced) => rechunked(&masked, &replaced, &self.recorder.spool),
                None => Ok(masked),
            },
            // What is in an archive is no business of ours.
            None if kind == Kind::Archive => Ok(masked),
            None => {
                let spool = &self.recorder.spool;
                by_chunk(&masked, spool, |chunk| self.vars.hide(chunk, true).map(|replaced| replaced.bytes))
            }
        }
    }

    fn masked(&self, body: &Body, kind: Kind) -> io::Result<Body> {
        let mut masker = self.recorder.redactor.last_pass(kind);
        let mut out = Vec::new();
        let mut masked = by_chunk(body, &self.recorder.spool, |chunk| {
            out.clear();
            masker.feed(chunk, &mut out);
            Some(std::mem::take(&mut out))
        })?;
        out.clear();
        masker.end(&mut out);
        masked.bytes.push(&out)?;
        Ok(masked)
    }
}

/// The same body with other bytes, chunk by chunk. Bytes may come later than their chunk.
fn by_chunk(body: &Body, spool: &Arc<Spool>, mut change: impl FnMut(&[u8]) -> Option<Vec<u8>>) -> io::Result<Body> {
    let (mut changed, mut from, mut bytes) = (Body::new(spool), body.bytes.reader(), Vec::new());
    changed.left_out.clone_from(&body.left_out);
    for chunk in body.chunks() {
        let chunk = chunk?;
        bytes.resize(usize::try_from(chunk.len).unwrap_or(usize::MAX), 0);
        io::Read::read_exact(&mut from, &mut bytes)?;
        match change(&bytes) {
            Some(other) => changed.bytes.push(&other)?,
            None => changed.bytes.push(&bytes)?,
        }
        changed.note(chunk)?;
    }
    Ok(changed)
}

/// The body with replaced bytes, its cuts where they have moved to.
pub(in crate::replay) fn rechunked(body: &Body, replaced: &Replaced, spool: &Arc<Spool>) -> io::Result<Body> {
    let mut changed = Body::new(spool);
    let (mut before, mut end) = (0, 0);
    for chunk in body.chunks() {
        let chunk: Chunk = chunk?;
        before += chunk.len;
        let moved = replaced.moved(before);
        changed.note(Chunk { len: moved - end, ..chunk })?;
        end = moved;
    }
    changed.bytes.push(&replaced.bytes)?;
    Ok(changed)
}

/// Makes an answer say how long it is now.
pub(in crate::replay) fn said_length(answer: &mut Answer) {
    let len = answer.body.bytes.len();
    if len == 0 {
        // An answer to HEAD says how long another would be.
        return;
    }
    for (name, value) in &mut answer.headers {
        if name.eq_ignore_ascii_case("content-length") {
            *value = len.to_string();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_no_name_until_it_is_whole() {
        let dir = crate::replay::http::server::Place::new("longshore-recorder").unwrap();
        let Ok(mut file) = nameless(dir.path()) else {
            return eprintln!("this file system knows no files without names");
        };
        file.write_all(b"whole").unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let name = dir.path().join("tape.har");
        christen(&file, &name).unwrap();
        assert_eq!(fs::read(&name).unwrap(), b"whole");
        assert_eq!(christen(&file, &name).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }
}

//! What is known of an allocation, written down: `state/<alloc>.json`. Who may write it is the concern of `lock`.
//!
//! The file is written before a container is made and after every change, to a temporary file that is synced and renamed,
//! so that a crash leaves the old or the new state, never half of one. It holds the tasks' environment: mode 0600.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::driver::{ExitResult, TaskConfig, TaskHandle};
use crate::files;

use crate::runner::place::restart::{History, Policy};
use crate::runner::state::dirs::read_own;
use crate::runner::state::lock::{self, Ownership};
use crate::runner::{Allocation, DataDir, Error, PlacedTask};

/// The version of the file's form.
const VERSION: u32 = 1;
/// Bytes that a state may have: it holds an allocation's part of a job, of which a file has 4 MiB at most.
const LONGEST: u64 = 64 * 1024 * 1024;

/// All that is known of an allocation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AllocState {
    /// The version of this form.
    pub version: u32,
    /// The allocation's id.
    pub alloc_id: String,
    /// The job's id.
    pub job_id: String,
    /// The group's name.
    pub group: String,
    /// The allocation's number within its group.
    pub index: u32,
    /// Where its Engine is.
    pub endpoint: String,
    /// What its Engine calls itself; empty where an Engine does not say.
    pub engine_id: String,
    /// Whether its containers stay when their tasks have ended.
    pub keep: bool,
    /// Whether it has ended: all tasks did, and their containers are gone or to be kept.
    pub ended: bool,
    /// Its tasks, in the order of the file.
    pub tasks: Vec<TaskRecord>,
}

/// All that is known of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// The task as the driver gets it; its id is in it.
    pub config: TaskConfig,
    /// Where it stands in its file: the number of its group, and its own within the group.
    #[serde(default)]
    pub order: (usize, usize),
    /// What its container is called, known before there is one.
    pub container_name: String,
    /// The driver's handle, from the start until the container is destroyed.
    pub handle: Option<TaskHandle>,
    /// Whether a container of it may exist of which there is no handle: from before its start on until it has started, or
    /// until the Engine has said that the failed start has left none.
    #[serde(default)]
    pub container_may_exist: bool,
    /// Until when a create of it that got no answer may still make a container.
    #[serde(default)]
    pub container_may_come_until: Option<SystemTime>,
    /// What it is sent when it is to stop.
    pub kill_signal: Option<String>,
    /// How long it then has.
    pub kill_timeout: Duration,
    /// When it is started again.
    pub restart: Policy,
    /// When it was started.
    pub history: History,
    /// When its pending restart is due.
    pub restart_at: Option<SystemTime>,
    /// How long that restart was to be waited for.
    #[serde(default)]
    pub restart_after: Option<Duration>,
    /// How its last try ended.
    pub last_exit: Option<ExitResult>,
    /// Whether it has ended for good.
    pub ended: bool,
}

/// The part of a state by which allocations are found.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Head {
    version: u32,
    /// The allocation's id.
    pub alloc_id: String,
    /// The job's id.
    pub job_id: String,
    /// Whether it has ended.
    pub ended: bool,
}

/// The states of one data directory.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
}

impl AllocState {
    /// The state of an allocation of which nothing has been started. `container_name` says what a task's container is called.
    pub fn new(
        alloc: &Allocation,
        endpoint: &str,
        engine_id: &str,
        keep: bool,
        container_name: impl Fn(&TaskConfig) -> String,
    ) -> Self {
        let tasks = alloc.tasks.iter().map(|task| TaskRecord {
            config: task.config.clone(),
            order: task.order,
            container_name: container_name(&task.config),
            handle: None,
            container_may_exist: false,
            container_may_come_until: None,
            kill_signal: task.kill_signal.map(|signal| signal.to_string()),
            kill_timeout: task.kill_timeout,
            restart: task.restart,
            history: History::default(),
            restart_at: None,
            restart_after: None,
            last_exit: None,
            ended: false,
        });
        Self {
            version: VERSION,
            alloc_id: alloc.id.clone(),
            job_id: alloc.job_id.clone(),
            group: alloc.group.clone(),
            index: alloc.index,
            endpoint: endpoint.to_owned(),
            engine_id: engine_id.to_owned(),
            keep,
            ended: false,
            tasks: tasks.collect(),
        }
    }
}

impl TaskRecord {
    /// Whether it has ended for good and its container was removed: no Engine has more to say of it.
    pub fn is_cleared_away(&self) -> bool {
        self.ended && self.handle.is_none() && !self.container_may_exist
    }

    /// Whether it has ended for good without ever having been started, and its failed start may have left a container.
    pub fn may_be_left(&self) -> bool {
        self.ended && self.handle.is_none() && self.container_may_exist
    }

    /// Whether at this moment a container of it that is not there may still be made.
    pub fn may_come(&self, now: SystemTime) -> bool {
        self.container_may_come_until.is_some_and(|until| now < until)
    }

    /// Whether nothing of it is left but what may still be made.
    pub(in crate::runner) fn only_may_come(&self) -> bool {
        self.may_be_left() && self.may_come(SystemTime::now())
    }

    /// No container of it is left, nor comes.
    pub(in crate::runner) fn is_clear(&mut self) {
        (self.container_may_exist, self.container_may_come_until) = (false, None);
    }
}

impl AllocState {
    /// What is known of the task of this name.
    pub fn task(&self, name: &str) -> Option<&TaskRecord> {
        self.tasks.iter().find(|task| task.config.name == name)
    }

    /// The allocation as it was placed, to be run by its owner.
    pub(in crate::runner) fn allocation(&self) -> Allocation {
        let tasks = self.tasks.iter().map(|task| PlacedTask {
            config: task.config.clone(),
            order: task.order,
            // It was written by us; a signal that is none is the image's own.
            kill_signal: task.kill_signal.as_deref().and_then(|name| name.parse().ok()),
            kill_timeout: task.kill_timeout,
            restart: task.restart,
        });
        Allocation {
            id: self.alloc_id.clone(),
            job_id: self.job_id.clone(),
            group: self.group.clone(),
            index: self.index,
            tasks: tasks.collect(),
        }
    }
}

impl Store {
    /// The states of `data`; makes their directory.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn open(data: &DataDir) -> Result<Self, Error> {
        Ok(Self { dir: data.make_state()? })
    }

    /// The same, to look only: nothing is made. Without the directory there are no states.
    ///
    /// # Errors
    /// The directory, or the one around it, is somebody else's, or others may write there.
    pub fn known(data: &DataDir) -> Result<Self, Error> {
        Ok(Self { dir: data.known_state()? })
    }

    /// Whether somebody owns an allocation at present, and who. Disturbs nobody.
    ///
    /// # Errors
    /// A lock file cannot be used.
    pub fn ownership(&self, alloc_id: &str) -> Result<Ownership, Error> {
        lock::ownership(self, alloc_id)
    }

    /// The file `<alloc>.<what>` of an allocation.
    pub fn file(&self, alloc_id: &str, what: &str) -> PathBuf {
        self.dir.join(format!("{alloc_id}.{what}"))
    }

    /// The directory itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What allocations there are, ended ones too, by id.
    ///
    /// # Errors
    /// The directory or a state cannot be read, or a state is no state: the error names it.
    pub fn heads(&self) -> Result<Vec<Head>, Error> {
        let mut heads = Vec::new();
        for id in self.ids()? {
            heads.extend(self.read::<Head>(&id, |head| (head.version, &head.alloc_id))?);
        }
        Ok(heads)
    }

    /// The ids of all allocations that have a state, in order.
    fn ids(&self) -> Result<Vec<String>, Error> {
        let unreadable = || Error::io("read", &self.dir);
        let mut ids = Vec::new();
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ids),
            Err(error) => return Err(unreadable()(error)),
        };
        for entry in entries {
            let name = entry.map_err(unreadable())?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".json")).filter(|id| !id.contains('.'));
            ids.extend(id.map(str::to_owned));
        }
        ids.sort();
        Ok(ids)
    }

    /// The states of all allocations, by job, group and index, and what is wrong with those that cannot be read.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn states(&self) -> Result<(Vec<AllocState>, Vec<Error>), Error> {
        let (mut states, mut unreadable) = (Vec::new(), Vec::new());
        for id in self.ids()? {
            match self.load(&id) {
                Ok(state) => states.extend(state),
                Err(error) => unreadable.push(error),
            }
        }
        let place =
            |state: &AllocState| (state.job_id.clone(), state.tasks.first().map(|task| task.order), state.index);
        states.sort_by_cached_key(place);
        Ok((states, unreadable))
    }

    /// The state of an allocation; `None`: there is none.
    ///
    /// # Errors
    /// It cannot be read, or is no state: the error names the file.
    pub fn load(&self, alloc_id: &str) -> Result<Option<AllocState>, Error> {
        self.read(alloc_id, |state: &AllocState| (state.version, &state.alloc_id))
    }

    /// Writes a state in place of the one before it. Only the allocation's owner may.
    pub(in crate::runner) fn save(&self, state: &AllocState) -> Result<(), Error> {
        self.save_within(state, LONGEST)
    }

    fn save_within(&self, state: &AllocState, longest: u64) -> Result<(), Error> {
        let path = self.file(&state.alloc_id, "json");
        let text = serde_json::to_vec_pretty(state)
            .map_err(|error| Error::Corrupt { path: path.clone(), why: error.to_string() })?;
        if text.len() as u64 > longest {
            // Nobody could read it again.
            return Err(Error::io("write", &path)(files::too_large(longest)));
        }
        files::replace(&path, &text).map_err(Error::io("write", &path))
    }

    fn read<T: for<'a> Deserialize<'a>>(
        &self,
        alloc_id: &str,
        check: impl Fn(&T) -> (u32, &str),
    ) -> Result<Option<T>, Error> {
        let path = self.file(alloc_id, "json");
        let Some(text) = read_own(&path, LONGEST)? else { return Ok(None) };
        let corrupt = |why: String| {
            let why = format!("{why}; see what of it still runs, then move the file away");
            Error::Corrupt { path: path.clone(), why }
        };
        // The version first: another form may lack fields or have others.
        #[derive(Deserialize)]
        struct Form {
            version: u32,
        }
        let form: Form = serde_json::from_slice(&text).map_err(|error| corrupt(error.to_string()))?;
        if form.version != VERSION {
            return Err(corrupt(format!("its form is version {}, and this program knows {VERSION}", form.version)));
        }
        let value: T = serde_json::from_slice(&text).map_err(|error| corrupt(error.to_string()))?;
        let (_, id) = check(&value);
        if id != alloc_id {
            return Err(corrupt(format!("it is the state of allocation {id:?}")));
        }
        Ok(Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::place::ids;
    use crate::runner::testing::Scratch;
    use std::os::unix::fs::PermissionsExt;

    fn state(id: &str) -> AllocState {
        let mut history = History::default();
        let restart = Policy {
            attempts: 2,
            interval: Duration::from_secs(60),
            delay: Duration::ZERO,
            waits: false,
            on_success: true,
        };
        history.record(SystemTime::now(), &restart);
        let config = TaskConfig {
            id: ids::task_id(id, "t").into(),
            env: [("SECRET".to_owned(), "x".to_owned())].into(),
            ..TaskConfig::default()
        };
        let task = TaskRecord {
            config: config.clone(),
            order: (0, 0),
            container_name: format!("t-{id}"),
            handle: Some(TaskHandle { config, container_id: "c1".into(), ..TaskHandle::default() }),
            container_may_exist: false,
            container_may_come_until: None,
            kill_signal: Some("SIGINT".into()),
            kill_timeout: Duration::from_millis(1500),
            restart,
            history,
            restart_at: Some(SystemTime::now()),
            restart_after: Some(Duration::from_secs(2)),
            last_exit: Some(ExitResult { exit_code: 3, ..ExitResult::default() }),
            ended: false,
        };
        AllocState {
            version: VERSION,
            alloc_id: id.into(),
            job_id: "j".into(),
            group: "g".into(),
            index: 1,
            endpoint: "unix:///s".into(),
            engine_id: "e".into(),
            keep: false,
            ended: false,
            tasks: vec![task],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let scratch = Scratch::new("state");
        let store = Store::open(&DataDir::new(scratch.path()).unwrap()).unwrap();
        assert_eq!(store.load("a1").unwrap(), None);
        let mut first = state("a1");
        store.save(&first).unwrap();
        first.ended = true;
        store.save(&first).unwrap();
        store.save(&state("a2")).unwrap();
        assert_eq!(store.load("a1").unwrap(), Some(first));
        let mode = fs::metadata(store.file("a1", "json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "it holds environments");
        // Neither of these is a state; nor is what a crash leaves of a write.
        for name in ["a1.lock", "a1.wish.json", "placing.lock", "a3.json.new"] {
            fs::write(store.dir().join(name), "no state").unwrap();
        }
        store.save(&state("a3")).unwrap();
        let heads: Vec<_> = store.heads().unwrap().into_iter().map(|head| (head.alloc_id, head.ended)).collect();
        assert_eq!(heads, [("a1".to_owned(), true), ("a2".into(), false), ("a3".into(), false)]);
    }

    #[test]
    fn a_state_of_an_earlier_version_is_read() {
        let scratch = Scratch::new("state-early");
        let store = Store::open(&DataDir::new(scratch.path()).unwrap()).unwrap();
        let mut state = state("a1");
        state.tasks[0].container_may_come_until = Some(SystemTime::now() + Duration::from_secs(60));
        store.save(&state).unwrap();
        assert!(store.load("a1").unwrap().unwrap().tasks[0].may_come(SystemTime::now()));
        let path = store.file("a1", "json");
        let mut text: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let task = text["tasks"][0].as_object_mut().unwrap();
        task.remove("container_may_come_until").unwrap();
        task.remove("container_may_exist").unwrap();
        fs::write(&path, text.to_string()).unwrap();
        let read = store.load("a1").unwrap().unwrap();
        assert!(!read.tasks[0].may_come(SystemTime::now()) && !read.tasks[0].may_be_left());
    }

    #[test]
    fn a_state_is_a_regular_file_with_a_bound() {
        let scratch = Scratch::new("state-odd");
        let store = Store::open(&DataDir::new(scratch.path()).unwrap()).unwrap();
        let mut big = state("a1");
        store.save(&big).unwrap();
        big.tasks[0].config.env.insert("BIG".into(), "x".repeat(10_000));
        assert!(matches!(store.save_within(&big, 10_000), Err(Error::Io { .. })), "nobody could read it");
        let kept = store.load("a1").unwrap().unwrap();
        assert!(!kept.tasks[0].config.env.contains_key("BIG"), "the one before stays");
        let path = store.file("a1", "json");
        fs::File::options().write(true).open(&path).unwrap().set_len(LONGEST + 1).unwrap();
        assert!(matches!(store.load("a1"), Err(Error::Corrupt { path: of, .. }) if of == path), "too long");
        scratch.lay_fifo(&path);
        assert!(matches!(store.load("a1"), Err(Error::Corrupt { path: of, .. }) if of == path), "a FIFO");
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert!(matches!(store.load("a1"), Err(Error::Corrupt { path: of, .. }) if of == path), "a device");
        let (states, unreadable) = store.states().unwrap();
        assert_eq!((states.len(), unreadable.len()), (0, 1));
    }

    #[test]
    fn what_is_no_state_is_named() {
        let scratch = Scratch::new("state-bad");
        let store = Store::open(&DataDir::new(scratch.path()).unwrap()).unwrap();
        store.save(&state("a1")).unwrap();
        let path = store.file("a1", "json");
        let good = fs::read_to_string(&path).unwrap();
        for (row, text, word) in [
            ("cut short", good[..good.len() / 2].to_owned(), "EOF"),
            ("no JSON", "\0\0\0".into(), "expected value"),
            ("a later form", good.replacen("\"version\": 1", "\"version\": 2", 1), "version 2"),
            ("another's", good.replacen("\"alloc_id\": \"a1\"", "\"alloc_id\": \"a2\"", 1), "\"a2\""),
            ("a field of another kind", good.replacen("\"ended\": false", "\"ended\": 7", 1), "invalid type"),
        ] {
            fs::write(&path, text).unwrap();
            let error = store.load("a1").unwrap_err();
            assert!(matches!(error, Error::Corrupt { .. }), "{row}: {error}");
            let error = error.to_string();
            assert!(error.contains(word) && error.contains(&*path.to_string_lossy()), "{row}: {error}");
        }
    }
}

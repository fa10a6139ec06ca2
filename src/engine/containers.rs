//! The API's section "Containers", but for their logs: create, start, wait, stop, kill, inspect, list, remove.
//! Ids may be whole, a prefix that only one container has, or a name.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;

use super::bounds::Bound;
use super::call::Part::{Fixed, Id};
use super::call::object;
use super::query::{Filters, Query, QueryString};
use super::types::{
    ContainerCreate, ContainerCreated, ContainerInspect, ContainerState, ContainerSummary, WaitError, WaitResult, cut,
};
use super::{Engine, Error};
use crate::http::Buffers;
use crate::threads::Hangup;

impl Engine {
    /// Creates a container (`POST /containers/create`), under a name or one that the Engine chooses. It is not started.
    ///
    /// ```no_run
    /// # use longshore::engine::{Engine, CreateQuery, types::ContainerCreate};
    /// # let (engine, body) = (Engine::from_env()?, ContainerCreate::default());
    /// engine.container_create(Some("web"), &body)?;
    /// engine.container_create(CreateQuery { platform: "linux/arm64".into(), ..CreateQuery::default() }, &body)?;
    /// # Ok::<(), longshore::engine::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::is_not_found`]: its image is not there. [`Error::is_conflict`]: the name is taken (podman before 5: 500).
    pub fn container_create(
        &self,
        query: impl Into<CreateQuery>,
        body: &ContainerCreate,
    ) -> Result<ContainerCreated, Error> {
        let request = self.post("container_create", &[Fixed("containers"), Fixed("create")]);
        request.query(&query.into()).json(body)?.send()?.identified(|created: &ContainerCreated| &created.id)
    }

    /// Starts a container (`POST /containers/{id}/start`). One that ran already is [`Started::Already`], no error.
    ///
    /// # Errors
    /// [`Error::is_not_found`]; [`Error::is_conflict`] while it is paused; 400 or 500 where its command cannot be run.
    pub fn container_start(&self, id: &str, query: &StartQuery) -> Result<Started, Error> {
        let request = self.post("container_start", &[Fixed("containers"), Id(id), Fixed("start")]);
        let answer = request.query(query).or_already().send()?;
        answer.done()?;
        Ok(if answer.status() == 304 { Started::Already } else { Started::Now })
    }

    /// Waits until a container is as `condition` says (`POST /containers/{id}/wait`), however long it takes;
    /// `hangup` ends it. An error is no exit: inspect the container before believing that it has ended.
    ///
    /// # Errors
    /// [`Error::is_not_found`]; [`Error::Disconnected`] or [`Error::Decode`] where the Engine went away in the midst.
    pub fn container_wait(&self, id: &str, condition: WaitCondition, hangup: &Hangup) -> Result<WaitResult, Error> {
        let request = self.post("container_wait", &[Fixed("containers"), Id(id), Fixed("wait")]);
        let mut answer = request.query(&condition).stream(Buffers::WAIT, hangup)?;
        let mut body = Vec::new();
        let mut chunk = [0; 1024];
        loop {
            match answer.read(&mut chunk)? {
                0 => break,
                n => body.extend_from_slice(&chunk[..n]),
            }
            if body.len() > LARGEST_WAIT {
                break; // No answer to a wait is so long; the JSON below says so.
            }
        }
        let told = object::<Told>(&body).and_then(|told| match told.status_code {
            // A missing code must not become a 0.
            None => Err(serde::de::Error::missing_field("StatusCode")),
            Some(status_code) => {
                let error = told.error.map(|error| WaitError { message: cut(&error.message).into() });
                Ok(WaitResult { status_code, error })
            }
        });
        told.map_err(|source| Error::decode(answer.call(), source))
    }

    /// Stops a container: its stop signal, then SIGKILL after its grace (`POST /containers/{id}/stop`). Blocks until it
    /// has stopped, on a connection of its own, for some Engines kill as soon as that closes.
    /// One that did not run is [`Stopped::Already`], no error.
    ///
    /// # Errors
    /// [`Error::is_not_found`]; [`Error::Timeout`] after [`StopQuery::deadline`].
    pub fn container_stop(&self, id: &str, query: &StopQuery) -> Result<Stopped, Error> {
        self.stop(id, query, None)
    }

    /// As [`Engine::container_stop`], but `hangup` ends it: for who does not care any more what becomes of the container, or
    /// knows that it has ended. An Engine may then kill it.
    ///
    /// # Errors
    /// Those of [`Engine::container_stop`]; [`Error::HungUp`].
    pub fn container_stop_under(&self, id: &str, query: &StopQuery, hangup: &Hangup) -> Result<Stopped, Error> {
        self.stop(id, query, Some(hangup))
    }

    fn stop(&self, id: &str, query: &StopQuery, hangup: Option<&Hangup>) -> Result<Stopped, Error> {
        let request = self.post("container_stop", &[Fixed("containers"), Id(id), Fixed("stop")]);
        let answer = request.query(query).or_already().send_alone(query.deadline, hangup)?;
        answer.done()?;
        Ok(if answer.status() == 304 { Stopped::Already } else { Stopped::Now })
    }

    /// Sends a signal to a container's first process (`POST /containers/{id}/kill`).
    ///
    /// # Errors
    /// [`Error::is_not_found`]; [`Error::is_conflict`] where it does not run (podman 4.3: 500).
    pub fn container_kill(&self, id: &str, query: &KillQuery) -> Result<(), Error> {
        self.post("container_kill", &[Fixed("containers"), Id(id), Fixed("kill")]).query(query).send()?.done()
    }

    /// All that the Engine knows of a container (`GET /containers/{id}/json`).
    ///
    /// # Errors
    /// [`Error::is_not_found`].
    pub fn container_inspect(&self, id: &str, query: &InspectQuery) -> Result<ContainerInspect, Error> {
        let request = self.get("container_inspect", &[Fixed("containers"), Id(id), Fixed("json")]);
        let answer = request.query(query).bound(Bound::THING).send()?;
        let mut inspect = answer.identified(|inspect: &ContainerInspect| &inspect.id)?;
        shorten(&mut inspect.state.error);
        Ok(inspect)
    }

    /// How a container is: the `State` of what [`Engine::container_inspect`] gives, and nothing else of it is read. For who
    /// asks often, or from a thread of small stack.
    ///
    /// # Errors
    /// [`Error::is_not_found`].
    pub fn container_state(&self, id: &str) -> Result<ContainerState, Error> {
        let request = self.get("container_inspect", &[Fixed("containers"), Id(id), Fixed("json")]);
        let answer = request.bound(Bound::THING).send()?;
        let inspected: Inspected = answer.json()?;
        let mut state = inspected.state.ok_or_else(|| answer.without("State"))?;
        shorten(&mut state.error);
        Ok(state)
    }

    /// The Engine's containers (`GET /containers/json`): those that run, or as `query` says. An entry without an id is left
    /// out, and what of an entry cannot be read is empty.
    ///
    /// # Errors
    /// 400 (podman: 500) for a filter that the Engine does not know.
    pub fn container_list(&self, query: &ListQuery) -> Result<Vec<ContainerSummary>, Error> {
        let request = self.get("container_list", &[Fixed("containers"), Fixed("json")]).query(query);
        let mut list = request.bound(Bound::LIST).send()?.list::<ContainerSummary>()?;
        list.retain(|container| !container.id.is_empty());
        Ok(list)
    }

    /// Removes a container (`DELETE /containers/{id}`).
    ///
    /// # Errors
    /// [`Error::is_not_found`]; [`Error::is_conflict`] where it runs and `force` is off (podman: 500), or where it is
    /// being removed already.
    pub fn container_remove(&self, id: &str, query: &RemoveQuery) -> Result<(), Error> {
        self.delete("container_remove", &[Fixed("containers"), Id(id)]).query(query).send()?.done()
    }
}

/// Cuts a text for people where it gets too long.
fn shorten(text: &mut String) {
    if let Cow::Owned(short) = cut(text) {
        *text = short;
    }
}

/// The answer to a wait, before it is known to have a code.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Told {
    status_code: Option<i64>,
    error: Option<WaitError>,
}

/// The answer to an inspect, as far as it says how the container is.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    state: Option<ContainerState>,
}

/// Of the answer to a wait no more than this is read, in bytes.
const LARGEST_WAIT: usize = 64 * 1024;

/// What a container is called, and for which platform it is. By default the Engine chooses both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateQuery {
    /// Its name. Empty: one that the Engine makes up.
    pub name: String,
    /// Its platform, such as `linux/arm64`. Empty: the Engine's own.
    pub platform: String,
}

impl From<Option<&str>> for CreateQuery {
    fn from(name: Option<&str>) -> Self {
        Self { name: name.unwrap_or_default().into(), ..Self::default() }
    }
}

impl Query for CreateQuery {
    fn write(&self, to: &mut QueryString) {
        to.some_text("name", &self.name);
        to.some_text("platform", &self.platform);
    }
}

/// How a container is started. By default as it was created.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartQuery {
    /// The keys that leave an attached terminal, such as `ctrl-p,ctrl-q`. Empty: the Engine's.
    pub detach_keys: String,
    /// A checkpoint to start from (Engines with experimental features on). Empty: none.
    pub checkpoint: String,
    /// Where that checkpoint is. Empty: the Engine's default.
    pub checkpoint_dir: String,
}

impl Query for StartQuery {
    fn write(&self, to: &mut QueryString) {
        to.some_text("detachKeys", &self.detach_keys);
        to.some_text("checkpoint", &self.checkpoint);
        to.some_text("checkpoint-dir", &self.checkpoint_dir);
    }
}

/// What a start did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// It started the container.
    Now,
    /// The container ran already.
    Already,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WaitCondition {
    /// That it does not run: at once, where it has ended or was never started.
    #[default]
    NotRunning,
    /// Its next end, whatever it does now.
    NextExit,
    /// That it is gone. (podman 4.3 then always says code 0.)
    Removed,
}

impl Query for WaitCondition {
    fn write(&self, to: &mut QueryString) {
        let condition = match self {
            Self::NotRunning => "not-running",
            Self::NextExit => "next-exit",
            Self::Removed => "removed",
        };
        to.text("condition", condition);
    }
}

/// How a container is stopped. By default with its own signal and grace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StopQuery {
    /// The grace between signal and SIGKILL: whole seconds, the rest is cut. `None`: the container's own.
    pub timeout: Option<Duration>,
    /// The signal. Empty: the container's own. Engines before API 1.42 do not know it, and send their own.
    pub signal: String,
    /// How long we wait for the answer. It should be well above the grace. `None`: for ever.
    pub deadline: Option<Duration>,
}

impl Query for StopQuery {
    fn write(&self, to: &mut QueryString) {
        // Engines count in nanoseconds of 63 bits: a longer grace would wrap to none at all.
        to.option("t", self.timeout.map(|t| t.as_secs().min(LONGEST_GRACE)));
        to.some_text("signal", &self.signal);
    }
}

/// In seconds: 68 years.
const LONGEST_GRACE: u64 = i32::MAX as u64;

/// What a stop did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It stopped the container.
    Now,
    /// The container did not run.
    Already,
}

/// Which signal is sent. By default SIGKILL, as the Engine has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KillQuery {
    /// Its name or number: `SIGINT`, `2`. Empty: SIGKILL.
    pub signal: String,
}

impl Query for KillQuery {
    fn write(&self, to: &mut QueryString) {
        to.some_text("signal", &self.signal);
    }
}

/// What is told of a container. By default all but its size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InspectQuery {
    /// Whether the size of its files is counted, which takes time.
    pub size: bool,
}

impl Query for InspectQuery {
    fn write(&self, to: &mut QueryString) {
        to.flag("size", self.size);
    }
}

/// Which containers are listed. By default those that run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// Those that do not run, too. (podman leaves paused ones out without it.)
    pub all: bool,
    /// The newest so many only, running or not.
    pub limit: Option<u32>,
    /// Whether the size of their files is counted, which takes time.
    pub size: bool,
    /// Filters, as Docker has them: `label` → `a=b`, `status` → `exited`, …; one name's values are alternatives (labels: all must hold).
    pub filters: Filters,
}

impl ListQuery {
    /// Those that run.
    pub fn new() -> Self {
        Self::default()
    }

    /// Those that do not run, too.
    #[must_use]
    pub fn all(mut self) -> Self {
        self.all = true;
        self
    }

    /// Only those that a filter lets through.
    #[must_use]
    pub fn filter(mut self, name: &str, value: impl Into<String>) -> Self {
        self.filters.entry(name.into()).or_default().push(value.into());
        self
    }
}

impl Query for ListQuery {
    fn write(&self, to: &mut QueryString) {
        to.flag("all", self.all);
        to.option("limit", self.limit);
        to.flag("size", self.size);
        to.filters(&self.filters);
    }
}

/// How a container is removed. By default only where it does not run, and its anonymous volumes stay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoveQuery {
    /// Whether its anonymous volumes go with it.
    pub volumes: bool,
    /// Whether it is killed first, where it runs.
    pub force: bool,
    /// Whether it is a link (of Docker's old kind) that is removed, not the container.
    pub link: bool,
}

impl Query for RemoveQuery {
    fn write(&self, to: &mut QueryString) {
        to.flag("v", self.volumes);
        to.flag("force", self.force);
        to.flag("link", self.link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(query: &impl Query) -> String {
        let mut to = QueryString::default();
        query.write(&mut to);
        to.as_str().into()
    }

    #[test]
    fn queries() {
        assert_eq!(text(&StopQuery::default()), "");
        let stop = StopQuery { timeout: Some(Duration::from_millis(2999)), signal: "SIGINT".into(), deadline: None };
        assert_eq!(text(&stop), "t=2&signal=SIGINT");
        let for_ever = StopQuery { timeout: Some(Duration::MAX), ..StopQuery::default() };
        assert_eq!(text(&for_ever), "t=2147483647");
        assert_eq!(text(&WaitCondition::default()), "condition=not-running");
        assert_eq!(text(&RemoveQuery { volumes: true, force: true, link: false }), "v=1&force=1");
        let list = ListQuery::new().all().filter("label", "a=b").filter("label", "c");
        assert_eq!(text(&list), "all=1&filters=%7B%22label%22%3A%5B%22a%3Db%22%2C%22c%22%5D%7D");
        assert_eq!(text(&CreateQuery::from(Some("a b"))), "name=a%20b");
    }
}

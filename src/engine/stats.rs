//! A container's resources (`GET /containers/{id}/stats`).

use super::call::Part::{Fixed, Id};
use super::query::{Query, QueryString};
use super::types::Stats;
use super::{Engine, Error, JsonLines};
use crate::http::Buffers;
use crate::threads::Hangup;

impl Engine {
    /// A container's resources (`GET /containers/{id}/stats`), as `query` asks: a sample a second until the container or
    /// `hangup` ends them, or one. Docker answers with zeros for a container that does not run, podman with nothing.
    ///
    /// # Errors
    /// [`Error::is_not_found`].
    pub fn container_stats(&self, id: &str, query: &StatsQuery, hangup: &Hangup) -> Result<JsonLines<Stats>, Error> {
        let request = self.get("container_stats", &[Fixed("containers"), Id(id), Fixed("stats")]);
        Ok(JsonLines::new(request.query(query).stream(Buffers::WAIT, hangup)?))
    }
}

/// Which samples. By default one a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StatsQuery {
    /// One sample, and the one of a second before within it, so that it takes that long.
    pub once: bool,
    /// One sample, at once, and none before it (API 1.41).
    pub one_shot: bool,
}

impl StatsQuery {
    /// One sample that holds the one of a second before.
    pub fn once() -> Self {
        Self { once: true, one_shot: false }
    }
}

impl Query for StatsQuery {
    fn write(&self, to: &mut QueryString) {
        // Said either way: podman's default is another one.
        to.text("stream", if self.once || self.one_shot { "0" } else { "1" });
        to.flag("one-shot", self.one_shot);
    }
}

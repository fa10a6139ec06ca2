//! What happens at an Engine (`GET /events`).

use super::call::Part::Fixed;
use super::query::{Filters, Query, QueryString};
use super::types::Event;
use super::{Engine, Error, JsonLines};
use crate::http::Buffers;
use crate::threads::Hangup;

impl Engine {
    /// What happens at the Engine from now on, or did (`GET /events`), until `hangup` ends it.
    ///
    /// # Errors
    /// 400 for a filter that the Engine does not know. In the stream, [`Error::Decode`] for what is no event.
    pub fn events(&self, query: &EventsQuery, hangup: &Hangup) -> Result<JsonLines<Event>, Error> {
        let request = self.get("events", &[Fixed("events")]);
        Ok(JsonLines::new(request.query(query).stream(Buffers::CALL, hangup)?).checked(without))
    }
}

/// What an event lacks without which it says nothing.
fn without(event: &Event) -> Option<&'static str> {
    (event.kind.is_empty() && event.action.is_empty()).then_some("Type")
}

/// Which events. By default all from now on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventsQuery {
    /// From this moment on: seconds since 1970, with up to nine digits after a point. Empty: from now on.
    pub since: String,
    /// Up to this moment; then the stream ends. Empty: for ever.
    pub until: String,
    /// Only such: `type`, `event`, `container`, `label` and more.
    pub filters: Filters,
}

impl EventsQuery {
    /// All from now on.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only those for which `name` is `value`; of several values of one name, any.
    #[must_use]
    pub fn filter(mut self, name: &str, value: impl Into<String>) -> Self {
        self.filters.entry(name.into()).or_default().push(value.into());
        self
    }
}

impl Query for EventsQuery {
    fn write(&self, to: &mut QueryString) {
        to.some_text("since", &self.since);
        to.some_text("until", &self.until);
        to.filters(&self.filters);
    }
}

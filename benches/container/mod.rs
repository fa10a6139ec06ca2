//! The container whose log benches read.

use longshore::Hangup;
use longshore::engine::types::{ContainerCreate, LogConfig};
use longshore::engine::{Engine, Error, RemoveQuery, StartQuery, WaitCondition};

const IMAGE: &str = "longshore/busybox:test";

/// A container that has written a log and ended. It is removed when dropped.
pub(crate) struct Container<'a> {
    engine: &'a Engine,
    /// Its id.
    pub(crate) id: String,
}

impl<'a> Container<'a> {
    /// Of so many lines of so many bytes, newlines included.
    pub(crate) fn of_a_log(engine: &'a Engine, line: usize, lines: usize) -> Result<Self, Error> {
        let mut body = ContainerCreate::default();
        body.config.image = IMAGE.into();
        let text = "x".repeat(line - 1);
        body.config.cmd = vec!["sh".into(), "-c".into(), format!("yes {text} | head -n {lines}")];
        body.host_config.network_mode = "none".into();
        body.host_config.log_config = LogConfig { kind: "json-file".into(), ..LogConfig::default() };
        let created = engine.container_create(None, &body)?;
        let container = Self { engine, id: created.id };
        engine.container_start(&container.id, &StartQuery::default())?;
        engine.container_wait(&container.id, WaitCondition::NotRunning, &Hangup::new())?;
        Ok(container)
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let query = RemoveQuery { force: true, volumes: true, link: false };
        if let Err(error) = self.engine.container_remove(&self.id, &query) {
            eprintln!("{} is left: {error}", self.id);
        }
    }
}

//! The API's section "System": who the Engine is.

use std::time::Duration;

use super::call::Part::Fixed;
use super::types::{Ping, SystemInfo, Version};
use super::{Engine, Error};

impl Engine {
    /// Asks whether the Engine answers, and what it speaks (`GET /_ping`), within `ping_timeout`. No API version is needed for it.
    ///
    /// # Errors
    /// What can happen to a connection; [`Error::Status`] for an Engine that is there and not well.
    pub fn ping(&self) -> Result<Ping, Error> {
        let timeout: Duration = self.shared.config.ping_timeout;
        let answer = self.get("ping", &[Fixed("_ping")]).without_version().within(timeout).send()?;
        Ok(Ping {
            api_version: answer.header("api-version").into(),
            os_type: answer.header("ostype").into(),
            builder_version: answer.header("builder-version").into(),
            docker_experimental: answer.header("docker-experimental") == "true",
            swarm: answer.header("swarm").into(),
            server: answer.header("server").into(),
            libpod_api_version: answer.header("libpod-api-version").into(),
        })
    }

    /// The Engine's version and those of its parts (`GET /version`). No API version is needed for it.
    ///
    /// # Errors
    /// [`Error::Status`], and what can happen to a connection.
    pub fn version(&self) -> Result<Version, Error> {
        self.get("version", &[Fixed("version")]).without_version().send()?.json()
    }

    /// How the Engine is set up, and what it holds (`GET /info`).
    ///
    /// # Errors
    /// [`Error::Status`], and what can happen to a connection.
    pub fn info(&self) -> Result<SystemInfo, Error> {
        self.get("info", &[Fixed("info")]).send()?.json()
    }
}

//! The API's section "System": who the Engine is.

use std::time::Duration;

use super::bounds::Bound;
use super::call::Answer;
use super::call::Part::Fixed;
use super::types::{Ping, SystemInfo, Version};
use super::{ApiVersion, Engine, Error};

impl Engine {
    /// Asks whether the Engine answers, and what it speaks (`GET /_ping`), within `ping_timeout`. No API version is needed for it.
    ///
    /// # Errors
    /// What can happen to a connection; [`Error::Status`] for an Engine that is there and not well; [`Error::NoEngine`] for
    /// what neither says OK nor names a version.
    pub fn ping(&self) -> Result<Ping, Error> {
        self.well(&self.pinged()?)
    }

    /// The highest API version that the Engine speaks, as a ping tells, also where the Engine is not well (5xx). `None`: it
    /// names none, as Docker before 17.04 and some proxies.
    pub(super) fn told_version(&self) -> Result<Option<ApiVersion>, Error> {
        let answer = self.pinged()?;
        let told = answer.header("api-version").parse().ok();
        if answer.status() >= 500 && told.is_some() {
            return Ok(told);
        }
        self.well(&answer).map(|_| told)
    }

    fn pinged(&self) -> Result<Answer, Error> {
        let timeout: Duration = self.shared.config.ping_timeout;
        self.get("ping", &[Fixed("_ping")]).without_version().within(timeout).send_whatever()
    }

    /// What a ping's answer says, if it is that of an Engine that is well.
    fn well(&self, answer: &Answer) -> Result<Ping, Error> {
        if !(200..300).contains(&answer.status()) {
            return Err(answer.refused());
        }
        if answer.header("api-version").is_empty() && !answer.is_text("OK") {
            return Err(Error::NoEngine { endpoint: self.endpoint().clone() });
        }
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
    /// [`Error::Status`], and what can happen to a connection; [`Error::Decode`] for an answer that says nothing.
    pub fn version(&self) -> Result<Version, Error> {
        self.get("version", &[Fixed("version")]).without_version().send()?.meaningful("Version")
    }

    /// How the Engine is set up, and what it holds (`GET /info`).
    ///
    /// # Errors
    /// [`Error::Status`], and what can happen to a connection; [`Error::Decode`] for an answer that says nothing.
    pub fn info(&self) -> Result<SystemInfo, Error> {
        self.get("info", &[Fixed("info")]).bound(Bound::THING).send()?.meaningful("ID")
    }
}

//! Tests on a real Engine: the one that `DOCKER_HOST` names, or the machine's. `make test` runs them where one answers.
//! Each names and labels its containers and removes them; `faults` starts a dockerd of its own.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod attached;
mod bench;
mod counts;
mod execs;
mod exits;
mod failures;
mod faults;
mod lives;
mod stops;
mod streams;

//! Tests of the program as a person or a script uses it. Those that need an Engine are run by `make test` where one answers.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod alone;
mod circumstances;
mod detaching;
mod ends;
mod engines;
mod execs;
mod faults;
mod hostile;
mod images;
mod logs;
mod looks;
mod orders;
mod output;
mod outside;
mod place;
mod plan;
mod recordings;
mod refusals;
mod signals;
mod streams;
mod words;

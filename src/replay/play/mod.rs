//! A recording that answers: which exchange a request is, how its answer is given and when, and what is passed on.

pub(in crate::replay) mod archive;
pub(in crate::replay) mod connection;
pub(in crate::replay) mod core;
pub(in crate::replay) mod fault;
pub(in crate::replay) mod matching;
pub(in crate::replay) mod pass_through;
pub(in crate::replay) mod player;
pub(in crate::replay) mod respond;
pub(in crate::replay) mod schedule;
pub(in crate::replay) mod script;

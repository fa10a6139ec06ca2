//! How far a sink has got: `tracker` tells new records from those it has had, `file` keeps that beside the sink, and `hash` tells
//! records of one stamp apart.

pub(crate) mod file;
pub(in crate::logs) mod hash;
pub(in crate::logs) mod tracker;

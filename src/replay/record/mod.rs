//! A recording in the making: the proxy, the capture of each connection, and the journal on disk.

pub(in crate::replay) mod capture;
pub(in crate::replay) mod journal;
pub(in crate::replay) mod proxy;
pub(in crate::replay) mod recorder;
pub(in crate::replay) mod unnamed;
pub(in crate::replay) mod vars;

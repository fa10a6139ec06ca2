//! HTTP as it stands on the wire, packed bodies, and the sockets on which recorder and player serve.

pub(in crate::replay) mod coding;
pub(in crate::replay) mod inflate;
pub(in crate::replay) mod kinds;
pub(in crate::replay) mod server;
pub(in crate::replay) mod spool;
pub(in crate::replay) mod target;
pub(in crate::replay) mod wire;

//! Recordings: Docker Engine conversations in a file.
//!
//! What must not stand in such a file is the business of `redact`.

#[allow(dead_code)]
mod redact;

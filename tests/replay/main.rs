//! Tests on what Engines have said: they need none.
#![allow(clippy::unwrap_used)]

mod answers;

//! An Engine in a file: records what Docker clients and an Engine say to each other, and plays it in the Engine's place.
//!
//! A [`Recording`] is made by a proxy, which any client may go through, or in process; it is a HAR file, a [`Cassette`].
//! A [`Player`] answers from one, in process and on a socket, and can be told to do something wrong. A [`Session`] is both, as
//! a test's [`Mode`] says. An Engine that misbehaves without any recording is [`scripted`]. No secret reaches the file, as far as names tell what is one: [`SECRET_NAMES`].

mod archive;
mod at;
mod cassette;
mod coding;
mod core;
mod entry;
mod error;
mod exchange;
mod fault;
mod give;
mod hold;
mod inflate;
mod journal;
mod json;
mod matching;
mod onward;
mod play;
mod player;
mod proxy;
mod read;
mod recorder;
mod redact;
mod script;
pub mod scripted;
mod server;
mod session;
mod spool;
mod tape;
mod target;
mod time;
mod tree;
mod unnamed;
mod vars;
mod wire;
mod write;

pub use cassette::{Cassette, Entry};
pub use error::Error;
pub use fault::{Fault, FaultKind};
pub use player::{PlayOptions, Player};
pub use proxy::Recording;
pub use recorder::Recorded;
#[cfg(feature = "cli")]
pub(crate) use redact::mask_secrets;
pub use redact::{MASKED, SECRET_HEADERS, SECRET_NAMES};
pub use session::{Mode, Session};

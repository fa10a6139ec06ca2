//! An Engine in a file: records what Docker clients and an Engine say to each other, and plays it in the Engine's place.
//!
//! A [`Recording`] is made by a proxy, which any client may go through, or in process; it is a HAR file, a [`Cassette`].
//! A [`Player`] answers from one, in process and on a socket, and can be told to do something wrong. A [`Session`] is both, as
//! a test's [`Mode`] says. An Engine that misbehaves without any recording is [`scripted`]. No secret reaches the file, as far as names tell what is one: [`SECRET_NAMES`].

mod error;
mod har;
mod http;
mod play;
mod record;
mod redact;
pub mod scripted;
mod session;

pub use error::Error;
pub use har::cassette::{Cassette, Entry};
pub use play::fault::{Fault, FaultKind};
pub use play::player::{PlayOptions, Player};
pub use record::proxy::Recording;
pub use record::recorder::Recorded;
#[cfg(feature = "cli")]
pub(crate) use redact::mask_secrets;
pub use redact::{MASKED, SECRET_HEADERS, SECRET_NAMES};
pub use session::{Mode, Session};

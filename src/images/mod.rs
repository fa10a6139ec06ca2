//! Images: what a reference means, where credentials for a registry come from, how far a pull is, and the coordinator
//! that pulls each image once, counts who uses it, and removes it when nobody does (driver-spec 5, 6, 15.1).

mod credentials;
mod progress;
mod reference;

pub use credentials::{CredentialSources, CredentialsError, HelperFault, resolve_credentials};
pub use progress::{PullProgress, PullState, SLOW_REPORT, TICK, Tracker};
pub use reference::{Index, Named, Reference, ReferenceError};

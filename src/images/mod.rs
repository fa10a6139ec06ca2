//! Images: what a reference means, where credentials for a registry come from, how far a pull is, and the coordinator
//! that pulls each image once, counts who uses it, and removes it when nobody does (driver-spec 5, 6, 15.1).

mod books;
mod coordinator;
mod credentials;
mod error;
mod ledger;
mod progress;
mod pull;
mod reference;
mod removal;

pub use coordinator::ImageRemoval;
pub(crate) use coordinator::{Coordinator, CoordinatorConfig, PullRequest};
pub use credentials::{CredentialSources, CredentialsError, HelperFault, resolve_credentials};
pub use error::PullError;
pub use ledger::{ImageRecord, LedgerFile, Origin};
pub use progress::{PullProgress, PullState};
pub use pull::PulledImage;
pub use reference::{Index, Named, Reference, ReferenceError};

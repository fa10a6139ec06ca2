//! The task driver.
pub mod config;
pub mod create;
mod events;
pub mod options;
mod task;

pub use crate::engine::types::{ContainerCreate, LogConfig, SecretMap};
pub use crate::host::{CgroupVersion, Host};
pub use config::{DriverConfig, VolumesConfig};
pub use events::TaskEvent;
pub use options::TaskOptions;
pub use task::*;

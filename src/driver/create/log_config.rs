//! Where the Engine keeps a container's output (driver-spec 4.13). So far the driver's own choice holds for every task.

use crate::driver::DriverConfig;
use crate::engine::types::LogConfig;

pub(super) fn chosen(config: &DriverConfig) -> LogConfig {
    config.logging.clone()
}

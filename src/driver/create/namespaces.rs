//! Which namespaces a container joins (driver-spec 4.11, and 4.8 once its options are built). So far the network's, without ports.

use crate::driver::TaskOptions;
use crate::engine::types::HostConfig;

pub(super) fn apply(host_config: &mut HostConfig, options: &TaskOptions) {
    host_config.network_mode = network_mode(&options.network_mode).into();
}

fn network_mode(option: &str) -> &str {
    if option.is_empty() { "default" } else { option }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_modes() {
        for (option, want) in
            [("", "default"), ("host", "host"), ("none", "none"), ("container:x", "container:x"), ("n", "n")]
        {
            assert_eq!(network_mode(option), want, "{option:?}");
        }
    }
}

//! Where the Engine keeps a container's output (driver-spec 4.13): as the task says, or else as the driver does. Never a mixture
//! of both, for the one's options need not fit the other's log driver.

use crate::driver::{DriverConfig, TaskOptions};
use crate::engine::types::LogConfig;

/// What the container of a task with these options is created with. The Engine may add its own defaults to it.
pub(in crate::driver) fn chosen(options: &TaskOptions, config: &DriverConfig) -> LogConfig {
    let said = &options.logging;
    if said.kind.is_empty() && said.config.is_none() {
        return config.logging.clone();
    }
    LogConfig { kind: said.kind.clone(), config: said.config.clone().unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::driver::options::decode;
    use crate::engine::types::SecretMap;

    fn log_config(kind: &str, config: &[(&str, &str)]) -> LogConfig {
        let config: SecretMap = config.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        LogConfig { kind: kind.into(), config }
    }

    #[test]
    fn the_tasks_or_else_the_drivers() {
        let nomad = [("max-file", "2"), ("max-size", "2m")];
        for (logging, want) in [
            (json!({"type": "fluentd"}), log_config("fluentd", &[])),
            (json!({"driver": "fluentd"}), log_config("fluentd", &[])),
            (json!({"type": "json-file", "driver": "fluentd"}), log_config("json-file", &[])),
            (json!({"config": {"tag": "x"}}), log_config("", &[("tag", "x")])),
            (json!({"type": "gelf", "config": [{"a": "1"}, {"b": 2}]}), log_config("gelf", &[("a", "1"), ("b", "2")])),
            (json!({"config": {}}), log_config("", &[])),
            (json!({"config": [{}]}), log_config("", &[])),
            (json!({}), log_config("json-file", &nomad)),
            (json!(null), log_config("json-file", &nomad)),
        ] {
            let options = decode(&json!({"image": "a", "logging": logging})).expect("options");
            let config = DriverConfig { logging: log_config("json-file", &nomad), ..DriverConfig::default() };
            assert_eq!(chosen(&options, &config), want, "{logging}");
        }
        let gelf = log_config("gelf", &[("gelf-address", "udp://h:1")]);
        let config = DriverConfig { logging: gelf.clone(), ..DriverConfig::default() };
        assert_eq!(chosen(&TaskOptions::default(), &config), gelf, "the driver's own may be another one");
    }
}

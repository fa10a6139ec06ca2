//! The body of a create, and the parts of it that an inspect answers with: what runs in a container, and which networks it joins.
//! What the host does for it is in `host_config.rs`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::wire::{is_default, nullable, wire};
use super::{Env, HostConfig, NameSet};

/// The body of `POST /containers/create`: the fields of [`ContainerConfig`] at the top level, and two objects beside them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ContainerCreate {
    /// What runs in the container.
    #[serde(flatten)]
    pub config: ContainerConfig,
    /// What the host does for it.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_default")]
    pub host_config: HostConfig,
    /// The networks that it joins at its start.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_default")]
    pub networking_config: NetworkingConfig,
}

wire! {
    /// What runs in a container: Docker's `ContainerConfig`. In a request an empty field means the image's own.
    pub struct ContainerConfig {
        /// The host name within the container. Empty: the first 12 digits of its id.
        hostname: String,
        /// The domain name within the container.
        domainname: String,
        /// Who runs the command: `user`, `uid`, `user:group` or `uid:gid`. Empty: the image's user, or root.
        user: String,
        /// Whether attach may write to the standard input.
        attach_stdin: bool,
        /// Whether attach shows the standard output.
        attach_stdout: bool,
        /// Whether attach shows the standard error.
        attach_stderr: bool,
        /// Ports that others may reach: `<port>/<tcp|udp|sctp>`.
        exposed_ports: NameSet,
        /// Whether the command has a terminal. Its output is then one raw stream, without frames.
        tty: bool,
        /// Whether the standard input stays open while nobody is attached.
        open_stdin: bool,
        /// Whether the standard input closes when the first client that was attached leaves.
        stdin_once: bool,
        /// The environment, over the image's.
        env: Env,
        /// The command, or the arguments of `entrypoint`. Empty: the image's, unless `entrypoint` is set.
        cmd: Vec<String>,
        /// How the Engine finds out that the container is well. `None`: the image's way.
        healthcheck: Option<Healthcheck>,
        /// Whether the command is already escaped (Windows).
        args_escaped: bool,
        /// The image: a name, a name with digest, or an id.
        image: String,
        /// Paths in the container that become anonymous volumes.
        volumes: NameSet,
        /// Where the command starts.
        working_dir: String,
        /// What runs before `cmd`. `None`: the image's. `[""]` clears it.
        entrypoint: Option<Vec<String>>,
        /// Whether networking is off.
        network_disabled: bool,
        /// The MAC address. From API 1.44 on it belongs into [`EndpointSettings`].
        mac_address: String,
        /// Instructions for who builds on the image.
        on_build: Vec<String>,
        /// Labels.
        labels: BTreeMap<String, String>,
        /// The signal that stops the container, by name or number; podman answers with a number. Empty: the image's, or SIGTERM.
        stop_signal: String,
        /// Seconds between the stop signal and SIGKILL; -1 waits for ever. `None`: the Engine's 10.
        stop_timeout: Option<i64>,
        /// The shell of an image's shell-form commands.
        shell: Vec<String>,
    }

    /// How an Engine finds out that a container is well. A time of 0 means the image's, or Docker's own.
    pub struct Healthcheck {
        /// `["NONE"]`: no check; `["CMD", …]`: a command; `["CMD-SHELL", text]`: a command for the shell. Empty: the image's.
        test: Vec<String>,
        /// Nanoseconds between two checks, at least 1,000,000. Docker's own: 30 s.
        interval: i64,
        /// Nanoseconds after which a check has failed, at least 1,000,000. Docker's own: 30 s.
        timeout: i64,
        /// How many failures in a row make the container unhealthy. Docker's own: 3.
        retries: i64,
        /// Nanoseconds after the start in which failures do not count, at least 1,000,000. Docker's own: 0.
        start_period: i64,
        /// Nanoseconds between two checks in the start period, at least 1,000,000 (API 1.44). Docker's own: 5 s.
        start_interval: i64,
    }

    /// The networks that a container joins at its start. Engines before API 1.44 take one at most.
    pub struct NetworkingConfig {
        /// What the container is to each network: its name or id → settings.
        endpoints_config: BTreeMap<String, EndpointSettings>,
    }

    /// A container in a network: what is asked for, and, in answers, what it got.
    pub struct EndpointSettings {
        /// Addresses asked for.
        #[serde(rename = "IPAMConfig")]
        ipam_config: Option<EndpointIpamConfig>,
        /// Links of the old kind: `container:alias`.
        links: Vec<String>,
        /// More names of the container in this network.
        aliases: Vec<String>,
        /// The MAC address; in a request from API 1.44 on.
        mac_address: String,
        /// Options of the network's driver.
        driver_opts: BTreeMap<String, String>,
        /// Which network gives the default gateway: the highest (API 1.48).
        gw_priority: i64,
        /// The network's id.
        #[serde(rename = "NetworkID")]
        network_id: String,
        /// The id of the container's place in it; empty while it does not run.
        #[serde(rename = "EndpointID")]
        endpoint_id: String,
        /// The IPv4 gateway.
        gateway: String,
        /// The IPv4 address.
        #[serde(rename = "IPAddress")]
        ip_address: String,
        /// Bits of the IPv4 network's mask.
        #[serde(rename = "IPPrefixLen")]
        ip_prefix_len: i64,
        /// The IPv6 gateway.
        #[serde(rename = "IPv6Gateway")]
        ipv6_gateway: String,
        /// The IPv6 address.
        #[serde(rename = "GlobalIPv6Address")]
        global_ipv6_address: String,
        /// Bits of the IPv6 network's mask.
        #[serde(rename = "GlobalIPv6PrefixLen")]
        global_ipv6_prefix_len: i64,
        /// All names of the container in this network (API 1.44).
        #[serde(rename = "DNSNames")]
        dns_names: Vec<String>,
    }

    /// Addresses asked for in a network.
    pub struct EndpointIpamConfig {
        /// An IPv4 address.
        #[serde(rename = "IPv4Address")]
        ipv4_address: String,
        /// An IPv6 address.
        #[serde(rename = "IPv6Address")]
        ipv6_address: String,
        /// Link-local addresses.
        #[serde(rename = "LinkLocalIPs")]
        link_local_ips: Vec<String>,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::engine::types::{LogConfig, SecretMap, Ulimit};

    /// Every field of a create body by Docker's name, each with a value that is not its default.
    fn everything() -> Value {
        serde_json::from_str(include_str!("../../../fixtures/create-everything.json")).unwrap()
    }

    #[test]
    fn every_field_bears_dockers_name() {
        let body: ContainerCreate = serde_json::from_str(&everything().to_string()).unwrap();
        assert_eq!(serde_json::to_value(&body).unwrap(), everything());

        // And the list has every field: else one would show its default here. Each mount has options of one kind only.
        let mut shown = format!("{body:?}");
        let mounts = format!("mounts: {:?}", body.host_config.mounts);
        assert!(shown.contains(&mounts));
        shown = shown.replace(&mounts, "");
        for blank in ["\"\"", "[]", "{}", "None", "0", "false", "NameSet({})"] {
            for end in [",", " }"] {
                let found = shown.find(&format!(": {blank}{end}"));
                assert_eq!(found, None, "{}", &shown[found.unwrap_or(0).saturating_sub(40)..][..60]);
            }
        }
    }

    #[test]
    fn a_body_holds_only_what_was_asked() {
        let empty = ContainerCreate::default();
        assert_eq!(serde_json::to_value(&empty).unwrap(), json!({}));

        let mut body = ContainerCreate::default();
        body.config.image = "busybox".into();
        body.config.cmd = vec!["true".into()];
        body.config.entrypoint = Some(vec![]);
        body.config.exposed_ports = NameSet(["80/tcp".to_owned()].into());
        body.host_config.port_bindings.insert("80/tcp".into(), vec![Default::default()]);
        body.host_config.init = Some(false);
        body.host_config.masked_paths = Some(vec![]);
        body.host_config.ulimits = vec![Ulimit { name: "core".into(), soft: 0, hard: -1 }];
        body.host_config.log_config = LogConfig { kind: "local".into(), config: SecretMap::default() };
        body.networking_config.endpoints_config.insert("n".into(), EndpointSettings::default());
        let want = json!({
            "Image": "busybox", "Cmd": ["true"], "Entrypoint": [], "ExposedPorts": {"80/tcp": {}},
            "HostConfig": {
                "PortBindings": {"80/tcp": [{}]}, "Init": false, "MaskedPaths": [], "Ulimits": [{"Name": "core", "Hard": -1}],
                "LogConfig": {"Type": "local"},
            },
            "NetworkingConfig": {"EndpointsConfig": {"n": {}}},
        });
        assert_eq!(serde_json::to_value(&body).unwrap(), want);
        assert_eq!(serde_json::from_value::<ContainerCreate>(want).unwrap(), body);
    }

    #[test]
    fn null_missing_and_unknown() {
        /// Every field of an object null, and one more.
        fn nulled(object: &Value) -> Value {
            let fields = object.as_object().unwrap().keys().map(|name| (name.clone(), Value::Null));
            fields.chain([("New".to_owned(), json!({"of": ["a", "later", "version"]}))]).collect()
        }
        let read = |body: &Value| serde_json::from_str::<ContainerCreate>(&body.to_string()).unwrap();
        let body = everything();
        assert_eq!(read(&nulled(&body)), ContainerCreate::default());
        assert_eq!(read(&json!({"HostConfig": nulled(&body["HostConfig"])})), ContainerCreate::default());
        assert_eq!(read(&json!({"NetworkingConfig": nulled(&body["NetworkingConfig"])})), ContainerCreate::default());

        // Among elements and values.
        let body = read(&json!({
            "Cmd": ["a", null], "Labels": {"l": null}, "Volumes": {"/v": null}, "Env": [null],
            "HostConfig": {"PortBindings": {"80/tcp": null}, "Ulimits": [null], "DeviceRequests": [{"Capabilities": [null]}]},
            "NetworkingConfig": {"EndpointsConfig": {"n": null}},
        }));
        assert_eq!(body.config.cmd, ["a", ""]);
        assert_eq!(body.config.labels["l"], "");
        assert!(body.config.volumes.0.contains("/v"));
        assert_eq!(body.host_config.port_bindings["80/tcp"], []);
        assert_eq!(body.host_config.ulimits, [Ulimit::default()]);
        assert_eq!(body.host_config.device_requests[0].capabilities, [[""; 0]]);
        assert_eq!(body.networking_config.endpoints_config["n"], EndpointSettings::default());
    }

    #[test]
    fn debug_hides_what_may_be_secret() {
        let mut body = ContainerCreate::default();
        body.config.env =
            Env(vec!["TOKEN=hunter2".into(), "EMPTY=".into(), "BARE".into(), "TWO=hunter2=hunter2".into()]);
        body.host_config.log_config.config = [("splunk-token".to_owned(), "hunter2".to_owned())].into_iter().collect();
        let shown = format!("{body:?}{body:#?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(["TOKEN", "EMPTY", "BARE", "TWO", "splunk-token"].iter().all(|name| shown.contains(name)), "{shown}");
    }
}

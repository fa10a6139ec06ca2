//! Bodies and answers of networks.

use std::collections::BTreeMap;

use super::EndpointSettings;
use super::wire::wire;

wire! {
    /// A network: the answer of `GET /networks/{id}`, an element of `GET /networks`.
    pub struct Network {
        /// Its name.
        name: String,
        /// Its id.
        id: String,
        /// When it was created, RFC 3339.
        created: String,
        /// How far it reaches: `local`, `swarm` or `global`.
        scope: String,
        /// Its driver.
        driver: String,
        /// Whether it has IPv4. `None`: the Engine does not say (before API 1.48), and it has.
        #[serde(rename = "EnableIPv4")]
        enable_ipv4: Option<bool>,
        /// Whether it has IPv6.
        #[serde(rename = "EnableIPv6")]
        enable_ipv6: bool,
        /// Its addresses.
        #[serde(rename = "IPAM")]
        ipam: Ipam,
        /// Whether it leads nowhere else.
        internal: bool,
        /// Whether single containers may join it in a swarm.
        attachable: bool,
        /// Whether it is a swarm's ingress.
        ingress: bool,
        /// The network that its configuration comes from.
        config_from: ConfigFrom,
        /// Whether it is a configuration for others only.
        config_only: bool,
        /// The containers in it: id → place. Not in a list.
        containers: BTreeMap<String, NetworkContainer>,
        /// Options of its driver.
        options: BTreeMap<String, String>,
        /// Its labels.
        labels: BTreeMap<String, String>,
    }

    /// The network that a network's configuration comes from.
    pub struct ConfigFrom {
        /// Its name.
        network: String,
    }

    /// A network's addresses.
    pub struct Ipam {
        /// The driver that gives them. Empty: `default`.
        driver: String,
        /// Options of that driver.
        options: BTreeMap<String, String>,
        /// The ranges.
        config: Vec<IpamConfig>,
    }

    /// A range of a network's addresses.
    pub struct IpamConfig {
        /// The network: `172.18.0.0/16`.
        subnet: String,
        /// The part of it that containers get addresses of.
        #[serde(rename = "IPRange")]
        ip_range: String,
        /// The gateway.
        gateway: String,
        /// Addresses that are taken: name → address.
        auxiliary_addresses: BTreeMap<String, String>,
    }

    /// A container in a network, seen from the network.
    pub struct NetworkContainer {
        /// The container's name.
        name: String,
        /// The id of its place.
        #[serde(rename = "EndpointID")]
        endpoint_id: String,
        /// Its MAC address.
        mac_address: String,
        /// Its IPv4 address with the mask's bits.
        #[serde(rename = "IPv4Address")]
        ipv4_address: String,
        /// Its IPv6 address with the mask's bits.
        #[serde(rename = "IPv6Address")]
        ipv6_address: String,
    }

    /// The body of `POST /networks/create`.
    pub struct NetworkCreate {
        /// Its name.
        name: String,
        /// Whether a name that is taken is an error: always so from API 1.44 on, and never said there.
        check_duplicate: bool,
        /// Its driver. Empty: `bridge`.
        driver: String,
        /// How far it reaches.
        scope: String,
        /// Whether it leads nowhere else.
        internal: bool,
        /// Whether single containers may join it in a swarm.
        attachable: bool,
        /// Whether it is a swarm's ingress.
        ingress: bool,
        /// Whether it is a configuration for others only.
        config_only: bool,
        /// The network that its configuration comes from.
        config_from: Option<ConfigFrom>,
        /// Its addresses. `None`: the Engine's choice.
        #[serde(rename = "IPAM")]
        ipam: Option<Ipam>,
        /// Whether it has IPv4 (API 1.48). `None`: the driver's default.
        #[serde(rename = "EnableIPv4")]
        enable_ipv4: Option<bool>,
        /// Whether it has IPv6. `None`: the driver's default.
        #[serde(rename = "EnableIPv6")]
        enable_ipv6: Option<bool>,
        /// Options of its driver.
        options: BTreeMap<String, String>,
        /// Its labels.
        labels: BTreeMap<String, String>,
    }

    /// The answer of `POST /networks/create`.
    pub struct NetworkCreated {
        /// Its id.
        id: String,
        /// What the Engine did not do as asked.
        warning: String,
    }

    /// The body of `POST /networks/{id}/connect`.
    pub struct NetworkConnect {
        /// The container's id or name.
        container: String,
        /// Its place.
        endpoint_config: EndpointSettings,
    }

    /// The body of `POST /networks/{id}/disconnect`.
    pub struct NetworkDisconnect {
        /// The container's id or name.
        container: String,
        /// Whether to do so though the container is gone or does not answer.
        force: bool,
    }
}

//! What an Engine says of containers: create, inspect, list and wait answers. What was asked for is in `create.rs` and `host_config.rs`.
//! Times are RFC 3339 as the Engine wrote them; `0001-01-01T00:00:00Z` is "never".

use std::collections::BTreeMap;

use super::wire::wire;
use super::{ContainerConfig, EndpointSettings, HostConfig, PortBinding};

wire! {
    /// The answer of `POST /containers/create`.
    pub struct ContainerCreated {
        /// The container's id.
        id: String,
        /// What the Engine did not do as asked.
        warnings: Vec<String>,
    }

    /// The answer of `POST /containers/{id}/wait`.
    pub struct WaitResult {
        /// The exit code. podman 4.3 says 0 whenever the condition was `removed`.
        status_code: i64,
        /// Why the wait itself went wrong.
        error: Option<WaitError>,
    }

    /// Why a wait went wrong.
    pub struct WaitError {
        /// The Engine's text.
        message: String,
    }

    /// The answer of `GET /containers/{id}/json`.
    pub struct ContainerInspect {
        /// The container's id.
        id: String,
        /// When it was created.
        created: String,
        /// The program that it runs.
        path: String,
        /// The program's arguments.
        args: Vec<String>,
        /// How it is.
        state: ContainerState,
        /// The id of its image; the name is in `config`.
        image: String,
        /// Its `resolv.conf` on the host.
        resolv_conf_path: String,
        /// Its `hostname` on the host.
        hostname_path: String,
        /// Its `hosts` on the host.
        hosts_path: String,
        /// Its log on the host; empty where the log driver keeps no file.
        log_path: String,
        /// Its name, after a `/`.
        name: String,
        /// How often the Engine has started it again.
        restart_count: i64,
        /// The storage driver.
        driver: String,
        /// The operating system.
        platform: String,
        /// Its SELinux label for files.
        mount_label: String,
        /// Its SELinux label for processes.
        process_label: String,
        /// Its AppArmor profile.
        app_armor_profile: String,
        /// The ids of the execs that run in it.
        #[serde(rename = "ExecIDs")]
        exec_ids: Vec<String>,
        /// What the host does for it.
        host_config: HostConfig,
        /// Where its files are.
        graph_driver: GraphDriver,
        /// Bytes that it has written; only where asked for.
        size_rw: Option<i64>,
        /// Bytes of all of its files; only where asked for (podman: else 0).
        size_root_fs: Option<i64>,
        /// What is mounted in it.
        mounts: Vec<MountPoint>,
        /// What runs in it.
        config: ContainerConfig,
        /// Its networks.
        network_settings: NetworkSettings,
    }

    /// How a container is.
    pub struct ContainerState {
        /// `created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`; podman also `configured`, `stopping`, …
        status: String,
        /// Whether it runs; true while it is paused, and while it waits for a restart. Podman says false while it stops: see
        /// [`ContainerState::is_running`].
        running: bool,
        /// Whether it is paused.
        paused: bool,
        /// Whether it waits for a restart.
        restarting: bool,
        /// Whether the kernel killed it, or a process in it, because memory ran out.
        #[serde(rename = "OOMKilled")]
        oom_killed: bool,
        /// Whether its removal failed half-way.
        dead: bool,
        /// The host's id of its process; 0 while it does not run.
        pid: i64,
        /// The exit code; 0 before the end. `None`: the Engine says none, which is not 0.
        exit_code: Option<i64>,
        /// Why it could not be started; podman writes other things here too.
        error: String,
        /// When it was started.
        started_at: String,
        /// When it ended last.
        finished_at: String,
        /// How its health check sees it. `None`: it has none.
        health: Option<Health>,
    }

    /// How a health check sees a container.
    pub struct Health {
        /// `none`, `starting`, `healthy` or `unhealthy`.
        status: String,
        /// How many checks have failed in a row.
        failing_streak: i64,
        /// The last checks.
        log: Vec<HealthResult>,
    }

    /// One health check.
    pub struct HealthResult {
        /// When it began.
        start: String,
        /// When it ended.
        end: String,
        /// Its exit code: 0 is well.
        exit_code: i64,
        /// What it wrote.
        output: String,
    }

    /// Where a container's or an image's files are.
    pub struct GraphDriver {
        /// The storage driver.
        name: String,
        /// Its paths and ids.
        data: BTreeMap<String, String>,
    }

    /// What is mounted in a container.
    pub struct MountPoint {
        /// `bind`, `volume`, `image`, `tmpfs`, `npipe` or `cluster`.
        #[serde(rename = "Type")]
        kind: String,
        /// The volume's name.
        name: String,
        /// The path on the host.
        source: String,
        /// The path in the container.
        destination: String,
        /// The volume's driver.
        driver: String,
        /// The options as they were asked for.
        mode: String,
        /// Whether it is writable.
        #[serde(rename = "RW")]
        rw: bool,
        /// How mounts below it propagate.
        propagation: String,
    }

    /// A container's networks.
    pub struct NetworkSettings {
        /// The bridge's name, where it is not the default one.
        bridge: String,
        /// The id of its network namespace.
        #[serde(rename = "SandboxID")]
        sandbox_id: String,
        /// The path of its network namespace on the host.
        sandbox_key: String,
        /// Exposed ports → the host's addresses that lead there; an empty list: not published.
        ports: BTreeMap<String, Vec<PortBinding>>,
        /// The networks that it is in: name → its place there.
        networks: BTreeMap<String, EndpointSettings>,
    }

    /// A container in the answer of `GET /containers/json`.
    pub struct ContainerSummary {
        /// The container's id.
        id: String,
        /// Its names, each after a `/`; more than one where others link to it.
        names: Vec<String>,
        /// The image as it was asked for; podman writes the whole name.
        image: String,
        /// The image's id.
        #[serde(rename = "ImageID")]
        image_id: String,
        /// The command as one text.
        command: String,
        /// When it was created, in seconds since 1970.
        created: i64,
        /// Its ports.
        ports: Vec<Port>,
        /// Bytes that it has written; only where asked for.
        size_rw: Option<i64>,
        /// Bytes of all of its files; only where asked for.
        size_root_fs: Option<i64>,
        /// Its labels.
        labels: BTreeMap<String, String>,
        /// As [`ContainerState::status`].
        state: String,
        /// The same for people: `Up 3 minutes`.
        status: String,
        /// What little a list says of the host's part; podman says nothing.
        host_config: SummaryHostConfig,
        /// Its networks, without ports.
        network_settings: NetworkSettings,
        /// What is mounted in it.
        mounts: Vec<MountPoint>,
    }

    /// A port of a container.
    pub struct Port {
        /// The host's address.
        #[serde(rename = "IP")]
        ip: String,
        /// The port in the container.
        private_port: u16,
        /// The port on the host; 0: not published.
        public_port: u16,
        /// `tcp`, `udp` or `sctp`.
        #[serde(rename = "Type")]
        kind: String,
    }

    /// What a list says of a container's [`HostConfig`].
    pub struct SummaryHostConfig {
        /// As [`HostConfig::network_mode`].
        network_mode: String,
        /// As [`HostConfig::annotations`].
        annotations: BTreeMap<String, String>,
    }
}

impl ContainerState {
    /// Whether it runs, is paused, or waits for a restart. Podman's `running` is false while it stops, and says nothing then.
    pub fn is_running(&self) -> bool {
        self.running
            || self.restarting
            || matches!(self.status.as_str(), "running" | "paused" | "restarting" | "stopping")
    }

    /// Whether the Engine says that it has ended: by a word that is known for that (podman's `stopped` too). Any other word,
    /// or none, is no end.
    pub fn has_ended(&self) -> bool {
        !self.is_running() && matches!(self.status.as_str(), "exited" | "dead" | "removing" | "stopped")
    }

    /// Whether the Engine says that nothing of it runs: it has ended, or was created and never started.
    pub fn is_idle(&self) -> bool {
        self.has_ended() || !self.is_running() && self.status == "created"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs() {
        for (row, state, want) in [
            ("docker's", r#"{"Status":"running","Running":true,"Pid":7}"#, true),
            ("docker's paused", r#"{"Status":"paused","Running":true,"Paused":true}"#, true),
            ("podman's that stops", r#"{"Status":"running","Running":false,"Pid":7}"#, true),
            ("one by another name", r#"{"Status":"stopping","Running":false}"#, true),
            ("waits for a restart", r#"{"Status":"restarting","Running":true,"Restarting":true}"#, true),
            ("was never started", r#"{"Status":"created","Running":false}"#, false),
            ("has ended", r#"{"Status":"exited","Running":false,"ExitCode":3}"#, false),
            ("goes away", r#"{"Status":"removing","Running":false}"#, false),
            ("says nothing", "{}", false),
        ] {
            assert_eq!(serde_json::from_str::<ContainerState>(state).unwrap().is_running(), want, "{row}");
        }
    }

    #[test]
    fn what_has_ended() {
        // A word, has ended, is idle.
        for (status, ended, idle) in [
            ("exited", true, true),
            ("dead", true, true),
            ("removing", true, true),
            ("stopped", true, true),
            ("created", false, true),
            ("running", false, false),
            ("paused", false, false),
            ("restarting", false, false),
            ("stopping", false, false),
            ("unknown", false, false),
            ("initialized", false, false),
            ("configured", false, false),
            ("hibernating", false, false),
            ("Exited", false, false),
            ("", false, false),
        ] {
            let state = ContainerState { status: status.into(), ..ContainerState::default() };
            assert_eq!((state.has_ended(), state.is_idle()), (ended, idle), "{status:?}");
            let state = ContainerState { running: true, ..state };
            assert_eq!((state.has_ended(), state.is_idle()), (false, false), "{status:?}, and it runs");
        }
        for (text, want) in [
            (r#"{"Status":"exited","ExitCode":0}"#, Some(0)),
            (r#"{"Status":"exited","ExitCode":null}"#, None),
            (r#"{"Status":"exited"}"#, None),
        ] {
            assert_eq!(serde_json::from_str::<ContainerState>(text).unwrap().exit_code, want, "{text}");
        }
    }

    #[test]
    fn what_a_wait_says() {
        let failed = || Some(WaitError { message: "gone".into() });
        for (body, status_code, error) in [
            (r#"{"StatusCode":137}"#, 137, None),
            (r#"{"StatusCode":0,"Error":null}"#, 0, None),
            (r#"{"StatusCode":-1,"Error":{"Message":"gone"}}"#, -1, failed()),
            (r#"{"Error":{"Message":"gone","New":1}}"#, 0, failed()),
            (r#"{"StatusCode":4294967295}"#, 4294967295, None),
        ] {
            assert_eq!(serde_json::from_str::<WaitResult>(body).unwrap(), WaitResult { status_code, error }, "{body}");
        }
    }
}

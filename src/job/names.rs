//! What may stand in which part of a job file, and what becomes of it: one list a part, with HCL's name and the API's.
//! Readers, checks and hints all go by these lists, so a name that becomes supported changes its fate here and gets its reader in `decode`.

use super::problem::{nearest, shown};

/// A part of a job file.
#[derive(Debug)]
pub(super) struct Level {
    /// What people call it.
    pub(super) name: &'static str,
    pub(super) known: &'static [Known],
}

/// A name that may stand in a part of a job file.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) name: &'static str,
    /// The same in the JSON of Nomad's API; empty where that has none.
    pub(super) api: &'static str,
    pub(super) shape: Shape,
    pub(super) fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Shape {
    /// `name = value`
    Attribute,
    /// `name { … }`
    Block,
    /// `name "label" { … }`
    Labelled,
    /// `name { … }` or `name = { … }`, with keys of the user's own
    Map,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fate {
    /// It is read.
    Read,
    /// It has no meaning on one machine: nothing is checked, nothing is said.
    Accepted,
    /// It has a meaning that is not applied: nothing in it is checked, a notice says so.
    Noticed(&'static str),
    /// It would have a meaning that longshore does not give it yet.
    NotYet,
}

const CLUSTER: Fate = Fate::Noticed("needs a Nomad cluster and has no effect here");
const CONSTRAINT: Fate = Fate::Noticed("is not checked against this machine yet");

const fn known(name: &'static str, api: &'static str, shape: Shape, fate: Fate) -> Known {
    Known { name, api, shape, fate }
}

use Fate::{Accepted, NotYet, Noticed, Read};
use Shape::{Attribute, Block, Labelled, Map};

/// The file itself. (Its JSON is told apart by hand.)
pub(super) static FILE: Level = Level {
    name: "file",
    known: &[
        known("job", "", Labelled, Read),
        known("variable", "", Labelled, NotYet),
        known("variables", "", Map, NotYet),
        known("locals", "", Map, NotYet),
    ],
};

pub(super) static JOB: Level = Level {
    name: "job",
    known: &[
        known("id", "ID", Attribute, Read),
        known("name", "Name", Attribute, Read),
        known("type", "Type", Attribute, Read),
        known("namespace", "Namespace", Attribute, Read),
        known("region", "Region", Attribute, Read),
        known("datacenters", "Datacenters", Attribute, Read),
        known("meta", "Meta", Map, Read),
        known("group", "TaskGroups", Labelled, Read),
        known("task", "", Labelled, Read),
        known("periodic", "Periodic", Block, Noticed("is not kept to: the job runs once, now")),
        known("parameterized", "ParameterizedJob", Block, NotYet),
        known("dynamic", "", Labelled, NotYet),
        known("constraint", "Constraints", Block, CONSTRAINT),
        known("affinity", "Affinities", Block, Accepted),
        known("spread", "Spreads", Block, Accepted),
        known("priority", "Priority", Attribute, Accepted),
        known("all_at_once", "AllAtOnce", Attribute, Accepted),
        known("node_pool", "NodePool", Attribute, Accepted),
        known("update", "Update", Block, Accepted),
        known("migrate", "Migrate", Block, Accepted),
        known("reschedule", "Reschedule", Block, Accepted),
        known("ui", "UI", Block, Accepted),
        known("multiregion", "Multiregion", Block, CLUSTER),
        known("vault", "", Block, CLUSTER),
        known("consul", "", Block, CLUSTER),
        known("consul_token", "ConsulToken", Attribute, CLUSTER),
        known("vault_token", "VaultToken", Attribute, CLUSTER),
        known("consul_namespace", "ConsulNamespace", Attribute, CLUSTER),
        known("vault_namespace", "VaultNamespace", Attribute, CLUSTER),
    ],
};

pub(super) static GROUP: Level = Level {
    name: "group",
    known: &[
        known("count", "Count", Attribute, Read),
        known("meta", "Meta", Map, Read),
        known("task", "Tasks", Labelled, Read),
        known("restart", "RestartPolicy", Block, Read),
        known("shutdown_delay", "ShutdownDelay", Attribute, Read),
        known("network", "Networks", Block, NotYet),
        known("volume", "Volumes", Labelled, NotYet),
        known("dynamic", "", Labelled, NotYet),
        known("constraint", "Constraints", Block, CONSTRAINT),
        known("affinity", "Affinities", Block, Accepted),
        known("spread", "Spreads", Block, Accepted),
        known("update", "Update", Block, Accepted),
        known("migrate", "Migrate", Block, Accepted),
        known("reschedule", "ReschedulePolicy", Block, Accepted),
        known("disconnect", "Disconnect", Block, Accepted),
        known("ephemeral_disk", "EphemeralDisk", Block, Accepted),
        known("scaling", "Scaling", Block, Accepted),
        known("stop_after_client_disconnect", "StopAfterClientDisconnect", Attribute, Accepted),
        known("max_client_disconnect", "MaxClientDisconnect", Attribute, Accepted),
        known("prevent_reschedule_on_lost", "PreventRescheduleOnLost", Attribute, Accepted),
        known("service", "Services", Block, CLUSTER),
        known("consul", "Consul", Block, CLUSTER),
        known("vault", "", Block, CLUSTER),
    ],
};

pub(super) static TASK: Level = Level {
    name: "task",
    known: &[
        known("driver", "Driver", Attribute, Read),
        known("config", "Config", Map, Read),
        known("env", "Env", Map, Read),
        known("meta", "Meta", Map, Read),
        known("user", "User", Attribute, Read),
        known("resources", "Resources", Block, Read),
        known("restart", "RestartPolicy", Block, Read),
        known("kill_signal", "KillSignal", Attribute, Read),
        known("kill_timeout", "KillTimeout", Attribute, Read),
        known("leader", "Leader", Attribute, Read),
        known("shutdown_delay", "ShutdownDelay", Attribute, Read),
        known("template", "Templates", Block, NotYet),
        known("artifact", "Artifacts", Block, NotYet),
        known("volume_mount", "VolumeMounts", Block, NotYet),
        known("lifecycle", "Lifecycle", Block, NotYet),
        known("logs", "LogConfig", Block, Read),
        known("dynamic", "", Labelled, NotYet),
        known("constraint", "Constraints", Block, CONSTRAINT),
        known("affinity", "Affinities", Block, Accepted),
        known("scaling", "ScalingPolicies", Labelled, Accepted),
        known("schedule", "Schedule", Block, Accepted),
        known("action", "Actions", Labelled, Accepted),
        known("dispatch_payload", "DispatchPayload", Block, Accepted),
        known("kind", "Kind", Attribute, Accepted),
        known("service", "Services", Block, CLUSTER),
        known("vault", "Vault", Block, CLUSTER),
        known("consul", "Consul", Block, CLUSTER),
        known("identity", "Identities", Block, CLUSTER),
        known("secret", "Secrets", Labelled, CLUSTER),
        known("csi_plugin", "CSIPluginConfig", Block, CLUSTER),
    ],
};

pub(super) static RESOURCES: Level = Level {
    name: "resources",
    known: &[
        known("cpu", "CPU", Attribute, Read),
        known("memory", "MemoryMB", Attribute, Read),
        known("memory_max", "MemoryMaxMB", Attribute, Read),
        known("cores", "Cores", Attribute, Read),
        known("network", "Networks", Block, NotYet),
        known("device", "Devices", Labelled, NotYet),
        known("dynamic", "", Labelled, NotYet),
        known("disk", "DiskMB", Attribute, Accepted),
        known("iops", "IOPS", Attribute, Accepted),
        known("numa", "NUMA", Block, Accepted),
        known("secrets", "SecretsMB", Attribute, Accepted),
    ],
};

pub(super) static RESTART: Level = Level {
    name: "restart",
    known: &[
        known("attempts", "Attempts", Attribute, Read),
        known("interval", "Interval", Attribute, Read),
        known("delay", "Delay", Attribute, Read),
        known("mode", "Mode", Attribute, Read),
        known("render_templates", "RenderTemplates", Attribute, Accepted),
    ],
};

pub(super) static LOGS: Level = Level {
    name: "logs",
    known: &[
        known("max_files", "MaxFiles", Attribute, Read),
        known("max_file_size", "MaxFileSizeMB", Attribute, Read),
        known("disabled", "Disabled", Attribute, Read),
        known("enabled", "Enabled", Attribute, Read),
    ],
};

/// Options of the docker driver that people write one block too high, often enough to be named.
const OPTIONS: [&str; 12] = [
    "image",
    "command",
    "args",
    "entrypoint",
    "ports",
    "port_map",
    "volumes",
    "network_mode",
    "privileged",
    "labels",
    "mount",
    "work_dir",
];

impl Level {
    pub(super) fn find(&self, name: &str) -> Option<&'static Known> {
        self.known.iter().find(|k| k.name == name)
    }

    /// By the API's name; in any case, as Go reads JSON.
    pub(super) fn find_api(&self, name: &str) -> Option<&'static Known> {
        self.known.iter().find(|k| !k.api.is_empty() && k.api.eq_ignore_ascii_case(name))
    }

    /// What to say of a name that is not in the list.
    pub(super) fn unknown(&self, name: &str) -> String {
        let mut message = if std::ptr::eq(self, &FILE) {
            format!("{} cannot stand outside of the job", shown(name))
        } else {
            format!("unknown name {} in `{}`", shown(name), self.name)
        };
        let elsewhere = || [&JOB, &GROUP, &TASK, &RESOURCES, &LOGS].into_iter().find(|l| l.find(name).is_some());
        if let Some(near) = nearest(name, self.known.iter().map(|k| k.name)) {
            message += &format!("; did you mean `{near}`?");
        } else if std::ptr::eq(self, &TASK) && OPTIONS.contains(&name) {
            message += "; an option of the docker driver belongs in `config`";
        } else if let Some(level) = elsewhere() {
            message += &format!("; it belongs in `{}`", level.name);
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_once_in_a_list() {
        for level in [&FILE, &JOB, &GROUP, &TASK, &RESOURCES, &RESTART, &LOGS] {
            for (i, known) in level.known.iter().enumerate() {
                for other in &level.known[..i] {
                    assert_ne!(known.name, other.name, "in a {}", level.name);
                    assert!(known.api.is_empty() || known.api != other.api, "{} in a {}", known.api, level.name);
                }
            }
        }
    }

    #[test]
    fn hints() {
        for (level, name, want) in [
            (&TASK, "driver_", "unknown name `driver_` in `task`; did you mean `driver`?"),
            (&TASK, "image", "unknown name `image` in `task`; an option of the docker driver belongs in `config`"),
            (&TASK, "memory", "unknown name `memory` in `task`; it belongs in `resources`"),
            (&JOB, "env", "unknown name `env` in `job`; it belongs in `task`"),
            (&TASK, "max_files", "unknown name `max_files` in `task`; it belongs in `logs`"),
            (&GROUP, "zebra", "unknown name `zebra` in `group`"),
            (&FILE, "group", "`group` cannot stand outside of the job; it belongs in `job`"),
            (&FILE, "jobs", "`jobs` cannot stand outside of the job; did you mean `job`?"),
        ] {
            assert_eq!(level.unknown(name), want, "{name} in a {}", level.name);
        }
    }
}

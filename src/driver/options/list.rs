//! Every option of a docker task (driver-spec section 3), each once. `docs/options.md` is held to it by a test.
//! Data only: what a built option becomes is in `create`.

use std::fmt;

/// An option of a docker task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionInfo {
    /// What a job file calls it.
    pub name: &'static str,
    /// What its value is.
    pub kind: OptionKind,
    /// Whether it is built. One that is not is refused by name.
    pub built: bool,
    /// What it does, in a line of Markdown.
    pub summary: &'static str,
}

/// What an option's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionKind {
    /// A string.
    String,
    /// True or false.
    Boolean,
    /// A whole number.
    Number,
    /// A list of strings.
    List,
    /// A map of strings.
    Map,
    /// Fields of its own, once or many times.
    Block,
}

impl fmt::Display for OptionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::String => "string",
            Self::Boolean => "boolean",
            Self::Number => "number",
            Self::List => "list",
            Self::Map => "map",
            Self::Block => "block",
        })
    }
}

use OptionKind::{Block, Boolean, List, Map, Number, String};

/// Every option there is. The order is that of problems, and of the documentation.
pub const ALL: &[OptionInfo] = &[
    built(
        "image",
        String,
        "The image to run: a name with tag or digest. One leading `https://` is taken off. Required.",
    ),
    built("args", List, "Arguments, after `command` or alone."),
    built("command", String, "The program to run, in place of the image's."),
    built(
        "entrypoint",
        List,
        "What runs before `command` and `args`, in place of the image's entry point; `[\"\"]` takes it away.",
    ),
    built("work_dir", String, "The directory in which the command starts."),
    built("hostname", String, "The host name within the container."),
    built("tty", Boolean, "Gives the command a terminal; its whole output is then one stream."),
    built("interactive", Boolean, "Keeps standard input open."),
    built("labels", Map, "Labels of the container. `longshore.instance` and `longshore.task_id` are set over them."),
    later("mac_address", String, "The MAC address in the container's network."),
    built(
        "auth",
        Block,
        "Credentials for the image's registry: `username`, `password`, `server_address`; `email` is not used.",
    ),
    built("auth_soft_fail", Boolean, "Pulls without credentials where finding them fails."),
    built("force_pull", Boolean, "Pulls the image although it is here. With `load` it is loaded again."),
    built("load", String, "An archive to load the image from: a path below the task's `local` directory."),
    built("image_pull_timeout", String, "How long a pull may take, such as `20m`. Without it as the driver's."),
    later("cap_add", List, "Capabilities to add."),
    later("cap_drop", List, "Capabilities to take away."),
    later("privileged", Boolean, "Gives the container all of the machine's rights."),
    built("cpu_hard_limit", Boolean, "Makes the task's `cpu` a limit. Without it, it is a weight among tasks."),
    built(
        "cpu_cfs_period",
        Number,
        "The period of `cpu_hard_limit`, in µs: 1000 to 1000000, or 0 for 100000, the default.",
    ),
    later("cpuset_cpus", String, "The cores to run on."),
    built(
        "memory_hard_limit",
        Number,
        "The most memory, in MB; the task's `memory` is then what it is pushed back to when memory is short.",
    ),
    built("oom_score_adj", Number, "How readily the kernel kills the task when memory runs out: -1000 to 1000."),
    built("pids_limit", Number, "The most processes; no more than the driver's own `pids_limit`."),
    built("shm_size", Number, "The size of `/dev/shm`, in bytes."),
    later("storage_opt", Map, "Options of the storage driver."),
    later("sysctl", Map, "Kernel parameters within the container."),
    later("ulimit", Map, "Limits of the process."),
    later("devices", Block, "Devices of the machine."),
    later("volumes", List, "Binds and volumes: `source:target[:mode]`."),
    later("volume_driver", String, "The driver of the volumes."),
    later("mounts", Block, "Mounts."),
    later("mount", Block, "Mounts, one each."),
    later("dns_servers", List, "Name servers."),
    later("dns_search_domains", List, "Search domains."),
    later("dns_options", List, "Options of the resolver."),
    later("extra_hosts", List, "Lines of `/etc/hosts`: `name:address`."),
    built("network_mode", String, "`bridge`, `host`, `none`, `container:<id>`, or a network's name."),
    later("network_aliases", List, "More names of the container in its network."),
    later("ipv4_address", String, "The IPv4 address in the container's network."),
    later("ipv6_address", String, "The IPv6 address in the container's network."),
    later("port_map", Map, "Port labels to ports in the container."),
    later("ports", List, "Labels of the ports to publish."),
    later("advertise_ipv6_address", Boolean, "Announces the IPv6 address."),
    later("ipc_mode", String, "The IPC namespace."),
    later("pid_mode", String, "The PID namespace."),
    later("uts_mode", String, "The UTS namespace."),
    later("userns_mode", String, "The user namespace."),
    later("cgroupns", String, "The cgroup namespace: `host` or `private`."),
    built("readonly_rootfs", Boolean, "Makes the root file system read-only."),
    later("security_opt", List, "Options of SELinux, AppArmor, seccomp."),
    built(
        "logging",
        Block,
        "The log driver, `type` (or `driver`), and its options, `config`. Without both: `json-file` with 5 files of 20 MB.",
    ),
    later("runtime", String, "The OCI runtime."),
    built("init", Boolean, "Runs an init process that reaps zombies and passes signals on."),
    built("group_add", List, "More groups of the process, by name or number."),
    later("healthchecks", Block, "Turns the image's health check off."),
    later("isolation", String, "How the container is isolated (Windows)."),
    later("container_exists_attempts", Number, "How often a create is tried while its name is taken."),
];

const fn built(name: &'static str, kind: OptionKind, summary: &'static str) -> OptionInfo {
    OptionInfo { name, kind, built: true, summary }
}

const fn later(name: &'static str, kind: OptionKind, summary: &'static str) -> OptionInfo {
    OptionInfo { name, kind, built: false, summary }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_these_rows_and_no_others() {
        let documented = include_str!("../../../docs/options.md").lines().filter(|line| line.starts_with("| `"));
        let listed = ALL.iter().map(|option| {
            let since = if option.built { "0.1" } else { "not yet" };
            format!("| `{}` | {} | {} | {since} |", option.name, option.kind, option.summary)
        });
        assert_eq!(documented.collect::<Vec<_>>().join("\n"), listed.collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn each_name_stands_once() {
        for (index, option) in ALL.iter().enumerate() {
            assert!(ALL[..index].iter().all(|other| other.name != option.name), "{} twice", option.name);
        }
    }
}

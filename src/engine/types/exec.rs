//! Bodies and answers of execs: commands started in a container that runs.

use super::Env;
use super::wire::wire;

wire! {
    /// The body of `POST /containers/{id}/exec`.
    pub struct ExecCreate {
        /// Whether its standard input is attached.
        attach_stdin: bool,
        /// Whether its standard output is attached.
        attach_stdout: bool,
        /// Whether its standard error is attached.
        attach_stderr: bool,
        /// The first size of its terminal: rows, columns (API 1.42).
        console_size: Option<[u32; 2]>,
        /// The keys that detach.
        detach_keys: String,
        /// Whether it has a terminal.
        tty: bool,
        /// Its environment, over the container's.
        env: Env,
        /// The command.
        cmd: Vec<String>,
        /// Whether it has all of the host's rights.
        privileged: bool,
        /// Who runs it. Empty: the container's user.
        user: String,
        /// Where it starts. Empty: the container's working directory.
        working_dir: String,
    }

    /// The answer of `POST /containers/{id}/exec`.
    pub struct ExecCreated {
        /// The exec's id.
        id: String,
    }

    /// The body of `POST /exec/{id}/start`.
    pub struct ExecStart {
        /// Whether the answer comes at once, without the command's output.
        detach: bool,
        /// Whether it has a terminal; the same as in [`ExecCreate`].
        tty: bool,
        /// The first size of its terminal: rows, columns (API 1.42).
        console_size: Option<[u32; 2]>,
    }

    /// The answer of `GET /exec/{id}/json`.
    pub struct ExecInspect {
        /// The exec's id.
        #[serde(rename = "ID")]
        id: String,
        /// Whether it runs. `None`: the Engine does not say, and it may.
        running: Option<bool>,
        /// Its exit code. `None`: not ended; podman says 0 then, so look at `running` first.
        exit_code: Option<i64>,
        /// What runs.
        process_config: ProcessConfig,
        /// Whether its standard input is open.
        open_stdin: bool,
        /// Whether its standard error is open.
        open_stderr: bool,
        /// Whether its standard output is open.
        open_stdout: bool,
        /// Whether it can be removed.
        can_remove: bool,
        /// The container's id.
        #[serde(rename = "ContainerID")]
        container_id: String,
        /// The keys that detach.
        detach_keys: String,
        /// The host's id of its process; 0: not started.
        pid: i64,
    }
}

wire! {
    case "snake_case";

    /// What runs in an exec.
    pub struct ProcessConfig {
        /// Whether it has a terminal.
        tty: bool,
        /// The program.
        entrypoint: String,
        /// Its arguments.
        arguments: Vec<String>,
        /// Whether it has all of the host's rights.
        privileged: bool,
        /// Who runs it.
        user: String,
    }
}

impl ExecInspect {
    /// Its exit code, where the Engine says that it has ended. That it runs no more is not taken from silence.
    pub fn ended(&self) -> Option<i64> {
        self.exit_code.filter(|_| self.running == Some(false))
    }
}

//! A Docker daemon of a test's own, to be killed and started again while its containers run.
//!
//! It lives in mount, process, network, IPC and host-name namespaces held by a small shell, which starts and ends the
//! daemon on our word, and is the first process there: when it ends, and it does when our end of its input closes, even
//! because the test was killed, the kernel ends the daemon and its containers and drops the mounts. So no process
//! is ever ended by an id that could be somebody else's, and the machine's own Engine is not touched. What outlives it
//! are folders and control groups, which `Drop` removes.
//!
//! Needs root, `dockerd`, util-linux's `unshare` and busybox. There is no network but loopback: containers get `none`
//! or share the daemon's. The client's end of the socket lies in the machine's file system, under a short path, because
//! a socket's path ends at 107 bytes.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::image::rootfs;
use super::network::Network;
use super::{IMAGE, ask, unique};

/// For everything that this file waits for: a first start on a slow disk.
const DEADLINE: Duration = Duration::from_secs(60);

/// Runs as the first process of the namespaces. $1: the folder; the rest: the daemon and its arguments. Answers each
/// line of input with one of output. bash, because it reaps the orphans that fall to it; dash would not.
const HOLDER: &str = r#"
set -eu
dir=$1
shift
busybox ip link set lo up
# An address that Docker does not count as loopback, for registries: TLS to it has to be trusted.
busybox ip addr add 192.0.2.1/32 dev lo
# Where containerd's shims put their sockets whatever its state folder is: out of the machine's sight.
mkdir -p /run/containerd
mount -t tmpfs tmpfs /run/containerd
echo ready
pid=
while read -r word; do
  case $word in
    start)
      # Of one that was killed. The new one would wait for a process that has this id.
      rm -f "$dir/exec/containerd/containerd.pid" "$dir/pid"
      "$@" >>"$dir/log" 2>&1 </dev/null &
      pid=$!
      ;;
    KILL | TERM)
      kill -s "$word" "$pid"
      wait "$pid" || :
      ;;
    containerd)
      # The daemon's own, which it starts again.
      kill -s KILL "$(cat "$dir/exec/containerd/containerd.pid")"
      ;;
  esac
  echo done
done
"#;

/// A private dockerd. Dropping it ends it with its containers, and removes all that it left.
pub(crate) struct Dockerd {
    dir: PathBuf,
    /// Under `cpu`, `memory`, … of version 1, or the root of version 2.
    control_group: String,
    holder: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Dockerd {
    /// Starts one with more options for `dockerd` (`--live-restore`), and returns when it answers.
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::start_with(options, &[])
    }

    /// The same with more variables in its environment (`SSL_CERT_FILE`).
    pub(crate) fn start_with(options: &[&str], env: &[(&str, &str)]) -> Self {
        let (name, dir) = loop {
            let name = unique("ls");
            let dir = Path::new("/tmp").join(&name);
            match fs::create_dir(&dir) {
                Ok(()) => break (name, dir),
                // Left by a test program that was killed, and had our process id.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => panic!("{}: {e}", dir.display()),
            }
        };
        // Options of the machine's own daemon are not for this one.
        fs::write(dir.join("daemon.json"), "{}").expect("write daemon.json");
        let path = |leaf: &str| dir.join(leaf).display().to_string();

        let mut holder = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--net", "--ipc", "--uts"])
            .args(["bash", "-c", HOLDER, "holder"])
            .arg(&dir)
            .args(["dockerd", "--config-file", &path("daemon.json"), "--host", &format!("unix://{}", path("s"))])
            .args(["--data-root", &path("data"), "--exec-root", &path("exec"), "--pidfile", &path("pid")])
            .args(["--bridge=none", "--iptables=false", "--ip-forward=false"])
            .args(["--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", &format!("/{name}")])
            .args(options)
            .envs(env.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(dir.join("log")).expect("create the log"))
            .spawn()
            .unwrap_or_else(|e| panic!("unshare: {e}"));
        let orders = holder.stdin.take();
        let answers = BufReader::new(holder.stdout.take().expect("stdout is piped"));
        // From here on Drop cleans up, also when a step below panics.
        let mut dockerd = Self { dir, control_group: name, holder, orders, answers };
        dockerd.expect("ready");
        dockerd.start_again();
        dockerd
    }

    /// Starts a daemon beside the containers of one that was killed or stopped, and returns when it answers.
    pub(crate) fn start_again(&mut self) {
        self.order("start");
        let begun = Instant::now();
        while !self.answers_ping() {
            if begun.elapsed() > DEADLINE {
                panic!("dockerd does not answer within {DEADLINE:?}; its log ends:\n{}", self.log_end());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends the daemon with SIGKILL. With `--live-restore` its containers run on.
    pub(crate) fn kill(&mut self) {
        self.order("KILL");
    }

    /// Ends the daemon as a service manager does, with SIGTERM, and returns when it has ended.
    pub(crate) fn stop(&mut self) {
        self.order("TERM");
    }

    /// Ends the daemon's containerd with SIGKILL; the daemon starts another one.
    pub(crate) fn kill_containerd(&mut self) {
        self.order("containerd");
    }

    /// Its address, as DOCKER_HOST takes it.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// The socket, whether the daemon runs or not.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join("s")
    }

    /// Its network, whether the daemon runs or not.
    pub(crate) fn network(&self) -> Network {
        // `unshare` is in the new namespaces itself, but for that of processes.
        Network::of_process(self.holder.id())
    }

    /// The last lines of the daemon's log.
    pub(crate) fn log_end(&self) -> String {
        let log = fs::read(self.dir.join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Gives it the test image. By hand as well: what a test is about is not what prepares it.
    pub(crate) fn import_image(&self) {
        let path = format!("/images/create?fromSrc=-&repo={IMAGE}&changes=CMD%20%5B%22sh%22%5D");
        match ask(&self.socket(), "POST", &path, &[], rootfs()) {
            Ok(answer) if answer.contains(" 200 OK") && answer.contains("sha256:") => {}
            other => panic!("importing {IMAGE}: {other:?}"),
        }
    }

    /// Whether it answers a ping. By hand, so that a fault of our client is not taken for one of the daemon.
    fn answers_ping(&self) -> bool {
        ask(&self.socket(), "GET", "/_ping", &[], b"")
            .is_ok_and(|answer| answer.contains(" 200 OK") && answer.ends_with("OK"))
    }

    fn order(&mut self, word: &str) {
        let orders = self.orders.as_mut().expect("open until drop");
        if let Err(e) = writeln!(orders, "{word}") {
            panic!("the holder of dockerd's namespaces is gone: {e}\n{}", self.log_end());
        }
        self.expect("done");
    }

    fn expect(&mut self, want: &str) {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line);
        if read.is_err() || line.trim_end() != want {
            panic!("the holder of dockerd's namespaces said {line:?}, not {want:?}\n{}", self.log_end());
        }
    }

    /// Its control groups, innermost first.
    fn control_groups(&self) -> Vec<PathBuf> {
        fn add(group: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(group).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    add(&entry.path(), found);
                }
            }
            found.push(group.to_path_buf());
        }
        let root = Path::new("/sys/fs/cgroup");
        let mut found = Vec::new();
        let hierarchies = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
        for hierarchy in hierarchies.chain([root.to_path_buf()]) {
            let group = hierarchy.join(&self.control_group);
            if group.is_dir() {
                add(&group, &mut found);
            }
        }
        found
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        // The holder reads the end of its input and ends, and the kernel ends all that are in its namespaces; but a
        // paused container's processes only when they are thawed.
        self.orders = None;
        for group in self.control_groups() {
            for (file, thawed) in [("freezer.state", "THAWED"), ("cgroup.freeze", "0")] {
                let file = group.join(file);
                if file.exists() {
                    let _ = fs::write(file, thawed);
                }
            }
        }
        let begun = Instant::now();
        while matches!(self.holder.try_wait(), Ok(None)) {
            if begun.elapsed() > DEADLINE {
                let _ = self.holder.kill(); // and with it, by --kill-child, the first process
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.holder.wait();
        if thread::panicking() {
            eprintln!("the private dockerd's log ended:\n{}", self.log_end());
        }
        for group in self.control_groups() {
            let _ = fs::remove_dir(group);
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

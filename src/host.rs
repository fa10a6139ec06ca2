//! Facts of this machine: CPU, memory, cgroups, names, address. What a text means is a pure function; reading the texts is thin.
//! It knows nothing of Docker. A fact that cannot be found out is `None`: never an error, never a panic.
//!
//! They are facts of the machine that we run on. An Engine behind TCP or SSH may have others.

use std::fs;
use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};

/// Facts of a machine. `Default`: nothing is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// CPUs (hardware threads), whether or not this process may use them.
    pub cores: Option<u32>,
    /// All of its CPU in MHz: cores × MHz of the first one, both whole (driver-spec 9.1).
    pub total_compute_mhz: Option<u64>,
    /// How it limits what processes use.
    pub cgroup_version: Option<CgroupVersion>,
    /// Whether `memory.swappiness` of a cgroup can be set: it exists in version 1 only, and not in every kernel.
    pub swappiness_writable: bool,
    /// The CPUs that processes may run on, as the kernel writes it: `0-3,7`.
    pub cpuset: Option<String>,
    /// Memory, in bytes.
    pub memory_bytes: Option<u64>,
    /// The kernel's release: `6.1.0-18-amd64`.
    pub kernel_release: Option<String>,
    /// The operating system: `debian`.
    pub os_name: Option<String>,
    /// Its version: `12`.
    pub os_version: Option<String>,
    /// The processor architecture, by Go's name: `amd64`, `arm64`.
    pub arch: String,
    /// The machine's name.
    pub hostname: Option<String>,
    /// The address that it reaches other machines from.
    pub address: Option<IpAddr>,
}

/// How a machine limits what processes use. One with both (hybrid) counts as the first: that is where the controllers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CgroupVersion {
    /// A hierarchy per controller.
    V1,
    /// One hierarchy.
    V2,
}

impl Host {
    /// The facts of this machine, read now. Sends nothing.
    pub fn of_this_machine() -> Self {
        Self { address: primary_address(), ..Self::below(Path::new("/")) }
    }

    /// The facts that files say, below `root`.
    fn below(root: &Path) -> Self {
        let file = |path: &str| read(&root.join(path));
        let cpuinfo = file("proc/cpuinfo").unwrap_or_default();
        let online = file("sys/devices/system/cpu/online");
        let cores = count_cpus(&cpuinfo).or_else(|| count_list(online.as_deref()?));
        // The first choice does not change with the load of the moment.
        let max_freq = file("sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq");
        let mhz = max_freq.and_then(|text| mhz_of_khz(&text)).or_else(|| mhz_of_cpuinfo(&cpuinfo));

        let mounts = file("proc/mounts").unwrap_or_default();
        let cgroup_version = cgroup_version(&mounts);
        let in_cgroup = |controller, name| Some(inside(root, cgroup_mount(&mounts, controller)?).join(name));
        let swappiness = in_cgroup("memory", "memory.swappiness");
        let cpuset = match cgroup_version {
            Some(CgroupVersion::V1) => in_cgroup("cpuset", "cpuset.effective_cpus"),
            Some(CgroupVersion::V2) => in_cgroup("", "cpuset.cpus.effective"),
            None => None,
        };

        let os = file("etc/os-release").or_else(|| file("usr/lib/os-release")).unwrap_or_default();
        Self {
            cores,
            total_compute_mhz: cores.zip(mhz).map(|(cores, mhz)| u64::from(cores) * mhz),
            cgroup_version,
            swappiness_writable: swappiness.is_some_and(|path| has_write_bit(&path)),
            cpuset: cpuset.and_then(|path| read(&path)).or(online),
            memory_bytes: file("proc/meminfo").and_then(|text| total_memory(&text)),
            kernel_release: file("proc/sys/kernel/osrelease"),
            os_name: os_release(&os, "ID"),
            os_version: os_release(&os, "VERSION_ID"),
            arch: go_arch(std::env::consts::ARCH, cfg!(target_endian = "little")).into(),
            hostname: file("proc/sys/kernel/hostname"),
            address: None,
        }
    }
}

/// The name of a group, where `/etc/group` has it.
#[cfg(feature = "cli")]
pub(crate) fn group_name(gid: u32) -> Option<String> {
    name_in(&read(Path::new("/etc/group"))?, gid)
}

/// The name in a line `name:password:gid:members`.
#[cfg(feature = "cli")]
fn name_in(groups: &str, gid: u32) -> Option<String> {
    let name = |line: &str| {
        let mut fields = line.split(':');
        let (name, _, id) = (fields.next()?, fields.next()?, fields.next()?);
        (id.parse() == Ok(gid) && !name.is_empty()).then(|| name.to_owned())
    };
    groups.lines().find_map(name)
}

/// A file's text without the white space around it; `None` too where it is empty.
fn read(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_string()).filter(|text| !text.is_empty())
}

fn inside(root: &Path, absolute: &str) -> PathBuf {
    root.join(absolute.trim_start_matches('/'))
}

/// By its mode, not by trying: it is the Engine that will write, and its rights are not ours.
fn has_write_bit(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| !meta.permissions().readonly())
}

/// The address of the route to the world. Connecting a UDP socket chooses it and sends nothing; where it leads is an address that
/// is set aside for documentation.
fn primary_address() -> Option<IpAddr> {
    [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")].into_iter().find_map(|(any, far)| {
        let socket = UdpSocket::bind(any).ok()?;
        socket.connect(far).ok()?;
        let address = socket.local_addr().ok()?.ip();
        (!address.is_loopback() && !address.is_unspecified()).then_some(address)
    })
}

/// The value of a line `key : value`.
fn field<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let (name, value) = line.split_once(':')?;
    (name.trim() == key).then_some(value.trim())
}

fn count_cpus(cpuinfo: &str) -> Option<u32> {
    // A number tells a CPU from what old ARM kernels write there too, the processor's model.
    let is_cpu = |line: &&str| field(line, "processor").is_some_and(|value| value.parse::<u32>().is_ok());
    u32::try_from(cpuinfo.lines().filter(is_cpu).count()).ok().filter(|count| *count > 0)
}

/// How many numbers a list such as `0-3,7` has.
fn count_list(list: &str) -> Option<u32> {
    list.trim().split(',').try_fold(0_u32, |count, range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        count.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

fn mhz_of_khz(text: &str) -> Option<u64> {
    text.trim().parse::<u64>().ok().map(|khz| khz / 1000).filter(|mhz| *mhz > 0)
}

/// The MHz of the first CPU: `cpu MHz` on x86, `clock` on POWER, nothing on ARM.
fn mhz_of_cpuinfo(cpuinfo: &str) -> Option<u64> {
    let value = cpuinfo.lines().find_map(|line| field(line, "cpu MHz").or_else(|| field(line, "clock")))?;
    let mhz: f64 = value.trim_end_matches("MHz").parse().ok()?;
    (1.0..1e9).contains(&mhz).then_some(mhz as u64)
}

/// The version, from `/proc/mounts`.
fn cgroup_version(mounts: &str) -> Option<CgroupVersion> {
    if kinds(mounts).any(|(_, kind, _)| kind == "cgroup") {
        return Some(CgroupVersion::V1);
    }
    kinds(mounts).any(|(_, kind, _)| kind == "cgroup2").then_some(CgroupVersion::V2)
}

/// Where a controller of version 1 is mounted; an empty name: version 2.
fn cgroup_mount<'a>(mounts: &'a str, controller: &str) -> Option<&'a str> {
    let fits = |kind: &str, options: &str| match controller {
        "" => kind == "cgroup2",
        _ => kind == "cgroup" && options.split(',').any(|option| option == controller),
    };
    kinds(mounts).find(|(_, kind, options)| fits(kind, options)).map(|(target, ..)| target)
}

/// Target, file system and options of each mount.
fn kinds(mounts: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?, words.next()?))
    })
}

/// Bytes, from `/proc/meminfo`.
fn total_memory(meminfo: &str) -> Option<u64> {
    let value = meminfo.lines().find_map(|line| field(line, "MemTotal"))?;
    value.trim_end_matches("kB").trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// A value of `os-release`, without its quotes.
fn os_release(text: &str, key: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))?;
    let unquoted = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    Some(unquoted.unwrap_or(value).to_string()).filter(|value| !value.is_empty())
}

/// Go's name of an architecture that Rust names `arch`.
fn go_arch(arch: &str, little_endian: bool) -> &str {
    match (arch, little_endian) {
        ("x86_64", _) => "amd64",
        ("x86", _) => "386",
        ("aarch64", _) => "arm64",
        ("powerpc64", true) => "ppc64le",
        ("powerpc64", false) => "ppc64",
        ("loongarch64", _) => "loong64",
        ("mips", true) => "mipsle",
        ("mips64", true) => "mips64le",
        (other, _) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X86: &str = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: a CPU @ 2.60GHz\ncpu MHz\t\t: 2599.998\n\n\
                       processor\t: 1\ncpu MHz\t\t: 800.000\n";
    const ARM64: &str = "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd\n\nprocessor\t: 1\n\nprocessor\t: 2\n\n\
                         processor\t: 3\n\nHardware\t: BCM2835\n";
    const ARM_OLD: &str = "Processor\t: ARMv7 rev 4\nprocessor\t: 0\nprocessor\t: 1\n";
    const POWER: &str = "processor\t: 0\ncpu\t\t: POWER9\nclock\t\t: 3800.000000MHz\n";

    #[test]
    #[cfg(feature = "cli")]
    fn groups() {
        let text = "root:x:0:\ndocker:x:998:ann,bob\n::7:\nodd\n+::12:\n";
        for (gid, want) in [(0, Some("root")), (998, Some("docker")), (7, None), (99, None), (12, Some("+"))] {
            assert_eq!(name_in(text, gid).as_deref(), want, "{gid}");
        }
    }

    #[test]
    fn cpus_and_their_speed() {
        for (name, text, cores, mhz) in [
            ("x86", X86, Some(2), Some(2599)),
            ("arm without MHz", ARM64, Some(4), None),
            ("old arm", ARM_OLD, Some(2), None),
            ("power", POWER, Some(1), Some(3800)),
            ("empty", "", None, None),
            ("model only", "processor : ARMv7\n", None, None),
            ("no number", "processor: 0\ncpu MHz : unknown\n", Some(1), None),
            ("zero", "processor: 0\ncpu MHz : 0.000\n", Some(1), None),
            ("infinite", "processor: 0\ncpu MHz : inf\n", Some(1), None),
        ] {
            assert_eq!((count_cpus(text), mhz_of_cpuinfo(text)), (cores, mhz), "{name}");
        }
        for (text, want) in [("3400000", Some(3400)), ("3400999\n", Some(3400)), ("0", None), ("", None), ("x", None)] {
            assert_eq!(mhz_of_khz(text), want, "{text}");
        }
        for (text, want) in [("0-3,7", Some(5)), ("0", Some(1)), ("3-1", None), ("", None), ("0-4294967295", None)] {
            assert_eq!(count_list(text), want, "{text}");
        }
    }

    const HYBRID: &str = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpuset cgroup rw,relatime,cpuset 0 0\n\
                          cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
    const UNIFIED: &str = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nsdelegate 0 0\n";

    #[test]
    fn cgroups() {
        for (name, mounts, version, memory) in [
            ("hybrid", HYBRID, Some(CgroupVersion::V1), Some("/sys/fs/cgroup/memory")),
            ("unified", UNIFIED, Some(CgroupVersion::V2), None),
            ("none", "proc /proc proc rw 0 0\n", None, None),
            ("garbage", "cgroup\n\n a\n", None, None),
        ] {
            assert_eq!((cgroup_version(mounts), cgroup_mount(mounts, "memory")), (version, memory), "{name}");
        }
        assert_eq!(cgroup_mount(UNIFIED, ""), Some("/sys/fs/cgroup"));
    }

    #[test]
    fn memory_and_names() {
        assert_eq!(total_memory("MemTotal:        8130164 kB\nMemFree: 1 kB\n"), Some(8_130_164 * 1024));
        assert_eq!(total_memory("MemTotal: much\n"), None);
        let release = "PRETTY_NAME=\"Debian 12\"\nVERSION_ID=\"12\"\nID=debian\nEMPTY=\nODD='a\n";
        for (key, want) in
            [("ID", Some("debian")), ("VERSION_ID", Some("12")), ("EMPTY", None), ("NO", None), ("ODD", Some("'a"))]
        {
            assert_eq!(os_release(release, key).as_deref(), want, "{key}");
        }
        for (arch, little, want) in [
            ("x86_64", true, "amd64"),
            ("aarch64", true, "arm64"),
            ("x86", true, "386"),
            ("powerpc64", true, "ppc64le"),
            ("powerpc64", false, "ppc64"),
            ("riscv64", true, "riscv64"),
        ] {
            assert_eq!(go_arch(arch, little), want, "{arch}");
        }
    }

    /// A directory with some files, which goes away with it.
    struct Root(PathBuf);

    impl Root {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("longshore-host-{}-{name}", std::process::id()));
            for (path, text) in files {
                let path = root.join(path);
                fs::create_dir_all(path.parent().expect("below the root")).expect("a directory");
                fs::write(path, text).expect("a file");
            }
            Self(root)
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn files_become_facts() {
        let v1 = Root::new(
            "v1",
            &[
                ("proc/cpuinfo", X86),
                ("proc/mounts", HYBRID),
                ("proc/meminfo", "MemTotal: 2 kB\n"),
                ("proc/sys/kernel/hostname", "box\n"),
                ("proc/sys/kernel/osrelease", "6.1.0\n"),
                ("usr/lib/os-release", "ID=alpine\nVERSION_ID=3.20\n"),
                ("sys/fs/cgroup/memory/memory.swappiness", "60\n"),
                ("sys/fs/cgroup/cpuset/cpuset.effective_cpus", "0-1\n"),
            ],
        );
        let want = Host {
            cores: Some(2),
            total_compute_mhz: Some(5198),
            cgroup_version: Some(CgroupVersion::V1),
            swappiness_writable: true,
            cpuset: Some("0-1".into()),
            memory_bytes: Some(2048),
            kernel_release: Some("6.1.0".into()),
            os_name: Some("alpine".into()),
            os_version: Some("3.20".into()),
            arch: go_arch(std::env::consts::ARCH, true).into(),
            hostname: Some("box".into()),
            address: None,
        };
        assert_eq!(Host::below(&v1.0), want);

        let v2 = Root::new(
            "v2",
            &[
                ("proc/cpuinfo", ARM64),
                ("proc/mounts", UNIFIED),
                ("sys/devices/system/cpu/online", "0-3\n"),
                ("sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "1500999\n"),
                ("sys/fs/cgroup/memory.swappiness", "60\n"),
                ("sys/fs/cgroup/cpuset.cpus.effective", "0-2\n"),
            ],
        );
        let host = Host::below(&v2.0);
        assert_eq!((host.total_compute_mhz, host.cpuset.as_deref()), (Some(6000), Some("0-2")));
        assert_eq!((host.cgroup_version, host.swappiness_writable), (Some(CgroupVersion::V2), false));

        let nothing = Host::below(Path::new("/no/such/root"));
        assert_eq!(nothing, Host { arch: want.arch, ..Host::default() });
    }

    #[test]
    fn this_machine_has_facts() {
        let host = Host::of_this_machine();
        assert!(host.cores.is_some_and(|cores| cores > 0), "{host:?}");
        assert!(host.memory_bytes.is_some() && host.hostname.is_some() && host.kernel_release.is_some(), "{host:?}");
    }
}

//! Bundles to run: a root file system of busybox in a temporary folder, a configuration to change, and the end of it all.

use std::{
    fs::File,
    io::Read as _,
    os::{
        fd::OwnedFd,
        unix::fs::{PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use corten_oci::{
    Cgroup, Container, CreateError, CreateOptions, ExecOptions, ExecProcess, ExitStatus, Stdio, VolumeMount,
    cgroup::Hierarchies,
};
use serde_json::{Value, json};

/// The parent of the groups that this process makes; one for each, because it is removed when it is empty.
fn cgroup_parent() -> String {
    format!("corten-oci-test-{}", std::process::id())
}

static APPLETS: &[&str] = &[
    "sh", "cat", "echo", "env", "id", "ls", "mkdir", "mknod", "mount", "pwd", "sleep", "stty", "touch", "true",
    "false", "tty", "unshare", "head", "dd", "kill", "grep", "hostname", "rm", "readlink", "tail", "ulimit", "stat",
    "chroot", "umount",
];

pub(crate) fn may_run() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A static busybox: from the installed test tools, or fetched from Debian once.
fn busybox() -> PathBuf {
    if let Some(tools) = std::env::var_os("CORTEN_TEST_TOOLS").map(PathBuf::from) {
        for place in ["bin/busybox", "debian/busybox-static/bin/busybox"] {
            if tools.join(place).is_file() {
                return tools.join(place);
            }
        }
    }
    let own = std::env::current_exe().expect("a running program has a file");
    let target = own.ancestors().nth(3).expect("tests run from target/PROFILE/deps");
    let place = target.join("corten-oci-tests");
    let file = place.join("bin/busybox");
    if !file.is_file() {
        std::fs::create_dir_all(&place).unwrap();
        let script = "apt-get download -q busybox-static && dpkg -x busybox-static_*.deb . && rm busybox-static_*.deb";
        let status = Command::new("sh").args(["-c", script]).current_dir(&place).status().unwrap();
        assert!(
            status.success() && file.is_file(),
            "no static busybox: set CORTEN_TEST_TOOLS or install busybox-static"
        );
    }
    file
}

/// One test's bundle. Everything it leaves goes away when it is dropped, also on a panic.
pub(crate) struct Bundle {
    directory: tempfile::TempDir,
    pub(crate) id: String,
    pub(crate) spec: Value,
    pub(crate) volumes: Vec<VolumeMount>,
}

/// What a program did.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: i32,
    pub(crate) out: String,
}

impl Bundle {
    /// A bundle that runs `args` as root with docker's default capabilities in namespaces of its own.
    pub(crate) fn new(args: &[&str]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = format!("t{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let directory = tempfile::Builder::new().prefix("corten-oci-").tempdir().unwrap();
        // Users of a user namespace walk through it.
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let rootfs = directory.path().join("rootfs");
        for name in ["bin", "proc", "sys", "dev", "tmp", "etc", "root"] {
            std::fs::create_dir_all(rootfs.join(name)).unwrap();
        }
        std::fs::set_permissions(rootfs.join("tmp"), PermissionsExt::from_mode(0o1777)).unwrap();
        std::fs::copy(busybox(), rootfs.join("bin/busybox")).unwrap();
        for applet in APPLETS {
            symlink("busybox", rootfs.join("bin").join(applet)).unwrap();
        }
        std::fs::write(rootfs.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nweb:x:1000:1000::/home/web:/bin/sh\n")
            .unwrap();
        let capabilities = json!([
            "CAP_CHOWN",
            "CAP_DAC_OVERRIDE",
            "CAP_FOWNER",
            "CAP_FSETID",
            "CAP_KILL",
            "CAP_SETGID",
            "CAP_SETUID",
            "CAP_SETPCAP",
            "CAP_NET_BIND_SERVICE",
            "CAP_NET_RAW",
            "CAP_SYS_CHROOT",
            "CAP_MKNOD",
            "CAP_AUDIT_WRITE",
            "CAP_SETFCAP"
        ]);
        let spec = json!({
            "ociVersion": "1.0.2",
            "root": {"path": "rootfs", "readonly": false},
            "hostname": "box",
            "process": {
                "user": {"uid": 0, "gid": 0},
                "args": args,
                "env": ["PATH=/bin"],
                "cwd": "/",
                "noNewPrivileges": false,
                "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            },
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
                {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
                {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
                {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
            ],
            "linux": {
                "cgroupsPath": format!("/{}/{id}", cgroup_parent()),
                "namespaces": [
                    {"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "network"}
                ],
                "maskedPaths": ["/proc/kcore", "/proc/acpi", "/proc/timer_list", "/sys/firmware"],
                "readonlyPaths": ["/proc/sys", "/proc/bus", "/proc/irq"],
            },
        });
        Self { directory, id, spec, volumes: Vec::new() }
    }

    pub(crate) fn shell(script: &str) -> Self {
        Self::new(&["sh", "-c", script])
    }

    pub(crate) fn process(&mut self) -> &mut Value {
        &mut self.spec["process"]
    }

    pub(crate) fn linux(&mut self) -> &mut Value {
        &mut self.spec["linux"]
    }

    pub(crate) fn with_default_seccomp(mut self) -> Self {
        let profile = corten_oci::seccomp::default_profile(&[]);
        self.spec["linux"]["seccomp"] = serde_json::to_value(profile).unwrap();
        self
    }

    /// Users 0..65536 of a user namespace are 100000.. here; the root file system goes to them.
    pub(crate) fn with_user_namespace(mut self) -> Self {
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
        self.spec["linux"]["uidMappings"] = map.clone();
        self.spec["linux"]["gidMappings"] = map;
        self.spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
        let status = Command::new("chown").args(["-R", "100000:100000"]).arg(self.rootfs()).status().unwrap();
        assert!(status.success());
        self
    }

    /// Lets this test program run inside as `/probe`, with the libraries of the host.
    pub(crate) fn with_probe(mut self) -> Self {
        let own = std::env::current_exe().unwrap();
        for (source, target) in
            [(own.as_path(), "/probe"), (Path::new("/lib"), "/lib"), (Path::new("/lib64"), "/lib64")]
        {
            if source.exists() {
                let source = std::fs::canonicalize(source).unwrap();
                self.volumes.push(VolumeMount { source, target: target.into(), ..VolumeMount::default() });
            }
        }
        self
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.directory.path().join("rootfs")
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn state_root(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    pub(crate) fn write(&self) {
        std::fs::write(self.directory.path().join("config.json"), self.spec.to_string()).unwrap();
    }

    pub(crate) fn try_create(&self, stdio: Stdio) -> Result<Container, CreateError> {
        self.write();
        Container::create(CreateOptions {
            id: self.id.clone(),
            state_root: self.state_root(),
            bundle: self.directory.path().to_owned(),
            stdio,
            volumes: self.volumes.clone(),
        })
    }

    pub(crate) fn create(&self, stdio: Stdio) -> Container {
        self.try_create(stdio).unwrap_or_else(|error| panic!("{}", corten_base::ErrorChain(&error)))
    }

    /// Creates and starts it.
    pub(crate) fn start(&self) -> Container {
        let mut container = self.create(Stdio::null());
        container.start().unwrap();
        container
    }

    /// Runs it to its end; output and errors together.
    pub(crate) fn run(&self) -> Finished {
        let (reader, stdio) = output();
        let mut container = self.create(stdio);
        container.start().unwrap();
        let out = read(reader);
        let code = container.init().unwrap().wait().unwrap().unwrap().code();
        container.delete(false).unwrap();
        Finished { code, out }
    }

    pub(crate) fn cgroup(&self) -> Cgroup {
        let path = self.spec["linux"]["cgroupsPath"].as_str().unwrap();
        Cgroup::new(Hierarchies::detect().unwrap(), Path::new(path))
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        // Only what a failed test left: the group's processes end with it, the mounts with the processes.
        if let Err(error) = self.cgroup().remove() {
            eprintln!("control groups of {} remain: {}", self.id, corten_base::ErrorChain(&error));
        }
        // In every hierarchy: other runtimes use more of them than we do.
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        for mount in mounts.lines().filter(|line| line.starts_with("cgroup")) {
            let root = mount.split(' ').nth(1).expect("a mount has a mount point");
            // Another bundle may use it, and most hierarchies do not have it.
            let _ = std::fs::remove_dir(Path::new(root).join(cgroup_parent()));
        }
    }
}

/// A pipe for output and errors.
pub(crate) fn output() -> (OwnedFd, Stdio) {
    let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    let second = write.try_clone().unwrap();
    (read, Stdio::Streams { stdin: None, stdout: Some(write), stderr: Some(second) })
}

pub(crate) fn read(reader: OwnedFd) -> String {
    let mut text = Vec::new();
    File::from(reader).read_to_end(&mut text).unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

/// Executes a shell script to its end in a running container, with the process of its bundle changed by `change`.
pub(crate) fn exec(
    container: &mut Container,
    bundle: &Bundle,
    script: &str,
    change: impl FnOnce(&mut Value),
) -> Finished {
    let (reader, stdio) = output();
    let process = start_exec(container, bundle, script, stdio, change);
    let out = read(reader);
    let code = process.handle.wait().unwrap().map(ExitStatus::code).unwrap();
    Finished { code, out }
}

pub(crate) fn start_exec(
    container: &mut Container,
    bundle: &Bundle,
    script: &str,
    stdio: Stdio,
    change: impl FnOnce(&mut Value),
) -> ExecProcess {
    let process = exec_process(bundle, &["sh", "-c", script], change);
    container.exec(ExecOptions { process, stdio }).unwrap_or_else(|error| panic!("{}", corten_base::ErrorChain(&error)))
}

pub(crate) fn exec_process(
    bundle: &Bundle,
    args: &[&str],
    change: impl FnOnce(&mut Value),
) -> corten_oci::spec::Process {
    let mut process = bundle.spec["process"].clone();
    process["args"] = json!(args);
    change(&mut process);
    serde_json::from_value(process).unwrap()
}

/// Open descriptors of this process.
pub(crate) fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Whether this process has a child, dead or alive.
pub(crate) fn has_children() -> bool {
    use nix::sys::wait::{Id, WaitPidFlag, waitid};
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    waitid(Id::All, flags) != Err(nix::errno::Errno::ECHILD)
}

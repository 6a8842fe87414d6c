//! From CRI's container config and the image's config to an OCI bundle. Pure but for reading devices and seccomp profiles.

use std::{
    collections::{BTreeMap, HashMap},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use corten_cri::{
    CriError,
    api::{self, MountPropagation, security_profile::ProfileType},
    error::reason,
};
use corten_oci::seccomp::{ProfileSource, profile};
use serde_json::{Value, json};

use crate::{
    images::store::ImageConfig,
    shim::protocol::{Volume, VolumeAccess, VolumePropagation},
};

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Capabilities by their numbers. Source: `linux/capability.h`.
static CAPABILITIES: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What a container gets that asks for nothing: Docker's list, which containerd has too.
static DEFAULT_CAPABILITIES: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SYS_CHROOT",
    "MKNOD",
    "AUDIT_WRITE",
    "SETFCAP",
];

/// What every container may use; mknod of anything is allowed, use is not.
static DEVICE_RULES: &[(&str, Option<i64>, Option<i64>, &str)] = &[
    ("c", None, None, "m"),
    ("b", None, None, "m"),
    ("c", Some(1), Some(3), "rwm"),
    ("c", Some(1), Some(5), "rwm"),
    ("c", Some(1), Some(7), "rwm"),
    ("c", Some(1), Some(8), "rwm"),
    ("c", Some(1), Some(9), "rwm"),
    ("c", Some(5), Some(0), "rwm"),
    ("c", Some(5), Some(1), "rwm"),
    ("c", Some(5), Some(2), "rwm"),
    ("c", Some(136), None, "rwm"),
];

/// Who the process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
}

/// Everything that a bundle is made of.
pub(crate) struct Parts<'a> {
    pub(crate) config: &'a api::ContainerConfig,
    pub(crate) image: &'a ImageConfig,
    pub(crate) user: User,
    pub(crate) rootfs: &'a Path,
    pub(crate) cgroup: &'a str,
    /// Each namespace with the path to join; without one, a new one. Those of the node are left out.
    pub(crate) namespaces: Vec<(&'static str, Option<PathBuf>)>,
    pub(crate) hostname: &'a str,
    /// The bounding set of this process: what a privileged container may have at most.
    pub(crate) bounding: u64,
}

/// The security context, or its defaults.
pub(crate) fn security(config: &api::ContainerConfig) -> api::LinuxContainerSecurityContext {
    config.linux.as_ref().and_then(|linux| linux.security_context.clone()).unwrap_or_default()
}

/// `config.json`.
pub(crate) fn spec(parts: &Parts<'_>) -> Result<Value, CriError> {
    let config = parts.config;
    let security = security(config);
    let capabilities = capabilities(&security, parts.bounding);
    let full: Vec<String> = capabilities.iter().map(|name| format!("CAP_{name}")).collect();
    let ambient = security.capabilities.iter().flat_map(|caps| &caps.add_ambient_capabilities);
    let ambient: Vec<String> = ambient.map(|name| format!("CAP_{}", bare(name))).collect();
    let resources = config.linux.as_ref().and_then(|linux| linux.resources.clone()).unwrap_or_default();
    let (devices, mut rules) = devices(config, security.privileged)?;
    let mut own_resources = linux_resources(&resources);
    let mut all = vec![json!({"allow": security.privileged, "access": "rwm"})];
    if !security.privileged {
        all.extend(DEVICE_RULES.iter().map(|(kind, major, minor, access)| {
            let mut rule = json!({"allow": true, "type": kind, "access": access});
            if let Some(major) = major {
                rule["major"] = json!(major);
            }
            if let Some(minor) = minor {
                rule["minor"] = json!(minor);
            }
            rule
        }));
        all.append(&mut rules);
    }
    own_resources["devices"] = Value::Array(all);

    let cwd = [config.working_dir.as_str(), parts.image.working_dir.as_deref().unwrap_or_default(), "/"];
    let mut spec = json!({
        "ociVersion": "1.0.2",
        "root": {"path": parts.rootfs, "readonly": security.readonly_rootfs},
        "process": {
            "terminal": config.tty,
            "user": {"uid": parts.user.uid, "gid": parts.user.gid, "additionalGids": parts.user.groups},
            "args": command(config, parts.image)?,
            "env": environment(config, parts.image, parts.hostname),
            "cwd": cwd.iter().find(|cwd| !cwd.is_empty()),
            "noNewPrivileges": security.no_new_privs,
            "oomScoreAdj": resources.oom_score_adj,
            "capabilities": {"bounding": full, "effective": full, "permitted": full, "inheritable": ambient, "ambient": ambient},
        },
        "mounts": mounts(&security),
        "linux": {
            "cgroupsPath": parts.cgroup,
            "namespaces": parts.namespaces.iter().map(|(kind, path)| match path {
                Some(path) => json!({"type": kind, "path": path}),
                None => json!({"type": kind}),
            }).collect::<Vec<_>>(),
            "resources": own_resources,
            "devices": devices,
            "maskedPaths": if security.privileged { &[][..] } else { &security.masked_paths },
            "readonlyPaths": if security.privileged { &[][..] } else { &security.readonly_paths },
        },
    });
    if let Some(seccomp) = seccomp(&security, &full)? {
        spec["linux"]["seccomp"] = seccomp;
    }
    Ok(spec)
}

fn bare(name: &str) -> String {
    let name = name.to_uppercase();
    name.strip_prefix("CAP_").unwrap_or(&name).to_owned()
}

fn capabilities(security: &api::LinuxContainerSecurityContext, bounding: u64) -> Vec<String> {
    let available = || CAPABILITIES.iter().enumerate().filter(|(bit, _)| bounding & (1 << bit) != 0);
    if security.privileged {
        return available().map(|(_, name)| (*name).to_owned()).collect();
    }
    let change = security.capabilities.clone().unwrap_or_default();
    let added: Vec<String> = change.add_capabilities.iter().map(|name| bare(name)).collect();
    let dropped: Vec<String> = change.drop_capabilities.iter().map(|name| bare(name)).collect();
    let has = |list: &[String], name: &str| list.iter().any(|listed| listed == name);
    CAPABILITIES
        .iter()
        .filter(|name| {
            let usual = if has(&added, "ALL") {
                available().any(|(_, available)| available == *name)
            } else {
                DEFAULT_CAPABILITIES.contains(name) && !has(&dropped, "ALL")
            };
            has(&added, name) || (usual && !has(&dropped, name))
        })
        .map(|name| (*name).to_owned())
        .collect()
}

fn seccomp(security: &api::LinuxContainerSecurityContext, capabilities: &[String]) -> Result<Option<Value>, CriError> {
    let Some(wanted) = security.seccomp.as_ref().filter(|_| !security.privileged) else { return Ok(None) };
    let source = match wanted.profile_type() {
        ProfileType::Unconfined => ProfileSource::Unconfined,
        ProfileType::RuntimeDefault => ProfileSource::RuntimeDefault { capabilities },
        ProfileType::Localhost => ProfileSource::Localhost(Path::new(&wanted.localhost_ref)),
    };
    let found = profile(&source).map_err(|error| CriError::unknown(corten_base::ErrorChain(&error).to_string()))?;
    let encoded = found.map(serde_json::to_value).transpose();
    encoded.map_err(|error| CriError::new(corten_cri::Code::Internal, error.to_string()))
}

/// The image's entrypoint and command, unless the config has its own. Source: containerd, `WithProcessArgs`.
pub(crate) fn command(config: &api::ContainerConfig, image: &ImageConfig) -> Result<Vec<String>, CriError> {
    let (mut command, mut args) = (config.command.clone(), config.args.clone());
    if command.is_empty() {
        if args.is_empty() {
            args = image.cmd.clone().unwrap_or_default();
        }
        command = image.entrypoint.clone().unwrap_or_default();
    }
    command.append(&mut args);
    if command.is_empty() { Err(CriError::invalid_argument("no command specified")) } else { Ok(command) }
}

fn environment(config: &api::ContainerConfig, image: &ImageConfig, hostname: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    // An image may have hundreds of thousands of them.
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut set = |name: &str, value: &str| {
        let pair = format!("{name}={value}");
        match places.get(name) {
            Some(place) => all[*place] = pair,
            None => {
                places.insert(name.to_owned(), all.len());
                all.push(pair);
            }
        }
    };
    let given = image.env.as_deref().unwrap_or_default().iter().map(String::as_str);
    let terminal = if config.tty { Some("TERM=xterm") } else { None };
    for pair in [DEFAULT_PATH].into_iter().chain(terminal).chain(given) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        set(name, value);
    }
    set("HOSTNAME", hostname);
    for pair in &config.envs {
        set(&pair.key, &pair.value);
    }
    all
}

fn mounts(security: &api::LinuxContainerSecurityContext) -> Value {
    let access = if security.privileged { "rw" } else { "ro" };
    json!([
        {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", access]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
            "options": ["nosuid", "noexec", "nodev", "relatime", access]},
    ])
}

/// `LinuxResources` of the limits that are set; the rest is left out, which an update leaves as it is.
pub(crate) fn linux_resources(resources: &api::LinuxContainerResources) -> Value {
    let number = |value: i64| if value == 0 { Value::Null } else { json!(value) };
    let text = |value: &str| if value.is_empty() { Value::Null } else { json!(value) };
    let mut linux = json!({
        "cpu": {
            "shares": number(resources.cpu_shares),
            "quota": number(resources.cpu_quota),
            "period": number(resources.cpu_period),
            "cpus": text(&resources.cpuset_cpus),
            "mems": text(&resources.cpuset_mems),
        },
        "memory": {
            "limit": number(resources.memory_limit_in_bytes),
            "swap": number(resources.memory_swap_limit_in_bytes),
        },
    });
    if !resources.hugepage_limits.is_empty() {
        let limit = |one: &api::HugepageLimit| json!({"pageSize": one.page_size, "limit": one.limit});
        linux["hugepageLimits"] = resources.hugepage_limits.iter().map(limit).collect();
    }
    if !resources.unified.is_empty() {
        linux["unified"] = json!(resources.unified.iter().collect::<BTreeMap<_, _>>());
    }
    linux
}

/// The device files of a container, and the rules that let it use them.
fn devices(config: &api::ContainerConfig, privileged: bool) -> Result<(Vec<Value>, Vec<Value>), CriError> {
    let mut wanted: Vec<(PathBuf, PathBuf, String)> = config
        .devices
        .iter()
        .map(|device| {
            let target = if device.container_path.is_empty() { &device.host_path } else { &device.container_path };
            (device.host_path.clone().into(), target.clone().into(), device.permissions.clone())
        })
        .collect();
    if privileged {
        let mut all = Vec::new();
        node_devices(Path::new("/dev"), &mut all).map_err(|error| CriError::unknown(format!("list /dev: {error}")))?;
        wanted.extend(all.into_iter().map(|path| (path.clone(), path, "rwm".to_owned())));
    }
    let (mut devices, mut rules) = (Vec::new(), Vec::new());
    for (source, target, access) in wanted {
        let metadata = std::fs::metadata(&source)
            .map_err(|error| CriError::unknown(format!("lstat {}: {error}", source.display())))?;
        let kind = match metadata.file_type() {
            kind if kind.is_char_device() => "c",
            kind if kind.is_block_device() => "b",
            _ => return Err(CriError::invalid_argument(format!("{} is not a device node", source.display()))),
        };
        let (major, minor) = (rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev()));
        devices.push(json!({
            "path": target, "type": kind, "major": major, "minor": minor,
            "fileMode": metadata.mode() & 0o7777, "uid": metadata.uid(), "gid": metadata.gid(),
        }));
        let access = if access.is_empty() { "rwm" } else { &access };
        rules.push(json!({"allow": true, "type": kind, "major": major, "minor": minor, "access": access}));
    }
    Ok((devices, rules))
}

/// The node's devices that a container has not anyway.
fn node_devices(directory: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    const OWN: &[&str] = &["pts", "shm", "mqueue", "fd", ".lxc", ".lxd-mounts", ".udev"];
    const USUAL: &[&str] = &["console", "null", "zero", "full", "random", "urandom", "tty", "ptmx"];
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let (kind, name) = (entry.file_type()?, entry.file_name().to_string_lossy().into_owned());
        if kind.is_dir() && !OWN.contains(&name.as_str()) {
            node_devices(&entry.path(), found)?;
        } else if (kind.is_char_device() || kind.is_block_device()) && !USUAL.contains(&name.as_str()) {
            found.push(entry.path());
        }
    }
    Ok(())
}

/// The volumes of a config, with their sources made if they are missing.
pub(crate) fn volumes(config: &api::ContainerConfig) -> Result<Vec<Volume>, CriError> {
    let mut volumes = Vec::new();
    for mount in &config.mounts {
        if mount.image.as_ref().is_some_and(|image| !image.image.is_empty()) {
            let text = format!("{}: image volumes are not supported", reason::IMAGE_VOLUME_MOUNT_FAILED);
            return Err(CriError::unimplemented(text));
        }
        let failed = |error| CriError::unknown(format!("failed to generate mount {:?}: {error}", mount.host_path));
        if !Path::new(&mount.host_path).exists() {
            std::fs::create_dir_all(&mount.host_path).map_err(failed)?;
        }
        let propagation = match mount.propagation() {
            MountPropagation::PropagationPrivate => VolumePropagation::Private,
            MountPropagation::PropagationHostToContainer => VolumePropagation::HostToContainer,
            MountPropagation::PropagationBidirectional => VolumePropagation::Bidirectional,
        };
        if mount.recursive_read_only && (!mount.readonly || !matches!(propagation, VolumePropagation::Private)) {
            let text = "recursive read-only mounts have to be read-only and private";
            return Err(CriError::invalid_argument(text));
        }
        volumes.push(Volume {
            source: std::fs::canonicalize(&mount.host_path).map_err(failed)?,
            target: mount.container_path.clone().into(),
            access: match (mount.readonly, mount.recursive_read_only) {
                (_, true) => VolumeAccess::RecursiveReadOnly,
                (true, false) => VolumeAccess::ReadOnly,
                (false, false) => VolumeAccess::ReadWrite,
            },
            propagation,
            no_exec: false,
        });
    }
    Ok(volumes)
}

/// Who the first process is.
///
/// Errors: a name that the image does not know; a group without a user.
pub(crate) fn user(config: &api::ContainerConfig, image: &ImageConfig, rootfs: &Path) -> Result<User, CriError> {
    let security = security(config);
    let asked = security
        .run_as_user
        .as_ref()
        .map(|user| user.value.to_string())
        .or_else(|| Some(security.run_as_username.clone()).filter(|name| !name.is_empty()));
    let group = security.run_as_group.as_ref().map(|group| group.value);
    if group.is_some() && asked.is_none() {
        return Err(CriError::invalid_argument("user group is specified without user"));
    }
    let name = asked.unwrap_or_else(|| image.user.clone().unwrap_or_default());
    let resolve = |name: &str| {
        corten_oci::user::resolve(rootfs, name)
            .map_err(|error| CriError::unknown(corten_base::ErrorChain(&error).to_string()))
    };
    let account = resolve(&name)?;
    let gid = match group {
        Some(group) => u32::try_from(group).map_err(|_| CriError::invalid_argument("invalid group id"))?,
        None => account.gid,
    };
    let mut groups: Vec<u32> = Vec::new();
    if security.supplemental_groups_policy() == api::SupplementalGroupsPolicy::Merge {
        // With a group behind a colon the image's own memberships are asked for without it.
        groups = resolve(name.split(':').next().unwrap_or_default())?.additional_gids;
    }
    for group in &security.supplemental_groups {
        groups.push(u32::try_from(*group).map_err(|_| CriError::invalid_argument("invalid supplemental group id"))?);
    }
    groups.sort_unstable();
    groups.dedup();
    Ok(User { uid: account.uid, gid, groups })
}

/// The signal that asks a container to end: SIGTERM where an image names none that there is.
pub(crate) fn stop_signal(config: &api::ContainerConfig, image: &ImageConfig) -> i32 {
    let own = config.stop_signal();
    let named = (own != api::Signal::RuntimeDefault).then(|| own.as_str_name().to_owned());
    named.or_else(|| image.stop_signal.clone()).and_then(|name| signal_number(&name)).unwrap_or(15)
}

/// The first of the signals without a meaning of their own, as the C library numbers them, and the last of all.
const SIGRTMIN: i32 = 34;
const SIGNAL_MAX: i32 = 64;

fn signal_number(name: &str) -> Option<i32> {
    let exists = |number: &i32| (1..=SIGNAL_MAX).contains(number);
    if let Ok(number) = name.parse() {
        return Some(number).filter(exists);
    }
    let name = name.to_uppercase().replace("PLUS", "+").replace("MINUS", "-");
    let name = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
    // `+3` or nothing.
    let offset = |rest: &str, sign: char| -> Option<i32> {
        if rest.is_empty() {
            return Some(0);
        }
        let digits = rest.strip_prefix(sign)?;
        digits.parse::<u16>().ok().filter(|_| !digits.starts_with('+')).map(i32::from)
    };
    if let Some(rest) = name.strip_prefix("SIGRTMIN") {
        return offset(rest, '+')?.checked_add(SIGRTMIN).filter(exists);
    } else if let Some(rest) = name.strip_prefix("SIGRTMAX") {
        return SIGNAL_MAX.checked_sub(offset(rest, '-')?).filter(|number| *number >= SIGRTMIN);
    }
    name.parse::<nix::sys::signal::Signal>().ok().map(|signal| signal as i32)
}

/// The bounding set of this process.
pub(crate) fn bounding_set() -> Result<u64, corten_base::fs::FsError> {
    let status = corten_base::fs::read_to_string(Path::new("/proc/self/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapBnd:")).unwrap_or("0");
    Ok(u64::from_str_radix(line.trim(), 16).unwrap_or(0))
}

#[cfg(test)]
mod tests;

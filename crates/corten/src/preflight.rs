//! What the machine must offer before a node can start. Every failure names its cause and its cure.

use std::{os::unix::fs::MetadataExt as _, path::Path};

use anyhow::bail;
use corten_base::fs;
use corten_net::{netns::Netns, nftables::Nftables, sysctl};
use corten_oci::cgroup::Hierarchies;
use corten_proxy::ProxyMode;
use nix::{sys::statfs, unistd::Uid};

use crate::{config::Config, places::Places, program};

/// The control groups that limit containers, and what a machine without them has to be told.
const CONTROLLERS: &[&str] = &["cpu", "memory", "pids"];

/// Something that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    cause: String,
    cure: String,
}

impl Problem {
    fn new(cause: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { cause: cause.into(), cure: cure.into() }
    }
}

/// Fails unless the caller is root. `command` is what was typed (`up`), `why` what it needs that for, as a clause.
pub(crate) fn require_root(command: &str, why: &str) -> anyhow::Result<()> {
    if Uid::effective().is_root() {
        return Ok(());
    }
    bail!("`corten {command}` has to be run as root: {why}. Try `sudo {} {command}`", program::name());
}

/// Fails unless the caller is root, or the one whose directory the cluster is in: `corten server` needs no root.
pub(crate) fn require_owner(places: &Places, command: &str, why: &str) -> anyhow::Result<()> {
    let own = Uid::effective().as_raw();
    if std::fs::metadata(&places.root).is_ok_and(|root| root.uid() == own) {
        return Ok(());
    }
    require_root(command, why)
}

/// Checks everything that a node needs, and reports all that is missing at once.
///
/// Errors: the list of problems with their cures.
pub(crate) fn check(config: &Config) -> anyhow::Result<()> {
    let mut problems: Vec<Problem> = Vec::new();
    problems.extend(directories(&config.places));
    problems.extend(overlay(&config.places, &read_or_empty("/proc/filesystems")));
    problems.extend(control_groups());
    problems.extend(packet_rules(config.proxy_mode));
    problems.extend(forwarding());
    if problems.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> =
        problems.iter().map(|Problem { cause, cure }| format!("\n  - {cause}\n    {cure}")).collect();
    bail!("this machine cannot run a node:{}", lines.concat());
}

fn read_or_empty(path: &str) -> String {
    // A kernel without the file has nothing to say in it.
    fs::read_to_string(Path::new(path)).unwrap_or_default()
}

fn directories(places: &Places) -> Option<Problem> {
    [&places.root, &places.run].into_iter().find_map(|directory| {
        let probe = directory.join(".writable");
        let tried = fs::create_dir_all(directory)
            .and_then(|()| fs::write_atomic(&probe, b"", 0o600))
            .and_then(|()| fs::remove_file(&probe));
        let error = tried.err()?;
        Some(Problem::new(
            format!("{} cannot be written: {}", directory.display(), error.source),
            "Choose another directory with --root, or make this one writable.",
        ))
    })
}

fn overlay(places: &Places, filesystems: &str) -> Option<Problem> {
    let kind = statfs::statfs(&places.root).ok()?.filesystem_type();
    if kind == statfs::OVERLAYFS_SUPER_MAGIC {
        return Some(Problem::new(
            format!("{} is on overlayfs, which cannot carry the layers of images", places.root.display()),
            "Choose a directory on a disk with --root; in a container, mount a volume there.",
        ));
    }
    let knows = filesystems.lines().any(|line| line.split_whitespace().last() == Some("overlay"));
    let loadable = Path::new("/lib/modules").exists();
    (!knows && !loadable).then(|| {
        Problem::new("the kernel has no overlayfs, from which containers get their files", "Run `modprobe overlay`.")
    })
}

fn control_groups() -> Option<Problem> {
    let cure =
        "Mount them (`mount -t cgroup2 none /sys/fs/cgroup`), or start this container with its own control groups.";
    let hierarchies = match Hierarchies::detect() {
        Ok(hierarchies) => hierarchies,
        Err(error) => return Some(Problem::new(format!("control groups are not mounted: {error}"), cure)),
    };
    if hierarchies.layout() == corten_oci::cgroup::Layout::Unified {
        let root = hierarchies.root_of("unified")?;
        let offered = fs::read_to_string(&root.join("cgroup.controllers")).unwrap_or_default();
        return missing_controllers(&offered);
    }
    let missing = CONTROLLERS.iter().find(|controller| hierarchies.root_of(controller).is_none())?;
    Some(Problem::new(format!("the control group hierarchy of {missing:?} is not mounted"), cure))
}

fn missing_controllers(offered: &str) -> Option<Problem> {
    let missing = CONTROLLERS.iter().find(|controller| !offered.split_whitespace().any(|one| one == **controller))?;
    Some(Problem::new(
        format!("the kernel does not offer the control group controller {missing:?}"),
        "Enable it on the kernel's command line: cgroup_enable=memory, and remove cgroup_disable=.",
    ))
}

fn packet_rules(mode: ProxyMode) -> Option<Problem> {
    if mode != ProxyMode::Nftables {
        // Services have another way then, and pods reach the world without masquerading or not at all: said in the log.
        return None;
    }
    let supported = Nftables::open().and_then(|nftables| nftables.is_supported());
    match supported {
        Ok(true) => None,
        Ok(false) => Some(Problem::new(
            "the kernel has no nftables, which --proxy-mode=nftables asks for",
            "Run `modprobe nf_tables`, or start with --proxy-mode=auto.",
        )),
        Err(error) => Some(Problem::new(
            format!("nftables cannot be used: {error}"),
            "Run as root of this network namespace (with CAP_NET_ADMIN).",
        )),
    }
}

fn forwarding() -> Option<Problem> {
    let setting = "net/ipv4/ip_forward";
    let host = match Netns::current() {
        Ok(host) => host,
        Err(error) => {
            return Some(Problem::new(format!("the network namespace cannot be opened: {error}"), "Mount /proc."));
        }
    };
    let value = sysctl::read(&host, setting).ok()?;
    if value == "1" {
        return None;
    }
    // Written with the value it has: nothing changes before the node starts.
    let error = sysctl::write(&host, setting, &value).err()?;
    Some(Problem::new(
        format!("this machine does not forward packets, and that cannot be changed: {error}"),
        "Set net.ipv4.ip_forward=1 before (`sysctl -w net.ipv4.ip_forward=1`), or make /proc/sys writable.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_controller_is_named_with_its_cure() {
        assert_eq!(missing_controllers("cpuset cpu io memory pids"), None);
        let problem = missing_controllers("cpuset cpu io pids").unwrap();
        assert!(problem.cause.contains("\"memory\"") && problem.cure.contains("cgroup_enable"), "{problem:?}");
    }

    #[test]
    fn a_root_that_cannot_be_written_is_a_problem() {
        let mut places = Places::new(Path::new("/proc/corten")).unwrap();
        assert!(directories(&places).unwrap().cure.contains("--root"));
        let directory = tempfile::tempdir().unwrap();
        places = Places::new(directory.path()).unwrap();
        assert_eq!(directories(&places), None);
    }
}

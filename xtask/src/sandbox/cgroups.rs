//! One cgroup in every hierarchy, in which all that the sandbox makes is contained by a cgroup namespace.
//!
//! Works with version 1 hierarchies, with version 2 and with both at once.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// Followed by the supervisor's process id.
const PREFIX: &str = "corten-sandbox-";

/// A mounted cgroup hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hierarchy {
    pub(super) mount_point: PathBuf,
    /// `None` for version 2; else the mount options that name the controllers.
    pub(super) controllers: Option<String>,
}

/// The cgroups of one sandbox, by path in the caller's mounts.
pub(super) struct Cgroups {
    name: String,
    folders: Vec<PathBuf>,
}

impl Cgroups {
    /// Makes a cgroup for this process's sandbox in every hierarchy, and removes those of killed supervisors.
    pub(super) fn create() -> anyhow::Result<Self> {
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").context("read /proc/self/mountinfo")?;
        let mut cgroups = Self { name: format!("{PREFIX}{}", std::process::id()), folders: Vec::new() };
        for hierarchy in hierarchies(&mountinfo) {
            sweep_stale(&hierarchy.mount_point);
            let folder = hierarchy.mount_point.join(&cgroups.name);
            if let Err(error) = create_one(&folder) {
                cgroups.sweep()?;
                return Err(error);
            }
            cgroups.folders.push(folder);
        }
        if cgroups.folders.is_empty() {
            bail!("no cgroup hierarchy is mounted; mount cgroup2 on /sys/fs/cgroup");
        }
        Ok(cgroups)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Removes the cgroups with all below them. Call it when their processes have ended.
    pub(super) fn sweep(&self) -> anyhow::Result<()> {
        for folder in &self.folders {
            remove_tree(folder)?;
        }
        Ok(())
    }
}

/// Moves the calling process into the sandbox's cgroup of every hierarchy.
pub(super) fn join(name: &str) -> anyhow::Result<Vec<Hierarchy>> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").context("read /proc/self/mountinfo")?;
    let all = hierarchies(&mountinfo);
    for hierarchy in &all {
        write(&hierarchy.mount_point.join(name).join("cgroup.procs"), "0")?;
    }
    Ok(all)
}

/// In version 2 a cgroup with processes cannot hand controllers down. So init moves one step down and enables what the
/// root of the namespace has: inside, it looks like the root of a machine.
pub(super) fn delegate(hierarchies: &[Hierarchy]) -> anyhow::Result<()> {
    for root in hierarchies.iter().filter(|hierarchy| hierarchy.controllers.is_none()) {
        let leaf = root.mount_point.join("init");
        fs::create_dir(&leaf).with_context(|| format!("create cgroup {}", leaf.display()))?;
        write(&leaf.join("cgroup.procs"), "0")?;
        let controllers = root.mount_point.join("cgroup.controllers");
        let available = fs::read_to_string(&controllers).with_context(|| format!("read {}", controllers.display()))?;
        for controller in available.split_whitespace() {
            write(&root.mount_point.join("cgroup.subtree_control"), &format!("+{controller}"))?;
        }
    }
    Ok(())
}

/// The cgroup mounts of a mount namespace, each hierarchy once.
pub(super) fn hierarchies(mountinfo: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in mountinfo.lines() {
        // ID, parent, device, root, mount point, options, optional fields, "-", type, source, super options: proc(5).
        let Some((mount, filesystem)) = line.split_once(" - ") else { continue };
        let Some(mount_point) = mount.split(' ').nth(4) else { continue };
        let filesystem: Vec<&str> = filesystem.split(' ').collect();
        let controllers = match filesystem.as_slice() {
            ["cgroup2", ..] => None,
            ["cgroup", _, options] => Some(controllers_of(options)),
            _ => continue,
        };
        if !found.iter().any(|known| known.controllers == controllers) {
            found.push(Hierarchy { mount_point: mount_point.into(), controllers });
        }
    }
    found
}

/// What of the mount options selects the hierarchy: a name (which goes with `none`) or controllers.
fn controllers_of(options: &str) -> String {
    let selecting = options.split(',').filter(|option| {
        let is_flag = matches!(*option, "rw" | "ro" | "xattr" | "clone_children" | "noprefix" | "favordynmods");
        !is_flag && !option.starts_with("release_agent=")
    });
    let options: Vec<&str> = selecting.collect();
    match options.as_slice() {
        [name] if name.starts_with("name=") => format!("none,{name}"),
        options => options.join(","),
    }
}

fn create_one(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir(folder).with_context(|| format!("create cgroup {}", folder.display()))?;
    let parent = folder.parent().context("a cgroup has a parent")?;
    // A cpuset of version 1 is born empty and refuses processes until it has both.
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if folder.join("cgroup.controllers").exists() || !folder.join(file).exists() {
            continue;
        }
        let inherited = fs::read_to_string(parent.join(file)).with_context(|| format!("read {file}"))?;
        write(&folder.join(file), inherited.trim())?;
    }
    Ok(())
}

/// Removes what a supervisor left that was killed with SIGKILL and so could not sweep.
fn sweep_stale(mount_point: &Path) {
    for entry in fs::read_dir(mount_point).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(supervisor) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
        if !Path::new("/proc").join(supervisor).exists() {
            // Refused while a process is inside; then it is in use by somebody this process cannot see.
            let _ = remove_tree(&entry.path());
        }
    }
}

fn remove_tree(folder: &Path) -> anyhow::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("read cgroup {}", folder.display())),
    };
    // Only folders are removed: the files in a cgroup are the kernel's and go with it.
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_tree(&entry.path())?;
    }
    fs::remove_dir(folder).with_context(|| format!("remove cgroup {}", folder.display()))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("write {text} to {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(mountinfo: &str, want: &[(&str, Option<&str>)]) {
        let found = hierarchies(mountinfo);
        let got: Vec<_> = found.iter().map(|h| (h.mount_point.to_str().unwrap(), h.controllers.as_deref())).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn finds_both_versions_and_each_once() {
        check(
            "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
             32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
             40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/x,name=systemd\n\
             41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n\
             42 31 0:38 / /elsewhere rw - cgroup2 cgroup2 rw\n",
            &[
                ("/sys/fs/cgroup/cpu,cpuacct", Some("cpu,cpuacct")),
                ("/sys/fs/cgroup/systemd", Some("none,name=systemd")),
                ("/sys/fs/cgroup/unified", None),
            ],
        );
    }
}

//! The sandbox's mounts: private to it, with views of /proc, /sys and cgroups that match its namespaces.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Context;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::cgroups::Hierarchy;
use super::devices;
use super::init::Seam;
use super::network::RESOLV_CONF;

/// Where `KUBECONFIG` points.
pub(super) const KUBECONFIG: &str = "/run/corten-sandbox/kubeconfig";

/// Where `HOME` points: what programs keep for their user is not the caller's.
pub(super) const HOME: &str = "/run/home";

const OWN: &str = "/run/corten-sandbox";
pub(super) const NONE: Option<&str> = None;

/// Folders that a cluster fills, and their names below `--root`.
const DATA: [(&str, &str); 3] =
    [("/var/lib/corten", "lib"), ("/var/log/pods", "log"), ("/var/log/containers", "containers")];

/// Mounts everything. The order matters: what is read through the old /proc and /sys comes before they are replaced.
pub(super) fn mount_all(seam: &Seam, root: Option<&Path>, hierarchies: &[Hierarchy]) -> anyhow::Result<()> {
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE).context("make the mounts private")?;
    let resolv_conf = fs::canonicalize("/etc/resolv.conf").unwrap_or_else(|_| "/etc/resolv.conf".into());
    mount_tmpfs(Path::new("/run"))?;
    create_folder(Path::new(OWN))?;
    create_folder(Path::new(HOME))?;
    for (name, fd) in [("outside", seam.outside), ("neighbour", seam.neighbour)] {
        let file = PathBuf::from("/run/netns").join(name);
        create_folder(Path::new("/run/netns"))?;
        File::create(&file).with_context(|| format!("create {}", file.display()))?;
        bind(Path::new(&seam.path_of(fd)), &file)?;
    }
    mount_resolv_conf(&resolv_conf)?;
    for (place, name) in DATA {
        let place = Path::new(place);
        ensure_mount_point(place)?;
        match root {
            Some(root) => {
                let kept = root.join(name);
                create_folder(&kept)?;
                bind(&kept, place)?;
            }
            None => mount_tmpfs(place)?,
        }
    }
    mount_sys(hierarchies)?;
    devices::mount_dev()?;
    umount2("/proc", MntFlags::MNT_DETACH).context("detach the caller's /proc")?;
    mount(Some("proc"), "/proc", Some("proc"), quiet(), NONE).context("mount /proc")?;
    // As a kubelet needs it: mounts of volumes reach containers, and the other way if asked.
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_SHARED, NONE).context("share the mounts inside")
}

/// A fresh /sys shows the sandbox's network interfaces. Its cgroup mounts show only the sandbox's own cgroups.
fn mount_sys(hierarchies: &[Hierarchy]) -> anyhow::Result<()> {
    let links = controller_links();
    // Not only covered: a runtime that reads the list of mounts has to find one per hierarchy, with the right root.
    umount2("/sys", MntFlags::MNT_DETACH).context("detach the caller's /sys")?;
    mount(Some("sysfs"), "/sys", Some("sysfs"), quiet(), NONE).context("mount /sys")?;
    let top = Path::new("/sys/fs/cgroup");
    if hierarchies.iter().any(|hierarchy| hierarchy.mount_point != top) {
        mount(Some("tmpfs"), top, Some("tmpfs"), quiet(), Some("mode=755")).context("mount /sys/fs/cgroup")?;
    }
    for Hierarchy { mount_point, controllers } in hierarchies {
        create_folder(mount_point)?;
        let kind = if controllers.is_some() { "cgroup" } else { "cgroup2" };
        mount(Some(kind), mount_point, Some(kind), quiet(), controllers.as_deref())
            .with_context(|| format!("mount {kind} on {}", mount_point.display()))?;
    }
    for (link, target) in links {
        std::os::unix::fs::symlink(&target, &link).with_context(|| format!("link {}", link.display()))?;
    }
    Ok(())
}

/// Links such as `cpu -> cpu,cpuacct`, which some systems keep beside the mounts.
fn controller_links() -> Vec<(PathBuf, PathBuf)> {
    let entries = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.path(), fs::read_link(entry.path()).ok()?))).collect()
}

fn mount_resolv_conf(place: &Path) -> anyhow::Result<()> {
    if place.starts_with("/run") {
        // A link into /run, which is empty now.
        create_folder(place.parent().context("a file has a folder")?)?;
        return fs::write(place, RESOLV_CONF).with_context(|| format!("write {}", place.display()));
    }
    let own = Path::new(OWN).join("resolv.conf");
    fs::write(&own, RESOLV_CONF).with_context(|| format!("write {}", own.display()))?;
    if !place.exists() {
        ensure_parent_is_ours(place)?;
        File::create(place).with_context(|| format!("create {}", place.display()))?;
    }
    bind(&own, place)
}

/// Makes a folder to mount on. The machine's file system is left as it is: a folder that is missing is made in a
/// throw-away layer over the nearest parent that exists.
fn ensure_mount_point(place: &Path) -> anyhow::Result<()> {
    if place.is_dir() {
        return Ok(());
    }
    ensure_parent_is_ours(place)?;
    create_folder(place)
}

fn ensure_parent_is_ours(place: &Path) -> anyhow::Result<()> {
    let parent = place.ancestors().skip(1).find(|folder| folder.is_dir()).context("the root exists")?;
    let layer = Path::new(OWN).join("layers").join(parent.to_string_lossy().replace('/', "_"));
    let (upper, work) = (layer.join("upper"), layer.join("work"));
    create_folder(&upper)?;
    create_folder(&work)?;
    let options = format!("lowerdir={},upperdir={},workdir={}", parent.display(), upper.display(), work.display());
    mount(Some("overlay"), parent, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
        .with_context(|| format!("mount a layer over {}", parent.display()))
}

fn mount_tmpfs(place: &Path) -> anyhow::Result<()> {
    mount(Some("tmpfs"), place, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
        .with_context(|| format!("mount an empty {}", place.display()))
}

fn bind(from: &Path, to: &Path) -> anyhow::Result<()> {
    mount(Some(from), to, NONE, MsFlags::MS_BIND, NONE)
        .with_context(|| format!("bind {} to {}", from.display(), to.display()))
}

pub(super) fn create_folder(path: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(path).with_context(|| format!("create folder {}", path.display()))
}

/// What systems mount /proc, /sys and cgroups with.
fn quiet() -> MsFlags {
    MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC
}

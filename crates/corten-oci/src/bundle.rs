//! A bundle: a directory with `config.json` and a root file system, as the OCI runtime specification has it.
//!
//! libcontainer gets a derived bundle: what the last stage, the shim or the volume mounts do themselves is left out of it,
//! so that it neither does it twice nor worse (capabilities dropped before the filter, limits set without clamping, a
//! home directory looked up through the C library with the image's plug-ins).

use std::path::{Component, Path, PathBuf};

use corten_base::fs::{self, Context as _, FsError};
use libcontainer::oci_spec::runtime::{LinuxNamespaceType, LinuxResources, LinuxSeccomp, Mount, Process, Spec, User};

use crate::cgroup::{Hierarchies, Layout};

/// Why a bundle cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The bundle could not be read, or the derived one not be written.
    #[error(transparent)]
    File(#[from] FsError),
    /// `config.json` is not an OCI configuration.
    #[error("parse {}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The configuration lacks something or contradicts itself.
    #[error("invalid bundle: {0}")]
    Invalid(&'static str),
}

/// A checked bundle.
#[derive(Debug, Clone)]
pub struct Bundle {
    directory: PathBuf,
    rootfs: PathBuf,
    spec: Spec,
}

impl Bundle {
    /// Reads and checks the bundle in `directory`.
    ///
    /// Beyond the specification it asks for an absolute `cgroupsPath` and a mount namespace.
    pub fn load(directory: &Path) -> Result<Self, BundleError> {
        let directory = std::fs::canonicalize(directory).at("resolve", directory)?;
        let path = directory.join("config.json");
        let spec: Spec =
            serde_json::from_slice(&fs::read(&path)?).map_err(|source| BundleError::Parse { path, source })?;
        let root = spec.root().as_ref().ok_or(BundleError::Invalid("no root"))?;
        let rootfs = directory.join(root.path());
        let rootfs = std::fs::canonicalize(&rootfs).at("resolve", &rootfs)?;
        let bundle = Self { directory, rootfs, spec };
        bundle.check()?;
        Ok(bundle)
    }

    fn check(&self) -> Result<(), BundleError> {
        let process = self.spec.process().as_ref().ok_or(BundleError::Invalid("no process"))?;
        if process.args().as_ref().is_none_or(Vec::is_empty) {
            return Err(BundleError::Invalid("process has no args"));
        }
        if !process.cwd().is_absolute() {
            return Err(BundleError::Invalid("cwd is not absolute"));
        }
        if process.selinux_label().as_ref().is_some_and(|label| !label.is_empty()) {
            return Err(BundleError::Invalid("SELinux labels are not supported"));
        }
        let linux = self.spec.linux().as_ref().ok_or(BundleError::Invalid("no linux section"))?;
        let cgroups_path = linux.cgroups_path().as_ref().ok_or(BundleError::Invalid("no cgroupsPath"))?;
        let is_plain = cgroups_path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        if !cgroups_path.is_absolute() || !is_plain || cgroups_path.components().count() < 2 {
            return Err(BundleError::Invalid("cgroupsPath is not an absolute path below the root"));
        }
        let has_mount_namespace =
            linux.namespaces().iter().flatten().any(|namespace| namespace.typ() == LinuxNamespaceType::Mount);
        if !has_mount_namespace {
            return Err(BundleError::Invalid("no mount namespace"));
        }
        Ok(())
    }

    /// Where the bundle is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The root file system on the host.
    #[must_use]
    pub fn rootfs(&self) -> &Path {
        &self.rootfs
    }

    /// The configuration as written.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// What it runs.
    #[must_use]
    pub fn process(&self) -> &Process {
        self.spec.process().as_ref().expect("checked when loaded")
    }

    /// Where its control groups are, below the root of each hierarchy.
    #[must_use]
    pub fn cgroups_path(&self) -> &Path {
        self.spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_deref()).expect("checked when loaded")
    }

    /// Its seccomp profile.
    #[must_use]
    pub fn seccomp(&self) -> Option<&LinuxSeccomp> {
        self.spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref())
    }

    /// The configuration for libcontainer. `env` is that of the last stage, HOME included.
    pub(crate) fn for_libcontainer(&self, hierarchies: &Hierarchies) -> Spec {
        let mut spec = self.spec.clone();
        let wanted = self.process();
        let mut process = Process::default();
        process
            .set_terminal(Some(false))
            .set_user(User::default())
            .set_args(wanted.args().clone())
            // A HOME of any kind keeps libcontainer from asking the C library, which would load plug-ins from the image.
            .set_env(Some(with_home(wanted.env().clone().unwrap_or_default())))
            .set_cwd("/".into())
            .set_capabilities(None)
            .set_rlimits(None)
            .set_no_new_privileges(None)
            .set_apparmor_profile(None)
            .set_oom_score_adj(None)
            .set_selinux_label(None)
            .set_io_priority(*wanted.io_priority())
            .set_scheduler(wanted.scheduler().clone());
        spec.set_process(Some(process));
        if let Some(root) = spec.root_mut() {
            root.set_path(self.rootfs.clone());
        }
        if hierarchies.layout() == Layout::V1 && self.joins_pid_namespace() {
            let mounts = spec.mounts().iter().flatten();
            let mounts = mounts.flat_map(|mount| bound_groups(mount, hierarchies, self.cgroups_path())).collect();
            spec.set_mounts(Some(mounts));
        }
        if let Some(linux) = spec.linux_mut() {
            linux.set_seccomp(None);
            if let Some(resources) = linux.resources().clone() {
                linux.set_resources(Some(without_absent(resources, hierarchies)));
            }
        }
        spec
    }

    fn joins_pid_namespace(&self) -> bool {
        let namespaces = self.spec.linux().as_ref().and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
        namespaces.iter().any(|namespace| namespace.typ() == LinuxNamespaceType::Pid && namespace.path().is_some())
    }
}

/// In place of the mount of control groups its parts, each bound from the container's group; other mounts as they are.
///
/// libcontainer's own way on version 1 looks for init in the host's `/proc` by the number that it has in its PID namespace.
/// That is 1 in a new namespace, which always exists; in one that is joined it is any number, and often there is none.
fn bound_groups(mount: &Mount, hierarchies: &Hierarchies, group: &Path) -> Vec<Mount> {
    if mount.typ().as_deref() != Some("cgroup") {
        return vec![mount.clone()];
    }
    let made = |target: PathBuf, kind: &str, source: PathBuf, options: &[&str]| {
        let mut made = Mount::default();
        made.set_destination(target)
            .set_typ(Some(kind.to_owned()))
            .set_source(Some(source))
            .set_options(Some(options.iter().map(|option| (*option).to_owned()).collect()));
        made
    };
    let is_read_only = mount.options().iter().flatten().any(|option| option == "ro");
    let access = if is_read_only { "ro" } else { "rw" };
    let base = mount.destination();
    let mut mounts = vec![made(base.clone(), "tmpfs", "tmpfs".into(), &["noexec", "nosuid", "nodev", "mode=755"])];
    for root in hierarchies.roots() {
        let Some(name) = root.file_name().and_then(|name| name.to_str()) else { continue };
        let source = root.join(group.strip_prefix("/").unwrap_or(group));
        // Controllers that share a hierarchy are found under each of their names, too.
        let alone = name.split(',').filter(|alone| *alone != name);
        for name in std::iter::once(name).chain(alone) {
            let options = ["bind", "noexec", "nosuid", "nodev", access];
            mounts.push(made(base.join(name), "bind", source.clone(), &options));
        }
    }
    mounts
}

fn with_home(mut env: Vec<String>) -> Vec<String> {
    if !env.iter().any(|entry| entry.starts_with("HOME=")) {
        env.push("HOME=/".to_owned());
    }
    env
}

/// Leaves out huge page limits on machines whose v1 hierarchies have no such controller, where they are an error.
fn without_absent(mut resources: LinuxResources, hierarchies: &Hierarchies) -> LinuxResources {
    if hierarchies.layout() == Layout::V1 && hierarchies.root_of("hugetlb").is_none() {
        resources.set_hugepage_limits(None);
    }
    resources
}

#[cfg(test)]
mod tests {
    use corten_base::mounts;

    use super::*;

    #[track_caller]
    fn check(config: &str, want: Result<(), &str>) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("rootfs")).unwrap();
        std::fs::write(directory.path().join("config.json"), config).unwrap();
        let got = Bundle::load(directory.path()).map(drop).map_err(|error| error.to_string());
        match want {
            Ok(()) => got.unwrap(),
            Err(part) => assert!(got.as_ref().is_err_and(|text| text.contains(part)), "{got:?}"),
        }
    }

    fn config(cgroups_path: &str, namespaces: &str, args: &str) -> String {
        format!(
            r#"{{"ociVersion":"1.0.2","root":{{"path":"rootfs"}},"process":{{"cwd":"/","user":{{"uid":0,"gid":0}},"args":{args}}},
            "linux":{{"cgroupsPath":"{cgroups_path}","namespaces":[{namespaces}]}}}}"#
        )
    }

    #[test]
    fn a_bundle_needs_a_process_a_mount_namespace_and_a_place_for_its_groups() {
        const MOUNT: &str = r#"{"type":"mount"}"#;
        check(&config("/pods/a", MOUNT, r#"["true"]"#), Ok(()));
        check(&config("pods/a", MOUNT, r#"["true"]"#), Err("cgroupsPath"));
        check(&config("/pods/../a", MOUNT, r#"["true"]"#), Err("cgroupsPath"));
        check(&config("/", MOUNT, r#"["true"]"#), Err("cgroupsPath"));
        check(&config("/pods/a", "", r#"["true"]"#), Err("mount namespace"));
        check(&config("/pods/a", MOUNT, "[]"), Err("args"));
        check("{}", Err("no root"));
        check("{", Err("parse"));
    }

    #[test]
    fn control_groups_are_bound_one_by_one_where_a_pid_namespace_is_joined() {
        let hierarchies = Hierarchies::among(mounts::parse(
            b"30 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
             31 25 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
        ));
        let mount: Mount = serde_json::from_str(
            r#"{"destination":"/sys/fs/cgroup","type":"cgroup","source":"cgroup","options":["nosuid","ro"]}"#,
        )
        .unwrap();
        let mounts = bound_groups(&mount, &hierarchies.unwrap(), Path::new("/pods/a"));
        let shown: Vec<_> = mounts
            .iter()
            .map(|mount| {
                let source = mount.source().as_ref().unwrap();
                format!("{} {}", source.display(), mount.destination().display())
            })
            .collect();
        assert_eq!(
            shown,
            [
                "tmpfs /sys/fs/cgroup",
                "/sys/fs/cgroup/cpu,cpuacct/pods/a /sys/fs/cgroup/cpu,cpuacct",
                "/sys/fs/cgroup/cpu,cpuacct/pods/a /sys/fs/cgroup/cpu",
                "/sys/fs/cgroup/cpu,cpuacct/pods/a /sys/fs/cgroup/cpuacct",
                "/sys/fs/cgroup/memory/pods/a /sys/fs/cgroup/memory",
            ]
        );
        assert!(mounts[1].options().as_ref().unwrap().contains(&"ro".to_owned()));
        let proc: Mount = serde_json::from_str(r#"{"destination":"/proc","type":"proc"}"#).unwrap();
        let hierarchies = Hierarchies::among(mounts::parse(b"1 1 0:1 / /c rw - cgroup c rw,cpu\n"));
        let other = bound_groups(&proc, &hierarchies.unwrap(), Path::new("/a"));
        assert_eq!(other, [proc]);
    }
}

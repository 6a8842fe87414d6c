//! Control groups of pods: `/<root>/kubepods/{,burstable/,besteffort/}pod<uid>` in every hierarchy.
//!
//! Flow: worker -> `ensure` (before the sandbox) -> the runtime makes the containers' groups below -> `remove` at the end.
//! Invariants: nothing outside of `<root>` is changed but the list of controllers that it needs from above (version 2);
//! a group that is there is set to its limits again, never made anew.
//! Upstream: pkg/kubelet/cm/{pod_container_manager,qos_container_manager,cgroup_manager}_linux.go (v1.35).

mod limits;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use corten_api::core::v1::Pod;
use corten_base::{
    ErrorChain,
    fs::{Context as _, FsError},
};
use corten_oci::cgroup::{Cgroup, CgroupError, Hierarchies, Layout};
use parking_lot::Mutex;

use crate::{
    containers::{
        qos::{self, QosClass},
        resources::{self, NodeLimits, SHARES_MIN},
    },
    interfaces::{Failure, PodCgroups, SharedPod},
    volumes::blocking,
};

use limits::{GroupLimits, Setting};

/// The group of all pods. Source: `defaultNodeAllocatableCgroupName`.
const KUBEPODS: &str = "kubepods";
/// What the name of a pod's group begins with. Source: `podCgroupNamePrefix`.
const POD_PREFIX: &str = "pod";
/// The controllers of version 2 that pods need.
static CONTROLLERS: &[&str] = &["cpuset", "cpu", "io", "memory", "hugetlb", "pids"];

/// The path of a pod's group, as the runtime wants it: `/corten/kubepods/burstable/pod<uid>`.
#[must_use]
pub fn pod_path(root: &str, pod: &Pod) -> String {
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    path_of(root, qos::class_of(pod), uid).display().to_string()
}

fn path_of(root: &str, class: QosClass, uid: &str) -> PathBuf {
    class_path(root, class).join(format!("{POD_PREFIX}{uid}"))
}

fn class_path(root: &str, class: QosClass) -> PathBuf {
    let all = Path::new("/").join(root.trim_matches('/')).join(KUBEPODS);
    match class {
        QosClass::Guaranteed => all,
        QosClass::Burstable => all.join("burstable"),
        QosClass::BestEffort => all.join("besteffort"),
    }
}

/// Makes and removes the groups of pods.
#[derive(Debug)]
pub struct CgroupManager {
    root: String,
    node: NodeLimits,
    node_cpu_millis: i64,
    /// What each burstable pod asks for: together, the shares of their class. Held while groups change.
    burstable: Arc<Mutex<BTreeMap<String, i64>>>,
}

impl CgroupManager {
    /// Groups under `root` (`Config::cgroup_root`) on a node with `node_cpu_millis` of processor time.
    #[must_use]
    pub fn new(root: &str, node: NodeLimits, node_cpu_millis: i64) -> Arc<Self> {
        Arc::new(Self { root: root.to_owned(), node, node_cpu_millis, burstable: Arc::default() })
    }

    /// Whether version 2 holds the controllers, for `NodeLimits`. Blocks. Errors: no hierarchies are mounted.
    pub fn is_unified() -> Result<bool, CgroupError> {
        Ok(Hierarchies::detect()?.layout() == Layout::Unified)
    }

    async fn apply(&self, pod: &SharedPod, wanted: Wanted) -> Result<(), Failure> {
        let (root, burstable) = (self.root.clone(), Arc::clone(&self.burstable));
        let (pod, node, cpu_millis) = (Arc::clone(pod), self.node, self.node_cpu_millis);
        let ensured = blocking(move || {
            let hierarchies = Hierarchies::detect()?;
            let class = qos::class_of(&pod);
            let uid = pod.metadata.uid.clone().unwrap_or_default();
            let mut burstable = burstable.lock();
            if class == QosClass::Burstable {
                burstable.insert(uid.clone(), resources::totals(&pod).cpu_request_millis);
            }
            ensure_classes(&hierarchies, &root, cpu_millis, burstable.values().sum())?;
            let limits = GroupLimits::from(&resources::of_pod(&pod, node));
            make(&hierarchies, &path_of(&root, class, &uid), &limits, wanted)
        });
        let failed = |error: CgroupError| Failure::new("FailedCreatePodContainer", ErrorChain(&error).to_string());
        ensured.await.map_err(failed)
    }
}

/// What a limit is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// As it is given.
    Exactly,
    /// As it is given or more.
    AtLeast,
}

#[async_trait]
impl PodCgroups for CgroupManager {
    async fn ensure(&self, pod: &SharedPod) -> Result<(), Failure> {
        self.apply(pod, Wanted::Exactly).await
    }

    async fn raise(&self, pod: &SharedPod) -> Result<(), Failure> {
        self.apply(pod, Wanted::AtLeast).await
    }

    async fn remove(&self, pod_uid: &str) -> Result<(), Failure> {
        let (root, uid, burstable) = (self.root.clone(), pod_uid.to_owned(), Arc::clone(&self.burstable));
        let cpu_millis = self.node_cpu_millis;
        let removed = blocking(move || {
            let hierarchies = Hierarchies::detect()?;
            for class in [QosClass::Guaranteed, QosClass::Burstable, QosClass::BestEffort] {
                Cgroup::new(hierarchies.clone(), &path_of(&root, class, &uid)).remove()?;
            }
            let mut burstable = burstable.lock();
            if burstable.remove(&uid).is_some() {
                ensure_classes(&hierarchies, &root, cpu_millis, burstable.values().sum())?;
            }
            Ok::<_, CgroupError>(())
        });
        let failed = |error: CgroupError| Failure::new("FailedToRemovePodContainer", ErrorChain(&error).to_string());
        removed.await.map_err(failed)
    }

    async fn pods(&self) -> Result<Vec<String>, Failure> {
        let root = self.root.clone();
        let found = blocking(move || found_pods(&Hierarchies::detect()?, &root));
        found.await.map_err(|error| Failure::new("FailedToListPods", ErrorChain(&error).to_string()))
    }
}

/// The groups above the pods'. A class that asks for little gets little when the processor is short.
fn ensure_classes(
    hierarchies: &Hierarchies,
    root: &str,
    node_millis: i64,
    burstable_millis: i64,
) -> Result<(), CgroupError> {
    let mut above = PathBuf::from("/");
    for name in root.split('/').filter(|name| !name.is_empty()) {
        above.push(name);
        make(hierarchies, &above, &GroupLimits::default(), Wanted::Exactly)?;
    }
    for (class, cpu_shares) in [
        (QosClass::Guaranteed, resources::shares(node_millis)),
        (QosClass::Burstable, resources::shares(burstable_millis)),
        (QosClass::BestEffort, SHARES_MIN),
    ] {
        let limits = GroupLimits { cpu_shares, ..GroupLimits::default() };
        make(hierarchies, &class_path(root, class), &limits, Wanted::Exactly)?;
    }
    Ok(())
}

/// Makes one group, whose parent is there, in all hierarchies, and sets its limits.
fn make(hierarchies: &Hierarchies, path: &Path, limits: &GroupLimits, wanted: Wanted) -> Result<(), CgroupError> {
    let group = Cgroup::new(hierarchies.clone(), path);
    for directory in group.directories() {
        if hierarchies.layout() == Layout::Unified
            && let Some(parent) = directory.parent()
        {
            enable_controllers(parent)?;
        }
        match fs::create_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => {
                made.at("make control group", &directory)?;
                inherit_cpuset(&directory)?;
            }
        }
    }
    match hierarchies.layout() {
        Layout::V1 => {
            for (controller, settings) in [("cpu", limits.v1_cpu()), ("memory", limits.v1_memory())] {
                if let Some(mount) = hierarchies.root_of(controller) {
                    set(&below(mount, path), &settings, wanted)?;
                }
            }
        }
        Layout::Unified => {
            if let Some(mount) = hierarchies.root_of("unified") {
                set(&below(mount, path), &limits.v2(), wanted)?;
            }
        }
    }
    Ok(())
}

fn below(mount: &Path, path: &Path) -> PathBuf {
    mount.join(path.strip_prefix("/").unwrap_or(path))
}

/// Writes what differs. A file that the kernel does not have is a limit that it cannot enforce.
fn set(directory: &Path, settings: &[Setting], wanted: Wanted) -> Result<(), CgroupError> {
    for setting in settings {
        let file = directory.join(setting.file);
        match corten_base::fs::read_to_string(&file) {
            Ok(current) if current.trim() == setting.value => {}
            Ok(current) if wanted == Wanted::AtLeast && limits::allows(&current, &setting.value) => {}
            Ok(_) => corten_base::fs::write(&file, setting.value.as_bytes())?,
            Err(error) if error.is_not_found() && setting.is_optional => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Under version 1 a fresh group has no processors, and takes no process until it has.
fn inherit_cpuset(directory: &Path) -> Result<(), FsError> {
    let Some(parent) = directory.parent() else { return Ok(()) };
    for name in ["cpuset.cpus", "cpuset.mems"] {
        let (own, above) = (directory.join(name), parent.join(name));
        // Version 2 inherits by itself: an empty file there means the parent's.
        if !own.exists() || directory.join("cgroup.controllers").exists() {
            continue;
        }
        if corten_base::fs::read_to_string(&own)?.trim().is_empty() {
            corten_base::fs::write(&own, corten_base::fs::read_to_string(&above)?.trim().as_bytes())?;
        }
    }
    Ok(())
}

/// Lets the groups below `directory` have controllers, as far as it has them itself (version 2).
fn enable_controllers(directory: &Path) -> Result<(), CgroupError> {
    let (available, control) = (directory.join("cgroup.controllers"), directory.join("cgroup.subtree_control"));
    let available = corten_base::fs::read_to_string(&available)?;
    let enabled = corten_base::fs::read_to_string(&control)?;
    let available: BTreeSet<&str> = available.split_whitespace().collect();
    let enabled: BTreeSet<&str> = enabled.split_whitespace().collect();
    // One by one: a controller that cannot be had, such as hugetlb in some containers, keeps no other away.
    for controller in CONTROLLERS.iter().filter(|name| available.contains(**name) && !enabled.contains(**name)) {
        corten_base::fs::write(&control, format!("+{controller}").as_bytes())?;
    }
    Ok(())
}

fn found_pods(hierarchies: &Hierarchies, root: &str) -> Result<Vec<String>, CgroupError> {
    let mut found = BTreeSet::new();
    for class in [QosClass::Guaranteed, QosClass::Burstable, QosClass::BestEffort] {
        for directory in Cgroup::new(hierarchies.clone(), &class_path(root, class)).directories() {
            let entries = match fs::read_dir(&directory) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other.at("list", &directory)?,
            };
            for entry in entries {
                let name = entry.at("list", &directory)?.file_name();
                found.extend(
                    name.to_string_lossy().strip_prefix(POD_PREFIX).filter(|uid| !uid.is_empty()).map(str::to_owned),
                );
            }
        }
    }
    Ok(found.into_iter().collect())
}

#[cfg(test)]
mod tests;

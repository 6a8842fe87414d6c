//! What the runtime keeps of a pod that nobody needs any more.
//!
//! Pure. Of each container's ends the newest is kept, for `kubectl logs --previous` and the status; of the sandboxes the
//! newest, and those that still hold a record which is kept.
//! Upstream: pkg/kubelet/kuberuntime/kuberuntime_gc.go (v1.35), with `MaxPerPodContainerCount` 1.

use std::collections::BTreeMap;

use crate::pleg::records::{PodRuntimeStatus, is_exited, is_running, name_of};

/// A container that is not needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldContainer {
    /// Its id.
    pub id: String,
    /// Its name in the pod.
    pub name: String,
    /// Its log file.
    pub log: String,
}

/// What to remove.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Garbage {
    /// Containers.
    pub containers: Vec<OldContainer>,
    /// Sandboxes.
    pub sandboxes: Vec<String>,
}

impl Garbage {
    /// Whether there is nothing to remove.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.sandboxes.is_empty()
    }
}

/// How many ends of a container are kept.
const KEPT_ENDS: usize = 1;

/// The garbage of one pod.
#[must_use]
pub fn garbage(runtime: &PodRuntimeStatus) -> Garbage {
    let mut found = Garbage::default();
    let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
    let mut kept_in = std::collections::BTreeSet::new();
    let mut newer = std::collections::BTreeSet::new();
    for (sandbox, record) in runtime.containers() {
        let ends = ends.entry(name_of(record)).or_default();
        // One that was made and not started may be about to start, unless another was made in its place: then whoever was to
        // start it has gone, and it would wait for as long as the pod lives.
        let is_newest = newer.insert(name_of(record));
        let was_given_up = !is_exited(record) && !is_running(record) && !is_newest;
        let dead = is_exited(record) || (!is_running(record) && !sandbox.is_ready());
        if was_given_up || (dead && *ends >= KEPT_ENDS) {
            let (id, log) = (record.id.clone(), record.log_path.clone());
            found.containers.push(OldContainer { id, name: name_of(record).to_owned(), log });
            continue;
        }
        *ends += usize::from(dead);
        kept_in.insert(sandbox.status.id.as_str());
    }
    let old = runtime.sandboxes.iter().skip(1).filter(|sandbox| !sandbox.is_ready());
    let empty = old.filter(|sandbox| !kept_in.contains(sandbox.status.id.as_str()));
    found.sandboxes = empty.map(|sandbox| sandbox.status.id.clone()).collect();
    found
}

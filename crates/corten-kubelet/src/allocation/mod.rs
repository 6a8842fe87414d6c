//! What the node has set aside for each container, and what becomes of changes to that (in-place resize).
//!
//! Flow: the table admits a pod -> `admit` notes its resources; its spec changes -> `resize` decides -> the worker sees the
//! pod with what is set aside (`applied`) and makes the containers follow -> `done`.
//! Invariant: a pod's containers get what is noted here and never what the spec merely asks for. The note is on disk before
//! anybody acts on it, in the pod's directory, and goes with that.
//! Upstream: pkg/kubelet/allocation (v1.35).

pub mod decide;

use std::{collections::BTreeMap, io, sync::Arc};

use corten_api::core::v1::{Container, Pod, ResourceRequirements};
use corten_base::{
    ErrorChain,
    fs::{self, Context as _, FsError},
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::{
    interfaces::SharedPod,
    status::conditions::is_sidecar,
    volumes::{Layout, blocking},
};

pub use decide::{Pending, Verdict};

/// The note's file in the pod's directory.
const FILE: &str = "allocation.json";
/// The version of the note that is written.
const VERSION: u32 = 1;

/// The note of one pod, version 1. Readers refuse other versions, and take the spec's resources then.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Note {
    version: u32,
    containers: BTreeMap<String, ResourceRequirements>,
}

/// How far a change has come that was taken over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InProgress {
    /// The generation of the pod that is being made true.
    pub generation: Option<i64>,
    /// Why it does not go on: upstream's text.
    pub error: Option<String>,
}

impl InProgress {
    /// Whether it is made true by whoever has the pod of this generation: an older one knows nothing of it yet.
    #[must_use]
    pub fn is_known_at(&self, generation: Option<i64>) -> bool {
        self.generation <= generation
    }
}

/// What the conditions of a pod say about its resize.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResizeState {
    /// The node has no room, or never will have.
    pub pending: Option<Pending>,
    /// The containers do not have yet what is set aside.
    pub in_progress: Option<InProgress>,
}

#[derive(Debug, Default)]
struct Entry {
    containers: BTreeMap<String, ResourceRequirements>,
    resize: ResizeState,
}

/// The notes of all pods of the node. Bounded by them.
#[derive(Debug)]
pub struct Allocations {
    layout: Layout,
    entries: Mutex<BTreeMap<String, Entry>>,
}

impl Allocations {
    /// No notes yet, in the directories of `layout`.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        Self { layout, entries: Mutex::default() }
    }

    /// Reads what an earlier kubelet noted. What cannot be read is logged and left out: the spec counts then.
    pub async fn load(&self) {
        let layout = self.layout.clone();
        let notes = blocking(move || read_all(&layout)).await;
        let mut entries = self.entries.lock();
        for (uid, note) in notes {
            entries.insert(uid, Entry { containers: note.containers, resize: ResizeState::default() });
        }
    }

    /// The pod as it may run: with the resources that are set aside instead of those that its spec asks for.
    #[must_use]
    pub fn applied(&self, pod: &SharedPod) -> SharedPod {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        let entries = self.entries.lock();
        let Some(entry) = entries.get(uid) else { return Arc::clone(pod) };
        if resources_of(pod) == entry.containers {
            return Arc::clone(pod);
        }
        let mut applied = Pod::clone(pod);
        if let Some(spec) = &mut applied.spec {
            for container in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
                if let Some(resources) = entry.containers.get(&container.name) {
                    container.resources = Some(resources.clone());
                }
            }
        }
        Arc::new(applied)
    }

    /// Whether something is set aside for a pod.
    #[must_use]
    pub fn has(&self, pod_uid: &str) -> bool {
        self.entries.lock().contains_key(pod_uid)
    }

    /// Sets aside what a pod asks for. Errors: the note cannot be written; then nothing has changed.
    pub async fn set(&self, pod: &Pod) -> Result<(), FsError> {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let containers = resources_of(pod);
        let note = Note { version: VERSION, containers: containers.clone() };
        let (layout, of) = (self.layout.clone(), uid.clone());
        blocking(move || write(&layout, &of, &note)).await?;
        self.entries.lock().entry(uid).or_default().containers = containers;
        Ok(())
    }

    /// Forgets a pod; its file goes with its directory.
    pub fn forget(&self, pod_uid: &str) {
        self.entries.lock().remove(pod_uid);
    }

    /// How a pod's resize stands.
    #[must_use]
    pub fn resize(&self, pod_uid: &str) -> ResizeState {
        self.entries.lock().get(pod_uid).map(|entry| entry.resize.clone()).unwrap_or_default()
    }

    /// Changes how a pod's resize stands. Returns whether that made a difference.
    pub fn change_resize(&self, pod_uid: &str, change: impl FnOnce(&mut ResizeState)) -> bool {
        let mut entries = self.entries.lock();
        let Some(entry) = entries.get_mut(pod_uid) else { return false };
        let before = entry.resize.clone();
        change(&mut entry.resize);
        before != entry.resize
    }

    /// The pods whose resize the node has no room for at present.
    #[must_use]
    pub fn deferred(&self) -> Vec<String> {
        let entries = self.entries.lock();
        let is_deferred = |entry: &Entry| entry.resize.pending.as_ref().is_some_and(Pending::is_deferred);
        entries.iter().filter(|(_, entry)| is_deferred(entry)).map(|(uid, _)| uid.clone()).collect()
    }
}

/// The resources of the containers that can be resized: ordinary ones and sidecars.
fn resources_of(pod: &Pod) -> BTreeMap<String, ResourceRequirements> {
    let Some(spec) = &pod.spec else { return BTreeMap::new() };
    let sidecars = spec.init_containers.iter().flatten().filter(|container| is_sidecar(container));
    let of = |container: &Container| (container.name.clone(), container.resources.clone().unwrap_or_default());
    sidecars.chain(&spec.containers).map(of).collect()
}

fn write(layout: &Layout, uid: &str, note: &Note) -> Result<(), FsError> {
    let directory = layout.pod(uid);
    let path = directory.join(FILE);
    fs::create_dir_all(&directory)?;
    let text = serde_json::to_vec(note).map_err(|error| FsError {
        operation: "encode",
        path: path.clone(),
        source: error.into(),
    })?;
    // Whole or not at all, and not forced to the disk, which takes longer than the start of a container: if the machine
    // loses its power at this moment, the pod gets what its spec asks for.
    let temporary = directory.join(format!("{FILE}.tmp"));
    fs::write(&temporary, &text)?;
    std::fs::rename(&temporary, &path).at("rename to", &path)
}

fn read_all(layout: &Layout) -> Vec<(String, Note)> {
    let directory = layout.pods();
    let entries = match std::fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(err) => {
            tracing::warn!(path = %directory.display(), %err, "Could not list what is set aside for pods");
            return Vec::new();
        }
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let note = |uid: String| {
        let path = layout.pod(&uid).join(FILE);
        match read(&path) {
            Ok(note) => Some((uid, note?)),
            Err(err) => {
                tracing::warn!(uid, err = %ErrorChain(&err), "Could not read what is set aside for pod");
                None
            }
        }
    };
    names.filter_map(note).collect()
}

fn read(path: &std::path::Path) -> Result<Option<Note>, FsError> {
    let text = match fs::read(path) {
        Err(error) if error.is_not_found() => return Ok(None),
        text => text?,
    };
    let failed = |source| FsError { operation: "parse", path: path.to_owned(), source };
    let note: Note = serde_json::from_slice(&text).map_err(|error| failed(error.into()))?;
    if note.version != VERSION {
        return Err(failed(io::Error::other(format!("version {} is not known", note.version))));
    }
    Ok(Some(note))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(cpu: &str) -> SharedPod {
        let with = |name: &str, cpu: &str| json!({"name": name, "resources": {"requests": {"cpu": cpu}}});
        let mut sidecar: Value = with("side", "10m");
        sidecar["restartPolicy"] = json!("Always");
        let spec = json!({"initContainers": [with("init", cpu), sidecar], "containers": [with("main", cpu)]});
        Arc::new(serde_json::from_value(json!({"metadata": {"uid": "u"}, "spec": spec})).unwrap())
    }

    fn cpu(pod: &Pod, name: &str) -> String {
        let spec = pod.spec.as_ref().unwrap();
        let mut all = spec.init_containers.iter().flatten().chain(&spec.containers);
        let found = all.find(|container| container.name == name).unwrap();
        found.resources.as_ref().unwrap().requests.as_ref().unwrap()["cpu"].0.clone()
    }

    /// A worker that had not seen the new pod yet found everything as the old one wanted it: it told the completion of a
    /// resize that had not begun, with the old figures, and the true one came as a second event.
    #[test]
    fn a_resize_is_unknown_to_who_has_an_older_pod() {
        let resize = |generation| InProgress { generation, error: None };
        for (of, at, want) in
            [(Some(2), Some(1), false), (Some(2), Some(2), true), (Some(2), Some(3), true), (None, None, true)]
        {
            assert_eq!(resize(of).is_known_at(at), want, "{of:?} {at:?}");
        }
    }

    #[tokio::test]
    async fn what_is_set_aside_outlives_the_kubelet_and_stands_for_the_spec() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path());
        let allocations = Allocations::new(layout.clone());
        assert_eq!(cpu(&allocations.applied(&pod("2")), "main"), "2");
        allocations.set(&pod("1")).await.unwrap();
        assert_eq!(cpu(&allocations.applied(&pod("2")), "main"), "1");

        let next = Allocations::new(layout.clone());
        next.load().await;
        assert_eq!(cpu(&next.applied(&pod("2")), "main"), "1");
        // An init container that ends cannot be resized.
        assert_eq!(cpu(&next.applied(&pod("2")), "init"), "2");
        next.forget("u");
        assert_eq!(cpu(&next.applied(&pod("2")), "main"), "2");

        std::fs::write(layout.pod("u").join(FILE), r#"{"version": 2, "containers": {}}"#).unwrap();
        let later = Allocations::new(layout);
        later.load().await;
        assert!(!later.has("u"));
    }
}

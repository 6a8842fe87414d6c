//! Which config maps and secrets a pod refers to. Pure.

use std::collections::BTreeSet;

use corten_api::core::v1::{ConfigMap, Pod, Secret, Volume};
use corten_apimachinery::gvk::GroupVersionResource;
use corten_client::api::resource_of;

use crate::interfaces::containers_of;

/// The kinds that are watched one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// `ConfigMap`.
    ConfigMap,
    /// `Secret`.
    Secret,
}

impl ObjectKind {
    /// The kind as upstream's managers name it in errors.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::ConfigMap => "configmap",
            Self::Secret => "secret",
        }
    }

    /// Its resource.
    #[must_use]
    pub fn resource(self) -> GroupVersionResource {
        match self {
            Self::ConfigMap => resource_of::<ConfigMap>(),
            Self::Secret => resource_of::<Secret>(),
        }
    }
}

/// One object that a pod refers to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its namespace: the pod's.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// How many objects are followed for one pod. Each has a watch, a task and a place in the server's books, whether it exists
/// or not, and the API lets a pod name tens of thousands; pods that people write name a dozen.
pub const FOLLOWED_MAX: usize = 256;

/// What is followed of that which `pod` refers to: volumes first, since these show changes. What is more than can be
/// followed is read when it is needed. A static pod may not refer to objects, its mirror neither.
///
/// Source: podutil.VisitPodSecretNames and VisitPodConfigmapNames, as far as the plugins that exist read them. Pull secrets
/// are not among them: they are read when an image is pulled.
#[must_use]
pub fn of_pod(pod: &Pod) -> BTreeSet<Reference> {
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    let mut found = BTreeSet::new();
    let mut add = |kind, name: &str| {
        if !name.is_empty() && found.len() < FOLLOWED_MAX {
            found.insert(Reference { kind, namespace: namespace.clone(), name: name.to_owned() });
        }
    };
    let Some(spec) = &pod.spec else { return found };
    for volume in spec.volumes.iter().flatten() {
        of_volume(volume, &mut add);
    }
    for container in containers_of(pod) {
        for from in container.spec.env_from.iter().flatten() {
            if let Some(map) = &from.config_map_ref {
                add(ObjectKind::ConfigMap, &map.name);
            }
            if let Some(secret) = &from.secret_ref {
                add(ObjectKind::Secret, &secret.name);
            }
        }
        for source in container.spec.env.iter().flatten().filter_map(|env| env.value_from.as_ref()) {
            if let Some(key) = &source.config_map_key_ref {
                add(ObjectKind::ConfigMap, &key.name);
            }
            if let Some(key) = &source.secret_key_ref {
                add(ObjectKind::Secret, &key.name);
            }
        }
    }
    found
}

fn of_volume(volume: &Volume, add: &mut impl FnMut(ObjectKind, &str)) {
    if let Some(map) = &volume.config_map {
        add(ObjectKind::ConfigMap, &map.name);
    }
    if let Some(name) = volume.secret.as_ref().and_then(|secret| secret.secret_name.as_ref()) {
        add(ObjectKind::Secret, name);
    }
    let sources = volume.projected.as_ref().and_then(|projected| projected.sources.as_ref());
    for source in sources.into_iter().flatten() {
        if let Some(map) = &source.config_map {
            add(ObjectKind::ConfigMap, &map.name);
        }
        if let Some(secret) = &source.secret {
            add(ObjectKind::Secret, &secret.name);
        }
    }
}

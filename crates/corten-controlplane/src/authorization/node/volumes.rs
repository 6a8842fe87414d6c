//! What a persistent volume leads to: the claim that it is bound to, and the secrets that a node needs to mount it. Pure.
//!
//! Upstream: `AddPV` in plugin/pkg/auth/authorizer/node/graph.go, `VisitPVSecretNames` in pkg/api/v1/persistentvolume
//! (v1.35).

use corten_apimachinery::value::{Str, Value};
use corten_storage::object::cache_key;

/// Where sources of volumes name the secrets that nodes use; those that controllers use are left out.
const SECRETS: &[&[&str]] = &[
    &["cephfs", "secretRef"],
    &["cinder", "secretRef"],
    &["flexVolume", "secretRef"],
    &["rbd", "secretRef"],
    &["scaleIO", "secretRef"],
    &["iscsi", "secretRef"],
    &["storageos", "secretRef"],
    &["csi", "nodePublishSecretRef"],
    &["csi", "nodeStageSecretRef"],
    &["csi", "nodeExpandSecretRef"],
];
/// The sources whose secrets are those of the claim's namespace if they do not say of which.
const IN_CLAIMS_NAMESPACE: [&str; 5] = ["cephfs", "flexVolume", "rbd", "scaleIO", "iscsi"];

/// What one volume leads to. Nothing, unless it is bound to a claim.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Bound {
    /// Namespace and name of the claim; empty if there is none.
    pub(super) claim: (Str, Str),
    /// Namespaces and names.
    secrets: Vec<(Str, Str)>,
}

impl Bound {
    /// What `volume` leads to.
    pub(super) fn of(volume: &Value) -> Self {
        let spec = volume.get("spec").unwrap_or(&Value::Null);
        let text = |path: &[&str]| Str::from(spec.str_at(path).unwrap_or_default());
        let claim = (text(&["claimRef", "namespace"]), text(&["claimRef", "name"]));
        if claim.1.is_empty() {
            return Self::default();
        }
        let mut secrets = vec![(text(&["azureFile", "secretNamespace"]), text(&["azureFile", "secretName"]))];
        if secrets[0].0.is_empty() {
            secrets[0].0 = claim.0.clone();
        }
        for at in SECRETS {
            let [source, field] = **at else { continue };
            let (mut namespace, name) = (text(&[source, field, "namespace"]), text(&[source, field, "name"]));
            if namespace.is_empty() && IN_CLAIMS_NAMESPACE.contains(&source) {
                namespace = claim.0.clone();
            }
            secrets.push((namespace, name));
        }
        secrets.retain(|(_, name)| !name.is_empty());
        Self { claim, secrets }
    }

    /// The cache keys of the secrets that mounting it takes.
    pub(super) fn secrets(&self) -> Vec<Str> {
        self.secrets.iter().map(|(namespace, name)| cache_key(namespace, name)).collect()
    }
}

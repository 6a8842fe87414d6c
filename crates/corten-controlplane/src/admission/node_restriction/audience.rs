//! For whom a pod wants tokens: what its own volumes say, and what the drivers of its other volumes ask for.
//!
//! Upstream: `podReferencesAudience` (v1.35).

use corten_apimachinery::{meta::ObjectMeta as _, status::Status, value::Value};

use crate::caches::{Caches, tree};

/// Whether one of the pod's volumes has a token for `audience`; an empty one is the API server.
///
/// What is not there (a claim, a volume, a driver) asks for nothing. Errors: a cache cannot answer now.
pub(super) async fn is_wanted(caches: &Caches, pod: &Value, audience: &str) -> Result<bool, Status> {
    for volume in pod.items_at(&["spec", "volumes"]) {
        let is_for = |token: &Value| token.str_at(&["audience"]).unwrap_or_default() == audience;
        let mut projected = volume.items_at(&["projected", "sources"]).iter();
        if projected.any(|source| set(source, "serviceAccountToken").is_some_and(is_for)) {
            return Ok(true);
        }
        let Some(driver) = driver(caches, pod, volume).await? else { continue };
        let Some(driver) = caches.find("storage.k8s.io", "csidrivers", "", &driver).await? else { continue };
        if tree(&driver)?.items_at(&["spec", "tokenRequests"]).iter().any(is_for) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn set<'v>(object: &'v Value, field: &str) -> Option<&'v Value> {
    object.get(field).filter(|value| !value.is_null())
}

/// The driver of a pod's volume, if it has one.
async fn driver(caches: &Caches, pod: &Value, volume: &Value) -> Result<Option<String>, Status> {
    let template = set(volume, "ephemeral").and_then(|source| set(source, "volumeClaimTemplate"));
    let claim = match volume.str_at(&["persistentVolumeClaim", "claimName"]) {
        _ if template.is_some() => format!("{}-{}", pod.name(), volume.str_at(&["name"]).unwrap_or_default()),
        Some(claim) => claim.to_owned(),
        None => return Ok(volume.str_at(&["csi", "driver"]).map(ToOwned::to_owned)),
    };
    let Some(claim) = caches.core("persistentvolumeclaims", pod.namespace(), &claim).await? else { return Ok(None) };
    let claim = tree(&claim)?;
    let bound = claim.str_at(&["spec", "volumeName"]).unwrap_or_default();
    if bound.is_empty() {
        return Ok(None);
    }
    let Some(volume) = caches.core("persistentvolumes", "", bound).await? else { return Ok(None) };
    Ok(tree(&volume)?.str_at(&["spec", "csi", "driver"]).map(ToOwned::to_owned))
}

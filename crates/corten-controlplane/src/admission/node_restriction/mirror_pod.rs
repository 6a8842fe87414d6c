//! Pods that a node makes: they stand for those that it has started by itself.

use corten_apimachinery::{field::quote, meta::ObjectMeta as _, value::Value};

use super::super::{CONTAINERS, MIRROR};

pub(super) fn on_node(pod: &Value) -> &str {
    pod.str_at(&["spec", "nodeName"]).unwrap_or_default()
}

/// A pod that a node makes stands for one that it has started by itself, and belongs to the node.
pub(super) fn mirror_pod(node: &str, pod: &Value) -> Result<(), String> {
    let quoted = quote(node);
    if pod.annotation(MIRROR).is_none() {
        return Err(format!(
            "pod does not have {} annotation, node {quoted} can only create mirror pods",
            quote(MIRROR)
        ));
    }
    if on_node(pod) != node {
        return Err(format!("node {quoted} can only create pods with spec.nodeName set to itself"));
    }
    let owner = match pod.owner_references() {
        [] => return Err(format!("node {quoted} can only create pods with an owner reference set to itself")),
        [owner] => owner,
        _ => return Err(format!("node {quoted} can only create pods with a single owner reference set to itself")),
    };
    let is_node = [("apiVersion", "v1"), ("kind", "Node"), ("name", node)]
        .iter()
        .all(|(key, value)| owner.str_at(&[key]) == Some(value));
    if !is_node {
        return Err(format!("node {quoted} can only create pods with an owner reference set to itself"));
    }
    if owner.bool_at(&["controller"]) != Some(true) {
        return Err(format!("node {quoted} can only create pods with a controller owner reference set to itself"));
    }
    if owner.bool_at(&["blockOwnerDeletion"]) == Some(true) {
        return Err(format!("node {quoted} must not set blockOwnerDeletion on an owner reference"));
    }
    Ok(())
}

/// Through a pod of its own, a node must not get at what it could not read otherwise.
pub(super) fn no_references(node: &str, pod: &Value) -> Result<(), String> {
    let refuse = |what: &str| Err(format!("node {} can not create pods that reference {what}", quote(node)));
    if !pod.str_at(&["spec", "serviceAccountName"]).unwrap_or_default().is_empty() {
        return refuse("a service account");
    }
    let parts = || {
        let fields = CONTAINERS.into_iter().chain(["ephemeralContainers", "volumes"]);
        fields.flat_map(|field| pod.items_at(&["spec", field]))
    };
    let mentions = |keys: &[&str]| parts().any(|part| has_key(part, keys));
    if !pod.items_at(&["spec", "imagePullSecrets"]).is_empty()
        || mentions(&["secret", "secretKeyRef", "secretRef", "nodePublishSecretRef"])
    {
        return refuse("secrets");
    }
    if mentions(&["configMap", "configMapKeyRef", "configMapRef"]) {
        return refuse("configmaps");
    }
    if mentions(&["clusterTrustBundle"]) {
        return refuse("clustertrustbundles");
    }
    if mentions(&["persistentVolumeClaim"]) {
        return refuse("persistentvolumeclaims");
    }
    // The claim is named after the pod, whose name the node chooses.
    if mentions(&["ephemeral"]) {
        return refuse("persistentvolumeclaims (via ephemeral volumes)");
    }
    if pod.items_at(&["spec", "resourceClaims"]).is_empty() { Ok(()) } else { refuse("resourceclaims") }
}

/// Whether a field of one of these names is set anywhere in `value`.
fn has_key(value: &Value, keys: &[&str]) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| has_key(item, keys)),
        Value::Object(map) => map.iter().any(|(key, value)| {
            let key: &str = key;
            keys.contains(&key) && !value.is_null() || has_key(value, keys)
        }),
        _ => false,
    }
}

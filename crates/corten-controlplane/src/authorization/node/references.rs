//! What a pod uses. Pure.
//!
//! Upstream: pkg/api/v1/pod `VisitPodSecretNames`, `VisitPodConfigmapNames`, and the graph populator of the node authorizer.

use corten_apimachinery::{meta::ObjectMeta as _, value::Value};

/// A kind of object that pods use by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Secret,
    ConfigMap,
    Claim,
    ServiceAccount,
    ResourceClaim,
}

/// Whether `pod` uses the object `name` of its namespace.
pub(super) fn uses(pod: &Value, kind: Kind, name: &str) -> bool {
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    let names = |items: &[Value], key: &str| items.iter().any(|item| item.str_at(&[key]) == Some(name));
    match kind {
        Kind::ServiceAccount => spec.str_at(&["serviceAccountName"]) == Some(name),
        // The word `secretRef` and its like mean the same wherever they stand in a pod.
        Kind::Secret => {
            names(spec.items_at(&["imagePullSecrets"]), "name")
                || mentions(spec, name, |key, value| match key {
                    "secretName" => value.as_str(),
                    "secretRef" | "secretKeyRef" | "nodePublishSecretRef" | "secret" => value.str_at(&["name"]),
                    _ => None,
                })
        }
        Kind::ConfigMap => mentions(spec, name, |key, value| match key {
            "configMap" | "configMapRef" | "configMapKeyRef" => value.str_at(&["name"]),
            _ => None,
        }),
        Kind::Claim => spec.items_at(&["volumes"]).iter().any(|volume| {
            volume.str_at(&["persistentVolumeClaim", "claimName"]) == Some(name)
                || volume.get("ephemeral").is_some_and(|ephemeral| !ephemeral.is_null())
                    && name.strip_prefix(pod.name()).and_then(|rest| rest.strip_prefix('-')) == volume.str_at(&["name"])
        }),
        Kind::ResourceClaim => {
            names(spec.items_at(&["resourceClaims"]), "resourceClaimName")
                || names(pod.items_at(&["status", "resourceClaimStatuses"]), "resourceClaimName")
        }
    }
}

/// How a field names an object: by itself, or in an object with a name.
type Naming = for<'a> fn(&str, &'a Value) -> Option<&'a str>;

/// Whether a field anywhere in `value` names `name`.
fn mentions(value: &Value, name: &str, naming: Naming) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| mentions(item, name, naming)),
        Value::Object(map) => {
            map.iter().any(|(key, value)| naming(key, value) == Some(name) || mentions(value, name, naming))
        }
        _ => false,
    }
}

//! What a pod uses. Pure.
//!
//! Upstream: pkg/api/v1/pod `VisitPodSecretNames`, `VisitPodConfigmapNames`, and `AddPod` in
//! plugin/pkg/auth/authorizer/node/graph.go (v1.35).

use corten_apimachinery::{
    meta::ObjectMeta as _,
    value::{Str, Value, format_str},
};

use crate::admission::MIRROR;

/// A kind of object that pods use by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Secret,
    ConfigMap,
    Claim,
    ServiceAccount,
    ResourceClaim,
}

/// What one pod uses of its namespace.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Uses {
    /// Each once, in order.
    all: Box<[(Kind, Str)]>,
}

impl Uses {
    /// What `pod` uses: nothing, if it is a node that has made it, which must not give itself rights by that.
    pub(super) fn of(pod: &Value) -> Self {
        if pod.annotation(MIRROR).is_some() {
            return Self::default();
        }
        let spec = pod.get("spec").unwrap_or(&Value::Null);
        let mut all = Vec::new();
        let mut add = |kind: Kind, name: Option<&str>| {
            if let Some(name) = name.filter(|name| !name.is_empty()) {
                all.push((kind, name.into()));
            }
        };
        add(Kind::ServiceAccount, spec.str_at(&["serviceAccountName"]));
        for secret in spec.items_at(&["imagePullSecrets"]) {
            add(Kind::Secret, secret.str_at(&["name"]));
        }
        for volume in spec.items_at(&["volumes"]) {
            add(Kind::Claim, volume.str_at(&["persistentVolumeClaim", "claimName"]));
            if volume.get("ephemeral").is_some_and(|ephemeral| !ephemeral.is_null()) {
                let name = volume.str_at(&["name"]).unwrap_or_default();
                add(Kind::Claim, Some(format_str!("{}-{name}", pod.name()).as_str()));
            }
        }
        let claims = spec.items_at(&["resourceClaims"]);
        for claim in claims.iter().chain(pod.items_at(&["status", "resourceClaimStatuses"])) {
            add(Kind::ResourceClaim, claim.str_at(&["resourceClaimName"]));
        }
        let extended = ["status", "extendedResourceClaimStatus", "resourceClaimName"];
        add(Kind::ResourceClaim, pod.str_at(&extended));
        mentions(spec, &mut add);
        all.sort_unstable();
        all.dedup();
        Self { all: all.into() }
    }

    /// Whether the object `name` is among them.
    pub(super) fn has(&self, kind: Kind, name: &str) -> bool {
        self.all.binary_search_by(|(of, used)| (*of, used.as_str()).cmp(&(kind, name))).is_ok()
    }
}

/// Adds the secrets and config maps that fields anywhere in `value` name. The word `secretRef` and its like mean the same
/// wherever they stand in a pod.
fn mentions(value: &Value, add: &mut impl FnMut(Kind, Option<&str>)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| mentions(item, add)),
        Value::Object(map) => {
            for (key, value) in map.iter() {
                match key {
                    "secretName" => add(Kind::Secret, value.as_str()),
                    "secretRef" | "secretKeyRef" | "nodePublishSecretRef" | "secret" => {
                        add(Kind::Secret, value.str_at(&["name"]));
                    }
                    "configMap" | "configMapRef" | "configMapKeyRef" => add(Kind::ConfigMap, value.str_at(&["name"])),
                    _ => {}
                }
                mentions(value, add);
            }
        }
        _ => {}
    }
}

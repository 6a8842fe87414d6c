//! Who uses a claim, and what that means for its finalizer. Pure.

use std::borrow::Cow;

use corten_apimachinery::{
    codec::json::ViewError,
    meta::ObjectMeta as _,
    stored::Stored,
    value::{Str, Value, format_str},
};
use serde::{Deserialize, de::IgnoredAny};

use crate::{
    node_lifecycle::node_of,
    protection::{Step, step},
};

/// What keeps a claim until no pod uses it any more.
pub(super) const FINALIZER: &str = "kubernetes.io/pvc-protection";

/// What is to be done about a claim. Whether it is used is only asked when that decides.
#[must_use]
pub(super) fn plan(claim: &Value, is_used: impl FnOnce() -> bool) -> Step {
    step(claim, FINALIZER, is_used)
}

/// How a pod uses a claim of its namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Use {
    /// The claim's name.
    pub(super) claim: Str,
    /// The pod's UID where a claim is meant that was made for the pod, not any of this name.
    owner: Option<Str>,
}

impl Use {
    /// The first in order of those of this name.
    pub(super) fn of_name(claim: &str) -> Self {
        Self { claim: claim.into(), owner: None }
    }

    /// Whether `claim` is meant, which is in the pod's namespace.
    pub(super) fn is_of(&self, claim: &Value) -> bool {
        let is_owned_by = |uid: &str| claim.controller_owner().is_some_and(|owner| owner.str_at(&["uid"]) == Some(uid));
        self.claim == claim.name() && self.owner.as_ref().is_none_or(|uid| is_owned_by(uid))
    }
}

/// The claims that a pod uses, each way once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PodClaims(pub(super) Vec<Use>);

impl PodClaims {
    /// Whether a served pod may use any: nearly all have no volume but a token's, and need not be read.
    pub(super) fn are_possible(pod: &Stored) -> bool {
        if node_of(pod).is_empty() {
            return false;
        }
        let [spec] = pod.json.fields(&[], ["spec"]);
        let names = |word: &str| spec.is_some_and(|spec| memchr::memmem::find(spec, word.as_bytes()).is_some());
        names("\"persistentVolumeClaim\"") || names("\"ephemeral\"")
    }

    /// Those of a served pod.
    ///
    /// A pod without a node uses none: no kubelet starts one whose claim is being deleted. One that has ended does until it
    /// is deleted, but for a claim that was made for it.
    ///
    /// Errors: a pod that cannot be read, which no server sends.
    pub(super) fn of(pod: &Stored) -> Result<Self, ViewError> {
        let PodView { spec, status } = pod.json.view()?;
        if spec.node_name.is_empty() {
            return Ok(Self::default());
        }
        let keeps_its_own = !status.is_shut_down();
        let mut uses: Vec<Use> = Vec::new();
        for volume in spec.volumes {
            if let Some(named) = volume.persistent_volume_claim {
                uses.push(Use { claim: named.claim_name.as_ref().into(), owner: None });
            }
            if volume.ephemeral.is_some() && keeps_its_own {
                let claim = format_str!("{}-{}", pod.name, volume.name);
                uses.push(Use { claim, owner: Some(pod.uid.clone()) });
            }
        }
        uses.sort();
        uses.dedup();
        Ok(Self(uses))
    }
}

#[derive(Deserialize)]
struct PodView<'p> {
    #[serde(default, borrow)]
    spec: SpecView<'p>,
    #[serde(default, borrow)]
    status: StatusView<'p>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SpecView<'p> {
    #[serde(borrow)]
    node_name: Cow<'p, str>,
    #[serde(borrow)]
    volumes: Vec<VolumeView<'p>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct VolumeView<'p> {
    #[serde(borrow)]
    name: Cow<'p, str>,
    #[serde(borrow)]
    persistent_volume_claim: Option<ClaimView<'p>>,
    ephemeral: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ClaimView<'p> {
    #[serde(borrow)]
    claim_name: Cow<'p, str>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct StatusView<'p> {
    #[serde(borrow)]
    phase: Cow<'p, str>,
    init_container_statuses: Vec<ContainerView>,
    container_statuses: Vec<ContainerView>,
    ephemeral_container_statuses: Vec<ContainerView>,
}

impl StatusView<'_> {
    /// Whether nothing of the pod runs any more, and nothing will.
    fn is_shut_down(&self) -> bool {
        let lists = [&self.init_container_statuses, &self.container_statuses, &self.ephemeral_container_statuses];
        let runs = lists.into_iter().flatten().any(|container| container.state.running.is_some());
        matches!(&*self.phase, "Succeeded" | "Failed") && !runs
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContainerView {
    state: StateView,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StateView {
    running: Option<IgnoredAny>,
}

#[cfg(test)]
mod tests {
    use corten_informer::testutil::object;
    use serde_json::json;

    use super::*;
    use crate::objects::from_json;

    #[track_caller]
    fn check(pod: serde_json::Value, want: bool) {
        let claim = from_json(&json!({"metadata": {"name": "p-data", "namespace": "default",
            "ownerReferences": [{"uid": "u", "controller": true}]}}));
        let uid = pod["metadata"]["uid"].as_str().unwrap();
        let stored = object("default/p", 1).uid(uid).json(&pod.to_string()).build();
        let claims = PodClaims::of(&stored).unwrap();
        assert!(claims.0.is_empty() || PodClaims::are_possible(&stored), "{pod}");
        assert_eq!(claims.0.iter().any(|using| using.is_of(&claim)), want, "{pod}");
    }

    #[test]
    fn a_pod_on_a_node_uses_the_claims_that_it_names() {
        let pod = |node: &str, volume: serde_json::Value, phase: &str| {
            json!({"metadata": {"name": "p", "uid": "u"}, "spec": {"nodeName": node, "volumes": [volume]},
                "status": {"phase": phase}})
        };
        let named = json!({"name": "v", "persistentVolumeClaim": {"claimName": "p-data"}});
        check(pod("n", named.clone(), "Running"), true);
        check(pod("n", named.clone(), "Succeeded"), true);
        check(pod("", named, "Pending"), false);
        check(pod("n", json!({"name": "v", "persistentVolumeClaim": {"claimName": "other"}}), "Running"), false);
        let own = json!({"name": "data", "ephemeral": {}});
        check(pod("n", own.clone(), "Running"), true);
        check(pod("n", own.clone(), "Succeeded"), false);
        let mut stranger = pod("n", own, "Running");
        stranger["metadata"]["uid"] = json!("other");
        check(stranger, false);
    }
}

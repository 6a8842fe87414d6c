//! The place of each built-in version among all, which is its place in discovery.
//!
//! Upstream: `DefaultGenericAPIServicePriorities` in pkg/controlplane/apiserver/aggregator.go and `apiVersionPriorities` in
//! cmd/kube-apiserver/app/aggregator.go (v1.35).

/// The place of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The group; empty for the core group.
    pub(super) group: &'static str,
    /// The version.
    pub(super) version: &'static str,
    /// Greater comes first; the same for all versions of a group.
    pub(super) group_priority: i64,
    /// Greater comes first within the group.
    pub(super) version_priority: i64,
}

const fn place(group: &'static str, version: &'static str, group_priority: i64, version_priority: i64) -> Place {
    Place { group, version, group_priority, version_priority }
}

/// The versions that get an API service. That of API services themselves gets none: it is there before all others.
pub(super) static PRIORITIES: &[Place] = &[
    place("", "v1", 18_000, 1),
    place("apps", "v1", 17_800, 15),
    place("events.k8s.io", "v1", 17_750, 15),
    place("authentication.k8s.io", "v1", 17_700, 15),
    place("authentication.k8s.io", "v1beta1", 17_700, 9),
    place("authentication.k8s.io", "v1alpha1", 17_700, 1),
    place("authorization.k8s.io", "v1", 17_600, 15),
    place("autoscaling", "v2", 17_500, 30),
    place("autoscaling", "v1", 17_500, 15),
    place("batch", "v1", 17_400, 15),
    place("certificates.k8s.io", "v1", 17_300, 15),
    place("certificates.k8s.io", "v1beta1", 17_300, 9),
    place("certificates.k8s.io", "v1alpha1", 17_300, 1),
    place("networking.k8s.io", "v1", 17_200, 15),
    place("networking.k8s.io", "v1beta1", 17_200, 9),
    place("policy", "v1", 17_100, 15),
    place("rbac.authorization.k8s.io", "v1", 17_000, 15),
    place("storage.k8s.io", "v1", 16_800, 15),
    place("storage.k8s.io", "v1beta1", 16_800, 9),
    place("storage.k8s.io", "v1alpha1", 16_800, 1),
    place("admissionregistration.k8s.io", "v1", 16_700, 15),
    place("admissionregistration.k8s.io", "v1beta1", 16_700, 12),
    place("admissionregistration.k8s.io", "v1alpha1", 16_700, 9),
    place("apiextensions.k8s.io", "v1", 16_700, 15),
    place("scheduling.k8s.io", "v1", 16_600, 15),
    place("scheduling.k8s.io", "v1alpha1", 16_600, 9),
    place("coordination.k8s.io", "v1", 16_500, 15),
    place("coordination.k8s.io", "v1beta1", 16_500, 13),
    place("coordination.k8s.io", "v1alpha2", 16_500, 12),
    place("node.k8s.io", "v1", 16_300, 15),
    place("discovery.k8s.io", "v1", 16_200, 15),
    place("resource.k8s.io", "v1", 16_200, 20),
    place("resource.k8s.io", "v1beta2", 16_200, 15),
    place("resource.k8s.io", "v1beta1", 16_200, 9),
    place("resource.k8s.io", "v1alpha3", 16_200, 1),
    place("flowcontrol.apiserver.k8s.io", "v1", 16_100, 21),
    place("internal.apiserver.k8s.io", "v1alpha1", 16_000, 9),
    place("storagemigration.k8s.io", "v1beta1", 15_800, 9),
];

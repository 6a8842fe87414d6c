//! What each endpoint of each resource ignores of a write, and so does not own.
//!
//! Upstream: `GetResetFields` and `GetResetFieldsFilter` of the strategies in pkg/registry and of the servers of definitions
//! and of API services (v1.35). All versions of a resource have the same.

use std::collections::BTreeMap;

use corten_apimachinery::resource::{Strategy, SubresourceKind};

use super::RESOURCES;

const STATUS: &str = "status";
const SPEC: &str = "spec";
const METADATA: &str = "metadata";

/// Group, name, endpoint; the fields.
type Row<'a> = (&'a str, &'a str, &'a str, &'a [&'a str]);

/// The endpoints that ignore something; all others ignore nothing.
const RESET: &[Row<'static>] = &[
    ("", "namespaces", "", &[STATUS]),
    ("", "namespaces", "finalize", &[STATUS]),
    ("", "namespaces", "status", &[SPEC]),
    ("", "nodes", "", &[STATUS]),
    ("", "nodes", "status", &[SPEC]),
    ("", "persistentvolumeclaims", "", &[STATUS]),
    ("", "persistentvolumeclaims", "status", &[SPEC]),
    ("", "persistentvolumes", "", &[STATUS]),
    ("", "persistentvolumes", "status", &[SPEC]),
    ("", "pods", "", &[STATUS]),
    ("", "pods", "status", &[SPEC, "metadata.deletionTimestamp", "metadata.ownerReferences"]),
    ("", "replicationcontrollers", "", &[STATUS]),
    ("", "replicationcontrollers", "status", &[SPEC]),
    ("", "resourcequotas", "", &[STATUS]),
    ("", "resourcequotas", "status", &[SPEC]),
    ("", "services", "", &[STATUS]),
    ("", "services", "status", &[SPEC]),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies", "", &[STATUS]),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies", "status", &[METADATA, SPEC]),
    ("apiextensions.k8s.io", "customresourcedefinitions", "", &[STATUS]),
    ("apiextensions.k8s.io", "customresourcedefinitions", "status", &[METADATA, SPEC]),
    ("apiregistration.k8s.io", "apiservices", "", &[STATUS]),
    ("apiregistration.k8s.io", "apiservices", "status", &[METADATA, SPEC]),
    ("apps", "daemonsets", "", &[STATUS]),
    ("apps", "daemonsets", "status", &[SPEC]),
    ("apps", "deployments", "", &[STATUS]),
    ("apps", "deployments", "status", &[SPEC, "metadata.labels"]),
    ("apps", "replicasets", "", &[STATUS]),
    ("apps", "replicasets", "status", &[SPEC]),
    ("apps", "statefulsets", "", &[STATUS]),
    ("apps", "statefulsets", "status", &[SPEC]),
    ("autoscaling", "horizontalpodautoscalers", "", &[STATUS]),
    ("autoscaling", "horizontalpodautoscalers", "status", &[SPEC]),
    ("batch", "cronjobs", "", &[STATUS]),
    ("batch", "cronjobs", "status", &[SPEC]),
    ("batch", "jobs", "", &[STATUS]),
    ("batch", "jobs", "status", &[SPEC]),
    ("certificates.k8s.io", "certificatesigningrequests", "", &[SPEC, STATUS]),
    ("certificates.k8s.io", "certificatesigningrequests", "approval", &[SPEC, "status.certificate"]),
    ("certificates.k8s.io", "certificatesigningrequests", "status", &[SPEC, "status.conditions"]),
    ("certificates.k8s.io", "podcertificaterequests", "status", &[SPEC]),
    ("flowcontrol.apiserver.k8s.io", "flowschemas", "", &[STATUS]),
    ("flowcontrol.apiserver.k8s.io", "flowschemas", "status", &[METADATA, SPEC]),
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", "", &[STATUS]),
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", "status", &[METADATA, SPEC]),
    ("internal.apiserver.k8s.io", "storageversions", "", &[STATUS]),
    ("internal.apiserver.k8s.io", "storageversions", "status", &[METADATA, SPEC]),
    ("networking.k8s.io", "ingresses", "", &[STATUS]),
    ("networking.k8s.io", "ingresses", "status", &[SPEC]),
    // Service ranges: upstream's are those of a group that is not there.
    ("policy", "poddisruptionbudgets", "", &[STATUS]),
    ("policy", "poddisruptionbudgets", "status", &[SPEC]),
    ("resource.k8s.io", "devicetaintrules", "", &[STATUS]),
    ("resource.k8s.io", "devicetaintrules", "status", &[METADATA, SPEC]),
    ("resource.k8s.io", "resourceclaims", "", &[STATUS]),
    ("resource.k8s.io", "resourceclaims", "status", &[METADATA, SPEC]),
    ("storage.k8s.io", "volumeattachments", "", &[STATUS]),
    ("storage.k8s.io", "volumeattachments", "status", &[METADATA, SPEC]),
    ("storagemigration.k8s.io", "storageversionmigrations", "", &[STATUS]),
    ("storagemigration.k8s.io", "storageversionmigrations", "status", &[METADATA, SPEC]),
];

/// The endpoints for few fields, which are all that they let their writers own.
const OWNED: &[Row<'static>] = &[
    ("", "pods", "ephemeralcontainers", &["spec.ephemeralContainers"]),
    (
        "",
        "pods",
        "resize",
        &[
            "spec.containers.*.resources",
            "spec.containers.*.resizePolicy",
            "spec.initContainers.*.resources",
            "spec.initContainers.*.resizePolicy",
        ],
    ),
];

/// The fields by endpoint, where there are any.
fn all(
    fields: fn(&dyn Strategy) -> &'static [&'static [&'static str]],
) -> BTreeMap<(String, String, String), Vec<String>> {
    let mut found = BTreeMap::new();
    for resource in RESOURCES {
        let subresources = resource.subresources.iter().filter_map(|subresource| match &subresource.kind {
            SubresourceKind::Object { strategy, .. } => Some((subresource.name.as_str(), &**strategy)),
            _ => None,
        });
        for (name, strategy) in [("", resource.strategy)].into_iter().chain(subresources) {
            let mut paths: Vec<String> = fields(strategy).iter().map(|path| path.join(".")).collect();
            paths.sort_unstable();
            if !paths.is_empty() {
                found.insert((resource.group.to_owned(), resource.plural.to_owned(), name.to_owned()), paths);
            }
        }
    }
    found
}

fn table(rows: &[Row<'_>]) -> BTreeMap<(String, String, String), Vec<String>> {
    let row = |(group, plural, name, paths): &Row<'_>| {
        let mut paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        paths.sort_unstable();
        (((*group).to_owned(), (*plural).to_owned(), (*name).to_owned()), paths)
    };
    rows.iter().map(row).collect()
}

/// What a client sent in vain was its own all the same, and later conflicted with who may set it.
#[test]
fn endpoints_ignore_what_upstreams_do() {
    assert_eq!(all(|strategy| strategy.reset_fields()), table(RESET));
}

#[test]
fn endpoints_for_few_fields_are_upstreams() {
    assert_eq!(all(|strategy| strategy.owned_fields()), table(OWNED));
}

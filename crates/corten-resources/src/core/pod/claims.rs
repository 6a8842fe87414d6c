//! Rules of what a pod's status says of its claims to devices: those that were made for it, and the one that stands for its
//! extended resources.
//!
//! Upstream: `validatePodResourceClaimStatuses`, `validatePodExtendedResourceClaimStatus` in
//! pkg/apis/core/validation/validation.go (v1.35).

use std::collections::{BTreeMap, BTreeSet};

use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    validation::is_dns1123_label,
};

use crate::report::Report;

/// The claim for extended resources, in the status.
const EXTENDED: &[&str] = &["status", "extendedResourceClaimStatus"];

/// Every rule that the claims in a pod's status break.
pub(super) fn validate(pod: &Value, errors: &mut ErrorList) {
    let path = Path::new("status");
    own(pod, &path.child("resourceClaimStatuses"), errors);
    if let Some(status) = pod.at(EXTENDED).filter(|status| !status.is_null()) {
        extended(pod, status, &path.child("extendedResourceClaimStatus"), errors);
    }
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value.str_at(&[field]).unwrap_or_default()
}

fn own(pod: &Value, path: &Path, errors: &mut ErrorList) {
    let statuses = pod.items_at(&["status", "resourceClaimStatuses"]);
    if statuses.is_empty() {
        return;
    }
    let claims = pod.items_at(&["spec", "resourceClaims"]);
    let known: BTreeSet<&str> = claims.iter().map(|claim| text(claim, "name")).collect();
    let mut seen = BTreeSet::new();
    for (index, status) in statuses.iter().enumerate() {
        let (name, at) = (text(status, "name"), path.index(index).child("name"));
        if !known.contains(name) {
            errors.invalid(&at, name, "must match the name of an entry in `spec.resourceClaims`");
        }
        if !seen.insert(name) {
            errors.push_with(|| Error::duplicate(&at, name));
        }
        // Upstream reports it at the name of the entry.
        if let Some(claim) = status.str_at(&["resourceClaimName"]) {
            errors.object_name(&at, claim);
        }
    }
}

fn extended(pod: &Value, status: &Value, path: &Path, errors: &mut ErrorList) {
    let lists = ["initContainers", "containers"].map(|list| pod.items_at(&["spec", list]));
    let containers: BTreeMap<&str, &Value> =
        lists.into_iter().flatten().map(|container| (text(container, "name"), container)).collect();
    let (mappings, mappings_at) = (status.items_at(&["requestMappings"]), path.child("requestMappings"));
    if mappings.is_empty() {
        errors.required(&mappings_at, "at least one request mapping is required");
    }
    let mut seen = BTreeSet::new();
    for (index, mapping) in mappings.iter().enumerate() {
        let at = mappings_at.index(index);
        let fields = ["containerName", "resourceName", "requestName"];
        let [container, resource, request] = fields.map(|field| text(mapping, field));
        match containers.get(container) {
            None => {
                let detail = "must match the name of an entry in spec.initContainers.name or spec.containers.name";
                errors.invalid(&at.child("containerName"), container, detail);
            }
            Some(container) if container.at(&["resources", "requests", resource]).is_none() => {
                let detail = "must match the extended resource name of an entry in \
                              spec.initContainers.resources.requests or spec.containers.resources.requests";
                errors.invalid(&at.child("resourceName"), resource, detail);
            }
            Some(_) => {}
        }
        // Upstream's path leaves out which mapping it is.
        errors.invalids(&path.child("requestName"), request, is_dns1123_label(request));
        if !seen.insert([container, resource, request]) {
            for field in fields {
                errors.push_with(|| Error::duplicate(&at.child(field), text(mapping, field)));
            }
        }
    }
    let (claim, claim_at) = (text(status, "resourceClaimName"), path.child("resourceClaimName"));
    if errors.require(&claim_at, claim) {
        errors.object_name(&claim_at, claim);
    }
}

#[cfg(test)]
mod tests {
    use corten_apimachinery::resource::{Context, Strategy as _};
    use serde_json::{Value, json};

    use crate::{
        core::pod::{RESOURCE, strategy::Status},
        testing::{context, features, refuses_update, updated, value},
    };

    fn pod(status: Value) -> Value {
        json!({
            "metadata": {"name": "p", "namespace": "default"},
            "spec": {
                "containers": [{"name": "c", "image": "i", "resources": {"requests": {"example.com/gpu": "1"}}}],
                "resourceClaims": [{"name": "a", "resourceClaimTemplateName": "t"}],
            },
            "status": status,
        })
    }

    #[test]
    fn a_status_names_claims_of_the_pod() {
        let check = |statuses: Value, want: &[&str]| {
            refuses_update(&RESOURCE, &Status, pod(json!({})), pod(json!({"resourceClaimStatuses": statuses})), want);
        };
        check(json!([{"name": "a", "resourceClaimName": "p-a-x"}]), &[]);
        check(json!([{"name": "a"}]), &[]);
        check(
            json!([{"name": "b"}, {"name": "b"}]),
            &[
                "status.resourceClaimStatuses[0].name: Invalid value: \"b\": must match the name of an entry in \
                 `spec.resourceClaims`",
                "status.resourceClaimStatuses[1].name: Invalid value: \"b\": must match the name of an entry in \
                 `spec.resourceClaims`",
                "status.resourceClaimStatuses[1].name: Duplicate value: \"b\"",
            ],
        );
    }

    #[test]
    fn a_claim_for_extended_resources_maps_what_containers_ask_for() {
        let features = features("DRAExtendedResource=true");
        let cx = Context { features: &features, ..context("v1") };
        let check = |extended: Value, want: &[&str]| {
            let (old, mut new) = (value(pod(json!({}))), value(pod(json!({"extendedResourceClaimStatus": extended}))));
            Status.prepare_for_update(&cx, &mut new, &old);
            let errors = Status.validate_update(&cx, &new, &old);
            let got: Vec<String> = errors.iter().map(ToString::to_string).collect();
            assert_eq!(got, want);
        };
        let mapping = |container: &str, resource: &str, request: &str| json!({"containerName": container, "resourceName": resource, "requestName": request});
        let good = mapping("c", "example.com/gpu", "container-0-request-0");
        check(json!({"resourceClaimName": "p-x", "requestMappings": [good]}), &[]);
        let at = "status.extendedResourceClaimStatus";
        check(
            json!({"resourceClaimName": "", "requestMappings": []}),
            &[
                &format!("{at}.requestMappings: Required value: at least one request mapping is required"),
                &format!("{at}.resourceClaimName: Required value"),
            ],
        );
        check(
            json!({"resourceClaimName": "p-x", "requestMappings": [mapping("d", "r", "q"), mapping("c", "r", "q"), good, good]}),
            &[
                &format!(
                    "{at}.requestMappings[0].containerName: Invalid value: \"d\": must match the name of an entry in \
                     spec.initContainers.name or spec.containers.name"
                ),
                &format!(
                    "{at}.requestMappings[1].resourceName: Invalid value: \"r\": must match the extended resource name of \
                     an entry in spec.initContainers.resources.requests or spec.containers.resources.requests"
                ),
                &format!("{at}.requestMappings[3].containerName: Duplicate value: \"c\""),
                &format!("{at}.requestMappings[3].resourceName: Duplicate value: \"example.com/gpu\""),
                &format!("{at}.requestMappings[3].requestName: Duplicate value: \"container-0-request-0\""),
            ],
        );
    }

    #[test]
    fn extended_resources_need_their_gate() {
        let with = || pod(json!({"extendedResourceClaimStatus": {"resourceClaimName": "x"}}));
        let is_kept = |old: Value| {
            updated(&RESOURCE, &Status, old, with()).0.at(&["status", "extendedResourceClaimStatus"]).is_some()
        };
        assert!(!is_kept(pod(json!({}))));
        assert!(is_kept(with()));
    }
}

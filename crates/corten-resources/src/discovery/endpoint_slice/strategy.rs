//! Endpoint slices have no spec: every change but of metadata makes a new generation, and so do other labels.

use std::collections::BTreeSet;

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    meta::ObjectMeta,
    resource::{Context, Strategy},
    validation::{ip_warnings, is_dns1123_subdomain},
    value::semantically_equal,
};

use super::validation;
use crate::{
    defaulting::each,
    rules::{first_generation, next_generation},
    tree::text_at,
};

/// Where the name of a node was before it had a field.
const HOST_LABEL: &str = "kubernetes.io/hostname";

/// Who mends addresses before writing them.
const OWN_CONTROLLERS: [&str; 2] = ["endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"];

/// The endpoint slice itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn prepare_for_create(&self, _cx: &Context<'_>, slice: &mut Value) {
        first_generation(slice);
        drop_topology(slice, None);
    }

    fn prepare_for_update(&self, _cx: &Context<'_>, slice: &mut Value, old: &Value) {
        next_generation(slice, old, &[&["addressType"], &["endpoints"], &["ports"], &["metadata", "labels"]]);
        drop_topology(slice, Some(old));
    }

    fn validate(&self, cx: &Context<'_>, slice: &Value) -> ErrorList {
        validation::create(cx.features, slice)
    }

    fn validate_update(&self, cx: &Context<'_>, slice: &Value, old: &Value) -> ErrorList {
        validation::update(cx.features, slice, old)
    }

    fn warnings_on_create(&self, _cx: &Context<'_>, slice: &Value) -> Vec<String> {
        let mut warnings = Vec::new();
        if text_at(slice, &["addressType"]) == "FQDN" {
            warnings.push("spec.addressType: FQDN endpoints are deprecated".to_owned());
        }
        warnings.extend(address_warnings(slice));
        warnings
    }

    fn warnings_on_update(&self, _cx: &Context<'_>, slice: &Value, _old: &Value) -> Vec<String> {
        address_warnings(slice)
    }
}

/// The labels of endpoints cannot be written any more. The name of a node among them becomes that of the endpoint, if it was
/// there before.
fn drop_topology(slice: &mut Value, old: Option<&Value>) {
    let endpoints = ["endpoints"];
    if old.is_some_and(|old| semantically_equal(slice.at(&endpoints), old.at(&endpoints))) {
        return;
    }
    let label = ["deprecatedTopology", HOST_LABEL];
    let known: BTreeSet<&str> = old
        .map(|old| old.items_at(&endpoints))
        .unwrap_or_default()
        .iter()
        .map(|endpoint| text_at(endpoint, &label))
        .filter(|name| !name.is_empty())
        .collect();
    each(slice, &endpoints, |endpoint| {
        let name = text_at(endpoint, &label).to_owned();
        let has_name = endpoint.get("nodeName").is_some_and(|name| !name.is_null());
        if !has_name && known.contains(name.as_str()) && is_dns1123_subdomain(&name).is_empty() {
            endpoint.set(&["nodeName"], name);
        }
        endpoint.unset(&["deprecatedTopology"]);
    });
}

/// Addresses that are not written in the one form.
fn address_warnings(slice: &Value) -> Vec<String> {
    let manager = slice.labels().and_then(|labels| labels.get("endpointslice.kubernetes.io/managed-by"));
    if manager.and_then(Value::as_str).is_some_and(|manager| OWN_CONTROLLERS.contains(&manager)) {
        return Vec::new();
    }
    let mut warnings = Vec::new();
    for (index, endpoint) in slice.items_at(&["endpoints"]).iter().enumerate() {
        let path = Path::new("endpoints").index(index).child("addresses");
        for (index, address) in endpoint.items_at(&["addresses"]).iter().enumerate() {
            warnings.extend(ip_warnings(&path.index(index), address.as_str().unwrap_or_default()));
        }
    }
    warnings
}

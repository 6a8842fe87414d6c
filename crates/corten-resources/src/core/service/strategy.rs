//! What clients may change of a service through each of its endpoints.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    resource::{Context, Strategy},
    validation::{cidr_warnings, ip_warnings, is_dns1035_label_prefixed},
};

use super::{allocation, update, validation};
use crate::rules::keep;

/// The service itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn prepare_for_create(&self, _cx: &Context<'_>, service: &mut Value) {
        allocation::normalize(service, None);
        service.set(&["status"], Value::object_of([("loadBalancer", Value::object())]));
    }

    fn prepare_for_update(&self, _cx: &Context<'_>, service: &mut Value, old: &Value) {
        keep(service, old, &["status"]);
        allocation::keep_allocated(service, old);
        allocation::normalize(service, Some(old));
        allocation::drop_of_old_type(service, old);
    }

    fn validate(&self, _cx: &Context<'_>, service: &Value) -> ErrorList {
        validation::create(service)
    }

    fn validate_update(&self, _cx: &Context<'_>, service: &Value, old: &Value) -> ErrorList {
        let mut errors = update::validate(service, old);
        errors.extend(validation::create(service));
        errors
    }

    fn validate_name(&self, name: &str, prefix: bool) -> Vec<String> {
        is_dns1035_label_prefixed(name, prefix)
    }

    fn warnings_on_create(&self, _cx: &Context<'_>, service: &Value) -> Vec<String> {
        warnings(service)
    }

    fn warnings_on_update(&self, _cx: &Context<'_>, service: &Value, _old: &Value) -> Vec<String> {
        warnings(service)
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["status"]]
    }
}

fn warnings(service: &Value) -> Vec<String> {
    let spec = Path::new("spec");
    let mut warnings = Vec::new();
    for field in ["clusterIPs", "externalIPs"] {
        for (index, ip) in service.items_at(&["spec", field]).iter().filter_map(Value::as_str).enumerate() {
            warnings.extend(ip_warnings(&spec.child(field).index(index), ip));
        }
    }
    for (index, range) in service.items_at(&["spec", "loadBalancerSourceRanges"]).iter().enumerate() {
        let path = spec.child("loadBalancerSourceRanges").index(index);
        warnings.extend(cidr_warnings(&path, range.as_str().unwrap_or_default().trim()));
    }
    if service.str_at(&["spec", "type"]) == Some("ExternalName")
        && !service.items_at(&["spec", "externalIPs"]).is_empty()
    {
        warnings.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".to_owned());
    }
    warnings
}

/// `status`: what a load balancer reports.
#[derive(Debug)]
pub(super) struct Status;

impl Strategy for Status {
    fn prepare_for_update(&self, _cx: &Context<'_>, service: &mut Value, old: &Value) {
        keep(service, old, &["spec"]);
    }

    fn validate(&self, _cx: &Context<'_>, _service: &Value) -> ErrorList {
        ErrorList::new()
    }

    fn validate_update(&self, _cx: &Context<'_>, service: &Value, _old: &Value) -> ErrorList {
        validation::status(service)
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["spec"]]
    }
}

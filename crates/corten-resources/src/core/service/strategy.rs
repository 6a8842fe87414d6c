//! What clients may change of a service through each of its endpoints.

use corten_apimachinery::{
    Features, Value,
    field::{ErrorList, Path},
    meta::ObjectMeta as _,
    resource::{Context, Strategy},
    validation::{cidr_warnings, ip_warnings, is_dns1035_label_prefixed, is_dns1123_label_prefixed},
};

use super::{allocation, update, validation};
use crate::{rules::keep, status::Status};

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

    fn validate(&self, cx: &Context<'_>, service: &Value) -> ErrorList {
        validation::service(cx.features, service, None)
    }

    fn validate_update(&self, cx: &Context<'_>, service: &Value, old: &Value) -> ErrorList {
        let mut errors = update::validate(service, old);
        errors.extend(validation::service(cx.features, service, Some(old)));
        errors
    }

    fn validate_name(&self, name: &str, prefix: bool) -> Vec<String> {
        is_dns1035_label_prefixed(name, prefix)
    }

    fn validate_name_by(&self, features: &Features, name: &str, prefix: bool) -> Vec<String> {
        if features.is_enabled("RelaxedServiceNameValidation") {
            return is_dns1123_label_prefixed(name, prefix);
        }
        self.validate_name(name, prefix)
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

    // Clients learn what was deleted.
    fn returns_deleted_object(&self) -> bool {
        true
    }
}

fn warnings(service: &Value) -> Vec<String> {
    let spec = Path::new("spec");
    let mut warnings = Vec::new();
    let text = |field: &str| service.str_at(&["spec", field]).unwrap_or_default();
    let hints = "service.kubernetes.io/topology-aware-hints";
    if service.annotation(hints).is_some() {
        let now = "service.kubernetes.io/topology-mode";
        warnings.push(format!("annotation {hints} is deprecated, please use {now} instead"));
    }
    let addresses = |field: &'static str| {
        let addresses = service.items_at(&["spec", field]).iter().filter_map(Value::as_str).enumerate();
        addresses.flat_map(move |(index, ip)| ip_warnings(&Path::new("spec").child(field).index(index), ip))
    };
    let internal = service.items_at(&["spec", "clusterIPs"]);
    if matches!(internal, [only] if only.as_str() == Some("None")) {
        let is_set = [
            ("loadBalancerIP", !text("loadBalancerIP").is_empty()),
            ("externalIPs", !service.items_at(&["spec", "externalIPs"]).is_empty()),
            ("SessionAffinity", text("sessionAffinity") == "ClientIP"),
        ];
        let ignored = is_set.into_iter().filter(|(_, is_set)| *is_set);
        warnings.extend(ignored.map(|(field, _)| format!("spec.{field} is ignored for headless services")));
    } else {
        warnings.extend(addresses("clusterIPs"));
    }
    warnings.extend(addresses("externalIPs"));
    if !text("loadBalancerIP").is_empty() {
        warnings.extend(ip_warnings(&spec.child("loadBalancerIP"), text("loadBalancerIP")));
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
    if text("type") != "ExternalName" && !text("externalName").is_empty() {
        warnings.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".to_owned());
    }
    warnings
}

/// `status`: what a load balancer reports.
pub(super) static STATUS: Status = Status::new(|cx, service, old| validation::status(cx.features, service, old));

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::warnings;
    use crate::testing::value;

    #[test]
    fn what_is_ignored_is_announced() {
        let service = json!({
            "metadata": {"annotations": {"service.kubernetes.io/topology-aware-hints": "auto"}},
            "spec": {"type": "ClusterIP", "clusterIPs": ["None"], "sessionAffinity": "ClientIP", "externalName": "a.b"},
        });
        assert_eq!(
            warnings(&value(service)),
            [
                "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use \
                 service.kubernetes.io/topology-mode instead",
                "spec.SessionAffinity is ignored for headless services",
                "spec.externalName is ignored when spec.type is not \"ExternalName\"",
            ]
        );
    }
}

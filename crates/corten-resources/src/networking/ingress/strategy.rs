//! Clients say who answers, a controller where it listens.

use corten_apimachinery::{
    Value,
    field::{ErrorList, Path},
    meta::ObjectMeta as _,
    resource::{Context, Strategy},
    validation::ip_warnings,
};

use super::validation::{self, CLASS_ANNOTATION};
use crate::rules::{first_generation, keep, next_generation};

/// The ingress itself.
#[derive(Debug)]
pub(super) struct Main;

impl Strategy for Main {
    fn prepare_for_create(&self, _cx: &Context<'_>, ingress: &mut Value) {
        ingress.set(&["status"], Value::object_of([("loadBalancer", Value::object())]));
        first_generation(ingress);
    }

    fn prepare_for_update(&self, _cx: &Context<'_>, ingress: &mut Value, old: &Value) {
        keep(ingress, old, &["status"]);
        next_generation(ingress, old, &[&["spec"]]);
    }

    fn validate(&self, cx: &Context<'_>, ingress: &Value) -> ErrorList {
        validation::create(cx.features, ingress)
    }

    fn validate_update(&self, cx: &Context<'_>, ingress: &Value, old: &Value) -> ErrorList {
        validation::update(cx.features, ingress, old)
    }

    fn warnings_on_create(&self, _cx: &Context<'_>, ingress: &Value) -> Vec<String> {
        let class = ["spec", "ingressClassName"];
        if ingress.annotation(CLASS_ANNOTATION).is_none() || ingress.at(&class).is_some_and(|class| !class.is_null()) {
            return Vec::new();
        }
        let now = "spec.ingressClassName";
        vec![format!("annotation \"{CLASS_ANNOTATION}\" is deprecated, please use '{now}' instead")]
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["status"]]
    }
}

/// `status`: where the ingress can be reached.
#[derive(Debug)]
pub(super) struct Status;

impl Strategy for Status {
    fn prepare_for_update(&self, _cx: &Context<'_>, ingress: &mut Value, old: &Value) {
        keep(ingress, old, &["spec"]);
    }

    fn validate(&self, _cx: &Context<'_>, _ingress: &Value) -> ErrorList {
        ErrorList::new()
    }

    fn validate_update(&self, cx: &Context<'_>, ingress: &Value, old: &Value) -> ErrorList {
        validation::status(cx.features, ingress, old)
    }

    fn warnings_on_update(&self, _cx: &Context<'_>, ingress: &Value, _old: &Value) -> Vec<String> {
        let path = Path::new("status").child("loadBalancer").child("ingress");
        let points = ingress.items_at(&["status", "loadBalancer", "ingress"]).iter().enumerate();
        let ips = points.filter_map(|(index, point)| Some((index, point.str_at(&["ip"]).filter(|ip| !ip.is_empty())?)));
        ips.flat_map(|(index, ip)| ip_warnings(&path.index(index).child("ip"), ip)).collect()
    }

    fn reset_fields(&self) -> &'static [&'static [&'static str]] {
        &[&["spec"]]
    }
}

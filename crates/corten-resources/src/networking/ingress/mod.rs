//! Ingresses: which service answers requests for a host and path from outside.
//!
//! Upstream: pkg/registry/networking/ingress, pkg/apis/networking (v1.35).

mod strategy;
mod table;
mod validation;

use corten_apimachinery::{
    Value,
    resource::{ResourceDefinition, Version},
};

pub(in crate::networking) use self::validation::reference;

use crate::kind::{standard, status};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    short_names: &["ing"],
    subresources: &[status(&strategy::Status)],
    // Where they were kept when they were in group extensions.
    storage_prefix: "ingress",
    ..standard(
        "networking.k8s.io",
        "Ingress",
        ("ingress", "ingresses"),
        &[Version::hub("v1", "io.k8s.api.networking.v1.Ingress", forget_no_rules)],
        &strategy::Main,
        &table::TABLE,
    )
};

/// Rules that are none are told from absent ones where an ingress has nothing else, which its refusal shows. Elsewhere they are
/// nobody's.
fn forget_no_rules(ingress: &mut Value) {
    let says = |field: &str| ingress.at(&["spec", field]).filter(|value| !value.is_null());
    if says("defaultBackend").is_some() && says("rules").and_then(Value::as_array).is_some_and(<[_]>::is_empty) {
        ingress.unset(&["spec", "rules"]);
    }
}

#[cfg(test)]
mod tests;

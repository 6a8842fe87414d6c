//! Bindings: a pod is assigned to a node. Answered and not stored; also a subresource of pods.

use corten_apimachinery::resource::{ResourceDefinition, Verb, Version};

use crate::{defaulting, kind::standard, review, show};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    verbs: Verb::CREATE_ONLY,
    ..standard(
        "",
        "Binding",
        ("binding", "bindings"),
        &[Version::hub("v1", "io.k8s.api.core.v1.Binding", defaulting::none)],
        &review::Unchecked,
        &show::CREATED_AT,
    )
};

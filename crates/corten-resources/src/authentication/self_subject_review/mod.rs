//! Self subject reviews: who asks.

use corten_apimachinery::resource::{ResourceDefinition, Scope, Verb, Version};

use crate::{defaulting, kind::standard, review, show};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    scope: Scope::Cluster,
    verbs: Verb::CREATE_ONLY,
    ..standard(
        "authentication.k8s.io",
        "SelfSubjectReview",
        ("selfsubjectreview", "selfsubjectreviews"),
        &[Version::hub("v1", "io.k8s.api.authentication.v1.SelfSubjectReview", defaulting::none)],
        &review::Unchecked,
        &show::CREATED_AT,
    )
};

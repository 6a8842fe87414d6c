//! Token reviews: whose token this is.

use corten_apimachinery::resource::{ResourceDefinition, Scope, Verb, Version};

use crate::{defaulting, kind::standard, review, show};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    scope: Scope::Cluster,
    verbs: Verb::CREATE_ONLY,
    ..standard(
        "authentication.k8s.io",
        "TokenReview",
        ("tokenreview", "tokenreviews"),
        &[Version::hub("v1", "io.k8s.api.authentication.v1.TokenReview", defaulting::none)],
        &review::Unchecked,
        &show::CREATED_AT,
    )
};

//! Self subject rules reviews: everything that who asks may do in a namespace.

use corten_apimachinery::resource::{ResourceDefinition, Scope, Verb, Version};

use crate::{defaulting, kind::standard, review, show};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    scope: Scope::Cluster,
    verbs: Verb::CREATE_ONLY,
    ..standard(
        "authorization.k8s.io",
        "SelfSubjectRulesReview",
        ("selfsubjectrulesreview", "selfsubjectrulesreviews"),
        &[Version::hub("v1", "io.k8s.api.authorization.v1.SelfSubjectRulesReview", defaulting::none)],
        &review::Unchecked,
        &show::CREATED_AT,
    )
};

//! Self subject access reviews: whether who asks may do something.

use corten_apimachinery::resource::{ResourceDefinition, Scope, Verb, Version};

use crate::{authorization::review, defaulting, kind::standard, show};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    scope: Scope::Cluster,
    verbs: Verb::CREATE_ONLY,
    ..standard(
        "authorization.k8s.io",
        "SelfSubjectAccessReview",
        ("selfsubjectaccessreview", "selfsubjectaccessreviews"),
        &[Version::hub("v1", "io.k8s.api.authorization.v1.SelfSubjectAccessReview", defaulting::none)],
        &review::SELF,
        &show::CREATED_AT,
    )
};

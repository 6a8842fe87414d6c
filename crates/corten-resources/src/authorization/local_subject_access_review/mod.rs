//! Local subject access reviews: whether somebody may do something in a namespace.

use corten_apimachinery::resource::{ResourceDefinition, Scope, Verb, Version};

use crate::{authorization::review, defaulting, kind::standard, show};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    scope: Scope::Namespaced,
    verbs: Verb::CREATE_ONLY,
    ..standard(
        "authorization.k8s.io",
        "LocalSubjectAccessReview",
        ("localsubjectaccessreview", "localsubjectaccessreviews"),
        &[Version::hub("v1", "io.k8s.api.authorization.v1.LocalSubjectAccessReview", defaulting::none)],
        &review::LOCAL,
        &show::CREATED_AT,
    )
};

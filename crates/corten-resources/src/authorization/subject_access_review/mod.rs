//! Subject access reviews: whether somebody may do something.

use corten_apimachinery::resource::{ResourceDefinition, Scope, Verb, Version};

use crate::{authorization::review, defaulting, kind::standard, show};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    scope: Scope::Cluster,
    verbs: Verb::CREATE_ONLY,
    ..standard(
        "authorization.k8s.io",
        "SubjectAccessReview",
        ("subjectaccessreview", "subjectaccessreviews"),
        &[Version::hub("v1", "io.k8s.api.authorization.v1.SubjectAccessReview", defaulting::none)],
        &review::SUBJECT,
        &show::CREATED_AT,
    )
};

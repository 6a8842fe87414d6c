//! Cluster trust bundles: authorities that pods may trust, of a signer or of nobody in particular.
//!
//! Upstream: pkg/registry/certificates/clustertrustbundle, pkg/apis/certificates (v1.35).

mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{Deprecation, ResourceDefinition, Scope, Version};

pub(crate) use validation::name_of;

use crate::{
    defaulting,
    kind::{selectable, standard},
};

const GATE: &str = "ClusterTrustBundle";

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    scope: Scope::Cluster,
    selectable_fields: &[selectable!("spec.signerName", "spec", "signerName")],
    ..standard(
        "certificates.k8s.io",
        "ClusterTrustBundle",
        ("clustertrustbundle", "clustertrustbundles"),
        &[
            Version::hub("v1beta1", "io.k8s.api.certificates.v1beta1.ClusterTrustBundle", defaulting::none).gated(GATE),
            Version::like_hub("v1alpha1", "io.k8s.api.certificates.v1alpha1.ClusterTrustBundle", defaulting::none)
                .gated(GATE)
                .deprecated(Deprecation::beta_since(34)),
        ],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;

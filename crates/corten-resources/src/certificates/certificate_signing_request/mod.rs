//! Certificate signing requests.
//!
//! Upstream: pkg/registry/certificates/certificates, pkg/apis/certificates (v1.35).

mod der;
mod signature;
mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Scope, Version};

use crate::{
    defaulting,
    kind::{GET_PATCH_UPDATE, object, selectable, standard, status},
};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    short_names: &["csr"],
    scope: Scope::Cluster,
    subresources: &[object("approval", &strategy::Approval, GET_PATCH_UPDATE), status(&strategy::STATUS)],
    selectable_fields: &[selectable!("spec.signerName", "spec", "signerName")],
    ..standard(
        "certificates.k8s.io",
        "CertificateSigningRequest",
        ("certificatesigningrequest", "certificatesigningrequests"),
        &[Version::hub("v1", "io.k8s.api.certificates.v1.CertificateSigningRequest", defaulting::none)],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;

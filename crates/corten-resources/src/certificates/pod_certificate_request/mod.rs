//! Pod certificate requests: a kubelet asks a signer for the certificate of a pod.
//!
//! That only who may sign for the signer reports in the status is the control plane's to check.
//! Upstream: pkg/registry/certificates/podcertificaterequest, pkg/apis/certificates (v1.35).

mod chain;
mod defaults;
mod key;
mod strategy;
mod table;
mod validation;

use corten_apimachinery::resource::{ResourceDefinition, Version};

use crate::kind::{selectable, standard, status};

/// The resource.
pub static RESOURCE: ResourceDefinition = ResourceDefinition {
    subresources: &[status(&strategy::STATUS)],
    selectable_fields: &[
        selectable!("spec.signerName", "spec", "signerName"),
        selectable!("spec.podName", "spec", "podName"),
        selectable!("spec.nodeName", "spec", "nodeName"),
    ],
    ..standard(
        "certificates.k8s.io",
        "PodCertificateRequest",
        ("podcertificaterequest", "podcertificaterequests"),
        &[Version::hub("v1beta1", "io.k8s.api.certificates.v1beta1.PodCertificateRequest", defaults::v1beta1)
            .gated("PodCertificateRequest")],
        &strategy::Main,
        &table::TABLE,
    )
};

#[cfg(test)]
mod tests;

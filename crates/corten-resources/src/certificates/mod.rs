//! Group certificates.k8s.io.

pub mod certificate_signing_request;
pub mod cluster_trust_bundle;
pub mod pod_certificate_request;

mod pem;
pub(crate) mod signer_name;
pub(crate) mod user_annotations;

pub(crate) use cluster_trust_bundle::name_of as bundle_name;

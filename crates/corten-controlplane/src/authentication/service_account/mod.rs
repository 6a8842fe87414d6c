//! Tokens of service accounts: signed by the cluster, bound to objects, gone when those are.
//!
//! Flow: TokenRequest -> `Issuer` -> token; request -> `TokenVerifier` (signature, once per token; objects, every time) -> user.
//! Upstream: pkg/serviceaccount and pkg/controller/serviceaccount/tokengetter.go (v1.35).

mod claims;
mod discovery;
mod issuer;
mod keys;
mod remembered;
mod verifier;

pub use claims::{Claims, Named};
pub use issuer::{Binding, Issuer};
pub use keys::{KeyError, PublicKey, SigningKey, new_key};
pub use verifier::TokenVerifier;

pub(crate) use discovery::install;

/// The issuer of tokens when nothing else is configured. Upstream (kubeadm): `--service-account-issuer`.
pub const DEFAULT_ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// The user name of a service account.
#[must_use]
pub fn user_name(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

#[cfg(test)]
mod tests;

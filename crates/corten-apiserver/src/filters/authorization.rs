//! Lets through what the user may do.
//!
//! Upstream: k8s.io/apiserver/pkg/endpoints/filters/authorization.go (v1.35).

use corten_apimachinery::status::Status;

use crate::{
    authorization::{Attributes, Decision, forbidden},
    request::Request,
    server::Server,
};

/// Asks the authorizer.
///
/// Errors: `Forbidden`.
pub(super) async fn authorize(server: &Server, request: &Request) -> Result<(), Status> {
    let attributes = Attributes { user: &request.user, request: &request.info };
    match server.authorizer().authorize(attributes).await {
        Decision::Allow { .. } => Ok(()),
        Decision::Deny { reason } | Decision::NoOpinion { reason } => Err(forbidden(attributes, &reason)),
    }
}

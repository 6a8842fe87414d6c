//! The right to make an object by a write to its name.
//!
//! The filter has authorized a PUT or an apply for what they are called: `update` or `patch`. Where there is nothing to
//! change they create, and that is another right.
//! Upstream: `withAuthorization` in k8s.io/apiserver/pkg/endpoints/handlers/update.go (v1.35).

use corten_apimachinery::{resource::UserInfo, status::Status};

use crate::{
    Request, RequestInfo,
    authorization::{Attributes, Authorizer, Decision, forbidden},
};

/// Finds out whether the sender of a request may create what it names.
#[derive(Debug, Clone, Copy)]
pub struct CreateRight<'a> {
    authorizer: &'a dyn Authorizer,
    user: &'a UserInfo,
    asked: &'a RequestInfo,
}

impl<'a> CreateRight<'a> {
    /// That of the sender of `request`.
    #[must_use]
    pub fn of(request: &'a Request, authorizer: &'a dyn Authorizer) -> Self {
        Self { authorizer, user: &request.user, asked: &request.info }
    }

    /// Errors: `Forbidden`, in the words in which a request is refused as such.
    pub(super) async fn check(self) -> Result<(), Status> {
        let info = RequestInfo { verb: "create".into(), ..self.asked.clone() };
        let attributes = Attributes { user: self.user, request: &info };
        match self.authorizer.authorize(attributes).await {
            Decision::Allow { .. } => Ok(()),
            Decision::Deny { reason } | Decision::NoOpinion { reason } => Err(forbidden(attributes, &reason)),
        }
    }
}

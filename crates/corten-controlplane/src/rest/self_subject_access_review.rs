//! Whether who asks may do something.
//!
//! Upstream: pkg/registry/authorization/selfsubjectaccessreview/rest.go (v1.35).

use std::sync::Arc;

use async_trait::async_trait;
use corten_apimachinery::status::Status;
use corten_apiserver::{
    Reply, Request, Server,
    authorization::Authorizer,
    endpoints::{Custom, Endpoint},
};

use super::{access_review, catalog::Handler, created, read_review};

/// The handler.
pub(crate) static HANDLER: Handler = Handler {
    group: "authorization.k8s.io",
    plural: "selfsubjectaccessreviews",
    subresource: "",
    build: |parts| Arc::new(SelfSubjectAccessReview { authorizer: Arc::clone(&parts.authorizer) }),
};

#[derive(Debug)]
struct SelfSubjectAccessReview {
    authorizer: Arc<dyn Authorizer>,
}

#[async_trait]
impl Custom for SelfSubjectAccessReview {
    async fn handle(&self, server: &Arc<Server>, endpoint: &Endpoint, mut request: Request) -> Result<Reply, Status> {
        let (mut review, warnings) = read_review(server, endpoint, &mut request).await?;
        access_review::answer(&*self.authorizer, &request.user, &mut review).await;
        Ok(created(review, warnings))
    }
}

//! Whether somebody may do something.
//!
//! Upstream: pkg/registry/authorization/subjectaccessreview/rest.go (v1.35).

use std::sync::Arc;

use async_trait::async_trait;
use corten_apimachinery::status::Status;
use corten_apiserver::{
    Reply, Request, Server,
    authorization::Authorizer,
    endpoints::{Custom, Endpoint},
};

use super::{access_review, catalog::Handler, created, read_review, user};

/// The handler.
pub(crate) static HANDLER: Handler = Handler {
    group: "authorization.k8s.io",
    plural: "subjectaccessreviews",
    subresource: "",
    build: |parts| Arc::new(SubjectAccessReview { authorizer: Arc::clone(&parts.authorizer) }),
};

#[derive(Debug)]
struct SubjectAccessReview {
    authorizer: Arc<dyn Authorizer>,
}

#[async_trait]
impl Custom for SubjectAccessReview {
    async fn handle(&self, server: &Arc<Server>, endpoint: &Endpoint, mut request: Request) -> Result<Reply, Status> {
        let (mut review, warnings) = read_review(server, endpoint, &mut request).await?;
        let user = user::subject(review.get("spec").unwrap_or(&corten_apimachinery::Value::Null));
        access_review::answer(&*self.authorizer, &user, &mut review).await;
        Ok(created(review, warnings))
    }
}

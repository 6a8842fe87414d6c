//! Who asks.
//!
//! Upstream: pkg/registry/authentication/selfsubjectreview/rest.go (v1.35).

use std::sync::Arc;

use async_trait::async_trait;
use corten_apimachinery::{meta::format_time, status::Status, value::Value};
use corten_apiserver::{
    Reply, Request, Server,
    endpoints::{Custom, Endpoint},
};

use super::{catalog::Handler, created, read_review, user};

/// The handler.
pub(crate) static HANDLER: Handler = Handler {
    group: "authentication.k8s.io",
    plural: "selfsubjectreviews",
    subresource: "",
    build: |_parts| Arc::new(SelfSubjectReview),
};

#[derive(Debug)]
struct SelfSubjectReview;

#[async_trait]
impl Custom for SelfSubjectReview {
    async fn handle(&self, server: &Arc<Server>, endpoint: &Endpoint, mut request: Request) -> Result<Reply, Status> {
        let (mut review, warnings) = read_review(server, endpoint, &mut request).await?;
        // The answer is made anew: of what was sent nothing is left.
        review.set(&["metadata"], Value::object_of([("creationTimestamp", format_time(request.received).into())]));
        review.set(&["status", "userInfo"], user::to_value(&request.user));
        Ok(created(review, warnings))
    }
}

//! Everything that who asks may do in a namespace.
//!
//! Upstream: pkg/registry/authorization/selfsubjectrulesreview/rest.go (v1.35).

use std::sync::Arc;

use async_trait::async_trait;
use corten_apimachinery::{status::Status, value::Value};
use corten_apiserver::{
    Reply, Request, Server,
    endpoints::{Custom, Endpoint},
};

use super::{catalog::Handler, created, read_review};
use crate::authorization::rbac::{Rbac, Rule};

/// The handler.
pub(crate) static HANDLER: Handler = Handler {
    group: "authorization.k8s.io",
    plural: "selfsubjectrulesreviews",
    subresource: "",
    build: |parts| Arc::new(SelfSubjectRulesReview { rbac: Arc::clone(&parts.rbac) }),
};

#[derive(Debug)]
struct SelfSubjectRulesReview {
    rbac: Arc<Rbac>,
}

#[async_trait]
impl Custom for SelfSubjectRulesReview {
    async fn handle(&self, server: &Arc<Server>, endpoint: &Endpoint, mut request: Request) -> Result<Reply, Status> {
        let (mut review, warnings) = read_review(server, endpoint, &mut request).await?;
        let namespace = review.str_at(&["spec", "namespace"]).unwrap_or_default();
        if namespace.is_empty() {
            return Err(Status::bad_request("no namespace on request"));
        }
        let index = self.rbac.index().await;
        let held = index.rules_for(&request.user, namespace);
        let (urls, resources): (Vec<&Rule>, Vec<&Rule>) =
            held.rules.into_iter().partition(|rule| !rule.non_resource_urls.is_empty());
        let mut status = Value::object();
        status.set(&["resourceRules"], Value::array(resources.into_iter().map(|rule| rule.to_value())));
        status.set(&["nonResourceRules"], Value::array(urls.into_iter().map(|rule| rule.to_value())));
        status.set(&["incomplete"], !held.errors.is_empty());
        if !held.errors.is_empty() {
            status.set(&["evaluationError"], held.errors.join(", "));
        }
        // The answer is made anew: of the question nothing is left.
        for field in ["metadata", "spec"] {
            review.set(&[field], Value::object());
        }
        review.set(&["status"], status);
        Ok(created(review, warnings))
    }
}

//! What all access reviews share: the question as a request, the decision as a status.
//!
//! Upstream: pkg/registry/authorization/util/helpers.go (v1.35).

use corten_apimachinery::{
    resource::UserInfo,
    value::{Str, Value},
};
use corten_apiserver::{
    RequestInfo,
    authorization::{Attributes, Authorizer, Decision},
};

/// Answers `review`, whose question is about `user`.
pub(super) async fn answer(authorizer: &dyn Authorizer, user: &UserInfo, review: &mut Value) {
    let request = question(review.get("spec").unwrap_or(&Value::Null));
    let decision = authorizer.authorize(Attributes { user, request: &request }).await;
    let mut status = Value::object();
    status.set(&["allowed"], decision.is_allowed());
    if matches!(decision, Decision::Deny { .. }) {
        status.set(&["denied"], true);
    }
    if !decision.reason().is_empty() {
        status.set(&["reason"], decision.reason());
    }
    review.set(&["status"], status);
}

fn question(spec: &Value) -> RequestInfo {
    if let Some(resource) = spec.get("resourceAttributes").filter(|attributes| !attributes.is_null()) {
        let text = |key: &str| Str::from(resource.str_at(&[key]).unwrap_or_default());
        let version = text("version");
        return RequestInfo {
            is_resource: true,
            verb: text("verb"),
            group: text("group"),
            version: if version.is_empty() { "*".into() } else { version },
            namespace: text("namespace"),
            resource: text("resource"),
            subresource: text("subresource"),
            name: text("name"),
            ..RequestInfo::default()
        };
    }
    let text = |key: &str| spec.str_at(&["nonResourceAttributes", key]).unwrap_or_default();
    RequestInfo { path: text("path").to_owned(), verb: text("verb").into(), ..RequestInfo::default() }
}

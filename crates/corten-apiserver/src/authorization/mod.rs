//! Whether a user may: the contract of authorizers and their union.
//!
//! Upstream: k8s.io/apiserver/pkg/authorization/authorizer and endpoints/handlers/responsewriters/errors.go (v1.35).

mod privileged;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use corten_apimachinery::{field::quote, resource::UserInfo, status::Status};

pub use privileged::{PrivilegedGroups, SYSTEM_MASTERS, own_identity};

use crate::request::RequestInfo;

/// What is asked for, by whom.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    /// Who.
    pub user: &'a UserInfo,
    /// What.
    pub request: &'a RequestInfo,
}

/// What an authorizer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Yes, whatever others say.
    Allow {
        /// Why, for audit and reviews. Shared: the text belongs to the rule, not to the request.
        reason: Option<Arc<str>>,
    },
    /// No, whatever others say.
    Deny {
        /// Why.
        reason: String,
    },
    /// Somebody else has to decide; if nobody allows it, it is forbidden.
    NoOpinion {
        /// Why not; may be empty.
        reason: String,
    },
}

impl Decision {
    /// Whether the request may go on.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow { .. })
    }

    /// Why; may be empty.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Allow { reason } => reason.as_deref().unwrap_or_default(),
            Self::Deny { reason } | Self::NoOpinion { reason } => reason,
        }
    }
}

/// Decides what users may do.
#[async_trait]
pub trait Authorizer: fmt::Debug + Send + Sync + 'static {
    /// The decision about one request.
    async fn authorize(&self, attributes: Attributes<'_>) -> Decision;
}

/// Asks each authorizer in turn; the first with an opinion wins.
#[derive(Debug, Default)]
pub struct Union(Vec<Arc<dyn Authorizer>>);

impl Union {
    /// A union in this order.
    #[must_use]
    pub fn new(authorizers: Vec<Arc<dyn Authorizer>>) -> Self {
        Self(authorizers)
    }
}

#[async_trait]
impl Authorizer for Union {
    async fn authorize(&self, attributes: Attributes<'_>) -> Decision {
        let mut reasons = Vec::new();
        for authorizer in &self.0 {
            match authorizer.authorize(attributes).await {
                Decision::NoOpinion { reason } if reason.is_empty() => {}
                Decision::NoOpinion { reason } => reasons.push(reason),
                decided => return decided,
            }
        }
        Decision::NoOpinion { reason: reasons.join("\n") }
    }
}

/// The failure for a request that was not allowed.
#[must_use]
pub fn forbidden(attributes: Attributes<'_>, reason: &str) -> Status {
    let mut why = describe(attributes);
    if !reason.is_empty() {
        why.push_str(": ");
        why.push_str(reason);
    }
    let info = attributes.request;
    if info.is_resource {
        return Status::forbidden(&info.group_resource(), &info.name, why);
    }
    Status::forbidden(&info.group_resource(), "", why)
}

fn describe(Attributes { user, request }: Attributes<'_>) -> String {
    let user = quote(&user.name);
    if !request.is_resource {
        return format!("User {user} cannot {} path {}", request.verb, quote(&request.path));
    }
    let resource = if request.subresource.is_empty() {
        request.resource.to_string()
    } else {
        format!("{}/{}", request.resource, request.subresource)
    };
    let place = if request.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {}", quote(&request.namespace))
    };
    format!(
        "User {user} cannot {} resource {} in API group {} {place}",
        request.verb,
        quote(&resource),
        quote(&request.group)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Query;

    #[track_caller]
    fn check(path: &str, want: &str) {
        let request = RequestInfo::parse(&http::Method::GET, path, &Query::default());
        let user = UserInfo { name: "bob".into(), ..UserInfo::default() };
        assert_eq!(forbidden(Attributes { user: &user, request: &request }, "").message, want);
    }

    #[test]
    fn a_refusal_says_who_may_not_do_what_where() {
        check(
            "/api/v1/namespaces/a/pods/b/log",
            r#"pods "b" is forbidden: User "bob" cannot get resource "pods/log" in API group "" in the namespace "a""#,
        );
        check(
            "/apis/apps/v1/deployments",
            r#"deployments.apps is forbidden: User "bob" cannot list resource "deployments" in API group "apps" at the cluster scope"#,
        );
        check("/metrics", r#"forbidden: User "bob" cannot get path "/metrics""#);
    }
}

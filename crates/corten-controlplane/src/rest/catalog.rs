//! Every handler of a review or of a subresource with effects.

use std::{fmt, sync::Arc};

use corten_apiserver::{
    authentication::TokenAuthenticator,
    authorization::Authorizer,
    endpoints::{Custom, RoutesBuilder},
};
use corten_resources::catalog::RESOURCES;

use super::{
    binding, eviction, kubelets::Kubelets, local_subject_access_review, node_proxy, pod_attach, pod_exec, pod_log,
    pod_portforward, pod_proxy, self_subject_access_review, self_subject_review, self_subject_rules_review,
    service_proxy, subject_access_review, token, token_review,
};
use crate::{authentication::service_account::Issuer, authorization::rbac::Rbac, caches::Caches};

/// What handlers are made of.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    /// The watch caches.
    pub(crate) caches: Arc<Caches>,
    /// Makes tokens.
    pub(crate) issuer: Arc<Issuer>,
    /// Knows tokens.
    pub(crate) tokens: Arc<dyn TokenAuthenticator>,
    /// For whom tokens are that are for this server.
    pub(crate) audiences: Vec<String>,
    /// Everybody who decides.
    pub(crate) authorizer: Arc<dyn Authorizer>,
    /// Knows what users hold.
    pub(crate) rbac: Arc<Rbac>,
    /// The way to kubelets.
    pub(crate) kubelets: Arc<Kubelets>,
}

/// One handler.
pub(crate) struct Handler {
    /// The group.
    pub(crate) group: &'static str,
    /// The resource.
    pub(crate) plural: &'static str,
    /// The subresource; empty for a review.
    pub(crate) subresource: &'static str,
    /// Makes it.
    pub(crate) build: fn(&Parts) -> Arc<dyn Custom>,
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handler({}.{}/{})", self.plural, self.group, self.subresource)
    }
}

/// All of them.
pub(crate) static HANDLERS: &[&Handler] = &[
    &binding::COLLECTION,
    &binding::OF_POD,
    &eviction::HANDLER,
    &local_subject_access_review::HANDLER,
    &node_proxy::HANDLER,
    &pod_attach::HANDLER,
    &pod_exec::HANDLER,
    &pod_log::HANDLER,
    &pod_portforward::HANDLER,
    &pod_proxy::HANDLER,
    &self_subject_access_review::HANDLER,
    &self_subject_review::HANDLER,
    &self_subject_rules_review::HANDLER,
    &service_proxy::HANDLER,
    &subject_access_review::HANDLER,
    &token::HANDLER,
    &token_review::HANDLER,
];

/// Gives the resources that are served their handlers.
pub(crate) fn install(routes: &mut RoutesBuilder, parts: &Parts) {
    for handler in HANDLERS {
        let is_served = RESOURCES.iter().any(|r| r.group == handler.group && r.plural == handler.plural);
        if is_served {
            routes.custom(handler.group, handler.plural, handler.subresource, (handler.build)(parts));
        }
    }
}

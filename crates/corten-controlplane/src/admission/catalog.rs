//! Every admission plugin, in upstream's order.

use std::sync::{Arc, OnceLock};

use corten_apimachinery::Features;
use corten_apiserver::{
    admission::{Chain, Plugin},
    authorization::Authorizer,
};
use corten_base::{SharedClock, SharedRng, TaskSet};

use super::{
    admin_access, certificate_requests, default_ingress_class, default_storage_class, default_toleration_seconds,
    namespace_lifecycle, node_restriction, pod_topology_labels, policy_params, priority, runtime_class,
    service_account, signers, storage_object_in_use, taint_nodes_by_condition, volume_claim_resize,
};
use crate::{
    authorization::rbac::{Escalation, Rbac},
    caches::Caches,
};

/// What plugins are made of.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The watch caches.
    pub caches: Arc<Caches>,
    /// The time.
    pub clock: SharedClock,
    /// For generated names.
    pub rng: SharedRng,
    /// Which optional features are on.
    pub features: Arc<Features>,
    /// What users hold.
    pub rbac: Arc<Rbac>,
    /// Everybody who decides, filled in once they are all made.
    pub authorizer: Arc<OnceLock<Arc<dyn Authorizer>>>,
    /// Where what takes long is done.
    pub tasks: TaskSet,
}

/// Makes a plugin.
type Build = fn(&Parts) -> Arc<dyn Plugin>;

// order matters: later plugins see what earlier ones changed.

/// All of them.
static PLUGINS: &[Build] = &[
    namespace_lifecycle::build,
    service_account::build,
    node_restriction::build,
    taint_nodes_by_condition::build,
    priority::build,
    default_toleration_seconds::build,
    default_storage_class::build,
    storage_object_in_use::build,
    volume_claim_resize::build,
    runtime_class::build,
    certificate_requests::approval,
    certificate_requests::signing,
    signers::trust_bundle_attest,
    certificate_requests::subject_restriction,
    signers::pod_certificate_signing,
    default_ingress_class::build,
    pod_topology_labels::build,
    admin_access::build,
    policy_params::build,
    |parts| Arc::new(Escalation::new(Arc::clone(&parts.rbac), Arc::clone(&parts.authorizer), parts.tasks.clone())),
];

/// The chain of all plugins.
#[must_use]
pub fn chain(parts: &Parts) -> Chain {
    Chain::new(PLUGINS.iter().map(|build| build(parts)).collect())
}

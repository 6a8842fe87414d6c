//! Role based access control: what roles allow, to whom bindings give them.
//!
//! Flow: caches of roles and bindings -> `index` (compiled; what changed of the four makes the next one) -> decision.
//! Upstream: plugin/pkg/auth/authorizer/rbac and pkg/registry/rbac/validation (v1.35).

mod compiled_role;
mod escalation;
mod grants;
mod index;
mod missing;
mod rule;

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use corten_apiserver::authorization::{Attributes, Authorizer, Decision};
use tokio::sync::Mutex;

pub use escalation::{Escalation, is_only_garbage_collection};
pub use grants::RoleRef;
pub use index::{Held, Index};
pub use missing::{Missing, compact, missing, missing_bounded};
pub use rule::Rule;

use crate::caches::Caches;

/// The group of roles and bindings.
pub const GROUP: &str = "rbac.authorization.k8s.io";

/// Decides by roles and bindings.
#[derive(Debug)]
pub struct Rbac {
    caches: Arc<Caches>,
    current: ArcSwap<Index>,
    /// Held while compiling, so that one change is compiled once: who asks meanwhile waits, and its thread does not.
    compiling: Mutex<()>,
}

impl Rbac {
    /// An authorizer over the roles and bindings in `caches`.
    #[must_use]
    pub fn new(caches: Arc<Caches>) -> Self {
        Self { caches, current: ArcSwap::default(), compiling: Mutex::default() }
    }

    /// Everything that is granted, as the caches show it now. Cancel-safe.
    pub async fn index(&self) -> Arc<Index> {
        let current = self.current.load_full();
        if current.is_current(&self.caches) {
            return current;
        }
        // Boxed, as it is rare: each request makes room for this.
        Box::pin(self.compile()).await
    }

    async fn compile(&self) -> Arc<Index> {
        let _compiling = self.compiling.lock().await;
        let current = self.current.load_full();
        if current.is_current(&self.caches) {
            return current;
        }
        let next = Arc::new(current.next(&self.caches).await);
        self.current.store(Arc::clone(&next));
        next
    }
}

#[async_trait]
impl Authorizer for Rbac {
    async fn authorize(&self, attributes: Attributes<'_>) -> Decision {
        self.index().await.decide(attributes.user, attributes.request)
    }
}

#[cfg(test)]
mod tests;

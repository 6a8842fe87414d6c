//! Role based access control: what roles allow, to whom bindings give them.
//!
//! Flow: caches of roles and bindings -> `index` (compiled, replaced as a whole when one of the four changed) -> decision.
//! Upstream: plugin/pkg/auth/authorizer/rbac and pkg/registry/rbac/validation (v1.35).

mod escalation;
mod index;
mod missing;
mod rule;

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use corten_apimachinery::resource::UserInfo;
use corten_apiserver::authorization::{Attributes, Authorizer, Decision};
use parking_lot::Mutex;

pub use escalation::Escalation;
pub use index::{Held, Index, Parsed, RoleRef};
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
    /// What the next compilation starts from. Held while compiling, so that one change is compiled once.
    parsed: Mutex<Parsed>,
}

impl Rbac {
    /// An authorizer over the roles and bindings in `caches`.
    #[must_use]
    pub fn new(caches: Arc<Caches>) -> Self {
        Self { caches, current: ArcSwap::default(), parsed: Mutex::default() }
    }

    /// Everything that is granted, as the caches show it now.
    #[must_use]
    pub fn index(&self) -> Arc<Index> {
        let current = self.current.load_full();
        if current.is_current(&self.caches) {
            return current;
        }
        let mut parsed = self.parsed.lock();
        let current = self.current.load_full();
        if current.is_current(&self.caches) {
            return current;
        }
        let next = Arc::new(current.next(&self.caches, &mut parsed));
        self.current.store(Arc::clone(&next));
        next
    }

    /// What `user` may do in `namespace`, cluster-wide rights included.
    #[must_use]
    pub fn rules_for(&self, user: &UserInfo, namespace: &str) -> Held {
        self.index().rules_for(user, namespace)
    }
}

#[async_trait]
impl Authorizer for Rbac {
    async fn authorize(&self, attributes: Attributes<'_>) -> Decision {
        self.index().decide(attributes.user, attributes.request)
    }
}

#[cfg(test)]
mod tests;

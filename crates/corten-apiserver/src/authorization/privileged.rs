//! Groups that may do everything, whatever roles say: the way back in when roles are broken.
//!
//! Upstream: k8s.io/apiserver/pkg/authorization/authorizerfactory `NewPrivilegedGroups` (v1.35).

use async_trait::async_trait;

use super::{Attributes, Authorizer, Decision};

/// The group of cluster administrators.
pub const SYSTEM_MASTERS: &str = "system:masters";

/// Allows everything to members of the group `system:masters`.
#[derive(Debug, Default)]
pub struct PrivilegedGroups;

#[async_trait]
impl Authorizer for PrivilegedGroups {
    async fn authorize(&self, attributes: Attributes<'_>) -> Decision {
        if attributes.user.groups.iter().any(|group| group == SYSTEM_MASTERS) {
            Decision::Allow { reason: None }
        } else {
            Decision::NoOpinion { reason: String::new() }
        }
    }
}

//! Groups that may do everything, whatever roles say: the way back in when roles are broken.
//!
//! Upstream: k8s.io/apiserver/pkg/authorization/authorizerfactory `NewPrivilegedGroups` (v1.35).

use async_trait::async_trait;
use corten_apimachinery::resource::UserInfo;

use super::{Attributes, Authorizer, Decision};

/// The group of cluster administrators.
pub const SYSTEM_MASTERS: &str = "system:masters";

/// Who the API server is where nobody asked for what it does: at the start, when it repairs, and for what a request brings
/// about beyond itself. It makes roles with any right, which takes all of them; of the components, it alone has them.
///
/// Upstream: the loopback client's user, `APIServerUser` in k8s.io/apiserver/pkg/authentication/user (v1.35).
#[must_use]
pub fn own_identity() -> UserInfo {
    UserInfo { name: "system:apiserver".into(), groups: vec![SYSTEM_MASTERS.into()], ..UserInfo::default() }
}

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

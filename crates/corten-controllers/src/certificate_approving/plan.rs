//! What the sender of a request has to be allowed to do for it to be approved.

use corten_api::certificates::v1::CertificateSigningRequest;

use crate::certificate_requests::{Asked, KUBELET_CLIENT, check, der_of, has, is_issued};

/// One way to approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Permission {
    /// `create` on this subresource of requests has to be allowed.
    pub(super) subresource: &'static str,
    /// Upstream's text for the condition.
    pub(super) message: &'static str,
}

const SELF: Permission = Permission {
    subresource: "selfnodeclient",
    message: "Auto approving self kubelet client certificate after SubjectAccessReview.",
};
const NODE: Permission = Permission {
    subresource: "nodeclient",
    message: "Auto approving kubelet client certificate after SubjectAccessReview.",
};

/// The ways to approval of a request; none if it is decided, or not for us.
///
/// Errors: it holds no request.
pub(super) fn permissions(request: &CertificateSigningRequest) -> Result<Vec<Permission>, String> {
    if is_issued(request)
        || has(request, "Approved")
        || has(request, "Denied")
        || request.spec.signer_name != KUBELET_CLIENT
    {
        return Ok(Vec::new());
    }
    let name = request.metadata.name.as_deref().unwrap_or_default();
    let unreadable = |error: String| format!("unable to parse csr {name:?}: {error}");
    let der = der_of(request).map_err(unreadable)?;
    let asked = Asked::parse(&der).map_err(unreadable)?;
    let usages = request.spec.usages.as_deref().unwrap_or_default();
    if check(KUBELET_CLIENT, &asked, usages).is_err() {
        return Ok(Vec::new());
    }
    // A node that renews its certificate asks for itself.
    let is_self = request.spec.username.as_deref() == Some(asked.subject.common_name());
    Ok(if is_self { vec![SELF, NODE] } else { vec![NODE] })
}

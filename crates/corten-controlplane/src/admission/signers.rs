//! What a user may do for a signer, beside certificate signing requests: attest its trust bundles, sign for pods.
//!
//! Such a right is one on the made-up resource `signers`: for the signer itself, or for all of its domain.
//! Upstream: pkg/certauthorization, plugin/pkg/admission/certificates/ctbattest, and for pods the strategy of their
//! requests in pkg/registry/certificates/podcertificaterequest (v1.35).

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use corten_apimachinery::{
    field::{self, Path, quote},
    gvk::GroupVersionResource,
    status::Status,
    value::semantically_equal,
};
use corten_apiserver::{
    RequestInfo,
    admission::{Attributes, Operation, Plugin},
    authorization::{self, Authorizer},
};

use super::{catalog::Parts, forbidden};
use crate::authorization::rbac::is_only_garbage_collection;

const GROUP: &str = "certificates.k8s.io";

type Decides = Arc<OnceLock<Arc<dyn Authorizer>>>;

/// Whether who asks may do this for a signer, or for all of its domain.
pub(super) async fn may(authorizer: &Decides, attributes: &Attributes<'_>, verb: &str, signer: &str) -> bool {
    let Some(authorizer) = authorizer.get() else { return false };
    let domain = signer.split('/').next().unwrap_or(signer);
    for name in [signer.to_owned(), format!("{domain}/*")] {
        let request = RequestInfo {
            is_resource: true,
            verb: verb.into(),
            group: GROUP.into(),
            version: "*".into(),
            resource: "signers".into(),
            name: name.into(),
            ..RequestInfo::default()
        };
        let asked = authorization::Attributes { user: attributes.user, request: &request };
        if authorizer.authorize(asked).await.is_allowed() {
            return true;
        }
    }
    false
}

/// Only who may attest for a signer says whom it trusts.
#[derive(Debug)]
struct TrustBundleAttest(Decides);

/// `ClusterTrustBundleAttest`.
pub(super) fn trust_bundle_attest(parts: &Parts) -> Arc<dyn Plugin> {
    Arc::new(TrustBundleAttest(Arc::clone(&parts.authorizer)))
}

#[async_trait]
impl Plugin for TrustBundleAttest {
    fn name(&self) -> &'static str {
        "ClusterTrustBundleAttest"
    }

    fn handles(&self, operation: Operation, resource: &GroupVersionResource, subresource: &str) -> bool {
        matches!(operation, Operation::Create | Operation::Update)
            && resource.group == GROUP
            && resource.resource == "clustertrustbundles"
            && subresource.is_empty()
    }

    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        // The new object's: a change of the signer is refused anyway.
        let signer = attributes.object.str_at(&["spec", "signerName"]).unwrap_or_default();
        let is_upkeep = attributes.operation == Operation::Update
            && is_only_garbage_collection(&attributes.object, &attributes.old_object);
        if signer.is_empty() || is_upkeep || may(&self.0, attributes, "attest", signer).await {
            return Ok(());
        }
        Err(forbidden(attributes, format!("user not permitted to attest for signerName {}", quote(signer))))
    }
}

/// Only who may sign for a signer says what has become of a pod's request.
#[derive(Debug)]
struct PodCertificateSigning(Decides);

/// The check of a status, which upstream makes after the rules of the kind.
pub(super) fn pod_certificate_signing(parts: &Parts) -> Arc<dyn Plugin> {
    Arc::new(PodCertificateSigning(Arc::clone(&parts.authorizer)))
}

#[async_trait]
impl Plugin for PodCertificateSigning {
    fn name(&self) -> &'static str {
        "PodCertificateRequestSigning"
    }

    fn handles(&self, operation: Operation, resource: &GroupVersionResource, subresource: &str) -> bool {
        operation == Operation::Update
            && resource.group == GROUP
            && resource.resource == "podcertificaterequests"
            && subresource == "status"
    }

    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        if semantically_equal(attributes.object.get("status"), attributes.old_object.get("status")) {
            return Ok(());
        }
        let signer = attributes.old_object.str_at(&["spec", "signerName"]).unwrap_or_default();
        if may(&self.0, attributes, "sign", signer).await {
            return Ok(());
        }
        let (user, signer) = (quote(&attributes.user.name), quote(signer));
        let detail = format!("User {user} is not permitted to \"sign\" for signer {signer}");
        let error = field::Error::forbidden(&Path::new("spec").child("signerName"), detail);
        Err(Status::invalid(attributes.kind, &attributes.name, &[error]))
    }
}

#[cfg(test)]
mod tests {
    use corten_apimachinery::{gvk::GroupVersionKind, resource::UserInfo, value::Value};
    use corten_apiserver::authorization::Decision;
    use serde_json::json;

    use super::*;
    use crate::testing::tree;

    /// Allows one verb for one name.
    #[derive(Debug)]
    struct Allows(&'static str, &'static str);

    #[async_trait]
    impl Authorizer for Allows {
        async fn authorize(&self, asked: authorization::Attributes<'_>) -> Decision {
            let request = asked.request;
            assert_eq!((&*request.group, &*request.resource), (GROUP, "signers"));
            if (&*request.verb, &*request.name) == (self.0, self.1) {
                Decision::Allow { reason: None }
            } else {
                Decision::NoOpinion { reason: String::new() }
            }
        }
    }

    fn decides(verb: &'static str, name: &'static str) -> Decides {
        Arc::new(OnceLock::from(Arc::new(Allows(verb, name)) as Arc<dyn Authorizer>))
    }

    async fn outcome(
        plugin: &dyn Plugin,
        (kind, plural, subresource): (&str, &str, &str),
        (object, old_object): (Value, Value),
    ) -> Result<(), String> {
        let (kind, resource) =
            (GroupVersionKind::new(GROUP, "v1beta1", kind), GroupVersionResource::new(GROUP, "v1beta1", plural));
        let operation = if old_object.is_null() { Operation::Create } else { Operation::Update };
        assert!(plugin.handles(operation, &resource, subresource));
        let user = UserInfo { name: "ann".into(), ..UserInfo::default() };
        let attributes = Attributes {
            operation,
            kind: &kind,
            resource: &resource,
            subresource,
            namespace: "",
            name: "a".into(),
            object,
            old_object,
            user: &user,
            dry_run: false,
            warnings: Vec::new(),
        };
        plugin.validate(&attributes).await.map_err(|status| status.message)
    }

    #[tokio::test]
    async fn whom_a_signer_trusts_says_who_may_attest_for_it() {
        let bundle = |signer: &str, labels: serde_json::Value, owners: serde_json::Value| {
            tree(
                json!({"metadata": {"name": "a", "labels": labels, "ownerReferences": owners}, "spec": {"signerName": signer}}),
            )
        };
        let of = |signer: &str| bundle(signer, json!({}), json!([]));
        let check = async |allowed: &'static str, new: Value, old: Value| {
            let plugin = TrustBundleAttest(decides("attest", allowed));
            outcome(&plugin, ("ClusterTrustBundle", "clustertrustbundles", ""), (new, old)).await
        };
        let refused = "clustertrustbundles.certificates.k8s.io \"a\" is forbidden: user not permitted to attest for \
                       signerName \"example.com/one\"";
        assert_eq!(check("example.com/one", of("example.com/one"), Value::Null).await, Ok(()));
        assert_eq!(check("example.com/*", of("example.com/one"), Value::Null).await, Ok(()));
        assert_eq!(check("example.com/two", of("example.com/one"), Value::Null).await, Err(refused.to_owned()));
        assert_eq!(check("", of(""), Value::Null).await, Ok(()));
        let labelled = bundle("example.com/one", json!({"a": "b"}), json!([]));
        assert_eq!(check("", labelled, of("example.com/one")).await, Err(refused.to_owned()));
        let owned = bundle("example.com/one", json!({}), json!([{"name": "x"}]));
        assert_eq!(check("", owned, of("example.com/one")).await, Ok(()));
    }

    #[tokio::test]
    async fn what_becomes_of_a_pods_request_says_who_may_sign() {
        let request = |chain: &str| {
            tree(json!({"spec": {"signerName": "example.com/one"}, "status": {"certificateChain": chain}}))
        };
        let check = async |allowed: &'static str, chain: &str| {
            let plugin = PodCertificateSigning(decides("sign", allowed));
            let parts = ("PodCertificateRequest", "podcertificaterequests", "status");
            outcome(&plugin, parts, (request(chain), request("before"))).await
        };
        assert_eq!(check("example.com/one", "after").await, Ok(()));
        assert_eq!(check("", "before").await, Ok(()));
        let refused = "PodCertificateRequest.certificates.k8s.io \"a\" is invalid: spec.signerName: Forbidden: User \"ann\" \
                       is not permitted to \"sign\" for signer \"example.com/one\"";
        assert_eq!(check("example.com/two", "after").await, Err(refused.to_owned()));
    }
}

//! Nodes write only what is theirs: their own node, lease and pods' status, and mirrors of pods that they start themselves.
//!
//! Upstream: plugin/pkg/admission/noderestriction (v1.35). Not here: the subject of certificate requests, which the
//! certificates' own plugins check.

mod audience;
mod mirror_pod;
mod own_node;
mod resource_slices;

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use corten_apimachinery::{
    field::quote,
    gvk::{GroupResource, GroupVersionResource},
    meta::ObjectMeta as _,
    status::Status,
    value::{Value, semantically_equal},
};
use corten_apiserver::{
    RequestInfo,
    admission::{Attributes, Operation, Plugin},
    authorization::{self, Authorizer},
};

use mirror_pod::{mirror_pod, no_references, on_node};
use own_node::{changed_keys, own_node};
use resource_slices::resource_slice;

use super::{catalog::Parts, certificate_requests::subject_of, forbidden};
use crate::caches::{Caches, tree};

const GROUP: &str = "system:nodes";
const USER_PREFIX: &str = "system:node:";
const LEASES: &str = "kube-node-lease";

/// Who signs what kubelets show: to the API server, and to those who ask them.
const KUBELET_SIGNERS: [&str; 2] = ["kubernetes.io/kubelet-serving", "kubernetes.io/kube-apiserver-client-kubelet"];
/// The right to tokens for an audience, which stands where a resource does.
const AUDIENCE_VERB: &str = "request-serviceaccounts-token-audience";
#[derive(Debug)]
struct NodeRestriction {
    caches: Arc<Caches>,
    /// Everybody who decides, filled in once they are all made.
    authorizer: Arc<OnceLock<Arc<dyn Authorizer>>>,
}

pub(super) fn build(parts: &Parts) -> Arc<dyn Plugin> {
    Arc::new(NodeRestriction { caches: Arc::clone(&parts.caches), authorizer: Arc::clone(&parts.authorizer) })
}

#[async_trait]
impl Plugin for NodeRestriction {
    fn name(&self) -> &'static str {
        "NodeRestriction"
    }

    fn handles(&self, operation: Operation, resource: &GroupVersionResource, _subresource: &str) -> bool {
        let is_restricted = matches!(
            (resource.group.as_str(), resource.resource.as_str()),
            ("", "nodes" | "pods" | "persistentvolumeclaims" | "serviceaccounts")
                | ("coordination.k8s.io", "leases")
                | ("storage.k8s.io", "csinodes")
                | ("resource.k8s.io", "resourceslices")
                | ("certificates.k8s.io", "certificatesigningrequests")
        );
        is_restricted && operation != Operation::Connect
    }

    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let user = attributes.user;
        let Some(node) = user.name.strip_prefix(USER_PREFIX) else { return Ok(()) };
        if !user.groups.iter().any(|group| group == GROUP) {
            return Ok(());
        }
        let refuse = |why: String| forbidden(attributes, why);
        if node.is_empty() {
            return Err(refuse(format!("could not determine node from user {}", quote(&user.name))));
        }
        match (attributes.resource.resource.as_str(), attributes.subresource) {
            ("pods", "") => self.pod(node, attributes).await,
            ("pods", "status") => pod_status(node, attributes).map_err(refuse),
            ("pods", "eviction") => {
                let pod = self.existing_pod(attributes.namespace, &attributes.name).await?;
                if on_node(&pod) == node {
                    return Ok(());
                }
                Err(refuse(format!("node {node} can only evict pods with spec.nodeName set to itself")))
            }
            ("pods", other) => Err(refuse(format!(
                "unexpected pod subresource {}, only 'status' and 'eviction' are allowed",
                quote(other)
            ))),
            ("nodes", _) => own_node(node, attributes).map_err(refuse),
            ("persistentvolumeclaims", "status") => claim_status(node, attributes).map_err(refuse),
            ("persistentvolumeclaims", _) => Err(refuse("may only update PVC status".to_owned())),
            ("serviceaccounts", "token") => self.token(node, attributes).await,
            ("leases", _) => {
                if attributes.namespace != LEASES {
                    return Err(refuse(format!("can only access leases in the {} system namespace", quote(LEASES))));
                }
                same_name(node, attributes, "node lease").map_err(refuse)
            }
            ("certificatesigningrequests", "") => own_certificate(node, attributes).map_err(refuse),
            ("csinodes", _) => same_name(node, attributes, "CSINode").map_err(refuse),
            ("resourceslices", _) => resource_slice(node, attributes).map_err(refuse),
            _ => Ok(()),
        }
    }
}

/// A node asks for certificates in its own name. Upstream: `admitCSR`.
fn own_certificate(node: &str, attributes: &Attributes<'_>) -> Result<(), String> {
    let signer = attributes.object.str_at(&["spec", "signerName"]).unwrap_or_default();
    if attributes.operation != Operation::Create || !KUBELET_SIGNERS.contains(&signer) {
        return Ok(());
    }
    let subject = subject_of(&attributes.object).map_err(|why| format!("unable to parse csr: {why}"))?;
    let own = format!("{USER_PREFIX}{node}");
    if subject.common_name() == own { Ok(()) } else { Err(format!("can only create a node CSR with CN={own}")) }
}

impl NodeRestriction {
    async fn existing_pod(&self, namespace: &str, name: &str) -> Result<Value, Status> {
        match self.caches.core("pods", namespace, name).await? {
            Some(pod) => tree(&pod),
            None => Err(Status::not_found(&GroupResource::new("", "pods"), name)),
        }
    }

    async fn pod(&self, node: &str, attributes: &Attributes<'_>) -> Result<(), Status> {
        let refuse = |why: String| forbidden(attributes, why);
        match attributes.operation {
            Operation::Create => {
                mirror_pod(node, &attributes.object).map_err(refuse)?;
                let owner = attributes.object.owner_references().first().and_then(|owner| owner.str_at(&["uid"]));
                let owner = owner.unwrap_or_default();
                let Some(known) = self.caches.core("nodes", "", node).await? else {
                    return Err(Status::not_found(&GroupResource::new("", "nodes"), node));
                };
                if known.uid != owner {
                    return Err(refuse(format!("node {node} UID mismatch: expected {owner} got {}", known.uid)));
                }
                no_references(node, &attributes.object).map_err(refuse)
            }
            Operation::Delete if on_node(&attributes.old_object) == node => Ok(()),
            Operation::Delete => {
                Err(refuse(format!("node {} can only delete pods with spec.nodeName set to itself", quote(node))))
            }
            other => Err(refuse(format!(
                "unexpected operation {}, node {} can only create and delete mirror pods",
                quote(other.as_str()),
                quote(node)
            ))),
        }
    }

    /// A node asks for tokens of the pods that run on it, and of nobody else.
    async fn token(&self, node: &str, attributes: &Attributes<'_>) -> Result<(), Status> {
        let refuse = |why: String| forbidden(attributes, why);
        if attributes.operation != Operation::Create {
            return Ok(());
        }
        let reference = |key: &str| attributes.object.str_at(&["spec", "boundObjectRef", key]).unwrap_or_default();
        if reference("apiVersion") != "v1" || reference("kind") != "Pod" || reference("name").is_empty() {
            return Err(refuse("node requested token not bound to a pod".to_owned()));
        }
        let uid = reference("uid");
        if uid.is_empty() {
            return Err(refuse("node requested token with a pod binding without a uid".to_owned()));
        }
        let pod = self.existing_pod(attributes.namespace, reference("name")).await?;
        if pod.uid() != uid {
            return Err(refuse(format!(
                "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have \
                 been deleted and then recreated"
            )));
        }
        if on_node(&pod) != node {
            return Err(refuse("node requested token bound to a pod scheduled on a different node".to_owned()));
        }
        let wanted = match attributes.object.items_at(&["spec", "audiences"]) {
            [] => "",
            [wanted] => wanted.as_str().unwrap_or_default(),
            _ => return Err(refuse("node may only request 0 or 1 audiences".to_owned())),
        };
        if audience::is_wanted(&self.caches, &pod, wanted).await? || self.may_ask_for(wanted, attributes).await {
            return Ok(());
        }
        Err(refuse(format!(
            "audience {} not found in pod spec volume, {} is not authorized to request tokens for this audience",
            quote(wanted),
            attributes.user.name
        )))
    }

    /// Whether the node was given a right to tokens for `audience`, which none of the pod's volumes wants.
    ///
    /// Upstream: `validateNodeServiceAccountAudience`, behind the gate ServiceAccountNodeAudienceRestriction, which is on.
    async fn may_ask_for(&self, audience: &str, attributes: &Attributes<'_>) -> bool {
        let request = RequestInfo {
            is_resource: true,
            verb: AUDIENCE_VERB.into(),
            version: "v1".into(),
            namespace: attributes.namespace.into(),
            resource: audience.into(),
            name: attributes.name.clone(),
            ..RequestInfo::default()
        };
        let asked = authorization::Attributes { user: attributes.user, request: &request };
        let Some(authorizer) = self.authorizer.get() else { return false };
        authorizer.authorize(asked).await.is_allowed()
    }
}

fn pod_status(node: &str, attributes: &Attributes<'_>) -> Result<(), String> {
    if attributes.operation != Operation::Update {
        return Err(format!("unexpected operation {}", quote(attributes.operation.as_str())));
    }
    let (pod, old, node_quoted) = (&attributes.object, &attributes.old_object, quote(node));
    if on_node(old) != node {
        return Err(format!("node {node_quoted} can only update pod status for pods with spec.nodeName set to itself"));
    }
    if !changed_keys(pod.labels(), old.labels()).is_empty() {
        return Err(format!("node {node_quoted} cannot update labels through pod status"));
    }
    let claims = ["status", "resourceClaimStatuses"];
    if pod.items_at(&claims) != old.items_at(&claims) {
        return Err(format!("node {node_quoted} cannot update resource claim statues"));
    }
    let extended = ["status", "extendedResourceClaimStatus"];
    if !semantically_equal(pod.at(&extended), old.at(&extended)) {
        return Err(format!("node {node_quoted} cannot update extended resource claim status"));
    }
    Ok(())
}

fn claim_status(node: &str, attributes: &Attributes<'_>) -> Result<(), String> {
    if attributes.operation != Operation::Update {
        return Err(format!("unexpected operation {}", quote(attributes.operation.as_str())));
    }
    let others = |claim: &Value| {
        let mut claim = claim.clone();
        for field in ["resourceVersion", "managedFields"] {
            claim.unset_meta(field);
        }
        for field in ["capacity", "conditions", "allocatedResourceStatuses", "allocatedResources"] {
            claim.unset(&["status", field]);
        }
        claim
    };
    if semantically_equal(Some(&others(&attributes.object)), Some(&others(&attributes.old_object))) {
        return Ok(());
    }
    Err(format!(
        "node {} is not allowed to update fields other than status.capacity and status.conditions",
        quote(node)
    ))
}

fn same_name(node: &str, attributes: &Attributes<'_>, what: &str) -> Result<(), String> {
    let name = match attributes.operation {
        Operation::Create => attributes.object.name(),
        _ => attributes.name.as_str(),
    };
    if name == node { Ok(()) } else { Err(format!("can only access {what} with the same name as the requesting node")) }
}

#[cfg(test)]
mod tests;

//! What nodes may do: the rules of `system:node`, and to read what the pods on them use.
//!
//! Whether a pod on the node uses an object is found out from the node's pods in the object's namespace, so that an answer is
//! as fresh as the cache. Cost: one look at each of these, and for a secret that none of them names at the volumes that need
//! it, beside what has changed since the last question. What pods say is kept until they change.
//! Upstream: plugin/pkg/auth/authorizer/node (v1.35).

mod followed;
mod known;
mod references;
mod resource_slices;
mod volumes;

use std::sync::Arc;

use async_trait::async_trait;
use corten_apimachinery::{
    resource::ResourceDefinition,
    stored::Stored,
    value::{Str, Value, format_str},
};
use corten_apiserver::{
    RequestInfo,
    authorization::{Attributes, Authorizer, Decision},
};
use corten_resources::{core::pod, resource::resource_slice};
use corten_storage::object::cache_key;

use self::{
    followed::Followed,
    known::Known,
    references::{Kind, Uses},
    volumes::Bound,
};
use super::rbac::Rule;
use crate::caches::{Caches, tree};

const GROUP: &str = "system:nodes";
const USER_PREFIX: &str = "system:node:";
const LEASES: &str = "kube-node-lease";
/// The group of node leases.
const COORDINATION: &str = "coordination.k8s.io";
const STORAGE: &str = "storage.k8s.io";
const RESOURCE: &str = "resource.k8s.io";
/// The field by which lists are limited to one node.
const NODE_NAME: &str = "spec.nodeName";

/// Decides what nodes may do.
#[derive(Debug)]
pub struct Node {
    caches: Arc<Caches>,
    rules: Vec<Rule>,
    /// Where the facts of a pod tell its node.
    node_name_at: usize,
    /// Where those of a resource slice do.
    slice_node_name_at: usize,
    /// Pods by their node.
    pods: Followed,
    uses: Known<Uses>,
    /// Volumes by the cache keys of the secrets that mounting them takes.
    volumes: Followed,
}

/// Why a node may not, in upstream's words; empty where the rules just do not say so.
type Refusal = String;

impl Node {
    /// Lets nodes do what `rules` say, but for what they may only do with what is theirs.
    #[must_use]
    pub fn new(caches: Arc<Caches>, rules: Vec<Rule>) -> Self {
        let place = |resource: &ResourceDefinition| {
            let place = resource.selectable_fields.iter().position(|field| field.name == NODE_NAME);
            place.expect("pods and slices are selectable by their node")
        };
        let node_name_at = place(&pod::RESOURCE);
        let node_of = move |pod: &Stored| {
            let node = pod.facts.fields.get(node_name_at).filter(|node| !node.is_empty());
            node.map(Str::from).into_iter().collect()
        };
        // What cannot be read says nothing.
        let secrets_of = |volume: &Stored| tree(volume).map(|volume| Bound::of(&volume).secrets()).unwrap_or_default();
        Self {
            caches,
            rules,
            node_name_at,
            slice_node_name_at: place(&resource_slice::RESOURCE),
            pods: Followed::by_facts(node_of),
            uses: Known::new(Uses::of),
            volumes: Followed::by_text(secrets_of),
        }
    }

    async fn decide(&self, node: &str, request: &RequestInfo) -> Result<(), Refusal> {
        if !request.is_resource {
            return self.by_rules(request);
        }
        match (request.group.as_str(), request.resource.as_str()) {
            ("", "secrets") => self.read_secret(node, request).await,
            ("", "configmaps") => self.read_used(node, request, Kind::ConfigMap).await,
            ("", "persistentvolumeclaims") if request.subresource == "status" => {
                self.change_claim_status(node, request).await
            }
            ("", "persistentvolumeclaims") => self.get_used(node, request, Kind::Claim).await,
            ("", "persistentvolumes") => self.get_volume(node, request).await,
            ("", "serviceaccounts") => self.service_account(node, request).await,
            ("", "nodes") => self.node(node, request),
            ("", "pods") => self.pod(node, request),
            (RESOURCE, "resourceclaims") => self.get_used(node, request, Kind::ResourceClaim).await,
            (RESOURCE, "resourceslices") => self.resource_slice(node, request),
            (STORAGE, "volumeattachments") => self.get_attachment(node, request),
            (COORDINATION, "leases") => own(node, request, "node lease").and_then(|()| {
                if request.namespace == LEASES {
                    Ok(())
                } else {
                    Err(format!("can only access leases in the \"{LEASES}\" system namespace"))
                }
            }),
            (STORAGE, "csinodes") if !request.subresource.is_empty() => {
                Err("cannot authorize CSINode subresources".to_owned())
            }
            (STORAGE, "csinodes") => own(node, request, "CSINode"),
            _ => self.by_rules(request),
        }
    }

    fn by_rules(&self, request: &RequestInfo) -> Result<(), Refusal> {
        let combined = if request.subresource.is_empty() {
            request.resource.clone()
        } else {
            format_str!("{}/{}", request.resource, request.subresource)
        };
        if self.rules.iter().any(|rule| rule.allows(request, &combined)) { Ok(()) } else { Err(Refusal::new()) }
    }

    async fn read_used(&self, node: &str, request: &RequestInfo, kind: Kind) -> Result<(), Refusal> {
        if !matches!(request.verb.as_str(), "get" | "list" | "watch") {
            return Err("can only read resources of this type".to_owned());
        }
        if !request.subresource.is_empty() {
            return Err("cannot read subresource".to_owned());
        }
        if request.namespace.is_empty() {
            return Err("can only read namespaced object of this type".to_owned());
        }
        self.is_used(node, kind, &request.namespace, &request.name).await
    }

    async fn get_used(&self, node: &str, request: &RequestInfo, kind: Kind) -> Result<(), Refusal> {
        only_get(request)?;
        self.is_used(node, kind, &request.namespace, &request.name).await
    }

    /// A secret that a pod names, or the volume of a claim that a pod names.
    async fn read_secret(&self, node: &str, request: &RequestInfo) -> Result<(), Refusal> {
        let Err(refusal) = self.read_used(node, request, Kind::Secret).await else { return Ok(()) };
        let Some(volumes) = self.caches.get("", "persistentvolumes").filter(|_| refusal == unrelated(node)) else {
            return Err(refusal);
        };
        let secret = cache_key(&request.namespace, &request.name);
        let (keys, all) = self.volumes.about(volumes, &secret, "").await;
        for key in keys {
            let Some(Ok(volume)) = all.get(&key).map(|volume| tree(volume)) else { continue };
            let bound = Bound::of(&volume);
            let (namespace, claim) = &bound.claim;
            if bound.secrets().contains(&secret) && self.is_used(node, Kind::Claim, namespace, claim).await.is_ok() {
                return Ok(());
            }
        }
        Err(refusal)
    }

    async fn change_claim_status(&self, node: &str, request: &RequestInfo) -> Result<(), Refusal> {
        if !matches!(request.verb.as_str(), "update" | "patch") {
            return Err("can only get/update/patch this type".to_owned());
        }
        self.is_used(node, Kind::Claim, &request.namespace, &request.name).await
    }

    async fn get_volume(&self, node: &str, request: &RequestInfo) -> Result<(), Refusal> {
        only_get(request)?;
        let Some(volume) = self.object("", "persistentvolumes", "", &request.name) else { return Err(unrelated(node)) };
        let Bound { claim: (namespace, name), .. } = Bound::of(&volume);
        if name.is_empty() {
            return Err(unrelated(node));
        }
        self.is_used(node, Kind::Claim, &namespace, &name).await
    }

    fn get_attachment(&self, node: &str, request: &RequestInfo) -> Result<(), Refusal> {
        only_get(request)?;
        let attachment = self.object(STORAGE, "volumeattachments", "", &request.name);
        let is_own = attachment.is_some_and(|attachment| attachment.str_at(&["spec", "nodeName"]) == Some(node));
        if is_own { Ok(()) } else { Err(unrelated(node)) }
    }

    async fn service_account(&self, node: &str, request: &RequestInfo) -> Result<(), Refusal> {
        // Reading the account tells a credential provider which images its pods may pull.
        if !matches!((request.verb.as_str(), request.subresource.as_str()), ("create", "token") | ("get", "")) {
            return Err("can only create tokens for individual service accounts".to_owned());
        }
        self.is_used(node, Kind::ServiceAccount, &request.namespace, &request.name).await
    }

    fn node(&self, node: &str, request: &RequestInfo) -> Result<(), Refusal> {
        let reads = matches!(request.verb.as_str(), "get" | "list" | "watch");
        if !reads || !request.subresource.is_empty() {
            return self.by_rules(request);
        }
        match request.name.as_str() {
            "" => Err(format!("node '{node}' cannot read all nodes, only its own Node object")),
            name if name == node => Ok(()),
            name => Err(format!("node '{node}' cannot read '{name}', only its own Node object")),
        }
    }

    fn pod(&self, node: &str, request: &RequestInfo) -> Result<(), Refusal> {
        if !request.subresource.is_empty() {
            return self.by_rules(request);
        }
        match request.verb.as_str() {
            "list" | "watch" if selects_node(request, node) => Ok(()),
            "list" | "watch" if request.name.is_empty() => {
                Err("can only list/watch pods with spec.nodeName field selector".to_owned())
            }
            "get" | "list" | "watch" => {
                let cacher = self.caches.get("", "pods");
                let pod = cacher.and_then(|cacher| cacher.get(&cache_key(&request.namespace, &request.name)));
                if pod.is_some_and(|pod| self.is_on(&pod, node)) { Ok(()) } else { Err(unrelated(node)) }
            }
            _ => self.by_rules(request),
        }
    }

    /// Whether a pod on `node` uses the object.
    async fn is_used(&self, node: &str, kind: Kind, namespace: &str, name: &str) -> Result<(), Refusal> {
        if name.is_empty() {
            return Err("No Object name found".to_owned());
        }
        let Some(pods) = self.caches.get("", "pods") else { return Err(unrelated(node)) };
        let in_namespace = cache_key(namespace, "");
        let (own, snapshot) = self.pods.about(pods, node, &in_namespace).await;
        for key in &own {
            if !key.starts_with(in_namespace.as_str()) {
                break;
            }
            // By now it may be gone, or be another one of the same name.
            let Some(pod) = snapshot.get(key).filter(|pod| self.is_on(pod, node)) else { continue };
            let uses = self.uses.of(key, pod, &snapshot).await;
            if uses.has(kind, name) {
                return Ok(());
            }
        }
        Err(unrelated(node))
    }

    fn is_on(&self, pod: &Stored, node: &str) -> bool {
        pod.facts.fields.get(self.node_name_at) == Some(node)
    }

    fn object(&self, group: &'static str, plural: &'static str, namespace: &str, name: &str) -> Option<Value> {
        tree(&*self.caches.get(group, plural)?.get(&cache_key(namespace, name))?).ok()
    }
}

/// An object that has the name of its node.
fn own(node: &str, request: &RequestInfo, what: &str) -> Result<(), Refusal> {
    if !matches!(request.verb.as_str(), "get" | "create" | "update" | "patch" | "delete") {
        return Err(format!("can only get, create, update, patch, or delete a {what}"));
    }
    // The name of what is created is in its body, which is admission's to check.
    if request.verb != "create" && request.name != node {
        return Err(format!("can only access {what} with the same name as the requesting node"));
    }
    Ok(())
}

/// Whether a list is limited to what is of `node`.
fn selects_node(request: &RequestInfo, node: &str) -> bool {
    request.field_selector.required_value(NODE_NAME) == Some(node)
}

fn only_get(request: &RequestInfo) -> Result<(), Refusal> {
    if request.verb != "get" {
        return Err("can only get individual resources of this type".to_owned());
    }
    if request.subresource.is_empty() { Ok(()) } else { Err("cannot get subresource".to_owned()) }
}

fn unrelated(node: &str) -> Refusal {
    format!("no relationship found between node '{node}' and this object")
}

#[async_trait]
impl Authorizer for Node {
    async fn authorize(&self, attributes: Attributes<'_>) -> Decision {
        let user = attributes.user;
        let Some(node) = user.name.strip_prefix(USER_PREFIX) else {
            return Decision::NoOpinion { reason: String::new() };
        };
        if !user.groups.iter().any(|group| group == GROUP) {
            return Decision::NoOpinion { reason: String::new() };
        }
        if node.is_empty() {
            let user = corten_apimachinery::field::quote(&user.name);
            return Decision::NoOpinion { reason: format!("unknown node for user {user}") };
        }
        match self.decide(node, attributes.request).await {
            Ok(()) => Decision::Allow { reason: None },
            Err(reason) => Decision::NoOpinion { reason },
        }
    }
}

#[cfg(test)]
mod tests;

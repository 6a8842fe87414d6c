//! Nodes write only what is theirs: their own node, lease and pods' status, and mirrors of pods that they start themselves.
//!
//! Upstream: plugin/pkg/admission/noderestriction (v1.35). Not here: the subject of certificate requests, which the
//! certificates' own plugins check, and audiences that CSI drivers ask for, as no drivers are served.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

use async_trait::async_trait;
use corten_apimachinery::{
    field::quote,
    gvk::{GroupResource, GroupVersionResource},
    meta::ObjectMeta as _,
    status::Status,
    value::{Map, Str, Value, semantically_equal},
};
use corten_apiserver::{
    RequestInfo,
    admission::{Attributes, Operation, Plugin},
    authorization::{self, Authorizer},
};

use super::{CONTAINERS, catalog::Parts, forbidden};
use crate::caches::{Caches, tree};

const GROUP: &str = "system:nodes";
const USER_PREFIX: &str = "system:node:";
const MIRROR: &str = "kubernetes.io/config.mirror";
const LEASES: &str = "kube-node-lease";
/// The right to tokens for an audience, which stands where a resource does.
const AUDIENCE_VERB: &str = "request-serviceaccounts-token-audience";
/// Labels that decide where trusted workloads go.
const RESTRICTED: &str = "node-restriction.kubernetes.io";

/// The labels of the project that a kubelet may set on its node.
const OWN_LABELS: [&str; 11] = [
    "kubernetes.io/hostname",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
];
/// The domains under which it may set any.
const OWN_DOMAINS: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];

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
            ("csinodes", _) => same_name(node, attributes, "CSINode").map_err(refuse),
            _ => Ok(()),
        }
    }
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
        self.audience(&pod, attributes).await.map_err(refuse)
    }

    /// The token is for whom one of the pod's volumes wants it, or for somebody that the node was given a right to.
    ///
    /// Upstream: `validateNodeServiceAccountAudience`, behind the gate ServiceAccountNodeAudienceRestriction, which is on.
    async fn audience(&self, pod: &Value, attributes: &Attributes<'_>) -> Result<(), String> {
        let audience = match attributes.object.items_at(&["spec", "audiences"]) {
            [] => "",
            [audience] => audience.as_str().unwrap_or_default(),
            _ => return Err("node may only request 0 or 1 audiences".to_owned()),
        };
        if wants_audience(pod, audience) {
            return Ok(());
        }
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
        if let Some(authorizer) = self.authorizer.get()
            && authorizer.authorize(asked).await.is_allowed()
        {
            return Ok(());
        }
        Err(format!(
            "audience {} not found in pod spec volume, {} is not authorized to request tokens for this audience",
            quote(audience),
            attributes.user.name
        ))
    }
}

/// Whether one of the pod's volumes has a token for `audience`; an empty one is the API server.
fn wants_audience(pod: &Value, audience: &str) -> bool {
    let volumes = pod.items_at(&["spec", "volumes"]).iter();
    let sources = volumes.flat_map(|volume| volume.items_at(&["projected", "sources"]));
    let mut tokens = sources.filter_map(|source| source.get("serviceAccountToken")).filter(|token| !token.is_null());
    tokens.any(|token| token.str_at(&["audience"]).unwrap_or_default() == audience)
}

fn on_node(pod: &Value) -> &str {
    pod.str_at(&["spec", "nodeName"]).unwrap_or_default()
}

/// A pod that a node makes stands for one that it has started by itself, and belongs to the node.
fn mirror_pod(node: &str, pod: &Value) -> Result<(), String> {
    let quoted = quote(node);
    if pod.annotation(MIRROR).is_none() {
        return Err(format!(
            "pod does not have {} annotation, node {quoted} can only create mirror pods",
            quote(MIRROR)
        ));
    }
    if on_node(pod) != node {
        return Err(format!("node {quoted} can only create pods with spec.nodeName set to itself"));
    }
    let owner = match pod.owner_references() {
        [] => return Err(format!("node {quoted} can only create pods with an owner reference set to itself")),
        [owner] => owner,
        _ => return Err(format!("node {quoted} can only create pods with a single owner reference set to itself")),
    };
    let is_node = [("apiVersion", "v1"), ("kind", "Node"), ("name", node)]
        .iter()
        .all(|(key, value)| owner.str_at(&[key]) == Some(value));
    if !is_node {
        return Err(format!("node {quoted} can only create pods with an owner reference set to itself"));
    }
    if owner.bool_at(&["controller"]) != Some(true) {
        return Err(format!("node {quoted} can only create pods with a controller owner reference set to itself"));
    }
    if owner.bool_at(&["blockOwnerDeletion"]) == Some(true) {
        return Err(format!("node {quoted} must not set blockOwnerDeletion on an owner reference"));
    }
    Ok(())
}

/// Through a pod of its own, a node must not get at what it could not read otherwise.
fn no_references(node: &str, pod: &Value) -> Result<(), String> {
    let refuse = |what: &str| Err(format!("node {} can not create pods that reference {what}", quote(node)));
    if !pod.str_at(&["spec", "serviceAccountName"]).unwrap_or_default().is_empty() {
        return refuse("a service account");
    }
    let parts = || {
        let fields = CONTAINERS.into_iter().chain(["ephemeralContainers", "volumes"]);
        fields.flat_map(|field| pod.items_at(&["spec", field]))
    };
    let mentions = |keys: &[&str]| parts().any(|part| has_key(part, keys));
    if !pod.items_at(&["spec", "imagePullSecrets"]).is_empty()
        || mentions(&["secret", "secretKeyRef", "secretRef", "nodePublishSecretRef"])
    {
        return refuse("secrets");
    }
    if mentions(&["configMap", "configMapKeyRef", "configMapRef"]) {
        return refuse("configmaps");
    }
    if mentions(&["clusterTrustBundle"]) {
        return refuse("clustertrustbundles");
    }
    if mentions(&["persistentVolumeClaim"]) {
        return refuse("persistentvolumeclaims");
    }
    if pod.items_at(&["spec", "resourceClaims"]).is_empty() { Ok(()) } else { refuse("resourceclaims") }
}

/// Whether a field of one of these names is set anywhere in `value`.
fn has_key(value: &Value, keys: &[&str]) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| has_key(item, keys)),
        Value::Object(map) => map.iter().any(|(key, value)| {
            let key: &str = key;
            keys.contains(&key) && !value.is_null() || has_key(value, keys)
        }),
        _ => false,
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

fn own_node(node: &str, attributes: &Attributes<'_>) -> Result<(), String> {
    let (object, old, quoted) = (&attributes.object, &attributes.old_object, quote(node));
    if attributes.name != node {
        return Err(format!("node {quoted} is not allowed to modify node {}", quote(&attributes.name)));
    }
    let config = object.at(&["spec", "configSource"]).filter(|config| !config.is_null());
    match attributes.operation {
        Operation::Create => {
            if config.is_some() {
                return Err(format!("node {quoted} is not allowed to create pods with a non-nil configSource"));
            }
            let labels = restricted(&changed_keys(object.labels(), None));
            if !labels.is_empty() {
                return Err(format!("node {quoted} is not allowed to set the following labels: {labels}"));
            }
        }
        Operation::Update => {
            if config.is_some() && config != old.at(&["spec", "configSource"]) {
                return Err(format!(
                    "node {quoted} is not allowed to update configSource to a new non-nil configSource"
                ));
            }
            if object.items_at(&["spec", "taints"]) != old.items_at(&["spec", "taints"]) {
                return Err(format!("node {quoted} is not allowed to modify taints"));
            }
            let labels = restricted(&changed_keys(object.labels(), old.labels()));
            if !labels.is_empty() {
                return Err(format!("is not allowed to modify labels: {labels}"));
            }
        }
        _ => {}
    }
    Ok(())
}

fn same_name(node: &str, attributes: &Attributes<'_>, what: &str) -> Result<(), String> {
    let name = match attributes.operation {
        Operation::Create => attributes.object.name(),
        _ => attributes.name.as_str(),
    };
    if name == node { Ok(()) } else { Err(format!("can only access {what} with the same name as the requesting node")) }
}

/// The keys whose values differ.
fn changed_keys(new: Option<&Map>, old: Option<&Map>) -> BTreeSet<Str> {
    let mut changed = BTreeSet::new();
    for (map, other) in [(new, old), (old, new)] {
        for (key, value) in map.into_iter().flat_map(|map| map.iter()) {
            if other.and_then(|other| other.get(key)) != Some(value) {
                changed.insert(Str::from(key));
            }
        }
    }
    changed
}

/// Those labels that a kubelet may not touch, as a list for people.
fn restricted(labels: &BTreeSet<Str>) -> String {
    let restricted: Vec<&str> = labels.iter().map(Str::as_str).filter(|label| is_restricted(label)).collect();
    restricted.join(", ")
}

fn is_restricted(label: &str) -> bool {
    let Some((domain, _)) = label.split_once('/') else { return false };
    let within = |of: &str| domain == of || domain.strip_suffix(of).is_some_and(|rest| rest.ends_with('.'));
    if within(RESTRICTED) {
        return true;
    }
    let is_projects = within("kubernetes.io") || within("k8s.io");
    is_projects && !OWN_LABELS.contains(&label) && !OWN_DOMAINS.iter().any(|domain| within(domain))
}

#[cfg(test)]
mod tests {
    use corten_apimachinery::resource::UserInfo;
    use serde_json::json;

    use super::*;
    use crate::testing::{Cluster, admin, tree, user};

    fn node(name: &str) -> UserInfo {
        user(&format!("system:node:{name}"), &["system:nodes", "system:authenticated"])
    }

    #[test]
    fn a_kubelet_sets_only_the_labels_that_are_its_own() {
        for (label, want) in [
            ("kubernetes.io/hostname", false),
            ("topology.kubernetes.io/zone", false),
            ("x.node.kubernetes.io/a", false),
            ("example.com/a", false),
            ("plain", false),
            ("node-restriction.kubernetes.io/a", true),
            ("x.node-restriction.kubernetes.io/a", true),
            ("kubernetes.io/other", true),
            ("node-role.kubernetes.io/control-plane", true),
            ("xkubernetes.io/a", false),
        ] {
            assert_eq!(is_restricted(label), want, "{label}");
        }
    }

    #[test]
    fn a_mirror_pod_belongs_to_its_node() {
        let pod = |owner: serde_json::Value| {
            tree(json!({"metadata": {"annotations": {MIRROR: "x"}, "ownerReferences": owner},
                "spec": {"nodeName": "n"}}))
        };
        let owner = json!({"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u", "controller": true});
        mirror_pod("n", &pod(json!([owner]))).unwrap();
        for (owners, want) in [
            (json!([]), "node \"n\" can only create pods with an owner reference set to itself"),
            (json!([owner, owner]), "node \"n\" can only create pods with a single owner reference set to itself"),
            (
                json!([{"apiVersion": "v1", "kind": "Node", "name": "n"}]),
                "node \"n\" can only create pods with a controller owner reference set to itself",
            ),
        ] {
            assert_eq!(mirror_pod("n", &pod(owners)).unwrap_err(), want);
        }
        let spec =
            json!({"containers": [{"envFrom": [{"secretRef": {"name": "s"}}]}], "nodeSelector": {"configMap": "x"}});
        assert_eq!(
            no_references("n", &tree(json!({"spec": spec}))).unwrap_err(),
            "node \"n\" can not create pods that reference secrets"
        );
        no_references("n", &tree(json!({"spec": {"nodeSelector": {"configMap": "x"}}}))).unwrap();
    }

    #[tokio::test]
    async fn a_node_writes_only_what_is_its_own() {
        let cluster = Cluster::start().await;
        let make = |who: &str, path: &str, object: serde_json::Value| cluster.post(node(who), path.to_owned(), object);
        let why = |result: Result<Value, Status>| result.unwrap_err().message;
        let object = |name: &str| json!({"metadata": {"name": name}});
        let made = make("n1", "/api/v1/nodes", object("n1")).await.unwrap();
        assert_eq!(
            why(make("n1", "/api/v1/nodes", object("n2")).await),
            "nodes \"n2\" is forbidden: node \"n1\" is not allowed to modify node \"n2\""
        );
        let mut tainted =
            json!({"metadata": {"name": "n1"}, "spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}});
        assert_eq!(
            why(cluster.put(node("n1"), "/api/v1/nodes/n1", tainted.clone()).await),
            "nodes \"n1\" is forbidden: node \"n1\" is not allowed to modify taints"
        );
        tainted["metadata"]["labels"] = json!({"node-role.kubernetes.io/x": ""});
        // A new node has a taint of its own.
        tainted["spec"] = json!({"taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]});
        assert_eq!(
            why(cluster.put(node("n1"), "/api/v1/nodes/n1", tainted).await),
            "nodes \"n1\" is forbidden: is not allowed to modify labels: node-role.kubernetes.io/x"
        );
        let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
        make("n1", leases, object("n1")).await.unwrap();
        assert_eq!(
            why(make("n1", leases, object("n2")).await),
            "leases.coordination.k8s.io \"n2\" is forbidden: can only access node lease with the same name as the \
             requesting node"
        );

        // With the account that pods run as.
        cluster.make_pod("p").await;
        let pods = "/api/v1/namespaces/default/pods";
        let owner = json!({"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": made.uid(), "controller": true});
        let mut pod = json!({
            "metadata": {"name": "mirror", "ownerReferences": [owner]},
            "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]},
        });
        assert_eq!(
            why(make("n1", pods, pod.clone()).await),
            "pods \"mirror\" is forbidden: pod does not have \"kubernetes.io/config.mirror\" annotation, node \"n1\" can \
             only create mirror pods"
        );
        pod["metadata"]["annotations"] = json!({MIRROR: "hash"});
        make("n1", pods, pod).await.unwrap();
        assert_eq!(
            why(cluster.delete(node("n2"), &format!("{pods}/mirror")).await),
            "pods \"mirror\" is forbidden: node \"n2\" can only delete pods with spec.nodeName set to itself"
        );

        let target = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}});
        cluster.post(admin(), format!("{pods}/p/binding"), target).await.unwrap();
        let status = |reader: &Value| {
            json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]},
                "status": {"phase": "Running", "message": reader.name()}})
        };
        let running = cluster.put(node("n1"), &format!("{pods}/p/status"), status(&made)).await.unwrap();
        assert_eq!(running.str_at(&["status", "phase"]), Some("Running"));
        assert_eq!(
            why(cluster.put(node("n2"), &format!("{pods}/p/status"), status(&made)).await),
            "pods \"p\" is forbidden: node \"n2\" can only update pod status for pods with spec.nodeName set to itself"
        );
        let eviction = json!({"metadata": {"name": "p"}});
        assert_eq!(
            why(make("n2", &format!("{pods}/p/eviction"), eviction).await),
            "pods \"p\" is forbidden: node n2 can only evict pods with spec.nodeName set to itself"
        );

        let token = "/api/v1/namespaces/default/serviceaccounts/default/token";
        let bound = |uid: &str| {
            json!({"spec": {"audiences": [], "boundObjectRef":
                {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": uid}}})
        };
        make("n1", token, bound(running.uid())).await.unwrap();
        assert!(
            why(make("n1", token, json!({"spec": {"audiences": []}})).await)
                .ends_with("node requested token not bound to a pod")
        );
        assert!(
            why(make("n1", token, bound("")).await).ends_with("node requested token with a pod binding without a uid")
        );
        cluster.stop().await;
    }

    /// A kubelet could ask for a token of any audience, and so be the pod's account to services outside the cluster.
    #[tokio::test]
    async fn a_node_gets_tokens_only_for_those_whom_its_pods_talk_to() {
        let cluster = Cluster::start().await;
        cluster.post(admin(), "/api/v1/nodes", json!({"metadata": {"name": "n1"}})).await.unwrap();
        // With the account that the pod runs as.
        cluster.make_pod("other").await;
        let source = json!({"serviceAccountToken": {"path": "t", "audience": "vault"}});
        let pod = json!({
            "metadata": {"name": "p"},
            "spec": {
                "nodeName": "n1", "containers": [{"name": "c", "image": "i"}],
                "volumes": [{"name": "v", "projected": {"sources": [source]}}],
            },
        });
        let pod = cluster.post(admin(), "/api/v1/namespaces/default/pods", pod).await.unwrap();
        let ask = |audiences: serde_json::Value| {
            let object = json!({"spec": {"audiences": audiences, "boundObjectRef":
                {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": pod.uid()}}});
            cluster.post(node("n1"), "/api/v1/namespaces/default/serviceaccounts/default/token", object)
        };
        ask(json!([])).await.unwrap();
        ask(json!(["vault"])).await.unwrap();
        let refused = ask(json!(["x"])).await.unwrap_err();
        assert_eq!(
            (refused.code, refused.message.as_str()),
            (
                403,
                "serviceaccounts \"default\" is forbidden: audience \"x\" not found in pod spec volume, system:node:n1 is \
                 not authorized to request tokens for this audience"
            )
        );
        assert_eq!(
            ask(json!(["vault", "x"])).await.unwrap_err().message,
            "serviceaccounts \"default\" is forbidden: node may only request 0 or 1 audiences"
        );
        let role = json!({"metadata": {"name": "r"}, "rules": [
            {"verbs": ["request-serviceaccounts-token-audience"], "apiGroups": [""], "resources": ["x"],
                "resourceNames": ["default"]}]});
        let binding = json!({"metadata": {"name": "r"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:nodes"}]});
        let rbac = "/apis/rbac.authorization.k8s.io/v1";
        cluster.post(admin(), format!("{rbac}/clusterroles"), role).await.unwrap();
        cluster.post(admin(), format!("{rbac}/clusterrolebindings"), binding).await.unwrap();
        ask(json!(["x"])).await.unwrap();
        cluster.stop().await;
    }
}

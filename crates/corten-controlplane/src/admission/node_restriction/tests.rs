//! What a node may write, and what not.

use base64::Engine as _;
use corten_apimachinery::resource::UserInfo;
use serde_json::json;

use super::{super::MIRROR, own_node::is_restricted, *};
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
    let spec = json!({"containers": [{"envFrom": [{"secretRef": {"name": "s"}}]}], "nodeSelector": {"configMap": "x"}});
    assert_eq!(
        no_references("n", &tree(json!({"spec": spec}))).unwrap_err(),
        "node \"n\" can not create pods that reference secrets"
    );
    let volumes = json!([{"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}]);
    assert_eq!(
        no_references("n", &tree(json!({"spec": {"volumes": volumes}}))).unwrap_err(),
        "node \"n\" can not create pods that reference persistentvolumeclaims (via ephemeral volumes)"
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
    let mut tainted = json!({"metadata": {"name": "n1"}, "spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}});
    assert_eq!(
        why(cluster.put(node("n1"), "/api/v1/nodes/n1", tainted.clone()).await),
        "nodes \"n1\" is forbidden: node \"n1\" is not allowed to modify taints"
    );
    let owner = json!([{"apiVersion": "v1", "kind": "Node", "name": "gone", "uid": "u"}]);
    tainted["spec"] = json!({"taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]});
    let mut owned = tainted.clone();
    owned["metadata"]["ownerReferences"] = owner;
    assert_eq!(
        why(cluster.put(node("n1"), "/api/v1/nodes/n1", owned).await),
        "nodes \"n1\" is forbidden: node \"n1\" is not allowed to modify ownerReferences"
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
    assert!(why(make("n1", token, bound("")).await).ends_with("node requested token with a pod binding without a uid"));
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

/// PKCS#10 of `O=system:nodes, CN=system:node:n1`.
const OF_N1: &str = concat!(
    "MIHsMIGSAgEAMDAxFTATBgNVBAoMDHN5c3RlbTpub2RlczEXMBUGA1UEAwwOc3lzdGVtOm5vZGU6bjEwWTATBgcqhkjOPQIBBggqhkjO",
    "PQMBBwNCAAT58CN8gLxU+25My1TZ7aJnMfvTrCoFxLF+yTpMwAaaEh89c0MnhWASD3tdBckuzmw1KDO854lNo+2fmWQQWM41oAAwCgYI",
    "KoZIzj0EAwIDSQAwRgIhAPFIWrqOhrxp+ZKiShlRdLUvhClicOZgp/p6dfXT2ckgAiEAw7yJrk5giOMxsffJtT+p59qyUGzAz1H+imcD",
    "7Nnobew=",
);

#[tokio::test]
async fn a_node_asks_for_certificates_in_its_own_name() {
    let cluster = Cluster::start().await;
    let pem = format!("-----BEGIN CERTIFICATE REQUEST-----\n{OF_N1}\n-----END CERTIFICATE REQUEST-----\n");
    let pem = base64::engine::general_purpose::STANDARD.encode(pem);
    let ask = |who: UserInfo, name: &str, signer: &str| {
        let usages = if signer.ends_with("serving") { "server auth" } else { "client auth" };
        let object = json!({"metadata": {"name": name},
            "spec": {"request": pem, "signerName": signer, "usages": ["digital signature", usages]}});
        cluster.post(who, "/apis/certificates.k8s.io/v1/certificatesigningrequests".to_owned(), object)
    };
    for signer in KUBELET_SIGNERS {
        let name = signer.rsplit_once('/').unwrap().1;
        ask(node("n1"), name, signer).await.unwrap();
        assert_eq!(
            ask(node("n2"), "other", signer).await.unwrap_err().message,
            "certificatesigningrequests.certificates.k8s.io \"other\" is forbidden: can only create a node CSR with \
             CN=system:node:n2"
        );
        ask(admin(), &format!("admins-{name}"), signer).await.unwrap();
    }
    ask(node("n2"), "user", "kubernetes.io/kube-apiserver-client").await.unwrap();
    cluster.stop().await;
}

#[tokio::test]
async fn a_node_publishes_only_devices_of_its_own() {
    const SLICES: &str = "/apis/resource.k8s.io/v1/resourceslices";
    let cluster = Cluster::start().await;
    let slice = |name: &str, node: &str| {
        json!({"metadata": {"name": name}, "spec": {"driver": "gpu.example.com", "nodeName": node,
            "pool": {"name": node, "generation": 1, "resourceSliceCount": 1}}})
    };
    let why = |result: Result<Value, Status>| result.unwrap_err().message;
    let made = cluster.post(node("n1"), SLICES, slice("a", "n1")).await.unwrap();
    assert_eq!(made.generation(), 1);
    cluster.post(admin(), SLICES, slice("b", "n2")).await.unwrap();
    assert_eq!(
        why(cluster.post(node("n1"), SLICES, slice("c", "n2")).await),
        "resourceslices.resource.k8s.io \"c\" is forbidden: can only create ResourceSlice with the same NodeName as the \
         requesting node"
    );
    let refused = |verb: &str, name: &str, why: &str| {
        let name = if name.is_empty() { String::new() } else { format!(" \"{name}\"") };
        format!(
            "resourceslices.resource.k8s.io{name} is forbidden: User \"system:node:n1\" cannot {verb} resource \
             \"resourceslices\" in API group \"resource.k8s.io\" at the cluster scope: {why}"
        )
    };
    const UNRELATED: &str = "no relationship found between node 'n1' and this object";
    let at = |name: &str| format!("{SLICES}/{name}");
    let mut grown = slice("a", "n1");
    grown["spec"]["devices"] = json!([{"name": "gpu-0"}]);
    assert_eq!(cluster.put(node("n1"), &at("a"), grown).await.unwrap().generation(), 2);
    assert_eq!(why(cluster.get(node("n1"), &at("b")).await), refused("get", "b", UNRELATED));
    assert_eq!(why(cluster.put(node("n1"), &at("b"), slice("b", "n2")).await), refused("update", "b", UNRELATED));
    assert_eq!(why(cluster.delete(node("n1"), &at("b")).await), refused("delete", "b", UNRELATED));
    let selected = |node: &str| format!("{SLICES}?fieldSelector=spec.nodeName%3D{node}");
    let found = cluster.get(node("n1"), &selected("n1")).await.unwrap();
    assert_eq!(found.as_i64(), Some(1), "a list reads as the number of its items");
    let only = "can only list/watch/deletecollection resourceslices with nodeName field selector";
    assert_eq!(why(cluster.get(node("n1"), SLICES).await), refused("list", "", only));
    assert_eq!(why(cluster.get(node("n1"), &selected("n2")).await), refused("list", "", only));
    cluster.delete(node("n1"), &selected("n1")).await.unwrap();
    assert_eq!(cluster.get(admin(), &at("a")).await.unwrap_err().code, 404);
    cluster.get(admin(), &at("b")).await.unwrap();
    cluster.stop().await;
}

/// A driver that wants tokens of a pod's account did not get them through the kubelet.
#[tokio::test]
async fn a_node_gets_tokens_for_drivers_of_volumes() {
    let cluster = Cluster::start().await;
    cluster.post(admin(), "/api/v1/nodes", json!({"metadata": {"name": "n1"}})).await.unwrap();
    // With the account that the pods run as.
    cluster.make_pod("other").await;
    let driver = |name: &str, audience: &str| {
        json!({"metadata": {"name": name},
            "spec": {"tokenRequests": [{"audience": audience}], "volumeLifecycleModes": ["Persistent", "Ephemeral"]}})
    };
    for (name, audience) in [("a.example.com", "of-inline"), ("b.example.com", "of-claim")] {
        cluster.post(admin(), "/apis/storage.k8s.io/v1/csidrivers", driver(name, audience)).await.unwrap();
    }
    let volume = json!({"metadata": {"name": "pv"}, "spec": {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
        "csi": {"driver": "b.example.com", "volumeHandle": "h"},
    }});
    cluster.post(admin(), "/api/v1/persistentvolumes", volume).await.unwrap();
    let claim = json!({"metadata": {"name": "data"}, "spec": {
        "volumeName": "pv", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
    }});
    cluster.post(admin(), "/api/v1/namespaces/default/persistentvolumeclaims", claim).await.unwrap();
    let pod = json!({"metadata": {"name": "p"}, "spec": {
        "nodeName": "n1", "containers": [{"name": "c", "image": "i"}],
        "volumes": [
            {"name": "a", "csi": {"driver": "a.example.com"}},
            {"name": "b", "persistentVolumeClaim": {"claimName": "data"}},
            {"name": "c", "persistentVolumeClaim": {"claimName": "missing"}},
        ],
    }});
    let pod = cluster.post(admin(), "/api/v1/namespaces/default/pods", pod).await.unwrap();
    let ask = |audience: &str| {
        let object = json!({"spec": {"audiences": [audience], "boundObjectRef":
            {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": pod.uid()}}});
        cluster.post(node("n1"), "/api/v1/namespaces/default/serviceaccounts/default/token", object)
    };
    for audience in ["of-inline", "of-claim"] {
        ask(audience).await.unwrap();
    }
    assert_eq!(ask("of-nobody").await.unwrap_err().code, 403);
    cluster.stop().await;
}

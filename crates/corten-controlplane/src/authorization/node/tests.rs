use corten_apimachinery::meta::ObjectMeta as _;
use serde_json::json;

use super::references::{Kind, Uses};
use crate::testing::{Cluster, admin, tree, user};

#[test]
fn a_pod_uses_what_it_names() {
    let pod = tree(json!({"metadata": {"name": "p"}, "spec": {
        "serviceAccountName": "robot",
        "imagePullSecrets": [{"name": "pull"}],
        "volumes": [
            {"name": "a", "secret": {"secretName": "s1"}},
            {"name": "b", "projected": {"sources": [{"secret": {"name": "s2"}}, {"configMap": {"name": "c1"}}]}},
            {"name": "c", "persistentVolumeClaim": {"claimName": "v1"}},
            {"name": "d", "ephemeral": {"volumeClaimTemplate": {}}},
        ],
        "containers": [{
            "name": "s9",
            "env": [{"name": "c9", "valueFrom": {"secretKeyRef": {"name": "s3", "key": "k"}}}],
            "envFrom": [{"configMapRef": {"name": "c2"}}],
        }],
    }}));
    let uses = Uses::of(&pod);
    for (kind, used) in [
        (Kind::Secret, ["s1", "s2", "s3", "pull"].as_slice()),
        (Kind::ConfigMap, &["c1", "c2"]),
        (Kind::Claim, &["v1", "p-d"]),
        (Kind::ServiceAccount, &["robot"]),
        (Kind::ResourceClaim, &[]),
    ] {
        for name in ["s1", "s2", "s3", "s9", "c1", "c2", "c9", "v1", "p-d", "p-a", "pull", "robot"] {
            assert_eq!(uses.has(kind, name), used.contains(&name), "{kind:?} {name}");
        }
    }
}

#[test]
fn a_pod_uses_the_claims_that_were_made_for_it() {
    let uses = Uses::of(&tree(json!({
        "metadata": {"name": "p"},
        "spec": {"resourceClaims": [{"name": "a", "resourceClaimName": "own"}, {"name": "b"}]},
        "status": {
            "resourceClaimStatuses": [{"name": "b", "resourceClaimName": "p-b-x"}],
            "extendedResourceClaimStatus": {"resourceClaimName": "p-extended", "requestMappings": []},
        },
    })));
    for (name, used) in [("own", true), ("p-b-x", true), ("p-extended", true), ("b", false)] {
        assert_eq!(uses.has(Kind::ResourceClaim, name), used, "{name}");
    }
}

#[tokio::test]
async fn a_node_reads_what_its_pods_use() {
    let cluster = Cluster::start().await;
    cluster
        .post(admin(), "/api/v1/namespaces/default/serviceaccounts", json!({"metadata": {"name": "default"}}))
        .await
        .unwrap();
    for name in ["used", "other"] {
        cluster.post(admin(), "/api/v1/namespaces/default/secrets", json!({"metadata": {"name": name}})).await.unwrap();
    }
    let pod = json!({"metadata": {"name": "p"}, "spec": {
        "nodeName": "n1",
        "containers": [{"name": "c", "image": "i", "envFrom": [{"secretRef": {"name": "used"}}]}],
    }});
    let pod = cluster.post(admin(), "/api/v1/namespaces/default/pods", pod).await.unwrap();
    let node = |name: &str| user(&format!("system:node:{name}"), &["system:nodes", "system:authenticated"]);
    let get = async |who: &str, path: &str| cluster.get(node(who), path).await.map_err(|status| status.message);

    let secret = |name: &str| format!("/api/v1/namespaces/default/secrets/{name}");
    assert!(get("n1", &secret("used")).await.is_ok());
    for (who, name) in [("n1", "other"), ("n2", "used")] {
        assert_eq!(
            get(who, &secret(name)).await.unwrap_err(),
            format!(
                "secrets \"{name}\" is forbidden: User \"system:node:{who}\" cannot get resource \"secrets\" in API \
                 group \"\" in the namespace \"default\": no relationship found between node '{who}' and this object"
            )
        );
    }
    assert!(get("n1", "/api/v1/namespaces/default/pods/p").await.is_ok());
    assert!(get("n2", "/api/v1/namespaces/default/pods/p").await.is_err());
    assert!(get("n1", "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1").await.is_ok());
    assert!(get("n1", "/api/v1/pods?fieldSelector=spec.nodeName%3Dn2").await.is_err());
    assert!(get("n1", "/api/v1/pods").await.is_err());
    assert!(get("n1", "/api/v1/services").await.is_ok());
    assert!(get("n1", "/api/v1/nodes").await.is_err());
    let token = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let bound = || {
        let reference = json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": pod.uid()});
        json!({"spec": {"boundObjectRef": reference}})
    };
    assert!(cluster.post(node("n1"), token, bound()).await.is_ok());
    assert_eq!(cluster.post(node("n2"), token, json!({"spec": {}})).await.unwrap_err().code, 403);
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    assert!(cluster.post(node("n1"), leases, json!({"metadata": {"name": "n1"}})).await.is_ok());
    assert!(get("n2", &format!("{leases}/n1")).await.is_err());
    cluster.stop().await;
}

use corten_apimachinery::{Value, meta::ObjectMeta as _, status::Status};
use corten_client::PatchKind;
use corten_storage::object::cache_key;
use serde_json::json;

use super::{
    references::{Kind, Uses},
    volumes::Bound,
};
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

/// The node that makes a mirror pod had the rights of one that was scheduled to it.
#[test]
fn a_mirror_pod_uses_nothing() {
    let mut pod = json!({
        "metadata": {"name": "p", "annotations": {"kubernetes.io/config.mirror": "x"}},
        "spec": {"volumes": [{"name": "d", "ephemeral": {"volumeClaimTemplate": {}}}]},
    });
    assert_eq!(Uses::of(&tree(pod.clone())), Uses::default());
    pod["metadata"]["annotations"] = json!({});
    assert_ne!(Uses::of(&tree(pod)), Uses::default());
}

#[test]
fn a_bound_volume_leads_to_the_secrets_that_nodes_need() {
    let check = |bound: bool, source: serde_json::Value, want: &[(&str, &str)]| {
        let mut spec = source.clone();
        if bound {
            spec["claimRef"] = json!({"namespace": "ns", "name": "c"});
        }
        let volume = Bound::of(&tree(json!({"spec": spec})));
        assert_eq!((&*volume.claim.0, &*volume.claim.1), if bound { ("ns", "c") } else { ("", "") });
        for name in ["a", "b", "c", "d", "e"] {
            for namespace in ["ns", "other", ""] {
                let has = volume.secrets().contains(&cache_key(namespace, name));
                assert_eq!(has, want.contains(&(namespace, name)), "{namespace}/{name} of {source}");
            }
        }
    };
    let at = |name: &str| json!({"namespace": "other", "name": name});
    let csi = json!({"csi": {
        "nodePublishSecretRef": at("a"), "nodeStageSecretRef": at("b"), "nodeExpandSecretRef": at("c"),
        "controllerPublishSecretRef": at("d"), "controllerExpandSecretRef": at("e"),
    }});
    check(true, csi.clone(), &[("other", "a"), ("other", "b"), ("other", "c")]);
    check(false, csi, &[]);
    check(true, json!({"azureFile": {"secretName": "a"}}), &[("ns", "a")]);
    check(true, json!({"azureFile": {"secretName": "a", "secretNamespace": "other"}}), &[("other", "a")]);
    check(true, json!({"iscsi": {"secretRef": {"name": "a"}}}), &[("ns", "a")]);
    check(true, json!({"rbd": {"secretRef": at("a")}}), &[("other", "a")]);
    check(true, json!({"csi": {"nodeStageSecretRef": {"name": ""}}}), &[]);
}

/// Nodes wrote the status of any claim, and did not get at the secrets of volumes.
#[tokio::test]
async fn a_node_has_rights_to_the_claims_of_its_pods_and_to_the_secrets_of_their_volumes() {
    let cluster = Cluster::start().await;
    let claims = "/api/v1/namespaces/default/persistentvolumeclaims";
    for name in ["used", "other"] {
        let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": "", "volumeName": format!("pv-{name}")});
        cluster.post(admin(), claims, json!({"metadata": {"name": name}, "spec": spec})).await.unwrap();
        let secret = json!({"metadata": {"name": format!("stage-{name}")}});
        cluster.post(admin(), "/api/v1/namespaces/kube-system/secrets", secret).await.unwrap();
        let volume = json!({"metadata": {"name": format!("pv-{name}")}, "spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
            "claimRef": {"namespace": "default", "name": name},
            "csi": {"driver": "d.example.com", "volumeHandle": name,
                "nodeStageSecretRef": {"namespace": "kube-system", "name": format!("stage-{name}")}},
        }});
        cluster.post(admin(), "/api/v1/persistentvolumes", volume).await.unwrap();
    }
    let account = json!({"metadata": {"name": "default"}});
    cluster.post(admin(), "/api/v1/namespaces/default/serviceaccounts", account).await.unwrap();
    let pod = json!({"metadata": {"name": "p"}, "spec": {
        "nodeName": "n1",
        "containers": [{"name": "c", "image": "i"}],
        "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "used"}}],
    }});
    cluster.post(admin(), "/api/v1/namespaces/default/pods", pod).await.unwrap();
    let node = |name: &str| user(&format!("system:node:{name}"), &["system:nodes", "system:authenticated"]);
    let code = |result: Result<Value, Status>| match result {
        Ok(_) => 200,
        Err(status) => status.code,
    };
    for (who, name, want) in [("n1", "used", 200), ("n1", "other", 403), ("n2", "used", 403)] {
        let secret = format!("/api/v1/namespaces/kube-system/secrets/stage-{name}");
        assert_eq!(code(cluster.get(node(who), &secret).await), want, "{who} {secret}");
        let path = format!("{claims}/{name}/status");
        let status = json!({"status": {"capacity": {"storage": "2Gi"}}});
        assert_eq!(code(cluster.patch(node(who), &path, PatchKind::Merge, status).await), want, "{who} {path}");
    }
    let refused = cluster.get(node("n1"), &format!("{claims}/used/status")).await.unwrap_err();
    assert!(refused.message.ends_with(": can only get/update/patch this type"), "{}", refused.message);
    let one = "/api/v1/namespaces/default/pods?fieldSelector=metadata.name%3Dp";
    assert_eq!(code(cluster.get(node("n1"), one).await), 200);
    assert_eq!(code(cluster.get(node("n2"), one).await), 403);
    // A review of such a request says the same.
    for (name, want) in [("n1", true), ("n2", false)] {
        let fields = json!({"requirements": [{"key": "spec.nodeName", "operator": "In", "values": [name]}]});
        let attributes = json!({"verb": "list", "resource": "pods", "fieldSelector": fields});
        let spec = json!({"user": "system:node:n1", "groups": ["system:nodes"], "resourceAttributes": attributes});
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        let review = cluster.post(admin(), path, json!({"spec": spec})).await.unwrap();
        assert_eq!(review.bool_at(&["status", "allowed"]), Some(want), "{name}");
    }
    cluster.stop().await;
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

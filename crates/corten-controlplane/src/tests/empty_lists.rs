//! Lists without items, which are not the same as none until an object was stored.
//!
//! Upstream: built-in kinds but definitions and API services are stored as protobuf, and every write is answered with what was
//! read back; a dry run goes the same way (`DryRunnableStorage` in k8s.io/apiserver/pkg/registry/generic/registry, v1.35).

use corten_apimachinery::Value;
use serde_json::{Value as Json, json};

use super::{
    custom_resources::{CRDS, cluster_with_tabs},
    *,
};

const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles";
const INGRESSES: &str = "/apis/networking.k8s.io/v1/namespaces/default/ingresses";
const AUTOSCALERS: &str = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";

/// They stayed what they were.
#[tokio::test]
async fn what_is_always_shown_is_null_once_it_was_stored() {
    let cluster = Cluster::start().await;
    let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    let slice = |endpoints: Json| json!({"metadata": {"name": "x"}, "addressType": "IPv4", "endpoints": endpoints, "ports": []});
    for (path, object, lists) in [
        (ROLES, json!({"metadata": {"name": "x"}, "rules": []}), &["rules"][..]),
        (slices, slice(json!([])), &["endpoints", "ports"]),
    ] {
        let shows = |object: &Value| {
            let shown = lists.iter().filter(|list| object.get(list) == Some(&Value::Null));
            assert_eq!(shown.count(), lists.len(), "{object:?}");
        };
        shows(&cluster.post(admin(), format!("{path}?dryRun=All"), object.clone()).await.unwrap());
        let made = cluster.post(admin(), path, object.clone()).await.unwrap();
        shows(&made);
        let at = &format!("{path}/x");
        shows(&cluster.get(admin(), at).await.unwrap());
        // That is no change.
        let put = cluster.put(admin(), at, object).await.unwrap();
        shows(&put);
        assert_eq!(put.resource_version(), made.resource_version());
        let patch = json!({lists[0]: []});
        shows(&cluster.patch(admin(), at, PatchKind::Merge, patch).await.unwrap());
    }
    let rule = json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]);
    let role = json!({"metadata": {"name": "x"}, "rules": rule});
    let put = cluster.put(admin(), &format!("{ROLES}/x"), role).await.unwrap();
    assert_eq!(put.items_at(&["rules"]).len(), 1);
    cluster.stop().await;
}

#[tokio::test]
async fn definitions_keep_them() {
    let cluster = cluster_with_tabs().await;
    let name = cluster.page(admin(), CRDS).await.items[0].name.to_string();
    let at = &format!("{CRDS}/{name}/status");
    let patch = json!({"status": {"storedVersions": ["v1"], "conditions": []}});
    let patched = cluster.patch(admin(), at, PatchKind::Merge, patch).await.unwrap();
    assert_eq!(patched.at(&["status", "conditions"]), Some(&Value::array([])));
    cluster.stop().await;
}

/// What was left out when the object was read got its default.
#[tokio::test]
async fn no_policy_is_told_from_the_default_ones() {
    let cluster = Cluster::start().await;
    let autoscaler = |up: Json| {
        json!({"metadata": {"name": "x"}, "spec": {"maxReplicas": 2, "behavior": {"scaleUp": up},
            "scaleTargetRef": {"kind": "Deployment", "name": "x", "apiVersion": "apps/v1"}}})
    };
    let refused = cluster.post(admin(), AUTOSCALERS, autoscaler(json!({"policies": []}))).await.unwrap_err();
    let want = "HorizontalPodAutoscaler.autoscaling \"x\" is invalid: spec.behavior.scaleUp.policies: Required value: must \
                specify at least one Policy";
    assert_eq!((refused.code, &*refused.message), (422, want));
    let made = cluster.post(admin(), AUTOSCALERS, autoscaler(json!({"policies": null}))).await.unwrap();
    assert_eq!(made.items_at(&["spec", "behavior", "scaleUp", "policies"]).len(), 2);
    cluster.stop().await;
}

#[tokio::test]
async fn no_rules_of_an_ingress_are_shown_in_its_refusal_alone() {
    let cluster = Cluster::start().await;
    let refusal = async |spec: Json| {
        let ingress = json!({"metadata": {"name": "x"}, "spec": spec});
        cluster.post(admin(), INGRESSES, ingress).await.unwrap_err().message.to_string()
    };
    let why = "either `defaultBackend` or `rules` must be specified";
    for (spec, shown) in [(json!({"rules": []}), "[]"), (json!({}), "null"), (json!({"rules": null}), "null")] {
        let want = format!("Ingress.networking.k8s.io \"x\" is invalid: spec: Invalid value: {shown}: {why}");
        assert_eq!(refusal(spec).await, want);
    }
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let ingress = json!({"metadata": {"name": "x"}, "spec": {"rules": [], "defaultBackend": backend}});
    let mut made = cluster.post(admin(), INGRESSES, ingress).await.unwrap();
    made.expand_raw();
    assert_eq!(made.at(&["spec", "rules"]), None);
    assert!(!format!("{:?}", made.items_at(&["metadata", "managedFields"])).contains("f:rules"));
    cluster.stop().await;
}

//! Gates that change what a server shows of itself: each was taken, and nothing asked for it.

use corten_apimachinery::{resource::UserInfo, value::Value};
use serde_json::json;

use crate::testing::{Cluster, admin};

#[tokio::test]
async fn enums_are_listed_unless_the_gate_is_off() {
    for (gates, is_listed) in [("", true), ("OpenAPIEnums=false", false)] {
        let cluster = Cluster::start_gated(gates).await;
        for path in ["/openapi/v2", "/openapi/v3/api/v1"] {
            let document = cluster.get(admin(), path).await.unwrap();
            let text = document.as_str().unwrap_or_default();
            assert!(text.contains("restartPolicy"), "{path}");
            assert_eq!(text.contains("\"enum\":[\"Always\",\"Never\",\"OnFailure\"]"), is_listed, "{gates} {path}");
        }
        cluster.stop().await;
    }
}

#[tokio::test]
async fn the_form_in_which_something_is_stored_is_told_unless_the_gate_is_off() {
    for (gates, is_told) in [("", true), ("StorageVersionHash=false", false)] {
        let cluster = Cluster::start_gated(gates).await;
        let list = cluster.get(admin(), "/api/v1").await.unwrap();
        let pods = list.items_at(&["resources"]).iter().find(|one| one.str_at(&["name"]) == Some("pods"));
        assert_eq!(pods.unwrap().at(&["storageVersionHash"]).is_some(), is_told, "{gates}");
        cluster.stop().await;
    }
}

#[tokio::test]
async fn a_watch_begins_with_no_list_where_the_gate_is_off() {
    let path = "/api/v1/namespaces/default/configmaps?watch=true&sendInitialEvents=true";
    let cluster = Cluster::start_gated("WatchList=false").await;
    let refused = cluster.failure(&format!("{path}&resourceVersionMatch=NotOlderThan"), admin()).await;
    let why = "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is \
               enabled";
    assert_eq!(refused.str_at(&["message"]), Some(&*format!("ListOptions.meta.k8s.io \"\" is invalid: {why}")));
    let refused = cluster.failure(path, admin()).await;
    let first =
        "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
    assert_eq!(
        refused.str_at(&["message"]),
        Some(&*format!("ListOptions.meta.k8s.io \"\" is invalid: [{first}, {why}]"))
    );
    cluster.stop().await;
}

/// Who may get but not create gets into a container by a WebSocket only where the gate is off.
#[tokio::test]
async fn a_web_socket_needs_the_right_to_create_unless_the_gate_is_off() {
    for (gates, code) in [("", 403), ("AuthorizePodWebsocketUpgradeCreatePermission=false", 400)] {
        let cluster = Cluster::start_gated(gates).await;
        cluster.make_pod("p").await;
        let rbac = "/apis/rbac.authorization.k8s.io/v1";
        let rules = json!([{"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get"]}]);
        let role = json!({"metadata": {"name": "reader"}, "rules": rules});
        cluster.post(admin(), format!("{rbac}/clusterroles"), role).await.unwrap();
        let binding = json!({
            "metadata": {"name": "reader"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ann"}],
        });
        cluster.post(admin(), format!("{rbac}/clusterrolebindings"), binding).await.unwrap();
        let ann = UserInfo { name: "ann".into(), ..UserInfo::default() };
        // The pod has no node yet, which is found out behind the question of rights.
        let refused = cluster.failure("/api/v1/namespaces/default/pods/p/exec?command=ls&stdout=true", ann).await;
        assert_eq!(refused.at(&["code"]), Some(&Value::Int(code)), "{gates}: {refused:?}");
        cluster.stop().await;
    }
}

#[tokio::test]
async fn rules_that_taint_devices_have_a_gate_of_their_own() {
    for (gates, is_served) in [("DRADeviceTaints=true", false), ("DRADeviceTaints=true,DRADeviceTaintRules=true", true)]
    {
        let cluster = Cluster::start_gated_switched(gates, "resource.k8s.io/v1alpha3=true").await;
        let rules = cluster.get(admin(), "/apis/resource.k8s.io/v1alpha3/devicetaintrules").await;
        assert_eq!(rules.is_ok(), is_served, "{gates}");
        cluster.stop().await;
    }
}

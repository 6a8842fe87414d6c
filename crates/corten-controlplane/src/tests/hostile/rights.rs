//! Rights that somebody gives themselves: by a role, by a binding, by what an aggregated role gathers.

use super::*;
use crate::testing::user;

const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
const GROUP: &str = "rbac.authorization.k8s.io";

fn role(name: &str, rules: serde_json::Value) -> serde_json::Value {
    json!({"metadata": {"name": name}, "rules": rules})
}

fn binding(name: &str, role: &str, who: &str) -> serde_json::Value {
    json!({
        "metadata": {"name": name}, "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": GROUP, "kind": "User", "name": who}],
    })
}

#[tokio::test]
async fn nobody_gives_themselves_rights() {
    let cluster = Cluster::start().await;
    // May write roles and bindings, and read config maps; nothing else.
    let writer = json!([
        {"apiGroups": [GROUP], "resources": ["*"], "verbs": ["get", "list", "create", "update", "patch", "delete"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]},
    ]);
    cluster.post(admin(), ROLES, role("writer", writer)).await.unwrap();
    cluster.post(admin(), BINDINGS, binding("writer", "writer", "eve")).await.unwrap();
    let eve = || user("eve", &["system:authenticated"]);
    let secrets = json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]);
    let maps = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]);
    let everything = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
    let not_held = "is attempting to grant RBAC permissions not currently held";

    let mut labelled = role("more", secrets.clone());
    labelled["metadata"]["labels"] = json!({"rbac.authorization.k8s.io/aggregate-to-view": "true"});
    let mut gathering = role("gathering", json!([]));
    gathering["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]});
    let mut escalating = maps.clone();
    escalating[0]["verbs"] = json!(["get", "escalate", "bind"]);
    let urls = json!([{"nonResourceURLs": ["*"], "verbs": ["get"]}]);
    for (what, object, message) in [
        ("more than is held", role("more", secrets.clone()), not_held),
        ("everything", role("more", everything), not_held),
        ("all paths", role("more", urls), not_held),
        ("verbs that give rights", role("more", escalating), not_held),
        ("what another role gathers", labelled, not_held),
        ("a role that gathers", gathering, "must have cluster-admin privileges to use an aggregationRule"),
    ] {
        let status = cluster.post(eve(), ROLES, object).await.expect_err(what);
        assert_eq!((status.code, status.reason.as_str()), (403, "Forbidden"), "{what}: {}", status.message);
        assert!(status.message.contains(message), "{what}: {}", status.message);
    }
    for (what, path, object) in [
        ("bound to everything", BINDINGS, binding("up", "cluster-admin", "eve")),
        ("bound for somebody else", BINDINGS, binding("up", "system:kube-scheduler", "mallory")),
        (
            "bound in a namespace",
            "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings",
            binding("up", "cluster-admin", "eve"),
        ),
    ] {
        let status = cluster.post(eve(), path, object).await.expect_err(what);
        assert_eq!(status.code, 403, "{what}: {}", status.message);
        assert!(status.message.contains(not_held), "{what}: {}", status.message);
    }
    // What is held may be given, and cannot be made into more afterwards.
    cluster.post(eve(), ROLES, role("same", maps)).await.unwrap();
    let path = format!("{ROLES}/same");
    let status = cluster.put(eve(), &path, role("same", secrets.clone())).await.unwrap_err();
    assert!(status.code == 403 && status.message.contains(not_held), "{}", status.message);
    let patch = json!([{"op": "replace", "path": "/rules", "value": secrets}]);
    let status = cluster.patch(eve(), &path, PatchKind::Json, patch).await.unwrap_err();
    assert!(status.code == 403 && status.message.contains(not_held), "{}", status.message);
    // A binding's role stays what it is.
    let status =
        cluster.put(eve(), &format!("{BINDINGS}/writer"), binding("writer", "cluster-admin", "eve")).await.unwrap_err();
    assert!(status.code == 403 || status.code == 422, "{} {}", status.code, status.message);
    let code = cluster.code(Method::GET, "/api/v1/namespaces/default/secrets/x", eve()).await;
    assert_eq!(code, 403, "nothing of all that has helped");
    cluster.stop().await;
}

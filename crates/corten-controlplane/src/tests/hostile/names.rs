//! Paths, names, selectors and tokens that should lead somewhere else.

use super::*;

fn get(what: &'static str, path: &str, want: Want) -> Row {
    Row { what, request: request("GET", path, &[], ""), want }
}

fn post(what: &'static str, path: &str, body: serde_json::Value, want: Want) -> Row {
    let body = body.to_string();
    Row { what, request: request("POST", path, &[("content-type", "application/json")], body), want }
}

#[tokio::test]
async fn paths_lead_nowhere_else() {
    let served = Served::start().await;
    let missing = |message| (404, "NotFound", message);
    let named = |name: &str| json!({"metadata": {"name": name}});
    served
        .check(vec![
            // No path is cleaned before it is routed; what storage would make of it is refused there.
            get("up from a namespace", "/api/v1/namespaces/../secrets", (500, "", "invalid key: \"/secrets/..\"")),
            get("up, watched", "/api/v1/namespaces/../secrets?watch=1", (500, "", "invalid key: \"/secrets/..\"")),
            get("here in a namespace", "/api/v1/namespaces/./secrets", (500, "", "invalid key: \"/secrets/.\"")),
            get(
                "up from a namespace of a group",
                "/apis/apps/v1/namespaces/%2e%2e/deployments",
                (500, "", "invalid key: \"/deployments/..\""),
            ),
            get("up, encoded", "/api/v1/namespaces/%2e%2e/secrets/x", (500, "", "invalid key: \"/secrets/../x\"")),
            Row {
                what: "deleted up from a namespace",
                request: request("DELETE", "/api/v1/namespaces/../configmaps", &[], ""),
                want: (500, "", "invalid key: \"/configmaps/..\""),
            },
            post(
                "made up from a namespace",
                "/api/v1/namespaces/../configmaps",
                named("a"),
                (500, "InternalError", "Internal error occurred: invalid resource name \"..\": [may not be '..']"),
            ),
            // A route begins as it is written; what is behind it is cut at each slash.
            get("two slashes before all", "//api/v1/namespaces/default/configmaps/m0", (404, "", "")),
            get("two slashes before the version", "/api//v1/namespaces/default/configmaps/m0", missing("")),
            get("a slash at the end", "/api/v1/namespaces/default/configmaps/m0/", (200, "", "")),
            get("up and down again", "/api/v1/namespaces/default/../default/configmaps/m0", missing("")),
            get("up to the version", "/api/v1/../v1/namespaces/default/configmaps/m0", missing("")),
            get(
                "a name that is up",
                "/api/v1/namespaces/default/configmaps/..",
                (400, "BadRequest", "may not be '..'"),
            ),
            get(
                "a name that is here",
                "/api/v1/namespaces/default/configmaps/%2e",
                (400, "BadRequest", "may not be '.'"),
            ),
            get("half an escape", "/api/v1/namespaces/default/configmaps/m0%2", (400, "", "")),
            get("no escape", "/api/v1/namespaces/%zz/configmaps", (400, "", "")),
            get("up, encoded twice", "/api/v1/namespaces/%252e%252e/configmaps/x", missing("")),
            get("a slash in a name", "/api/v1/namespaces/default/configmaps/..%2f..%2fsecrets%2fx", missing("")),
            get("a slash in a namespace", "/api/v1/namespaces/default%2fx/configmaps/m0", missing("")),
            get("a byte of nothing", "/api/v1/namespaces/default/configmaps/m0%00", missing("")),
            get("bytes that are no text", "/api/v1/namespaces/default/configmaps/m0%ff", missing("")),
            get("a kind of the cluster in a namespace", "/api/v1/namespaces/default/nodes/x", missing("")),
            get(
                "a role of the cluster in a namespace",
                "/apis/rbac.authorization.k8s.io/v1/namespaces/default/clusterroles/cluster-admin",
                missing(""),
            ),
            get("a kind of namespaces without one", "/api/v1/configmaps/m0", missing("")),
            post("made without a namespace", "/api/v1/configmaps", named("a"), (405, "MethodNotAllowed", "")),
            post("made up a level", MAPS, named("../a"), (422, "Invalid", "metadata.name")),
            post("made with a slash", MAPS, named("a/b"), (422, "Invalid", "metadata.name")),
            post("made as a dot", MAPS, named("."), (422, "Invalid", "metadata.name")),
            post("made with a byte of nothing", MAPS, named("a\0"), (422, "Invalid", "metadata.name")),
            post(
                "made by a prefix with a slash",
                MAPS,
                json!({"metadata": {"generateName": "../"}}),
                (422, "Invalid", ""),
            ),
            post("a name of a megabyte", MAPS, named(&"a".repeat(1 << 20)), (422, "Invalid", "metadata.name")),
            post(
                "made in another namespace",
                MAPS,
                json!({"metadata": {"name": "a", "namespace": "kube-system"}}),
                (400, "BadRequest", "does not match the namespace"),
            ),
            post("a namespace with a slash", "/api/v1/namespaces", named("a/b"), (422, "Invalid", "metadata.name")),
        ])
        .await;
    served.stop().await;
}

#[tokio::test]
async fn a_custom_resource_of_the_cluster_is_in_no_namespace() {
    let served = Served::start().await;
    let definition = json!({
        "metadata": {"name": "globals.example.com"},
        "spec": {"group": "example.com", "scope": "Cluster", "names": {"plural": "globals", "kind": "Global"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]},
    });
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    served.cluster.post(admin(), definitions, definition).await.unwrap();
    super::super::custom_resources::until_established(&served.cluster, "globals.example.com").await;
    let (of_cluster, in_namespace) =
        ("/apis/example.com/v1/globals", "/apis/example.com/v1/namespaces/default/globals");
    let object = json!({"apiVersion": "example.com/v1", "kind": "Global", "metadata": {"name": "one"}});
    served.cluster.post(admin(), of_cluster, object.clone()).await.unwrap();
    // Upstream's handler of custom resources knows no such path, and answers with plain text.
    let missing = (404, "", "404 page not found\n");
    served
        .check(vec![
            get("listed in a namespace", in_namespace, missing),
            get("read in a namespace", &format!("{in_namespace}/one"), missing),
            post("made in a namespace", in_namespace, object, missing),
            Row {
                what: "deleted in a namespace",
                request: request("DELETE", &format!("{in_namespace}/one"), &[], ""),
                want: missing,
            },
        ])
        .await;
    assert!(served.cluster.get(admin(), &format!("{of_cluster}/one")).await.is_ok());
    served.stop().await;
}

#[tokio::test]
async fn selectors_and_tokens_are_bounded_and_checked() {
    let served = Served::start().await;
    let bad = |message| (400, "BadRequest", message);
    let list = |query: String| format!("{MAPS}?{query}");
    let token = |text: &str| format!("limit=1&continue={}", base64(text));
    let forged = |start: &str| token(&format!(r#"{{"v":"meta.k8s.io/v1","rv":1,"start":"{start}"}}"#));
    let labels: Vec<String> = (0..2_000).map(|n| format!("l{n}")).collect();
    served
        .check(vec![
            get("a selector of open brackets", &list(format!("labelSelector={}", "(".repeat(20_000))), bad("")),
            get("a selector of denials", &list(format!("labelSelector={}", "!".repeat(20_000))), bad("")),
            get("a selector of many labels", &list(format!("labelSelector={}", labels.join(","))), bad("")),
            // It was dropped, and the request meant everything.
            get("a selector that is no text", &list("labelSelector=a%3D%ff".to_owned()), bad("Invalid value")),
            Row {
                what: "a deletion by a selector that is no text",
                request: request("DELETE", &list("labelSelector=%ff".to_owned()), &[], ""),
                want: bad(""),
            },
            get(
                "a field that is none",
                &list("fieldSelector=data.x%3D1".to_owned()),
                bad("is not a known field selector"),
            ),
            get("a field selector of commas", &list(format!("fieldSelector={}", ",".repeat(20_000))), (200, "", "")),
            get("a token of noise", &list("continue=%21%21".to_owned()), bad("continue key is not valid")),
            get("a token of another form", &list(token("[]")), bad("continue key is not valid")),
            get("a deep token", &list(token(&"[".repeat(10_000))), bad("continue key is not valid")),
            get("a token that leads up", &list(forged("../../secrets")), bad("continue key is not valid")),
            get("a token that leads up at its end", &list(forged("default/..")), bad("continue key is not valid")),
            get(
                "a token of another version",
                &list(token(r#"{"v":"v9","rv":1,"start":"a"}"#)),
                bad("does not recognize"),
            ),
            get(
                "a token of no revision",
                &list(token(r#"{"v":"meta.k8s.io/v1","start":"a"}"#)),
                bad("resourceVersion"),
            ),
            get("a revision that is none", &list("resourceVersion=-1".to_owned()), bad("")),
            get("a limit that is none", &list("limit=99999999999999999999".to_owned()), bad("")),
            get("a timeout that is none", &list("watch=1&timeoutSeconds=1e9".to_owned()), bad("")),
        ])
        .await;
    served.stop().await;
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
}

//! The real kubectl creates, lists, watches and patches objects.

use std::io::{BufRead as _, BufReader};

use corten_e2e::Cluster;

#[test]
fn a_new_cluster_has_what_every_cluster_has() {
    let cluster = Cluster::start().unwrap();
    let kubectl = cluster.kubectl().unwrap();
    kubectl.ok(&[
        "wait",
        "--for=jsonpath={.status.phase}=Active",
        "namespace/default",
        "namespace/kube-system",
        "--timeout=30s",
    ]);
    let names = kubectl.ok(&["get", "namespaces", "-o", "name"]);
    for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
        assert!(names.contains(&format!("namespace/{name}\n")), "{names}");
    }
    assert!(kubectl.ok(&["version"]).contains("Server Version: v1.35"));
    assert_eq!(kubectl.ok(&["get", "--raw", "/readyz"]), "ok");
    let resources = kubectl.ok(&["api-resources"]);
    for line in ["configmaps", "deployments", "pods", "services"] {
        assert!(resources.lines().any(|resource| resource.starts_with(line)), "{line} in:\n{resources}");
    }
}

#[test]
fn an_object_lives_from_create_to_delete() {
    let cluster = Cluster::start().unwrap();
    let kubectl = cluster.kubectl().unwrap();
    assert_eq!(kubectl.ok(&["create", "configmap", "a", "--from-literal=x=1"]), "configmap/a created\n");
    assert!(kubectl.fails(&["create", "configmap", "a"]).contains(r#"configmaps "a" already exists"#));
    kubectl.ok(&["label", "configmap", "a", "tier=front"]);
    kubectl.ok(&["patch", "configmap", "a", "--type=merge", "-p", r#"{"data":{"y":"2"}}"#]);
    kubectl.ok(&["patch", "configmap", "a", "--type=strategic", "-p", r#"{"data":{"z":"3"}}"#]);
    kubectl.ok(&["patch", "configmap", "a", "--type=json", "-p", r#"[{"op":"remove","path":"/data/x"}]"#]);
    let object = kubectl.json(&["get", "configmap", "a"]);
    assert_eq!(object["data"], serde_json::json!({"y": "2", "z": "3"}));
    assert_eq!(object["metadata"]["labels"], serde_json::json!({"tier": "front"}));
    assert!(kubectl.ok(&["get", "configmaps", "-l", "tier=front"]).contains("a      2"));
    assert!(!kubectl.ok(&["get", "configmaps", "-l", "tier!=front", "-o", "name"]).contains("/a\n"));
    assert_eq!(kubectl.ok(&["delete", "configmap", "a"]), "configmap \"a\" deleted from default namespace\n");
    assert!(kubectl.fails(&["get", "configmap", "a"]).contains(r#"configmaps "a" not found"#));
}

#[test]
fn a_watch_shows_every_change_in_order() {
    let cluster = Cluster::start().unwrap();
    let kubectl = cluster.kubectl().unwrap();
    let mut watch = kubectl
        .start(&[
            "get",
            "configmaps",
            // A controller makes another one here.
            "--field-selector=metadata.name=watched",
            "--watch",
            "--output-watch-events",
            "-o",
            "jsonpath={.type} {.object.data.n}{\"\\n\"}",
        ])
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines().map(Result::unwrap);
    for number in 0..5 {
        let literal = format!("--from-literal=n={number}");
        kubectl.ok(&["create", "configmap", "watched", &literal]);
        let patch = format!(r#"{{"data":{{"n":"{number}b"}}}}"#);
        kubectl.ok(&["patch", "configmap", "watched", "-p", &patch]);
        kubectl.ok(&["delete", "configmap", "watched"]);
        for want in [format!("ADDED {number}"), format!("MODIFIED {number}b"), format!("DELETED {number}b")] {
            assert_eq!(lines.next().unwrap(), want);
        }
    }
    watch.kill().unwrap();
    watch.wait().unwrap();
}

#[test]
fn a_deployment_is_described_scaled_and_exposed() {
    let cluster = Cluster::start().unwrap();
    let kubectl = cluster.kubectl().unwrap();
    kubectl.ok(&["create", "deployment", "web", "--image=web:1", "--replicas=2", "--port=8080"]);
    kubectl.ok(&["scale", "deployment/web", "--replicas=5"]);
    kubectl.ok(&["set", "image", "deployment/web", "web=web:2"]);
    kubectl.ok(&["expose", "deployment/web", "--port=8080", "--type=NodePort"]);
    let deployment = kubectl.json(&["get", "deployment", "web"]);
    assert_eq!(deployment["spec"]["replicas"], 5);
    assert_eq!(deployment["spec"]["template"]["spec"]["containers"][0]["image"], "web:2");
    assert_eq!(deployment["metadata"]["generation"], 3);
    assert!(kubectl.ok(&["describe", "deployment", "web"]).contains("5 desired"));
}

#[test]
fn large_lists_come_in_pages_of_one_state() {
    let cluster = Cluster::start().unwrap();
    let kubectl = cluster.kubectl().unwrap();
    let items: Vec<String> = (0..60)
        .map(|n| format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"page-{n:02}"}}}}"#))
        .collect();
    let list = format!(r#"{{"apiVersion":"v1","kind":"List","items":[{}]}}"#, items.join(","));
    let created = kubectl.run_with(&["create", "--validate=false", "-f", "-"], &list).unwrap();
    assert!(created.success, "{}", created.err);
    let paged = kubectl.ok(&["get", "configmaps", "--chunk-size=7", "-o", "name"]);
    let whole = kubectl.ok(&["get", "configmaps", "--chunk-size=0", "-o", "name"]);
    assert_eq!(paged, whole);
    assert_eq!(whole.lines().filter(|line| line.starts_with("configmap/page-")).count(), 60);
}

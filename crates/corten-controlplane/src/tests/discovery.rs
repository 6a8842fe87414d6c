//! Discovery follows definitions, group by group.

use std::sync::Arc;

use corten_apimachinery::Value;
use corten_apiserver::endpoints::NonResource;
use serde_json::json;

use super::custom_resources::{CRDS, until_established};
use crate::testing::{Cluster, admin};

async fn define(cluster: &Cluster, plural: &str, group: &str) {
    let name = format!("{plural}.{group}");
    let schema = json!({"type": "object"});
    let definition = json!({
        "metadata": {"name": name},
        "spec": {
            "group": group, "scope": "Namespaced", "names": {"plural": plural, "kind": plural.to_uppercase()},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    });
    cluster.post(admin(), CRDS, definition).await.unwrap();
    until_established(cluster, &name).await;
}

fn document(cluster: &Cluster, path: &str) -> Arc<dyn NonResource> {
    Arc::clone(cluster.server.routes().non_resource(path).expect("is served"))
}

/// All documents were made anew for each definition, which took a square of their number where many came at once.
#[tokio::test]
async fn a_definition_makes_the_documents_of_its_group_alone() {
    let cluster = Cluster::start().await;
    define(&cluster, "as", "one.example.com").await;
    let paths = ["/apis/apps", "/apis/apps/v1", "/apis/one.example.com", "/apis/one.example.com/v1", "/api/v1"];
    let before = paths.map(|path| document(&cluster, path));
    define(&cluster, "bs", "two.example.com").await;
    for (path, before) in paths.iter().zip(&before) {
        assert!(Arc::ptr_eq(before, &document(&cluster, path)), "{path}");
    }
    define(&cluster, "cs", "one.example.com").await;
    let is_kept = |path: &str| {
        paths.iter().zip(&before).any(|(at, it)| *at == path && Arc::ptr_eq(it, &document(&cluster, path)))
    };
    assert!(is_kept("/apis/apps/v1") && !is_kept("/apis/one.example.com/v1"));
    let list = cluster.get(admin(), "/apis/one.example.com/v1").await.unwrap();
    let names = |list: &Value| -> Vec<String> {
        let resources = list.items_at(&["resources"]).iter().filter_map(|resource| resource.str_at(&["name"]));
        resources.map(str::to_owned).collect()
    };
    assert_eq!(names(&list), ["as", "cs"]);
    let groups = cluster.get(admin(), "/apis").await.unwrap();
    let custom = groups.items_at(&["groups"]).iter().filter_map(|group| group.str_at(&["name"]));
    let custom: Vec<_> = custom.filter(|name| name.ends_with(".example.com")).collect();
    assert_eq!(custom, ["one.example.com", "two.example.com"]);
    cluster.stop().await;
}

/// All of them were failures whose message was the document.
#[tokio::test]
async fn components_of_this_process_read_documents() {
    let cluster = Cluster::start().await;
    let client = cluster.client(admin());
    assert_eq!(client.get_path("/version").await.unwrap().str_at(&["major"]), Some("1"));
    assert_eq!(client.get_path("/openapi/v2").await.unwrap().str_at(&["swagger"]), Some("2.0"));
    let text = client.get_path("/healthz").await.unwrap_err();
    assert_eq!((text.code, text.reason.as_str()), (406, "NotAcceptable"), "{}", text.message);
    assert_eq!(client.get_path("/nothing").await.unwrap_err().code, 404);
    cluster.stop().await;
}

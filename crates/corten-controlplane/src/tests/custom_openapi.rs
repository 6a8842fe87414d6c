//! OpenAPI of custom resources, from a definition to its end.

use std::collections::BTreeMap;

use corten_apimachinery::Value;
use corten_client::PatchKind;
use http::Method;
use serde_json::json;

use super::custom_resources::{CRDS, cluster_with_tabs, until};
use crate::testing::{Cluster, admin, value};

const NAME: &str = "crontabs.example.com";

async fn document(cluster: &Cluster, path: &str) -> Value {
    let body = cluster.get(admin(), path).await.unwrap();
    value(&body.as_str().unwrap().to_owned().into())
}

/// The documents that the index lists, with the paths that it has them under.
async fn index(cluster: &Cluster) -> BTreeMap<String, String> {
    let index = document(cluster, "/openapi/v3").await;
    let entries = index.get("paths").unwrap().as_object().unwrap().iter();
    let url = |entry: &Value| entry.str_at(&["serverRelativeURL"]).unwrap().to_owned();
    entries.map(|(name, entry)| (name.to_owned(), url(entry))).collect()
}

fn keys(value: Option<&Value>) -> Vec<&str> {
    value.unwrap().as_object().unwrap().iter().map(|(name, _)| name).collect()
}

/// The query parameters of an operation and of its path.
fn parameters<'d>(item: &'d Value, method: &str) -> Vec<&'d str> {
    let of = [item.items_at(&["parameters"]), item.items_at(&[method, "parameters"])];
    let mut names: Vec<&str> = of.into_iter().flatten().filter_map(|one| one.str_at(&["name"])).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn the_index_has_upstreams_entries() {
    let cluster = cluster_with_tabs().await;
    let index = index(&cluster).await;
    for name in [
        ".well-known/openid-configuration",
        "api",
        "api/v1",
        "apis",
        "apis/apps",
        "apis/apps/v1",
        "apis/example.com/v1",
        "apis/example.com/v1beta1",
        "openid/v1/jwks",
        "version",
    ] {
        let url = index.get(name).unwrap_or_else(|| panic!("{name} is not listed"));
        assert!(url.starts_with(&format!("/openapi/v3/{name}?hash=")), "{url}");
        assert!(document(&cluster, url).await.get("paths").is_some(), "{name}");
    }
    assert!(!index.contains_key("apis/example.com"), "upstream has none for groups of custom resources alone");
    cluster.stop().await;
}

#[tokio::test]
async fn version_3_has_a_document_for_each_version_of_custom_resources() {
    let cluster = cluster_with_tabs().await;
    let document = document(&cluster, "/openapi/v3/apis/example.com/v1").await;
    assert_eq!(document.str_at(&["info", "title"]), Some("Kubernetes CRD Swagger"));
    let root = "/apis/example.com/v1/namespaces/{namespace}/crontabs";
    let item = format!("{root}/{{name}}");
    let (status, scale) = (format!("{item}/status"), format!("{item}/scale"));
    assert_eq!(keys(document.get("paths")), ["/apis/example.com/v1/crontabs", root, &*item, &*scale, &*status]);
    assert_eq!(
        keys(document.at(&["components", "schemas"])),
        [
            "com.example.v1.CronTab",
            "com.example.v1.CronTabList",
            "io.k8s.api.autoscaling.v1.Scale",
            "io.k8s.api.autoscaling.v1.ScaleSpec",
            "io.k8s.api.autoscaling.v1.ScaleStatus",
            "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
            "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1",
            "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta",
            "io.k8s.apimachinery.pkg.apis.meta.v1.ManagedFieldsEntry",
            "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
            "io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference",
            "io.k8s.apimachinery.pkg.apis.meta.v1.Patch",
            "io.k8s.apimachinery.pkg.apis.meta.v1.Preconditions",
            "io.k8s.apimachinery.pkg.apis.meta.v1.Status",
            "io.k8s.apimachinery.pkg.apis.meta.v1.StatusCause",
            "io.k8s.apimachinery.pkg.apis.meta.v1.StatusDetails",
            "io.k8s.apimachinery.pkg.apis.meta.v1.Time",
        ]
    );
    let paths = document.get("paths").unwrap();
    let of = |path: &str, method: &str| {
        let operation = paths.at(&[path, method]).unwrap();
        (operation.str_at(&["operationId"]).unwrap().to_owned(), operation.str_at(&["description"]).unwrap().to_owned())
    };
    for (path, method, id, description) in [
        (
            "/apis/example.com/v1/crontabs",
            "get",
            "listExampleComV1CronTabForAllNamespaces",
            "list objects of kind CronTab",
        ),
        (root, "post", "createExampleComV1NamespacedCronTab", "create a CronTab"),
        (root, "delete", "deleteExampleComV1CollectionNamespacedCronTab", "delete collection of CronTab"),
        (&item, "patch", "patchExampleComV1NamespacedCronTab", "partially update the specified CronTab"),
        (&status, "put", "replaceExampleComV1NamespacedCronTabStatus", "replace status of the specified CronTab"),
        (&scale, "get", "readExampleComV1NamespacedCronTabScale", "read scale of the specified CronTab"),
    ] {
        assert_eq!(of(path, method), (id.to_owned(), description.to_owned()));
    }
    assert_eq!(parameters(paths.at(&[&item]).unwrap(), "get"), ["name", "namespace", "pretty", "resourceVersion"]);
    assert_eq!(
        parameters(paths.at(&[&item]).unwrap(), "patch"),
        ["dryRun", "fieldManager", "fieldValidation", "force", "name", "namespace", "pretty"]
    );
    assert_eq!(
        keys(paths.at(&[&item, "patch", "requestBody", "content"])),
        ["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"]
    );
    assert_eq!(keys(paths.at(&[root, "get", "responses", "200", "content"])), ["application/json", "application/yaml"]);
    let schema = document.at(&["components", "schemas", "com.example.v1.CronTab"]).unwrap();
    assert_eq!(schema.str_at(&["properties", "spec", "properties", "image", "default"]), Some("busybox"));
    assert_eq!(schema.items_at(&["x-kubernetes-selectable-fields"])[0].str_at(&["fieldPath"]), Some("spec.image"));
    let meta = &schema.items_at(&["properties", "metadata", "allOf"])[0];
    assert_eq!(meta.str_at(&["$ref"]), Some("#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"));
    cluster.stop().await;
}

#[tokio::test]
async fn version_2_has_custom_resources_among_all_others() {
    let cluster = cluster_with_tabs().await;
    let document = document(&cluster, "/openapi/v2").await;
    for name in ["com.example.v1.CronTab", "com.example.v1beta1.CronTabList", "io.k8s.api.core.v1.Pod"] {
        assert!(document.at(&["definitions", name]).is_some(), "{name}");
    }
    let list = document.at(&["paths", "/apis/example.com/v1/crontabs", "get"]).unwrap();
    assert_eq!(list.items_at(&["produces"]), ["application/json", "application/yaml"].map(Value::from));
    assert!(document.at(&["paths", "/version/"]).is_some());
    cluster.stop().await;
}

#[tokio::test]
async fn documents_follow_the_definition_and_no_other_changes() {
    let cluster = cluster_with_tabs().await;
    let before = index(&cluster).await;
    let unscaled = json!([{"op": "remove", "path": "/spec/versions/0/subresources/scale"}]);
    cluster.patch(admin(), &format!("{CRDS}/{NAME}"), PatchKind::Json, unscaled).await.unwrap();
    let mut after = index(&cluster).await;
    while after == before {
        // The definition is followed when this task lets it.
        tokio::task::yield_now().await;
        after = index(&cluster).await;
    }
    let different: Vec<&str> =
        before.iter().filter(|(name, url)| after.get(*name) != Some(*url)).map(|(name, _)| &**name).collect();
    assert_eq!(different, ["apis/example.com/v1"]);
    assert_eq!(cluster.code(Method::GET, &before["apis/example.com/v1"], admin()).await, 301);
    let scale = "/apis/example.com/v1/namespaces/{namespace}/crontabs/{name}/scale";
    let document = document(&cluster, &after["apis/example.com/v1"]).await;
    assert_eq!(document.at(&["paths", scale]), None);

    cluster.delete(admin(), &format!("{CRDS}/{NAME}")).await.unwrap();
    until(&cluster, NAME, |definition| definition.is_none()).await;
    while index(&cluster).await.contains_key("apis/example.com/v1") {
        tokio::task::yield_now().await;
    }
    assert_eq!(cluster.code(Method::GET, "/openapi/v3/apis/example.com/v1", admin()).await, 404);
    cluster.stop().await;
}

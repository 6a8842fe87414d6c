//! Built-in kinds: every verb, patches of each type, pages, watches, errors.

use anyhow::Context as _;
use futures::TryStreamExt as _;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Pod},
};
use kube::{
    Api,
    api::{DeleteParams, EvictParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
};
use serde_json::{Value, json};

use super::{World, parted, refused, same, step};

pub(super) async fn check(world: &World) -> anyhow::Result<()> {
    let maps = Api::<ConfigMap>::namespaced(world.client.clone(), &world.namespace);
    let deployments = Api::<Deployment>::namespaced(world.client.clone(), &world.namespace);
    step("an object lives from create to delete", an_object_lives(&maps)).await?;
    step("each type of patch is taken", each_type_of_patch_is_taken(&deployments)).await?;
    step("a configuration is applied by its manager", a_configuration_is_applied(&maps)).await?;
    step("lists come in pages of one state", lists_come_in_pages(&maps)).await?;
    step("a watch goes on where it was left", a_watch_goes_on(&maps)).await?;
    step("subresources are read and written", subresources_are_read_and_written(world, &deployments)).await
}

fn config_map(value: &Value) -> anyhow::Result<ConfigMap> {
    serde_json::from_value(value.clone()).context("read a config map")
}

fn data(map: &ConfigMap) -> Value {
    json!(map.data)
}

async fn an_object_lives(maps: &Api<ConfigMap>) -> anyhow::Result<()> {
    let params = PostParams::default();
    let made = maps.create(&params, &config_map(&json!({"metadata": {"name": "life"}, "data": {"a": "1"}}))?).await?;
    same(maps.get("life").await?, made.clone())?;
    let exists = refused(
        maps.create(&params, &config_map(&json!({"metadata": {"name": "life"}}))?).await,
        409,
        "AlreadyExists",
    )?;
    same(exists.as_str(), r#"configmaps "life" already exists"#)?;
    let mut next = made.clone();
    next.data.get_or_insert_default().insert("b".into(), "2".into());
    same(data(&maps.replace("life", &params, &next).await?), json!({"a": "1", "b": "2"}))?;
    let stale = refused(maps.replace("life", &params, &made).await, 409, "Conflict")?;
    let modified = "Operation cannot be fulfilled on configmaps \"life\": the object has been modified; \
                    please apply your changes to the latest version and try again";
    same(stale.as_str(), modified)?;
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    maps.create(&dry, &config_map(&json!({"metadata": {"name": "not-kept"}}))?).await?;
    let gone = maps.delete("life", &DeleteParams::default()).await?;
    anyhow::ensure!(gone.right().is_some_and(|status| status.is_success()), "deleting answers no success");
    for name in ["life", "not-kept"] {
        same(maps.get_opt(name).await?, None)?;
        same(refused(maps.get(name).await, 404, "NotFound")?, format!("configmaps \"{name}\" not found"))?;
    }
    refused(maps.create(&params, &config_map(&json!({"metadata": {"name": "Not A Name"}}))?).await, 422, "Invalid")?;
    Ok(())
}

async fn each_type_of_patch_is_taken(deployments: &Api<Deployment>) -> anyhow::Result<()> {
    let labels = json!({"app": "patched"});
    let container = |name: &str, image: &str| json!({"name": name, "image": image});
    let template = |containers: Value| json!({"spec": {"template": {"spec": {"containers": containers}}}});
    let made = json!({
        "metadata": {"name": "patched"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container("web", "web:1")]}},
        },
    });
    deployments.create(&PostParams::default(), &serde_json::from_value(made)?).await?;
    let images = |deployment: Deployment| -> Value {
        let pod = deployment.spec.and_then(|spec| spec.template.spec).map(|spec| spec.containers).unwrap_or_default();
        pod.into_iter().map(|container| json!([container.name, container.image])).collect()
    };
    let params = PatchParams::default();
    let side = template(json!([container("side", "side:1")]));
    let both = deployments.patch("patched", &params, &Patch::Strategic(&side)).await?;
    same(images(both), json!([["side", "side:1"], ["web", "web:1"]]))?;
    let one = deployments.patch("patched", &params, &Patch::Merge(&side)).await?;
    same(images(one), json!([["side", "side:1"]]))?;
    let path = "/spec/template/spec/containers/0/image";
    let operations = |tested: &str| -> anyhow::Result<Patch<Value>> {
        let operations = json!([
            {"op": "test", "path": path, "value": tested},
            {"op": "replace", "path": path, "value": "side:2"},
        ]);
        Ok(Patch::Json(serde_json::from_value(operations)?))
    };
    let replaced = deployments.patch("patched", &params, &operations("side:1")?).await?;
    same(images(replaced), json!([["side", "side:2"]]))?;
    refused(deployments.patch("patched", &params, &operations("other")?).await, 422, "Invalid")?;
    Ok(())
}

async fn a_configuration_is_applied(maps: &Api<ConfigMap>) -> anyhow::Result<()> {
    let apply = async |manager: &str, data: Value, is_forced: bool| {
        let params = PatchParams { force: is_forced, ..PatchParams::apply(manager) };
        let wanted = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": data});
        maps.patch("applied", &params, &Patch::Apply(&wanted)).await
    };
    apply("first", json!({"a": "1", "b": "1"}), false).await?;
    let conflict = refused(apply("second", json!({"a": "2"}), false).await, 409, "Conflict")?;
    same(conflict.as_str(), r#"Apply failed with 1 conflict: conflict with "first": .data.a"#)?;
    same(data(&apply("second", json!({"a": "2"}), true).await?), json!({"a": "2", "b": "1"}))?;
    same(data(&apply("first", json!({}), false).await?), json!({"a": "2"}))
}

async fn lists_come_in_pages(maps: &Api<ConfigMap>) -> anyhow::Result<()> {
    for number in 0..7 {
        let map = json!({"metadata": {"name": format!("page-{number}"), "labels": {"list": "pages"}}});
        maps.create(&PostParams::default(), &config_map(&map)?).await?;
    }
    let mut params = ListParams::default().labels("list=pages").limit(3);
    let mut names = Vec::new();
    let mut versions = Vec::new();
    loop {
        let page = maps.list(&params).await?;
        names.extend(page.items.into_iter().filter_map(|map| map.metadata.name));
        versions.extend(page.metadata.resource_version);
        let Some(token) = page.metadata.continue_.filter(|token| !token.is_empty()) else { break };
        maps.patch("page-6", &PatchParams::default(), &Patch::Merge(json!({"data": {"n": names.len().to_string()}})))
            .await?;
        params = params.continue_token(&token);
    }
    versions.dedup();
    same(names, (0..7).map(|number| format!("page-{number}")).collect())?;
    same(versions.len(), 1)?;
    maps.delete_collection(&DeleteParams::default(), &ListParams::default().labels("list in (pages)")).await?;
    same(maps.list(&ListParams::default().labels("list")).await?.items, Vec::new())
}

async fn a_watch_goes_on(maps: &Api<ConfigMap>) -> anyhow::Result<()> {
    let mut version =
        maps.list(&ListParams::default()).await?.metadata.resource_version.context("a list has a version")?;
    maps.create(&PostParams::default(), &config_map(&json!({"metadata": {"name": "watched"}, "data": {"n": "0"}}))?)
        .await?;
    for n in ["1", "2"] {
        maps.patch("watched", &PatchParams::default(), &Patch::Merge(json!({"data": {"n": n}}))).await?;
    }
    maps.delete("watched", &DeleteParams::default()).await?;
    let params = WatchParams::default().fields("metadata.name=watched").timeout(30);
    let mut seen = Vec::new();
    for enough in [2, 4] {
        let mut events = std::pin::pin!(maps.watch(&params, &version).await?);
        while seen.len() < enough {
            let event = events.try_next().await?.context("the watch ended")?;
            if matches!(event, WatchEvent::Bookmark(_)) {
                continue;
            }
            let (kind, object) = parted(event)?;
            seen.push(json!([kind, object.data.as_ref().and_then(|data| data.get("n"))]));
            version = object.metadata.resource_version.context("an object has a version")?;
        }
    }
    same(json!(seen), json!([["added", "0"], ["modified", "1"], ["modified", "2"], ["deleted", "2"]]))
}

async fn subresources_are_read_and_written(world: &World, deployments: &Api<Deployment>) -> anyhow::Result<()> {
    let params = PatchParams::default();
    let scaled = deployments.patch_scale("patched", &params, &Patch::Merge(json!({"spec": {"replicas": 2}}))).await?;
    same(scaled.spec.and_then(|spec| spec.replicas), Some(2))?;
    let scale = deployments.get_scale("patched").await?;
    same(scale.status.and_then(|status| status.selector).as_deref(), Some("app=patched"))?;
    let status = json!({"spec": {"replicas": 9}, "status": {"conditions": [{"type": "Seen", "status": "True"}]}});
    let told = deployments.patch_status("patched", &params, &Patch::Strategic(&status)).await?;
    same(told.spec.and_then(|spec| spec.replicas), Some(2))?;
    let conditions = told.status.and_then(|status| status.conditions).unwrap_or_default();
    anyhow::ensure!(conditions.iter().any(|condition| condition.type_ == "Seen"), "{conditions:?}");

    let pods = Api::<Pod>::namespaced(world.client.clone(), &world.namespace);
    let pod = json!({
        "metadata": {"name": "homeless"},
        "spec": {"nodeSelector": {"no": "such-node"}, "containers": [{"name": "c", "image": "c:1"}]},
    });
    pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
    let evicted = pods.evict("homeless", &EvictParams::default()).await?;
    anyhow::ensure!(evicted.is_success(), "{evicted:?}");
    same(pods.get_opt("homeless").await?, None)
}

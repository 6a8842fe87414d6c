//! Custom resources: defined, discovered, written by the dynamic client, watched, expired.

use std::{future::ready, pin::pin};

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, ResourceExt as _,
    api::{
        ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
        WatchEvent, WatchParams,
    },
    discovery,
    runtime::{
        WatchStreamExt as _,
        wait::{await_condition, conditions},
        watcher,
    },
};
use serde_json::{Value, json};

use super::{World, refused, same, step};

pub(super) async fn check(world: &World) -> anyhow::Result<()> {
    let group = format!("{}.clients.example.com", world.namespace);
    step("a definition becomes a resource", define(world, &group)).await?;
    let kind = GroupVersionKind::gvk(&group, "v1", "Ball");
    let (resource, capabilities) = discovery::pinned_kind(&world.client, &kind).await?;
    same(resource.plural.as_str(), "balls")?;
    let mut parts: Vec<&str> = capabilities.subresources.iter().map(|(part, _)| part.plural.as_str()).collect();
    parts.sort_unstable();
    same(parts, vec!["scale", "status"])?;
    let balls = Api::<DynamicObject>::namespaced_with(world.client.clone(), &world.namespace, &resource);
    step("a custom object lives from create to delete", an_object_lives(&balls, &resource)).await?;
    step("a watcher sees all of it", a_watcher_sees_all_of_it(&balls, &resource)).await?;
    step("a watch from before the definition is expired", old_watches_are_expired(world, &group, &balls)).await
}

fn definitions(world: &World) -> Api<CustomResourceDefinition> {
    Api::all(world.client.clone())
}

async fn define(world: &World, group: &str) -> anyhow::Result<()> {
    let definition = json!({
        "metadata": {"name": format!("balls.{group}")},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "balls", "singular": "ball", "kind": "Ball"},
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "subresources": {
                    "status": {},
                    "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"},
                },
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "properties": {
                        "spec": {"type": "object", "properties": {
                            "size": {"type": "integer", "maximum": 100, "default": 1},
                            "color": {"type": "string", "enum": ["red", "blue"]},
                        }},
                        "status": {"type": "object", "properties": {"size": {"type": "integer"}}},
                    },
                }},
            }],
        },
    });
    definitions(world).create(&PostParams::default(), &serde_json::from_value(definition)?).await?;
    let name = format!("balls.{group}");
    await_condition(definitions(world), &name, conditions::is_crd_established()).await?;
    // Established is said a moment before the resource is served.
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", "Ball"));
    let balls = Api::<DynamicObject>::all_with(world.client.clone(), &resource);
    let mut watcher = pin!(watcher(balls, watcher::Config::default().any_semantic()).default_backoff());
    loop {
        match watcher.next().await.context("a watcher does not end")? {
            Ok(watcher::Event::InitDone) => return Ok(()),
            Ok(_) | Err(watcher::Error::InitialListFailed(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn ball(name: &str, resource: &ApiResource, spec: Value) -> DynamicObject {
    DynamicObject::new(name, resource).data(json!({"spec": spec}))
}

async fn an_object_lives(balls: &Api<DynamicObject>, resource: &ApiResource) -> anyhow::Result<()> {
    let params = PostParams::default();
    let made = balls.create(&params, &ball("life", resource, json!({"color": "red", "unknown": 1}))).await?;
    same(&made.data["spec"], &json!({"color": "red", "size": 1}))?;
    let wrong =
        refused(balls.create(&params, &ball("wrong", resource, json!({"color": "green"}))).await, 422, "Invalid")?;
    let cause = r#"spec.color: Unsupported value: "green": supported values: "red", "blue""#;
    anyhow::ensure!(wrong.ends_with(cause), "{wrong}");

    let patch = PatchParams::default();
    let merged = balls.patch("life", &patch, &Patch::Merge(json!({"spec": {"size": 2}}))).await?;
    same(&merged.data["spec"], &json!({"color": "red", "size": 2}))?;
    let strategic = balls.patch("life", &patch, &Patch::Strategic(json!({"spec": {"size": 3}}))).await;
    refused(strategic, 415, "UnsupportedMediaType")?;
    refused(balls.replace("life", &params, &made).await, 409, "Conflict")?;
    let wanted = ball("life", resource, json!({"color": "blue"}));
    let conflict =
        refused(balls.patch("life", &PatchParams::apply("other"), &Patch::Apply(&wanted)).await, 409, "Conflict")?;
    anyhow::ensure!(conflict.contains(".spec.color"), "{conflict}");
    let forced = balls.patch("life", &PatchParams::apply("other").force(), &Patch::Apply(&wanted)).await?;
    same(&forced.data["spec"], &json!({"color": "blue", "size": 2}))?;

    let told =
        balls.patch_status("life", &patch, &Patch::Merge(json!({"spec": {"size": 9}, "status": {"size": 2}}))).await?;
    same((&told.data["spec"]["size"], &told.data["status"]["size"]), (&json!(2), &json!(2)))?;
    let scaled = balls.patch_scale("life", &patch, &Patch::Merge(json!({"spec": {"replicas": 5}}))).await?;
    same(scaled.spec.and_then(|spec| spec.replicas), Some(5))?;
    balls.delete("life", &DeleteParams::default()).await?;
    refused(balls.get("life").await, 404, "NotFound")?;
    Ok(())
}

/// The way of operators: a list, then what changes, with reconnection in between.
async fn a_watcher_sees_all_of_it(balls: &Api<DynamicObject>, resource: &ApiResource) -> anyhow::Result<()> {
    balls.create(&PostParams::default(), &ball("first", resource, json!({}))).await?;
    for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let mut events = pin!(watcher(balls.clone(), config).default_backoff().map_ok(|event| match event {
            watcher::Event::Init => "init".to_owned(),
            watcher::Event::InitApply(object) => format!("listed {}", object.name_any()),
            watcher::Event::InitDone => "listed all".to_owned(),
            watcher::Event::Apply(object) => format!("applied {}", object.name_any()),
            watcher::Event::Delete(object) => format!("deleted {}", object.name_any()),
        }));
        let mut seen: Vec<String> = events.by_ref().take(3).try_collect().await?;
        balls.create(&PostParams::default(), &ball("second", resource, json!({}))).await?;
        balls.delete("second", &DeleteParams::default()).await?;
        let rest: Vec<String> = events.by_ref().take(2).try_collect().await?;
        seen.extend(rest);
        same(
            seen,
            ["init", "listed first", "listed all", "applied second", "deleted second"].map(str::to_owned).to_vec(),
        )?;
    }
    Ok(())
}

async fn old_watches_are_expired(world: &World, group: &str, balls: &Api<DynamicObject>) -> anyhow::Result<()> {
    let old = balls.list(&ListParams::default()).await?.metadata.resource_version.context("a list has a version")?;
    let name = format!("balls.{group}");
    let uid = definitions(world).get(&name).await?.uid().context("a definition has a uid")?;
    definitions(world).delete(&name, &DeleteParams::default()).await?;
    await_condition(definitions(world), &name, conditions::is_deleted(&uid)).await?;
    define(world, group).await?;
    let first = match balls.watch(&WatchParams::default().timeout(5), &old).await {
        Ok(events) => {
            pin!(events.try_filter(|event| ready(!matches!(event, WatchEvent::Bookmark(_))))).try_next().await?
        }
        // A server may refuse the watch, or begin it with the error.
        Err(error) => return refused::<()>(Err(error), 410, "Expired").map(drop),
    };
    match first {
        Some(WatchEvent::Error(status)) => same((status.code, status.reason.as_str()), (410, "Expired")),
        other => anyhow::bail!("the watch goes on: {other:?}"),
    }
}

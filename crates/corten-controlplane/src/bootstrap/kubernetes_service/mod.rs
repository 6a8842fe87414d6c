//! The service `kubernetes`: how the API is found from inside the cluster.
//!
//! Flow: a change of the service, its endpoints or its slices -> everything is looked at again -> what is missing is made
//! and what is wrong is put right. For one API server: several would need leases to tell who is there.
//! Upstream: pkg/controlplane/controller/kubernetesservice, pkg/controlplane/reconcilers (v1.35).

mod plan;

use corten_apimachinery::{gvk::GroupVersionResource, status::Status, value::Value};
use corten_client::{Client, ListOptions, Target, WatchOptions};
use futures::{
    StreamExt as _, future,
    stream::{self, SelectAll},
};

pub(crate) use self::plan::Advertised;
use self::plan::{LABEL_SERVICE, NAME, NAMESPACE, corrected};
use super::served;
use crate::caches::tree;

fn services() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "services")
}

fn endpoints() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "endpoints")
}

fn slices() -> GroupVersionResource {
    GroupVersionResource::new("discovery.k8s.io", "v1", "endpointslices")
}

/// Puts everything right once, of the kinds that are not switched off.
pub(super) async fn ensure(client: &Client, advertised: &Advertised) -> Result<(), Status> {
    // What a service says is its owner's to change once it is there.
    if served::has_namespaced(client, &services()).await?
        && let Err(status) = client.get(Target::object(&services(), NAMESPACE, NAME)).await
    {
        if !status.is_not_found() {
            return Err(status);
        }
        create(client, &services(), advertised.service()).await?;
    }
    if served::has_namespaced(client, &endpoints()).await? {
        put_right(client, &endpoints(), advertised.endpoints()).await?;
    }
    if !served::has_namespaced(client, &slices()).await? {
        return Ok(());
    }
    let options = ListOptions { label_selector: format!("{LABEL_SERVICE}={NAME}"), ..ListOptions::default() };
    for slice in client.list(Target::collection(&slices(), NAMESPACE), &options).await?.items {
        // Left behind by a server of another family, or made by hand.
        if slice.name != NAME {
            match client.delete(Target::object(&slices(), NAMESPACE, slice.name.clone()), Value::Null).await {
                Err(status) if !status.is_not_found() => return Err(status),
                _ => {}
            }
        }
    }
    put_right(client, &slices(), advertised.slice()).await
}

async fn put_right(client: &Client, resource: &GroupVersionResource, wanted: Value) -> Result<(), Status> {
    let target = Target::object(resource, NAMESPACE, NAME);
    let current = match client.get(target.clone()).await {
        Err(status) if status.is_not_found() => return create(client, resource, wanted).await,
        current => tree(&*current?)?,
    };
    // Which family a slice is of cannot be changed.
    if current.get("addressType") != wanted.get("addressType") {
        client.delete(target, Value::Null).await?;
        return create(client, resource, wanted).await;
    }
    match corrected(&current, &wanted) {
        Some(object) => client.update(target, object).await.map(drop),
        None => Ok(()),
    }
}

async fn create(client: &Client, resource: &GroupVersionResource, object: Value) -> Result<(), Status> {
    match client.create(Target::collection(resource, NAMESPACE), object).await {
        // Somebody else was faster; the watch tells what they made.
        Err(status) if status.is_already_exists() => Ok(()),
        other => other.map(drop),
    }
}

/// Keeps everything right until a watch ends: then it is to be called again.
///
/// Cancel-safe: every step is repeated at the next call.
pub(super) async fn keep(client: &Client, advertised: &Advertised) -> Result<(), Status> {
    let of_name = WatchOptions { field_selector: format!("metadata.name={NAME}"), ..WatchOptions::default() };
    let of_service = WatchOptions { label_selector: format!("{LABEL_SERVICE}={NAME}"), ..WatchOptions::default() };
    let mut changes = SelectAll::new();
    for (resource, options) in [(services(), &of_name), (endpoints(), &of_name), (slices(), &of_service)] {
        if !served::has(client, &resource).await? {
            continue;
        }
        let watch = client.watch(Target::collection(&resource, NAMESPACE), options).await?;
        // The end of one of them has to be seen, or something might be missed.
        changes.push(watch.map(Some).chain(stream::once(future::ready(None))));
    }
    if changes.is_empty() {
        return future::pending().await;
    }
    ensure(client, advertised).await?;
    while let Some(Some(change)) = changes.next().await {
        change?;
        ensure(client, advertised).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;

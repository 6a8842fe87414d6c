//! The API services of the versions that this server answers for itself: made at start, with their place among others.
//!
//! Flow: discovery's versions that have a place -> compared with what is there by `plan` (pure) -> writes, side by side.
//! What happens to them later is an administrator's business until the next start, as it is upstream's. Those of custom
//! resources (`automanaged: true`) are kept as definitions come and go.
//! Upstream: pkg/controlplane/apiserver/aggregator.go, k8s.io/kube-aggregator/pkg/controllers/autoregister (v1.35).

mod plan;
mod priorities;

mod custom;

use std::collections::BTreeMap;

pub(super) use custom::keep as keep_custom;

use corten_apimachinery::{
    gvk::GroupVersionResource,
    meta::ObjectMeta as _,
    status::Status,
    value::{Str, Value},
};
use corten_client::{Client, ListOptions, Target};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use self::{
    plan::{Action, plan},
    priorities::PRIORITIES,
};
use super::served;
use crate::caches::tree;

const GROUP: &str = "apiregistration.k8s.io";
/// How many writes wait for the store at once: they end up in few transactions.
const WRITES_AT_ONCE: usize = 32;

fn resource() -> GroupVersionResource {
    GroupVersionResource::new(GROUP, "v1", "apiservices")
}

/// Makes what is missing, puts right what is the server's, and takes away what is served no more.
pub(super) async fn ensure(client: &Client) -> Result<(), Status> {
    if !served::has(client, &resource()).await? {
        return Ok(());
    }
    let served = served::group_versions(client).await?;
    let wanted = PRIORITIES.iter().filter(|place| served.contains(&(place.group.into(), place.version.into())));
    let mut found: BTreeMap<Str, Value> = BTreeMap::new();
    for item in client.list(Target::collection(&resource(), ""), &ListOptions::default()).await?.items {
        found.insert(item.name.clone(), tree(&item)?);
    }
    let actions = plan(wanted.map(plan::api_service), found);
    stream::iter(actions.into_iter().map(|action| apply(client, action)))
        .buffer_unordered(WRITES_AT_ONCE)
        .try_collect::<()>()
        .await
}

async fn apply(client: &Client, action: Action) -> Result<(), Status> {
    let resource = resource();
    match action {
        Action::Create(object) => match client.create(Target::collection(&resource, ""), object).await {
            // Another server was faster.
            Err(status) if status.is_already_exists() => Ok(()),
            other => other.map(drop),
        },
        Action::Update(object) => {
            let target = Target::object(&resource, "", object.name());
            client.update(target, object).await.map(drop)
        }
        Action::Delete { name, uid } => {
            let options = Value::object_of([("preconditions", Value::object_of([("uid", Value::from(uid))]))]);
            match client.delete(Target::object(&resource, "", name), options).await {
                // Gone, or another one by now.
                Err(status) if status.is_not_found() || status.is_conflict() => Ok(()),
                other => other,
            }
        }
    }
}

#[cfg(test)]
mod tests;

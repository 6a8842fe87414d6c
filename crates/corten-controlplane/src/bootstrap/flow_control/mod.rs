//! The flow schemas and priority levels that every cluster has: made when missing, put right as long as nobody else has
//! changed them, and gone when a later server has no use for them.
//!
//! Flow: a change of one of them -> all are looked at again -> `plan` (pure) -> writes. Upstream looks each minute.
//! Upstream: pkg/registry/flowcontrol/rest/storage_flowcontrol.go, pkg/registry/flowcontrol/ensurer (v1.35).

mod plan;

use std::{collections::BTreeMap, pin::pin, sync::LazyLock};

use corten_apimachinery::{
    gvk::GroupVersionResource,
    meta::ObjectMeta as _,
    status::Status,
    value::{Str, Value},
};
use corten_client::{Client, ListOptions, Target, WatchEvent, WatchOptions};
use corten_resources::flowcontrol::bootstrap::{
    MANDATORY_LEVELS, MANDATORY_SCHEMAS, SUGGESTED_LEVELS, SUGGESTED_SCHEMAS,
};
use futures::{StreamExt as _, TryStreamExt as _, future, stream};

use self::plan::{Action, Upkeep, is_stale, plan};
use super::served;
use crate::caches::tree;

const GROUP: &str = "flowcontrol.apiserver.k8s.io";
/// Who writes them. Upstream: the field manager of its ensurer.
const FIELD_MANAGER: &str = "api-priority-and-fairness-config-producer-v1";
/// How many writes wait for the store at once: they end up in few transactions.
const WRITES_AT_ONCE: usize = 32;

type Objects = &'static LazyLock<Vec<Value>>;

/// (resource, what has to be there, what is there to begin with)
static KINDS: [(&str, Objects, Objects); 2] = [
    ("prioritylevelconfigurations", &MANDATORY_LEVELS, &SUGGESTED_LEVELS),
    ("flowschemas", &MANDATORY_SCHEMAS, &SUGGESTED_SCHEMAS),
];

fn resource(plural: &str) -> GroupVersionResource {
    GroupVersionResource::new(GROUP, "v1", plural)
}

/// The objects of a kind that the bootstrap knows.
fn wanted((_, mandatory, suggested): (&str, Objects, Objects)) -> impl Iterator<Item = (&'static Value, Upkeep)> {
    let mandatory = mandatory.iter().map(|object| (object, Upkeep::Mandatory));
    mandatory.chain(suggested.iter().map(|object| (object, Upkeep::Suggested)))
}

/// Puts everything right once, of the kinds that are not switched off.
pub(super) async fn ensure(client: &Client) -> Result<(), Status> {
    let client = &client.with_field_manager(FIELD_MANAGER);
    for kind in KINDS {
        let resource = &resource(kind.0);
        if !served::has(client, resource).await? {
            continue;
        }
        let list = client.list(Target::collection(resource, ""), &ListOptions::default()).await?;
        let mut found: BTreeMap<Str, Value> = BTreeMap::new();
        for item in list.items {
            found.insert(item.name.clone(), tree(&item)?);
        }
        let mut actions = Vec::new();
        for (wanted, upkeep) in wanted(kind) {
            actions.extend(plan(wanted, found.remove(wanted.name()).as_ref(), upkeep));
        }
        actions.extend(found.into_values().filter(is_stale).map(|object| Action::Delete(object.name().into())));
        stream::iter(actions.into_iter().map(|action| apply(client, resource, action)))
            .buffer_unordered(WRITES_AT_ONCE)
            .try_collect::<()>()
            .await?;
    }
    Ok(())
}

async fn apply(client: &Client, resource: &GroupVersionResource, action: Action) -> Result<(), Status> {
    match action {
        Action::Create(object) => match client.create(Target::collection(resource, ""), object).await {
            // Another server was faster.
            Err(status) if status.is_already_exists() => Ok(()),
            other => other.map(drop),
        },
        Action::Update(object) => {
            let target = Target::object(resource, "", object.name());
            client.update(target, object).await.map(drop)
        }
        Action::Delete(name) => match client.delete(Target::object(resource, "", name), Value::Null).await {
            Err(status) if status.is_not_found() => Ok(()),
            other => other,
        },
    }
}

/// Puts right what changes until a watch ends: then it is to be called again.
///
/// Cancel-safe: every step is repeated at the next call.
pub(super) async fn keep(client: &Client) -> Result<(), Status> {
    let mut watches = Vec::new();
    for kind in KINDS {
        let resource = resource(kind.0);
        if !served::has(client, &resource).await? {
            continue;
        }
        let changes = client.watch(Target::collection(&resource, ""), &WatchOptions::default()).await?;
        watches.push(changes.map(move |change| change.map(|change| concerns(kind, &change))));
    }
    if watches.is_empty() {
        return future::pending().await;
    }
    ensure(client).await?;
    let mut changes = pin!(stream::select_all(watches));
    while let Some(change) = changes.next().await {
        if change? {
            ensure(client).await?;
        }
    }
    Ok(())
}

/// Whether a change is one of an object of the bootstrap.
fn concerns(kind: (&str, Objects, Objects), change: &WatchEvent) -> bool {
    match change {
        WatchEvent::Modified(object) | WatchEvent::Deleted(object) => {
            wanted(kind).any(|(wanted, _)| wanted.name() == object.name)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;

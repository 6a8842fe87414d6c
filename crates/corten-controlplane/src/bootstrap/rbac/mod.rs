//! The roles and bindings that every cluster has: made when missing, completed when something was taken out of them.
//!
//! Flow: `policy.txt` -> `policy` (objects) -> compared with what is there by `plan` (pure) -> writes, side by side.
//! Upstream: pkg/registry/rbac/rest/storage_rbac.go and k8s.io/component-helpers/auth/rbac/reconciliation (v1.35).

mod plan;
mod policy;

use std::{collections::HashMap, sync::Arc};

use corten_apimachinery::{
    gvk::GroupVersionResource,
    meta::ObjectMeta as _,
    status::Status,
    value::{Str, Value},
};
use corten_client::{Client, ListOptions, Target};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use self::plan::{Action, plan};
use super::served;
use crate::{
    authorization::rbac::{GROUP, Rule},
    caches::tree,
};

/// How many writes wait for the store at once: they end up in few transactions.
const WRITES_AT_ONCE: usize = 32;

/// Makes what is missing and completes what is incomplete, of the kinds that are not switched off.
pub(super) async fn ensure(client: &Client) -> Result<(), Status> {
    let mut found: HashMap<(Str, Str, Str), Arc<_>> = HashMap::new();
    let mut served_kinds = Vec::new();
    for (kind, plural) in KINDS {
        let is_served = match kind {
            "Role" | "RoleBinding" => served::has_namespaced(client, &resource(plural)).await?,
            _ => served::has(client, &resource(plural)).await?,
        };
        if !is_served {
            continue;
        }
        served_kinds.push(kind);
        let list = client.list(Target::collection(&resource(plural), ""), &ListOptions::default()).await?;
        found.extend(
            list.items.into_iter().map(|item| ((kind.into(), item.namespace.clone(), item.name.clone()), item)),
        );
    }
    let mut actions = Vec::new();
    for wanted in policy::objects() {
        if !served_kinds.contains(&wanted.kind()) {
            continue;
        }
        let key = (wanted.kind().into(), wanted.namespace().into(), wanted.name().into());
        let current = found.get(&key).map(|stored| tree(stored)).transpose()?;
        actions.extend(plan(wanted, current.as_ref()));
    }
    stream::iter(actions.into_iter().map(|action| apply(client, action)))
        .buffer_unordered(WRITES_AT_ONCE)
        .try_collect::<()>()
        .await
}

/// The rules of the cluster role `system:node`, which the node authorizer grants without a binding.
pub(crate) fn node_rules() -> Vec<Rule> {
    let is_node = |object: &Value| object.kind() == "ClusterRole" && object.name() == "system:node";
    let role = policy::objects().into_iter().find(is_node);
    role.iter().flat_map(|role| role.items_at(&["rules"])).map(Rule::from_value).collect()
}

const KINDS: [(&str, &str); 4] = [
    ("ClusterRole", "clusterroles"),
    ("ClusterRoleBinding", "clusterrolebindings"),
    ("Role", "roles"),
    ("RoleBinding", "rolebindings"),
];

fn resource(plural: &str) -> GroupVersionResource {
    GroupVersionResource::new(GROUP, "v1", plural)
}

fn target(object: &Value) -> Target {
    let plural = KINDS.iter().find(|(kind, _)| *kind == object.kind()).map_or("", |(_, plural)| plural);
    Target::object(&resource(plural), object.namespace(), object.name())
}

async fn apply(client: &Client, action: Action) -> Result<(), Status> {
    match action {
        Action::Create(object) => create(client, object).await,
        Action::Update(object) => client.update(target(&object), object).await.map(drop),
        Action::Replace(object) => {
            match client.delete(target(&object), Value::Null).await {
                Err(status) if status.is_not_found() => {}
                other => other?,
            }
            create(client, object).await
        }
    }
}

async fn create(client: &Client, object: Value) -> Result<(), Status> {
    let collection = Target { name: Str::default(), ..target(&object) };
    match client.create(collection, object).await {
        // Another server was faster.
        Err(status) if status.is_already_exists() => Ok(()),
        other => other.map(drop),
    }
}

#[cfg(test)]
mod tests;

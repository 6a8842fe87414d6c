//! Typed access: the same verbs for a kind known at compile time.
//!
//! Reads decode for the caller; writes go out as trees. A struct loses fields it does not know, so changes to existing
//! objects are patches wherever possible.

use std::{marker::PhantomData, sync::Arc};

use corten_api::meta::v1::ObjectMeta;
use corten_apimachinery::{
    gvk::GroupVersionResource,
    status::Status,
    stored::Stored,
    value::{Str, Value},
};
use k8s_openapi::{ListableResource, Metadata, Resource};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    call::{ObjectList, PatchKind},
    client::{Client, ListOptions, Target},
};

/// A kind with a struct.
pub trait Kind:
    Resource + Metadata<Ty = ObjectMeta> + ListableResource + Serialize + DeserializeOwned + 'static
{
}

impl<K> Kind for K where
    K: Resource + Metadata<Ty = ObjectMeta> + ListableResource + Serialize + DeserializeOwned + 'static
{
}

/// The resource of a kind.
#[must_use]
pub fn resource_of<K: Resource>() -> GroupVersionResource {
    GroupVersionResource::new(K::GROUP, K::VERSION, K::URL_PATH_SEGMENT)
}

/// Reads an object as its struct.
///
/// Errors: `InternalError` if the JSON does not fit the struct, which no server sends.
pub fn decode<K: DeserializeOwned>(object: &Stored) -> Result<K, Status> {
    serde_json::from_slice(&object.json).or_else(|error| {
        let timed = with_times(&object.json).ok_or_else(|| Status::internal(error))?;
        serde_json::from_slice(&timed).map_err(Status::internal)
    })
}

/// The JSON with a time where a condition has none: `metav1.Condition` is stored without one, but the structs insist on it.
/// `None` if every condition has one.
fn with_times(json: &[u8]) -> Option<Vec<u8>> {
    // Within a text the quotes would be escaped, so this is nothing else.
    const ABSENT: &str = "\"lastTransitionTime\":null";
    let text = std::str::from_utf8(json).ok().filter(|text| text.contains(ABSENT))?;
    Some(text.replace(ABSENT, "\"lastTransitionTime\":\"0001-01-01T00:00:00Z\"").into_bytes())
}

/// Writes a struct as a tree.
///
/// Errors: `InternalError` if the struct does not serialize, which none of the API's does.
pub fn encode<K: Serialize>(object: &K) -> Result<Value, Status> {
    let json = serde_json::to_value(object).map_err(Status::internal)?;
    Ok(tree(json))
}

fn tree(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(truth) => truth.into(),
        serde_json::Value::Number(number) => {
            number.as_i64().map_or_else(|| Value::Float(number.as_f64().unwrap_or_default()), Value::Int)
        }
        serde_json::Value::String(text) => text.into(),
        serde_json::Value::Array(items) => items.into_iter().map(tree).collect::<Vec<_>>().into(),
        serde_json::Value::Object(map) => Value::object_of(map.into_iter().map(|(key, value)| (key, tree(value)))),
    }
}

/// Typed access to one kind in one namespace, or in all.
#[derive(Debug)]
pub struct Api<K> {
    client: Client,
    resource: GroupVersionResource,
    namespace: Str,
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind> Api<K> {
    /// Objects in all namespaces, or of a cluster-scoped kind.
    #[must_use]
    pub fn all(client: &Client) -> Self {
        Self::namespaced(client, "")
    }

    /// Objects in one namespace.
    pub fn namespaced(client: &Client, namespace: impl Into<Str>) -> Self {
        Self { client: client.clone(), resource: resource_of::<K>(), namespace: namespace.into(), kind: PhantomData }
    }

    fn target(&self, name: &str) -> Target {
        Target::object(&self.resource, self.namespace.clone(), name)
    }

    /// Reads one object.
    pub async fn get(&self, name: &str) -> Result<K, Status> {
        decode(&*self.client.get(self.target(name)).await?)
    }

    /// Reads one page of objects, undecoded.
    pub async fn list(&self, options: &ListOptions) -> Result<ObjectList, Status> {
        self.client.list(Target::collection(&self.resource, self.namespace.clone()), options).await
    }

    /// Makes an object.
    pub async fn create(&self, object: &K) -> Result<Arc<Stored>, Status> {
        let target = Target::collection(&self.resource, self.namespace.clone());
        self.client.create(target, with_type::<K>(object)?).await
    }

    /// Replaces an object; its `resourceVersion` decides whether a newer one may be overwritten.
    pub async fn update(&self, object: &K) -> Result<Arc<Stored>, Status> {
        let name = object.metadata().name.clone().unwrap_or_default();
        self.client.update(self.target(&name), with_type::<K>(object)?).await
    }

    /// Replaces an object's status.
    pub async fn update_status(&self, object: &K) -> Result<Arc<Stored>, Status> {
        let name = object.metadata().name.clone().unwrap_or_default();
        self.client.update(self.target(&name).subresource("status"), with_type::<K>(object)?).await
    }

    /// Changes parts of an object.
    pub async fn patch(&self, name: &str, kind: PatchKind, patch: Value) -> Result<Arc<Stored>, Status> {
        self.client.patch(self.target(name), kind, patch).await
    }

    /// Changes parts of an object's status.
    pub async fn patch_status(&self, name: &str, kind: PatchKind, patch: Value) -> Result<Arc<Stored>, Status> {
        self.client.patch(self.target(name).subresource("status"), kind, patch).await
    }

    /// Deletes an object. `options` is a `DeleteOptions` object, or null for none.
    pub async fn delete(&self, name: &str, options: Value) -> Result<(), Status> {
        self.client.delete(self.target(name), options).await
    }
}

fn with_type<K: Kind>(object: &K) -> Result<Value, Status> {
    let mut value = encode(object)?;
    value.set(&["apiVersion"], K::API_VERSION);
    value.set(&["kind"], K::KIND);
    Ok(value)
}

//! Objects in the store: their keys, and the step from stored bytes to what is served.

mod pending;

use std::{fmt, sync::Arc};

use bytes::Bytes;
use corten_apimachinery::{stored::Stored, value::Str};

pub use pending::Pending;

use crate::kv::{Change, Expected, KvEngine, KvError, Revision, Write};

/// Turns stored bytes into the served object, once per write.
///
/// Stored bytes may be JSON or protobuf, of an older version, without newer defaults; served ones are JSON of the hub's
/// version with `metadata.resourceVersion`.
pub trait ObjectCodec: fmt::Debug + Send + Sync + 'static {
    /// Decodes what is stored under `key` (below the resource's prefix) since `revision`.
    ///
    /// Errors: `CorruptObject` if the bytes are no object of this resource.
    fn decode(&self, key: &str, value: &Bytes, revision: Revision) -> Result<Arc<Stored>, CorruptObject>;

    /// The same object at a later revision: what a watch sends for a delete.
    fn at_revision(&self, object: &Stored, revision: Revision) -> Arc<Stored>;
}

/// Stored bytes cannot be read as an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stored object {key} cannot be decoded: {why}")]
pub struct CorruptObject {
    /// The key below the resource's prefix, or the full one if it is not there.
    pub key: String,
    /// The revision at which it was written; 0 if whoever decoded it does not know.
    pub revision: Revision,
    /// What is wrong.
    pub why: String,
}

/// Where a resource's objects are: `/registry/<prefix>/<namespace>/<name>`, or without the namespace.
///
/// Upstream: the layout of kube-apiserver, so that either can open the other's store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySpace {
    prefix: String,
}

impl KeySpace {
    /// The keys of the resource with this storage prefix.
    #[must_use]
    pub fn new(storage_prefix: &str) -> Self {
        Self { prefix: format!("/registry/{storage_prefix}/") }
    }

    /// What all keys begin with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The full key of a cache key.
    #[must_use]
    pub fn full(&self, key: &str) -> Bytes {
        Bytes::from(format!("{}{key}", self.prefix))
    }

    /// The cache key of a full key; `None` if it is not one of ours.
    #[must_use]
    pub fn relative<'a>(&self, full: &'a [u8]) -> Option<&'a str> {
        std::str::from_utf8(full).ok()?.strip_prefix(&self.prefix)
    }
}

/// The key of an object below its resource's prefix, and in the watch cache: `namespace/name`, or `name`.
#[must_use]
pub fn cache_key(namespace: &str, name: &str) -> Str {
    if namespace.is_empty() {
        return name.into();
    }
    let mut key = Str::with_capacity(namespace.len() + 1 + name.len());
    key.push_str(namespace);
    key.push('/');
    key.push_str(name);
    key
}

/// Where a store notes that it has begun.
const BEGUN: &[u8] = b"/registry/corten/begun";

/// Makes the first write of a new store, so that no revision that clients see is 0: to them that means "any".
///
/// Errors: those of the engine.
pub async fn begin(engine: &dyn KvEngine) -> Result<(), KvError> {
    if engine.status().await?.revision > 0 {
        return Ok(());
    }
    let change = Change::Put { value: Bytes::from_static(b"{}"), expires_at: None };
    // Somebody else may be faster: then it has begun, too.
    engine.commit(vec![Write { key: Bytes::from_static(BEGUN), expected: Expected::Absent, change }]).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_follow_upstreams_layout() {
        let pods = KeySpace::new("pods");
        assert_eq!(pods.full(&cache_key("default", "web")), "/registry/pods/default/web");
        assert_eq!(pods.relative(b"/registry/pods/default/web"), Some("default/web"));
        assert_eq!(pods.relative(b"/registry/nodes/n1"), None);
        assert_eq!(KeySpace::new("minions").full(&cache_key("", "n1")), "/registry/minions/n1");
    }
}

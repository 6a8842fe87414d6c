//! The watch caches as plugins and authorizers see them: by resource, and filled in once all stores are made.
//!
//! Stores need the admission chain, and plugins need the stores' caches; this is where the circle is closed.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use corten_apimachinery::{
    codec::{self, FieldValidation},
    status::Status,
    stored::Stored,
    value::{Str, Value},
};
use corten_apiserver::registry::{Store, read_failure};
use corten_storage::{cacher::Cacher, object::cache_key};

/// The watch cache of every stored resource, by group and plural.
#[derive(Debug, Default)]
pub struct Caches(OnceLock<HashMap<(Str, Str), Cacher>>);

impl Caches {
    /// Tells of all stores. Done once, before the first request.
    pub fn fill(&self, stores: &[Arc<Store>]) {
        let caches = stores.iter().map(|store| {
            let resource = store.resource();
            ((resource.group.clone(), resource.plural.clone()), store.cacher().clone())
        });
        let filled = self.0.set(caches.collect());
        assert!(filled.is_ok(), "the caches are filled in once");
    }

    /// The cache of a resource; `None` for one that this server does not have.
    #[must_use]
    pub fn get(&self, group: &str, plural: &str) -> Option<&Cacher> {
        self.0.get()?.get(&(group.into(), plural.into()))
    }

    /// One object of the core group: what the cache has at hand, else its newest state.
    ///
    /// Errors: the cache cannot answer now.
    pub async fn core(&self, plural: &str, namespace: &str, name: &str) -> Result<Option<Arc<Stored>>, Status> {
        self.find("", plural, namespace, name).await
    }

    /// One object: what the cache has at hand, else its newest state.
    ///
    /// Errors: the cache cannot answer now.
    pub async fn find(
        &self,
        group: &str,
        plural: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Arc<Stored>>, Status> {
        let Some(cacher) = self.get(group, plural) else { return Ok(None) };
        let key = cache_key(namespace, name);
        if let Some(object) = cacher.get(&key) {
            return Ok(Some(object));
        }
        // Boxed, as it is rare: admission makes room for this in each request.
        Box::pin(self.newest(group, plural, namespace, name)).await
    }

    /// One object in its newest state: every write that this server has answered is in it.
    ///
    /// Errors: the cache cannot answer now.
    pub async fn newest(
        &self,
        group: &str,
        plural: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Arc<Stored>>, Status> {
        let Some(cacher) = self.get(group, plural) else { return Ok(None) };
        let snapshot = cacher.consistent().await.map_err(read_failure)?;
        Ok(snapshot.get(&cache_key(namespace, name)).cloned())
    }
}

/// The tree of a stored object.
///
/// Errors: `InternalError` if its JSON is damaged, which decoding on the way into the cache rules out.
pub(crate) fn tree(object: &Stored) -> Result<Value, Status> {
    codec::json::decode(&object.json, None, FieldValidation::Ignore)
        .map(|decoded| decoded.value)
        .map_err(Status::internal)
}
